use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Settings, Template, TemplateError};

fn settings() -> Settings {
    Settings {
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        stack: "deployer".to_owned(),
        parameters: BTreeMap::new(),
    }
}

fn load(text: &str) -> Result<Template, TemplateError> {
    Template::load(text, &settings())
}

/// The value of `!Something`, read as an output of a template that has what it may name.
fn value(expression: &str) -> Result<String, TemplateError> {
    let text = format!(
        r"
Parameters:
  Stage: {{Type: String, Default: test}}
  Zones: {{Type: CommaDelimitedList, Default: 'a, b,c'}}
Mappings:
  Sizes:
    test: {{Memory: 256}}
Conditions:
  IsTest: !Equals [!Ref Stage, test]
  IsBig: !And [!Condition IsTest, !Not [!Condition IsTest]]
Resources:
  Letters: {{Type: AWS::SQS::Queue}}
  Control:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub 'control-${{Stage}}'
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{{AttributeName: pk, AttributeType: S}}]
      KeySchema: [{{AttributeName: pk, KeyType: HASH}}]
Outputs:
  Value: {{Value: {expression}}}
"
    );
    load(&text).map(|template| template.outputs["Value"].value.clone())
}

#[test]
fn every_function_is_carried_out() {
    let table = [
        ("!Ref Stage", "test"),
        ("!Ref 'AWS::AccountId'", "123456789012"),
        ("!Ref 'AWS::Region'", "us-east-1"),
        ("!Ref 'AWS::StackName'", "deployer"),
        ("!Ref 'AWS::Partition'", "aws"),
        ("!Ref 'AWS::URLSuffix'", "amazonaws.com"),
        ("!Ref Control", "control-test"),
        (
            "!Ref Letters",
            "https://sqs.us-east-1.amazonaws.com/123456789012/deployer-Letters",
        ),
        (
            "!GetAtt Letters.Arn",
            "arn:aws:sqs:us-east-1:123456789012:deployer-Letters",
        ),
        ("!GetAtt [Letters, QueueName]", "deployer-Letters"),
        (
            "{'Fn::GetAtt': [Control, Arn]}",
            "arn:aws:dynamodb:us-east-1:123456789012:table/control-test",
        ),
        (
            "!Sub '${Stage}/${AWS::Region}/${Control.Arn}'",
            "test/us-east-1/arn:aws:dynamodb:us-east-1:123456789012:table/control-test",
        ),
        (
            "!Sub ['${Stage}-${Other}', {Other: !Ref Control, Stage: mine}]",
            "mine-control-test",
        ),
        ("!Sub '${!Kept} ${Stage}'", "${Kept} test"),
        ("!Join ['-', [a, !Ref Stage, 3]]", "a-test-3"),
        ("!Join ['+', !Ref Zones]", "a+b+c"),
        ("!Select [1, [x, y, z]]", "y"),
        ("!Select ['2', !Split ['/', a/b/c]]", "c"),
        ("!FindInMap [Sizes, !Ref Stage, Memory]", "256"),
        ("!If [IsTest, yes it is, no]", "yes it is"),
        ("!If [IsBig, !Ref Nowhere, small]", "small"),
    ];
    for (expression, expected) in table {
        let expression = expression.replace(", no]", ", 'no']");
        assert_eq!(value(&expression).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn what_names_nothing_is_refused_with_its_name() {
    let table = [
        ("!Ref Nowhere", "`Nowhere`"),
        ("!GetAtt Letters.Url", "`Letters.Url`"),
        ("!Sub 'x ${Nowhere}'", "`Nowhere`"),
        ("!Sub 'x ${Zones}'", "`Zones`"),
        ("!Sub 'x ${Stage'", "`${` without `}`"),
        ("!FindInMap [Sizes, prod, Memory]", "`Sizes.prod.Memory`"),
        ("!If [IsProd, a, b]", "`IsProd`"),
        ("!Select [3, [a]]", "no element at this index"),
        ("!Equals [a, b]", "only in `Conditions`"),
        ("!ImportValue other", "another stack"),
        ("!Base64 x", "`!Base64` is not supported"),
    ];
    for (expression, message) in table {
        let error = value(expression).unwrap_err();
        assert!(error.message.contains(message), "{expression}: {error}");
        assert!(error.line > 18, "{expression}: {error}");
    }
}

#[test]
fn a_given_parameter_replaces_the_default_within_its_constraints() {
    let text = "
Parameters:
  Level: {Type: String, Default: INFO, AllowedValues: [INFO, WARN]}
  Name: {Type: String, AllowedPattern: '[a-z]+', MaxLength: 4}
  Days: {Type: Number, Default: 7, MinValue: 1, MaxValue: 35}
Resources: {}
Outputs:
  All: {Value: !Join [' ', [!Ref Level, !Ref Name, !Ref Days]]}
";
    let load = |given: &[(&str, &str)]| {
        let parameters = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Template::load(
            text,
            &Settings {
                parameters,
                ..settings()
            },
        )
        .map(|template| template.outputs["All"].value.clone())
    };
    assert_eq!(load(&[("Name", "ab")]).as_deref(), Ok("INFO ab 7"));
    assert_eq!(
        load(&[("Name", "ab"), ("Level", "WARN"), ("Days", "35")]).as_deref(),
        Ok("WARN ab 35")
    );
    let refused = [
        (vec![], "no value is given"),
        (vec![("Name", "ab"), ("Level", "LOUD")], "`AllowedValues`"),
        (vec![("Name", "A")], "`AllowedPattern`"),
        (vec![("Name", "abcde")], "`MaxLength`"),
        (vec![("Name", "ab"), ("Days", "36")], "`MaxValue`"),
        (vec![("Name", "ab"), ("Days", "x")], "`MinValue`"),
        (vec![("Name", "ab"), ("Nmae", "x")], "no parameter `Nmae`"),
    ];
    for (given, message) in refused {
        let error = load(&given).unwrap_err();
        assert!(error.message.contains(message), "{given:?}: {error}");
    }
}

const ROLE: &str = "
  Runner:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}]
";

#[test]
fn an_unknown_word_anywhere_is_an_error_with_line_and_path() {
    let table = [
        (
            "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueNmae: x\n",
            5,
            "Resources.Q.Properties.QueueNmae",
        ),
        (
            "Resources:\n  Q:\n    Type: AWS::S3::Bucket\n    Properties:\n      Name: x\n",
            5,
            "Resources.Q.Properties",
        ),
        (
            "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    CreationPolicy: {}\n",
            4,
            "Resources.Q.CreationPolicy",
        ),
        ("Resources: {}\nRules: {}\n", 2, "Rules"),
        ("Resources: {}\nGlobals:\n  Api: {}\n", 3, "Globals.Api"),
        ("Resources: {}\nTransform: AWS::Include\n", 2, "Transform"),
        (
            "Resources: {}\nOutputs:\n  A:\n    Value: x\n    Export: {Name: x}\n",
            5,
            "Outputs.A.Export",
        ),
        (
            "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Condition: Never\n",
            4,
            "Resources.Q.Condition",
        ),
        (
            "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    DependsOn: P\n",
            4,
            "Resources.Q.DependsOn",
        ),
        (
            "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    DeletionPolicy: Keep\n",
            4,
            "Resources.Q.DeletionPolicy",
        ),
        (
            "Resources: {}\nConditions:\n  A: !Condition B\n  B: !Condition A\n",
            4,
            "Conditions.A",
        ),
    ];
    for (text, line, path) in table {
        let error = load(text).unwrap_err();
        assert_eq!((error.line, error.path.as_str()), (line, path), "{text}\n{error}");
    }
}

#[test]
fn a_resource_whose_condition_is_false_is_not_there() {
    let text = "
Conditions:
  Never: !Equals [a, b]
Resources:
  Q: {Type: AWS::SQS::Queue, Condition: Never}
  R: {Type: AWS::SQS::Queue, Properties: {QueueName: !If [Never, x, !Ref 'AWS::NoValue']}}
Outputs:
  Q: {Condition: Never, Value: !GetAtt Q.Arn}
  R: {Value: !GetAtt R.QueueName}
";
    let template = load(text).unwrap();
    assert_eq!(template.queues.keys().collect::<Vec<_>>(), ["R"]);
    assert_eq!(template.outputs.keys().collect::<Vec<_>>(), ["R"]);
    assert_eq!(template.outputs["R"].value, "deployer-R");
    assert!(
        load(&text.replace("Condition: Never, Value", "Value"))
            .unwrap_err()
            .message
            .contains("`Q.Arn`")
    );
}

fn function(properties: &str) -> String {
    format!(
        "
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: provided.al2023
    Handler: bootstrap
    Architectures: [arm64]
    Timeout: 30
    Tracing: Active
    LoggingConfig: {{LogFormat: JSON, ApplicationLogLevel: INFO}}
    Environment: {{Variables: {{SERVICE: deployer, LEVEL: info}}}}
Resources:{ROLE}
  Letters: {{Type: AWS::SQS::Queue}}
  Intake:
    Type: AWS::Serverless::Function
    Metadata: {{BuildMethod: rust-cargolambda}}
    Properties:
      CodeUri: functions/intake
      Role: !GetAtt Runner.Arn
{properties}
"
    )
}

#[test]
fn a_function_is_its_own_properties_over_the_globals() {
    let text = function(
        "      Timeout: 10
      Environment: {Variables: {LEVEL: debug, DAYS: 3, QUEUE: !Ref Letters}}
      ReservedConcurrentExecutions: 5
      VpcConfig: {SubnetIds: [subnet-a, subnet-b], SecurityGroupIds: [sg-a]}
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Letters.Arn}
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Letters.Arn}}",
    );
    let template = load(&text).unwrap();
    let intake = &template.functions["Intake"];
    assert_eq!(
        intake.arn,
        "arn:aws:lambda:us-east-1:123456789012:function:deployer-Intake"
    );
    assert_eq!((intake.timeout_seconds, intake.memory_mebibytes), (10, 128));
    assert_eq!(
        (intake.runtime.as_str(), intake.role.as_str()),
        ("provided.al2023", "deployer-Runner")
    );
    let queue = "https://sqs.us-east-1.amazonaws.com/123456789012/deployer-Letters";
    let environment = [
        ("DAYS", "3"),
        ("LEVEL", "debug"),
        ("QUEUE", queue),
        ("SERVICE", "deployer"),
    ];
    let environment: BTreeMap<String, String> = environment
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(intake.environment, environment);
    assert_eq!(intake.logging.as_ref().unwrap().format.as_deref(), Some("JSON"));
    assert_eq!(intake.asynchronous.maximum_retry_attempts, 1);
    assert_eq!(intake.asynchronous.maximum_event_age_seconds, 21_600);
    assert_eq!(intake.asynchronous.on_failure, intake.dead_letter_arn);
    assert_eq!(intake.vpc.as_ref().unwrap().subnets, ["subnet-a", "subnet-b"]);
    assert_eq!(intake.metadata, json!({"BuildMethod": "rust-cargolambda"}));
}

