//! Invoking Lambda functions: those of Esclusa, and those of the account that test a release.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::primitives::Blob;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::verification::FunctionSight;
use serde::Deserialize;
use serde_json::Value;

use crate::client;
use crate::sdk::{OnFirstUse, failure};

/// How long a function may take: it is waited for within one look.
const SECONDS: u64 = 30;

/// Invokes functions that test.
#[derive(Debug, Clone)]
pub struct FunctionTester {
    client: OnFirstUse<Client>,
}

impl FunctionTester {
    /// A tester over Lambda.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_lambda, config),
        }
    }

    /// How the function ends that is told `payload`. It is invoked once: a second one would run beside the first.
    ///
    /// # Errors
    /// What Lambda answered where it did not invoke it: that is no failure of what is tested.
    pub async fn test(&self, name: &str, payload: &Value) -> Result<FunctionSight, Failure> {
        let sent = self
            .client
            .invoke()
            .function_name(name)
            .payload(Blob::new(payload.to_string()))
            .customize()
            .config_override(once_within(Duration::from_secs(SECONDS)))
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

/// That a call is made once and has this much time, whatever its client is set to.
pub(crate) fn once_within(limit: Duration) -> Builder {
    // The limits of the client that are not named here stay in force: that of an attempt is meant for calls that answer
    // at once.
    let limits = TimeoutConfig::builder()
        .operation_timeout(limit)
        .operation_attempt_timeout(limit)
        .build();
    Builder::new()
        .timeout_config(limits)
        .retry_config(RetryConfig::disabled())
}

/// Invokes a function of Esclusa and answers what it answered. `limits` are those of this call in place of the client's;
/// `missing` is what helps where there is no such function.
///
/// # Errors
/// What the function failed with, by its own kind and words; `Refused` where it does not exist; what Lambda answered
/// where it did not invoke it.
pub async fn invoke(
    client: &Client,
    function: &str,
    payload: &Value,
    limits: Option<Builder>,
    missing: &str,
) -> Result<Value, Failure> {
    let request = client
        .invoke()
        .function_name(function)
        .payload(Blob::new(payload.to_string()))
        .customize()
        .config_override(limits.unwrap_or_default());
    let answer = request.send().await.map_err(|error| match error.as_service_error() {
        Some(reason) if reason.is_resource_not_found_exception() => Failure::refused(format!(
            "there is no function `{function}` in this account and Region: {missing}"
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

/// What a function threw: `errorMessage` of its error where it has one
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>).
fn thrown(payload: Option<&Blob>) -> String {
    let bytes = payload.map_or(&[][..], |payload| payload.as_ref());
    let text = || String::from_utf8_lossy(bytes).into_owned();
    let error: Option<Value> = serde_json::from_slice(bytes).ok();
    let message = error.as_ref().and_then(|error| error.get("errorMessage")?.as_str());
    message.map_or_else(text, str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Recorded};

    /// Remembers for how long it was asked to sleep, and does not wake.
    #[derive(Debug, Clone, Default)]
    struct Asked(Arc<Mutex<Vec<Duration>>>);

    impl AsyncSleep for Asked {
        fn sleep(&self, duration: Duration) -> Sleep {
            self.0.lock().unwrap().push(duration);
            Sleep::new(std::future::pending())
        }
    }

    /// One test by a client as the functions have it: its calls end sooner than a function that tests, and are
    /// repeated.
    async fn test(answer: Answer) -> (Result<FunctionSight, Failure>, Vec<Duration>, usize) {
        let (recorded, asked) = (Recorded::new([answer]), Asked::default());
        let limits = TimeoutConfig::builder()
            .operation_timeout(Duration::from_secs(12))
            .operation_attempt_timeout(Duration::from_secs(4))
            .build();
        let config = recorded
            .config()
            .into_builder()
            .timeout_config(limits)
            .retry_config(RetryConfig::standard())
            .sleep_impl(asked.clone())
            .build();
        let sight = FunctionTester::new(&config).test("smoke", &json!({})).await;
        let asked = asked.0.lock().unwrap().clone();
        (sight, asked, recorded.requests().len())
    }

    #[tokio::test]
    async fn a_function_has_all_of_its_time_and_is_invoked_once() {
        let (sight, asked, _) = test(Answer::json(200, &json!({}))).await;
        assert_eq!(sight.unwrap(), FunctionSight::Returned);
        assert!(
            !asked.is_empty() && asked.iter().all(|limit| *limit == Duration::from_secs(SECONDS)),
            "{asked:?}"
        );

        let (failed, _, invocations) = test(Answer::ConnectionReset).await;
        assert_eq!(
            (failed.unwrap_err().kind, invocations),
            (esclusa_core::error::ErrorKind::Transient, 1)
        );
    }

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
