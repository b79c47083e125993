//! Reads that lag behind: a second database that gets every write later.

use std::collections::{BTreeMap, VecDeque};

use dynoxide::Database;
use dynoxide::storage_backend::ManualClock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::ApiError;

use crate::engine;
use crate::keys::Schema;

/// The delayed copy.
pub(crate) struct ReadLag {
    lag: SignedDuration,
    database: Database,
    pending: VecDeque<(Timestamp, String, Value)>,
}

impl std::fmt::Debug for ReadLag {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ReadLag")
            .field("lag", &self.lag)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

impl ReadLag {
    /// A copy of `database` as it is now.
    pub(crate) fn new(
        lag: SignedDuration,
        database: &Database,
        clock: &ManualClock,
        tables: &BTreeMap<String, Schema>,
    ) -> Result<Self, ApiError> {
        let copy = engine::open(clock)?;
        for (name, schema) in tables {
            engine::dispatch(&copy, "CreateTable", creation(&schema.description))?;
            for item in engine::all_items(database, name)? {
                engine::dispatch(&copy, "PutItem", json!({"TableName": name, "Item": item}))?;
            }
        }
        Ok(Self {
            lag,
            database: copy,
            pending: VecDeque::new(),
        })
    }

    /// A write that succeeded now shows in the copy later.
    pub(crate) fn write(&mut self, now: Timestamp, operation: &str, input: &Value) {
        let due = now.saturating_add(self.lag).unwrap_or(Timestamp::MAX);
        self.pending.push_back((due, operation.to_owned(), input.clone()));
    }

    /// The copy with every write that is due.
    pub(crate) fn database_at(&mut self, now: Timestamp) -> Result<&Database, ApiError> {
        while let Some((_, operation, input)) = self.pending.pop_front_if(|(due, _, _)| *due <= now) {
            engine::dispatch(&self.database, &operation, input)?;
        }
        Ok(&self.database)
    }
}

/// The input that creates a table of this description again.
fn creation(description: &Value) -> Value {
    let mut input = json!({"BillingMode": "PAY_PER_REQUEST"});
    let index = |index: &Value| {
        let mut index = index.clone();
        if let Some(object) = index.as_object_mut() {
            object.retain(|member, _| ["IndexName", "KeySchema", "Projection"].contains(&member.as_str()));
        }
        index
    };
    if let Some(object) = input.as_object_mut() {
        for member in ["TableName", "AttributeDefinitions", "KeySchema"] {
            object.insert(member.to_owned(), description.get(member).cloned().unwrap_or_default());
        }
        for member in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
            if let Some(indexes) = description.get(member).and_then(Value::as_array) {
                object.insert(member.to_owned(), indexes.iter().map(index).collect());
            }
        }
    }
    input
}
