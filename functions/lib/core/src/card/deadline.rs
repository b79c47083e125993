//! Until when somebody may agree, and see to what is asked for.

use jiff::{SignedDuration, Timestamp};

use crate::gate::{GateReport, OpenTimes, Opening};
use crate::pipeline::{Approval, Windows};

/// How many openings and closings are looked at: more than there are while the hours of any approval pass.
const STEPS_MAX: usize = 2_000;

/// When a release that stands at the gates `since` a moment ends because nobody agreed, or saw to what is asked for;
/// none where it does not, or where nobody can say when. Hours count only while the windows are open, where these are
/// asked.
#[must_use]
pub fn approval_expires(
    reports: &[GateReport],
    since: Timestamp,
    approval: &Approval,
    windows: Option<&Windows>,
) -> Option<Timestamp> {
    let is_missing = reports
        .iter()
        .any(|report| ["approval", "acknowledgements"].contains(&report.gate.as_str()) && !report.is_open);
    let limit = SignedDuration::from_hours(i64::from(approval.expires_open_hours.filter(|_| is_missing)?));
    if !reports.iter().any(|report| report.gate == "window") {
        return since.checked_add(limit).ok();
    }
    let times = OpenTimes::new(windows?).ok()?;
    let (mut at, mut left) = (since, limit);
    for _ in 0..STEPS_MAX {
        match times.at(at) {
            Opening::Closed { until, .. } => at = until?,
            Opening::Open { until, .. } => {
                let ends = at.checked_add(left).ok()?;
                let Some(until) = until.filter(|until| *until < ends) else {
                    return Some(ends);
                };
                left = left.saturating_sub(until.duration_since(at));
                at = until;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{AtExpiry, Day, UnknownPusher, Window};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn report(gate: &str, is_open: bool) -> GateReport {
        GateReport {
            gate: gate.to_owned(),
            is_open,
            sentence: String::new(),
            until: None,
        }
    }

    #[test]
    fn hours_pass_only_while_the_windows_are_open_that_are_asked() {
        let approval = |hours| Approval {
            approvers: vec!["ana".parse().unwrap()],
            quorum: 1,
            expires_open_hours: hours,
            unknown_pusher: UnknownPusher::IsNobody,
            at_expiry: AtExpiry::default(),
        };
        let windows = Windows {
            zone: "America/Lima".to_owned(),
            allow: vec![Window {
                days: vec![Day::Mon, Day::Tue],
                from: "10:00".to_owned(),
                to: "16:00".to_owned(),
                reason: None,
            }],
            deny: Vec::new(),
            holidays: Vec::new(),
            holidays_file: None,
        };
        // A Monday, an hour before the window: it is open from 15:00 to 21:00 in UTC.
        let since = at("2026-11-02T14:00:00Z");
        let missing = report("approval", false);
        let gates = [report("window", false), missing.clone()];
        let expires =
            |hours, reports: &[GateReport], windows| approval_expires(reports, since, &approval(hours), windows);
        assert_eq!(
            expires(Some(2), &gates, Some(&windows)),
            Some(at("2026-11-02T17:00:00Z"))
        );
        assert_eq!(
            expires(Some(8), &gates, Some(&windows)),
            Some(at("2026-11-03T17:00:00Z"))
        );
        assert_eq!(
            expires(Some(13), &gates, Some(&windows)),
            Some(at("2026-11-09T16:00:00Z"))
        );
        // A hotfix is not asked about the windows.
        assert_eq!(
            expires(Some(2), std::slice::from_ref(&missing), Some(&windows)),
            Some(at("2026-11-02T16:00:00Z"))
        );
        for (hours, reports, windows) in [
            (None, &gates[..], Some(&windows)),
            (Some(2), &[report("approval", true)][..], None),
            (Some(2), &gates[..], None),
        ] {
            assert_eq!(expires(hours, reports, windows), None);
        }
    }
}
