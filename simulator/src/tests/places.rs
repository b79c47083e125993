//! Several accounts and Regions in one world.

use aws_sdk_sts::error::ProvideErrorMetadata;
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator_event_bridge::EventBridge;
use simulator_kernel::Place;

use crate::services::Ecr;
use crate::{Principal, Settings, Simulation, Template, TemplateSettings};

const HOME: &str = r#"
Resources:
  Reader:
    Type: AWS::IAM::Role
    Properties:
      RoleName: reader
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}}
      Policies:
        - PolicyName: reader
          PolicyDocument:
            Statement:
              - {Effect: Allow, Action: sts:AssumeRole, Resource: "arn:aws:iam::*:role/there-reader"}
  Stranger:
    Type: AWS::IAM::Role
    Properties:
      RoleName: stranger
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}}
      Policies:
        - PolicyName: stranger
          PolicyDocument: {Statement: [{Effect: Allow, Action: sts:AssumeRole, Resource: "*"}]}
  Bus:
    Type: AWS::Events::EventBusPolicy
    Properties:
      StatementId: there
      Statement: {Effect: Allow, Principal: {AWS: ["210987654321"]}, Action: events:PutEvents, Resource: "arn:aws:events:us-east-1:123456789012:event-bus/default"}
"#;

const THERE: &str = r#"
Parameters:
  ExternalId: {Type: String}
Resources:
  Reader:
    Type: AWS::IAM::Role
    Properties:
      RoleName: there-reader
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {AWS: "arn:aws:iam::123456789012:role/reader"}
            Action: sts:AssumeRole
            Condition: {StringEquals: {sts:ExternalId: !Ref ExternalId}}
      Policies:
        - PolicyName: reader
          PolicyDocument: {Statement: [{Effect: Allow, Action: ecr:DescribeImages, Resource: "*"}]}
  Forward:
    Type: AWS::IAM::Role
    Properties:
      RoleName: forward
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sts:AssumeRole}}
      Policies:
        - PolicyName: forward
          PolicyDocument: {Statement: [{Effect: Allow, Action: events:PutEvents, Resource: "arn:aws:events:us-east-1:123456789012:event-bus/default"}]}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: forward
      EventPattern: {source: [aws.ecr]}
      Targets:
        - {Id: home, Arn: "arn:aws:events:us-east-1:123456789012:event-bus/default", RoleArn: !GetAtt Forward.Arn}
"#;

fn there() -> Place {
    Place::new("210987654321", "eu-west-1")
}

fn load(simulation: &mut Simulation, place: &Place, text: &str, parameters: &[(&str, &str)]) {
    let settings = TemplateSettings {
        account: place.account.clone(),
        region: place.region.clone(),
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        stack: "test".to_owned(),
    };
    let template = Template::load(text, &settings).unwrap();
    let world = simulation.world_mut();
    world
        .at(place, |world| world.load(template, std::path::Path::new(".")))
        .unwrap();
}

fn two_places() -> Simulation {
    let mut simulation = Simulation::new(&Settings::default()).unwrap();
    simulation.world_mut().add_place(&there()).unwrap();
    let home = simulation.world().home().clone();
    load(&mut simulation, &home, HOME, &[]);
    load(&mut simulation, &there(), THERE, &[("ExternalId", "secret-name")]);
    simulation
}

fn administer(simulation: &mut Simulation, place: &Place, operation: &str, input: Value) -> Value {
    simulation
        .world_mut()
        .at(place, |world| world.administer("ecr", operation, input))
        .unwrap()
}

/// An SDK configuration of the role `there-reader`, or the code of the refusal.
fn assume(simulation: &mut Simulation, role: &str, external_id: Option<&str>) -> Result<aws_config::SdkConfig, String> {
    let config = simulation.sdk_config(&Principal::Role(role.to_owned()));
    let client = aws_sdk_sts::Client::new(&config);
    let call = client
        .assume_role()
        .role_arn("arn:aws:iam::210987654321:role/there-reader")
        .role_session_name("test")
        .set_external_id(external_id.map(str::to_owned));
    let answer = simulation
        .block_on(call.send())
        .map_err(|error| error.code().unwrap_or_default().to_owned())?;
    let credentials = answer.credentials().unwrap();
    let credentials = aws_credential_types::Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        Some(credentials.session_token().to_owned()),
        None,
        "test",
    );
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
    let region = aws_config::Region::new("eu-west-1");
    Ok(config
        .into_builder()
        .region(region)
        .credentials_provider(provider)
        .build())
}

#[test]
fn a_role_of_another_account_is_assumed_by_whom_it_trusts_and_with_the_external_id() {
    let mut simulation = two_places();
    administer(
        &mut simulation,
        &there(),
        "CreateRepository",
        json!({"repositoryName": "shop"}),
    );
    for (role, external_id) in [
        ("reader", None),
        ("reader", Some("other")),
        ("stranger", Some("secret-name")),
    ] {
        let refused = assume(&mut simulation, role, external_id).unwrap_err();
        assert_eq!(refused, "AccessDenied", "{role} {external_id:?}");
    }
    let config = assume(&mut simulation, "reader", Some("secret-name")).unwrap();
    let images = aws_sdk_ecr::Client::new(&config);
    simulation
        .block_on(images.describe_images().repository_name("shop").send())
        .unwrap();
    let denied = simulation
        .block_on(images.list_images().repository_name("shop").send())
        .unwrap_err();
    assert_eq!(denied.code(), Some("AccessDeniedException"));
    simulation.run_for(SignedDuration::from_hours(1));
    let late = simulation
        .block_on(images.describe_images().repository_name("shop").send())
        .unwrap_err();
    assert_eq!(late.code(), Some("ExpiredTokenException"));
}

