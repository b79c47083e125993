//! Application Auto Scaling, for the desired count of ECS services: scalable targets, and the target-tracking policies
//! that are kept for them. <https://docs.aws.amazon.com/autoscaling/application/APIReference/Welcome.html>
//!
//! A count outside of the bounds is brought inside of them once they are registered. The policies are kept and shown;
//! simulated containers use neither CPU nor memory that a policy could follow, so that none of them ever scales.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, CallId, Kernel, Reply, Request, RequestId, Service, TimerId};

use super::{Input, epoch_seconds, page};

/// The signing name of the service, and the prefix of its actions.
const NAME: &str = "application-autoscaling";

const OPERATIONS: [&str; 4] = [
    "DescribeScalableTargets",
    "DescribeScalingPolicies",
    "PutScalingPolicy",
    "RegisterScalableTarget",
];

const NAMESPACE: &str = "ecs";
const DIMENSION: &str = "ecs:service:DesiredCount";
const TRACKING: &str = "TargetTrackingScaling";

/// The metrics that a policy of an ECS service can track by name, besides the requests of a load balancer.
const METRICS: [&str; 2] = ["ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization"];

/// The most entries of one answer.
const MAXIMUM_RESULTS: usize = 50;

/// How long it takes until a count is brought inside of its bounds, and until that is tried again.
const ADJUSTED_AFTER: SignedDuration = SignedDuration::from_secs(5);
const TRIED_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// The service `application-autoscaling`.
#[derive(Debug, Default)]
pub struct ApplicationAutoScaling {
    /// By resource id, such as `service/cluster/name`.
    targets: BTreeMap<String, Target>,
    calls: BTreeMap<CallId, Purpose>,
    timers: BTreeMap<TimerId, String>,
}

#[derive(Debug, Clone)]
struct Target {
    arn: String,
    minimum: i64,
    maximum: i64,
    suspended: Value,
    created_at: Timestamp,
    /// By name.
    policies: BTreeMap<String, Policy>,
}

#[derive(Debug, Clone)]
struct Policy {
    arn: String,
    configuration: Value,
    created_at: Timestamp,
}

/// What a call to ECS is made for.
#[derive(Debug)]
enum Purpose {
    /// Whether the service exists that is to be registered.
    Register(RequestId, Value),
    /// How many tasks a service wants.
    Look(String),
    /// A count was changed.
    Adjust(String),
}

impl ApplicationAutoScaling {
    /// Registers a service at once, as whoever created it did, without asking ECS whether it is there.
    pub fn provide(&mut self, cluster: &str, service: &str, minimum: i64, maximum: i64, kernel: &mut Kernel) {
        self.put_target(&format!("service/{cluster}/{service}"), minimum, maximum, kernel);
    }

    /// Sets at once what of the scaling of a service is suspended: `SuspendedState` of the API.
    pub fn suspend(&mut self, cluster: &str, service: &str, suspended: Value) {
        if let Some(target) = self.targets.get_mut(&format!("service/{cluster}/{service}")) {
            target.suspended = suspended;
        }
    }

    fn register(&mut self, request: &Request, kernel: &mut Kernel) -> Result<(), ApiError> {
        let input = Input(&request.input);
        only(
            "RegisterScalableTarget",
            input,
            &[
                "ServiceNamespace",
                "ResourceId",
                "ScalableDimension",
                "MinCapacity",
                "MaxCapacity",
                "SuspendedState",
            ],
        )?;
        let resource = resource(input)?;
        let known = self.targets.get(resource);
        let capacity = |member: &str, known: Option<i64>| {
            let given = input.number(member).or(known);
            let given =
                given.ok_or_else(|| validation(format!("{member} must be specified for a new scalable target")))?;
            if given < 0 {
                return Err(validation(format!("{member} must not be negative")));
            }
            Ok(given)
        };
        let minimum = capacity("MinCapacity", known.map(|target| target.minimum))?;
        let maximum = capacity("MaxCapacity", known.map(|target| target.maximum))?;
        if minimum > maximum {
            return Err(validation("Maximum capacity cannot be less than minimum capacity"));
        }
        let call = describe(resource, kernel);
        self.calls
            .insert(call, Purpose::Register(request.id, request.input.clone()));
        Ok(())
    }

