//! What is shown becomes a measurement.

use super::*;
use crate::pipeline::{Method, SmokeMeasure, SmokeStep};

fn service_sight(desired: u64, tasks: &[serde_json::Value]) -> ServiceSight {
    ServiceSight {
        service: "api".to_owned(),
        desired,
        digests: [("app".to_owned(), ["sha256:new".to_owned()].into())].into(),
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
    for (digest, outcome) in [("sha256:new", Outcome::Pass), ("sha256:old", Outcome::Fail)] {
        let containers =
            json!([{"name": "app", "imageDigest": digest}, {"name": "sidecar", "imageDigest": "sha256:other"}]);
        let task = json!({"taskArn": "a", "lastStatus": "RUNNING", "containers": containers});
        assert_eq!(shows(1, &[task]), outcome, "{digest}");
    }
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
            stopped("TaskFailedToStart", "CannotPullContainerError: manifest unknown", now),
            Outcome::Fail,
        ),
        (
            stopped("TaskFailedToStart", "CannotPullContainerError: i/o timeout", now),
            Outcome::Pass,
        ),
        (
            stopped(
                "TaskFailedToStart",
                "ResourceInitializationError: unable to pull secrets",
                now,
            ),
            Outcome::Pass,
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
            for_good: CountedLines::none(Timestamp::UNIX_EPOCH),
        };
        let counted = CountedLines::none(Timestamp::UNIX_EPOCH);
        let (found, said, _) = log(&log_measure(at_most), counted, &sight);
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
fn lines_of_a_log_are_counted_once_and_late_ones_are_not_missed() {
    let begun: Timestamp = "2026-11-02T12:00:00Z".parse().unwrap();
    let after = |minutes| begun + SignedDuration::from_mins(minutes);
    let look = |counted: CountedLines, minutes, matches, settled, is_whole| {
        let until = counted.next_until(after(minutes));
        let sight = LogSight {
            matches,
            last: None,
            is_whole,
            for_good: CountedLines {
                until,
                matches: settled,
            },
        };
        log(&log_measure(5), counted, &sight)
    };
    // Within the first minutes everything may still come.
    let (outcome, _, counted) = look(CountedLines::none(begun), 3, 2, 0, true);
    assert_eq!((outcome, counted), (Outcome::Pass, CountedLines::none(begun)));
    let (outcome, said, counted) = look(counted, 10, 3, 2, true);
    assert_eq!(
        (outcome, counted.until, counted.matches),
        (Outcome::Pass, after(5), 2),
        "{said}"
    );
    // The one that is not counted for good yet is read again, with one that came late.
    let (outcome, said, counted) = look(counted, 12, 2, 1, true);
    assert_eq!(
        (outcome, counted.until, counted.matches),
        (Outcome::Pass, after(7), 3),
        "{said}"
    );
    assert!(said.starts_with("lines that match: 4,"), "{said}");
    // What was not read to its end is read again.
    let (outcome, _, same) = look(counted, 14, 1, 1, false);
    assert_eq!((outcome, same), (Outcome::Inconclusive, counted));
    let (outcome, said, _) = look(counted, 16, 3, 0, true);
    assert_eq!(outcome, Outcome::Fail, "{said}");
}

#[test]
fn the_last_line_of_a_log_is_shown_without_its_secrets_and_not_at_its_whole_length() {
    let said = |line: &str| {
        let sight = LogSight {
            matches: 1,
            last: Some(line.to_owned()),
            is_whole: true,
            for_good: CountedLines::none(Timestamp::UNIX_EPOCH),
        };
        log(&log_measure(0), CountedLines::none(Timestamp::UNIX_EPOCH), &sight).1
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
        (Outcome::Fail, "`the page`: status 503 instead of 200".to_owned())
    );
    assert_eq!(
        shown(&[answer(200, ""), answer(200, "0 results")]),
        (
            Outcome::Fail,
            "`the search`: the body does not contain `3 results`".to_owned()
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
