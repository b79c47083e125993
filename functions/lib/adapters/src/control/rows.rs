//! The rows of the control table that belong to no protocol of their own. Lock, waiter, inbox, intent and tag rows are
//! types of [`esclusa_core::protocol`] and [`esclusa_core::identity`], because their transitions are.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_core::evidence::Diagnosis;
use esclusa_core::gate::{Closed, GateReport};
use esclusa_core::identity::TagRow;
use esclusa_core::ledger::Head;
use esclusa_core::pipeline::{Acknowledgement, Approval, LockPolicy, Name, Newest, People, Waiting, Windows};
use esclusa_core::plan::VerifiedRevision;
use esclusa_core::protocol::rendezvous::InboxEvent;
use esclusa_core::restore_point::SecuredRestorePoint;
use esclusa_core::scaling::Suspended;
use esclusa_core::service_deployment::{Before, Proof};
use esclusa_core::supersession::Asked;
use esclusa_core::task_definition::Home;
use esclusa_core::verdict::{End, StepKind, StepRecord, StepReference};
use esclusa_core::verification::Revoked;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Key;
use super::key::Repository;

/// An immutable version of an application's pipeline file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineVersionRow {
    /// The application.
    pub application: String,
    /// From 1, without gaps.
    pub version: u32,
    /// The file as it was applied.
    pub text: String,
    /// The task-definition files that it refers to, by path, as JSON text.
    pub files: BTreeMap<String, String>,
    /// Hexadecimal SHA-256 over text and files.
    pub sha256: String,
    /// When it was applied.
    pub applied_at: Timestamp,
    /// Who applied it, as an ARN where AWS told.
    pub applied_by: String,
}

/// Which version of a pipeline file new releases use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineCurrentRow {
    /// The application.
    pub application: String,
    /// The version in force.
    pub version: u32,
    /// Its hash.
    pub sha256: String,
    /// Since when.
    pub applied_at: Timestamp,
}

/// The application, and its image, that a repository's pushes belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryRow {
    /// The application.
    pub application: String,
    /// The key of the image in the pipeline file.
    pub image: String,
}

/// What a tag pointed to when it was last seen to move, and the release that followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenTagRow {
    /// The push.
    #[serde(flatten)]
    pub tag: TagRow,
    /// Its release.
    pub release_id: String,
}

/// An environment that was made from a pattern of the pipeline, as long as something comes into it now and then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeEnvironmentRow {
    /// When a release was last asked for into it, to the day.
    pub asked_at: Timestamp,
    /// When DynamoDB may remove the row, in seconds since the epoch.
    pub expires_at: i64,
}

/// Says that an event was looked at and starts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredEventRow {
    /// Why.
    pub reason: String,
    /// When DynamoDB may remove the row, in seconds since the epoch.
    pub expires_at: i64,
}

/// What a release was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseKind {
    /// A pushed image.
    Push,
    /// A person chose a version.
    Deploy,
    /// A person chose to go back.
    Rollback,
}

impl ReleaseKind {
    /// The word used in rows, records and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
        }
    }
}

/// How far a release or a deployment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Progress {
    /// Written down; its execution may not have been started yet.
    Claimed,
    /// Its execution is at work.
    Started,
    /// It has a verdict.
    Ended,
}

/// A release, with everything that was known when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// The id, which is also its execution's name.
    pub release_id: String,
    /// The application.
    pub application: String,
    /// What was asked for.
    pub kind: ReleaseKind,
    /// The key of the image in the pipeline file.
    pub image: String,
    /// The account of the image's repository.
    pub account: String,
    /// The Region of the image's repository.
    pub region: String,
    /// The image's repository.
    pub repository: String,
    /// The digest, the only name of the image from here on.
    pub digest: String,
    /// The tag under which it was pushed or asked for: a label only.
    pub tag: String,
    /// How it was asked for, as far as that decides which of two releases is the newer.
    pub asked: Asked,
    /// The environments to go through, in order.
    pub environments: Vec<String>,
    /// The waves of those environments that go together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waves: BTreeMap<String, String>,
    /// The pipeline version that it started with.
    pub pipeline_version: u32,
    /// For a rollback, the release to go back to; the last verified one before the current when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_release: Option<String>,
    /// For a rollback, whether the migrations since then are taken back as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo_migrations: bool,
    /// Whether it does without what the pipeline says that a hotfix does without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_hotfix: bool,
    /// Who asked: the event's id for a push, an ARN for a person.
    pub requested_by: String,
    /// Why, in the words of who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The execution that carries it, named before it is started.
    pub execution_arn: String,
    /// How far it has come.
    pub progress: Progress,
    /// When it was claimed.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// Says that the end of a release was anchored in the chain of its application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorRow {
    /// The head of the release's chain, as it was anchored.
    pub head: Head,
}

