//! Verification: looking at what was deployed until it has been healthy for long enough, or a check decides against it.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_adapters::acts::fences;
use esclusa_adapters::control::rows::{AlarmWatchRow, ReleaseKind};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::deployments::{Work, environment_lock, look_resource};
use esclusa_adapters::ecs::TaskFilter;
use esclusa_adapters::journal::Commit;
use esclusa_adapters::locks::StandingLock;
use esclusa_adapters::planning::PlanRequest;
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::migration::TaskFacts;
use esclusa_core::pipeline::{FunctionMeasure, Measure, MetricMeasure, SmokeMeasure, TargetsMeasure, Verification};
use esclusa_core::plan::{Plan, PlannedService, PlannedStep};
use esclusa_core::service_deployment::ServiceFacts;
use esclusa_core::supersession::{InQueue, soak_gives_way};
use esclusa_core::verdict::{Mode, StepKind};
use esclusa_core::verification::{
    Answer, CheckState, CountedLines, Decision, Measurement, MetricShown, Outcome, SERVICES, ServiceSight, Sight,
    State, TargetGroupSight, TargetsSight, VerificationEnd, alarms, consumers, due, function, http, judge, log, metric,
    services, smoke, targets, task,
};
use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Number, Value, json};

use crate::{ACTOR, Observe};

/// How many pointers of alarms are written in one transaction, which takes 100 rows: the look, its record and its locks
/// are in it too.
const WATCHES_AT_ONCE: usize = 50;

/// What a measurement is taken for.
pub(crate) struct Look<'a> {
    pub(crate) work: &'a Work,
    pub(crate) plan: &'a Plan,
    pub(crate) policy: &'a Verification,
    /// When the deployment began its first step.
    pub(crate) acted_at: Timestamp,
    /// When the verification began.
    pub(crate) begun_at: Timestamp,
    /// Since when what is counted is counted.
    pub(crate) since: Timestamp,
    /// What is known of its checks.
    pub(crate) known: &'a BTreeMap<String, CheckState>,
    /// Whether it goes on from what was seen before.
    pub(crate) goes_on: bool,
    pub(crate) now: Timestamp,
}

impl<'a> Look<'a> {
    /// What a check showed before.
    fn seen(&self, name: &str) -> Option<&'a Measurement> {
        self.known.get(name).filter(|_| self.goes_on)?.seen.as_deref()
    }

    /// What a check was before the deployment, where that was read.
    fn baseline(&self, name: &str) -> Option<&'a Number> {
        self.known.get(name)?.seen.as_ref()?.baseline.as_ref()
    }
}

impl Observe {
    /// One look at what was deployed: measures what is due, and says whether it is over or when to look again. An end
    /// is written down once; a repeat of a look measures nothing that was measured already. It gives way to who
    /// waits only where the state machine that asks knows how.
    pub(crate) async fn look_at_checks(&self, deployment_id: &str, gives_way: bool) -> Result<Value, Failure> {
        let plan = self.journal.plan(deployment_id).await?;
        let Some(policy) = &plan.verification else {
            return Ok(json!({"outcome": "passed", "pauseSeconds": 0, "watchesAlarms": false}));
        };
        let work = self.journal.work_here(deployment_id).await?;
        let key = Key::verification(deployment_id);
        let stored: Option<Stored<State>> = self.journal.control().get(&key).await?;
        let now = self.journal.clock().now()?;
        let state = match &stored {
            Some(stored) => stored.row.clone(),
            None => self.begun(deployment_id, now).await?,
        };
        if let Some(end) = state.end {
            return Ok(answer(policy, &Decision::Over(end)));
        }
        let told = self.journal.inbox(&look_resource(deployment_id)).await?.len();
        let look = Look {
            work: &work,
            plan: &plan,
            policy,
            begun_at: state.begun_at,
            acted_at: state.acted_at.unwrap_or(work.deployment.row.created_at),
            since: state.since(),
            known: &state.checks,
            goes_on: true,
            now,
        };
        let sight = Sight {
            measured: self.measured(&look, due(policy, &state, told, now)).await,
            answers: self.answers(deployment_id, &state).await?,
            told,
            gives_way_to: match gives_way {
                true => self.who_may_go_first(&work).await?,
                false => None,
            },
            stop: self.journal.stop(&work.release.row.release_id).await?,
        };
        let measured = sight.measured.clone();
        let (next, decision) = judge(policy, &state, sight, now);
        if stored.is_none() || next != state {
            let questions = next.checks.iter().filter_map(|(name, check)| {
                let question = check.question?;
                Some(json!({"check": name, "until": question.until, "unanswered": question.unanswered}))
            });
            let facts = json!({
                "checks": listed(&measured),
                "healthySince": next.healthy_since,
                "soakSeconds": policy.soak_seconds,
                "questions": questions.collect::<Vec<_>>(),
                "end": next.end,
            });
            // Under the locks of the deployment: nothing is told behind its end.
            let mut commit = Commit::new()
                .fenced(fences(&work.deployment.row))
                .change(Change::put(key, &next, Expected::unchanged(stored.as_ref()))?)
                .record(
                    &work.subject.chain,
                    work.subject.draft(RecordKind::ChecksMeasured, ACTOR, &facts)?,
                );
            if stored.is_none() {
                let mut watches = self.watches(&work, policy).await?;
                // Those that the look itself has no room for; who dies here writes them again.
                while watches.len() > WATCHES_AT_ONCE {
                    let more = watches.split_off(watches.len().saturating_sub(WATCHES_AT_ONCE));
                    let ahead = Commit::new().fenced(fences(&work.deployment.row)).changes(more);
                    self.journal.commit(ahead).await?.or_failure()?;
                }
                commit = commit.changes(watches);
            }
            self.journal.commit(commit).await?.or_failure()?;
            // The decision stands, whatever can be had of its evidence.
            if let Some(VerificationEnd::Failed { why, .. }) = &next.end
                && let Err(failure) = self.keep_evidence(&work, &plan, state.begun_at, why).await
            {
                tracing::warn!(kind = %failure.kind, message = %failure.message, "what the services show of a release that does not work cannot be kept");
            }
        }
        Ok(answer(policy, &decision))
    }

