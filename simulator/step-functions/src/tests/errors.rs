use serde_json::json;

use super::harness::{Answer, Harness, task, with};
use crate::Settings;

const X: &str = "arn:aws:states:us-east-1:123456789012:execution:m:x";

#[test]
fn retries_wait_longer_each_time_and_are_counted() {
    let mut world = Harness::new().lambda("f", &[Answer::Throws("Busy"), Answer::Throws("Busy"), Answer::Echo]);
    let retry = json!([{"ErrorEquals": ["Busy"], "IntervalSeconds": 5, "BackoffRate": 3.0, "MaxAttempts": 2}]);
    let output = "{% $states.context.State.RetryCount %}";
    let ended = world.execute(
        &json!({"A": task("f", &json!({"Retry": retry, "Output": output, "End": true}))}),
        &json!({}),
    );
    assert_eq!(ended.output, json!(2));
    assert_eq!(world.elapsed_seconds(), 20.0);
    assert_eq!(world.states.transitions(X), 3);
    let types = world.types(X);
    assert_eq!(types.iter().filter(|kind| *kind == "TaskStateEntered").count(), 1);
    assert_eq!(types.iter().filter(|kind| *kind == "TaskFailed").count(), 2);
}

#[test]
fn retries_that_are_used_up_leave_the_error_to_the_catcher() {
    let mut world = Harness::new().lambda("f", &[Answer::Throws("Busy")]);
    let ended = world.execute(
        &json!({
            "A": task("f", &json!({
                "Retry": [{"ErrorEquals": ["Busy"], "MaxAttempts": 1}],
                "Catch": [{"ErrorEquals": ["Other"], "Next": "Wrong"},
                          {"ErrorEquals": ["States.ALL"], "Next": "B", "Assign": {"error": "{% $states.errorOutput.Error %}"},
                           "Output": {"was": "{% $states.input %}", "cause": "{% $parse($states.errorOutput.Cause).errorMessage %}"}}],
                "End": true})),
            "B": {"Type": "Pass", "Output": "{% [$error, $states.input.was, $states.input.cause] %}", "End": true},
            "Wrong": {"Type": "Fail"},
        }),
        &json!("in"),
    );
    assert_eq!(ended.output, json!(["Busy", "in", "no"]));
    assert_eq!(world.calls.len(), 2);
}

#[test]
fn errors_that_nobody_catches_fail_the_execution_with_their_names() {
    for (answer, error) in [
        (Answer::Throws("LockHeld"), "LockHeld"),
        (
            Answer::Refuses("TooManyRequestsException"),
            "Lambda.TooManyRequestsException",
        ),
        (Answer::Refuses("AccessDeniedException"), "Lambda.AWSLambdaException"),
    ] {
        let mut world = Harness::new().lambda("f", &[answer]);
        let ended = world.execute(&json!({"A": task("f", &json!({"End": true}))}), &json!({}));
        assert_eq!((ended.status.as_str(), ended.error.as_str()), ("FAILED", error));
        assert_eq!(world.types(X).last().unwrap(), "ExecutionFailed");
    }
}

#[test]
fn a_fail_state_names_its_error() {
    let fail = json!({"Type": "Fail", "Error": "Refused", "Cause": "{% 'because of ' & $states.input %}"});
    let ended = Harness::new().execute(&json!({"A": fail}), &json!("you"));
    assert_eq!(
        (ended.error.as_str(), ended.cause.as_str()),
        ("Refused", "because of you")
    );
}

