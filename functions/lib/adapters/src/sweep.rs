//! Having the open waits looked at now, and not in the next round of the schedule.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use serde_json::json;

use crate::client;
use crate::functions::once_within;
use crate::sdk::{OnFirstUse, failure};

/// How long the invocation is waited for: whoever has decided something waits for the answer, Slack for three seconds.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Begins rounds of the function `resume`.
#[derive(Debug, Clone)]
pub struct SweepStarter {
    client: OnFirstUse<Client>,
    function: String,
}

impl SweepStarter {
    /// A starter of rounds of the function of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, function: &str) -> Self {
        Self {
            client: client!(aws_sdk_lambda, config),
            function: function.to_owned(),
        }
    }

    /// Begins a round and does not wait for it. One that cannot be begun is no failure: the schedule begins one within
    /// two minutes.
    pub async fn begin(&self) {
        let begun = self
            .client
            .invoke()
            .function_name(&self.function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(json!({"action": "sweep"}).to_string()))
            .customize()
            .config_override(once_within(TIMEOUT))
            .send()
            .await;
        if let Err(error) = begun {
            let failure = failure("lambda:InvokeFunction", &error);
            tracing::warn!(kind = %failure.kind, message = %failure.message, "what was decided is taken up with the next round of the schedule");
        }
    }
}
