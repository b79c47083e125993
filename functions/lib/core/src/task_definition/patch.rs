//! Laying the settings of a pipeline over a task definition.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{containers, strip};
use crate::pipeline::{Container, HealthCheck, Log, Name, Port, Protocol, TaskDefinition};

/// Why settings do not fit a task definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The base is no task definition.
    #[error("the base of the family `{}` has no `containerDefinitions`", family.escape_debug())]
    NoContainers {
        /// The family.
        family: String,
    },
    /// The settings name a container that the base does not have.
    #[error("the family `{}` has no container `{}`; it has {}", family.escape_debug(), container.escape_debug(), list(existing))]
    ContainerMissing {
        /// The family.
        family: String,
        /// The container that is missing.
        container: String,
        /// The containers that exist.
        existing: Vec<String>,
    },
    /// A variable would come from two places.
    #[error(
        "`{0}` of the container `{1}` would be both an environment variable and a secret; remove the other one with `{0}: null`",
        name.escape_debug(),
        container.escape_debug()
    )]
    VariableAndSecret {
        /// The container.
        container: String,
        /// The variable.
        name: String,
    },
    /// A health check without a command.
    #[error("the health check of the container `{}` has no `command`, and neither has the base", container.escape_debug())]
    HealthCheckWithoutCommand {
        /// The container.
        container: String,
    },
    /// A log configuration without a driver.
    #[error("the log configuration of the container `{}` has no `driver`, and neither has the base", container.escape_debug())]
    LogWithoutDriver {
        /// The container.
        container: String,
    },
}

/// Lays `settings` over `base`; what they do not name stays. `images` gives the address of each image that is to be
/// set: a container whose image is not among them keeps the one of the base. The result can be registered.
///
/// Everything that does not fit is reported. Laying the same settings over the result changes nothing.
pub fn patch(
    base: &Value,
    settings: &TaskDefinition,
    images: &BTreeMap<Name, String>,
) -> Result<Value, Vec<PatchError>> {
    let mut definition = strip(base);
    let existing: Vec<String> = containers(&definition).map(|(name, _)| name.to_owned()).collect();
    let family = settings.family.clone();
    let Some(members) = definition.as_object_mut() else {
        return Err(vec![PatchError::NoContainers { family }]);
    };
    members.insert("family".to_owned(), json!(family));
    set_text(members, "cpu", settings.cpu.map(|units| units.to_string()));
    set_text(
        members,
        "memory",
        settings.memory.map(|mebibytes| mebibytes.to_string()),
    );
    set_text(members, "executionRoleArn", settings.execution_role.clone());
    set_text(members, "taskRoleArn", settings.task_role.clone());
    let Some(list) = members.get_mut("containerDefinitions").and_then(Value::as_array_mut) else {
        return Err(vec![PatchError::NoContainers { family }]);
    };
    let mut errors = Vec::new();
    for (name, container) in &settings.containers {
        let found = list
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .find(|members| members.get("name").is_some_and(|value| value == name));
        match found {
            Some(members) => patch_container(members, name, container, images, &mut errors),
            None => {
                let existing = existing.clone();
                errors.push(PatchError::ContainerMissing {
                    family: family.clone(),
                    container: name.clone(),
                    existing,
                });
            }
        }
    }
    if errors.is_empty() { Ok(definition) } else { Err(errors) }
}

fn patch_container(
    members: &mut Map<String, Value>,
    name: &str,
    settings: &Container,
    images: &BTreeMap<Name, String>,
    errors: &mut Vec<PatchError>,
) {
    set_text(
        members,
        "image",
        settings.image.as_ref().and_then(|image| images.get(image)).cloned(),
    );
    set(
        members,
        "command",
        settings.command.as_ref().map(|command| json!(command)),
    );
    set(
        members,
        "entryPoint",
        settings.entry_point.as_ref().map(|entry_point| json!(entry_point)),
    );
    set(members, "cpu", settings.cpu.map(Value::from));
    set(members, "memory", settings.memory.map(Value::from));
    set(
        members,
        "memoryReservation",
        settings.memory_reservation.map(Value::from),
    );
    merge_named(members, "environment", "value", &settings.environment);
    merge_named(members, "secrets", "valueFrom", &settings.secrets);
    let ports = settings
        .ports
        .as_ref()
        .map(|ports| port_mappings(members.get("portMappings"), ports));
    set(members, "portMappings", ports);
    if let Some(settings) = &settings.health_check {
        let health_check = health_check(members.get("healthCheck"), settings);
        if health_check.get("command").is_none() {
            errors.push(PatchError::HealthCheckWithoutCommand {
                container: name.to_owned(),
            });
        }
        set(members, "healthCheck", Some(health_check));
    }
    if let Some(settings) = &settings.log {
        let log = log_configuration(members.get("logConfiguration"), settings);
        if log.get("logDriver").is_none() {
            errors.push(PatchError::LogWithoutDriver {
                container: name.to_owned(),
            });
        }
        set(members, "logConfiguration", Some(log));
    }
    let variables = names(members, "environment");
    let both = names(members, "secrets")
        .into_iter()
        .filter(|secret| variables.contains(secret));
    errors.extend(both.map(|variable| PatchError::VariableAndSecret {
        container: name.to_owned(),
        name: variable,
    }));
}

