//! Thin clients of the outside world: concrete structs over the AWS SDK, one file per service and one type per
//! permission. What a function is built with is what its role allows.
//!
//! They carry out and report; about deployments they decide nothing. What AWS may legitimately answer is a typed
//! outcome, everything else a failure named by the reaction it needs. Tests replace the HTTP client underneath.

pub mod acts;
pub mod alarms;
pub mod cards;
pub mod clock;
pub mod console;
pub mod control;
pub mod databases;
pub mod decisions;
pub mod deployments;
pub mod ecr;
pub mod ecs;
pub mod event_bridge;
pub mod functions;
pub mod gates;
pub mod http;
pub mod journal;
pub mod ledger;
pub mod locks;
pub mod logs;
pub mod metrics;
pub mod places;
pub mod planning;
pub mod queues;
mod raw;
pub mod requests;
pub mod rollouts;
pub mod scaling;
pub mod sdk;
pub mod secrets;
pub mod slack;
pub mod step_functions;
pub mod sweep;
pub mod targets;
mod task_token;
#[cfg(test)]
mod testing;
pub mod version;

pub use clock::Clock;
pub use task_token::TaskToken;
