//! The two services that only the command line calls: Lambda, to ask for a release, and STS, to know who asks.

use aws_config::SdkConfig;
use aws_sdk_lambda::primitives::Blob;
use esclusa_adapters::client;
use esclusa_adapters::sdk::failure;
use esclusa_core::error::{ErrorKind, Failure};
use serde::Deserialize;
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
    let client = client!(aws_sdk_lambda, config);
    let request = client
        .invoke()
        .function_name(function)
        .payload(Blob::new(payload.to_string()));
    let answer = request.send().await.map_err(|error| match error.as_service_error() {
        Some(reason) if reason.is_resource_not_found_exception() => Failure::refused(format!(
            "there is no function `{function}` in this account and Region: give `--region`, `--profile`{}",
            match option {
                STACK => format!(", or `{STACK}`"),
                option => format!(", `{STACK}`, or name it with `{option}`"),
            }
        )),
        _ => failure("lambda:InvokeFunction", &error),
    })?;
    let body = answer.payload.unwrap_or_else(|| Blob::new("null"));
    let body: Value = serde_json::from_slice(body.as_ref())
        .map_err(|error| Failure::defect(format!("the answer of function `{function}` is not JSON: {error}")))?;
    match answer.function_error {
        None => Ok(body),
        Some(_) => Err(failure_of_function(function, &body)),
    }
}

/// What a function failed with, as Lambda hands it on.
fn failure_of_function(function: &str, body: &Value) -> Failure {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reported {
        error_type: String,
        error_message: String,
    }
    let reported = Reported::deserialize(body).ok();
    match reported.map(|reported| (reported.error_type.parse::<ErrorKind>(), reported)) {
        Some((Ok(kind), reported)) => Failure::new(kind, reported.error_message),
        Some((Err(_), reported)) => Failure::transient(format!(
            "function `{function}` failed with `{}`: {}",
            reported.error_type, reported.error_message
        )),
        None => Failure::transient(format!("function `{function}` failed without giving a reason: {body}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_failure_of_a_function_keeps_its_kind_and_its_words() {
        let refused = failure_of_function(
            "intake",
            &json!({"errorType": "Refused", "errorMessage": "there is no tag `v9`"}),
        );
        assert_eq!(refused, Failure::refused("there is no tag `v9`"));
        let crashed = failure_of_function(
            "intake",
            &json!({"errorType": "Runtime.ExitError", "errorMessage": "exited"}),
        );
        assert_eq!(
            crashed.to_string(),
            "function `intake` failed with `Runtime.ExitError`: exited"
        );
        assert_eq!(failure_of_function("intake", &json!(null)).kind, ErrorKind::Transient);
    }
}
