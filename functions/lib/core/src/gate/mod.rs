//! Gates: whether a release may come into an environment now, and if not, why and until when. Facts come in, a report
//! goes out; the same report is what the state machine branches on and what people read.
//!
//! A gate is asked before the deployment is started, after every wait, and once more under the lock. Going back passes
//! every gate: whoever goes back has a fire. A stop ends even that.

mod acknowledged;
mod approval;
mod forecast;
mod order;
mod replication;
mod together;
mod window;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::acknowledged::{Acknowledged, may_acknowledge, unsaid};
pub use self::approval::{Approvers, Vote, agrees_in_time, is_let_in_at_expiry, person_of};
use self::approval::{agreed, expiry, lets_in};
pub use self::forecast::{Forecast, Standing, forecast};
pub use self::order::{Lifted, Order, Pin, Stop};
pub use self::replication::Copy;
pub use self::together::{Companion, Stands, TOGETHER, are_ready};
pub use self::window::{OpenTimes, Opening, WindowError, WindowPlace, check_windows};
use crate::pipeline::{Acknowledgement, Approval, Name, People, Windows};
use crate::quarantine::{Cause, Quarantine};
use crate::verification::Revoked;
use crate::wave::WaveFailed;

/// The longest time between two looks at a gate that nothing opens.
const PAUSE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// The shortest.
const PAUSE_MIN: SignedDuration = SignedDuration::from_secs(30);

/// How long a release is kept that was found not to work elsewhere.
pub const MENDED_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// The gate of what was found where a release came through.
const UPSTREAM: &str = "upstream";

/// For how long what was seen of a release where it came through is good enough for the next environment, and how often
/// it is looked at while it does not work there.
const SEEN_LATELY: SignedDuration = SignedDuration::from_mins(5);

/// What the pipeline says about the gates of an environment.
#[derive(Debug, Clone, Copy)]
pub struct GatePolicy<'a> {
    /// When releases may come.
    pub windows: Option<&'a Windows>,
    /// Who must agree.
    pub approval: Option<&'a Approval>,
    /// What must have been seen to.
    pub acknowledgements: &'a IndexMap<Name, Acknowledgement>,
    /// The people of the pipeline.
    pub people: &'a People,
    /// Who may agree as the newest version of the pipeline says, where it is another one.
    pub now: Option<Approvers<'a>>,
}

/// What is known when a gate is asked.
#[derive(Debug, Clone, Copy)]
pub struct GateFacts<'a> {
    /// Since when the release stands at the gate.
    pub since: Timestamp,
    /// The hash of its plan.
    pub plan_hash: &'a str,
    /// The ARN of the person who asked for it; none for a push, which does not say who.
    pub requested_by: Option<&'a str>,
    /// The person who pushed the image, as far as it says so.
    pub pushed_by: Option<&'a Name>,
    /// Whether it goes back to an earlier release.
    pub is_rollback: bool,
    /// Whether it is a hotfix.
    pub is_hotfix: bool,
    /// Since when the pipeline lets it in, because nobody said no in time ([`is_let_in_at_expiry`]).
    pub let_in_at: Option<Timestamp>,
    /// What was said about it.
    pub votes: &'a [Vote],
    /// What was seen to, by name.
    pub acknowledged: &'a BTreeMap<String, Acknowledged>,
    /// The key of the image that comes.
    pub image: &'a str,
    /// Its digest.
    pub digest: &'a str,
    /// The freezes over the environment, those that are over as well.
    pub freezes: &'a [Order],
    /// The hold of the release, one that is over as well.
    pub hold: Option<&'a Order>,
    /// The pin of the environment, one that is over as well.
    pub pin: Option<&'a Pin>,
    /// That the release stops.
    pub stop: Option<&'a Stop>,
    /// The newer release that takes its place.
    pub newer: Option<&'a str>,
    /// The images of it that are replicated to the environment.
    pub copies: &'a [Copy],
    /// The environment of the same wave in which the release did not come into force.
    pub wave_failed: Option<&'a WaveFailed>,
    /// The other images that come together with this one.
    pub companions: &'a [Companion],
    /// An environment that it came through, in which it was found not to work since.
    pub failed_upstream: Option<&'a FailedUpstream>,
    /// The quarantine of its image, one that was released as well.
    pub quarantine: Option<&'a Quarantine>,
}

/// That a release was verified in an environment before this one, and was found not to work there since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedUpstream {
    /// The environment.
    pub environment: String,
    /// Since when, and what was found.
    pub revoked: Revoked,
}

impl FailedUpstream {
    /// Says of a version that it does not work there.
    #[must_use]
    pub fn sentence(&self, version: &str) -> String {
        let Self {
            environment,
            revoked: Revoked { at, why },
        } = self;
        format!("{version} has failed verification in `{environment}` since {at}: {why}")
    }
}