#[test]
fn nothing_in_a_template_is_an_error_that_a_task_can_catch_and_a_pass_cannot() {
    let caught = json!({
        "A": task("f", &json!({"Output": "{% $states.result.Payload.missing %}", "End": true,
            "Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}]})),
        "B": {"Type": "Pass", "Output": "{% $states.input.Cause %}", "End": true},
    });
    let ended = Harness::new().lambda("f", &[Answer::Echo]).execute(&caught, &json!({}));
    assert!(
        ended.output.as_str().unwrap().contains("returned nothing (undefined)"),
        "{ended:?}"
    );
    let mut world = Harness::new();
    let ended = world.execute(
        &json!({"A": {"Type": "Pass", "Output": {"deep": ["{% $nobody %}"]}, "End": true}}),
        &json!({}),
    );
    assert_eq!(ended.error, "States.QueryEvaluationError");
    let history = world.history(X);
    let event = history
        .iter()
        .find(|event| event["type"] == "EvaluationFailed")
        .unwrap();
    assert_eq!(event["evaluationFailedEventDetails"]["location"], "Output/deep[0]");
    assert_eq!(event["evaluationFailedEventDetails"]["state"], "A");
}

#[test]
fn a_payload_over_the_limit_is_not_caught_by_a_wildcard() {
    let settings = Settings {
        payload_bytes: 1000,
        ..Settings::default()
    };
    let catch = json!([{"ErrorEquals": ["States.ALL"], "Next": "B"}]);
    let retry = json!([{"ErrorEquals": ["States.ALL"]}]);
    for (answer, output) in [
        (Answer::Returns(json!("x".repeat(1001))), "{% $states.result %}"),
        (
            Answer::Echo,
            "{% $join($map($range(1, 600, 1), function($n) { 'xx' })) %}",
        ),
    ] {
        let mut world = Harness::with(settings.clone()).lambda("f", &[answer]);
        let ended = world.execute(
            &json!({"A": task("f", &json!({"Catch": catch, "Retry": retry, "Output": output, "End": true})), "B": {"Type": "Succeed"}}),
            &json!({}),
        );
        assert_eq!(
            (ended.status.as_str(), ended.error.as_str()),
            ("FAILED", "States.DataLimitExceeded")
        );
        assert_eq!(world.calls.len(), 1);
    }
}

#[test]
fn an_answer_after_the_time_out_comes_too_late() {
    let mut world = Harness::new().lambda("f", &[Answer::After(30)]);
    let ended = world.execute(
        &json!({
            "A": task("f", &json!({"TimeoutSeconds": "{% $states.input.limit %}", "End": true,
                "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Wrong"}, {"ErrorEquals": ["States.Timeout"], "Next": "B"}]})),
            "B": {"Type": "Wait", "Seconds": 60, "Next": "C"},
            "C": {"Type": "Pass", "Output": "{% $states.input.Error %}", "End": true},
            "Wrong": {"Type": "Fail"},
        }),
        &json!({"limit": 10}),
    );
    assert_eq!(ended.output, json!("States.Timeout"));
    assert_eq!(ended.path, ["A", "B", "C"]);
    assert_eq!(world.elapsed_seconds(), 70.0);
    assert!(world.types(X).contains(&"TaskTimedOut".to_owned()));
}

#[test]
fn an_execution_has_a_time_out_of_its_own_that_nothing_catches() {
    let mut world = Harness::new().lambda("f", &[Answer::Never]);
    let catch = json!([{"ErrorEquals": ["States.ALL"], "Next": "B"}]);
    world.create_definition(&json!({"QueryLanguage": "JSONata", "TimeoutSeconds": 5, "StartAt": "A",
        "States": {"A": task("f", &json!({"Catch": catch, "End": true})), "B": {"Type": "Succeed"}}}));
    world.start(&json!({}));
    world.run();
    let ended = world.ended(X);
    assert_eq!((ended.status.as_str(), world.elapsed_seconds()), ("TIMED_OUT", 5.0));
    assert_eq!(ended.path, ["A"]);
    assert_eq!(world.types(X).last().unwrap(), "ExecutionTimedOut");
}

#[test]
fn an_argument_that_the_integration_does_not_know_ends_the_execution_past_every_catcher() {
    let state = with(
        task(
            "f",
            &json!({"End": true, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}),
        ),
        &json!({"Arguments": {"FunctionName": "f", "LogType": "Tail"}}),
    );
    let ended = Harness::new().execute(&json!({"A": state, "B": {"Type": "Succeed"}}), &json!({}));
    assert_eq!(ended.error, "States.Runtime");
    assert!(ended.cause.contains("`LogType`"), "{}", ended.cause);
}
