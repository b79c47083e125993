//! Reading the ledger table. Records are written by the [`Journal`](crate::journal::Journal) alone, and never changed
//! by anybody.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Chain, Record};
use jiff::Timestamp;

use crate::client;
use crate::control::Item;
use crate::sdk::{OnFirstUse, failure};

/// By what records are listed. Listings come from indexes, which lag; only [`LedgerTable::chain`] is evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing<'a> {
    /// Records about an application.
    Application(&'a str),
    /// Records about an environment of an application.
    Environment(&'a str, &'a str),
    /// Records about an image digest.
    Digest(&'a str),
    /// Records of one day in UTC, as `2026-11-21`.
    Day(&'a str),
}

impl Listing<'_> {
    fn index(self) -> (&'static str, &'static str, String) {
        match self {
            Self::Application(application) => ("by_application", "application", application.to_owned()),
            Self::Environment(application, environment) => (
                "by_environment",
                "environment_key",
                format!("{application}/{environment}"),
            ),
            Self::Digest(digest) => ("by_digest", "digest", digest.to_owned()),
            Self::Day(day) => ("by_day", "day", day.to_owned()),
        }
    }
}

/// A span of time, both ends included and both optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
}

/// Reads the ledger.
#[derive(Debug, Clone)]
pub struct LedgerTable {
    client: OnFirstUse<Client>,
    table: String,
}

impl LedgerTable {
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

    /// Every record of a chain, in order, strongly consistent.
    ///
    /// # Errors
    /// `Transient` or `AccessDenied` from DynamoDB; `Defect` for an item that is no record.
    pub async fn chain(&self, chain: &Chain) -> Result<Vec<Record>, Failure> {
        self.items(chain).await?.into_iter().map(record).collect()
    }

    /// The same, with the first difference between how a record is stored and how it is written, in what its hash does
    /// not cover and listings go by.
    ///
    /// # Errors
    /// Those of [`LedgerTable::chain`].
    pub async fn chain_as_stored(&self, chain: &Chain) -> Result<(Vec<Record>, Option<String>), Failure> {
        let (mut records, mut differs) = (Vec::new(), None);
        for stored in self.items(chain).await? {
            let record = record(stored.clone())?;
            differs = match differs {
                None => difference(&stored, &item(&record)?),
                first => first,
            };
            records.push(record);
        }
        Ok((records, differs))
    }

    async fn items(&self, chain: &Chain) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("#chain = :chain")
                .expression_attribute_names("#chain", "chain")
                .expression_attribute_values(":chain", AttributeValue::S(chain.to_string()))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| failure("dynamodb:Query", &error))?;
            items.extend(answer.items.unwrap_or_default());
            from = answer.last_evaluated_key;
            if from.is_none() {
                return Ok(items);
            }
        }
    }

    /// The newest records of a listing, newest first, at most `limit`.
    ///
    /// # Errors
    /// Those of [`LedgerTable::chain`].
    pub async fn list(&self, listing: Listing<'_>, span: Span, limit: usize) -> Result<Vec<Record>, Failure> {
        let (index, attribute, value) = listing.index();
        // Times are written with three decimals, so that their texts sort as they do.
        let from = span.from.unwrap_or(Timestamp::UNIX_EPOCH);
        let until = span.until.unwrap_or(Timestamp::MAX);
        let mut records = Vec::new();
        let mut start = None;
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(index)
                .scan_index_forward(false)
                .limit(i32::try_from(limit - records.len()).unwrap_or(i32::MAX))
                .key_condition_expression("#key = :key AND #at BETWEEN :from AND :until")
                .expression_attribute_names("#key", attribute)
                .expression_attribute_names("#at", "at")
                .expression_attribute_values(":key", AttributeValue::S(value.clone()))
                .expression_attribute_values(":from", AttributeValue::S(format!("{from:.3}")))
                .expression_attribute_values(":until", AttributeValue::S(format!("{until:.3}")))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| failure("dynamodb:Query", &error))?;
            for item in answer.items.unwrap_or_default() {
                records.push(record(item)?);
            }
            start = answer.last_evaluated_key;
            if start.is_none() || records.len() >= limit {
                return Ok(records);
            }
        }
    }
}

