//! Esclusa under everything that can go wrong, in as many ways as there are seeds.
//!
//! A [`Plan`] is drawn from a seed: pushes, wishes of people, calls that fail, events that do not come, services that are away, clocks that are off, others
//! who act. [`run`] carries it out in a simulated account, waits until nothing more happens, and holds the invariants of [`invariants`] against what is there.
//! The same seed gives the same run, so that a violation can be looked at, cut shorter with [`shrink`] and kept as a test. One thing is not the world's: the quota
//! of repeats of the SDK is one for each service and Region of a process, so that a run in which much fails may repeat a call more or less often beside others.

pub mod coverage;
mod draw;
pub mod invariants;
mod plan;
mod seen;
mod shop;

use std::collections::{BTreeMap, BTreeSet};

use esclusa_adapters::control::Key;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator::{ApiError, DynamoDb, FaultKind, Principal, Selector};
use simulator_ecs::{CapacityShortage, Ecs};
use simulator_event_bridge::{Fault as DeliveryFault, Occurrence, Pattern};
use simulator_step_functions::{Status, StepFunctions};

pub use coverage::{Known, KnownCall, Landed, landed};
pub use invariants::Violation;
pub use plan::{Asked, Delivery, Happening, Mishap, Plan, Point, SomebodysAct, What};
pub use shop::{Account, Image, Member, Place, Shop, Story};

use crate::deployer::{DEPLOYER, InstallError};
use crate::lab::{is_at_work, is_settled};
use crate::walk::{Line, Tone, Walk};
use seen::text;

/// How long a lost push may take to be found, and what was left behind to be swept.
const HEALED: SignedDuration = SignedDuration::from_mins(20);

/// The longest time in which everything must have come to its end, after the last happening.
const PATIENCE: SignedDuration = SignedDuration::from_hours(36);

/// How often what was started late is waited for.
const ROUNDS: usize = 6;

/// How long people wait before they try again what did not work.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// How late a late call is.
const LATE: SignedDuration = SignedDuration::from_secs(30);

/// How soon the end of what is waited for is noticed when nothing goes wrong.
const NOTICED: SignedDuration = SignedDuration::from_secs(45);

/// How much later it may be noticed for everything that goes wrong: an event is delivered again, or a sweep finds it.
const FOUND: SignedDuration = SignedDuration::from_mins(6);

/// What the run brought about, as opposed to what Esclusa made of it.
#[derive(Debug, Clone)]
pub struct Truth {
    /// The images that were pushed, in order.
    pub pushed: Vec<Pushed>,
    /// What somebody else changed.
    pub changed: Vec<Changed>,
    /// The digests of images that cannot be pulled any more.
    pub removed: BTreeSet<String>,
    /// The digests of images whose servers answer with errors.
    pub erring: BTreeSet<String>,
    /// When the alarm of the verification began and ceased to fire.
    pub alarm: Vec<(Timestamp, bool)>,
    /// When the last service is back that was away.
    pub back_at: Option<Timestamp>,
    /// How soon the end of what is waited for is noticed, whatever went wrong.
    pub noticed_within: SignedDuration,
    /// Whether everything came to its end in time.
    pub settled: bool,
}

impl Truth {
    /// Whether the alarm of the verification fires from one moment to another without a break.
    #[must_use]
    pub fn fires_throughout(&self, from: Timestamp, to: Timestamp) -> bool {
        let before = self.alarm.iter().rfind(|(at, _)| *at <= from);
        let mut within = self.alarm.iter().filter(|(at, _)| *at > from && *at <= to);
        before.is_some_and(|(_, fires)| *fires) && within.all(|(_, fires)| *fires)
    }
}

impl Default for Truth {
    fn default() -> Self {
        Self {
            pushed: Vec::new(),
            changed: Vec::new(),
            removed: BTreeSet::new(),
            erring: BTreeSet::new(),
            alarm: Vec::new(),
            back_at: None,
            noticed_within: NOTICED,
            settled: false,
        }
    }
}

/// An image as it was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// When.
    pub at: Timestamp,
    /// Of which application.
    pub application: &'static str,
    /// Under which tag.
    pub tag: String,
    /// Its digest.
    pub digest: String,
}

