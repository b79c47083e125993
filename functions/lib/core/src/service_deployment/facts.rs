//! The facts of a service, its deployments and revisions, from the answers of ECS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Failure;

/// One deployment of a service in the view of `DescribeServices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentCounts {
    /// `ecs-svc/…`: the id that events and the tasks' `startedBy` carry.
    pub id: String,
    /// `PRIMARY`, `ACTIVE` or `INACTIVE`.
    pub status: String,
    /// The revision it brings.
    pub task_definition_arn: String,
    /// How many tasks are wanted.
    pub desired: u64,
    /// How many run.
    pub running: u64,
    /// How many are starting.
    pub pending: u64,
    /// How many failed to start since the last success.
    pub failed: u64,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`; none where ECS does not say.
    pub rollout_state: Option<String>,
    /// Why, in the words of ECS.
    pub rollout_reason: Option<String>,
}

impl DeploymentCounts {
    /// Names it for people.
    pub fn describe(&self) -> String {
        format!("deployment `{}` of `{}`", self.id, self.task_definition_arn)
    }

    /// Whether ECS says that its rollout failed.
    pub fn has_failed(&self) -> bool {
        self.rollout_state.as_deref() == Some("FAILED")
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFacts {
    /// The ARN.
    pub service_arn: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`, and `MISSING` where ECS does not know it any more.
    pub status: String,
    /// `ECS`, `CODE_DEPLOY` or `EXTERNAL`.
    pub controller: String,
    /// How many tasks are wanted, by whoever scales the service.
    pub desired: u64,
    /// How many run.
    pub running: u64,
    /// The ARN of the service deployment under way, where ECS says so.
    pub current_service_deployment: Option<String>,
    /// The ARNs of the service revisions that its tasks run.
    pub current_service_revisions: Vec<String>,
    /// Its deployments, the primary one among them.
    pub deployments: Vec<DeploymentCounts>,
    /// The ARNs of the target groups that its tasks are targets of.
    pub target_groups: Vec<String>,
    /// Whether it is behind a Classic Load Balancer, for which ECS does not tell how rollouts stand.
    pub is_behind_classic: bool,
}

impl ServiceFacts {
    /// A service that ECS does not know, or not any more.
    #[must_use]
    pub fn missing(service_arn: &str) -> Self {
        Self {
            service_arn: service_arn.to_owned(),
            status: "MISSING".to_owned(),
            controller: String::new(),
            desired: 0,
            running: 0,
            current_service_deployment: None,
            current_service_revisions: Vec::new(),
            deployments: Vec::new(),
            target_groups: Vec::new(),
            is_behind_classic: false,
        }
    }

    /// Reads a service of `DescribeServices` or of the answer to `UpdateService`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::error::ErrorKind::InvalidInput) when it has no ARN or no status.
    pub fn from_json(service: &Value) -> Result<Self, Failure> {
        let deployments = service
            .get("deployments")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let revisions = service
            .get("currentServiceRevisions")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let load_balancers = service
            .get("loadBalancers")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(Self {
            service_arn: required(service, "a service", "serviceArn")?,
            status: required(service, "a service", "status")?,
            controller: service
                .pointer("/deploymentController/type")
                .and_then(Value::as_str)
                .unwrap_or("ECS")
                .to_owned(),
            desired: count(service, "desiredCount"),
            running: count(service, "runningCount"),
            current_service_deployment: text(service, "currentServiceDeployment"),
            current_service_revisions: revisions.iter().filter_map(|revision| text(revision, "arn")).collect(),
            deployments: deployments
                .iter()
                .map(|deployment| DeploymentCounts {
                    id: text(deployment, "id").unwrap_or_default(),
                    status: text(deployment, "status").unwrap_or_default(),
                    task_definition_arn: text(deployment, "taskDefinition").unwrap_or_default(),
                    desired: count(deployment, "desiredCount"),
                    running: count(deployment, "runningCount"),
                    pending: count(deployment, "pendingCount"),
                    failed: count(deployment, "failedTasks"),
                    rollout_state: text(deployment, "rolloutState"),
                    rollout_reason: text(deployment, "rolloutStateReason"),
                })
                .collect(),
            // A Classic Load Balancer has no target group.
            target_groups: load_balancers
                .iter()
                .filter_map(|load_balancer| text(load_balancer, "targetGroupArn"))
                .collect(),
            is_behind_classic: load_balancers.iter().any(is_classic),
        })
    }

    /// The deployment that ECS is bringing, or has brought, into force.
    pub fn primary(&self) -> Option<&DeploymentCounts> {
        self.deployments
            .iter()
            .find(|deployment| deployment.status == "PRIMARY")
    }
}

