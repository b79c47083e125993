//! Events of services. They carry no version and no sequence: they say when to look, never what is true.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lenient;
use crate::open_enum::open_enum;

open_enum! {
    /// How bad it is, in AWS's eyes.
    ServiceEventType {
        /// Nothing bad.
        Info = "INFO",
        /// Something to look at.
        Warn = "WARN",
        /// Something failed.
        Error = "ERROR",
    }
}

open_enum! {
    /// What happened to a deployment of a service.
    ServiceDeploymentName {
        /// It began; so does a rollback, under another deployment id.
        InProgress = "SERVICE_DEPLOYMENT_IN_PROGRESS",
        /// It reached steady state; so does a rollback, under another deployment id.
        Completed = "SERVICE_DEPLOYMENT_COMPLETED",
        /// The circuit breaker or an alarm ended it. Never sent without one of them.
        Failed = "SERVICE_DEPLOYMENT_FAILED",
    }
}

/// The detail of `ECS Deployment State Change`. The service is the event's resource.
///
/// Follows "Amazon ECS service deployment state change events" of the ECS Developer Guide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EcsDeploymentStateChange {
    /// What happened.
    pub event_name: ServiceDeploymentName,
    /// `ecs-svc/…`, the id that `DescribeServices` shows in `deployments`; not the ARN of the service deployment.
    pub deployment_id: String,
    /// How bad it is.
    #[serde(default)]
    pub event_type: Option<ServiceEventType>,
    /// Why, in words.
    #[serde(default)]
    pub reason: Option<String>,
    /// When the deployment changed.
    #[serde(default, with = "lenient::timestamp")]
    pub updated_at: Option<Timestamp>,
}

open_enum! {
    /// What a service or its scheduler did.
    ServiceActionName {
        /// Running and desired count agree; repeated every few hours, whatever the revision.
        SteadyState = "SERVICE_STEADY_STATE",
        /// Tasks fail to start again and again.
        TaskStartImpaired = "SERVICE_TASK_START_IMPAIRED",
        /// No capacity for a task.
        TaskPlacementFailure = "SERVICE_TASK_PLACEMENT_FAILURE",
        /// A task could not be started because of its configuration.
        TaskConfigurationFailure = "SERVICE_TASK_CONFIGURATION_FAILURE",
        /// Auto scaling changed the desired count.
        DesiredCountUpdated = "SERVICE_DESIRED_COUNT_UPDATED",
        /// The scheduler stopped tasks.
        TasksStopped = "TASKS_STOPPED",
        /// A deployment began.
        DeploymentInProgress = "SERVICE_DEPLOYMENT_IN_PROGRESS",
        /// A deployment reached steady state.
        DeploymentCompleted = "SERVICE_DEPLOYMENT_COMPLETED",
        /// A deployment was ended by the circuit breaker or an alarm.
        DeploymentFailed = "SERVICE_DEPLOYMENT_FAILED",
    }
}

/// The detail of `ECS Service Action`. The service is the event's resource.
///
/// Follows "Amazon ECS service action events" of the ECS Developer Guide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EcsServiceAction {
    /// What happened.
    pub event_name: ServiceActionName,
    /// How bad it is.
    #[serde(default)]
    pub event_type: Option<ServiceEventType>,
    /// The cluster.
    #[serde(default)]
    pub cluster_arn: Option<String>,
    /// Why, in words, such as `RESOURCE:FARGATE`.
    #[serde(default)]
    pub reason: Option<String>,
    /// When the scheduler noticed: can be days before the event.
    #[serde(default, with = "lenient::timestamp")]
    pub created_at: Option<Timestamp>,
}