#[test]
fn a_function_outside_the_subset_is_refused() {
    let table = [
        (
            "      Policies: [AWSLambdaExecute]",
            "Resources.Intake.Properties.Policies",
        ),
        ("      Layers: [x]", "Resources.Intake.Properties.Layers"),
        ("      Timeout: 901", "Resources.Intake.Properties"),
        ("      Tracing: Always", "Resources.Intake.Properties.Tracing"),
        (
            "      Events: {A: {Type: SQS, Properties: {}}}",
            "Resources.Intake.Properties.Events.A.Properties",
        ),
        (
            "      Events: {A: {Type: EventBridgeRule, Properties: {Pattern: {}, EventBusName: x}}}",
            "Resources.Intake.Properties.Events.A.Properties.EventBusName",
        ),
        (
            "      Events: {A: {Type: ScheduleV2, Properties: {ScheduleExpression: x, PermissionsBoundary: x}}}",
            "Resources.Intake.Properties.Events.A.Properties.PermissionsBoundary",
        ),
    ];
    for (properties, path) in table {
        assert_eq!(load(&function(properties)).unwrap_err().path, path, "{properties}");
    }
    let foreign = function("").replace("Role: !GetAtt Runner.Arn", "Role: arn:aws:iam::123456789012:role/other");
    assert!(
        load(&foreign)
            .unwrap_err()
            .message
            .contains("`other` is no role of this template")
    );
}

