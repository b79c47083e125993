//! Verification: whether a release that is in force works, and has worked for long enough. Measurements come in, a
//! decision goes out.
//!
//! The shape follows the analyses of Argo Rollouts (<https://argo-rollouts.readthedocs.io/en/stable/features/analysis/>): four outcomes of a measurement that
//! are never mixed, limits for each, and checks that only report. The soak is computed, not waited for: it is the time
//! for which every look saw everything healthy.

mod address;
mod consumers;
mod measure;
mod metric;
mod question;
mod recheck;
mod smoke;
mod state;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

pub use self::address::{is_forbidden, is_forbidden_host};
pub use self::consumers::{QueueMinute, QueueSight, consumers, queue_window};
pub use self::measure::{
    CountedLines, HttpSight, LogSight, ServiceSight, TargetFacts, TargetGroupSight, TargetsSight, alarms, http, log,
    services, targets,
};
use self::metric::{DATAPOINTS_LATE, is_judged_until};
pub use self::metric::{JudgedPeriods, MetricPeriod, MetricShown, MetricSight, MetricWindow, baseline, metric};
pub use self::question::{Answer, Question};
pub use self::recheck::{Stretch, rejudge, still_watched, stretch};
pub use self::smoke::{FunctionSight, function, smoke, task};
pub use self::state::{CheckState, Measurement, Moment, Outcome, Revoked, Soak, State, VerificationEnd};
use crate::gate::Stop;
use crate::pipeline::{Measure, Name, Pace, Reaction, Verification};

/// The name of the look at the services themselves, which is always taken.
pub const SERVICES: &str = "services";

/// How much longer than the soak a verification may take, unless the pipeline says: a quarter of an hour.
const MARGIN: SignedDuration = SignedDuration::from_mins(15);

/// The most looks, whatever the file says: each is a few entries in the history of an execution, which holds 25,000, and
/// the state machine itself ends them a hundred later.
pub const LOOKS_MAX: u32 = 1_100;

/// The shortest pause between two looks: whoever is woken a moment too early must not spin.
const PAUSE_MIN: SignedDuration = SignedDuration::from_secs(5);

/// How much later than it was due a look may come: then nobody has seen enough of the time in between to call it
/// healthy.
const UNSEEN: SignedDuration = SignedDuration::from_secs(60);

/// What a look brings to light.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// What [`due`] asked for, by the names of the checks; a look that measured nothing only tells how long to pause.
    pub measured: BTreeMap<String, Measurement>,
    /// The answers to the open questions, by the names of the checks.
    pub answers: BTreeMap<String, Answer>,
    /// How many events of its alarms there were.
    pub told: usize,
    /// The release that waits for the lock and may have it before the soak is over.
    pub gives_way_to: Option<String>,
    /// That a person stops the release.
    pub stop: Option<Stop>,
}

/// What a look comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes on, and the next look is taken after this pause.
    Continue {
        /// For how long nothing is to be looked at.
        pause: SignedDuration,
    },
    /// It is over.
    Over(VerificationEnd),
}

impl Verification {
    /// What is looked at: the services themselves first, then the checks in the order of the file.
    fn looks(&self) -> impl Iterator<Item = (&str, &Pace, Reaction)> {
        let services = (SERVICES, &self.services, Reaction::Rollback);
        let checks = self.checks.iter();
        std::iter::once(services).chain(checks.map(|(name, check)| (name.as_str(), &check.pace, check.reaction)))
    }

    /// The alarms that its checks look at.
    pub fn alarms(&self) -> impl Iterator<Item = &String> {
        let measures = self.checks.values().map(|check| &check.measure);
        measures.flat_map(|measure| match measure {
            Measure::Alarms(alarms) => alarms.as_slice(),
            Measure::Metric(_)
            | Measure::Http(_)
            | Measure::Smoke(_)
            | Measure::Function(_)
            | Measure::Targets(_)
            | Measure::Log(_)
            | Measure::Consumers(_)
            | Measure::Task(_) => &[],
        })
    }

    /// The end of the time for which a check is watched, where that is limited and the check was well when it was looked
    /// at last: what is after it says nothing. One that was not well is measured until it is.
    #[must_use]
    pub fn watched_until(&self, name: &str, begun_at: Timestamp, check: Option<&CheckState>) -> Option<Timestamp> {
        let last = check.and_then(|check| check.last.as_ref());
        if last.is_none_or(|last| last.outcome != Outcome::Pass) {
            return None;
        }
        let mut looks = self.looks();
        let (_, pace, _) = looks.find(|(look, ..)| *look == name)?;
        pace.until_seconds.map(|seconds| after(begun_at, seconds))
    }

    /// Whether it is for a check to say what the end of this task means.
    #[must_use]
    pub fn judges_task(&self, name: &Name) -> bool {
        let mut measures = self.checks.values().map(|check| &check.measure);
        measures.any(|measure| matches!(measure, Measure::Task(task) if task == name))
    }

