//! What happens in one run, as data. A plan is drawn from a seed, can be written down, cut shorter and run again.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::coverage::{Asked, Known, KnownCall};
use super::shop::{Account, Image, Shop, Story};

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
    },
    /// A person wants to go back.
    Rollback,
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
    },
}

/// A kind of call: which function asks what of which service, while it does what it is asked for. Without a function, an invocation of one.
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

/// The seconds within which everything is brought about that is brought about at a time.
const SECONDS: u32 = 900;

/// The events that wake Esclusa, and about how many of them come in a run.
const EVENTS: [(&str, u64); 4] = [
    ("ECR Image Action", 2),
    ("ECS Task State Change", 12),
    ("ECS Deployment State Change", 4),
    ("Step Functions Execution Status Change", 4),
];

/// The services that can be away.
const SERVICES: [&str; 6] = ["dynamodb", "ecr", "ecs", "events", "lambda", "states"];

impl Plan {
    /// The plan of a seed. `known` are the calls that can go wrong.
    #[must_use]
    pub fn draw(seed: u64, known: &Known) -> Self {
        // The world has the seed itself.
        let mut draw = Draw {
            rng: fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            story: None,
            happenings: Vec::new(),
        };
        draw.calls(known);
        let story = draw.story.unwrap_or_else(|| draw.story_of(&Story::ALL));
        draw.events();
        draw.circumstances(known);
        draw.pushes(story);
        let mut happenings = draw.happenings;
        happenings.sort_by_key(|happening| happening.at_seconds);
        Self {
            seed,
            account: story.account,
            happenings,
        }
    }
}

struct Draw {
    rng: fastrand::Rng,
    /// What the first push leads to: chosen so that the first call that goes wrong is made.
    story: Option<Story>,
    happenings: Vec<Happening>,
}

