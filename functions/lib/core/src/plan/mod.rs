//! The plan: everything that a deployment will do, decided before anything moves, and nothing left to choose
//! afterwards.

mod capacity;
mod compatibility;
mod drift;
mod fallback;
mod forward;
mod image;
mod powers;
mod preflight;
mod refusal;
mod rollback;
mod service;
mod undo;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::capacity::{FargateUsage, RunsOn};
pub use self::fallback::{EcrImage, FallbackImage, ObservedFallback, Sight, references};
pub use self::forward::{plan, unreachable};
pub use self::powers::Powers;
pub(crate) use self::powers::{check_hook_roles, check_name, check_roles};
pub use self::refusal::{Refusal, RefusalKind, Refusals};
pub use self::rollback::{RollbackInput, rollback_plan};
use crate::canonical::canonical_sha256;
use crate::hotfix::Skipped;
use crate::identity::ReleaseId;
use crate::pipeline::{
    ApplicationName, Digest, EnvironmentName, Name, Network, Phase, ResolvedEnvironment, TaskDefinition, Verification,
};
use crate::quarantine::Quarantine;
use crate::restore_point::{DatabaseFacts, PlannedRestorePoint};
use crate::scaling::{PlannedScaling, ScalingFacts};
use crate::schema::{CodeVersion, Declared, SchemaState, Undoes};
use crate::service_deployment::ServiceFacts;
use crate::task_definition::{Change, Home};
use crate::verification::Revoked;

/// What a plan is made from: what somebody wants.
#[derive(Debug, Clone)]
pub struct PlanInput {
    /// The pipeline in the environment.
    pub environment: ResolvedEnvironment,
    /// The image that is released.
    pub image: Name,
    /// The tag under which it is released, or its digest.
    pub tag: String,
    /// The digests of the images: the released one, and for every other image the one in force in the environment,
    /// where there is one.
    pub digests: BTreeMap<Name, Digest>,
    /// The files stored with the pipeline, by their path.
    pub files: BTreeMap<String, Value>,
    /// The version of the pipeline.
    pub pipeline_version: u64,
    /// The release.
    pub release_id: ReleaseId,
    /// The account and Region Esclusa runs in.
    pub home: Home,
    /// What the installation may do, where that is known.
    pub powers: Option<Powers>,
}

/// What a plan is made from: what is there.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The status of the cluster, such as `ACTIVE`; `None` when it does not exist.
    pub cluster_status: Option<String>,
    /// The deployment of another release that is under way in the environment.
    pub under_way: Option<String>,
    /// The most recent ACTIVE revision of each family that has one.
    pub families: BTreeMap<String, ObservedDefinition>,
    /// The services by their name in ECS; one that does not exist is not here.
    pub services: BTreeMap<String, ObservedService>,
    /// The images of [`PlanInput::digests`]; one that does not exist is not here.
    pub images: BTreeMap<Name, ObservedImage>,
    /// The digests of the application's repositories that are in quarantine.
    pub quarantined: BTreeMap<Digest, Quarantine>,
    /// The digests that services run now, or go back to, and that are in their repositories no longer, or archived there.
    pub gone: BTreeSet<Digest>,
    /// The states of the alarms that watch the services, such as `OK`, by their names; one that does not exist is not
    /// here.
    pub alarms: BTreeMap<String, String>,
    /// What Fargate runs in the place of the environment, where CloudWatch shows it.
    pub fargate: Option<FargateUsage>,
    /// How services scale that the pipeline says something about, by their name in ECS.
    pub scaling: BTreeMap<String, ScalingFacts>,
    /// The databases of Amazon RDS that must have a restore point; one that does not exist is not here.
    pub databases: BTreeMap<Name, DatabaseFacts>,
    /// The environment that this one is to be set like; none where none is declared or it could not be read.
    pub twin: Option<ObservedTwin>,
    /// The schemas of the databases that migrations of ours moved.
    pub schemas: BTreeMap<Name, SchemaState>,
    /// What the schemas were before, the most recent first; read where migrations are to be taken back.
    pub schema_history: BTreeMap<Name, Vec<SchemaState>>,
    /// The revisions that the last migrations ran, by their ARN; read where they are to be taken back.
    pub movers: BTreeMap<String, ObservedDefinition>,
}

/// An environment that another one is to be set like.
#[derive(Debug, Clone, Default)]
pub struct ObservedTwin {
    /// What the pipeline file says of its task definitions.
    pub settings: IndexMap<Name, TaskDefinition>,
    /// What runs there; what nobody runs is not here.
    pub live: BTreeMap<Name, Value>,
}