    /// ECS has said whether the service exists.
    fn registered(
        &mut self,
        input: Input<'_>,
        described: Result<Value, ApiError>,
        kernel: &mut Kernel,
    ) -> Result<Value, ApiError> {
        let resource = resource(input)?;
        let described = described
            .map_err(|error| ApiError::client("FailedResourceAccessException", format!("{}: {error}", error.code)))?;
        if wanted(&described).is_none() {
            return Err(validation(format!("ECS service doesn't exist: {resource}")));
        }
        let known = self
            .targets
            .get(resource)
            .map(|target| (target.minimum, target.maximum));
        let (minimum, maximum) = known.unwrap_or_default();
        let minimum = input.number("MinCapacity").unwrap_or(minimum);
        let maximum = input.number("MaxCapacity").unwrap_or(maximum);
        let target = self.put_target(resource, minimum, maximum, kernel);
        let given = input.object("SuspendedState").into_iter().flatten();
        if let Some(suspended) = target.suspended.as_object_mut() {
            suspended.extend(given.map(|(kind, is_suspended)| (kind.clone(), is_suspended.clone())));
        }
        Ok(json!({"ScalableTargetARN": target.arn}))
    }

    fn put_target(&mut self, resource: &str, minimum: i64, maximum: i64, kernel: &mut Kernel) -> &mut Target {
        let timer = kernel.wake_after(ADJUSTED_AFTER, NAME);
        self.timers.insert(timer, resource.to_owned());
        let target = self.targets.entry(resource.to_owned()).or_insert_with(|| {
            let id = kernel.hex_id(34);
            Target {
                arn: kernel.arn(NAME, &format!("scalable-target/{id}")),
                minimum,
                maximum,
                suspended: json!({}),
                created_at: kernel.now(),
                policies: BTreeMap::new(),
            }
        });
        (target.minimum, target.maximum) = (minimum, maximum);
        target
    }

    /// Brings a count inside of its bounds.
    fn adjust(&mut self, resource: String, described: Result<Value, ApiError>, kernel: &mut Kernel) {
        let Some(target) = self.targets.get(&resource) else {
            return;
        };
        match described {
            Ok(described) => {
                let Some(count) = wanted(&described) else { return };
                let within = count.clamp(target.minimum, target.maximum);
                if within == count {
                    return;
                }
                let (cluster, service) = place(&resource);
                let input = json!({"cluster": cluster, "service": service, "desiredCount": within});
                let call = kernel.call(NAME, "ecs", "UpdateService", input, &kernel.administrator());
                self.calls.insert(call, Purpose::Adjust(resource));
            }
            Err(_) => self.try_again(resource, kernel),
        }
    }

    fn try_again(&mut self, resource: String, kernel: &mut Kernel) {
        let timer = kernel.wake_after(TRIED_AGAIN_AFTER, NAME);
        self.timers.insert(timer, resource);
    }

    fn put_policy(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        only(
            "PutScalingPolicy",
            input,
            &[
                "PolicyName",
                "ServiceNamespace",
                "ResourceId",
                "ScalableDimension",
                "PolicyType",
                "TargetTrackingScalingPolicyConfiguration",
            ],
        )?;
        let resource = resource(input)?;
        let name = input
            .text("PolicyName")
            .ok_or_else(|| validation("PolicyName must be specified"))?;
        let kind = input.text("PolicyType");
        if kind != Some(TRACKING) {
            return Err(ApiError::unsupported(format_args!(
                "the policy type `{}`",
                kind.unwrap_or("none")
            )));
        }
        let configuration = input
            .0
            .get("TargetTrackingScalingPolicyConfiguration")
            .cloned()
            .unwrap_or_default();
        let metric = metric_of(&configuration);
        if !METRICS.contains(&metric) {
            return Err(ApiError::unsupported(format_args!(
                "a policy that tracks the metric `{metric}`"
            )));
        }
        let target_value = configuration.get("TargetValue").and_then(Value::as_f64);
        if target_value.is_none_or(|value| value <= 0.0) {
            return Err(validation("TargetValue must be greater than 0"));
        }
        let id = kernel.hex_id(34);
        let arn = kernel.arn(
            "autoscaling",
            &format!("scalingPolicy:{id}:resource/{NAMESPACE}/{resource}:policyName/{name}"),
        );
        let now = kernel.now();
        let target = self.targets.get_mut(resource).ok_or_else(|| not_registered(resource))?;
        let mut others = target.policies.iter().filter(|(other, _)| *other != name);
        if others.any(|(_, other)| metric_of(&other.configuration) == metric) {
            return Err(validation(
                "Only one TargetTrackingScaling policy for a given metric specification is allowed.",
            ));
        }
        let policy = target.policies.entry(name.to_owned()).or_insert_with(|| Policy {
            arn,
            configuration: Value::Null,
            created_at: now,
        });
        policy.configuration = configuration;
        Ok(json!({"PolicyARN": policy.arn, "Alarms": []}))
    }

