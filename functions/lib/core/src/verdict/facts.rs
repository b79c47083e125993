//! What a conclusion is drawn from: the plan's outline, the step records, the cause and the open intents. Nothing of it
//! is an opinion.

use serde::{Deserialize, Serialize};

use crate::error::ErrorKind;
use crate::wave::WaveFailed;

/// In which direction a step was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Towards the release.
    Forward,
    /// Back to what was in force before it.
    WayBack,
}

impl Mode {
    /// The name as it is stored in keys and passed by the state machine.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::WayBack => "way_back",
        }
    }
}

/// What kind of step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// A one-off task.
    Task,
    /// A service brought to a task definition.
    Service,
}

impl StepKind {
    /// The name as it is stored and measured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Service => "service",
        }
    }
}

/// One step of a plan, as far as the end of the deployment depends on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepOutline {
    /// Task or service.
    pub kind: StepKind,
    /// The key of the task or service in the pipeline.
    pub name: String,
    /// Whether the task moves a database schema.
    pub is_migration: bool,
    /// Whether the task may be run again after an unknown effect.
    pub idempotent: bool,
    /// Whether the verification says what the end of the task means.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_for_a_check: bool,
}

/// A plan as far as the end of the deployment depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanOutline {
    /// Whether the release was found in force and proven.
    pub unchanged: bool,
    /// The steps forward, in order.
    pub steps: Vec<StepOutline>,
}

/// What is known about one attempt of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It was begun and never judged.
    Begun,
    /// The task completed, or the service is proven to run its target.
    Done,
    /// It is proven that nothing was started.
    NeverStarted,
    /// The task failed by its own word, or the rollout failed and was not rolled back.
    Failed,
    /// The rollout failed and ECS brought the service back.
    Reverted,
    /// Somebody else moved the service.
    Foreign,
    /// It may have acted and nothing proves what it did.
    Unknown,
}

impl StepOutcome {
    /// The name as it is stored and measured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::NeverStarted => "never_started",
            Self::Failed => "failed",
            Self::Reverted => "reverted",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the truth about this attempt is known.
    pub const fn is_conclusive(self) -> bool {
        !matches!(self, Self::Begun | Self::Unknown)
    }
}

/// Which attempt of which step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepReference {
    /// Forward or way back.
    pub mode: Mode,
    /// The position of the step in the plan of that mode, from 0.
    pub index: usize,
    /// From 1.
    pub attempt: u32,
}

/// The record of one attempt of one step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepRecord {
    /// Which attempt of which step.
    #[serde(flatten)]
    pub step: StepReference,
    /// What is known about it.
    pub outcome: StepOutcome,
    /// The sentence of the judgement, for people; may be empty.
    #[serde(default)]
    pub sentence: String,
    /// Whether the service runs what it ran before the deployment came to it: nothing was started, so whatever became
    /// of it is not the deployment's. Never for a task.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already_there: bool,
}

/// An intent without an outcome.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpenIntent {
    /// The step it belongs to; none for what changes nothing that runs: a registration of a revision, or of how a
    /// service scales.
    pub step: Option<StepReference>,
    /// The act, such as `ecs:UpdateService`.
    pub action: String,
    /// What it was aimed at.
    pub target: String,
}

/// Why a deployment left the way forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A state failed.
    Failure {
        /// The error kind; none for a timeout or an error of Step Functions itself.
        kind: Option<ErrorKind>,
        /// The state or step that failed.
        at: String,
        /// The message for people.
        message: String,
    },
    /// A newer release is there.
    Superseded {
        /// Its release id.
        by: String,
    },
    /// In another environment of its wave the release did not come into force.
    WaveFailed(WaveFailed),
    /// A gate or a person said no.
    Rejected {
        /// Who or what.
        by: String,
    },
    /// Nobody answered in time.
    Expired,
    /// An image did not arrive in time where the environment pulls it from.
    NotReplicated {
        /// The key of the image.
        image: String,
        /// The repository with its registry.
        repository: String,
    },
    /// A person asked to stop.
    Stopped {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
}

impl Cause {
    /// Whether somebody or something decided that it ends, and nothing failed.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        match self {
            Self::Superseded { .. }
            | Self::Rejected { .. }
            | Self::WaveFailed(_)
            | Self::Expired
            | Self::NotReplicated { .. }
            | Self::Stopped { .. } => true,
            Self::Failure { .. } => false,
        }
    }
}

/// Where the verification of a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "verification", rename_all = "snake_case")]
pub enum Verified {
    /// The plan has none.
    #[default]
    NotAsked,
    /// It is not over, or was never begun.
    Unfinished,
    /// What was deployed was healthy for long enough.
    Passed,
    /// It gave way to a release that waits, before that was seen.
    GaveWay {
        /// That release.
        to: String,
    },
    /// It was not.
    Failed {
        /// Whether something was seen to fail: otherwise it only could not be seen to work.
        is_shown: bool,
        /// Why, for people.
        why: String,
    },
}

/// Everything that the end of a deployment is concluded from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeploymentFacts {
    /// The plan under the lock; none when it was never computed.
    pub plan: Option<PlanOutline>,
    /// The steps of the way back, in order; empty when there was nothing to bring back or it was never planned.
    pub way_back: Vec<StepOutline>,
    /// What the way back leaves as it is and why, in sentences for people.
    #[serde(default)]
    pub left: Vec<String>,
    /// The step records of both modes, in any order.
    pub records: Vec<StepRecord>,
    /// Where the verification stands.
    #[serde(default)]
    pub verified: Verified,
    /// Why it left the way forward, if it did.
    pub cause: Option<Cause>,
    /// Intents without an outcome after the last look at the truth.
    pub open_intents: Vec<OpenIntent>,
}