/// A revision of a task definition.
#[derive(Debug, Clone)]
pub struct ObservedDefinition {
    /// The ARN with the revision.
    pub arn: String,
    /// `taskDefinition` of the answer of `DescribeTaskDefinition`.
    pub definition: Value,
    /// The tags of the revision.
    pub tags: BTreeMap<String, String>,
}

/// A service.
#[derive(Debug, Clone)]
pub struct ObservedService {
    /// Its state.
    pub facts: ServiceFacts,
    /// `deploymentConfiguration` of the answer of `DescribeServices`.
    pub deployment_configuration: Value,
    /// The revisions verified by us, the most recent first.
    pub verified: Vec<VerifiedRevision>,
    /// What its tasks run on.
    pub runs_on: RunsOn,
    /// The images of the deployment in force, where that is none that we verified.
    pub fallback: ObservedFallback,
}

impl ObservedService {
    /// The revision in force, where we verified it.
    pub fn in_force(&self) -> Option<&VerifiedRevision> {
        let primary = &self.facts.primary()?.task_definition_arn;
        self.verified
            .iter()
            .find(|revision| revision.task_definition_arn == *primary)
    }

    /// The revision of ours that the way back leads to in place of the one in force, where that one does not work.
    pub fn instead(&self) -> Option<&VerifiedRevision> {
        let primary = self.facts.primary()?;
        let is_completed = primary.rollout_state.as_deref() == Some("COMPLETED");
        let known = works(&self.verified, &primary.task_definition_arn, is_completed)?;
        (known.task_definition_arn != primary.task_definition_arn).then_some(known)
    }

    /// The CloudWatch alarms by which ECS watches its deployments.
    pub fn alarms(&self) -> impl Iterator<Item = &str> {
        let settings = self.deployment_configuration.get("alarms");
        let enabled = settings.filter(|settings| settings.get("enable").and_then(Value::as_bool) == Some(true));
        let names = enabled.and_then(|settings| settings.get("alarmNames")?.as_array());
        names.into_iter().flatten().filter_map(Value::as_str)
    }
}

/// A revision that ran, verified by us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedRevision {
    /// The task definition.
    pub task_definition_arn: String,
    /// The digests by container.
    pub digests: BTreeMap<String, PinnedDigest>,
    /// The release that brought it.
    pub release_id: ReleaseId,
    /// When it was verified.
    pub verified_at: Timestamp,
    /// The version of its code, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<CodeVersion>,
    /// That it was found not to work afterwards: nothing goes back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

/// The one of the verified revisions of a service, the most recent first, that is known to work: `previous`, which was
/// in force last, and where that was found not to work since, or was neither verified nor complete, the last one that
/// was verified. None where `previous` is all there is.
#[must_use]
pub fn works<'a>(
    verified: &'a [VerifiedRevision],
    previous: &str,
    was_completed: bool,
) -> Option<&'a VerifiedRevision> {
    let is_previous = |revision: &&VerifiedRevision| revision.task_definition_arn == previous;
    let holds = |revision: &&VerifiedRevision| revision.revoked.is_none();
    if let Some(previous) = verified.iter().filter(holds).find(is_previous) {
        return Some(previous);
    }
    // What was found not to work is no better than what never worked.
    let is_no_place = !was_completed || verified.iter().any(|revision| is_previous(&revision));
    verified.iter().find(holds).filter(|_| is_no_place)
}

/// The digest of an image, and the ones it may show under when it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedDigest {
    /// What was pushed and is pinned.
    pub digest: Digest,
    /// The digests of the platforms, when the image is an index.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub platforms: BTreeSet<Digest>,
}

/// An image in its repository.
#[derive(Debug, Clone, Default)]
pub struct ObservedImage {
    /// `ACTIVE`, `ARCHIVED` or `ACTIVATING`; whoever reads a registry that does not say gives `ACTIVE`.
    pub status: String,
    /// The media type of the manifest.
    pub manifest_media_type: Option<String>,
    /// The media type of the configuration, by which images and attestations are told apart.
    pub artifact_media_type: Option<String>,
    /// The platforms; empty when they are not known.
    pub platforms: Vec<Platform>,
    /// What it says of itself: [`crate::image::said`].
    pub said: BTreeMap<String, String>,
}

/// A platform of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The operating system, such as `linux`.
    pub os: String,
    /// The architecture, such as `amd64`.
    pub architecture: String,
    /// The digest of its manifest, when the image is an index.
    pub digest: Option<Digest>,
}

