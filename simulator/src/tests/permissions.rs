//! Operations that a service names, and roles that are made over the API.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, Reply, Request, RequestId};
use tokio::sync::oneshot;

use super::{load_reader, simulation};
use crate::mailbox::{Answered, Arrival, ClientCall};
use crate::{AccessKey, Principal, Simulation, World};

pub(super) fn call(world: &mut World, service: &str, operation: &str, input: Value) -> Result<Value, ApiError> {
    let request = Request {
        id: RequestId(0),
        operation: operation.to_owned(),
        input,
        principal: Principal::Administrator,
        access_key_id: None,
    };
    match world.call_service(service, &request) {
        Some(Reply::Now(result)) => result,
        _ => Ok(json!({})),
    }
}

#[test]
fn an_unknown_operation_is_told_every_operation_that_there_is_and_no_other() {
    let mut simulation = simulation();
    let world = simulation.world_mut();
    for service in [
        "application-autoscaling",
        "dynamodb",
        "ecr",
        "ecs",
        "elasticloadbalancing",
        "events",
        "iam",
        "logs",
        "monitoring",
        "rds",
        "scheduler",
        "secretsmanager",
        "sqs",
        "states",
        "sts",
    ] {
        let error = call(world, service, "Dance", json!({})).unwrap_err();
        assert_eq!(error.code, "UnsupportedBySimulatorException");
        let named: BTreeSet<&str> = error
            .message
            .split('`')
            .filter(|word| word.starts_with(char::is_uppercase))
            .collect();
        assert!(named.len() > 1, "{}", error.message);
        for operation in named.into_iter().filter(|name| *name != "Dance") {
            let is_unknown = |error: &ApiError| error.message.contains("; there are `");
            let answer = call(world, service, operation, json!({}));
            assert!(!answer.as_ref().is_err_and(is_unknown), "{service}: {answer:?}");
        }
    }
}

fn may(world: &World, role: &str, action: &str) -> bool {
    let needed = [Authorization::new(
        action,
        "arn:aws:states:us-east-1:123456789012:stateMachine:made",
    )];
    world
        .access
        .check(&Principal::Role(role.to_owned()), &needed, world.kernel())
        .is_ok()
}

/// A call as a client makes it.
pub(super) fn ask(
    simulation: &mut Simulation,
    service: &str,
    operation: &str,
    input: Value,
) -> Result<Value, ApiError> {
    let answered = send(simulation, service, operation, input);
    simulation.block_on(answered).unwrap().1
}

/// The same without waiting for the answer.
pub(super) fn send(
    simulation: &Simulation,
    service: &str,
    operation: &str,
    input: Value,
) -> oneshot::Receiver<Answered> {
    let (answer, answered) = oneshot::channel();
    simulation.world().mailbox().put(Arrival::Call(ClientCall {
        principal: Principal::Administrator,
        access_key_id: Principal::Administrator.access_key_id(),
        region: None,
        service: service.to_owned(),
        operation: operation.to_owned(),
        input,
        invocation: None,
        answer,
    }));
    answered
}

/// The same about the role `made`.
fn ask_iam(simulation: &mut Simulation, operation: &str, members: &Value) -> Result<Value, ApiError> {
    let mut input = json!({"RoleName": "made"});
    input
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    ask(simulation, "iam", operation, input)
}

#[test]
fn a_role_that_is_made_may_do_what_its_policies_say_until_they_are_gone() {
    let mut simulation = simulation();
    let trust = json!({"Statement": {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}});
    let policy = json!({"Statement": {"Effect": "Allow", "Action": "states:*", "Resource": "*"}});
    let create = json!({"AssumeRolePolicyDocument": trust.to_string()});
    ask_iam(&mut simulation, "CreateRole", &create).unwrap();
    assert_eq!(
        ask_iam(&mut simulation, "CreateRole", &create).unwrap_err().code,
        "EntityAlreadyExists"
    );
    assert!(!may(simulation.world(), "made", "states:StartExecution"));
    let put = json!({"PolicyName": "all", "PolicyDocument": policy.to_string()});
    ask_iam(&mut simulation, "PutRolePolicy", &put).unwrap();
    assert!(may(simulation.world(), "made", "states:StartExecution"));
    assert!(!may(simulation.world(), "made", "sqs:SendMessage"));
    let wrong = json!({"PolicyName": "wrong", "PolicyDocument": "{}"});
    let refused = ask_iam(&mut simulation, "PutRolePolicy", &wrong).unwrap_err();
    assert_eq!(refused.code, "MalformedPolicyDocument");
    assert!(may(simulation.world(), "made", "states:StartExecution"));
    assert_eq!(
        ask_iam(&mut simulation, "DeleteRole", &json!({})).unwrap_err().code,
        "DeleteConflict"
    );
    ask_iam(&mut simulation, "DeleteRolePolicy", &json!({"PolicyName": "all"})).unwrap();
    assert!(!may(simulation.world(), "made", "states:StartExecution"));
    ask_iam(&mut simulation, "DeleteRole", &json!({})).unwrap();
}

#[test]
fn a_role_of_the_template_is_not_made_again() {
    let mut simulation = simulation();
    load_reader(&mut simulation);
    let input = json!({"RoleName": "reader", "AssumeRolePolicyDocument": "{}"});
    assert_eq!(
        ask_iam(&mut simulation, "CreateRole", &input).unwrap_err().code,
        "EntityAlreadyExists"
    );
    let policy = json!({"RoleName": "reader", "PolicyName": "more", "PolicyDocument": "{}"});
    let refused = ask_iam(&mut simulation, "PutRolePolicy", &policy).unwrap_err();
    assert_eq!(refused.code, "UnsupportedBySimulatorException");
}
