use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Principal};

use super::EventBridge;
use crate::testing::{FUNCTION, MACHINE, QUEUE, ROLE, World};
use crate::{Disturbance, Exhausted, Fault, Occurrence, Pattern};

const RULE: &str = "arn:aws:events:us-east-1:123456789012:rule/push";

fn push(id: u64) -> Value {
    json!({
        "version": "0", "id": format!("event-{id}"), "detail-type": "ECR Image Action", "source": "aws.ecr",
        "account": "123456789012", "time": "2026-11-02T09:00:00Z", "region": "us-east-1", "resources": [],
        "detail": {"result": "SUCCESS", "action-type": "PUSH", "image-tag": format!("v{id}")},
    })
}

fn world(target: Value) -> World<EventBridge> {
    let mut world = World::new(EventBridge::new());
    let pattern = json!({"source": ["aws.ecr"]}).to_string();
    world
        .call("PutRule", json!({"Name": "push", "EventPattern": pattern}))
        .unwrap();
    world
        .call("PutTargets", json!({"Rule": "push", "Targets": vec![target]}))
        .unwrap();
    world
}

fn function(members: Value) -> Value {
    let mut target = json!({"Id": "one", "Arn": FUNCTION});
    let Value::Object(members) = members else {
        panic!("{members} is not an object")
    };
    target.as_object_mut().unwrap().extend(members);
    target
}

#[test]
fn a_matching_event_invokes_the_function_for_the_rule() {
    let mut world = world(function(json!({})));
    world.event(&push(1));
    world.event(&json!({"source": "aws.ecs"}));
    world.run_well(1);
    let [(_, call)] = world.calls.as_slice() else {
        panic!("{:?}", world.calls)
    };
    assert_eq!((call.service.as_str(), call.operation.as_str()), ("lambda", "Invoke"));
    assert_eq!(
        call.input,
        json!({"FunctionName": FUNCTION, "InvocationType": "Event", "Payload": push(1)})
    );
    assert_eq!(call.principal, Principal::Service("events.amazonaws.com".to_owned()));
    assert_eq!(call.source_arn.as_deref(), Some(RULE));
}

#[test]
fn a_state_machine_is_started_as_the_role_of_the_target() {
    let mut world = world(json!({"Id": "one", "Arn": MACHINE, "RoleArn": ROLE, "InputPath": "$.detail"}));
    world.event(&push(1));
    world.run_well(1);
    let call = &world.calls[0].1;
    assert_eq!(
        (call.service.as_str(), call.operation.as_str()),
        ("states", "StartExecution")
    );
    assert_eq!(call.principal, Principal::Role("start-release".to_owned()));
    assert_eq!(call.input["stateMachineArn"], MACHINE);
    let input: Value = serde_json::from_str(call.input["input"].as_str().unwrap()).unwrap();
    assert_eq!(input, push(1)["detail"]);
}

#[test]
fn a_disabled_rule_and_a_removed_target_receive_nothing() {
    let mut world = world(function(json!({})));
    world.call("DisableRule", json!({"Name": "push"})).unwrap();
    world.event(&push(1));
    world.call("EnableRule", json!({"Name": "push"})).unwrap();
    world.event(&push(2));
    world
        .call("RemoveTargets", json!({"Rule": "push", "Ids": ["one"]}))
        .unwrap();
    world.event(&push(3));
    world.run_well(1);
    let ids: Vec<&Value> = world
        .calls
        .iter()
        .map(|(_, call)| &call.input["Payload"]["id"])
        .collect();
    assert_eq!(ids, ["event-2"]);
}

#[test]
fn a_throttled_target_is_tried_again_with_growing_pauses() {
    let mut world = world(function(json!({})));
    world.event(&push(1));
    let mut attempts = 0;
    world.run(3600, |_| {
        attempts += 1;
        if attempts < 6 {
            Err(ApiError::client("TooManyRequestsException", "Rate exceeded"))
        } else {
            Ok(json!({}))
        }
    });
    let times: Vec<i64> = world.calls.iter().map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 6);
    let total = times[5] - times[0];
    assert!((15..=32).contains(&total), "five pauses took {total} seconds");
    assert!(world.service.undelivered().is_empty());
}

