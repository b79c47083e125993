//! The two services that only the command line calls: Lambda, to ask for a release, and STS, to know who asks.

use aws_config::SdkConfig;
use esclusa_adapters::sdk::failure;
use esclusa_adapters::{client, functions};
use esclusa_core::error::Failure;
use serde_json::Value;

/// The option that names an installation.
pub(crate) const STACK: &str = "--stack";

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The account, which is where Esclusa runs.
    pub(crate) account: String,
    /// Such as `arn:aws:sts::123456789012:assumed-role/deployer/ana`.
    pub(crate) arn: String,
}

impl Caller {
    /// The partition of AWS, such as `aws`.
    pub(crate) fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// Asks STS who calls.
pub(crate) async fn caller(config: &SdkConfig) -> Result<Caller, Failure> {
    const ACTION: &str = "sts:GetCallerIdentity";
    let answer = client!(aws_sdk_sts, config).get_caller_identity().send().await;
    let answer = answer.map_err(|error| failure(ACTION, &error))?;
    match (answer.account, answer.arn) {
        (Some(account), Some(arn)) => Ok(Caller { account, arn }),
        _ => Err(Failure::transient(format!("`{ACTION}` did not say who the caller is"))),
    }
}

/// Invokes a function of Esclusa and answers what it answered. The SDK repeats a call that was not answered: requests
/// carry an id for that. `option` is the one that names the function.
///
/// # Errors
/// What the function failed with, by its own kind and words.
pub(crate) async fn invoke(
    config: &SdkConfig,
    function: &str,
    option: &str,
    payload: &Value,
) -> Result<Value, Failure> {
    let missing = match option {
        STACK => format!("give `--region`, `--profile`, or `{STACK}`"),
        option => format!("give `--region`, `--profile`, `{STACK}`, or name it with `{option}`"),
    };
    let client = client!(aws_sdk_lambda, config);
    functions::invoke(&client, function, payload, None, &missing).await
}
