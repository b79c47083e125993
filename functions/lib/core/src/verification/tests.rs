//! Looks become a decision.

mod consumers;
mod measures;
mod metrics;
mod questions;

use proptest::prelude::*;

use std::collections::BTreeSet;

use super::*;
use crate::pipeline::{Check, Measure};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_793_620_800 + seconds).unwrap()
}

fn measurement(second: i64, outcome: Outcome, sentence: &str) -> Measurement {
    Measurement {
        at: at(second),
        outcome,
        sentence: sentence.to_owned(),
        counted: BTreeSet::new(),
        lines: None,
        moments: Vec::new(),
        judged: None,
        baseline: None,
    }
}

/// A verification of so many seconds with one check of alarms, besides the look at the services, both every 30 seconds.
fn policy(soak_seconds: u32, pace: Pace, reaction: Reaction) -> Verification {
    let check = Check {
        measure: Measure::Alarms(vec!["errors".to_owned()]),
        pace,
        reaction,
        ask: None,
    };
    Verification {
        soak_seconds,
        timeout_seconds: None,
        services: Pace::default(),
        checks: [("errors".parse().unwrap(), check)].into_iter().collect(),
    }
}

fn measures(measured: BTreeMap<String, Measurement>) -> Sight {
    Sight {
        measured,
        ..Sight::default()
    }
}

/// Looks whenever the decision says so; `shows` is what the check `errors` shows at a second, the services are always
/// well. The end, and its second.
fn run(policy: &Verification, shows: impl Fn(i64) -> Outcome) -> (VerificationEnd, i64) {
    let mut state = State::begun(at(0));
    let mut second = 0;
    loop {
        let now = at(second);
        let measured = due(policy, &state, 0, now).into_iter().map(|name| {
            let outcome = if name == SERVICES { Outcome::Pass } else { shows(second) };
            let sentence = format!("{name} at {second}");
            (name.to_owned(), measurement(second, outcome, &sentence))
        });
        let (next, decision) = judge(policy, &state, measures(measured.collect()), now);
        state = next;
        match decision {
            Decision::Over(end) => return (end, second),
            Decision::Continue { pause } => second += pause.as_secs(),
        }
    }
}

fn passes(policy: &Verification, shows: impl Fn(i64) -> Outcome) -> Option<i64> {
    let (end, second) = run(policy, shows);
    matches!(end, VerificationEnd::Passed { .. }).then_some(second)
}

fn fails(policy: &Verification, shows: impl Fn(i64) -> Outcome) -> Option<(i64, String)> {
    match run(policy, shows) {
        (VerificationEnd::Failed { why, .. }, second) => Some((second, why)),
        (VerificationEnd::Passed { .. } | VerificationEnd::GaveWay { .. } | VerificationEnd::Stopped { .. }, _) => None,
    }
}

fn tolerant() -> Pace {
    Pace {
        failing_seconds: Some(120),
        ..Pace::default()
    }
}

#[test]
fn five_healthy_minutes_with_one_bad_look_in_the_middle_begin_again() {
    let policy = policy(300, tolerant(), Reaction::Rollback);
    assert_eq!(passes(&policy, |_| Outcome::Pass), Some(300));
    let bad = |wanted: i64| move |second: i64| if second == wanted { Outcome::Fail } else { Outcome::Pass };
    assert_eq!(passes(&policy, bad(150)), Some(180 + 300));
    for unclear in [Outcome::Inconclusive, Outcome::Error] {
        let shows = |second: i64| if second == 150 { unclear } else { Outcome::Pass };
        assert_eq!(passes(&policy, shows), Some(180 + 300), "{unclear:?}");
    }
}

