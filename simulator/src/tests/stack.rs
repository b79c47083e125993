//! A stack in which every service has a part: a push, a rule, a state machine, a function, a table.

use std::path::Path;

use jiff::SignedDuration;
use serde_json::json;

use super::{load, simulation, template, text};
use crate::services::Ecr;
use crate::{FunctionError, Simulation};

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

#[test]
fn a_push_reaches_the_table_through_rule_machine_and_function() {
    let mut simulation = stack();
    let manifest = r#"{"mediaType": "application/vnd.oci.image.manifest.v1+json"}"#;
    let push = json!({"repositoryName": "api", "imageManifest": manifest, "imageTag": "v1"});
    simulation.world_mut().administer("ecr", "PutImage", push).unwrap();
    let recorded = |world: &crate::World| {
        world.service::<crate::DynamoDb>().unwrap().items("releases").unwrap() == [json!({"pk": {"S": "v1"}})]
    };
    let arrived = simulation.run_until(SignedDuration::from_mins(5), recorded);
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
    assert!(arrived, "{calls:#?}");
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