/// A service of the shop's last environment that somebody else changed.
#[derive(Debug, Clone)]
pub struct Changed {
    /// When.
    pub at: Timestamp,
    /// The service.
    pub service: String,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What must not be.
    pub violations: Vec<Violation>,
    /// How often each pair of verdict and effect is the end of a deployment, and of a release.
    pub ends: BTreeMap<String, u64>,
    /// The faults that struck a call.
    pub landed: Vec<Landed>,
    /// What happened, where it was asked for.
    pub transcript: Vec<Line>,
}

/// The calls that undisturbed runs make, which are those that can go wrong, and what the state machines ask for.
///
/// # Errors
/// When the shop cannot be opened, or a Task of a state machine cannot be recognised.
pub fn known_calls() -> Result<Known, InstallError> {
    let mut known: BTreeMap<Point, BTreeMap<Story, u64>> = BTreeMap::new();
    let mut tasks = BTreeSet::new();
    for story in Story::ALL {
        let mut shop = Shop::open_in(1, story.account)?;
        tasks.extend(coverage::tasks(&mut shop)?);
        shop.push("v1", story.image).map_err(|error| refused(&error))?;
        if story.is_followed {
            shop.run_for(SignedDuration::from_secs(20));
            shop.push("v2", Image::Good).map_err(|error| refused(&error))?;
        }
        if story.account == Account::Gated {
            // Its cards are shown by then.
            shop.run_for(SignedDuration::from_mins(3));
            shop.acknowledge();
            shop.vote(Member::Ana, true);
            shop.vote(Member::Luis, true);
        }
        shop.lab.settle();
        shop.run_for(HEALED);
        let world = shop.lab.world();
        for call in world.calls().iter().skip(shop.calls_before) {
            let is_invocation = call.service == "lambda" && call.operation == "Invoke";
            if call.function.is_none() && !is_invocation {
                continue;
            }
            let payload = match call.invocation {
                Some(invocation) => world.payload(invocation),
                None => call.input.get("Payload"),
            };
            let point = Point {
                function: call.function.clone(),
                service: call.service.clone(),
                operation: call.operation.clone(),
                asked: payload.and_then(Asked::of),
            };
            *known.entry(point).or_default().entry(story).or_default() += 1;
        }
    }
    let calls = known.into_iter().map(|(point, counts)| KnownCall { point, counts });
    Ok(Known {
        tasks,
        calls: calls.collect(),
    })
}

/// Carries out a plan. With `tells` the outcome has a transcript.
///
/// # Errors
/// When the shop cannot be opened.
pub fn run(plan: &Plan, tells: bool) -> Result<Outcome, InstallError> {
    let Run {
        mut shop,
        truth,
        transcript,
        ..
    } = carry_out(plan, tells)?;
    let (mut violations, ends) = invariants::check(&mut shop, &truth);
    if plan.changes_only_the_time() {
        let mut in_time = carry_out(&plan.in_time(), false)?;
        violations.extend(invariants::compare(&mut shop, &mut in_time.shop));
    }
    Ok(Outcome {
        violations,
        ends,
        landed: landed(shop.lab.world()),
        transcript,
    })
}

/// Brings about what a plan says, and waits until nothing more happens.
fn carry_out(plan: &Plan, tells: bool) -> Result<Run, InstallError> {
    let mut run = Run {
        shop: Shop::open_in(plan.seed, plan.account)?,
        truth: Truth {
            noticed_within: noticed_within(plan),
            ..Truth::default()
        },
        walk: None,
        transcript: Vec::new(),
        lifts: BTreeMap::new(),
    };
    if tells {
        run.walk = Some(Walk::new([], run.shop.lab.world_mut()));
    }
    for happening in &plan.happenings {
        run.until(run.shop.opened_at + SignedDuration::from_secs(i64::from(happening.at_seconds)));
        run.tell(happening.what.to_string());
        run.bring_about(&happening.what);
    }
    run.come_to_rest();
    Ok(run)
}

/// The shortest plan that this finds in which the same invariants are violated: one happening after the other is left out.
///
/// # Errors
/// When the shop cannot be opened.
pub fn shrink(plan: &Plan, violations: &[Violation]) -> Result<Plan, InstallError> {
    let wanted = |found: &[Violation]| {
        let mut names = violations.iter().map(|violation| violation.invariant);
        names.any(|name| found.iter().any(|found| found.invariant == name))
    };
    let mut shortest = plan.clone();
    let mut index = shortest.happenings.len();
    while let Some(next) = index.checked_sub(1) {
        index = next;
        let mut shorter = shortest.clone();
        if index < shorter.happenings.len() {
            shorter.happenings.remove(index);
            if wanted(&run(&shorter, false)?.violations) {
                shortest = shorter;
            }
        }
    }
    Ok(shortest)
}

