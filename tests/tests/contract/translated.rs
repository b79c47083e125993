//! The simulator's loader of the template against the SAM translator, the code behind the transform
//! `AWS::Serverless-2016-10-31`.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_tests::template::{one_or_many, project};
use serde_json::{Map, Value, json};
use simulator::{Template, TemplateSettings};

/// What both say about the resources that the flows depend on, by logical id and in one shape.
type Said = BTreeMap<String, Value>;

/// Where two accounts of a template differ, as paths with both values.
fn differences(ours: &Said, theirs: &Said) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let ids: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for id in ids {
        let side = |said: &Said| said.get(id).cloned().unwrap_or_default();
        differ(id, &side(ours), &side(theirs), &mut found);
    }
    found
}

fn differ(path: &str, ours: &Value, theirs: &Value, found: &mut BTreeSet<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let side = |members: &Map<String, Value>| members.get(name).cloned().unwrap_or_default();
                differ(&format!("{path}.{name}"), &side(one), &side(other), found);
            }
        }
        _ if ours == theirs => {}
        _ => {
            found.insert(format!(
                "{path}: the simulator understood {ours}, the translator {theirs}"
            ));
        }
    }
}

/// What the simulator understood.
fn understood(template: &Template) -> Said {
    let mut said = Said::new();
    for (id, function) in &template.functions {
        let asynchronous = &function.asynchronous;
        let logging = function.logging.clone().unwrap_or_default();
        said.insert(
            id.clone(),
            json!({
                "name": function.name, "role": function.role, "handler": function.handler, "runtime": function.runtime,
                "architectures": function.architectures, "memory": function.memory_mebibytes, "timeout": function.timeout_seconds,
                "environment": function.environment, "tracing": function.tracing, "description": function.description,
                "logging": [logging.format, logging.application_level, logging.system_level, logging.group],
                "subnets": function.vpc.as_ref().map(|vpc| &vpc.subnets),
                "asynchronous": [
                    json!(asynchronous.maximum_retry_attempts),
                    json!(asynchronous.maximum_event_age_seconds),
                    json!(asynchronous.on_failure),
                ],
            }),
        );
    }
    for (id, machine) in &template.state_machines {
        said.insert(
            id.clone(),
            json!({
                "name": machine.name, "role": machine.role, "kind": machine.kind, "substitutions": machine.substitutions,
                "tracing": machine.tracing, "logging": machine.logging,
            }),
        );
    }
    for (id, rule) in &template.rules {
        let targets = rule.put_targets_input();
        said.insert(
            id.clone(),
            json!({"name": rule.name, "pattern": rule.pattern, "targets": targets["Targets"]}),
        );
    }
    for (id, schedule) in &template.schedules {
        said.insert(id.clone(), schedule_of(&schedule.create_schedule_input()));
    }
    for (id, permission) in &template.permissions {
        let function = last(&permission.function_arn, ':');
        said.insert(
            id.clone(),
            json!({
                "action": permission.action, "function": function,
                "principal": permission.principal, "source": permission.source_arn,
            }),
        );
    }
    for (id, api) in &template.http_apis {
        let own = template.http_routes.values().filter(|route| route.api_id == api.id);
        let routes: BTreeSet<String> = own
            .map(|route| {
                let authorizer = route.authorizer.as_ref().or(api.default_authorizer.as_ref());
                let function = last(&route.function_arn, ':');
                route_text(
                    &route.method,
                    &route.path,
                    function,
                    authorizer.map(String::as_str) == Some("AWS_IAM"),
                )
            })
            .collect();
        said.insert(id.clone(), json!({"routes": routes}));
    }
    for (id, role) in &template.roles {
        let grants = template.allowed_actions(&role.name).into_iter();
        let allows: BTreeSet<String> = grants
            .map(|grant| format!("{} on {}", grant.action, grant.resource))
            .collect();
        said.insert(id.clone(), json!({"name": role.name, "allows": allows}));
    }
    said
}

