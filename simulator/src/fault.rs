//! Faults as data: which call, and what goes wrong with it or with the function that it invokes.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Principal};
use simulator_step_functions::TaskTry;

use crate::lambda::FunctionError;

/// Which calls a fault is meant for. What is absent matches every call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// The signing name of the called service, such as `dynamodb`.
    pub service: Option<String>,
    /// The operation, such as `PutItem`.
    pub operation: Option<String>,
    /// Who calls.
    pub principal: Option<Principal>,
    /// The function whose invocation calls.
    pub function: Option<String>,
    /// The state machine that calls.
    pub machine: Option<String>,
    /// The Task state that calls.
    pub state: Option<String>,
    /// How often the Task state that calls was tried before, since it was entered.
    pub retry: Option<u64>,
    /// What the payload of the calling invocation has at these JSON pointers; where an invocation is asked for, its
    /// own payload.
    pub payload: Vec<(String, Value)>,
    /// Calls from this moment on, and before that one.
    pub between: Option<(Timestamp, Timestamp)>,
    /// Which of the calls that match the members above, counted from 1 since the fault was set; every one when absent.
    pub nth: Option<u64>,
    /// How many of them at most, from the first; all when absent.
    pub first: Option<u64>,
}

impl Selector {
    /// Selects one operation of one service.
    #[must_use]
    pub fn operation(service: &str, operation: &str) -> Self {
        Self {
            service: Some(service.to_owned()),
            operation: Some(operation.to_owned()),
            ..Self::default()
        }
    }

    /// Selects the calls that invocations of one function make.
    #[must_use]
    pub fn function(function: &str) -> Self {
        Self {
            function: Some(function.to_owned()),
            ..Self::default()
        }
    }

    /// Selects the calls that Task states of this name make: one for every try.
    #[must_use]
    pub fn state(machine: &str, state: &str) -> Self {
        Self {
            machine: Some(machine.to_owned()),
            state: Some(state.to_owned()),
            ..Self::default()
        }
    }

    /// Narrows to the calls of Task states, when they are tried for the first time since they were entered.
    #[must_use]
    pub fn first_try(mut self) -> Self {
        self.retry = Some(0);
        self
    }

    /// Narrows to the calls of one principal.
    #[must_use]
    pub fn by(mut self, principal: Principal) -> Self {
        self.principal = Some(principal);
        self
    }

    /// Narrows to the `nth` matching call, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    /// Narrows to the first `count` matching calls.
    #[must_use]
    pub fn first(mut self, count: u64) -> Self {
        self.first = Some(count);
        self
    }

    /// Narrows to the calls from `from` on and before `to`.
    #[must_use]
    pub fn between(mut self, from: Timestamp, to: Timestamp) -> Self {
        self.between = Some((from, to));
        self
    }

    fn matches(&self, call: &Called<'_>) -> bool {
        self.service.as_deref().is_none_or(|service| service == call.service)
            && self
                .operation
                .as_deref()
                .is_none_or(|operation| operation == call.operation)
            && self
                .principal
                .as_ref()
                .is_none_or(|principal| principal == call.principal)
            && self
                .function
                .as_deref()
                .is_none_or(|function| Some(function) == call.function)
            && self
                .machine
                .as_deref()
                .is_none_or(|machine| call.task.is_some_and(|task| task.machine == machine))
            && self
                .state
                .as_deref()
                .is_none_or(|state| call.task.is_some_and(|task| task.state == state))
            && self
                .retry
                .is_none_or(|retry| call.task.is_some_and(|task| task.retry == retry))
            && self
                .payload
                .iter()
                .all(|(pointer, value)| call.payload.and_then(|payload| payload.pointer(pointer)) == Some(value))
            && self.between.is_none_or(|(from, to)| from <= call.at && call.at < to)
    }

    fn is_meant(&self, seen: u64) -> bool {
        self.nth.is_none_or(|nth| nth == seen) && self.first.is_none_or(|first| seen <= first)
    }
}

/// What a selector looks at.
pub(crate) struct Called<'a> {
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) principal: &'a Principal,
    pub(crate) function: Option<&'a str>,
    pub(crate) task: Option<&'a TaskTry>,
    /// Whether the answer of what is called is waited for, and not only that it is taken.
    pub(crate) waits: bool,
    pub(crate) payload: Option<&'a Value>,
    pub(crate) at: Timestamp,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// The call is answered with this error and has no effect.
    ErrorBefore(ApiError),
    /// The call has its effect and is answered with this error.
    ErrorAfter(ApiError),
    /// The call has its effect; the connection is reset before the answer.
    AnswerLost,
    /// The call is refused as one too many, in the words of its service. No effect.
    Throttle,
    /// A write to DynamoDB is refused because another transaction holds the item. No effect. Other calls are not
    /// touched by it.
    Conflict,
    /// The call reaches its service this much later.
    Delay(SignedDuration),
    /// The call reaches its service twice; the caller sees the first answer. For `lambda` `Invoke` the function runs
    /// twice.
    Repeat,
    /// The calling invocation dies before the call has left it.
    DieBefore,
    /// The calling invocation dies when the call has had its effect, before the answer.
    DieAfter,
}

