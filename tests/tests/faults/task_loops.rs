//! Every Task state of the machines as they were deployed × everything that can happen to it: its function dies before
//! its effect or after it, runs twice, is late, reaches its timeout, the state's own time runs out, and it fails with
//! every error that there is.
//!
//! The Task states are read from the account, and who tries what is read from the calls that were made: a Task that is
//! added to a machine is disturbed from then on, and [`every_task_state_is_reached_by_a_story`] fails while no story
//! reaches it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use esclusa_core::error::ErrorKind;
use esclusa_core::verdict::Mode;
use jiff::SignedDuration;
use lab::explorer::invariants::check;
use lab::explorer::{Pushed, Truth};
use serde_json::{Value, json};
use simulator::{CallRecord, FaultKind, FunctionError, FunctionFault, Selector};
use simulator_step_functions::{Definition, Kind, Quantity, Retrier, State};

use crate::denials::untruth;
use crate::many::each;
use crate::observation::{FAILED, Observation, text};
use crate::points::payload;
use crate::shop::Shop;
use crate::stories::Story;

/// In the order of preference: a Task state is disturbed in the first that reaches it.
const STORIES: [Story; 6] = [
    Story::Good,
    Story::WayBack,
    Story::HangingRollout,
    Story::HangingMigration,
    Story::Queue,
    Story::Replanned,
];

const SEED: u64 = 1;

/// Later than usual, and still within the time of every state.
const LATE: SignedDuration = SignedDuration::from_secs(45);

/// How long after a state's time is up its call comes all the same.
const TOO_LATE: SignedDuration = SignedDuration::from_secs(1);

/// The error of a function that dies.
const DIES: &str = "Runtime.ExitError";

/// An error that is in no state.
const UNKNOWN: &str = "Nobody.KnowsThis";

/// A day of simulated time is a few seconds.
const SHORT: SignedDuration = SignedDuration::from_hours(24);

/// How often a state is disturbed within one visit, which must be less than any state is retried.
const TRIES: usize = 12;

/// The calls that move something.
const ACTS: [&str; 2] = ["RunTask", "UpdateService"];

/// What a failing state leaves is found by the sweeps only: an end that nobody wrote, and a wait that nobody needs,
/// some time after the deadline of its step.
const HEALED: SignedDuration = SignedDuration::from_hours(1);

/// One visit to a Task state: which of its tries begins it, from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    task: Task,
    nth: u64,
    /// How long the state may last.
    time: SignedDuration,
}

/// A Task state, in each direction of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    machine: String,
    state: String,
    is_way_back: bool,
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way_back = if self.is_way_back { " on the way back" } else { "" };
        write!(formatter, "`{}` of `{}`{way_back}", self.state, self.machine)
    }
}

fn thrown(error: &str) -> FunctionError {
    FunctionError::new(error, format!("`{error}`, as it was planned"))
}

/// The states of the machines in the account, by machine and name.
struct Deployed(BTreeMap<(String, String), Arc<State>>);

impl Deployed {
    fn read(shop: &mut Shop) -> Self {
        let listed = shop.ask("states", "ListStateMachines", json!({}));
        let mut states = BTreeMap::new();
        for machine in listed["stateMachines"].as_array().unwrap() {
            let described = shop.ask(
                "states",
                "DescribeStateMachine",
                json!({"stateMachineArn": machine["stateMachineArn"]}),
            );
            let definition = Definition::parse(text(&described, "/definition")).unwrap();
            let mut flows = vec![&*definition.flow];
            while let Some(flow) = flows.pop() {
                flows.extend(flow.inner().map(|(_, inner)| inner));
                let machine = text(machine, "/name");
                let named = flow.states.iter();
                states.extend(named.map(|(name, state)| ((machine.to_owned(), name.clone()), Arc::clone(state))));
            }
        }
        Self(states)
    }

    /// The errors that pass by themselves, as far as any state knows them: every state must outlast each.
    fn passing(&self) -> BTreeSet<String> {
        let retriers = self.0.values().flat_map(|state| &state.recovery.retry);
        let names = retriers.flat_map(|retrier| &retrier.error_equals);
        let passes = |name: &&String| match name.parse::<ErrorKind>() {
            Ok(kind) => kind.is_retryable(),
            // Step Functions raises these by itself.
            Err(_) => !name.starts_with("States."),
        };
        names.filter(passes).cloned().collect()
    }

