//! AWS on a laptop: one seed, one clock, injectable faults.
//!
//! A [`World`] is one simulated account and Region, or several on one clock ([`World::add_place`]). In a test, a
//! [`Simulation`] drives it on the caller's thread: real clients of the AWS SDK for Rust talk to it without a socket,
//! Lambda functions are futures among its own, time jumps to the next timer, and one seed decides every interleaving.
//! [`Fault`]s are data; every call is written down as a [`CallRecord`].

mod access;
mod cbor;
mod deploy;
pub mod executor;
mod fault;
mod identity;
mod lambda;
mod mailbox;
mod processes;
mod protocol;
mod record;
mod registry;
mod sdk;
pub mod served;
pub mod services;
mod simulation;
mod stdout;
mod world;

pub use deploy::DeployError;
pub use fault::{Fault, FaultKind, FunctionFault, Selector};
pub use identity::{AccessKey, SECRET_ACCESS_KEY};
pub use lambda::{FunctionConfiguration, FunctionError, FunctionUsage, Handler, Invocation, InvocationId, Lambda};
pub use record::{CallOutcome, CallRecord, count_by_operation, used_actions};
pub use simulation::Simulation;
pub use simulator_dynamodb::{DynamoDb, plain_item};
pub use simulator_kernel as kernel;
pub use simulator_kernel::{ApiError, Principal};
pub use simulator_step_functions::TaskTry;
pub use simulator_template::{Settings as TemplateSettings, Template};
pub use stdout::Stdout;
pub use world::{Settings, World};

#[cfg(test)]
mod tests;
