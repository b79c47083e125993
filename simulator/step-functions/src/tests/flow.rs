use serde_json::{Value, json};
use simulator_kernel::Principal;

use super::harness::{Answer, Harness, MACHINE, task, with};
use crate::Settings;

#[test]
fn a_lambda_is_called_by_the_machines_role_and_its_result_goes_on() {
    let mut world = Harness::new().lambda("f", &[Answer::Returns(json!({"id": 7}))]);
    let ended = world.execute(
        &json!({
            "A": task("f", &json!({"Output": {"got": "{% $states.result %}"}, "Assign": {"id": "{% $states.result.Payload.id %}"}, "Next": "B"})),
            "B": {"Type": "Pass", "Output": {"before": "{% $states.input.got.StatusCode %}", "id": "{% $id %}"}, "End": true},
        }),
        &json!({"name": "catalog"}),
    );
    assert_eq!(ended.output, json!({"before": 200, "id": 7}));
    assert_eq!(ended.path, ["A", "B"]);
    let call = &world.calls[0];
    assert_eq!(call.principal, Principal::Role("release".to_owned()));
    assert_eq!(
        call.input,
        json!({"FunctionName": "f", "InvocationType": "RequestResponse", "Payload": {"name": "catalog"}})
    );
}

#[test]
fn a_function_as_the_resource_gives_its_payload_alone() {
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
    let mut world = Harness::new().lambda(arn, &[Answer::Returns(json!([1]))]);
    let ended = world.execute(
        &json!({"A": {"Type": "Task", "Resource": arn, "End": true}}),
        &json!({}),
    );
    assert_eq!(ended.output, json!([1]));
    let types = world.types("arn:aws:states:us-east-1:123456789012:execution:m:x");
    assert_eq!(
        types[2..5],
        [
            "LambdaFunctionScheduled",
            "LambdaFunctionStarted",
            "LambdaFunctionSucceeded"
        ]
    );
}

#[test]
fn assign_and_output_see_the_variables_as_they_were_on_entry() {
    let ended = Harness::new().execute(
        &json!({
            "A": {"Type": "Pass", "Assign": {"x": 1, "y": 10}, "Next": "B"},
            "B": {"Type": "Pass", "Assign": {"x": "{% $y %}", "y": "{% $x %}"}, "Output": "{% [$x, $y] %}", "Next": "C"},
            "C": {"Type": "Pass", "Output": "{% [$states.input, $x, $y] %}", "End": true},
        }),
        &json!({}),
    );
    assert_eq!(ended.output, json!([1, 10, 10, 1]));
}

#[test]
fn inner_scopes_read_outer_variables_and_keep_their_own() {
    let inner = |name: &str| {
        json!({"StartAt": name, "States": {
            name: {"Type": "Pass", "Assign": {"inner": "{% $outer + $states.input %}"}, "Next": format!("{name}2")},
            format!("{name}2"): {"Type": "Pass", "Output": "{% $inner %}", "End": true},
        }})
    };
    let ended = Harness::new().execute(
        &json!({
            "A": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "B"},
            "B": {"Type": "Parallel", "Branches": [inner("I"), inner("J")], "Next": "C"},
            "C": {"Type": "Pass", "Output": {"results": "{% $states.input %}", "leaked": "{% $exists($inner) %}"}, "End": true},
        }),
        &json!(5),
    );
    assert_eq!(ended.output, json!({"results": [6, 6], "leaked": false}));
}

#[test]
fn a_choice_takes_the_first_rule_that_holds_or_its_default() {
    let states = json!({
        "A": {"Type": "Choice", "Assign": {"by": "default"}, "Output": "none", "Default": "End",
            "Choices": [
                {"Condition": "{% $states.input > 10 %}", "Next": "End", "Assign": {"by": "first"}},
                {"Condition": "{% $states.input > 5 %}", "Next": "End", "Assign": {"by": "second"}, "Output": "five"},
            ]},
        "End": {"Type": "Succeed", "Output": "{% [$by, $states.input] %}"},
    });
    for (input, output) in [
        (11, json!(["first", 11])),
        (6, json!(["second", "five"])),
        (1, json!(["default", "none"])),
    ] {
        assert_eq!(Harness::new().execute(&states, &json!(input)).output, output);
    }
}