/// What the translator made, in the same shape.
fn made(resources: &Map<String, Value>) -> Said {
    let mut said = Said::new();
    for (id, resource) in resources {
        let properties = &resource["Properties"];
        let shape = match resource["Type"].as_str().unwrap() {
            "AWS::Lambda::Function" => {
                let asynchronous = resources.get(&format!("{id}EventInvokeConfig"));
                let asynchronous = asynchronous
                    .map(|configuration| configuration["Properties"].clone())
                    .unwrap_or_default();
                let names = ["LogFormat", "ApplicationLogLevel", "SystemLogLevel", "LogGroup"];
                let logging = names.map(|name| properties["LoggingConfig"][name].clone());
                json!({
                    "name": properties["FunctionName"], "role": last(properties["Role"].as_str().unwrap(), '/'),
                    "handler": properties["Handler"], "runtime": properties["Runtime"],
                    "architectures": properties["Architectures"], "memory": properties["MemorySize"],
                    "timeout": properties["Timeout"], "environment": properties["Environment"]["Variables"],
                    "tracing": properties["TracingConfig"]["Mode"], "description": properties["Description"],
                    "logging": logging, "subnets": properties["VpcConfig"]["SubnetIds"],
                    "asynchronous": [
                        // Lambda's own values, where nothing is configured.
                        asynchronous["MaximumRetryAttempts"].as_u64().or(Some(2)),
                        asynchronous["MaximumEventAgeInSeconds"].as_u64().or(Some(21_600)),
                        asynchronous["DestinationConfig"]["OnFailure"]["Destination"],
                    ],
                })
            }
            "AWS::StepFunctions::StateMachine" => json!({
                "name": properties["StateMachineName"], "role": last(properties["RoleArn"].as_str().unwrap(), '/'),
                "kind": properties["StateMachineType"], "substitutions": properties["DefinitionSubstitutions"],
                "tracing": properties["TracingConfiguration"]["Enabled"], "logging": machine_logging(&properties["LoggingConfiguration"]),
            }),
            "AWS::Events::Rule" => json!({
                "name": properties["Name"], "pattern": properties["EventPattern"], "targets": properties["Targets"],
            }),
            "AWS::Scheduler::Schedule" => schedule_of(properties),
            "AWS::Lambda::Permission" => json!({
                "action": properties["Action"], "function": properties["FunctionName"],
                "principal": properties["Principal"], "source": properties["SourceArn"],
            }),
            "AWS::ApiGatewayV2::Api" => json!({"routes": routes(&properties["Body"])}),
            "AWS::IAM::Role" => {
                let statements = statements(resources, id);
                let allowing = statements.iter().filter(|statement| statement["Effect"] == "Allow");
                let allows: BTreeSet<String> = allowing
                    .flat_map(pairs)
                    .map(|(action, resource)| format!("{action} on {resource}"))
                    .collect();
                json!({"name": properties["RoleName"], "allows": allows})
            }
            _ => continue,
        };
        said.insert(id.clone(), shape);
    }
    said
}

fn route_text(method: &str, path: &str, function: &str, asks: bool) -> String {
    format!("{method} {path} to {function}, asks who calls: {asks}")
}

/// The routes in the definition of an HTTP API.
fn routes(body: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, methods) in body["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let integration = &operation["x-amazon-apigateway-integration"];
            assert_eq!(integration["payloadFormatVersion"], "2.0", "{path}");
            let uri = integration["uri"]
                .as_str()
                .unwrap()
                .strip_suffix("/invocations")
                .unwrap();
            let security = operation["security"].as_array().into_iter().flatten();
            let asks = security
                .flat_map(|schemes| schemes.as_object().unwrap().keys())
                .any(|name| name == "AWS_IAM");
            found.insert(route_text(&method.to_uppercase(), path, last(uri, ':'), asks));
        }
    }
    found
}

/// The logging of a state machine with the ARNs of its log groups beside each other.
fn machine_logging(configuration: &Value) -> Value {
    let destinations = configuration["Destinations"].as_array().into_iter().flatten();
    let groups: Vec<&Value> = destinations
        .map(|group| &group["CloudWatchLogsLogGroup"]["LogGroupArn"])
        .collect();
    json!({
        "Level": configuration["Level"], "IncludeExecutionData": configuration["IncludeExecutionData"],
        "LogGroupArns": groups,
    })
}

/// The statements of a role: its own, and those of the policies that name it.
fn statements(resources: &Map<String, Value>, role: &str) -> Vec<Value> {
    let properties = &resources[role]["Properties"];
    let own = properties["Policies"].as_array().into_iter().flatten().cloned();
    let is_attached = |policy: &Value| {
        policy["Type"] == "AWS::IAM::Policy"
            && one_or_many(policy["Properties"].get("Roles")).contains(properties["RoleName"].as_str().unwrap())
    };
    let attached = resources
        .values()
        .filter(|resource| is_attached(resource))
        .map(|policy| policy["Properties"].clone());
    own.chain(attached)
        .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap().clone())
        .collect()
}

/// Every action of a statement with every resource. A list in the place of a resource is a list of resources.
fn pairs(statement: &Value) -> Vec<(String, String)> {
    let actions = one_or_many(statement.get("Action"));
    let resources = one_or_many(statement.get("Resource"));
    let with_each = |action: &String| {
        resources
            .iter()
            .map(|resource| (action.clone(), resource.clone()))
            .collect::<Vec<_>>()
    };
    actions.iter().flat_map(with_each).collect()
}