/// A pointer from a listing to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePointerRow {
    /// The release.
    pub release_id: String,
}

/// One attempt to bring a release into an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRow {
    /// The id, which is also its execution's name.
    pub deployment_id: String,
    /// The release it carries.
    pub release_id: String,
    /// The application.
    pub application: String,
    /// The environment.
    pub environment: String,
    /// From 1.
    pub attempt: u32,
    /// The hash of the plan that was gated.
    pub plan_hash: String,
    /// Whether that plan had nothing to do.
    pub unchanged: bool,
    /// The person of the pipeline who pushed the image, where it says so and the pipeline asks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<Name>,
    /// The account and Region of the environment, where Esclusa does not run there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Home>,
    /// How far it has come.
    pub progress: Progress,
    /// The locks it needs, by name: its environment's and those of the databases it migrates.
    pub locks: Vec<String>,
    /// Seconds that it waits for its locks.
    #[serde(default = "default_wait_seconds")]
    pub lock_wait_seconds: u32,
    /// Since when it stands in the queues of its locks, if it had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Timestamp>,
    /// The locks it holds, with the fence of each; empty before they are taken.
    #[serde(default)]
    pub fences: BTreeMap<String, u64>,
    /// The execution that carries it, written down before it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_arn: Option<String>,
    /// When its plan was made.
    pub created_at: Timestamp,
    /// When its start was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl DeploymentRow {
    /// Whether its plan is made and nothing is started: it stands at the gates, or is about to.
    #[must_use]
    pub fn stands_at_gates(&self) -> bool {
        self.progress == Progress::Claimed && self.execution_arn.is_none() && self.end.is_none()
    }
}

/// A pointer from the list of those that are at work to a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDeploymentRow {
    /// The deployment.
    pub deployment_id: String,
}

/// A pointer to a lock that is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedLockRow {
    /// The name of the lock.
    pub lock: String,
}

/// A pointer to a deployment of an image into an environment, with what decides whether another gives way to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentPointerRow {
    /// The deployment.
    pub deployment_id: String,
    /// The release that it carries.
    pub release_id: String,
    /// How the release was asked for.
    pub asked: Asked,
}

/// The pointer by which an open wait is found: the rows of the closed ones are kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenWaitRow {
    /// What is waited for.
    pub resource: String,
    /// Who waits.
    pub execution_arn: String,
    /// The state that waits.
    pub state: String,
}

impl OpenWaitRow {
    /// The row of the wait itself.
    #[must_use]
    pub fn wait_key(&self) -> Key {
        Key::waiter(&self.resource, &self.execution_arn, &self.state)
    }
}

/// Where a release stands at the gates of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatesRow {
    /// Since when.
    pub since: Timestamp,
    /// The hash over what votes and freezes said when they were asked last: where it is another, they are asked again.
    pub seen: String,
    /// What each gate says.
    pub reports: Vec<GateReport>,
    /// That the release does not come any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
    /// Which of two releases is the newer here.
    #[serde(default)]
    pub newest: Newest,
    /// Whether one that waits gives way.
    #[serde(default = "default_waiting")]
    pub waiting: Waiting,
    /// Since when the pipeline lets it in, because nobody said no in time. Once it is here it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_in_at: Option<Timestamp>,
    /// Who must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// The windows in whose hours they may, where that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// Those of them who may not any more, as the pipeline says now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Name>,
    /// What must have been seen to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acknowledgements: BTreeMap<Name, Acknowledgement>,
    /// Which images come together here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<TogetherRow>,
    /// The people of the pipeline.
    #[serde(default, skip_serializing_if = "People::is_empty")]
    pub people: People,
}

/// An image that comes into an environment together with others, and where it is pushed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TogetherRow {
    /// Its key in the pipeline file.
    pub image: String,
    /// The account of its repository.
    pub account: String,
    /// The Region of its repository.
    pub region: String,
    /// Its repository.
    pub repository: String,
}

impl TogetherRow {
    /// Where it is pushed to.
    #[must_use]
    pub fn repository(&self) -> Repository<'_> {
        Repository {
            account: &self.account,
            region: &self.region,
            name: &self.repository,
        }
    }
}

/// What was last told about a release in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardRow {
    /// The id of the channel.
    pub channel: String,
    /// The message of Slack that shows the card; none while nobody knows of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// How many messages that showed it are gone: each is another one to Slack.
    #[serde(default)]
    pub gone: u32,
    /// The hash of what it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// What people were told of besides, by the keys of the alerts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub alerted: BTreeSet<String>,
    /// Since when somebody tells Slack something, of which no outcome is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telling_since: Option<Timestamp>,
}

/// Says that the cards of a release may be others by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCardRow {
    /// The release.
    pub release_id: String,
}

/// Until when Slack takes no more messages, as it said itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardPauseRow {
    /// Until when.
    pub until: Timestamp,
}

