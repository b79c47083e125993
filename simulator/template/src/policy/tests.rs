use std::collections::BTreeMap;

use crate::{Conditions, Decision, Settings, Template, TemplateError};

const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/ledger";

fn load(statements: &str) -> Result<Template, TemplateError> {
    let text = format!(
        "
Resources:
  Ledger:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: ledger
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{{AttributeName: pk, AttributeType: S}}]
      KeySchema: [{{AttributeName: pk, KeyType: HASH}}]
      ResourcePolicy:
        PolicyDocument:
          Version: '2012-10-17'
          Statement:
            - Sid: AppendOnly
              Effect: Deny
              Principal: '*'
              Action: [dynamodb:UpdateItem, dynamodb:DeleteItem]
              Resource: '*'
              Condition: {{ArnNotEquals: {{'aws:PrincipalArn': 'arn:aws:iam::123456789012:role/break-glass'}}}}
            - Effect: Allow
              Principal: {{AWS: 'arn:aws:iam::123456789012:role/reader'}}
              Action: dynamodb:GetItem
              Resource: '*'
  Writer:
    Type: AWS::IAM::Role
    Properties:
      RoleName: writer
      AssumeRolePolicyDocument:
        Statement: [{{Effect: Allow, Principal: {{Service: lambda.amazonaws.com}}, Action: sts:AssumeRole}}]
      Policies:
        - PolicyName: main
          PolicyDocument:
            Version: '2012-10-17'
            Statement:
{statements}
"
    );
    let settings = Settings {
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        stack: "s".to_owned(),
        parameters: BTreeMap::new(),
    };
    Template::load(&text, &settings)
}

fn statement(rest: &str) -> String {
    format!("              - {{Effect: Allow, {rest}}}")
}

fn conditions(keys: &[(&str, &[&str])]) -> Conditions {
    keys.iter()
        .map(|(key, values)| {
            (
                (*key).to_owned(),
                values.iter().map(|value| (*value).to_owned()).collect(),
            )
        })
        .collect()
}

#[test]
fn actions_and_resources_match_with_wildcards() {
    // statement, action, resource, whether it is allowed
    let table = [
        ("Action: ecs:RunTask, Resource: '*'", "ecs:RunTask", "arn:x", true),
        ("Action: ecs:RunTask, Resource: '*'", "ecs:StopTask", "arn:x", false),
        ("Action: ECS:runtask, Resource: '*'", "ecs:RunTask", "arn:x", true),
        (
            "Action: ecs:Describe*, Resource: '*'",
            "ecs:DescribeTasks",
            "arn:x",
            true,
        ),
        ("Action: '*', Resource: '*'", "iam:PassRole", "arn:x", true),
        (
            "Action: [a:B, ecs:RunTask], Resource: [arn:y, arn:x]",
            "ecs:RunTask",
            "arn:x",
            true,
        ),
        (
            "Action: a:B, Resource: 'arn:aws:ecs:*:*:task/c/*'",
            "a:B",
            "arn:aws:ecs:us-east-1:1:task/c/7",
            true,
        ),
        (
            "Action: a:B, Resource: 'arn:aws:ecs:*:*:task/c/*'",
            "a:B",
            "arn:aws:ecs:us-east-1:1:task/d/7",
            false,
        ),
        ("Action: a:B, Resource: 'arn:task/?'", "a:B", "arn:task/7", true),
        ("Action: a:B, Resource: 'arn:task/?'", "a:B", "arn:task/77", false),
        ("Action: a:B, Resource: 'arn:Task'", "a:B", "arn:task", false),
        ("NotAction: iam:*, Resource: '*'", "ecs:RunTask", "arn:x", true),
        ("NotAction: iam:*, Resource: '*'", "iam:PassRole", "arn:x", false),
        ("Action: a:B, NotResource: 'arn:secret*'", "a:B", "arn:x", true),
        ("Action: a:B, NotResource: 'arn:secret*'", "a:B", "arn:secret/1", false),
    ];
    for (text, action, resource, allowed) in table {
        let template = load(&statement(text)).unwrap();
        let decision = template.allows("writer", action, resource, &Conditions::new());
        assert_eq!(
            decision.is_allowed(),
            allowed,
            "{text}: {action} on {resource}: {decision:?}"
        );
    }
}

