//! A stack in which every service has a part: a push, a rule, a state machine, a function, a table.

use std::path::Path;

use jiff::SignedDuration;
use serde_json::json;

use super::{load, simulation, template, text};
use crate::services::Ecr;
use crate::{CallOutcome, FunctionError, FunctionFault, Selector, Simulation};

const TEMPLATE: &str = r#"
Transform: AWS::Serverless-2016-10-31
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: releases
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
  FunctionRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: record
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: write
          PolicyDocument:
            Version: "2012-10-17"
            Statement: {Effect: Allow, Action: dynamodb:PutItem, Resource: !GetAtt Table.Arn}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: record
      Handler: bootstrap
      Runtime: provided.al2023
      CodeUri: record
      Timeout: 10
      Role: !GetAtt FunctionRole.Arn
  MachineRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: machine
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Allow, Principal: {Service: states.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: invoke
          PolicyDocument:
            Version: "2012-10-17"
            Statement: {Effect: Allow, Action: lambda:InvokeFunction, Resource: !GetAtt Function.Arn}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: release
      Type: STANDARD
      DefinitionUri: release.asl.json
      DefinitionSubstitutions: {Record: !GetAtt Function.Arn}
      Role: !GetAtt MachineRole.Arn
  RuleRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: rule
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: start
          PolicyDocument:
            Version: "2012-10-17"
            Statement: {Effect: Allow, Action: states:StartExecution, Resource: !Ref Machine}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: pushes
      EventPattern: {source: [aws.ecr], detail: {action-type: [PUSH]}}
      Targets: [{Id: release, Arn: !Ref Machine, RoleArn: !GetAtt RuleRole.Arn}]
"#;

fn stack() -> Simulation {
    let mut simulation = simulation();
    load(
        &mut simulation,
        TEMPLATE,
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests")),
    );
    simulation.register_function("record", |push, invocation| {
        Box::pin(async move {
            let tag = push["image-tag"].as_str().unwrap_or_default().to_owned();
            let client = aws_sdk_dynamodb::Client::new(&invocation.sdk_config);
            let put = client.put_item().table_name("releases").item("pk", text(&tag));
            put.send()
                .await
                .map_err(|error| FunctionError::new("Failed", format!("{error:?}")))?;
            Ok(json!({"tag": tag}))
        })
    });
    let (ecr, kernel) = simulation.world_mut().service_mut::<Ecr>().unwrap();
    ecr.create("api", kernel);
    simulation
}

/// Pushes, and waits until the machine has come to its end.
fn push(simulation: &mut Simulation) {
    let manifest = r#"{"mediaType": "application/vnd.oci.image.manifest.v1+json"}"#;
    let push = json!({"repositoryName": "api", "imageManifest": manifest, "imageTag": "v1"});
    simulation.world_mut().administer("ecr", "PutImage", push).unwrap();
    simulation.run_for(SignedDuration::from_mins(5));
}

#[test]
fn a_push_reaches_the_table_through_rule_machine_and_function() {
    let mut simulation = stack();
    push(&mut simulation);
    let recorded = simulation
        .world()
        .service::<crate::DynamoDb>()
        .unwrap()
        .items("releases")
        .unwrap();
    let calls: Vec<String> = simulation
        .world()
        .calls()
        .iter()
        .map(|call| {
            format!(
                "{:?} {}:{} {:?}",
                call.principal, call.service, call.operation, call.outcome
            )
        })
        .collect();
    assert_eq!(recorded, [json!({"pk": {"S": "v1"}})], "{calls:#?}");
}

#[test]
fn a_role_that_its_service_may_not_assume_is_refused_with_the_resource_that_names_it() {
    // where in the template, what stands there instead, what is refused
    let table = [
        (
            "lambda.amazonaws.com}",
            "ecs-tasks.amazonaws.com}",
            "the role of `record` does not trust `lambda.amazonaws.com`",
        ),
        (
            "states.amazonaws.com}",
            "lambda.amazonaws.com}",
            "the role of `release` does not trust `states.amazonaws.com`",
        ),
        (
            "{Service: states.amazonaws.com}, Action: sts:AssumeRole",
            "{Service: states.amazonaws.com}, Action: sts:AssumeRole, Condition: {StringEquals: {aws:SourceAccount: '210987654321'}}",
            "the role of `release` does not trust `states.amazonaws.com`",
        ),
        (
            "events.amazonaws.com}",
            "scheduler.amazonaws.com}",
            "the role of `pushes` does not trust `events.amazonaws.com`",
        ),
    ];
    for (place, instead, refused) in table {
        let text = TEMPLATE.replacen(place, instead, 1);
        assert_ne!(text, TEMPLATE, "{place}");
        let error = simulation()
            .world_mut()
            .load(template(&text), Path::new("."))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(refused), "{error}");
    }
}

/// The tries of the only Task state, with how each ended.
fn tries(simulation: &Simulation) -> Vec<(u64, CallOutcome)> {
    let calls = simulation.world().calls().iter();
    let tries = calls.filter_map(|call| Some((call.task.as_ref()?, call.outcome.clone())));
    tries
        .map(|(task, outcome)| {
            assert_eq!((task.machine.as_str(), task.state.as_str()), ("release", "Record"));
            (task.retry, outcome)
        })
        .collect()
}

#[test]
fn a_task_state_is_selected_by_its_name_and_by_how_often_it_was_tried() {
    let died = || FunctionError::new("Runtime.ExitError", "killed");
    let failed = |effect| CallOutcome::Error {
        code: "Runtime.ExitError".to_owned(),
        effect,
    };
    let record = || Selector::state("release", "Record");
    let every = Selector::default();
    for (selector, fault, expected) in [
        (
            record().first_try(),
            FunctionFault::FailsBefore(died()),
            vec![(0, failed(false)), (1, CallOutcome::Success)],
        ),
        (
            every.first_try(),
            FunctionFault::FailsAfter(died()),
            vec![(0, failed(true)), (1, CallOutcome::Success)],
        ),
        (
            record().nth(2),
            FunctionFault::FailsAfter(died()),
            vec![(0, CallOutcome::Success)],
        ),
        (
            record(),
            FunctionFault::FailsBefore(died()),
            (0..3).map(|retry| (retry, failed(false))).collect(),
        ),
        (
            Selector::state("release", "Other"),
            FunctionFault::FailsBefore(died()),
            vec![(0, CallOutcome::Success)],
        ),
        (
            Selector::state("other", "Record"),
            FunctionFault::FailsBefore(died()),
            vec![(0, CallOutcome::Success)],
        ),
    ] {
        let mut simulation = stack();
        simulation
            .world_mut()
            .add_function_fault(selector.clone(), fault.clone());
        push(&mut simulation);
        assert_eq!(tries(&simulation), expected, "{selector:?} {fault:?}");
        let struck = simulation
            .world()
            .calls()
            .iter()
            .filter(|call| call.function_fault.as_ref() == Some(&fault));
        let failures = expected.iter().filter(|(_, outcome)| *outcome != CallOutcome::Success);
        assert_eq!(struck.count(), failures.count(), "what struck is written down");
    }
}
