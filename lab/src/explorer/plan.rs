//! What happens in one run, as data: it can be written down, cut shorter and run again.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::shop::{Account, Image, Member};

/// One run: the seed of every interleaving, and what happens beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The seed of the world.
    pub seed: u64,
    /// Where it happens.
    pub account: Account,
    /// What happens, in the order in which it is brought about.
    pub happenings: Vec<Happening>,
}

impl Plan {
    /// Whether nothing goes wrong but that events do not come as they should, and nobody is late for anything by that:
    /// then everything comes to what it comes to when they do. Of several pushes one may come where another would
    /// have failed, or would not have been let in over the version before, so that all of them must be good.
    #[must_use]
    pub fn changes_only_the_time(&self) -> bool {
        let mut images = Vec::new();
        let mut is_late = false;
        for happening in &self.happenings {
            match &happening.what {
                What::Push { image, .. } => images.push(*image),
                What::PushOther { .. } => {}
                What::Event { .. } => is_late = true,
                _ => return false,
            }
        }
        let are_good = images.iter().all(|image| *image == Image::Good);
        is_late && self.account != Account::Gated && (are_good || images.len() == 1)
    }

    /// The same plan with every event as it should come.
    #[must_use]
    pub fn in_time(&self) -> Self {
        let mut plan = self.clone();
        plan.happenings
            .retain(|happening| !matches!(happening.what, What::Event { .. }));
        plan
    }
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When it is brought about, in seconds after the shop was opened.
    pub at_seconds: u32,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// An image is pushed.
    Push {
        /// The tag.
        tag: String,
        /// What the image does.
        image: Image,
    },
    /// An image of the other application is pushed.
    PushOther {
        /// The tag.
        tag: String,
    },
    /// A person asks for a version.
    Deploy {
        /// Its tag.
        tag: String,
        /// Whether as a hotfix.
        #[serde(default)]
        hotfix: bool,
    },
    /// A person wants to go back.
    Rollback,
    /// A person stops the release that was begun last.
    Stop,
    /// A person holds the release that was begun last.
    Hold {
        /// For how long.
        seconds: u32,
    },
    /// A person lets the release that was begun last go on.
    ReleaseHold,
    /// A person lets nothing come into the environments, and lifts that after a while, however often that has to be
    /// tried.
    Freeze {
        /// For how long.
        seconds: u32,
    },
    /// A person pins the last environment to what is there, and lifts that after a while, however often that has to be
    /// tried.
    Pin {
        /// For how long.
        seconds: u32,
    },
    /// A person looks once more whether what is in the first environment works.
    Recheck,
    /// A person says of the release that was begun last that what is asked for has been seen to.
    Acknowledge,
    /// Somebody in Slack says what may come, of everything that is asked about.
    Vote {
        /// Who.
        member: Member,
        /// Whether it may.
        approves: bool,
    },
    /// One call goes wrong.
    Call {
        /// Which kind of call.
        #[serde(flatten)]
        point: Point,
        /// The how many-th of them from now on, from 1.
        nth: u64,
        /// What goes wrong.
        mishap: Mishap,
    },
    /// One event does not come as it should.
    Event {
        /// Its `detail-type`.
        detail_type: String,
        /// The how many-th of them from now on, from 1.
        nth: u64,
        /// What goes wrong.
        delivery: Delivery,
    },
    /// A service answers every call with an error.
    Down {
        /// Its signing name.
        service: String,
        /// For how long.
        seconds: u32,
    },
    /// The role of a function does not allow what it needs.
    Denied {
        /// What it does not allow.
        #[serde(flatten)]
        point: Point,
        /// For how long.
        seconds: u32,
    },
    /// The alarm by which a verification looks at the services begins or ceases to fire.
    Alarm {
        /// Whether it fires from now on.
        fires: bool,
    },
    /// CloudWatch shows what is measured so much later, for long not at all.
    LateMetrics {
        /// How much later.
        seconds: u32,
    },
    /// Fargate has no room for new tasks.
    Shortage {
        /// For how long.
        seconds: u32,
    },
    /// The clock of a function is off.
    Skew {
        /// The function.
        function: String,
        /// By how much.
        seconds: i32,
    },
    /// Reads that do not ask for consistency, and indexes, show what was.
    StaleReads {
        /// How long ago.
        seconds: u32,
    },
    /// Somebody else acts.
    Somebody {
        /// What they do.
        act: SomebodysAct,
        /// Whether in the first environment of the account, and not in the last one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        first: bool,
    },
}

