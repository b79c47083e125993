//! What happens in one run, as data. A plan is drawn from a seed, can be written down, cut shorter and run again.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::shop::{Image, Shop};

/// One run: the seed of every interleaving, and what happens beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The seed of the world.
    pub seed: u64,
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

/// A kind of call: which function asks what of which service. Without a function, an invocation of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Point {
    /// The function that calls.
    pub function: Option<String>,
    /// The signing name of the service.
    pub service: String,
    /// The operation.
    pub operation: String,
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
}

/// A kind of call that an undisturbed run makes, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The kind.
    pub point: Point,
    /// How often it is made at most.
    pub count: u64,
}

/// The seconds within which everything is brought about that is brought about at a time.
const SECONDS: u32 = 900;

/// The events that wake Esclusa.
const DETAIL_TYPES: [&str; 4] = [
    "ECR Image Action",
    "ECS Task State Change",
    "ECS Deployment State Change",
    "Step Functions Execution Status Change",
];

/// The services that can be away.
const SERVICES: [&str; 6] = ["dynamodb", "ecr", "ecs", "events", "lambda", "states"];

impl Plan {
    /// The plan of a seed. `known` are the calls that can go wrong.
    #[must_use]
    pub fn draw(seed: u64, known: &[Known]) -> Self {
        // The world has the seed itself.
        let mut draw = Draw {
            rng: fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            happenings: Vec::new(),
        };
        draw.calls(known);
        draw.events();
        draw.circumstances();
        draw.pushes();
        let mut happenings = draw.happenings;
        happenings.sort_by_key(|happening| happening.at_seconds);
        Self { seed, happenings }
    }
}

struct Draw {
    rng: fastrand::Rng,
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

    fn calls(&mut self, known: &[Known]) {
        let count = match self.rng.u32(..100) {
            0..10 => 0,
            10..40 => 1,
            40..65 => 2,
            65..85 => 3,
            _ => self.rng.u32(4..=10),
        };
        for _ in 0..count {
            let Some(known) = self.one(known) else { return };
            let nth = self.rng.u64(1..=known.count.saturating_add(known.count / 3).max(1));
            let mishaps = known.point.mishaps();
            if let Some(mishap) = self.one(&mishaps).copied() {
                let point = known.point.clone();
                self.add(0, What::Call { point, nth, mishap });
            }
        }
    }

    fn events(&mut self) {
        let count = match self.rng.u32(..100) {
            0..60 => 0,
            60..85 => 1,
            _ => self.rng.u32(2..=5),
        };
        for _ in 0..count {
            let detail_type = self.one(&DETAIL_TYPES).copied().unwrap_or_default().to_owned();
            let nth = self.rng.u64(1..=12);
            let seconds = self.rng.u32(1..=600);
            let delivery = match self.rng.u32(..3) {
                0 => Delivery::Drop,
                1 => Delivery::Duplicate { seconds },
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

    fn circumstances(&mut self) {
        if self.chance(12) {
            let service = self.one(&SERVICES).copied().unwrap_or_default().to_owned();
            let seconds = match self.rng.u32(..10) {
                0..6 => self.rng.u32(30..=300),
                6..9 => self.rng.u32(300..=1_800),
                _ => self.rng.u32(3_600..=10_800),
            };
            let at = self.rng.u32(..SECONDS);
            self.add(at, What::Down { service, seconds });
        }
        if self.chance(10) {
            let functions = [
                "intake", "observe", "register", "migrate", "update", "traffic", "record", "resume",
            ];
            let function = self.one(&functions).copied().unwrap_or_default().to_owned();
            let seconds = self.rng.i32(-240..=240);
            self.add(0, What::Skew { function, seconds });
        }
        if self.chance(10) {
            let seconds = self.rng.u32(1..=60);
            self.add(0, What::StaleReads { seconds });
        }
        if self.chance(25) {
            let service = self.one(&Shop::SERVICES).copied().unwrap_or_default().to_owned();
            let act = match self.rng.u32(..10) {
                0..2 => SomebodysAct::UpdateService { service },
                2..4 => SomebodysAct::StopServiceTask { service },
                4..6 => SomebodysAct::StopMigration,
                6..8 => SomebodysAct::StopRollout { service },
                8 => SomebodysAct::StopExecution {
                    machine: "deployment".to_owned(),
                },
                _ => SomebodysAct::StopExecution {
                    machine: "release".to_owned(),
                },
            };
            let at = self.rng.u32(5..SECONDS);
            self.add(at, What::Somebody { act });
        }
    }

    fn pushes(&mut self) {
        let pushes = match self.rng.u32(..100) {
            0..60 => 1,
            60..90 => 2,
            _ => 3,
        };
        let mut at = 1;
        for number in 1..=pushes {
            let image = match self.rng.u32(..10) {
                0..6 => Image::Good,
                6..8 => Image::BadMigration,
                _ => Image::CrashingWeb,
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
            at += self.rng.u32(1..SECONDS / 2);
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
            return vec![Mishap::Twice, Mishap::Late];
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
        write!(formatter, "seed {}", self.seed)?;
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
            Self::Deploy { tag } => write!(formatter, "a person asks for `{tag}`"),
            Self::Rollback => formatter.write_str("a person goes back"),
            Self::Call { point, nth, mishap } => write!(formatter, "{point} number {nth}: {}", mishap.as_str()),
            Self::Event {
                detail_type,
                nth,
                delivery,
            } => write!(formatter, "event `{detail_type}` number {nth}: {delivery:?}"),
            Self::Down { service, seconds } => write!(formatter, "`{service}` is away for {seconds} s"),
            Self::Skew { function, seconds } => write!(formatter, "the clock of `{function}` is off by {seconds} s"),
            Self::StaleReads { seconds } => write!(formatter, "reads without consistency are {seconds} s old"),
            Self::Somebody { act } => write!(formatter, "somebody else: {act:?}"),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => write!(formatter, "`{}:{}` of `{function}`", self.service, self.operation),
            None => write!(formatter, "`{}:{}`", self.service, self.operation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Known> {
        let point = |function: &str, service: &str, operation: &str| Point {
            function: Some(function.to_owned()),
            service: service.to_owned(),
            operation: operation.to_owned(),
        };
        vec![
            Known {
                point: point("migrate", "ecs", "RunTask"),
                count: 1,
            },
            Known {
                point: point("record", "dynamodb", "TransactWriteItems"),
                count: 9,
            },
        ]
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
