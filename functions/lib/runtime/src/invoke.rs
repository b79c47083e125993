//! One invocation: handled within its time, logged in one line, its failure named.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use esclusa_core::error::{Failure, Reaction};
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Diagnostic;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;

use crate::{Function, Invocation, Measure};

/// What is left of the time when the handler is given up: enough to log and to answer.
const MARGIN: Duration = Duration::from_millis(500);

/// The longest value of a payload that is logged, in characters.
const LOGGED_CHARACTERS: usize = 200;

/// How much of a failure's message goes to Step Functions, in characters.
const MESSAGE_CHARACTERS: usize = 1_800;

/// Lets `function` handle one invocation that begins `now`, for at most `limit` where its caller does not end it by
/// itself. The payload is never logged, only the members that name what it is about.
pub async fn invoke<F: Function>(
    function: Result<&F, &Failure>,
    payload: Value,
    invocation: &Invocation,
    now: Timestamp,
    limit: Option<Duration>,
    cold_start: bool,
) -> Result<Value, Failure> {
    let text = |place: &str| payload.pointer(place).and_then(Value::as_str).and_then(short);
    let number = |place: &str| payload.pointer(place).and_then(Value::as_u64);
    let span = tracing::info_span!(
        "invocation",
        request_id = invocation.request_id,
        xray_trace_id = invocation.trace_id,
        action = text("/action"),
        release_id = text("/releaseId"),
        deployment_id = text("/deploymentId"),
        environment = text("/environment"),
        mode = text("/step/mode"),
        index = number("/step/index"),
        attempt = number("/step/attempt"),
        event_id = text("/id"),
        detail_type = text("/detail-type"),
    );
    async {
        let started = Instant::now();
        measure_lag(&payload, now);
        let result = match function {
            Ok(function) => handle(function, payload, invocation, limit).await,
            Err(failure) => Err(failure.clone()),
        };
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        report(result.as_ref().err(), duration_ms, cold_start);
        result
    }
    .instrument(span)
    .await
}

/// Measures how late an event comes; what is no event, or has no time that can be read, is not measured.
fn measure_lag(payload: &Value, now: Timestamp) {
    let text = |place: &str| payload.pointer(place).and_then(Value::as_str);
    let at = text("/time").and_then(|at| at.parse::<Timestamp>().ok());
    if let (Some(detail_type), Some(at)) = (text("/detail-type").and_then(short), at) {
        let lag = now.duration_since(at).max(SignedDuration::ZERO);
        Measure::EventTaken { detail_type, lag }.emit();
    }
}

/// How long a handler may take, so that there is time to log and to answer before Lambda ends the invocation.
pub(crate) fn time_to_answer(now: Timestamp, invocation: &Invocation) -> Duration {
    let remaining = Duration::try_from(invocation.deadline.duration_since(now)).unwrap_or_default();
    remaining.saturating_sub(MARGIN)
}

async fn handle<F: Function>(
    function: &F,
    payload: Value,
    invocation: &Invocation,
    limit: Option<Duration>,
) -> Result<Value, Failure> {
    // Boxed: the future of a handler holds those of the SDK, and a type nested that deep is beyond the compiler's
    // limit.
    let handled = AssertUnwindSafe(function.handle(payload, invocation).boxed()).catch_unwind();
    let handled = match limit {
        Some(limit) => tokio::time::timeout(limit, handled).await,
        None => Ok(handled.await),
    };
    match handled {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Failure::defect(format!(
            "function `{}` panicked: {}",
            F::NAME,
            panic_text(&*panic)
        ))),
        Err(_) => Err(Failure::transient(format!("function `{}` ran out of time", F::NAME))),
    }
}

/// One line per invocation; ERROR where a person must look, WARN where the state machine reacts on its own.
fn report(failure: Option<&Failure>, duration_ms: u64, cold_start: bool) {
    let Some(Failure { kind, message }) = failure else {
        tracing::info!(duration_ms, cold_start, "invocation succeeded");
        return;
    };
    Measure::InvocationFailed { kind: *kind }.emit();
    match kind.reaction() {
        Reaction::Page | Reaction::End => {
            tracing::error!(
                duration_ms,
                cold_start,
                error_kind = kind.as_str(),
                error = message,
                "invocation failed"
            );
        }
        Reaction::Retry | Reaction::AskAgain => {
            tracing::warn!(
                duration_ms,
                cold_start,
                error_kind = kind.as_str(),
                error = message,
                "invocation failed"
            );
        }
    }
}

