//! Judging a task: the whole stopped task and its last words are kept, because ECS forgets them within the hour.

use esclusa_adapters::control::rows::StepRow;
use esclusa_adapters::control::{Change, Expected, Stored};
use esclusa_adapters::deployments::step_key;
use esclusa_adapters::journal::Commit;
use esclusa_adapters::logs::LastWords;
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::migration::{Next, Policy, TaskFacts, TaskJudgement, classify, evidence_expired, next_after, redact};
use esclusa_core::plan::PlannedTask;
use esclusa_core::verdict::{StepOutcome, StepRecord, StepReference};
use serde_json::{Value, json};

use crate::{ACTOR, Migrate};

impl Migrate {
    /// Judges one attempt. A repeat answers what was written.
    pub(crate) async fn judge_task(
        &self,
        deployment_id: &str,
        task_arn: Option<&str>,
        step: StepReference,
    ) -> Result<Value, Failure> {
        let task = self.task(deployment_id, step).await?;
        let policy = Policy {
            idempotent: task.idempotent,
            start_attempts: task.start_attempts,
            is_for_a_check: task.is_for_a_check,
        };
        let row = self.journal.step(deployment_id, step).await?.ok_or_else(|| {
            Failure::invalid_input(format!(
                "step {} of deployment `{deployment_id}` was not begun",
                step.index
            ))
        })?;
        if row.row.judged_at.is_some() {
            return Ok(answer(next_after(row.row.record.outcome, policy, step.attempt)));
        }
        let Some(task_arn) = task_arn else {
            return self.never_placed(deployment_id, &row, policy).await;
        };
        let seen = self.see(&task, task_arn).await?;
        let judgement = match &seen {
            Some(described) => classify(&TaskFacts::from_json(described)?, &task.container, policy, step.attempt),
            None => evidence_expired(task_arn, policy, step.attempt),
        };
        if judgement.next == Next::WaitAgain {
            return Err(Failure::unknown_effect(format!(
                "task `{task_arn}` has not stopped although it was asked to: {}; look at it, then run `esclusa unlock`",
                judgement.diagnosis
            )));
        }
        let plan = self.journal.plan(deployment_id).await?;
        let log = match plan.revision(&task.revision) {
            Some(revision) => {
                self.logs
                    .last_words(&revision.definition, &task.container, task_arn)
                    .await
            }
            None => LastWords::default(),
        };
        self.record(deployment_id, &row, &judgement, seen.as_ref(), &log)
            .await?;
        Ok(answer(judgement.next))
    }

    async fn never_placed(&self, deployment_id: &str, row: &Stored<StepRow>, policy: Policy) -> Result<Value, Failure> {
        let work = self.journal.work_here(deployment_id).await?;
        let step = row.row.record.step;
        let judged = StepRow {
            judged_at: Some(self.journal.clock().now()?),
            ..row.row.clone()
        };
        let draft = work.subject.draft(
            RecordKind::Judged,
            ACTOR,
            &json!({"step": step, "name": judged.name, "outcome": judged.record.outcome, "sentence": judged.record.sentence}),
        )?;
        let commit = Commit::new()
            .change(Change::put(
                step_key(deployment_id, step),
                &judged,
                Expected::Revision(row.revision),
            )?)
            .record(&work.subject.chain, draft);
        self.journal.commit(commit).await?.or_failure()?;
        Ok(answer(next_after(StepOutcome::NeverStarted, policy, step.attempt)))
    }

    /// The truth first; where ECS has forgotten the task, the event that was stored.
    async fn see(&self, task: &PlannedTask, task_arn: &str) -> Result<Option<Value>, Failure> {
        let events = self.journal.inbox(task_arn).await?;
        let described = self.ecs.describe_tasks(&task.cluster, &[task_arn.to_owned()]).await?;
        let now = described.found.into_iter().next();
        let is_stopped = |task: &Value| TaskFacts::from_json(task).is_ok_and(|facts| facts.is_stopped());
        let stored = events
            .iter()
            .filter(|event| event.is_over)
            .max_by_key(|event| event.version)
            .and_then(|event| serde_json::from_str(&event.detail).ok());
        Ok(match (now, stored) {
            (Some(now), _) if is_stopped(&now) => Some(now),
            (_, Some(stored)) => Some(stored),
            (now, None) => now,
        })
    }

    async fn record(
        &self,
        deployment_id: &str,
        row: &Stored<StepRow>,
        judgement: &TaskJudgement,
        seen: Option<&Value>,
        log: &LastWords,
    ) -> Result<(), Failure> {
        let work = self.journal.work_here(deployment_id).await?;
        let step = row.row.record.step;
        let outcome = judgement.step_outcome();
        let judged = StepRow {
            record: StepRecord {
                step,
                outcome,
                sentence: judgement.diagnosis.clone(),
                already_there: false,
            },
            judged_at: Some(self.journal.clock().now()?),
            ..row.row.clone()
        };
        let mut commit = Commit::new().change(Change::put(
            step_key(deployment_id, step),
            &judged,
            Expected::Revision(row.revision),
        )?);
        let evidence = json!({
            "step": step,
            "name": judged.name,
            "task": seen.map(redact),
            "log": log.lines,
            "logUnreadable": log.unreadable,
        });
        let verdict = json!({
            "step": step,
            "name": judged.name,
            "outcome": outcome,
            "sentence": judgement.diagnosis,
            "judgement": judgement,
        });
        commit = commit
            .record(
                &work.subject.chain,
                work.subject.draft(RecordKind::TaskStopped, ACTOR, &evidence)?,
            )
            .record(
                &work.subject.chain,
                work.subject.draft(RecordKind::Judged, ACTOR, &verdict)?,
            );
        self.journal.commit(commit).await?.or_failure().map(|_| ())
    }
}

fn answer(next: Next) -> Value {
    json!({"outcome": match next {
        Next::Completed => "completed",
        Next::RunAgain => "run_again",
        Next::Failed | Next::WaitAgain => "failed",
    }})
}
