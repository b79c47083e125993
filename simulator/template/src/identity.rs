//! Physical names, ARNs and what else `Ref` and `GetAtt` know of a resource.

use std::collections::BTreeMap;

use crate::error::TemplateError;
use crate::node::{Member, Node};
use crate::sam;
use crate::scope::{Identity, Scope};

/// The property that sets the physical name of a resource of this type. `None` for types without one.
fn name_property(kind: &str) -> Option<&'static str> {
    Some(match kind {
        sam::FUNCTION => "FunctionName",
        sam::STATE_MACHINE | "AWS::Events::Rule" | "AWS::Scheduler::Schedule" | "AWS::SSM::Parameter" => "Name",
        "AWS::DynamoDB::Table" => "TableName",
        "AWS::SQS::Queue" => "QueueName",
        "AWS::IAM::Role" => "RoleName",
        "AWS::Logs::LogGroup" => "LogGroupName",
        "AWS::CloudWatch::Alarm" => "AlarmName",
        "AWS::CloudWatch::Dashboard" => "DashboardName",
        "AWS::SNS::Topic" => "TopicName",
        _ => return None,
    })
}

/// The identities of all resources, put into the scope. The name of a resource may be made of those of others.
pub(crate) fn identify(resources: &[(&Member, String)], scope: &mut Scope<'_>) -> Result<(), TemplateError> {
    let mut pending: Vec<&(&Member, String)> = resources.iter().collect();
    while !pending.is_empty() {
        let mut stuck = Vec::new();
        let mut failure = None;
        for named in &pending {
            let (resource, kind) = named;
            match identity(resource, kind, scope) {
                Ok(_) if scope.resources.contains_key(&resource.name) => {
                    let path = format!("Resources.{}", resource.name);
                    let message = "an event brings a resource with the same logical id";
                    return Err(TemplateError::new(resource.line, path, message));
                }
                Ok(identity) => {
                    scope.resources.insert(resource.name.clone(), identity);
                }
                Err(error) => {
                    failure.get_or_insert(error);
                    stuck.push(*named);
                }
            }
        }
        match failure {
            Some(error) if stuck.len() == pending.len() => return Err(error),
            _ => pending = stuck,
        }
    }
    Ok(())
}

fn identity(resource: &Member, kind: &str, scope: &Scope<'_>) -> Result<Identity, TemplateError> {
    let settings = scope.settings;
    let path = |property: &str| format!("Resources.{}.Properties.{property}", resource.name);
    let text = |property: &str| -> Result<Option<String>, TemplateError> {
        let node = resource
            .value
            .get("Properties")
            .and_then(|properties| properties.get(property));
        node.map(|node| scope.resolve(node, &path(property)))
            .transpose()
            .map(|node| node.as_ref().and_then(Node::scalar))
    };
    let generated = format!("{}-{}", settings.stack, resource.name);
    let name = match name_property(kind) {
        Some(property) => text(property)?.unwrap_or(generated),
        None => generated,
    };
    let arn = |service: &str, resource: String| settings.arn(service, &resource);
    Ok(match kind {
        sam::FUNCTION => named(name.clone(), [("Arn", arn("lambda", format!("function:{name}")))]),
        sam::STATE_MACHINE => {
            let arn = arn("states", format!("stateMachine:{name}"));
            named(arn.clone(), [("Arn", arn), ("Name", name)])
        }
        "AWS::DynamoDB::Table" => named(name.clone(), [("Arn", arn("dynamodb", format!("table/{name}")))]),
        "AWS::SQS::Queue" => {
            let url = format!(
                "https://sqs.{}.amazonaws.com/{}/{name}",
                settings.region, settings.account
            );
            named(
                url.clone(),
                [
                    ("Arn", arn("sqs", name.clone())),
                    ("QueueName", name),
                    ("QueueUrl", url),
                ],
            )
        }
        "AWS::IAM::Role" => {
            let path = text("Path")?.unwrap_or_else(|| "/".to_owned());
            let arn = format!("arn:aws:iam::{}:role{path}{name}", settings.account);
            named(name, [("Arn", arn)])
        }
        "AWS::Logs::LogGroup" => named(name.clone(), [("Arn", arn("logs", format!("log-group:{name}:*")))]),
        "AWS::Events::Rule" => named(name.clone(), [("Arn", arn("events", format!("rule/{name}")))]),
        "AWS::Scheduler::Schedule" => {
            let group = text("GroupName")?.unwrap_or_else(|| "default".to_owned());
            named(
                name.clone(),
                [("Arn", arn("scheduler", format!("schedule/{group}/{name}")))],
            )
        }
        "AWS::CloudWatch::Alarm" => named(name.clone(), [("Arn", arn("cloudwatch", format!("alarm:{name}")))]),
        "AWS::SNS::Topic" => {
            let topic = arn("sns", name.clone());
            named(topic.clone(), [("TopicArn", topic), ("TopicName", name)])
        }
        "AWS::CloudWatch::Dashboard" | "AWS::SSM::Parameter" => named(name, []),
        "AWS::Lambda::Url" => {
            let id = resource.name.to_ascii_lowercase();
            let url = format!("https://{id}.lambda-url.{}.on.aws/", settings.region);
            Identity {
                reference: None,
                attributes: BTreeMap::from([("FunctionUrl", url)]),
            }
        }
        sam::HTTP_API => {
            let id: String = resource.name.to_ascii_lowercase();
            let endpoint = format!("https://{id}.execute-api.{}.amazonaws.com", settings.region);
            named(id, [("ApiEndpoint", endpoint)])
        }
        _ => Identity::default(),
    })
}

fn named<const N: usize>(reference: String, attributes: [(&'static str, String); N]) -> Identity {
    Identity {
        reference: Some(reference),
        attributes: attributes.into_iter().collect(),
    }
}
