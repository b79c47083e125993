//! Where a run can be disturbed: every call of a function of Esclusa, and every invocation of one.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use simulator::{CallRecord, FaultKind, Selector};

use crate::shop::Shop;

/// One call that a run without faults makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    /// The function that calls; none for an invocation, which Step Functions, EventBridge or Scheduler asks for.
    function: Option<String>,
    service: String,
    operation: String,
    /// The how many-th of its kind, from 1.
    nth: u64,
    /// For an invocation, what is invoked for what.
    what: String,
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    DieBefore,
    DieAfter,
    AnswerLost,
    /// An invocation runs twice, side by side.
    Twice,
}

impl Mishap {
    pub(crate) fn fault(self) -> FaultKind {
        match self {
            Self::DieBefore => FaultKind::DieBefore,
            Self::DieAfter => FaultKind::DieAfter,
            Self::AnswerLost => FaultKind::AnswerLost,
            Self::Twice => FaultKind::Repeat,
        }
    }
}

impl Point {
    pub(crate) fn selector(&self) -> Selector {
        let selector = Selector {
            function: self.function.clone(),
            ..Selector::operation(&self.service, &self.operation)
        };
        selector.nth(self.nth)
    }

    pub(crate) fn mishaps(&self) -> &'static [Mishap] {
        match self.function {
            Some(_) => &[Mishap::DieBefore, Mishap::DieAfter, Mishap::AnswerLost],
            None => &[Mishap::Twice],
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            function,
            service,
            operation,
            nth,
            what,
        } = self;
        match function {
            Some(function) => write!(formatter, "`{service}:{operation}` number {nth} of `{function}`"),
            None => write!(formatter, "invocation {nth}, {what}"),
        }
    }
}

/// Every point of the calls that were made since the shop was open.
fn points(shop: &Shop) -> Vec<Point> {
    let mut counts: BTreeMap<(Option<&str>, &str, &str), u64> = BTreeMap::new();
    let calls = shop.lab.world().calls().get(shop.calls_before..).unwrap_or_default();
    calls
        .iter()
        .filter(|call| call.function.is_some() || is_invocation(call))
        .map(|call| {
            let nth = counts
                .entry((call.function.as_deref(), &call.service, &call.operation))
                .or_default();
            *nth += 1;
            Point {
                function: call.function.clone(),
                service: call.service.clone(),
                operation: call.operation.clone(),
                nth: *nth,
                what: what(call),
            }
        })
        .collect()
}

pub(crate) fn is_invocation(call: &CallRecord) -> bool {
    call.service == "lambda" && call.operation == "Invoke"
}

/// The payload of an invocation.
pub(crate) fn payload(call: &CallRecord) -> &Value {
    call.input.get("Payload").unwrap_or(&Value::Null)
}

fn what(call: &CallRecord) -> String {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let payload = payload(call);
    let subject = text(payload, "action")
        .or_else(|| text(payload, "detail-type"))
        .unwrap_or_default();
    format!(
        "`{subject}` for `{}`",
        text(&call.input, "FunctionName").unwrap_or_default()
    )
}

/// The points that are calls of functions.
pub(crate) fn calls_of_functions(shop: &Shop) -> Vec<Point> {
    points(shop)
        .into_iter()
        .filter(|point| point.function.is_some())
        .collect()
}

/// A point, and what happens at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disturbed {
    pub(crate) point: Point,
    pub(crate) mishap: Mishap,
}

impl fmt::Display for Disturbed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} at {}", self.mishap, self.point)
    }
}

/// Every point with everything that can happen at it.
pub(crate) fn every_disturbance(shop: &Shop) -> Vec<Disturbed> {
    let disturbed = |point: Point| {
        let mishaps = point.mishaps().iter();
        mishaps
            .map(move |mishap| Disturbed {
                point: point.clone(),
                mishap: *mishap,
            })
            .collect::<Vec<_>>()
    };
    points(shop).into_iter().flat_map(disturbed).collect()
}
