//! The answers of reads, kept until what they read is written: handlers read the same few items again and again, and
//! the engine parses a statement for each read.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::keys::{Schema, key_text, queried_key};

/// The items of one table that have one partition key.
type Partition = (String, String);

/// Answers by the partition that they were read from, then by operation and input.
#[derive(Debug, Default)]
pub(crate) struct Answers(BTreeMap<Partition, BTreeMap<String, Value>>);

/// Where the answer of a read is kept.
#[derive(Debug)]
pub(crate) struct Place {
    partition: Partition,
    question: String,
}

impl Place {
    /// The place of a read of one partition of a table; none for every other operation.
    pub(crate) fn of(operation: &str, input: &Value, tables: &BTreeMap<String, Schema>) -> Option<Self> {
        let table = input.get("TableName")?.as_str()?;
        let key = tables.get(table)?.partition_key(None)?;
        let value = match operation {
            "GetItem" => key_text(input.get("Key")?.get(key)?)?,
            "Query" if input.get("IndexName").is_none() => queried_key(input, key)?,
            _ => return None,
        };
        Some(Self {
            partition: (table.to_owned(), value),
            question: format!("{operation} {input}"),
        })
    }
}

impl Answers {
    pub(crate) fn get(&self, place: &Place) -> Option<&Value> {
        self.0.get(&place.partition)?.get(&place.question)
    }

    pub(crate) fn keep(&mut self, place: Place, answer: &Value) {
        let answers = self.0.entry(place.partition).or_default();
        answers.insert(place.question, answer.clone());
    }

    /// Forgets what an operation that is not a read may change.
    pub(crate) fn forget(&mut self, operation: &str, input: &Value, tables: &BTreeMap<String, Schema>) {
        let written = match operation {
            "PutItem" => written(input, "Item", tables).map(|partition| vec![partition]),
            "UpdateItem" | "DeleteItem" => written(input, "Key", tables).map(|partition| vec![partition]),
            "TransactWriteItems" => written_together(input, tables),
            _ => None,
        };
        match written {
            Some(partitions) => partitions.iter().for_each(|partition| {
                self.0.remove(partition);
            }),
            None => self.0.clear(),
        }
    }
}

/// The partition of the item that a write names; none where it cannot be told.
fn written(write: &Value, member: &str, tables: &BTreeMap<String, Schema>) -> Option<Partition> {
    let table = write.get("TableName")?.as_str()?;
    let key = tables.get(table)?.partition_key(None)?;
    Some((table.to_owned(), key_text(write.get(member)?.get(key)?)?))
}

/// The partitions of the items that a transaction names; none where one of them cannot be told.
fn written_together(input: &Value, tables: &BTreeMap<String, Schema>) -> Option<Vec<Partition>> {
    let actions = input.get("TransactItems")?.as_array()?;
    let partition = |action: &Value| {
        let (kind, write) = action.as_object()?.iter().next()?;
        written(write, if kind == "Put" { "Item" } else { "Key" }, tables)
    };
    actions.iter().map(partition).collect()
}
