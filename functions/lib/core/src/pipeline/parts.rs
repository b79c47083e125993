//! What an application is made of, as the pipeline file says it: images, databases, task definitions, tasks and
//! services.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{AccountId, Name, Region, RepositoryName};

/// An image and its ECR repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The name of the ECR repository.
    pub repository: RepositoryName,
    /// The account of the repository; the account Esclusa runs in unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The Region of the repository; the Region Esclusa runs in unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

/// A database that migrations change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The name by which several applications share it: whoever migrates under this name waits for the others.
    /// Placeholders are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_as: Option<String>,
    /// The moment to which it can be restored, which is verified and recorded before each of its migrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point: Option<RestorePoint>,
}

/// Of what database of Amazon RDS there must be a restore point, and how good it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestorePoint {
    /// The identifier of the DB instance. Placeholders are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The identifier of the DB cluster, in place of `instance`. Placeholders are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Seconds that the latest restorable time may be old.
    #[serde(default = "default_restorable_seconds")]
    #[schemars(range(min = 300, max = 86_400))]
    pub at_most_seconds: u32,
    /// Whether a snapshot is taken besides, and waited for.
    #[serde(default)]
    pub snapshot: bool,
    /// Seconds until the snapshot must be available.
    #[serde(default = "default_snapshot_seconds")]
    #[schemars(range(min = 60, max = 43_200))]
    pub timeout_seconds: u32,
}

/// An ECS task definition: a base, and what is laid over it. What is not named here stays as it is in the base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskDefinition {
    /// The family in ECS. Placeholders are allowed.
    pub family: String,
    /// The base: `latest`, the most recent ACTIVE revision of the family, or `{file: …}`, a task definition in AWS
    /// format stored with the pipeline.
    #[serde(default)]
    pub from: DefinitionSource,
    /// CPU units of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 128, max = 196_608))]
    pub cpu: Option<u32>,
    /// Memory of the task in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 512, max = 1_048_576))]
    pub memory: Option<u32>,
    /// ARN of the role that pulls the image, reads the secrets and writes the logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_role: Option<String>,
    /// ARN of the role of the application itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_role: Option<String>,
    /// What is set in the containers of the base, by their name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub containers: IndexMap<String, Container>,
}

/// Where the base of a task definition comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionSource {
    /// The most recent ACTIVE revision of the family.
    #[default]
    Latest,
    /// A file in AWS format, by its path relative to the pipeline file.
    File(String),
}

/// What is set in one container of a task definition.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// The image of the application that this container runs, pinned by digest. A container without it keeps its
    /// image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Name>,
    /// The command, replacing the base's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The entry point, replacing the base's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<Vec<String>>,
    /// Environment variables, merged by name; null removes one.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, Option<String>>,
    /// Secrets: ARN in Secrets Manager or Parameter Store by variable name, merged by name; null removes one.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub secrets: IndexMap<String, Option<String>>,
    /// Port mappings, replacing the base's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
    /// The container health check; what it leaves out stays as it is in the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// The log configuration; options are merged by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
    /// CPU units reserved for the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 196_608))]
    pub cpu: Option<u32>,
    /// Hard memory limit of the container in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6, max = 1_048_576))]
    pub memory: Option<u32>,
    /// Soft memory limit of the container in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6, max = 1_048_576))]
    pub memory_reservation: Option<u32>,
}

/// A port mapping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// The port inside the container.
    #[schemars(range(min = 1))]
    pub container_port: u16,
    /// The protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// The name of the mapping, which Service Connect refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The protocol of a port mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A container health check.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// The command, in the form `["CMD-SHELL", "…"]` or `["CMD", "…"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub command: Option<Vec<String>>,
    /// Seconds between checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 300))]
    pub interval_seconds: Option<u32>,
    /// Seconds after which a check counts as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 60))]
    pub timeout_seconds: Option<u32>,
    /// Failed checks in a row after which the container is unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub retries: Option<u32>,
    /// Seconds after the start in which failed checks do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 300))]
    pub start_period_seconds: Option<u32>,
}

/// A log configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The log driver, such as `awslogs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub options: IndexMap<String, String>,
}

/// A one-off command: an ECS task that must end well before the deployment goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// When the task runs.
    pub run: Phase,
    /// Tasks of the same phase that run before this one. Without it, the order of declaration holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Name>,
    /// The task definition to run.
    pub task_definition: Name,
    /// The container whose exit code counts; the only key of `containers` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Overrides for this run, by container.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub containers: IndexMap<String, ContainerOverride>,
    /// The database this task migrates. Without it, the task is not a migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Name>,
    /// How what it did to the database is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Down>,
    /// Whether it may run again when it is not known what an earlier run did.
    #[serde(default)]
    pub idempotent: bool,
    /// Seconds until the task is stopped.
    #[serde(default = "default_timeout_seconds")]
    #[schemars(range(min = 10, max = 43_200))]
    pub timeout_seconds: u32,
    /// Tries when the task never started.
    #[serde(default = "default_start_attempts")]
    #[schemars(range(min = 1, max = 10))]
    pub start_attempts: u32,
    /// The network of the task, in place of the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// How a migration is taken back: the same image and task definition, another command. It runs after the services are
