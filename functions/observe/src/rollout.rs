//! Judging a rollout: over or not, and what proves it.

use esclusa_adapters::acts::fences;
use esclusa_adapters::control::rows::StepRow;
use esclusa_adapters::control::{Change, Expected, Key};
use esclusa_adapters::deployments::step_key;
use esclusa_adapters::journal::Commit;
use esclusa_adapters::rollouts::{self, Rollout};
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::plan::PlannedStep;
use esclusa_core::service_deployment::{Judgement, ServiceFacts, judge, still_in_force};
use esclusa_core::verdict::{Mode, StepOutcome, StepRecord, StepReference};
use esclusa_core::words;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{ACTOR, Observe};

impl Observe {
    /// One look at a rollout. An end is written down once; a repeat answers the same.
    pub(crate) async fn judge_service(
        &self,
        deployment_id: &str,
        step: StepReference,
        stop_requested: bool,
    ) -> Result<Value, Failure> {
        let work = self.journal.work_here(deployment_id).await?;
        let rollout = rollouts::observe(&self.journal, &self.ecs, deployment_id, step).await?;
        if rollout.step.row.judged_at.is_some() {
            return Ok(answer(rollout.step.row.record.outcome));
        }
        let now = self.journal.clock().now()?;
        let timeout_seconds = self.journal.planned_step(deployment_id, step).await?.timeout_seconds();
        let judgement = judge(&rollout.expected, &rollout.observed);
        let is_late = now > deadline(rollout.step.row.begun_at, timeout_seconds, stop_requested);
        let (outcome, sentence) = match &judgement {
            Judgement::StillRolling { missing, .. } if is_late => (
                StepOutcome::Failed,
                format!(
                    "the rollout did not end within {timeout_seconds} seconds: {}",
                    missing.join("; ")
                ),
            ),
            judgement => (judgement.step_outcome(), sentence(judgement)),
        };
        let is_over = outcome != StepOutcome::Begun;
        let release_id = &work.release.row.release_id;
        let stops = !is_over && !stop_requested && rollout.is_stopped(&self.journal, release_id).await?;
        let row = StepRow {
            record: StepRecord {
                outcome,
                sentence: sentence.clone(),
                ..rollout.step.row.record.clone()
            },
            service_deployment_arn: service_deployment(&rollout),
            proof: match &judgement {
                Judgement::Succeeded(proof) => Some(proof.clone()),
                _ => None,
            },
            is_stopped: rollout.step.row.is_stopped || stops,
            judged_at: is_over.then_some(now),
            ..rollout.step.row.clone()
        };
        let kind = if is_over {
            RecordKind::Judged
        } else {
            RecordKind::ServiceProgress
        };
        let draft = work.subject.draft(
            kind,
            ACTOR,
            &json!({
                "step": step,
                "name": row.name,
                "outcome": outcome,
                "sentence": sentence,
                "judgement": judgement,
                "counts": rollout.observed.service.deployments,
            }),
        )?;
        let commit = Commit::new()
            .change(Change::put(
                step_key(deployment_id, step),
                &row,
                Expected::Revision(rollout.step.revision),
            )?)
            .record(&work.subject.chain, draft);
        self.journal.commit(commit).await?.or_failure()?;
        if stops {
            return Ok(json!({"outcome": "stop"}));
        }
        Ok(answer(outcome))
    }
}

impl Observe {
    /// Looks at all services once more, when every step has been proven: whoever moved one of them meanwhile took the
    /// release out of force. A run that comes late, when the way back has moved them, writes nothing.
    pub(crate) async fn confirm_services(&self, deployment_id: &str) -> Result<Value, Failure> {
        let work = self.journal.work_here(deployment_id).await?;
        let plan = self.journal.plan(deployment_id).await?;
        if self.journal.way_back(deployment_id).await?.is_some() {
            return Ok(json!({"confirmed": false}));
        }
        let mut confirmed = true;
        for stored in self.journal.steps(deployment_id).await? {
            let row = &stored.row;
            let is_proven = row.record.step.mode == Mode::Forward && row.record.outcome == StepOutcome::Done;
            let planned = plan.steps.get(row.record.step.index).filter(|_| is_proven);
            let Some(PlannedStep::Service(planned)) = planned else {
                continue;
            };
            let target = self.journal.target(deployment_id, planned).await?;
            let described = self
                .ecs
                .describe_services(&planned.cluster, std::slice::from_ref(&planned.service))
                .await?;
            let service = described.found.first().map(ServiceFacts::from_json).transpose()?;
            let Err(gone) = still_in_force(&target, service.as_ref()) else {
                continue;
            };
            confirmed = false;
            let sentence = format!("it was proven, and then {gone}");
            let moved = StepRow {
                record: StepRecord {
                    outcome: StepOutcome::Foreign,
                    sentence: sentence.clone(),
                    ..row.record.clone()
                },
                ..row.clone()
            };
            let facts = json!({"step": row.record.step, "name": row.name, "outcome": StepOutcome::Foreign, "sentence": sentence});
            let commit = Commit::new()
                .fenced(fences(&work.deployment.row))
                .change(Change::absent(Key::way_back(deployment_id)))
                .change(Change::put(
                    step_key(deployment_id, row.record.step),
                    &moved,
                    Expected::Revision(stored.revision),
                )?)
                .record(
                    &work.subject.chain,
                    work.subject.draft(RecordKind::Judged, ACTOR, &facts)?,
                );
            self.journal.commit(commit).await?.or_failure()?;
        }
        Ok(json!({"confirmed": confirmed}))
    }
}

fn answer(outcome: StepOutcome) -> Value {
    json!({"outcome": match outcome {
        StepOutcome::Done => "succeeded",
        StepOutcome::Begun => "wait_again",
        StepOutcome::NeverStarted | StepOutcome::Failed | StepOutcome::Reverted | StepOutcome::Foreign | StepOutcome::Unknown => "failed",
    }})
}

/// What is known stays known: a later look never puts another service deployment in its place.
fn service_deployment(rollout: &Rollout) -> Option<String> {
    let found = rollout.observed.service_deployment.as_ref();
    let known = rollout.step.row.service_deployment_arn.clone();
    known.or_else(|| found.map(|deployment| deployment.arn.clone()))
}

/// A rollout has its time; one that was stopped has as much again to go back.
fn deadline(begun_at: Timestamp, timeout_seconds: u32, stop_requested: bool) -> Timestamp {
    let factor = if stop_requested { 2 } else { 1 };
    begun_at
        .saturating_add(SignedDuration::from_secs(i64::from(timeout_seconds) * factor))
        .unwrap_or(Timestamp::MAX)
}

fn sentence(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Succeeded(proof) => {
            format!(
                "`{}` is in force and proven by {}",
                proof.task_definition_arn,
                words::counted(proof.task_arns.len(), "running task")
            )
        }
        Judgement::StillRolling { missing, .. } => missing.join("; "),
        Judgement::RolledBack { reason } => format!("ECS rolled it back: {reason}"),
        Judgement::Failed { reason } | Judgement::Vacuous { reason } => reason.clone(),
        Judgement::ForeignChange { by } => format!("somebody else moved the service to `{by}`"),
        Judgement::Deleted { status } => {
            format!("somebody deleted the service, which is {status}; create it again, then deploy")
        }
    }
}
