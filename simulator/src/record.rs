//! What the world writes down about every call, for oracles and counters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use simulator_kernel::{Authorization, Place, Principal};
use simulator_step_functions::TaskTry;

use crate::fault::{FaultKind, FunctionFault};
use crate::lambda::InvocationId;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// The service has not answered yet.
    Open,
    /// The service did it and the caller was told.
    Success,
    /// The service, or a fault in front of it, answered with this error code. No effect, unless `effect` says so.
    Error {
        /// The error's name, such as `ConditionalCheckFailedException`.
        code: String,
        /// Whether the call had its effect although the caller was told otherwise.
        effect: bool,
    },
    /// The role of the caller does not allow this action.
    Denied {
        /// The IAM action that is missing, such as `ecs:RunTask`.
        action: String,
    },
    /// The service answered; the caller never heard it.
    Lost,
    /// The caller died before the call left it.
    NeverSent,
}

/// One API call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRecord {
    /// When the call reached the service.
    pub at: Timestamp,
    /// Where the service is.
    pub place: Arc<Place>,
    /// Who called.
    pub principal: Principal,
    /// The function whose invocation made the call, where one did.
    pub function: Option<String>,
    /// That invocation.
    pub invocation: Option<InvocationId>,
    /// The try of a Task state that it was made for, where Step Functions called.
    pub task: Option<TaskTry>,
    /// The fault that struck it.
    pub fault: Option<FaultKind>,
    /// The fault that struck the function that it invoked.
    pub function_fault: Option<FunctionFault>,
    /// The signing name of the service.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// The input as it came.
    pub input: Value,
    /// The permissions that the call needed.
    pub authorizations: Vec<Authorization>,
    /// How it ended.
    pub outcome: CallOutcome,
}

/// How often each (service, operation) was called.
#[must_use]
pub fn count_by_operation(calls: &[CallRecord]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts
            .entry((call.service.clone(), call.operation.clone()))
            .or_default() += 1;
    }
    counts
}

/// The IAM actions that each role used, one of another account by `{account}/{name}`, to compare with what its policies
/// allow.
#[must_use]
pub fn used_actions(calls: &[CallRecord]) -> BTreeMap<String, BTreeSet<String>> {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in calls {
        let role = match &call.principal {
            Principal::Role(role) => Some(role.clone()),
            Principal::RoleOf { account, role } => Some(format!("{account}/{role}")),
            Principal::Administrator | Principal::AdministratorOf(_) | Principal::Service(_) => None,
        };
        if let Some(role) = role
            && !matches!(call.outcome, CallOutcome::Denied { .. } | CallOutcome::NeverSent)
        {
            let actions = call
                .authorizations
                .iter()
                .map(|authorization| authorization.action.clone());
            used.entry(role).or_default().extend(actions);
        }
    }
    used
}