/// The failure as Lambda reports it: the kind's name is the `errorType` that `Retry` and `Catch` match.
pub fn diagnostic(failure: &Failure) -> Diagnostic {
    Diagnostic {
        error_type: failure.kind.as_str().to_owned(),
        error_message: bounded(&failure.message),
    }
}

/// The message, cut where the state machines would cut the JSON around it: they keep 4,000 characters, in which every
/// character of ours may have a backslash before it.
fn bounded(message: &str) -> String {
    let message: String = message
        .chars()
        .map(|each| if each.is_control() && each != '\n' { ' ' } else { each })
        .collect();
    match message.char_indices().nth(MESSAGE_CHARACTERS) {
        None => message,
        Some((end, _)) => format!(
            "{}… (the log of the function has the rest)",
            message.get(..end).unwrap_or_default()
        ),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Names are short; what is longer is none and stays out of the log.
fn short(text: &str) -> Option<&str> {
    (text.chars().take(LOGGED_CHARACTERS + 1).count() <= LOGGED_CHARACTERS).then_some(text)
}

#[cfg(test)]
mod tests {
    use aws_config::SdkConfig;
    use esclusa_core::error::ErrorKind;
    use serde_json::json;
    use tracing::instrument::WithSubscriber;

    use super::*;
    use crate::Environment;
    use crate::log::subscriber;
    use crate::log::testing::{Lines, noon};

    /// Does what its payload says.
    struct Obedient;

    impl Function for Obedient {
        const NAME: &'static str = "obedient";

        fn build(_: &SdkConfig, _: &Environment) -> Result<Self, Failure> {
            Ok(Self)
        }

        async fn handle(&self, payload: Value, _: &Invocation) -> Result<Value, Failure> {
            match payload["action"].as_str().unwrap() {
                "panic" => panic!("on purpose"),
                "hang" => std::future::pending().await,
                "answer" => Ok(json!({"done": true})),
                kind => Err(Failure::new(kind.parse().unwrap(), "because")),
            }
        }
    }

    fn invocation() -> Invocation {
        Invocation {
            request_id: "r-1".to_owned(),
            function_arn: "arn:aws:lambda:us-east-1:123456789012:function:obedient".to_owned(),
            deadline: noon() + SignedDuration::from_secs(30),
            trace_id: None,
        }
    }

    async fn run(payload: Value) -> (Result<Value, Failure>, Lines) {
        run_at(noon(), Ok(&Obedient), payload).await
    }

    /// Every test has a subscriber: what first logs without one would be remembered as a line that nobody wants, for
    /// the others too.
    async fn run_at(
        now: Timestamp,
        function: Result<&Obedient, &Failure>,
        payload: Value,
    ) -> (Result<Value, Failure>, Lines) {
        let lines = Lines::default();
        let invocation = invocation();
        let limit = time_to_answer(now, &invocation);
        let result = invoke(function, payload, &invocation, now, Some(limit), true)
            .with_subscriber(subscriber(&Environment::default(), Obedient::NAME, noon, lines.clone()))
            .await;
        (result, lines)
    }

    #[tokio::test]
    async fn an_invocation_is_one_line_with_its_names_and_without_its_token() {
        let payload = json!({
            "action": "answer", "deploymentId": "catalog-1-develop-1", "step": {"index": 2, "mode": "x".repeat(300)},
            "wait": {"token": "AAAAKgAA"}, "taskToken": "AAAAKgAA",
        });
        let (result, lines) = run(payload).await;
        assert_eq!(result.unwrap(), json!({"done": true}));
        assert!(!lines.text().contains("AAAAKgAA"));
        let [line] = &lines.json()[..] else {
            panic!("not one line: {}", lines.text())
        };
        assert_eq!(
            (&line["level"], &line["message"]),
            (&json!("INFO"), &json!("invocation succeeded"))
        );
        assert_eq!(
            (&line["request_id"], &line["function_name"]),
            (&json!("r-1"), &json!("obedient"))
        );
        assert_eq!(
            (&line["deployment_id"], &line["index"]),
            (&json!("catalog-1-develop-1"), &json!(2))
        );
        assert_eq!(line["cold_start"], true);
        assert!(line.get("mode").is_none() && line.get("release_id").is_none());
        assert!(line["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    }

    #[tokio::test]
    async fn an_event_is_measured_by_how_late_it_comes_whatever_its_sender_thinks_of_the_time() {
        for (time, lag) in [
            ("2026-11-02T11:59:30Z", Some(30.0)),
            ("2026-11-02T12:00:09Z", Some(0.0)),
            ("noon", None),
        ] {
            let payload = json!({"action": "answer", "detail-type": "ECR Image Action", "time": time});
            let (_, lines) = run(payload).await;
            let measured = lines
                .json()
                .into_iter()
                .find_map(|line| line["EventLagSeconds"].as_f64());
            assert_eq!(measured, lag, "{time}");
        }
    }

    #[test]
    fn a_message_of_any_length_stays_json_within_what_the_state_machines_keep() {
        for message in [
            "short".to_owned(),
            "\"line\"\n".repeat(2_000),
            "\u{1}".repeat(2_000),
            "é".repeat(5_000),
        ] {
            let given = diagnostic(&Failure::refused(message.clone())).error_message;
            let cause = json!({"errorType": "Refused", "errorMessage": given}).to_string();
            assert!(cause.chars().count() <= 4_000, "{}", cause.chars().count());
            assert_eq!(given == message, message == "short");
        }
    }

    #[tokio::test]
    async fn a_failure_reaches_step_functions_by_name_and_a_person_where_one_must_look() {
        for kind in ErrorKind::ALL {
            let (result, lines) = run(json!({"action": kind.as_str()})).await;
            let diagnostic = diagnostic(&result.unwrap_err());
            assert_eq!(
                (diagnostic.error_type.as_str(), diagnostic.error_message.as_str()),
                (kind.as_str(), "because")
            );
            let level = match kind {
                ErrorKind::Conflict | ErrorKind::Transient | ErrorKind::PlanChanged => "WARN",
                _ => "ERROR",
            };
            let [measured, line] = &lines.json()[..] else {
                panic!("not a measure and a line: {}", lines.text())
            };
            assert_eq!(
                (&measured["FailedInvocations"], &measured["error_kind"]),
                (&json!(1.0), &json!(kind.as_str()))
            );
            assert_eq!(
                (&line["level"], &line["error_kind"]),
                (&json!(level), &json!(kind.as_str()))
            );
            assert_eq!(line["error"], "because");
        }
    }

    #[tokio::test]
    async fn a_handler_that_hangs_is_given_up_while_there_is_time_to_say_so() {
        let ends = time_to_answer(noon(), &invocation());
        assert_eq!(ends, Duration::from_millis(29_500));
        let then = noon() + SignedDuration::try_from(ends).unwrap();
        let (result, _) = run_at(then, Ok(&Obedient), json!({"action": "hang"})).await;
        assert_eq!(
            result.unwrap_err(),
            Failure::transient("function `obedient` ran out of time")
        );
    }

    #[tokio::test]
    async fn a_panic_is_a_defect_by_name() {
        let (result, _) = run(json!({"action": "panic"})).await;
        assert_eq!(
            result.unwrap_err(),
            Failure::defect("function `obedient` panicked: on purpose")
        );
    }

    #[tokio::test]
    async fn a_function_that_could_not_be_built_says_why_at_every_invocation() {
        let failure = Failure::defect("environment variable `ESCLUSA_CONTROL_TABLE` is not set");
        let (result, _) = run_at(noon(), Err(&failure), json!({"action": "answer"})).await;
        assert_eq!(result.unwrap_err(), failure);
    }
}
