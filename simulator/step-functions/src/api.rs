//! The operations of the API: which there are, and who may call them.

mod executions;
mod input;
mod machines;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simulator_kernel::{ApiError, Authorization, Kernel, Request};

use crate::StepFunctions;
use crate::execution::{Revision, Status};
use crate::names;
use input::Input;

/// A state machine with its newest revision.
#[derive(Debug)]
pub(crate) struct StateMachine {
    revision: Arc<Revision>,
    created_at: Timestamp,
    /// Stored and given back; nothing is logged or traced.
    logging: Option<Value>,
    tracing: Option<Value>,
    /// By key.
    tags: BTreeMap<String, Value>,
}

/// Everything that can be asked of it.
const OPERATIONS: [&str; 18] = [
    "CreateStateMachine",
    "UpdateStateMachine",
    "DeleteStateMachine",
    "DescribeStateMachine",
    "DescribeStateMachineForExecution",
    "ListStateMachines",
    "ValidateStateMachineDefinition",
    "StartExecution",
    "DescribeExecution",
    "ListExecutions",
    "StopExecution",
    "GetExecutionHistory",
    "SendTaskSuccess",
    "SendTaskFailure",
    "SendTaskHeartbeat",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
];

impl StepFunctions {
    /// Carries out one operation.
    pub(crate) fn answer(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Value, ApiError> {
        self.forget_old_executions(kernel.now());
        let input = Input::new(&request.operation, &request.input)?;
        match request.operation.as_str() {
            "CreateStateMachine" => self.create_state_machine(&input, kernel),
            "UpdateStateMachine" => self.update_state_machine(&input, kernel),
            "DeleteStateMachine" => self.delete_state_machine(&input),
            "DescribeStateMachine" => self.describe_state_machine(&input),
            "DescribeStateMachineForExecution" => self.describe_state_machine_for_execution(&input),
            "ListStateMachines" => self.list_state_machines(&input),
            "ValidateStateMachineDefinition" => machines::validate(&input),
            "TagResource" => self.tag(&input),
            "UntagResource" => self.untag(&input),
            "ListTagsForResource" => self.list_tags(&input),
            "StartExecution" => self.start_execution(&input, kernel),
            "DescribeExecution" => self.describe_execution(&input),
            "ListExecutions" => self.list_executions(&input),
            "StopExecution" => self.stop_execution(&input, kernel),
            "GetExecutionHistory" => self.execution_history(&input),
            "SendTaskSuccess" => self.send_task_success(&input, kernel),
            "SendTaskFailure" => self.send_task_failure(&input, kernel),
            "SendTaskHeartbeat" => self.send_task_heartbeat(&input, kernel),
            operation => Err(ApiError::unknown_operation("states", operation, &OPERATIONS)),
        }
    }

    /// Names and histories of closed executions are kept for a limited time.
    fn forget_old_executions(&mut self, now: Timestamp) {
        let retention = SignedDuration::from_hours(24 * i64::from(self.settings.retention_days));
        let oldest = self.started.first().and_then(|arn| self.executions.get(arn));
        if oldest.is_none_or(|execution| now.duration_since(execution.started_at) < retention) {
            return;
        }
        self.executions.retain(|_, execution| {
            execution.status == Status::Running
                || execution
                    .stopped_at
                    .is_none_or(|stopped| now.duration_since(stopped) < retention)
        });
        self.started.retain(|arn| self.executions.contains_key(arn));
    }
}

/// The permissions of the Service Authorization Reference. A task token stands for the state machine that waits behind
/// it, as the policy templates of AWS SAM have it; `machine_of_token` knows it, unless the token is none.
pub(crate) fn authorizations(
    request: &Request,
    kernel: &Kernel,
    machine_of_token: impl Fn(&str) -> Option<String>,
) -> Vec<Authorization> {
    let member = |name: &str| {
        request
            .input
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("*")
            .to_owned()
    };
    let resource = match request.operation.as_str() {
        "CreateStateMachine" => names::state_machine_arn(kernel, &member("name")),
        "UpdateStateMachine" | "DeleteStateMachine" | "DescribeStateMachine" | "StartExecution" | "ListExecutions" => {
            member("stateMachineArn")
        }
        "DescribeStateMachineForExecution" | "DescribeExecution" | "StopExecution" | "GetExecutionHistory" => {
            member("executionArn")
        }
        "SendTaskSuccess" | "SendTaskFailure" | "SendTaskHeartbeat" => {
            // A token of no machine names no resource: the operation itself says that it is not valid.
            match machine_of_token(&member("taskToken")) {
                Some(machine) => machine,
                None => return Vec::new(),
            }
        }
        "TagResource" | "UntagResource" | "ListTagsForResource" => member("resourceArn"),
        "ListStateMachines" | "ValidateStateMachineDefinition" => "*".to_owned(),
        _ => return Vec::new(),
    };
    vec![Authorization::new(format!("states:{}", request.operation), resource)]
}