struct Run {
    shop: Shop,
    truth: Truth,
    walk: Option<Walk>,
    transcript: Vec<Line>,
    /// When a person lifts what stands.
    lifts: BTreeMap<Standing, Timestamp>,
}

/// What a person has ordered until it is lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Nothing comes into the environments.
    Freeze,
    /// The last environment keeps its version.
    Pin,
}

impl Standing {
    /// The words that lift it.
    fn lift(self) -> &'static [&'static str] {
        match self {
            Self::Freeze => &["unfreeze", Shop::NAME, "--reason", "it is over"],
            Self::Pin => &["unpin", Shop::NAME, Shop::ENVIRONMENT, "--reason", "it is over"],
        }
    }

    /// The partition of its rows.
    fn rows(self) -> String {
        match self {
            Self::Freeze => Key::freezes_of(Shop::NAME),
            Self::Pin => Key::pins_of(Shop::NAME),
        }
    }
}

impl Run {
    fn tell(&mut self, text: String) {
        if self.walk.is_some() {
            self.transcript.push(Line {
                at: self.shop.now(),
                place: String::new(),
                who: "plan".to_owned(),
                text,
                tone: Tone::Bad,
                state: false,
            });
        }
    }

    /// Runs until then. What stands is lifted in between.
    fn until(&mut self, end: Timestamp) {
        loop {
            let next = self.lifts.iter().min_by_key(|(_, at)| **at);
            let Some((standing, at)) = next.map(|(standing, at)| (*standing, *at)).filter(|(_, at)| *at <= end) else {
                break;
            };
            self.look_until(at);
            self.esclusa(standing.lift());
            if self.stands(standing) {
                self.lifts.insert(standing, at + AGAIN);
            } else {
                self.lifts.remove(&standing);
            }
        }
        self.look_until(end);
    }

    fn stands(&self, standing: Standing) -> bool {
        let control = self.shop.items("esclusa-control");
        let mut rows = control.iter().filter(|item| text(item, "/pk/S") == standing.rows());
        rows.any(|item| item.get("lifted").is_none())
    }

    /// A person orders something that another order lifts after a while.
    fn order(&mut self, standing: Standing, words: &[&str], seconds: u32) {
        self.esclusa(words);
        let lifted_at = self.shop.now() + SignedDuration::from_secs(i64::from(seconds));
        self.lifts.insert(standing, lifted_at);
    }

    /// Runs until then, and looks every second where it is told what happens.
    fn look_until(&mut self, end: Timestamp) {
        let Some(walk) = &mut self.walk else {
            self.shop.lab.simulation().run_until_time(end);
            return;
        };
        while self.shop.now() < end {
            let next = end.min(self.shop.now() + SignedDuration::from_secs(1));
            self.shop.lab.simulation().run_until_time(next);
            let lines = walk.look(self.shop.lab.world_mut());
            self.transcript.extend(lines);
        }
    }

    fn pass(&mut self, time: SignedDuration) {
        self.until(self.shop.now() + time);
    }

    /// Waits until nothing more happens, also nothing that is found late.
    fn come_to_rest(&mut self) {
        if let Some(back_at) = self.truth.back_at {
            self.until(back_at);
        }
        let last = self.shop.now() + PATIENCE;
        for _ in 0..ROUNDS {
            while !is_settled(self.shop.lab.world()) && self.shop.now() < last {
                self.pass(SignedDuration::from_mins(1));
            }
            let before = self.executions();
            self.pass(HEALED);
            if self.executions() == before {
                break;
            }
        }
        // A wait whose state is gone is given up some time after its deadline.
        while self.is_waited_for() && self.shop.now() < last {
            self.pass(HEALED);
        }
        self.truth.settled = !is_at_work(self.shop.lab.world());
    }

    fn is_waited_for(&self) -> bool {
        let control = self.shop.items("esclusa-control");
        let mut keys = control.iter().filter_map(|item| item.pointer("/pk/S")?.as_str());
        keys.any(|key| key == "OPEN#WAIT")
    }

    fn executions(&self) -> usize {
        let machines = self.shop.lab.world().service::<StepFunctions>();
        machines.map_or(0, |machines| machines.executions().len())
    }

