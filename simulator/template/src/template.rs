//! A whole template: loading it, and asking its policies.

use std::collections::BTreeMap;

use crate::error::TemplateError;
use crate::fields::{Fields, Item};
use crate::identity::identify;
use crate::model::{
    Alarm, Dashboard, Function, FunctionUrl, HttpApi, HttpRoute, LogGroup, Output, Permission, Queue, Role, Rule,
    Schedule, StateMachine, StoredParameter, Table, Target,
};
use crate::node::{Kind, Member, Node, read};
use crate::parameters::parameters;
use crate::policy::{Caller, Conditions, Decision, Document, Grant, Question};
use crate::resources::{self, Resource, one_of};
use crate::sam;
use crate::scope::{Scope, Settings, conditions, literal};

const SAM_TRANSFORM: &str = "AWS::Serverless-2016-10-31";

/// What a template says. Maps are by logical id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    /// Lambda functions.
    pub functions: BTreeMap<String, Function>,
    /// URLs of functions.
    pub function_urls: BTreeMap<String, FunctionUrl>,
    /// HTTP APIs of API Gateway.
    pub http_apis: BTreeMap<String, HttpApi>,
    /// Their routes.
    pub http_routes: BTreeMap<String, HttpRoute>,
    /// State machines.
    pub state_machines: BTreeMap<String, StateMachine>,
    /// DynamoDB tables.
    pub tables: BTreeMap<String, Table>,
    /// SQS queues.
    pub queues: BTreeMap<String, Queue>,
    /// IAM roles.
    pub roles: BTreeMap<String, Role>,
    /// Rules of the default event bus.
    pub rules: BTreeMap<String, Rule>,
    /// Schedules of EventBridge Scheduler.
    pub schedules: BTreeMap<String, Schedule>,
    /// Permissions in the policies of functions.
    pub permissions: BTreeMap<String, Permission>,
    /// Log groups.
    pub log_groups: BTreeMap<String, LogGroup>,
    /// CloudWatch alarms.
    pub alarms: BTreeMap<String, Alarm>,
    /// CloudWatch dashboards.
    pub dashboards: BTreeMap<String, Dashboard>,
    /// The ARNs of topics.
    pub topics: BTreeMap<String, String>,
    /// Parameters of Systems Manager.
    pub stored_parameters: BTreeMap<String, StoredParameter>,
    /// The values of the template's own parameters; lists are joined by commas.
    pub parameters: BTreeMap<String, String>,
    /// Outputs.
    pub outputs: BTreeMap<String, Output>,
    account: String,
    region: String,
    /// ARNs of the functions by name.
    function_arns: BTreeMap<String, String>,
    /// What roles may do, and who may assume them, by name of the role.
    role_policies: BTreeMap<String, RolePolicies>,
    /// Policies of queues, tables and functions, by ARN.
    resource_policies: BTreeMap<String, Vec<Document>>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct RolePolicies {
    /// Absent while only an `AWS::IAM::Policy` that names the role has been read.
    trust: Option<Document>,
    documents: Vec<Document>,
}