    /// A verification that begins now: what was before the first step is not the release's, and what has been since the
    /// last rollout is.
    async fn begun(&self, deployment_id: &str, now: Timestamp) -> Result<State, Failure> {
        let rows = self.journal.steps(deployment_id).await?;
        let forward = || {
            let rows = rows.iter().map(|stored| &stored.row);
            rows.filter(|row| row.record.step.mode == Mode::Forward)
        };
        let rollouts = forward().filter(|row| row.kind == StepKind::Service);
        Ok(State {
            acted_at: forward().map(|row| row.begun_at).min(),
            rolled_out_at: rollouts.filter_map(|row| row.judged_at).max(),
            ..State::begun(now)
        })
    }

    /// The pointers by which the events of its alarms find the deployment.
    async fn watches(&self, work: &Work, policy: &Verification) -> Result<Vec<Change>, Failure> {
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        let deployments = Key::deployments_into(&release.application, &deployment.environment, &release.image);
        let alarms: BTreeSet<&String> = policy.alarms().collect();
        let mut changes = Vec::new();
        for alarm in alarms {
            let key = Key::alarm_watch(alarm, &deployments);
            let stored: Option<Stored<AlarmWatchRow>> = self.journal.control().get(&key).await?;
            let row = AlarmWatchRow {
                deployment_id: deployment.deployment_id.clone(),
            };
            // Each deployment that is verified writes it anew. Its plan, by which an alarm would have it looked at
            // again, is not kept for longer either.
            let change = Change::put(key, &row, Expected::unchanged(stored.as_ref()))?;
            changes.push(change.spent_since(self.journal.clock().now()?));
        }
        Ok(changes)
    }

    /// What people answered to the open questions.
    async fn answers(&self, deployment_id: &str, state: &State) -> Result<BTreeMap<String, Answer>, Failure> {
        let mut answers = BTreeMap::new();
        for (name, check) in &state.checks {
            let Some(question) = check.question else { continue };
            let key = Key::answer(deployment_id, name, &question.asked_at.to_string());
            if let Some(stored) = self.journal.control().get::<Answer>(&key).await? {
                answers.insert(name.clone(), stored.row);
            }
        }
        Ok(answers)
    }

    /// The release that waits for the lock of the environment and that one which only soaks gives way to.
    async fn who_may_go_first(&self, work: &Work) -> Result<Option<String>, Failure> {
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        let lock = environment_lock(&deployment.application, &deployment.environment);
        let standing = StandingLock::read(self.journal.control(), &lock).await?;
        let mut queue = Vec::new();
        for waits in standing.queue {
            let waits = self.journal.work(&waits.deployment_id).await?;
            let is_stopped = self.journal.stop(&waits.release.row.release_id).await?.is_some();
            if !is_stopped {
                queue.push(InQueue {
                    release_id: waits.release.row.release_id.clone(),
                    is_of_another_image: waits.release.row.image != release.image,
                    asked: waits.release.row.asked,
                    is_rollback: waits.release.row.kind == ReleaseKind::Rollback,
                    is_hotfix: waits.release.row.is_hotfix,
                });
            }
        }
        if queue.is_empty() {
            return Ok(None);
        }
        let request = PlanRequest::of(release, &deployment.environment)?;
        let policy = self.planner.environment(&request).await?;
        Ok(soak_gives_way(policy.newest, policy.lock.soaking, &release.asked, &queue).map(str::to_owned))
    }

