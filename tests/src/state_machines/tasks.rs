//! How a Task state fails, and how it waits by token.

use serde_json::Value;

use super::errors::{TRANSIENT, retried};
use super::expressions::{self, Place};
use super::{Check, Findings, Machine, list, payload, text, texts};

/// What a waiter's row is made of, besides the resource that is waited for.
const WAIT_FIELDS: [(&str, &str); 5] = [
    ("token", "{% $states.context.Task.Token %}"),
    ("executionArn", "{% $states.context.Execution.Id %}"),
    ("state", "{% $states.context.State.Name %}"),
    ("enteredTime", "{% $states.context.State.EnteredTime %}"),
    ("retryCount", "{% $states.context.State.RetryCount %}"),
];

impl Machine<'_> {
    pub(super) fn check_tasks(&self, findings: &mut Findings) {
        let maps = self.states.iter().filter(|(_, state)| text(state, "Type") == "Map");
        for (name, state) in maps {
            check_catchers(name, state, findings);
        }
        for (name, state) in self.tasks() {
            check_recovery(name, state, findings);
            check_catchers(name, state, findings);
            match text(state, "Resource") {
                "arn:aws:states:::lambda:invoke" => check_call(name, state, findings),
                "arn:aws:states:::lambda:invoke.waitForTaskToken" => check_wait(name, state, findings),
                other => findings.add(
                    Check::Shape,
                    name,
                    format!("uses `{other}`: functions are invoked, everything else is theirs to do"),
                ),
            }
        }
    }
}

fn check_recovery(name: &str, state: &Value, findings: &mut Findings) {
    if state.get("TimeoutSeconds").is_none() {
        findings.add(
            Check::Resilience,
            name,
            "has no `TimeoutSeconds`: it may wait for a year",
        );
    }
    let retried = retried(state);
    for error in TRANSIENT.iter().filter(|error| !retried.contains(*error)) {
        findings.add(
            Check::Resilience,
            name,
            format!("does not retry `{error}`, which passes"),
        );
    }
    for rule in list(state, "Retry") {
        let bounded = rule.get("MaxDelaySeconds").is_some() && rule.get("MaxAttempts").is_some();
        if !bounded || text(rule, "JitterStrategy") != "FULL" {
            findings.add(
                Check::Resilience,
                name,
                "a retrier lacks `MaxDelaySeconds`, `MaxAttempts` or `\"JitterStrategy\": \"FULL\"`",
            );
        }
    }
}

/// Whatever is not met otherwise is caught.
fn check_catchers(name: &str, state: &Value, findings: &mut Findings) {
    let catchers: Vec<Vec<&str>> = list(state, "Catch")
        .map(|rule| texts(rule, "ErrorEquals").collect())
        .collect();
    if catchers.last().is_none_or(|last| last != &["States.ALL"]) {
        findings.add(Check::Resilience, name, "its last catcher is not `States.ALL` alone");
    }
    if catchers
        .iter()
        .rev()
        .skip(1)
        .any(|errors| errors.contains(&"States.ALL"))
    {
        findings.add(
            Check::Resilience,
            name,
            "a catcher behind `States.ALL` is never reached",
        );
    }
}

/// A call: short, with a fixed limit, and repeated when nothing was heard, because every action may be repeated.
fn check_call(name: &str, state: &Value, findings: &mut Findings) {
    if expressions::of_state(state)
        .iter()
        .any(|placed| placed.place == Place::Arguments && placed.references().states.contains("context.Task.Token"))
    {
        findings.add(Check::Tokens, name, "passes a task token, but does not wait for it");
    }
    if state.get("TimeoutSeconds").is_some_and(|limit| !limit.is_u64()) {
        findings.add(
            Check::Resilience,
            name,
            "the time limit of a call is a number of seconds",
        );
    }
}

/// A wait: the waiter's row is complete, the limit in it is the state's own, and reaching the limit is an answer, not a
/// reason to repeat.
fn check_wait(name: &str, state: &Value, findings: &mut Findings) {
    let Some(payload) = payload(state) else {
        findings.add(Check::Tokens, name, "sends no payload");
        return;
    };
    for (field, value) in WAIT_FIELDS {
        if payload.pointer(&format!("/wait/{field}")).and_then(Value::as_str) != Some(value) {
            findings.add(Check::Tokens, name, format!("does not pass `{field}` as `{value}`"));
        }
    }
    // Whoever waits for an alarm or at a gate waits for a reason to look at its own deployment again.
    let of_its_own = ["await_alarm", "await_gate"].contains(&text(payload, "action"));
    let is_own = of_its_own && !text(payload, "deploymentId").is_empty();
    let names_it = ["resourceArn", "lock"]
        .iter()
        .any(|field| !text(payload, field).is_empty());
    if !names_it && !is_own {
        findings.add(
            Check::Tokens,
            name,
            "does not say what it waits for (`resourceArn` or `lock`)",
        );
    }
    if payload.pointer("/wait/timeoutSeconds") != state.get("TimeoutSeconds") {
        findings.add(Check::Tokens, name, "passes another `timeoutSeconds` than its own");
    }
    if state.get("HeartbeatSeconds").is_some() {
        findings.add(
            Check::Tokens,
            name,
            "expects a heartbeat, but nothing that is waited for beats",
        );
    }
    if retried(state).contains("States.Timeout") {
        findings.add(
            Check::Tokens,
            name,
            "retries `States.Timeout`: the limit would be waited for again",
        );
    }
}