impl Template {
    /// Loads a template and resolves it for an account, Region and stack.
    ///
    /// # Errors
    ///
    /// When the text is not YAML, or says something that is not understood: the error names the line and the path.
    pub fn load(text: &str, settings: &Settings) -> Result<Self, TemplateError> {
        let root = read(text)?;
        let globals = sections(&root)?;
        let resources = sam::expand(section(&root, "Resources"), globals.as_ref())?;
        let mut scope = Scope {
            settings,
            parameters: parameters(section(&root, "Parameters"), settings)?,
            mappings: section(&root, "Mappings").to_vec(),
            conditions: BTreeMap::new(),
            resources: BTreeMap::new(),
        };
        scope.conditions = conditions(&scope, section(&root, "Conditions"))?;
        let resources = present(&resources, &scope)?;
        identify(&resources, &mut scope)?;
        let mut template = Self {
            account: settings.account.clone(),
            region: settings.region.clone(),
            ..Self::default()
        };
        template.parameters = scope
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), parameter_text(value)))
            .collect();
        for (resource, kind) in &resources {
            if kind == sam::FUNCTION
                && let Some(identity) = scope.resources.get(&resource.name)
            {
                let arn = identity.attributes.get("Arn").cloned().unwrap_or_default();
                template
                    .function_arns
                    .insert(identity.reference.clone().unwrap_or_default(), arn);
            }
        }
        for (resource, kind) in &resources {
            template.read_resource(resource, kind, &scope)?;
        }
        template.outputs = outputs(section(&root, "Outputs"), &scope)?;
        template.check_roles(&resources)?;
        Ok(template)
    }

    /// What the policies of the role and of the resource say to a request of a role of this template.
    #[must_use]
    pub fn allows(&self, role: &str, action: &str, resource: &str, conditions: &Conditions) -> Decision {
        let arn = self.role_arn(role);
        let caller = Caller::Role {
            name: role,
            arn: &arn,
            account: &self.account,
        };
        let identity = self
            .role_policies
            .get(role)
            .map(|policies| policies.documents.as_slice())
            .unwrap_or_default();
        Question::new(caller, action, resource, conditions).decide(identity, self.resource_policy(resource))
    }

    /// What the policies of the role alone say: those of a resource of another account are for that account.
    #[must_use]
    pub fn allows_by_identity(&self, role: &str, action: &str, resource: &str, conditions: &Conditions) -> Decision {
        let arn = self.role_arn(role);
        let caller = Caller::Role {
            name: role,
            arn: &arn,
            account: &self.account,
        };
        let policies = self.role_policies.get(role);
        let identity = policies
            .map(|policies| policies.documents.as_slice())
            .unwrap_or_default();
        Question::new(caller, action, resource, conditions).decide(identity, &[])
    }

    /// What the policy of the resource alone says to a role of elsewhere.
    #[must_use]
    pub fn allows_guest(
        &self,
        role_arn: &str,
        account: &str,
        action: &str,
        resource: &str,
        conditions: &Conditions,
    ) -> Decision {
        let caller = Caller::Role {
            name: role_name(role_arn).unwrap_or_default(),
            arn: role_arn,
            account,
        };
        Question::new(caller, action, resource, conditions).decide(&[], self.resource_policy(resource))
    }

    /// Whether the trust policy of a role lets another role assume it.
    #[must_use]
    pub fn trusts_role(&self, role: &str, caller_arn: &str, account: &str, conditions: &Conditions) -> Decision {
        let policies = self.role_policies.get(role);
        let trust = policies.and_then(|policies| policies.trust.as_ref());
        let arn = self.role_arn(role);
        let caller = Caller::Role {
            name: role_name(caller_arn).unwrap_or_default(),
            arn: caller_arn,
            account,
        };
        Question::new(caller, "sts:AssumeRole", &arn, conditions)
            .decide(&[], trust.map(std::slice::from_ref).unwrap_or_default())
    }

    /// The ARN of a role of this account.
    #[must_use]
    pub fn arn_of_role(&self, name: &str) -> String {
        self.role_arn(name)
    }

    /// What the policy of the resource says to a request of an AWS service, such as `events.amazonaws.com`.
    #[must_use]
    pub fn allows_service(&self, service: &str, action: &str, resource: &str, conditions: &Conditions) -> Decision {
        let mut conditions = conditions.clone();
        conditions
            .entry("aws:SourceAccount".to_owned())
            .or_insert_with(|| vec![self.account.clone()]);
        Question::new(Caller::Service(service), action, resource, &conditions)
            .decide(&[], self.resource_policy(resource))
    }

    /// Whether the trust policy of a role lets an AWS service assume it.
    ///
    /// `source_arn` is what the service assumes the role for and names as `aws:SourceArn`, beside `aws:SourceAccount`:
    /// a state machine, a rule, a schedule group. `None` for Lambda, which sets neither key.
    #[must_use]
    pub fn trusts(&self, role: &str, service: &str, source_arn: Option<&str>) -> Decision {
        let policies = self.role_policies.get(role);
        let trust = policies.and_then(|policies| policies.trust.as_ref());
        let conditions: Conditions = source_arn.map_or_else(Conditions::new, |source| {
            let keys = [("aws:SourceArn", source), ("aws:SourceAccount", &self.account)];
            keys.map(|(key, value)| (key.to_owned(), vec![value.to_owned()])).into()
        });
        let arn = self.role_arn(role);
        Question::new(Caller::Service(service), "sts:AssumeRole", &arn, &conditions)
            .decide(&[], trust.map(std::slice::from_ref).unwrap_or_default())
    }

    /// Every action and resource pattern that the policies of a role allow, denials and conditions left out of account.
    #[must_use]
    pub fn allowed_actions(&self, role: &str) -> Vec<Grant> {
        let documents = self
            .role_policies
            .get(role)
            .map(|policies| policies.documents.as_slice())
            .unwrap_or_default();
        documents.iter().flat_map(Document::grants).collect()
    }

    fn role_arn(&self, name: &str) -> String {
        let role = self.roles.values().find(|known| known.name == name);
        role.map_or_else(
            || format!("arn:aws:iam::{}:role/{name}", self.account),
            |role| role.arn.clone(),
        )
    }

    /// The policies of a resource; an index or stream of a table stands under the policy of its table.
    fn resource_policy(&self, arn: &str) -> &[Document] {
        let table = arn.find(":table/").and_then(|start| {
            let name = arn.get(start + ":table/".len()..)?;
            let end = name.find('/')?;
            arn.get(..start + ":table/".len() + end)
        });
        [Some(arn), table]
            .into_iter()
            .flatten()
            .find_map(|arn| self.resource_policies.get(arn))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The ARN of the function that a property names by its name or ARN.
    pub(crate) fn function_arn(&self, item: &Item) -> Result<String, TemplateError> {
        let named = item.text()?;
        self.function_arns
            .iter()
            .find(|(name, arn)| **name == named || **arn == named)
            .map(|(_, arn)| arn.clone())
            .ok_or_else(|| item.error(format!("`{named}` is no function of this template")))
    }

    pub(crate) fn add_role(&mut self, name: &str, trust: Document, documents: Vec<Document>) {
        let policies = self.role_policies.entry(name.to_owned()).or_default();
        policies.trust = Some(trust);
        policies.documents.extend(documents);
    }

    pub(crate) fn add_policy(&mut self, role: &str, document: Document) {
        self.role_policies
            .entry(role.to_owned())
            .or_default()
            .documents
            .push(document);
    }

    pub(crate) fn add_resource_policy(&mut self, arn: &str, document: Document) {
        self.resource_policies.entry(arn.to_owned()).or_default().push(document);
    }

    pub(crate) fn default_bus_arn(&self) -> String {
        format!("arn:aws:events:{}:{}:event-bus/default", self.region, self.account)
    }

    pub(crate) fn has_resource_policy(&self, arn: &str) -> bool {
        self.resource_policies.contains_key(arn)
    }

    fn read_resource(&mut self, resource: &Member, kind: &str, scope: &Scope<'_>) -> Result<(), TemplateError> {
        let path = format!("Resources.{}", resource.name);
        let properties = resource.value.get("Properties").map_or_else(
            || {
                Ok(Node {
                    line: resource.line,
                    kind: Kind::Map(Vec::new()),
                })
            },
            |properties| scope.resolve(properties, &format!("{path}.Properties")),
        )?;
        let metadata = match resource.value.get("Metadata") {
            Some(metadata) => scope.resolve(metadata, &format!("{path}.Metadata"))?.json(),
            None => serde_json::Value::Null,
        };
        let Some(identity) = scope.resources.get(&resource.name) else {
            return Ok(());
        };
        let properties = Item::new(format!("{path}.Properties"), properties).fields()?;
        resources::read(
            Resource {
                id: &resource.name,
                kind,
                identity,
                properties,
                metadata,
            },
            self,
        )
    }

    /// Every role that is named is a role of this template.
    fn check_roles(&self, resources: &[(&Member, String)]) -> Result<(), TemplateError> {
        let of_target = |target: &Target| target.role().map(str::to_owned);
        let functions = self.functions.iter().map(|(id, function)| (id, function.role.clone()));
        let machines = self
            .state_machines
            .iter()
            .map(|(id, machine)| (id, machine.role.clone()));
        let rules = self.rules.iter().flat_map(|(id, rule)| {
            rule.targets
                .iter()
                .filter_map(move |target| Some((id, of_target(target)?)))
        });
        let schedules = self
            .schedules
            .iter()
            .filter_map(|(id, schedule)| Some((id, of_target(&schedule.target)?)));
        for (id, role) in functions.chain(machines).chain(rules).chain(schedules) {
            if !self.roles.values().any(|known| known.name == role) {
                let line = resources
                    .iter()
                    .find(|(member, _)| member.name == *id)
                    .map_or(0, |(member, _)| member.line);
                let path = format!("Resources.{id}");
                return Err(TemplateError::new(
                    line,
                    path,
                    format!("`{role}` is no role of this template"),
                ));
            }
        }
        match self.role_policies.iter().find(|(_, policies)| policies.trust.is_none()) {
            Some((role, _)) => Err(TemplateError::new(
                1,
                "Resources",
                format!("a policy names `{role}`, which is no role of this template"),
            )),
            None => Ok(()),
        }
    }
}

