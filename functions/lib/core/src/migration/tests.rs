use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::verdict::StepOutcome;

const POLICY: Policy = Policy {
    idempotent: false,
    start_attempts: 3,
    is_for_a_check: false,
};
const SAFE: Policy = Policy {
    idempotent: true,
    start_attempts: 3,
    is_for_a_check: false,
};

/// A stopped task with the sidecars that spoil naive judgements: one that failed, and one that AWS injected.
fn stopped(stop_code: &str, started: bool, exit_code: Option<i64>) -> Value {
    let mut task = json!({
        "taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/imagy/0a1b",
        "lastStatus": "STOPPED",
        "stopCode": stop_code,
        "stoppedReason": "Essential container in task exited",
        "createdAt": "2026-11-21T10:00:00.877Z",
        "cpu": "256",
        "containers": [
            {"name": "datadog-agent", "image": "datadog/agent", "exitCode": 1, "lastStatus": "STOPPED"},
            {"name": "migrations", "image": "imagy@sha256:aa", "lastStatus": "STOPPED"},
            {"name": "aws-guardduty-agent-nm40lC", "lastStatus": "STOPPED", "cpu": "null"},
        ],
    });
    if started {
        task["startedAt"] = json!("2026-11-21T10:00:10.123456789Z");
    }
    if let Some(exit_code) = exit_code {
        task["containers"][1]["exitCode"] = json!(exit_code);
    }
    task
}

fn judge(task: &Value, policy: Policy, attempt: u32) -> TaskJudgement {
    classify(&TaskFacts::from_json(task).unwrap(), "migrations", policy, attempt)
}

#[test]
fn every_row_of_the_table() {
    let unknown = TaskOutcome::UnknownEffect;
    for (stop_code, started, exit_code, outcome, once, safe) in [
        (
            "EssentialContainerExited",
            true,
            Some(0),
            TaskOutcome::Completed,
            Next::Completed,
            Next::Completed,
        ),
        (
            "EssentialContainerExited",
            true,
            Some(1),
            TaskOutcome::Failed { exit_code: 1 },
            Next::Failed,
            Next::Failed,
        ),
        (
            "EssentialContainerExited",
            true,
            Some(139),
            TaskOutcome::Failed { exit_code: 139 },
            Next::Failed,
            Next::Failed,
        ),
        (
            "EssentialContainerExited",
            true,
            Some(137),
            unknown.clone(),
            Next::Failed,
            Next::RunAgain,
        ),
        (
            "EssentialContainerExited",
            true,
            None,
            unknown.clone(),
            Next::Failed,
            Next::RunAgain,
        ),
        (
            "TaskFailedToStart",
            false,
            None,
            TaskOutcome::NeverStarted,
            Next::RunAgain,
            Next::RunAgain,
        ),
        (
            "TaskFailedToStart",
            true,
            None,
            unknown.clone(),
            Next::Failed,
            Next::RunAgain,
        ),
        (
            "TaskFailedToStart",
            false,
            Some(0),
            unknown.clone(),
            Next::Failed,
            Next::RunAgain,
        ),
        (
            "UserInitiated",
            true,
            Some(0),
            unknown.clone(),
            Next::Failed,
            Next::RunAgain,
        ),
        (
            "UserInitiated",
            true,
            Some(143),
            unknown.clone(),
            Next::Failed,
            Next::RunAgain,
        ),
        (
            "SpotInterruption",
            true,
            None,
            unknown.clone(),
            Next::Failed,
            Next::RunAgain,
        ),
        (
            "TerminationNotice",
            true,
            None,
            unknown.clone(),
            Next::Failed,
            Next::RunAgain,
        ),
        (
            "InfrastructureHealth",
            true,
            None,
            unknown.clone(),
            Next::Failed,
            Next::RunAgain,
        ),
        (
            "SomethingNewFromAws",
            true,
            Some(0),
            unknown,
            Next::Failed,
            Next::RunAgain,
        ),
    ] {
        let task = stopped(stop_code, started, exit_code);
        let judgement = judge(&task, POLICY, 1);
        assert_eq!(
            (&judgement.outcome, judgement.next),
            (&outcome, once),
            "{stop_code} {started} {exit_code:?}"
        );
        assert_eq!(judge(&task, SAFE, 1).next, safe, "{stop_code} {started} {exit_code:?}");
        assert_ne!(judge(&task, SAFE, 3).next, Next::RunAgain, "attempts are bounded");
    }
}

#[test]
fn sidecars_are_reported_and_decide_nothing() {
    let judgement = judge(&stopped("EssentialContainerExited", true, Some(0)), POLICY, 1);
    assert_eq!(judgement.outcome, TaskOutcome::Completed);
    assert!(judgement.diagnosis.contains("`datadog-agent` ended with exit code 1"));
    let named: Vec<_> = judgement
        .sidecars
        .iter()
        .map(|sidecar| (sidecar.name.as_str(), sidecar.injected))
        .collect();
    assert_eq!(named, [("datadog-agent", false), ("aws-guardduty-agent-nm40lC", true)]);
}

