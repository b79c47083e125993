//! Plans from seeds: first a Task of the state machines, then what goes wrong, then the call, so that what is asked for
//! seldom is disturbed as often.

use std::collections::BTreeSet;

use super::coverage::{Known, KnownCall};
use super::plan::{Asked, Delivery, Happening, Mishap, Plan, Point, SomebodysAct, What};
use super::shop::{Account, Image, Member, Shop, Story};

/// The seconds within which everything is brought about that is brought about at a time.
const SECONDS: u32 = 900;

/// The events that wake Esclusa, and about how many of them come in a run.
const EVENTS: [(&str, u64); 5] = [
    ("CloudWatch Alarm State Change", 2),
    ("ECR Image Action", 2),
    ("ECS Task State Change", 12),
    ("ECS Deployment State Change", 4),
    ("Step Functions Execution Status Change", 4),
];

/// The Task that plans again what has changed while people decided.
const PLAN_AGAIN: &str = "release/PlanAgain";

/// The Tasks that a run comes to least often, each as often as it is drawn, and whether only runs in which something
/// fails do.
const SELDOM: [(&str, bool); 4] = [
    ("deployment/AwaitLock", false),
    ("deployment/RestoreScalingAfterFailure", true),
    ("deployment/RestoreScalingAfterFailure", true),
    ("deployment/RestoreScalingAfterFailure", true),
];

