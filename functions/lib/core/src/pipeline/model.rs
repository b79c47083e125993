//! The pipeline file as types. The JSON Schema that editors and the parser use is generated from them: the text of a
//! field's documentation is what an editor shows.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gates::{Acknowledgement, Approval, Hotfix, People, Windows};
use super::names::{AccountId, ApplicationName, ChannelId, EnvironmentName, Name, Region};
use super::overlays::{DatabaseOverlay, Replica, ServiceOverlay, TaskDefinitionOverlay, TaskOverlay};
use super::parts::{Database, Image, Network, Service, Task, TaskDefinition};
use super::pusher::Pusher;
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
    pub images: IndexMap<Name, Image>,
    /// The databases that migrations name: one migrator at a time per environment and database.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub databases: IndexMap<Name, Database>,
    /// The ECS task definitions that tasks and services run.
    #[schemars(extend("minProperties" = 1))]
    pub task_definitions: IndexMap<Name, TaskDefinition>,
    /// One-off commands before or after the services are updated.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tasks: IndexMap<Name, Task>,
    /// The ECS services that are updated.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub services: IndexMap<Name, Service>,
    /// The people who approve, by their names.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub people: People,
    /// How an image says who of them pushed it; nobody knows unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<Pusher>,
    /// Which releases are hotfixes, and what they do without; there are none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<Hotfix>,
    /// Who is told what becomes of releases; nobody unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Notifications>,
    /// The environments, in order of promotion.
    #[schemars(length(min = 1, max = 20))]
    pub environments: Vec<Environment>,
}

/// One environment and what is different there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The name of the environment.
    pub name: EnvironmentName,
    /// Makes it the pattern of environments with these names, globs (`*`, `?`) among them, and none itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub names: Vec<String>,
    /// What brings a release into this environment.
    pub trigger: Trigger,
    /// The environments before and after it that name the same wave go together with it; it goes alone unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<Name>,
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
    /// That it is set like another environment, but for what the file declares for each of them. What else differs is
    /// a note of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<SameAs>,
    /// When releases may come here; at any time unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// Who must agree before a release comes here; nobody unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What must have been seen to before a release comes here, by names.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub acknowledgements: IndexMap<Name, Acknowledgement>,
    /// Images of the product that come here together, by their keys: a push of one waits until the others stand here
    /// under the same tag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub together: Vec<Name>,
    /// Who is told what becomes of releases here, in place of what the file says for all environments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Notifications>,
    /// The account of the environment; the account Esclusa runs in unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The Region of the environment; the Region Esclusa runs in unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Where images lie for this environment that are replicated to it. What is not named is pulled from its own
    /// repository.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub images: IndexMap<Name, Replica>,
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
    pub databases: IndexMap<Name, DatabaseOverlay>,
    /// Laid over `task_definitions`: scalars and lists replace, maps merge by key.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub task_definitions: IndexMap<Name, TaskDefinitionOverlay>,
    /// Laid over `services`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub services: IndexMap<Name, ServiceOverlay>,
    /// Laid over `tasks`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tasks: IndexMap<Name, TaskOverlay>,
}

/// Who is told what becomes of releases.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notifications {
    /// Where in Slack; nowhere unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackNotifications>,
}

/// Where in Slack people are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackNotifications {
    /// The id of the channel, such as `C0123ABCD`. The app must be a member of it.
    pub channel: ChannelId,
}

/// Like which environment another one is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SameAs {
    /// The name of the environment.
    pub environment: EnvironmentName,
    /// What may differ besides, by its path in the plan, such as `cpu` or `containers.api.environment.LOG_LEVEL`, with
    /// `*` as wildcard; with the key of a task definition before it in that one only, such as `web.cpu`. It stands
    /// for everything below it.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The quota of Fargate leaves no room for the tasks that come in place of others.
    NoCapacity,
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
            Self::NoCapacity => "no_capacity",
        }
    }

    /// Whether it is what a rollout that is under way looks like, and is over with it.
    #[must_use]
    pub const fn is_of_a_rollout(self) -> bool {
        match self {
            Self::NoWayBack | Self::ActiveDeployments => true,
            Self::BreakerOff
            | Self::FallbackGone
            | Self::IncompatibleSchema
            | Self::AlarmFiring
            | Self::NoRestorePoint
            | Self::NoCapacity => false,
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
    /// What becomes of a release that is in force and only soaks when a newer one of the same image comes to wait. A
    /// rollback by hand never waits for a soak.
    #[serde(default)]
    pub soaking: Soaking,
    /// Seconds that a deployment waits for its turn; then it ends without having moved anything.
    #[serde(default = "default_wait_seconds")]
    #[schemars(range(min = 60, max = 345_600))]
    pub wait_seconds: u32,
}

impl Default for LockPolicy {
    fn default() -> Self {
        Self {
            waiting: Waiting::default(),
            soaking: Soaking::default(),
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

/// What becomes of a release that soaks when a newer one comes to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Soaking {
    /// It soaks to its end.
    #[default]
    Hold,
    /// It ends without having been verified, stays in force, and the newer one is deployed over it.
    GiveWay,
}

fn default_wait_seconds() -> u32 {
    86_400
}

fn any_tag() -> Vec<String> {
    vec!["*".to_owned()]
}
