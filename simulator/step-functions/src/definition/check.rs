//! What one state says about another: transitions, names, scopes of variables, order of error handlers.

use std::collections::BTreeSet;

use super::{Definition, DefinitionError, Flow, Kind, Quantity, State};
use crate::retry::{ALL, RESERVED};

pub(super) fn definition(definition: &Definition) -> Result<(), DefinitionError> {
    let mut names = BTreeSet::new();
    unique_names(&definition.flow, &mut names)?;
    flow("definition", &definition.flow, &BTreeSet::new())
}

fn unique_names<'a>(flow: &'a Flow, seen: &mut BTreeSet<&'a str>) -> Result<(), DefinitionError> {
    for name in flow.states.keys() {
        if !seen.insert(name) {
            return Err(DefinitionError::invalid(
                at(name),
                "another state of the machine has the same name",
            ));
        }
    }
    flow.inner().try_for_each(|(_, inner)| unique_names(inner, seen))
}

fn flow(location: &str, flow: &Flow, outer: &BTreeSet<&str>) -> Result<(), DefinitionError> {
    if !flow.states.contains_key(&flow.start_at) {
        return Err(DefinitionError::invalid(
            location,
            format!("`StartAt` names no state: `{}`", flow.start_at),
        ));
    }
    for (name, state) in &flow.states {
        if let Some(missing) = state
            .successors()
            .into_iter()
            .find(|next| !flow.states.contains_key(*next))
        {
            return Err(DefinitionError::invalid(
                at(name),
                format!("there is no state `{missing}` to go to"),
            ));
        }
        recovery(name, state)?;
        timeouts(name, state)?;
    }
    let reachable = reachable(flow);
    if let Some(name) = flow.states.keys().find(|name| !reachable.contains(name.as_str())) {
        return Err(DefinitionError::invalid(at(name), "no other state leads here"));
    }
    scopes(flow, outer)
}

/// A variable belongs to the scope that assigns it: no inner scope may assign the same name.
fn scopes(this: &Flow, outer: &BTreeSet<&str>) -> Result<(), DefinitionError> {
    let mut visible = outer.clone();
    for (name, state) in &this.states {
        for variable in state.assigned() {
            if outer.contains(variable) {
                let message =
                    format!("variable `{variable}` belongs to an outer scope, which this state cannot assign");
                return Err(DefinitionError::invalid(at(name), message));
            }
            visible.insert(variable);
        }
    }
    this.inner()
        .try_for_each(|(name, inner)| flow(&at(name), inner, &visible))
}

fn reachable(flow: &Flow) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![flow.start_at.as_str()];
    while let Some(name) = waiting.pop() {
        if found.insert(name)
            && let Some(state) = flow.states.get(name)
        {
            waiting.extend(state.successors());
        }
    }
    found
}

fn recovery(name: &str, state: &State) -> Result<(), DefinitionError> {
    let retriers: Vec<&[String]> = state
        .recovery
        .retry
        .iter()
        .map(|retrier| retrier.error_equals.as_slice())
        .collect();
    let catchers: Vec<&[String]> = state
        .recovery
        .catch
        .iter()
        .map(|catcher| catcher.error_equals.as_slice())
        .collect();
    for (field, lists) in [("Retry", retriers), ("Catch", catchers)] {
        for (index, errors) in lists.iter().enumerate() {
            if let Some(unknown) = errors
                .iter()
                .find(|error| error.starts_with("States.") && !RESERVED.contains(&error.as_str()))
            {
                let message = format!("field `{field}`: Step Functions knows no error `{unknown}`");
                return Err(DefinitionError::invalid(at(name), message));
            }
            if errors.iter().any(|error| error == ALL) && (errors.len() > 1 || index + 1 < lists.len()) {
                let message = format!("field `{field}`: `{ALL}` must stand alone and in the last entry");
                return Err(DefinitionError::invalid(at(name), message));
            }
        }
    }
    Ok(())
}

fn timeouts(name: &str, state: &State) -> Result<(), DefinitionError> {
    if let Kind::Task(task) = &state.kind
        && let Some(Quantity::Literal(heartbeat)) = task.heartbeat_seconds
        && let Some(Quantity::Literal(timeout)) = task.timeout_seconds
        && heartbeat >= timeout
    {
        return Err(DefinitionError::invalid(
            at(name),
            "`HeartbeatSeconds` must be smaller than `TimeoutSeconds`",
        ));
    }
    Ok(())
}

fn at(state: &str) -> String {
    format!("state `{state}`")
}
