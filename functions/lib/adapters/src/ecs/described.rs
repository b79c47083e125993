//! What describing answers. Items are handed on as AWS writes them: the core reads facts from them and judges.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The answer to a batch: a call succeeds although some of what it asked for does not exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// What was found, as AWS writes it.
    pub found: Vec<Value>,
    /// What was not.
    pub missing: Vec<Missing>,
}

/// An entry of `failures`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Missing {
    /// What it is about, where AWS says so.
    #[serde(default)]
    pub arn: Option<String>,
    /// Why, such as `MISSING` or `RESOURCE:MEMORY`.
    #[serde(default)]
    pub reason: Option<String>,
    /// More words, where AWS has them.
    #[serde(default)]
    pub detail: Option<String>,
}

/// A revision of a task definition.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDefinition {
    /// The revision.
    pub arn: String,
    /// `ACTIVE`, `INACTIVE` or `DELETE_IN_PROGRESS`.
    pub status: Option<String>,
    /// Its tags, which AWS keeps beside it.
    pub tags: BTreeMap<String, String>,
    /// The definition as AWS has it.
    pub raw: Value,
}
