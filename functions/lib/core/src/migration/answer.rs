//! What the answer to `RunTask` means: an answer of HTTP 200 may have started nothing, and an error may have started a
//! task.

use serde_json::Value;

use super::TaskFacts;
use crate::error::Failure;

/// An error of `RunTask`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunTaskError {
    /// The error code, such as `ConflictException`; none when no answer came.
    pub code: Option<String>,
    /// The HTTP status; none when no answer came.
    pub http_status: Option<u16>,
    /// The message of AWS or of the connection.
    pub message: String,
    /// `resourceIds` of a `ConflictException`.
    pub resource_ids: Vec<String>,
}

/// What to do after a call of `RunTask`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunTaskDecision {
    /// The task is there, now or from an earlier call with the same client token.
    Started {
        /// Its ARN.
        task_arn: String,
    },
    /// It is proven that nothing was started: a new attempt after a pause, with a client token of its own.
    NotPlaced {
        /// The reasons that ECS gives.
        reasons: Vec<String>,
    },
    /// The client token belongs to tasks with other parameters: adopt one that [is the same run](is_same_run), else
    /// leave it to a person.
    Inspect {
        /// Their ARNs.
        task_arns: Vec<String>,
    },
    /// It may have started: the same call again, with the same client token.
    CallAgain {
        /// What happened.
        why: String,
    },
    /// It will not work.
    GiveUp(Failure),
}

/// Decides after an answer of HTTP 200.
pub fn decide_answer(answer: &Value) -> RunTaskDecision {
    let list = |name: &str| {
        answer
            .get(name)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let task_arns: Vec<&str> = list("tasks")
        .iter()
        .filter_map(|task| task.get("taskArn")?.as_str())
        .collect();
    let failures: Vec<String> = list("failures").iter().map(failure_reason).collect();
    match task_arns.as_slice() {
        [task_arn] => RunTaskDecision::Started {
            task_arn: (*task_arn).to_owned(),
        },
        [] if failures.is_empty() => RunTaskDecision::GiveUp(Failure::unknown_effect(
            "RunTask answered with neither a task nor a failure: an earlier call with the same client token may have started one",
        )),
        [] => RunTaskDecision::NotPlaced { reasons: failures },
        several => RunTaskDecision::GiveUp(Failure::unknown_effect(format!(
            "RunTask answered with {} tasks where one was asked for: `{}`",
            several.len(),
            several.join("`, `")
        ))),
    }
}

/// Decides after an error.
pub fn decide_error(error: &RunTaskError) -> RunTaskDecision {
    let message = &error.message;
    let refused = |what: &str| {
        RunTaskDecision::GiveUp(Failure::refused(format!(
            "ECS refuses to run the task: {what}: {message}"
        )))
    };
    if error.code.is_none() || error.http_status.is_some_and(|status| status >= 500) {
        return RunTaskDecision::CallAgain { why: message.clone() };
    }
    match error.code.as_deref().unwrap_or_default() {
        "ConflictException" => RunTaskDecision::Inspect {
            task_arns: error.resource_ids.clone(),
        },
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ServerException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "InternalFailure"
        | "RequestTimeout" => RunTaskDecision::CallAgain { why: message.clone() },
        "AccessDeniedException" | "AccessDenied" | "UnrecognizedClientException" | "ExpiredTokenException" => {
            RunTaskDecision::GiveUp(Failure::access_denied(format!("`ecs:RunTask` was denied: {message}")))
        }
        // What EC2 throttles for ECS comes as a request that is wrong.
        "InvalidParameterException" if message.contains("RequestLimitExceeded") => {
            RunTaskDecision::CallAgain { why: message.clone() }
        }
        // The same code says that the request is wrong and that the cluster provisions too many tasks already.
        "ClientException" if message.contains("PROVISIONING") => RunTaskDecision::NotPlaced {
            reasons: vec![message.clone()],
        },
        code => refused(code),
    }
}

/// Whether a task is the run that was asked for: the same revision, started with our mark.
pub fn is_same_run(task: &TaskFacts, task_definition_arn: &str, started_by: &str) -> bool {
    task.task_definition_arn.as_deref() == Some(task_definition_arn) && task.started_by.as_deref() == Some(started_by)
}

fn failure_reason(failure: &Value) -> String {
    let member = |name: &str| {
        failure
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    match (member("reason"), member("detail")) {
        (Some(reason), Some(detail)) => format!("{reason}: {detail}"),
        (Some(said), None) | (None, Some(said)) => said.to_owned(),
        (None, None) => "ECS gave no reason".to_owned(),
    }
}