impl Draw {
    fn add(&mut self, at_seconds: u32, what: What) {
        self.happenings.push(Happening { at_seconds, what });
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    /// One of them; none of none.
    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty())
            .then(|| self.rng.usize(..of.len()))
            .and_then(|index| of.get(index))
    }

    /// One of some stories, the common ones more often.
    fn story_of(&mut self, stories: &[Story]) -> Story {
        let tickets: Vec<Story> = stories
            .iter()
            .flat_map(|story| std::iter::repeat_n(*story, story.weight()))
            .collect();
        self.one(&tickets).copied().unwrap_or_default()
    }

    fn calls(&mut self, known: &Known) {
        let count = match self.rng.u32(..100) {
            0..10 => 0,
            10..40 => 1,
            40..65 => 2,
            65..85 => 3,
            _ => self.rng.u32(4..=10),
        };
        for _ in 0..count {
            self.call(known);
        }
    }

    /// First what is asked for, then what goes wrong, then with which of its calls: what is asked for seldom, or makes few calls, is disturbed as often.
    fn call(&mut self, known: &Known) -> Option<()> {
        let of_task = self.chance(85);
        let story = self.story;
        let is_made = |call: &&KnownCall| story.is_none_or(|story| call.counts.contains_key(&story));
        let calls = known.calls.iter().filter(is_made);
        let calls: Vec<&KnownCall> = calls.filter(|call| known.is_of_task(call) == of_task).collect();
        let asked: BTreeSet<&Option<Asked>> = calls.iter().map(|call| &call.point.asked).collect();
        let asked = *self.one(&Vec::from_iter(asked))?;
        let calls: Vec<&KnownCall> = calls.into_iter().filter(|call| call.point.asked == *asked).collect();
        let mishaps: BTreeSet<Mishap> = calls.iter().flat_map(|call| call.point.mishaps()).collect();
        let mishap = *self.one(&Vec::from_iter(mishaps))?;
        let calls: Vec<&KnownCall> = calls
            .into_iter()
            .filter(|call| call.point.mishaps().contains(&mishap))
            .collect();
        let call = *self.one(&calls)?;
        let stories: Vec<Story> = call.counts.keys().copied().collect();
        let story = story.unwrap_or_else(|| self.story_of(&stories));
        self.story = Some(story);
        let count = call.counts.get(&story).copied().unwrap_or(1);
        let nth = self.rng.u64(1..=count.saturating_add(count / 3).max(1));
        let point = call.point.clone();
        self.add(0, What::Call { point, nth, mishap });
        Some(())
    }

    fn events(&mut self) {
        let count = match self.rng.u32(..100) {
            0..60 => 0,
            60..85 => 1,
            _ => self.rng.u32(2..=5),
        };
        for _ in 0..count {
            let (detail_type, most) = self.one(&EVENTS).copied().unwrap_or_default();
            let detail_type = detail_type.to_owned();
            let nth = self.rng.u64(1..=most.max(1));
            let seconds = self.rng.u32(1..=600);
            let delivery = match self.rng.u32(..6) {
                0..2 => Delivery::Drop,
                2 => Delivery::Duplicate { seconds: 0 },
                3 => Delivery::Duplicate { seconds },
                _ => Delivery::Delay { seconds },
            };
            self.add(
                0,
                What::Event {
                    detail_type,
                    nth,
                    delivery,
                },
            );
        }
    }

    /// Mostly minutes, now and then hours.
    fn while_away(&mut self) -> u32 {
        match self.rng.u32(..10) {
            0..6 => self.rng.u32(30..=300),
            6..9 => self.rng.u32(300..=1_800),
            _ => self.rng.u32(3_600..=10_800),
        }
    }

    fn circumstances(&mut self, known: &Known) {
        if self.chance(10) {
            let service = self.one(&SERVICES).copied().unwrap_or_default().to_owned();
            let seconds = self.while_away();
            let at = self.rng.u32(..SECONDS);
            self.add(at, What::Down { service, seconds });
        }
        if self.chance(2) {
            // Everything is away at once.
            let seconds = self.rng.u32(600..=10_800);
            let at = self.rng.u32(..SECONDS);
            for service in SERVICES {
                let service = service.to_owned();
                self.add(at, What::Down { service, seconds });
            }
        }
        if self.chance(6) {
            let calls: Vec<&KnownCall> = known
                .calls
                .iter()
                .filter(|call| call.point.function.is_some())
                .collect();
            if let Some(call) = self.one(&calls) {
                let point = Point {
                    asked: None,
                    ..call.point.clone()
                };
                let seconds = self.while_away();
                let at = self.rng.u32(..SECONDS);
                self.add(at, What::Denied { point, seconds });
            }
        }
        if self.chance(6) {
            let seconds = self.while_away();
            let at = self.rng.u32(..SECONDS / 3);
            self.add(at, What::Shortage { seconds });
        }
        if self.chance(8) {
            let functions = [
                "intake", "observe", "register", "migrate", "update", "traffic", "record", "resume",
            ];
            let function = self.one(&functions).copied().unwrap_or_default().to_owned();
            let seconds = self.rng.i32(-240..=240);
            self.add(0, What::Skew { function, seconds });
        }
        if self.chance(8) {
            let seconds = self.rng.u32(1..=60);
            self.add(0, What::StaleReads { seconds });
        }
        if self.chance(25) {
            self.somebody();
        }
    }

    fn somebody(&mut self) {
        let service = self.one(&Shop::SERVICES).copied().unwrap_or_default().to_owned();
        let container = self.one(&Shop::CONTAINERS).copied().unwrap_or_default().to_owned();
        let machine = if self.rng.bool() { "deployment" } else { "release" }.to_owned();
        let tag = format!("v{}", self.rng.u32(1..=2));
        let act = match self.rng.u32(..20) {
            0..2 => SomebodysAct::UpdateService { service },
            2..4 => SomebodysAct::StopServiceTask { service },
            4 => SomebodysAct::StopEveryTask,
            5..7 => SomebodysAct::StopMigration,
            7..9 => SomebodysAct::StopRollout { service },
            9..13 => SomebodysAct::StopExecution { machine },
            13 => SomebodysAct::ScaleToZero { service },
            14 => SomebodysAct::DeleteService { service },
            15..17 => SomebodysAct::RegisterBase { container },
            17 => SomebodysAct::DeregisterBase { container },
            18 => SomebodysAct::DeleteImage { tag },
            _ => SomebodysAct::ArchiveImage { tag },
        };
        // Most of a deployment is in the first minutes.
        let latest = if self.rng.bool() { SECONDS / 4 } else { SECONDS };
        let at = self.rng.u32(2..latest);
        self.add(at, What::Somebody { act });
    }

    fn pushes(&mut self, story: Story) {
        let pushes = match self.rng.u32(..100) {
            _ if story.is_followed => self.rng.u32(2..=3),
            0..60 => 1,
            60..90 => 2,
            _ => 3,
        };
        let mut at = 1;
        for number in 1..=pushes {
            let is_followed_soon = number == 1 && story.is_followed;
            let image = match number {
                1 => story.image,
                _ => self.story_of(&Story::ALL).image,
            };
            // Now and then the tag is moved.
            let number = if number > 1 && self.chance(25) {
                number - 1
            } else {
                number
            };
            self.add(
                at,
                What::Push {
                    tag: format!("v{number}"),
                    image,
                },
            );
            at += if is_followed_soon || self.chance(30) {
                self.rng.u32(1..30)
            } else {
                self.rng.u32(1..SECONDS / 2)
            };
        }
        if story.account == Account::Large {
            let at = self.rng.u32(1..SECONDS / 2);
            self.add(at, What::PushOther { tag: "v1".to_owned() });
        }
        if self.chance(15) {
            let tag = format!("v{}", self.rng.u32(1..=pushes));
            let at = self.rng.u32(30..SECONDS);
            self.add(at, What::Deploy { tag });
        }
        if self.chance(10) {
            let at = self.rng.u32(300..2 * SECONDS);
            self.add(at, What::Rollback);
        }
    }
}

