//! How a deployment ends: a verdict and an effect, both closed sets, and the function that concludes them from what was
//! recorded.
//!
//! The verdict says what became of the request. The effect says what is left in the world *besides what the verdict
//! says*: for `ROLLED_BACK` the services run again what they ran before (that is the verdict), and `schema_moved` adds
//! that the database did not go back with them.

mod conclude;
mod facts;
mod release;

pub use conclude::conclude;
pub use facts::{
    Cause, DeploymentFacts, Mode, OpenIntent, PlanOutline, StepKind, StepOutcome, StepOutline, StepRecord,
    StepReference, Verified,
};
pub use release::{EnvironmentEnd, release_end};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, Failure};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Every step ended well and the services are proven to run the release.
    Succeeded,
    /// The release was in force and proven already; nothing was called.
    Unchanged,
    /// It did not work, and every service that had moved runs again what it ran before.
    RolledBack,
    /// It did not do what was asked.
    Failed,
    /// A newer release took its place before anything moved.
    Superseded,
    /// A gate or a person said no before anything moved.
    Rejected,
    /// Nobody answered, or an image did not arrive, in time, before anything moved.
    Expired,
    /// A person, or a decision that came after the first move, ended it.
    Stopped,
}

impl Verdict {
    /// Every verdict, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::Unchanged,
        Self::RolledBack,
        Self::Failed,
        Self::Superseded,
        Self::Rejected,
        Self::Expired,
        Self::Stopped,
    ];

    /// The name as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Unchanged => "UNCHANGED",
            Self::RolledBack => "ROLLED_BACK",
            Self::Failed => "FAILED",
            Self::Superseded => "SUPERSEDED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Stopped => "STOPPED",
        }
    }

    /// Whether the release is in force in the environment, so that the next environment may follow.
    pub const fn is_in_force(self) -> bool {
        matches!(self, Self::Succeeded | Self::Unchanged)
    }
}

/// What is left in the world besides what the verdict says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing of this deployment, except task-definition revisions that nothing runs.
    None,
    /// Services had moved and were brought back.
    Reverted,
    /// A database schema is, or may be, ahead of where it was; the next migration may go on from there.
    SchemaMoved,
    /// Something of this deployment is in force and was not brought back.
    Partial,
    /// Nobody knows: something may have acted and nothing proves whether it did.
    Unknown,
}

impl Effect {
    /// Every effect, from the least to the most worrying.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Reverted,
        Self::SchemaMoved,
        Self::Partial,
        Self::Unknown,
    ];

    /// The name as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reverted => "reverted",
            Self::SchemaMoved => "schema_moved",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a person must look before anybody moves here again.
    pub const fn is_dirty(self) -> bool {
        matches!(self, Self::Partial | Self::Unknown)
    }
}

/// The closed table of ends. A pair outside it is a defect of this program, never an end that is written.
///
/// | verdict | legal effects | why |
/// |---|---|---|
/// | `SUCCEEDED` | `none`, `schema_moved` | that the services moved is the verdict; a rollback by hand must know that a schema moved with them |
/// | `UNCHANGED` | `none` | nothing was called |
/// | `ROLLED_BACK` | `reverted`, `schema_moved` | the services are back; a schema does not go back by itself |
/// | `FAILED` | `none`, `schema_moved`, `partial`, `unknown` | `reverted` would be `ROLLED_BACK`; with the last two it is *dirty* |
/// | `SUPERSEDED`, `REJECTED`, `EXPIRED` | `none` | decided before the first move, or it is `STOPPED` |
/// | `STOPPED` | every effect | a person may stop at any point, and the way back may fail as anywhere else; one that gave way while it soaked is in force until it is replaced, which is no effect besides |
pub const fn legal(verdict: Verdict, effect: Effect) -> bool {
    match verdict {
        Verdict::Succeeded => matches!(effect, Effect::None | Effect::SchemaMoved),
        Verdict::RolledBack => matches!(effect, Effect::Reverted | Effect::SchemaMoved),
        Verdict::Failed => matches!(
            effect,
            Effect::None | Effect::SchemaMoved | Effect::Partial | Effect::Unknown
        ),
        Verdict::Unchanged | Verdict::Superseded | Verdict::Rejected | Verdict::Expired => {
            matches!(effect, Effect::None)
        }
        Verdict::Stopped => true,
    }
}