    /// The errors that do not: what any state knows, every kind of ours, and one that nobody knows.
    fn lasting(&self) -> BTreeSet<String> {
        let catchers = self.0.values().flat_map(|state| &state.recovery.catch);
        let caught = catchers.flat_map(|catcher| &catcher.error_equals);
        let kinds = ErrorKind::ALL.map(|kind| kind.as_str().to_owned());
        let names = caught.filter(|name| !name.starts_with("States.")).cloned();
        let names = names.chain(kinds).chain([UNKNOWN.to_owned()]);
        let passing = self.passing();
        names.filter(|name| !passing.contains(name)).collect()
    }

    fn tasks(&self) -> impl Iterator<Item = &(String, String)> {
        let tasks = self.0.iter().filter(|(_, state)| matches!(state.kind, Kind::Task(_)));
        tasks.map(|(name, _)| name)
    }

    fn state(&self, task: &Task) -> &State {
        &self.0[&(task.machine.clone(), task.state.clone())]
    }

    fn waits_by_token(&self, task: &Task) -> bool {
        matches!(&self.state(task).kind, Kind::Task(task) if task.resource.wait_for_task_token)
    }

    /// Whether this state tries again after this error.
    fn is_retried(&self, task: &Task, error: &str) -> bool {
        let knows = |retrier: &Retrier| retrier.error_equals.iter().any(|name| name == error);
        self.state(task).recovery.retry.iter().any(knows)
    }

    /// Whether the execution fails with this state, because nobody is left to catch what it says.
    fn has_the_last_word(&self, task: &Task) -> bool {
        let fails = |next: &String| {
            let next = self.0.get(&(task.machine.clone(), next.clone()));
            next.is_some_and(|next| matches!(next.kind, Kind::Fail(_)))
        };
        self.state(task)
            .recovery
            .catch
            .iter()
            .any(|catcher| fails(&catcher.next))
    }

    /// How long a state may last: as it is written, or as it was computed for its wait.
    fn time(&self, tried: &Try) -> SignedDuration {
        let written = match &self.state(&tried.task).kind {
            Kind::Task(task) => task.timeout_seconds.as_ref(),
            _ => None,
        };
        let seconds = match written {
            Some(Quantity::Literal(seconds)) => *seconds,
            _ => tried.waits_seconds.unwrap(),
        };
        SignedDuration::from_secs(i64::try_from(seconds).unwrap())
    }
}

/// One try of a Task state, as it was made.
struct Try {
    task: Task,
    /// How often it was tried before within its visit.
    retry: u64,
    /// How long it waits for its token.
    waits_seconds: Option<u64>,
    is_struck: bool,
}

impl Try {
    fn of(call: &CallRecord) -> Option<Self> {
        let made_for = call.task.as_ref()?;
        Some(Self {
            task: Task {
                machine: made_for.machine.clone(),
                state: made_for.state.clone(),
                is_way_back: text(payload(call), "/step/mode") == Mode::WayBack.as_str(),
            },
            retry: made_for.retry,
            waits_seconds: payload(call).pointer("/wait/timeoutSeconds").and_then(Value::as_u64),
            is_struck: call.fault.is_some() || call.function_fault.is_some(),
        })
    }
}

/// A story that was told to its end.
struct Told {
    observed: Observation,
    violations: Vec<String>,
    records: BTreeMap<String, usize>,
    tries: Vec<Try>,
    /// Whether anything was called that moves something.
    has_acted: bool,
}

impl Told {
    /// With `heals`, what is left behind has some time to be found.
    fn of(story: Story, heals: bool, plan: impl FnOnce(&mut Shop)) -> Self {
        let mut shop = Shop::open(SEED);
        plan(&mut shop);
        let at = shop.now();
        let digest = story.tell(&mut shop);
        let mut observed = shop.observe(&digest);
        if heals && !observed.problems.is_empty() {
            shop.run_for(HEALED);
            observed = shop.observe(&digest);
        }
        let pushed = Pushed {
            at,
            application: "shop",
            tag: story.tag().to_owned(),
            digest,
        };
        let truth = Truth {
            pushed: vec![pushed],
            settled: true,
            // What is disturbed here takes as long as it takes.
            noticed_within: SignedDuration::MAX,
            ..Truth::default()
        };
        let (violations, _) = check(&mut shop, &truth);
        let violations = violations.iter().map(ToString::to_string);
        let calls = || shop.lab.world().calls().iter().skip(shop.calls_before);
        let acts = |call: &CallRecord| call.function.is_some() && ACTS.contains(&call.operation.as_str());
        Self {
            observed,
            violations: violations.chain(unproven(&shop)).collect(),
            records: records(&shop),
            tries: calls().filter_map(Try::of).collect(),
            has_acted: calls().any(acts),
        }
    }

