//! What must hold after every run, read from ECS, Step Functions, the tables and the calls that were made; no decision of Esclusa is asked.
//!
//! | | holds |
//! |---|---|
//! | I1 | every release comes to one end of the closed table, and every push that is still there has a release |
//! | I2 | what an end says of the services is what runs, and nothing that was seen to fail is called verified |
//! | I3 | only one deployment at a time acts in an environment, from its first act to its end, and none behind a dirty end |
//! | I4 | a migration that is not idempotent starts once for a release, and never beside another; no code comes onto a schema that does not take it |
//! | I5 | nothing comes into an environment whose window is closed, nor without the agreement of somebody else with the very plan where that is asked |
//! | I6 | an older push never takes the place of a newer one |
//! | I7 | nothing is begun of a release that is stopped, nor where everything is frozen |
//! | I8 | no act without its intent, no intent without an end, and the record is whole |
//! | I10 | no task token is where people read |
//! | I11 | nothing is left behind, and what was suspended scales again |
//! | I12 | everything comes to its end, without a person where the end is clean, and what is waited for is noticed in time |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use esclusa_adapters::control::rows::{DeploymentRow, ReleaseKind, ReleaseRow};
use esclusa_core::supersession::Asked;
use esclusa_core::verdict::{Effect, End, Reason, Verdict, legal};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_step_functions::{Status, StepFunctions};

use super::seen::{Act, Written, acts, image_of, migrations, place_of, plain, rows, running, text, written};
use super::{Account, Member, Place, Shop, Truth};

/// The tables of the deployer.
const CONTROL: &str = "esclusa-control";
const LEDGER: &str = "esclusa-ledger";

/// How long an alarm of the verification may fire without being seen: looks at it are twenty seconds apart, and may be a minute late.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_secs(110);

/// How far the clock of a function may be ahead.
const SKEWED: SignedDuration = SignedDuration::from_secs(240);

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which, such as `I4`.
    pub invariant: &'static str,
    /// What is there instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.invariant, self.what)
    }
}

/// Everything that is not as it must be, and how often each end came out.
#[must_use]
pub fn check(shop: &mut Shop, truth: &Truth) -> (Vec<Violation>, BTreeMap<String, u64>) {
    let control = shop.items(CONTROL);
    let mut deployments: Vec<DeploymentRow> = rows(&control, "DEPLOYMENT");
    deployments.sort_by_key(|deployment| deployment.ended_at);
    let releases: Vec<ReleaseRow> = rows(&control, "RELEASE");
    let mut findings = Findings {
        acts: acts(shop, &deployments),
        written: written(shop),
        shop,
        truth,
        control: &control,
        deployments: &deployments,
        releases: &releases,
        violations: Vec::new(),
    };
    findings.everything_ends();
    findings.one_acts_at_a_time();
    findings.migrations_run_once();
    findings.code_fits_its_schema();
    findings.what_is_said_is_what_runs();
    findings.verified_works();
    findings.none_is_nothing();
    findings.newer_stays();
    findings.nobody_comes_who_may_not();
    findings.nobody_comes_unasked();
    findings.acts_are_announced();
    findings.nothing_leaks();
    findings.nothing_is_left();
    findings.ends_are_noticed();
    let violations = findings.violations;
    let mut ends = BTreeMap::new();
    for (what, end) in deployments
        .iter()
        .map(|deployment| ("deployment", &deployment.end))
        .chain(releases.iter().map(|release| ("release", &release.end)))
    {
        let end = end.as_ref().map_or_else(|| "no end".to_owned(), pair);
        *ends.entry(format!("{what} {end}")).or_default() += 1;
    }
    (violations, ends)
}

/// What brings a deployment on, as its intents name it.
const GOES_ON: [&str; 3] = ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:UpdateService"];

struct Findings<'a> {
    shop: &'a mut Shop,
    truth: &'a Truth,
    control: &'a [Value],
    deployments: &'a [DeploymentRow],
    releases: &'a [ReleaseRow],
    acts: Vec<Act>,
    written: Written,
    violations: Vec<Violation>,
}

