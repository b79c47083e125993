//! Functions and state machines.

use std::collections::BTreeMap;

use super::{Resource, one_of};
use crate::error::TemplateError;
use crate::fields::{Fields, Item};
use crate::model::{AsynchronousInvocation, Function, FunctionUrl, HttpApi, HttpRoute, Logging, StateMachine, Vpc};
use crate::template::{Template, role_name};

/// The authorizer that asks for the signature of an AWS principal.
const AWS_IAM: &str = "AWS_IAM";

pub(super) fn function(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let (arn, name, metadata) = (resource.attribute("Arn"), resource.name(), resource.metadata.clone());
    let fields = &mut resource.properties;
    fields.optional_text("FunctionName")?;
    let function = Function {
        arn,
        name,
        metadata,
        handler: fields.text("Handler")?,
        runtime: fields.text("Runtime")?,
        architectures: fields
            .optional_texts("Architectures")?
            .unwrap_or_else(|| vec!["x86_64".to_owned()]),
        code_uri: fields.text("CodeUri")?,
        memory_mebibytes: bounded(fields, "MemorySize", 128, 128..=10_240)?,
        timeout_seconds: bounded(fields, "Timeout", 3, 1..=900)?,
        environment: environment(fields)?,
        role: role(fields)?,
        reserved_concurrent_executions: fields.optional_number("ReservedConcurrentExecutions")?,
        tracing: one_of(fields, "Tracing", &["Active", "PassThrough"])?,
        logging: fields.optional_fields("LoggingConfig")?.map(logging).transpose()?,
        vpc: fields.optional_fields("VpcConfig")?.map(vpc).transpose()?,
        asynchronous: asynchronous(fields)?,
        dead_letter_arn: fields
            .optional_fields("DeadLetterQueue")?
            .map(dead_letter_queue)
            .transpose()?,
        description: fields.optional_text("Description")?,
        tags: fields.tags()?,
    };
    resource.properties.finish()?;
    template.functions.insert(resource.id.to_owned(), function);
    Ok(())
}

pub(super) fn state_machine(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let (arn, name) = (resource.attribute("Arn"), resource.attribute("Name"));
    let fields = &mut resource.properties;
    fields.optional_text("Name")?;
    let tracing = match fields.optional_fields("Tracing")? {
        None => false,
        Some(mut tracing) => {
            let enabled = tracing.optional_flag("Enabled")?.unwrap_or(false);
            tracing.finish()?;
            enabled
        }
    };
    let machine = StateMachine {
        name,
        arn,
        definition_uri: fields.text("DefinitionUri")?,
        substitutions: texts_by_name(fields.take("DefinitionSubstitutions"))?,
        role: role(fields)?,
        kind: one_of(fields, "Type", &["STANDARD", "EXPRESS"])?.unwrap_or_else(|| "STANDARD".to_owned()),
        tracing,
        logging: fields.optional_fields("Logging")?.map(machine_logging).transpose()?,
        tags: fields.tags()?,
    };
    resource.properties.finish()?;
    template.state_machines.insert(resource.id.to_owned(), machine);
    Ok(())
}

pub(super) fn url(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let url = resource.attribute("FunctionUrl");
    let fields = &mut resource.properties;
    let function = fields.required("TargetFunctionArn")?;
    let authorization =
        one_of(fields, "AuthType", &["NONE", "AWS_IAM"])?.ok_or_else(|| fields.error("`AuthType` is missing"))?;
    one_of(fields, "InvokeMode", &["BUFFERED"])?;
    let url = FunctionUrl {
        function_arn: template.function_arn(&function)?,
        authorization,
        url,
    };
    resource.properties.finish()?;
    template.function_urls.insert(resource.id.to_owned(), url);
    Ok(())
}

pub(super) fn http_api(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let id = resource.name();
    let fields = &mut resource.properties;
    for described in ["Name", "Description"] {
        fields.optional_text(described)?;
    }
    let mut default_authorizer = None;
    if let Some(mut auth) = fields.optional_fields("Auth")? {
        let enabled = auth.optional_flag("EnableIamAuthorizer")?.unwrap_or(false);
        default_authorizer = one_of(&mut auth, "DefaultAuthorizer", &[AWS_IAM])?;
        if default_authorizer.is_some() && !enabled {
            return Err(auth.error("`DefaultAuthorizer` is `AWS_IAM` without `EnableIamAuthorizer`"));
        }
        auth.finish()?;
    }
    if let Some(mut settings) = fields.optional_fields("DefaultRouteSettings")? {
        settings.optional_number::<u32>("ThrottlingBurstLimit")?;
        settings.optional_number::<f64>("ThrottlingRateLimit")?;
        settings.finish()?;
    }
    resource.properties.finish()?;
    let api = HttpApi { id, default_authorizer };
    template.http_apis.insert(resource.id.to_owned(), api);
    Ok(())
}