    /// How often a fault landed at each Task state.
    fn landed(&self) -> BTreeMap<Task, usize> {
        let struck = self.tries.iter().filter(|tried| tried.is_struck);
        count(struck.map(|tried| tried.task.clone()))
    }

    /// What is other than undisturbed, or must never be.
    fn differences(&self, undisturbed: &Undisturbed) -> Vec<String> {
        let mut found = self.observed.problems.clone();
        found.extend(self.violations.iter().cloned());
        let (end, expected) = (&self.observed.end, &undisturbed.told.observed.end);
        if end != expected {
            found.push(format!("it ends as {end:?}\n  and not as {expected:?}"));
        }
        found
    }

    /// The records that are other than undisturbed.
    fn other_records(&self, undisturbed: &Undisturbed) -> Vec<String> {
        let (records, expected) = (&self.records, &undisturbed.told.records);
        let all: BTreeSet<&String> = records.keys().chain(expected.keys()).collect();
        let times = |records: &BTreeMap<String, usize>, name| records.get(name).copied().unwrap_or_default();
        all.into_iter()
            .map(|name| (name, times(records, name), times(expected, name)))
            .filter(|(_, written, expected)| written != expected)
            .map(|(name, written, expected)| format!("{written} records, and not {expected}, of {name}"))
            .collect()
    }
}

fn count<T: Ord>(items: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

/// What the ledger says, without what was only seen on the way: how often a task or a rollout is looked at is nothing
/// that a disturbance must keep.
fn records(shop: &Shop) -> BTreeMap<String, usize> {
    let is_sight = |kind: &str| ["task_state", "service_progress"].contains(&kind);
    let items = shop.items("esclusa-ledger");
    let written = items.iter().filter(|item| !is_sight(text(item, "/kind/S")));
    count(written.map(|item| {
        let body: Value = serde_json::from_str(text(item, "/body/S")).unwrap();
        let part = |pointer: &str| body.pointer(pointer).map(Value::to_string).unwrap_or_default();
        let chain = text(item, "/chain/S").split('/').next().unwrap();
        let parts = [
            "/action",
            "/target",
            "/step",
            "/name",
            "/outcome",
            "/services",
            "/end/verdict",
            "/end/effect",
        ];
        let parts: Vec<String> = parts
            .map(part)
            .into_iter()
            .filter(|part| !part.contains("arn:"))
            .collect();
        format!("{chain}: {} {}", text(item, "/kind/S"), parts.join(" "))
    }))
}

/// Steps that were taken before the one ahead of them was proven.
fn unproven(shop: &Shop) -> Vec<String> {
    let items = shop.items("esclusa-ledger");
    let mut records: Vec<&Value> = items.iter().collect();
    records.sort_by_key(|item| text(item, "/sequence/N").parse::<u64>().unwrap());
    let mut proven = BTreeSet::new();
    let mut found = Vec::new();
    for record in records {
        let body: Value = serde_json::from_str(text(record, "/body/S")).unwrap();
        let step = |back: u64| {
            let index = body.pointer("/step/index")?.as_u64()?.checked_sub(back)?;
            let (deployment, mode) = (text(record, "/deployment_id/S"), text(&body, "/step/mode"));
            Some((deployment, mode.to_owned(), index))
        };
        match (text(record, "/kind/S"), text(&body, "/outcome")) {
            ("judged", "done") => proven.extend(step(0)),
            ("intent", _) if step(1).is_some_and(|ahead| !proven.contains(&ahead)) => {
                found.push(format!(
                    "`{}` before the step ahead of it was proven: {}",
                    text(&body, "/action"),
                    body["step"]
                ));
            }
            _ => {}
        }
    }
    found
}

/// A story as it goes undisturbed.
struct Undisturbed {
    story: Story,
    told: Told,
    visits: Vec<Visit>,
}

/// The machines, and the stories in the order of preference.
struct Stage {
    deployed: Deployed,
    stories: Vec<Undisturbed>,
}

impl Stage {
    /// Read and told once.
    fn set() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(Self::read)
    }

    fn read() -> Self {
        let deployed = Deployed::read(&mut Shop::open(SEED));
        let stories = STORIES.map(|story| {
            let told = Told::of(story, false, |_| {});
            assert_eq!(told.observed.problems, Vec::<String>::new(), "{story:?}");
            assert_eq!(told.violations, Vec::<String>::new(), "{story:?}");
            let visits = visits(&deployed, &told.tries);
            Undisturbed { story, told, visits }
        });
        Self {
            deployed,
            stories: stories.into(),
        }
    }

    /// Every Task state once, at its first visit in the first story that reaches it.
    fn tasks(&self) -> Vec<(&Undisturbed, &Visit)> {
        let mut seen = BTreeSet::new();
        self.visits().filter(|(_, visit)| seen.insert(&visit.task)).collect()
    }

    /// Every visit of every story.
    fn visits(&self) -> impl Iterator<Item = (&Undisturbed, &Visit)> {
        let stories = self.stories.iter();
        stories.flat_map(|undisturbed| undisturbed.visits.iter().map(move |visit| (undisturbed, visit)))
    }

    /// What every state outlasts: the errors that pass, and the time of its function that is used up. Before the effect
    /// of the function, and after it.
    fn outlasted(&self) -> [Vec<FunctionFault>; 2] {
        let passing = self.deployed.passing();
        assert!(passing.contains(DIES), "a function that dies is not among {passing:?}");
        let errors = |fault: fn(FunctionError) -> FunctionFault| passing.iter().map(move |error| fault(thrown(error)));
        [
            errors(FunctionFault::FailsBefore)
                .chain([FunctionFault::TimesOutBefore])
                .collect(),
            errors(FunctionFault::FailsAfter)
                .chain([FunctionFault::TimesOutAfter])
                .collect(),
        ]
    }
}