    fn soak(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.soak_seconds))
    }

    /// How long it may take to be healthy for long enough.
    #[must_use]
    pub fn timeout(&self) -> SignedDuration {
        match self.timeout_seconds {
            Some(seconds) => SignedDuration::from_secs(i64::from(seconds)),
            None => self.soak().saturating_add(MARGIN),
        }
    }

    /// The most looks that it can take: each check may be measured at moments of its own.
    #[must_use]
    pub fn looks_max(&self) -> i64 {
        let intervals = self.looks().map(|(_, pace, _)| i64::from(pace.interval_seconds.max(1)));
        let looks = intervals.map(|seconds| self.timeout().as_secs().checked_div(seconds).unwrap_or(i64::MAX));
        looks.fold(0, i64::saturating_add)
    }
}

fn after(from: Timestamp, seconds: u32) -> Timestamp {
    let seconds = SignedDuration::from_secs(i64::from(seconds));
    from.saturating_add(seconds).unwrap_or(Timestamp::MAX)
}

/// When it is measured next, if it is: after its window, or as often as is enough, only until it was seen well, so that
/// what was missed or not clear at the end of it does not decide, and until the last minutes of it have their
/// datapoints, which come late.
fn next(policy: &Verification, (name, pace): (&str, &Pace), state: &State) -> Option<Timestamp> {
    let first = after(state.begun_at, pace.initial_delay_seconds);
    let check = state.checks.get(name);
    let last = check.and_then(|check| check.last.as_ref());
    let ends = pace.until_seconds.map(|seconds| after(state.begun_at, seconds));
    let next = last.map_or(first, |last| {
        let next = after(last.at, pace.interval_seconds);
        // However late the looks were: the last one is at the end of the window, and none of its last minutes is left
        // out.
        ends.filter(|ends| last.at < *ends).map_or(next, |ends| next.min(ends))
    });
    let is_wanted = |count| check.map_or(0, |check| check.passes) < count;
    let closes = closes(policy, (name, pace), state);
    let goes_on = closes.is_none_or(|closes| next <= closes) && pace.count.is_none_or(is_wanted);
    (goes_on || !is_healthy(name, state)).then_some(next)
}

/// When the time is over for which a check is watched, where that is limited: its end, or a little later while the last
/// datapoints of a metric may still come.
fn closes(policy: &Verification, (name, pace): (&str, &Pace), state: &State) -> Option<Timestamp> {
    let ends = after(state.begun_at, pace.until_seconds?);
    let mut checks = policy.checks.iter();
    let measure = checks.find_map(|(key, check)| (key.as_str() == name).then_some(&check.measure));
    let seen = state.checks.get(name).and_then(|check| check.seen.as_ref());
    let judged = seen.and_then(|seen| seen.judged.as_ref());
    Some(match measure {
        Some(Measure::Metric(measure)) if !is_judged_until(measure, state.since(), judged, ends) => {
            ends.saturating_add(DATAPOINTS_LATE).unwrap_or(Timestamp::MAX)
        }
        _ => ends,
    })
}

/// The names of what is to be measured now: what its pace says and, where there were `told` events of alarms in all and
/// not all of them are taken into account, the alarms.
#[must_use]
pub fn due<'a>(policy: &'a Verification, state: &State, told: usize, now: Timestamp) -> Vec<&'a str> {
    let of_alarms = |name: &str| {
        let mut checks = policy.checks.iter();
        checks.any(|(key, check)| key.as_str() == name && matches!(check.measure, Measure::Alarms(_)))
    };
    let looks = policy.looks();
    let due = looks.filter(|(name, pace, _)| {
        next(policy, (name, pace), state).is_some_and(|next| next <= now || told > state.told && of_alarms(name))
    });
    due.map(|(name, ..)| name).collect()
}

