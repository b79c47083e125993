//! Task definitions: files in AWS format and answers of `DescribeTaskDefinition`.

use std::collections::BTreeMap;

use esclusa_core::pipeline::{Container, Name, TaskDefinition};
use esclusa_core::task_definition::{
    Change, ChangeKind, DESCRIBE_ONLY_FIELDS, content_sha256, diff, patch, same_definition, strip,
};
use serde_json::{Map, Value, json};

use super::assert_one_line;
use super::json::{MARKER, list, mark, read, reordered};

/// The document is a definition, or `{"base": …, "other": …, "settings": …}`: a definition, another one, and what a
/// pipeline lays over the first.
pub(super) fn check(input: &[u8]) {
    let Some(document) = read(input) else { return };
    let base = document.get("base").unwrap_or(&document);
    let other = document.get("other").unwrap_or(&Value::Null);
    content(base);
    assert_eq!(
        same_definition(base, other),
        content_sha256(base) == content_sha256(other)
    );
    difference(base, other);
    let settings = document.get("settings").cloned().unwrap_or(json!({"family": "api"}));
    if let Ok(settings) = serde_json::from_value::<TaskDefinition>(settings) {
        patched(base, &settings);
    }
}

/// The content does not depend on the order of members, on what is only described, and on defaults that are written
/// out.
fn content(base: &Value) {
    let content = content_sha256(base);
    assert!(content.len() == 64 && content.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
    assert_eq!(content_sha256(&reordered(base)), content, "the order of members counts");
    assert_eq!(
        content_sha256(&strip(base)),
        content,
        "what cannot be registered counts"
    );
    assert_eq!(content_sha256(&with_defaults(base)), content, "a default counts");
    assert!(same_definition(base, &reordered(base)));
}

/// What AWS makes of a definition when it registers it.
fn with_defaults(base: &Value) -> Value {
    let mut definition = base.clone();
    let Some(members) = definition.as_object_mut().filter(|members| !members.is_empty()) else {
        return definition;
    };
    let add = |members: &mut Map<String, Value>, name: &str, value: Value| {
        if members.get(name).is_none_or(Value::is_null) {
            members.insert(name.to_owned(), value);
        }
    };
    add(members, "volumes", json!([]));
    add(members, "status", json!("ACTIVE"));
    add(members, "tags", json!([{"key": "team", "value": "shop"}]));
    let containers = members.get_mut("containerDefinitions").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
        add(container, "essential", json!(true));
        add(container, "cpu", json!(0));
        add(container, "environment", json!([]));
        add(container, "mountPoints", json!([]));
        let mappings = container.get_mut("portMappings").and_then(Value::as_array_mut);
        for mapping in mappings.into_iter().flatten().filter_map(Value::as_object_mut) {
            add(mapping, "protocol", json!("tcp"));
        }
    }
    definition
}

/// A definition is no different from itself, the differences one way are those the other way, and no value of a
/// variable is shown.
fn difference(before: &Value, after: &Value) {
    assert_eq!(diff(before, &reordered(before)), []);
    let changes = diff(before, after);
    if same_definition(before, after) {
        assert_eq!(changes, [], "the same definition is different");
    }
    let turned = diff(after, before).into_iter().map(|change| Change {
        kind: match change.kind {
            ChangeKind::Added => ChangeKind::Removed,
            ChangeKind::Removed => ChangeKind::Added,
            ChangeKind::Changed => ChangeKind::Changed,
        },
        before: change.after,
        after: change.before,
        path: change.path,
    });
    let order = |changes: Vec<Change>| {
        let mut shown: Vec<String> = changes.iter().map(|change| format!("{change:?}")).collect();
        shown.sort();
        shown
    };
    assert_eq!(order(turned.collect()), order(changes.clone()));
    assert!(changes.is_sorted_by_key(|change| &change.path));
    for change in &changes {
        let (is_before, is_after) = (change.before.is_some(), change.after.is_some());
        let expected = match change.kind {
            ChangeKind::Added => (false, true),
            ChangeKind::Removed => (true, false),
            ChangeKind::Changed => (true, true),
        };
        assert_eq!((is_before, is_after), expected, "{change:?}");
    }
    let shown = format!("{:?}", [diff(&marked(before), after), diff(before, &marked(after))]);
    assert!(!shown.contains(MARKER), "the value of a variable is shown: {shown}");
}