fn visits(deployed: &Deployed, tries: &[Try]) -> Vec<Visit> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let visits = tries.iter().filter_map(|tried| {
        let nth = counts.entry((&tried.task.machine, &tried.task.state)).or_default();
        *nth += 1;
        (tried.retry == 0).then(|| Visit {
            task: tried.task.clone(),
            nth: *nth,
            time: deployed.time(tried),
        })
    });
    visits.collect()
}

/// Tells a story in which every visit to a Task state is disturbed in the same way, `times` in a row.
///
/// A state that waits by its token is over when the token comes: a function that has stored it may fail once only.
fn disturbed_everywhere(
    undisturbed: &Undisturbed,
    times: impl Fn(&Task) -> RangeInclusive<usize>,
    what: &str,
    plan: impl FnOnce(&mut Shop),
) -> Option<String> {
    let told = Told::of(undisturbed.story, false, plan);
    let mut found = told.differences(undisturbed);
    found.extend(told.other_records(undisturbed));
    let visited = count(undisturbed.visits.iter().map(|visit| visit.task.clone()));
    let landed = told.landed();
    for (task, visits) in visited {
        let (landed, times) = (landed.get(&task).copied().unwrap_or_default(), times(&task));
        if !(visits * times.start()..=visits * times.end()).contains(&landed) {
            found.push(format!("{landed} faults landed at {visits} visits to {task}"));
        }
    }
    report(&told, &found, &format!("{what} everywhere in {:?}", undisturbed.story))
}

fn report(told: &Told, found: &[String], what: &str) -> Option<String> {
    let path = told.observed.path.join(" ");
    (!found.is_empty()).then(|| format!("{what}\n  path: {path}\n  {}", found.join("\n  ")))
}

fn try_number(retry: usize) -> Selector {
    Selector {
        retry: u64::try_from(retry).ok(),
        ..Selector::default()
    }
}

#[test]
fn every_task_state_is_reached_by_a_story() {
    let stage = Stage::set();
    let reached: BTreeSet<(&str, &str)> = stage
        .visits()
        .map(|(_, visit)| (visit.task.machine.as_str(), visit.task.state.as_str()))
        .collect();
    let missed: Vec<_> = stage
        .deployed
        .tasks()
        .filter(|(machine, state)| !reached.contains(&(machine.as_str(), state.as_str())))
        .collect();
    assert!(missed.is_empty(), "no story reaches {missed:?}");
    assert!(stage.tasks().iter().any(|(_, visit)| visit.task.is_way_back));
}

