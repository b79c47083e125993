//! The control table: everything that Esclusa must know to go on, and nothing that only history needs.
//!
//! Every row carries `row_version`, the version of its format, and `revision`, which grows by one with every write. A
//! write names what it expects to find, either nothing or the revision that was read, so that every change is a
//! compare-and-set. Reads are strongly consistent: decisions never come from an index.

mod key;
pub mod rows;

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use esclusa_core::error::{ErrorKind, Failure};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client;
use crate::sdk::{OnFirstUse, failure};

pub use key::{Key, Repository};

/// How long a row is kept that nobody acts upon any more: much longer than an execution runs, waits to be redriven, and
/// has its name kept.
const SPENT_AFTER: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The version of the format of every row that this program writes.
pub const ROW_VERSION: u32 = 1;

/// One item as the SDK carries it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A row as it was read, with the revision that a later write must still find.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    /// The row.
    pub row: T,
    /// How often it had been written.
    pub revision: u64,
}

/// What a write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// No row.
    Absent,
    /// The row as it was read.
    Revision(u64),
}

impl Expected {
    /// Expects to find again what was read.
    #[must_use]
    pub fn unchanged<T>(read: Option<&Stored<T>>) -> Self {
        read.map_or(Self::Absent, |stored| Self::Revision(stored.revision))
    }
}

/// One row to write, together with what it expects to find.
#[derive(Debug, Clone)]
pub struct Change {
    pub(crate) key: Key,
    pub(crate) expected: Expected,
    pub(crate) write: Write,
}

#[derive(Debug, Clone)]
pub(crate) enum Write {
    Put(Item),
    Delete,
    /// Nothing: only what is expected has to hold.
    Check,
}

impl Change {
    /// Writes `row` where `expected` is found.
    ///
    /// # Errors
    /// [`ErrorKind::Defect`] when the row cannot be expressed as an item.
    pub fn put<T: Serialize>(key: Key, row: &T, expected: Expected) -> Result<Self, Failure> {
        let mut item: Item = serde_dynamo::to_item(row).map_err(|error| {
            Failure::new(
                ErrorKind::Defect,
                format!("row `{}` / `{}` cannot be stored: {error}", key.pk, key.sk),
            )
        })?;
        let revision = match expected {
            Expected::Absent => 1,
            Expected::Revision(revision) => revision + 1,
        };
        item.insert("pk".to_owned(), AttributeValue::S(key.pk.clone()));
        item.insert("sk".to_owned(), AttributeValue::S(key.sk.clone()));
        item.insert("row_version".to_owned(), AttributeValue::N(ROW_VERSION.to_string()));
        item.insert("revision".to_owned(), AttributeValue::N(revision.to_string()));
        Ok(Self {
            key,
            expected,
            write: Write::Put(item),
        })
    }

    /// As it is, and removed by DynamoDB long after `moment`, when it has served its purpose.
    #[must_use]
    pub fn spent_since(mut self, moment: Timestamp) -> Self {
        if let Write::Put(item) = &mut self.write {
            let expires_at = moment.saturating_add(SPENT_AFTER).unwrap_or(Timestamp::MAX).as_second();
            item.insert("expires_at".to_owned(), AttributeValue::N(expires_at.to_string()));
        }
        self
    }

    /// Removes the row that was read.
    #[must_use]
    pub fn delete(key: Key, revision: u64) -> Self {
        Self {
            key,
            expected: Expected::Revision(revision),
            write: Write::Delete,
        }
    }

    /// Writes nothing, and requires that the row is still the one that was read.
    #[must_use]
    pub fn unchanged(key: Key, revision: u64) -> Self {
        Self {
            key,
            expected: Expected::Revision(revision),
            write: Write::Check,
        }
    }

    /// Writes nothing, and requires that there is no row.
    #[must_use]
    pub fn absent(key: Key) -> Self {
        Self {
            key,
            expected: Expected::Absent,
            write: Write::Check,
        }
    }

    /// The row that is written.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }
}

/// Reads the control table. All writes go through the [`Journal`](crate::journal::Journal).
#[derive(Debug, Clone)]
pub struct ControlTable {
    client: OnFirstUse<Client>,
    table: String,
}

/// The most rows that one listing returns.
const LIST_LIMIT: usize = 1_000;

