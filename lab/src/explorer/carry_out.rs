//! Carrying out a plan: bringing about what it says, at the moments that it says, until nothing more happens.

use std::collections::BTreeMap;

use esclusa_adapters::control::Key;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator::{ApiError, DynamoDb, FaultKind, Principal, Selector};
use simulator_ecs::{CapacityShortage, Ecs};
use simulator_event_bridge::{Fault as DeliveryFault, Occurrence, Pattern};
use simulator_step_functions::{Status, StepFunctions};

use super::plan::{Asked, Delivery, Mishap, Plan, Point, SomebodysAct, What};
use super::seen::text;
use super::shop::{Image, Shop};
use super::{Changed, HEALED, Pushed, SWEPT, Truth};
use crate::deployer::{DEPLOYER, InstallError};
use crate::lab::{is_at_work, is_settled};
use crate::walk::{Line, Tone, Walk};

/// The longest time in which everything must have come to its end, after the last happening.
const PATIENCE: SignedDuration = SignedDuration::from_hours(36);

/// How often what was started late is waited for.
const ROUNDS: usize = 6;

/// How long people wait before they try again what did not work.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// How late a late call is.
const LATE: SignedDuration = SignedDuration::from_secs(30);

/// How soon the end of what is waited for is noticed when nothing goes wrong.
pub(super) const NOTICED: SignedDuration = SignedDuration::from_secs(45);

/// How much later it may be noticed for everything that goes wrong: an event is delivered again, or a sweep finds it.
const FOUND: SignedDuration = SignedDuration::from_mins(6);

/// Brings about what a plan says, and waits until nothing more happens.
pub(super) fn carry_out(plan: &Plan, tells: bool) -> Result<Run, InstallError> {
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
    run.come_to_rest(SWEPT);
    Ok(run)
}

/// A run while it is carried out.
pub(super) struct Run {
    pub(super) shop: Shop,
    pub(super) truth: Truth,
    walk: Option<Walk>,
    pub(super) transcript: Vec<Line>,
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

    /// Waits until nothing more happens, also nothing that is found so much later.
    pub(super) fn come_to_rest(&mut self, found_within: SignedDuration) {
        if let Some(back_at) = self.truth.back_at {
            self.until(back_at);
        }
        let last = self.shop.now() + PATIENCE;
        for _ in 0..ROUNDS {
            while !is_settled(self.shop.lab.world()) && self.shop.now() < last {
                self.pass(SignedDuration::from_mins(1));
            }
            let before = self.executions();
            self.pass(found_within);
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
            What::Somebody { act, first } => self.somebody(act, *first),
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

    fn somebody(&mut self, act: &SomebodysAct, first: bool) {
        let places = self.shop.account.places();
        let cluster = places
            .first()
            .filter(|_| first)
            .map_or(Shop::CLUSTER, |place| place.cluster);
        match act {
            SomebodysAct::UpdateService { service } => {
                let definition = format!("shop-{service}:1");
                let input = json!({"cluster": cluster, "service": service, "taskDefinition": definition});
                self.change((cluster, service), "UpdateService", input);
            }
            SomebodysAct::StopServiceTask { service } => {
                self.stop_tasks(
                    cluster,
                    json!({"cluster": cluster, "serviceName": service, "maxResults": 1}),
                );
            }
            SomebodysAct::StopEveryTask => self.stop_tasks(cluster, json!({"cluster": cluster})),
            SomebodysAct::StopMigration => {
                self.stop_tasks(cluster, json!({"cluster": cluster, "family": Shop::MIGRATIONS}));
            }
            SomebodysAct::StopRollout { service } => {
                let input = json!({"cluster": cluster, "service": service, "status": ["PENDING", "IN_PROGRESS"]});
                let listed = self.ask("ecs", "ListServiceDeployments", input);
                if let Some(arn) = listed.pointer("/serviceDeployments/0/serviceDeploymentArn") {
                    let input = json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"});
                    self.change((cluster, service), "StopServiceDeployment", input);
                }
            }
            SomebodysAct::ScaleToZero { service } => {
                let input = json!({"cluster": cluster, "service": service, "desiredCount": 0});
                self.change((cluster, service), "UpdateService", input);
            }
            SomebodysAct::DeleteService { service } => {
                let input = json!({"cluster": cluster, "service": service, "force": true});
                self.change((cluster, service), "DeleteService", input);
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

    fn stop_tasks(&mut self, cluster: &str, which: Value) {
        let listed = self.ask("ecs", "ListTasks", which);
        let tasks = listed.get("taskArns").and_then(Value::as_array);
        for task in tasks.into_iter().flatten() {
            let input = json!({"cluster": cluster, "task": task, "reason": "by hand"});
            self.ask("ecs", "StopTask", input);
        }
    }

    fn change(&mut self, (cluster, service): (&'static str, &str), operation: &str, input: Value) {
        let to_zero = input.get("desiredCount").and_then(Value::as_u64) == Some(0);
        self.ask("ecs", operation, input);
        self.truth.changed.push(Changed {
            at: self.shop.now(),
            cluster,
            service: service.to_owned(),
            to_zero,
        });
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
