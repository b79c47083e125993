//! The template keeps the powers apart and lets no event be lost without a trace.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read what it checks has failed"
)]

mod alarms;

use std::collections::{BTreeMap, BTreeSet};

use esclusa_tests::template::{Template, one_or_many, project, statements};
use serde_json::Value;

const FUNCTIONS: [&str; 10] = [
    "Intake", "Observe", "Register", "Migrate", "Update", "Traffic", "Record", "Resume", "Notify", "Console",
];

/// The functions that act on releases: what they may do with the two tables they share. The others have what they need
/// and no more.
const ACTING: [&str; 8] = [
    "Intake", "Observe", "Register", "Migrate", "Update", "Traffic", "Record", "Resume",
];

/// The secrets, each with the policy by which the only function that holds it may read it.
const SECRETS: [(&str, &str, &str); 2] = [
    ("SlackBotTokenArn", "NotifySecretPolicy", "NotifyRole"),
    ("SlackSigningSecretArn", "ConsoleSecretPolicy", "ConsoleRole"),
];

/// Every power over what is not the deployer's own, and the only functions that hold it. Reading is a power too.
const POWERS: [(&str, &[&str]); 54] = [
    (
        "application-autoscaling:DescribeScalableTargets",
        &["Observe", "Update"],
    ),
    (
        "application-autoscaling:DescribeScalingPolicies",
        &["Observe", "Update"],
    ),
    ("application-autoscaling:PutScalingPolicy", &["Update"]),
    ("application-autoscaling:RegisterScalableTarget", &["Update"]),
    ("cloudwatch:DeleteAlarms", &["Update"]),
    ("cloudwatch:DescribeAlarms", &["Observe", "Update"]),
    ("cloudwatch:GetMetricData", &["Observe"]),
    ("cloudwatch:PutMetricAlarm", &["Update"]),
    ("dynamodb:DeleteItem", &["Notify"]),
    ("dynamodb:GetItem", &["Console", "Notify"]),
    ("dynamodb:PutItem", &["Console", "Notify"]),
    ("dynamodb:Query", &["Console", "Notify"]),
    ("ec2:AssignPrivateIpAddresses", &["Observe"]),
    ("ec2:CreateNetworkInterface", &["Observe"]),
    ("ec2:DeleteNetworkInterface", &["Observe"]),
    ("ec2:DescribeNetworkInterfaces", &["Observe"]),
    ("ec2:DescribeSubnets", &["Observe"]),
    ("ec2:UnassignPrivateIpAddresses", &["Observe"]),
    ("ecr:BatchGetImage", &["Observe"]),
    ("ecr:DescribeImages", &["Intake", "Observe"]),
    ("ecr:GetDownloadUrlForLayer", &["Observe"]),
    ("ecs:DescribeClusters", &["Observe"]),
    ("ecs:DescribeServiceDeployments", &["Observe", "Resume", "Traffic"]),
    ("ecs:DescribeServiceRevisions", &["Observe", "Resume", "Traffic"]),
    ("ecs:DescribeServices", &["Observe", "Resume", "Traffic", "Update"]),
    ("ecs:DescribeTaskDefinition", &["Observe", "Register", "Resume"]),
    ("ecs:DescribeTasks", &["Migrate", "Observe", "Resume", "Traffic"]),
    (
        "ecs:ListServiceDeployments",
        &["Observe", "Resume", "Traffic", "Update"],
    ),
    ("ecs:ListTaskDefinitions", &["Register"]),
    ("ecs:ListTasks", &["Migrate", "Observe", "Resume", "Traffic"]),
    ("ecs:RegisterTaskDefinition", &["Register"]),
    ("ecs:RunTask", &["Migrate"]),
    ("ecs:StopServiceDeployment", &["Traffic"]),
    ("ecs:StopTask", &["Migrate"]),
    ("ecs:TagResource", &["Migrate", "Register"]),
    ("ecs:UpdateService", &["Update"]),
    ("elasticloadbalancing:DescribeTargetHealth", &["Observe"]),
    ("events:PutEvents", &["Record"]),
    ("iam:PassRole", &["Migrate", "Register", "Update"]),
    ("lambda:InvokeFunction", &["Console", "Observe"]),
    ("logs:FilterLogEvents", &["Observe"]),
    ("logs:GetLogEvents", &["Migrate", "Observe"]),
    ("rds:AddTagsToResource", &["Migrate"]),
    ("rds:CreateDBClusterSnapshot", &["Migrate"]),
    ("rds:CreateDBSnapshot", &["Migrate"]),
    ("rds:DescribeDBClusterSnapshots", &["Migrate"]),
    ("rds:DescribeDBClusters", &["Migrate", "Observe"]),
    ("rds:DescribeDBInstances", &["Migrate", "Observe"]),
    ("rds:DescribeDBSnapshots", &["Migrate"]),
    ("sqs:GetQueueAttributes", &["Record"]),
    (
        "sqs:SendMessage",
        &["Intake", "Notify", "Observe", "Record", "Resume", "Update"],
    ),
    ("states:DescribeExecution", &["Record", "Resume"]),
    ("states:SendTaskSuccess", &["Resume"]),
    ("states:StartExecution", &["Intake"]),
];

