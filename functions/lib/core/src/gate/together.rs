//! Images of one product that come into an environment together: none before all of them stand there under the same
//! tag.

use serde::{Deserialize, Serialize};

use super::{GateReport, open, waits};

/// The name of the gate.
pub const TOGETHER: &str = "together";

/// How far another image of the product has come, under the tag of the one that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stands", rename_all = "snake_case")]
pub enum Stands {
    /// It has not come to the environment, or came to nothing there.
    Elsewhere,
    /// It waits there for another gate than this one.
    Waits {
        /// The names of those gates.
        gates: Vec<String>,
    },
    /// It waits for nothing but the others, or is let in already.
    Ready,
}

impl Stands {
    /// Where an image stands, by what its gates said when they were asked last; nothing where none was asked yet.
    #[must_use]
    pub fn of(reports: Option<&[GateReport]>) -> Self {
        let Some(reports) = reports else {
            return Self::Waits { gates: Vec::new() };
        };
        let closed = reports
            .iter()
            .filter(|report| !report.is_open && report.gate != TOGETHER);
        let gates: Vec<String> = closed.map(|report| report.gate.clone()).collect();
        if gates.is_empty() {
            Self::Ready
        } else {
            Self::Waits { gates }
        }
    }
}

/// Another image that comes together with the one that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// Its key in the pipeline file.
    pub image: String,
    /// How far it has come.
    pub stands: Stands,
}

/// Whether all companions are ready.
#[must_use]
pub fn are_ready(companions: &[Companion]) -> bool {
    companions.iter().all(|companion| companion.stands == Stands::Ready)
}

/// Where the gate stands; none where the image comes alone.
pub(super) fn together(companions: &[Companion]) -> Option<GateReport> {
    if companions.is_empty() {
        return None;
    }
    let missing = companions
        .iter()
        .filter_map(|Companion { image, stands }| match stands {
            Stands::Ready => None,
            Stands::Elsewhere => Some(format!("`{image}` has not arrived here under the same tag")),
            Stands::Waits { gates } if gates.is_empty() => Some(format!("`{image}` is about to reach its gates here")),
            Stands::Waits { gates } => Some(format!("`{image}` waits here for {}", gates.join(" and "))),
        });
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() {
        let names: Vec<String> = companions.iter().map(|known| format!("`{}`", known.image)).collect();
        return Some(open(
            TOGETHER,
            format!("it is deployed together with {}", names.join(", ")),
        ));
    }
    Some(waits(TOGETHER, missing.join("; "), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn companion(image: &str, stands: Stands) -> Companion {
        Companion {
            image: image.to_owned(),
            stands,
        }
    }

    #[test]
    fn two_that_wait_only_for_each_other_are_both_let_in() {
        let waiting = together(&[companion("frontend", Stands::Elsewhere)]).unwrap();
        assert!(!waiting.is_open && waiting.sentence == "`frontend` has not arrived here under the same tag");
        let stands = Stands::of(Some(&[waiting]));
        assert_eq!(stands, Stands::Ready);
        assert!(together(&[companion("backend", stands)]).unwrap().is_open);
    }

    #[test]
    fn one_that_waits_for_anything_else_keeps_the_others_waiting() {
        let closed = waits("approval", "1 of `ana` must agree".to_owned(), None);
        let stands = Stands::of(Some(&[open("window", String::new()), closed]));
        let report = together(&[companion("frontend", Stands::Ready), companion("engine", stands)]).unwrap();
        assert!(!report.is_open);
        assert_eq!(report.sentence, "`engine` waits here for approval");
        let unasked = together(&[companion("engine", Stands::of(None))]).unwrap();
        assert!(!unasked.is_open && unasked.sentence.contains("about to reach its gates"));
        assert_eq!(together(&[]), None);
    }
}
