//! What ECS says about the services of an environment at this moment.

use esclusa_adapters::ecs::{EcsReader, Service};
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::pipeline::{Pipeline, ResolvedStep, resolve};
use serde::Serialize;

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
    pub(super) desired: i64,
    pub(super) running: i64,
    pub(super) pending: i64,
    /// One for each deployment that ECS has under way or in force.
    pub(super) deployments: Vec<DeploymentCounts>,
}

/// How many tasks of a service run one revision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DeploymentCounts {
    pub(super) id: String,
    /// `PRIMARY`, `ACTIVE` or `INACTIVE`.
    pub(super) status: String,
    pub(super) task_definition: String,
    pub(super) desired: i64,
    pub(super) running: i64,
    pub(super) pending: i64,
    pub(super) failed: i64,
    pub(super) rollout_state: String,
}

/// Reads the services of an environment. What ECS does not let us see is said in their place.
pub(super) async fn read(ecs: &EcsReader, pipeline: &Pipeline, environment: &str) -> Result<Services, Failure> {
    let resolved = resolve(pipeline, environment).map_err(|error| Failure::refused(error.to_string()))?;
    let names: Vec<String> = resolved
        .steps
        .iter()
        .filter_map(|step| match step {
            ResolvedStep::Service(service) => Some(service.service.clone()),
            ResolvedStep::Task(_) => None,
        })
        .collect();
    let cluster = resolved.cluster;
    match ecs.describe_services(&cluster, &names).await {
        Ok(described) => {
            let found: Vec<Service> = described.found.into_iter().map(|observed| observed.facts).collect();
            let services = names
                .iter()
                .map(|name| counts(name, found.iter().find(|service| service.service_name == *name)));
            Ok(Services {
                services: services.collect(),
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

fn counts(name: &str, service: Option<&Service>) -> ServiceCounts {
    let Some(service) = service else {
        return ServiceCounts {
            service: name.to_owned(),
            status: "MISSING".to_owned(),
            desired: 0,
            running: 0,
            pending: 0,
            deployments: Vec::new(),
        };
    };
    let deployment = |deployment: &esclusa_adapters::ecs::Deployment| DeploymentCounts {
        id: deployment.id.clone(),
        status: deployment.status.clone().unwrap_or_default(),
        task_definition: deployment.task_definition.clone().unwrap_or_default(),
        desired: deployment.desired_count,
        running: deployment.running_count,
        pending: deployment.pending_count,
        failed: deployment.failed_tasks,
        rollout_state: deployment.rollout_state.clone().unwrap_or_default(),
    };
    ServiceCounts {
        service: service.service_name.clone(),
        status: service.status.clone().unwrap_or_default(),
        desired: service.desired_count,
        running: service.running_count,
        pending: service.pending_count,
        deployments: service.deployments.iter().map(deployment).collect(),
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
                words::resource(&deployment.task_definition).to_owned(),
                deployment.desired.to_string(),
                deployment.running.to_string(),
                deployment.pending.to_string(),
                deployment.failed.to_string(),
                deployment.rollout_state.to_lowercase().replace('_', " "),
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
        let deployment = |status: &str, revision: u32, running: i64, state: &str| DeploymentCounts {
            id: format!("ecs-svc/{revision}"),
            status: status.to_owned(),
            task_definition: format!("arn:aws:ecs:us-east-1:123456789012:task-definition/shop-api:{revision}"),
            desired: 2,
            running,
            pending: 2 - running,
            failed: 0,
            rollout_state: state.to_owned(),
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