/// Actions for which IAM knows no resource that could be named; for the network interfaces of a function Lambda asks
/// for all of them.
const WITHOUT_RESOURCE: [&str; 16] = [
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTaskDefinitions",
    "ecs:ListTasks",
    "elasticloadbalancing:DescribeTargetHealth",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

/// The functions that reach what is in the place of an environment: in another account or Region each has a role of its
/// own.
const PLACED: [&str; 6] = ["Observe", "Register", "Migrate", "Update", "Traffic", "Resume"];

/// The powers over what is the deployer's own, which is at home.
const AT_HOME: [&str; 2] = ["sqs:", "states:"];

fn target() -> Template {
    Template::read_file("target-account.yaml").unwrap()
}

/// The statements of a role as they are written.
fn written_statements(template: &Template, role: &str) -> Vec<Value> {
    let policies = template.properties(role)["Policies"].as_array().unwrap().iter();
    let statements = policies.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
    statements.cloned().collect()
}

#[test]
fn a_role_of_another_account_has_exactly_the_powers_over_it_that_its_function_has_at_home() {
    let (home, target) = (template(), target());
    for function in PLACED {
        let role = format!("{function}Role");
        let is_of_place = |statement: &Value| {
            let actions = one_or_many(statement.get("Action"));
            let is_at_home = |action: &String| AT_HOME.iter().any(|own| action.starts_with(own));
            // Under a condition is what attaches the function to a network at home.
            statement.is_object() && !actions.iter().any(is_at_home)
        };
        let of_home: Vec<Value> = written_statements(&home, &role)
            .into_iter()
            .filter(is_of_place)
            .collect();
        let moved = serde_json::to_string(&of_home).unwrap();
        let moved = moved.replace("${AWS::Region}", "${RegionPattern}");
        let mut expected: Vec<Value> = serde_json::from_str(&moved).unwrap();
        for statement in &mut expected {
            // Images are read at home; in the registry of there only whether a digest has arrived.
            if statement["Sid"] == "ReadImages" {
                statement["Action"] = "ecr:DescribeImages".into();
            }
        }
        assert!(!expected.is_empty(), "{role}");
        assert_eq!(written_statements(&target, &role), expected, "{role}");
    }
    let others: BTreeSet<&str> = FUNCTIONS.into_iter().filter(|name| !PLACED.contains(name)).collect();
    for function in others {
        assert_eq!(
            target.properties(&format!("{function}Role")),
            &Value::Null,
            "{function}"
        );
        assert_eq!(
            home.properties(&format!("{function}TargetPolicy")),
            &Value::Null,
            "{function}"
        );
    }
}

#[test]
fn a_role_of_another_account_trusts_its_function_only_and_asks_for_the_external_id() {
    let (home, target) = (template(), target());
    for function in PLACED {
        let name = function.to_lowercase();
        let trust = &target.properties(&format!("{function}Role"))["AssumeRolePolicyDocument"]["Statement"];
        let [trust] = trust.as_array().unwrap().as_slice() else {
            panic!("{function}: {trust}")
        };
        let principal = format!("arn:${{AWS::Partition}}:iam::${{HomeAccount}}:role/${{HomeStack}}-{name}");
        assert_eq!(trust["Principal"], serde_json::json!({"AWS": principal}));
        assert_eq!(trust["Action"], "sts:AssumeRole");
        let external_id = serde_json::json!({"StringEquals": {"sts:ExternalId": "ExternalId"}});
        assert_eq!(trust["Condition"], external_id);
        let policy = format!("{function}TargetPolicy");
        let roles = one_or_many(home.properties(&policy).get("Roles"));
        assert_eq!(roles, BTreeSet::from([format!("{function}Role")]));
        let [assumes] = &home.policy_statements(&policy)[..] else {
            panic!("{policy} has one statement")
        };
        let role = format!("arn:${{AWS::Partition}}:iam::*:role/${{TargetRolePrefix}}-{name}");
        assert_eq!(assumes.actions, BTreeSet::from(["sts:AssumeRole".to_owned()]));
        assert_eq!(assumes.resources, BTreeSet::from([role]));
    }
    let denied = target.policy_statements("DenyPolicy");
    assert!(
        denied
            .iter()
            .all(|statement| !statement.allows && statement.actions.contains("iam:*"))
    );
    let roles = one_or_many(target.properties("DenyPolicy").get("Roles"));
    assert_eq!(roles, PLACED.map(|function| format!("{function}Role")).into());
}

/// What is sent home is what is listened for there: nothing of it is lost on the way, and nothing else is sent.
#[test]
fn another_account_sends_the_events_that_are_waited_for_at_home() {
    let (home, target) = (template(), target());
    let listened = |event: &str| home.properties("ResumeFunction")["Events"][event]["Properties"]["Pattern"].clone();
    let sent = |rule: &str| target.properties(rule)["EventPattern"].clone();
    assert_eq!(sent("TaskStateChangeRule"), listened("TaskStateChange"));
    assert_eq!(sent("DeploymentStateChangeRule"), listened("DeploymentStateChange"));
    let rechecked = &home.properties("ObserveFunction")["Events"]["AlarmRecheck"]["Properties"]["Pattern"];
    assert_eq!(
        &sent("AlarmStateChangeRule"),
        rechecked,
        "the events that wake a wait are among them"
    );
    let policy = &home.properties("TargetEventsPolicy")["Statement"];
    let sources = one_or_many(policy["Condition"]["StringEquals"].get("events:source"));
    let rules = target.resources("AWS::Events::Rule");
    for (name, rule) in rules {
        let source = one_or_many(rule["EventPattern"].get("source"));
        assert!(source.is_subset(&sources), "{name}");
        let targets = rule["Targets"].as_array().unwrap();
        assert!(
            targets.len() == 1 && targets[0]["RoleArn"] == "ForwardRole.Arn",
            "{name}"
        );
    }
    assert_eq!(policy["Principal"], serde_json::json!({"AWS": "TargetAccounts"}));
}

#[test]
fn what_both_templates_ask_for_has_the_same_form() {
    let (home, target) = (template(), target());
    let shared = [
        "ClusterPattern",
        "FamilyPattern",
        "RepositoryPattern",
        "PassableRoleArns",
        "DatabasePattern",
        "TaskLogGroupPattern",
        "TestFunctionPattern",
    ];
    for name in shared {
        for field in ["Type", "Default", "AllowedPattern"] {
            let of = |template: &Template| template.0["Parameters"][name][field].clone();
            assert_eq!(of(&home), of(&target), "{name}.{field}");
        }
    }
}

fn template() -> Template {
    Template::read().unwrap()
}

#[test]
fn each_power_is_held_by_the_functions_that_need_it_and_no_other() {
    let template = template();
    let mut held: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for function in FUNCTIONS {
        for action in template
            .role_statements(&format!("{function}Role"))
            .into_iter()
            .flat_map(|statement| statement.actions)
        {
            held.entry(action).or_default().insert(function);
        }
    }
    let needed: BTreeMap<String, BTreeSet<&str>> = POWERS
        .iter()
        .map(|(action, functions)| ((*action).to_owned(), functions.iter().copied().collect()))
        .collect();
    assert_eq!(held, needed);
}

#[test]
fn a_power_is_bound_to_resources_wherever_iam_can_bind_it() {
    let template = template();
    let own = FUNCTIONS
        .iter()
        .flat_map(|function| template.role_statements(&format!("{function}Role")));
    for statement in own
        .chain(template.policy_statements("FunctionPolicy"))
        .chain(template.policy_statements("TablePolicy"))
        .filter(|statement| statement.allows)
    {
        let free: Vec<&String> = statement
            .actions
            .iter()
            .filter(|action| !WITHOUT_RESOURCE.contains(&action.as_str()))
            .collect();
        assert!(
            !statement.resources.contains("*") || free.is_empty(),
            "`{}` allows {free:?} on everything",
            statement.sid
        );
        assert!(
            statement.actions.iter().all(|action| !action.contains('*')),
            "`{}` allows actions by wildcard",
            statement.sid
        );
        let passes = statement.actions.contains("iam:PassRole") || statement.actions.contains("ecs:RunTask");
        assert!(
            !passes || statement.conditional,
            "`{}` is not bound to a condition",
            statement.sid
        );
    }
}

#[test]
fn no_function_may_rewrite_the_ledger_or_the_deployer() {
    let template = template();
    let attached = |policy: &str| one_or_many(template.properties(policy).get("Roles"));
    let roles = |functions: &[&str]| functions.iter().map(|function| format!("{function}Role")).collect();
    assert_eq!(attached("FunctionPolicy"), roles(&FUNCTIONS));
    assert_eq!(attached("TablePolicy"), roles(&ACTING));
    for function in FUNCTIONS {
        let properties = template.properties(&format!("{function}Function"));
        assert_eq!(properties["Role"], format!("{function}Role.Arn"));
    }
    let denied = |resource: &str| -> BTreeSet<String> {
        let denials = template
            .policy_statements("FunctionPolicy")
            .into_iter()
            .filter(|statement| !statement.allows);
        denials
            .filter(|statement| statement.resources.iter().any(|r| r.contains(resource)))
            .flat_map(|statement| statement.actions)
            .collect()
    };
    for action in [
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:DeleteTable",
    ] {
        assert!(denied("LedgerTable.Arn").contains(action), "{action}");
    }
    for (resource, action) in [
        (":function:", "lambda:Update*"),
        (":function:", "lambda:Add*"),
        (":function:", "lambda:Invoke*"),
        (":role/", "iam:*"),
        (":stateMachine:", "states:UpdateStateMachine"),
        (":rule/", "events:DisableRule"),
    ] {
        assert!(denied(resource).contains(action), "{action}");
    }
}

#[test]
fn the_ledger_refuses_rewriting_whoever_asks() {
    let template = template();
    let ledger = template.properties("LedgerTable");
    let policy = statements(&ledger["ResourcePolicy"]["PolicyDocument"]);
    let allowed_to_append = template
        .policy_statements("TablePolicy")
        .into_iter()
        .find(|statement| statement.sid == "AppendToLedger")
        .unwrap();
    let [append_only] = policy.as_slice() else {
        panic!("the ledger has one statement, not {policy:?}")
    };
    assert!(!append_only.allows && !append_only.conditional);
    for action in ["dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"] {
        assert!(append_only.actions.contains(action), "{action}");
    }
    assert!(
        append_only.actions.is_disjoint(&allowed_to_append.actions),
        "the policy would stop the deployer itself"
    );
}

#[test]
fn a_table_cannot_be_lost_by_accident() {
    let template = template();
    let tables = template.resources("AWS::DynamoDB::Table");
    assert_eq!(
        tables.keys().copied().collect::<Vec<_>>(),
        ["ControlTable", "LedgerTable"]
    );
    for (name, table) in tables {
        assert_eq!(table["DeletionProtectionEnabled"], true, "{name}");
        assert_eq!(
            table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true,
            "{name}"
        );
        assert_eq!(table["SSESpecification"]["SSEEnabled"], true, "{name}");
        assert_eq!(template.0["Resources"][name]["DeletionPolicy"], "Retain", "{name}");
        assert_eq!(template.0["Resources"][name]["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

/// Whoever tells people writes only what was told, and whoever hears from them only what they decided: a whole table is
/// nobody's who talks to the outside.
#[test]
fn who_talks_to_people_writes_no_more_than_that() {
    let template = template();
    for (function, allowed) in [
        ("Notify", &["CARD#*"][..]),
        (
            "Console",
            &[
                "VOTES#*",
                "ANSWERS#*",
                "ORDERS#*",
                "PINS#*",
                "FREEZES#*",
                "ACKNOWLEDGEMENTS#*",
                "QUARANTINE#*",
                "DEBTS#*",
                "INTERACTION#*",
                "CHAIN#*",
            ],
        ),
    ] {
        let policy = &template.properties(&format!("{function}Role"))["Policies"][0]["PolicyDocument"];
        for statement in policy["Statement"].as_array().unwrap() {
            let writes = one_or_many(statement.get("Action"));
            let writes = writes.contains("dynamodb:PutItem") || writes.contains("dynamodb:DeleteItem");
            if writes && statement["Resource"] == "ControlTable.Arn" {
                let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
                assert_eq!(keys, &serde_json::json!(allowed), "{function}");
            }
        }
    }
}

#[test]
fn each_secret_is_read_by_one_function() {
    let template = template();
    let policies = template.resources("AWS::IAM::Policy");
    for (parameter, policy, role) in SECRETS {
        let attached = one_or_many(template.properties(policy).get("Roles"));
        assert_eq!(attached, BTreeSet::from([role.to_owned()]));
        let [statement] = &template.policy_statements(policy)[..] else {
            panic!("{policy} has one statement")
        };
        let text = |text: &str| BTreeSet::from([text.to_owned()]);
        assert_eq!(statement.actions, text("secretsmanager:GetSecretValue"));
        assert_eq!(statement.resources, text(parameter));
    }
    let known: BTreeSet<&str> = SECRETS.iter().map(|(_, policy, _)| *policy).collect();
    for name in policies.keys().filter(|name| !known.contains(*name)) {
        let statements = template.policy_statements(name);
        let reads = |statement: &esclusa_tests::template::Statement| {
            statement
                .actions
                .iter()
                .any(|action| action.starts_with("secretsmanager:"))
        };
        assert!(!statements.iter().any(reads), "{name}");
    }
}

/// The routes of the console: (path, authorizer of its own).
#[test]
fn only_slack_comes_in_without_a_signature_of_aws() {
    let template = template();
    let auth = &template.properties("ConsoleApi")["Auth"];
    assert_eq!(
        (&auth["EnableIamAuthorizer"], &auth["DefaultAuthorizer"]),
        (&true.into(), &"AWS_IAM".into())
    );
    // Anybody may knock, and whoever does at that pace keeps nobody's concurrency.
    let limits = &template.properties("ConsoleApi")["DefaultRouteSettings"];
    for limit in ["ThrottlingBurstLimit", "ThrottlingRateLimit"] {
        assert!(limits[limit].as_u64().is_some_and(|limit| limit <= 20), "{limits}");
    }
    let routes: BTreeMap<String, Option<String>> = http_routes(&template)
        .map(|properties| {
            let path = properties["Path"].as_str().unwrap().to_owned();
            (path, properties["Auth"]["Authorizer"].as_str().map(str::to_owned))
        })
        .collect();
    let expected = [
        ("/api/answers", None),
        ("/orders/{order}", None),
        ("/releases/{kind}", None),
        ("/api/votes", None),
        ("/slack/interactions", Some("NONE".to_owned())),
    ];
    assert_eq!(
        routes,
        expected.map(|(path, authorizer)| (path.to_owned(), authorizer)).into()
    );
}

/// The properties of the routes of the console.
fn http_routes(template: &Template) -> impl Iterator<Item = Value> {
    let events = template.properties("ConsoleFunction")["Events"].as_object().cloned();
    let events = events.into_iter().flatten().map(|(_, event)| event);
    events
        .filter(|event| event["Type"] == "HttpApi")
        .map(|event| event["Properties"].clone())
}

/// The events of all functions that nobody waits for: (function, name, type, properties).
fn events(template: &Template) -> Vec<(String, String, String, Value)> {
    let functions = template.resources("AWS::Serverless::Function");
    let events = functions.iter().flat_map(|(function, properties)| {
        let events = properties["Events"].as_object().into_iter().flatten();
        let events = events.filter(|(_, event)| event["Type"] != "HttpApi");
        events.map(|(name, event)| {
            (
                (*function).to_owned(),
                name.clone(),
                event["Type"].as_str().unwrap().to_owned(),
                event["Properties"].clone(),
            )
        })
    });
    events.collect()
}

#[test]
fn what_cannot_be_delivered_is_kept() {
    let template = template();
    let policy = &template.properties("DeadLetterQueuePolicy")["PolicyDocument"]["Statement"][0];
    let sources = one_or_many(policy["Condition"]["ArnEquals"].get("aws:SourceArn"));
    let mut rules = BTreeSet::new();
    for (function, name, kind, properties) in events(&template) {
        assert_eq!(
            properties["DeadLetterConfig"]["Arn"], "DeadLetterQueue.Arn",
            "{function} {name}"
        );
        assert!(
            properties["RetryPolicy"]["MaximumRetryAttempts"].as_u64().is_some(),
            "{function} {name}"
        );
        assert!(
            properties["RetryPolicy"]["MaximumEventAgeInSeconds"].as_u64().is_some(),
            "{function} {name}"
        );
        let invocation = &template.properties(&function)["EventInvokeConfig"]["DestinationConfig"]["OnFailure"];
        assert_eq!(
            invocation["Destination"], "DeadLetterQueue.Arn",
            "{function} is invoked asynchronously"
        );
        let role = template.role_statements(&function.replace("Function", "Role"));
        assert!(
            role.iter()
                .any(|statement| statement.actions.contains("sqs:SendMessage")),
            "{function} may not keep what failed"
        );
        if kind == "EventBridgeRule" {
            rules.insert(format!(
                "arn:${{AWS::Partition}}:events:${{AWS::Region}}:${{AWS::AccountId}}:rule/{}",
                properties["RuleName"].as_str().unwrap()
            ));
        }
    }
    assert!(!rules.is_empty());
    assert_eq!(sources, rules, "the queue takes messages of exactly the rules");
}

#[test]
fn a_lost_event_is_made_up_for_by_a_schedule() {
    let actions: BTreeMap<String, String> = events(&template())
        .into_iter()
        .filter(|(_, _, kind, _)| kind == "ScheduleV2")
        .map(|(function, _, _, properties)| {
            let input: Value = serde_json::from_str(properties["Input"].as_str().unwrap()).unwrap();
            (function, input["action"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("IntakeFunction", "reconcile"),
        ("NotifyFunction", "tell"),
        ("RecordFunction", "sweep"),
        ("ResumeFunction", "sweep"),
        ("UpdateFunction", "sweep"),
    ];
    assert_eq!(
        actions,
        expected
            .map(|(function, action)| (function.to_owned(), action.to_owned()))
            .into()
    );
}

#[test]
fn every_function_is_a_crate_of_this_workspace_with_its_own_log_group() {
    let template = template();
    assert_eq!(template.resources("AWS::Serverless::Function").len(), FUNCTIONS.len());
    // What `scripts/deploy` builds.
    let globals = &template.0["Globals"]["Function"];
    assert_eq!(globals["Runtime"], "provided.al2023");
    assert_eq!(globals["Architectures"], serde_json::json!(["arm64"]));
    assert_eq!(globals["Handler"], "bootstrap");
    for function in FUNCTIONS {
        let logical_id = format!("{function}Function");
        let properties = template.properties(&logical_id);
        for own in ["Runtime", "Architectures", "Handler"] {
            assert_eq!(properties.get(own), None, "{logical_id} is built in another way");
        }
        let room = format!("functions/{}", function.to_lowercase());
        assert_eq!(properties["CodeUri"], room);
        assert!(project().join(&room).join("Cargo.toml").is_file(), "{room}");
        assert_eq!(
            template.0["Resources"][&logical_id]["Metadata"]["BuildMethod"],
            "rust-cargolambda"
        );
        let group = properties["LoggingConfig"]["LogGroup"].as_str().unwrap();
        assert_eq!(group, format!("{function}LogGroup"));
        assert_eq!(template.properties(group)["RetentionInDays"], "LogRetentionDays");
    }
}

#[test]
fn execution_data_never_reaches_the_logs() {
    for (name, machine) in template().resources("AWS::Serverless::StateMachine") {
        assert_eq!(
            machine["Logging"]["IncludeExecutionData"], false,
            "{name}: execution data holds task tokens"
        );
        assert_eq!(machine["Type"], "STANDARD", "{name}");
    }
}

/// The resources that a piece of a template names, wherever it does.
fn named_in(value: &serde_json::Value, resources: &BTreeSet<&str>) -> BTreeSet<String> {
    match value {
        serde_json::Value::String(text) => {
            let words = text.split(|character: char| !character.is_ascii_alphanumeric());
            words
                .filter(|word| resources.contains(word))
                .map(str::to_owned)
                .collect()
        }
        serde_json::Value::Array(values) => values.iter().flat_map(|value| named_in(value, resources)).collect(),
        serde_json::Value::Object(members) => members.values().flat_map(|value| named_in(value, resources)).collect(),
        _ => BTreeSet::new(),
    }
}

/// `CloudFormation` creates what is needed first: with a circle nothing of a template is created.
#[test]
fn no_resource_needs_itself_on_a_way_around() {
    for template in [template(), target()] {
        let all = template.0["Resources"].as_object().unwrap();
        let names: BTreeSet<&str> = all.keys().map(String::as_str).collect();
        let mut needs: BTreeMap<&str, BTreeSet<String>> = all
            .iter()
            .map(|(name, resource)| {
                let mut named = named_in(resource, &names);
                // A text of its own that has its name as a word.
                named.remove(name);
                (name.as_str(), named)
            })
            .collect();
        loop {
            let free: Vec<&str> = needs
                .iter()
                .filter(|(_, of)| of.is_empty())
                .map(|(name, _)| *name)
                .collect();
            if free.is_empty() {
                break;
            }
            needs.retain(|name, _| !free.contains(name));
            for of in needs.values_mut() {
                of.retain(|name| !free.contains(&name.as_str()));
            }
        }
        assert!(needs.is_empty(), "a circle is among {:?}", needs.keys());
    }
}
