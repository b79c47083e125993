use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::cloudwatch::AlarmState;
use crate::ecr::{EcrAction, EcrResult};
use crate::ecs::{ServiceActionName, ServiceDeploymentName, TaskStatus};
use crate::step_functions::ExecutionStatus;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn fixture(name: &str) -> Value {
    let path = folder().join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

fn fixtures() -> Vec<(String, Value)> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), fixture(&name))).collect()
}

/// Adds a member that no version of the event has to every object of `value`.
fn with_unknown_members(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(with_unknown_members);
            members.insert(
                "addedByAwsTomorrow".to_owned(),
                json!({"deeply": ["nested", null, 1.5]}),
            );
        }
        Value::Array(items) => items.iter_mut().for_each(with_unknown_members),
        _ => {}
    }
}

#[test]
fn an_alarm_says_its_name_and_its_state() {
    let Ok(Event::CloudWatchAlarmStateChange(event)) = parse(fixture("cloudwatch-alarm-state-change")) else {
        panic!("it is the event of an alarm")
    };
    let CloudWatchAlarmStateChange { alarm_name, state } = event.detail;
    assert_eq!(
        (alarm_name.as_str(), state.value),
        ("imagy-catalog-errors", AlarmState::Alarm)
    );
}

#[test]
fn every_sample_is_read_and_members_that_aws_adds_change_nothing() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 19, "only {} samples were found", fixtures.len());
    for (name, sample) in fixtures {
        let event = parse(sample.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut extended = sample.clone();
        with_unknown_members(&mut extended);
        let event_with_more = parse(extended).unwrap_or_else(|error| panic!("{name}: {error}"));
        if let (Event::Scheduled(one), Event::Scheduled(other)) = (&event, &event_with_more) {
            assert_eq!(one.id, other.id);
        } else {
            assert_eq!(event, event_with_more, "{name}");
        }
    }
}

#[test]
fn a_push_names_repository_digest_and_tag() {
    let Event::EcrImageAction(event) = parse(fixture("ecr-image-push")).unwrap() else {
        panic!("not an image action")
    };
    assert_eq!(
        (event.account.as_str(), event.region.as_str()),
        ("123456789012", "us-west-2")
    );
    assert_eq!(event.time.unwrap().to_string(), "2019-11-16T01:54:34Z");
    assert_eq!(
        (&event.detail.action_type, &event.detail.result),
        (&EcrAction::Push, &EcrResult::Success)
    );
    assert_eq!(event.detail.repository_name, "my-repository-name");
    assert_eq!(event.detail.image_tag.as_deref(), Some("latest"));
    assert!(event.detail.image_digest.unwrap().starts_with("sha256:7f5b26"));
}

#[test]
fn an_image_action_of_a_new_kind_is_kept_by_name_and_is_no_push() {
    let mut sample = fixture("ecr-image-push");
    sample["detail"]["action-type"] = json!("QUARANTINE");
    sample["detail"]["image-tag"] = Value::Null;
    let Event::EcrImageAction(event) = parse(sample).unwrap() else {
        panic!("not an image action")
    };
    assert_eq!(event.detail.action_type, EcrAction::Unknown("QUARANTINE".to_owned()));
    assert_eq!(event.detail.image_tag, None);
    let Event::EcrImageAction(event) = parse(fixture("ecr-image-storage-class")).unwrap() else {
        panic!("not an image action")
    };
    assert_eq!(event.detail.action_type, EcrAction::UpdateStorageClass);
}

#[test]
fn an_injected_sidecar_with_text_for_numbers_does_not_hide_the_container_that_counts() {
    let containers = |sample: Value| match parse(sample).unwrap() {
        Event::EcsTaskStateChange(event) => event.detail.containers,
        other => panic!("{other:?}"),
    };
    let stopped = containers(fixture("ecs-task-stopped"));
    assert_eq!((stopped[0].name.as_str(), stopped[0].exit_code), ("web", Some(1)));
    assert_eq!((stopped[1].image.as_deref(), stopped[1].exit_code), (None, Some(137)));

    let mut sample = fixture("ecs-task-running");
    sample["detail"]["containers"][1]["exitCode"] = json!("null");
    assert_eq!(containers(sample)[1].exit_code, None);
}

