//! A task, as `ECS Task State Change` and `DescribeTasks` show it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lenient;
use crate::open_enum::open_enum;

open_enum! {
    /// Where a task or a container is in its life, in this order.
    TaskStatus {
        /// Network and capacity are being prepared.
        Provisioning = "PROVISIONING",
        /// It waits for the agent or for capacity.
        Pending = "PENDING",
        /// It runs and is being registered with load balancers.
        Activating = "ACTIVATING",
        /// It runs.
        Running = "RUNNING",
        /// It is being taken out of load balancers.
        Deactivating = "DEACTIVATING",
        /// Its containers are being stopped.
        Stopping = "STOPPING",
        /// Its network is being taken apart.
        Deprovisioning = "DEPROVISIONING",
        /// It is over.
        Stopped = "STOPPED",
        /// It is over and about to be forgotten.
        Deleted = "DELETED",
    }
}

impl TaskStatus {
    /// Whether the task or container can no longer change.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Stopped | Self::Deleted)
    }
}

/// What of a task is kept: everything a decision needs, and neither overrides nor attachments, which carry environment
/// values and addresses. It is written as AWS writes it, so the core reads facts from it as from an answer of
/// `DescribeTasks`.
///
/// Follows "Amazon ECS task state change events" of the ECS Developer Guide. Times are RFC 3339 in events and seconds
/// in API answers; both are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The task.
    pub task_arn: String,
    /// Its cluster.
    #[serde(default)]
    pub cluster_arn: Option<String>,
    /// The revision it was started from.
    #[serde(default)]
    pub task_definition_arn: Option<String>,
    /// `service:{name}` or, for one-off tasks, `family:{family}` unless the caller named a group.
    #[serde(default)]
    pub group: Option<String>,
    /// The deployment id (`ecs-svc/…`) of a service's task, or what the caller of `RunTask` said.
    #[serde(default)]
    pub started_by: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub last_status: Option<TaskStatus>,
    /// Where it shall be: `RUNNING` or `STOPPED`.
    #[serde(default)]
    pub desired_status: Option<TaskStatus>,
    /// Why it stopped, as a code.
    #[serde(default)]
    pub stop_code: Option<String>,
    /// Why it stopped, in words.
    #[serde(default)]
    pub stopped_reason: Option<String>,
    /// `FARGATE`, `EC2` or `EXTERNAL`.
    #[serde(default)]
    pub launch_type: Option<String>,
    /// The capacity provider that hosts it, such as `FARGATE_SPOT`.
    #[serde(default)]
    pub capacity_provider_name: Option<String>,
    /// When it was asked for.
    #[serde(default, with = "lenient::timestamp")]
    pub created_at: Option<Timestamp>,
    /// When its images began to be pulled.
    #[serde(default, with = "lenient::timestamp")]
    pub pull_started_at: Option<Timestamp>,
    /// When its images were there.
    #[serde(default, with = "lenient::timestamp")]
    pub pull_stopped_at: Option<Timestamp>,
    /// When its containers ran; absent when they never did.
    #[serde(default, with = "lenient::timestamp")]
    pub started_at: Option<Timestamp>,
    /// When its containers had exited.
    #[serde(default, with = "lenient::timestamp")]
    pub execution_stopped_at: Option<Timestamp>,
    /// When it was over.
    #[serde(default, with = "lenient::timestamp")]
    pub stopped_at: Option<Timestamp>,
    /// Grows with every change: the one order that task events have.
    #[serde(default)]
    pub version: Option<u64>,
    /// Its containers, injected sidecars included.
    #[serde(default, deserialize_with = "lenient::default_for_null")]
    pub containers: Vec<Container>,
}

/// One container of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name in the task definition, or one that AWS made up for an injected sidecar.
    pub name: String,
    /// Where it is.
    #[serde(default)]
    pub last_status: Option<TaskStatus>,
    /// How it ended. Absent is not zero: it never ran, or nobody knows.
    #[serde(default, deserialize_with = "lenient::exit_code")]
    pub exit_code: Option<i64>,
    /// Why it stopped or did not start, in words.
    #[serde(default)]
    pub reason: Option<String>,
    /// The image as the task definition names it; absent on injected sidecars.
    #[serde(default)]
    pub image: Option<String>,
    /// The digest of what was pulled, for images of ECR.
    #[serde(default)]
    pub image_digest: Option<String>,
    /// The id of the container on its host: present when it was created.
    #[serde(default)]
    pub runtime_id: Option<String>,
}
