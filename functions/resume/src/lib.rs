//! The Lambda function `resume`: the only holder of task tokens. A state machine leaves its token here and is woken
//! when what it waits for is over.
//!
//! Who waits stores the token and then looks at the truth; an event is stored and then the waiters are looked for; a
//! sweep repeats the look for every open wait, always. Whoever comes second completes the wait, so that a duplicate,
//! late, reordered or lost event changes nothing but the time.

mod events;
mod intents;
mod truth;
mod wait;

use std::borrow::Cow;

use aws_config::SdkConfig;
use esclusa_adapters::Clock;
use esclusa_adapters::TaskToken;
use esclusa_adapters::control::rows::OpenWaitRow;
use esclusa_adapters::control::{ControlTable, Key, Stored};
use esclusa_adapters::deployments::{gate_resource, look_resource};
use esclusa_adapters::ecs::EcsReader;
use esclusa_adapters::journal::Journal;
use esclusa_adapters::places::{Placed, Places, TargetRoles};
use esclusa_adapters::step_functions::{ExecutionReader, TokenCompleter};
use esclusa_core::error::Failure;
use esclusa_core::protocol::Attempt;
use esclusa_core::protocol::rendezvous::{WaitKind, WaitStatus, Waiter};
use esclusa_core::task_definition::Home;
use esclusa_core::verdict::StepReference;
use esclusa_events::Event;
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Who its records name.
const ACTOR: &str = "esclusa/resume";

/// The function.
#[derive(Debug, Clone)]
pub struct Resume {
    journal: Journal,
    ecs: EcsReader,
    executions: ExecutionReader,
    tokens: TokenCompleter,
    clock: Clock,
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
    AwaitTask {
        deployment_id: String,
        resource_arn: String,
        step: StepReference,
        wait: WaitRequest,
    },
    AwaitService {
        deployment_id: String,
        resource_arn: String,
        step: StepReference,
        wait: WaitRequest,
    },
    AwaitExecution {
        deployment_id: String,
        resource_arn: String,
        wait: WaitRequest,
    },
    AwaitLock {
        deployment_id: String,
        lock: String,
        wait: WaitRequest,
    },
    AwaitAlarm {
        deployment_id: String,
        wait: WaitRequest,
    },
    AwaitGate {
        deployment_id: String,
        wait: WaitRequest,
    },
    Sweep {},
}

/// Which state of which execution waits, and until when.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WaitRequest {
    token: TaskToken,
    execution_arn: String,
    state: String,
    entered_time: Timestamp,
    retry_count: u32,
    timeout_seconds: i64,
}

/// A token as the control table keeps it: the one place where it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StoredToken(TaskToken);

impl Serialize for StoredToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// The row of a wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitRow {
    /// Token, attempt, status, kind, deployment and deadline.
    #[serde(flatten)]
    pub waiter: Waiter<StoredToken>,
    /// What is waited for.
    pub resource: String,
    /// Who waits.
    pub execution_arn: String,
    /// The state that waits.
    pub state: String,
    /// The step that waits; none for an execution, a lock or a look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepReference>,
    /// When DynamoDB may remove the row, in seconds since the epoch; none while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

impl WaitRow {
    fn key(&self) -> Key {
        Key::waiter(&self.resource, &self.execution_arn, &self.state)
    }

    fn pointer_key(&self) -> Key {
        Key::open_wait(&self.resource, &self.execution_arn, &self.state)
    }
}

impl WaitRequest {
    /// The row of the wait, which is stored `now`: Step Functions gives each try of a state its whole time, however
    /// long ago the state was entered.
    fn row(
        self,
        kind: WaitKind,
        deployment_id: String,
        resource: String,
        step: Option<StepReference>,
        now: Timestamp,
    ) -> WaitRow {
        let limit = SignedDuration::from_secs(self.timeout_seconds);
        WaitRow {
            waiter: Waiter {
                token: StoredToken(self.token),
                attempt: Attempt {
                    entered_at: self.entered_time,
                    retry_count: self.retry_count,
                },
                status: WaitStatus::Open,
                kind,
                deployment_id,
                deadline: now.saturating_add(limit).unwrap_or(Timestamp::MAX),
            },
            resource,
            execution_arn: self.execution_arn,
            state: self.state,
            step,
            expires_at: None,
        }
    }
}

/// How the waits for locks begin.
const LOCKS: &str = "lock/";

/// How the waits for a lock name it.
fn lock_resource(lock: &str) -> String {
    format!("{LOCKS}{lock}")
}

