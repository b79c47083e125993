//! The pipeline file as types. The JSON Schema that editors and the parser use is generated from them: the text of a field's documentation
//! is what an editor shows.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{AccountId, ApplicationName, EnvironmentName, Key, Region, RepositoryName};
use super::verification::Verification;

/// The pipeline of one application: what it is made of, and the environments it goes through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The version of the file format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The name of the application, unique in the account.
    pub application: ApplicationName,
    /// Every image of the product, with the ECR repository it is pushed to.
    #[schemars(extend("minProperties" = 1))]
    pub images: IndexMap<Key, Image>,
    /// The databases that migrations name: one migrator at a time per environment and database.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub databases: IndexMap<Key, Database>,
    /// The ECS task definitions that tasks and services run.
    #[schemars(extend("minProperties" = 1))]
    pub task_definitions: IndexMap<Key, TaskDefinition>,
    /// One-off commands before or after the services are updated.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tasks: IndexMap<Key, Task>,
    /// The ECS services that are updated.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub services: IndexMap<Key, Service>,
    /// The environments, in order of promotion.
    #[schemars(length(min = 1, max = 20))]
    pub environments: Vec<Environment>,
}

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
    /// The name by which several applications share it: whoever migrates under this name waits for the others. Placeholders are allowed.
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
    /// The base: `latest`, the most recent ACTIVE revision of the family, or `{file: …}`, a task definition in AWS format stored with the pipeline.
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
    /// The image of the application that this container runs, pinned by digest. A container without it keeps its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Key>,
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
    pub after: Vec<Key>,
    /// The task definition to run.
    pub task_definition: Key,
    /// The container whose exit code counts; the only key of `containers` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Overrides for this run, by container.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub containers: IndexMap<String, ContainerOverride>,
    /// The database this task migrates. Without it, the task is not a migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Key>,
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

/// How a migration is taken back: the same image and task definition, another command. It runs after the services are back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Down {
    /// Overrides for this run, by container. `${previous_migration}` stands for the name of the migration to go back to.
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
    pub task_definition: Key,
    /// Services that are updated before this one. Without it, the order of declaration holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Key>,
    /// The count to start with where the live desired count is 0. Otherwise the live count is left alone. Without it, a service at 0 is refused.
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

/// One environment and what is different there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The name of the environment.
    pub name: EnvironmentName,
    /// What brings a release into this environment.
    pub trigger: Trigger,
    /// Which tags may come here.
    #[serde(default)]
    pub tags: TagPolicy,
    /// What makes one push newer than another.
    #[serde(default)]
    pub newest: Newest,
    /// How releases wait while another deployment is at work here.
    #[serde(default)]
    pub lock: LockPolicy,
    /// What becomes of the services that a deployment has moved when a later step of it fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What the plan would refuse as less safe than it looks, and is accepted here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<Hazard>,
    /// How it is verified that what was deployed works; nothing is looked at after the rollout unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// That it is set like another environment, but for what the file declares for each of them. What else differs is a note of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<SameAs>,
    /// The account of the environment; the account Esclusa runs in unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The name of the ECS cluster. Placeholders are allowed.
    pub cluster: String,
    /// Values for placeholders of this environment.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub variables: IndexMap<String, String>,
    /// The network of one-off tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Laid over `databases`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub databases: IndexMap<Key, DatabaseOverlay>,
    /// Laid over `task_definitions`: scalars and lists replace, maps merge by key.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub task_definitions: IndexMap<Key, TaskDefinitionOverlay>,
    /// Laid over `services`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub services: IndexMap<Key, ServiceOverlay>,
    /// Laid over `tasks`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tasks: IndexMap<Key, TaskOverlay>,
}

/// Like which environment another one is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SameAs {
    /// The name of the environment.
    pub environment: EnvironmentName,
    /// What may differ besides, by its path in the plan, such as `cpu` or `containers.api.environment.LOG_LEVEL`, with `*` as wildcard; with the key of a
    /// task definition before it in that one only, such as `web.cpu`. It stands for everything below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub except: Vec<String>,
}

/// What brings a release into an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A push of an image, after the environments before this one.
    Push,
    /// Only a person, with `esclusa deploy`.
    Manual,
}

/// Which tags may come into an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagPolicy {
    /// Globs (`*`, `?`) or `semver:` requirements; one must match.
    #[serde(default = "any_tag")]
    #[schemars(length(min = 1, max = 50))]
    pub allow: Vec<String>,
    /// Globs or `semver:` requirements; none may match. `sha256-*` is always denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub deny: Vec<String>,
}

impl TagPolicy {
    /// Whether nothing is left out, save what is no release at all.
    #[must_use]
    pub fn takes_every_tag(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TagPolicy {
    fn default() -> Self {
        Self {
            allow: any_tag(),
            deny: Vec::new(),
        }
    }
}

/// What makes one push newer than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Newest {
    /// The later push.
    #[default]
    Push,
    /// The higher semantic version of the tag.
    Version,
}

/// What makes a deployment less safe than it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hazard {
    /// ECS has no circuit breaker for the strategy of the service.
    BreakerOff,
    /// Tasks run, their deployment never completed, and no revision was verified.
    NoWayBack,
    /// The image that runs now cannot be pulled any more.
    FallbackGone,
    /// ECS takes no more deployments of the service.
    ActiveDeployments,
    /// Code runs, or would run, on a schema that does not take it.
    IncompatibleSchema,
    /// An alarm that watches the service fires already: ECS looks at none of them during the deployment.
    AlarmFiring,
    /// A database that is migrated cannot be restored to a recent moment.
    NoRestorePoint,
}

impl Hazard {
    /// The name in the pipeline file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BreakerOff => "breaker_off",
            Self::NoWayBack => "no_way_back",
            Self::FallbackGone => "fallback_gone",
            Self::ActiveDeployments => "active_deployments",
            Self::IncompatibleSchema => "incompatible_schema",
            Self::AlarmFiring => "alarm_firing",
            Self::NoRestorePoint => "no_restore_point",
        }
    }
}

/// What becomes of the services that a deployment has moved when a later step of it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// They are brought back, the last one first.
    #[default]
    RollBack,
    /// They stay as they are, nobody moves in the environment, and a person decides.
    Stop,
}

/// How releases wait for the lock of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockPolicy {
    /// What becomes of a release that waits when a newer one comes to wait as well.
    #[serde(default)]
    pub waiting: Waiting,
    /// Seconds that a deployment waits for its turn; then it ends without having moved anything.
    #[serde(default = "default_wait_seconds")]
    #[schemars(range(min = 60, max = 345_600))]
    pub wait_seconds: u32,
}

impl Default for LockPolicy {
    fn default() -> Self {
        Self {
            waiting: Waiting::default(),
            wait_seconds: default_wait_seconds(),
        }
    }
}

/// What becomes of a release that waits when a newer one comes to wait as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// It gives way: only the newest of those that wait is deployed.
    #[default]
    Supersede,
    /// It keeps its place: all are deployed, first in, first out.
    Queue,
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

fn default_timeout_seconds() -> u32 {
    1_800
}

fn default_wait_seconds() -> u32 {
    86_400
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

fn any_tag() -> Vec<String> {
    vec!["*".to_owned()]
}