    fn describe_targets(&self, input: Input<'_>) -> Result<Value, ApiError> {
        only(
            "DescribeScalableTargets",
            input,
            &[
                "ServiceNamespace",
                "ResourceIds",
                "ScalableDimension",
                "MaxResults",
                "NextToken",
            ],
        )?;
        ecs_only(input)?;
        let wanted = input.list("ResourceIds");
        let described = self
            .targets
            .iter()
            .filter(|(resource, _)| wanted.is_empty() || wanted.iter().any(|wanted| wanted == resource.as_str()))
            .map(|(resource, target)| {
                json!({
                    "ServiceNamespace": NAMESPACE,
                    "ResourceId": resource,
                    "ScalableDimension": DIMENSION,
                    "MinCapacity": target.minimum,
                    "MaxCapacity": target.maximum,
                    "RoleARN": format!("arn:aws:iam::{}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService", account(&target.arn)),
                    "CreationTime": epoch_seconds(target.created_at),
                    "SuspendedState": suspended(&target.suspended),
                    "ScalableTargetARN": target.arn,
                })
            });
        let (described, next) = paged(input, described.collect())?;
        Ok(json!({"ScalableTargets": described, "NextToken": next}))
    }

    fn describe_policies(&self, input: Input<'_>) -> Result<Value, ApiError> {
        only(
            "DescribeScalingPolicies",
            input,
            &[
                "ServiceNamespace",
                "ResourceId",
                "ScalableDimension",
                "PolicyNames",
                "MaxResults",
                "NextToken",
            ],
        )?;
        ecs_only(input)?;
        let (resource, names) = (input.text("ResourceId"), input.list("PolicyNames"));
        let targets = self.targets.iter();
        let targets = targets.filter(|(id, _)| resource.is_none_or(|resource| resource == id.as_str()));
        let policies =
            targets.flat_map(|(id, target)| target.policies.iter().map(move |(name, policy)| (id, name, policy)));
        let policies =
            policies.filter(|(_, name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name.as_str()));
        let described = policies.map(|(id, name, policy)| {
            json!({
                "PolicyARN": policy.arn,
                "PolicyName": name,
                "ServiceNamespace": NAMESPACE,
                "ResourceId": id,
                "ScalableDimension": DIMENSION,
                "PolicyType": TRACKING,
                "TargetTrackingScalingPolicyConfiguration": policy.configuration,
                "Alarms": [],
                "CreationTime": epoch_seconds(policy.created_at),
            })
        });
        let (described, next) = paged(input, described.collect())?;
        Ok(json!({"ScalingPolicies": described, "NextToken": next}))
    }
}

/// Asks ECS for a service, as the service-linked role of Application Auto Scaling.
fn describe(resource: &str, kernel: &mut Kernel) -> CallId {
    let (cluster, service) = place(resource);
    let input = json!({"cluster": cluster, "services": [service]});
    kernel.call(NAME, "ecs", "DescribeServices", input, &kernel.administrator())
}

/// The desired count of the only service of an answer, while it is there.
fn wanted(described: &Value) -> Option<i64> {
    let service = described.pointer("/services/0")?;
    let is_active = service.get("status").and_then(Value::as_str) == Some("ACTIVE");
    service.get("desiredCount")?.as_i64().filter(|_| is_active)
}

/// Cluster and service of `service/cluster/name`.
fn place(resource: &str) -> (&str, &str) {
    let path = resource.strip_prefix("service/").unwrap_or_default();
    path.split_once('/').unwrap_or_default()
}

fn resource(input: Input<'_>) -> Result<&str, ApiError> {
    ecs_only(input)?;
    let resource = input.text("ResourceId").unwrap_or_default();
    let dimension = input.text("ScalableDimension");
    if place(resource).1.is_empty() || dimension != Some(DIMENSION) {
        return Err(validation(format!(
            "Unsupported service namespace, resource type or scalable dimension: {NAMESPACE}, {resource}, {}",
            dimension.unwrap_or_default()
        )));
    }
    Ok(resource)
}

fn ecs_only(input: Input<'_>) -> Result<(), ApiError> {
    match input.text("ServiceNamespace") {
        Some(NAMESPACE) => Ok(()),
        Some(other) => Err(ApiError::unsupported(format_args!("the scaling of `{other}`"))),
        None => Err(validation("ServiceNamespace must be specified")),
    }
}

fn metric_of(configuration: &Value) -> &str {
    let metric = configuration.pointer("/PredefinedMetricSpecification/PredefinedMetricType");
    metric.and_then(Value::as_str).unwrap_or("custom")
}

