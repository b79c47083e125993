//! Step Functions, cut by power: starting executions, reading them, completing tasks that wait for a token.

use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionError;
use esclusa_core::error::Failure;
use esclusa_events::ExecutionStatus;
use jiff::Timestamp;
use serde_json::Value;

use crate::client;
use crate::sdk::{OnFirstUse, failure, timestamp};
use crate::task_token::TaskToken;

/// What became of a request to start an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOutcome {
    /// It runs: started now, or by an earlier call with the same name and input.
    Running {
        /// The execution.
        execution_arn: String,
    },
    /// The name was used within the last 90 days by an execution that is over or had another input. Describe it.
    AlreadyExists {
        /// The execution.
        execution_arn: String,
    },
}

/// The power to start executions.
#[derive(Debug, Clone)]
pub struct StateMachineStarter {
    client: OnFirstUse<Client>,
}

impl StateMachineStarter {
    /// A starter in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_sfn, config),
        }
    }

    /// Starts an execution by name. Step Functions compares the input as text: the same `input` is always written the
    /// same way.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the state machine does not exist; `Defect` when its ARN is none.
    pub async fn start(&self, state_machine_arn: &str, name: &str, input: &Value) -> Result<StartOutcome, Failure> {
        let execution_arn = execution_arn(state_machine_arn, name)?;
        let operation = self
            .client
            .start_execution()
            .state_machine_arn(state_machine_arn)
            .name(name);
        match operation
            .input(esclusa_core::canonical::canonical_json(input))
            .send()
            .await
        {
            Ok(answer) => Ok(StartOutcome::Running {
                execution_arn: answer.execution_arn,
            }),
            Err(error) => match error.as_service_error() {
                Some(reason) if reason.is_execution_already_exists() => {
                    Ok(StartOutcome::AlreadyExists { execution_arn })
                }
                _ => Err(failure("states:StartExecution", &error)),
            },
        }
    }
}

/// The ARN that an execution of that state machine and name has.
///
/// # Errors
/// `Defect`: the ARN is none of a state machine.
pub fn execution_arn(state_machine_arn: &str, name: &str) -> Result<String, Failure> {
    match state_machine_arn.split_once(":stateMachine:") {
        Some((prefix, machine)) if !machine.is_empty() => Ok(format!("{prefix}:execution:{machine}:{name}")),
        _ => Err(Failure::defect(format!(
            "`{state_machine_arn}` is not the arn of a state machine"
        ))),
    }
}

/// An execution as Step Functions describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Where it is.
    pub status: ExecutionStatus,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub stopped_at: Option<Timestamp>,
    /// Its output, once it has succeeded.
    pub output: Option<Value>,
    /// The name of the error it failed with.
    pub error: Option<String>,
    /// The words beside the error.
    pub cause: Option<String>,
}

/// Reads executions. Changes nothing.
#[derive(Debug, Clone)]
pub struct ExecutionReader {
    client: OnFirstUse<Client>,
}

impl ExecutionReader {
    /// A reader in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_sfn, config),
        }
    }

    /// Describes an execution; nothing where there is none. The answer may lag behind by a moment.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn describe(&self, execution_arn: &str) -> Result<Option<Execution>, Failure> {
        const ACTION: &str = "states:DescribeExecution";
        let answer = match self
            .client
            .describe_execution()
            .execution_arn(execution_arn)
            .send()
            .await
        {
            Ok(answer) => answer,
            Err(error) => {
                let absent = error
                    .as_service_error()
                    .is_some_and(DescribeExecutionError::is_execution_does_not_exist);
                return if absent { Ok(None) } else { Err(failure(ACTION, &error)) };
            }
        };
        let output = answer.output.as_deref().map(serde_json::from_str).transpose();
        Ok(Some(Execution {
            status: answer.status.as_str().to_owned().into(),
            started_at: timestamp(&answer.start_date),
            stopped_at: answer.stop_date.as_ref().and_then(timestamp),
            output: output
                .map_err(|_| Failure::transient(format!("the answer to `{ACTION}` has an output that is not JSON")))?,
            error: answer.error,
            cause: answer.cause,
        }))
    }
}

/// What became of an answer to a waiting task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionOutcome {
    /// The task took it and is closed.
    Accepted,
    /// The task was closed before: by an earlier answer, by its timeout, or with its execution.
    TimedOut,
    /// Step Functions does not know the token.
    Unknown,
}

/// The power to complete tasks that wait for a token.
#[derive(Debug, Clone)]
pub struct TokenCompleter {
    client: OnFirstUse<Client>,
}