/// Fails every visit of the stories with these faults in a row, so many at a time.
fn outlast(stage: &Stage, faults: &[FunctionFault], at_a_time: usize) {
    let chunks = || faults.chunks(at_a_time);
    let runs: Vec<_> = stage
        .stories
        .iter()
        .flat_map(|undisturbed| chunks().map(move |faults| (undisturbed, faults)))
        .collect();
    each(&runs, |(undisturbed, faults)| {
        let all = faults.len();
        let is_before = faults.iter().all(is_before);
        let times = |task: &Task| match is_before || !stage.deployed.waits_by_token(task) {
            true => all..=all,
            false => 1..=all,
        };
        disturbed_everywhere(undisturbed, times, &format!("{faults:?}"), |shop| {
            for (retry, fault) in faults.iter().enumerate() {
                shop.lab
                    .world_mut()
                    .add_function_fault(try_number(retry), fault.clone());
            }
        })
    });
}

fn is_before(fault: &FunctionFault) -> bool {
    matches!(fault, FunctionFault::FailsBefore(_) | FunctionFault::TimesOutBefore)
}

/// F20, F21, F22: it dies, it fails, its time is up: as often as it is retried, nothing else comes of it.
#[test]
fn every_task_state_outlasts_what_passes_before_its_effect() {
    let stage = Stage::set();
    let [before, _] = stage.outlasted();
    outlast(stage, &before, TRIES);
}

#[test]
fn every_task_state_outlasts_what_passes_after_its_effect() {
    let stage = Stage::set();
    let [_, after] = stage.outlasted();
    outlast(stage, &after, TRIES / 2);
}

#[test]
#[ignore = "takes minutes: every error for itself; the test above has several in a row"]
fn every_task_state_outlasts_each_error_that_passes() {
    let stage = Stage::set();
    for faults in stage.outlasted() {
        outlast(stage, &faults, 1);
    }
}

#[test]
fn every_task_state_may_run_twice_or_late() {
    let stage = Stage::set();
    let mishaps = [FaultKind::Repeat, FaultKind::Delay(LATE)];
    let runs: Vec<_> = stage
        .stories
        .iter()
        .flat_map(|undisturbed| mishaps.iter().map(move |mishap| (undisturbed, mishap)))
        .collect();
    each(&runs, |(undisturbed, mishap)| {
        disturbed_everywhere(
            undisturbed,
            |_| 1..=1,
            &format!("{mishap:?}"),
            |shop| {
                shop.fault(try_number(0), (*mishap).clone());
            },
        )
    });
}

/// The state gives its function up and tries again, or goes on without it; then the function runs all the same.
fn overtake(shop: &mut Shop, visit: &Visit, selector: Selector) {
    let selector = Selector {
        machine: Some(visit.task.machine.clone()),
        state: Some(visit.task.state.clone()),
        ..selector
    };
    shop.fault(selector, FaultKind::Delay(visit.time + TOO_LATE));
}

fn overtaken(stage: &Stage, undisturbed: &Undisturbed, visit: &Visit) -> Option<String> {
    let told = Told::of(undisturbed.story, false, |shop| {
        overtake(shop, visit, Selector::default().nth(visit.nth));
    });
    let mut found = told.differences(undisturbed);
    // One that goes on without its token says so.
    if !stage.deployed.waits_by_token(&visit.task) {
        found.extend(told.other_records(undisturbed));
    }
    if told.landed() != BTreeMap::from([(visit.task.clone(), 1)]) {
        found.push(format!("it landed at {:?}", told.landed()));
    }
    let what = format!(
        "{} is over before its function runs, in {:?}",
        visit.task, undisturbed.story
    );
    report(&told, &found, &what)
}

/// A state without a token tries again when its time is up: all of a story at once.
#[test]
fn every_task_state_tries_again_when_its_time_is_up() {
    let stage = Stage::set();
    each(&stage.stories, |undisturbed| {
        let waits = |task: &Task| stage.deployed.waits_by_token(task);
        let times = |task: &Task| if waits(task) { 0..=0 } else { 1..=1 };
        disturbed_everywhere(undisturbed, times, "too late", |shop| {
            let mut seen = BTreeSet::new();
            for visit in undisturbed.visits.iter().filter(|visit| !waits(&visit.task)) {
                if seen.insert((&visit.task.machine, &visit.task.state)) {
                    overtake(shop, visit, Selector::default().first_try());
                }
            }
        })
    });
}