#[test]
fn nobody_calls_in_a_place_that_is_not_there() {
    let mut simulation = two_places();
    let config = simulation.sdk_config(&Principal::Administrator);
    let elsewhere = config
        .into_builder()
        .region(aws_config::Region::new("ap-south-1"))
        .build();
    let call = aws_sdk_ecs::Client::new(&elsewhere).list_clusters();
    let refused = simulation.block_on(call.send()).unwrap_err();
    assert_eq!(refused.code(), Some("UnsupportedBySimulatorException"));
}

#[test]
fn an_image_is_copied_where_the_registry_lets_it_and_its_event_reaches_the_bus_of_home() {
    let mut simulation = two_places();
    let home = simulation.world().home().clone();
    let rule = json!({"destinations": [{"registryId": "210987654321", "region": "eu-west-1"}]});
    let configuration = json!({"replicationConfiguration": {"rules": [rule]}});
    administer(&mut simulation, &home, "PutReplicationConfiguration", configuration);
    administer(
        &mut simulation,
        &home,
        "CreateRepository",
        json!({"repositoryName": "shop"}),
    );
    let heard = json!({"Name": "heard", "EventPattern": r#"{"detail-type": ["ECR Replication Action"]}"#});
    simulation.world_mut().administer("events", "PutRule", heard).unwrap();
    let target = json!({"Id": "f", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:none"});
    let targets = json!({"Rule": "heard", "Targets": [target]});
    simulation
        .world_mut()
        .administer("events", "PutTargets", targets)
        .unwrap();
    let push = |simulation: &mut Simulation, tag: &str| {
        let manifest =
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "annotations": {"tag": tag}}).to_string();
        administer(
            simulation,
            &home,
            "PutImage",
            json!({"repositoryName": "shop", "imageTag": tag, "imageManifest": manifest}),
        );
        simulation.run_for(SignedDuration::from_mins(5));
    };
    let results = |simulation: &Simulation| -> Vec<(String, String, String)> {
        let events = simulation.world().events().iter();
        let copies = events.filter(|event| event["detail-type"] == "ECR Replication Action");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        copies
            .map(|event| {
                (
                    text(&event["account"]),
                    text(&event["detail"]["image-tag"]),
                    text(&event["detail"]["result"]),
                )
            })
            .collect()
    };
    let copied = |tag: &str, result: &str| ("210987654321".to_owned(), tag.to_owned(), result.to_owned());
    push(&mut simulation, "v1");
    assert_eq!(
        results(&simulation),
        [copied("v1", "FAILED")],
        "the registry lets nobody in"
    );
    let statement = json!({
        "Sid": "replication", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": ["ecr:CreateRepository", "ecr:ReplicateImage"], "Resource": "arn:aws:ecr:eu-west-1:210987654321:repository/*",
    });
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    administer(
        &mut simulation,
        &there(),
        "PutRegistryPolicy",
        json!({"policyText": policy}),
    );
    push(&mut simulation, "v2");
    simulation.world_mut().service_mut::<Ecr>().unwrap().0.replication.fails = true;
    push(&mut simulation, "v3");
    assert_eq!(
        results(&simulation)[1..],
        [copied("v2", "SUCCESS"), copied("v3", "FAILED")]
    );
    let tags = simulation.world_mut().at(&there(), |world| {
        let images = &world.kernel().images.repositories["shop"];
        images.values().flat_map(|image| image.tags.clone()).collect::<Vec<_>>()
    });
    assert_eq!(tags, ["v2"]);
    let bus = simulation.world().service::<EventBridge>().unwrap();
    let arrived = bus
        .undelivered()
        .iter()
        .filter(|undelivered| undelivered.event.contains("REPLICATE"));
    assert_eq!(
        arrived.count(),
        3,
        "the target does not exist, so the bus of home kept them"
    );
}

#[test]
fn a_task_pulls_from_another_account_only_where_the_repository_is_shared() {
    let mut simulation = two_places();
    let home = simulation.world().home().clone();
    administer(
        &mut simulation,
        &home,
        "CreateRepository",
        json!({"repositoryName": "shop"}),
    );
    let manifest = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json"}).to_string();
    administer(
        &mut simulation,
        &home,
        "PutImage",
        json!({"repositoryName": "shop", "imageTag": "v1", "imageManifest": manifest}),
    );
    let is_there = |simulation: &mut Simulation| {
        let reference = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop:v1";
        let world = simulation.world_mut();
        world.at(&there(), |world| {
            world.kernel().resolve_image(reference).unwrap().image.is_some()
        })
    };
    assert!(!is_there(&mut simulation));
    let statement = json!({
        "Effect": "Allow", "Principal": {"AWS": ["210987654321"]}, "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    });
    let policy = json!({"Statement": [statement]}).to_string();
    administer(
        &mut simulation,
        &home,
        "SetRepositoryPolicy",
        json!({"repositoryName": "shop", "policyText": policy}),
    );
    assert!(is_there(&mut simulation));
}
