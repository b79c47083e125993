//! The SAM resources as the plain resources they stand for, with the logical ids that the SAM translator gives them.

use crate::error::TemplateError;
use crate::node::{Function, Kind, Member, Node};

pub(crate) const FUNCTION: &str = "AWS::Serverless::Function";
pub(crate) const STATE_MACHINE: &str = "AWS::Serverless::StateMachine";
pub(crate) const HTTP_API: &str = "AWS::Serverless::HttpApi";
/// A route of an HTTP API. The translator writes it into the definition of the API, and not as a resource.
pub(crate) const HTTP_ROUTE: &str = "HTTP route";

/// The resources of the template with `Globals` merged in, and one resource for each that an event or a URL of a
/// function stands for.
pub(crate) fn expand(resources: &[Member], globals: Option<&Node>) -> Result<Vec<Member>, TemplateError> {
    let mut expanded = Vec::new();
    for member in resources {
        let kind = match member.value.get("Type").and_then(Node::as_text) {
            Some(FUNCTION) => Owner::FUNCTION,
            Some(STATE_MACHINE) => Owner::STATE_MACHINE,
            _ => {
                expanded.push(member.clone());
                continue;
            }
        };
        let mut resource = member.clone();
        let Some(properties) = member_mut(&mut resource.value, "Properties") else {
            expanded.push(resource);
            continue;
        };
        if kind == Owner::FUNCTION
            && let Some(globals) = globals
        {
            *properties = merge(globals, properties);
        }
        let events = remove(properties, "Events");
        let url = if kind == Owner::FUNCTION {
            remove(properties, "FunctionUrlConfig")
        } else {
            None
        };
        expanded.push(resource);
        let mut generated = Generated {
            owner: member,
            kind,
            resources: Vec::new(),
        };
        for event in events.iter().flat_map(|events| events.value.members()) {
            generated.event(event)?;
        }
        if let Some(url) = url {
            generated.url(&url)?;
        }
        expanded.extend(generated.resources);
    }
    Ok(expanded)
}

/// Maps are merged, lists are put one behind the other, and anything else is the resource's own.
fn merge(global: &Node, own: &Node) -> Node {
    let kind = match (&global.kind, &own.kind) {
        (Kind::Map(globals), Kind::Map(owns)) => {
            let mut members = globals.clone();
            for own in owns {
                match members.iter_mut().find(|member| member.name == own.name) {
                    Some(member) => {
                        member.value = merge(&member.value, &own.value);
                        member.line = own.line;
                    }
                    None => members.push(own.clone()),
                }
            }
            Kind::Map(members)
        }
        (Kind::List(globals), Kind::List(owns)) => Kind::List([globals.as_slice(), owns.as_slice()].concat()),
        (_, own) => own.clone(),
    };
    Node { line: own.line, kind }
}

fn member_mut<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    match &mut node.kind {
        Kind::Map(members) => members
            .iter_mut()
            .find(|member| member.name == name)
            .map(|member| &mut member.value),
        _ => None,
    }
}

fn remove(node: &mut Node, name: &str) -> Option<Member> {
    match &mut node.kind {
        Kind::Map(members) => {
            let index = members.iter().position(|member| member.name == name)?;
            Some(members.remove(index))
        }
        _ => None,
    }
}

/// What differs between the owners of events.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Owner {
    target_suffix: &'static str,
    /// Whether the target is named by `Ref`; else by its attribute `Arn`.
    by_reference: bool,
    /// The action that starts the target, and the name that the translator gives its policy.
    action: &'static str,
    rule_policy: &'static str,
    schedule_policy: &'static str,
}

impl Owner {
    const FUNCTION: Self = Self {
        target_suffix: "LambdaTarget",
        by_reference: false,
        action: "lambda:InvokeFunction",
        rule_policy: "RoleLambdaPolicy",
        schedule_policy: "LambdaPolicy",
    };
    const STATE_MACHINE: Self = Self {
        target_suffix: "StepFunctionsTarget",
        by_reference: true,
        action: "states:StartExecution",
        rule_policy: "RoleStartExecutionPolicy",
        schedule_policy: "StartExecutionPolicy",
    };
}

/// The resources that one function or state machine brings along.
struct Generated<'a> {
    owner: &'a Member,
    kind: Owner,
    resources: Vec<Member>,
}

/// The properties of an event, read to the last.
struct Properties<'a> {
    path: String,
    line: usize,
    members: &'a [Member],
}

