//! What was seen of a version before it comes into an environment.

use jiff::Timestamp;
use serde::Serialize;

use super::sections::{Counts, check};
use super::{Facts, Line, Part, Section, Standing};
use crate::span::span;
use crate::verification::{Revoked, State};

/// That a version was verified in an environment, and what was seen of it there. It is shown and decides nothing, so
/// that no plan is another one by it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Upstream {
    /// The environment.
    pub environment: String,
    /// The release with which it came there.
    pub release_id: String,
    /// Since when it is verified there.
    pub since: Timestamp,
    /// That it was found not to work since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
    /// What was measured; none where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<State>,
}

/// What was seen elsewhere, for as long as somebody decides by it.
pub(super) fn seen_before(facts: &Facts<'_>) -> Vec<Section> {
    let (Standing::Gates { closed: None, .. }, Some(upstream)) = (facts.standing, facts.upstream) else {
        return Vec::new();
    };
    if upstream.is_empty() {
        let line = Line::text("No environment before this one has verified this image.");
        return vec![Section::new("Seen before", vec![line])];
    }
    upstream.iter().map(seen).collect()
}

fn seen(upstream: &Upstream) -> Section {
    let mut first = Line::text("In force and verified since ");
    first.push(Part::Time(upstream.since));
    match upstream.verification.as_ref().map(|state| (state, state.soak())) {
        None => first.push(Part::text("; nothing was measured")),
        Some((state, soak)) => {
            let asked = soak.asked.map(|asked| format!(" ({} required)", span(asked)));
            let (so_far, asked) = (span(soak.so_far), asked.unwrap_or_default());
            let looks = match state.looks {
                1 => "1 look".to_owned(),
                looks => format!("{looks} looks"),
            };
            first.push(Part::text(format!(
                "; healthy for {so_far} without interruption{asked}, {looks}"
            )));
        }
    }
    let mut lines = vec![first];
    if let Some(Revoked { at, why }) = &upstream.revoked {
        lines.push(Line::from([
            Part::text("✗ It has failed verification there since "),
            Part::Time(*at),
            Part::text(format!(": {why}")),
        ]));
    }
    let checks = upstream.verification.iter().flat_map(|state| &state.checks);
    lines.extend(checks.filter_map(|(name, state)| check(name, state, Counts::Shown)));
    Section::new(&format!("Seen in {}", upstream.environment), lines)
}
