//! A task as the ledger may keep it.

use serde_json::Value;

/// The whole task without the values of environment variables in its overrides, which may be anything. Their names stay.
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
    }
    task
}

fn name_only(variable: &mut Value) {
    match variable {
        Value::Object(members) => members.retain(|member, _| member == "name"),
        other => *other = Value::Null,
    }
}
