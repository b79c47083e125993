//! Events of Step Functions.

use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;

open_enum! {
    /// The status of an execution.
    ExecutionStatus {
        /// It runs.
        Running = "RUNNING",
        /// It ended in a Succeed state.
        Succeeded = "SUCCEEDED",
        /// It ended with an error that nothing caught.
        Failed = "FAILED",
        /// It ran longer than its machine allows.
        TimedOut = "TIMED_OUT",
        /// Somebody stopped it.
        Aborted = "ABORTED",
        /// It failed and is about to be redriven.
        PendingRedrive = "PENDING_REDRIVE",
    }
}

impl ExecutionStatus {
    /// Whether the execution has come to its end (a redrive could still open it again).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::TimedOut | Self::Aborted)
    }
}

/// The detail of `Step Functions Execution Status Change`, without input, output and cause: those are read from the
/// API.
///
/// Follows "Step Functions events" of the Step Functions Developer Guide. Delivery is best effort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepFunctionsExecutionStatusChange {
    /// The execution.
    pub execution_arn: String,
    /// Its state machine.
    pub state_machine_arn: String,
    /// Its name within the state machine.
    pub name: String,
    /// Its new status.
    pub status: ExecutionStatus,
}
