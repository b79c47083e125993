use serde_json::{Value, json};
use simulator_kernel::{Authorization, Principal, Request, RequestId, Service};

use super::harness::{Answer, Harness, MACHINE, ROLE, task};

const X: &str = "arn:aws:states:us-east-1:123456789012:execution:m:x";

fn waiting() -> Harness {
    let mut world = Harness::new();
    world.create(&json!({"A": {"Type": "Wait", "Seconds": 60, "End": true}}));
    world
}

fn start(name: &str, input: &str) -> Value {
    json!({"stateMachineArn": MACHINE, "name": name, "input": input})
}

#[test]
fn a_repeated_start_is_the_same_execution_only_while_it_runs_with_the_same_input() {
    let mut world = waiting();
    let first = world.call("StartExecution", start("x", "{\"a\":1}")).unwrap();
    world.run_for(10);
    assert_eq!(world.call("StartExecution", start("x", "{\"a\":1}")).unwrap(), first);
    for input in ["{\"a\":2}", "{\"a\": 1}"] {
        assert_eq!(
            world.call("StartExecution", start("x", input)).unwrap_err().code,
            "ExecutionAlreadyExists"
        );
    }
    world.run();
    assert_eq!(
        world.call("StartExecution", start("x", "{\"a\":1}")).unwrap_err().code,
        "ExecutionAlreadyExists"
    );
    assert_eq!(world.states.path(X), ["A"]);
}

#[test]
fn a_name_is_free_again_ninety_days_after_the_end() {
    let mut world = waiting();
    world.call("StartExecution", start("x", "{}")).unwrap();
    world.run();
    world.run_for(90 * 86_400 - 1);
    assert_eq!(
        world.call("StartExecution", start("x", "{}")).unwrap_err().code,
        "ExecutionAlreadyExists"
    );
    world.run_for(1);
    assert_eq!(
        world
            .call("DescribeExecution", json!({"executionArn": X}))
            .unwrap_err()
            .code,
        "ExecutionDoesNotExist"
    );
    world.call("StartExecution", start("x", "{}")).unwrap();
    assert_eq!(world.states.executions(), [X]);
}

#[test]
fn bad_starts_are_refused_by_name() {
    let mut world = waiting();
    for (request, code) in [
        (start("a b", "{}"), "InvalidName"),
        (start("x", "{"), "InvalidExecutionInput"),
        (
            start("x", &format!("\"{}\"", "x".repeat(262_144))),
            "ValidationException",
        ),
        (
            json!({"stateMachineArn": format!("{MACHINE}2")}),
            "StateMachineDoesNotExist",
        ),
        (json!({"stateMachineArn": "m"}), "InvalidArn"),
        (json!({}), "ValidationException"),
        (
            json!({"stateMachineArn": MACHINE, "traceHeader": "Root=1"}),
            "UnsupportedBySimulatorException",
        ),
    ] {
        assert_eq!(
            world.call("StartExecution", request.clone()).unwrap_err().code,
            code,
            "{request}"
        );
    }
    assert!(world.states.executions().is_empty());
}

#[test]
fn an_execution_without_a_name_gets_one() {
    let mut world = waiting();
    let one = world
        .call("StartExecution", json!({"stateMachineArn": MACHINE}))
        .unwrap();
    let two = world
        .call("StartExecution", json!({"stateMachineArn": MACHINE}))
        .unwrap();
    assert_ne!(one["executionArn"], two["executionArn"]);
    let description = world
        .call("DescribeExecution", json!({"executionArn": one["executionArn"]}))
        .unwrap();
    assert_eq!(description["input"], "{}");
    assert_eq!(description["name"].as_str().unwrap().len(), 36);
}

