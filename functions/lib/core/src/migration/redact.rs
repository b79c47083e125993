//! A task as the ledger may keep it.

use serde_json::Value;

use crate::task_definition::masked_arguments;

/// The whole task without the values of environment variables in its overrides, which may be anything, and with the commands of its overrides masked where
/// they look like secrets. Names stay.
pub fn redact(task: &Value) -> Value {
    let mut task = task.clone();
    let overrides = task
        .pointer_mut("/overrides/containerOverrides")
        .and_then(Value::as_array_mut);
    for container in overrides.into_iter().flatten() {
        match container.get_mut("environment") {
            Some(Value::Array(variables)) => variables.iter_mut().for_each(name_only),
            // Not a list of variables: nobody knows where its values are.
            Some(environment) => *environment = Value::Null,
            None => {}
        }
        if let Some(Value::Array(words)) = container.get_mut("command") {
            let given: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            *words = masked_arguments(given).into_iter().map(Value::String).collect();
        }
    }
    task
}

fn name_only(variable: &mut Value) {
    match variable {
        Value::Object(members) => members.retain(|member, _| member == "name"),
        other => *other = Value::Null,
    }
}