impl<'a> Properties<'a> {
    fn new(path: String, node: &'a Node, known: &[&str]) -> Result<Self, TemplateError> {
        if !matches!(node.kind, Kind::Map(_)) {
            return Err(TemplateError::new(
                node.line,
                path,
                format!("must be a map, not {}", node.kind_name()),
            ));
        }
        let members = node.members();
        match members.iter().find(|member| !known.contains(&member.name.as_str())) {
            Some(member) => Err(TemplateError::new(
                member.line,
                format!("{path}.{}", member.name),
                format!("is not understood here; what is: {}", known.join(", ")),
            )),
            None => Ok(Self {
                path,
                line: node.line,
                members,
            }),
        }
    }

    fn get(&self, name: &str) -> Option<Node> {
        self.members
            .iter()
            .find(|member| member.name == name)
            .map(|member| member.value.clone())
    }

    fn required(&self, name: &str) -> Result<Node, TemplateError> {
        self.get(name)
            .ok_or_else(|| TemplateError::new(self.line, &self.path, format!("`{name}` is missing")))
    }
}

impl Generated<'_> {
    fn event(&mut self, event: &Member) -> Result<(), TemplateError> {
        let path = format!("Resources.{}.Properties.Events.{}", self.owner.name, event.name);
        let fields = Properties::new(path.clone(), &event.value, &["Type", "Properties"])?;
        let kind = fields.required("Type")?;
        let properties = fields.required("Properties")?;
        let id = format!("{}{}", self.owner.name, event.name);
        let path = format!("{path}.Properties");
        match kind.as_text() {
            Some("EventBridgeRule") => self.pattern_rule(&id, path, &properties),
            Some("Schedule") => self.scheduled_rule(&id, path, &properties),
            Some("ScheduleV2") => self.schedule(&id, path, &properties),
            Some("HttpApi") if self.kind == Owner::FUNCTION => self.http_route(&id, path, &properties),
            _ => Err(TemplateError::new(
                kind.line,
                path,
                "the event type is not supported; supported are EventBridgeRule, Schedule, ScheduleV2, and HttpApi for functions",
            )),
        }
    }

    fn pattern_rule(&mut self, id: &str, path: String, properties: &Node) -> Result<(), TemplateError> {
        let known = [
            "Pattern",
            "RuleName",
            "State",
            "DeadLetterConfig",
            "RetryPolicy",
            "Input",
            "InputPath",
            "InputTransformer",
            "RoleArn",
        ];
        let event = Properties::new(path, properties, &known)?;
        let line = event.line;
        let rule = vec![
            ("Name", event.get("RuleName")),
            ("EventPattern", Some(event.required("Pattern")?)),
            ("State", event.get("State")),
            ("Targets", Some(list(line, vec![self.rule_target(id, &event)?]))),
        ];
        self.push(id, line, "AWS::Events::Rule", map(line, rule));
        self.rule_access(id, &event);
        Ok(())
    }

    fn scheduled_rule(&mut self, id: &str, path: String, properties: &Node) -> Result<(), TemplateError> {
        let known = [
            "Schedule",
            "Name",
            "Description",
            "Enabled",
            "State",
            "Input",
            "DeadLetterConfig",
            "RetryPolicy",
            "RoleArn",
        ];
        let event = Properties::new(path, properties, &known)?;
        let line = event.line;
        let state = match event.get("Enabled").map(|enabled| enabled.kind) {
            None => event.get("State"),
            Some(Kind::Flag(enabled)) => Some(text(line, if enabled { "ENABLED" } else { "DISABLED" })),
            Some(_) => return Err(TemplateError::new(line, event.path, "`Enabled` must be true or false")),
        };
        let rule = vec![
            ("Name", event.get("Name")),
            ("Description", event.get("Description")),
            ("ScheduleExpression", Some(event.required("Schedule")?)),
            ("State", state),
            ("Targets", Some(list(line, vec![self.rule_target(id, &event)?]))),
        ];
        self.push(id, line, "AWS::Events::Rule", map(line, rule));
        self.rule_access(id, &event);
        Ok(())
    }

    fn rule_target(&mut self, id: &str, event: &Properties<'_>) -> Result<Node, TemplateError> {
        let line = event.line;
        let role = match (self.kind == Owner::STATE_MACHINE, event.get("RoleArn")) {
            (true, given) => Some(given.unwrap_or_else(|| attribute(line, &format!("{id}Role"), "Arn"))),
            (false, None) => None,
            (false, Some(_)) => {
                return Err(TemplateError::new(
                    line,
                    &event.path,
                    "`RoleArn` is for events of state machines",
                ));
            }
        };
        let dead_letters = self.dead_letters(id, event, Some(attribute(line, id, "Arn")))?;
        Ok(map(
            line,
            vec![
                ("Arn", Some(self.target(line))),
                ("Id", Some(text(line, &format!("{id}{}", self.kind.target_suffix)))),
                ("RoleArn", role),
                ("Input", event.get("Input")),
                ("InputPath", event.get("InputPath")),
                ("InputTransformer", event.get("InputTransformer")),
                (
                    "DeadLetterConfig",
                    dead_letters.map(|queue| map(line, vec![("Arn", Some(queue))])),
                ),
                ("RetryPolicy", event.get("RetryPolicy")),
            ],
        ))
    }

    /// The permission of the rule to invoke the function, or its role to start the state machine.
    fn rule_access(&mut self, id: &str, event: &Properties<'_>) {
        let line = event.line;
        if self.kind == Owner::FUNCTION {
            let permission = vec![
                ("Action", Some(text(line, "lambda:InvokeFunction"))),
                ("FunctionName", Some(reference(line, &self.owner.name))),
                ("Principal", Some(text(line, "events.amazonaws.com"))),
                ("SourceArn", Some(attribute(line, id, "Arn"))),
            ];
            self.push(
                &format!("{id}Permission"),
                line,
                "AWS::Lambda::Permission",
                map(line, permission),
            );
        } else if event.get("RoleArn").is_none() {
            let policy = self.start_policy(line, &format!("{id}{}", self.kind.rule_policy));
            self.role(id, line, "events.amazonaws.com", vec![policy]);
        }
    }

    fn schedule(&mut self, id: &str, path: String, properties: &Node) -> Result<(), TemplateError> {
        let known = [
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "FlexibleTimeWindow",
            "Name",
            "GroupName",
            "Description",
            "State",
            "Input",
            "RoleArn",
            "DeadLetterConfig",
            "RetryPolicy",
        ];
        let event = Properties::new(path, properties, &known)?;
        let line = event.line;
        let dead_letters = self.dead_letters(id, &event, None)?;
        let role = event
            .get("RoleArn")
            .unwrap_or_else(|| attribute(line, &format!("{id}Role"), "Arn"));
        let target = map(
            line,
            vec![
                ("Arn", Some(self.target(line))),
                ("RoleArn", Some(role)),
                ("Input", event.get("Input")),
                (
                    "DeadLetterConfig",
                    dead_letters.clone().map(|queue| map(line, vec![("Arn", Some(queue))])),
                ),
                ("RetryPolicy", event.get("RetryPolicy")),
            ],
        );
        let window = event
            .get("FlexibleTimeWindow")
            .unwrap_or_else(|| map(line, vec![("Mode", Some(text(line, "OFF")))]));
        let schedule = vec![
            ("ScheduleExpression", Some(event.required("ScheduleExpression")?)),
            ("ScheduleExpressionTimezone", event.get("ScheduleExpressionTimezone")),
            ("FlexibleTimeWindow", Some(window)),
            ("Name", Some(event.get("Name").unwrap_or_else(|| text(line, id)))),
            ("GroupName", event.get("GroupName")),
            ("Description", event.get("Description")),
            ("State", event.get("State")),
            ("Target", Some(target)),
        ];
        self.push(id, line, "AWS::Scheduler::Schedule", map(line, schedule));
        if event.get("RoleArn").is_none() {
            let mut policies = vec![self.start_policy(line, &format!("{id}{}", self.kind.schedule_policy))];
            policies
                .extend(dead_letters.map(|queue| policy(line, &format!("{id}SQSPolicy"), "sqs:SendMessage", queue)));
            self.role(id, line, "scheduler.amazonaws.com", policies);
        }
        Ok(())
    }

    /// A route, and the permission of its API to invoke the function.
    fn http_route(&mut self, id: &str, path: String, properties: &Node) -> Result<(), TemplateError> {
        let known = ["ApiId", "Path", "Method", "Auth", "PayloadFormatVersion"];
        let event = Properties::new(path, properties, &known)?;
        let line = event.line;
        let (api, at, method) = (
            event.required("ApiId")?,
            event.required("Path")?,
            event.required("Method")?,
        );
        let auth = event.get("Auth");
        let auth = auth
            .as_ref()
            .map(|auth| Properties::new(format!("{}.Auth", event.path), auth, &["Authorizer"]));
        let authorizer = auth.transpose()?.and_then(|auth| auth.get("Authorizer"));
        let (Kind::Call(Function::Ref, api_id), Some(literal), Some(verb)) =
            (&api.kind, at.as_text(), method.as_text())
        else {
            let message = "`ApiId` must be a `Ref`, `Path` and `Method` must be texts";
            return Err(TemplateError::new(line, event.path, message));
        };
        let api_id = api_id.as_text().unwrap_or_default();
        // What stands for a parameter is anything.
        let parts = literal
            .split('/')
            .map(|part| if part.starts_with('{') { "*" } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        let source = format!(
            "arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{api_id}}}/*/{}{path}",
            verb.to_ascii_uppercase()
        );
        let source = Node {
            line,
            kind: Kind::Call(Function::Sub, Box::new(text(line, &source))),
        };
        let permission = vec![
            ("Action", Some(text(line, "lambda:InvokeFunction"))),
            ("FunctionName", Some(reference(line, &self.owner.name))),
            ("Principal", Some(text(line, "apigateway.amazonaws.com"))),
            ("SourceArn", Some(source)),
        ];
        let route = vec![
            ("ApiId", Some(api.clone())),
            ("Path", Some(at)),
            ("Method", Some(method)),
            ("Function", Some(reference(line, &self.owner.name))),
            ("Authorizer", authorizer),
            ("PayloadFormatVersion", event.get("PayloadFormatVersion")),
        ];
        self.push(id, line, HTTP_ROUTE, map(line, route));
        self.push(
            &format!("{id}Permission"),
            line,
            "AWS::Lambda::Permission",
            map(line, permission),
        );
        Ok(())
    }

    /// The ARN of the dead-letter queue of an event. `Type: SQS` brings a queue of its own, which `source` may send to.
    fn dead_letters(
        &mut self,
        id: &str,
        event: &Properties<'_>,
        source: Option<Node>,
    ) -> Result<Option<Node>, TemplateError> {
        let Some(config) = event.get("DeadLetterConfig") else {
            return Ok(None);
        };
        let config = Properties::new(
            format!("{}.DeadLetterConfig", event.path),
            &config,
            &["Arn", "Type", "QueueLogicalId"],
        )
        .map(|config| {
            (
                config.get("Arn"),
                config.get("Type"),
                config.get("QueueLogicalId"),
                config.line,
            )
        })?;
        let (arn, kind, logical_id, line) = config;
        let queue = match (arn, kind.as_ref().and_then(Node::as_text), logical_id) {
            (Some(arn), None, None) => return Ok(Some(arn)),
            (None, Some("SQS"), None) => format!("{id}Queue"),
            (
                None,
                Some("SQS"),
                Some(Node {
                    kind: Kind::Text(name), ..
                }),
            ) => name,
            _ => {
                let path = format!("{}.DeadLetterConfig", event.path);
                return Err(TemplateError::new(
                    line,
                    path,
                    "is either `Arn`, or `Type: SQS` with or without `QueueLogicalId`",
                ));
            }
        };
        self.push(&queue, line, "AWS::SQS::Queue", map(line, Vec::new()));
        if let Some(source) = source {
            let statement = vec![
                ("Action", Some(text(line, "sqs:SendMessage"))),
                ("Effect", Some(text(line, "Allow"))),
                (
                    "Principal",
                    Some(map(line, vec![("Service", Some(text(line, "events.amazonaws.com")))])),
                ),
                ("Resource", Some(attribute(line, &queue, "Arn"))),
                (
                    "Condition",
                    Some(map(
                        line,
                        vec![("ArnEquals", Some(map(line, vec![("aws:SourceArn", Some(source))])))],
                    )),
                ),
            ];
            let document = document(line, map(line, statement));
            let policy = vec![
                ("PolicyDocument", Some(document)),
                ("Queues", Some(list(line, vec![reference(line, &queue)]))),
            ];
            self.push(
                &format!("{id}QueuePolicy"),
                line,
                "AWS::SQS::QueuePolicy",
                map(line, policy),
            );
        }
        Ok(Some(attribute(line, &queue, "Arn")))
    }

    fn url(&mut self, url: &Member) -> Result<(), TemplateError> {
        let path = format!("Resources.{}.Properties.FunctionUrlConfig", self.owner.name);
        let config = Properties::new(path, &url.value, &["AuthType", "InvokeMode"])?;
        let (line, name) = (config.line, &self.owner.name);
        let authorization = config.required("AuthType")?;
        let open = authorization.as_text() == Some("NONE");
        let properties = vec![
            ("TargetFunctionArn", Some(reference(line, name))),
            ("AuthType", Some(authorization)),
            ("InvokeMode", config.get("InvokeMode")),
        ];
        let permission = |action: &str, name: &str, condition: (&'static str, Node)| {
            let members = vec![
                ("Action", Some(text(line, action))),
                ("FunctionName", Some(reference(line, name))),
                ("Principal", Some(text(line, "*"))),
                (condition.0, Some(condition.1)),
            ];
            map(line, members)
        };
        let through_url = permission(
            "lambda:InvokeFunctionUrl",
            name,
            ("FunctionUrlAuthType", text(line, "NONE")),
        );
        let flag = Node {
            line,
            kind: Kind::Flag(true),
        };
        let invoke = permission("lambda:InvokeFunction", name, ("InvokedViaFunctionUrl", flag));
        let ids = [
            format!("{name}Url"),
            format!("{name}UrlPublicPermissions"),
            format!("{name}URLInvokeAllowPublicAccess"),
        ];
        let [url_id, through_url_id, invoke_id] = ids;
        self.push(&url_id, line, "AWS::Lambda::Url", map(line, properties));
        if open {
            self.push(&through_url_id, line, "AWS::Lambda::Permission", through_url);
            self.push(&invoke_id, line, "AWS::Lambda::Permission", invoke);
        }
        Ok(())
    }

    fn target(&self, line: usize) -> Node {
        if self.kind.by_reference {
            reference(line, &self.owner.name)
        } else {
            attribute(line, &self.owner.name, "Arn")
        }
    }

    fn start_policy(&self, line: usize, name: &str) -> Node {
        policy(line, name, self.kind.action, self.target(line))
    }

    fn role(&mut self, id: &str, line: usize, service: &str, policies: Vec<Node>) {
        let trust = vec![
            ("Action", Some(list(line, vec![text(line, "sts:AssumeRole")]))),
            ("Effect", Some(text(line, "Allow"))),
            (
                "Principal",
                Some(map(
                    line,
                    vec![("Service", Some(list(line, vec![text(line, service)])))],
                )),
            ),
        ];
        let role = vec![
            ("AssumeRolePolicyDocument", Some(document(line, map(line, trust)))),
            ("Policies", Some(list(line, policies))),
        ];
        self.push(&format!("{id}Role"), line, "AWS::IAM::Role", map(line, role));
    }

    /// Adds a resource that exists when its owner does.
    fn push(&mut self, id: &str, line: usize, kind: &str, properties: Node) {
        let resource = vec![
            ("Type", Some(text(line, kind))),
            ("Condition", self.owner.value.get("Condition").cloned()),
            ("Properties", Some(properties)),
        ];
        self.resources.push(Member {
            name: id.to_owned(),
            line,
            value: map(line, resource),
        });
    }
}

