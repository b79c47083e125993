//! Whether the names in `Retry` and `Catch` exist and meet the reaction that our error kinds require.

use std::collections::BTreeSet;

use esclusa_core::error::{ErrorKind, Reaction};
use serde_json::Value;

use super::{Check, Findings, Machine, list, texts};

/// The errors of Lambda that pass: "Best practices for Step Functions", handling transient Lambda service exceptions;
/// those of a function in subnets that is attached to them anew after it was idle for weeks; and those of a sandbox
/// that ends in the middle of an invocation: its process dies, its memory or its time is used up.
pub(super) const TRANSIENT: [&str; 13] = [
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
    "Lambda.ENINotReadyException",
    "Lambda.ResourceNotReadyException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Runtime.OutOfMemory",
    "Sandbox.Timedout",
];

/// The errors of Step Functions that a state can retry or catch; `States.DataLimitExceeded` and `States.Runtime` are
/// not among them.
const STATES: [&str; 4] = [
    "States.ALL",
    "States.TaskFailed",
    "States.Timeout",
    "States.QueryEvaluationError",
];

/// The states that write how something ended. Nobody comes after them: what they are denied they ask for again, until
/// somebody has mended the role.
const LAST_WORDS: [&str; 3] = ["CloseRelease", "RecordEnd", "SettleDeployment"];

impl Machine<'_> {
    pub(super) fn check_errors(&self, findings: &mut Findings) {
        for (name, state) in &self.states {
            for error in list(state, "Retry")
                .chain(list(state, "Catch"))
                .flat_map(|rule| texts(rule, "ErrorEquals"))
            {
                let known = error.parse::<ErrorKind>().is_ok() || TRANSIENT.contains(&error) || STATES.contains(&error);
                if !known {
                    findings.add(
                        Check::Errors,
                        name,
                        format!("`{error}` is neither an error kind of ours nor a documented error"),
                    );
                }
            }
        }
        for (name, state) in self.tasks() {
            let retried = retried(state);
            for kind in ErrorKind::ALL {
                let is_retried = retried.contains(kind.as_str());
                if kind == ErrorKind::AccessDenied && LAST_WORDS.contains(&name) {
                    if !is_retried {
                        findings.add(
                            Check::Errors,
                            name,
                            format!("does not retry `{kind}`: until the role is mended, an end is lost"),
                        );
                    }
                    continue;
                }
                match kind.reaction() {
                    Reaction::Retry if !is_retried => {
                        findings.add(
                            Check::Errors,
                            name,
                            format!("does not retry `{kind}`, which only needs repeating"),
                        );
                    }
                    Reaction::AskAgain | Reaction::End | Reaction::Page if is_retried => {
                        findings.add(
                            Check::Errors,
                            name,
                            format!("retries `{kind}`, which repeating does not cure"),
                        );
                    }
                    Reaction::Retry | Reaction::AskAgain | Reaction::End | Reaction::Page => {}
                }
            }
        }
    }
}

/// The errors that a state retries.
pub(super) fn retried(state: &Value) -> BTreeSet<&str> {
    list(state, "Retry")
        .flat_map(|rule| texts(rule, "ErrorEquals"))
        .collect()
}
