//! What a record says happened.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Failure;

macro_rules! record_kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What a record says happened; closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum RecordKind {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl RecordKind {
            /// Every kind, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name as it is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

record_kinds! {
    /// A push was seen, by its event or by the reconciler.
    PushReceived = "push_received",
    /// A push starts no release; the body says why.
    PushIgnored = "push_ignored",
    /// An image that environments run was deleted from its repository, or archived there: no further task of it can be started.
    ImageGone = "image_gone",
    /// The row of a release was written with its input.
    ReleaseClaimed = "release_claimed",
    /// The execution of a release was started.
    ReleaseStarted = "release_started",
    /// A release ended; in the chain of the application it carries the head of the release's chain.
    ReleaseEnded = "release_ended",
    /// A plan was computed.
    Planned = "planned",
    /// The gates of an environment were asked, and something about them is another than before.
    GatesAsked = "gates_asked",
    /// The execution of a deployment is about to be started.
    DeploymentStarted = "deployment_started",
    /// A deployment ended.
    DeploymentEnded = "deployment_ended",
    /// An act on the outside world is about to be attempted.
    Intent = "intent",
    /// What became of an intent.
    Outcome = "outcome",
    /// The moment to which a database can be restored was verified before its migration, or a snapshot of it was taken.
    RestorePoint = "restore_point",
    /// A task was seen in a new state.
    TaskState = "task_state",
    /// A task stopped; the body is the whole stopped task, redacted.
    TaskStopped = "task_stopped",
    /// The counts of a rollout changed.
    ServiceProgress = "service_progress",
    /// A step was judged.
    Judged = "judged",
    /// What a rollout that failed left behind: stopped tasks, redacted, what their containers wrote last, what ECS told; and the diagnosis.
    Evidence = "evidence",
    /// A look at the checks of a verification: what each measured, and what that comes to.
    ChecksMeasured = "checks_measured",
    /// A verification that had passed was checked again: what each check measured, and whether it holds.
    Rechecked = "rechecked",
    /// The way back was planned.
    WayBackPlanned = "way_back_planned",
    /// A version of a pipeline became current.
    PipelineApplied = "pipeline_applied",
    /// A deployment waits for its turn at a lock.
    LockAwaited = "lock_awaited",
    /// The locks of a deployment were acquired. What became of them stands in the record of its end.
    LockAcquired = "lock_acquired",
    /// A person lifted a quarantine or stopped a deployment.
    PersonDecided = "person_decided",
    /// Somebody wanted to decide who may not.
    DecisionRefused = "decision_refused",
}

impl fmt::Display for RecordKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for RecordKind {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| {
                Failure::invalid_input(format!("`{}` is not the kind of a ledger record", name.escape_debug()))
            })
    }
}