#[test]
fn a_release_that_flaps_never_passes_and_fails_when_its_time_is_over() {
    let policy = policy(300, tolerant(), Reaction::Rollback);
    let flaps = |second: i64| if second % 60 == 0 { Outcome::Pass } else { Outcome::Fail };
    let (second, why) = fails(&policy, flaps).unwrap();
    assert_eq!(second, 1_200);
    assert!(
        why.contains("not healthy for 300 seconds without interruption within 1200 seconds"),
        "{why}"
    );
}

#[test]
fn what_fails_for_longer_than_it_may_has_failed_and_what_recovers_before_has_not() {
    let policy = policy(300, tolerant(), Reaction::Rollback);
    let failing = |from: i64, to: i64| {
        move |second: i64| {
            if (from..to).contains(&second) {
                Outcome::Fail
            } else {
                Outcome::Pass
            }
        }
    };
    let (second, why) = fails(&policy, failing(60, 10_000)).unwrap();
    assert_eq!(second, 180);
    assert!(
        why.contains("`errors`: it failed for 120 seconds: errors at 180"),
        "{why}"
    );
    assert_eq!(passes(&policy, failing(60, 180)), Some(480));
}

#[test]
fn a_limit_of_failures_counts_them_all() {
    let pace = Pace {
        failure_limit: 1,
        ..Pace::default()
    };
    let policy = policy(300, pace, Reaction::Rollback);
    let failing = |seconds: &'static [i64]| {
        move |second: i64| {
            if seconds.contains(&second) {
                Outcome::Fail
            } else {
                Outcome::Pass
            }
        }
    };
    assert_eq!(passes(&policy, failing(&[60])), Some(390));
    let (second, why) = fails(&policy, failing(&[60, 240])).unwrap();
    assert_eq!(second, 240);
    assert!(why.contains("it failed 2 times"), "{why}");
}

#[test]
fn nothing_clear_is_no_failure_and_no_success() {
    for outcome in [Outcome::Inconclusive, Outcome::Error] {
        let policy = policy(0, Pace::default(), Reaction::Rollback);
        let (second, why) = fails(&policy, |_| outcome).unwrap();
        assert_eq!(second, 900, "{outcome:?}");
        assert!(why.contains("errors at"), "{why}");
    }
    let limited = Pace {
        inconclusive_limit: Some(2),
        error_limit: Some(4),
        ..Pace::default()
    };
    let policy = policy(0, limited, Reaction::Rollback);
    assert_eq!(fails(&policy, |_| Outcome::Inconclusive).unwrap().0, 60);
    let (second, why) = fails(&policy, |_| Outcome::Error).unwrap();
    assert_eq!(second, 120);
    assert!(why.contains("could not be measured 5 times in a row"), "{why}");
}

#[test]
fn a_check_that_only_reports_decides_nothing() {
    let policy = policy(60, Pace::default(), Reaction::Report);
    assert_eq!(passes(&policy, |_| Outcome::Fail), Some(60));
}

#[test]
fn a_check_for_the_first_minutes_is_watched_for_as_long_and_not_after_them() {
    let pace = Pace {
        until_seconds: Some(300),
        ..Pace::default()
    };
    let policy = policy(60, pace.clone(), Reaction::Rollback);
    assert_eq!(passes(&policy, |_| Outcome::Pass), Some(300));
    let failing = |from: i64| move |second: i64| if second >= from { Outcome::Fail } else { Outcome::Pass };
    assert_eq!(fails(&policy, failing(270)).unwrap().0, 270);
    // Looks that do not meet the end of the window are followed by one that does.
    let seldom = Pace {
        interval_seconds: 70,
        ..pace
    };
    assert_eq!(
        fails(&self::policy(60, seldom, Reaction::Rollback), failing(281))
            .unwrap()
            .0,
        300
    );
    let longer = Verification {
        soak_seconds: 600,
        ..policy
    };
    assert_eq!(passes(&longer, failing(301)), Some(600));
    // What is not clear at the end of the window is looked at until it is.
    let unclear = |second: i64| {
        if (270..400).contains(&second) {
            Outcome::Error
        } else {
            Outcome::Pass
        }
    };
    assert_eq!(passes(&longer, unclear), Some(420 + 600));
}