#[test]
fn a_choice_without_default_or_without_a_boolean_fails() {
    let states = |condition: &str| {
        json!({
        "A": {"Type": "Choice", "Choices": [{"Condition": condition, "Next": "End"}]}, "End": {"Type": "Succeed"}})
    };
    assert_eq!(
        Harness::new().execute(&states("{% false %}"), &json!({})).error,
        "States.NoChoiceMatched"
    );
    let ended = Harness::new().execute(&states("{% 'yes' %}"), &json!({}));
    assert_eq!(ended.error, "States.QueryEvaluationError");
    assert!(ended.cause.contains("Choices[0]/Condition"), "{}", ended.cause);
}

#[test]
fn waits_last_as_long_as_they_say() {
    for (fields, seconds) in [
        (json!({"Seconds": 90}), 90.0),
        (json!({"Seconds": "{% $states.input.soak * 2 %}"}), 60.0),
        (json!({"Timestamp": "2026-11-02T09:01:00Z"}), 60.0),
        (json!({"Timestamp": "{% $fromMillis($millis() + 1500) %}"}), 1.5),
        (json!({"Timestamp": "2026-11-01T00:00:00Z"}), 0.0),
    ] {
        let mut world = Harness::new();
        let ended = world.execute(
            &json!({"A": with(json!({"Type": "Wait", "End": true}), &fields)}),
            &json!({"soak": 30}),
        );
        assert_eq!(
            (ended.status.as_str(), world.elapsed_seconds()),
            ("SUCCEEDED", seconds),
            "{fields}"
        );
    }
    let states = json!({"A": {"Type": "Wait", "Seconds": "{% -1 %}", "End": true}});
    assert_eq!(
        Harness::new().execute(&states, &json!({})).error,
        "States.QueryEvaluationError"
    );
}

fn map(concurrency: u64) -> Value {
    json!({"A": {"Type": "Map", "Items": "{% $states.input.items %}", "MaxConcurrency": concurrency, "End": true,
        "ItemSelector": {"index": "{% $states.context.Map.Item.Index %}", "value": "{% $states.context.Map.Item.Value %}"},
        "ItemProcessor": {"StartAt": "I", "States": {
            "I": {"Type": "Wait", "Seconds": 10, "Next": "J"},
            "J": {"Type": "Pass", "End": true, "Output": "{% [$states.input.index, $states.context.Map.Item.Value] %}"}}}}})
}

#[test]
fn a_map_keeps_its_results_in_order_and_its_concurrency() {
    for (concurrency, seconds) in [(1, 30.0), (2, 20.0), (0, 10.0)] {
        let mut world = Harness::new();
        let ended = world.execute(&map(concurrency), &json!({"items": ["a", "b", "c"]}));
        assert_eq!(ended.output, json!([[0, "a"], [1, "b"], [2, "c"]]));
        assert_eq!(world.elapsed_seconds(), seconds);
        if concurrency == 1 {
            assert_eq!(ended.path, ["A", "I", "J", "I", "J", "I", "J"]);
        }
    }
    assert_eq!(Harness::new().execute(&map(0), &json!({"items": []})).output, json!([]));
    assert_eq!(
        Harness::new().execute(&map(0), &json!({"items": 1})).error,
        "States.QueryEvaluationError"
    );
}

#[test]
fn one_failing_branch_ends_its_siblings_and_can_be_caught_around_them() {
    let mut world = Harness::new()
        .lambda("bad", &[Answer::Throws("Broken")])
        .lambda("slow", &[Answer::Never]);
    let ended = world.execute(
        &json!({
            "A": {"Type": "Parallel", "End": true, "Catch": [{"ErrorEquals": ["Broken"], "Next": "Caught"}], "Branches": [
                {"StartAt": "Slow", "States": {"Slow": task("slow", &json!({"End": true}))}},
                {"StartAt": "Bad", "States": {"Bad": task("bad", &json!({"End": true}))}}]},
            "Caught": {"Type": "Pass", "Output": "{% $states.input.Error %}", "End": true},
        }),
        &json!({}),
    );
    assert_eq!(ended.output, json!("Broken"));
    assert_eq!(world.elapsed_seconds(), 0.0);
    let types = world.types("arn:aws:states:us-east-1:123456789012:execution:m:x");
    assert!(types.contains(&"TaskStateAborted".to_owned()), "{types:?}");
    assert!(types.contains(&"ParallelStateFailed".to_owned()), "{types:?}");
    world.run_for(10);
}

