//! Updating services.

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use esclusa_core::error::Failure;
use serde::Serialize;
use serde_json::{Value, json};

use super::{acting, take};
use crate::raw::{RequestBody, ResponseBody};
use crate::sdk::{OnFirstUse, failure};

/// What to change on a service. What is not named here stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateService {
    /// Name or ARN of the cluster.
    pub cluster: String,
    /// Name or ARN of the service.
    pub service: String,
    /// The revision to run, as ARN.
    pub task_definition: String,
    /// The deployment configuration in the shape of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_configuration: Option<Value>,
    /// How many tasks shall run. Sent only where nothing else owns the count: it fights auto scaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_count: Option<u64>,
    /// Whether to start a deployment although nothing changes. Never repeated blindly: each call starts another.
    pub force_new_deployment: bool,
}

/// The power to point services at revisions.
#[derive(Debug, Clone)]
pub struct ServiceUpdater {
    client: OnFirstUse<Client>,
}

impl ServiceUpdater {
    /// An updater in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: acting(config) }
    }

    /// Updates a service and answers with the service, which shows its new primary deployment. An update to what is in
    /// force starts no deployment.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the service does not exist or is not active, or AWS does not accept the
    /// change. After `Transient` the update may have been made: compare before repeating.
    pub async fn update(&self, request: &UpdateService) -> Result<Value, Failure> {
        const ACTION: &str = "ecs:UpdateService";
        let body = ResponseBody::default();
        let operation = self.client.update_service().customize();
        let operation = operation
            .interceptor(RequestBody::new(&json!(request)))
            .interceptor(body.clone());
        operation.send().await.map_err(|error| failure(ACTION, &error))?;
        Ok(take(&mut body.json(ACTION)?, "service"))
    }
}
