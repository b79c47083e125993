//! ECS, cut by power: who may read cannot act, and each act has its own type, so that a function is built only with
//! what its role allows.

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

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_ecs::Client;
use esclusa_core::error::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client;
use crate::sdk::OnFirstUse;

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

/// The cluster that the ARN of a task, a service or a service deployment names.
///
/// # Errors
/// `InvalidInput` for an ARN of the old form, which names no cluster.
pub fn cluster_of(arn: &str) -> Result<&str, Failure> {
    let mut parts = arn.splitn(6, ':').nth(5).unwrap_or_default().split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("task" | "service" | "service-deployment"), Some(cluster), Some(_)) => Ok(cluster),
        _ => Err(Failure::invalid_input(format!(
            "`{arn}` names no cluster: opt in to the long form of ARNs with `aws ecs put-account-setting-default`"
        ))),
    }
}

/// A client that calls once. `RegisterTaskDefinition` and `UpdateService` know no client token: after an answer that
/// was lost, whoever repeats the call looks first at what the one before has done.
fn acting(config: &SdkConfig) -> OnFirstUse<Client> {
    let once = config.clone().into_builder().retry_config(RetryConfig::disabled());
    client!(aws_sdk_ecs, &once.build())
}

/// Tags in the shape of the API.
fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

#[cfg(test)]
mod tests;