fn suspended(given: &Value) -> Value {
    let kinds = [
        "DynamicScalingInSuspended",
        "DynamicScalingOutSuspended",
        "ScheduledScalingSuspended",
    ];
    let states = kinds.map(|kind| (kind.to_owned(), given.get(kind) == Some(&Value::Bool(true))));
    json!(BTreeMap::from(states))
}

fn paged(input: Input<'_>, entries: Vec<Value>) -> Result<(Vec<Value>, Option<String>), ApiError> {
    let size = input.count("MaxResults").unwrap_or(MAXIMUM_RESULTS);
    page(entries, input.text("NextToken"), size.clamp(1, MAXIMUM_RESULTS))
        .map_err(|_| ApiError::client("InvalidNextTokenException", "The next token is invalid"))
}

fn account(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

fn only(operation: &str, input: Input<'_>, known: &[&str]) -> Result<(), ApiError> {
    super::only(NAME, operation, input, known)
}

fn not_registered(resource: &str) -> ApiError {
    ApiError::client(
        "ObjectNotFoundException",
        format!(
            "No scalable target registered for service namespace: {NAMESPACE}, resource ID: {resource}, scalable dimension: {DIMENSION}"
        ),
    )
}

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message)
}

impl Service for ApplicationAutoScaling {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Whoever registers or puts a policy must also be allowed what is done by it:
    /// <https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_permission_validation.html>.
    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let input = Input(&request.input);
        let text = |member: &str| input.text(member).unwrap_or_default();
        let resource = text("ResourceId");
        let (cluster, service) = place(resource);
        let own = |operation: &str| {
            let unknown = || kernel.arn(NAME, "scalable-target/*");
            let target = self
                .targets
                .get(resource)
                .map_or_else(unknown, |target| target.arn.clone());
            Authorization::new(format!("{NAME}:{operation}"), target)
                .with(format!("{NAME}:service-namespace"), text("ServiceNamespace"))
                .with(format!("{NAME}:scalable-dimension"), text("ScalableDimension"))
        };
        let of_service = |action: &str| {
            let arn = kernel.arn("ecs", &format!("service/{cluster}/{service}"));
            Authorization::new(action, arn).with("ecs:cluster", kernel.arn("ecs", &format!("cluster/{cluster}")))
        };
        let of_alarm = |action: &str| {
            let alarm = format!("alarm:TargetTracking-{resource}-AlarmHigh");
            Authorization::new(action, kernel.arn("cloudwatch", &alarm))
        };
        match request.operation.as_str() {
            "RegisterScalableTarget" => vec![
                own("RegisterScalableTarget"),
                of_service("ecs:DescribeServices"),
                of_service("ecs:UpdateService"),
            ],
            "PutScalingPolicy" => vec![
                own("PutScalingPolicy"),
                Authorization::new("cloudwatch:DescribeAlarms", "*"),
                of_alarm("cloudwatch:PutMetricAlarm"),
                of_alarm("cloudwatch:DeleteAlarms"),
            ],
            "DescribeScalableTargets" | "DescribeScalingPolicies" => {
                vec![Authorization::new(format!("{NAME}:{}", request.operation), "*")]
            }
            _ => Vec::new(),
        }
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        let input = Input(&request.input);
        Reply::Now(match request.operation.as_str() {
            "RegisterScalableTarget" => match self.register(request, kernel) {
                Ok(()) => return Reply::Later,
                Err(error) => Err(error),
            },
            "PutScalingPolicy" => self.put_policy(input, kernel),
            "DescribeScalableTargets" => self.describe_targets(input),
            "DescribeScalingPolicies" => self.describe_policies(input),
            other => Err(ApiError::unknown_operation(NAME, other, &OPERATIONS)),
        })
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        if let Some(resource) = self.timers.remove(&timer) {
            let call = describe(&resource, kernel);
            self.calls.insert(call, Purpose::Look(resource));
        }
    }

    fn replied(&mut self, call: CallId, result: Result<Value, ApiError>, kernel: &mut Kernel) {
        match self.calls.remove(&call) {
            Some(Purpose::Register(request, input)) => {
                let answer = self.registered(Input(&input), result, kernel);
                kernel.answer(request, answer);
            }
            Some(Purpose::Look(resource)) => self.adjust(resource, result, kernel),
            Some(Purpose::Adjust(resource)) if result.is_err() => self.try_again(resource, kernel),
            Some(Purpose::Adjust(_)) | None => {}
        }
    }
}