#[test]
fn a_task_is_over_when_it_has_stopped_and_not_before() {
    let status = |name: &str| match parse(fixture(name)).unwrap() {
        Event::EcsTaskStateChange(event) => event.detail.last_status.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(status("ecs-task-running"), TaskStatus::Running);
    assert!(!status("ecs-task-running").is_over() && status("ecs-task-stopped").is_over());
    assert!(!TaskStatus::from("ADDED_TOMORROW".to_owned()).is_over());
}

#[test]
fn nulls_and_absent_members_are_the_same() {
    let mut sample = fixture("ecs-task-running");
    let members: Vec<String> = sample["detail"].as_object().unwrap().keys().cloned().collect();
    for member in members.iter().filter(|member| *member != "taskArn") {
        sample["detail"][member] = Value::Null;
    }
    sample["resources"] = Value::Null;
    let with_nulls = parse(sample.clone()).unwrap();
    sample["detail"]
        .as_object_mut()
        .unwrap()
        .retain(|member, _| member == "taskArn");
    sample.as_object_mut().unwrap().remove("resources");
    assert_eq!(with_nulls, parse(sample).unwrap());
}

#[test]
fn environment_values_of_overrides_are_neither_printed_nor_kept() {
    let mut sample = fixture("ecs-task-running");
    sample["detail"]["overrides"]["containerOverrides"][1]["environment"][0]["value"] =
        json!("a-secret-of-the-customer");
    let event = parse(sample).unwrap();
    assert!(!format!("{event:?}").contains("a-secret"));
    let Event::EcsTaskStateChange(event) = event else {
        panic!("not a task event")
    };
    assert!(!serde_json::to_string(&event).unwrap().contains("a-secret"));
}

#[test]
fn a_task_reads_the_same_from_the_inbox_as_from_the_event() {
    let Event::EcsTaskStateChange(event) = parse(fixture("ecs-task-stopped")).unwrap() else {
        panic!("not a task event")
    };
    let stored = serde_json::to_value(&event.detail).unwrap();
    assert_eq!(decode::<Task>(stored).unwrap(), event.detail);
}

#[test]
fn a_rollback_is_told_from_a_deployment_only_by_its_id() {
    let read = |name: &str| match parse(fixture(name)).unwrap() {
        Event::EcsDeploymentStateChange(event) => event,
        other => panic!("{other:?}"),
    };
    let (start, rollback) = (read("ecs-deployment-in-progress"), read("ecs-deployment-rolling-back"));
    assert_eq!(start.detail.event_name, ServiceDeploymentName::InProgress);
    assert_eq!(rollback.detail.event_name, start.detail.event_name);
    assert_eq!(start.detail.deployment_id, "ecs-svc/123");
    assert_eq!(
        start.resource(),
        Some("arn:aws:ecs:us-west-2:111122223333:service/default/servicetest")
    );
    assert_eq!(
        read("ecs-deployment-failed").detail.event_name,
        ServiceDeploymentName::Failed
    );
    assert_eq!(
        read("ecs-deployment-completed").detail.event_name,
        ServiceDeploymentName::Completed
    );
}

#[test]
fn a_service_action_may_have_happened_days_before_its_event() {
    let Event::EcsServiceAction(event) = parse(fixture("ecs-service-task-placement-failure")).unwrap() else {
        panic!("not a service action")
    };
    assert_eq!(event.detail.event_name, ServiceActionName::TaskPlacementFailure);
    assert_eq!(event.detail.reason.as_deref(), Some("RESOURCE:FARGATE"));
    assert!(event.detail.created_at.unwrap() < event.time.unwrap());
}

#[test]
fn an_execution_that_ended_is_named_without_its_output() {
    let event = parse(fixture("step-functions-execution-succeeded")).unwrap();
    assert!(!format!("{event:?}").contains("verdict"));
    let Event::StepFunctionsExecutionStatusChange(event) = event else {
        panic!("not a status change")
    };
    assert_eq!(event.detail.status, ExecutionStatus::Succeeded);
    assert!(event.detail.status.is_closed());
    assert!(!ExecutionStatus::Running.is_closed());
}

#[test]
fn an_event_that_we_do_not_consume_is_named_and_not_refused() {
    for name in ["ecr-replication", "ecr-image-scan", "ecs-hook-awaiting-action"] {
        let Event::Unknown(event) = parse(fixture(name)).unwrap() else {
            panic!("{name} was taken for something else")
        };
        assert!(!event.detail_type.is_empty());
    }
}

#[test]
fn a_custom_source_cannot_pass_for_aws() {
    let mut sample = fixture("ecr-image-push");
    sample["source"] = json!("com.example.ecr");
    assert!(matches!(parse(sample).unwrap(), Event::Unknown(_)));
}

#[test]
fn a_request_is_told_from_an_event_and_its_token_is_not_printed() {
    let event = parse(json!({"action": "await_task", "taskToken": "AAAAKgAA"})).unwrap();
    assert!(!format!("{event:?}").contains("AAAAKgAA"));
    let Event::Request(request) = event else {
        panic!("not a request")
    };
    assert_eq!(request.action, "await_task");
    assert!(matches!(parse(fixture("scheduled")).unwrap(), Event::Scheduled(_)));
}

#[test]
fn what_is_no_event_is_refused_with_the_place_of_the_mistake() {
    for payload in [
        json!(null),
        json!([]),
        json!({}),
        json!({"source": "aws.ecr"}),
        json!({"detail-type": "x", "action": "y"}),
    ] {
        assert_eq!(parse(payload.clone()), Err(EventError::Unrecognised), "{payload}");
    }
    let mut sample = fixture("ecr-image-push");
    sample["detail"].as_object_mut().unwrap().remove("repository-name");
    assert_eq!(
        parse(sample).unwrap_err().to_string(),
        "event `ECR Image Action` of `aws.ecr`: `detail` lacks a member: missing field `repository-name`"
    );
}

#[test]
fn the_error_of_an_event_stays_on_its_line_whatever_the_event_is_called() {
    let sample = json!({"source": "com.example\nERROR forged", "detail-type": "a\u{1b}[2J", "id": 1});
    assert_eq!(
        parse(sample).unwrap_err().to_string(),
        r"event `a\u{1b}[2J` of `com.example\nERROR forged`: `id` should be a string"
    );
}
