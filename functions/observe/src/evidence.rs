//! The evidence of a rollout that failed, or of a release that its checks found not to work, captured before ECS
//! forgets it: a stopped task is described for an hour.

use esclusa_adapters::control::{Change, Expected};
use esclusa_adapters::deployments::{Work, step_key};
use esclusa_adapters::ecs::TaskFilter;
use esclusa_adapters::journal::Commit;
use esclusa_adapters::logs::LastWords;
use esclusa_core::error::Failure;
use esclusa_core::evidence::{Diagnosis, Evidence, diagnose, speaker};
use esclusa_core::ledger::RecordKind;
use esclusa_core::migration::{TaskFacts, redact};
use esclusa_core::plan::{Plan, PlannedService, PlannedStep};
use esclusa_core::verdict::{StepOutcome, StepRecord, StepReference};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{ACTOR, Observe};

/// How many stopped tasks, and how many messages of the service, are kept.
const TASKS_KEPT: usize = 5;
const EVENTS_KEPT: usize = 20;

/// Of how many services something is kept when the release as a whole was found not to work.
const SERVICES_KEPT: usize = 5;

/// Tasks as ECS shows them, beside what is read from them.
pub(crate) struct Shown {
    raw: Vec<Value>,
    pub(crate) facts: Vec<TaskFacts>,
}

impl Observe {
    /// Keeps what a failed rollout left behind and says in one sentence why it failed. A repeat finds that it was kept.
    /// Where somebody else moved the service nothing failed, and nothing is kept.
    pub(crate) async fn capture_evidence(&self, deployment_id: &str, step: StepReference) -> Result<Value, Failure> {
        let work = self.journal.work_here(deployment_id).await?;
        let PlannedStep::Service(planned) = self.journal.planned_step(deployment_id, step).await? else {
            return Err(Failure::invalid_input(format!(
                "step {} of deployment `{deployment_id}` is no service",
                step.index
            )));
        };
        let Some(stored) = self.journal.step(deployment_id, step).await? else {
            return Ok(json!({"captured": false}));
        };
        let row = &stored.row;
        if row.diagnosis.is_some() || row.record.outcome == StepOutcome::Foreign {
            return Ok(json!({"captured": row.diagnosis.is_some()}));
        }
        let target = self.journal.target(deployment_id, &planned).await?;
        let (diagnosis, mut facts) = self
            .gathered(&planned, &target, row.begun_at, &row.record.sentence)
            .await?;
        if let Some(members) = facts.as_object_mut() {
            members.insert("step".to_owned(), json!(step));
        }
        let mut diagnosed = row.clone();
        if diagnosis.sentence != row.record.sentence {
            diagnosed.record = StepRecord {
                sentence: format!("{}; {}", diagnosis.sentence, row.record.sentence),
                ..row.record.clone()
            };
        }
        diagnosed.diagnosis = Some(diagnosis);
        let commit = Commit::new()
            .change(Change::put(
                step_key(deployment_id, step),
                &diagnosed,
                Expected::Revision(stored.revision),
            )?)
            .record(
                &work.subject.chain,
                work.subject.draft(RecordKind::Evidence, ACTOR, &facts)?,
            );
        self.journal.commit(commit).await?.or_failure()?;
        Ok(json!({"captured": true}))
    }

    /// Keeps what the services show of a release that was found not to work.
    pub(crate) async fn keep_evidence(
        &self,
        work: &Work,
        plan: &Plan,
        since: Timestamp,
        why: &str,
    ) -> Result<(), Failure> {
        let services = plan.steps.iter().filter_map(|step| match step {
            PlannedStep::Service(service) => Some(service),
            PlannedStep::Task(_) => None,
        });
        let mut commit = Commit::new();
        for planned in services.take(SERVICES_KEPT) {
            let target = self.journal.target(&work.deployment.row.deployment_id, planned).await?;
            let (_, facts) = self.gathered(planned, &target, since, why).await?;
            let draft = work.subject.draft(RecordKind::Evidence, ACTOR, &facts)?;
            commit = commit.record(&work.subject.chain, draft);
        }
        self.journal.commit(commit).await?.or_failure()?;
        Ok(())
    }

    /// What a service shows of a revision that failed with this sentence, and what caused it.
    async fn gathered(
        &self,
        planned: &PlannedService,
        target: &str,
        since: Timestamp,
        failed: &str,
    ) -> Result<(Diagnosis, Value), Failure> {
        let stopped = self
            .tasks(&planned.cluster, &TaskFilter::Stopped(&planned.service), target)
            .await?;
        let running = self
            .tasks(&planned.cluster, &TaskFilter::Service(&planned.service), target)
            .await?;
        let events = self.messages(&planned.cluster, &planned.service, since).await?;
        let witness = stopped.facts.first().or_else(|| running.facts.first());
        let log = match witness.and_then(|task| Some((task, speaker(task)?))) {
            Some((task, container)) => self.words(target, container, &task.task_arn).await?,
            None => LastWords::default(),
        };
        let diagnosis = diagnose(&Evidence {
            rollout: failed,
            stopped: &stopped.facts,
            running: &running.facts,
            events: &events,
            last_line: log.last_line(),
        });
        let facts = json!({
            "name": planned.name,
            "sentence": diagnosis.sentence,
            "blame": diagnosis.blame,
            "rollout": failed,
            "tasks": stopped.raw.iter().take(TASKS_KEPT).map(redact).collect::<Vec<Value>>(),
            "stopped": stopped.facts.len(),
            "running": running.facts.len(),
            "messages": events,
            "log": log.lines,
            "logUnreadable": log.unreadable,
        });
        Ok((diagnosis, facts))
    }

    /// The tasks of a service that run a task definition, the newest first.
    pub(crate) async fn tasks(&self, cluster: &str, filter: &TaskFilter<'_>, target: &str) -> Result<Shown, Failure> {
        let arns = self.ecs.list_tasks(cluster, filter).await?;
        let mut raw = self.ecs.describe_tasks(cluster, &arns).await?.found;
        raw.retain(|task| task.get("taskDefinitionArn").and_then(Value::as_str) == Some(target));
        let mut tasks = raw
            .into_iter()
            .map(|task| TaskFacts::from_json(&task).map(|facts| (task, facts)))
            .collect::<Result<Vec<_>, Failure>>()?;
        tasks.sort_by_key(|(_, facts)| std::cmp::Reverse((facts.stopped_at, facts.created_at)));
        let (raw, facts) = tasks.into_iter().unzip();
        Ok(Shown { raw, facts })
    }

    /// What ECS told about a service since a moment, the newest first.
    async fn messages(&self, cluster: &str, service: &str, since: Timestamp) -> Result<Vec<String>, Failure> {
        let described = self.ecs.describe_services(cluster, &[service.to_owned()]).await?;
        let events = described
            .found
            .first()
            .and_then(|service| service.get("events")?.as_array());
        let is_new = |event: &&Value| {
            let at = event.get("createdAt").and_then(Value::as_f64);
            at.is_none_or(|at| at >= since.as_duration().as_secs_f64())
        };
        Ok(events
            .into_iter()
            .flatten()
            .filter(is_new)
            .filter_map(|event| event.get("message")?.as_str().map(str::to_owned))
            .take(EVENTS_KEPT)
            .collect())
    }

    async fn words(&self, task_definition: &str, container: &str, task_arn: &str) -> Result<LastWords, Failure> {
        let definition = self.ecs.describe_task_definition(task_definition).await?;
        Ok(match definition {
            Some(definition) => self.logs.last_words(&definition.raw, container, task_arn).await,
            None => LastWords::default(),
        })
    }
}