    /// Measurements at the same time: one that is slow to answer takes no time from the others.
    pub(crate) async fn measured(&self, look: &Look<'_>, names: Vec<&str>) -> BTreeMap<String, Measurement> {
        let measured = join_all(names.into_iter().map(|name| self.measure(look, name))).await;
        measured.into_iter().collect()
    }

    /// One measurement. What cannot be measured is no failure of what is measured.
    async fn measure(&self, look: &Look<'_>, name: &str) -> (String, Measurement) {
        let now = look.now;
        let check = look.policy.checks.iter().find(|(key, _)| key.as_str() == name);
        let (mut counted, mut lines, mut moments, mut judged) = (BTreeSet::new(), None, Vec::new(), None);
        let mut baseline = None;
        let shown = match check.map(|(_, check)| &check.measure) {
            Some(Measure::Metric(measure)) => {
                let shown = self.metric(look, name, measure).await;
                shown.map(|(shown, known)| {
                    (moments, judged, baseline) = (shown.moments, Some(shown.judged), known);
                    (shown.outcome, shown.sentence)
                })
            }
            Some(Measure::Http(measure)) => self.http.ask(measure).await.map(|sight| http(measure, &sight)),
            Some(Measure::Smoke(measure)) => self.smoke(measure).await,
            Some(Measure::Function(measure)) => self.function(look, measure).await,
            Some(Measure::Alarms(names)) => {
                let states = self.alarms.states(&names.iter().cloned().collect()).await;
                states.map(|states| alarms(names, &states))
            }
            Some(Measure::Targets(TargetsMeasure::All)) => {
                let sights = self.targets_sights(look.plan).await;
                sights.map(|sights| targets(&sights))
            }
            Some(Measure::Log(measure)) => {
                let before = look.seen(name).and_then(|seen| seen.lines);
                let before = before.unwrap_or(CountedLines::none(look.since));
                let sight = self.logs.sight(measure, before, now).await;
                sight.map(|sight| {
                    let (outcome, sentence, counted) = log(measure, before, &sight);
                    lines = Some(counted);
                    (outcome, sentence)
                })
            }
            Some(Measure::Consumers(measure)) => {
                let sight = self.metrics.queue(measure, look.begun_at, now).await;
                sight.map(|sight| consumers(measure, look.begun_at, &sight, now))
            }
            Some(Measure::Task(name)) => self.task(look, name.as_str()).await,
            None if name == SERVICES => {
                let deployment_id = &look.work.deployment.row.deployment_id;
                let sights = self.sights(deployment_id, look.plan).await;
                sights.map(|sights| {
                    let (outcome, sentence, of_tasks) = services(&sights, look.since, look.seen(SERVICES));
                    counted = of_tasks;
                    (outcome, sentence)
                })
            }
            None => Err(Failure::defect(format!("there is no check `{name}`"))),
        };
        let (outcome, sentence) = shown.unwrap_or_else(|failure| (Outcome::Error, failure.message));
        let measurement = Measurement {
            at: now,
            outcome,
            sentence,
            counted,
            lines,
            moments,
            judged,
            baseline,
        };
        (name.to_owned(), measurement)
    }

    /// What a metric shows, and what it was before the deployment, which is read once. What is after the time for which it
    /// is watched says nothing, however late the datapoints come.
    async fn metric(
        &self,
        look: &Look<'_>,
        name: &str,
        measure: &MetricMeasure,
    ) -> Result<(MetricShown, Option<Number>), Failure> {
        let before = look.seen(name).and_then(|seen| seen.judged.as_ref());
        let baseline = match look.baseline(name).and_then(Number::as_f64) {
            Some(known) => Some(known),
            None => self.metrics.baseline(measure, look.acted_at).await?,
        };
        let ends = look.policy.watched_until(name, look.begun_at, look.known.get(name));
        let until = ends.map_or(look.now, |ends| ends.min(look.now));
        let sight = self.metrics.sight(measure, look.since, baseline, before, until).await?;
        let shown = metric(measure, look.since, before, &sight, until);
        Ok((shown, baseline.and_then(Number::from_f64)))
    }

    /// The requests of a smoke test, up to the first that is not answered as expected.
    async fn smoke(&self, measure: &SmokeMeasure) -> Result<(Outcome, String), Failure> {
        let mut sights = Vec::new();
        for step in &measure.steps {
            let sight = self.http.ask(step).await?;
            let is_wrong = step.wrong(&sight).is_some();
            sights.push(sight);
            if is_wrong {
                break;
            }
        }
        Ok(smoke(measure, &sights))
    }

