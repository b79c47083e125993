//! What must have been seen to before a release comes: what its image says of itself, and what a person says about it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{GateReport, open, person_of, waits};
use crate::pipeline::{Acknowledgement, Name, People};

/// What somebody has seen to, about one release in one environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The principal that says so.
    pub principal: String,
    /// What was found, in the words of that person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What an image does not say that it must say: an image never changes, so that nobody need wait for it.
#[must_use]
pub fn unsaid(asked: &IndexMap<Name, Acknowledgement>, image: &BTreeMap<String, String>) -> Vec<(Name, String)> {
    let unsaid = |(name, asked): (&Name, &Acknowledgement)| {
        let Acknowledgement::Image { annotation, is } = asked else {
            return None;
        };
        let said = image.get(annotation);
        let message = match said {
            Some(said) if said == is => return None,
            Some(said) => format!("`{name}`: the image says `{annotation}` is `{said}`, not `{is}`"),
            None => format!("`{name}`: the image does not say that `{annotation}` is `{is}`"),
        };
        Some((name.clone(), message))
    };
    asked.iter().filter_map(unsaid).collect()
}

/// Who may say that something was seen to: those who are named, or everybody the pipeline knows.
#[must_use]
pub fn may_acknowledge<'a>(people: &'a People, by: &[Name], principal: &str) -> Option<&'a Name> {
    person_of(people, principal).filter(|person| by.is_empty() || by.contains(person))
}

/// Where the gate of what people see to stands; none where nobody is asked for anything.
pub(super) fn acknowledged(
    asked: &IndexMap<Name, Acknowledgement>,
    people: &People,
    said: &BTreeMap<String, Acknowledged>,
) -> Option<GateReport> {
    let (mut seen_to, mut missing) = (Vec::new(), Vec::new());
    for (name, asked) in asked {
        let Acknowledgement::Person { that, by } = asked else {
            continue;
        };
        let person = said
            .get(name.as_str())
            .and_then(|said| may_acknowledge(people, by, &said.principal));
        match person {
            Some(person) => seen_to.push(format!("`{name}` by `{person}`")),
            None => missing.push(format!("`{name}` ({that})")),
        }
    }
    if seen_to.is_empty() && missing.is_empty() {
        return None;
    }
    Some(if missing.is_empty() {
        open("acknowledgements", format!("acknowledged: {}", seen_to.join(", ")))
    } else {
        waits(
            "acknowledgements",
            format!("somebody must acknowledge {}", missing.join(", ")),
            None,
        )
    })
}
