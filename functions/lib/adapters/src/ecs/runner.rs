//! Running and stopping one-off tasks.

use std::collections::BTreeMap;
use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::ProvideErrorMetadata;
use aws_sdk_ecs::operation::run_task;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use esclusa_core::error::Failure;
use esclusa_core::migration::RunTaskError;
use esclusa_core::pipeline::Network;
use serde::Serialize;
use serde_json::{Value, json};

use super::tag_list;
use crate::client;
use crate::raw::{RequestBody, ResponseBody};
use crate::sdk::{OnFirstUse, failure};

/// One task to run.
#[derive(Clone, PartialEq)]
pub struct RunTask {
    /// Name or ARN of the cluster.
    pub cluster: String,
    /// The revision, as ARN or `family:revision`; never a bare family, which another registration would change.
    pub task_definition: String,
    /// At most 64 printable ASCII characters: a repeat with the same token and parameters finds the first task.
    pub client_token: String,
    /// At most 128 letters, digits, `-`, `/` and `_`: finds the task again when the token has expired.
    pub started_by: String,
    /// `FARGATE` or `EC2`.
    pub launch_type: String,
    /// Its network.
    pub network: Option<Network>,
    /// The group it belongs to; `family:{family}` unless given.
    pub group: Option<String>,
    /// What differs from the task definition, in the shape of the API. ECS shows it to everybody who may describe the
    /// task: no secrets here.
    pub container_overrides: Value,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// Prints what identifies the run; overrides carry values of environment variables.
impl fmt::Debug for RunTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RunTask")
            .field("cluster", &self.cluster)
            .field("task_definition", &self.task_definition)
            .field("started_by", &self.started_by)
            .finish_non_exhaustive()
    }
}

/// What became of a request to stop a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopTaskOutcome {
    /// It is stopping or has stopped.
    Stopping,
    /// There is no such task, or it stopped long ago.
    NotFound,
}

/// The power to run and to stop one-off tasks.
#[derive(Debug, Clone)]
pub struct TaskRunner {
    client: OnFirstUse<Client>,
}

impl TaskRunner {
    /// A runner in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_ecs, config),
        }
    }

    /// Runs one task and answers with what AWS answered, success or error: [`esclusa_core::migration`] decides what it
    /// means.
    ///
    /// # Errors
    /// The call did not succeed; without a status, the task may run all the same.
    pub async fn run(&self, request: &RunTask) -> Result<Value, RunTaskError> {
        const ACTION: &str = "ecs:RunTask";
        let body = ResponseBody::default();
        let operation = self.client.run_task().customize();
        let operation = operation
            .interceptor(RequestBody::new(&run_task_body(request)))
            .interceptor(body.clone());
        operation.send().await.map_err(|error| run_task_error(&error))?;
        body.json(ACTION).map_err(|failure| RunTaskError {
            message: failure.message,
            ..RunTaskError::default()
        })
    }

    /// Asks a task to stop; `reason` is shown as its `stoppedReason`. Harmless on a task that has stopped.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the cluster does not exist.
    pub async fn stop(&self, cluster: &str, task_arn: &str, reason: &str) -> Result<StopTaskOutcome, Failure> {
        let operation = self.client.stop_task().cluster(cluster).task(task_arn).reason(reason);
        let Err(error) = operation.send().await else {
            return Ok(StopTaskOutcome::Stopping);
        };
        let absent = error.as_service_error().is_some_and(|error| {
            error.is_invalid_parameter_exception()
                && error.message().is_some_and(|text| text.contains("task was not found"))
        });
        if absent {
            Ok(StopTaskOutcome::NotFound)
        } else {
            Err(failure("ecs:StopTask", &error))
        }
    }
}

/// The error as AWS gave it; one that is no answer of AWS has neither code nor status.
fn run_task_error(error: &SdkError<run_task::RunTaskError, HttpResponse>) -> RunTaskError {
    let Some(answer) = error.as_service_error() else {
        return RunTaskError {
            message: failure("ecs:RunTask", error).message,
            ..RunTaskError::default()
        };
    };
    let resource_ids = match answer {
        run_task::RunTaskError::ConflictException(conflict) => conflict.resource_ids().to_vec(),
        _ => Vec::new(),
    };
    RunTaskError {
        code: answer.code().map(str::to_owned),
        http_status: error.raw_response().map(|response| response.status().as_u16()),
        message: answer.message().unwrap_or("AWS gives no reason").to_owned(),
        resource_ids,
    }
}

/// The request in the shape of the API.
fn run_task_body(request: &RunTask) -> Value {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        cluster: &'a str,
        task_definition: &'a str,
        client_token: &'a str,
        started_by: &'a str,
        count: u8,
        launch_type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        network_configuration: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        overrides: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tags: Option<Value>,
    }
    let has_overrides = request
        .container_overrides
        .as_array()
        .is_some_and(|overrides| !overrides.is_empty());
    json!(Body {
        cluster: &request.cluster,
        task_definition: &request.task_definition,
        client_token: &request.client_token,
        started_by: &request.started_by,
        count: 1,
        launch_type: &request.launch_type,
        network_configuration: request.network.as_ref().map(|network| {
            json!({"awsvpcConfiguration": {
                "subnets": network.subnets,
                "securityGroups": network.security_groups,
                "assignPublicIp": if network.assign_public_ip { "ENABLED" } else { "DISABLED" },
            }})
        }),
        group: request.group.as_deref(),
        overrides: has_overrides.then(|| json!({"containerOverrides": request.container_overrides})),
        tags: (!request.tags.is_empty()).then(|| tag_list(&request.tags)),
    })
}
