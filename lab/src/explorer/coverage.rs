//! Which faults really struck, and where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use simulator::{CallOutcome, CallRecord, FaultKind, World};

use super::Shop;
use super::plan::{Asked, Mishap, Point};
use crate::deployer::InstallError;

/// What the Tasks of the state machines ask for, by the names of machine and state, read from the machines that are
/// installed.
///
/// # Errors
/// When a Task of a machine asks for nothing that a payload could be recognised by.
pub fn tasks(shop: &mut Shop) -> Result<BTreeMap<String, Asked>, InstallError> {
    let refused = |reason: String| InstallError::Account(reason);
    let mut ask = |operation: &str, input: Value| {
        shop.ask("states", operation, input)
            .map_err(|error| refused(error.to_string()))
    };
    let listed = ask("ListStateMachines", json!({}))?;
    let machines = listed.get("stateMachines").and_then(Value::as_array);
    let mut tasks = BTreeMap::new();
    for machine in machines.into_iter().flatten() {
        let arn = machine.get("stateMachineArn").cloned().unwrap_or_default();
        let described = ask("DescribeStateMachine", json!({"stateMachineArn": arn}))?;
        let text = described.get("definition").and_then(Value::as_str).unwrap_or_default();
        let definition: Value = serde_json::from_str(text).map_err(|error| refused(format!("`{arn}`: {error}")))?;
        let mut states: Vec<(&String, &Value)> = Vec::new();
        let mut flows = vec![&definition];
        while let Some(flow) = flows.pop() {
            let here = flow.get("States").and_then(Value::as_object);
            let here = here.into_iter().flatten();
            flows.extend(here.clone().filter_map(|(_, state)| state.get("ItemProcessor")));
            states.extend(here);
        }
        for (name, state) in states {
            if state.get("Type").and_then(Value::as_str) != Some("Task") {
                continue;
            }
            let payload = state.pointer("/Arguments/Payload").unwrap_or(&Value::Null);
            let action = payload.get("action").and_then(Value::as_str);
            let action = action.ok_or_else(|| refused(format!("state `{name}` of `{arn}` has no action")))?;
            let asked = Asked::Action {
                action: action.to_owned(),
                state: payload.get("wait").map(|_| name.clone()),
            };
            tasks.insert(task_name(arn.as_str().unwrap_or_default(), name), asked);
        }
    }
    Ok(tasks)
}

/// The name of a Task: its state machine, without the name of the stack, and its state.
fn task_name(machine: &str, state: &str) -> String {
    let machine = machine.rsplit(['-', ':']).next().unwrap_or_default();
    format!("{machine}/{state}")
}

/// The calls that can go wrong, as undisturbed runs make them, and what the state machines ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// What the Tasks of the state machines ask for, by the name of machine and state.
    pub tasks: BTreeMap<String, Asked>,
    /// The kinds of calls.
    pub calls: Vec<KnownCall>,
}

/// A kind of call, and how often it is made in a run that nothing disturbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCall {
    /// The kind.
    pub point: Point,
    /// How often it is made, by story.
    pub counts: BTreeMap<super::Story, u64>,
}

impl Known {
    /// Whether a call belongs to a Task of a state machine.
    #[must_use]
    pub fn is_of_task(&self, call: &KnownCall) -> bool {
        call.point
            .asked
            .as_ref()
            .is_some_and(|asked| self.tasks.values().any(|task| task == asked))
    }

    /// What can go wrong while a function does what it is asked for: a mishap for which none of its calls is made is
    /// left out, such as a write that meets another one where nothing is written. Each mishap is before or after
    /// the effect by its nature; see [`Mishap::is_after`].
    #[must_use]
    pub fn mishaps(&self, asked: &Asked) -> BTreeSet<Mishap> {
        let calls = self
            .calls
            .iter()
            .filter(|call| call.point.asked.as_ref() == Some(asked));
        calls.flat_map(|call| call.point.mishaps()).collect()
    }
}

/// A fault that struck a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Landed {
    /// The Task of a state machine for which the function was invoked, by the name of machine and state.
    pub task: Option<String>,
    /// What the calling function was asked for; for an invocation, the invoked one. None of a payload without action
    /// and `detail-type`.
    pub asked: Option<Asked>,
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
    let task = match call.invocation {
        Some(invocation) => world.task(invocation),
        None => call.task.as_ref(),
    };
    let after = match &call.outcome {
        CallOutcome::Success | CallOutcome::Lost => true,
        CallOutcome::Error { effect, .. } => *effect,
        CallOutcome::Open | CallOutcome::Denied { .. } | CallOutcome::NeverSent => false,
    };
    Some(Landed {
        task: task.map(|task| task_name(&task.machine, &task.state)),
        asked: payload.and_then(Asked::of),
        mishap: mishap(fault),
        after,
    })
}

fn mishap(fault: &FaultKind) -> &'static str {
    match fault {
        FaultKind::ErrorBefore(error) if error.code == "AccessDeniedException" => Mishap::Denied.as_str(),
        FaultKind::ErrorBefore(error) if error.code == "ServiceUnavailable" => "away",
        FaultKind::ErrorBefore(_) => Mishap::ErrorBefore.as_str(),
        FaultKind::ErrorAfter(_) => Mishap::ErrorAfter.as_str(),
        FaultKind::AnswerLost => Mishap::AnswerLost.as_str(),
        FaultKind::Throttle => Mishap::Throttle.as_str(),
        FaultKind::Conflict => Mishap::Conflict.as_str(),
        FaultKind::Delay(_) => Mishap::Late.as_str(),
        FaultKind::Repeat => Mishap::Twice.as_str(),
        FaultKind::DieBefore => Mishap::DieBefore.as_str(),
        FaultKind::DieAfter => Mishap::DieAfter.as_str(),
    }
}
