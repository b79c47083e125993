//! Registering task definitions.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use esclusa_core::error::Failure;
use serde_json::Value;

use super::described::TaskDefinition;
use super::reader::task_definition;
use super::{acting, tag_list};
use crate::raw::{RequestBody, ResponseBody};
use crate::sdk::{OnFirstUse, failure};

/// The power to register revisions of task definitions (and to pass their roles).
#[derive(Debug, Clone)]
pub struct TaskDefinitionRegistrar {
    client: OnFirstUse<Client>,
}

impl TaskDefinitionRegistrar {
    /// A registrar in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: acting(config) }
    }

    /// Registers `definition`, in the shape of `RegisterTaskDefinition`, with `tags` added to its own.
    ///
    /// Registering knows no client token: a call whose answer was lost leaves a revision behind, and a repeat makes a
    /// second one. Look for the tags among the family's newest revisions before registering again.
    ///
    /// # Errors
    /// As every call to AWS; `InvalidInput` when `definition` is no object; `Refused` when AWS does not accept it.
    pub async fn register(
        &self,
        definition: &Value,
        tags: &BTreeMap<String, String>,
    ) -> Result<TaskDefinition, Failure> {
        const ACTION: &str = "ecs:RegisterTaskDefinition";
        let mut request = definition.clone();
        let Some(members) = request.as_object_mut() else {
            return Err(Failure::invalid_input("a task definition to register is a JSON object"));
        };
        let own = members.entry("tags").or_insert(Value::Null);
        let mut all: Vec<Value> = own.as_array_mut().map(std::mem::take).unwrap_or_default();
        all.retain(|tag| {
            tag.get("key")
                .and_then(Value::as_str)
                .is_none_or(|key| !tags.contains_key(key))
        });
        all.extend(tag_list(tags).as_array_mut().map(std::mem::take).unwrap_or_default());
        *own = Value::Array(all);

        let body = ResponseBody::default();
        let operation = self.client.register_task_definition().customize();
        let operation = operation
            .interceptor(RequestBody::new(&request))
            .interceptor(body.clone());
        operation.send().await.map_err(|error| failure(ACTION, &error))?;
        task_definition(ACTION, body.json(ACTION)?)
    }
}
