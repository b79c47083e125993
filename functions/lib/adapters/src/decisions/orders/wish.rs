//! What a person can order, as the command line, the API and the buttons say it.

use esclusa_core::pipeline::{ApplicationName, Digest, EnvironmentName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What somebody wants. Every reason is for people, and never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// A release comes into no further environment for now.
    Hold {
        /// The release.
        release: String,
        /// Why.
        reason: String,
        /// Until when; until it is lifted, unless given.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// A release that is held goes on.
    ReleaseHold {
        /// The release.
        release: String,
        /// Why.
        reason: String,
    },
    /// Nothing more of a release is begun, and what it has moved goes back.
    Stop {
        /// The release.
        release: String,
        /// Why.
        reason: String,
    },
    /// An environment keeps the version that it runs.
    Pin {
        /// The application.
        application: ApplicationName,
        /// The environment.
        environment: EnvironmentName,
        /// Why.
        reason: String,
        /// Until when; until it is lifted, unless given.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// An environment takes other versions again.
    Unpin {
        /// The application.
        application: ApplicationName,
        /// The environment.
        environment: EnvironmentName,
        /// Why.
        reason: String,
    },
    /// Nothing but what goes back comes into a place.
    Freeze {
        /// The application; all of them unless given.
        #[serde(default)]
        application: Option<ApplicationName>,
        /// The environment; all of them unless given.
        #[serde(default)]
        environment: Option<EnvironmentName>,
        /// Why.
        reason: String,
        /// Until when; until it is lifted, unless given.
        #[serde(default)]
        until: Option<Timestamp>,
        /// Whether what is on its way there is stopped as well.
        #[serde(default)]
        stop: bool,
    },
    /// A place is frozen no more.
    Unfreeze {
        /// The application, as it was frozen.
        #[serde(default)]
        application: Option<ApplicationName>,
        /// The environment, as it was frozen.
        #[serde(default)]
        environment: Option<EnvironmentName>,
        /// Why.
        reason: String,
    },
    /// Something was seen to, which a release waits for.
    Acknowledge {
        /// The release.
        release: String,
        /// The environment; where it waits, unless given.
        #[serde(default)]
        environment: Option<String>,
        /// What was seen to, by its name in the pipeline file.
        name: String,
        /// What was found.
        #[serde(default)]
        note: Option<String>,
    },
    /// An image comes into no environment any more.
    Quarantine {
        /// The account of its repository.
        account: String,
        /// The Region of its repository.
        region: String,
        /// Its repository.
        repository: String,
        /// Its digest.
        digest: Digest,
        /// The tag by which people know it.
        #[serde(default)]
        tag: Option<String>,
        /// Why.
        reason: String,
    },
    /// What a hotfix did without is settled.
    SettleDebt {
        /// The release.
        release: String,
        /// What was done.
        reason: String,
    },
}

impl Wish {
    /// The release that it is about, and the environment where that is said.
    #[must_use]
    pub fn about(&self) -> Option<(&str, Option<&str>)> {
        match self {
            Self::Hold { release, .. }
            | Self::ReleaseHold { release, .. }
            | Self::Stop { release, .. }
            | Self::SettleDebt { release, .. } => Some((release, None)),
            Self::Acknowledge {
                release, environment, ..
            } => Some((release, environment.as_deref())),
            Self::Pin { .. }
            | Self::Unpin { .. }
            | Self::Freeze { .. }
            | Self::Unfreeze { .. }
            | Self::Quarantine { .. } => None,
        }
    }

    /// What they say about it, where they say anything.
    pub(super) fn words(&self) -> Option<&str> {
        match self {
            Self::Acknowledge { note, .. } => note.as_deref(),
            other => other.reason(),
        }
    }

    /// The reason, where one must be given.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Hold { reason, .. }
            | Self::ReleaseHold { reason, .. }
            | Self::Stop { reason, .. }
            | Self::Pin { reason, .. }
            | Self::Unpin { reason, .. }
            | Self::Freeze { reason, .. }
            | Self::Unfreeze { reason, .. }
            | Self::Quarantine { reason, .. }
            | Self::SettleDebt { reason, .. } => Some(reason),
            Self::Acknowledge { .. } => None,
        }
    }
}
