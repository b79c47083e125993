//! Why a plan cannot be made. Everything that is in the way is found, and each says what helps.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pipeline::Hazard;

/// What kind of obstacle it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The environment or the image is in another account, or the image in another Region.
    Elsewhere,
    /// The cluster does not exist or is not ACTIVE.
    Cluster,
    /// The service does not exist, is not ACTIVE or is deployed by something else than ECS.
    Service,
    /// Nothing would run in the service.
    ServiceStopped,
    /// No rolling update can begin with these percentages.
    Percentages,
    /// The image is not in its repository or cannot be pulled.
    ImageMissing,
    /// The image failed before, and nobody has released it since.
    Quarantined,
    /// What the digest names is no image.
    NotAnImage,
    /// What the image says of itself cannot be read.
    Declaration,
    /// The image does not say what it must say before it comes here.
    Unsaid,
    /// The image does not run on the platform of the task definition.
    Platform,
    /// The family has no ACTIVE revision, or the file is not stored with the pipeline.
    NoDefinition,
    /// The settings do not fit the task definition.
    Definition,
    /// No step of the environment runs the released image.
    NothingToDo,
    /// There is no revision, verified by us, to go back to.
    NoVerifiedRevision,
    /// The migrations cannot be taken back.
    NoWayDown,
    /// A check of the verification names what does not exist.
    Verification,
    /// The service cannot scale as it is declared.
    Scaling,
    /// The deployment would be less safe than it looks.
    Hazard(Hazard),
    /// The installation may not do what the deployment needs.
    Powers,
}

/// One thing that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of obstacle.
    pub kind: RefusalKind,
    /// What is in the way.
    pub message: String,
    /// What helps, with the command where there is one.
    pub help: String,
}

impl Refusal {
    pub(super) fn new(kind: RefusalKind, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            help: help.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}", self.message, self.help)
    }
}

/// Everything that is in the way of a plan. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals(pub Vec<Refusal>);

impl fmt::Display for Refusals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Refusals {}