impl ControlTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, config),
            table: table.to_owned(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.table
    }

    /// Reads one row.
    ///
    /// # Errors
    /// [`ErrorKind::Transient`] or [`ErrorKind::AccessDenied`] from DynamoDB; [`ErrorKind::Defect`] for a row of a
    /// format that this program does not know.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<Stored<T>>, Failure> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.pk.clone()))
            .key("sk", AttributeValue::S(key.sk.clone()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure("dynamodb:GetItem", &error))?;
        answer.item.map(|item| read(item).map(|(_, stored)| stored)).transpose()
    }

    /// Reads a row that must be there.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is not, besides those of [`ControlTable::get`].
    pub async fn require<T: DeserializeOwned>(&self, key: &Key) -> Result<Stored<T>, Failure> {
        self.get(key).await?.ok_or_else(|| {
            Failure::new(
                ErrorKind::InvalidInput,
                format!("there is no row `{}` / `{}` in table `{}`", key.pk, key.sk, self.table),
            )
        })
    }

    /// Reads the rows of a partition whose sort key begins with `prefix`, in ascending order of the sort key, each with
    /// its sort key: for rows of one thing, of which there are never many.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`]; `Defect` for a partition of more rows than one listing reads: a part of a list
    /// is never acted upon.
    pub async fn list<T: DeserializeOwned>(&self, pk: &str, prefix: &str) -> Result<Vec<(String, Stored<T>)>, Failure> {
        let rows = self.query(pk, prefix, true, LIST_LIMIT).await?;
        if rows.len() < LIST_LIMIT {
            return Ok(rows);
        }
        Err(Failure::defect(format!(
            "partition `{pk}` has {LIST_LIMIT} rows or more: esclusa does not act on a part of a list"
        )))
    }

    /// As [`ControlTable::list`], for partitions that grow with the installation or for as long as it is used: however
    /// many rows there are.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`].
    pub async fn all<T: DeserializeOwned>(&self, pk: &str, prefix: &str) -> Result<Vec<(String, Stored<T>)>, Failure> {
        self.query(pk, prefix, true, usize::MAX).await
    }

    /// Reads the last `limit` rows of a partition whose sort key begins with `prefix`, in descending order of the sort
    /// key.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`].
    pub async fn latest<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(String, Stored<T>)>, Failure> {
        self.query(pk, prefix, false, limit).await
    }

    async fn query<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        ascending: bool,
        limit: usize,
    ) -> Result<Vec<(String, Stored<T>)>, Failure> {
        let mut rows = Vec::new();
        let mut from = None;
        loop {
            let mut query = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .scan_index_forward(ascending)
                .limit(i32::try_from(limit - rows.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(from)
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
            query = if prefix.is_empty() {
                query.key_condition_expression("pk = :pk")
            } else {
                query
                    .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                    .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
            };
            let answer = query.send().await.map_err(|error| failure("dynamodb:Query", &error))?;
            for item in answer.items.unwrap_or_default() {
                rows.push(read(item)?);
            }
            from = answer.last_evaluated_key;
            if from.is_none() || rows.len() >= limit {
                return Ok(rows);
            }
        }
    }
}

fn read<T: DeserializeOwned>(item: Item) -> Result<(String, Stored<T>), Failure> {
    let text = |name: &str| {
        item.get(name)
            .and_then(|value| value.as_s().ok())
            .cloned()
            .unwrap_or_default()
    };
    let number = |name: &str| {
        item.get(name)
            .and_then(|value| value.as_n().ok())
            .and_then(|digits| digits.parse::<u64>().ok())
    };
    let (pk, sk, revision, version) = (
        text("pk"),
        text("sk"),
        number("revision").unwrap_or(0),
        number("row_version"),
    );
    if version.is_none_or(|version| version > u64::from(ROW_VERSION)) {
        return Err(Failure::new(
            ErrorKind::Defect,
            format!(
                "row `{pk}` / `{sk}` has a format that this version of esclusa does not know: upgrade the functions"
            ),
        ));
    }
    let row = serde_dynamo::from_item(item).map_err(|error| {
        Failure::new(
            ErrorKind::Defect,
            format!("row `{pk}` / `{sk}` cannot be read: {error}"),
        )
    })?;
    Ok((sk, Stored { row, revision }))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Recorded};

    #[derive(Debug, Deserialize)]
    struct Row {}

    /// What DynamoDB answers for so many rows, after which there may be more.
    fn page(rows: usize, is_last: bool) -> Answer {
        let key = |number: usize| json!({"pk": {"S": "P"}, "sk": {"S": number.to_string()}});
        let row = |number: usize| json!({"pk": {"S": "P"}, "sk": {"S": number.to_string()}, "row_version": {"N": "1"}, "revision": {"N": "1"}});
        let mut answer = json!({"Items": Vec::from_iter((0..rows).map(row))});
        if !is_last {
            answer["LastEvaluatedKey"] = key(rows);
        }
        Answer::json(200, &answer)
    }

    #[tokio::test]
    async fn a_list_that_is_acted_upon_has_an_end_and_one_that_grows_for_ever_has_none() {
        let recorded = Recorded::new([page(LIST_LIMIT, true), page(LIST_LIMIT, false), page(2, true)]);
        let table = ControlTable::new(&recorded.config(), "control");
        let refused = table.list::<Row>("P", "").await.unwrap_err();
        assert!(
            refused.message.contains("does not act on a part of a list"),
            "{refused:?}"
        );
        assert_eq!(table.all::<Row>("P", "").await.unwrap().len(), LIST_LIMIT + 2);
    }
}