fn schedule_of(input: &Value) -> Value {
    let names = [
        "Name",
        "ScheduleExpression",
        "FlexibleTimeWindow",
        "Description",
        "Target",
    ];
    names
        .iter()
        .map(|name| ((*name).to_owned(), input[*name].clone()))
        .collect()
}

fn last(text: &str, separator: char) -> &str {
    text.rsplit(separator).next().unwrap_or(text)
}

fn template(name: &str, settings: &Value) -> Template {
    let word = |name: &str| settings[name].as_str().unwrap().to_owned();
    let parameters = settings["parameters"].as_object().unwrap().iter();
    let settings = TemplateSettings {
        account: word("account"),
        region: word("region"),
        stack: word("stack"),
        parameters: parameters
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect(),
    };
    let path = project().join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    Template::load(&text, &settings).unwrap()
}

/// Where the policies that the simulator evaluates disagree with what the translator's statements say: denials, and
/// permissions without their conditions.
fn disagreements(template: &Template, resources: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let roles = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::IAM::Role");
    for (id, resource) in roles {
        let role = resource["Properties"]["RoleName"].as_str().unwrap();
        for statement in statements(resources, id) {
            let is_denial = statement["Effect"] == "Deny";
            if is_denial && statement["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"].is_string() {
                // It is about what the code of the function does, and Lambda may do the same.
                continue;
            }
            for (action, resource) in pairs(&statement) {
                // One action on one resource of what the patterns cover.
                let (action, resource) = (action.replace('*', "Any"), resource.replace('*', "any"));
                let is_allowed = template.allows(role, &action, &resource, &BTreeMap::new()).is_allowed();
                let expected = !is_denial && statement.get("Condition").is_none();
                if is_allowed != expected {
                    found.insert(format!(
                        "{role}: {action} on {resource} is allowed: {is_allowed}, expected: {expected}"
                    ));
                }
            }
        }
    }
    found
}

#[test]
#[ignore = "needs the SAM translator: run scripts/judges"]
fn translated_as_the_simulator_understood_it() {
    assert!(compared("template") > 30);
    assert!(compared("target-account") > 9);
}

/// How many resources of a template were compared.
fn compared(name: &str) -> usize {
    let path = project().join(format!(".local/judges/translated/{name}.json"));
    let json = std::fs::read_to_string(path).expect("run scripts/judges");
    let translated: Value = serde_json::from_str(&json).unwrap();
    let resources = translated["resources"].as_object().unwrap();
    let template = template(name, &translated["settings"]);
    let (ours, theirs) = (understood(&template), made(resources));
    assert_eq!(differences(&ours, &theirs), BTreeSet::new());
    assert_eq!(disagreements(&template, resources), BTreeSet::new());
    theirs.len()
}

#[test]
fn a_difference_between_loader_and_translator_is_named_with_its_place() {
    let settings = json!({
        "account": "123456789012", "region": "us-east-1", "stack": "s",
        "parameters": {"RepositoryPattern": "r", "ClusterPattern": "c", "FamilyPattern": "f", "PassableRoleArns": "arn:aws:iam::123456789012:role/r"},
    });
    let ours = understood(&template("template", &settings));
    // logical id, pointer into what is said, what stands there instead, the place that is named
    let table = [
        (
            "IntakeFunction",
            "/environment/ESCLUSA_EVENT_BUS",
            json!("other"),
            "IntakeFunction.environment.ESCLUSA_EVENT_BUS: ",
        ),
        (
            "IntakeFunctionPush",
            "/pattern/detail/result",
            json!([]),
            "IntakeFunctionPush.pattern.detail.result: ",
        ),
        (
            "ResumeFunctionSweep",
            "/ScheduleExpression",
            json!("rate(1 hour)"),
            "ResumeFunctionSweep.ScheduleExpression: ",
        ),
        ("UpdateRole", "/allows", json!([]), "UpdateRole.allows: "),
    ];
    for (id, pointer, planted, place) in table {
        let mut theirs = ours.clone();
        *theirs.get_mut(id).unwrap().pointer_mut(pointer).unwrap() = planted;
        let found: Vec<String> = differences(&ours, &theirs).into_iter().collect();
        assert!(found.len() == 1 && found[0].starts_with(place), "{found:?}");
        theirs.remove(id);
        assert!(!differences(&ours, &theirs).is_empty(), "{id} may not be absent");
    }
}
