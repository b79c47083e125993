//! Task definitions: immutable revisions of families.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use simulator_kernel::{ApiError, Kernel, Principal, Request};

use crate::Ecs;
use crate::input::{
    Answer, client_exception, epoch_seconds, includes_tags, invalid_parameter, list, merge_tags, only, page,
    required_text, set, set_some, text,
};
use crate::task_definition_defaults::{compatibilities, fill_defaults, required_attributes, validate};

/// One revision of a family.
#[derive(Debug)]
pub(crate) struct TaskDefinition {
    pub(crate) arn: String,
    pub(crate) family: String,
    /// What was registered, whole, with AWS's defaults filled in.
    pub(crate) content: Value,
    pub(crate) tags: Vec<Value>,
    revision: u32,
    registered_at: Timestamp,
    registered_by: String,
    deregistered_at: Option<Timestamp>,
}

impl TaskDefinition {
    pub(crate) fn is_active(&self) -> bool {
        self.deregistered_at.is_none()
    }

    /// Whether tasks can be started from it: always while `ACTIVE`, and for a moment after it was deregistered.
    pub(crate) fn is_usable(&self, now: Timestamp, usable_for: SignedDuration) -> bool {
        self.deregistered_at
            .is_none_or(|at| now.duration_since(at) < usable_for)
    }

    pub(crate) fn container_definitions(&self) -> &[Value] {
        list(&self.content, "containerDefinitions")
    }

    pub(crate) fn uses_awsvpc(&self) -> bool {
        text(&self.content, "networkMode") == Some("awsvpc")
    }

    fn describe(&self) -> Value {
        let mut described = self.content.clone();
        set(&mut described, "taskDefinitionArn", json!(self.arn));
        set(&mut described, "revision", json!(self.revision));
        set(
            &mut described,
            "status",
            json!(if self.is_active() { "ACTIVE" } else { "INACTIVE" }),
        );
        set(
            &mut described,
            "requiresAttributes",
            json!(required_attributes(&self.content)),
        );
        set(&mut described, "compatibilities", json!(compatibilities(&self.content)));
        set(&mut described, "registeredAt", epoch_seconds(self.registered_at));
        set(&mut described, "registeredBy", json!(self.registered_by));
        set_some(
            &mut described,
            "deregisteredAt",
            self.deregistered_at.map(epoch_seconds),
        );
        described
    }
}

/// All families with their revisions. A revision number is never used twice.
#[derive(Debug, Default)]
pub(crate) struct TaskDefinitions {
    families: BTreeMap<String, BTreeMap<u32, TaskDefinition>>,
}

impl TaskDefinitions {
    /// The revision that `family`, `family:revision` or an ARN names; the latest `ACTIVE` one for a bare family.
    pub(crate) fn find(&self, reference: &str) -> Option<&TaskDefinition> {
        let name = reference
            .split_once(":task-definition/")
            .map_or(reference, |(_, name)| name);
        match name.rsplit_once(':') {
            Some((family, revision)) => self.families.get(family)?.get(&revision.parse().ok()?),
            None => self
                .families
                .get(name)?
                .values()
                .rev()
                .find(|definition| definition.is_active()),
        }
    }

    pub(crate) fn find_mut(&mut self, arn: &str) -> Option<&mut TaskDefinition> {
        let (_, name) = arn.split_once(":task-definition/")?;
        let (family, revision) = name.rsplit_once(':')?;
        self.families.get_mut(family)?.get_mut(&revision.parse().ok()?)
    }

    fn all(&self) -> impl Iterator<Item = &TaskDefinition> {
        self.families.values().flat_map(BTreeMap::values)
    }
}

impl Ecs {
    pub(crate) fn register_task_definition(&mut self, request: &Request, kernel: &Kernel) -> Answer {
        let input = &request.input;
        validate(input)?;
        let family = required_text(input, "family")?.to_owned();
        let mut tags = Vec::new();
        merge_tags(&mut tags, list(input, "tags"))?;
        let mut content: Map<String, Value> = input
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        content.shift_remove("tags");
        content.retain(|_, value| !value.is_null());
        let revisions = self.task_definitions.families.entry(family.clone()).or_default();
        let revision = revisions.last_key_value().map_or(1, |(last, _)| last + 1);
        let definition = TaskDefinition {
            arn: kernel.arn("ecs", &format!("task-definition/{family}:{revision}")),
            family,
            content: fill_defaults(content),
            tags,
            revision,
            registered_at: kernel.now(),
            registered_by: caller_arn(&request.principal, kernel),
            deregistered_at: None,
        };
        let mut answer = json!({"taskDefinition": definition.describe()});
        if !definition.tags.is_empty() {
            set(&mut answer, "tags", json!(definition.tags));
        }
        revisions.insert(revision, definition);
        Ok(answer)
    }

