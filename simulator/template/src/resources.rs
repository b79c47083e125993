//! One reader per resource type.

mod compute;
mod events;
mod operations;
mod security;
mod storage;

use crate::error::TemplateError;
use crate::fields::Fields;
use crate::sam;
use crate::scope::Identity;
use crate::template::Template;

/// A resource whose properties are to be read.
pub(crate) struct Resource<'a> {
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) identity: &'a Identity,
    pub(crate) properties: Fields,
    pub(crate) metadata: serde_json::Value,
}

impl Resource<'_> {
    /// The physical name, where `Ref` answers it.
    fn name(&self) -> String {
        self.identity.reference.clone().unwrap_or_default()
    }

    fn attribute(&self, name: &str) -> String {
        self.identity.attributes.get(name).cloned().unwrap_or_default()
    }
}

/// Reads a resource into the template.
pub(crate) fn read(resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    match resource.kind {
        sam::FUNCTION => compute::function(resource, template),
        sam::STATE_MACHINE => compute::state_machine(resource, template),
        "AWS::Lambda::Url" => compute::url(resource, template),
        sam::HTTP_API => compute::http_api(resource, template),
        sam::HTTP_ROUTE => compute::http_route(resource, template),
        "AWS::DynamoDB::Table" => storage::table(resource, template),
        "AWS::SQS::Queue" => storage::queue(resource, template),
        "AWS::SQS::QueuePolicy" => security::queue_policy(resource, template),
        "AWS::Events::EventBusPolicy" => security::event_bus_policy(resource, template),
        "AWS::IAM::Role" => security::role(resource, template),
        "AWS::IAM::Policy" => security::policy(resource, template),
        "AWS::Lambda::Permission" => security::permission(resource, template),
        "AWS::Events::Rule" => events::rule(resource, template),
        "AWS::Scheduler::Schedule" => events::schedule(resource, template),
        "AWS::Logs::LogGroup" => operations::log_group(resource, template),
        "AWS::CloudWatch::Alarm" => operations::alarm(resource, template),
        "AWS::CloudWatch::Dashboard" => operations::dashboard(resource, template),
        "AWS::SNS::Topic" => operations::topic(resource, template),
        "AWS::SSM::Parameter" => operations::parameter(resource, template),
        other => Err(resource
            .properties
            .error(format!("resources of the type `{other}` are not supported"))),
    }
}

/// An optional text out of a closed set.
pub(crate) fn one_of(
    fields: &mut Fields,
    name: &'static str,
    allowed: &[&str],
) -> Result<Option<String>, TemplateError> {
    let Some(item) = fields.take(name) else {
        return Ok(None);
    };
    let text = item.text()?;
    if allowed.contains(&text.as_str()) {
        return Ok(Some(text));
    }
    Err(item.error(format!("must be one of {}, not `{text}`", allowed.join(", "))))
}
