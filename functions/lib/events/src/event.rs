//! From a payload to an event.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cloudwatch::CloudWatchAlarmStateChange;
use crate::decode::{DecodeError, decode};
use crate::ecr::EcrImageAction;
use crate::ecs::{EcsDeploymentStateChange, EcsServiceAction, Task};
use crate::envelope::Envelope;
use crate::step_functions::StepFunctionsExecutionStatusChange;

/// What a function that listens to EventBridge is invoked with.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A push, a deletion or a change of storage class in the registry.
    EcrImageAction(Envelope<EcrImageAction>),
    /// A task, or a container of it, changed.
    EcsTaskStateChange(Box<Envelope<Task>>),
    /// A deployment of a service began, completed or failed.
    EcsDeploymentStateChange(Envelope<EcsDeploymentStateChange>),
    /// The scheduler reports on a service.
    EcsServiceAction(Envelope<EcsServiceAction>),
    /// An execution started or came to its end.
    StepFunctionsExecutionStatusChange(Envelope<StepFunctionsExecutionStatusChange>),
    /// An alarm went into another state.
    CloudWatchAlarmStateChange(Envelope<CloudWatchAlarmStateChange>),
    /// A rule's schedule is due.
    Scheduled(Envelope<Value>),
    /// Asked for by a state machine, a schedule with its own input or a person.
    Request(Request),
    /// An event that Esclusa does not consume: a rule is wider than the code.
    Unknown(Envelope<serde::de::IgnoredAny>),
}

/// A payload of the form `{"action": …}`: a request to a function and no event.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub action: String,
    /// The whole payload, the action included.
    pub payload: Value,
}

/// Requests carry task tokens: only the action is printed.
impl std::fmt::Debug for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Request")
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// Why a payload is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Neither an EventBridge event nor a request.
    #[error("the payload is neither an EventBridge event (`source` and `detail-type`) nor a request (`action`)")]
    Unrecognised,
    /// An event whose detail lacks what Esclusa reads from it.
    #[error("event `{}` of `{}`: {error}", detail_type.escape_debug(), origin.escape_debug())]
    Malformed {
        /// The event's `detail-type`.
        detail_type: String,
        /// The event's `source`.
        origin: String,
        /// What is wrong with it.
        error: DecodeError,
    },
}

/// Reads what a function was invoked with.
///
/// # Errors
/// The payload is neither an event nor a request, or an event that we consume lacks a member that it always has.
pub fn parse(payload: Value) -> Result<Event, EventError> {
    let text = |member: &str| payload.get(member).and_then(Value::as_str).map(str::to_owned);
    let (source, detail_type) = match (text("source"), text("detail-type"), text("action")) {
        (Some(source), Some(detail_type), _) => (source, detail_type),
        (_, None, Some(action)) => return Ok(Event::Request(Request { action, payload })),
        _ => return Err(EventError::Unrecognised),
    };
    let event = match (source.as_str(), detail_type.as_str()) {
        ("aws.ecr", "ECR Image Action") => envelope(payload).map(Event::EcrImageAction),
        ("aws.ecs", "ECS Task State Change") => {
            envelope(payload).map(|event| Event::EcsTaskStateChange(Box::new(event)))
        }
        ("aws.ecs", "ECS Deployment State Change") => envelope(payload).map(Event::EcsDeploymentStateChange),
        ("aws.ecs", "ECS Service Action") => envelope(payload).map(Event::EcsServiceAction),
        ("aws.states", "Step Functions Execution Status Change") => {
            envelope(payload).map(Event::StepFunctionsExecutionStatusChange)
        }
        ("aws.cloudwatch", "CloudWatch Alarm State Change") => envelope(payload).map(Event::CloudWatchAlarmStateChange),
        ("aws.events" | "aws.scheduler", "Scheduled Event") => envelope(payload).map(Event::Scheduled),
        _ => envelope(payload).map(Event::Unknown),
    };
    event.map_err(|error| EventError::Malformed {
        detail_type,
        origin: source,
        error,
    })
}

fn envelope<D: DeserializeOwned>(payload: Value) -> Result<Envelope<D>, DecodeError> {
    decode(payload)
}

#[cfg(test)]
mod tests;
