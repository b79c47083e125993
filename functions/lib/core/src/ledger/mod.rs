//! The ledger: an append-only chain of records, each of which remembers the hash of the one before it.
//!
//! `hash` = SHA-256 of the canonical JSON of every other field of the record, `previous_hash` included. The first
//! record of a chain remembers 64 zeros. Sequence numbers start at 1 and have no gaps, so a removed record shows. A
//! removed *end* shows against the head, which is anchored outside the table.

mod body;
mod chain;
mod kind;
mod verify;

pub use body::Body;
pub use chain::Chain;
pub use kind::RecordKind;
pub use verify::{Broken, Damage, Verified, verify};

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::canonical::canonical_sha256;

/// What the first record of a chain remembers as the hash before it.
pub const GENESIS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The end of a chain: how long it is, and the hash that stands for all of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Head {
    /// The chain.
    pub chain: Chain,
    /// The sequence number of its last record; 0 when it has none.
    pub sequence: u64,
    /// The hash of its last record; [`GENESIS_HASH`] when it has none.
    pub hash: String,
}

impl Head {
    /// The head of a chain without records.
    pub fn genesis(chain: Chain) -> Self {
        Self {
            chain,
            sequence: 0,
            hash: GENESIS_HASH.to_owned(),
        }
    }
}

/// What somebody wants to have written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What happened.
    pub kind: RecordKind,
    /// Who did it: a function, a person, AWS.
    pub actor: String,
    /// The application it is about.
    pub application: Option<String>,
    /// The environment it is about.
    pub environment: Option<String>,
    /// The image digest it is about.
    pub digest: Option<String>,
    /// The release it is about.
    pub release_id: Option<String>,
    /// The deployment it is about.
    pub deployment_id: Option<String>,
    /// The intent that it opens or settles.
    pub intent_id: Option<String>,
    /// The facts.
    pub body: Body,
}

impl Draft {
    /// A draft that is about nothing in particular yet.
    pub fn new(kind: RecordKind, actor: impl Into<String>, body: Body) -> Self {
        Self {
            kind,
            actor: actor.into(),
            application: None,
            environment: None,
            digest: None,
            release_id: None,
            deployment_id: None,
            intent_id: None,
            body,
        }
    }
}

/// One record, as it is stored. Only [`append`] makes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The chain it belongs to.
    pub chain: Chain,
    /// Its place in the chain, from 1.
    pub sequence: u64,
    /// When it was written, to the millisecond.
    #[serde(with = "milliseconds")]
    pub at: Timestamp,
    /// What happened.
    pub kind: RecordKind,
    /// The application it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The environment it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// `{application}/{environment}`, the key of the listing by environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_key: Option<String>,
    /// The image digest it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The release it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_id: Option<String>,
    /// The deployment it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// Who did it.
    pub actor: String,
    /// The intent that it opens or settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent_id: Option<String>,
    /// The facts, as canonical JSON text.
    pub body: Body,
    /// The hash of the record before it.
    pub previous_hash: String,
    /// The hash of everything above.
    pub hash: String,
}

impl Record {
    /// The hash that the record must carry.
    pub fn computed_hash(&self) -> String {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), Value::String(value));
            }
        };
        // Taken apart by name, so that a new field cannot be left out of the hash unnoticed.
        let Self {
            chain,
            sequence,
            at,
            kind,
            application,
            environment,
            environment_key,
            digest,
            release_id,
            deployment_id,
            actor,
            intent_id,
            body,
            previous_hash,
            hash: _,
        } = self;
        put("chain", Some(chain.to_string()));
        put("at", Some(milliseconds::text(*at)));
        put("kind", Some(kind.as_str().to_owned()));
        put("application", application.clone());
        put("environment", environment.clone());
        put("environment_key", environment_key.clone());
        put("digest", digest.clone());
        put("release_id", release_id.clone());
        put("deployment_id", deployment_id.clone());
        put("actor", Some(actor.clone()));
        put("intent_id", intent_id.clone());
        put("body", Some(body.as_str().to_owned()));
        put("previous_hash", Some(previous_hash.clone()));
        fields.insert("sequence".to_owned(), Value::from(*sequence));
        canonical_sha256(&Value::Object(fields))
    }

    /// The day it was written, in UTC, as `2026-11-21`: the key of the listing by day. It follows from `at` and is no
    /// part of the hash.
    pub fn day(&self) -> String {
        self.at.strftime("%Y-%m-%d").to_string()
    }

    /// The head of the chain that ends with this record.
    pub fn head(&self) -> Head {
        Head {
            chain: self.chain.clone(),
            sequence: self.sequence,
            hash: self.hash.clone(),
        }
    }
}

/// Writes `draft` down at the end of the chain: the record, and the head that must replace `head` in the same
/// transaction.
pub fn append(head: &Head, draft: Draft, at: Timestamp) -> (Record, Head) {
    let environment_key = match (&draft.application, &draft.environment) {
        (Some(application), Some(environment)) => Some(format!("{application}/{environment}")),
        _ => None,
    };
    let mut record = Record {
        chain: head.chain.clone(),
        sequence: head.sequence.saturating_add(1),
        at: milliseconds::truncated(at),
        kind: draft.kind,
        application: draft.application,
        environment: draft.environment,
        environment_key,
        digest: draft.digest,
        release_id: draft.release_id,
        deployment_id: draft.deployment_id,
        actor: draft.actor,
        intent_id: draft.intent_id,
        body: draft.body,
        previous_hash: head.hash.clone(),
        hash: String::new(),
    };
    record.hash = record.computed_hash();
    let head = record.head();
    (record, head)
}

/// Times with exactly three decimals, so that their text sorts as they do.
mod milliseconds {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Timestamp, Unit};

    pub(super) fn truncated(at: Timestamp) -> Timestamp {
        // Rounding down fails only beyond the ends of the calendar, where the time is its own truncation.
        at.round(
            jiff::TimestampRound::new()
                .smallest(Unit::Millisecond)
                .mode(jiff::RoundMode::Floor),
        )
        .unwrap_or(at)
    }

    pub(super) fn text(at: Timestamp) -> String {
        format!("{at:.3}")
    }

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests;
