//! What there was before a step, and what may be there.

use esclusa_adapters::control::Stored;
use esclusa_adapters::control::rows::StepRow;
use esclusa_adapters::rollouts;
use esclusa_core::error::Failure;
use esclusa_core::plan::{PlannedService, PlannedStep};
use esclusa_core::service_deployment::{Before, ServiceFacts};
use esclusa_core::verdict::{Mode, StepKind, StepOutcome, StepRecord, StepReference};

use crate::Update;

impl Update {
    /// The row of a step as it begins, with what is there before the first call: after it, ECS shows only what we put
    /// there.
    pub(crate) async fn begin(
        &self,
        step: StepReference,
        planned: &PlannedService,
        observed: &ServiceFacts,
        target: &str,
    ) -> Result<StepRow, Failure> {
        let primary = observed.primary();
        let listed = rollouts::listed(&self.ecs, &planned.cluster, &observed.service_arn).await?;
        Ok(StepRow {
            kind: StepKind::Service,
            name: planned.name.to_string(),
            record: StepRecord {
                step,
                outcome: StepOutcome::Begun,
                sentence: String::new(),
                already_there: false,
            },
            resource_arn: Some(observed.service_arn.clone()),
            ecs_deployment_id: None,
            service_deployment_arn: None,
            previous_task_definition_arn: primary
                .map(|primary| primary.task_definition_arn.clone())
                .filter(|before| before != target),
            before: Some(Before {
                ecs_deployment_id: primary.map(|primary| primary.id.clone()),
                service_deployment_arn: listed.into_iter().next(),
                is_completed: primary.is_some_and(|primary| primary.rollout_state.as_deref() == Some("COMPLETED")),
            }),
            proof: None,
            diagnosis: None,
            is_stopped: false,
            begun_at: self.journal.clock().now()?,
            judged_at: None,
        })
    }

    pub(crate) async fn begun(&self, deployment_id: &str, step: StepReference) -> Result<Stored<StepRow>, Failure> {
        let row = self.journal.step(deployment_id, step).await?;
        row.ok_or_else(|| Failure::defect("a step that was begun is gone"))
    }

    /// What the service may run besides the target when the step comes to it: what the plan found, or on the way back
    /// what the deployment brought.
    pub(crate) async fn expected(
        &self,
        deployment_id: &str,
        step: StepReference,
        planned: &PlannedService,
    ) -> Result<Option<String>, Failure> {
        if step.mode == Mode::Forward {
            return Ok(planned.previous_task_definition_arn.clone());
        }
        let plan = self.journal.plan(deployment_id).await?;
        let forward = plan.steps.iter().find_map(|forward| match forward {
            PlannedStep::Service(service) if service.name == planned.name => Some(service),
            PlannedStep::Service(_) | PlannedStep::Task(_) => None,
        });
        match forward {
            Some(service) => self.journal.target(deployment_id, service).await.map(Some),
            None => Ok(None),
        }
    }

    /// What was there before the deployment came to the service for the first time.
    pub(crate) async fn before_forward(
        &self,
        deployment_id: &str,
        planned: &PlannedService,
    ) -> Result<Option<Before>, Failure> {
        let rows = self.journal.steps(deployment_id).await?.into_iter();
        let forward = rows
            .map(|stored| stored.row)
            .filter(|row| row.kind == StepKind::Service && row.record.step.mode == Mode::Forward);
        Ok(forward
            .filter(|row| row.name == planned.name.as_str())
            .min_by_key(|row| row.record.step)
            .and_then(|row| row.before))
    }
}