#[test]
fn a_task_without_the_judged_container_proves_nothing() {
    let task = TaskFacts::from_json(&stopped("EssentialContainerExited", true, Some(0))).unwrap();
    let judgement = classify(&task, "migrate", POLICY, 1);
    assert_eq!(judgement.outcome, TaskOutcome::UnknownEffect);
    assert!(judgement.diagnosis.contains("no container `migrate`"));
    let pulled = TaskFacts::from_json(&stopped("TaskFailedToStart", false, None)).unwrap();
    assert_eq!(
        classify(&pulled, "migrate", POLICY, 1).outcome,
        TaskOutcome::UnknownEffect
    );
}

#[test]
fn both_forms_of_the_same_task_give_the_same_facts() {
    let mut event = stopped("EssentialContainerExited", true, Some(0));
    event["startedAt"] = json!("2026-11-21T10:00:10.5Z");
    event["stoppedAt"] = json!("2026-11-21T10:01:10Z");
    let mut described = event.clone();
    for name in ["createdAt", "startedAt", "stoppedAt"] {
        let at: jiff::Timestamp = event[name].as_str().unwrap().parse().unwrap();
        described[name] = json!(at.as_duration().as_secs_f64());
    }
    let (event, described) = (
        TaskFacts::from_json(&event).unwrap(),
        TaskFacts::from_json(&described).unwrap(),
    );
    assert_eq!(event.started_at, described.started_at);
    assert_eq!(event.stopped_at, described.stopped_at);
    assert_eq!(
        classify(&event, "migrations", POLICY, 1),
        classify(&described, "migrations", POLICY, 1),
    );
}

#[test]
fn a_time_with_more_digits_than_nanoseconds_and_one_with_a_binary_fraction_are_read_as_they_were_meant() {
    let mut task = stopped("EssentialContainerExited", true, Some(0));
    task["createdAt"] = json!(1_746_529_354.325);
    task["startedAt"] = json!("2026-11-21T10:00:00.123456789012Z");
    let facts = TaskFacts::from_json(&task).unwrap();
    assert_eq!(facts.created_at.unwrap().to_string(), "2025-05-06T11:02:34.325Z");
    assert_eq!(facts.started_at.unwrap().to_string(), "2026-11-21T10:00:00.123456789Z");
}

#[test]
fn a_start_whose_time_cannot_be_read_is_still_a_start() {
    let mut task = stopped("TaskFailedToStart", false, None);
    task["startedAt"] = json!("some day");
    let facts = TaskFacts::from_json(&task).unwrap();
    assert_eq!((facts.has_started, facts.started_at), (true, None));
    assert_eq!(judge(&task, POLICY, 1).outcome, TaskOutcome::UnknownEffect);
}

#[test]
fn a_running_task_is_not_judged() {
    let mut task = stopped("", true, None);
    task["lastStatus"] = json!("DEPROVISIONING");
    let judgement = judge(&task, POLICY, 1);
    assert_eq!(
        (judgement.outcome.clone(), judgement.next),
        (TaskOutcome::StillRunning, Next::WaitAgain)
    );
    assert_eq!(judgement.step_outcome(), StepOutcome::Begun);
}

#[test]
fn a_task_that_ecs_forgot_is_run_again_only_where_that_is_declared_safe() {
    assert_eq!(evidence_expired("arn", POLICY, 1).next, Next::Failed);
    assert_eq!(evidence_expired("arn", SAFE, 1).next, Next::RunAgain);
}

#[test]
fn a_redacted_task_loses_the_values_of_overrides_and_nothing_else() {
    let mut task = stopped("EssentialContainerExited", true, Some(0));
    task["overrides"] = json!({"containerOverrides": [
        {"name": "migrations", "command": ["--migrate"], "environment": [{"name": "PASSWORD", "value": "hunter2"}, "hunter2"]},
        {"name": "odd", "environment": {"PASSWORD": "hunter2"}},
    ]});
    let redacted = redact(&task);
    assert!(!redacted.to_string().contains("hunter2"));
    assert_eq!(
        redacted["overrides"]["containerOverrides"][0]["environment"][0],
        json!({"name": "PASSWORD"})
    );
    assert_eq!(
        redacted["overrides"]["containerOverrides"][0]["command"],
        task["overrides"]["containerOverrides"][0]["command"]
    );
    task["overrides"] = redacted["overrides"].clone();
    assert_eq!(redacted, task);
}

#[test]
fn the_values_of_overrides_are_redacted_wherever_they_stand() {
    let variables = json!([{"name": "PASSWORD", "value": "hunter2"}, {"name": {"value": "hunter2"}}]);
    for overrides in [
        json!({"environment": variables}),
        json!({"containerOverrides": {"environment": variables}}),
        json!({"containerOverrides": [[{"environment": variables}]]}),
        json!({"containerOverrides": [{"command": [{"environment": "hunter2"}]}]}),
        json!({"containerOverrides": [{"command": "migrate --password hunter2"}]}),
        json!({"containerOverrides": [{"command": ["migrate", 1, "--password", "hunter2"]}]}),
    ] {
        let redacted = redact(&json!({"taskArn": "arn", "overrides": overrides}));
        assert!(!redacted.to_string().contains("hunter2"), "{redacted}");
    }
}

