//! When two task definitions are the same: AWS writes its defaults into what was registered, and the order of named
//! entries means nothing.

use serde_json::{Map, Value};

use super::strip;
use crate::canonical::canonical_sha256;

/// Whether two definitions mean the same to ECS. Tags are not part of a definition.
pub fn same_definition(left: &Value, right: &Value) -> bool {
    normal_form(left) == normal_form(right)
}

/// The SHA-256 of what the definition means, as 64 hexadecimal digits: equal for two definitions that are
/// [`same_definition`].
pub fn content_sha256(definition: &Value) -> String {
    canonical_sha256(&normal_form(definition))
}

/// The definition without the defaults that AWS fills in, and with named entries in the order of their names.
pub(super) fn normal_form(definition: &Value) -> Value {
    let mut definition = strip(definition);
    let Some(members) = definition.as_object_mut() else {
        return definition;
    };
    members.remove("tags");
    for field in ["cpu", "memory"] {
        if let Some(Value::Number(number)) = members.get(field) {
            let text = Value::String(number.to_string());
            members.insert(field.to_owned(), text);
        }
    }
    remove_default(members, "enableFaultInjection", &Value::Bool(false));
    let follows_container_port = members
        .get("networkMode")
        .is_some_and(|mode| mode == "awsvpc" || mode == "host");
    for container in members
        .get_mut("containerDefinitions")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(container) = container.as_object_mut() {
            normalise_container(container, follows_container_port);
        }
    }
    without_empty(definition).unwrap_or_default()
}

fn normalise_container(container: &mut Map<String, Value>, follows_container_port: bool) {
    remove_default(container, "essential", &Value::Bool(true));
    remove_default(container, "cpu", &Value::from(0));
    for field in ["environment", "secrets"] {
        if let Some(entries) = container.get_mut(field).and_then(Value::as_array_mut) {
            entries.sort_by(|left, right| entry_name(left).cmp(&entry_name(right)));
        }
    }
    for mapping in container
        .get_mut("portMappings")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let Some(mapping) = mapping.as_object_mut() else {
            continue;
        };
        remove_default(mapping, "protocol", &Value::from("tcp"));
        remove_default(mapping, "hostPort", &Value::from(0));
        if follows_container_port && mapping.get("hostPort") == mapping.get("containerPort") {
            mapping.remove("hostPort");
        }
    }
    if let Some(health_check) = container.get_mut("healthCheck").and_then(Value::as_object_mut) {
        for (field, seconds_or_count) in [("interval", 30), ("timeout", 5), ("retries", 3), ("startPeriod", 0)] {
            remove_default(health_check, field, &Value::from(seconds_or_count));
        }
    }
}

fn entry_name(entry: &Value) -> Option<&str> {
    entry.get("name").and_then(Value::as_str)
}

fn remove_default(members: &mut Map<String, Value>, field: &str, default: &Value) {
    if members.get(field) == Some(default) {
        members.remove(field);
    }
}

/// `value` without nulls and empty lists and mappings inside it; `None` when nothing is left.
fn without_empty(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(elements) => {
            let elements: Vec<Value> = elements.into_iter().filter_map(without_empty).collect();
            (!elements.is_empty()).then_some(Value::Array(elements))
        }
        Value::Object(members) => {
            let members: Map<String, Value> = members
                .into_iter()
                .filter_map(|(name, member)| Some((name, without_empty(member)?)))
                .collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        scalar => Some(scalar),
    }
}