/// A state that waits by its token goes on when its time is up, and what comes then knows the truth without it.
#[test]
fn every_wait_may_be_over_before_its_token_is_stored() {
    let stage = Stage::set();
    let mut waits = stage.tasks();
    waits.retain(|(_, visit)| stage.deployed.waits_by_token(&visit.task) && visit.time < SHORT);
    each(&waits, |(undisturbed, visit)| overtaken(stage, undisturbed, visit));
}

#[test]
#[ignore = "takes minutes: every visit, and days of simulated time; the tests above take what lasts for hours"]
fn the_time_of_every_visit_may_be_up() {
    let stage = Stage::set();
    let visits: Vec<_> = stage.visits().collect();
    each(&visits, |(undisturbed, visit)| overtaken(stage, undisturbed, visit));
}

/// One error at one visit.
struct Broken<'a> {
    undisturbed: &'a Undisturbed,
    visit: &'a Visit,
    error: &'a str,
    fault: FunctionFault,
}

impl Broken<'_> {
    fn run(&self, stage: &Stage) -> Option<String> {
        let Self {
            undisturbed,
            visit,
            error,
            fault,
        } = self;
        let told = Told::of(undisturbed.story, true, |shop| {
            let selector = Selector::state(&visit.task.machine, &visit.task.state).nth(visit.nth);
            shop.lab.world_mut().add_function_fault(selector, fault.clone());
        });
        let mut found = if stage.deployed.is_retried(&visit.task, error) {
            let mut found = told.differences(undisturbed);
            found.extend(told.other_records(undisturbed));
            found
        } else {
            let mut found = match undisturbed.story {
                // Of two releases the invariants tell.
                Story::Queue => told.observed.problems.clone(),
                _ => untruth(&told.observed),
            };
            found.retain(|problem| !(problem.ends_with(FAILED) && stage.deployed.has_the_last_word(&visit.task)));
            found.extend(told.violations.iter().cloned());
            found.extend(overstated(&told));
            found
        };
        if told.landed() != BTreeMap::from([(visit.task.clone(), 1)]) {
            found.push(format!("it landed at {:?}", told.landed()));
        }
        let end = &told.observed.end;
        let what = format!(
            "{fault:?} at {}, visit {}, in {:?}: {:?} {:?}",
            visit.task, visit.nth, undisturbed.story, end.releases, end.deployments
        );
        report(&told, &found, &what)
    }
}

/// Who has called nothing has left nothing.
fn overstated(told: &Told) -> Vec<String> {
    let end = &told.observed.end;
    let ends = end.releases.iter().chain(&end.deployments);
    let overstated = ends.filter(|end| !told.has_acted && !end.contains(" none "));
    overstated
        .map(|end| format!("`{end}`, and nothing was called"))
        .collect()
}

/// F85 and beyond: the end tells the truth, the locks are what it says, and nothing is left behind.
#[test]
fn whatever_error_a_task_state_meets_the_end_is_legal_true_and_clean() {
    let stage = Stage::set();
    let lasting = stage.deployed.lasting();
    let tasks = stage.tasks();
    let runs: Vec<Broken<'_>> = tasks
        .iter()
        .enumerate()
        .flat_map(|(place, (undisturbed, visit))| {
            lasting.iter().enumerate().map(move |(number, error)| Broken {
                undisturbed,
                visit,
                error,
                // In turns: every state and every error meet once.
                fault: if (place + number) % 2 == 0 {
                    FunctionFault::FailsBefore(thrown(error))
                } else {
                    FunctionFault::FailsAfter(thrown(error))
                },
            })
        })
        .collect();
    each(&runs, |broken| broken.run(stage));
}

#[test]
#[ignore = "takes minutes: every error at every visit, before and after; the test above takes every state once"]
fn whatever_error_any_visit_meets_the_end_is_legal_true_and_clean() {
    let stage = Stage::set();
    let lasting = stage.deployed.lasting();
    let both = [FunctionFault::FailsBefore, FunctionFault::FailsAfter];
    let runs: Vec<Broken<'_>> = stage
        .visits()
        .flat_map(|visit| lasting.iter().map(move |error| (visit, error)))
        .flat_map(|((undisturbed, visit), error)| {
            both.map(|fault| Broken {
                undisturbed,
                visit,
                error,
                fault: fault(thrown(error)),
            })
        })
        .collect();
    each(&runs, |broken| broken.run(stage));
}
