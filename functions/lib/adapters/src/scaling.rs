//! How services scale: Application Auto Scaling.

use aws_config::SdkConfig;
use aws_sdk_applicationautoscaling::Client;
use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension, ScalingPolicy, ServiceNamespace,
    SuspendedState, TargetTrackingScalingPolicyConfiguration,
};
use esclusa_core::error::Failure;
use esclusa_core::scaling::{Bounds, Policy, PolicyFacts, ScalingFacts, Suspended, resource_id};

use crate::client;
use crate::sdk::{OnFirstUse, failure};

/// Reads what is registered. Changes nothing.
#[derive(Debug, Clone)]
pub struct ScalingReader {
    client: OnFirstUse<Client>,
}

impl ScalingReader {
    /// A reader of the scaling of this account and Region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_applicationautoscaling, config),
        }
    }

    /// What is registered for a service, and its target-tracking policies.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn facts(&self, cluster: &str, service: &str) -> Result<ScalingFacts, Failure> {
        let resource = resource_id(cluster, service);
        let targets = self.client.describe_scalable_targets();
        let targets = targets
            .service_namespace(ServiceNamespace::Ecs)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .resource_ids(&resource);
        let answer = targets.send().await;
        let answer = answer.map_err(|error| failure("application-autoscaling:DescribeScalableTargets", &error))?;
        let target = answer.scalable_targets.unwrap_or_default().into_iter().next();
        let Some(target) = target else {
            return Ok(ScalingFacts::default());
        };
        let mut policies = Vec::new();
        let mut token = None;
        loop {
            let request = self.client.describe_scaling_policies();
            let request = request
                .service_namespace(ServiceNamespace::Ecs)
                .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
                .resource_id(&resource)
                .set_next_token(token);
            let answer = request.send().await;
            let answer = answer.map_err(|error| failure("application-autoscaling:DescribeScalingPolicies", &error))?;
            policies.extend(answer.scaling_policies.unwrap_or_default().iter().filter_map(tracking));
            token = answer.next_token;
            if token.is_none() {
                break;
            }
        }
        Ok(ScalingFacts {
            bounds: Some(Bounds {
                min: count(target.min_capacity)?,
                max: count(target.max_capacity)?,
            }),
            policies,
            suspended: target.suspended_state.as_ref().map(suspended).unwrap_or_default(),
        })
    }
}

/// The power to say how services scale.
#[derive(Debug, Clone)]
pub struct ScalingRegistrar {
    client: OnFirstUse<Client>,
}

impl ScalingRegistrar {
    /// A registrar in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_applicationautoscaling, config),
        }
    }

    /// Registers a service with its bounds, or changes them. What is suspended stays so. Repeating it changes nothing.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn register(&self, cluster: &str, service: &str, bounds: Bounds) -> Result<(), Failure> {
        let request = self.client.register_scalable_target();
        let request = request
            .service_namespace(ServiceNamespace::Ecs)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .resource_id(resource_id(cluster, service))
            .min_capacity(capacity(bounds.min)?)
            .max_capacity(capacity(bounds.max)?);
        let answer = request.send().await;
        answer.map_err(|error| failure("application-autoscaling:RegisterScalableTarget", &error))?;
        Ok(())
    }

    /// Suspends what of the scaling of a service is to be suspended, and resumes the rest. Repeating it changes
    /// nothing.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the service is not registered.
    pub async fn suspend(&self, cluster: &str, service: &str, suspended: Suspended) -> Result<(), Failure> {
        let state = SuspendedState::builder()
            .dynamic_scaling_in_suspended(suspended.scale_in)
            .dynamic_scaling_out_suspended(suspended.scale_out)
            .scheduled_scaling_suspended(suspended.scheduled)
            .build();
        let request = self.client.register_scalable_target();
        let request = request
            .service_namespace(ServiceNamespace::Ecs)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .resource_id(resource_id(cluster, service))
            .suspended_state(state);
        let answer = request.send().await;
        answer.map_err(|error| failure("application-autoscaling:RegisterScalableTarget", &error))?;
        Ok(())
    }

    /// Puts our policy for one metric in place of what it was. Repeating it changes nothing.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the service is not registered.
    pub async fn put(&self, cluster: &str, service: &str, policy: Policy) -> Result<(), Failure> {
        let undefined = |error: &dyn std::fmt::Display| Failure::defect(format!("a scaling policy: {error}"));
        let metric = PredefinedMetricSpecification::builder()
            .predefined_metric_type(MetricType::from(policy.tracked.predefined_metric()))
            .build()
            .map_err(|error| undefined(&error))?;
        let configuration = TargetTrackingScalingPolicyConfiguration::builder()
            .target_value(f64::from(policy.percent))
            .predefined_metric_specification(metric)
            .build()
            .map_err(|error| undefined(&error))?;
        let request = self.client.put_scaling_policy();
        let request = request
            .policy_name(policy.tracked.policy_name())
            .service_namespace(ServiceNamespace::Ecs)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .resource_id(resource_id(cluster, service))
            .policy_type(PolicyType::TargetTrackingScaling)
            .target_tracking_scaling_policy_configuration(configuration);
        let answer = request.send().await;
        answer.map_err(|error| {
            let failure = failure("application-autoscaling:PutScalingPolicy", &error);
            match error.as_service_error() {
                // The service is registered; that is not seen everywhere at once.
                Some(refused) if refused.is_object_not_found_exception() => Failure::transient(failure.message),
                _ => failure,
            }
        })?;
        Ok(())
    }
}

fn suspended(state: &SuspendedState) -> Suspended {
    let is = |suspended: Option<bool>| suspended.unwrap_or_default();
    Suspended {
        scale_in: is(state.dynamic_scaling_in_suspended),
        scale_out: is(state.dynamic_scaling_out_suspended),
        scheduled: is(state.scheduled_scaling_suspended),
    }
}

/// A policy as far as the plan compares it; none for one of another type.
fn tracking(policy: &ScalingPolicy) -> Option<PolicyFacts> {
    let configuration = policy.target_tracking_scaling_policy_configuration()?;
    let metric = configuration.predefined_metric_specification();
    Some(PolicyFacts {
        name: policy.policy_name().to_owned(),
        metric: metric.map(|metric| metric.predefined_metric_type().as_str().to_owned()),
        target_value: configuration.target_value(),
    })
}

fn count(capacity: i32) -> Result<u32, Failure> {
    u32::try_from(capacity).map_err(|_| Failure::defect(format!("a service scales to {capacity} tasks")))
}

fn capacity(count: u32) -> Result<i32, Failure> {
    i32::try_from(count).map_err(|_| Failure::defect(format!("no service scales to {count} tasks")))
}