    fn bring_about(&mut self, what: &What) {
        match what {
            What::Push { tag, image } => {
                let pushed = self.shop.push(tag, *image);
                if let (Ok(digest), Image::Erring) = (&pushed, image) {
                    self.truth.erring.insert(digest.clone());
                }
                self.pushed(Shop::NAME, tag, pushed);
            }
            What::PushOther { tag } => {
                let pushed = self.shop.push_other(tag);
                self.pushed(Shop::OTHER, tag, pushed);
            }
            What::Deploy { tag, hotfix } => {
                let mut words = vec!["deploy", Shop::NAME, Shop::ENVIRONMENT, tag, "--no-wait"];
                if *hotfix {
                    words.extend(["--hotfix", "--reason", "customers wait"]);
                }
                self.esclusa(&words);
            }
            What::Rollback => {
                let words = [
                    "rollback",
                    Shop::NAME,
                    Shop::ENVIRONMENT,
                    "--reason",
                    "errors",
                    "--no-wait",
                ];
                self.esclusa(&words);
            }
            What::Stop => {
                if let Some(release) = self.shop.last_begun() {
                    self.esclusa(&["stop", &release, "--reason", "the wrong version"]);
                }
            }
            What::Hold { seconds } => {
                if let Some(release) = self.shop.last_begun() {
                    let until = format!("{seconds}s");
                    self.esclusa(&["hold", &release, "--reason", "wait for us", "--until", &until]);
                }
            }
            What::ReleaseHold => {
                if let Some(release) = self.shop.last_begun() {
                    self.esclusa(&["release-hold", &release, "--reason", "we are ready"]);
                }
            }
            What::Freeze { seconds } => {
                self.order(
                    Standing::Freeze,
                    &["freeze", Shop::NAME, "--reason", "an outage"],
                    *seconds,
                );
            }
            What::Pin { seconds } => {
                let words = ["pin", Shop::NAME, Shop::ENVIRONMENT, "--reason", "a sale"];
                self.order(Standing::Pin, &words, *seconds);
            }
            What::Recheck => self.esclusa(&["recheck", Shop::NAME, Shop::FIRST]),
            What::Vote { member, approves } => self.shop.vote(*member, *approves),
            What::Acknowledge => {
                let told = self.shop.acknowledge();
                self.tell(told);
            }
            What::Call { point, nth, mishap } => {
                self.shop.fault(selector(point).nth(*nth), fault(*mishap, point));
            }
            What::Event {
                detail_type,
                nth,
                delivery,
            } => {
                let Ok(pattern) = Pattern::compile(&json!({"detail-type": [detail_type]})) else {
                    return;
                };
                let seconds = |seconds: u32| SignedDuration::from_secs(i64::from(seconds));
                let fault = match delivery {
                    Delivery::Drop => DeliveryFault::Drop,
                    Delivery::Duplicate { seconds: later } => DeliveryFault::Duplicate(seconds(*later)),
                    Delivery::Delay { seconds: by } => DeliveryFault::Delay(seconds(*by)),
                };
                self.shop.disturb(pattern, Occurrence::Nth(*nth), fault);
            }
            What::Down { service, seconds } => {
                let selector = Selector {
                    service: Some(service.clone()),
                    ..Selector::default()
                };
                let away = ApiError::server("ServiceUnavailable", "the service is away");
                self.for_a_while(*seconds, selector, FaultKind::ErrorBefore(away));
            }
            What::Denied { point, seconds } => {
                self.for_a_while(*seconds, selector(point), fault(Mishap::Denied, point));
            }
            What::Alarm { fires } => {
                let state = if *fires { "ALARM" } else { "OK" };
                let input = json!({"AlarmName": Shop::ALARM, "StateValue": state, "StateReason": "drawn"});
                self.ask("monitoring", "SetAlarmState", input);
                self.truth.alarm.push((self.shop.now(), *fires));
            }
            What::LateMetrics { seconds } => {
                let metrics = &mut self.shop.lab.world_mut().kernel_mut().metrics;
                metrics.lag = SignedDuration::from_secs(i64::from(*seconds));
            }
            What::Shortage { seconds } => {
                let (from, until) = self.window(*seconds);
                self.shop.account.at_work(self.shop.lab.world_mut(), |world| {
                    if let Some((ecs, _)) = world.service_mut::<Ecs>() {
                        let shortage = CapacityShortage::fargate(from, until);
                        ecs.settings.capacity_shortages.push(shortage);
                    }
                });
            }
            What::Skew { function, seconds } => {
                let role = Principal::Role(format!("{DEPLOYER}-{function}"));
                let skew = SignedDuration::from_secs(i64::from(*seconds));
                self.shop.lab.world_mut().skew_clock(&role, skew);
            }
            What::StaleReads { seconds } => {
                if let Some((dynamodb, _)) = self.shop.lab.world_mut().service_mut::<DynamoDb>() {
                    // Tables that cannot be copied are read as they are.
                    let _unchanged = dynamodb.set_read_lag(SignedDuration::from_secs(i64::from(*seconds)));
                }
            }
            What::Somebody { act } => self.somebody(act),
        }
    }

