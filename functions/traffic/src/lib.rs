//! The Lambda function `traffic`: the power to take traffic back from a rollout.

use std::borrow::Cow;

use aws_config::SdkConfig;
use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::ecs::{EcsReader, RollbackOutcome, TrafficController};
use esclusa_adapters::journal::{Commit, Journal};
use esclusa_adapters::places::{Placed, Places, TargetRoles};
use esclusa_adapters::rollouts;
use esclusa_core::error::Failure;
use esclusa_core::service_deployment::is_over;
use esclusa_core::verdict::StepReference;
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde::Deserialize;
use serde_json::{Value, json};

/// Who its records name.
const ACTOR: &str = "esclusa/traffic";

/// The function.
#[derive(Debug, Clone)]
pub struct Traffic {
    journal: Journal,
    ecs: EcsReader,
    traffic: TrafficController,
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
    StopRollout { deployment_id: String, step: StepReference },
}

impl Function for Traffic {
    const NAME: &'static str = "traffic";

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
            traffic: TrafficController::new(config),
            places,
        })
    }

    async fn handle(&self, payload: Value, _invocation: &Invocation) -> Result<Value, Failure> {
        let Request::StopRollout { deployment_id, step } = parse_request(payload)?;
        self.at(&deployment_id).await?.stop_rollout(&deployment_id, step).await
    }
}

impl Traffic {
    /// The same function in the place of a deployment. What it writes down it writes at home.
    async fn at(&self, deployment_id: &str) -> Result<Cow<'_, Self>, Failure> {
        let placed = self.places.of_deployment(&self.journal, deployment_id).await?;
        Ok(placed.map_or(Cow::Borrowed(self), |placed| Cow::Owned(self.with(&placed))))
    }

    fn with(&self, Placed { place, config }: &Placed) -> Self {
        Self {
            journal: self.journal.of_place(place),
            ecs: EcsReader::new(config),
            traffic: TrafficController::new(config),
            ..self.clone()
        }
    }

    /// Asks ECS to roll a rollout back that took too long. One that is over meanwhile is left to its judge.
    async fn stop_rollout(&self, deployment_id: &str, step: StepReference) -> Result<Value, Failure> {
        let work = self.journal.work_here(deployment_id).await?;
        let rollout = rollouts::observe(&self.journal, &self.ecs, deployment_id, step).await?;
        if rollout.planned.stays {
            // Rolled back, the service would run code that the schema does not take: the judgement says how far it
            // came, and a person decides.
            return Ok(json!({}));
        }
        let service = rollout.observed.service.service_arn.clone();
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            step: Some(step),
            goes_on: false,
            action: "ecs:StopServiceDeployment",
            target: service,
            facts: json!({"service": rollout.step.row.name, "stopType": "ROLLBACK"}),
        };
        let is_announced = self.journal.is_announced(&act).await?;
        let running = rollout
            .observed
            .service_deployment
            .as_ref()
            .filter(|_| !is_over(&rollout.expected, &rollout.observed));
        let Some(running) = running else {
            // Nothing is left to stop. An announcement of an earlier run, whose answer was lost, gets its outcome.
            if is_announced {
                self.journal
                    .settle(&act, &json!({"rollback": "over"}), Commit::new())
                    .await?;
            }
            return Ok(json!({}));
        };
        let announced = self.journal.announce(&act, Commit::new()).await?;
        if let Announced::Settled(_) = announced {
            return Ok(json!({}));
        }
        let outcome = match self.traffic.roll_back(&running.arn).await {
            Ok(RollbackOutcome::Requested) => "requested",
            Ok(RollbackOutcome::Over) => "over",
            Ok(RollbackOutcome::NotFound) => "not_found",
            Err(failure) => {
                let refused = self.journal.settle_refused(&act, &announced, failure, Commit::new());
                return Err(refused.await);
            }
        };
        self.journal
            .settle(
                &act,
                &json!({"rollback": outcome, "serviceDeploymentArn": running.arn}),
                Commit::new(),
            )
            .await?;
        Ok(json!({}))
    }
}
