//! ECS, cut by power: who may read cannot act, and each act has its own type, so that a function is built only with what its role allows.

mod described;
mod reader;
mod registrar;
mod runner;
mod traffic;
mod updater;

pub use described::{Described, Missing, TaskDefinition};
pub use reader::{EcsReader, TaskFilter};
pub use registrar::TaskDefinitionRegistrar;
pub use runner::{RunTask, StopTaskOutcome, TaskRunner};
pub use traffic::{RollbackOutcome, TrafficController};
pub use updater::{ServiceUpdater, UpdateService};

use std::collections::BTreeMap;

use esclusa_core::error::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A tag in the shape of the API.
#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// Reads facts from an answer; an answer that lacks what AWS always sends is broken, and asking again may help.
fn read<T: DeserializeOwned>(action: &str, json: Value) -> Result<T, Failure> {
    esclusa_events::decode(json)
        .map_err(|error| Failure::transient(format!("the answer to `{action}` cannot be read: {error}")))
}

/// Takes a member out of an answer; `null` where it is absent.
fn take(answer: &mut Value, member: &str) -> Value {
    answer.get_mut(member).map(Value::take).unwrap_or_default()
}

/// Takes a list out of an answer; empty where it is absent or null.
fn take_list(answer: &mut Value, member: &str) -> Vec<Value> {
    match take(answer, member) {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

/// The name of the cluster in the ARN of a task or a service.
///
/// # Errors
/// `Defect`: the ARN has none, as those that AWS made before 2018.
pub fn cluster_of(arn: &str) -> Result<&str, Failure> {
    let mut parts = arn.splitn(6, ':').nth(5).unwrap_or_default().split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("task" | "service"), Some(cluster), Some(_)) => Ok(cluster),
        _ => Err(Failure::defect(format!(
            "`{arn}` is not the arn of a task or a service with its cluster"
        ))),
    }
}

/// Tags in the shape of the API.
fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

#[cfg(test)]
mod tests;