#[test]
fn state_machines_are_created_once_and_updated() {
    let mut world = waiting();
    let created = world
        .call("DescribeStateMachine", json!({"stateMachineArn": MACHINE}))
        .unwrap();
    let same = json!({"name": "m", "definition": created["definition"], "roleArn": ROLE});
    assert_eq!(
        world.call("CreateStateMachine", same).unwrap()["stateMachineArn"],
        MACHINE
    );
    let definition =
        json!({"QueryLanguage": "JSONata", "StartAt": "Z", "States": {"Z": {"Type": "Succeed"}}}).to_string();
    let other = json!({"name": "m", "definition": definition, "roleArn": ROLE});
    assert_eq!(
        world.call("CreateStateMachine", other).unwrap_err().code,
        "StateMachineAlreadyExists"
    );
    world.call("StartExecution", start("old", "{}")).unwrap();
    world.run_for(1);
    world
        .call(
            "UpdateStateMachine",
            json!({"stateMachineArn": MACHINE, "definition": definition}),
        )
        .unwrap();
    world.call("StartExecution", start("new", "{}")).unwrap();
    world.run();
    assert_eq!(world.states.path(&X.replace(":x", ":old")), ["A"]);
    assert_eq!(world.states.path(&X.replace(":x", ":new")), ["Z"]);
    let list = world.call("ListStateMachines", json!({})).unwrap();
    assert_eq!(list["stateMachines"][0]["name"], "m");
}

#[test]
fn definitions_that_cannot_run_are_not_created() {
    let mut world = Harness::new();
    let create = |states: Value| {
        let definition = json!({"QueryLanguage": "JSONata", "StartAt": "A", "States": states});
        json!({"name": "m", "definition": definition.to_string(), "roleArn": ROLE})
    };
    let sync = json!({"A": {"Type": "Task", "Resource": "arn:aws:states:::ecs:runTask.sync", "End": true}});
    let error = world.call("CreateStateMachine", create(sync)).unwrap_err();
    assert_eq!(error.code, "UnsupportedBySimulatorException");
    assert!(error.message.contains("state `A`"), "{}", error.message);
    let dangling = json!({"A": {"Type": "Pass", "Next": "B"}});
    assert_eq!(
        world.call("CreateStateMachine", create(dangling)).unwrap_err().code,
        "InvalidDefinition"
    );
    assert_eq!(
        world
            .call("DescribeStateMachine", json!({"stateMachineArn": MACHINE}))
            .unwrap_err()
            .code,
        "StateMachineDoesNotExist"
    );
}

