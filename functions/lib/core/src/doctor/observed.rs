//! What was seen of an installation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Seen;
use crate::pipeline::ChannelId;
use crate::plan::Powers;

/// What was seen of an installation. The keys are the names that follow the name of the stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The name of the stack.
    pub stack: String,
    /// The version of whoever looks.
    pub version: String,
    /// When it was looked.
    pub now: Timestamp,
    /// By how much the clock of this machine is ahead of that of AWS.
    pub clock_ahead: Seen<SignedDuration>,
    /// The tables.
    pub tables: BTreeMap<String, Seen<TableFacts>>,
    /// The functions.
    pub functions: BTreeMap<String, Seen<FunctionFacts>>,
    /// The state machines.
    pub machines: BTreeMap<String, Seen<MachineFacts>>,
    /// The rules.
    pub rules: BTreeMap<String, Seen<RuleFacts>>,
    /// The schedules.
    pub schedules: BTreeMap<String, Seen<ScheduleFacts>>,
    /// How many messages lie in the dead-letter queue.
    pub dead_letters: Seen<u64>,
    /// The alarms of the stack, by their names.
    pub alarms: Seen<BTreeMap<String, AlarmFacts>>,
    /// The topics that these alarms tell, by their ARNs.
    pub topics: BTreeMap<String, Seen<Subscriptions>>,
    /// The secrets of the Slack app.
    pub slack: SlackFacts,
    /// The pipelines in force.
    pub pipelines: Seen<Vec<ObservedPipeline>>,
}