#[test]
fn a_window_that_nobody_looked_into_is_made_up_for() {
    let pace = Pace {
        until_seconds: Some(10),
        ..Pace::default()
    };
    let policy = policy(0, pace, Reaction::Rollback);
    let late = due(&policy, &State::begun(at(0)), 0, at(240));
    assert_eq!(late, [SERVICES, "errors"]);
}

#[test]
fn what_is_measured_seldom_has_not_failed_for_longer_than_was_seen() {
    let pace = Pace {
        interval_seconds: 600,
        failing_seconds: Some(120),
        ..Pace::default()
    };
    let once = |second: i64| if second == 0 { Outcome::Fail } else { Outcome::Pass };
    assert_eq!(passes(&policy(300, pace, Reaction::Rollback), once), Some(600 + 300));
}

#[test]
fn a_verification_that_is_looked_at_too_often_fails_without_blaming_the_release() {
    let mut state = State::begun(at(0));
    state.looks = LOOKS_MAX - 1;
    let measured = BTreeMap::from([(SERVICES.to_owned(), measurement(0, Outcome::Pass, ""))]);
    let (_, decision) = judge(
        &policy(300, Pace::default(), Reaction::Rollback),
        &state,
        measures(measured),
        at(0),
    );
    let Decision::Over(VerificationEnd::Failed { outcome, .. }) = decision else {
        panic!("{decision:?}");
    };
    assert_ne!(outcome, Outcome::Fail);
}

#[test]
fn what_was_not_measured_yet_keeps_the_soak_from_beginning() {
    let pace = Pace {
        initial_delay_seconds: 100,
        ..Pace::default()
    };
    assert_eq!(
        passes(&policy(60, pace, Reaction::Rollback), |_| Outcome::Pass),
        Some(160)
    );
}

#[test]
fn a_look_that_is_taken_twice_measures_once_and_changes_nothing() {
    let policy = policy(300, Pace::default(), Reaction::Rollback);
    let now = at(0);
    let measured: BTreeMap<String, Measurement> = due(&policy, &State::begun(now), 0, now)
        .into_iter()
        .map(|name| (name.to_owned(), measurement(0, Outcome::Pass, "")))
        .collect();
    assert_eq!(measured.len(), 2);
    let (state, first) = judge(&policy, &State::begun(now), measures(measured), now);
    assert_eq!(due(&policy, &state, 0, now), Vec::<&str>::new());
    let (again, second) = judge(&policy, &state, Sight::default(), now);
    assert_eq!((again, second), (state, first));
}

proptest! {
    /// Whatever is seen, nothing passes whose last `soak_seconds` were not healthy throughout, and everything is over in time.
    #[test]
    fn a_pass_is_a_soak_without_a_break(soak in 0_u32..900, seed in proptest::collection::vec(0_u8..8, 64)) {
        let shows = |second: i64| match seed[usize::try_from(second / 30).unwrap() % seed.len()] {
            0 => Outcome::Fail,
            1 => Outcome::Inconclusive,
            2 => Outcome::Error,
            _ => Outcome::Pass,
        };
        let pace = Pace { failure_limit: 1_000, ..Pace::default() };
        let policy = policy(soak, pace, Reaction::Rollback);
        let (end, second) = run(&policy, shows);
        prop_assert!(second <= policy.timeout().as_secs() + 30);
        if let VerificationEnd::Passed { healthy_since } = end {
            let from = healthy_since.as_second() - at(0).as_second();
            prop_assert!(second - from >= i64::from(soak));
            prop_assert!((from..=second).filter(|second| second % 30 == 0).all(|second| shows(second) == Outcome::Pass));
        }
    }
}