/// The one word that says why a deployment ended as it did; the state machines and the console branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Every step is proven.
    Proven,
    /// The plan had nothing to do.
    NothingToDo,
    /// A one-off task failed by its own word.
    TaskFailed,
    /// A one-off task did not start, as often as it may be tried.
    TaskNeverStarted,
    /// Nothing proves what a step did.
    UnknownEffect,
    /// A rollout did not work.
    RolloutFailed,
    /// What was deployed ran, and its verification saw it fail.
    VerificationFailed,
    /// What was deployed ran, and could not be seen to work in time.
    NotVerified,
    /// Somebody else changed a service of this deployment.
    ForeignChange,
    /// The plan under the lock is not the plan that passed the gate.
    PlanChanged,
    /// Somebody else held the lock for too long.
    LockHeld,
    /// Somebody else took the lock over.
    FenceLost,
    /// The account is not as the deployment requires it.
    Refused,
    /// AWS denied a call.
    AccessDenied,
    /// The input was not one of ours.
    InvalidInput,
    /// Retries ran out against a busy or failing AWS.
    AwsUnavailable,
    /// An invariant of this program is broken.
    Defect,
    /// It ended with steps left to do and without a cause.
    Interrupted,
    /// A newer release took its place.
    Superseded,
    /// It was in force and only soaked when it gave way to a release that waited.
    GaveWay,
    /// A gate or a person said no.
    Rejected,
    /// In another environment of its wave it did not come into force.
    WaveFailed,
    /// Nobody answered in time.
    Expired,
    /// An image did not arrive in time where the environment pulls it from.
    NotReplicated,
    /// A person stopped it.
    Stopped,
}

impl Reason {
    /// The name as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::NothingToDo => "nothing_to_do",
            Self::TaskFailed => "task_failed",
            Self::TaskNeverStarted => "task_never_started",
            Self::UnknownEffect => "unknown_effect",
            Self::RolloutFailed => "rollout_failed",
            Self::VerificationFailed => "verification_failed",
            Self::NotVerified => "not_verified",
            Self::ForeignChange => "foreign_change",
            Self::PlanChanged => "plan_changed",
            Self::LockHeld => "lock_held",
            Self::FenceLost => "fence_lost",
            Self::Refused => "refused",
            Self::AccessDenied => "access_denied",
            Self::InvalidInput => "invalid_input",
            Self::AwsUnavailable => "aws_unavailable",
            Self::Defect => "defect",
            Self::Interrupted => "interrupted",
            Self::Superseded => "superseded",
            Self::GaveWay => "gave_way",
            Self::Rejected => "rejected",
            Self::WaveFailed => "wave_failed",
            Self::Expired => "expired",
            Self::NotReplicated => "not_replicated",
            Self::Stopped => "stopped",
        }
    }
}

impl From<ErrorKind> for Reason {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidInput => Self::InvalidInput,
            ErrorKind::Refused => Self::Refused,
            ErrorKind::AccessDenied => Self::AccessDenied,
            ErrorKind::LockHeld => Self::LockHeld,
            ErrorKind::FenceLost => Self::FenceLost,
            ErrorKind::PlanChanged => Self::PlanChanged,
            ErrorKind::Stopped => Self::Stopped,
            ErrorKind::Conflict | ErrorKind::Transient => Self::AwsUnavailable,
            ErrorKind::UnknownEffect => Self::UnknownEffect,
            ErrorKind::Defect => Self::Defect,
        }
    }
}

/// How a deployment or a release ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// What became of the request.
    pub verdict: Verdict,
    /// What is left in the world besides that.
    pub effect: Effect,
    /// The one word why.
    pub reason: Reason,
    /// Sentences for people, the most important first.
    pub reasons: Vec<String>,
}

impl End {
    /// Whether the services run the release: it ended well, or gave way while it soaked.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.verdict.is_in_force() || self.reason == Reason::GaveWay
    }
}

/// What becomes of the locks of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LocksAfter {
    /// The next deployment may come.
    Free,
    /// Nobody may move here until a person has looked: `esclusa unlock`.
    Quarantine,
}

/// What becomes of the locks after `end`: a dirty effect keeps everybody out, whatever the verdict.
pub const fn after(end: &End) -> LocksAfter {
    if end.effect.is_dirty() {
        LocksAfter::Quarantine
    } else {
        LocksAfter::Free
    }
}

macro_rules! named {
    ($($name:ident: $what:literal),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Failure;

            fn from_str(name: &str) -> Result<Self, Failure> {
                Self::ALL
                    .into_iter()
                    .find(|candidate| candidate.as_str() == name)
                    .ok_or_else(|| Failure::invalid_input(format!(concat!("`{}` is not ", $what), name)))
            }
        }
    )*};
}

named!(Verdict: "a verdict", Effect: "an effect");

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