#[test]
fn an_answer_of_run_task_starts_one_task_or_none() {
    let arn = "arn:aws:ecs:eu-west-1:123456789012:task/imagy/0a1b";
    let started =
        json!({"tasks": [{"taskArn": arn, "lastStatus": "PROVISIONING"}], "failures": [{"reason": "RESOURCE:MEMORY"}]});
    assert_eq!(
        decide_answer(&started),
        RunTaskDecision::Started { task_arn: arn.into() }
    );
    let refused =
        json!({"tasks": [], "failures": [{"arn": "x", "reason": "RESOURCE:MEMORY"}, {"detail": "no capacity"}]});
    assert_eq!(
        decide_answer(&refused),
        RunTaskDecision::NotPlaced {
            reasons: vec!["RESOURCE:MEMORY".into(), "no capacity".into()]
        }
    );
    for strange in [json!({}), json!({"tasks": [{"taskArn": arn}, {"taskArn": "other"}]})] {
        let RunTaskDecision::GiveUp(failure) = decide_answer(&strange) else {
            panic!("{strange}")
        };
        assert_eq!(failure.kind, ErrorKind::UnknownEffect);
    }
}

#[test]
fn an_error_of_run_task_is_named_by_whether_a_task_may_have_started() {
    let error = |code: Option<&str>, http_status, message: &str| RunTaskError {
        code: code.map(str::to_owned),
        http_status,
        message: message.into(),
        resource_ids: vec!["arn".into()],
    };
    let decide = |code, status, message| decide_error(&error(code, status, message));
    assert!(matches!(
        decide(None, None, "connection reset"),
        RunTaskDecision::CallAgain { .. }
    ));
    assert!(matches!(
        decide(Some("ServerException"), Some(500), ""),
        RunTaskDecision::CallAgain { .. }
    ));
    assert!(matches!(
        decide(Some("AccessDeniedException"), Some(503), ""),
        RunTaskDecision::CallAgain { .. }
    ));
    for (code, message) in [
        ("ThrottlingException", "Rate exceeded"),
        // As EC2 throttles ECS.
        (
            "InvalidParameterException",
            "Error retrieving subnet information: RequestLimitExceeded",
        ),
    ] {
        let decision = decide(Some(code), Some(400), message);
        assert!(matches!(decision, RunTaskDecision::CallAgain { .. }), "{code}");
    }
    assert_eq!(
        decide(Some("ConflictException"), Some(400), ""),
        RunTaskDecision::Inspect {
            task_arns: vec!["arn".into()]
        }
    );
    assert!(matches!(
        decide(Some("ClientException"), Some(400), "too many tasks PROVISIONING"),
        RunTaskDecision::NotPlaced { .. }
    ));
    let kind = |decision| match decision {
        RunTaskDecision::GiveUp(failure) => failure.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        kind(decide(Some("AccessDeniedException"), Some(400), "")),
        ErrorKind::AccessDenied
    );
    assert_eq!(
        kind(decide(Some("ClusterNotFoundException"), Some(400), "")),
        ErrorKind::Refused
    );
    assert_eq!(
        kind(decide(
            Some("ClientException"),
            Some(400),
            "task definition is inactive"
        )),
        ErrorKind::Refused
    );
}

#[test]
fn only_a_task_of_the_same_revision_with_our_mark_is_adopted() {
    let mut task = stopped("UserInitiated", true, None);
    task["taskDefinitionArn"] = json!("arn:td:5");
    task["startedBy"] = json!("esclusa/1");
    let task = TaskFacts::from_json(&task).unwrap();
    assert!(is_same_run(&task, "arn:td:5", "esclusa/1"));
    assert!(!is_same_run(&task, "arn:td:6", "esclusa/1"));
    assert!(!is_same_run(&task, "arn:td:5", "somebody"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z0-9:]{0,12}".prop_map(Value::from),
    ];
    let names =
        "taskArn|lastStatus|stopCode|startedAt|containers|name|exitCode|overrides|containerOverrides|environment";
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(names, inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_that_looks_like_a_task_breaks_the_reading(mut task in any_json(), attempt in 0..5_u32) {
        if let Value::Object(members) = &mut task {
            members.insert("taskArn".into(), json!("arn"));
            members.insert("lastStatus".into(), json!("STOPPED"));
        }
        let _ = redact(&task);
        if let Ok(facts) = TaskFacts::from_json(&task) {
            let judgement = classify(&facts, "migrations", POLICY, attempt);
            // Nothing is complete without the container that says so.
            prop_assert!(judgement.next != Next::Completed || facts.container("migrations").is_some_and(|container| container.exit_code == Some(0)));
        }
    }
}
