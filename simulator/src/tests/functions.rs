//! Lambda functions as futures of the world.

use std::cell::RefCell;
use std::rc::Rc;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{control_table, load_reader, simulation, text};
use crate::services::Sqs;
use crate::{Fault, FaultKind, FunctionConfiguration, FunctionError, FunctionFault, Principal, Selector, Simulation};

fn lambda(simulation: &mut Simulation) -> aws_sdk_lambda::Client {
    aws_sdk_lambda::Client::new(&simulation.sdk_config(&Principal::Administrator))
}

/// Invokes and waits: the function error, if any, and the payload.
fn invoke(simulation: &mut Simulation, function: &str, payload: &Value) -> (Option<String>, Value) {
    let client = lambda(simulation);
    let invoke = client
        .invoke()
        .function_name(function)
        .payload(Blob::new(payload.to_string()));
    let output = simulation.block_on(invoke.send()).unwrap();
    let payload = output.payload.map(Blob::into_inner).unwrap_or_default();
    (output.function_error, serde_json::from_slice(&payload).unwrap())
}

fn send_event(simulation: &mut Simulation, function: &str, payload: &Value) {
    let client = lambda(simulation);
    let invoke = client
        .invoke()
        .function_name(function)
        .invocation_type(InvocationType::Event)
        .payload(Blob::new(payload.to_string()));
    assert_eq!(simulation.block_on(invoke.send()).unwrap().status_code(), 202);
}

/// Writes the item `a` and then the item `b`.
fn register_two_puts(simulation: &mut Simulation) {
    simulation.register_function("writer", |_, invocation| {
        Box::pin(async move {
            let client = aws_sdk_dynamodb::Client::new(&invocation.sdk_config);
            for key in ["a", "b"] {
                client
                    .put_item()
                    .table_name("control")
                    .item("pk", text(key))
                    .send()
                    .await
                    .map_err(|error| {
                        FunctionError::new(
                            "Failed",
                            aws_sdk_dynamodb::error::DisplayErrorContext(error).to_string(),
                        )
                    })?;
            }
            Ok(json!("written"))
        })
    });
}

fn written(simulation: &Simulation) -> usize {
    simulation
        .world()
        .service::<crate::DynamoDb>()
        .unwrap()
        .items("control")
        .unwrap()
        .len()
}

#[test]
fn a_function_answers_and_fails_in_the_shape_of_lambda() {
    let mut simulation = simulation();
    simulation.register_function("echo", |payload, _| {
        Box::pin(async move {
            if payload["fail"] == true {
                Err(FunctionError::new("LockHeld", "by release 7"))
            } else {
                Ok(payload)
            }
        })
    });
    assert_eq!(
        invoke(&mut simulation, "echo", &json!({"a": 1})),
        (None, json!({"a": 1}))
    );
    let (kind, payload) = invoke(&mut simulation, "echo", &json!({"fail": true}));
    assert_eq!(kind.as_deref(), Some("Unhandled"));
    assert_eq!(
        payload,
        json!({"errorType": "LockHeld", "errorMessage": "by release 7"})
    );
}

#[test]
fn what_a_function_waits_for_is_how_long_it_lasts() {
    let mut simulation = simulation();
    simulation.configure_function(FunctionConfiguration {
        timeout_seconds: 3,
        ..FunctionConfiguration::named("waiter")
    });
    simulation.register_function("waiter", |payload, _| {
        Box::pin(async move {
            if payload["ever"] == true {
                std::future::pending::<()>().await;
            }
            Ok(payload)
        })
    });
    for ever in [true, false, true] {
        invoke(&mut simulation, "waiter", &json!({"ever": ever}));
    }
    let usage = simulation.world().service::<crate::Lambda>().unwrap().usage()["waiter"];
    assert_eq!((usage.invocations, usage.duration), (3, SignedDuration::from_secs(6)));
}