    pub(crate) fn describe_task_definition(&self, input: &Value) -> Answer {
        only("DescribeTaskDefinition", input, &["taskDefinition", "include"])?;
        let definition = self
            .task_definitions
            .find(required_text(input, "taskDefinition")?)
            .filter(|definition| definition.is_active() || self.is_referenced(&definition.arn))
            .ok_or_else(|| client_exception("Unable to describe task definition."))?;
        let mut answer = json!({"taskDefinition": definition.describe()});
        if includes_tags(input) {
            set(&mut answer, "tags", json!(definition.tags));
        }
        Ok(answer)
    }

    pub(crate) fn deregister_task_definition(&mut self, input: &Value, kernel: &Kernel) -> Answer {
        only("DeregisterTaskDefinition", input, &["taskDefinition"])?;
        let reference = required_text(input, "taskDefinition")?;
        let name = reference
            .split_once(":task-definition/")
            .map_or(reference, |(_, name)| name);
        if !name.contains(':') {
            return Err(client_exception(
                "The specified task definition does not contain a revision.",
            ));
        }
        let arn = self
            .task_definitions
            .find(reference)
            .map(|definition| definition.arn.clone());
        let definition = arn
            .and_then(|arn| self.task_definitions.find_mut(&arn))
            .ok_or_else(|| client_exception("The specified task definition does not exist."))?;
        definition.deregistered_at.get_or_insert(kernel.now());
        Ok(json!({"taskDefinition": definition.describe()}))
    }

    pub(crate) fn list_task_definitions(&self, input: &Value) -> Answer {
        only(
            "ListTaskDefinitions",
            input,
            &["familyPrefix", "status", "sort", "maxResults", "nextToken"],
        )?;
        let active = wanted_activity(input, "ListTaskDefinitions")?.unwrap_or(true);
        let family = text(input, "familyPrefix");
        let mut arns: Vec<&str> = self
            .task_definitions
            .all()
            .filter(|definition| family.is_none_or(|family| family == definition.family))
            .filter(|definition| definition.is_active() == active && (active || self.is_referenced(&definition.arn)))
            .map(|definition| definition.arn.as_str())
            .collect();
        match text(input, "sort") {
            None | Some("ASC") => {}
            Some("DESC") => arns.reverse(),
            Some(_) => return Err(invalid_parameter("sort must be ASC or DESC.")),
        }
        page("taskDefinitionArns", &arns, |arn| arn, |arn| json!(arn), input, 100)
    }

    pub(crate) fn list_task_definition_families(&self, input: &Value) -> Answer {
        only(
            "ListTaskDefinitionFamilies",
            input,
            &["familyPrefix", "status", "maxResults", "nextToken"],
        )?;
        let wanted = wanted_activity(input, "ListTaskDefinitionFamilies")?;
        let prefix = text(input, "familyPrefix").unwrap_or_default();
        let families: Vec<&str> = self
            .task_definitions
            .families
            .iter()
            .filter(|(family, _)| family.starts_with(prefix))
            .filter(|(_, revisions)| {
                wanted.is_none_or(|active| revisions.values().any(TaskDefinition::is_active) == active)
            })
            .map(|(family, _)| family.as_str())
            .collect();
        page(
            "families",
            &families,
            |family| family,
            |family| json!(family),
            input,
            100,
        )
    }

    /// The definition that new tasks are to run from.
    pub(crate) fn usable_definition(&self, reference: &str, now: Timestamp) -> Result<&TaskDefinition, ApiError> {
        let definition = self
            .task_definitions
            .find(reference)
            .ok_or_else(|| client_exception("TaskDefinition not found."))?;
        if !definition.is_usable(now, self.settings.deregistered_usable_for) {
            return Err(client_exception("TaskDefinition is inactive"));
        }
        if definition
            .container_definitions()
            .iter()
            .any(|container| container.pointer("/restartPolicy/enabled") == Some(&json!(true)))
        {
            return Err(ApiError::unsupported("containers with an enabled `restartPolicy`"));
        }
        Ok(definition)
    }

    /// Whether a task that has not stopped, or a service, still needs the revision.
    fn is_referenced(&self, arn: &str) -> bool {
        self.tasks
            .values()
            .any(|task| task.definition_arn == arn && !task.is_stopped())
            || self.services.values().any(|service| service.references(arn))
    }
}

/// The `status` filter of a listing: `Some(true)` for `ACTIVE`, `None` for all.
fn wanted_activity(input: &Value, operation: &str) -> Result<Option<bool>, ApiError> {
    match text(input, "status") {
        None | Some("ALL") => Ok(None),
        Some("ACTIVE") => Ok(Some(true)),
        Some("INACTIVE") => Ok(Some(false)),
        Some(status) => Err(ApiError::unsupported(format!("status `{status}` in ecs:{operation}"))),
    }
}

/// The ARN by which AWS records who called.
pub(crate) fn caller_arn(principal: &Principal, kernel: &Kernel) -> String {
    let account = kernel.account_of(principal);
    match principal {
        Principal::Administrator | Principal::AdministratorOf(_) => format!("arn:aws:iam::{account}:root"),
        Principal::Role(name) | Principal::RoleOf { role: name, .. } => {
            format!("arn:aws:sts::{account}:assumed-role/{name}/{name}")
        }
        Principal::Service(name) => name.clone(),
    }
}
