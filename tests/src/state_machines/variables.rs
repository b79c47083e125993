//! Which variables have a value where.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Findings, MACHINE, Machine, expressions};

impl<'a> Machine<'a> {
    /// A variable that has no value on some path is `States.QueryEvaluationError` on exactly that path, which is the
    /// one nobody tried.
    pub(super) fn check_variables(&self, findings: &mut Findings) {
        let assigned = self.assigned_on_entry();
        let mut read = BTreeSet::new();
        for (name, known) in &assigned {
            let Some(state) = self.states.get(name) else { continue };
            let variables: BTreeSet<String> = expressions::of_state(state)
                .iter()
                .flat_map(|placed| placed.references().variables)
                .collect();
            for variable in variables.iter().filter(|variable| !known.contains(variable.as_str())) {
                findings.add(
                    Check::Variables,
                    name,
                    format!("reads `${variable}`, which has no value on some path to it"),
                );
            }
            read.extend(variables);
        }
        for inner in self.flows().iter().skip(1) {
            for state in inner.states.values() {
                let placed = expressions::of_state(state);
                read.extend(placed.iter().flat_map(|placed| placed.references().variables));
            }
        }
        let written: BTreeSet<&str> = self
            .edges()
            .iter()
            .flat_map(|edge| edge.assigned().map(|(variable, _)| variable))
            .collect();
        let outside = self.outside.as_ref();
        for variable in written
            .iter()
            .filter(|variable| outside.is_some_and(|outside| outside.contains(*variable)))
        {
            findings.add(
                Check::Variables,
                self.start(),
                format!("the flow that begins here assigns `${variable}`, which is a variable outside it"),
            );
        }
        for variable in written.into_iter().filter(|variable| !read.contains(*variable)) {
            findings.add(
                Check::Variables,
                MACHINE,
                format!("`${variable}` is assigned and never read"),
            );
        }
    }

    /// For every state that can be reached, the variables that have a value on each way to it: a descending fixed point
    /// over the edges.
    pub(super) fn assigned_on_entry(&self) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
        let edges = self.edges();
        let outside = self.outside.clone().unwrap_or_default();
        let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::from([(self.start(), outside)]);
        let mut changed = true;
        while changed {
            changed = false;
            for edge in &edges {
                let Some(before) = known.get(edge.from) else { continue };
                let mut arriving = before.clone();
                arriving.extend(edge.assigned().map(|(variable, _)| variable));
                match known.get_mut(edge.to) {
                    Some(kept) if kept.is_subset(&arriving) => {}
                    Some(kept) => {
                        kept.retain(|variable| arriving.contains(variable));
                        changed = true;
                    }
                    None => {
                        known.insert(edge.to, arriving);
                        changed = true;
                    }
                }
            }
        }
        known
    }
}
