//! What AWS checks in a registration, and what it fills in.

use serde_json::{Map, Value, json};
use simulator_kernel::ApiError;

use crate::input::{client_exception, invalid_parameter, list, required_text, set, text, texts};

/// The checks whose absence would let a definition through that Fargate refuses.
pub(crate) fn validate(input: &Value) -> Result<(), ApiError> {
    let family = required_text(input, "family")?;
    if family.len() > 255 || !family.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        return Err(client_exception(
            "Family contains invalid characters. It can contain up to 255 letters, numbers, hyphens, and underscores.",
        ));
    }
    let containers = list(input, "containerDefinitions");
    if containers.is_empty() {
        return Err(client_exception("Container list cannot be empty."));
    }
    let mut names = Vec::new();
    for container in containers {
        let name = required_text(container, "name")?;
        if text(container, "image").is_none_or(str::is_empty) {
            return Err(client_exception(format!(
                "Container.image should not be null or empty: {name}."
            )));
        }
        if names.contains(&name) {
            return Err(client_exception(format!("Container names must be unique: {name}.")));
        }
        names.push(name);
    }
    for dependency in containers.iter().flat_map(|container| list(container, "dependsOn")) {
        let name = required_text(dependency, "containerName")?;
        if !names.contains(&name) {
            return Err(client_exception(format!(
                "Container dependency {name} is not a container of the task definition."
            )));
        }
    }
    if !containers.iter().any(is_essential) {
        return Err(client_exception("At least one container must be marked as essential."));
    }
    if texts(input, "requiresCompatibilities").contains(&"FARGATE") {
        validate_for_fargate(input)
    } else {
        Ok(())
    }
}

fn validate_for_fargate(input: &Value) -> Result<(), ApiError> {
    if text(input, "networkMode") != Some("awsvpc") {
        return Err(client_exception("Fargate only supports network mode 'awsvpc'."));
    }
    for size in ["cpu", "memory"] {
        match input.get(size) {
            None | Some(Value::Null) => {
                return Err(client_exception(format!(
                    "Fargate requires that '{size}' be defined at the task level."
                )));
            }
            Some(Value::String(_)) => {}
            Some(_) => return Err(invalid_parameter(format!("{size} must be a string."))),
        }
    }
    if text(input, "executionRoleArn").is_none() {
        if list(input, "containerDefinitions").iter().any(pulls_from_ecr) {
            return Err(client_exception(
                "Fargate requires task definition to have execution role ARN to support ECR images.",
            ));
        }
        if list(input, "containerDefinitions").iter().any(logs_to_cloudwatch) {
            return Err(client_exception(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
            ));
        }
    }
    Ok(())
}

pub(crate) fn is_essential(container: &Value) -> bool {
    container.get("essential").and_then(Value::as_bool).unwrap_or(true)
}

fn pulls_from_ecr(container: &Value) -> bool {
    text(container, "image").is_some_and(|image| image.contains(".dkr.ecr."))
}

fn logs_to_cloudwatch(container: &Value) -> bool {
    container.pointer("/logConfiguration/logDriver") == Some(&json!("awslogs"))
}

/// The content as `DescribeTaskDefinition` shows it. Nothing that was registered is lost.
pub(crate) fn fill_defaults(mut content: Map<String, Value>) -> Value {
    for key in ["volumes", "placementConstraints"] {
        content.entry(key).or_insert_with(|| json!([]));
    }
    let host_is_container = matches!(
        content.get("networkMode").and_then(Value::as_str),
        Some("awsvpc" | "host")
    );
    if let Some(containers) = content.get_mut("containerDefinitions").and_then(Value::as_array_mut) {
        for container in containers {
            fill_container_defaults(container, host_is_container);
        }
    }
    Value::Object(content)
}

fn fill_container_defaults(container: &mut Value, host_is_container: bool) {
    let Some(members) = container.as_object_mut() else {
        return;
    };
    members.entry("cpu").or_insert_with(|| json!(0));
    members.entry("essential").or_insert_with(|| json!(true));
    for key in [
        "portMappings",
        "environment",
        "mountPoints",
        "volumesFrom",
        "systemControls",
    ] {
        members.entry(key).or_insert_with(|| json!([]));
    }
    for mapping in members
        .get_mut("portMappings")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let container_port = mapping.get("containerPort").cloned();
        if mapping.get("hostPort").is_none() {
            let host_port = container_port.filter(|_| host_is_container).unwrap_or_else(|| json!(0));
            set(mapping, "hostPort", host_port);
        }
        if mapping.get("protocol").is_none() {
            set(mapping, "protocol", json!("tcp"));
        }
    }
    if let Some(check) = members.get_mut("healthCheck") {
        for (key, default) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
            if check.get(key).is_none() {
                set(check, key, json!(default));
            }
        }
    }
}

/// The launch types the content is valid for.
pub(crate) fn compatibilities(content: &Value) -> Vec<&'static str> {
    let sized = content.get("cpu").is_some() && content.get("memory").is_some();
    match text(content, "networkMode") {
        Some("awsvpc") if sized => vec!["EC2", "FARGATE"],
        Some("awsvpc") => vec!["EC2"],
        _ => vec!["EXTERNAL", "EC2"],
    }
}

/// The capabilities a container instance would need.
pub(crate) fn required_attributes(content: &Value) -> Vec<Value> {
    let containers = list(content, "containerDefinitions");
    let has_execution_role = text(content, "executionRoleArn").is_some();
    let logs = containers.iter().any(logs_to_cloudwatch);
    let pulls = containers.iter().any(pulls_from_ecr);
    let uses = |key: &str| containers.iter().any(|container| container.get(key).is_some());
    let attributes = [
        (logs, "com.amazonaws.ecs.capability.logging-driver.awslogs"),
        (logs && has_execution_role, "ecs.capability.execution-role-awslogs"),
        (pulls, "com.amazonaws.ecs.capability.ecr-auth"),
        (pulls && has_execution_role, "ecs.capability.execution-role-ecr-pull"),
        (
            text(content, "taskRoleArn").is_some(),
            "com.amazonaws.ecs.capability.task-iam-role",
        ),
        (uses("healthCheck"), "ecs.capability.container-health-check"),
        (uses("dependsOn"), "ecs.capability.container-ordering"),
        (uses("secrets"), "ecs.capability.secrets.asm.environment-variables"),
        (
            text(content, "networkMode") == Some("awsvpc"),
            "ecs.capability.task-eni",
        ),
        (true, "com.amazonaws.ecs.capability.docker-remote-api.1.18"),
    ];
    attributes
        .into_iter()
        .filter(|(needed, _)| *needed)
        .map(|(_, name)| json!({"name": name}))
        .collect()
}
