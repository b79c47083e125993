//! Verification: looking at what was deployed until it has been healthy for long enough, or a check decides against it.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_adapters::acts::fences;
use esclusa_adapters::control::rows::DeploymentRow;
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::ecs::TaskFilter;
use esclusa_adapters::journal::Commit;
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::migration::TaskFacts;
use esclusa_core::pipeline::{Measure, TargetsMeasure, Verification};
use esclusa_core::plan::{Plan, PlannedService, PlannedStep};
use esclusa_core::service_deployment::ServiceFacts;
use esclusa_core::verification::{
    Decision, Measurement, Outcome, SERVICES, ServiceSight, State, TargetGroupSight, TargetsSight, VerificationEnd,
    alarms, due, http, judge, log, metric, services, targets,
};
use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{ACTOR, Observe};

/// What a measurement is taken for.
struct Look<'a> {
    deployment: &'a DeploymentRow,
    plan: &'a Plan,
    policy: &'a Verification,
    state: &'a State,
    now: Timestamp,
}

impl Observe {
    /// One look at what was deployed: measures what is due, and says whether it is over or when to look again. An end is written down once; a repeat of a look
    /// measures nothing that was measured already.
    pub(crate) async fn look_at_checks(&self, deployment_id: &str) -> Result<Value, Failure> {
        let plan = self.journal.plan(deployment_id).await?;
        let Some(policy) = &plan.verification else {
            return Ok(json!({"outcome": "passed", "pauseSeconds": 0}));
        };
        let work = self.journal.work(deployment_id).await?;
        let key = Key::verification(deployment_id);
        let stored: Option<Stored<State>> = self.journal.control().get(&key).await?;
        let now = self.journal.clock().now()?;
        let state = stored
            .as_ref()
            .map_or_else(|| State::begun(now), |stored| stored.row.clone());
        let due = match state.end {
            None => due(policy, &state, now),
            Some(_) => Vec::new(),
        };
        let look = Look {
            deployment: &work.deployment.row,
            plan: &plan,
            policy,
            state: &state,
            now,
        };
        // At the same time: one that is slow to answer takes no time from the others.
        let measured = join_all(due.into_iter().map(|name| self.measure(&look, name))).await;
        let measured: BTreeMap<String, Measurement> = measured.into_iter().collect();
        let (next, decision) = judge(policy, &state, measured.clone(), now);
        if stored.is_none() || next != state {
            let facts = json!({
                "checks": measured,
                "healthySince": next.healthy_since,
                "soakSeconds": policy.soak_seconds,
                "end": next.end,
            });
            // Under the locks of the deployment: nothing is told behind its end.
            let commit = Commit::new()
                .fenced(fences(&work.deployment.row))
                .change(Change::put(key, &next, Expected::unchanged(stored.as_ref()))?)
                .record(
                    &work.subject.chain,
                    work.subject.draft(RecordKind::ChecksMeasured, ACTOR, &facts)?,
                );
            self.journal.commit(commit).await?.or_failure()?;
        }
        Ok(answer(&decision))
    }

    /// One measurement. What cannot be measured is no failure of what is measured.
    async fn measure(&self, look: &Look<'_>, name: &str) -> (String, Measurement) {
        let now = look.now;
        let check = look.policy.checks.iter().find(|(key, _)| key.as_str() == name);
        let mut counted = BTreeSet::new();
        let shown = match check.map(|(_, check)| &check.measure) {
            Some(Measure::Metric(measure)) => {
                let (deployment_began_at, began_at) = (look.deployment.created_at, look.state.begun_at);
                let sight = self.metrics.sight(measure, deployment_began_at, began_at, now).await;
                sight.map(|sight| metric(measure, sight))
            }
            Some(Measure::Http(measure)) => self.http.ask(measure).await.map(|sight| http(measure, &sight)),
            Some(Measure::Alarms(names)) => {
                let states = self.alarms.states(&names.iter().cloned().collect()).await;
                states.map(|states| alarms(names, &states))
            }
            Some(Measure::Targets(TargetsMeasure::All)) => {
                let sights = self.targets_sights(look.plan).await;
                sights.map(|sights| targets(&sights))
            }
            Some(Measure::Log(measure)) => {
                // All of it in every look: a line may arrive late, and none is counted twice.
                let sight = self.logs.sight(measure, look.state.begun_at).await;
                sight.map(|sight| log(measure, &sight))
            }
            None if name == SERVICES => {
                let before = look.state.checks.get(SERVICES).and_then(|check| check.seen.as_deref());
                let sights = self.sights(&look.deployment.deployment_id, look.plan).await;
                sights.map(|sights| {
                    let (outcome, sentence, of_tasks) = services(&sights, look.state.begun_at, before);
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
        };
        (name.to_owned(), measurement)
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

fn answer(decision: &Decision) -> Value {
    let (outcome, pause_seconds) = match decision {
        // Rounded up: a moment too early, nothing would be due.
        Decision::Continue { pause } => {
            let begun = i64::from(pause.subsec_nanos() > 0);
            ("continue", pause.as_secs().saturating_add(begun))
        }
        Decision::Over(VerificationEnd::Passed { .. }) => ("passed", 0),
        Decision::Over(VerificationEnd::Failed { .. }) => ("failed", 0),
    };
    json!({"outcome": outcome, "pauseSeconds": pause_seconds})
}