#[test]
fn a_failed_event_is_tried_again_after_one_minute_and_after_two_and_then_goes_to_its_queue() {
    let mut simulation = simulation();
    simulation
        .world_mut()
        .service_mut::<Sqs>()
        .unwrap()
        .0
        .create("dead", std::collections::BTreeMap::new());
    simulation.configure_function(FunctionConfiguration {
        dead_letter_queue: Some("arn:aws:sqs:us-east-1:123456789012:dead".to_owned()),
        ..FunctionConfiguration::named("intake")
    });
    let attempts = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&attempts);
    simulation.register_function("intake", move |_, invocation| {
        seen.borrow_mut().push((invocation.deadline, invocation.request_id));
        Box::pin(async { Err(FunctionError::new("Broken", "always")) })
    });
    send_event(&mut simulation, "intake", &json!({"push": 1}));
    simulation.run_for(SignedDuration::from_mins(10));

    let attempts = attempts.borrow();
    let gaps: Vec<i64> = attempts
        .windows(2)
        .map(|pair| pair[1].0.duration_since(pair[0].0).as_secs())
        .collect();
    assert_eq!(gaps, [60, 120]);
    assert!(
        attempts.iter().all(|(_, id)| *id == attempts[0].1),
        "every attempt carries the request id of its event"
    );
    let messages: Vec<String> = simulation
        .world()
        .service::<Sqs>()
        .unwrap()
        .messages("dead")
        .iter()
        .map(|message| message.body.clone())
        .collect();
    assert_eq!(messages, [r#"{"push":1}"#]);
}

#[test]
fn a_function_that_takes_too_long_is_ended_at_its_timeout() {
    let mut simulation = simulation();
    simulation.configure_function(FunctionConfiguration {
        timeout_seconds: 3,
        ..FunctionConfiguration::named("slow")
    });
    simulation.register_function("slow", |_, _| Box::pin(std::future::pending()));
    let start = simulation.now();
    let (_, payload) = invoke(&mut simulation, "slow", &json!({}));
    assert_eq!(payload["errorType"], "Sandbox.Timedout");
    assert!(
        payload["errorMessage"]
            .as_str()
            .unwrap()
            .ends_with("Task timed out after 3.00 seconds"),
        "{payload}"
    );
    assert_eq!(simulation.now().duration_since(start).as_secs(), 3);
}

#[test]
fn an_invocation_dies_before_or_after_the_effect_of_its_nth_call() {
    for (kind, nth, left) in [
        (FaultKind::DieBefore, 1, 0),
        (FaultKind::DieAfter, 1, 1),
        (FaultKind::DieBefore, 2, 1),
        (FaultKind::DieAfter, 2, 2),
    ] {
        let mut simulation = simulation();
        control_table(&mut simulation);
        register_two_puts(&mut simulation);
        simulation
            .world_mut()
            .add_fault(Fault::new(Selector::function("writer").nth(nth), kind.clone()));
        let (_, payload) = invoke(&mut simulation, "writer", &json!({}));
        assert_eq!(payload["errorType"], "Runtime.ExitError", "{kind:?} {nth}");
        assert_eq!(written(&simulation), left, "{kind:?} {nth}");
    }
}

#[test]
fn a_function_fails_or_reaches_its_timeout_without_an_effect_or_after_it() {
    let refused = || FunctionError::new("Refused", "no");
    for (fault, error, runs, seconds) in [
        (FunctionFault::FailsBefore(refused()), "Refused", 0, 0),
        (FunctionFault::FailsAfter(refused()), "Refused", 1, 2),
        (FunctionFault::TimesOutBefore, "Sandbox.Timedout", 0, 9),
        (FunctionFault::TimesOutAfter, "Sandbox.Timedout", 1, 9),
    ] {
        let mut simulation = simulation();
        simulation.configure_function(FunctionConfiguration {
            timeout_seconds: 9,
            ..FunctionConfiguration::named("slow")
        });
        let ran = Rc::new(RefCell::new(0));
        let count = Rc::clone(&ran);
        let slept = simulation.world().sleep(SignedDuration::from_secs(2));
        let slept = Rc::new(RefCell::new(Some(slept)));
        simulation.register_function("slow", move |_, _| {
            let (count, slept) = (Rc::clone(&count), slept.take());
            Box::pin(async move {
                if let Some(slept) = slept {
                    slept.await;
                }
                *count.borrow_mut() += 1;
                Ok(json!("done"))
            })
        });
        let world = simulation.world_mut();
        world.add_function_fault(Selector::operation("lambda", "Invoke").first(1), fault.clone());
        let start = simulation.now();
        let (kind, payload) = invoke(&mut simulation, "slow", &json!({}));
        assert_eq!(kind.as_deref(), Some("Unhandled"), "{fault:?}");
        assert_eq!(payload["errorType"], error, "{fault:?}");
        assert_eq!(*ran.borrow(), runs, "{fault:?}");
        assert_eq!(simulation.now().duration_since(start).as_secs(), seconds, "{fault:?}");
        assert_eq!(
            invoke(&mut simulation, "slow", &json!({})).1,
            "done",
            "only the first is meant"
        );
    }
}

#[test]
fn the_fault_of_a_function_does_not_concern_who_only_leaves_an_event() {
    let mut simulation = simulation();
    let runs = Rc::new(RefCell::new(0));
    let count = Rc::clone(&runs);
    simulation.register_function("taker", move |_, _| {
        *count.borrow_mut() += 1;
        Box::pin(async { Ok(Value::Null) })
    });
    let broken = FunctionFault::FailsBefore(FunctionError::new("Broken", "always"));
    simulation.world_mut().add_function_fault(Selector::default(), broken);
    send_event(&mut simulation, "taker", &json!({}));
    simulation.run_for(SignedDuration::from_mins(5));
    assert_eq!(*runs.borrow(), 1);
}

#[test]
fn a_repeated_invocation_runs_twice_and_answers_once() {
    let mut simulation = simulation();
    let runs = Rc::new(RefCell::new(0));
    let count = Rc::clone(&runs);
    simulation.register_function("once", move |_, _| {
        *count.borrow_mut() += 1;
        Box::pin(async { Ok(json!("done")) })
    });
    simulation
        .world_mut()
        .add_fault(Fault::new(Selector::operation("lambda", "Invoke"), FaultKind::Repeat));
    assert_eq!(invoke(&mut simulation, "once", &json!({})).1, "done");
    simulation.run_until_idle();
    assert_eq!(*runs.borrow(), 2);
}

#[test]
fn reserved_concurrency_refuses_the_call_that_is_one_too_many() {
    let mut simulation = simulation();
    simulation.configure_function(FunctionConfiguration {
        reserved_concurrency: Some(0),
        ..FunctionConfiguration::named("off")
    });
    simulation.register_function("off", |_, _| Box::pin(async { Ok(Value::Null) }));
    let client = lambda(&mut simulation);
    let error = simulation
        .block_on(client.invoke().function_name("off").send())
        .unwrap_err()
        .into_service_error();
    assert!(error.is_too_many_requests_exception(), "{error:?}");
}

#[test]
fn a_function_acts_with_its_own_role() {
    let mut simulation = simulation();
    control_table(&mut simulation);
    load_reader(&mut simulation);
    simulation.configure_function(FunctionConfiguration {
        role: Some("reader".to_owned()),
        ..FunctionConfiguration::named("writer")
    });
    register_two_puts(&mut simulation);
    let (_, payload) = invoke(&mut simulation, "writer", &json!({}));
    let message = payload["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("assumed-role/reader/reader is not authorized"),
        "{message}"
    );
}
