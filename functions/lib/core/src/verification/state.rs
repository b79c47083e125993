//! What is known about a verification: what each look measured, and how it ended.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{CountedLines, JudgedPeriods, Question};

/// What one measurement showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// Nothing that could be judged: no data, no traffic, no tasks. Never a success.
    Inconclusive,
    /// It could not be measured.
    Error,
}

impl Outcome {
    /// The name as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
        }
    }
}

/// What was shown at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The moment.
    pub at: Timestamp,
    /// What it showed.
    pub outcome: Outcome,
}

/// One measurement of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    /// When it was taken.
    pub at: Timestamp,
    /// What it showed.
    pub outcome: Outcome,
    /// The numbers or names behind it, in one sentence for people.
    pub sentence: String,
    /// The ARNs of the stopped tasks that were taken into account, which the next measurement does not count again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub counted: BTreeSet<String>,
    /// The lines of a log that were counted for good, which the next measurement does not read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<CountedLines>,
    /// What it showed at several moments since the measurement before, one after the other, where it looks back at
    /// them. The last of them is its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moments: Vec<Moment>,
    /// The periods of a metric that were judged, which the next measurement does not judge again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<JudgedPeriods>,
    /// What the metric was before the deployment, where that is asked for. It is read once: later CloudWatch has it no
    /// more, or not in the same periods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Number>,
}

/// What is known about one check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// The last measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Measurement>,
    /// The last one that was possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Box<Measurement>>,
    /// How many measurements were good, in all.
    #[serde(default)]
    pub passes: u32,
    /// How many measurements failed, in all, or since a question about it was dropped.
    #[serde(default)]
    pub failures: u32,
    /// Since when every measurement failed, while that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// For how many seconds without a break it has failed at most, as far as the last measurement saw.
    #[serde(default)]
    pub failed_for_seconds: i64,
    /// How many in a row showed nothing clear.
    #[serde(default)]
    pub inconclusive: u32,
    /// How many in a row could not be taken.
    #[serde(default)]
    pub errors: u32,
    /// What a person is asked about it, while that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// Why it decides nothing any more: somebody, or the default of its question, keeps the release in spite of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// How a verification ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum VerificationEnd {
    /// Everything was healthy for long enough.
    Passed {
        /// Since when.
        healthy_since: Timestamp,
    },
    /// It gave way, unverified, to a release that waits for its lock.
    GaveWay {
        /// That release.
        to: String,
    },
    /// A person stopped the release before it was over.
    Stopped {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// A check decided against it, or it was not healthy in time.
    Failed {
        /// The check.
        check: String,
        /// What it showed: a failure, or nothing that speaks against the release.
        outcome: Outcome,
        /// Why, for people.
        why: String,
    },
}

/// What is known about a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// When it began: when every step was proven.
    pub begun_at: Timestamp,
    /// When the deployment began its first step: what was before is the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_at: Option<Timestamp>,
    /// When the last rollout was proven: what has happened since is the release's, also while tasks ran after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_out_at: Option<Timestamp>,
    /// When the last look was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// How many looks measured something.
    #[serde(default)]
    pub looks: u32,
    /// How many events of its alarms were taken into account. A number, and not a time: whoever receives them has
    /// another clock.
    #[serde(default)]
    pub told: usize,
    /// Since when everything is healthy without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_since: Option<Timestamp>,
    /// For how many seconds it must be: less for a hotfix than the pipeline says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak_seconds: Option<u32>,
    /// Seconds in which nobody looked although it was time: they are not the release's.
    #[serde(default)]
    pub unseen_seconds: i64,
    /// The checks by their name.
    #[serde(default)]
    pub checks: BTreeMap<String, CheckState>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<VerificationEnd>,
}

impl State {
    /// A verification that begins.
    #[must_use]
    pub const fn begun(at: Timestamp) -> Self {
        Self {
            begun_at: at,
            acted_at: None,
            rolled_out_at: None,
            looked_at: None,
            looks: 0,
            told: 0,
            healthy_since: None,
            soak_seconds: None,
            unseen_seconds: 0,
            checks: BTreeMap::new(),
            end: None,
        }
    }
}

/// For how long everything was seen healthy without a break, and for how long it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soak {
    /// Up to the last look.
    pub so_far: SignedDuration,
    /// None where that was not written down.
    pub asked: Option<SignedDuration>,
}

impl State {
    /// Since when what happens is the release's.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.rolled_out_at.unwrap_or(self.begun_at)
    }

    /// How far the soak has come.
    #[must_use]
    pub fn soak(&self) -> Soak {
        let seen = self.healthy_since.zip(self.looked_at);
        Soak {
            so_far: seen.map_or(SignedDuration::ZERO, |(since, looked_at)| {
                looked_at.duration_since(since)
            }),
            asked: self
                .soak_seconds
                .map(|seconds| SignedDuration::from_secs(i64::from(seconds))),
        }
    }
}

/// That a verification which had passed does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Since when.
    pub at: Timestamp,
    /// What the check showed that failed, for people.
    pub why: String,
}