#[test]
fn executions_are_listed_newest_first_in_pages() {
    let mut world = waiting();
    for name in ["one", "two", "three"] {
        world.call("StartExecution", start(name, "{}")).unwrap();
        world.run_for(30);
    }
    let names = |answer: &Value| -> Vec<String> {
        answer["executions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let page = world
        .call("ListExecutions", json!({"stateMachineArn": MACHINE, "maxResults": 2}))
        .unwrap();
    assert_eq!(names(&page), ["three", "two"]);
    let next = json!({"stateMachineArn": MACHINE, "maxResults": 2, "nextToken": page["nextToken"]});
    let page = world.call("ListExecutions", next).unwrap();
    assert_eq!(names(&page), ["one"]);
    assert!(page.get("nextToken").is_none());
    let done = world
        .call(
            "ListExecutions",
            json!({"stateMachineArn": MACHINE, "statusFilter": "SUCCEEDED"}),
        )
        .unwrap();
    assert_eq!(names(&done), ["two", "one"]);
    let garbage = json!({"stateMachineArn": MACHINE, "nextToken": "garbage"});
    assert_eq!(world.call("ListExecutions", garbage).unwrap_err().code, "InvalidToken");
}

#[test]
fn the_history_has_the_shape_of_aws() {
    let mut world = Harness::new().lambda("f", &[Answer::Returns(json!(1))]);
    world.execute(
        &json!({"A": task("f", &json!({"TimeoutSeconds": 9, "Assign": {"x": 2}, "End": true}))}),
        &json!({"a": 1}),
    );
    let history = world.history(X);
    assert_eq!(
        history[0],
        json!({"timestamp": 1_793_610_000.0, "type": "ExecutionStarted", "id": 1, "previousEventId": 0,
            "executionStartedEventDetails": {"input": "{\"a\":1}", "inputDetails": {"truncated": false}, "roleArn": ROLE}})
    );
    assert_eq!(
        history[2]["taskScheduledEventDetails"],
        json!({"resourceType": "lambda", "resource": "invoke", "region": "us-east-1", "timeoutInSeconds": 9,
            "parameters": "{\"FunctionName\":\"f\",\"Payload\":{\"a\":1}}"})
    );
    let exited = &history[5];
    assert_eq!((&exited["id"], &exited["previousEventId"]), (&json!(6), &json!(5)));
    assert_eq!(
        exited["stateExitedEventDetails"],
        json!({"name": "A", "output": "{\"ExecutedVersion\":\"$LATEST\",\"Payload\":1,\"StatusCode\":200}",
            "outputDetails": {"truncated": false}, "assignedVariables": {"x": "2"},
            "assignedVariablesDetails": {"truncated": false}})
    );
    let reverse = json!({"executionArn": X, "reverseOrder": true, "maxResults": 1});
    let last = world.call("GetExecutionHistory", reverse).unwrap();
    assert_eq!(last["events"][0]["type"], "ExecutionSucceeded");
    assert_eq!(last["nextToken"], "page-1");
}

#[test]
fn iterations_have_events_of_their_own() {
    let mut world = Harness::new();
    world.execute(
        &json!({"A": {"Type": "Map", "End": true, "MaxConcurrency": 1,
            "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Succeed"}}}}}),
        &json!([1, 2]),
    );
    let one = [
        "MapIterationStarted",
        "SucceedStateEntered",
        "SucceedStateExited",
        "MapIterationSucceeded",
    ];
    let mut expected = vec!["ExecutionStarted", "MapStateEntered", "MapStateStarted"];
    expected.extend(one.iter().chain(&one));
    expected.extend(["MapStateSucceeded", "MapStateExited", "ExecutionSucceeded"]);
    assert_eq!(world.types(X), expected);
    let history = world.history(X);
    assert_eq!(history[2]["mapStateStartedEventDetails"], json!({"length": 2}));
    assert_eq!(
        history[7]["mapIterationStartedEventDetails"],
        json!({"name": "A", "index": 1})
    );
}

