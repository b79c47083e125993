//! The end of a deployment: concluded from what is written down, never from what an execution believes.

use std::collections::BTreeMap;

use esclusa_adapters::acts::IntentRow;
use esclusa_adapters::control::rows::{
    DeploymentRow, GatesRow, OpenDeploymentRow, Progress, QuarantinedLockRow, StepRow,
};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::deployments::{Decision, Work};
use esclusa_adapters::journal::Commit;
use esclusa_adapters::locks::out_of_queues;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::gate::{Closed, Stop};
use esclusa_core::ledger::RecordKind;
use esclusa_core::plan::{Plan, PlannedStep};
use esclusa_core::protocol::intent::IntentStatus;
use esclusa_core::protocol::lock::{Lock, LockRefusal, LockStatus, quarantine, release};
use esclusa_core::verdict::{
    Cause, DeploymentFacts, End, LocksAfter, Mode, OpenIntent, PlanOutline, StepKind, StepOutcome, StepOutline,
    Verified, after, conclude,
};
use esclusa_core::verification::{self, Outcome, VerificationEnd};
use esclusa_core::way_back::WayBack;
use esclusa_runtime::Measure;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::consequences::debt;
use crate::{ACTOR, Record, StateFailure};

/// What happens to a lock at the end of the deployment that held it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum LockFate {
    Free,
    Quarantined,
    /// It is somebody else's now.
    #[serde(rename = "taken over")]
    TakenOver,
}

impl Record {
    /// Writes down how a deployment ended, what is proven by it, and what becomes of its locks. A repeat answers the
    /// same. That its execution `died` is the cause only where what is written down is no good end by itself.
    pub(crate) async fn end_deployment(
        &self,
        deployment_id: &str,
        execution_arn: Option<&str>,
        failures: &[StateFailure],
        died: Option<Cause>,
    ) -> Result<Value, Failure> {
        let work = self.journal.work(deployment_id).await?;
        if let Some(end) = &work.deployment.row.end {
            return Ok(answer(end));
        }
        let (plan, gave_way_to) = match self.journal.decision(deployment_id).await? {
            Some(Decision::CarryOut(plan)) => (Some(*plan), None),
            Some(Decision::GiveWay { to }) => (None, Some(to)),
            None => (None, None),
        };
        let steps: Vec<StepRow> = self
            .journal
            .steps(deployment_id)
            .await?
            .into_iter()
            .map(|stored| stored.row)
            .collect();
        let superseded = gave_way_to.map(|by| Cause::Superseded { by });
        let cause = self.cause(&work, superseded, failures, &steps).await?;
        let way_back = self.journal.way_back(deployment_id).await?.unwrap_or_default();
        let mut facts = self
            .facts(deployment_id, plan.as_ref(), &way_back, &steps, cause)
            .await?;
        let mut end = conclude(&facts);
        if facts.cause.is_none() && !end.verdict.is_in_force() {
            // What is written down says that something is missing, and this is why.
            facts.cause = died;
            end = conclude(&facts);
        }
        let now = self.journal.clock().now()?;
        let owner = execution_arn.unwrap_or_default();
        let (changes, locks) = self.lock_changes(&work.deployment.row, owner, &end, now).await?;
        let mut commit = Commit::new().changes(changes);
        // Whoever took a lock over may have brought another version since.
        let is_ours = !locks.values().any(|fate| *fate == LockFate::TakenOver);
        if is_ours && end.is_in_force() {
            commit = commit.change(self.in_force(&work).await?);
            commit = commit.changes(debt(&work, plan.as_ref(), &steps, now)?);
        }
        if let Some(plan) = plan
            .as_ref()
            .filter(|plan| is_ours && end.verdict.is_in_force() && !plan.unchanged)
        {
            commit = commit.changes(self.proven(&work, plan, &steps, now).await?);
            commit = commit.changes(self.settled_debts(&work, &end, now).await?);
            commit = commit.changes(self.others_in_force(&work, plan).await?);
        }
        let schemas = match &plan {
            Some(plan) => self.schemas(&work, plan, &steps, &way_back, now).await?,
            None => BTreeMap::new(),
        };
        for (database, state) in &schemas {
            commit = commit.changes(self.schema_changes(&work, database, state.as_ref()).await?);
        }
        commit = commit.changes(out_of_queues(self.journal.control(), &work.deployment.row).await?);
        let quarantined = self.quarantined(&work, &end, &steps, now).await?;
        let is_quarantined = quarantined.is_some();
        commit = commit.changes(quarantined);
        let open = Key::open_deployment(deployment_id);
        if let Some(pointer) = self.journal.control().get::<OpenDeploymentRow>(&open).await? {
            commit = commit.change(Change::delete(open, pointer.revision));
        }
        let ended = DeploymentRow {
            progress: Progress::Ended,
            ended_at: Some(now),
            end: Some(end.clone()),
            ..work.deployment.row.clone()
        };
        let draft = work.subject.draft(
            RecordKind::DeploymentEnded,
            ACTOR,
            &json!({
                "execution": execution_arn, "end": end, "locks": locks, "imageQuarantined": is_quarantined,
                "schemas": schemas.iter().map(|(database, state)| json!({"database": database, "state": state})).collect::<Vec<_>>(),
            }),
        )?;
        let commit = commit
            .change(Change::put(
                Key::deployment(deployment_id),
                &ended,
                Expected::Revision(work.deployment.revision),
            )?)
            .record(&work.subject.chain, draft);
        self.journal.commit(commit).await?.or_failure()?;
        let since = ended.started_at.unwrap_or(ended.created_at);
        Measure::DeploymentEnded {
            deployment_id,
            verdict: end.verdict,
            effect: end.effect,
            took: now.duration_since(since),
        }
        .emit();
        measure_steps(deployment_id, &steps);
        if end.effect.is_dirty() {
            tracing::error!(
                deployment_id,
                reasons = end.reasons.join("; "),
                "a deployment ended dirty: a person must look"
            );
        }
        Ok(answer(&end))
    }

