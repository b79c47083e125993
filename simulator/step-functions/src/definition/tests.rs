use serde_json::{Value, json};

use super::*;

fn parse(definition: &Value) -> Result<Definition, DefinitionError> {
    Definition::parse(&definition.to_string())
}

fn machine(states: &Value) -> Value {
    json!({"QueryLanguage": "JSONata", "StartAt": "A", "States": states})
}

#[test]
fn every_supported_field_is_read() {
    let definition = parse(&json!({
        "QueryLanguage": "JSONata", "Comment": "c", "Version": "1.0", "TimeoutSeconds": 60, "StartAt": "Call",
        "States": {
            "Call": {
                "Type": "Task", "Comment": "calls", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                "Arguments": {"FunctionName": "f", "Payload": {"token": "{% $states.context.Task.Token %}"}},
                "TimeoutSeconds": "{% $states.input.timeout %}", "HeartbeatSeconds": 5,
                "Retry": [{"ErrorEquals": ["A"], "IntervalSeconds": 2, "MaxAttempts": 4, "BackoffRate": 1.5,
                           "MaxDelaySeconds": 9, "JitterStrategy": "FULL"}, {"ErrorEquals": ["States.ALL"]}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Stop", "Assign": {"error": "{% $states.errorOutput %}"},
                           "Output": {}}],
                "Assign": {"answer": "{% $states.result %}"}, "Output": "{% $states.result %}", "Next": "Many",
            },
            "Many": {
                "Type": "Map", "Items": "{% $answer %}", "ItemSelector": {"item": "{% $states.context.Map.Item.Value %}"},
                "MaxConcurrency": 1, "Next": "Which",
                "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Nap",
                    "States": {"Nap": {"Type": "Wait", "Seconds": 3, "End": true}}},
            },
            "Which": {"Type": "Choice", "Default": "Both",
                "Choices": [{"Condition": "{% $answer = 1 %}", "Next": "Stop", "Assign": {"why": "one"}, "Output": 1}]},
            "Both": {"Type": "Parallel", "Arguments": {}, "End": true, "Branches": [
                {"StartAt": "Do", "States": {"Do": {"Type": "Pass", "Output": 1, "End": true}}},
                {"StartAt": "Done", "States": {"Done": {"Type": "Succeed", "Output": 2}}}]},
            "Stop": {"Type": "Fail", "Error": "Stopped", "Cause": "{% $why %}"},
        }
    }))
    .unwrap();
    assert_eq!(definition.timeout_seconds, Some(60));
    let call = &definition.flow.states["Call"];
    assert_eq!(call.successors(), ["Stop", "Many"]);
    assert_eq!(call.assigned().collect::<Vec<_>>(), ["answer", "error"]);
    let Kind::Task(task) = &call.kind else {
        panic!("not a task")
    };
    assert_eq!(
        task.resource,
        Resource {
            action: Action::LambdaInvoke,
            wait_for_task_token: true
        }
    );
    assert_eq!(call.recovery.retry[0].max_delay_seconds, Some(9));
    assert_eq!(
        call.recovery.retry[1],
        Retrier {
            error_equals: vec!["States.ALL".to_owned()],
            interval_seconds: 1,
            max_attempts: 3,
            backoff_rate: 2.0,
            max_delay_seconds: None,
            jitter: false
        }
    );
    assert_eq!(
        definition.flow.inner().map(|(name, _)| name).collect::<Vec<_>>(),
        ["Both", "Both", "Many"]
    );
}

