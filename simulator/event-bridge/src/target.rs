//! Targets of rules and schedules.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, INTERNAL, Kernel, Place, Principal};

use crate::input::{check_name, validation};
use crate::transform::{Context, InputTransformer, Path};

/// A target of a rule, as `PutTargets` takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input_transformer: Option<InputTransformer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dead_letter_config: Option<DeadLetterConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_policy: Option<RetryPolicy>,
}

/// Where events go that could not be delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeadLetterConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) arn: Option<String>,
}

/// How long delivery is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RetryPolicy {
    #[serde(default = "RetryPolicy::default_attempts")]
    pub(crate) maximum_retry_attempts: u32,
    #[serde(default = "RetryPolicy::default_age")]
    pub(crate) maximum_event_age_in_seconds: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            maximum_retry_attempts: Self::default_attempts(),
            maximum_event_age_in_seconds: Self::default_age(),
        }
    }
}

impl RetryPolicy {
    fn default_attempts() -> u32 {
        185
    }

    fn default_age() -> u32 {
        86_400
    }

    pub(crate) fn maximum_age(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.maximum_event_age_in_seconds))
    }

    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.maximum_retry_attempts > 185 || !(60..=86_400).contains(&self.maximum_event_age_in_seconds) {
            return Err(validation(
                "RetryPolicy takes 0 to 185 MaximumRetryAttempts and 60 to 86400 MaximumEventAgeInSeconds",
            ));
        }
        Ok(())
    }
}

/// The services that an event can be delivered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    Function,
    StateMachine,
    /// A standard queue.
    Queue,
    /// The default bus of another account or Region.
    Bus,
}

impl Destination {
    pub(crate) fn of(arn: &str) -> Result<Self, ApiError> {
        match arn.splitn(7, ':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "lambda", _, _, "function", _] => Ok(Self::Function),
            ["arn", _, "states", _, _, "stateMachine", _] => Ok(Self::StateMachine),
            ["arn", _, "sqs", _, _, name] if !name.ends_with(".fifo") => Ok(Self::Queue),
            ["arn", _, "events", _, _, "event-bus/default"] => Ok(Self::Bus),
            ["arn", _, service, ..] => Err(ApiError::unsupported(format!(
                "targets of the service `{service}`: `{arn}`"
            ))),
            _ => Err(validation(format!("Provided Arn is not in correct format: `{arn}`"))),
        }
    }

    /// The call that delivers a payload: service, operation and input.
    pub(crate) fn call(self, arn: &str, payload: &Value) -> (&'static str, String, Value) {
        match self {
            Self::Bus => ("events", format!("{INTERNAL}{FORWARD}"), payload.clone()),
            Self::Function => (
                "lambda",
                "Invoke".to_owned(),
                json!({"FunctionName": arn, "InvocationType": "Event", "Payload": payload}),
            ),
            Self::StateMachine => (
                "states",
                "StartExecution".to_owned(),
                json!({"stateMachineArn": arn, "input": payload.to_string()}),
            ),
            Self::Queue => {
                // A text arrives as it is, everything else as JSON.
                let body = payload.as_str().map_or_else(|| payload.to_string(), str::to_owned);
                let url = queue_url(arn).unwrap_or_default();
                (
                    "sqs",
                    "SendMessage".to_owned(),
                    json!({"QueueUrl": url, "MessageBody": body}),
                )
            }
        }
    }
}

/// The operation by which a bus hands an event to another one, as it came.
pub(crate) const FORWARD: &str = "ForwardEvent";

impl Destination {
    /// Where the target is, unless it is where the rule is.
    pub(crate) fn place(self, arn: &str) -> Option<Place> {
        match self {
            Self::Bus => Place::of_arn(arn),
            Self::Function | Self::StateMachine | Self::Queue => None,
        }
    }
}

/// How a target is called, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Aim {
    pub(crate) destination: Destination,
    pub(crate) principal: Principal,
}

impl Target {
    /// Refuses what EventBridge would refuse when the target is put, and says how the target is called.
    pub(crate) fn aim(&self, kernel: &Kernel) -> Result<Aim, ApiError> {
        check_name("Targets.Id", &self.id)?;
        let aim = match (Destination::of(&self.arn)?, &self.role_arn) {
            (Destination::StateMachine | Destination::Bus, None) => {
                return Err(validation(format!("RoleArn is required for target `{}`", self.arn)));
            }
            (Destination::Function, Some(_)) => {
                return Err(ApiError::unsupported(
                    "`RoleArn` of a function target; use a permission of the function",
                ));
            }
            (destination, Some(role)) => Aim {
                destination,
                principal: role_principal(role, kernel)?,
            },
            (destination, None) => Aim {
                destination,
                principal: Principal::Service("events.amazonaws.com".to_owned()),
            },
        };
        let inputs = [
            self.input.is_some(),
            self.input_path.is_some(),
            self.input_transformer.is_some(),
        ];
        if inputs.iter().filter(|given| **given).count() > 1 {
            return Err(validation(
                "Only one of Input, InputPath, or InputTransformer must be provided",
            ));
        }
        if let Some(input) = &self.input {
            serde_json::from_str::<Value>(input)
                .map_err(|error| validation(format!("JSON syntax error in input for target `{}`: {error}", self.id)))?;
        }
        if let Some(path) = &self.input_path {
            Path::parse(path)?;
        }
        if let Some(transformer) = &self.input_transformer {
            transformer.check()?;
        }
        if let Some(queue) = self.dead_letter_queue() {
            queue_url(queue)?;
        }
        self.retry_policy.as_ref().map_or(Ok(()), RetryPolicy::check)?;
        Ok(aim)
    }

    pub(crate) fn dead_letter_queue(&self) -> Option<&str> {
        self.dead_letter_config.as_ref()?.arn.as_deref()
    }

    /// What the target receives for an event, or why it can receive nothing.
    pub(crate) fn payload(&self, event: &Value, context: &Context<'_>) -> Result<Value, String> {
        let text = match (&self.input, &self.input_path, &self.input_transformer) {
            (Some(input), _, _) => input.clone(),
            (_, Some(path), _) => {
                let path = Path::parse(path).map_err(|error| error.message)?;
                return path
                    .value(event)
                    .cloned()
                    .ok_or_else(|| "the event has nothing at `InputPath`".to_owned());
            }
            (_, _, Some(transformer)) => transformer.render(event, context),
            (None, None, None) => return Ok(event.clone()),
        };
        serde_json::from_str(&text).map_err(|error| format!("the transformed input is not JSON ({error}): {text}"))
    }
}

/// The role that an ARN names, as the one who calls.
pub(crate) fn role_principal(arn: &str, kernel: &Kernel) -> Result<Principal, ApiError> {
    let name = arn.split_once(":role/").and_then(|(_, path)| path.rsplit('/').next());
    arn.split(':')
        .nth(4)
        .zip(name)
        .map(|(account, name)| kernel.role(account, name))
        .ok_or_else(|| validation(format!("`{arn}` is not the ARN of a role")))
}

/// The URL of the queue that an ARN names.
pub(crate) fn queue_url(arn: &str) -> Result<String, ApiError> {
    match arn.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "sqs", _, _, name] if name.ends_with(".fifo") => Err(validation(format!(
            "a dead-letter queue must be a standard queue: `{arn}`"
        ))),
        ["arn", _, "sqs", region, account, name] => Ok(format!("https://sqs.{region}.amazonaws.com/{account}/{name}")),
        _ => Err(validation(format!("`{arn}` is not the ARN of a queue"))),
    }
}
