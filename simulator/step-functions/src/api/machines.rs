//! State machines.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Kernel};

use super::StateMachine;
use super::input::{Input, validation};
use crate::StepFunctions;
use crate::definition::Definition;
use crate::execution::Revision;
use crate::history::epoch_seconds;
use crate::names;

/// The longest definition, in characters.
const DEFINITION_LENGTH: usize = 1_048_576;

impl StepFunctions {
    pub(super) fn create_state_machine(&mut self, input: &Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        input.only(&[
            "name",
            "definition",
            "roleArn",
            "type",
            "loggingConfiguration",
            "tracingConfiguration",
            "publish",
            "tags",
        ])?;
        refuse_versions(input)?;
        let name = input.required("name")?;
        names::check_name(name)?;
        match input.text("type")? {
            None | Some("STANDARD") => {}
            Some("EXPRESS") => return Err(ApiError::unsupported("state machines of type EXPRESS")),
            Some(other) => return Err(validation(format!("`{other}` is not a type of state machines"))),
        }
        let arn = names::state_machine_arn(kernel, name);
        let (text, role_arn) = (input.required("definition")?, input.required("roleArn")?);
        if let Some(existing) = self.machines.get(&arn) {
            return if existing.revision.text == text && existing.revision.role_arn == role_arn {
                Ok(json!({"stateMachineArn": arn, "creationDate": epoch_seconds(existing.created_at)}))
            } else {
                let message = format!("there is a state machine `{name}` with another definition or role");
                Err(ApiError::client("StateMachineAlreadyExists", message))
            };
        }
        let revision = Revision {
            state_machine_arn: arn.clone(),
            name: name.to_owned(),
            text: text.to_owned(),
            definition: definition(text)?,
            role_arn: role_arn.to_owned(),
            principal: names::role(role_arn)?,
            revision_id: None,
            updated_at: kernel.now(),
        };
        let machine = StateMachine {
            revision: Arc::new(revision),
            created_at: kernel.now(),
            logging: input.value("loggingConfiguration").cloned(),
            tracing: input.value("tracingConfiguration").cloned(),
            tags: tags(input)?,
        };
        self.machines.insert(arn.clone(), machine);
        Ok(json!({"stateMachineArn": arn, "creationDate": epoch_seconds(kernel.now())}))
    }

    pub(super) fn update_state_machine(&mut self, input: &Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        input.only(&[
            "stateMachineArn",
            "definition",
            "roleArn",
            "loggingConfiguration",
            "tracingConfiguration",
            "publish",
        ])?;
        refuse_versions(input)?;
        let arn = input.required("stateMachineArn")?;
        names::check_arn(arn, "stateMachine")?;
        let machine = self.machines.get_mut(arn).ok_or_else(|| does_not_exist(arn))?;
        let changes = ["definition", "roleArn", "loggingConfiguration", "tracingConfiguration"];
        if changes.iter().all(|name| input.value(name).is_none()) {
            let message =
                "at least one of `definition`, `roleArn`, `loggingConfiguration`, `tracingConfiguration` is needed";
            return Err(ApiError::client("MissingRequiredParameter", message));
        }
        let text = input.text("definition")?.unwrap_or(&machine.revision.text).to_owned();
        let role_arn = input.text("roleArn")?.unwrap_or(&machine.revision.role_arn).to_owned();
        let revision_id = kernel.uuid();
        let revision = Revision {
            state_machine_arn: arn.to_owned(),
            name: machine.revision.name.clone(),
            definition: definition(&text)?,
            principal: names::role(&role_arn)?,
            text,
            role_arn,
            revision_id: Some(revision_id.clone()),
            updated_at: kernel.now(),
        };
        machine.revision = Arc::new(revision);
        if let Some(logging) = input.value("loggingConfiguration") {
            machine.logging = Some(logging.clone());
        }
        if let Some(tracing) = input.value("tracingConfiguration") {
            machine.tracing = Some(tracing.clone());
        }
        Ok(json!({"updateDate": epoch_seconds(kernel.now()), "revisionId": revision_id}))
    }

