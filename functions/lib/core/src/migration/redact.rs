//! A task as the ledger may keep it.

use serde_json::Value;

use crate::task_definition::masked_value;

/// The whole task without the values of environment variables in its overrides, which may be anything, and with the
/// commands of its overrides masked where they look like secrets. Names stay.
pub fn redact(task: &Value) -> Value {
    let mut task = task.clone();
    if let Some(overrides) = task.get_mut("overrides") {
        redact_overrides(overrides);
    }
    task
}

/// At every depth: where AWS puts overrides next is not known.
fn redact_overrides(overrides: &mut Value) {
    match overrides {
        Value::Object(members) => {
            for (member, value) in members {
                match (member.as_str(), value) {
                    ("environment", Value::Array(variables)) => variables.iter_mut().for_each(name_only),
                    // Not a list of variables: nobody knows where its values are.
                    ("environment", environment) => *environment = Value::Null,
                    ("command", command) => {
                        redact_overrides(command);
                        *command = masked_value(command);
                    }
                    (_, other) => redact_overrides(other),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(redact_overrides),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn name_only(variable: &mut Value) {
    match variable {
        Value::Object(members) => members.retain(|member, value| member == "name" && value.is_string()),
        other => *other = Value::Null,
    }
}