#[test]
fn the_events_of_a_function_become_rules_schedules_permissions_roles_and_queues() {
    let template = load(&function(
        "      Events:
        Push:
          Type: EventBridgeRule
          Properties:
            Pattern: {source: [aws.ecr]}
            DeadLetterConfig: {Type: SQS}
            RetryPolicy: {MaximumRetryAttempts: 5}
        Tick:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: rate(5 minutes)
            Input: '{\"sweep\": true}'
            DeadLetterConfig: {Arn: !GetAtt Letters.Arn}
        Old: {Type: Schedule, Properties: {Schedule: rate(1 hour), Enabled: false}}",
    ))
    .unwrap();
    let function = &template.functions["Intake"].arn;
    let push = &template.rules["IntakePush"];
    assert_eq!(push.pattern, Some(json!({"source": ["aws.ecr"]})));
    let queue = "arn:aws:sqs:us-east-1:123456789012:deployer-IntakePushQueue";
    assert_eq!(
        push.put_targets_input(),
        json!({"Rule": "deployer-IntakePush", "Targets": [{
            "Id": "IntakePushLambdaTarget",
            "Arn": function,
            "DeadLetterConfig": {"Arn": queue},
            "RetryPolicy": {"MaximumRetryAttempts": 5},
        }]})
    );
    assert_eq!(
        template.permissions["IntakePushPermission"].source_arn.as_deref(),
        Some(push.arn.as_str())
    );
    assert_eq!(template.rules["IntakeOld"].put_rule_input()["State"], "DISABLED");
    let tick = &template.schedules["IntakeTick"];
    assert_eq!(
        tick.create_schedule_input(),
        json!({
            "Name": "IntakeTick",
            "GroupName": "default",
            "ScheduleExpression": "rate(5 minutes)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Target": {
                "Arn": function,
                "RoleArn": "arn:aws:iam::123456789012:role/deployer-IntakeTickRole",
                "Input": "{\"sweep\": true}",
                "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:123456789012:deployer-Letters"},
            },
        })
    );
    let conditions = |arn: &str| BTreeMap::from([("aws:SourceArn".to_owned(), vec![arn.to_owned()])]);
    let allowed = |service: &str, action: &str, resource: &str, source: &str| {
        template
            .allows_service(service, action, resource, &conditions(source))
            .is_allowed()
    };
    assert!(allowed(
        "events.amazonaws.com",
        "lambda:InvokeFunction",
        function,
        &push.arn
    ));
    assert!(!allowed(
        "events.amazonaws.com",
        "lambda:InvokeFunction",
        function,
        "arn:aws:events:us-east-1:123456789012:rule/x"
    ));
    assert!(!allowed(
        "scheduler.amazonaws.com",
        "lambda:InvokeFunction",
        function,
        &push.arn
    ));
    assert!(allowed("events.amazonaws.com", "sqs:SendMessage", queue, &push.arn));
    assert!(!allowed(
        "events.amazonaws.com",
        "sqs:SendMessage",
        queue,
        &template.rules["IntakeOld"].arn
    ));
    let role = "deployer-IntakeTickRole";
    assert!(
        template
            .allows(role, "lambda:InvokeFunction", function, &BTreeMap::new())
            .is_allowed()
    );
    assert!(template.trusts(role, "scheduler.amazonaws.com", None).is_allowed());
    assert!(!template.trusts(role, "lambda.amazonaws.com", None).is_allowed());
}