/// Says that a request of Slack was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlackRequestRow {
    /// When DynamoDB may remove the row, in seconds since the epoch.
    pub expires_at: i64,
}

/// A deployment whose verification looks at an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmWatchRow {
    /// The deployment.
    pub deployment_id: String,
}

/// What is known about one attempt at one step of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRow {
    /// Task or service.
    pub kind: StepKind,
    /// The key of the task or service in the pipeline file.
    pub name: String,
    /// Which attempt, and what is known about it.
    #[serde(flatten)]
    pub record: StepRecord,
    /// The ECS task, or the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_arn: Option<String>,
    /// For a service, the deployment that the update started (`ecs-svc/…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecs_deployment_id: Option<String>,
    /// For a service, the service deployment that the update started. Once known it is not looked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_deployment_arn: Option<String>,
    /// For a service, the task definition that was in force before: where the way back leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_task_definition_arn: Option<String>,
    /// For a service, what ECS showed before the update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// For a service, what its success rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// For a service whose rollout failed, why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// For a service, whether it was seen that a person stopped the release while it rolled out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_stopped: bool,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When it was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_at: Option<Timestamp>,
}

/// The scaling of a service that a deployment has suspended. It stays until nobody can suspend it for that deployment
/// any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendedScalingRow {
    /// The deployment.
    pub deployment_id: String,
    /// The key of the service in the pipeline file.
    pub name: String,
    /// Where the service is, where Esclusa does not run there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Home>,
    /// The name of the cluster.
    pub cluster: String,
    /// The name of the service in ECS.
    pub service: String,
    /// What was suspended before.
    pub before: Suspended,
    /// When the deployment has restored that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<Timestamp>,
    /// Whether a sweep has announced that it restores it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_swept: bool,
}

/// The restore point that a migration needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePointRow {
    /// The key of the task in the pipeline file.
    pub name: String,
    /// When it was looked for first.
    pub begun_at: Timestamp,
    /// What was secured; none while a snapshot is not available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secured: Option<SecuredRestorePoint>,
}

/// An event as it lies in the inbox of its resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxRow {
    /// The event.
    #[serde(flatten)]
    pub event: InboxEvent,
    /// When DynamoDB may remove the row, in seconds since the epoch.
    pub expires_at: i64,
}

/// Which step a task belongs to, by the announcement that its mark names: events of the task carry nothing else of
/// ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedByRow {
    /// The deployment.
    pub deployment_id: String,
    /// The attempt at a step.
    pub step: StepReference,
    /// The key of the task in the pipeline file.
    pub name: String,
    /// The task, from its first event on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_arn: Option<String>,
}

/// What was decided under the lock of a deployment, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum PlanRow {
    /// A plan is carried out.
    CarryOut {
        /// Its hash.
        plan_hash: String,
        /// The plan as JSON text: it holds whole task definitions.
        plan: String,
    },
    /// A newer release is there, or on its way: nothing is done.
    GiveWay {
        /// The newer release.
        to: String,
    },
}

/// A way back, its steps as JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBackRow {
    /// A list of planned steps.
    pub steps: String,
    /// What stays as it is and why, in sentences for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// The task definition that stands for one entry of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// The key in the pipeline file.
    pub name: String,
    /// `arn:…:task-definition/family:revision`.
    pub task_definition_arn: String,
    /// Whether this deployment registered it.
    pub registered: bool,
}

/// A revision of a service that a deployment of ours proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedRow {
    /// The task definition, its digests, its release and when it was proven.
    #[serde(flatten)]
    pub revision: VerifiedRevision,
    /// The service revision that ECS made of it.
    pub service_revision_arn: String,
    /// The tag of the release: a label only.
    pub tag: String,
    /// The deployment that proved it.
    pub deployment_id: String,
}

impl VerifiedRow {
    /// The revision. What was verified before versions were written down has that of its tag.
    #[must_use]
    pub fn revision(self) -> VerifiedRevision {
        VerifiedRevision {
            version: self.revision.version.or_else(|| self.tag.parse().ok()),
            ..self.revision
        }
    }
}

/// What an environment runs, as far as Esclusa brought it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentRow {
    /// The release in force.
    pub release_id: String,
    /// The deployment that brought it.
    pub deployment_id: String,
    /// The digests in force by image key.
    pub digests: BTreeMap<String, String>,
    /// The tag of the release: a label only.
    pub tag: String,
    /// Since when.
    pub since: Timestamp,
    /// That it was found not to work afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
    /// When the last re-check looked at it; none where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
}

/// What a release does that came to the gates before they remembered it.
fn default_waiting() -> Waiting {
    LockPolicy::default().waiting
}

/// What a deployment waits that was planned before pipelines could say it.
fn default_wait_seconds() -> u32 {
    LockPolicy::default().wait_seconds
}