fn record(item: Item) -> Result<Record, Failure> {
    let (chain, sequence) = (text(&item, "chain"), text(&item, "sequence"));
    serde_dynamo::from_item(item).map_err(|error| {
        Failure::defect(format!(
            "item `{sequence}` of chain `{chain}` is not a ledger record: {error}"
        ))
    })
}

/// The text of an attribute.
fn text(item: &Item, attribute: &str) -> String {
    match item.get(attribute) {
        Some(AttributeValue::S(text) | AttributeValue::N(text)) => text.clone(),
        _ => "?".to_owned(),
    }
}

/// What is stored of a record otherwise than it is written, in the attributes by which listings sort.
fn difference(stored: &Item, written: &Item) -> Option<String> {
    let differs = |attribute: &&str| stored.get(*attribute) != written.get(*attribute);
    let attribute = ["at", "day"].into_iter().find(|attribute| differs(attribute))?;
    Some(format!(
        "record {} of chain `{}` is stored with `{attribute}` `{}`, but was written with `{}`",
        text(stored, "sequence"),
        text(stored, "chain"),
        text(stored, attribute),
        text(written, attribute)
    ))
}

/// A record as an item, with the attribute that the listing by day needs and the hash does not cover.
pub(crate) fn item(record: &Record) -> Result<HashMap<String, AttributeValue>, Failure> {
    let mut item: Item = serde_dynamo::to_item(record).map_err(|error| {
        Failure::defect(format!(
            "a record of chain `{}` cannot be stored: {error}",
            record.chain
        ))
    })?;
    item.insert("day".to_owned(), AttributeValue::S(record.day()));
    Ok(item)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use esclusa_core::ledger::{Body, Draft, Head, RecordKind, append};
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Answer, Recorded};

    #[tokio::test]
    async fn what_listings_go_by_is_compared_with_what_was_written_though_no_hash_covers_it() {
        let chain = Chain::release("shop-0f0f0f0f0f0f0f0f0f0f");
        let draft = Draft::new(RecordKind::Judged, "esclusa", Body::new(&json!({})).unwrap());
        let at = "2026-11-21T14:05:07.100Z".parse().unwrap();
        let (written, _) = append(&Head::genesis(chain.clone()), draft, at);
        let table = [
            ("day", Some("2026-11-21"), None),
            (
                "day",
                Some("2026-11-20"),
                Some("`day` `2026-11-20`, but was written with `2026-11-21`"),
            ),
            ("day", None, Some("`day` `?`, but was written with `2026-11-21`")),
            (
                "at",
                Some("2026-11-21T14:05:07.1Z"),
                Some("`at` `2026-11-21T14:05:07.1Z`, but was written"),
            ),
            (
                "at",
                Some("2026-11-21T15:05:07.100+01:00"),
                Some("was written with `2026-11-21T14:05:07.100Z`"),
            ),
        ];
        for (attribute, value, told) in table {
            let stored: BTreeMap<String, Value> = item(&written)
                .unwrap()
                .into_iter()
                .map(|(name, value)| match value {
                    AttributeValue::N(digits) => (name, json!({"N": digits})),
                    other => (name, json!({"S": other.as_s().unwrap()})),
                })
                .filter(|(name, _)| name != attribute)
                .chain(value.map(|value| (attribute.to_owned(), json!({"S": value}))))
                .collect();
            let recorded = Recorded::new([Answer::json(200, &json!({"Items": [stored]}))]);
            let ledger = LedgerTable::new(&recorded.config(), "ledger");
            let (records, differs) = ledger.chain_as_stored(&chain).await.unwrap();
            assert_eq!(records[0].computed_hash(), written.hash);
            let differs = differs.as_deref();
            assert_eq!(differs.is_some(), told.is_some(), "{attribute} {value:?}: {differs:?}");
            assert!(
                differs.unwrap_or_default().contains(told.unwrap_or_default()),
                "{differs:?}"
            );
        }
    }
}