/// A kind of call: which function asks what of which service, while it does what it is asked for. Without a function,
/// an invocation of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Point {
    /// The function that calls.
    pub function: Option<String>,
    /// The signing name of the service.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// What the calling function, or the invoked one, is asked for; anything when absent.
    pub asked: Option<Asked>,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mishap {
    /// The caller dies before the call has left it.
    DieBefore,
    /// The caller dies when the call has had its effect.
    DieAfter,
    /// The call has its effect, and the connection is reset before the answer.
    AnswerLost,
    /// The service answers with an error and does nothing.
    ErrorBefore,
    /// The service does it and answers with an error.
    ErrorAfter,
    /// The call is one too many.
    Throttle,
    /// Another transaction holds the row.
    Conflict,
    /// The role does not allow it, this once.
    Denied,
    /// The call reaches its service half a minute later.
    Late,
    /// An invocation runs twice, side by side.
    Twice,
}

/// What goes wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "delivery")]
pub enum Delivery {
    /// It never comes.
    Drop,
    /// It comes again.
    Duplicate {
        /// So much later.
        seconds: u32,
    },
    /// It comes later, behind others that were sent after it.
    Delay {
        /// By so much.
        seconds: u32,
    },
}

/// What somebody else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act")]
pub enum SomebodysAct {
    /// Updates a service to the task definition of the infrastructure code.
    UpdateService {
        /// The service.
        service: String,
    },
    /// Stops a running task of a service.
    StopServiceTask {
        /// The service.
        service: String,
    },
    /// Stops every task of the cluster, as the loss of its capacity does.
    StopEveryTask,
    /// Stops the migration that runs.
    StopMigration,
    /// Stops the rollout that is under way, with a rollback.
    StopRollout {
        /// The service.
        service: String,
    },
    /// Stops the newest execution that runs of a state machine.
    StopExecution {
        /// `release` or `deployment`.
        machine: String,
    },
    /// Wants no task of a service.
    ScaleToZero {
        /// The service.
        service: String,
    },
    /// Deletes a service with its tasks.
    DeleteService {
        /// The service.
        service: String,
    },
    /// Registers a new revision of a base task definition, as infrastructure code does.
    RegisterBase {
        /// The container, which its family is named after.
        container: String,
    },
    /// Deregisters the first revision of a task definition.
    DeregisterBase {
        /// The container, which its family is named after.
        container: String,
    },
    /// Deletes an image from the registry.
    DeleteImage {
        /// Its tag.
        tag: String,
    },
    /// Archives an image in the registry: it is listed and cannot be pulled.
    ArchiveImage {
        /// Its tag.
        tag: String,
    },
}

/// What a function is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// By a Task of a state machine, by a schedule or by a person.
    Action {
        /// The action in the payload.
        action: String,
        /// The state, where it waits by token.
        state: Option<String>,
    },
    /// By an event.
    Event {
        /// Its `detail-type`.
        detail_type: String,
    },
}

impl Asked {
    /// What a payload asks for.
    #[must_use]
    pub fn of(payload: &Value) -> Option<Self> {
        let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let state = text("/wait/state");
        let asked = text("/action").map(|action| Self::Action { action, state });
        asked.or_else(|| text("/detail-type").map(|detail_type| Self::Event { detail_type }))
    }

    /// What every payload has that asks for it, by JSON pointer.
    #[must_use]
    pub fn members(&self) -> Vec<(String, Value)> {
        match self {
            Self::Action { action, state } => {
                let waiting = state.iter().map(|state| ("/wait/state".to_owned(), json!(state)));
                std::iter::once(("/action".to_owned(), json!(action)))
                    .chain(waiting)
                    .collect()
            }
            Self::Event { detail_type } => vec![("/detail-type".to_owned(), json!(detail_type))],
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action { action, state: None } => formatter.write_str(action),
            Self::Action {
                action,
                state: Some(state),
            } => write!(formatter, "{action} in {state}"),
            Self::Event { detail_type } => write!(formatter, "event {detail_type}"),
        }
    }
}

impl Point {
    /// Whether such a call changes something outside of the tables.
    #[must_use]
    pub fn is_act(&self) -> bool {
        let reads = ["BatchGet", "Describe", "Filter", "Get", "List"];
        let is_table = self.service == "dynamodb";
        self.function.is_some() && !is_table && !reads.iter().any(|read| self.operation.starts_with(read))
    }