/// The name of the role that an ARN names.
pub(crate) fn role_name(arn: &str) -> Option<&str> {
    arn.split_once(":role/").and_then(|(_, path)| path.rsplit('/').next())
}

/// Checks the top of the template, and returns the properties that all functions share.
fn sections(root: &Node) -> Result<Option<Node>, TemplateError> {
    let mut top = Item::new("", root.clone()).fields()?;
    for name in ["Metadata", "Parameters", "Mappings", "Conditions", "Outputs"] {
        top.take(name);
    }
    top.optional_text("AWSTemplateFormatVersion")?;
    top.optional_text("Description")?;
    top.required("Resources")?;
    if let Some(transform) = top.take("Transform")
        && transform.texts()? != [SAM_TRANSFORM]
    {
        return Err(transform.error(format!("must be `{SAM_TRANSFORM}`")));
    }
    if let Some(globals) = top.take("Globals") {
        let mut globals = globals.fields()?;
        globals.take("Function");
        globals.finish()?;
    }
    top.finish()?;
    Ok(root.get("Globals").and_then(|globals| globals.get("Function")).cloned())
}

fn section<'a>(root: &'a Node, name: &str) -> &'a [Member] {
    root.get(name).map(Node::members).unwrap_or_default()
}

/// The resources whose condition holds, with their types.
fn present<'a>(resources: &'a [Member], scope: &Scope<'_>) -> Result<Vec<(&'a Member, String)>, TemplateError> {
    let mut present = Vec::new();
    for resource in resources {
        let mut fields: Fields = Item::new(format!("Resources.{}", resource.name), resource.value.clone()).fields()?;
        let kind = fields.text("Type")?;
        fields.take("Properties");
        fields.take("Metadata");
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            one_of(
                &mut fields,
                policy,
                &["Delete", "Retain", "RetainExceptOnCreate", "Snapshot"],
            )?;
        }
        if let Some(others) = fields.take("DependsOn") {
            for other in others.texts()? {
                if !resources.iter().any(|resource| resource.name == other) {
                    return Err(others.error(format!("no resource is called `{other}`")));
                }
            }
        }
        let holds = match fields.take("Condition") {
            None => true,
            Some(condition) => {
                let name = condition.text()?;
                let held = scope.conditions.get(&name).copied();
                held.ok_or_else(|| condition.error(format!("no condition is called `{name}`")))?
            }
        };
        fields.finish()?;
        if holds {
            present.push((resource, kind));
        }
    }
    Ok(present)
}

fn outputs(section: &[Member], scope: &Scope<'_>) -> Result<BTreeMap<String, Output>, TemplateError> {
    let mut outputs = BTreeMap::new();
    for member in section {
        let path = format!("Outputs.{}", member.name);
        if let Some(condition) = member.value.get("Condition") {
            let name = literal(condition, &path)?;
            match scope.conditions.get(name) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    let message = format!("no condition is called `{name}`");
                    return Err(TemplateError::new(condition.line, path, message));
                }
            }
        }
        let mut fields = Item::new(path.clone(), scope.resolve(&member.value, &path)?).fields()?;
        fields.optional_text("Condition")?;
        if let Some(export) = fields.take("Export") {
            return Err(export.error("exports need another stack, and the simulator has one"));
        }
        let output = Output {
            value: fields.text("Value")?,
            description: fields.optional_text("Description")?,
        };
        fields.finish()?;
        outputs.insert(member.name.clone(), output);
    }
    Ok(outputs)
}

fn parameter_text(value: &Kind) -> String {
    match value {
        Kind::List(items) => items.iter().filter_map(Node::scalar).collect::<Vec<_>>().join(","),
        Kind::Text(text) => text.clone(),
        _ => String::new(),
    }
}