    /// Why it ended as it did: that it gave way, that its gates closed, that a person stopped it, or what failed.
    async fn cause(
        &self,
        work: &Work,
        superseded: Option<Cause>,
        failures: &[StateFailure],
        steps: &[StepRow],
    ) -> Result<Option<Cause>, Failure> {
        let deployment_id = &work.deployment.row.deployment_id;
        let closed = match superseded {
            Some(superseded) => Some(superseded),
            None => self.closed(deployment_id).await?,
        };
        let cause = closed.or_else(|| cause(failures));
        // Whatever else failed after a stop, on the way back too, the stop is why.
        let is_stopped = match &cause {
            Some(Cause::Failure {
                kind: Some(ErrorKind::Stopped),
                ..
            }) => true,
            Some(cause) if cause.is_decided() => false,
            Some(_) | None => self.is_cut_short(deployment_id, steps).await?,
        };
        Ok(if is_stopped {
            self.stopped(work).await?.or(cause)
        } else {
            cause
        })
    }

    /// The locks of a deployment as its end leaves them.
    async fn lock_changes(
        &self,
        deployment: &DeploymentRow,
        owner: &str,
        end: &End,
        now: Timestamp,
    ) -> Result<(Vec<Change>, BTreeMap<String, LockFate>), Failure> {
        let mut changes = Vec::new();
        let mut fates = BTreeMap::new();
        for (name, fence) in &deployment.fences {
            let key = Key::lock(name);
            let stored: Option<Stored<Lock>> = self.journal.control().get(&key).await?;
            let read = stored.as_ref().map(|stored| &stored.row);
            let (written, fate) = match after(end) {
                LocksAfter::Free => (release(read, owner, *fence, now), LockFate::Free),
                LocksAfter::Quarantine => {
                    let why = end.reasons.join("; ");
                    (quarantine(read, owner, *fence, &why, now), LockFate::Quarantined)
                }
            };
            let fate = match written {
                Ok(Some(write)) => {
                    changes.push(Change::put(key, &write.row, Expected::unchanged(stored.as_ref()))?);
                    if write.row.status == LockStatus::Quarantined {
                        changes.push(self.in_quarantine(name).await?);
                    }
                    fate
                }
                Ok(None) => fate,
                Err(LockRefusal::FenceLost { .. }) => LockFate::TakenOver,
                Err(refusal) => return Err(refusal.into()),
            };
            fates.insert(name.clone(), fate);
        }
        Ok((changes, fates))
    }

    /// The row by which a sweep finds a lock in quarantine.
    async fn in_quarantine(&self, lock: &str) -> Result<Change, Failure> {
        let key = Key::quarantined_lock(lock);
        let stored: Option<Stored<QuarantinedLockRow>> = self.journal.control().get(&key).await?;
        let row = QuarantinedLockRow { lock: lock.to_owned() };
        Change::put(key, &row, Expected::unchanged(stored.as_ref()))
    }