/// Everything that a deployment will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What an approval binds to: a hash over digests, definitions, tasks, targets and the pipeline's version; not
    /// over counts and times.
    pub plan_hash: String,
    /// The application.
    pub application: ApplicationName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The release.
    pub release_id: ReleaseId,
    /// The version of the pipeline.
    pub pipeline_version: u64,
    /// When the plan was made.
    pub planned_at: Timestamp,
    /// The name of the cluster.
    pub cluster: String,
    /// The image that is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Name>,
    /// The digests of the images that the steps run.
    pub images: BTreeMap<Name, Digest>,
    /// What the released image says of itself.
    #[serde(default)]
    pub declared: Declared,
    /// Who pushed it, where it says so and the pipeline asks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<Name>,
    /// The schemas that migrations of this image moved, as they are before the deployment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schemas: BTreeMap<Name, SchemaState>,
    /// The revisions that the steps run.
    pub revisions: Vec<PlannedRevision>,
    /// The steps in order.
    pub steps: Vec<PlannedStep>,
    /// How it is verified that what was deployed works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// What is skipped for a hotfix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// Whether every service already runs what the steps would bring, completed and verified by us: then nothing is
    /// called.
    pub unchanged: bool,
    /// What a reader of the plan should know.
    pub notes: Vec<String>,
}

/// A revision of a task definition that steps run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedRevision {
    /// The key of the task definition in the pipeline file.
    pub key: Name,
    /// The family.
    pub family: String,
    /// The most recent ACTIVE revision of the family, if there is one.
    pub base_arn: Option<String>,
    /// What is registered: the request of `RegisterTaskDefinition` without `tags`.
    pub definition: Value,
    /// The tags it is registered with.
    pub tags: BTreeMap<String, String>,
    /// The hash of what the definition means.
    pub content_sha256: String,
    /// Whether it is registered.
    pub action: RevisionAction,
    /// What is different from the base, fit to be shown.
    pub changes: Vec<Change>,
}

/// Whether a revision has to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RevisionAction {
    /// The most recent revision already is what is needed.
    Reuse {
        /// Its ARN.
        arn: String,
    },
    /// A new revision is registered.
    Register,
}

/// One step of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum PlannedStep {
    /// A one-off command.
    Task(PlannedTask),
    /// An update of a service.
    Service(PlannedService),
}

impl PlannedStep {
    /// The key of the task or service in the pipeline file.
    pub fn name(&self) -> &Name {
        match self {
            Self::Task(task) => &task.name,
            Self::Service(service) => &service.name,
        }
    }

    /// The one-off command, where it is one.
    pub fn task(&self) -> Option<&PlannedTask> {
        match self {
            Self::Task(task) => Some(task),
            Self::Service(_) => None,
        }
    }

    /// Seconds until the step is stopped.
    pub fn timeout_seconds(&self) -> u32 {
        match self {
            Self::Task(task) => task.timeout_seconds,
            Self::Service(service) => service.timeout_seconds,
        }
    }
}

/// A one-off command: all that `RunTask` needs but the ARN of the revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// The key in the pipeline file.
    pub name: Name,
    /// When it runs.
    pub phase: Phase,
    /// The key of the [`PlannedRevision`] it runs.
    pub revision: Name,
    /// The name of the cluster.
    pub cluster: String,
    /// `FARGATE` or `EC2`, as the definition requires; never Spot.
    pub launch_type: String,
    /// The network, where its task definition has one of its own: the mode `awsvpc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// `containerOverrides` of `RunTask`.
    pub container_overrides: Value,
    /// `group` of `RunTask`, where it is not the default.
    pub group: Option<String>,
    /// The container whose exit code counts.
    pub container: String,
    /// The database it migrates, which is locked while it runs.
    pub database: Option<Name>,
    /// The restore point that is secured before it, where its database must have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point: Option<PlannedRestorePoint>,
    /// How the migration is taken back, where the pipeline says so and everything for it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<PlannedDown>,
    /// That it takes a migration back, and what the schema is then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Undoes>,
    /// Whether it may run again after an unknown effect.
    pub idempotent: bool,
    /// Seconds until it is stopped.
    pub timeout_seconds: u32,
    /// Tries when it never started.
    pub start_attempts: u32,
    /// Whether a check of the verification says what its end means. Otherwise one that does not end well ends the
    /// deployment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_for_a_check: bool,
}

/// How a migration is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedDown {
    /// `containerOverrides` of `RunTask`.
    pub container_overrides: Value,
    /// Whether it runs on the way back of the deployment.
    pub automatic: bool,
}

