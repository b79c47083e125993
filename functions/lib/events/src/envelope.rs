//! What every EventBridge event has around its detail.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lenient;

/// An EventBridge event with a detail of type `D`.
///
/// Follows "EventBridge event structure" of the EventBridge User Guide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Envelope<D> {
    /// Names the event. A repeat usually has the same id, but not always.
    pub id: String,
    /// Who emitted it, such as `aws.ecr`. Only AWS can emit `aws.*`.
    pub source: String,
    /// What kind of event it is, such as `ECR Image Action`.
    pub detail_type: String,
    /// The account it happened in.
    pub account: String,
    /// The Region it happened in.
    pub region: String,
    /// When it happened, to the second. Never an order: events arrive late and out of order.
    #[serde(default, with = "lenient::timestamp")]
    pub time: Option<Timestamp>,
    /// ARNs of what it is about. Empty on ECR image actions.
    #[serde(default, deserialize_with = "lenient::default_for_null")]
    pub resources: Vec<String>,
    /// What happened.
    pub detail: D,
}

impl<D> Envelope<D> {
    /// The first ARN the event is about: the service of a deployment event, the task of a task event.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.resources.first().map(String::as_str)
    }
}