#[test]
fn conditions_hold_as_iam_evaluates_them() {
    let cluster: &[(&str, &[&str])] = &[("ecs:cluster", &["arn:aws:ecs:us-east-1:1:cluster/prod"])];
    let keys: &[(&str, &[&str])] = &[("dynamodb:LeadingKeys", &["DEDUP#1", "DEDUP#2"])];
    let mixed: &[(&str, &[&str])] = &[("dynamodb:LeadingKeys", &["DEDUP#1", "LOCK#2"])];
    let none: &[(&str, &[&str])] = &[];
    let table = [
        (
            "StringEquals: {'ecs:cluster': 'arn:aws:ecs:us-east-1:1:cluster/prod'}",
            cluster,
            true,
        ),
        (
            "StringEquals: {'ECS:Cluster': ['x', 'arn:aws:ecs:us-east-1:1:cluster/prod']}",
            cluster,
            true,
        ),
        (
            "StringEquals: {'ecs:cluster': 'arn:aws:ecs:us-east-1:1:cluster/*'}",
            cluster,
            false,
        ),
        (
            "StringEquals: {'ecs:cluster': 'arn:aws:ecs:us-east-1:1:cluster/prod'}",
            none,
            false,
        ),
        ("StringEqualsIfExists: {'ecs:cluster': 'other'}", none, true),
        ("StringEqualsIfExists: {'ecs:cluster': 'other'}", cluster, false),
        ("StringNotEquals: {'ecs:cluster': 'other'}", cluster, true),
        ("StringNotEquals: {'ecs:cluster': 'other'}", none, true),
        ("StringLike: {'ecs:cluster': '*cluster/p?od'}", cluster, true),
        ("ArnEquals: {'ecs:cluster': 'arn:aws:ecs:*:1:cluster/*'}", cluster, true),
        ("ArnLike: {'ecs:cluster': 'arn:aws:ecs:*:cluster/prod'}", cluster, false),
        (
            "ArnNotLike: {'ecs:cluster': 'arn:aws:ecs:*:*:cluster/prod'}",
            cluster,
            false,
        ),
        (
            "'ForAllValues:StringLike': {'dynamodb:LeadingKeys': 'DEDUP#*'}",
            keys,
            true,
        ),
        (
            "'ForAllValues:StringLike': {'dynamodb:LeadingKeys': 'DEDUP#*'}",
            mixed,
            false,
        ),
        (
            "'ForAllValues:StringLike': {'dynamodb:LeadingKeys': 'DEDUP#*'}",
            none,
            true,
        ),
        (
            "'ForAllValues:StringEquals': {'dynamodb:LeadingKeys': ['DEDUP#1', 'DEDUP#2']}",
            keys,
            true,
        ),
        (
            "'ForAnyValue:StringLike': {'dynamodb:LeadingKeys': 'LOCK#*'}",
            mixed,
            true,
        ),
        (
            "'ForAnyValue:StringLike': {'dynamodb:LeadingKeys': 'LOCK#*'}",
            none,
            false,
        ),
        ("'Null': {'ecs:cluster': 'false'}", cluster, true),
        ("'Null': {'ecs:cluster': 'true'}", cluster, false),
        ("'Null': {'ecs:cluster': true}", none, true),
        ("Bool: {'aws:PrincipalIsAWSService': false}", none, true),
        ("Bool: {'lambda:InvokedViaFunctionUrl': true}", none, false),
        (
            "StringEquals: {'ecs:cluster': 'arn:aws:ecs:us-east-1:1:cluster/prod'}, Bool: {'a:b': true}",
            cluster,
            false,
        ),
    ];
    for (condition, request, allowed) in table {
        let template = load(&statement(&format!(
            "Action: a:B, Resource: '*', Condition: {{{condition}}}"
        )))
        .unwrap();
        let decision = template.allows("writer", "a:B", "arn:x", &conditions(request));
        assert_eq!(decision.is_allowed(), allowed, "{condition} with {request:?}");
    }
}

