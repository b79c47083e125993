//! Invoking the Lambda functions of the account that test a release.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::primitives::Blob;
use esclusa_core::error::Failure;
use esclusa_core::verification::FunctionSight;
use serde_json::Value;

use crate::sdk::failure;

/// How long a function may take: it is waited for within one look.
const SECONDS: u64 = 30;

/// Invokes functions that test.
#[derive(Debug, Clone)]
pub struct FunctionTester {
    client: Client,
}

impl FunctionTester {
    /// A tester over Lambda.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// How the function ends that is told `payload`.
    ///
    /// # Errors
    /// What Lambda answered where it did not invoke it: that is no failure of what is tested.
    pub async fn test(&self, name: &str, payload: &Value) -> Result<FunctionSight, Failure> {
        let limit = Duration::from_secs(SECONDS);
        let limits = TimeoutConfig::builder().operation_timeout(limit).build();
        let sent = self
            .client
            .invoke()
            .function_name(name)
            .payload(Blob::new(payload.to_string()))
            .customize()
            .config_override(aws_sdk_lambda::config::Builder::new().timeout_config(limits))
            .send()
            .await;
        match sent {
            Ok(answer) if answer.function_error().is_none() => Ok(FunctionSight::Returned),
            Ok(answer) => Ok(FunctionSight::Threw(thrown(answer.payload()))),
            Err(SdkError::TimeoutError(_)) => Ok(FunctionSight::Threw(format!("no answer within {SECONDS} seconds"))),
            Err(error) => Err(failure("lambda:InvokeFunction", &error)),
        }
    }
}

/// What a function threw: `errorMessage` of its error where it has one
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>).
fn thrown(payload: Option<&Blob>) -> String {
    let bytes = payload.map_or(&[][..], |payload| payload.as_ref());
    let text = || String::from_utf8_lossy(bytes).into_owned();
    let error: Option<Value> = serde_json::from_slice(bytes).ok();
    let message = error.as_ref().and_then(|error| error.get("errorMessage")?.as_str());
    message.map_or_else(text, str::to_owned)
}
