//! `RunTask` and its client tokens.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Kernel};

use crate::Ecs;
use crate::input::{
    Answer, checked_number, client_exception, epoch_seconds, flag, invalid_parameter, list, merge_tags, only,
    required_text, text,
};
use crate::lifecycle::Launch;
use crate::quota::VCPU_LIMIT;
use crate::task_definitions::TaskDefinition;

const PARAMETERS: [&str; 15] = [
    "capacityProviderStrategy",
    "cluster",
    "clientToken",
    "count",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "group",
    "launchType",
    "networkConfiguration",
    "overrides",
    "platformVersion",
    "propagateTags",
    "referenceId",
    "startedBy",
    "tags",
];

/// The longest a token is remembered; it ends earlier, one hour after the last of its tasks has stopped.
const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// How long a request that started nothing is remembered.
const FAILURE_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// What a token stands for.
#[derive(Debug, Clone)]
struct TokenRecord {
    parameters: Value,
    requested_at: Timestamp,
    tasks: Vec<String>,
    failures: Vec<Value>,
}

/// The requests that a retry with the same token must not repeat, by cluster and token.
#[derive(Debug, Default)]
pub(crate) struct ClientTokens {
    records: BTreeMap<(String, String), TokenRecord>,
}

impl Ecs {
    pub(crate) fn run_task(&mut self, input: &Value, kernel: &mut Kernel) -> Answer {
        let known: Vec<&str> = PARAMETERS.into_iter().chain(["taskDefinition"]).collect();
        only("RunTask", input, &known)?;
        let (cluster, _) = self.cluster(input)?;
        let token = text(input, "clientToken").map(|token| (cluster, token.to_owned()));
        if let Some((_, token)) = &token
            && (token.is_empty() || token.len() > 64 || !token.chars().all(|c| c.is_ascii_graphic()))
        {
            return Err(invalid_parameter(
                "clientToken must be 1 to 64 ASCII characters in the range of 33 to 126.",
            ));
        }
        if let Some(record) = token.as_ref().and_then(|token| self.remembered(token, kernel.now())) {
            return self.replay(&record, input);
        }
        let launch = self.read_launch(input, kernel.now())?;
        let count = checked_number(input, "count")?.unwrap_or(1);
        if !(1..=10).contains(&count) {
            return Err(invalid_parameter("count must be between 1 and 10."));
        }
        let mut record = TokenRecord {
            parameters: without_token(input),
            requested_at: kernel.now(),
            tasks: Vec::new(),
            failures: Vec::new(),
        };
        let shortage = self
            .settings
            .shortage(kernel.now())
            .map(|shortage| shortage.reason.clone());
        for _ in 0..count {
            let full = (self.room_for(&launch) == 0).then(|| VCPU_LIMIT.to_owned());
            match shortage.clone().or(full) {
                Some(reason) => record.failures.push(json!({"reason": reason})),
                None => record.tasks.extend(self.launch(&launch, kernel)),
            }
        }
        let tasks: Vec<Value> = record
            .tasks
            .iter()
            .filter_map(|id| self.tasks.get(id))
            .map(|task| task.describe(epoch_seconds, true))
            .collect();
        let answer = json!({"tasks": tasks, "failures": record.failures});
        if let Some(token) = token {
            self.client_tokens.records.insert(token, record);
        }
        Ok(answer)
    }

    /// The request a token stands for, while it is remembered.
    fn remembered(&self, token: &(String, String), now: Timestamp) -> Option<TokenRecord> {
        let record = self.client_tokens.records.get(token)?;
        let age = now.duration_since(record.requested_at);
        let lives = if record.tasks.is_empty() {
            age < FAILURE_LIFETIME
        } else {
            // A stopped task is forgotten after exactly the hour that its token outlives it.
            age < TOKEN_LIFETIME && record.tasks.iter().any(|id| self.tasks.contains_key(id))
        };
        lives.then(|| record.clone())
    }

    /// Answers a request that was carried out before. Of stopped tasks little is left to tell.
    fn replay(&self, record: &TokenRecord, input: &Value) -> Answer {
        let tasks = record.tasks.iter().filter_map(|id| self.tasks.get(id));
        if record.parameters != without_token(input) {
            let arns: Vec<&str> = tasks.map(|task| task.arn.as_str()).collect();
            let message = "The client token was already used with other parameters.";
            return Err(ApiError::client("ConflictException", message).with("resourceIds", json!(arns)));
        }
        let tasks: Vec<Value> = tasks
            .map(|task| {
                if task.is_stopped() {
                    json!({
                        "taskArn": task.arn,
                        "lastStatus": task.status.name(),
                        "desiredStatus": task.desired_status(),
                    })
                } else {
                    task.describe(epoch_seconds, true)
                }
            })
            .collect();
        Ok(json!({"tasks": tasks, "failures": record.failures}))
    }