#[test]
fn what_was_good_often_enough_is_not_measured_again() {
    let pace = Pace {
        count: Some(1),
        ..Pace::default()
    };
    // It would fail later, and is not asked: a smoke test is passed once.
    let fails_later = |second: i64| if second < 30 { Outcome::Pass } else { Outcome::Fail };
    assert_eq!(
        passes(&policy(300, pace.clone(), Reaction::Rollback), fails_later),
        Some(300)
    );
    let unclear_first = |second: i64| {
        if second < 60 {
            Outcome::Inconclusive
        } else {
            Outcome::Pass
        }
    };
    assert_eq!(passes(&policy(300, pace, Reaction::Rollback), unclear_first), Some(360));
}

#[test]
fn a_soak_gives_way_and_is_stopped_only_while_nothing_is_decided() {
    let policy = policy(300, Pace::default(), Reaction::Rollback);
    let stop = Stop {
        by: "ana".to_owned(),
        reason: "the wrong version".to_owned(),
        at: at(20),
    };
    let look = |stop: Option<&Stop>, second: i64, outcome| {
        let state = State {
            healthy_since: Some(at(0)),
            looked_at: Some(at(0)),
            ..State::begun(at(0))
        };
        let measured = [SERVICES, "errors"].map(|name| (name.to_owned(), measurement(second, outcome, name)));
        let sight = Sight {
            measured: measured.into(),
            gives_way_to: Some("newer".to_owned()),
            stop: stop.cloned(),
            ..Sight::default()
        };
        match judge(&policy, &state, sight, at(second)).1 {
            Decision::Over(end) => end,
            Decision::Continue { .. } => panic!("it is over either way"),
        }
    };
    assert_eq!(
        look(None, 30, Outcome::Pass),
        VerificationEnd::GaveWay { to: "newer".to_owned() }
    );
    let (by, why) = ("ana".to_owned(), "the wrong version".to_owned());
    assert_eq!(
        look(Some(&stop), 30, Outcome::Pass),
        VerificationEnd::Stopped { by, why },
        "a person comes first"
    );
    for stop in [None, Some(&stop)] {
        assert!(matches!(look(stop, 300, Outcome::Pass), VerificationEnd::Passed { .. }));
        assert!(matches!(look(stop, 30, Outcome::Fail), VerificationEnd::Failed { .. }));
    }
}

#[test]
fn the_event_of_an_alarm_makes_the_alarms_due_once() {
    let policy = policy(300, Pace::default(), Reaction::Rollback);
    let look = |state: &State, told: usize, second: i64| {
        let due = due(&policy, state, told, at(second));
        let measured = due
            .iter()
            .map(|name| ((*name).to_owned(), measurement(second, Outcome::Pass, name)));
        let sight = Sight {
            measured: measured.collect(),
            told,
            ..Sight::default()
        };
        let names: Vec<String> = due.into_iter().map(str::to_owned).collect();
        (names, judge(&policy, state, sight, at(second)).0)
    };
    let (all, state) = look(&State::begun(at(0)), 0, 0);
    assert_eq!(all, [SERVICES, "errors"]);
    assert!(look(&state, 0, 10).0.is_empty());
    let (told, state) = look(&state, 1, 10);
    assert_eq!(told, ["errors"]);
    assert!(look(&state, 1, 11).0.is_empty(), "it is taken into account");
}

#[test]
fn a_recheck_fails_by_what_fails_and_holds_only_where_all_is_seen_well() {
    let shown = |outcomes: &[Outcome]| {
        let measured = outcomes.iter().enumerate();
        let measured = measured.map(|(index, outcome)| (format!("check {index}"), measurement(0, *outcome, "seen")));
        rejudge(&measured.collect(), at(0))
    };
    use Outcome::{Error, Fail, Inconclusive, Pass};
    assert_eq!(shown(&[Pass, Pass]), Some(Ok(())));
    let why = "check `check 1`: seen".to_owned();
    assert_eq!(shown(&[Error, Fail]), Some(Err(Revoked { at: at(0), why })));
    assert_eq!(
        [shown(&[Pass, Inconclusive]), shown(&[Pass, Error]), shown(&[])],
        [None, None, None]
    );
}

