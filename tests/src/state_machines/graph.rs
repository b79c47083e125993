//! Where a machine can go: edges, ends, loops.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Check, Findings, MACHINE, Machine, list, text, texts};

/// One way from a state to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    /// The variables that are assigned on this way.
    pub(super) assign: Option<&'a Value>,
}

impl<'a> Edge<'a> {
    /// The variables that are assigned on this way and their new values.
    pub(super) fn assigned(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.assign
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// The variables that are counted up on this way.
    fn counted(&self) -> impl Iterator<Item = &'a str> {
        self.assigned()
            .filter(|(name, value)| value.as_str() == Some(format!("{{% ${name} + 1 %}}").as_str()))
            .map(|(name, _)| name)
    }
}

impl<'a> Machine<'a> {
    /// All ways out of all states, as written: the target may not exist.
    pub(super) fn edges(&self) -> Vec<Edge<'a>> {
        let mut edges = Vec::new();
        for (from, state) in &self.states {
            let mut add = |holder: &'a Value, field: &str, assigning: &'a Value| {
                if let Some(to) = holder.get(field).and_then(Value::as_str) {
                    edges.push(Edge {
                        from,
                        to,
                        assign: assigning.get("Assign"),
                    });
                }
            };
            add(state, "Next", state);
            add(state, "Default", state);
            for member in list(state, "Choices").chain(list(state, "Catch")) {
                add(member, "Next", member);
            }
        }
        edges
    }

    /// The states that can be reached from one, itself included.
    #[must_use]
    pub fn reachable_from(&self, start: &'a str) -> BTreeSet<&'a str> {
        let edges = self.edges();
        let mut reached = BTreeSet::new();
        let mut open = vec![start];
        while let Some(state) = open.pop() {
            if reached.insert(state) {
                open.extend(edges.iter().filter(|edge| edge.from == state).map(|edge| edge.to));
            }
        }
        reached
    }

    /// Where a Task goes when it fails with this error for good; `None` when nothing catches it.
    #[must_use]
    pub fn caught_at(&self, state: &str, error: &str) -> Option<&'a str> {
        let flows = self.flows();
        let state = flows.iter().find_map(|flow| flow.states.get(state).copied())?;
        let catcher = list(state, "Catch")
            .find(|catcher| texts(catcher, "ErrorEquals").any(|name| name == error || name == "States.ALL"))?;
        catcher.get("Next").and_then(Value::as_str)
    }

    pub(super) fn check_flow(&self, declared_ends: &BTreeSet<String>, findings: &mut Findings) {
        let edges = self.edges();
        for edge in edges.iter().filter(|edge| !self.states.contains_key(edge.to)) {
            findings.add(
                Check::Flow,
                edge.from,
                format!("goes to `{}`, which does not exist", edge.to),
            );
        }
        if !self.states.contains_key(self.start()) {
            findings.add(
                Check::Flow,
                MACHINE,
                format!("begins with `{}`, which does not exist", self.start()),
            );
        }
        let reached = self.reachable_from(self.start());
        for (name, state) in &self.states {
            let kind = text(state, "Type");
            if !reached.contains(name) {
                findings.add(Check::Flow, name, "cannot be reached");
            }
            if kind == "Choice" && state.get("Default").is_none() {
                findings.add(
                    Check::Flow,
                    name,
                    "has no `Default`: an answer that nobody thought of ends the execution uncaught",
                );
            }
            let ends = matches!(kind, "Succeed" | "Fail") || state.get("End").is_some();
            if ends != declared_ends.contains(*name) {
                findings.add(
                    Check::Flow,
                    name,
                    if ends {
                        "ends the execution but is not a declared end"
                    } else {
                        "is a declared end but goes on"
                    },
                );
            }
            if !self
                .reachable_from(name)
                .iter()
                .any(|state| declared_ends.contains(*state))
            {
                findings.add(Check::Flow, name, "reaches no declared end");
            }
        }
        for name in declared_ends
            .iter()
            .filter(|name| !self.states.contains_key(name.as_str()))
        {
            findings.add(Check::Flow, name, "is a declared end but does not exist");
        }
        self.check_loops(&edges, findings);
    }

    /// A loop is bounded when every round counts a variable that some Choice compares, or passes a switch that cannot
    /// be set back.
    fn check_loops(&self, edges: &[Edge<'a>], findings: &mut Findings) {
        let compared: Vec<&str> = self
            .states
            .values()
            .flat_map(|state| list(state, "Choices"))
            .map(|rule| text(rule, "Condition"))
            .collect();
        for counter in edges.iter().flat_map(Edge::counted).collect::<BTreeSet<_>>() {
            if !compared
                .iter()
                .any(|condition| condition.contains(&format!("${counter} <")))
            {
                findings.add(
                    Check::Flow,
                    MACHINE,
                    format!("`${counter}` is counted, but no Choice compares it with a bound"),
                );
            }
        }
        let unbounded: Vec<&Edge<'_>> = edges
            .iter()
            .filter(|edge| edge.counted().next().is_none() && !self.is_switch(edge, edges))
            .collect();
        if let Some(state) = on_cycle(&unbounded) {
            findings.add(Check::Flow, state, "is part of a loop that nothing bounds");
        }
    }

    /// Whether this way sets a variable that, besides the first state, no other way sets: it leads into a part that is
    /// not left the way it was entered.
    fn is_switch(&self, edge: &Edge<'a>, edges: &[Edge<'a>]) -> bool {
        edge.assigned()
            .filter(|(_, value)| value.as_str().is_some_and(|text| !text.starts_with("{%")))
            .any(|(variable, _)| {
                let setters = edges
                    .iter()
                    .filter(|other| other.assigned().any(|(name, _)| name == variable));
                setters
                    .map(|setter| setter.from)
                    .all(|from| from == self.start() || from == edge.from)
            })
    }
}

/// A state of a cycle of these edges, if there is one: what is left after removing, again and again, what nothing leads
/// to and what leads nowhere.
fn on_cycle<'a>(edges: &[&Edge<'a>]) -> Option<&'a str> {
    let mut remaining: Vec<(&str, &str)> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
    loop {
        let (sources, targets): (BTreeSet<&str>, BTreeSet<&str>) = remaining.iter().copied().unzip();
        let before = remaining.len();
        remaining.retain(|(from, to)| targets.contains(from) && sources.contains(to));
        if remaining.len() == before {
            return sources.first().copied();
        }
    }
}
