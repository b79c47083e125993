//! Which faults really struck, and where.

use serde_json::Value;
use simulator::{CallOutcome, CallRecord, FaultKind, World};

/// A fault that struck a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Landed {
    /// What the calling function was asked to do, as in the payload of its Task or the kind of its event; for an invocation, of the invoked one.
    pub action: String,
    /// What went wrong.
    pub mishap: &'static str,
    /// Whether the call had had its effect.
    pub after: bool,
}

/// Every fault that struck a call, in order.
#[must_use]
pub fn landed(world: &World) -> Vec<Landed> {
    world.calls().iter().filter_map(|call| of(call, world)).collect()
}

fn of(call: &CallRecord, world: &World) -> Option<Landed> {
    let fault = call.fault.as_ref()?;
    let payload = match call.invocation {
        Some(invocation) => world.payload(invocation),
        None => call.input.get("Payload"),
    };
    let after = match &call.outcome {
        CallOutcome::Success | CallOutcome::Lost => true,
        CallOutcome::Error { effect, .. } => *effect,
        CallOutcome::Open | CallOutcome::Denied { .. } | CallOutcome::NeverSent => false,
    };
    Some(Landed {
        action: payload.map(action).unwrap_or_default(),
        mishap: mishap(fault),
        after,
    })
}

/// What a function is asked for: the action of a Task or a schedule, or the kind of an event.
fn action(payload: &Value) -> String {
    let text = |member: &str| payload.get(member).and_then(Value::as_str);
    text("action")
        .or_else(|| text("detail-type"))
        .unwrap_or_default()
        .to_owned()
}

fn mishap(fault: &FaultKind) -> &'static str {
    match fault {
        FaultKind::ErrorBefore(error) if error.code == "AccessDeniedException" => "denied",
        FaultKind::ErrorBefore(error) if error.code == "ServiceUnavailable" => "away",
        FaultKind::ErrorBefore(_) => "error_before",
        FaultKind::ErrorAfter(_) => "error_after",
        FaultKind::AnswerLost => "answer_lost",
        FaultKind::Throttle => "throttle",
        FaultKind::Conflict => "conflict",
        FaultKind::Delay(_) => "late",
        FaultKind::Repeat => "twice",
        FaultKind::DieBefore => "die_before",
        FaultKind::DieAfter => "die_after",
    }
}
