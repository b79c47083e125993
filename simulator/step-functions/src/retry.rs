//! Which error handler takes an error, and how long a retry waits.

use jiff::SignedDuration;

use crate::definition::{Recovery, Retrier};

/// Matches every error but the two that nothing catches by wildcard.
pub(crate) const ALL: &str = "States.ALL";
pub(crate) const BRANCH_FAILED: &str = "States.BranchFailed";
pub(crate) const DATA_LIMIT_EXCEEDED: &str = "States.DataLimitExceeded";
pub(crate) const HEARTBEAT_TIMEOUT: &str = "States.HeartbeatTimeout";
pub(crate) const NO_CHOICE_MATCHED: &str = "States.NoChoiceMatched";
pub(crate) const QUERY_EVALUATION_ERROR: &str = "States.QueryEvaluationError";
pub(crate) const RUNTIME: &str = "States.Runtime";
pub(crate) const TASK_FAILED: &str = "States.TaskFailed";
pub(crate) const TIMEOUT: &str = "States.Timeout";

/// The errors that Step Functions names itself.
pub(crate) const RESERVED: [&str; 16] = [
    ALL,
    BRANCH_FAILED,
    DATA_LIMIT_EXCEEDED,
    "States.ExceedToleratedFailureThreshold",
    HEARTBEAT_TIMEOUT,
    "States.Http.Socket",
    "States.IntrinsicFailure",
    "States.ItemReaderFailed",
    NO_CHOICE_MATCHED,
    "States.ParameterPathFailure",
    "States.Permissions",
    QUERY_EVALUATION_ERROR,
    "States.ResultPathMatchFailure",
    RUNTIME,
    TASK_FAILED,
    TIMEOUT,
];

/// Why a state failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The name that retriers and catchers match.
    pub(crate) error: String,
    /// The text beside it.
    pub(crate) cause: Option<String>,
}

impl Failure {
    pub(crate) fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            cause: Some(cause.into()),
        }
    }
}

/// What the handlers of a state make of an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Handler {
    /// The retrier of this index tries again.
    Retry(usize),
    /// The catcher of this index takes over.
    Catch(usize),
    /// The error leaves the state.
    Nobody,
}

/// Finds the handler of an error, given how often each retrier has been used. `States.Runtime` always ends the
/// execution.
pub(crate) fn handler(recovery: &Recovery, used: &[u64], error: &str) -> Handler {
    if error == RUNTIME {
        return Handler::Nobody;
    }
    let retrier = recovery
        .retry
        .iter()
        .position(|retrier| matches(&retrier.error_equals, error));
    if let Some(index) = retrier
        && let Some(retrier) = recovery.retry.get(index)
        && used.get(index).copied().unwrap_or(0) < retrier.max_attempts
    {
        return Handler::Retry(index);
    }
    match recovery
        .catch
        .iter()
        .position(|catcher| matches(&catcher.error_equals, error))
    {
        Some(index) => Handler::Catch(index),
        None => Handler::Nobody,
    }
}

/// Whether one of `names` stands for `error`.
pub(crate) fn matches(names: &[String], error: &str) -> bool {
    let terminal = error == DATA_LIMIT_EXCEEDED || error == RUNTIME;
    names.iter().any(|name| match name.as_str() {
        exact if exact == error => true,
        ALL => !terminal,
        TASK_FAILED => !terminal && error != TIMEOUT,
        TIMEOUT => error == HEARTBEAT_TIMEOUT,
        _ => false,
    })
}

/// How long the next retry waits after `used` earlier ones; `draw` is uniform between zero and one.
pub(crate) fn delay(retrier: &Retrier, used: u64, draw: impl FnOnce() -> f64) -> SignedDuration {
    let interval = SignedDuration::from_secs(i64::try_from(retrier.interval_seconds).unwrap_or(i64::MAX)).as_secs_f64();
    let exponent = i32::try_from(used).unwrap_or(i32::MAX);
    let full = interval * retrier.backoff_rate.powi(exponent);
    let longest = retrier
        .max_delay_seconds
        .and_then(|seconds| i64::try_from(seconds).ok())
        .unwrap_or(LONGEST_SECONDS);
    let capped = full.min(SignedDuration::from_secs(longest).as_secs_f64());
    let seconds = if retrier.jitter { capped * draw() } else { capped };
    SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::from_secs(longest))
}

/// An execution lasts a year at most, and so does a wait in it.
const LONGEST_SECONDS: i64 = 31_622_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn handlers_match_by_the_rules_of_the_error_page() {
        for (listed, error, expected) in [
            (&["LockHeld"][..], "LockHeld", true),
            (&["LockHeld"], "lockheld", false),
            (&["A", "B"], "B", true),
            (&["States.ALL"], "LockHeld", true),
            (&["States.ALL"], "States.Timeout", true),
            (&["States.ALL"], "States.QueryEvaluationError", true),
            (&["States.ALL"], "States.DataLimitExceeded", false),
            (&["States.ALL"], "States.Runtime", false),
            (&["States.DataLimitExceeded"], "States.DataLimitExceeded", true),
            (&["States.TaskFailed"], "LockHeld", true),
            (&["States.TaskFailed"], "Lambda.Unknown", true),
            (&["States.TaskFailed"], "States.Timeout", false),
            (&["States.TaskFailed"], "States.DataLimitExceeded", false),
            (&["States.TaskFailed"], "States.Runtime", false),
            (&["States.Timeout"], "States.Timeout", true),
            (&["States.Timeout"], "States.HeartbeatTimeout", true),
            (&["States.HeartbeatTimeout"], "States.HeartbeatTimeout", true),
            (&["States.HeartbeatTimeout"], "States.Timeout", false),
        ] {
            assert_eq!(matches(&names(listed), error), expected, "{listed:?} for {error}");
        }
    }

    fn retrier(errors: &[&str], max_attempts: u64) -> Retrier {
        Retrier {
            error_equals: names(errors),
            interval_seconds: 2,
            max_attempts,
            backoff_rate: 3.0,
            max_delay_seconds: Some(20),
            jitter: false,
        }
    }

    #[test]
    fn the_first_matching_retrier_decides_even_when_it_is_used_up() {
        let recovery = Recovery {
            retry: vec![retrier(&["A"], 1), retrier(&["States.ALL"], 5)],
            catch: Vec::new(),
        };
        assert_eq!(handler(&recovery, &[0, 0], "A"), Handler::Retry(0));
        assert_eq!(handler(&recovery, &[1, 0], "A"), Handler::Nobody);
        assert_eq!(handler(&recovery, &[1, 4], "B"), Handler::Retry(1));
        assert_eq!(handler(&recovery, &[0, 0], "States.Runtime"), Handler::Nobody);
    }

    #[test]
    fn waits_grow_to_their_limit_and_jitter_only_shortens_them() {
        let mut retrier = retrier(&["A"], 9);
        let waits: Vec<i64> = (0..4).map(|used| delay(&retrier, used, || 0.5).as_secs()).collect();
        assert_eq!(waits, [2, 6, 18, 20]);
        retrier.jitter = true;
        assert_eq!(delay(&retrier, 1, || 0.5).as_millis(), 3000);
        retrier.max_delay_seconds = None;
        assert_eq!(delay(&retrier, 5000, || 1.0).as_secs(), LONGEST_SECONDS);
    }
}
