//! Order among tasks and among services: what comes `after` what.

use indexmap::{IndexMap, IndexSet};

use super::names::Name;

/// Keys that come after each other in a circle; the first is repeated at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cycle(pub(super) Vec<Name>);

/// Sorts the keys so that each comes after those it names; where that leaves a choice, the order of declaration
/// decides.
///
/// A name that is not a key is ignored here: it is reported as an unknown reference.
pub(super) fn order(after: &IndexMap<&Name, &[Name]>) -> Result<Vec<Name>, Cycle> {
    let mut placed: IndexSet<&Name> = IndexSet::new();
    while placed.len() < after.len() {
        let is_ready = |earlier: &[Name]| {
            earlier
                .iter()
                .all(|key| placed.contains(key) || !after.contains_key(key))
        };
        let next = after
            .iter()
            .find(|(key, earlier)| !placed.contains(**key) && is_ready(earlier))
            .map(|(key, _)| *key);
        match next {
            Some(key) => placed.insert(key),
            None => return Err(Cycle(cycle_among(after, &placed))),
        };
    }
    Ok(placed.into_iter().cloned().collect())
}

/// Follows unplaced predecessors until one repeats. There is always one, because every unplaced key waits for another.
fn cycle_among(after: &IndexMap<&Name, &[Name]>, placed: &IndexSet<&Name>) -> Vec<Name> {
    let mut walked: IndexSet<&Name> = IndexSet::new();
    let mut current = after.keys().copied().find(|key| !placed.contains(*key));
    while let Some(key) = current {
        if !walked.insert(key) {
            let circle = walked.iter().skip_while(|walked| **walked != key).chain([&key]);
            return circle.map(|key| (*key).clone()).collect();
        }
        let earlier = after.get(key).into_iter().flat_map(|earlier| earlier.iter());
        current = earlier
            .into_iter()
            .find(|earlier| after.contains_key(earlier) && !placed.contains(earlier));
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(edges: &[(&str, &[&str])]) -> Result<Vec<String>, Vec<String>> {
        let keys: Vec<(Name, Vec<Name>)> = edges
            .iter()
            .map(|(key, earlier)| {
                (
                    key.parse().unwrap(),
                    earlier.iter().map(|key| key.parse().unwrap()).collect(),
                )
            })
            .collect();
        let after = keys.iter().map(|(key, earlier)| (key, earlier.as_slice())).collect();
        let text = |keys: Vec<Name>| keys.into_iter().map(String::from).collect();
        order(&after).map(text).map_err(|cycle| text(cycle.0))
    }

    #[test]
    fn declared_order_breaks_ties() {
        assert_eq!(
            sorted(&[("c", &[]), ("a", &["b"]), ("b", &[]), ("d", &["c"])]).unwrap(),
            ["c", "b", "a", "d"]
        );
    }

    #[test]
    fn a_cycle_is_named_without_what_leads_to_it() {
        assert_eq!(
            sorted(&[("x", &["a"]), ("a", &["b"]), ("b", &["c"]), ("c", &["a"])]).unwrap_err(),
            ["a", "b", "c", "a"]
        );
        assert_eq!(sorted(&[("a", &["a"])]).unwrap_err(), ["a", "a"]);
        // What is in its place already is no part of it.
        assert_eq!(
            sorted(&[("a", &[]), ("b", &["a", "c"]), ("c", &["b"])]).unwrap_err(),
            ["b", "c", "b"]
        );
    }
}