impl Resume {
    /// The same function in a place. What it writes down it writes at home.
    async fn in_place(&self, place: &Home) -> Result<Cow<'_, Self>, Failure> {
        let placed = self.places.placed(place).await?;
        Ok(placed.map_or(Cow::Borrowed(self), |placed| Cow::Owned(self.with(&placed))))
    }

    /// The same function in the place of a resource.
    async fn at_resource(&self, arn: &str) -> Result<Cow<'_, Self>, Failure> {
        let placed = self.places.of_resource(arn).await?;
        Ok(placed.map_or(Cow::Borrowed(self), |placed| Cow::Owned(self.with(&placed))))
    }

    fn with(&self, Placed { place, config }: &Placed) -> Self {
        Self {
            journal: self.journal.of_place(place),
            ecs: EcsReader::new(config),
            ..self.clone()
        }
    }

    fn control(&self) -> &ControlTable {
        self.journal.control()
    }

    /// The open waits whose resource begins like this. They are found by their pointers: the rows of closed waits for a
    /// service or a lock are kept, and become many.
    async fn open_waits(&self, resource: &str) -> Result<Vec<WaitRow>, Failure> {
        let pointers: Vec<(String, Stored<OpenWaitRow>)> = self.control().list(Key::OPEN_WAITS, resource).await?;
        let mut waits = Vec::new();
        for (_, pointer) in pointers {
            let wait: Option<Stored<WaitRow>> = self.control().get(&pointer.row.wait_key()).await?;
            waits.extend(wait.map(|stored| stored.row));
        }
        waits.retain(|wait| wait.waiter.status == WaitStatus::Open);
        Ok(waits)
    }
}

impl Function for Resume {
    const NAME: &'static str = "resume";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        let places = Places::new(
            config,
            Self::NAME,
            environment.required("ESCLUSA_HOME_ACCOUNT")?,
            environment.required("AWS_REGION")?,
            TargetRoles::read(|name| environment.optional(name)),
        )?;
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            ecs: EcsReader::new(config),
            executions: ExecutionReader::new(config),
            tokens: TokenCompleter::new(config),
            clock: Clock::new(config),
            places,
        })
    }

    async fn handle(&self, payload: Value, invocation: &Invocation) -> Result<Value, Failure> {
        let detail = payload.get("detail").cloned().unwrap_or_default();
        let event = esclusa_events::parse(payload).map_err(|error| Failure::invalid_input(error.to_string()))?;
        let now = self.clock.now()?;
        match event {
            Event::Request(request) => match parse_request(request.payload)? {
                Request::AwaitTask {
                    deployment_id,
                    resource_arn,
                    step,
                    wait,
                } => {
                    self.store_and_look(wait.row(WaitKind::Task, deployment_id, resource_arn, Some(step), now))
                        .await
                }
                Request::AwaitService {
                    deployment_id,
                    resource_arn,
                    step,
                    wait,
                } => {
                    self.store_and_look(wait.row(WaitKind::Service, deployment_id, resource_arn, Some(step), now))
                        .await
                }
                Request::AwaitExecution {
                    deployment_id,
                    resource_arn,
                    wait,
                } => {
                    self.store_and_look(wait.row(WaitKind::Execution, deployment_id, resource_arn, None, now))
                        .await
                }
                Request::AwaitLock {
                    deployment_id,
                    lock,
                    wait,
                } => {
                    self.store_and_look(wait.row(WaitKind::Lock, deployment_id, lock_resource(&lock), None, now))
                        .await
                }
                Request::AwaitAlarm { deployment_id, wait } => {
                    let resource = look_resource(&deployment_id);
                    self.store_and_look(wait.row(WaitKind::Look, deployment_id, resource, None, now))
                        .await
                }
                Request::AwaitGate { deployment_id, wait } => {
                    let resource = gate_resource(&deployment_id);
                    self.store_and_look(wait.row(WaitKind::Gate, deployment_id, resource, None, now))
                        .await
                }
                Request::Sweep {} => self.sweep(invocation).await,
            },
            Event::EcsTaskStateChange(envelope) => self.task_changed(&envelope, &detail).await,
            Event::EcsDeploymentStateChange(envelope) => self.deployment_changed(&envelope).await,
            Event::StepFunctionsExecutionStatusChange(envelope) => self.execution_changed(&envelope).await,
            Event::CloudWatchAlarmStateChange(envelope) => self.alarm_changed(&envelope).await,
            Event::EcsServiceAction(_) | Event::EcrImageAction(_) | Event::Scheduled(_) | Event::Unknown(_) => {
                Ok(json!({"ignored": "nobody waits for events of this kind"}))
            }
        }
    }
}
