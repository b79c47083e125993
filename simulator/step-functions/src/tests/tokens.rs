use serde_json::{Value, json};
use simulator_kernel::{Authorization, Principal, Request, RequestId, Service};

use super::harness::{Answer, Harness, callback, with};
use crate::{HeartbeatError, Settings};

const X: &str = "arn:aws:states:us-east-1:123456789012:execution:m:x";

/// A machine whose only task waits for its token; it goes to `B` on the errors that `more` catches.
fn waiting(more: &Value) -> Harness {
    let more = &with(end(&json!(["Unrelated"])), more);
    let mut world = Harness::new().lambda("f", &[Answer::Returns(json!("stored"))]);
    world.create(&json!({"A": callback("f", more), "B": {"Type": "Pass", "Output": {"caught": "{% $states.input %}"}, "End": true}}));
    world.start(&json!({}));
    world
}

#[test]
fn a_token_is_used_with_the_permission_on_its_state_machine() {
    let mut world = waiting(&json!({}));
    world.settle();
    let request = Request {
        access_key_id: None,
        id: RequestId(1),
        operation: "SendTaskSuccess".to_owned(),
        input: json!({"taskToken": world.token(), "output": "1"}),
        principal: Principal::Administrator,
    };
    let machine = "arn:aws:states:us-east-1:123456789012:stateMachine:m";
    let expected = [Authorization::new("states:SendTaskSuccess", machine)];
    assert_eq!(world.states.authorizations(&request, &world.kernel), expected);
}

fn end(catch: &Value) -> Value {
    json!({"End": true, "Catch": [{"ErrorEquals": catch, "Next": "B"}]})
}

#[test]
fn a_token_ends_its_task_once() {
    let mut world = waiting(&end(&json!(["States.ALL"])));
    let token = world.token();
    assert_eq!(world.calls[0].input["Payload"]["token"], json!(token));
    let success = json!({"taskToken": token, "output": "{\"done\":true}"});
    assert_eq!(world.call("SendTaskSuccess", success.clone()).unwrap(), json!({}));
    world.run();
    assert_eq!(world.ended(X).output, json!({"done": true}));
    assert_eq!(world.call("SendTaskSuccess", success).unwrap_err().code, "TaskTimedOut");
    for operation in ["SendTaskFailure", "SendTaskHeartbeat"] {
        assert_eq!(
            world.call(operation, json!({"taskToken": token})).unwrap_err().code,
            "TaskTimedOut"
        );
    }
    assert!(world.states.open_tokens().is_empty());
    assert_eq!(
        world.types(X),
        [
            "ExecutionStarted",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskSubmitted",
            "TaskSucceeded",
            "TaskStateExited",
            "ExecutionSucceeded"
        ]
    );
}

#[test]
fn what_is_not_a_token_or_not_json_is_refused_and_changes_nothing() {
    let mut world = waiting(&end(&json!(["States.ALL"])));
    let token = world.token();
    for operation in ["SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"] {
        let mut request = json!({"taskToken": "garbage"});
        if operation == "SendTaskSuccess" {
            request["output"] = json!("1");
        }
        assert_eq!(world.call(operation, request).unwrap_err().code, "InvalidToken");
    }
    for output in ["", "{", "done"] {
        let request = json!({"taskToken": token, "output": output});
        assert_eq!(
            world.call("SendTaskSuccess", request).unwrap_err().code,
            "InvalidOutput",
            "{output}"
        );
    }
    let long = json!({"taskToken": token, "output": format!("\"{}\"", "x".repeat(262_144))});
    assert_eq!(world.call("SendTaskSuccess", long).unwrap_err().code, "InvalidOutput");
    assert_eq!(world.token(), token);
}

#[test]
fn a_failed_token_fails_its_task_with_the_given_error() {
    let mut world = waiting(&end(&json!(["MigrationFailed"])));
    let token = world.token();
    world
        .call(
            "SendTaskFailure",
            json!({"taskToken": token, "error": "MigrationFailed", "cause": "exit code 1"}),
        )
        .unwrap();
    world.run();
    assert_eq!(
        world.ended(X).output,
        json!({"caught": {"Error": "MigrationFailed", "Cause": "exit code 1"}})
    );
}