    /// What can go wrong with such a call.
    #[must_use]
    pub fn mishaps(&self) -> Vec<Mishap> {
        if self.function.is_none() {
            return vec![
                Mishap::ErrorBefore,
                Mishap::ErrorAfter,
                Mishap::Throttle,
                Mishap::Late,
                Mishap::Twice,
            ];
        }
        let mut mishaps = vec![
            Mishap::DieBefore,
            Mishap::DieAfter,
            Mishap::AnswerLost,
            Mishap::ErrorBefore,
            Mishap::ErrorAfter,
            Mishap::Throttle,
            Mishap::Late,
            Mishap::Denied,
        ];
        if self.service == "dynamodb" && simulator_dynamodb::is_write(&self.operation) {
            mishaps.push(Mishap::Conflict);
        }
        mishaps
    }
}

impl Mishap {
    /// Every mishap.
    pub const ALL: [Self; 10] = [
        Self::DieBefore,
        Self::DieAfter,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::AnswerLost,
        Self::Throttle,
        Self::Conflict,
        Self::Denied,
        Self::Late,
        Self::Twice,
    ];

    /// Whether the call has its effect. What is throttled, refused or meets another write has none; an answer can be
    /// lost only when there is one; what is late or comes twice has its effect.
    #[must_use]
    pub fn is_after(self) -> bool {
        match self {
            Self::DieBefore | Self::ErrorBefore | Self::Throttle | Self::Conflict | Self::Denied => false,
            Self::DieAfter | Self::ErrorAfter | Self::AnswerLost | Self::Late | Self::Twice => true,
        }
    }

    /// The name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DieBefore => "die_before",
            Self::DieAfter => "die_after",
            Self::AnswerLost => "answer_lost",
            Self::ErrorBefore => "error_before",
            Self::ErrorAfter => "error_after",
            Self::Throttle => "throttle",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Late => "late",
            Self::Twice => "twice",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "seed {}, {:?}", self.seed, self.account)?;
        for happening in &self.happenings {
            write!(formatter, "\n  {happening}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:>5} s  {}", self.at_seconds, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push { tag, image } => write!(formatter, "push `{tag}`, {image:?}"),
            Self::PushOther { tag } => write!(formatter, "push `{tag}` of the other application"),
            Self::Deploy { tag, hotfix: false } => write!(formatter, "a person asks for `{tag}`"),
            Self::Deploy { tag, hotfix: true } => write!(formatter, "a person asks for `{tag}` as a hotfix"),
            Self::Rollback => formatter.write_str("a person goes back"),
            Self::Stop => formatter.write_str("a person stops the last release"),
            Self::Hold { seconds } => write!(formatter, "a person holds the last release for {seconds} s"),
            Self::ReleaseHold => formatter.write_str("a person lets the last release go on"),
            Self::Freeze { seconds } => write!(formatter, "a person freezes everything for {seconds} s"),
            Self::Pin { seconds } => write!(formatter, "a person pins the last environment for {seconds} s"),
            Self::Recheck => formatter.write_str("a person looks once more at the first environment"),
            Self::Acknowledge => formatter.write_str("a person acknowledges what the last release asks for"),
            Self::Vote { member, approves } => {
                let what = if *approves { "approves" } else { "rejects" };
                write!(formatter, "{member:?} {what} what is asked about")
            }
            Self::Call { point, nth, mishap } => write!(formatter, "{point} number {nth}: {}", mishap.as_str()),
            Self::Event {
                detail_type,
                nth,
                delivery,
            } => write!(formatter, "event `{detail_type}` number {nth}: {delivery:?}"),
            Self::Down { service, seconds } => write!(formatter, "`{service}` is away for {seconds} s"),
            Self::Denied { point, seconds } => write!(formatter, "{point} is denied for {seconds} s"),
            Self::Alarm { fires: true } => write!(formatter, "the alarm begins to fire"),
            Self::Alarm { fires: false } => write!(formatter, "the alarm ceases to fire"),
            Self::LateMetrics { seconds } => write!(formatter, "metrics are shown {seconds} s late"),
            Self::Shortage { seconds } => write!(formatter, "Fargate has no room for {seconds} s"),
            Self::Skew { function, seconds } => write!(formatter, "the clock of `{function}` is off by {seconds} s"),
            Self::StaleReads { seconds } => write!(formatter, "reads without consistency are {seconds} s old"),
            Self::Somebody { act, first } => {
                let place = if *first { " in the first environment" } else { "" };
                write!(formatter, "somebody else: {act:?}{place}")
            }
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}:{}`", self.service, self.operation)?;
        if let Some(function) = &self.function {
            write!(formatter, " of `{function}`")?;
        }
        if let Some(asked) = &self.asked {
            write!(formatter, " for `{asked}`")?;
        }
        Ok(())
    }
}
