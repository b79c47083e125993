//! Elastic Load Balancing: the target groups that ECS services name, and the health of their targets.
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html>

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, Service, Target, TargetGroup};

use super::{Input, page};

const OPERATIONS: [&str; 2] = ["DescribeTargetGroups", "DescribeTargetHealth"];
/// The most target groups of one answer.
const MAXIMUM_PAGE_SIZE: usize = 400;

/// The service `elasticloadbalancing`.
#[derive(Debug, Default, Clone, Copy)]
pub struct ElasticLoadBalancing;

fn describe_target_health(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    only("DescribeTargetHealth", input, &["TargetGroupArn", "Targets"])?;
    let arn = input
        .text("TargetGroupArn")
        .ok_or_else(|| validation("A target group ARN must be specified"))?;
    let group = kernel.targets.groups.get(arn).ok_or_else(not_found)?;
    let wanted = input.list("Targets");
    let is_wanted = |target: &&Target| {
        wanted.is_empty()
            || wanted.iter().map(Input).any(|one| {
                let port = one.text("Port").is_none_or(|port| port == target.port.to_string());
                port && one.text("Id") == Some(&target.address)
            })
    };
    let mut described: Vec<Value> = Vec::new();
    for target in group.targets.values().filter(is_wanted) {
        described.push(describe(target, kernel));
    }
    for one in wanted.iter().map(Input) {
        let id = one.text("Id").ok_or_else(|| validation("A target must have an Id"))?;
        if !group.targets.values().any(|target| target.address == id) {
            described.push(json!({
                "Target": {"Id": id, "Port": one.text("Port")},
                "TargetHealth": {
                    "State": "unused",
                    "Reason": "Target.NotRegistered",
                    "Description": "Target is not registered to the target group",
                },
            }));
        }
    }
    Ok(json!({"TargetHealthDescriptions": described}))
}

fn describe(target: &Target, kernel: &Kernel) -> Value {
    let health = target.health(kernel.now());
    let (reason, description) = health.reason_and_description.unzip();
    json!({
        "Target": {"Id": target.address, "Port": target.port, "AvailabilityZone": target.availability_zone},
        "HealthCheckPort": target.port.to_string(),
        "TargetHealth": {"State": health.state, "Reason": reason, "Description": description},
    })
}

fn describe_target_groups(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    only(
        "DescribeTargetGroups",
        input,
        &["TargetGroupArns", "Names", "Marker", "PageSize"],
    )?;
    let wanted = |member: &str| -> Vec<&str> { input.list(member).iter().filter_map(Value::as_str).collect() };
    let (arns, names) = (wanted("TargetGroupArns"), wanted("Names"));
    let groups = &kernel.targets.groups;
    let is_missing = arns.iter().any(|arn| !groups.contains_key(*arn))
        || names.iter().any(|name| !groups.keys().any(|arn| name_of(arn) == *name));
    if is_missing {
        return Err(not_found());
    }
    let is_wanted =
        |arn: &str| (arns.is_empty() || arns.contains(&arn)) && (names.is_empty() || names.contains(&name_of(arn)));
    let described = groups.iter().filter(|(arn, _)| is_wanted(arn));
    let described = described.map(|(arn, group)| describe_group(arn, group));
    let size = input.text("PageSize").map(str::parse).transpose();
    let size: usize = size
        .map_err(|_| validation("PageSize must be a number"))?
        .unwrap_or(MAXIMUM_PAGE_SIZE);
    let (described, next) = page(
        described.collect(),
        input.text("Marker"),
        size.clamp(1, MAXIMUM_PAGE_SIZE),
    )
    .map_err(|_| validation("The specified marker is not valid"))?;
    Ok(json!({"TargetGroups": described, "NextMarker": next}))
}

/// What ECS needs of a group: a target of a task on Fargate is an address.
fn describe_group(arn: &str, group: &TargetGroup) -> Value {
    json!({
        "TargetGroupArn": arn,
        "TargetGroupName": name_of(arn),
        "Port": group.port,
        "TargetType": "ip",
    })
}

/// `arn:…:targetgroup/{name}/{id}`.
fn name_of(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or_default()
}

fn only(operation: &str, input: Input<'_>, known: &[&str]) -> Result<(), ApiError> {
    super::only("elasticloadbalancing", operation, input, known)
}

fn not_found() -> ApiError {
    ApiError::client("TargetGroupNotFound", "One or more target groups not found")
}

fn validation(message: &str) -> ApiError {
    ApiError::client("ValidationError", message)
}

impl Service for ElasticLoadBalancing {
    fn name(&self) -> &'static str {
        "elasticloadbalancing"
    }

    /// Neither operation knows a resource.
    fn authorizations(&self, request: &Request, _: &Kernel) -> Vec<Authorization> {
        let operation = request.operation.as_str();
        let known = OPERATIONS.iter().filter(|known| **known == operation);
        known
            .map(|known| Authorization::new(format!("elasticloadbalancing:{known}"), "*"))
            .collect()
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        let input = Input(&request.input);
        Reply::Now(match request.operation.as_str() {
            "DescribeTargetHealth" => describe_target_health(input, kernel),
            "DescribeTargetGroups" => describe_target_groups(input, kernel),
            other => Err(ApiError::unknown_operation("elasticloadbalancing", other, &OPERATIONS)),
        })
    }
}
