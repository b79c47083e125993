//! Looking once more at what was verified: whether it still holds.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Measurement, Outcome, Revoked, State, deciding};
use crate::pipeline::{Measure, Verification};

/// What is measured again of a verification that has passed: what was not to be watched for a while only, and does not
/// decide in spite of somebody.
#[must_use]
pub fn still_watched<'a>(policy: &'a Verification, state: &'a State) -> Vec<&'a str> {
    let looks = deciding(policy, state).filter(|(_, pace)| pace.until_seconds.is_none());
    looks.map(|(name, _)| name).collect()
}

/// How far back a re-check looks: what was long ago says nothing about now.
const LOOKS_BACK: SignedDuration = SignedDuration::from_mins(5);

/// What a re-check may look at of a deployment that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Since when its services were its own: the begin of its verification, or the end of a deployment that had the
    /// environment after it.
    pub begun_at: Timestamp,
    /// From when on is looked: not at what was long ago, but at two whole periods of every metric at least.
    pub since: Timestamp,
}

/// What a re-check may look at `now` of a deployment whose verification began and that ended then. The environment is
/// free since `free_since`.
#[must_use]
pub fn stretch(
    policy: &Verification,
    (begun_at, ended_at): (Timestamp, Option<Timestamp>),
    free_since: Option<Timestamp>,
    now: Timestamp,
) -> Stretch {
    let alone_since = free_since.filter(|free| ended_at.is_none_or(|ended| *free > ended));
    let begun_at = alone_since.map_or(begun_at, |alone| alone.max(begun_at));
    let periods = policy.checks.values().filter_map(|check| match &check.measure {
        Measure::Metric(metric) => Some(metric.period_seconds),
        _ => None,
    });
    let longest = SignedDuration::from_secs(i64::from(periods.max().unwrap_or_default()));
    let back = LOOKS_BACK + longest * 2;
    let since = now.saturating_sub(back).unwrap_or(now).max(begun_at);
    Stretch { begun_at, since }
}

/// What a re-check comes to: that it holds, that it does not and why, or nothing where not all of it was clear. Nothing
/// passes that was not seen.
#[must_use]
pub fn rejudge(measured: &BTreeMap<String, Measurement>, now: Timestamp) -> Option<Result<(), Revoked>> {
    let failed = measured
        .iter()
        .find(|(_, measurement)| measurement.outcome == Outcome::Fail);
    if let Some((name, measurement)) = failed {
        let why = format!("check `{name}`: {}", measurement.sentence);
        return Some(Err(Revoked { at: now, why }));
    }
    let is_clear = measured
        .values()
        .all(|measurement| measurement.outcome == Outcome::Pass);
    (is_clear && !measured.is_empty()).then_some(Ok(()))
}
