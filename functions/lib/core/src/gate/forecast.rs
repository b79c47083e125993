//! When the gates of an environment would open, by the functions that they are asked with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::approval::{hours_of_silence, quorum};
use super::{GatePolicy, GateReport, OpenTimes, Order, Pin, frozen, pinned, windowed};
use crate::pipeline::Acknowledgement;

/// How many times one gate after another is waited for: more than there are freezes, pins and closed times in a row.
const WAITS: usize = 1_000;

/// What stands before an environment whoever comes.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The freezes over it, those that are over as well.
    pub freezes: &'a [Order],
    /// Its pin, one that is over as well.
    pub pin: Option<&'a Pin>,
    /// What would come: an image by its key, and its digest where that is known.
    pub comes: Option<(&'a str, &'a str)>,
    /// Whether it would come as a hotfix.
    pub is_hotfix: bool,
}

/// When a release that comes to the gates at a moment would be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// When, if people have done until then what they must; none where somebody must lift something first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<Timestamp>,
    /// What it waits for, in the order in which that opens.
    pub waits: Vec<GateReport>,
    /// What people must do until then: agree, see to something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<String>,
}

/// What people are asked about a push, of which nobody knows who asked for it.
fn asked_of_people(policy: &GatePolicy<'_>, is_hotfix: bool) -> Vec<String> {
    let approval = policy.approval.map(|approval| {
        let names: Vec<String> = approval.approvers.iter().map(|name| format!("`{name}`")).collect();
        let quorum = quorum(approval, true);
        let by_default = hours_of_silence(approval).filter(|_| !is_hotfix);
        let by_default = by_default.map(|hours| format!(", or nobody rejects it within {hours} open hours"));
        format!(
            "{quorum} of {} must agree{}",
            names.join(", "),
            by_default.unwrap_or_default()
        )
    });
    let seen_to = policy.acknowledgements.iter().filter_map(|(name, asked)| match asked {
        Acknowledgement::Person { .. } => Some(format!("somebody must acknowledge `{name}`")),
        Acknowledgement::Image { .. } => None,
    });
    approval.into_iter().chain(seen_to).collect()
}

/// When a release that comes to the gates at `from` would be let in, as far as anybody can say.
#[must_use]
pub fn forecast(policy: &GatePolicy<'_>, standing: &Standing<'_>, from: Timestamp) -> Forecast {
    let mut forecast = Forecast {
        opens: None,
        waits: Vec::new(),
        people: asked_of_people(policy, standing.is_hotfix),
    };
    // Windows that are none were refused when the pipeline was applied.
    let times = policy.windows.and_then(|windows| OpenTimes::new(windows).ok());
    let mut at = from;
    for _ in 0..WAITS {
        let closed: Vec<GateReport> = frozen(standing.freezes, at)
            .into_iter()
            .chain(pinned(standing.pin, standing.comes, at))
            .chain(times.as_ref().map(|times| windowed(times, at)))
            .filter(|report| !report.is_open)
            .collect();
        if closed.is_empty() {
            forecast.opens = Some(at);
            return forecast;
        }
        let next = closed
            .iter()
            .map(|report| report.until)
            .max_by_key(|until| until.unwrap_or(Timestamp::MAX));
        // The same freeze is waited for once, however often something else closes meanwhile.
        for report in closed {
            if !forecast.waits.contains(&report) {
                forecast.waits.push(report);
            }
        }
        match next.flatten() {
            Some(next) if next > at => at = next,
            Some(_) | None => return forecast,
        }
    }
    forecast
}
