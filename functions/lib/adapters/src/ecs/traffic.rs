//! Taking traffic back.

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::StopServiceDeploymentStopType;
use esclusa_core::error::Failure;

use crate::client;
use crate::sdk::{OnFirstUse, failure};

/// What became of a request to roll a service deployment back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackOutcome {
    /// AWS rolls it back, unless it wins the race and succeeds.
    Requested,
    /// It is over: there is nothing to roll back.
    Over,
    /// There is no such service deployment.
    NotFound,
}

/// The power to stop service deployments in favour of what ran before.
#[derive(Debug, Clone)]
pub struct TrafficController {
    client: OnFirstUse<Client>,
}

impl TrafficController {
    /// A controller in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_ecs, config),
        }
    }

    /// Rolls a service deployment back. Works without a rollback configured on the service; asking twice is harmless.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn roll_back(&self, service_deployment_arn: &str) -> Result<RollbackOutcome, Failure> {
        let operation = self
            .client
            .stop_service_deployment()
            .service_deployment_arn(service_deployment_arn);
        let Err(error) = operation
            .stop_type(StopServiceDeploymentStopType::Rollback)
            .send()
            .await
        else {
            return Ok(RollbackOutcome::Requested);
        };
        match error.as_service_error() {
            Some(reason) if reason.is_conflict_exception() => Ok(RollbackOutcome::Over),
            Some(reason) if reason.is_service_deployment_not_found_exception() => Ok(RollbackOutcome::NotFound),
            _ => Err(failure("ecs:StopServiceDeployment", &error)),
        }
    }
}