#[test]
fn what_is_not_understood_is_refused_with_the_state_it_is_in() {
    let lambda = "arn:aws:states:::lambda:invoke";
    for (state, message) in [
        (
            json!({"Type": "Pass", "End": true, "ResultPath": "$"}),
            "state `A`: field `ResultPath` is not supported here",
        ),
        (
            json!({"Type": "Nap", "End": true}),
            "state `A`: state type `Nap` is not supported",
        ),
        (
            json!({"Type": "Task", "Resource": "arn:aws:states:::ecs:runTask.sync", "End": true}),
            "state `A`: resource `arn:aws:states:::ecs:runTask.sync` is not supported",
        ),
        (
            json!({"Type": "Pass", "QueryLanguage": "JSONPath", "End": true}),
            "state `A`: only `\"QueryLanguage\": \"JSONata\"` is supported",
        ),
        (
            json!({"Type": "Task", "Resource": lambda, "End": true, "Catch": [{"ErrorEquals": ["X"], "Next": "A", "ResultPath": "$"}]}),
            "state `A`, catcher 1: field `ResultPath` is not supported here",
        ),
        (
            json!({"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "A"}], "End": true}),
            "state `A`: field `End`",
        ),
        (
            json!({"Type": "Pass", "Retry": [], "End": true}),
            "state `A`: field `Retry` is not supported here",
        ),
    ] {
        let error = parse(&machine(&json!({"A": state}))).unwrap_err();
        assert!(error.unsupported, "{error}");
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn what_contradicts_itself_is_invalid() {
    let lambda = "arn:aws:states:::lambda:invoke";
    for (states, message) in [
        (json!({"A": {"Type": "Pass"}}), "state `A`: must have either `Next` or"),
        (
            json!({"A": {"Type": "Pass", "Next": "B"}}),
            "state `A`: there is no state `B`",
        ),
        (
            json!({"B": {"Type": "Succeed"}}),
            "definition: `StartAt` names no state",
        ),
        (
            json!({"A": {"Type": "Succeed"}, "B": {"Type": "Succeed"}}),
            "state `B`: no other state leads here",
        ),
        (
            json!({"A": {"Type": "Wait", "End": true}}),
            "state `A`: must have either `Seconds` or `Timestamp`",
        ),
        (
            json!({"A": {"Type": "Pass", "End": true, "Output": "{% $x"}}),
            "state `A`: field `Output`",
        ),
        (
            json!({"A": {"Type": "Pass", "End": true, "Output": "{% $eval('1') %}"}}),
            "state `A`: field `Output`",
        ),
        (
            json!({"A": {"Type": "Pass", "End": true, "Assign": {"states": 1}}}),
            "state `A`: `states` cannot be the name",
        ),
        (
            json!({"A": {"Type": "Choice", "Choices": [{"Condition": "true", "Next": "A"}]}}),
            "state `A`, rule 1: field `Condition`",
        ),
        (
            json!({"A": {"Type": "Task", "Resource": lambda, "End": true, "TimeoutSeconds": 5, "HeartbeatSeconds": 5}}),
            "state `A`: `HeartbeatSeconds` must be smaller",
        ),
        (
            json!({"A": {"Type": "Task", "Resource": lambda, "End": true, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["X"]}]}}),
            "state `A`: field `Retry`: `States.ALL` must stand alone",
        ),
        (
            json!({"A": {"Type": "Task", "Resource": lambda, "End": true, "Retry": [{"ErrorEquals": ["States.NoSuch"]}]}}),
            "state `A`: field `Retry`: Step Functions knows no error `States.NoSuch`",
        ),
        (
            json!({"A": {"Type": "Parallel", "End": true, "Assign": {"x": 1}, "Branches": [
                {"StartAt": "B", "States": {"B": {"Type": "Pass", "Assign": {"x": 2}, "End": true}}}]}}),
            "state `B`: variable `x` belongs to an outer scope",
        ),
        (
            json!({"A": {"Type": "Parallel", "End": true, "Branches": [
                {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}]}}),
            "state `A`: another state of the machine has the same name",
        ),
    ] {
        let error = parse(&machine(&states)).unwrap_err();
        assert!(!error.unsupported, "{error}");
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn jsonpath_machines_are_not_supported() {
    let error = parse(&json!({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})).unwrap_err();
    assert!(error.unsupported, "{error}");
}