pub(super) fn http_route(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let fields = &mut resource.properties;
    let function = fields.required("Function")?;
    let path = fields.required("Path")?;
    let route = HttpRoute {
        api_id: fields.text("ApiId")?,
        method: fields.text("Method")?.to_ascii_uppercase(),
        path: path.text()?,
        function_arn: template.function_arn(&function)?,
        authorizer: one_of(fields, "Authorizer", &[AWS_IAM, "NONE"])?,
    };
    if route.path.contains("+}") {
        return Err(path.error("a parameter for the rest of a path is not supported"));
    }
    if fields
        .optional_text("PayloadFormatVersion")?
        .is_some_and(|version| version != "2.0")
    {
        return Err(fields.error("only version 2.0 of the payload format is supported"));
    }
    resource.properties.finish()?;
    template.http_routes.insert(resource.id.to_owned(), route);
    Ok(())
}

fn bounded(
    fields: &mut Fields,
    name: &'static str,
    default: u32,
    bounds: std::ops::RangeInclusive<u32>,
) -> Result<u32, TemplateError> {
    let value = fields.optional_number(name)?.unwrap_or(default);
    if bounds.contains(&value) {
        return Ok(value);
    }
    Err(fields.error(format!(
        "`{name}` must be between {} and {}, not {value}",
        bounds.start(),
        bounds.end()
    )))
}

fn environment(fields: &mut Fields) -> Result<BTreeMap<String, String>, TemplateError> {
    let Some(mut environment) = fields.optional_fields("Environment")? else {
        return Ok(BTreeMap::new());
    };
    let variables = texts_by_name(environment.take("Variables"))?;
    environment.finish()?;
    Ok(variables)
}

fn texts_by_name(item: Option<Item>) -> Result<BTreeMap<String, String>, TemplateError> {
    let members = item.map_or(Ok(Vec::new()), |item| item.members())?;
    members
        .into_iter()
        .map(|(name, value)| Ok((name, value.text()?)))
        .collect()
}

/// The name of the role that `Role` gives by ARN.
fn role(fields: &mut Fields) -> Result<String, TemplateError> {
    let item = fields.required("Role")?;
    let arn = item.text()?;
    role_name(&arn)
        .map(str::to_owned)
        .ok_or_else(|| item.error(format!("`{arn}` is not the ARN of a role")))
}

fn logging(mut fields: Fields) -> Result<Logging, TemplateError> {
    let logging = Logging {
        format: one_of(&mut fields, "LogFormat", &["JSON", "Text"])?,
        application_level: fields.optional_text("ApplicationLogLevel")?,
        system_level: fields.optional_text("SystemLogLevel")?,
        group: fields.optional_text("LogGroup")?,
    };
    fields.finish()?;
    Ok(logging)
}

fn vpc(mut fields: Fields) -> Result<Vpc, TemplateError> {
    let vpc = Vpc {
        subnets: fields.optional_texts("SubnetIds")?.unwrap_or_default(),
        security_groups: fields.optional_texts("SecurityGroupIds")?.unwrap_or_default(),
    };
    fields.finish()?;
    Ok(vpc)
}

fn asynchronous(fields: &mut Fields) -> Result<AsynchronousInvocation, TemplateError> {
    let mut invocation = AsynchronousInvocation {
        maximum_retry_attempts: 2,
        maximum_event_age_seconds: 21_600,
        on_failure: None,
        on_success: None,
    };
    let Some(mut config) = fields.optional_fields("EventInvokeConfig")? else {
        return Ok(invocation);
    };
    invocation.maximum_retry_attempts = bounded(&mut config, "MaximumRetryAttempts", 2, 0..=2)?;
    invocation.maximum_event_age_seconds = bounded(&mut config, "MaximumEventAgeInSeconds", 21_600, 60..=21_600)?;
    if let Some(mut destinations) = config.optional_fields("DestinationConfig")? {
        invocation.on_failure = destinations
            .optional_fields("OnFailure")?
            .map(destination)
            .transpose()?;
        invocation.on_success = destinations
            .optional_fields("OnSuccess")?
            .map(destination)
            .transpose()?;
        destinations.finish()?;
    }
    config.finish()?;
    Ok(invocation)
}

fn destination(mut fields: Fields) -> Result<String, TemplateError> {
    one_of(&mut fields, "Type", &["SQS", "SNS", "Lambda", "EventBridge"])?;
    let arn = fields.text("Destination")?;
    fields.finish()?;
    Ok(arn)
}

fn dead_letter_queue(mut fields: Fields) -> Result<String, TemplateError> {
    one_of(&mut fields, "Type", &["SQS", "SNS"])?;
    let arn = fields.text("TargetArn")?;
    fields.finish()?;
    Ok(arn)
}

fn machine_logging(mut fields: Fields) -> Result<serde_json::Value, TemplateError> {
    let level = one_of(&mut fields, "Level", &["ALL", "ERROR", "FATAL", "OFF"])?;
    let data = fields.optional_flag("IncludeExecutionData")?;
    let mut groups = Vec::new();
    for destination in fields.items("Destinations")? {
        let mut destination = destination.fields()?;
        if let Some(mut group) = destination.optional_fields("CloudWatchLogsLogGroup")? {
            groups.push(group.text("LogGroupArn")?);
            group.finish()?;
        }
        destination.finish()?;
    }
    fields.finish()?;
    Ok(serde_json::json!({"Level": level, "IncludeExecutionData": data, "LogGroupArns": groups}))
}