#[test]
fn the_events_of_a_state_machine_start_it_as_a_role_of_their_own() {
    let text = format!(
        "
Resources:{ROLE}
  Release:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: release
      DefinitionUri: statemachine/release.asl.json
      DefinitionSubstitutions: {{Role: !Ref Runner}}
      Role: !GetAtt Runner.Arn
      Tracing: {{Enabled: true}}
      Events:
        Push: {{Type: EventBridgeRule, Properties: {{Pattern: {{source: [x]}}, InputPath: $.detail}}}}
        Tick: {{Type: ScheduleV2, Properties: {{ScheduleExpression: rate(1 hour)}}}}
"
    );
    let template = load(&text).unwrap();
    let machine = &template.state_machines["Release"];
    assert_eq!(
        machine.arn,
        "arn:aws:states:us-east-1:123456789012:stateMachine:release"
    );
    assert_eq!((machine.kind.as_str(), machine.tracing), ("STANDARD", true));
    assert_eq!(machine.substitutions["Role"], "deployer-Runner");
    let target = &template.rules["ReleasePush"].targets[0];
    assert_eq!(
        (target.id.as_str(), target.arn.as_str()),
        ("ReleasePushStepFunctionsTarget", machine.arn.as_str())
    );
    assert_eq!(target.input_path.as_deref(), Some("$.detail"));
    for role in ["deployer-ReleasePushRole", "deployer-ReleaseTickRole"] {
        assert!(
            template
                .allows(role, "states:StartExecution", &machine.arn, &BTreeMap::new())
                .is_allowed(),
            "{role}"
        );
        assert!(
            !template
                .allows(role, "states:StopExecution", &machine.arn, &BTreeMap::new())
                .is_allowed(),
            "{role}"
        );
    }
}