    fn read_launch(&self, input: &Value, now: Timestamp) -> Result<Launch, ApiError> {
        let (cluster, cluster_record) = self.cluster(input)?;
        let definition = self.usable_definition(required_text(input, "taskDefinition")?, now)?;
        let capacity_provider = capacity_provider("RunTask", input, cluster_record.default_capacity_provider())?;
        check_network(definition, input)?;
        check_overrides(definition, input)?;
        let started_by = text(input, "startedBy").map(str::to_owned);
        if started_by
            .as_ref()
            .is_some_and(|by| by.len() > 128 || !by.chars().all(|c| c.is_ascii_alphanumeric() || "-/_".contains(c)))
        {
            return Err(invalid_parameter(
                "startedBy must be up to 128 letters, digits, hyphens, slashes and underscores.",
            ));
        }
        let mut tags = Vec::new();
        match text(input, "propagateTags") {
            None | Some("NONE") => {}
            Some("TASK_DEFINITION") => merge_tags(&mut tags, &definition.tags)?,
            Some(_) => return Err(invalid_parameter("propagateTags must be TASK_DEFINITION or NONE.")),
        }
        merge_tags(&mut tags, list(input, "tags"))?;
        if flag(input, "enableECSManagedTags") {
            merge_tags(&mut tags, &[json!({"key": "aws:ecs:clusterName", "value": cluster})])?;
        }
        Ok(Launch {
            cluster_arn: cluster_record.arn.clone(),
            cluster,
            definition_arn: definition.arn.clone(),
            group: text(input, "group").map_or_else(|| format!("family:{}", definition.family), str::to_owned),
            started_by,
            membership: None,
            overrides: input
                .get("overrides")
                .filter(|overrides| overrides.is_object())
                .cloned()
                .unwrap_or_else(|| json!({})),
            tags,
            capacity_provider,
            enable_execute_command: flag(input, "enableExecuteCommand"),
            platform_version: text(input, "platformVersion").map(str::to_owned),
            network_configuration: input.get("networkConfiguration").cloned().unwrap_or_default(),
            load_balanced: Vec::new(),
            grace_period: SignedDuration::ZERO,
        })
    }
}

/// The Fargate capacity provider asked for, if one was. Other capacity is not simulated.
pub(crate) fn capacity_provider(
    operation: &str,
    input: &Value,
    default: Option<&str>,
) -> Result<Option<String>, ApiError> {
    let strategy = list(input, "capacityProviderStrategy")
        .first()
        .and_then(|item| text(item, "capacityProvider"));
    match (text(input, "launchType"), strategy.or(default)) {
        (Some(_), _) if strategy.is_some() => Err(invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported.",
        )),
        (Some("FARGATE"), _) => Ok(None),
        (None, Some(provider @ ("FARGATE" | "FARGATE_SPOT"))) => Ok(Some(provider.to_owned())),
        (Some(launch_type), _) => Err(ApiError::unsupported(format!(
            "launch type `{launch_type}` in ecs:{operation}"
        ))),
        (None, Some(provider)) => Err(ApiError::unsupported(format!(
            "capacity provider `{provider}` in ecs:{operation}"
        ))),
        (None, None) => Err(ApiError::unsupported(format!(
            "the launch type EC2, which ecs:{operation} means when `launchType` and `capacityProviderStrategy` are absent"
        ))),
    }
}

pub(crate) fn check_network(definition: &TaskDefinition, input: &Value) -> Result<(), ApiError> {
    if !definition.uses_awsvpc() && input.get("networkConfiguration").is_some() {
        return Err(invalid_parameter(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ));
    }
    let subnets = input
        .pointer("/networkConfiguration/awsvpcConfiguration/subnets")
        .and_then(Value::as_array);
    if definition.uses_awsvpc() && subnets.is_none_or(Vec::is_empty) {
        return Err(invalid_parameter(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ));
    }
    Ok(())
}

fn check_overrides(definition: &TaskDefinition, input: &Value) -> Result<(), ApiError> {
    let Some(overrides) = input.get("overrides") else {
        return Ok(());
    };
    if overrides.to_string().len() > 8192 {
        return Err(invalid_parameter("The overrides are longer than 8192 characters."));
    }
    for override_ in list(overrides, "containerOverrides") {
        let name = required_text(override_, "name")?;
        let defined = |container: &Value| text(container, "name") == Some(name);
        if !definition.container_definitions().iter().any(defined) {
            return Err(client_exception(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
    }
    Ok(())
}

fn without_token(input: &Value) -> Value {
    let mut parameters = input.clone();
    if let Some(members) = parameters.as_object_mut() {
        members.shift_remove("clientToken");
    }
    parameters
}