#[test]
fn a_recheck_looks_at_what_is_recent_and_at_nothing_of_another_deployment() {
    let mut policy = policy(300, Pace::default(), Reaction::Rollback);
    let shown = |policy: &Verification, free_since: Option<i64>, now: i64| {
        let Stretch { begun_at, since } = stretch(policy, (at(0), Some(at(600))), free_since.map(at), at(now));
        (
            begun_at.duration_since(at(0)).as_secs(),
            since.duration_since(at(0)).as_secs(),
        )
    };
    assert_eq!(shown(&policy, None, 200), (0, 0), "not at what was before it");
    assert_eq!(
        shown(&policy, Some(600), 7_200),
        (0, 6_900),
        "its own end frees the lock"
    );
    assert_eq!(
        shown(&policy, Some(7_000), 7_200),
        (7_000, 7_000),
        "another one was there until then"
    );
    assert_eq!(shown(&policy, Some(6_000), 7_200), (6_000, 6_900));
    let measure = serde_json::json!({
        "metrics": {"errors": {"namespace": "Shop", "name": "Errors", "statistic": "Sum"}},
        "period_seconds": 900, "baseline_seconds": 900, "limit": {"at_most": 1},
    });
    let metric = Check {
        measure: Measure::Metric(serde_json::from_value(measure).unwrap()),
        ..policy.checks.values().next().unwrap().clone()
    };
    policy.checks.insert("rate".parse().unwrap(), metric);
    assert_eq!(
        shown(&policy, None, 7_200),
        (0, 5_100),
        "two whole periods can be judged"
    );
}

#[test]
fn what_was_only_watched_for_a_while_is_not_checked_again() {
    let pace = Pace {
        until_seconds: Some(300),
        ..Pace::default()
    };
    let state = State::begun(at(0));
    assert_eq!(
        still_watched(&policy(300, pace, Reaction::Rollback), &state),
        [SERVICES]
    );
    assert_eq!(
        still_watched(&policy(300, Pace::default(), Reaction::Report), &state),
        [SERVICES]
    );
    let asking = policy(300, Pace::default(), Reaction::Ask);
    assert_eq!(still_watched(&asking, &state), [SERVICES, "errors"]);
}

/// The deployer is away for an hour in the middle of the soak: nobody has seen that hour, and it is not held against
/// the release either.
#[test]
fn a_time_in_which_nobody_looked_is_neither_healthy_nor_lost() {
    let policy = policy(300, tolerant(), Reaction::Rollback);
    let mut state = State::begun(at(0));
    let (mut second, mut away) = (0, 3_600);
    let end = loop {
        let measured = due(&policy, &state, 0, at(second)).into_iter();
        let measured = measured.map(|name| (name.to_owned(), measurement(second, Outcome::Pass, name)));
        let (next, decision) = judge(&policy, &state, measures(measured.collect()), at(second));
        state = next;
        match decision {
            Decision::Over(end) => break end,
            Decision::Continue { pause } => second += pause.as_secs(),
        }
        if second == 150 {
            second += std::mem::take(&mut away);
        }
    };
    assert_eq!(
        end,
        VerificationEnd::Passed {
            healthy_since: at(3_750)
        }
    );
    assert_eq!((second, state.unseen_seconds), (3_750 + 300, 3_600));
    let mut few_seconds_late = State::begun(at(0));
    few_seconds_late.looked_at = Some(at(0));
    few_seconds_late.healthy_since = Some(at(0));
    let sight = measures([(SERVICES.to_owned(), measurement(60, Outcome::Pass, "well"))].into());
    assert_eq!(judge(&policy, &few_seconds_late, sight, at(60)).0.unseen_seconds, 0);
}