    /// Executions that run go on, by the definition that they began with.
    pub(super) fn delete_state_machine(&mut self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&["stateMachineArn"])?;
        let arn = input.required("stateMachineArn")?;
        names::check_arn(arn, "stateMachine")?;
        // A machine that is not there is deleted.
        self.machines.remove(arn);
        Ok(json!({}))
    }

    pub(super) fn tag(&mut self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&["resourceArn", "tags"])?;
        let added = tags(input)?;
        self.tags_mut(input)?.extend(added);
        Ok(json!({}))
    }

    pub(super) fn untag(&mut self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&["resourceArn", "tagKeys"])?;
        let keys = input.value("tagKeys").and_then(Value::as_array).into_iter().flatten();
        let tags = self.tags_mut(input)?;
        for key in keys.filter_map(Value::as_str) {
            tags.remove(key);
        }
        Ok(json!({}))
    }

    pub(super) fn list_tags(&mut self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&["resourceArn"])?;
        let tags: Vec<&Value> = self.tags_mut(input)?.values().collect();
        Ok(json!({"tags": tags}))
    }

    fn tags_mut(&mut self, input: &Input<'_>) -> Result<&mut BTreeMap<String, Value>, ApiError> {
        let arn = input.required("resourceArn")?;
        let machine = self.machines.get_mut(arn);
        machine
            .map(|machine| &mut machine.tags)
            .ok_or_else(|| ApiError::client("ResourceNotFound", format!("there is no state machine `{arn}`")))
    }

    pub(super) fn describe_state_machine(&self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&["stateMachineArn"])?;
        let machine = self.machine(input)?;
        let mut answer = json!({
            "stateMachineArn": machine.revision.state_machine_arn,
            "name": machine.revision.name,
            "status": "ACTIVE",
            "definition": machine.revision.text,
            "roleArn": machine.revision.role_arn,
            "type": "STANDARD",
            "creationDate": epoch_seconds(machine.created_at),
            "loggingConfiguration": machine.logging.clone().unwrap_or_else(|| json!({"level": "OFF", "includeExecutionData": false})),
            "tracingConfiguration": machine.tracing.clone().unwrap_or_else(|| json!({"enabled": false})),
        });
        add_revision_id(&mut answer, &machine.revision);
        Ok(answer)
    }

    pub(super) fn describe_state_machine_for_execution(&self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&["executionArn"])?;
        let revision = &self.execution(input)?.machine;
        let mut answer = json!({
            "stateMachineArn": revision.state_machine_arn,
            "name": revision.name,
            "definition": revision.text,
            "roleArn": revision.role_arn,
            "updateDate": epoch_seconds(revision.updated_at),
        });
        add_revision_id(&mut answer, revision);
        Ok(answer)
    }

    pub(super) fn list_state_machines(&self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&["maxResults", "nextToken"])?;
        let items = self.machines.values().map(|machine| {
            json!({
                "stateMachineArn": machine.revision.state_machine_arn,
                "name": machine.revision.name,
                "type": "STANDARD",
                "creationDate": epoch_seconds(machine.created_at),
            })
        });
        input.page("stateMachines", items.collect())
    }

    /// The state machine that the request names.
    pub(super) fn machine(&self, input: &Input<'_>) -> Result<&StateMachine, ApiError> {
        let arn = input.required("stateMachineArn")?;
        names::check_arn(arn, "stateMachine")?;
        self.machines.get(arn).ok_or_else(|| does_not_exist(arn))
    }
}

/// Whether a definition could be created, with what the simulator does not know among the errors.
pub(super) fn validate(input: &Input<'_>) -> Result<Value, ApiError> {
    input.only(&["definition", "type", "severity", "maxResults"])?;
    Ok(match definition(input.required("definition")?) {
        Ok(_) => json!({"result": "OK", "diagnostics": [], "truncated": false}),
        Err(error) => {
            let diagnostic = json!({"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": error.message});
            json!({"result": "FAIL", "diagnostics": [diagnostic], "truncated": false})
        }
    })
}

fn tags(input: &Input<'_>) -> Result<BTreeMap<String, Value>, ApiError> {
    let tags = input.value("tags").and_then(Value::as_array).into_iter().flatten();
    tags.map(|tag| {
        let key = tag.get("key").and_then(Value::as_str);
        key.map(|key| (key.to_owned(), tag.clone()))
            .ok_or_else(|| validation("a tag needs a `key`"))
    })
    .collect()
}

fn does_not_exist(arn: &str) -> ApiError {
    ApiError::client("StateMachineDoesNotExist", format!("there is no state machine `{arn}`"))
}

fn add_revision_id(answer: &mut Value, revision: &Revision) {
    if let (Some(members), Some(id)) = (answer.as_object_mut(), &revision.revision_id) {
        members.insert("revisionId".to_owned(), id.clone().into());
    }
}

fn refuse_versions(input: &Input<'_>) -> Result<(), ApiError> {
    if input.flag("publish")?.unwrap_or(false) {
        return Err(ApiError::unsupported("versions of state machines"));
    }
    Ok(())
}

fn definition(text: &str) -> Result<Definition, ApiError> {
    if text.chars().count() > DEFINITION_LENGTH {
        return Err(validation(format!(
            "`definition` must have at most {DEFINITION_LENGTH} characters"
        )));
    }
    Definition::parse(text).map_err(|error| {
        if error.unsupported {
            ApiError::unsupported(format!("this definition: {error}"))
        } else {
            ApiError::client("InvalidDefinition", error.to_string())
        }
    })
}
