use proptest::prelude::*;

use super::*;
use crate::pipeline::{Check, Measure};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_793_620_800 + seconds).unwrap()
}

/// A verification of so many seconds with one check of alarms, besides the look at the services, both every 30 seconds.
fn policy(soak_seconds: u32, pace: Pace, reaction: Reaction) -> Verification {
    let check = Check {
        measure: Measure::Alarms(vec!["errors".to_owned()]),
        pace,
        reaction,
    };
    Verification {
        soak_seconds,
        timeout_seconds: None,
        services: Pace::default(),
        checks: [("errors".parse().unwrap(), check)].into_iter().collect(),
    }
}

/// Looks whenever the decision says so; `shows` is what the check `errors` shows at a second, the services are always well. The end, and its second.
fn run(policy: &Verification, shows: impl Fn(i64) -> Outcome) -> (VerificationEnd, i64) {
    let mut state = State::begun(at(0));
    let mut second = 0;
    loop {
        let now = at(second);
        let measured = due(policy, &state, now).into_iter().map(|name| {
            let outcome = if name == SERVICES { Outcome::Pass } else { shows(second) };
            let sentence = format!("{name} at {second}");
            (
                name.to_owned(),
                Measurement {
                    at: now,
                    outcome,
                    sentence,
                },
            )
        });
        let (next, decision) = judge(policy, &state, measured.collect(), now);
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
        (VerificationEnd::Passed { .. }, _) => None,
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
        why.contains("not healthy for 300 seconds on end within 1200 seconds"),
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
    let policy = policy(60, pace, Reaction::Rollback);
    assert_eq!(passes(&policy, |_| Outcome::Pass), Some(300));
    assert_eq!(
        fails(&policy, |second| if second >= 270 {
            Outcome::Fail
        } else {
            Outcome::Pass
        })
        .unwrap()
        .0,
        270
    );
    let late = Verification {
        soak_seconds: 600,
        ..policy
    };
    assert_eq!(
        passes(&late, |second| if second > 300 { Outcome::Fail } else { Outcome::Pass }),
        Some(600)
    );
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
    let measured: BTreeMap<String, Measurement> = due(&policy, &State::begun(now), now)
        .into_iter()
        .map(|name| {
            let measurement = Measurement {
                at: now,
                outcome: Outcome::Pass,
                sentence: String::new(),
            };
            (name.to_owned(), measurement)
        })
        .collect();
    assert_eq!(measured.len(), 2);
    let (state, first) = judge(&policy, &State::begun(now), measured, now);
    assert_eq!(due(&policy, &state, now), Vec::<&str>::new());
    let (again, second) = judge(&policy, &state, BTreeMap::new(), now);
    assert_eq!((again, second), (state, first));
}

fn service_sight(desired: u64, tasks: &[serde_json::Value]) -> ServiceSight {
    ServiceSight {
        service: "api".to_owned(),
        desired,
        tasks: tasks
            .iter()
            .map(|task| crate::migration::TaskFacts::from_json(task).unwrap())
            .collect(),
    }
}

#[test]
fn services_are_healthy_when_as_many_tasks_run_as_are_wanted_and_none_stopped_of_itself() {
    use serde_json::json;
    let running = json!({"taskArn": "a", "lastStatus": "RUNNING"});
    let stopped = |code: &str, reason: &str, at: &str| json!({"taskArn": "b", "lastStatus": "STOPPED", "stopCode": code, "stoppedReason": reason, "stoppedAt": at});
    let since = "2026-11-02T10:00:00Z".parse().unwrap();
    let shows = |desired, tasks: &[serde_json::Value]| services(&[service_sight(desired, tasks)], since).0;
    assert_eq!(shows(1, std::slice::from_ref(&running)), Outcome::Pass);
    assert_eq!(
        shows(2, std::slice::from_ref(&running)),
        Outcome::Fail,
        "one is missing"
    );
    assert_eq!(
        shows(0, std::slice::from_ref(&running)),
        Outcome::Inconclusive,
        "nothing is wanted"
    );
    assert_eq!(services(&[], since).0, Outcome::Inconclusive);
    let (now, before) = ("2026-11-02T10:00:30Z", "2026-11-02T09:59:59Z");
    for (task, outcome) in [
        (
            stopped("EssentialContainerExited", "Essential container in task exited", now),
            Outcome::Fail,
        ),
        (
            stopped("EssentialContainerExited", "Essential container in task exited", before),
            Outcome::Pass,
        ),
        (
            stopped("TaskFailedToStart", "CannotPullContainerError", now),
            Outcome::Fail,
        ),
        (
            stopped("ServiceSchedulerInitiated", "Task failed container health checks", now),
            Outcome::Fail,
        ),
        (
            stopped(
                "ServiceSchedulerInitiated",
                "Scaling activity initiated by (deployment ecs-svc/1)",
                now,
            ),
            Outcome::Pass,
        ),
        (
            stopped("SpotInterruption", "Your Spot Task was interrupted.", now),
            Outcome::Pass,
        ),
        (stopped("UserInitiated", "by hand", now), Outcome::Pass),
    ] {
        assert_eq!(shows(1, &[running.clone(), task.clone()]), outcome, "{task}");
    }
}

#[test]
fn alarms_pass_only_when_all_of_them_are_ok() {
    let names = ["a".to_owned(), "b".to_owned()];
    let shows = |states: &[(&str, &str)]| {
        let states = states
            .iter()
            .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
            .collect();
        alarms(&names, &states).0
    };
    assert_eq!(shows(&[("a", "OK"), ("b", "OK")]), Outcome::Pass);
    assert_eq!(shows(&[("a", "OK"), ("b", "ALARM")]), Outcome::Fail);
    assert_eq!(shows(&[("b", "ALARM")]), Outcome::Fail);
    assert_eq!(shows(&[("a", "OK")]), Outcome::Error);
    assert_eq!(shows(&[("a", "OK"), ("b", "INSUFFICIENT_DATA")]), Outcome::Inconclusive);
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