/// Merges `{name, <value_field>}` entries by name: what exists is replaced in place, what is new comes at the end, null
/// removes.
fn merge_named(
    members: &mut Map<String, Value>,
    field: &str,
    value_field: &str,
    settings: &IndexMap<String, Option<String>>,
) {
    if settings.is_empty() {
        return;
    }
    let mut entries: Vec<Value> = members
        .get(field)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for (name, value) in settings {
        let is_named = |entry: &Value| entry.get("name").is_some_and(|existing| existing == name);
        match (
            value,
            entries
                .iter_mut()
                .find(|entry| is_named(entry))
                .and_then(Value::as_object_mut),
        ) {
            (Some(value), Some(entry)) => {
                entry.insert(value_field.to_owned(), json!(value));
            }
            (Some(value), None) => entries.push(json!({"name": name, value_field: value})),
            (None, _) => entries.retain(|entry| !is_named(entry)),
        }
    }
    members.insert(field.to_owned(), Value::Array(entries));
}

/// The mappings for `ports`; a mapping of the base for the same port keeps its other fields. Each is kept once: of two
/// ports that are the same, the second takes nothing from the first.
fn port_mappings(base: Option<&Value>, ports: &[Port]) -> Value {
    let mut existing: Vec<&Value> = base.and_then(Value::as_array).into_iter().flatten().collect();
    let mappings = ports.iter().map(|port| {
        let protocol = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let is_same = |mapping: &Value| {
            mapping.get("containerPort").and_then(Value::as_u64) == Some(u64::from(port.container_port))
                && mapping.get("protocol").and_then(Value::as_str).unwrap_or("tcp") == protocol
        };
        let place = existing.iter().position(|mapping| is_same(mapping));
        let mut mapping = place
            .and_then(|place| existing.remove(place).as_object().cloned())
            .unwrap_or_default();
        mapping.insert("containerPort".to_owned(), port.container_port.into());
        mapping.insert("protocol".to_owned(), protocol.into());
        set_text(&mut mapping, "name", port.name.clone());
        Value::Object(mapping)
    });
    mappings.collect()
}

fn health_check(base: Option<&Value>, settings: &HealthCheck) -> Value {
    let mut members = base.and_then(Value::as_object).cloned().unwrap_or_default();
    set(
        &mut members,
        "command",
        settings.command.as_ref().map(|command| json!(command)),
    );
    set(&mut members, "interval", settings.interval_seconds.map(Value::from));
    set(&mut members, "timeout", settings.timeout_seconds.map(Value::from));
    set(&mut members, "retries", settings.retries.map(Value::from));
    set(
        &mut members,
        "startPeriod",
        settings.start_period_seconds.map(Value::from),
    );
    Value::Object(members)
}

/// Options belong to their driver: with another driver the options of the base go.
fn log_configuration(base: Option<&Value>, settings: &Log) -> Value {
    let mut members = base.and_then(Value::as_object).cloned().unwrap_or_default();
    let is_other = settings
        .driver
        .as_ref()
        .is_some_and(|driver| members.get("logDriver").is_some_and(|existing| existing != driver));
    if is_other {
        members.clear();
    }
    set_text(&mut members, "logDriver", settings.driver.clone());
    if !settings.options.is_empty() {
        let mut options = members
            .get("options")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        options.extend(
            settings
                .options
                .iter()
                .map(|(name, value)| (name.clone(), json!(value))),
        );
        members.insert("options".to_owned(), Value::Object(options));
    }
    Value::Object(members)
}

fn names(members: &Map<String, Value>, field: &str) -> Vec<String> {
    let entries = members.get(field).and_then(Value::as_array).into_iter().flatten();
    entries
        .filter_map(|entry| entry.get("name")?.as_str().map(str::to_owned))
        .collect()
}

fn set(members: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    if let Some(value) = value {
        members.insert(field.to_owned(), value);
    }
}

fn set_text(members: &mut Map<String, Value>, field: &str, text: Option<String>) {
    set(members, field, text.map(Value::String));
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", name.escape_debug())).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