impl FaultKind {
    /// Whether it can happen to this call at all.
    pub(crate) fn concerns(&self, call: &Called<'_>) -> bool {
        *self != Self::Conflict || (call.service == "dynamodb" && simulator_dynamodb::is_write(call.operation))
    }
}

/// What goes wrong with a function as a whole. Only whoever waits for its answer notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionFault {
    /// It fails with this error and has done nothing.
    FailsBefore(FunctionError),
    /// It has done everything and fails with this error.
    FailsAfter(FunctionError),
    /// It does nothing until its timeout.
    TimesOutBefore,
    /// It has done everything and does not end before its timeout.
    TimesOutAfter,
}

impl FunctionFault {
    /// Whether it can happen at this call at all.
    pub(crate) fn concerns(called: &Called<'_>) -> bool {
        called.service == "lambda" && called.operation == "Invoke" && called.waits
    }

    /// Whether the function does not run.
    pub(crate) fn is_before(&self) -> bool {
        matches!(self, Self::FailsBefore(_) | Self::TimesOutBefore)
    }
}

/// One planned fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Which call.
    pub selector: Selector,
    /// What happens to it.
    pub kind: FaultKind,
}

impl Fault {
    /// A fault of `kind` for the calls of `selector`.
    #[must_use]
    pub fn new(selector: Selector, kind: FaultKind) -> Self {
        Self { selector, kind }
    }
}

/// The faults of a run, with how many calls each has seen.
#[derive(Debug)]
pub(crate) struct FaultPlan<K>(Vec<(Selector, K, u64)>);

impl<K> Default for FaultPlan<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Clone> FaultPlan<K> {
    pub(crate) fn add(&mut self, selector: Selector, kind: K) {
        self.0.push((selector, kind, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts the call at every fault that could be meant, and gives the first that is.
    pub(crate) fn strike(&mut self, call: &Called<'_>) -> Option<K> {
        let mut struck = None;
        for (selector, kind, seen) in &mut self.0 {
            if selector.matches(call) {
                *seen += 1;
                if struck.is_none() && selector.is_meant(*seen) {
                    struck = Some(kind.clone());
                }
            }
        }
        struck
    }
}

/// How a service refuses a call that is one too many.
pub(crate) fn throttled(service: &str) -> ApiError {
    match service {
        "dynamodb" => simulator_dynamodb::throttled(),
        "lambda" => ApiError {
            status: 429,
            ..ApiError::client("TooManyRequestsException", "Rate Exceeded.")
        }
        .with("Reason", json!("CallerRateLimitExceeded")),
        _ => ApiError::client("ThrottlingException", "Rate exceeded"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(plan: &mut FaultPlan<FaultKind>, operation: &str) -> Option<FaultKind> {
        plan.strike(&Called {
            service: "ecs",
            operation,
            principal: &Principal::Administrator,
            function: None,
            task: None,
            waits: true,
            payload: Some(&json!({"action": "run_task", "step": {"index": 1}})),
            at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(100),
        })
    }

    #[test]
    fn a_fault_strikes_its_nth_call_and_no_other() {
        let mut plan = FaultPlan::default();
        plan.add(Selector::operation("ecs", "RunTask").nth(2), FaultKind::Throttle);
        let struck: Vec<bool> = ["RunTask", "StopTask", "RunTask", "RunTask"]
            .iter()
            .map(|operation| called(&mut plan, operation).is_some())
            .collect();
        assert_eq!(struck, [false, false, true, false]);
    }

    #[test]
    fn a_fault_strikes_as_many_calls_as_it_is_meant_for_and_within_its_time() {
        let at = |second| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        let run_task = || Selector::operation("ecs", "RunTask");
        for (selector, expected) in [
            (run_task().first(1), [true, false]),
            (run_task().between(at(100), at(101)), [true, true]),
            (run_task().between(at(99), at(100)), [false, false]),
        ] {
            let mut plan = FaultPlan::default();
            plan.add(selector.clone(), FaultKind::Throttle);
            let struck = [(); 2].map(|()| called(&mut plan, "RunTask").is_some());
            assert_eq!(struck, expected, "{selector:?}");
        }
    }

    #[test]
    fn a_fault_strikes_the_calls_of_the_invocations_whose_payload_it_names() {
        for (pointer, value, expected) in [
            ("/action", json!("run_task"), true),
            ("/step/index", json!(1), true),
            ("/action", json!("stop_task"), false),
            ("/step/mode", json!("forward"), false),
        ] {
            let mut plan = FaultPlan::default();
            let selector = Selector {
                payload: vec![(pointer.to_owned(), value)],
                ..Selector::operation("ecs", "RunTask")
            };
            plan.add(selector, FaultKind::Throttle);
            assert_eq!(called(&mut plan, "RunTask").is_some(), expected, "{pointer}");
        }
    }

    #[test]
    fn a_fault_without_a_number_strikes_always() {
        let mut plan = FaultPlan::default();
        plan.add(Selector::operation("ecs", "RunTask"), FaultKind::AnswerLost);
        assert_eq!(called(&mut plan, "RunTask"), Some(FaultKind::AnswerLost));
        assert_eq!(called(&mut plan, "RunTask"), Some(FaultKind::AnswerLost));
    }
}