impl Findings<'_> {
    fn violated(&mut self, invariant: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.violations.push(Violation { invariant, what });
    }

    fn everything_ends(&mut self) {
        if !self.truth.settled {
            self.violated("I12", "an execution still runs");
        }
        let ends = self.deployments.iter().map(|row| (&row.deployment_id, &row.end));
        let ends: Vec<_> = ends
            .chain(self.releases.iter().map(|row| (&row.release_id, &row.end)))
            .collect();
        for (id, end) in ends {
            match end {
                None => self.violated("I1", format!("`{id}` has no end")),
                Some(end) if !legal(end.verdict, end.effect) => {
                    self.violated("I1", format!("`{id}` ends as {}, which is no end", pair(end)));
                }
                Some(_) => {}
            }
        }
        let mut current = BTreeMap::new();
        for pushed in &self.truth.pushed {
            current.insert((pushed.application, &pushed.tag), &pushed.digest);
        }
        for ((application, tag), digest) in current {
            let is_of = |release: &&ReleaseRow| release.application == application && &release.digest == digest;
            if !self.truth.removed.contains(digest) && !self.releases.iter().any(|release| is_of(&release)) {
                self.violated("I1", format!("the push of `{tag}` of `{application}` has no release"));
            }
        }
    }

    fn one_acts_at_a_time(&mut self) {
        let mut found = Vec::new();
        // Of every place, the deployments that have acted there.
        let mut acted: BTreeMap<&(String, String), BTreeSet<&str>> = BTreeMap::new();
        for act in &self.acts {
            let told = format!("`{}` does `{}` at {}", act.deployment_id, act.operation, act.at);
            let acted = acted.entry(&act.place).or_default();
            for other in acted.iter().filter(|other| **other != act.deployment_id) {
                if self.written.ends.get(*other).is_none_or(|end| *end > act.at) {
                    found.push(format!("{told} while `{other}`, which has acted, is not at its end"));
                }
            }
            acted.insert(&act.deployment_id);
            // What was announced in time may reach ECS after the end: ECS knows no fence.
            let end = self.written.ends.get(&act.deployment_id).filter(|end| **end < act.at);
            if let Some(end) = end
                && !self.written.announced(act, *end)
            {
                found.push(format!("{told}, which it announced after its end at {end}"));
            }
            for dirty in self.dirty().filter(|dirty| place_of(dirty) == act.place) {
                let end = self.written.ends.get(&dirty.deployment_id);
                if dirty.deployment_id != act.deployment_id && end.is_some_and(|end| *end < act.at) {
                    found.push(format!("{told} behind the dirty end of `{}`", dirty.deployment_id));
                }
            }
        }
        for what in found {
            self.violated("I3", what);
        }
    }

    /// The alarm had fired for a while when a release was called good, or its servers answered with errors all the time.
    fn verified_works(&mut self) {
        let mut found = Vec::new();
        for (deployment_id, at) in &self.written.verified {
            if self.truth.fires_throughout(*at - SEEN_WITHIN, *at) {
                found.push(format!(
                    "`{deployment_id}` is called verified at {at}, while its alarm fires"
                ));
            }
            let mut deployments = self
                .deployments
                .iter()
                .filter(|row| row.deployment_id == *deployment_id);
            let release = deployments.next().map(|row| &row.release_id);
            let digest = self.releases.iter().find(|row| Some(&row.release_id) == release);
            if digest.is_some_and(|row| self.truth.erring.contains(&row.digest)) {
                found.push(format!(
                    "`{deployment_id}` is called verified at {at}, and its servers answer with errors"
                ));
            }
        }
        for what in found {
            self.violated("I2", what);
        }
    }

    fn dirty(&self) -> impl Iterator<Item = &DeploymentRow> {
        let is_dirty = |end: &End| end.effect.is_dirty();
        self.deployments
            .iter()
            .filter(move |row| row.end.as_ref().is_some_and(is_dirty))
    }

    fn migrations_run_once(&mut self) {
        let tasks = migrations(self.shop);
        let mut found = Vec::new();
        let mut started: BTreeMap<(&str, &str, &str), u32> = BTreeMap::new();
        for task in tasks.values().filter(|task| task.started_at.is_some()) {
            let mut runs = self.acts.iter().filter(|act| act.operation == "RunTask");
            let act = runs.find(|act| act.started_by == task.started_by);
            let Some(Act {
                deployment_id, mode, ..
            }) = act
            else {
                found.push(format!("a migration was started by nobody: `{}`", task.started_by));
                continue;
            };
            let release = self.deployments.iter().find(|row| row.deployment_id == *deployment_id);
            // Once forward, and once back where it is taken back.
            let release = release.map(|row| (row.release_id.as_str(), row.environment.as_str(), mode.as_str()));
            let times = started.entry(release.unwrap_or_default()).or_default();
            *times += 1;
            if *times > 1 {
                found.push(format!("the migration of `{deployment_id}` is started again"));
            }
        }
        let mut spans: BTreeMap<&str, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
        for task in tasks.values() {
            if let Some(started_at) = task.started_at {
                let span = (started_at, task.stopped_at.unwrap_or(Timestamp::MAX));
                spans.entry(&task.cluster).or_default().push(span);
            }
        }
        for spans in spans.values_mut() {
            spans.sort_unstable();
            for pair in spans.windows(2) {
                if let [(_, end), (start, _)] = pair
                    && start < end
                {
                    found.push(format!(
                        "a migration starts at {start}, beside one that runs until {end}"
                    ));
                }
            }
        }
        for what in found {
            self.violated("I4", what);
        }
    }

    /// Walks through the acts: no service is brought to code that is older than what a migration before has left the schema for.
    fn code_fits_its_schema(&mut self) {
        let tasks = migrations(self.shop);
        let mut found = Vec::new();
        // Of every place, what each deployment has left the schema for.
        let mut floors: BTreeMap<&(String, String), BTreeMap<&str, u64>> = BTreeMap::new();
        for act in self.acts.iter().filter(|act| act.place.0 == Shop::NAME) {
            let floors = floors.entry(&act.place).or_default();
            match act.operation.as_str() {
                "RunTask" => {
                    let task = tasks.values().find(|task| task.started_by == act.started_by);
                    let Some(task) = task.filter(|task| task.started_at.is_some()) else {
                        continue;
                    };
                    if act.mode == "way_back" {
                        if task.exit_code == Some(0) {
                            floors.remove(act.deployment_id.as_str());
                        }
                        continue;
                    }
                    let digest = image_of(self.shop, &act.task_definition);
                    floors.insert(&act.deployment_id, self.shop.versions_of(&digest).1);
                }
                "UpdateService" => {
                    let digest = image_of(self.shop, &act.task_definition);
                    let (version, _) = self.shop.versions_of(&digest);
                    let floor = floors.values().copied().max().unwrap_or_default();
                    if version < floor {
                        found.push(format!(
                            "`{}` brings a service to version {version} at {}, and the schema takes {floor} and later",
                            act.deployment_id, act.at
                        ));
                    }
                }
                _ => {}
            }
        }
        for what in found {
            self.violated("I4", what);
        }
    }

    /// Walks through the ends of each environment, and compares what must run after them with what does.
    fn what_is_said_is_what_runs(&mut self) {
        let mut found = Vec::new();
        for place in self.shop.account.places() {
            let deployments: Vec<&DeploymentRow> = self.deployments.iter().filter(|row| is_at(row, place)).collect();
            for service in place.services {
                let Some(expected) = self.expected(place, service, &deployments) else {
                    continue;
                };
                let running = running(self.shop, place.cluster, service);
                let other = running.iter().any(|digest| !is(&expected, digest));
                // What is stopped cannot be replaced when its image is gone.
                let may_be_less = self.truth.removed.contains(&expected);
                if other || (running.is_empty() && !may_be_less) {
                    let all: Vec<String> = deployments.iter().map(|row| told(row)).collect();
                    found.push(format!(
                        "`{service}` of `{}` runs {running:?}, and should run `{expected}` after {}",
                        place.cluster,
                        all.join(", ")
                    ));
                }
            }
        }
        for what in found {
            self.violated("I2", what);
        }
    }

    /// What a service must run, empty for what it ran before; none where only a person knows.
    fn expected(&self, place: &Place, service: &str, deployments: &[&DeploymentRow]) -> Option<String> {
        let is_here = place.cluster == Shop::CLUSTER;
        let changes = self
            .truth
            .changed
            .iter()
            .filter(|changed| is_here && changed.service == service);
        let changed = changes.map(|changed| changed.at).max();
        // What somebody else changes after its step was proven is nothing that a deployment looks at again.
        let is_before = |deployment: &DeploymentRow| changed.is_some_and(|changed| deployment.created_at <= changed);
        let mut expected = changed.is_none().then(String::new);
        for deployment in deployments {
            let end = deployment.end.as_ref()?;
            // One that gave way while it soaked is what runs until it is replaced.
            if end.verdict.is_in_force() || end.reason == Reason::GaveWay {
                expected = self.digest_of(deployment);
            } else if end.effect.is_dirty() {
                expected = None;
            }
            if is_before(deployment) {
                expected = None;
            }
        }
        expected
    }

    fn digest_of(&self, deployment: &DeploymentRow) -> Option<String> {
        let release = self
            .releases
            .iter()
            .find(|release| release.release_id == deployment.release_id);
        release.map(|release| release.digest.clone())
    }

    /// An end without an effect has changed nothing.
    fn none_is_nothing(&mut self) {
        let tasks = migrations(self.shop);
        let mut found = Vec::new();
        for deployment in self.deployments {
            let Some(end) = &deployment.end else { continue };
            if end.effect != Effect::None || end.verdict == Verdict::Succeeded {
                continue;
            }
            let mine = || {
                self.acts
                    .iter()
                    .filter(|act| act.deployment_id == deployment.deployment_id)
            };
            let nothing_at_all = matches!(end.verdict, Verdict::Unchanged | Verdict::Superseded);
            if nothing_at_all && mine().next().is_some() {
                found.push(format!(
                    "`{}` ends as {} and has acted",
                    deployment.deployment_id,
                    pair(end)
                ));
            }
            let updated = mine().any(|act| act.operation == "UpdateService");
            if updated && end.reason != Reason::ForeignChange {
                found.push(format!(
                    "`{}` ends as {} and has updated a service",
                    deployment.deployment_id,
                    pair(end)
                ));
            }
            let migrated = tasks
                .values()
                .any(|task| task.started_at.is_some() && mine().any(|act| act.started_by == task.started_by));
            if migrated {
                found.push(format!(
                    "`{}` ends as {} and its migration has run",
                    deployment.deployment_id,
                    pair(end)
                ));
            }
        }
        for what in found {
            self.violated("I2", what);
        }
    }

    /// From a stop on nothing more of a release is begun, and whoever takes locks during a freeze begins nothing before it is lifted.
    fn nobody_comes_who_may_not(&mut self) {
        let mut found = Vec::new();
        // People stop and freeze only what is of the shop.
        for deployment in self.deployments.iter().filter(|row| row.application == Shop::NAME) {
            let id = &deployment.deployment_id;
            let intents = self.written.intents.get(id).into_iter().flatten();
            let begun = |(_, intent): &&(Timestamp, String)| {
                GOES_ON.iter().any(|action| intent.contains(action)) && !intent.contains("way_back")
            };
            let stopped = self.written.stops.get(&deployment.release_id);
            let locked = self.written.locked.get(id);
            let is_rollback = self
                .releases
                .iter()
                .any(|release| release.release_id == deployment.release_id && release.kind == ReleaseKind::Rollback);
            for (at, _) in intents.filter(begun) {
                if stopped.is_some_and(|stopped| stopped < at) {
                    found.push(format!("`{id}` begins something at {at}, and its release is stopped"));
                }
                let is_frozen = self.written.freezes.values().any(|(from, lifted)| {
                    locked.is_some_and(|locked| from < locked) && lifted.is_none_or(|lifted| *at < lifted)
                });
                if is_frozen && !is_rollback {
                    found.push(format!("`{id}` begins something at {at}, and everything is frozen"));
                }
            }
        }
        for what in found {
            self.violated("I7", what);
        }
    }

    /// Where windows and approvals are, what begins something begins it after the window has opened, and after an approver who did not ask for it has agreed
    /// with the plan that is carried out; a no is the end of it.
    fn nobody_comes_unasked(&mut self) {
        let account = self.shop.account;
        let is_windowed = |environment: &str| match account {
            Account::Small | Account::Abroad => false,
            Account::Large => environment == Shop::ENVIRONMENT,
            Account::Gated => true,
        };
        let mut found = Vec::new();
        for deployment in self.deployments.iter().filter(|row| row.application == Shop::NAME) {
            let DeploymentRow {
                deployment_id: id,
                release_id,
                environment,
                ..
            } = deployment;
            let release = self.releases.iter().find(|release| release.release_id == *release_id);
            let Some(release) = release.filter(|release| release.kind != ReleaseKind::Rollback) else {
                continue;
            };
            let mine = self.acts.iter().filter(|act| act.deployment_id == *id);
            let Some(first) = mine.map(|act| act.at).min() else {
                continue;
            };
            if is_windowed(environment) && first < Shop::OPENS_AT - SKEWED {
                found.push(format!("`{id}` acts at {first}, before its window opens"));
            }
            if account != Account::Gated {
                continue;
            }
            let about = format!("{release_id}#{environment}");
            let votes = self.written.votes.iter();
            let votes = votes.filter(|vote| vote.about == about && vote.plan_hash == deployment.plan_hash);
            let said = |member: Member, approves: bool| {
                let mut theirs = votes.clone();
                theirs.find(|vote| vote.approves == approves && vote.principal.ends_with(member.id()))
            };
            // Whoever uses the command line is Ana.
            let others = [Member::Ana, Member::Luis].into_iter();
            let mut others = others.filter(|member| *member != Member::Ana || release.kind == ReleaseKind::Push);
            if !others.any(|member| said(member, true).is_some_and(|vote| vote.at < first)) {
                found.push(format!(
                    "`{id}` acts at {first}, and nobody who may has agreed with its plan"
                ));
            }
            let locked = self.written.locked.get(id).copied().unwrap_or(first);
            for member in [Member::Ana, Member::Luis] {
                if said(member, false).is_some_and(|vote| vote.at < locked) {
                    found.push(format!("`{id}` acts at {first}, and {member:?} had said no"));
                }
            }
        }
        for what in found {
            self.violated("I5", what);
        }
    }

    fn newer_stays(&mut self) {
        let mut newest: BTreeMap<(String, String), (Timestamp, &str)> = BTreeMap::new();
        let mut found = Vec::new();
        for deployment in self.deployments {
            let place = place_of(deployment);
            let brought = deployment
                .end
                .as_ref()
                .is_some_and(|end| end.verdict == Verdict::Succeeded);
            let release = self
                .releases
                .iter()
                .find(|release| release.release_id == deployment.release_id);
            let Some(release) = release.filter(|_| brought) else {
                continue;
            };
            match &release.asked {
                Asked::Person { .. } => {
                    newest.remove(&place);
                }
                Asked::Push { .. } => {
                    let pushed =
                        self.truth.pushed.iter().rev().find(|pushed| {
                            pushed.application == release.application && pushed.digest == release.digest
                        });
                    let Some(pushed) = pushed else { continue };
                    if let Some((at, digest)) = newest.get(&place)
                        && pushed.at < *at
                    {
                        found.push(format!(
                            "`{}` takes the place of `{digest}`, which was pushed after it",
                            release.digest
                        ));
                    }
                    newest.insert(place, (pushed.at, &release.digest));
                }
            }
        }
        for what in found {
            self.violated("I6", what);
        }
    }

    fn acts_are_announced(&mut self) {
        let ledger = self.shop.items(LEDGER);
        let of_kind = |kind: &'static str| {
            let records = ledger
                .iter()
                .map(plain)
                .filter(move |record| text(record, "/kind") == kind);
            records.collect::<Vec<Value>>()
        };
        let (intents, outcomes) = (of_kind("intent"), of_kind("outcome"));
        let mut found = Vec::new();
        for act in &self.acts {
            if !self.written.announced(act, act.at) {
                found.push(format!(
                    "`{}` does `{}` at {} and has not announced it",
                    act.deployment_id, act.operation, act.at
                ));
            }
        }
        let name = |record: &Value| {
            let text = |pointer: &str| text(record, pointer).to_owned();
            (text("/deployment_id"), text("/intent_id"))
        };
        let announced: BTreeSet<_> = intents.iter().map(name).collect();
        let settled: BTreeSet<_> = outcomes.iter().map(name).collect();
        for (deployment, intent) in announced.difference(&settled) {
            found.push(format!("intent `{intent}` of `{deployment}` has no outcome"));
        }
        for (deployment, intent) in settled.difference(&announced) {
            found.push(format!("an outcome of `{deployment}` has no intent: `{intent}`"));
        }
        let mut places: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for record in ledger.iter().map(plain) {
            let sequence = record.pointer("/sequence").and_then(Value::as_u64).unwrap_or_default();
            places
                .entry(text(&record, "/chain").to_owned())
                .or_default()
                .insert(sequence);
        }
        for (chain, places) in &places {
            let count = u64::try_from(places.len()).unwrap_or(u64::MAX);
            if !places.iter().copied().eq(1..=count) {
                found.push(format!("chain `{chain}` has only {places:?}"));
            }
        }
        let audit = self.shop.lab.esclusa(&["audit", "verify", "--all"]);
        if audit.code != 0 {
            found.push(format!(
                "`esclusa audit verify --all` answers {}: {}{}",
                audit.code, audit.out, audit.err
            ));
        }
        for what in found {
            self.violated("I8", what);
        }
    }

    fn nothing_leaks(&mut self) {
        let world = self.shop.lab.world();
        let tokens: BTreeSet<&str> = world
            .calls()
            .iter()
            .filter(|call| call.service == "lambda")
            .filter_map(|call| call.input.pointer("/Payload/wait/token")?.as_str())
            .collect();
        let leaks = |text: &str| tokens.iter().any(|token| text.contains(token));
        let mut found = Vec::new();
        for item in self.shop.items(LEDGER).iter().filter(|item| leaks(&item.to_string())) {
            found.push(format!("a token is in the ledger: {item}"));
        }
        for event in world.events().iter().filter(|event| leaks(&event.to_string())) {
            found.push(format!("a token is in an event: {event}"));
        }
        for (group, streams) in &world.kernel().logs.groups {
            for line in streams.values().flatten().filter(|line| leaks(&line.message)) {
                found.push(format!("a token is in log group `{group}`: {}", line.message));
            }
        }
        for what in found {
            self.violated("I10", what);
        }
    }

    fn nothing_is_left(&mut self) {
        let mut found: Vec<String> = self
            .control
            .iter()
            .map(plain)
            .filter(is_left)
            .map(|row| format!("row `{}` / `{}` is left open", text(&row, "/pk"), text(&row, "/sk")))
            .collect();
        if let Some(machines) = self.shop.lab.world().service::<StepFunctions>() {
            let still = machines.open_tokens();
            found.extend(still.iter().map(|open| format!("state `{}` still waits", open.state)));
            let running = machines
                .executions()
                .iter()
                .filter(|arn| machines.status(arn) == Some(Status::Running));
            found.extend(running.map(|arn| format!("`{arn}` still runs")));
        }
        // The environment is in the name of every lock, and the application before it.
        let is_dirty = |place: &Place| self.dirty().any(|row| is_at(row, place));
        for place in self.shop.account.places() {
            let name = format!("/{}/{}", place.application, place.environment);
            let locks = self.control.iter().map(plain).filter(|row| text(row, "/sk") == "LOCK");
            let quarantined = locks
                .filter(|row| text(row, "/pk").contains(&name))
                .any(|row| text(&row, "/status") == "QUARANTINED");
            let dirty = is_dirty(place);
            if dirty != quarantined {
                found.push(format!(
                    "`{name}` has a dirty end: {dirty}, a lock in quarantine: {quarantined}"
                ));
            }
        }
        let targets = self.shop.ask(
            "application-autoscaling",
            "DescribeScalableTargets",
            json!({"ServiceNamespace": "ecs"}),
        );
        let targets = targets.map(|described| described.get("ScalableTargets").cloned().unwrap_or_default());
        let is_suspended = |target: &&Value| {
            let states = target.get("SuspendedState").and_then(Value::as_object);
            states.is_some_and(|states| states.values().any(|state| *state == json!(true)))
        };
        let targets = targets.unwrap_or_default();
        let suspended = targets.as_array().into_iter().flatten().filter(is_suspended);
        found.extend(suspended.map(|target| format!("`{}` does not scale any more", text(target, "/ResourceId"))));
        for what in found {
            self.violated("I11", what);
        }
    }

    /// Whoever waits is woken soon after what it waits for is over: by its event, or by a sweep where something went wrong.
    fn ends_are_noticed(&mut self) {
        let world = self.shop.lab.world();
        let within = self.truth.noticed_within;
        // What is over: the pointer at which the invocation that notices it names it, and its name.
        let mut over: Vec<(&str, &str, Timestamp)> = Vec::new();
        for event in world.events().iter().skip(self.shop.events_before) {
            let Ok(at) = text(event, "/time").parse::<Timestamp>() else {
                continue;
            };
            match text(event, "/detail-type") {
                "ECS Task State Change" if text(event, "/detail/lastStatus") == "STOPPED" => {
                    over.push(("/taskArn", text(event, "/detail/taskArn"), at));
                }
                "Step Functions Execution Status Change" if text(event, "/detail/status") != "RUNNING" => {
                    over.push(("/deploymentId", text(event, "/detail/name"), at));
                }
                _ => {}
            }
        }
        let noticing = |pointer: &str| {
            if pointer == "/taskArn" {
                "judge_task"
            } else {
                "settle_deployment"
            }
        };
        let mut found = Vec::new();
        for (pointer, name, at) in over {
            let noticed = world.calls().iter().find(|call| {
                call.service == "lambda"
                    && text(&call.input, &format!("/Payload{pointer}")) == name
                    && text(&call.input, "/Payload/action") == noticing(pointer)
            });
            if let Some(noticed) = noticed
                && noticed.at.duration_since(at) > within
            {
                let late = noticed.at.duration_since(at);
                found.push(format!(
                    "the end of `{name}` is noticed {late:#} after it, not within {within:#}"
                ));
            }
        }
        for what in found {
            self.violated("I12", what);
        }
    }
}

/// A row that only a release under way has.
fn is_left(row: &Value) -> bool {
    text(row, "/pk").starts_with("OPEN#")
        || text(row, "/status") == "OPEN"
        || (text(row, "/sk") == "LOCK" && text(row, "/status") == "HELD")
        || ["CLAIMED", "STARTED"].contains(&text(row, "/progress"))
}

fn pair(end: &End) -> String {
    format!("{} {}", end.verdict.as_str(), end.effect.as_str())
}

fn told(deployment: &DeploymentRow) -> String {
    let end = deployment.end.as_ref().map_or_else(|| "no end".to_owned(), pair);
    format!("`{}`: {end}", deployment.deployment_id)
}

/// Whether a task runs what is expected: the digest, or for the empty one the image that was there before.
fn is(expected: &str, digest: &str) -> bool {
    if expected.is_empty() {
        digest == "unknown"
    } else {
        digest == expected
    }
}

fn is_at(deployment: &DeploymentRow, place: &Place) -> bool {
    deployment.application == place.application && deployment.environment == place.environment
}
