//! Rules and schedules.

use super::{Resource, one_of};
use crate::error::TemplateError;
use crate::fields::{Fields, Item};
use crate::model::{Rule, Schedule, Target};
use crate::template::Template;

pub(super) fn rule(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let (arn, name) = (resource.attribute("Arn"), resource.name());
    let fields = &mut resource.properties;
    fields.optional_text("Name")?;
    let rule = Rule {
        name,
        arn,
        pattern: fields
            .take("EventPattern")
            .map(|pattern| pattern.document())
            .transpose()?,
        schedule: fields.optional_text("ScheduleExpression")?,
        description: fields.optional_text("Description")?,
        enabled: enabled(fields)?,
        targets: fields
            .items("Targets")?
            .into_iter()
            .map(rule_target)
            .collect::<Result<_, _>>()?,
    };
    if rule.pattern.is_none() == rule.schedule.is_none() {
        return Err(fields.error("takes either `EventPattern` or `ScheduleExpression`"));
    }
    resource.properties.finish()?;
    template.rules.insert(resource.id.to_owned(), rule);
    Ok(())
}

pub(super) fn schedule(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let (arn, name) = (resource.attribute("Arn"), resource.name());
    let fields = &mut resource.properties;
    fields.optional_text("Name")?;
    let schedule = Schedule {
        name,
        arn,
        group: fields
            .optional_text("GroupName")?
            .unwrap_or_else(|| "default".to_owned()),
        expression: fields.text("ScheduleExpression")?,
        time_zone: fields.optional_text("ScheduleExpressionTimezone")?,
        flexible_minutes: flexible_minutes(fields.required("FlexibleTimeWindow")?.fields()?)?,
        description: fields.optional_text("Description")?,
        enabled: enabled(fields)?,
        target: schedule_target(fields.required("Target")?)?,
    };
    resource.properties.finish()?;
    template.schedules.insert(resource.id.to_owned(), schedule);
    Ok(())
}

fn enabled(fields: &mut Fields) -> Result<bool, TemplateError> {
    Ok(one_of(fields, "State", &["ENABLED", "DISABLED"])?.is_none_or(|state| state == "ENABLED"))
}

fn flexible_minutes(mut fields: Fields) -> Result<Option<u32>, TemplateError> {
    let mode = fields.text("Mode")?;
    let minutes = fields.optional_number("MaximumWindowInMinutes")?;
    let window = match (mode.as_str(), minutes) {
        ("OFF", None) => None,
        ("FLEXIBLE", Some(minutes)) => Some(minutes),
        _ => return Err(fields.error("is OFF, or FLEXIBLE with `MaximumWindowInMinutes`")),
    };
    fields.finish()?;
    Ok(window)
}

fn rule_target(item: Item) -> Result<Target, TemplateError> {
    let mut fields = item.fields()?;
    let id = fields.text("Id")?;
    let mut target = common(&mut fields, id)?;
    target.input_path = fields.optional_text("InputPath")?;
    target.input_transformer = fields
        .optional_fields("InputTransformer")?
        .map(transformer)
        .transpose()?;
    fields.finish()?;
    Ok(target)
}

fn schedule_target(item: Item) -> Result<Target, TemplateError> {
    let mut fields = item.fields()?;
    let target = common(&mut fields, String::new())?;
    if target.role_arn.is_none() {
        return Err(fields.error("`RoleArn` is missing"));
    }
    fields.finish()?;
    Ok(target)
}

/// What targets of rules and of schedules have in common.
fn common(fields: &mut Fields, id: String) -> Result<Target, TemplateError> {
    let mut target = Target {
        id,
        arn: fields.text("Arn")?,
        role_arn: fields.optional_text("RoleArn")?,
        input: fields.optional_text("Input")?,
        input_path: None,
        input_transformer: None,
        dead_letter_arn: None,
        maximum_retry_attempts: None,
        maximum_event_age_seconds: None,
    };
    if let Some(mut dead_letters) = fields.optional_fields("DeadLetterConfig")? {
        target.dead_letter_arn = dead_letters.optional_text("Arn")?;
        dead_letters.finish()?;
    }
    if let Some(mut retry) = fields.optional_fields("RetryPolicy")? {
        target.maximum_retry_attempts = retry.optional_number("MaximumRetryAttempts")?;
        target.maximum_event_age_seconds = retry.optional_number("MaximumEventAgeInSeconds")?;
        retry.finish()?;
    }
    Ok(target)
}

fn transformer(mut fields: Fields) -> Result<serde_json::Value, TemplateError> {
    let template = fields.text("InputTemplate")?;
    let mut paths = serde_json::Map::new();
    for (name, path) in fields
        .take("InputPathsMap")
        .map_or(Ok(Vec::new()), |paths| paths.members())?
    {
        paths.insert(name, path.text()?.into());
    }
    fields.finish()?;
    Ok(serde_json::json!({"InputPathsMap": paths, "InputTemplate": template}))
}