/// Where one gate stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateReport {
    /// Which, such as `window`.
    pub gate: String,
    /// Whether it is open.
    pub is_open: bool,
    /// Why, for people.
    pub sentence: String,
    /// When it opens by itself, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// That a release does not come into the environment any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "closed", rename_all = "snake_case")]
pub enum Closed {
    /// Somebody said no.
    Rejected {
        /// Who, and why where that was said.
        by: String,
    },
    /// Nobody agreed, or saw to what is asked for, in time.
    Expired,
    /// Its image did not arrive in time where the environment pulls it from.
    NotReplicated {
        /// The key of the image.
        image: String,
        /// The repository with its registry.
        repository: String,
    },
    /// A newer release takes its place.
    Superseded {
        /// That release.
        by: String,
    },
    /// In another environment of its wave it did not come into force.
    WaveFailed(WaveFailed),
    /// Somebody stopped it.
    Stopped {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
}

/// What asking comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passage {
    /// It may come.
    Open,
    /// Not yet: ask again after this time, or when something has changed.
    Wait {
        /// How long nothing changes by itself.
        pause: SignedDuration,
    },
    /// Not any more.
    Over(Closed),
}

/// Asks all gates of an environment. Windows that are none keep everything out: they were checked when the pipeline was
/// applied.
#[must_use]
pub fn pass(policy: &GatePolicy<'_>, facts: &GateFacts<'_>, now: Timestamp) -> (Passage, Vec<GateReport>) {
    if let Some(Stop { by, reason, .. }) = facts.stop {
        let (by, why) = (by.clone(), reason.clone());
        return (Passage::Over(Closed::Stopped { by, why }), Vec::new());
    }
    if facts.is_rollback {
        return (Passage::Open, Vec::new());
    }
    if let Some(newer) = facts.newer {
        let by = newer.to_owned();
        return (Passage::Over(Closed::Superseded { by }), Vec::new());
    }
    if let Some(failed) = facts.wave_failed {
        return (Passage::Over(Closed::WaveFailed(failed.clone())), Vec::new());
    }
    let times = policy.windows.map(OpenTimes::new);
    let times = match times.transpose() {
        Ok(times) => times,
        Err(error) => {
            let report = waits("window", error.to_string(), None);
            return (Passage::Wait { pause: PAUSE_MAX }, vec![report]);
        }
    };
    let mut reports = Vec::new();
    reports.extend(frozen(facts.freezes, now));
    reports.extend(pinned(facts.pin, Some((facts.image, facts.digest)), now));
    reports.extend(facts.failed_upstream.map(|failed| failed_upstream(failed, now)));
    reports.extend(facts.quarantine.and_then(|quarantine| quarantined(quarantine, now)));
    reports.extend(held(facts, now));
    reports.extend(times.as_ref().map(|times| windowed(times, now)));
    let acknowledged = acknowledged::acknowledged(policy.acknowledgements, policy.people, facts.acknowledged);
    let is_unseen = acknowledged.as_ref().is_some_and(|report| !report.is_open);
    reports.extend(acknowledged);
    reports.extend(facts.copies.iter().map(|copy| copy.report(facts.since)));
    reports.extend(together::together(facts.companions));
    let mut over = facts.copies.iter().find_map(|copy| copy.over(facts.since, now));
    let mut expires = None;
    if let Some(approval) = policy.approval {
        let agreed = agreed(approval, policy, facts, times.as_ref());
        let silence = lets_in(approval, policy, facts);
        let hours = silence.or(approval.expires_open_hours);
        let hours = hours.filter(|_| agreed.is_missing || is_unseen);
        expires = hours.and_then(|hours| expiry(hours, times.as_ref(), facts.since, now));
        over = agreed.rejected.map(|by| Closed::Rejected { by }).or(over);
        // Where silence lets in, the end of the time is no end: at most a hold or a freeze is over before it does. It
        // acknowledges nothing, though.
        if over.is_none() && (silence.is_none() || is_unseen) && expires.is_some_and(|at| at <= now) {
            over = Some(Closed::Expired);
        }
        reports.push(agreed.report);
    }
    if let Some(over) = over {
        return (Passage::Over(over), reports);
    }
    if reports.iter().all(|report| report.is_open) {
        return (Passage::Open, reports);
    }
    let opens = reports
        .iter()
        .filter(|report| !report.is_open)
        .filter_map(|report| report.until);
    let next = opens.chain(expires).filter(|at| *at > now).min();
    let pause = next.map_or(PAUSE_MAX, |next| next.duration_since(now));
    let copied = facts.copies.iter().filter(|copy| !copy.is_there);
    let pause = copied
        .map(|copy| copy.pause(facts.since, now))
        .chain(is_closed_upstream(&reports).then_some(SEEN_LATELY))
        .fold(pause, SignedDuration::min);
    let pause = pause.clamp(PAUSE_MIN, PAUSE_MAX);
    (Passage::Wait { pause }, reports)
}

