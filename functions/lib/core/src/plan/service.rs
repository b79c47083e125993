//! Can a service be updated, and with which settings?

use serde_json::{Map, Value, json};

use super::ObservedService;
use super::refusal::{Refusal, RefusalKind};
use crate::pipeline::{Deployment, Percentages, ResolvedService, ThresholdKind};

/// The `deploymentConfiguration` for an update of the service, or what is in the way; more than one thing may be.
pub(super) fn deployment_configuration(
    cluster: &str,
    service: &ResolvedService,
    observed: Option<&ObservedService>,
) -> Result<Value, Vec<Refusal>> {
    let name = &service.service;
    let Some(observed) = observed else {
        let message = format!("the cluster `{cluster}` has no service `{name}`");
        let help = format!(
            "create it with your infrastructure code, or set `service` of `services.{}`",
            service.name
        );
        return Err(vec![Refusal::new(RefusalKind::Service, message, help)]);
    };
    let facts = &observed.facts;
    let mut refusals = Vec::new();
    if facts.status != "ACTIVE" {
        let message = format!("the service `{name}` is {}", facts.status);
        let help = format!("`aws ecs describe-services --cluster {cluster} --services {name}` says why");
        refusals.push(Refusal::new(RefusalKind::Service, message, help));
    }
    if facts.controller != "ECS" {
        let message = format!(
            "the service `{name}` is deployed by {}, not by ECS itself",
            facts.controller
        );
        refusals.push(Refusal::new(
            RefusalKind::Service,
            message,
            "migrate it to the deployment controller `ECS`",
        ));
    }
    if facts.is_behind_classic {
        // <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html>, `rolloutState`.
        refusals.push(Refusal::new(
            RefusalKind::Service,
            format!("the service `{name}` is behind a Classic Load Balancer, for which ECS does not say whether a rollout is complete"),
            "move it to an Application or Network Load Balancer",
        ));
    }
    let desired = match facts.desired {
        0 => service.start_count.map_or(0, u64::from),
        live => live,
    };
    if desired == 0 {
        let message =
            format!("the service `{name}` has the desired count 0: nothing would run, so nothing could be verified");
        let help = format!(
            "set `start_count` of `services.{}`, or `aws ecs update-service --cluster {cluster} --service {name} --desired-count 1`",
            service.name
        );
        refusals.push(Refusal::new(RefusalKind::ServiceStopped, message, help));
    }
    let deployment_configuration = configuration(&observed.deployment_configuration, &service.deployment);
    if desired > 0
        && is_rolling(&deployment_configuration)
        && let Err(no_progress) = percentages(&deployment_configuration).allow_progress(desired)
    {
        let help = format!(
            "raise `maximum_percent` or lower `minimum_healthy_percent` of `services.{}.deployment`",
            service.name
        );
        refusals.push(Refusal::new(
            RefusalKind::Percentages,
            format!("`{name}`: {no_progress}"),
            help,
        ));
    }
    if refusals.is_empty() {
        Ok(deployment_configuration)
    } else {
        Err(refusals)
    }
}

/// The live configuration with the settings of the pipeline. The circuit breaker is on; it exists for rolling updates
/// only.
fn configuration(live: &Value, settings: &Deployment) -> Value {
    let mut members = live.as_object().cloned().unwrap_or_default();
    let percentages = [
        ("maximumPercent", settings.maximum_percent),
        ("minimumHealthyPercent", settings.minimum_healthy_percent),
    ];
    for (field, percent) in percentages {
        if let Some(percent) = percent {
            members.insert(field.to_owned(), percent.into());
        }
    }
    if is_rolling(live) {
        let mut breaker: Map<String, Value> = members
            .get("deploymentCircuitBreaker")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        breaker.insert("enable".to_owned(), true.into());
        breaker.insert("rollback".to_owned(), settings.circuit_breaker.rollback.into());
        if let Some(threshold) = &settings.circuit_breaker.threshold {
            let kind = match threshold.kind {
                ThresholdKind::Count => "COUNT",
                ThresholdKind::BoundedPercent => "BOUNDED_PERCENT",
                ThresholdKind::UnboundedPercent => "UNBOUNDED_PERCENT",
            };
            breaker.insert(
                "thresholdConfiguration".to_owned(),
                json!({"type": kind, "value": threshold.value}),
            );
        }
        members.insert("deploymentCircuitBreaker".to_owned(), Value::Object(breaker));
    }
    Value::Object(members)
}

pub(super) fn is_rolling(configuration: &Value) -> bool {
    configuration
        .get("strategy")
        .and_then(Value::as_str)
        .is_none_or(|strategy| strategy == "ROLLING")
}

pub(super) fn percentages(configuration: &Value) -> Percentages {
    let percent = |field: &str| {
        configuration
            .get(field)
            .and_then(Value::as_u64)
            .and_then(|percent| u32::try_from(percent).ok())
    };
    Percentages {
        minimum_healthy: percent("minimumHealthyPercent").unwrap_or(Percentages::DEFAULT.minimum_healthy),
        maximum: percent("maximumPercent").unwrap_or(Percentages::DEFAULT.maximum),
    }
}
