//! The Lambda function `traffic`: the power to take traffic back from a rollout.

use aws_config::SdkConfig;
use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::deployments::StepRequest;
use esclusa_adapters::ecs::{EcsReader, RollbackOutcome, TrafficController};
use esclusa_adapters::journal::{Commit, Journal};
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
#[derive(Debug)]
pub struct Traffic {
    journal: Journal,
    ecs: EcsReader,
    traffic: TrafficController,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Request {
    StopRollout {
        deployment_id: String,
        #[serde(flatten)]
        step: StepRequest,
    },
}

impl Function for Traffic {
    const NAME: &'static str = "traffic";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            ecs: EcsReader::new(config),
            traffic: TrafficController::new(config),
        })
    }

    async fn handle(&self, payload: Value, _invocation: &Invocation) -> Result<Value, Failure> {
        let Request::StopRollout { deployment_id, step } = parse_request(payload)?;
        self.stop_rollout(&deployment_id, step.into()).await
    }
}

impl Traffic {
    /// Asks ECS to roll a rollout back that took too long. One that is over meanwhile is left to its judge.
    async fn stop_rollout(&self, deployment_id: &str, step: StepReference) -> Result<Value, Failure> {
        let work = self.journal.work(deployment_id).await?;
        let rollout = rollouts::observe(&self.journal, &self.ecs, deployment_id, step).await?;
        if is_over(&rollout.expected, &rollout.observed) {
            return Ok(json!({}));
        }
        let Some(service_deployment) = &rollout.observed.service_deployment else {
            return Err(Failure::transient(
                "ECS does not show the service deployment that is to be stopped",
            ));
        };
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            step: Some(step),
            action: "ecs:StopServiceDeployment",
            target: service_deployment.arn.clone(),
            facts: json!({"service": rollout.step.row.name, "stopType": "ROLLBACK"}),
        };
        if let Announced::Settled(_) = self.journal.announce(&act).await? {
            return Ok(json!({}));
        }
        let outcome = match self.traffic.roll_back(&service_deployment.arn).await? {
            RollbackOutcome::Requested => "requested",
            RollbackOutcome::Over => "over",
            RollbackOutcome::NotFound => "not_found",
        };
        self.journal
            .settle(&act, &json!({"rollback": outcome}), Commit::new())
            .await?;
        Ok(json!({}))
    }
}