    fn pushed(&mut self, application: &'static str, tag: &str, pushed: Result<String, ApiError>) {
        // What is there already is not pushed.
        if let Ok(digest) = pushed {
            self.truth.removed.remove(&digest);
            self.truth.pushed.push(Pushed {
                at: self.shop.now(),
                application,
                tag: tag.to_owned(),
                digest,
            });
        }
    }

    /// From now on for so many seconds; whoever waits for the end of everything waits for the end of this first.
    fn window(&mut self, seconds: u32) -> (Timestamp, Timestamp) {
        let from = self.shop.now();
        let until = from + SignedDuration::from_secs(i64::from(seconds));
        self.truth.back_at = self.truth.back_at.max(Some(until));
        (from, until)
    }

    fn for_a_while(&mut self, seconds: u32, selector: Selector, kind: FaultKind) {
        let (from, until) = self.window(seconds);
        self.shop.fault(selector.between(from, until), kind);
    }

    /// Asks by the command line. What is refused is refused.
    fn esclusa(&mut self, words: &[&str]) {
        let answer = self.shop.lab.esclusa(words);
        self.tell(format!("esclusa {}: {}{}", words.join(" "), answer.out, answer.err));
    }

    fn somebody(&mut self, act: &SomebodysAct) {
        let cluster = Shop::CLUSTER;
        match act {
            SomebodysAct::UpdateService { service } => {
                let definition = format!("shop-{service}:1");
                let input = json!({"cluster": cluster, "service": service, "taskDefinition": definition});
                self.change(service, "UpdateService", input);
            }
            SomebodysAct::StopServiceTask { service } => {
                self.stop_tasks(json!({"cluster": cluster, "serviceName": service, "maxResults": 1}));
            }
            SomebodysAct::StopEveryTask => self.stop_tasks(json!({"cluster": cluster})),
            SomebodysAct::StopMigration => {
                self.stop_tasks(json!({"cluster": cluster, "family": Shop::MIGRATIONS}));
            }
            SomebodysAct::StopRollout { service } => {
                let input = json!({"cluster": cluster, "service": service, "status": ["PENDING", "IN_PROGRESS"]});
                let listed = self.ask("ecs", "ListServiceDeployments", input);
                if let Some(arn) = listed.pointer("/serviceDeployments/0/serviceDeploymentArn") {
                    let input = json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"});
                    self.change(service, "StopServiceDeployment", input);
                }
            }
            SomebodysAct::ScaleToZero { service } => {
                let input = json!({"cluster": cluster, "service": service, "desiredCount": 0});
                self.change(service, "UpdateService", input);
            }
            SomebodysAct::DeleteService { service } => {
                let input = json!({"cluster": cluster, "service": service, "force": true});
                self.change(service, "DeleteService", input);
            }
            SomebodysAct::RegisterBase { container } => {
                let definition = self.shop.account.task_definition(Shop::NAME, container, "1024");
                self.ask("ecs", "RegisterTaskDefinition", definition);
            }
            SomebodysAct::DeregisterBase { container } => {
                let input = json!({"taskDefinition": format!("{}-{container}:1", Shop::NAME)});
                self.ask("ecs", "DeregisterTaskDefinition", input);
            }
            SomebodysAct::DeleteImage { tag } => {
                let input = json!({"repositoryName": Shop::NAME, "imageIds": [{"imageTag": tag}]});
                self.remove(tag, "BatchDeleteImage", input);
            }
            SomebodysAct::ArchiveImage { tag } => {
                let image = json!({"imageTag": tag});
                let input = json!({"repositoryName": Shop::NAME, "imageId": image, "targetStorageClass": "ARCHIVE"});
                self.remove(tag, "UpdateImageStorageClass", input);
            }
            SomebodysAct::StopExecution { machine } => {
                let of_machine = format!(":{DEPLOYER}-{machine}:");
                let world = self.shop.lab.world();
                let running = world.service::<StepFunctions>().and_then(|machines| {
                    let mut arns = machines.executions().iter().rev();
                    arns.find(|arn| arn.contains(&of_machine) && machines.status(arn) == Some(Status::Running))
                        .cloned()
                });
                if let Some(arn) = running {
                    self.ask(
                        "states",
                        "StopExecution",
                        json!({"executionArn": arn, "cause": "by hand"}),
                    );
                }
            }
        }
    }

