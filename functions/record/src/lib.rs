//! The Lambda function `record`: locks, the ends of deployments and releases, and the events that announce them. What
//! it writes is true for everybody; it changes nothing in ECS.

mod consequences;
mod delivery;
mod deployment_end;
mod locks;
mod release;
mod settle;

use crate::settle::NeverStarted;
use aws_config::SdkConfig;
use esclusa_adapters::event_bridge::EventPublisher;
use esclusa_adapters::journal::Journal;
use esclusa_adapters::places::Places;
use esclusa_adapters::queues::QueueReader;
use esclusa_adapters::step_functions::ExecutionReader;
use esclusa_core::error::Failure;
use esclusa_events::Event;
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde::Deserialize;
use serde_json::{Value, json};

/// Who its records name.
const ACTOR: &str = "esclusa/record";

/// The function.
#[derive(Debug)]
pub struct Record {
    journal: Journal,
    executions: ExecutionReader,
    events: EventPublisher,
    dead_letters: QueueReader,
    places: Places,
}

#[derive(Debug, Deserialize)]
#[serde(
    tag = "action",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
enum Request {
    OpenRelease {
        release_id: String,
        execution_arn: String,
    },
    CloseRelease {
        release_id: String,
        execution_arn: String,
        failure: Option<StateFailure>,
    },
    AcquireLocks {
        deployment_id: String,
        execution_arn: String,
        /// Whether the machine waits for its turn by token. An execution of an earlier definition asks again and again
        /// instead.
        #[serde(default)]
        queue: bool,
    },
    EndDeployment {
        deployment_id: String,
        execution_arn: String,
        failures: Vec<StateFailure>,
    },
    SettleDeployment {
        deployment_id: String,
        failure: Option<StateFailure>,
    },
    Sweep {},
}

/// A failure as a state machine caught it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateFailure {
    /// The name of the error.
    kind: String,
    /// The cause: our message, or the JSON in which Lambda wraps it.
    #[serde(default)]
    message: String,
    /// The state that failed.
    state: String,
    /// The direction it went in; absent in the release machine.
    #[serde(default)]
    mode: Option<esclusa_core::verdict::Mode>,
}

impl StateFailure {
    /// The failure as the cause of an end.
    fn cause(&self) -> esclusa_core::verdict::Cause {
        esclusa_core::verdict::Cause::Failure {
            kind: self.error_kind(),
            at: self.state.clone(),
            message: self.words(),
        }
    }

    /// The message without Lambda's wrapping.
    fn words(&self) -> String {
        let wrapped = serde_json::from_str::<Value>(&self.message).ok();
        let message = wrapped
            .as_ref()
            .and_then(|cause| cause.get("errorMessage"))
            .and_then(Value::as_str);
        match message.unwrap_or(&self.message) {
            "" => format!("state `{}` failed with `{}`", self.state, self.kind),
            words => words.to_owned(),
        }
    }

    /// Our name for the error; none for an error of Step Functions or Lambda themselves.
    fn error_kind(&self) -> Option<esclusa_core::error::ErrorKind> {
        self.kind.parse().ok()
    }
}

impl Function for Record {
    const NAME: &'static str = "record";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            executions: ExecutionReader::new(config),
            events: EventPublisher::new(config, environment.required("ESCLUSA_EVENT_BUS")?),
            dead_letters: QueueReader::new(config, environment.required("ESCLUSA_DEAD_LETTER_QUEUE_URL")?),
            // What it writes is at home, wherever the environment is.
            places: Places::new(
                config,
                Self::NAME,
                environment.required("ESCLUSA_HOME_ACCOUNT")?,
                environment.required("AWS_REGION")?,
                None,
            )?,
        })
    }

    async fn handle(&self, payload: Value, invocation: &Invocation) -> Result<Value, Failure> {
        let event = esclusa_events::parse(payload).map_err(|error| Failure::invalid_input(error.to_string()))?;
        let request = match event {
            Event::Request(request) => parse_request(request.payload)?,
            Event::StepFunctionsExecutionStatusChange(envelope) => {
                let change = &envelope.detail;
                self.places
                    .check_execution(&envelope.account, &envelope.region, &change.execution_arn)?;
                return self.execution_changed(change).await;
            }
            Event::EcsTaskStateChange(_)
            | Event::EcsDeploymentStateChange(_)
            | Event::EcsServiceAction(_)
            | Event::EcrImageAction(_)
            | Event::CloudWatchAlarmStateChange(_)
            | Event::Scheduled(_)
            | Event::Unknown(_) => return Ok(json!({"ignored": "nothing is concluded from events of this kind"})),
        };
        match request {
            Request::OpenRelease {
                release_id,
                execution_arn,
            } => self.open_release(&release_id, &execution_arn).await,
            Request::CloseRelease {
                release_id,
                execution_arn,
                failure,
            } => self.close_release(&release_id, &execution_arn, failure.as_ref()).await,
            Request::AcquireLocks {
                deployment_id,
                execution_arn,
                queue,
            } => self.acquire_locks(&deployment_id, &execution_arn, queue).await,
            Request::EndDeployment {
                deployment_id,
                execution_arn,
                failures,
            } => {
                self.end_deployment(&deployment_id, Some(&execution_arn), &failures, None)
                    .await
            }
            Request::SettleDeployment { deployment_id, failure } => {
                self.settle_deployment(&deployment_id, NeverStarted::Because(failure.as_ref()))
                    .await
            }
            Request::Sweep {} => {
                self.look_at_dead_letters().await;
                self.sweep(invocation).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(message: &str) -> StateFailure {
        serde_json::from_value(json!({
            "kind": "Refused", "message": message, "state": "RegisterRevision", "environment": "staging", "mode": "forward", "index": 0,
        }))
        .unwrap()
    }

    #[test]
    fn a_failure_is_told_in_our_words_whatever_lambda_wraps_around_them() {
        let wrapped = json!({"errorType": "Refused", "errorMessage": "the image is \"gone\"", "trace": []}).to_string();
        for (message, words) in [
            (wrapped.as_str(), "the image is \"gone\""),
            ("killed", "killed"),
            ("", "state `RegisterRevision` failed with `Refused`"),
            ("{\"errorType\": \"cut of", "{\"errorType\": \"cut of"),
        ] {
            assert_eq!(failure(message).words(), words);
        }
    }

    #[test]
    fn only_errors_of_ours_have_a_kind() {
        assert!(failure("").error_kind().is_some());
        let timeout = StateFailure {
            kind: "States.Timeout".to_owned(),
            ..failure("")
        };
        assert_eq!(timeout.error_kind(), None);
    }
}
