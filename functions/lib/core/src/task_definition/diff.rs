//! What changes from one task definition to another, fit to be shown to anybody.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::containers;
use super::mask::{fingerprint, is_secret_name, masked_arguments, masked_text, masked_value};
use super::normal::normal_form;

/// One difference between two task definitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where, such as `containers.api.environment.LOG_LEVEL`.
    pub path: String,
    /// What kind of difference.
    pub kind: ChangeKind,
    /// What was there; values that may be secrets are replaced by a fingerprint.
    pub before: Option<String>,
    /// What is there now, in the same way.
    pub after: Option<String>,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is there no more.
    Removed,
    /// It has another value.
    Changed,
}

/// The differences that mean something to ECS, in the order of their paths.
///
/// The values of environment variables are never shown, whatever they are called.
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let (before, after) = (leaves(before), leaves(after));
    let mut changes = Vec::new();
    for (path, old) in &before {
        let new = after.get(path);
        if new == Some(old) {
            continue;
        }
        let kind = if new.is_some() {
            ChangeKind::Changed
        } else {
            ChangeKind::Removed
        };
        changes.push(Change {
            path: path.join("."),
            kind,
            before: Some(shown(path, old)),
            after: new.map(|new| shown(path, new)),
        });
    }
    for (path, new) in after.iter().filter(|(path, _)| !before.contains_key(*path)) {
        changes.push(Change {
            path: path.join("."),
            kind: ChangeKind::Added,
            before: None,
            after: Some(shown(path, new)),
        });
    }
    changes.sort_by(|left, right| left.path.cmp(&right.path));
    changes
}

type Leaves = BTreeMap<Vec<String>, Value>;

/// Every value that is not a mapping, by its path; lists of named entries count as mappings.
fn leaves(definition: &Value) -> Leaves {
    let definition = normal_form(definition);
    let mut found = Leaves::new();
    for (name, container) in containers(&definition) {
        let path = ["containers".to_owned(), name.to_owned()];
        for (field, value) in container
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(field, _)| *field != "name")
        {
            collect(
                &[path.as_slice(), std::slice::from_ref(field)].concat(),
                value,
                &mut found,
            );
        }
    }
    for (field, value) in definition
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, _)| *field != "containerDefinitions")
    {
        collect(std::slice::from_ref(field), value, &mut found);
    }
    found
}

fn collect(path: &[String], value: &Value, found: &mut Leaves) {
    let below = |name: &str| [path, &[name.to_owned()]].concat();
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, member)| collect(&below(name), member, found)),
        Value::Array(entries) if is_variables(path) => {
            for entry in entries {
                let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
                let value = entry.get("value").or_else(|| entry.get("valueFrom"));
                found.insert(below(name), value.cloned().unwrap_or_default());
            }
        }
        other => {
            found.insert(path.to_vec(), other.clone());
        }
    }
}

/// Whether `path` is the list of variables or secrets of a container.
fn is_variables(path: &[String]) -> bool {
    matches!(path, [containers, _, field] if containers == "containers" && (field == "environment" || field == "secrets"))
}

fn shown(path: &[String], value: &Value) -> String {
    let is_below =
        |name: &str| matches!(path, [containers, _, field, ..] if containers == "containers" && field == name);
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if is_below("environment") {
        return fingerprint(&text);
    }
    // The source of a secret is an ARN, and the path of every secret contains the word.
    if is_below("secrets") {
        return text;
    }
    if path.last().is_some_and(|name| is_secret_name(name)) {
        return fingerprint(&text);
    }
    match value {
        Value::Array(words) if words.iter().all(Value::is_string) => {
            format!(
                "[{}]",
                masked_arguments(words.iter().filter_map(Value::as_str))
                    .iter()
                    .map(|word| format!("{word:?}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Value::Array(_) => masked_value(value).to_string(),
        _ => masked_text(&text),
    }
}