#[test]
fn a_time_out_closes_the_token() {
    let mut world = waiting(
        &json!({"End": true, "TimeoutSeconds": 60, "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "B"}]}),
    );
    let token = world.token();
    world.run_for(61);
    assert_eq!(world.ended(X).output["caught"]["Error"], "States.Timeout");
    let late = world
        .call("SendTaskSuccess", json!({"taskToken": token, "output": "1"}))
        .unwrap_err();
    assert_eq!(late.code, "TaskTimedOut");
}

#[test]
fn every_retry_has_a_token_of_its_own() {
    let retry = json!([{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 1}]);
    let mut world = waiting(&json!({"End": true, "TimeoutSeconds": 60, "Retry": retry}));
    let first = world.token();
    world.run_for(61);
    let second = world.token();
    assert_ne!(first, second);
    assert_eq!(
        world
            .call("SendTaskSuccess", json!({"taskToken": first, "output": "1"}))
            .unwrap_err()
            .code,
        "TaskTimedOut"
    );
    world
        .call("SendTaskSuccess", json!({"taskToken": second, "output": "2"}))
        .unwrap();
    world.run();
    assert_eq!(world.ended(X).output, json!(2));
}

#[test]
fn heartbeats_keep_a_task_open_until_they_stop() {
    for (heartbeat_error, name) in [
        (HeartbeatError::HeartbeatTimeout, "States.HeartbeatTimeout"),
        (HeartbeatError::Timeout, "States.Timeout"),
    ] {
        let mut world = Harness::with(Settings {
            heartbeat_error,
            ..Settings::default()
        })
        .lambda("f", &[Answer::Returns(json!(null))]);
        let more = json!({"End": true, "HeartbeatSeconds": 10, "TimeoutSeconds": 100});
        world.create(&json!({"A": callback("f", &more)}));
        world.start(&json!({}));
        let token = world.token();
        for _ in 0..3 {
            world.run_for(9);
            world.call("SendTaskHeartbeat", json!({"taskToken": token})).unwrap();
        }
        world.run();
        assert_eq!((world.ended(X).error.as_str(), world.elapsed_seconds()), (name, 37.0));
    }
}

#[test]
fn heartbeats_do_not_move_the_time_out() {
    let mut world = waiting(&json!({"End": true, "HeartbeatSeconds": 10, "TimeoutSeconds": 25}));
    let token = world.token();
    while world.call("SendTaskHeartbeat", json!({"taskToken": token})).is_ok() {
        world.run_for(5);
    }
    assert_eq!(world.ended(X).error, "States.Timeout");
    assert_eq!(world.elapsed_seconds(), 25.0);
}

#[test]
fn a_token_may_come_back_before_the_function_that_got_it() {
    let mut world = Harness::new().lambda("f", &[Answer::After(5)]);
    world
        .create(&json!({"A": callback("f", &json!({"Next": "B"})), "B": {"Type": "Wait", "Seconds": 20, "End": true}}));
    world.start(&json!({}));
    let token = world.token();
    world
        .call("SendTaskSuccess", json!({"taskToken": token, "output": "1"}))
        .unwrap();
    world.run();
    let ended = world.ended(X);
    assert_eq!(
        (ended.output, ended.path),
        (json!(1), vec!["A".to_owned(), "B".to_owned()])
    );
}

#[test]
fn a_function_that_fails_does_not_leave_its_token_open() {
    let mut world = Harness::new().lambda("f", &[Answer::Throws("StoreFailed")]);
    let ended = world.execute(&json!({"A": callback("f", &json!({"End": true}))}), &json!({}));
    assert_eq!(ended.error, "StoreFailed");
    let token = world.calls[0].input["Payload"]["token"].clone();
    assert_eq!(
        world
            .call("SendTaskSuccess", json!({"taskToken": token, "output": "1"}))
            .unwrap_err()
            .code,
        "TaskTimedOut"
    );
}

#[test]
fn stopping_an_execution_closes_its_tokens() {
    let mut world = waiting(&end(&json!(["States.ALL"])));
    let token = world.token();
    world
        .call(
            "StopExecution",
            json!({"executionArn": X, "error": "Superseded", "cause": "newer"}),
        )
        .unwrap();
    let ended = world.ended(X);
    assert_eq!(
        (ended.status.as_str(), ended.error.as_str(), ended.cause.as_str()),
        ("ABORTED", "Superseded", "newer")
    );
    assert_eq!(
        world
            .call("SendTaskSuccess", json!({"taskToken": token, "output": "1"}))
            .unwrap_err()
            .code,
        "TaskTimedOut"
    );
    world.run_for(3600);
    assert_eq!(world.types(X).last().unwrap(), "ExecutionAborted");
}