impl Point {
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

    /// Whether the call has its effect. What is throttled, refused or meets another write has none; an answer can be lost only when there is one; what is late or
    /// comes twice has its effect.
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
            Self::Deploy { tag } => write!(formatter, "a person asks for `{tag}`"),
            Self::Rollback => formatter.write_str("a person goes back"),
            Self::Call { point, nth, mishap } => write!(formatter, "{point} number {nth}: {}", mishap.as_str()),
            Self::Event {
                detail_type,
                nth,
                delivery,
            } => write!(formatter, "event `{detail_type}` number {nth}: {delivery:?}"),
            Self::Down { service, seconds } => write!(formatter, "`{service}` is away for {seconds} s"),
            Self::Denied { point, seconds } => write!(formatter, "{point} is denied for {seconds} s"),
            Self::Shortage { seconds } => write!(formatter, "Fargate has no room for {seconds} s"),
            Self::Skew { function, seconds } => write!(formatter, "the clock of `{function}` is off by {seconds} s"),
            Self::StaleReads { seconds } => write!(formatter, "reads without consistency are {seconds} s old"),
            Self::Somebody { act } => write!(formatter, "somebody else: {act:?}"),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn known() -> Known {
        let call = |function: &str, service: &str, operation: &str, action: &str, count: u64| KnownCall {
            point: Point {
                function: Some(function.to_owned()),
                service: service.to_owned(),
                operation: operation.to_owned(),
                asked: Some(asked(action)),
            },
            counts: BTreeMap::from([(Story::default(), count)]),
        };
        Known {
            tasks: BTreeSet::from([asked("run_task"), asked("end_deployment")]),
            calls: vec![
                call("migrate", "ecs", "RunTask", "run_task", 1),
                call("record", "dynamodb", "TransactWriteItems", "end_deployment", 9),
                call("resume", "dynamodb", "Query", "sweep", 30),
            ],
        }
    }

    fn asked(action: &str) -> Asked {
        Asked::Action {
            action: action.to_owned(),
            state: None,
        }
    }

    #[test]
    fn what_is_asked_for_seldom_is_disturbed_as_often() {
        let mut struck: BTreeMap<String, u32> = BTreeMap::new();
        for seed in 0..400 {
            for happening in Plan::draw(seed, &known()).happenings {
                if let What::Call { point, .. } = happening.what {
                    *struck.entry(point.asked.unwrap().to_string()).or_default() += 1;
                }
            }
        }
        let of = |action: &str| struck.get(action).copied().unwrap_or_default();
        assert!(of("run_task") * 4 > of("end_deployment") * 3, "{struck:?}");
        assert!(of("sweep") * 2 < of("run_task"), "{struck:?}");
    }

    #[test]
    fn a_seed_has_one_plan_and_a_plan_survives_being_written_down() {
        for seed in 0..200 {
            let plan = Plan::draw(seed, &known());
            assert_eq!(plan, Plan::draw(seed, &known()));
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan, "{text}");
        }
    }

    #[test]
    fn every_plan_has_a_push_and_its_happenings_in_order() {
        for seed in 0..200 {
            let plan = Plan::draw(seed, &known());
            assert!(
                plan.happenings
                    .iter()
                    .any(|happening| matches!(happening.what, What::Push { .. }))
            );
            assert!(plan.happenings.is_sorted_by_key(|happening| happening.at_seconds));
        }
    }
}