/// back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Down {
    /// Overrides for this run, by container. `${previous_migration}` stands for the name of the migration to go back
    /// to.
    #[schemars(extend("minProperties" = 1))]
    pub containers: IndexMap<String, ContainerOverride>,
    /// Whether it also runs on the way back of a deployment that failed; otherwise only when a person asks for it.
    #[serde(default)]
    pub automatic: bool,
}

/// When a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the first service is updated.
    BeforeServices,
    /// After the last service has been updated and judged.
    AfterServices,
}

/// What one run of a task changes in a container. It is visible in events and in the ECS console: no secrets here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerOverride {
    /// The command of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Environment variables added to this run.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
    /// CPU units of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 196_608))]
    pub cpu: Option<u32>,
    /// Hard memory limit of this run in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6, max = 1_048_576))]
    pub memory: Option<u32>,
    /// Soft memory limit of this run in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6, max = 1_048_576))]
    pub memory_reservation: Option<u32>,
}

/// An ECS service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The name of the service in ECS. Placeholders are allowed.
    pub service: String,
    /// The task definition it runs.
    pub task_definition: Name,
    /// Services that are updated before this one. Without it, the order of declaration holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Name>,
    /// The count to start with where the live desired count is 0. Otherwise the live count is left alone. Without it,
    /// a service at 0 is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5_000))]
    pub start_count: Option<u32>,
    /// The old task stops before the new one starts: maximum 100 %, minimum healthy 0 %.
    #[serde(default)]
    pub never_two_at_once: bool,
    /// How ECS replaces the tasks. What is left out stays as it is in the service.
    #[serde(default)]
    pub deployment: Deployment,
    /// How the service scales by itself. Without it nobody looks at its scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Seconds until the rollout is stopped and rolled back.
    #[serde(default = "default_timeout_seconds")]
    #[schemars(range(min = 60, max = 43_200))]
    pub timeout_seconds: u32,
}

/// How a service scales by itself: what is registered with Application Auto Scaling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// The fewest tasks that it scales in to.
    #[schemars(range(min = 1, max = 5_000))]
    pub min: u32,
    /// The most tasks that it scales out to.
    #[schemars(range(min = 1, max = 5_000))]
    pub max: u32,
    /// The average CPU utilization that it is kept at, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu_percent: Option<u32>,
    /// The average memory utilization that it is kept at, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub memory_percent: Option<u32>,
    /// Whether it does not scale while it is deployed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

/// How ECS replaces the tasks of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Upper limit of running tasks during the rollout, in percent of the desired count, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 1_000))]
    pub maximum_percent: Option<u32>,
    /// Lower limit of healthy tasks during the rollout, in percent of the desired count, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub minimum_healthy_percent: Option<u32>,
    /// The deployment circuit breaker, which is always on.
    #[serde(default)]
    pub circuit_breaker: CircuitBreaker,
}

/// The deployment circuit breaker of ECS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Whether ECS goes back to the last completed deployment when the breaker trips.
    #[serde(default = "default_true")]
    pub rollback: bool,
    /// When the breaker trips; the rule of ECS unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            rollback: true,
            threshold: None,
        }
    }
}

/// How many failed tasks trip the circuit breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// How `value` is read.
    #[serde(rename = "type")]
    pub kind: ThresholdKind,
    /// Tasks, or percent of the desired count.
    #[schemars(range(min = 1, max = 10_000))]
    pub value: u32,
}

/// How the threshold of the circuit breaker is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdKind {
    /// A number of tasks.
    Count,
    /// A percentage of the desired count, at least 3 and at most 200 tasks.
    BoundedPercent,
    /// A percentage of the desired count.
    UnboundedPercent,
}

/// The network of a one-off task (`awsvpc`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Subnets the task may run in.
    #[schemars(length(min = 1, max = 16))]
    pub subnets: Vec<String>,
    /// Security groups of the task.
    #[schemars(length(min = 1, max = 5))]
    pub security_groups: Vec<String>,
    /// Whether the task gets a public address, which it needs in a public subnet to pull its image.
    #[serde(default)]
    pub assign_public_ip: bool,
}

fn default_timeout_seconds() -> u32 {
    1_800
}

fn default_restorable_seconds() -> u32 {
    900
}

fn default_snapshot_seconds() -> u32 {
    3_600
}

fn default_start_attempts() -> u32 {
    3
}

fn default_true() -> bool {
    true
}
