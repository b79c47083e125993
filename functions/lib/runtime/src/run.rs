//! From `main` to the first invocation.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde_json::Value;

use crate::invoke::{diagnostic, invoke, time_to_answer};
use crate::{Environment, Function, Invocation, log};

/// How long one attempt of a call to AWS may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a call to AWS may take with all its attempts: well below the timeout of our functions (30 seconds).
const OPERATION_TIMEOUT: Duration = Duration::from_secs(12);

/// Runs `F` as a Lambda function until the sandbox ends.
///
/// A function that cannot be built answers every invocation with the reason, which then reaches the state machine; a
/// process that exits would only say that it did.
#[must_use]
pub fn run<F: Function>(environment: &Environment) -> ExitCode {
    let subscriber = log::subscriber(environment, F::NAME, now, std::io::stdout);
    if let Err(error) = tracing::subscriber::set_global_default(subscriber) {
        return give_up(&error);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return give_up(&error),
    };
    match runtime.block_on(serve::<F>(environment)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => give_up(&error),
    }
}

async fn serve<F: Function>(environment: &Environment) -> Result<(), lambda_runtime::Error> {
    let config = sdk_config().await;
    let clock = config.time_source().unwrap_or_default();
    let function = F::build(&config, environment);
    let cold_start = AtomicBool::new(true);
    let (function, clock, cold_start) = (&function, &clock, &cold_start);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (payload, context) = event.into_parts();
        let first = cold_start.swap(false, Ordering::Relaxed);
        // Without a clock there is no time to work in, which is said.
        let now = Timestamp::try_from(clock.now()).unwrap_or(Timestamp::MAX);
        let invocation = invocation(context);
        let limit = Some(time_to_answer(now, &invocation));
        invoke(function.as_ref(), payload, &invocation, now, limit, first)
            .await
            .map_err(|failure| diagnostic(&failure))
    }))
    .await
}

#[expect(
    clippy::disallowed_methods,
    reason = "a line says when it was written; nothing is decided by it"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Lambda puts the Region and the credentials of the role into the environment,
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>: the other places where the SDK would look for them, and
/// the clients with which it would, are left out.
async fn sdk_config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(EnvironmentVariableRegionProvider::new())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .timeout_config(timeouts)
        .load()
        .await
}

fn invocation(context: Context) -> Invocation {
    let deadline = i64::try_from(context.deadline)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok());
    Invocation {
        request_id: context.request_id,
        function_arn: context.invoked_function_arn,
        deadline: deadline.unwrap_or(Timestamp::MAX),
        trace_id: context.xray_trace_id,
    }
}

fn give_up(error: &dyn std::fmt::Display) -> ExitCode {
    tracing::error!(error = %error, "the function cannot run");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_what_lambda_says_it_is() {
        let mut context = Context::default();
        context.request_id = "r-1".to_owned();
        context.invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:intake:live".to_owned();
        context.deadline = 1_793_620_830_250;
        let invocation = invocation(context);
        assert_eq!(invocation.request_id, "r-1");
        assert!(invocation.function_arn.ends_with(":live"));
        assert_eq!(invocation.deadline.to_string(), "2026-11-02T12:00:30.25Z");
    }
}
