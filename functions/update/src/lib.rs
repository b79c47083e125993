//! The Lambda function `update`: points services at task definitions, with one call or none, and says how they scale.

mod begin;
mod bring;
mod scaling;
mod suspension;

use std::borrow::Cow;

use aws_config::SdkConfig;
use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::control::{Change, Expected};
use esclusa_adapters::deployments::step_key;
use esclusa_adapters::ecs::{EcsReader, ServiceUpdater};
use esclusa_adapters::journal::{Commit, Journal};
use esclusa_adapters::places::{Placed, Places, TargetRoles};
use esclusa_adapters::scaling::{ScalingReader, ScalingRegistrar};
use esclusa_core::error::Failure;
use esclusa_core::plan::{PlannedService, PlannedStep};
use esclusa_core::service_deployment::{BeforeUpdate, ServiceFacts, Wanted, before_update};
use esclusa_core::task_definition::Home;
use esclusa_core::verdict::{Mode, StepOutcome, StepReference};
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Who its records name.
const ACTOR: &str = "esclusa/update";

/// The function.
#[derive(Debug, Clone)]
pub struct Update {
    journal: Journal,
    ecs: EcsReader,
    updater: ServiceUpdater,
    scaling: ScalingReader,
    registrar: ScalingRegistrar,
    places: Places,
}

#[derive(Debug, Deserialize)]
#[serde(
    tag = "action",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
enum Request {
    PrepareScaling { deployment_id: String, step: StepReference },
    RestoreScaling { deployment_id: String },
    Sweep {},
    UpdateService { deployment_id: String, step: StepReference },
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
        let places = Places::new(
            config,
            Self::NAME,
            environment.required("ESCLUSA_HOME_ACCOUNT")?,
            environment.required("AWS_REGION")?,
            TargetRoles::read(|name| environment.optional(name)),
        )?;
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            ecs: EcsReader::new(config),
            updater: ServiceUpdater::new(config),
            scaling: ScalingReader::new(config),
            registrar: ScalingRegistrar::new(config),
            places,
        })
    }

    async fn handle(&self, payload: Value, invocation: &Invocation) -> Result<Value, Failure> {
        match parse_request(payload)? {
            Request::PrepareScaling { deployment_id, step } => {
                let there = self.at(&deployment_id).await?;
                there.prepare_scaling(&deployment_id, step).await
            }
            Request::RestoreScaling { deployment_id } => {
                let there = self.at(&deployment_id).await?;
                there.restore_scaling(&deployment_id).await
            }
            Request::Sweep {} => self.sweep(invocation).await,
            Request::UpdateService { deployment_id, step } => {
                let there = self.at(&deployment_id).await?;
                there.update_service(&deployment_id, step).await
            }
        }
    }
}

impl Update {
    /// The same function in the place of a deployment. What it writes down it writes at home.
    async fn at(&self, deployment_id: &str) -> Result<Cow<'_, Self>, Failure> {
        let placed = self.places.of_deployment(&self.journal, deployment_id).await?;
        Ok(placed.map_or(Cow::Borrowed(self), |placed| Cow::Owned(self.with(&placed))))
    }

    async fn in_place(&self, place: &Home) -> Result<Cow<'_, Self>, Failure> {
        let placed = self.places.placed(place).await?;
        Ok(placed.map_or(Cow::Borrowed(self), |placed| Cow::Owned(self.with(&placed))))
    }

    fn with(&self, Placed { place, config }: &Placed) -> Self {
        Self {
            journal: self.journal.of_place(place),
            ecs: EcsReader::new(config),
            updater: ServiceUpdater::new(config),
            scaling: ScalingReader::new(config),
            registrar: ScalingRegistrar::new(config),
            ..self.clone()
        }
    }

    async fn update_service(&self, deployment_id: &str, step: StepReference) -> Result<Value, Failure> {
        let PlannedStep::Service(planned) = self.journal.planned_step(deployment_id, step).await? else {
            return Err(Failure::invalid_input(format!(
                "step {} of deployment `{deployment_id}` is no service",
                step.index
            )));
        };
        let work = self.journal.work_here(deployment_id).await?;
        let target = self.journal.target(deployment_id, &planned).await?;
        let observed = self.observe(&planned).await?;
        let begun = self.journal.step(deployment_id, step).await?;
        let is_first = begun.is_none();
        let row = match begun {
            Some(stored) => stored.row,
            None => self.begin(step, &planned, &observed, &target).await?,
        };
        let wanted = Wanted {
            task_definition_arn: target,
            expected_task_definition_arn: self.expected(deployment_id, step, &planned).await?,
            start_count: planned.start_count.map_or(0, u64::from),
        };
        let decision = before_update(&observed, &wanted, &row.before.clone().unwrap_or_default());
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            step: Some(step),
            goes_on: step.mode == Mode::Forward,
            action: "ecs:UpdateService",
            target: format!("{}/{}", planned.cluster, planned.service),
            facts: facts(&planned, &observed, &wanted, &decision),
        };
        let mut commit = Commit::new();
        if is_first {
            commit = commit.change(Change::put(step_key(deployment_id, step), &row, Expected::Absent)?);
        }
        let announced = self.journal.announce(&act, commit).await?;
        match &announced {
            Announced::Settled(outcome) => return answer(outcome),
            Announced::Before { .. } if is_first => {
                return Err(Failure::conflict(
                    "another run is at this step: what it saw before its call counts",
                ));
            }
            Announced::Now | Announced::Before { .. } => {}
        }
        let unmoved = match &decision {
            BeforeUpdate::Foreign { .. } | BeforeUpdate::Deleted { .. } => StepOutcome::Foreign,
            BeforeUpdate::Adopt { .. } | BeforeUpdate::Call { .. } | BeforeUpdate::Refuse(_) => {
                StepOutcome::NeverStarted
            }
        };
        match self.bring(&planned, &observed, &wanted, decision).await {
            Ok(outcome) => self.settle(deployment_id, step, &planned, &act, &outcome).await,
            Err(failure) => {
                let row = self.begun(deployment_id, step).await?;
                Err(self
                    .unmoved(deployment_id, &act, row, unmoved, &announced, failure)
                    .await)
            }
        }
    }

    async fn observe(&self, planned: &PlannedService) -> Result<ServiceFacts, Failure> {
        let described = self
            .ecs
            .describe_services(&planned.cluster, std::slice::from_ref(&planned.service))
            .await?;
        let service = described.found.first().map(ServiceFacts::from_json);
        service.unwrap_or_else(|| Ok(ServiceFacts::missing(&planned.service)))
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

fn answer(outcome: &Value) -> Result<Value, Failure> {
    let outcome = Outcome::deserialize(outcome)
        .map_err(|error| Failure::defect(format!("the outcome of an update cannot be read: {error}")))?;
    Ok(json!({
        "serviceArn": outcome.service_arn,
        "ecsDeploymentId": outcome.ecs_deployment_id,
    }))
}
