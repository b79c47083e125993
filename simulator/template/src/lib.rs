//! Reads a closed subset of AWS SAM and evaluates the policies of its roles.
//!
//! [`Template::load`] reads a `template.yaml` with its intrinsic functions, expands the SAM resources as the SAM
//! translator does, and resolves every name for one account, Region and stack. What lies outside the subset is an error
//! with its line and path: nothing is ignored. [`Template::allows`] answers as IAM would whether a role of the template
//! may carry out an action on a resource.

mod error;
mod fields;
mod identity;
mod model;
mod node;
mod parameters;
mod policy;
mod resources;
mod sam;
mod scope;
mod template;
#[cfg(test)]
mod tests;

pub use error::TemplateError;
pub use model::{
    Alarm, AsynchronousInvocation, Dashboard, Function, FunctionUrl, HttpApi, HttpRoute, Index, Key, LogGroup, Logging,
    Output, Permission, Queue, Redrive, Role, Rule, Schedule, StateMachine, StoredParameter, Table, Target,
};
pub use policy::{Conditions, Decision, Grant};
pub use scope::Settings;
pub use template::Template;