/// The definition with the marker in the place of every value of a variable.
fn marked(definition: &Value) -> Value {
    let mut definition = definition.clone();
    let containers = definition.get_mut("containerDefinitions").and_then(Value::as_array_mut);
    for environment in containers
        .into_iter()
        .flatten()
        .filter_map(|container| container.get_mut("environment"))
    {
        match environment {
            Value::Array(variables) => {
                for variable in variables {
                    match variable {
                        Value::Object(members) => members
                            .iter_mut()
                            .filter(|(member, _)| *member != "name")
                            .for_each(|(_, value)| mark(value)),
                        other => mark(other),
                    }
                }
            }
            other => mark(other),
        }
    }
    definition
}

/// Settings that fit are in the result, everything else is as it was, and laying them over again changes nothing.
fn patched(base: &Value, settings: &TaskDefinition) {
    let keys = settings
        .containers
        .values()
        .filter_map(|container| container.image.clone());
    let images: BTreeMap<Name, String> = keys
        .map(|key| (key.clone(), format!("registry/{key}@sha256:00")))
        .collect();
    let result = match patch(base, settings, &images) {
        Ok(result) => result,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            errors.iter().for_each(|error| assert_one_line(&error.to_string()));
            return;
        }
    };
    assert_eq!(
        patch(&result, settings, &images).as_ref(),
        Ok(&result),
        "a second time changes something"
    );
    let turned = patch(&reordered(base), settings, &images);
    assert!(turned.is_ok_and(|turned| same_definition(&turned, &result)));
    difference(base, &result);
    assert!(DESCRIBE_ONLY_FIELDS.iter().all(|field| result.get(field).is_none()));
    assert_eq!(result.get("family"), Some(&json!(settings.family)));
    let set = [
        ("family", true),
        ("cpu", settings.cpu.is_some()),
        ("memory", settings.memory.is_some()),
        ("executionRoleArn", settings.execution_role.is_some()),
        ("taskRoleArn", settings.task_role.is_some()),
        ("containerDefinitions", true),
    ];
    untouched(&strip(base), &result, &set);
    let (before, after) = (
        list(base, "containerDefinitions"),
        list(&result, "containerDefinitions"),
    );
    assert_eq!(before.len(), after.len());
    let mut seen: Vec<&str> = Vec::new();
    for (before, after) in before.iter().zip(after) {
        let name = before.get("name").and_then(Value::as_str).unwrap_or_default();
        let settings = settings
            .containers
            .get(name)
            .filter(|_| before.get("name").is_some() && !seen.contains(&name));
        seen.push(name);
        match settings {
            Some(settings) => container(before, after, settings, &images),
            None => assert_eq!(before, after, "a container that is not named is touched"),
        }
    }
}

fn container(before: &Value, after: &Value, settings: &Container, images: &BTreeMap<Name, String>) {
    let set = [
        ("image", settings.image.is_some()),
        ("command", settings.command.is_some()),
        ("entryPoint", settings.entry_point.is_some()),
        ("cpu", settings.cpu.is_some()),
        ("memory", settings.memory.is_some()),
        ("memoryReservation", settings.memory_reservation.is_some()),
        ("environment", !settings.environment.is_empty()),
        ("secrets", !settings.secrets.is_empty()),
        ("portMappings", settings.ports.is_some()),
        ("healthCheck", settings.health_check.is_some()),
        ("logConfiguration", settings.log.is_some()),
    ];
    untouched(before, after, &set);
    if let Some(image) = &settings.image {
        assert_eq!(
            after.get("image").and_then(Value::as_str),
            images.get(image).map(String::as_str)
        );
    }
    for (member, wanted) in [("command", &settings.command), ("entryPoint", &settings.entry_point)] {
        if let Some(wanted) = wanted {
            assert_eq!(after.get(member), Some(&json!(wanted)));
        }
    }
    if let Some(ports) = &settings.ports {
        assert_eq!(list(after, "portMappings").len(), ports.len());
    }
    for (member, value, wanted) in [
        ("environment", "value", &settings.environment),
        ("secrets", "valueFrom", &settings.secrets),
    ] {
        for (name, wanted) in wanted {
            let entry = list(after, member)
                .iter()
                .find(|entry| entry.get("name").is_some_and(|found| found == name));
            let found = entry.map(|entry| entry.get(value).cloned().unwrap_or_default());
            assert_eq!(found, wanted.as_ref().map(|wanted| json!(wanted)), "{member} {name}");
        }
    }
}

/// Every member that is not set is as it was.
fn untouched(before: &Value, after: &Value, set: &[(&str, bool)]) {
    let is_set = |name: &str| set.iter().any(|(member, is_set)| *is_set && *member == name);
    let rest = |value: &Value| -> Map<String, Value> {
        let members = value.as_object().into_iter().flatten();
        members
            .filter(|(name, _)| !is_set(name))
            .map(|(name, member)| (name.clone(), member.clone()))
            .collect()
    };
    assert_eq!(rest(before), rest(after));
}
