use proptest::prelude::*;

use super::*;
use crate::pipeline::{Ask, Check, Choice, Measure, Method, SmokeMeasure, SmokeStep};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_793_620_800 + seconds).unwrap()
}

fn measurement(second: i64, outcome: Outcome, sentence: &str) -> Measurement {
    Measurement {
        at: at(second),
        outcome,
        sentence: sentence.to_owned(),
        counted: BTreeSet::new(),
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

/// Looks whenever the decision says so; `shows` is what the check `errors` shows at a second, the services are always well. The end, and its second.
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
        (VerificationEnd::Passed { .. } | VerificationEnd::GaveWay { .. }, _) => None,
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
    let failing = |from: i64| move |second: i64| if second >= from { Outcome::Fail } else { Outcome::Pass };
    assert_eq!(fails(&policy, failing(270)).unwrap().0, 270);
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
    let begun_at = "2026-11-02T10:00:00Z".parse().unwrap();
    let shows = |desired, tasks: &[serde_json::Value]| services(&[service_sight(desired, tasks)], begun_at, None).0;
    assert_eq!(shows(1, std::slice::from_ref(&running)), Outcome::Pass);
    assert_eq!(
        shows(2, std::slice::from_ref(&running)),
        Outcome::Inconclusive,
        "it may be scaling"
    );
    assert_eq!(
        shows(0, std::slice::from_ref(&running)),
        Outcome::Inconclusive,
        "nothing is wanted"
    );
    assert_eq!(services(&[], begun_at, None).0, Outcome::Inconclusive);
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
            stopped("TaskFailedToStart", "Capacity is unavailable at this time.", now),
            Outcome::Pass,
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

/// ECS shows a stopped task late, and by another clock: the same one is seen by several measurements, and counts once.
#[test]
fn a_task_that_stopped_of_itself_counts_once_however_often_it_is_seen() {
    use serde_json::json;
    let tasks = [
        json!({"taskArn": "a", "lastStatus": "RUNNING"}),
        json!({"taskArn": "b", "lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "stoppedAt": at(30).to_string()}),
    ];
    let sights = [service_sight(1, &tasks)];
    let nothing = measurement(60, Outcome::Pass, "");
    let (outcome, _, counted) = services(&sights, at(0), Some(&nothing));
    assert_eq!(
        outcome,
        Outcome::Fail,
        "it is shown after the measurement that should have seen it"
    );
    let saw = Measurement {
        at: at(90),
        counted,
        ..nothing
    };
    assert_eq!(services(&sights, at(0), Some(&saw)).0, Outcome::Pass);
}

fn metric_measure(limit: crate::pipeline::Limit, no_data: crate::pipeline::NoData) -> crate::pipeline::MetricMeasure {
    let yaml = serde_json::json!({
        "metrics": {"letters": {"namespace": "AWS/SQS", "name": "Letters", "statistic": "Maximum"}}, "limit": {"at_most": 1},
    });
    let mut measure: crate::pipeline::MetricMeasure = serde_json::from_value(yaml).unwrap();
    (measure.limit, measure.no_data) = (limit, no_data);
    measure
}

#[test]
fn a_number_is_held_against_its_limit_and_what_is_missing_is_judged_by_the_policy() {
    use crate::pipeline::{Limit, NoData};
    let sight = |value: Option<f64>, baseline: Option<f64>| MetricSight {
        value,
        baseline,
        ..MetricSight::default()
    };
    let shows = |limit, no_data, sight| metric(&metric_measure(limit, no_data), sight).0;
    for (limit, value, baseline, outcome) in [
        (Limit::AtMost(5.0), 5.0, None, Outcome::Pass),
        (Limit::AtMost(5.0), 5.1, None, Outcome::Fail),
        (Limit::AtLeast(1.0), 1.0, None, Outcome::Pass),
        (Limit::AtLeast(1.0), 0.0, None, Outcome::Fail),
        (Limit::AtMostTimesBaseline(3.0), 6.0, Some(2.0), Outcome::Pass),
        (Limit::AtMostTimesBaseline(3.0), 6.1, Some(2.0), Outcome::Fail),
        (Limit::AtMostAboveBaseline(1.0), 4.0, Some(3.0), Outcome::Pass),
        (Limit::AtMostAboveBaseline(1.0), 4.1, Some(3.0), Outcome::Fail),
    ] {
        assert_eq!(
            shows(limit, NoData::Inconclusive, sight(Some(value), baseline)),
            outcome,
            "{limit:?} {value}"
        );
    }
    for (no_data, outcome) in [
        (NoData::Inconclusive, Outcome::Inconclusive),
        (NoData::Pass, Outcome::Pass),
        (NoData::Fail, Outcome::Fail),
    ] {
        assert_eq!(shows(Limit::AtMost(1.0), no_data, sight(None, None)), outcome);
        assert_eq!(
            shows(Limit::AtMostTimesBaseline(3.0), no_data, sight(Some(1.0), None)),
            outcome
        );
        let early = MetricSight {
            is_early: true,
            ..MetricSight::default()
        };
        assert_eq!(shows(Limit::AtMost(1.0), no_data, early), Outcome::Inconclusive);
    }
    // What is only written when something is wrong was nothing before.
    let letters = |no_data| shows(Limit::AtMostAboveBaseline(0.0), no_data, sight(Some(1.0), None));
    assert_eq!(
        (letters(NoData::Pass), letters(NoData::Inconclusive)),
        (Outcome::Fail, Outcome::Inconclusive)
    );
}

#[test]
fn a_number_is_read_from_whole_periods_since_the_verification_began() {
    use crate::pipeline::{Limit, NoData};
    let measure = metric_measure(Limit::AtMostAboveBaseline(0.0), NoData::Inconclusive);
    let begin = at(0).as_second();
    let value = |began: i64, now: i64| {
        let window = MetricWindow::of_value(&measure, at(began), at(now));
        (window.from - begin, window.to - begin)
    };
    assert_eq!(value(10, 70), (60, 60), "no whole period of the release is over");
    assert_eq!(value(10, 130), (60, 120));
    assert_eq!(value(10, 3_601), (3_420, 3_600), "three periods back at most");
    assert!(is_early(&measure, at(10), at(239)) && !is_early(&measure, at(10), at(240)));
    let before = MetricWindow::of_baseline(&measure, at(70)).unwrap();
    assert_eq!((before.from - begin, before.to - begin), (60 - 3_600, 60));
    assert_eq!(
        baseline(&measure, &[3.0, 1.0]),
        Some(3.0),
        "a level is what it was last"
    );
    let times = metric_measure(Limit::AtMostTimesBaseline(3.0), NoData::Inconclusive);
    assert_eq!(
        (baseline(&times, &[3.0, 1.0]), baseline(&times, &[])),
        (Some(2.0), None)
    );
    let fixed = metric_measure(Limit::AtMost(3.0), NoData::Inconclusive);
    assert_eq!(MetricWindow::of_baseline(&fixed, at(70)), None);
}

#[test]
fn what_an_endpoint_says_is_kept_without_its_secrets_and_not_at_any_length() {
    let measure: crate::pipeline::HttpMeasure =
        serde_json::from_value(serde_json::json!({"url": "https://a", "healthy": "Healthy"})).unwrap();
    let body = serde_json::json!({
        "status": "Unhealthy",
        "checks": {"npgsql": {"status": "password=hunter2hunter2 refused"}, "redis": "x".repeat(10_000)},
    });
    let sight = HttpSight::Answer {
        status: 200,
        body: body.to_string(),
    };
    let (outcome, said) = http(&measure, &sight);
    assert_eq!(outcome, Outcome::Fail);
    assert!(said.contains("`npgsql`") && !said.contains("hunter2"), "{said}");
    assert!(said.chars().count() < 400, "{said}");
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

fn target(state: &str, reason: Option<&str>) -> TargetFacts {
    TargetFacts {
        state: state.to_owned(),
        reason: reason.map(str::to_owned),
    }
}

fn targets_sight(service: &str, desired: u64, groups: &[(&str, &[TargetFacts])]) -> TargetsSight {
    let groups = groups.iter().map(|(name, targets)| TargetGroupSight {
        arn: format!("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/{name}/0d0000000000006f"),
        targets: targets.to_vec(),
    });
    TargetsSight {
        service: service.to_owned(),
        desired,
        groups: groups.collect(),
    }
}

#[test]
fn targets_are_healthy_when_as_many_are_as_tasks_are_wanted_and_none_is_unhealthy() {
    let healthy = || target("healthy", None);
    let initial = || target("initial", Some("Elb.InitialHealthChecking"));
    let draining = || target("draining", Some("Target.DeregistrationInProgress"));
    let ill = |reason: &str| target("unhealthy", Some(reason));
    for (desired, shown, outcome, sentence) in [
        (2, vec![healthy(), healthy()], Outcome::Pass, "2 `healthy` of 2"),
        (
            2,
            vec![healthy(), healthy(), draining()],
            Outcome::Pass,
            "2 `healthy` of 2",
        ),
        (
            1,
            vec![healthy(), target("unhealthy.draining", None)],
            Outcome::Pass,
            "1 `healthy` of 1",
        ),
        (1, vec![healthy(), healthy()], Outcome::Pass, "2 `healthy` of 1"),
        (
            2,
            vec![healthy(), initial()],
            Outcome::Inconclusive,
            "1 `healthy` of 2, 1 `initial` (`Elb.InitialHealthChecking`)",
        ),
        (
            1,
            vec![target("unused", Some("Target.NotInUse"))],
            Outcome::Inconclusive,
            "0 `healthy` of 1, 1 `unused` (`Target.NotInUse`)",
        ),
        (2, vec![healthy()], Outcome::Inconclusive, "1 `healthy` of 2"),
        (
            3,
            vec![healthy(), initial()],
            Outcome::Inconclusive,
            "1 `healthy` of 3, 1 `initial`",
        ),
        (1, vec![draining()], Outcome::Inconclusive, "0 `healthy` of 1"),
        (1, Vec::new(), Outcome::Inconclusive, "0 `healthy` of 1"),
        (
            2,
            vec![
                healthy(),
                healthy(),
                ill("Target.Timeout"),
                ill("Target.ResponseCodeMismatch"),
                ill("Target.Timeout"),
            ],
            Outcome::Fail,
            "2 `healthy` of 2, 3 `unhealthy` (`Target.ResponseCodeMismatch`, `Target.Timeout`)",
        ),
    ] {
        let (found, said) = targets(&[targets_sight("api", desired, &[("web", shown.as_slice())])]);
        assert_eq!(found, outcome, "{said}");
        assert!(
            said.starts_with(&format!("targets of `api` in `web`: {sentence}")),
            "{said}"
        );
    }
}

#[test]
fn the_worst_target_group_decides_and_a_service_without_one_shows_nothing() {
    let well = [target("healthy", None)];
    let ill = [target("unhealthy", Some("Target.Timeout"))];
    let new = [target("initial", None)];
    let worker = || targets_sight("worker", 1, &[]);
    let shows = |groups: &[(&str, &[TargetFacts])]| targets(&[worker(), targets_sight("api", 1, groups)]);
    assert_eq!(shows(&[("a", &well)]).0, Outcome::Pass);
    assert_eq!(
        shows(&[("a", &well), ("b", &new)]),
        (
            Outcome::Inconclusive,
            "targets of `api` in `b`: 0 `healthy` of 1, 1 `initial`".to_owned()
        )
    );
    assert_eq!(
        shows(&[("a", &well), ("b", &new), ("c", &ill)]),
        (
            Outcome::Fail,
            "targets of `api` in `c`: 0 `healthy` of 1, 1 `unhealthy` (`Target.Timeout`)".to_owned()
        )
    );
    let (outcome, said) = targets(&[worker()]);
    assert_eq!(outcome, Outcome::Inconclusive);
    assert_eq!(said, "without the target group of a load balancer: `worker`");
    assert_eq!(
        targets(&[targets_sight("api", 0, &[("a", &well)])]).0,
        Outcome::Inconclusive,
        "nothing is wanted"
    );
    assert_eq!(targets(&[]).0, Outcome::Inconclusive);
}

fn log_measure(at_most: u32) -> crate::pipeline::LogMeasure {
    crate::pipeline::LogMeasure {
        group: "/ecs/api".to_owned(),
        pattern: "ERROR".to_owned(),
        at_most,
    }
}

#[test]
fn a_log_fails_with_more_lines_than_may_match_and_passes_only_when_it_was_read_to_its_end() {
    for (at_most, matches, is_whole, outcome) in [
        (0, 0, true, Outcome::Pass),
        (0, 1, true, Outcome::Fail),
        (5, 5, true, Outcome::Pass),
        (5, 6, true, Outcome::Fail),
        (5, 6, false, Outcome::Fail),
        (5, 5, false, Outcome::Inconclusive),
        (0, 0, false, Outcome::Inconclusive),
    ] {
        let sight = LogSight {
            matches,
            last: (matches > 0).then(|| "ERROR: no connection".to_owned()),
            is_whole,
        };
        let (found, said) = log(&log_measure(at_most), &sight);
        assert_eq!(found, outcome, "{said}");
        assert!(
            said.starts_with(&format!("lines that match: {matches}, at most {at_most} allowed")),
            "{said}"
        );
        assert_eq!(
            said.ends_with(", the last one: ERROR: no connection"),
            outcome == Outcome::Fail,
            "{said}"
        );
    }
}

#[test]
fn the_last_line_of_a_log_is_shown_without_its_secrets_and_not_at_its_whole_length() {
    let said = |line: &str| {
        let sight = LogSight {
            matches: 1,
            last: Some(line.to_owned()),
            is_whole: true,
        };
        log(&log_measure(0), &sight).1
    };
    let long = "x".repeat(190);
    for line in [
        "ERROR cannot connect with DB_PASSWORD=hunter2secret".to_owned(),
        "ERROR cannot connect to postgresql://shop:hunter2secret@db/shop".to_owned(),
        r#"{"level":"ERROR","password":"hunter2secret","message":"no"}"#.to_owned(),
        r#"{"level": "ERROR", "context": {"token": "hunter2secret"}, "message": "no"}"#.to_owned(),
        r#"{"level":"ERROR","message":"cannot connect with DB_PASSWORD=hunter2secret"}"#.to_owned(),
        "ERROR refused, sent Authorization: Bearer hunter2secret".to_owned(),
        "ERROR refused, sent authorization: basic hunter2secret".to_owned(),
        format!("{long} DB_PASSWORD=hunter2secret"),
        format!("{long} --token hunter2secret"),
    ] {
        let said = said(&line);
        assert!(!said.contains("hunter2"), "{said}");
        assert!(said.contains("ERROR") || said.contains("xxx"), "{said}");
    }
    let cut = said(&"é\n ".repeat(300));
    assert_eq!(cut.chars().filter(|each| *each == 'é').count(), 100, "{cut}");
    assert!(cut.ends_with('…') && !cut.contains('\n'), "{cut}");
}

/// A check that asks a person, for ten minutes, what becomes of the release once it failed for two.
fn asking(unanswered: Choice) -> Verification {
    let mut policy = policy(300, tolerant(), Reaction::Ask);
    let ask = Ask {
        answer_seconds: 600,
        unanswered,
    };
    policy.checks["errors"].ask = Some(ask);
    policy
}

/// As [`run`], and somebody answers `choice` at the second `answered` if there is a question then. Answers also the state that it ended in.
fn run_asking(
    policy: &Verification,
    shows: impl Fn(i64) -> Outcome,
    answered: Option<(i64, Choice)>,
) -> (VerificationEnd, i64, State) {
    let mut state = State::begun(at(0));
    let mut answers = BTreeMap::new();
    let mut second = 0;
    loop {
        let now = at(second);
        let measured = due(policy, &state, 0, now).into_iter().map(|name| {
            let outcome = if name == SERVICES { Outcome::Pass } else { shows(second) };
            (name.to_owned(), measurement(second, outcome, name))
        });
        if let Some((_, choice)) = answered.filter(|(when, _)| *when <= second)
            && let Some(question) = state.checks.get("errors").and_then(|check| check.question)
        {
            answers.entry("errors".to_owned()).or_insert(Answer {
                asked_at: question.asked_at,
                choice,
                by: "ana".to_owned(),
                reason: "it is the load test".to_owned(),
                at: now,
            });
        }
        let sight = Sight {
            measured: measured.collect(),
            answers: answers.clone(),
            ..Sight::default()
        };
        let (next, decision) = judge(policy, &state, sight, now);
        state = next;
        match decision {
            Decision::Over(end) => return (end, second, state),
            Decision::Continue { pause } => second += pause.as_secs(),
        }
    }
}

fn failing_from(from: i64) -> impl Fn(i64) -> Outcome {
    move |second| if second >= from { Outcome::Fail } else { Outcome::Pass }
}

#[test]
fn a_question_that_nobody_answers_ends_as_its_default_says_and_not_before() {
    let (end, second, _) = run_asking(&asking(Choice::Rollback), failing_from(60), None);
    // It fails since 60, is over its limit at 180, and is asked about until 780.
    assert_eq!(second, 780);
    let VerificationEnd::Failed { outcome, why, .. } = end else {
        panic!("it failed: {end:?}")
    };
    assert_eq!(outcome, Outcome::Fail);
    assert!(
        why.contains("it failed for 120 seconds, and nobody answered in time"),
        "{why}"
    );
    let (end, second, state) = run_asking(&asking(Choice::Keep), failing_from(60), None);
    assert!(matches!(end, VerificationEnd::Passed { .. }), "{end:?}");
    assert_eq!(
        second,
        780 + 300,
        "the soak begins when the check decides nothing any more"
    );
    assert_eq!(state.checks["errors"].kept.as_deref(), Some("nobody answered in time"));
}

#[test]
fn whoever_is_asked_decides_within_one_look() {
    let answer = |choice| run_asking(&asking(Choice::Rollback), failing_from(60), Some((300, choice)));
    let (end, second, _) = answer(Choice::Rollback);
    assert_eq!(second, 300);
    let VerificationEnd::Failed { why, .. } = end else {
        panic!("it failed: {end:?}")
    };
    assert!(why.contains("`ana` decided: it is the load test"), "{why}");
    let (end, second, state) = answer(Choice::Keep);
    assert!(matches!(end, VerificationEnd::Passed { .. }), "{end:?}");
    assert_eq!(second, 600);
    assert_eq!(
        state.checks["errors"].kept.as_deref(),
        Some("`ana` decided: it is the load test")
    );
}

#[test]
fn what_recovers_is_no_question_any_more_and_an_answer_to_it_none_to_the_next() {
    let policy = asking(Choice::Rollback);
    let recovers = |second: i64| {
        if (60..400).contains(&second) {
            Outcome::Fail
        } else {
            Outcome::Pass
        }
    };
    let (end, second, state) = run_asking(&policy, recovers, None);
    assert!(matches!(end, VerificationEnd::Passed { .. }), "{end:?}");
    assert_eq!((second, state.checks["errors"].question), (420 + 300, None));
    // Asked about from 180 to 420, when it recovered, and again from 660 on.
    let mut state = State::begun(at(0));
    let mut look = |second: i64, outcome, answers: &BTreeMap<String, Answer>| {
        let measured = [SERVICES, "errors"].map(|name| {
            let outcome = if name == SERVICES { Outcome::Pass } else { outcome };
            (name.to_owned(), measurement(second, outcome, name))
        });
        let sight = Sight {
            measured: measured.into(),
            answers: answers.clone(),
            ..Sight::default()
        };
        let (next, decision) = judge(&policy, &state, sight, at(second));
        state = next;
        (
            state.checks["errors"].question.map(|question| question.asked_at),
            decision,
        )
    };
    let none = BTreeMap::new();
    assert_eq!(look(0, Outcome::Fail, &none).0, None);
    assert_eq!(look(120, Outcome::Fail, &none).0, Some(at(120)));
    assert_eq!(
        look(150, Outcome::Inconclusive, &none).0,
        Some(at(120)),
        "nothing clear is not well"
    );
    assert_eq!(look(180, Outcome::Pass, &none).0, None);
    let late = Answer {
        asked_at: at(120),
        choice: Choice::Rollback,
        by: "ana".to_owned(),
        reason: "too many errors".to_owned(),
        at: at(181),
    };
    let late = [("errors".to_owned(), late)].into();
    assert_eq!(look(210, Outcome::Fail, &late).0, None);
    let (asked_at, decision) = look(330, Outcome::Fail, &late);
    assert_eq!(asked_at, Some(at(330)));
    assert!(matches!(decision, Decision::Continue { .. }), "{decision:?}");
}

#[test]
fn a_question_outlasts_the_time_of_the_verification() {
    let mut policy = asking(Choice::Rollback);
    policy.timeout_seconds = Some(400);
    let (end, second, _) = run_asking(&policy, failing_from(60), None);
    assert_eq!(second, 780);
    assert!(matches!(end, VerificationEnd::Failed { check, .. } if check == "errors"));
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
fn a_soak_gives_way_only_while_nothing_is_decided() {
    let policy = policy(300, Pace::default(), Reaction::Rollback);
    let look = |second: i64, outcome| {
        let state = State {
            healthy_since: Some(at(0)),
            looked_at: Some(at(0)),
            ..State::begun(at(0))
        };
        let measured = [SERVICES, "errors"].map(|name| (name.to_owned(), measurement(second, outcome, name)));
        let sight = Sight {
            measured: measured.into(),
            gives_way_to: Some("newer".to_owned()),
            ..Sight::default()
        };
        match judge(&policy, &state, sight, at(second)).1 {
            Decision::Over(end) => end,
            Decision::Continue { .. } => panic!("it is over either way"),
        }
    };
    assert_eq!(
        look(30, Outcome::Pass),
        VerificationEnd::GaveWay { to: "newer".to_owned() }
    );
    assert!(matches!(look(300, Outcome::Pass), VerificationEnd::Passed { .. }));
    assert!(matches!(look(30, Outcome::Fail), VerificationEnd::Failed { .. }));
}

#[test]
fn a_smoke_test_ends_at_the_first_answer_that_is_not_as_expected() {
    let step = |name: &str, contains: Option<&str>| SmokeStep {
        name: name.to_owned(),
        method: Method::Get,
        url: "https://shop.example.com/".to_owned(),
        body: None,
        status: 200,
        contains: contains.map(str::to_owned),
        timeout_seconds: 5,
    };
    let measure = SmokeMeasure {
        steps: vec![step("the page", None), step("the search", Some("3 results"))],
    };
    let answer = |status, body: &str| HttpSight::Answer {
        status,
        body: body.to_owned(),
    };
    let good = [answer(200, ""), answer(200, "3 results for `lamp`")];
    assert_eq!(smoke(&measure, &good).0, Outcome::Pass);
    let shown = |sights: &[HttpSight]| smoke(&measure, sights);
    assert_eq!(
        shown(&[answer(503, "")]),
        (Outcome::Fail, "`the page`: status 503 in place of 200".to_owned())
    );
    assert_eq!(
        shown(&[answer(200, ""), answer(200, "0 results")]),
        (
            Outcome::Fail,
            "`the search`: the body does not hold `3 results`".to_owned()
        )
    );
    assert_eq!(
        shown(&[HttpSight::Silent("no answer within 5 seconds".to_owned())]),
        (Outcome::Fail, "`the page`: no answer within 5 seconds".to_owned())
    );
    assert_eq!(
        shown(&good[..1]).0,
        Outcome::Inconclusive,
        "what was not asked has not passed"
    );
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

/// The deployer is away for an hour in the middle of the soak: nobody has seen that hour, and it is not held against the release either.
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
