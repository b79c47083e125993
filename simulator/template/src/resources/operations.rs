//! Log groups, alarms, the topics of alarms and stored parameters.

use super::{Resource, one_of};
use crate::error::TemplateError;
use crate::model::{Alarm, Dashboard, LogGroup, StoredParameter};
use crate::template::Template;

/// The properties of an alarm that are kept as they are written.
const ALARM_PROPERTIES: [&str; 23] = [
    "ActionsEnabled",
    "AlarmActions",
    "AlarmDescription",
    "AlarmName",
    "ComparisonOperator",
    "DatapointsToAlarm",
    "Dimensions",
    "EvaluateLowSampleCountPercentile",
    "EvaluationPeriods",
    "ExtendedStatistic",
    "InsufficientDataActions",
    "MetricName",
    "Metrics",
    "Namespace",
    "OKActions",
    "Period",
    "Statistic",
    "Tags",
    "Threshold",
    "ThresholdMetricId",
    "TreatMissingData",
    "Unit",
    "EvaluationInterval",
];

pub(super) fn log_group(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let name = resource.name();
    let fields = &mut resource.properties;
    fields.optional_text("LogGroupName")?;
    fields.tags()?;
    one_of(fields, "LogGroupClass", &["STANDARD", "INFREQUENT_ACCESS"])?;
    let group = LogGroup {
        name,
        retention_days: fields.optional_number("RetentionInDays")?,
    };
    resource.properties.finish()?;
    template.log_groups.insert(resource.id.to_owned(), group);
    Ok(())
}

pub(super) fn alarm(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let mut properties = serde_json::Map::new();
    for name in ALARM_PROPERTIES {
        if let Some(item) = resource.properties.take(name) {
            properties.insert(name.to_owned(), item.json());
        }
    }
    let alarm = Alarm {
        name: resource.name(),
        arn: resource.attribute("Arn"),
        properties: properties.into(),
    };
    resource.properties.finish()?;
    template.alarms.insert(resource.id.to_owned(), alarm);
    Ok(())
}

pub(super) fn dashboard(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let name = resource.name();
    let fields = &mut resource.properties;
    fields.optional_text("DashboardName")?;
    let text = fields.text("DashboardBody")?;
    let body =
        serde_json::from_str(&text).map_err(|error| fields.error(format!("`DashboardBody` is not JSON: {error}")))?;
    resource.properties.finish()?;
    template
        .dashboards
        .insert(resource.id.to_owned(), Dashboard { name, body });
    Ok(())
}

/// A topic that alarms are sent to.
pub(super) fn topic(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let fields = &mut resource.properties;
    fields.optional_text("TopicName")?;
    fields.optional_text("DisplayName")?;
    fields.optional_text("KmsMasterKeyId")?;
    fields.tags()?;
    template.topics.insert(resource.id.to_owned(), resource.name());
    resource.properties.finish()
}

pub(super) fn parameter(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let name = resource.name();
    let fields = &mut resource.properties;
    fields.optional_text("Name")?;
    fields.optional_text("Description")?;
    one_of(fields, "Tier", &["Standard", "Advanced", "Intelligent-Tiering"])?;
    fields.tags()?;
    let kind = one_of(fields, "Type", &["String", "StringList"])?.ok_or_else(|| fields.error("`Type` is missing"))?;
    let parameter = StoredParameter {
        name,
        kind,
        value: fields.text("Value")?,
    };
    resource.properties.finish()?;
    template.stored_parameters.insert(resource.id.to_owned(), parameter);
    Ok(())
}
