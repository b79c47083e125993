//! The Lambda function `update`: points services at task definitions, with one call or none.

use aws_config::SdkConfig;
use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::control::rows::StepRow;
use esclusa_adapters::control::{Change, Expected};
use esclusa_adapters::deployments::{StepRequest, step_key};
use esclusa_adapters::ecs::{EcsReader, ServiceUpdater, UpdateService};
use esclusa_adapters::journal::{Commit, Journal};
use esclusa_core::error::Failure;
use esclusa_core::plan::{PlannedService, PlannedStep};
use esclusa_core::service_deployment::{BeforeUpdate, ServiceFacts, Wanted, before_update};
use esclusa_core::verdict::{StepKind, StepOutcome, StepRecord, StepReference};
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Who its records name.
const ACTOR: &str = "esclusa/update";

/// The function.
#[derive(Debug)]
pub struct Update {
    journal: Journal,
    ecs: EcsReader,
    updater: ServiceUpdater,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Request {
    UpdateService {
        deployment_id: String,
        #[serde(flatten)]
        step: StepRequest,
    },
}

/// What an update came to. The previous task definition is where the way back leads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    service_arn: String,
    ecs_deployment_id: String,
    service_deployment_arn: Option<String>,
    called: bool,
}

impl Function for Update {
    const NAME: &'static str = "update";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            ecs: EcsReader::new(config),
            updater: ServiceUpdater::new(config),
        })
    }

    async fn handle(&self, payload: Value, _invocation: &Invocation) -> Result<Value, Failure> {
        let Request::UpdateService { deployment_id, step } = parse_request(payload)?;
        self.update_service(&deployment_id, step.into()).await
    }
}

