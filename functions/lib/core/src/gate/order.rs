//! What people order: that nothing comes into a place, that a release comes no further, that an environment keeps its
//! version, that a release stops.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What somebody has ordered, until somebody lifts it or the time is over. Over a place it is a freeze, over a release
/// a hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// Who is asked about it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; none where somebody must lift it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who lifted it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Lifted>,
}

/// That an order was lifted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lifted {
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Order {
    /// Whether it holds at a moment.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.lifted.is_none() && self.until.is_none_or(|until| now < until)
    }

    /// The same order, lifted.
    #[must_use]
    pub fn lifted(self, lifted: Lifted) -> Self {
        Self {
            lifted: Some(lifted),
            ..self
        }
    }
}

/// That an environment keeps a version: nothing else comes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pin {
    /// Who ordered it, and for how long.
    #[serde(flatten)]
    pub order: Order,
    /// The digests of the version by image.
    pub digests: BTreeMap<String, String>,
    /// Its tag.
    pub tag: String,
}

/// That a release stops: nothing of it is begun any more, and what has moved goes back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stop {
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}
