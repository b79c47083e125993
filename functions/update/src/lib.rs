//! The Lambda function `update`: points services at task definitions, with one call or none.

use aws_config::SdkConfig;
use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::control::rows::StepRow;
use esclusa_adapters::control::{Change, Expected, Stored};
use esclusa_adapters::deployments::{StepRequest, step_key};
use esclusa_adapters::ecs::{EcsReader, ServiceUpdater, UpdateService};
use esclusa_adapters::journal::{Commit, Committed, Journal};
use esclusa_adapters::rollouts;
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::plan::{PlannedService, PlannedStep};
use esclusa_core::service_deployment::{Before, BeforeUpdate, ServiceFacts, Wanted, before_update};
use esclusa_core::verdict::{Mode, StepKind, StepOutcome, StepRecord, StepReference};
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

/// What an update came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    service_arn: String,
    ecs_deployment_id: String,
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
        // What was there before is written down before the first call: after it, ECS shows only what we put there.
        let row = self.begin(deployment_id, step, &planned, &observed, &target).await?;
        let wanted = Wanted {
            task_definition_arn: target,
            expected_task_definition_arn: self.expected(deployment_id, step, &planned).await?,
            start_count: planned.start_count.map_or(0, u64::from),
        };
        let decision = before_update(&observed, &wanted, &row.row.before.clone().unwrap_or_default());
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            step: Some(step),
            action: "ecs:UpdateService",
            target: format!("{}/{}", planned.cluster, planned.service),
            facts: facts(&planned, &observed, &wanted, &decision),
        };
        let is_repeat = match self.journal.announce(&act).await? {
            Announced::Settled(outcome) => return answer(outcome),
            Announced::Now => false,
            Announced::Before { .. } => true,
        };
        let unmoved = match &decision {
            BeforeUpdate::Foreign { .. } => StepOutcome::Foreign,
            BeforeUpdate::Adopt { .. } | BeforeUpdate::Call { .. } | BeforeUpdate::Refuse(_) => {
                StepOutcome::NeverStarted
            }
        };
        match self.bring(&planned, &observed, &wanted, decision).await {
            Ok(outcome) => self.settle(deployment_id, step, &planned, &act, &outcome).await,
            Err(failure) => Err(self
                .unmoved(deployment_id, &act, row, unmoved, is_repeat, failure)
                .await),
        }
    }

    /// Writes down what the update came to, and which deployment of the service is to be judged.
    async fn settle(
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
        answer(self.journal.settle(act, &json!(outcome), commit).await?)
    }

    /// What the service may run besides the target when the step comes to it: what the plan found, or on the way back what the deployment brought.
    async fn expected(
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
    async fn before_forward(&self, deployment_id: &str, planned: &PlannedService) -> Result<Option<Before>, Failure> {
        let rows = self.journal.steps(deployment_id).await?.into_iter();
        let forward = rows
            .map(|stored| stored.row)
            .filter(|row| row.kind == StepKind::Service && row.record.step.mode == Mode::Forward);
        Ok(forward
            .filter(|row| row.name == planned.name.as_str())
            .min_by_key(|row| row.record.step)
            .and_then(|row| row.before))
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
    ) -> Result<Stored<StepRow>, Failure> {
        if let Some(row) = self.journal.step(deployment_id, step).await? {
            return Ok(row);
        }
        let primary = observed.primary();
        let listed = rollouts::listed(&self.ecs, &planned.cluster, &observed.service_arn).await?;
        let row = StepRow {
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
            }),
            proof: None,
            begun_at: self.journal.clock().now()?,
            judged_at: None,
        };
        let commit = Commit::new().change(Change::put(step_key(deployment_id, step), &row, Expected::Absent)?);
        // Lost means that a run of the same step at the same time was faster: it saw the same service.
        let _outcome = self.journal.commit(commit).await?;
        self.begun(deployment_id, step).await
    }

    async fn begun(&self, deployment_id: &str, step: StepReference) -> Result<Stored<StepRow>, Failure> {
        let row = self.journal.step(deployment_id, step).await?;
        row.ok_or_else(|| Failure::defect("a step that was begun is gone"))
    }

    /// Judges a step that moved nothing, where that is known, and answers why it did not.
    async fn unmoved(
        &self,
        deployment_id: &str,
        act: &Act<'_>,
        row: Stored<StepRow>,
        outcome: StepOutcome,
        is_repeat: bool,
        failure: Failure,
    ) -> Failure {
        // The call of an earlier run may have moved the service, whatever this one was refused; only who moved it since is known even so.
        if is_repeat && (outcome != StepOutcome::Foreign || row.row.judged_at.is_some()) {
            return failure;
        }
        let commit = match self.judged(deployment_id, act, row, outcome, &failure.message) {
            Ok(commit) => commit,
            Err(error) => return error,
        };
        if !is_repeat {
            return self.journal.settle_refused(act, failure, commit).await;
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

    /// Carries the decision out, with one call or none.
    async fn bring(
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
}

/// What the announcement says: what is in force, what shall be, and what is sent besides.
fn facts(planned: &PlannedService, observed: &ServiceFacts, wanted: &Wanted, decision: &BeforeUpdate) -> Value {
    let mut facts = json!({
        "service": planned.name,
        "taskDefinitionArn": wanted.task_definition_arn,
        "previousTaskDefinitionArn": observed.primary().map(|primary| &primary.task_definition_arn),
    });
    if let (
        BeforeUpdate::Call {
            desired_count,
            force_new_deployment,
        },
        Some(members),
    ) = (decision, facts.as_object_mut())
    {
        if let Some(count) = desired_count {
            members.insert("desiredCount".to_owned(), json!(count));
        }
        if *force_new_deployment {
            members.insert("forceNewDeployment".to_owned(), json!(true));
        }
    }
    facts
}

fn answer(outcome: Value) -> Result<Value, Failure> {
    let outcome: Outcome = serde_json::from_value(outcome)
        .map_err(|error| Failure::defect(format!("the outcome of an update cannot be read: {error}")))?;
    Ok(json!({
        "serviceArn": outcome.service_arn,
        "ecsDeploymentId": outcome.ecs_deployment_id,
        "serviceDeploymentArn": Value::Null,
    }))
}