/// The services that can be away.
const SERVICES: [&str; 8] = [
    "dynamodb",
    "ecr",
    "ecs",
    "events",
    "lambda",
    "monitoring",
    "states",
    "sts",
];

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
        let story = if draw.chance(4) {
            draw.only_late()
        } else {
            draw.calls(known);
            let story = draw.story.unwrap_or_else(|| draw.story_of(&Story::ALL));
            let events = match draw.rng.u32(..100) {
                0..60 => 0,
                60..85 => 1,
                _ => draw.rng.u32(2..=5),
            };
            draw.events(events);
            draw.circumstances(known);
            draw.pushes(story, known);
            story
        };
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

    /// One of some stories; more often than they come by themselves one in which something fails, so that what is only
    /// done then is disturbed too.
    fn story_with(&mut self, stories: &[Story]) -> Story {
        let fails = |story: &&Story| story.image != Image::Good;
        let failing: Vec<Story> = stories.iter().filter(fails).copied().collect();
        let is_of_those = !failing.is_empty() && self.chance(30);
        self.story_of(if is_of_those { &failing } else { stories })
    }

    fn calls(&mut self, known: &Known) {
        if self.chance(6) {
            self.seldom(known);
        }
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

    /// First what is asked for, then what goes wrong, then with which of its calls: what is asked for seldom, or makes
    /// few calls, is disturbed as often.
    fn call(&mut self, known: &Known) -> Option<()> {
        let of_task = self.chance(85);
        let story = self.story;
        let is_made = |call: &&KnownCall| story.is_none_or(|story| call.counts.contains_key(&story));
        let calls = known.calls.iter().filter(is_made);
        let calls: Vec<&KnownCall> = calls.filter(|call| known.is_of_task(call) == of_task).collect();
        let asked: BTreeSet<&Option<Asked>> = calls.iter().map(|call| &call.point.asked).collect();
        let asked = *self.one(&Vec::from_iter(asked))?;
        let calls: Vec<&KnownCall> = calls.into_iter().filter(|call| call.point.asked == *asked).collect();
        self.strike(calls, story)
    }

    /// Something that goes wrong with one of the Tasks that runs seldom come to.
    fn seldom(&mut self, known: &Known) -> Option<()> {
        let (task, fails) = *self.one(&SELDOM)?;
        let asked = known.tasks.get(task)?;
        let calls: Vec<&KnownCall> = known
            .calls
            .iter()
            .filter(|call| call.point.asked.as_ref() == Some(asked))
            .collect();
        let stories: BTreeSet<Story> = calls.iter().flat_map(|call| call.counts.keys().copied()).collect();
        let stories = stories.into_iter().filter(|story| !fails || story.image != Image::Good);
        let stories = Vec::from_iter(stories);
        let story = *self.one(&stories)?;
        let calls = calls
            .into_iter()
            .filter(|call| call.counts.contains_key(&story))
            .collect();
        self.strike(calls, Some(story))
    }

    /// What goes wrong with one of these calls, and with which of its kind.
    fn strike(&mut self, calls: Vec<&KnownCall>, story: Option<Story>) -> Option<()> {
        let mishaps: BTreeSet<Mishap> = calls.iter().flat_map(|call| call.point.mishaps()).collect();
        let mishap = *self.one(&Vec::from_iter(mishaps))?;
        let calls: Vec<&KnownCall> = calls
            .into_iter()
            .filter(|call| call.point.mishaps().contains(&mishap))
            .collect();
        // What changes something in AWS is one call of many, and the one that must not be repeated.
        let acts: Vec<&KnownCall> = calls.iter().copied().filter(|call| call.point.is_act()).collect();
        let of_acts = !acts.is_empty() && self.chance(35);
        let call = *self.one(if of_acts { &acts } else { &calls })?;
        let stories: Vec<Story> = call.counts.keys().copied().collect();
        let story = story.unwrap_or_else(|| self.story_with(&stories));
        self.story = Some(story);
        let count = call.counts.get(&story).copied().unwrap_or(1);
        let nth = self.rng.u64(1..=count.saturating_add(count / 3).max(1));
        let point = call.point.clone();
        self.add(0, What::Call { point, nth, mishap });
        Some(())
    }

    /// Nothing but pushes whose end is the same however late it comes, and events that do not come as they should.
    fn only_late(&mut self) -> Story {
        let stories: Vec<Story> = Story::ALL
            .into_iter()
            .filter(|story| story.account != Account::Gated)
            .collect();
        let story = self.story_of(&stories);
        let events = self.rng.u32(1..=5);
        self.events(events);
        let pushes = match story.image {
            Image::Good if story.is_followed => self.rng.u32(2..=3),
            Image::Good => self.rng.u32(1..=3),
            _ => 1,
        };
        let mut at = 1;
        for number in 1..=pushes {
            let image = match number {
                1 => story.image,
                _ if self.chance(30) => Image::Contracting,
                _ => Image::Good,
            };
            let tag = format!("v{number}");
            self.add(at, What::Push { tag, image });
            at += self.rng.u32(1..if story.is_followed { 30 } else { SECONDS / 2 });
        }
        story
    }

    fn events(&mut self, count: u32) {
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
        if self.chance(6) {
            let at = self.rng.u32(..SECONDS / 3);
            let seconds = self.rng.u32(1..=300);
            self.add(at, What::Alarm { fires: true });
            self.add(at.saturating_add(seconds), What::Alarm { fires: false });
        }
        if self.chance(6) {
            let seconds = if self.rng.bool() { self.rng.u32(60..=240) } else { 7_200 };
            self.add(0, What::LateMetrics { seconds });
        }
        if self.chance(8) {
            let functions = [
                "intake", "observe", "register", "migrate", "update", "traffic", "record", "resume", "notify",
                "console",
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
        let first = self.rng.bool();
        self.add(at, What::Somebody { act, first });
    }

    /// Three versions that work, of which the last drops what the first one needs; then the first one is asked for all the
    /// same.
    fn contraction(&mut self) {
        let mut at = 1;
        for (number, image) in (1..).zip([Image::Good, Image::Good, Image::Contracting]) {
            let tag = format!("v{number}");
            self.add(at, What::Push { tag, image });
            at += self.rng.u32(200..SECONDS);
        }
        let tag = "v1".to_owned();
        let hotfix = self.chance(20);
        self.add(at, What::Deploy { tag, hotfix });
    }

    fn pushes(&mut self, story: Story, known: &Known) {
        if story == Story::default() && self.chance(8) {
            self.contraction();
            return;
        }
        let pushes = match self.rng.u32(..100) {
            _ if story.is_followed => self.rng.u32(2..=3),
            0..70 => 1,
            70..92 => 2,
            _ => 3,
        };
        let mut at = 1;
        for number in 1..=pushes {
            let is_followed_soon = number == 1 && story.is_followed;
            let image = match number {
                1 => story.image,
                _ if self.chance(30) => Image::Contracting,
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
        if story.account == Account::Large && self.chance(40) {
            let at = self.rng.u32(1..SECONDS / 2);
            self.add(at, What::PushOther { tag: "v1".to_owned() });
        }
        if self.chance(15) {
            let tag = format!("v{}", self.rng.u32(1..=pushes));
            let at = self.rng.u32(30..SECONDS);
            let hotfix = self.chance(35);
            self.add(at, What::Deploy { tag, hotfix });
        }
        if self.chance(10) {
            let at = self.rng.u32(300..2 * SECONDS);
            self.add(at, What::Rollback);
        }
        self.orders();
        match story.account {
            Account::Gated => self.decisions(pushes, known),
            Account::Large if self.chance(20) => {
                let at = self.rng.u32(SECONDS / 3..2 * SECONDS);
                self.add(at, What::Recheck);
                if self.chance(60) {
                    // What was verified does not work any more.
                    self.add(at.saturating_sub(5), What::Alarm { fires: true });
                    self.add(at.saturating_add(120), What::Alarm { fires: false });
                }
            }
            Account::Small | Account::Large | Account::Abroad => {}
        }
    }
}

impl Draw {
    /// What people say about what waits for them, what is asked for by one of them, and that a plan changes meanwhile.
    fn decisions(&mut self, pushes: u32, known: &Known) {
        if self.chance(35) {
            // Who asks for something answers it too.
            let tag = format!("v{}", self.rng.u32(1..=pushes));
            let at = self.rng.u32(30..SECONDS);
            let hotfix = self.chance(20);
            self.add(at, What::Deploy { tag, hotfix });
            let at = at.saturating_add(self.rng.u32(30..600));
            self.vote(at, Member::Ana, true);
        } else {
            for _ in 0..self.rng.u32(2..=6) {
                let member = self.one(&Member::ALL).copied().unwrap_or(Member::Luis);
                let approves = self.chance(90);
                let at = self.rng.u32(60..3 * SECONDS / 2);
                self.vote(at, member, approves);
            }
        }
        if self.chance(45) {
            // What is agreed to before the windows open becomes another plan before they do.
            let at = self.rng.u32(60..SECONDS);
            self.vote(at, Member::Luis, true);
            let container = self.one(&Shop::CONTAINERS).copied().unwrap_or_default().to_owned();
            let at = at.saturating_add(self.rng.u32(5..300));
            let act = SomebodysAct::RegisterBase { container };
            self.add(at, What::Somebody { act, first: false });
            if self.chance(90) {
                self.again(at, known);
            }
        }
        if self.chance(75) {
            let at = self.rng.u32(30..SECONDS);
            self.add(at, What::Acknowledge);
        }
    }

    /// What goes wrong with the plan that is made again after that.
    fn again(&mut self, at: u32, known: &Known) -> Option<()> {
        let asked = known.tasks.get(PLAN_AGAIN)?;
        let mishap = *self.one(&Vec::from_iter(known.mishaps(asked)))?;
        let is_meant = |point: &Point| point.asked.as_ref() == Some(asked) && point.mishaps().contains(&mishap);
        let calls = known.calls.iter().filter(|call| is_meant(&call.point));
        let call = *self.one(&Vec::from_iter(calls))?;
        // It plans for one environment, where undisturbed runs plan for several.
        let count = call.counts.values().min().copied().unwrap_or_default();
        let nth = self.rng.u64(1..=(count / 2).max(1));
        let point = call.point.clone();
        self.add(at, What::Call { point, nth, mishap });
        Some(())
    }

    fn vote(&mut self, at: u32, member: Member, approves: bool) {
        self.add(at, What::Vote { member, approves });
    }

    /// What people order about what is on its way.
    fn orders(&mut self) {
        if self.chance(12) {
            let at = self.rng.u32(2..SECONDS);
            self.add(at, What::Stop);
        }
        if self.chance(6) {
            let at = self.rng.u32(2..SECONDS / 2);
            let seconds = self.rng.u32(30..=1_200);
            self.add(at, What::Hold { seconds });
            if self.chance(40) {
                let at = at.saturating_add(self.rng.u32(10..600));
                self.add(at, What::ReleaseHold);
            }
        }
        if self.chance(6) {
            let at = self.rng.u32(1..SECONDS / 2);
            let seconds = self.rng.u32(30..=1_200);
            self.add(at, What::Freeze { seconds });
        }
        if self.chance(5) {
            let at = self.rng.u32(60..SECONDS);
            let seconds = self.rng.u32(30..=1_200);
            self.add(at, What::Pin { seconds });
        }
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
            tasks: ["run_task", "end_deployment"]
                .map(|action| (action.to_owned(), asked(action)))
                .into(),
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
    fn some_plans_change_only_the_time() {
        let plans = (0..400).map(|seed| Plan::draw(seed, &known()));
        let late = plans.filter(Plan::changes_only_the_time).count();
        assert!((8..40).contains(&late), "{late}");
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
