//! What an environment changes in the rest of the file: every field may be left out. Scalars and lists replace, maps
//! merge by key.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{AccountId, Region, RepositoryName};
use super::parts::{Container, ContainerOverride, Network, Threshold};

/// Where a replicated image lies. A release waits before the environment until its digest is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// The account of the registry; that of the environment unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The Region of the registry; that of the environment unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The name of the repository; that of the image unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// Seconds for which a release waits for its digest; then it ends without having moved anything.
    #[serde(default = "default_replication_seconds")]
    #[schemars(range(min = 60, max = 14_400))]
    pub replication_seconds: u32,
}

fn default_replication_seconds() -> u32 {
    3_600
}

/// What an environment changes in a database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseOverlay {
    /// The moment to which it can be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point: Option<RestorePointOverlay>,
}

/// What an environment changes in the restore point of a database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestorePointOverlay {
    /// Asks for none in this environment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
    /// The identifier of the DB instance, in place of any that the file names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The identifier of the DB cluster, in place of any that the file names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Seconds that the latest restorable time may be old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 86_400))]
    pub at_most_seconds: Option<u32>,
    /// Whether a snapshot is taken besides, and waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<bool>,
    /// Seconds until the snapshot must be available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 43_200))]
    pub timeout_seconds: Option<u32>,
}

/// What an environment changes in a task definition.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskDefinitionOverlay {
    /// CPU units of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 128, max = 196_608))]
    pub cpu: Option<u32>,
    /// Memory of the task in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 512, max = 1_048_576))]
    pub memory: Option<u32>,
    /// ARN of the execution role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_role: Option<String>,
    /// ARN of the task role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_role: Option<String>,
    /// Containers by name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub containers: IndexMap<String, Container>,
}

/// What an environment changes in a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceOverlay {
    /// The count to start with where the live desired count is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5_000))]
    pub start_count: Option<u32>,
    /// The old task stops before the new one starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never_two_at_once: Option<bool>,
    /// How ECS replaces the tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentOverlay>,
    /// How the service scales by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingOverlay>,
    /// Seconds until the rollout is stopped and rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 43_200))]
    pub timeout_seconds: Option<u32>,
}

/// What an environment changes in how a service scales by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalingOverlay {
    /// The fewest tasks that it scales in to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5_000))]
    pub min: Option<u32>,
    /// The most tasks that it scales out to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5_000))]
    pub max: Option<u32>,
    /// The average CPU utilization that it is kept at, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu_percent: Option<u32>,
    /// The average memory utilization that it is kept at, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub memory_percent: Option<u32>,
    /// Whether it does not scale while it is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What an environment changes in how ECS replaces the tasks of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentOverlay {
    /// Upper limit of running tasks during the rollout, in percent of the desired count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 1_000))]
    pub maximum_percent: Option<u32>,
    /// Lower limit of healthy tasks during the rollout, in percent of the desired count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub minimum_healthy_percent: Option<u32>,
    /// The deployment circuit breaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreakerOverlay>,
}

/// What an environment changes in the circuit breaker of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreakerOverlay {
    /// Whether ECS goes back to the last completed deployment when the breaker trips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<bool>,
    /// When the breaker trips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
}

/// What an environment changes in a task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskOverlay {
    /// Leaves the task out in this environment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
    /// Overrides for the run, by container.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub containers: IndexMap<String, ContainerOverride>,
    /// How what it did to the database is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<DownOverlay>,
    /// Whether it may run again when it is not known what an earlier run did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// Seconds until the task is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 43_200))]
    pub timeout_seconds: Option<u32>,
    /// Tries when the task never started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub start_attempts: Option<u32>,
    /// The network of the task, in place of the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// What an environment changes in how a migration is taken back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DownOverlay {
    /// Overrides for this run, by container.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub containers: IndexMap<String, ContainerOverride>,
    /// Whether it also runs on the way back of a deployment that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<bool>,
}