/// Takes a look into account, and decides.
///
/// Nothing passes that was not seen: a check that has not been measured yet, a measurement that shows nothing clear and
/// one that could not be taken all keep the soak from beginning, and whatever is otherwise than healthy begins it
/// again, as does a time in which nobody looked. A check that is watched for a while only counts afterwards as it was
/// last seen.
#[must_use]
pub fn judge(policy: &Verification, state: &State, sight: Sight, now: Timestamp) -> (State, Decision) {
    if let Some(end) = &state.end {
        return (state.clone(), Decision::Over(end.clone()));
    }
    let mut state = state.clone();
    state.told = sight.told;
    state.soak_seconds = Some(policy.soak_seconds);
    let has_looked = !sight.measured.is_empty();
    let unseen = unseen(policy, &state, now);
    for (name, measurement) in sight.measured {
        let check = state.checks.entry(name).or_default();
        *check = seen(check, measurement);
    }
    let answered = question::ask(policy, &mut state, &sight.answers, now);
    if has_looked {
        if let Some(unseen) = unseen {
            state.healthy_since = None;
            state.unseen_seconds = state.unseen_seconds.saturating_add(unseen.as_secs());
        }
        state.looked_at = Some(now);
        state.looks = state.looks.saturating_add(1);
    }
    if has_looked || answered.is_some() {
        let healthy = deciding(policy, &state).all(|(name, _)| is_healthy(name, &state));
        state.healthy_since = healthy.then(|| state.healthy_since.unwrap_or(now));
    }
    let end = failed(policy, &state)
        .or(answered.flatten())
        .or_else(|| passed(policy, &state, now))
        .or_else(|| {
            let Stop { by, reason, .. } = sight.stop?;
            Some(VerificationEnd::Stopped { by, why: reason })
        })
        .or_else(|| sight.gives_way_to.map(|to| VerificationEnd::GaveWay { to }))
        .or_else(|| late(policy, &state, now));
    if let Some(end) = end {
        state.end = Some(end.clone());
        return (state, Decision::Over(end));
    }
    let pause = pause(policy, &state, now);
    (state, Decision::Continue { pause })
}

/// The checks that decide: all but those that only report, and those in spite of which the release is kept.
fn deciding<'a>(policy: &'a Verification, state: &'a State) -> impl Iterator<Item = (&'a str, &'a Pace)> {
    let looks = policy.looks().filter(|(name, _, reaction)| {
        let is_kept = state.checks.get(*name).is_some_and(|check| check.kept.is_some());
        *reaction != Reaction::Report && !is_kept
    });
    looks.map(|(name, pace, _)| (name, pace))
}

/// The first check over its limit that has the release fail by itself.
fn failed(policy: &Verification, state: &State) -> Option<VerificationEnd> {
    let mut looks = policy
        .looks()
        .filter(|(_, _, reaction)| *reaction == Reaction::Rollback);
    looks.find_map(|(name, pace, _)| Some(against(name, state, &over_its_limit(name, pace, state)?)))
}

/// The end by a check, for what it showed last.
fn against(name: &str, state: &State, how: &str) -> VerificationEnd {
    let last = state.checks.get(name).and_then(|check| check.last.as_ref());
    VerificationEnd::Failed {
        check: name.to_owned(),
        outcome: last.map_or(Outcome::Error, |last| last.outcome),
        why: match last {
            Some(last) => format!("check `{name}`: {how}: {}", last.sentence),
            None => format!("check `{name}`: {how}"),
        },
    }
}

fn seen(check: &CheckState, measurement: Measurement) -> CheckState {
    let failed = measurement.outcome == Outcome::Fail;
    let one_more = |is: bool, count: u32| if is { count.saturating_add(1) } else { 0 };
    let (mut failing_since, mut failed_for_seconds) = (check.failing_since, 0);
    let itself = [Moment {
        at: measurement.at,
        outcome: measurement.outcome,
    }];
    let moments = if measurement.moments.is_empty() {
        &itself[..]
    } else {
        &measurement.moments
    };
    for moment in moments {
        let is_failing = moment.outcome == Outcome::Fail;
        failing_since = is_failing.then(|| failing_since.unwrap_or(moment.at));
        // Up to the moment, not up to now: what was seen once has not failed for any time.
        let failed_for = failing_since.map_or(0, |since| moment.at.duration_since(since).as_secs());
        failed_for_seconds = failed_for_seconds.max(failed_for);
    }
    CheckState {
        passes: check
            .passes
            .saturating_add(u32::from(measurement.outcome == Outcome::Pass)),
        question: check.question,
        kept: check.kept.clone(),
        failures: check.failures.saturating_add(u32::from(failed)),
        failing_since,
        failed_for_seconds,
        inconclusive: one_more(measurement.outcome == Outcome::Inconclusive, check.inconclusive),
        errors: one_more(measurement.outcome == Outcome::Error, check.errors),
        seen: match measurement.outcome {
            Outcome::Error => check.seen.clone(),
            _ => Some(Box::new(measurement.clone())),
        },
        last: Some(measurement),
    }
}

fn is_healthy(name: &str, state: &State) -> bool {
    let last = state.checks.get(name).and_then(|check| check.last.as_ref());
    last.is_some_and(|last| last.outcome == Outcome::Pass)
}