#[test]
fn an_explicit_deny_wins_over_every_allow() {
    let template = load(
        "              - {Effect: Allow, Action: 'ecs:*', Resource: '*'}
              - {Sid: NoStop, Effect: Deny, Action: ecs:StopTask, Resource: '*'}",
    )
    .unwrap();
    let Decision::ExplicitDeny { reason, by } = template.allows("writer", "ecs:StopTask", "arn:t", &Conditions::new())
    else {
        panic!("not denied")
    };
    assert_eq!(
        reason,
        "User: arn:aws:sts::123456789012:assumed-role/writer/writer is not authorized to perform: ecs:StopTask on \
         resource: arn:t with an explicit deny in an identity-based policy"
    );
    assert!(by.contains("NoStop"), "{by}");
}

#[test]
fn silence_is_a_deny_that_names_the_action() {
    let template = load(&statement("Action: ecs:StopTask, Resource: '*'")).unwrap();
    let decision = template.allows("writer", "ecs:RunTask", "arn:t", &Conditions::new());
    assert_eq!(
        decision.reason(),
        Some(
            "User: arn:aws:sts::123456789012:assumed-role/writer/writer is not authorized to perform: ecs:RunTask on \
             resource: arn:t because no identity-based policy allows the ecs:RunTask action"
        )
    );
    assert!(
        !template
            .allows("nobody", "ecs:StopTask", "arn:t", &Conditions::new())
            .is_allowed()
    );
}

#[test]
fn the_policy_of_a_table_binds_everyone_but_the_named_role() {
    let template = load(&statement("Action: 'dynamodb:*', Resource: '*'")).unwrap();
    let decide = |role: &str, action: &str, resource: &str| template.allows(role, action, resource, &Conditions::new());
    assert!(decide("writer", "dynamodb:PutItem", TABLE).is_allowed());
    assert!(matches!(
        decide("writer", "dynamodb:UpdateItem", TABLE),
        Decision::ExplicitDeny { .. }
    ));
    assert!(matches!(
        decide("break-glass", "dynamodb:UpdateItem", TABLE),
        Decision::ImplicitDeny { .. }
    ));
    assert!(decide("reader", "dynamodb:GetItem", TABLE).is_allowed());
    assert!(decide("reader", "dynamodb:GetItem", &format!("{TABLE}/index/by-time")).is_allowed());
    assert!(!decide("reader", "dynamodb:GetItem", &format!("{TABLE}2")).is_allowed());
    assert!(!decide("stranger", "dynamodb:GetItem", TABLE).is_allowed());
}

#[test]
fn what_a_role_may_do_is_listed_with_its_place() {
    let managed = load(
        "              - {Effect: Allow, Action: [ecs:RunTask, ecs:StopTask], Resource: arn:t}
              - {Effect: Deny, Action: ecs:StopTask, Resource: '*'}
      ManagedPolicyArns: [arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]",
    )
    .unwrap();
    let grants = managed.allowed_actions("writer");
    let pairs: Vec<(&str, &str)> = grants
        .iter()
        .map(|grant| (grant.action.as_str(), grant.resource.as_str()))
        .collect();
    assert!(pairs.contains(&("logs:PutLogEvents", "*")));
    assert!(pairs.contains(&("ecs:RunTask", "arn:t")) && pairs.contains(&("ecs:StopTask", "arn:t")));
    assert_eq!(pairs.len(), 5);
    assert!(grants.iter().any(|grant| {
        grant
            .by
            .starts_with("Resources.Writer.Properties.Policies.0.PolicyDocument.Statement.0")
    }));
}

