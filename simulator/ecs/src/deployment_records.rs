//! What a service remembers about its deployments.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::breaker::{Breaker, BreakerConfiguration};

/// `rolloutState` of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

impl Rollout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// An entry of `deployments`, known by its `ecs-svc/…` id.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) revision: String,
    pub(crate) rollout: Rollout,
    pub(crate) reason: String,
    pub(crate) breaker: Breaker,
    pub(crate) is_rollback: bool,
    /// An alarm was already in `ALARM` when it began: ECS then ignores alarms to its end.
    pub(crate) ignores_alarms: bool,
    /// The end of the bake time, once it has begun.
    pub(crate) bakes_until: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A service revision: everything that a deployment rolls out.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) configuration: Value,
    /// The digest that the first task found, by container.
    pub(crate) digests: BTreeMap<String, String>,
    pub(crate) created_at: Timestamp,
}

/// `status` of a service deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceDeploymentStatus {
    Pending,
    InProgress,
    StopRequested,
    Stopped,
    Successful,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl ServiceDeploymentStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::StopRequested => "STOP_REQUESTED",
            Self::Stopped => "STOPPED",
            Self::Successful => "SUCCESSFUL",
            Self::RollbackRequested => "ROLLBACK_REQUESTED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Self::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    pub(crate) fn is_final(self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::Successful | Self::RollbackSuccessful | Self::RollbackFailed
        )
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Rollback {
    pub(crate) reason: String,
    pub(crate) started_at: Timestamp,
    pub(crate) revision: String,
}

/// The state of the circuit breaker or of the alarms, as a service deployment shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Monitor {
    Disabled,
    Monitoring,
    Complete,
    Triggered,
}

impl Monitor {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::Monitoring => "MONITORING",
            Self::Complete => "MONITORING_COMPLETE",
            Self::Triggered => "TRIGGERED",
        }
    }

    pub(crate) fn enabled(enabled: bool) -> Self {
        if enabled { Self::Monitoring } else { Self::Disabled }
    }

    fn end(&mut self) {
        if *self == Self::Monitoring {
            *self = Self::Complete;
        }
    }
}

/// A service deployment: one release of a service, with its rollback if there is one.
#[derive(Debug, Clone)]
pub(crate) struct ServiceDeployment {
    pub(crate) arn: String,
    pub(crate) status: ServiceDeploymentStatus,
    pub(crate) status_reason: Option<String>,
    pub(crate) target: String,
    pub(crate) sources: Vec<String>,
    pub(crate) deployment_configuration: Value,
    pub(crate) rollback: Option<Rollback>,
    pub(crate) breaker: Monitor,
    pub(crate) breaker_configuration: BreakerConfiguration,
    /// What the breaker had counted when it tripped or the deployment was replaced.
    pub(crate) failures: u32,
    pub(crate) alarms: Monitor,
    pub(crate) triggered_alarms: Vec<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) stopped_at: Option<Timestamp>,
    pub(crate) updated_at: Timestamp,
}

impl ServiceDeployment {
    pub(crate) fn enter(&mut self, status: ServiceDeploymentStatus, reason: Option<String>, now: Timestamp) {
        self.status = status;
        self.updated_at = now;
        if reason.is_some() {
            self.status_reason = reason;
        }
        if status == ServiceDeploymentStatus::InProgress {
            self.started_at = Some(now);
        }
        if status.is_final() {
            self.finished_at = Some(now);
            self.breaker.end();
            self.alarms.end();
        }
        if status == ServiceDeploymentStatus::Stopped {
            self.stopped_at = Some(now);
        }
    }
}