/// An update of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedService {
    /// The key in the pipeline file.
    pub name: Name,
    /// The name in ECS.
    pub service: String,
    /// The name of the cluster.
    pub cluster: String,
    /// What it shall run.
    pub target: Target,
    /// What it ran when the plan was made.
    pub previous_task_definition_arn: Option<String>,
    /// The digests that its containers then run, by container.
    pub digests: BTreeMap<String, PinnedDigest>,
    /// The version of the code that it then runs, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<CodeVersion>,
    /// Whether nobody goes back from it, ECS neither: the schema does not take the code that the service runs now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
    /// `deploymentConfiguration` of `UpdateService`: the live one with the settings of the pipeline.
    pub deployment_configuration: Value,
    /// How many tasks to start where the live count is 0 when the service is updated; any other count is left alone.
    pub start_count: Option<u32>,
    /// How it shall scale; none where the pipeline does not say, and for going back, which leaves bounds and policies
    /// as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<PlannedScaling>,
    /// Seconds until the rollout is stopped and rolled back.
    pub timeout_seconds: u32,
}

/// What a service shall run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Target {
    /// A revision of this plan.
    Revision {
        /// Its key.
        key: Name,
    },
    /// A revision that exists, which is gone back to.
    Arn {
        /// Its ARN.
        arn: String,
    },
}

impl PlannedService {
    /// Every digest under which an image of its containers may show, by container: the digest that was pushed and, for
    /// an image index, those of its platforms.
    #[must_use]
    pub fn digests_shown(&self) -> BTreeMap<String, BTreeSet<String>> {
        let each = self.digests.iter();
        each.map(|(container, pinned)| {
            let all = std::iter::once(&pinned.digest).chain(&pinned.platforms);
            (container.clone(), all.map(ToString::to_string).collect())
        })
        .collect()
    }
}

impl Plan {
    /// The databases that the steps migrate, each once.
    pub fn databases(&self) -> BTreeSet<&Name> {
        self.steps
            .iter()
            .filter_map(|step| {
                if let PlannedStep::Task(task) = step {
                    task.database.as_ref()
                } else {
                    None
                }
            })
            .collect()
    }

    /// The image that is released, and its digest.
    pub fn released(&self) -> Option<(&Name, &Digest)> {
        self.images.get_key_value(self.image.as_ref()?)
    }

    /// The revision that the key stands for.
    pub fn revision(&self, key: &Name) -> Option<&PlannedRevision> {
        self.revisions.iter().find(|revision| revision.key == *key)
    }

    /// Lets the end of its last step be the end, as the earliest state machines do: then each task says itself how it
    /// ended.
    pub fn drop_verification(&mut self) {
        self.verification = None;
        for step in &mut self.steps {
            if let PlannedStep::Task(task) = step {
                task.is_for_a_check = false;
            }
        }
    }

    /// Gives the plan its hash.
    fn sealed(mut self) -> Self {
        let revisions: Vec<Value> = self
            .revisions
            .iter()
            .map(|revision| json!([revision.key, revision.family, revision.content_sha256]))
            .collect();
        let steps: Vec<Value> = self.steps.iter().map(PlannedStep::substance).collect();
        self.plan_hash = canonical_sha256(&json!({
            "application": self.application,
            "environment": self.environment,
            "cluster": self.cluster,
            "pipeline_version": self.pipeline_version,
            "images": self.images,
            "revisions": revisions,
            "steps": steps,
        }));
        self
    }
}

impl PlannedStep {
    /// What an approval of the step is an approval of. Settings of the pipeline file are covered by its version; counts,
    /// live settings and what runs now are left out.
    fn substance(&self) -> Value {
        match self {
            Self::Task(task) => {
                let mut substance = json!({
                    "task": task.name, "revision": task.revision, "container": task.container, "container_overrides": task.container_overrides,
                    "database": task.database, "network": task.network, "launch_type": task.launch_type,
                });
                if let (Some(down), Some(members)) = (&task.down, substance.as_object_mut()) {
                    members.insert("down".to_owned(), json!(down));
                }
                substance
            }
            Self::Service(service) => {
                let mut substance = json!({"service": service.name, "name": service.service, "target": service.target});
                // Whoever agreed to a release that can be taken back has not agreed to one that cannot.
                if let (true, Some(members)) = (service.stays, substance.as_object_mut()) {
                    members.insert("stays".to_owned(), json!(true));
                }
                substance
            }
        }
    }
}

#[cfg(test)]
mod tests;