#[test]
fn a_second_policy_of_a_queue_is_refused_because_it_would_replace_the_first() {
    let policy = "{Type: AWS::SQS::QueuePolicy, Properties: {Queues: [!Ref Q], PolicyDocument: {Statement: \
        {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sqs:SendMessage, Resource: '*'}}}}";
    let one = format!("Resources:\n  Q: {{Type: AWS::SQS::Queue}}\n  One: {policy}\n");
    let template = load(&one).unwrap();
    let queue = &template.queues["Q"].arn;
    let decision = template.allows_service("events.amazonaws.com", "sqs:SendMessage", queue, &BTreeMap::new());
    assert!(decision.is_allowed());
    let error = load(&format!("{one}  Two: {policy}\n")).unwrap_err();
    assert_eq!(
        (error.line, error.path.as_str()),
        (4, "Resources.Two.Properties.Queues.0")
    );
}

#[test]
fn a_public_function_url_brings_its_two_permissions() {
    let template = load(&function("      FunctionUrlConfig: {AuthType: NONE}")).unwrap();
    assert_eq!(
        template.function_urls["IntakeUrl"].url,
        "https://intakeurl.lambda-url.us-east-1.on.aws/"
    );
    let permissions: Vec<&str> = template
        .permissions
        .values()
        .map(|permission| permission.action.as_str())
        .collect();
    assert_eq!(permissions, ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]);
    let private = load(&function("      FunctionUrlConfig: {AuthType: AWS_IAM}")).unwrap();
    assert!(private.permissions.is_empty());
}

#[test]
fn a_route_leads_to_its_function_by_a_permission_and_asks_who_calls_as_its_api_says() {
    let api = "  Door:\n    Type: AWS::Serverless::HttpApi\n    Properties:\n      Auth: {EnableIamAuthorizer: true, DefaultAuthorizer: AWS_IAM}\n";
    let events = |path: &str| {
        format!(
            "      Events:\n        Open: {{Type: HttpApi, Properties: {{ApiId: !Ref Door, Method: post, Path: /open, Auth: {{Authorizer: NONE}}}}}}\n        \
             Own: {{Type: HttpApi, Properties: {{ApiId: !Ref Door, Method: get, Path: {path}}}}}"
        )
    };
    let template = load(&format!("{}\n{api}", function(&events("/own")))).unwrap();
    assert_eq!(
        template.http_apis["Door"].default_authorizer.as_deref(),
        Some("AWS_IAM")
    );
    let route = |id: &str| {
        let route = &template.http_routes[id];
        (route.method.as_str(), route.path.as_str(), route.authorizer.as_deref())
    };
    assert_eq!(route("IntakeOpen"), ("POST", "/open", Some("NONE")));
    assert_eq!(route("IntakeOwn"), ("GET", "/own", None));
    let permission = &template.permissions["IntakeOpenPermission"];
    assert_eq!(
        (permission.principal.as_str(), permission.source_arn.as_deref()),
        (
            "apigateway.amazonaws.com",
            Some("arn:aws:execute-api:us-east-1:123456789012:door/*/POST/open")
        )
    );
    let named = load(&format!("{}\n{api}", function(&events("'/own/{id}'")))).unwrap();
    let permission = &named.permissions["IntakeOwnPermission"];
    assert!(permission.source_arn.as_deref().unwrap().ends_with("/*/GET/own/*"));
    let error = load(&format!("{}\n{api}", function(&events("'/own/{rest+}'")))).unwrap_err();
    assert!(error.to_string().contains("the rest of a path"), "{error}");
    let unasked = api.replace("EnableIamAuthorizer: true, ", "");
    let error = load(&format!("{}\n{unasked}", function(&events("/own")))).unwrap_err();
    assert!(error.to_string().contains("EnableIamAuthorizer"), "{error}");
}