#[test]
fn status_changes_are_events() {
    let mut world = waiting();
    world.start(&json!({"a": 1}));
    world.run();
    let [begun, ended] = world.events.as_slice() else {
        panic!("{:?}", world.events)
    };
    for event in [begun, ended] {
        assert_eq!(event["source"], "aws.states");
        assert_eq!(event["detail-type"], "Step Functions Execution Status Change");
        assert_eq!(event["resources"], json!([X]));
    }
    assert_eq!(begun["detail"]["status"], "RUNNING");
    assert_eq!(
        (&begun["detail"]["stopDate"], &begun["detail"]["output"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        ended["detail"],
        json!({"executionArn": X, "stateMachineArn": MACHINE, "name": "x", "status": "SUCCEEDED",
            "startDate": 1_793_610_000_000_i64, "stopDate": 1_793_610_060_000_i64,
            "input": "{\"a\":1}", "inputDetails": {"included": true}, "output": "{\"a\":1}", "outputDetails": {"included": true},
            "error": null, "cause": null, "stateMachineVersionArn": null, "stateMachineAliasArn": null,
            "redriveCount": 0, "redriveDate": null})
    );
}

#[test]
fn stopping_twice_keeps_the_first_stop() {
    let mut world = waiting();
    world.start(&json!({}));
    world.run_for(5);
    let first = world.call("StopExecution", json!({"executionArn": X})).unwrap();
    world.run_for(5);
    assert_eq!(world.call("StopExecution", json!({"executionArn": X})).unwrap(), first);
    assert_eq!(world.ended(X).status, "ABORTED");
}

#[test]
fn a_deleted_machine_is_gone_and_what_runs_goes_on() {
    let mut world = waiting();
    world.start(&json!({}));
    let machine = json!({"stateMachineArn": MACHINE});
    for _ in 0..2 {
        assert_eq!(world.call("DeleteStateMachine", machine.clone()).unwrap(), json!({}));
    }
    let gone = world.call("DescribeStateMachine", machine).unwrap_err();
    assert_eq!(gone.code, "StateMachineDoesNotExist");
    assert_eq!(
        world.call("StartExecution", start("y", "{}")).unwrap_err().code,
        "StateMachineDoesNotExist"
    );
    world.run();
    assert_eq!(world.ended(X).status, "SUCCEEDED");
}

#[test]
fn tags_of_a_machine_are_added_and_removed_by_key() {
    let mut world = waiting();
    let tag = |value: &str| json!({"resourceArn": MACHINE, "tags": [{"key": "team", "value": value}]});
    world.call("TagResource", tag("one")).unwrap();
    world.call("TagResource", tag("two")).unwrap();
    let listed = |world: &mut Harness| {
        world
            .call("ListTagsForResource", json!({"resourceArn": MACHINE}))
            .unwrap()
    };
    assert_eq!(listed(&mut world), json!({"tags": [{"key": "team", "value": "two"}]}));
    world
        .call("UntagResource", json!({"resourceArn": MACHINE, "tagKeys": ["team"]}))
        .unwrap();
    assert_eq!(listed(&mut world), json!({"tags": []}));
}

#[test]
fn what_is_wrong_with_a_definition_is_a_diagnostic() {
    let mut world = waiting();
    let mut result = |definition: &str| {
        let answer = world
            .call("ValidateStateMachineDefinition", json!({"definition": definition}))
            .unwrap();
        answer["result"].as_str().unwrap().to_owned()
    };
    let sound = r#"{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}"#;
    assert_eq!(result(sound), "OK");
    assert_eq!(
        result(&sound.replace("\"StartAt\": \"A\"", "\"StartAt\": \"B\"")),
        "FAIL"
    );
}

#[test]
fn what_is_not_implemented_says_so() {
    let mut world = waiting();
    for operation in ["RedriveExecution", "TestState", "CreateActivity", "StartSyncExecution"] {
        assert_eq!(
            world.call(operation, json!({})).unwrap_err().code,
            "UnsupportedBySimulatorException"
        );
    }
}

#[test]
fn permissions_name_the_resource_of_the_operation() {
    let world = waiting();
    for (operation, input, resource) in [
        ("StartExecution", json!({"stateMachineArn": MACHINE}), MACHINE),
        ("ListExecutions", json!({"stateMachineArn": MACHINE}), MACHINE),
        ("CreateStateMachine", json!({"name": "m"}), MACHINE),
        ("DescribeExecution", json!({"executionArn": X}), X),
        ("StopExecution", json!({"executionArn": X}), X),
        ("GetExecutionHistory", json!({"executionArn": X}), X),
        ("ListStateMachines", json!({}), "*"),
    ] {
        let request = request(operation, input);
        let expected = [Authorization::new(format!("states:{operation}"), resource)];
        assert_eq!(world.states.authorizations(&request, &world.kernel), expected);
    }
    // A token of no machine names no resource: the operation itself says that it is not valid.
    let unknown = request("SendTaskSuccess", json!({"taskToken": "no token", "output": "1"}));
    assert_eq!(world.states.authorizations(&unknown, &world.kernel), []);
}

fn request(operation: &str, input: Value) -> Request {
    Request {
        access_key_id: None,
        id: RequestId(1),
        operation: operation.to_owned(),
        input,
        principal: Principal::Administrator,
    }
}