fn policy(line: usize, name: &str, action: &str, resource: Node) -> Node {
    let statement = vec![
        ("Action", Some(text(line, action))),
        ("Effect", Some(text(line, "Allow"))),
        ("Resource", Some(resource)),
    ];
    map(
        line,
        vec![
            ("PolicyName", Some(text(line, name))),
            ("PolicyDocument", Some(document(line, map(line, statement)))),
        ],
    )
}

fn document(line: usize, statement: Node) -> Node {
    map(
        line,
        vec![
            ("Version", Some(text(line, "2012-10-17"))),
            ("Statement", Some(list(line, vec![statement]))),
        ],
    )
}

fn map(line: usize, members: Vec<(&str, Option<Node>)>) -> Node {
    let members = members
        .into_iter()
        .filter_map(|(name, value)| {
            Some(Member {
                name: name.to_owned(),
                line,
                value: value?,
            })
        })
        .collect();
    Node {
        line,
        kind: Kind::Map(members),
    }
}

fn list(line: usize, items: Vec<Node>) -> Node {
    Node {
        line,
        kind: Kind::List(items),
    }
}

fn text(line: usize, text: &str) -> Node {
    Node::text(line, text)
}

fn reference(line: usize, id: &str) -> Node {
    Node {
        line,
        kind: Kind::Call(Function::Ref, Box::new(text(line, id))),
    }
}

fn attribute(line: usize, id: &str, name: &str) -> Node {
    Node {
        line,
        kind: Kind::Call(Function::GetAtt, Box::new(text(line, &format!("{id}.{name}")))),
    }
}
