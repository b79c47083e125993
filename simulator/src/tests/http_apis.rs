//! An HTTP API before a function: who comes in, what the function sees, what comes out; and the secret that only it may
//! read.

use std::path::Path;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::{load, simulation};
use crate::{FunctionError, Principal, Simulation};

const TEMPLATE: &str = r#"
Transform: AWS::Serverless-2016-10-31
Resources:
  FunctionRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: door
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: read
          PolicyDocument:
            Version: "2012-10-17"
            Statement: {Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: "arn:aws:secretsmanager:us-east-1:123456789012:secret:own-*"}
  CallerRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: caller
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: call
          PolicyDocument:
            Version: "2012-10-17"
            Statement: {Effect: Allow, Action: execute-api:Invoke, Resource: "arn:aws:execute-api:us-east-1:123456789012:api/$default/POST/own"}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth: {EnableIamAuthorizer: true, DefaultAuthorizer: AWS_IAM}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: door
      Handler: bootstrap
      Runtime: provided.al2023
      CodeUri: door
      Timeout: 10
      Role: !GetAtt FunctionRole.Arn
      Events:
        Open: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: post, Path: /open, Auth: {Authorizer: NONE}}}
        Own: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: post, Path: /own}}
        Other: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: post, Path: /other}}
"#;

/// A function that answers what it saw, or what it is told to.
pub(super) fn door() -> Simulation {
    let mut simulation = simulation();
    load(&mut simulation, TEMPLATE, Path::new("."));
    simulation.register_function("door", |event, _| {
        Box::pin(async move {
            match event["headers"]["x-answer"].as_str() {
                Some("fail") => Err(FunctionError::new("Failed", "on purpose")),
                Some(answer) => Ok(serde_json::from_str(answer).unwrap()),
                None => Ok(json!({"statusCode": 201, "headers": {"x-seen": "yes"}, "body": event.to_string()})),
            }
        })
    });
    simulation
}

/// Status and body of what is answered to a request.
fn send(simulation: &mut Simulation, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST").unwrap();
    request
        .set_uri(format!("https://api.execute-api.us-east-1.amazonaws.com{path}"))
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().insert((*name).to_owned(), (*value).to_owned());
    }
    let connector = simulation.world_mut().http_connector(&Principal::Administrator);
    let response = simulation.block_on(connector.call(request)).unwrap();
    let text = response.body().bytes().unwrap();
    (
        response.status().as_u16(),
        serde_json::from_slice(text).unwrap_or_default(),
    )
}

/// The header that signs as a principal.
fn signature(simulation: &mut Simulation, principal: Principal) -> String {
    let key = simulation.world_mut().register_principal(principal);
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20261102/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature=0"
    )
}

#[test]
fn a_route_lets_in_whom_it_says_and_tells_the_function_who_that_is() {
    let mut simulation = door();
    let (status, event) = send(
        &mut simulation,
        "/open?a=b",
        &[("content-type", "application/json")],
        "{}",
    );
    assert_eq!(status, 201);
    assert_eq!(
        (
            &event["routeKey"],
            &event["rawQueryString"],
            &event["isBase64Encoded"],
            &event["body"]
        ),
        (&json!("POST /open"), &json!("a=b"), &json!(false), &json!("{}"))
    );
    assert_eq!(event["requestContext"].get("authorizer"), None);
    // A form is no text to the gateway.
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let (_, event) = send(&mut simulation, "/open", &form, "payload=%7B%7D");
    assert_eq!(
        (&event["isBase64Encoded"], &event["body"]),
        (&json!(true), &json!("cGF5bG9hZD0lN0IlN0Q="))
    );
    let role = signature(&mut simulation, Principal::Role("caller".to_owned()));
    let signed = [("authorization", role.as_str())];
    let (status, event) = send(&mut simulation, "/own", &signed, "");
    assert_eq!(status, 201);
    assert_eq!(
        event["requestContext"]["authorizer"]["iam"]["userArn"],
        "arn:aws:sts::123456789012:assumed-role/caller/caller"
    );
    assert_eq!(send(&mut simulation, "/other", &signed, "").0, 403);
    assert_eq!(send(&mut simulation, "/own", &[], "").0, 403);
    assert_eq!(send(&mut simulation, "/nowhere", &signed, "").0, 404);
}

#[test]
fn what_a_function_answers_is_a_response_and_what_it_fails_at_an_error() {
    let mut simulation = door();
    for (answer, expected) in [
        ("fail", (500, json!({"message": "Internal Server Error"}))),
        (
            "{\"statusCode\": \"soon\"}",
            (500, json!({"message": "Internal Server Error"})),
        ),
        ("{\"seen\": true}", (200, json!({"seen": true}))),
        ("{\"statusCode\": 204}", (204, Value::Null)),
        (
            "{\"statusCode\": 200, \"isBase64Encoded\": true, \"body\": \"e30=\"}",
            (200, json!({})),
        ),
    ] {
        assert_eq!(
            send(&mut simulation, "/open", &[("x-answer", answer)], ""),
            expected,
            "{answer}"
        );
    }
}

#[test]
fn a_secret_is_read_by_whoever_may_and_by_its_arn() {
    let mut simulation = door();
    let world = simulation.world_mut();
    let created = |world: &mut crate::World, name: &str| {
        let input = json!({"Name": name, "SecretString": "hush"});
        let created = world.administer("secretsmanager", "CreateSecret", input).unwrap();
        created["ARN"].as_str().unwrap().to_owned()
    };
    let (own, other) = (created(world, "own"), created(world, "other"));
    let config = simulation.sdk_config(&Principal::Role("door".to_owned()));
    let client = aws_sdk_secretsmanager::Client::new(&config);
    let mut read = |arn: &str| {
        let answer = simulation.block_on(client.get_secret_value().secret_id(arn).send());
        answer.map_err(|error| Box::new(error.into_service_error()))
    };
    assert_eq!(read(&own).unwrap().secret_string(), Some("hush"));
    let denied = read(&other).unwrap_err();
    assert!(format!("{denied:?}").contains("AccessDenied"), "{denied:?}");
    let unknown = own.replace("own-", "own-x");
    let missing = read(&unknown).unwrap_err();
    assert!(missing.is_resource_not_found_exception(), "{missing:?}");
}