/// How a check is over its limit, if it is.
fn over_its_limit(name: &str, pace: &Pace, state: &State) -> Option<String> {
    let check = state.checks.get(name)?;
    let last = check.last.as_ref()?;
    let is_over = |count: u32, limit: Option<u32>| limit.is_some_and(|limit| count > limit);
    match (last.outcome, pace.failing_seconds) {
        (Outcome::Fail, Some(seconds)) if check.failed_for_seconds >= i64::from(seconds) => {
            Some(format!("it failed for {seconds} seconds"))
        }
        (Outcome::Fail, None) if check.failures > pace.failure_limit => {
            Some(format!("it failed{}", times(check.failures, "")))
        }
        (Outcome::Inconclusive, _) if is_over(check.inconclusive, pace.inconclusive_limit) => Some(format!(
            "it gave no clear result{}",
            times(check.inconclusive, " in a row")
        )),
        (Outcome::Error, _) if is_over(check.errors, pace.error_limit) => {
            Some(format!("it could not be measured{}", times(check.errors, " in a row")))
        }
        _ => None,
    }
}

/// How often, for people; once needs no word.
fn times(count: u32, how: &str) -> String {
    if count == 1 {
        String::new()
    } else {
        format!(" {count} times{how}")
    }
}

fn passed(policy: &Verification, state: &State, now: Timestamp) -> Option<VerificationEnd> {
    let (healthy_since, looked_at) = (state.healthy_since?, state.looked_at?);
    // Up to a look, not up to now: of the time since then nobody has seen anything.
    let is_soaked = looked_at.duration_since(healthy_since) >= policy.soak();
    // What is to be watched for a while has been watched for that long. Datapoints that come late are waited for, and
    // no longer than there is time: that they did not come says nothing against the release.
    let mut windows = deciding(policy, state);
    let is_watched = windows.all(|(name, pace)| {
        let is_over = pace
            .until_seconds
            .is_none_or(|seconds| now >= after(state.begun_at, seconds));
        let is_closed = closes(policy, (name, pace), state).is_none_or(|closes| now >= closes);
        is_over && (is_closed || is_out_of_time(policy, state, now))
    });
    (is_soaked && is_watched).then_some(VerificationEnd::Passed { healthy_since })
}

/// Whether the time is over in which it must have been healthy for long enough.
fn is_out_of_time(policy: &Verification, state: &State, now: Timestamp) -> bool {
    let unseen = SignedDuration::from_secs(state.unseen_seconds);
    now.duration_since(state.begun_at) >= policy.timeout().saturating_add(unseen)
}

fn late(policy: &Verification, state: &State, now: Timestamp) -> Option<VerificationEnd> {
    let limit = policy.timeout();
    let is_over = is_out_of_time(policy, state, now);
    // Whoever is asked has the time that was promised.
    let is_asking = state.checks.values().any(|check| check.question.is_some());
    if !(is_over && !is_asking || state.looks >= LOOKS_MAX) {
        return None;
    }
    let unhealthy = deciding(policy, state).find(|(name, _)| !is_healthy(name, state));
    let (check, outcome, shown) = match unhealthy {
        Some((name, _)) => match state.checks.get(name).and_then(|check| check.last.as_ref()) {
            Some(last) => (name, last.outcome, format!("check `{name}`: {}", last.sentence)),
            None => (name, Outcome::Error, format!("check `{name}` was never measured")),
        },
        None => (SERVICES, Outcome::Inconclusive, "it became healthy too late".to_owned()),
    };
    Some(VerificationEnd::Failed {
        check: check.to_owned(),
        outcome,
        why: format!(
            "it was not healthy for {} seconds without interruption within {} seconds: {shown}",
            policy.soak_seconds,
            limit.as_secs()
        ),
    })
}

/// How late a look is, where it is so late that the soak begins again.
fn unseen(policy: &Verification, state: &State, now: Timestamp) -> Option<SignedDuration> {
    let looked_at = state.looked_at?;
    let due = looked_at.saturating_add(pause(policy, state, looked_at)).ok()?;
    let late = now.duration_since(due);
    (late > UNSEEN).then_some(late)
}

/// Until the next measurement, or the moment at which a window or the time is over.
fn pause(policy: &Verification, state: &State, now: Timestamp) -> SignedDuration {
    let measured = policy
        .looks()
        .filter_map(|(name, pace, _)| next(policy, (name, pace), state));
    let windows = deciding(policy, state).filter_map(|(_, pace)| Some(after(state.begun_at, pace.until_seconds?)));
    let closed = deciding(policy, state).filter_map(|(name, pace)| closes(policy, (name, pace), state));
    let questions = state.checks.values().filter_map(|check| Some(check.question?.until));
    let limit = policy
        .timeout()
        .saturating_add(SignedDuration::from_secs(state.unseen_seconds));
    let late = state.begun_at.saturating_add(limit).unwrap_or(Timestamp::MAX);
    let moments = measured.chain(windows).chain(closed).chain(questions).chain([late]);
    let next = moments.filter(|moment| *moment > now).min();
    next.map_or(PAUSE_MIN, |next| next.duration_since(now)).max(PAUSE_MIN)
}

#[cfg(test)]
mod tests;
