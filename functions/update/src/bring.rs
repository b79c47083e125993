//! Carrying a decision out, and writing down what came of it.

use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::control::rows::StepRow;
use esclusa_adapters::control::{Change, Expected, Stored};
use esclusa_adapters::deployments::step_key;
use esclusa_adapters::ecs::UpdateService;
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::plan::PlannedService;
use esclusa_core::service_deployment::{BeforeUpdate, ServiceFacts, Wanted};
use esclusa_core::verdict::{Mode, StepOutcome, StepRecord, StepReference};
use serde_json::{Value, json};

use crate::{ACTOR, Outcome, Update, answer};

impl Update {
    /// Carries the decision out, with one call or none.
    pub(crate) async fn bring(
        &self,
        planned: &PlannedService,
        observed: &ServiceFacts,
        wanted: &Wanted,
        decision: BeforeUpdate,
    ) -> Result<Outcome, Failure> {
        let (desired_count, force_new_deployment) = match decision {
            BeforeUpdate::Refuse(failure) => return Err(failure),
            BeforeUpdate::Foreign { by } => {
                return Err(Failure::refused(format!(
                    "somebody else moved service `{}` to {by} since this was planned; it is left alone: deploy again",
                    planned.service
                )));
            }
            BeforeUpdate::Deleted { status } => {
                return Err(Failure::refused(format!(
                    "somebody deleted service `{}` in cluster `{}`, which is {status}; create it again, then deploy",
                    planned.service, planned.cluster
                )));
            }
            BeforeUpdate::Adopt { ecs_deployment_id } => {
                return Ok(Outcome {
                    service_arn: observed.service_arn.clone(),
                    ecs_deployment_id,
                    called: false,
                });
            }
            BeforeUpdate::Call {
                desired_count,
                force_new_deployment,
            } => (desired_count, force_new_deployment),
        };
        let service = self
            .updater
            .update(&UpdateService {
                cluster: planned.cluster.clone(),
                service: planned.service.clone(),
                task_definition: wanted.task_definition_arn.clone(),
                deployment_configuration: Some(planned.deployment_configuration.clone()),
                desired_count,
                force_new_deployment,
            })
            .await?;
        let updated = ServiceFacts::from_json(&service)?;
        let primary = updated
            .primary()
            .filter(|primary| primary.task_definition_arn == wanted.task_definition_arn)
            .ok_or_else(|| {
                Failure::transient(format!(
                    "ECS accepted the update of `{}` and does not show it yet",
                    planned.service
                ))
            })?;
        // The service deployment that the answer names may still be the one before: reading finds ours.
        Ok(Outcome {
            service_arn: updated.service_arn.clone(),
            ecs_deployment_id: primary.id.clone(),
            called: true,
        })
    }

    /// Writes down what the update came to, and which deployment of the service is to be judged.
    pub(crate) async fn settle(
        &self,
        deployment_id: &str,
        step: StepReference,
        planned: &PlannedService,
        act: &Act<'_>,
        outcome: &Outcome,
    ) -> Result<Value, Failure> {
        let row = self.begun(deployment_id, step).await?;
        let origin = match step.mode {
            Mode::Forward => row.row.before.clone(),
            Mode::WayBack => self.before_forward(deployment_id, planned).await?,
        };
        let known = StepRow {
            record: StepRecord {
                already_there: origin.and_then(|before| before.ecs_deployment_id).as_ref()
                    == Some(&outcome.ecs_deployment_id),
                ..row.row.record.clone()
            },
            resource_arn: Some(outcome.service_arn.clone()),
            ecs_deployment_id: Some(outcome.ecs_deployment_id.clone()),
            ..row.row
        };
        let commit = Commit::new().change(Change::put(
            step_key(deployment_id, step),
            &known,
            Expected::Revision(row.revision),
        )?);
        answer(&self.journal.settle(act, &json!(outcome), commit).await?)
    }

    /// Judges a step that moved nothing, where that is known, and answers why it did not.
    pub(crate) async fn unmoved(
        &self,
        deployment_id: &str,
        act: &Act<'_>,
        row: Stored<StepRow>,
        outcome: StepOutcome,
        announced: &Announced,
        failure: Failure,
    ) -> Failure {
        // The call of an earlier run may have moved the service, whatever this one was refused; only who moved it since
        // is known even so.
        let is_repeat = *announced != Announced::Now;
        if is_repeat && (outcome != StepOutcome::Foreign || row.row.judged_at.is_some()) {
            return failure;
        }
        let commit = match self.judged(deployment_id, act, row, outcome, &failure.message) {
            Ok(commit) => commit,
            Err(error) => return error,
        };
        if !is_repeat {
            return self.journal.settle_refused(act, announced, failure, commit).await;
        }
        match self.journal.commit(commit).await.and_then(Committed::or_failure) {
            Ok(_) => failure,
            Err(error) => error,
        }
    }

    fn judged(
        &self,
        deployment_id: &str,
        act: &Act<'_>,
        row: Stored<StepRow>,
        outcome: StepOutcome,
        why: &str,
    ) -> Result<Commit<'static>, Failure> {
        let step = row.row.record.step;
        let judged = StepRow {
            record: StepRecord {
                outcome,
                sentence: why.to_owned(),
                ..row.row.record.clone()
            },
            judged_at: Some(self.journal.clock().now()?),
            ..row.row
        };
        let facts = json!({"step": step, "name": judged.name, "outcome": outcome, "sentence": why});
        let draft = act.subject.draft(RecordKind::Judged, ACTOR, &facts)?;
        let change = Change::put(step_key(deployment_id, step), &judged, Expected::Revision(row.revision))?;
        Ok(Commit::new().change(change).record(&act.subject.chain, draft))
    }
}