/// Whether a member of `loadBalancers` is a Classic Load Balancer: only those have a name.
fn is_classic(load_balancer: &Value) -> bool {
    text(load_balancer, "loadBalancerName").is_some()
}

/// The status of a service deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceDeploymentStatus {
    /// Not begun.
    Pending,
    /// Under way.
    InProgress,
    /// Superseded, or failed with no rollback configured.
    StopRequested,
    /// Ended without success.
    Stopped,
    /// Ended with success.
    Successful,
    /// A person asked for the rollback; the deployment may still win.
    RollbackRequested,
    /// Going back.
    RollbackInProgress,
    /// Back.
    RollbackSuccessful,
    /// The way back failed.
    RollbackFailed,
    /// A status that this program does not know.
    Unknown(String),
}

impl ServiceDeploymentStatus {
    /// Reads a status; unknown ones are kept.
    pub fn parse(status: &str) -> Self {
        match status {
            "PENDING" => Self::Pending,
            "IN_PROGRESS" => Self::InProgress,
            "STOP_REQUESTED" => Self::StopRequested,
            "STOPPED" => Self::Stopped,
            "SUCCESSFUL" => Self::Successful,
            "ROLLBACK_REQUESTED" => Self::RollbackRequested,
            "ROLLBACK_IN_PROGRESS" => Self::RollbackInProgress,
            "ROLLBACK_SUCCESSFUL" => Self::RollbackSuccessful,
            "ROLLBACK_FAILED" => Self::RollbackFailed,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// A service deployment, from `DescribeServiceDeployments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDeploymentFacts {
    /// The ARN.
    pub arn: String,
    /// Where it stands.
    pub status: ServiceDeploymentStatus,
    /// Why, in the words of ECS.
    pub status_reason: Option<String>,
    /// The service revision it brings.
    pub target_revision_arn: Option<String>,
    /// The service revision that a rollback goes to, when there is one.
    pub rollback_revision_arn: Option<String>,
    /// Why there is a rollback, in the words of ECS.
    pub rollback_reason: Option<String>,
    /// Failures that the circuit breaker has counted, and how many it allows.
    pub breaker: Option<(u64, u64)>,
    /// The alarms that went off.
    pub triggered_alarms: Vec<String>,
}

impl ServiceDeploymentFacts {
    /// Reads a service deployment.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::error::ErrorKind::InvalidInput) when it has no ARN or no status.
    pub fn from_json(deployment: &Value) -> Result<Self, Failure> {
        let at = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let alarms = deployment
            .pointer("/alarms/triggeredAlarmNames")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(Self {
            arn: required(deployment, "a service deployment", "serviceDeploymentArn")?,
            status: ServiceDeploymentStatus::parse(&required(deployment, "a service deployment", "status")?),
            status_reason: text(deployment, "statusReason"),
            target_revision_arn: at("/targetServiceRevision/arn"),
            rollback_revision_arn: at("/rollback/serviceRevisionArn"),
            rollback_reason: at("/rollback/reason"),
            breaker: deployment
                .get("deploymentCircuitBreaker")
                .map(|breaker| (count(breaker, "failureCount"), count(breaker, "threshold"))),
            triggered_alarms: alarms.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}

/// A service revision, from `DescribeServiceRevisions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionFacts {
    /// The ARN.
    pub arn: String,
    /// The task definition it runs.
    pub task_definition_arn: String,
    /// The digests of the images that its containers run, where ECS has resolved them.
    pub digests: BTreeMap<String, String>,
}

impl RevisionFacts {
    /// Reads a service revision.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::error::ErrorKind::InvalidInput) when it has no ARN or no task definition.
    pub fn from_json(revision: &Value) -> Result<Self, Failure> {
        let images = revision.get("containerImages").and_then(Value::as_array);
        let digests = images.into_iter().flatten();
        let digests = digests.filter_map(|image| Some((text(image, "containerName")?, text(image, "imageDigest")?)));
        Ok(Self {
            digests: digests.collect(),
            arn: required(revision, "a service revision", "serviceRevisionArn")?,
            task_definition_arn: required(revision, "a service revision", "taskDefinition")?,
        })
    }
}

fn required(value: &Value, what: &str, name: &str) -> Result<String, Failure> {
    text(value, name).ok_or_else(|| Failure::invalid_input(format!("{what} of ECS has no `{name}`")))
}

fn text(value: &Value, name: &str) -> Option<String> {
    value
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn count(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}
