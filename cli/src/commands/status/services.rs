//! What ECS says about the services of an environment at this moment.

use esclusa_adapters::ecs::EcsReader;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::pipeline::{Pipeline, resolve};
use esclusa_core::service_deployment::{DeploymentCounts, ServiceFacts};
use serde::Serialize;
use serde_json::Value;

use crate::render::table::Columns;
use crate::render::words;

/// The services of an environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Services {
    pub(super) cluster: String,
    pub(super) services: Vec<ServiceCounts>,
    /// Why they are not known, in words.
    pub(super) unknown: Option<String>,
}

/// How many tasks of a service run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ServiceCounts {
    pub(super) service: String,
    /// `ACTIVE`, `DRAINING`, `INACTIVE`, or `MISSING`.
    pub(super) status: String,
    pub(super) desired: u64,
    pub(super) running: u64,
    /// One for each deployment that ECS has under way or in force.
    pub(super) deployments: Vec<DeploymentCounts>,
}

/// Reads the services of an environment. What ECS does not let us see is said in their place.
pub(super) async fn read(ecs: &EcsReader, pipeline: &Pipeline, environment: &str) -> Result<Services, Failure> {
    let resolved = resolve(pipeline, environment).map_err(|error| Failure::refused(error.to_string()))?;
    let names = resolved.service_names();
    let cluster = resolved.cluster;
    match ecs.describe_services(&cluster, &names).await {
        Ok(described) => {
            let found = |name: &String| {
                let named = |service: &&Value| service.get("serviceName").and_then(Value::as_str) == Some(name);
                let service = described.found.iter().find(named);
                Ok(counts(name, service.map(ServiceFacts::from_json).transpose()?))
            };
            let services = names.iter().map(found).collect::<Result<_, Failure>>()?;
            Ok(Services {
                services,
                unknown: None,
                cluster,
            })
        }
        Err(failure) if matches!(failure.kind, ErrorKind::Refused | ErrorKind::AccessDenied) => Ok(Services {
            services: Vec::new(),
            unknown: Some(failure.message),
            cluster,
        }),
        Err(failure) => Err(failure),
    }
}

fn counts(name: &str, facts: Option<ServiceFacts>) -> ServiceCounts {
    let service = name.to_owned();
    match facts {
        Some(facts) => ServiceCounts {
            service,
            status: facts.status,
            desired: facts.desired,
            running: facts.running,
            deployments: facts.deployments,
        },
        None => ServiceCounts {
            service,
            status: "MISSING".to_owned(),
            desired: 0,
            running: 0,
            deployments: Vec::new(),
        },
    }
}

/// The counts as a table: one line for each deployment that ECS has.
pub(super) fn text(services: &Services, width: Option<u16>) -> String {
    if let Some(unknown) = &services.unknown {
        return format!("services in cluster `{}`: not known: {unknown}\n", services.cluster);
    }
    let head = [
        "service",
        "deployment",
        "task definition",
        "desired",
        "running",
        "pending",
        "failed",
        "rollout",
    ];
    let mut table = Columns::new(&head, width);
    for service in &services.services {
        if service.deployments.is_empty() {
            table.row([
                service.service.as_str(),
                &service.status.to_lowercase(),
                "",
                "",
                "",
                "",
                "",
                "",
            ]);
        }
        for deployment in &service.deployments {
            table.row([
                service.service.clone(),
                deployment.status.to_lowercase(),
                words::resource(&deployment.task_definition_arn).to_owned(),
                deployment.desired.to_string(),
                deployment.running.to_string(),
                deployment.pending.to_string(),
                deployment.failed.to_string(),
                deployment
                    .rollout_state
                    .as_deref()
                    .unwrap_or_default()
                    .to_lowercase()
                    .replace('_', " "),
            ]);
        }
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deployment_of_a_service_has_its_own_counts() {
        let deployment = |status: &str, revision: u32, running: u64, state: &str| DeploymentCounts {
            id: format!("ecs-svc/{revision}"),
            status: status.to_owned(),
            task_definition_arn: format!("arn:aws:ecs:us-east-1:123456789012:task-definition/shop-api:{revision}"),
            desired: 2,
            running,
            pending: 2 - running,
            failed: 0,
            rollout_state: Some(state.to_owned()),
            rollout_reason: None,
        };
        let rolling = vec![
            deployment("PRIMARY", 7, 1, "IN_PROGRESS"),
            deployment("ACTIVE", 6, 2, "COMPLETED"),
        ];
        let service = ServiceCounts {
            deployments: rolling,
            status: "ACTIVE".to_owned(),
            ..counts("shop-api", None)
        };
        let services = Services {
            cluster: "shop".to_owned(),
            services: vec![service, counts("shop-worker", None)],
            unknown: None,
        };
        insta::assert_snapshot!(text(&services, None));
    }
}