#[test]
fn the_context_object_says_who_runs() {
    let ended = Harness::new().execute(
        &json!({"A": {"Type": "Pass", "Output": "{% $states.context %}", "End": true}}),
        &json!({"a": 1}),
    );
    let arn = "arn:aws:states:us-east-1:123456789012:execution:m:x";
    assert_eq!(
        ended.output,
        json!({
            "Execution": {"Id": arn, "Input": {"a": 1}, "Name": "x", "RoleArn": super::harness::ROLE,
                "StartTime": "2026-11-02T09:00:00.000Z", "RedriveCount": 0},
            "StateMachine": {"Id": MACHINE, "Name": "m"},
            "State": {"Name": "A", "EnteredTime": "2026-11-02T09:00:00.000Z", "RetryCount": 0},
        })
    );
}

#[test]
fn a_machine_can_start_another_execution() {
    let mut world = Harness::new();
    world
        .call(
            "CreateStateMachine",
            json!({"name": "child", "roleArn": super::harness::ROLE, "definition": json!({
            "QueryLanguage": "JSONata", "StartAt": "C", "States": {"C": {"Type": "Succeed"}}}).to_string()}),
        )
        .unwrap();
    let child = MACHINE.replace(":m", ":child");
    let ended = world.execute(
        &json!({"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "End": true,
            "Arguments": {"StateMachineArn": child, "Name": "one", "Input": {"a": 1}}, "Output": "{% $states.result.ExecutionArn %}"}}),
        &json!({}),
    );
    let arn = ended.output.as_str().unwrap().to_owned();
    assert_eq!(world.ended(&arn).output, json!({"a": 1}));
}

#[test]
fn an_endless_loop_ends_at_the_history_quota() {
    let mut world = Harness::with(Settings {
        history_events: 100,
        ..Settings::default()
    });
    let ended = world.execute(
        &json!({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "A"}]}}),
        &json!({}),
    );
    assert_eq!(
        (ended.status.as_str(), ended.error.as_str()),
        ("FAILED", "States.Runtime")
    );
    let history = world.history("arn:aws:states:us-east-1:123456789012:execution:m:x");
    assert_eq!(history.len(), 100);
    assert_eq!(history[99]["type"], "ExecutionFailed");
}

#[test]
fn one_seed_gives_one_history() {
    let run = || {
        let mut world = Harness::new().lambda("f", &[Answer::Throws("A"), Answer::Throws("A"), Answer::Echo]);
        let retry = json!([{"ErrorEquals": ["A"], "JitterStrategy": "FULL", "MaxAttempts": 5}]);
        let ended = world.execute(
            &json!({"A": task("f", &json!({"Retry": retry, "Output": "{% [$uuid(), $random()] %}", "End": true}))}),
            &json!({}),
        );
        (
            ended,
            world.history("arn:aws:states:us-east-1:123456789012:execution:m:x"),
        )
    };
    assert_eq!(run(), run());
}

#[test]
fn an_iteration_too_large_to_start_fails_its_map() {
    let mut world = Harness::with(Settings {
        payload_bytes: 100,
        ..Settings::default()
    });
    let selector = "{% $join($map($range(1, 60, 1), function($n) { 'xx' })) %}";
    let ended = world.execute(
        &json!({"A": {"Type": "Map", "ItemSelector": selector, "End": true,
            "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Succeed"}}}}}),
        &json!([1]),
    );
    assert_eq!(
        (ended.error.as_str(), ended.path.len()),
        ("States.DataLimitExceeded", 1)
    );
}