    async fn facts(
        &self,
        deployment_id: &str,
        plan: Option<&Plan>,
        way_back: &WayBack,
        steps: &[StepRow],
        cause: Option<Cause>,
    ) -> Result<DeploymentFacts, Failure> {
        let intents: Vec<IntentRow> = self.journal.intents(deployment_id).await?;
        Ok(DeploymentFacts {
            plan: plan.map(|plan| PlanOutline {
                unchanged: plan.unchanged,
                steps: plan.steps.iter().map(outline).collect(),
            }),
            way_back: way_back.steps.iter().map(outline).collect(),
            left: way_back.left.clone(),
            records: steps.iter().map(|row| row.record.clone()).collect(),
            verified: self.verified(deployment_id, plan).await?,
            cause,
            open_intents: intents
                .into_iter()
                .filter(|row| row.intent.status == IntentStatus::Open)
                .map(|row| OpenIntent {
                    step: row.intent.step,
                    action: row.intent.action,
                    target: row.intent.target,
                })
                .collect(),
        })
    }

    /// Whether a rollout or the verification was ended because a person stopped the release. A rollout that succeeded
    /// all the same was not.
    async fn is_cut_short(&self, deployment_id: &str, steps: &[StepRow]) -> Result<bool, Failure> {
        let key = Key::verification(deployment_id);
        let stored: Option<Stored<verification::State>> = self.journal.control().get(&key).await?;
        let end = stored.and_then(|stored| stored.row.end);
        Ok(matches!(end, Some(VerificationEnd::Stopped { .. }))
            || steps
                .iter()
                .any(|row| row.is_stopped && row.record.outcome != StepOutcome::Done))
    }

    /// That a person stopped it.
    async fn stopped(&self, work: &Work) -> Result<Option<Cause>, Failure> {
        let stop = self.journal.stop(&work.release.row.release_id).await?;
        Ok(stop.map(|Stop { by, reason, .. }| Cause::Stopped { by, why: reason }))
    }

    /// That the gates closed for good before it began.
    async fn closed(&self, deployment_id: &str) -> Result<Option<Cause>, Failure> {
        let stored: Option<Stored<GatesRow>> = self.journal.control().get(&Key::gates(deployment_id)).await?;
        Ok(stored.and_then(|stored| stored.row.closed).map(|closed| match closed {
            Closed::Rejected { by } => Cause::Rejected { by },
            Closed::Expired => Cause::Expired,
            Closed::NotReplicated { image, repository } => Cause::NotReplicated { image, repository },
            Closed::WaveFailed(failed) => Cause::WaveFailed(failed),
            Closed::Superseded { by } => Cause::Superseded { by },
            Closed::Stopped { by, why } => Cause::Stopped { by, why },
        }))
    }

    /// Where the verification stands. What was in force before is not verified again.
    async fn verified(&self, deployment_id: &str, plan: Option<&Plan>) -> Result<Verified, Failure> {
        if plan.is_none_or(|plan| plan.verification.is_none() || plan.unchanged) {
            return Ok(Verified::NotAsked);
        }
        let key = Key::verification(deployment_id);
        let stored: Option<Stored<verification::State>> = self.journal.control().get(&key).await?;
        Ok(match stored.and_then(|stored| stored.row.end) {
            None => Verified::Unfinished,
            Some(VerificationEnd::Passed { .. }) => Verified::Passed,
            Some(VerificationEnd::GaveWay { to }) => Verified::GaveWay { to },
            Some(VerificationEnd::Stopped { .. }) => Verified::Unfinished,
            Some(VerificationEnd::Failed { why, outcome, .. }) => Verified::Failed {
                is_shown: outcome == Outcome::Fail,
                why,
            },
        })
    }
}

pub(crate) fn answer(end: &End) -> Value {
    json!({"verdict": end.verdict, "effect": end.effect, "reason": end.reason})
}

/// The first failure is the cause; what failed on the way back shows in its step records.
fn cause(failures: &[StateFailure]) -> Option<Cause> {
    let mut forward = failures.iter().filter(|failure| failure.mode != Some(Mode::WayBack));
    forward.next().or_else(|| failures.first()).map(StateFailure::cause)
}

/// How long each step took that was judged.
fn measure_steps(deployment_id: &str, steps: &[StepRow]) {
    for step in steps {
        let Some(judged_at) = step.judged_at else { continue };
        Measure::StepJudged {
            deployment_id,
            step: step.kind,
            outcome: step.record.outcome,
            took: judged_at.duration_since(step.begun_at),
        }
        .emit();
    }
}

fn outline(step: &PlannedStep) -> StepOutline {
    match step {
        PlannedStep::Task(task) => StepOutline {
            kind: StepKind::Task,
            name: task.name.to_string(),
            is_migration: task.database.is_some(),
            idempotent: task.idempotent,
            is_for_a_check: task.is_for_a_check,
        },
        PlannedStep::Service(service) => StepOutline {
            kind: StepKind::Service,
            name: service.name.to_string(),
            is_migration: false,
            idempotent: true,
            is_for_a_check: false,
        },
    }
}