fn open(gate: &str, sentence: String) -> GateReport {
    GateReport {
        gate: gate.to_owned(),
        is_open: true,
        sentence,
        until: None,
    }
}

fn waits(gate: &str, sentence: String, until: Option<Timestamp>) -> GateReport {
    GateReport {
        gate: gate.to_owned(),
        is_open: false,
        sentence,
        until,
    }
}

/// The freeze that holds longest, where any does.
#[must_use]
pub fn frozen(freezes: &[Order], now: Timestamp) -> Option<GateReport> {
    let holding = freezes.iter().filter(|freeze| freeze.holds(now));
    let longest = holding.max_by_key(|freeze| freeze.until.unwrap_or(Timestamp::MAX))?;
    let sentence = format!("frozen by `{}`: {}", longest.by, longest.reason);
    Some(waits("freeze", sentence, longest.until))
}

/// The pin of an environment, unless it is to the version that comes: an image by its key, and its digest.
#[must_use]
pub fn pinned(pin: Option<&Pin>, comes: Option<(&str, &str)>, now: Timestamp) -> Option<GateReport> {
    let Pin { order, digests, tag } = pin.filter(|pin| pin.order.holds(now))?;
    if comes.is_some_and(|(image, digest)| digests.get(image).is_some_and(|pinned| pinned == digest)) {
        return Some(open("pin", format!("it is pinned to this version, `{tag}`")));
    }
    let sentence = format!("pinned to `{tag}` by `{}`: {}", order.by, order.reason);
    Some(waits("pin", sentence, order.until))
}

/// A release that failed elsewhere is kept while somebody may mend that; after it, it goes on to where it is refused.
fn kept(gate: &str, since: Timestamp, failed: &str, mend: &str, now: Timestamp) -> GateReport {
    let until = since.saturating_add(MENDED_WITHIN).unwrap_or(Timestamp::MAX);
    if now < until {
        return waits(gate, format!("{failed}; it waits until {mend}"), Some(until));
    }
    open(gate, format!("{failed}; it is refused unless {mend}"))
}

/// Whether it counts now how a release does where it came through: it is about to come in, or waits for that.
#[must_use]
pub fn depends_on_upstream(passage: &Passage, reports: &[GateReport]) -> bool {
    match passage {
        Passage::Open => true,
        Passage::Wait { .. } => is_closed_upstream(reports),
        Passage::Over(_) => false,
    }
}

/// Whether a release that has waited and depends on it is looked at once more where it came through: that it worked there
/// counts for as long as somebody has seen it lately.
#[must_use]
pub fn looks_again(looked_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(looked_at) >= SEEN_LATELY
}

fn is_closed_upstream(reports: &[GateReport]) -> bool {
    reports.iter().any(|report| report.gate == UPSTREAM && !report.is_open)
}

fn failed_upstream(failed: &FailedUpstream, now: Timestamp) -> GateReport {
    let sentence = failed.sentence("this version");
    let mend = "it is seen to work there again";
    kept(UPSTREAM, failed.revoked.at, &sentence, mend, now)
}

fn quarantined(quarantine: &Quarantine, now: Timestamp) -> Option<GateReport> {
    let Quarantine { cause, since, why, .. } = quarantine;
    let how = match cause {
        Cause::Failed { environment, .. } => format!("it failed in `{environment}`"),
        Cause::Ordered { by } => format!("`{by}` put it there"),
    };
    let sentence = format!("its image has been in quarantine since {since}: {how}: {why}");
    let mend = "`esclusa quarantine release` lets it out";
    quarantine
        .is_in_force()
        .then(|| kept("quarantine", *since, &sentence, mend, now))
}

fn held(facts: &GateFacts<'_>, now: Timestamp) -> Option<GateReport> {
    let hold = facts.hold.filter(|hold| hold.holds(now))?;
    let sentence = format!("held by `{}`: {}", hold.by, hold.reason);
    Some(waits("hold", sentence, hold.until))
}

fn windowed(times: &OpenTimes, now: Timestamp) -> GateReport {
    match times.at(now) {
        Opening::Open { once, .. } => {
            let why = once.map(|why| format!(": {why}")).unwrap_or_default();
            open("window", format!("the window is open{why}"))
        }
        Opening::Closed { until, why } => waits("window", why, until),
    }
}

#[cfg(test)]
mod tests;