impl Update {
    async fn update_service(&self, deployment_id: &str, step: StepReference) -> Result<Value, Failure> {
        let PlannedStep::Service(planned) = self.journal.planned_step(deployment_id, step).await? else {
            return Err(Failure::invalid_input(format!(
                "step {} of deployment `{deployment_id}` is no service",
                step.index
            )));
        };
        let work = self.journal.work(deployment_id).await?;
        let target = self.journal.target(deployment_id, &planned).await?;
        let observed = self.observe(&planned).await?;
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            step: Some(step),
            action: "ecs:UpdateService",
            target: format!("{}/{}", planned.cluster, planned.service),
            facts: json!({
                "service": planned.name,
                "taskDefinitionArn": target,
                "previousTaskDefinitionArn": observed.primary().map(|primary| &primary.task_definition_arn),
                "desiredCount": observed.desired,
            }),
        };
        // What was in force before is written down before the first call: after it, ECS shows only what we put there.
        self.begin(deployment_id, step, &planned, &observed, &target).await?;
        let outcome = match self.journal.announce(&act).await? {
            Announced::Settled(outcome) => return answer(outcome),
            Announced::Now | Announced::Before { .. } => self.bring(&planned, &observed, target).await,
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(failure) => {
                let commit = self.never_moved(deployment_id, step, &failure.message).await?;
                return Err(self.journal.settle_refused(&act, failure, commit).await);
            }
        };
        let row = self
            .journal
            .step(deployment_id, step)
            .await?
            .ok_or_else(|| Failure::defect("a step that was begun is gone"))?;
        let known = StepRow {
            resource_arn: Some(outcome.service_arn.clone()),
            ecs_deployment_id: Some(outcome.ecs_deployment_id.clone()),
            service_deployment_arn: outcome.service_deployment_arn.clone(),
            ..row.row.clone()
        };
        let commit = Commit::new().change(Change::put(
            step_key(deployment_id, step),
            &known,
            Expected::Revision(row.revision),
        )?);
        answer(self.journal.settle(&act, &json!(outcome), commit).await?)
    }

    async fn observe(&self, planned: &PlannedService) -> Result<ServiceFacts, Failure> {
        let described = self
            .ecs
            .describe_services(&planned.cluster, std::slice::from_ref(&planned.service))
            .await?;
        match described.found.first() {
            Some(service) => ServiceFacts::from_json(service),
            None => Err(Failure::refused(format!(
                "cluster `{}` has no service `{}`: create it with your infrastructure code, then deploy again",
                planned.cluster, planned.service
            ))),
        }
    }

    async fn begin(
        &self,
        deployment_id: &str,
        step: StepReference,
        planned: &PlannedService,
        observed: &ServiceFacts,
        target: &str,
    ) -> Result<(), Failure> {
        if self.journal.step(deployment_id, step).await?.is_some() {
            return Ok(());
        }
        let before = observed.primary().map(|primary| primary.task_definition_arn.clone());
        let row = StepRow {
            kind: StepKind::Service,
            name: planned.name.to_string(),
            record: StepRecord {
                step,
                outcome: StepOutcome::Begun,
                sentence: String::new(),
            },
            resource_arn: Some(observed.service_arn.clone()),
            ecs_deployment_id: None,
            service_deployment_arn: None,
            previous_task_definition_arn: before.filter(|before| before != target),
            proof: None,
            begun_at: self.journal.clock().now()?,
            judged_at: None,
        };
        let commit = Commit::new().change(Change::put(step_key(deployment_id, step), &row, Expected::Absent)?);
        // Lost means that a run of the same step at the same time was faster: it saw the same service.
        let _outcome = self.journal.commit(commit).await?;
        Ok(())
    }

    /// The row of a step whose service was not moved.
    async fn never_moved(
        &self,
        deployment_id: &str,
        step: StepReference,
        why: &str,
    ) -> Result<Commit<'static>, Failure> {
        let Some(row) = self.journal.step(deployment_id, step).await? else {
            return Ok(Commit::new());
        };
        let judged = StepRow {
            record: StepRecord {
                step,
                outcome: StepOutcome::NeverStarted,
                sentence: why.to_owned(),
            },
            judged_at: Some(self.journal.clock().now()?),
            ..row.row
        };
        Ok(Commit::new().change(Change::put(
            step_key(deployment_id, step),
            &judged,
            Expected::Revision(row.revision),
        )?))
    }

    async fn bring(
        &self,
        planned: &PlannedService,
        observed: &ServiceFacts,
        target: String,
    ) -> Result<Outcome, Failure> {
        let wanted = Wanted {
            task_definition_arn: target.clone(),
            start_count: planned.desired_count.map_or(0, u64::from),
        };
        match before_update(observed, &wanted) {
            BeforeUpdate::Refuse(failure) => Err(failure),
            BeforeUpdate::Adopt { ecs_deployment_id } => Ok(Outcome {
                service_arn: observed.service_arn.clone(),
                ecs_deployment_id,
                service_deployment_arn: None,
                called: false,
            }),
            BeforeUpdate::Call {
                desired_count,
                force_new_deployment,
            } => {
                let service = self
                    .updater
                    .update(&UpdateService {
                        cluster: planned.cluster.clone(),
                        service: planned.service.clone(),
                        task_definition: target.clone(),
                        deployment_configuration: Some(planned.deployment_configuration.clone()),
                        desired_count,
                        force_new_deployment,
                    })
                    .await?;
                let facts = ServiceFacts::from_json(&service)?;
                let primary = facts
                    .primary()
                    .filter(|primary| primary.task_definition_arn == target)
                    .ok_or_else(|| {
                        Failure::transient(format!(
                            "ECS accepted the update of `{}` and does not show it yet",
                            planned.service
                        ))
                    })?;
                // The service deployment of the answer may still be the one before: reading finds ours.
                Ok(Outcome {
                    service_arn: facts.service_arn.clone(),
                    ecs_deployment_id: primary.id.clone(),
                    service_deployment_arn: None,
                    called: true,
                })
            }
        }
    }
}

fn answer(outcome: Value) -> Result<Value, Failure> {
    let outcome: Outcome = serde_json::from_value(outcome)
        .map_err(|error| Failure::defect(format!("the outcome of an update cannot be read: {error}")))?;
    Ok(json!({
        "serviceArn": outcome.service_arn,
        "ecsDeploymentId": outcome.ecs_deployment_id,
        "serviceDeploymentArn": outcome.service_deployment_arn,
    }))
}