#[test]
fn the_default_policy_tries_185_times_within_24_hours_and_then_loses_the_event() {
    let mut world = world(function(json!({})));
    world.event(&push(1));
    world.run(100_000, |_| Err(ApiError::server("ServiceException", "down")));
    assert_eq!(world.calls.len(), 186);
    assert!(world.calls[185].0 - world.calls[0].0 <= 86_400);
    let [lost] = world.service.undelivered() else { panic!() };
    assert_eq!(lost.exhausted, Some(Exhausted::MaximumRetryAttempts));
    assert_eq!((lost.retries, lost.dead_letter_queue.as_deref()), (185, None));
}

#[test]
fn an_old_event_goes_to_the_dead_letter_queue_with_its_history() {
    let policy = json!({"MaximumEventAgeInSeconds": 60});
    let mut world = world(function(
        json!({"DeadLetterConfig": {"Arn": QUEUE}, "RetryPolicy": policy}),
    ));
    world.event(&push(1));
    world.run(600, |call| match call.service.as_str() {
        "lambda" => Err(ApiError::server("ServiceException", "down")),
        _ => Ok(json!({})),
    });
    let (at, letter) = world.calls.last().unwrap();
    assert_eq!(
        (letter.service.as_str(), letter.operation.as_str()),
        ("sqs", "SendMessage")
    );
    assert!(at - world.calls[0].0 <= 60);
    assert_eq!(
        letter.input["QueueUrl"],
        "https://sqs.us-east-1.amazonaws.com/123456789012/letters"
    );
    assert_eq!(
        serde_json::from_str::<Value>(letter.input["MessageBody"].as_str().unwrap()).unwrap(),
        push(1)
    );
    let attribute = |name: &str| {
        letter.input["MessageAttributes"][name]["StringValue"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(attribute("RULE_ARN").as_deref(), Some(RULE));
    assert_eq!(attribute("TARGET_ARN").as_deref(), Some(FUNCTION));
    assert_eq!(attribute("ERROR_CODE").as_deref(), Some("ERROR_FROM_TARGET"));
    assert_eq!(
        attribute("EXHAUSTED_RETRY_CONDITION").as_deref(),
        Some("MaximumEventAgeInSeconds")
    );
    assert_eq!(attribute("RETRY_ATTEMPTS"), Some((world.calls.len() - 2).to_string()));
    assert_eq!(world.service.undelivered()[0].dead_letter_queue.as_deref(), Some(QUEUE));
}

#[test]
fn a_missing_permission_or_target_is_not_tried_again() {
    for (error, code) in [
        ("AccessDeniedException", "NO_PERMISSIONS"),
        ("ResourceNotFoundException", "NO_RESOURCE"),
    ] {
        let mut world = world(function(json!({"DeadLetterConfig": {"Arn": QUEUE}})));
        world.event(&push(1));
        world.run(3600, |call| match call.service.as_str() {
            "lambda" => Err(ApiError::client(error, "no")),
            _ => Ok(json!({})),
        });
        assert_eq!(world.operations(), ["Invoke", "SendMessage"]);
        let attributes = &world.calls[1].1.input["MessageAttributes"];
        assert_eq!(attributes["ERROR_CODE"]["StringValue"], code);
        assert_eq!(attributes["EXHAUSTED_RETRY_CONDITION"], Value::Null);
    }
}

#[test]
fn a_dead_letter_queue_that_refuses_loses_the_event() {
    let mut world = world(function(json!({"DeadLetterConfig": {"Arn": QUEUE}})));
    world.event(&push(1));
    world.run(60, |_| Err(ApiError::client("AccessDeniedException", "no")));
    let [lost] = world.service.undelivered() else { panic!() };
    assert_eq!(lost.dead_letter_queue, None);
    assert!(
        lost.error_message.contains("dead-letter queue: AccessDeniedException"),
        "{}",
        lost.error_message
    );
}

#[test]
fn a_transformed_input_that_is_not_json_goes_straight_to_the_dead_letter_queue() {
    let transformer =
        json!({"InputPathsMap": {"digest": "$.detail.image-digest"}, "InputTemplate": "{\"digest\": <digest>}"});
    let mut world = world(function(
        json!({"InputTransformer": transformer, "DeadLetterConfig": {"Arn": QUEUE}}),
    ));
    world.event(&push(1));
    world.run_well(60);
    assert_eq!(world.operations(), ["SendMessage"]);
    assert_eq!(
        world.calls[0].1.input["MessageAttributes"]["ERROR_CODE"]["StringValue"],
        "INVALID_JSON"
    );
}

#[test]
fn planned_faults_drop_repeat_delay_and_change_events() {
    let mut world = world(function(json!({})));
    let ecr = Pattern::compile(&json!({"detail-type": ["ECR Image Action"]})).unwrap();
    let minute = SignedDuration::from_mins(1);
    let replaced = Fault::Replace {
        pointer: "/detail/image-tag".to_owned(),
        value: json!("latest"),
    };
    for (nth, fault) in [
        (1, Fault::Drop),
        (2, Fault::Duplicate(minute)),
        (3, Fault::Delay(minute * 2)),
        (4, replaced),
    ] {
        let occurrence = Occurrence::Nth(nth);
        world.service.delivery.plan(Disturbance {
            pattern: ecr.clone(),
            occurrence,
            fault,
        });
    }
    for id in 1..=5 {
        world.event(&push(id));
    }
    let start = world.kernel.now().as_second();
    world.run_well(300);
    let arrivals: Vec<(i64, &str)> = world
        .calls
        .iter()
        .map(|(at, call)| (at - start, call.input["Payload"]["id"].as_str().unwrap()))
        .collect();
    assert_eq!(
        arrivals,
        [
            (0, "event-2"),
            (0, "event-4"),
            (0, "event-5"),
            (60, "event-2"),
            (120, "event-3")
        ]
    );
    assert_eq!(world.calls[1].1.input["Payload"]["detail"]["image-tag"], "latest");
    assert_eq!(world.service.dropped(), [push(1)]);
}

#[test]
fn a_scheduled_rule_runs_at_its_rate() {
    let mut world = World::new(EventBridge::new());
    world
        .call(
            "PutRule",
            json!({"Name": "sweep", "ScheduleExpression": "rate(5 minutes)"}),
        )
        .unwrap();
    world
        .call("PutTargets", json!({"Rule": "sweep", "Targets": [function(json!({}))]}))
        .unwrap();
    let start = world.kernel.now().as_second();
    world.run_well(900);
    let times: Vec<i64> = world.calls.iter().map(|(at, _)| at - start).collect();
    assert_eq!(times, [300, 600, 900]);
    assert_eq!(world.calls[0].1.input["Payload"]["detail-type"], "Scheduled Event");
    world.call("DisableRule", json!({"Name": "sweep"})).unwrap();
    world.run_well(900);
    assert_eq!(world.calls.len(), 3);
}

#[test]
fn the_public_door_takes_custom_events_and_refuses_the_services_own() {
    let mut world = world(function(json!({})));
    let pattern = json!({"source": [{"prefix": ""}]}).to_string();
    world
        .call("PutRule", json!({"Name": "push", "EventPattern": pattern}))
        .unwrap();
    let entry = |source: &str, detail: &str| json!({"Source": source, "DetailType": "x", "Detail": detail});
    let answer = world
        .call(
            "PutEvents",
            json!({"Entries": [entry("my.app", "{\"a\":1}"), entry("aws.ecr", "{}"), entry("my.app", "[]")]}),
        )
        .unwrap();
    assert_eq!(answer["FailedEntryCount"], 2);
    assert_eq!(answer["Entries"][1]["ErrorCode"], "NotAuthorizedForSourceException");
    assert_eq!(answer["Entries"][2]["ErrorCode"], "MalformedDetail");
    world.run_well(1);
    let [(_, call)] = world.calls.as_slice() else {
        panic!("{:?}", world.calls)
    };
    assert_eq!(call.input["Payload"]["id"], answer["Entries"][0]["EventId"]);
    assert_eq!(call.input["Payload"]["detail"], json!({"a": 1}));
    let eleven = vec![entry("my.app", "{}"); 11];
    assert_eq!(
        world.call("PutEvents", json!({"Entries": eleven})).unwrap_err().code,
        "ValidationException"
    );
}

#[test]
fn what_cannot_be_delivered_is_refused_when_it_is_put() {
    let mut world = world(function(json!({})));
    let mut refusal = |target: Value| {
        world
            .call("PutTargets", json!({"Rule": "push", "Targets": [target]}))
            .unwrap_err()
    };
    assert_eq!(
        refusal(json!({"Id": "two", "Arn": MACHINE})).code,
        "ValidationException"
    );
    assert_eq!(
        refusal(json!({"Id": "two", "Arn": "arn:aws:sns:us-east-1:123456789012:topic"})).status,
        501
    );
    assert_eq!(
        refusal(json!({"Id": "two", "Arn": FUNCTION, "SqsParameters": {}})).status,
        501
    );
    assert_eq!(
        refusal(json!({"Id": "two", "Arn": FUNCTION, "Input": "{"})).code,
        "ValidationException"
    );
    assert_eq!(
        refusal(json!({"Id": "two", "Arn": FUNCTION, "Input": "{}", "InputPath": "$.a"})).code,
        "ValidationException"
    );
    let policy = json!({"MaximumRetryAttempts": 186});
    assert_eq!(
        refusal(json!({"Id": "two", "Arn": FUNCTION, "RetryPolicy": policy})).code,
        "ValidationException"
    );
    let six: Vec<Value> = (0..6)
        .map(|id| json!({"Id": format!("t{id}"), "Arn": FUNCTION}))
        .collect();
    let error = world
        .call("PutTargets", json!({"Rule": "push", "Targets": six}))
        .unwrap_err();
    assert_eq!(error.code, "LimitExceededException");
    let unknown = json!({"Name": "p", "EventPattern": "{\"a\": [{\"contains\": \"x\"}]}"});
    assert_eq!(
        world.call("PutRule", unknown).unwrap_err().code,
        "InvalidEventPatternException"
    );
    assert_eq!(world.call("PutPermission", json!({})).unwrap_err().status, 501);
}

#[test]
fn rules_and_targets_are_read_back_as_they_were_put() {
    let target = function(json!({"RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60}}));
    let mut world = world(target.clone());
    let rule = world.call("DescribeRule", json!({"Name": "push"})).unwrap();
    assert_eq!(
        (rule["Arn"].as_str(), rule["State"].as_str()),
        (Some(RULE), Some("ENABLED"))
    );
    assert_eq!(rule["EventPattern"], json!({"source": ["aws.ecr"]}).to_string());
    assert_eq!(
        world.call("ListTargetsByRule", json!({"Rule": "push"})).unwrap()["Targets"],
        json!([target])
    );
    assert_eq!(
        world.call("ListRules", json!({"NamePrefix": "pu"})).unwrap()["Rules"][0]["Name"],
        "push"
    );
    assert_eq!(
        world.call("ListRules", json!({"NamePrefix": "x"})).unwrap()["Rules"],
        json!([])
    );
    assert_eq!(
        world.call("DeleteRule", json!({"Name": "push"})).unwrap_err().code,
        "ValidationException"
    );
    world
        .call("RemoveTargets", json!({"Rule": "push", "Ids": ["one"]}))
        .unwrap();
    world.call("DeleteRule", json!({"Name": "push"})).unwrap();
    assert_eq!(
        world.call("DescribeRule", json!({"Name": "push"})).unwrap_err().code,
        "ResourceNotFoundException"
    );
}

#[test]
fn a_pattern_can_be_tried_on_an_event() {
    let mut world = World::new(EventBridge::new());
    let mut test = |pattern: Value, event: Value| {
        world.call(
            "TestEventPattern",
            json!({"EventPattern": pattern.to_string(), "Event": event.to_string()}),
        )
    };
    assert_eq!(
        test(json!({"source": ["aws.ecr"]}), push(1)).unwrap(),
        json!({"Result": true})
    );
    assert_eq!(
        test(json!({"source": ["aws.ecs"]}), push(1)).unwrap(),
        json!({"Result": false})
    );
    assert_eq!(
        test(json!({"source": ["aws.ecs"]}), json!({})).unwrap_err().code,
        "ValidationException"
    );
}