    /// How the task ended that the deployment ran.
    async fn task(&self, look: &Look<'_>, name: &str) -> Result<(Outcome, String), Failure> {
        let rows = self.journal.steps(&look.work.deployment.row.deployment_id).await?;
        let is_meant = |step: &PlannedStep| matches!(step, PlannedStep::Task(task) if task.name.as_str() == name);
        let index = look.plan.steps.iter().position(is_meant);
        let records = rows.iter().map(|stored| &stored.row.record);
        let attempts = records.filter(|record| record.step.mode == Mode::Forward && Some(record.step.index) == index);
        Ok(task(attempts.max_by_key(|record| record.step.attempt)))
    }

    async fn function(&self, look: &Look<'_>, measure: &FunctionMeasure) -> Result<(Outcome, String), Failure> {
        let plan = look.plan;
        let payload = json!({
            "application": plan.application,
            "environment": plan.environment,
            "releaseId": plan.release_id,
            "images": plan.images,
            "payload": measure.payload,
        });
        let sight = self.functions.test(&measure.name, &payload).await?;
        Ok(function(&sight))
    }

    /// The services of the plan, each with its tasks of the released revision.
    async fn sights(&self, deployment_id: &str, plan: &Plan) -> Result<Vec<ServiceSight>, Failure> {
        let services = plan.steps.iter().filter_map(|step| match step {
            PlannedStep::Service(planned) => Some(self.sight(deployment_id, planned)),
            PlannedStep::Task(_) => None,
        });
        try_join_all(services).await
    }

    async fn sight(&self, deployment_id: &str, planned: &PlannedService) -> Result<ServiceSight, Failure> {
        let (cluster, service) = (&planned.cluster, &planned.service);
        let target = self.journal.target(deployment_id, planned).await?;
        let facts = self.service_facts(planned).await?;
        let mut tasks: Vec<TaskFacts> = Vec::new();
        for filter in [TaskFilter::Service(service), TaskFilter::Stopped(service)] {
            tasks.extend(self.tasks(cluster, &filter, &target).await?.facts);
        }
        Ok(ServiceSight {
            service: service.clone(),
            desired: facts.map_or(0, |facts| facts.desired),
            digests: planned.digests_shown(),
            tasks,
        })
    }

    /// The services of the plan, each with the targets in its target groups.
    async fn targets_sights(&self, plan: &Plan) -> Result<Vec<TargetsSight>, Failure> {
        let mut sights = Vec::new();
        for step in &plan.steps {
            let PlannedStep::Service(planned) = step else { continue };
            let facts = self.service_facts(planned).await?;
            let (desired, arns) = facts.map_or((0, Vec::new()), |facts| (facts.desired, facts.target_groups));
            let mut groups = Vec::new();
            for arn in arns {
                let targets = self.targets.targets(&arn).await?;
                groups.push(TargetGroupSight { arn, targets });
            }
            sights.push(TargetsSight {
                service: planned.service.clone(),
                desired,
                groups,
            });
        }
        Ok(sights)
    }

    /// What ECS says of a service, where there is one.
    async fn service_facts(&self, planned: &PlannedService) -> Result<Option<ServiceFacts>, Failure> {
        let services = std::slice::from_ref(&planned.service);
        let described = self.ecs.describe_services(&planned.cluster, services).await?;
        described.found.first().map(ServiceFacts::from_json).transpose()
    }
}

/// The measurements as a record of the ledger tells of them. A list: a name that somebody chose is a value, never a
/// member.
pub(crate) fn listed(measured: &BTreeMap<String, Measurement>) -> Vec<Listed<'_>> {
    let each = measured.iter();
    each.map(|(check, measurement)| Listed { check, measurement }).collect()
}

/// One measurement in a record of the ledger.
#[derive(Debug, Serialize)]
pub(crate) struct Listed<'a> {
    check: &'a str,
    #[serde(flatten)]
    measurement: &'a Measurement,
}

fn answer(policy: &Verification, decision: &Decision) -> Value {
    let (outcome, pause_seconds) = match decision {
        // Rounded up: a moment too early, nothing would be due.
        Decision::Continue { pause } => {
            let begun = i64::from(pause.subsec_nanos() > 0);
            ("continue", pause.as_secs().saturating_add(begun))
        }
        Decision::Over(VerificationEnd::Passed { .. }) => ("passed", 0),
        Decision::Over(VerificationEnd::GaveWay { .. }) => ("gave_way", 0),
        Decision::Over(VerificationEnd::Stopped { .. }) => ("stopped", 0),
        Decision::Over(VerificationEnd::Failed { .. }) => ("failed", 0),
    };
    json!({"outcome": outcome, "pauseSeconds": pause_seconds, "watchesAlarms": policy.alarms().next().is_some()})
}