#[test]
fn what_is_not_evaluated_is_not_accepted() {
    let table = [
        (
            "Action: a:B, Resource: '*', Condition: {DateGreaterThan: {'aws:CurrentTime': x}}",
            "`DateGreaterThan`",
        ),
        (
            "Action: a:B, Resource: '*', Condition: {'ForSomeValues:StringLike': {'a:b': x}}",
            "`ForSomeValues:StringLike`",
        ),
        (
            "Action: a:B, Resource: '*', Condition: {'Null': {'a:b': x}}",
            "`Null` takes true or false",
        ),
        ("Action: a:B, Resource: 'arn:${aws:username}'", "policy variables"),
        ("Action: a:B, Resource: '*', Principal: '*'", "names no principal"),
        (
            "Action: a:B, NotAction: a:C, Resource: '*'",
            "either `Action` or `NotAction`",
        ),
        ("Action: a:B", "either `Resource` or `NotResource`"),
        ("Action: RunTask, Resource: '*'", "names no service"),
        ("Action: a:B, Resource: '*', Resourse: x", "is not understood here"),
    ];
    for (text, message) in table {
        let error = load(&statement(text)).unwrap_err();
        assert!(error.message.contains(message), "{text}: {error}");
        assert!(error.line >= 35, "{text}: {error}");
    }
    let unknown = statement("Action: a:B, Resource: '*'")
        + "\n      ManagedPolicyArns: [arn:aws:iam::aws:policy/AdministratorAccess]";
    assert!(load(&unknown).unwrap_err().message.contains("AdministratorAccess"));
    let boundary = statement("Action: a:B, Resource: '*'") + "\n      PermissionsBoundary: arn:x";
    assert!(load(&boundary).unwrap_err().message.contains("boundaries"));
}

#[test]
fn a_role_trusts_a_service_for_the_account_and_the_resources_that_its_trust_policy_names() {
    let trust = |condition: &str| {
        let text = format!(
            "
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: trusting
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement: [{{Effect: Allow, Principal: {{Service: states.amazonaws.com}}, Action: sts:AssumeRole{condition}}}]
"
        );
        let settings = Settings {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            stack: "s".to_owned(),
            parameters: BTreeMap::new(),
        };
        Template::load(&text, &settings).unwrap()
    };
    let release = "arn:aws:states:us-east-1:123456789012:stateMachine:release";
    let account = ", Condition: {StringEquals: {aws:SourceAccount: '123456789012'}}";
    let foreign = ", Condition: {StringEquals: {aws:SourceAccount: '210987654321'}}";
    let machine = ", Condition: {ArnLike: {aws:SourceArn: 'arn:aws:states:*:123456789012:stateMachine:release'}}";
    // condition, service, source, whether the role is trusted to it
    let table = [
        ("", "states.amazonaws.com", Some(release), true),
        ("", "states.amazonaws.com", None, true),
        ("", "lambda.amazonaws.com", None, false),
        (account, "states.amazonaws.com", Some(release), true),
        (account, "states.amazonaws.com", None, false),
        (foreign, "states.amazonaws.com", Some(release), false),
        (machine, "states.amazonaws.com", Some(release), true),
        (
            machine,
            "states.amazonaws.com",
            Some("arn:aws:states:us-east-1:123456789012:stateMachine:other"),
            false,
        ),
    ];
    for (condition, service, source, expected) in table {
        let decision = trust(condition).trusts("trusting", service, source);
        assert_eq!(decision.is_allowed(), expected, "{condition} {service} {source:?}");
    }
    let refusal = trust(foreign).trusts("trusting", "states.amazonaws.com", Some(release));
    assert_eq!(
        refusal.reason().unwrap(),
        "User: states.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/trusting \
         because no resource-based policy allows the sts:AssumeRole action"
    );
}
