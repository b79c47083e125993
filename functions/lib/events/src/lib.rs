//! Tolerant types of the AWS events that Esclusa consumes.
//!
//! Events are hints: they may be lost, repeated, late and out of order, and AWS adds members at will. So every type
//! here accepts unknown members, nulls and unknown values, keeps only what a decision can need, and never carries what
//! must not be logged (the environment of container overrides, inputs and outputs of executions).

mod cloudwatch;
mod decode;
mod ecr;
pub mod ecs;
mod envelope;
mod event;
mod lenient;
mod open_enum;
mod step_functions;

pub use cloudwatch::{AlarmState, AlarmStateFacts, CloudWatchAlarmStateChange};
pub use decode::{DecodeError, decode};
pub use ecr::{EcrAction, EcrImageAction, EcrResult};
pub use envelope::Envelope;
pub use event::{Event, EventError, Request, parse};
pub use step_functions::{ExecutionStatus, StepFunctionsExecutionStatusChange};