    fn stop_tasks(&mut self, which: Value) {
        let listed = self.ask("ecs", "ListTasks", which);
        let tasks = listed.get("taskArns").and_then(Value::as_array);
        for task in tasks.into_iter().flatten() {
            let input = json!({"cluster": Shop::CLUSTER, "task": task, "reason": "by hand"});
            self.ask("ecs", "StopTask", input);
        }
    }

    fn change(&mut self, service: &str, operation: &str, input: Value) {
        self.ask("ecs", operation, input);
        let (at, service) = (self.shop.now(), service.to_owned());
        self.truth.changed.push(Changed { at, service });
    }

    /// Takes away the image that a tag points to now.
    fn remove(&mut self, tag: &str, operation: &str, input: Value) {
        self.ask("ecr", operation, input);
        let mut pushed = self.truth.pushed.iter().rev();
        let gone = pushed.find(|pushed| pushed.application == Shop::NAME && pushed.tag == tag);
        self.truth.removed.extend(gone.map(|pushed| pushed.digest.clone()));
    }

    /// What somebody else asks may be refused: then nothing has happened.
    fn ask(&mut self, service: &str, operation: &str, input: Value) -> Value {
        self.shop.ask(service, operation, input).unwrap_or_default()
    }
}

/// How soon the end of what is waited for must be noticed in spite of everything that a plan brings.
fn noticed_within(plan: &Plan) -> SignedDuration {
    let seconds = |seconds: u32| SignedDuration::from_secs(i64::from(seconds));
    plan.happenings.iter().fold(NOTICED, |within, happening| {
        within
            + match &happening.what {
                What::Call { .. } | What::Event { .. } | What::Skew { .. } | What::StaleReads { .. } => FOUND,
                What::Down { seconds: away, .. } | What::Denied { seconds: away, .. } => seconds(*away) + FOUND,
                What::Push { .. }
                | What::PushOther { .. }
                | What::Deploy { .. }
                | What::Rollback
                | What::Stop
                | What::Hold { .. }
                | What::ReleaseHold
                | What::Freeze { .. }
                | What::Pin { .. }
                | What::Recheck
                | What::Acknowledge
                | What::Vote { .. }
                | What::Alarm { .. }
                | What::LateMetrics { .. }
                | What::Shortage { .. }
                | What::Somebody { .. } => SignedDuration::ZERO,
            }
    })
}

fn selector(point: &Point) -> Selector {
    Selector {
        function: point.function.clone(),
        payload: point.asked.iter().flat_map(Asked::members).collect(),
        ..Selector::operation(&point.service, &point.operation)
    }
}

fn fault(mishap: Mishap, point: &Point) -> FaultKind {
    let broken = || match point.service.as_str() {
        "lambda" => ApiError::server("ServiceException", "an error of the service's own"),
        _ => ApiError::server("InternalServerError", "an error of the service's own"),
    };
    match mishap {
        Mishap::DieBefore => FaultKind::DieBefore,
        Mishap::DieAfter => FaultKind::DieAfter,
        Mishap::AnswerLost => FaultKind::AnswerLost,
        Mishap::ErrorBefore => FaultKind::ErrorBefore(broken()),
        Mishap::ErrorAfter => FaultKind::ErrorAfter(broken()),
        Mishap::Throttle => FaultKind::Throttle,
        Mishap::Conflict => FaultKind::Conflict,
        Mishap::Denied => {
            let message = format!("not allowed to do `{}:{}`", point.service, point.operation);
            FaultKind::ErrorBefore(ApiError::client("AccessDeniedException", message))
        }
        Mishap::Late => FaultKind::Delay(LATE),
        Mishap::Twice => FaultKind::Repeat,
    }
}

fn refused(error: &ApiError) -> InstallError {
    InstallError::Account(error.to_string())
}