impl TokenCompleter {
    /// A completer in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_sfn, config),
        }
    }

    /// Ends the waiting task with `output`.
    ///
    /// # Errors
    /// As every call to AWS. After `Transient` the task may be closed.
    pub async fn succeed(&self, token: &TaskToken, output: &Value) -> Result<CompletionOutcome, Failure> {
        let operation = self
            .client
            .send_task_success()
            .task_token(token.expose())
            .output(output.to_string());
        let Err(error) = operation.send().await else {
            return Ok(CompletionOutcome::Accepted);
        };
        match error.as_service_error() {
            Some(reason) if reason.is_task_timed_out() => Ok(CompletionOutcome::TimedOut),
            Some(reason) if reason.is_invalid_token() || reason.is_task_does_not_exist() => {
                Ok(CompletionOutcome::Unknown)
            }
            _ => Err(failure("states:SendTaskSuccess", &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use esclusa_core::error::ErrorKind;
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Recorded};

    const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:release";
    const EXECUTION: &str = "arn:aws:states:us-east-1:123456789012:execution:release:catalog-0a1b";

    fn error(name: &str) -> Answer {
        Answer::json(400, &json!({"__type": name, "message": "the words of AWS"}))
    }

    #[tokio::test]
    async fn an_execution_that_exists_is_named_and_no_failure() {
        let recorded = Recorded::new([
            Answer::json(200, &json!({"executionArn": EXECUTION, "startDate": 1_793_620_800.0})),
            error("ExecutionAlreadyExists"),
            error("StateMachineDoesNotExist"),
        ]);
        let starter = StateMachineStarter::new(&recorded.config());
        let input = json!({"releaseId": "catalog-0a1b", "a": 1});
        let execution_arn = EXECUTION.to_owned();
        let outcome = starter.start(MACHINE, "catalog-0a1b", &input).await.unwrap();
        assert_eq!(
            outcome,
            StartOutcome::Running {
                execution_arn: execution_arn.clone()
            }
        );
        let outcome = starter.start(MACHINE, "catalog-0a1b", &input).await.unwrap();
        assert_eq!(outcome, StartOutcome::AlreadyExists { execution_arn });
        assert_eq!(
            starter.start(MACHINE, "x", &input).await.unwrap_err().kind,
            ErrorKind::Refused
        );
        assert_eq!(
            starter.start("release", "x", &input).await.unwrap_err().kind,
            ErrorKind::Defect
        );
        assert_eq!(
            recorded.requests()[0].body["input"],
            r#"{"a":1,"releaseId":"catalog-0a1b"}"#
        );
    }

    #[tokio::test]
    async fn an_execution_is_read_with_its_output_and_an_unknown_one_is_absent() {
        let recorded = Recorded::new([
            Answer::json(
                200,
                &json!({"executionArn": EXECUTION, "stateMachineArn": MACHINE, "status": "SUCCEEDED",
                    "startDate": 1_793_620_800.0, "stopDate": 1_793_620_860.25, "output": "{\"verdict\":\"SUCCEEDED\"}"}),
            ),
            error("ExecutionDoesNotExist"),
        ]);
        let reader = ExecutionReader::new(&recorded.config());
        let execution = reader.describe(EXECUTION).await.unwrap().unwrap();
        assert!(execution.status.is_closed());
        assert_eq!(execution.output, Some(json!({"verdict": "SUCCEEDED"})));
        assert_eq!(execution.stopped_at.unwrap().to_string(), "2026-11-02T12:01:00.25Z");
        assert_eq!(reader.describe(EXECUTION).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_task_that_was_closed_before_is_told_from_a_token_that_is_none() {
        let recorded = Recorded::new([
            Answer::json(200, &json!({})),
            error("TaskTimedOut"),
            error("InvalidToken"),
            error("TaskDoesNotExist"),
            error("AccessDeniedException"),
        ]);
        let completer = TokenCompleter::new(&recorded.config());
        let token = TaskToken::new("AAAAKgAA".to_owned());
        assert_eq!(
            completer.succeed(&token, &json!({})).await.unwrap(),
            CompletionOutcome::Accepted
        );
        assert_eq!(
            completer.succeed(&token, &json!({})).await.unwrap(),
            CompletionOutcome::TimedOut
        );
        assert_eq!(
            completer.succeed(&token, &json!({})).await.unwrap(),
            CompletionOutcome::Unknown
        );
        assert_eq!(
            completer.succeed(&token, &json!({})).await.unwrap(),
            CompletionOutcome::Unknown
        );
        assert_eq!(
            completer.succeed(&token, &json!({})).await.unwrap_err().kind,
            ErrorKind::AccessDenied
        );
    }

    #[test]
    fn a_token_is_not_printed() {
        let token: TaskToken = serde_json::from_value(json!("AAAAKgAA")).unwrap();
        assert!(!format!("{token:?}").contains("AAAA"));
        assert_eq!(token.expose(), "AAAAKgAA");
    }
}