#[test]
fn a_table_keeps_its_keys_indexes_and_protections() {
    let text = "
Resources:
  Control:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
        - {AttributeName: pk, AttributeType: S}
        - {AttributeName: sk, AttributeType: S}
        - {AttributeName: at, AttributeType: N}
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
      GlobalSecondaryIndexes:
        - IndexName: by-time
          KeySchema: [{AttributeName: sk, KeyType: HASH}, {AttributeName: at, KeyType: RANGE}]
          Projection: {ProjectionType: ALL}
      TimeToLiveSpecification: {AttributeName: expires, Enabled: true}
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35}
      DeletionProtectionEnabled: true
";
    let template = load(text).unwrap();
    let table = &template.tables["Control"];
    assert_eq!(table.time_to_live_attribute.as_deref(), Some("expires"));
    assert_eq!((table.recovery_days, table.deletion_protection), (Some(35), true));
    let input = table.create_table_input();
    assert_eq!(
        input["KeySchema"][1],
        json!({"AttributeName": "sk", "KeyType": "RANGE"})
    );
    assert_eq!(input["GlobalSecondaryIndexes"][0]["IndexName"], "by-time");
    assert_eq!(input["AttributeDefinitions"].as_array().map(Vec::len), Some(3));
    assert!(load(&text.replace("AttributeName: at, AttributeType", "AttributeName: on, AttributeType")).is_err());
    assert!(load(&text.replace("BillingMode: PAY_PER_REQUEST", "BillingMode: PROVISIONED")).is_err());
}

#[test]
fn plain_rules_schedules_alarms_groups_and_parameters_are_kept() {
    let template = load(&function(
        "
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {source: [aws.ecs]}
      Targets:
        - Id: intake
          Arn: !GetAtt Intake.Arn
          InputTransformer: {InputPathsMap: {tag: $.detail.tag}, InputTemplate: '{\"tag\": <tag>}'}
  Permission:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !Ref Intake
      Principal: events.amazonaws.com
      SourceArn: !GetAtt Rule.Arn
  Group: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub '/aws/lambda/${Intake}', RetentionInDays: 30}}
  Level: {Type: AWS::SSM::Parameter, Properties: {Name: /level, Type: String, Value: info}}
  Broken:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions: [{Name: FunctionName, Value: !Ref Intake}]
      ComparisonOperator: GreaterThanThreshold
      Threshold: 0
      EvaluationPeriods: 1",
    ))
    .unwrap();
    assert_eq!(
        template.rules["Rule"].targets[0].input_transformer.as_ref().unwrap()["InputPathsMap"]["tag"],
        "$.detail.tag"
    );
    assert_eq!(
        template.permissions["Permission"].function_arn,
        template.functions["Intake"].arn
    );
    assert_eq!(template.log_groups["Group"].name, "/aws/lambda/deployer-Intake");
    assert_eq!(template.stored_parameters["Level"].value, "info");
    assert_eq!(
        template.alarms["Broken"].properties["Dimensions"][0]["Value"],
        Value::from("deployer-Intake")
    );
}