impl Observed {
    /// A variable of a function; nothing where it is empty or cannot be seen.
    pub(super) fn variable(&self, function: &str, name: &str) -> Option<&str> {
        let facts = self.functions.get(function)?.found()?;
        facts
            .variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// What the installation may do, as its functions were told.
    pub(super) fn powers(&self) -> Option<Powers> {
        let told = |name: &str| self.variable("observe", name).map(str::to_owned);
        Some(Powers {
            clusters: told("ESCLUSA_CLUSTER_PATTERN")?,
            families: told("ESCLUSA_FAMILY_PATTERN")?,
            repositories: told("ESCLUSA_REPOSITORY_PATTERN")?,
            passable_roles: told("ESCLUSA_PASSABLE_ROLE_ARNS")?
                .split(',')
                .map(|role| role.trim().to_owned())
                .collect(),
            log_groups: told("ESCLUSA_TASK_LOG_GROUP_PATTERN"),
            test_functions: told("ESCLUSA_TEST_FUNCTION_PATTERN"),
            databases: told("ESCLUSA_DATABASE_PATTERN"),
        })
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFacts {
    /// Such as `ACTIVE`.
    pub status: String,
    /// Whether it can be deleted only after this was taken off.
    pub deletion_protection: bool,
    /// What it can be restored to.
    pub recovery: Seen<Recovery>,
    /// The attribute by which its items expire.
    pub expires_by: Seen<Option<String>>,
}

/// Point-in-time recovery of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing is kept to restore it from.
    Off,
    /// It can be restored to this moment at the latest, as far as that is said.
    Until(Option<Timestamp>),
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFacts {
    /// Its ARN.
    pub arn: String,
    /// Such as `Active`.
    pub state: String,
    /// Such as `Successful`; absent where it was never updated.
    pub last_update: Option<String>,
    /// Its variables.
    pub variables: BTreeMap<String, String>,
}

/// A state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFacts {
    /// Such as `ACTIVE`.
    pub status: String,
    /// Its definition, as it was deployed.
    pub definition: Value,
    /// The definition that whoever looks knows, with the functions of the installation; none where those cannot be
    /// seen.
    pub known: Option<Value>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFacts {
    /// Whether it is enabled.
    pub enabled: bool,
    /// The ARNs that it invokes.
    pub targets: Seen<Vec<String>>,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleFacts {
    /// Whether it is enabled.
    pub enabled: bool,
    /// The ARN that it invokes.
    pub target: String,
    /// When it does, such as `rate(5 minutes)`.
    pub expression: String,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmFacts {
    /// Such as `OK`.
    pub state: String,
    /// Whether it tells anybody anything.
    pub actions_enabled: bool,
    /// The ARNs that it tells when it fires.
    pub actions: Vec<String>,
}

/// Who hears of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriptions {
    /// How many subscriptions are confirmed.
    pub confirmed: u64,
    /// How many are not, and hear nothing.
    pub pending: u64,
}

/// The app of Slack, by what Slack answers to its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppFacts {
    /// The token is good.
    Valid {
        /// The name of the workspace.
        team: String,
        /// What it may do; empty where Slack does not say.
        scopes: Vec<String>,
        /// What the channels of the pipelines are to it.
        channels: BTreeMap<String, Membership>,
    },
    /// Slack does not take it.
    Refused {
        /// The word of Slack.
        code: String,
    },
}

/// What a channel of Slack is to the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// It is a member: it may post there.
    Member,
    /// It is none.
    Stranger,
    /// Slack knows no such channel, or shows the app none that is private and that it is no member of.
    NotThere,
    /// Its token may not ask.
    NotTold,
}

/// Slack; each is absent where none is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlackFacts {
    /// The bot token: whether its secret is there, and not on its way out.
    pub bot_token: Option<Seen<bool>>,
    /// The signing secret.
    pub signing_secret: Option<Seen<bool>>,
    /// What Slack says of the bot token.
    pub app: Option<Seen<AppFacts>>,
}

/// A pipeline in force.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedPipeline {
    /// The application.
    pub application: String,
    /// Why it cannot be read, where it cannot.
    pub unreadable: Option<String>,
    /// The channels of Slack that it names.
    pub channels: BTreeSet<ChannelId>,
    /// The repositories of its images.
    pub repositories: BTreeMap<String, Seen<RepositoryFacts>>,
    /// Whether the rule of pushes matches a push to each of them.
    pub pushes: BTreeMap<String, Seen<bool>>,
    /// Its environments.
    pub environments: Vec<ObservedEnvironment>,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFacts {
    /// Such as `IMMUTABLE`.
    pub mutability: String,
    /// Whether its images are scanned when they are pushed.
    pub scans: bool,
}

/// Another account or Region in which an environment is, as the function `observe` finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The account and the Region, for people.
    pub place: String,
    /// The status of the cluster there, or why the role of the function cannot be assumed; none without such a cluster.
    pub reached: Seen<Result<Option<String>, String>>,
}

/// One environment of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedEnvironment {
    /// Its name.
    pub name: String,
    /// Its account and Region, where they are not those of the installation: what is there is not the person's to see.
    pub elsewhere: Option<Elsewhere>,
    /// The name of its cluster.
    pub cluster: String,
    /// The status of the cluster.
    pub cluster_status: Seen<String>,
    /// Its services, by their names.
    pub services: BTreeMap<String, Seen<ServiceFacts>>,
    /// The newest revisions of its families.
    pub families: BTreeMap<String, Seen<FamilyFacts>>,
    /// The log groups of its checks and of its containers.
    pub log_groups: BTreeMap<String, Seen<()>>,
    /// The functions that its checks invoke: whether they are there is for the first release to find out.
    pub test_functions: BTreeSet<String>,
    /// The databases of Amazon RDS whose restore points are verified; the same goes for them.
    pub databases: BTreeSet<String>,
    /// The states of the alarms of its checks.
    pub alarms: BTreeMap<String, Seen<String>>,
}

/// A service, with what the pipeline says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceFacts {
    /// The service as ECS describes it.
    pub described: Value,
    /// How many tasks a release starts where none is wanted.
    pub start_count: Option<u32>,
    /// Whether the environment accepts a service that has no circuit breaker.
    pub accepts_breaker_off: bool,
}

/// The newest revision of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyFacts {
    /// Its ARN.
    pub arn: String,
    /// What it says, with what the pipeline lays over it.
    pub definition: Value,
}
