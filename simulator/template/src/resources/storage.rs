//! Tables and queues.

use std::collections::BTreeMap;

use super::{Resource, one_of};
use crate::error::TemplateError;
use crate::fields::{Fields, Item};
use crate::model::{Index, Key, Queue, Redrive, Table};
use crate::policy::{Document, Holder};
use crate::template::Template;

pub(super) fn table(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let (arn, name) = (resource.attribute("Arn"), resource.name());
    let fields = &mut resource.properties;
    fields.optional_text("TableName")?;
    let mut attributes = BTreeMap::new();
    for attribute in fields.items("AttributeDefinitions")? {
        let mut attribute = attribute.fields()?;
        let kind = one_of(&mut attribute, "AttributeType", &["S", "N", "B"])?;
        let kind = kind.ok_or_else(|| attribute.error("`AttributeType` is missing"))?;
        attributes.insert(attribute.text("AttributeName")?, kind);
        attribute.finish()?;
    }
    let mut indexes = BTreeMap::new();
    for index in fields.items("GlobalSecondaryIndexes")? {
        let (name, index) = index_of(index)?;
        indexes.insert(name, index);
    }
    if let Some(policy) = fields.optional_fields("ResourcePolicy")? {
        let document = resource_policy(policy)?;
        template.add_resource_policy(&arn, document);
    }
    let table = Table {
        arn: arn.clone(),
        name,
        key: key(fields)?,
        billing_mode: one_of(fields, "BillingMode", &["PAY_PER_REQUEST"])?
            .ok_or_else(|| fields.error("`BillingMode` must be PAY_PER_REQUEST"))?,
        time_to_live_attribute: fields
            .optional_fields("TimeToLiveSpecification")?
            .map(time_to_live)
            .transpose()?
            .flatten(),
        recovery_days: fields
            .optional_fields("PointInTimeRecoverySpecification")?
            .map(recovery)
            .transpose()?
            .flatten(),
        deletion_protection: fields.optional_flag("DeletionProtectionEnabled")?.unwrap_or(false),
        stream_view: fields.optional_fields("StreamSpecification")?.map(stream).transpose()?,
        tags: fields.tags()?,
        attributes,
        indexes,
    };
    if let Some(mut encryption) = fields.optional_fields("SSESpecification")? {
        encryption.optional_flag("SSEEnabled")?;
        encryption.finish()?;
    }
    let keys = std::iter::once(&table.key).chain(table.indexes.values().map(|index| &index.key));
    let used: Vec<&String> = keys
        .flat_map(|key| std::iter::once(&key.partition).chain(&key.sort))
        .collect();
    let defined = |name: &&String| table.attributes.contains_key(*name);
    if let Some(name) = used.iter().find(|name| !defined(name)) {
        return Err(fields.error(format!("the key attribute `{name}` is not in `AttributeDefinitions`")));
    }
    if let Some(name) = table.attributes.keys().find(|name| !used.contains(name)) {
        return Err(fields.error(format!("the attribute `{name}` of `AttributeDefinitions` is in no key")));
    }
    resource.properties.finish()?;
    template.tables.insert(resource.id.to_owned(), table);
    Ok(())
}

fn index_of(item: Item) -> Result<(String, Index), TemplateError> {
    let mut fields = item.fields()?;
    let name = fields.text("IndexName")?;
    let key = key(&mut fields)?;
    let mut projection = fields.required("Projection")?.fields()?;
    let kind = one_of(&mut projection, "ProjectionType", &["ALL", "KEYS_ONLY", "INCLUDE"])?;
    let index = Index {
        key,
        projection: kind.ok_or_else(|| projection.error("`ProjectionType` is missing"))?,
        included: projection.optional_texts("NonKeyAttributes")?.unwrap_or_default(),
    };
    projection.finish()?;
    fields.finish()?;
    Ok((name, index))
}

fn key(fields: &mut Fields) -> Result<Key, TemplateError> {
    let (mut partition, mut sort) = (None, None);
    for element in fields.items("KeySchema")? {
        let mut element = element.fields()?;
        let name = element.text("AttributeName")?;
        match element.text("KeyType")?.as_str() {
            "HASH" => partition = Some(name),
            "RANGE" => sort = Some(name),
            other => return Err(element.error(format!("the key type `{other}` is neither HASH nor RANGE"))),
        }
        element.finish()?;
    }
    let partition = partition.ok_or_else(|| fields.error("`KeySchema` has no HASH key"))?;
    Ok(Key { partition, sort })
}

fn resource_policy(mut fields: Fields) -> Result<Document, TemplateError> {
    let document = Document::read(fields.required("PolicyDocument")?, Holder::Resource)?;
    fields.finish()?;
    Ok(document)
}

fn time_to_live(mut fields: Fields) -> Result<Option<String>, TemplateError> {
    let attribute = fields.optional_text("AttributeName")?;
    let enabled = fields.required("Enabled")?.flag()?;
    fields.finish()?;
    Ok(attribute.filter(|_| enabled))
}

fn recovery(mut fields: Fields) -> Result<Option<u32>, TemplateError> {
    let enabled = fields.required("PointInTimeRecoveryEnabled")?.flag()?;
    let days = fields.optional_number::<u32>("RecoveryPeriodInDays")?.unwrap_or(35);
    if !(1..=35).contains(&days) {
        return Err(fields.error("`RecoveryPeriodInDays` must be between 1 and 35"));
    }
    fields.finish()?;
    Ok(enabled.then_some(days))
}

fn stream(mut fields: Fields) -> Result<String, TemplateError> {
    let view = fields.text("StreamViewType")?;
    fields.finish()?;
    Ok(view)
}

pub(super) fn queue(mut resource: Resource<'_>, template: &mut Template) -> Result<(), TemplateError> {
    let (arn, name, url) = (
        resource.attribute("Arn"),
        resource.attribute("QueueName"),
        resource.name(),
    );
    let fields = &mut resource.properties;
    fields.optional_text("QueueName")?;
    fields.optional_flag("SqsManagedSseEnabled")?;
    let queue = Queue {
        name,
        arn,
        url,
        visibility_timeout_seconds: fields.optional_number("VisibilityTimeout")?.unwrap_or(30),
        retention_seconds: fields.optional_number("MessageRetentionPeriod")?.unwrap_or(345_600),
        delay_seconds: fields.optional_number("DelaySeconds")?.unwrap_or(0),
        receive_wait_seconds: fields.optional_number("ReceiveMessageWaitTimeSeconds")?.unwrap_or(0),
        redrive: fields.optional_fields("RedrivePolicy")?.map(redrive).transpose()?,
        tags: fields.tags()?,
    };
    resource.properties.finish()?;
    template.queues.insert(resource.id.to_owned(), queue);
    Ok(())
}

fn redrive(mut fields: Fields) -> Result<Redrive, TemplateError> {
    let redrive = Redrive {
        queue_arn: fields.text("deadLetterTargetArn")?,
        maximum_receives: fields.required("maxReceiveCount")?.number()?,
    };
    fields.finish()?;
    Ok(redrive)
}
