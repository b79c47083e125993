//! Roles, policies and permissions.

use super::Resource;
use crate::error::TemplateError;
use crate::fields::{Fields, Item};
use crate::model::{Permission, Role};
use crate::policy::{Document, Holder, Service, through_permission};
use crate::template::Template;

/// The AWS managed policies that are understood, with the actions they allow on everything.
const MANAGED_POLICIES: [(&str, &[&str]); 2] = [
    (
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
        &["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    ),
    (
        "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess",
        &[
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:GetSamplingStatisticSummaries",
        ],
    ),
];

pub(super) fn role(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let (arn, name) = (resource.attribute("Arn"), resource.name());
    let fields = &mut resource.properties;
    fields.optional_text("RoleName")?;
    fields.optional_text("Description")?;
    fields.optional_text("Path")?;
    fields.optional_number::<u32>("MaxSessionDuration")?;
    fields.tags()?;
    if let Some(boundary) = fields.take("PermissionsBoundary") {
        return Err(boundary.error("permissions boundaries are not evaluated, so they are not supported"));
    }
    let trust = Document::read(fields.required("AssumeRolePolicyDocument")?, Holder::Trust)?;
    let mut documents = Vec::new();
    for item in fields.items("ManagedPolicyArns")? {
        documents.push(managed_policy(&item)?);
    }
    for policy in fields.items("Policies")? {
        let mut policy = policy.fields()?;
        policy.text("PolicyName")?;
        documents.push(Document::read(policy.required("PolicyDocument")?, Holder::Identity)?);
        policy.finish()?;
    }
    resource.properties.finish()?;
    template.add_role(&name, trust, documents);
    template.roles.insert(resource.id.to_owned(), Role { name, arn });
    Ok(())
}

fn managed_policy(item: &Item) -> Result<Document, TemplateError> {
    let arn = item.text()?;
    MANAGED_POLICIES
        .iter()
        .find(|(known, _)| *known == arn)
        .map(|(known, actions)| Document::allowing(known, actions))
        .ok_or_else(|| {
            item.error(format!(
                "the managed policy `{arn}` is not supported; write its statements out"
            ))
        })
}

pub(super) fn policy(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let fields = &mut resource.properties;
    fields.text("PolicyName")?;
    let document = Document::read(fields.required("PolicyDocument")?, Holder::Identity)?;
    for item in fields.required("Roles")?.list()? {
        template.add_policy(&item.text()?, document.clone());
    }
    resource.properties.finish()
}

pub(super) fn queue_policy(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let fields = &mut resource.properties;
    let document = Document::read(fields.required("PolicyDocument")?, Holder::Resource)?;
    for item in fields.required("Queues")?.list()? {
        let url = item.text()?;
        let arn = queue_arn(&url).ok_or_else(|| item.error(format!("`{url}` is not the URL of a queue")))?;
        if template.has_resource_policy(&arn) {
            return Err(item.error("the queue has a policy already, and SQS keeps only the last"));
        }
        template.add_resource_policy(&arn, document.clone());
    }
    resource.properties.finish()
}

/// One statement of the policy of the default event bus: <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-eventbuspolicy.html>.
pub(super) fn event_bus_policy(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let fields = &mut resource.properties;
    if let Some(bus) = fields.take("EventBusName")
        && bus.text()? != "default"
    {
        return Err(bus.error("the simulator has the bus `default` only"));
    }
    fields.text("StatementId")?;
    let statement = Document::of_statement(fields.required("Statement")?, Holder::Resource)?;
    let arn = template.default_bus_arn();
    template.add_resource_policy(&arn, statement);
    resource.properties.finish()
}

fn queue_arn(url: &str) -> Option<String> {
    let (host, path) = url.strip_prefix("https://sqs.")?.split_once('/')?;
    let region = host.strip_suffix(".amazonaws.com")?;
    let (account, name) = path.split_once('/')?;
    Some(format!("arn:aws:sqs:{region}:{account}:{name}"))
}

pub(super) fn permission(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let origin = resource.properties.path().to_owned();
    let (permission, service) = permission_of(&mut resource.properties, template)?;
    resource.properties.finish()?;
    let document = through_permission(&origin, &permission.action, &permission.function_arn, service);
    template.add_resource_policy(&permission.function_arn, document);
    template.permissions.insert(resource.id.to_owned(), permission);
    Ok(())
}

fn permission_of(fields: &mut Fields, template: &Template) -> Result<(Permission, Service), TemplateError> {
    let function = fields.required("FunctionName")?;
    let permission = Permission {
        action: fields.text("Action")?,
        function_arn: template.function_arn(&function)?,
        principal: fields.text("Principal")?,
        source_arn: fields.optional_text("SourceArn")?,
    };
    let service = Service {
        principal: permission.principal.clone(),
        source_arn: permission.source_arn.clone(),
        source_account: fields.optional_text("SourceAccount")?,
        url_authorization: fields.optional_text("FunctionUrlAuthType")?,
        through_url: fields.optional_flag("InvokedViaFunctionUrl")?,
    };
    Ok((permission, service))
}
