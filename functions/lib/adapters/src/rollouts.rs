//! Reading the rollout of a service that a step started.

use std::collections::BTreeMap;

use esclusa_core::error::Failure;
use esclusa_core::migration::TaskFacts;
use esclusa_core::plan::{PlannedService, PlannedStep};
use esclusa_core::service_deployment::{
    Candidate, Expected, Observed, RevisionFacts, ServiceDeploymentFacts, ServiceDeploymentStatus, ServiceFacts, ours,
};
use esclusa_core::verdict::{Mode, StepReference};
use serde_json::Value;

use crate::control::Stored;
use crate::control::rows::StepRow;
use crate::ecs::{EcsReader, TaskFilter};
use crate::journal::Journal;

/// How many service deployments are looked through for ours: as many as one call describes.
const LOOKED_THROUGH: usize = 20;

/// A rollout: what is expected of it and what is observed.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// The step as it was planned.
    pub planned: PlannedService,
    /// What the step put into the world.
    pub expected: Expected,
    /// What ECS shows.
    pub observed: Observed,
    /// The step's row.
    pub step: Stored<StepRow>,
}

impl Rollout {
    /// Whether it goes back because its release is stopped. One that goes back already does so anyway, one that the
    /// schema does not let go back goes on, and before ECS shows the service deployment nothing can be asked of it.
    ///
    /// # Errors
    /// Those of [`Journal::stop`].
    pub async fn is_stopped(&self, journal: &Journal, release_id: &str) -> Result<bool, Failure> {
        let may_go_back = self.step.row.record.step.mode == Mode::Forward
            && !self.planned.stays
            && self.observed.service_deployment.is_some();
        Ok(may_go_back && journal.stop(release_id).await?.is_some())
    }
}

/// Reads the rollout that a step started.
///
/// # Errors
/// `InvalidInput` when the step is none of a service or was not begun; otherwise what AWS answered.
pub async fn observe(
    journal: &Journal,
    ecs: &EcsReader,
    deployment_id: &str,
    step: StepReference,
) -> Result<Rollout, Failure> {
    let PlannedStep::Service(planned) = journal.planned_step(deployment_id, step).await? else {
        return Err(Failure::invalid_input(format!(
            "step {} of deployment `{deployment_id}` is no service",
            step.index
        )));
    };
    let row = journal.step(deployment_id, step).await?.ok_or_else(|| {
        Failure::invalid_input(format!(
            "step {} of deployment `{deployment_id}` was not begun",
            step.index
        ))
    })?;
    let missing = |what: &str| {
        Failure::defect(format!(
            "the row of step {} of deployment `{deployment_id}` names no {what}",
            step.index
        ))
    };
    let service_arn = row.row.resource_arn.clone().ok_or_else(|| missing("service"))?;
    let expected = Expected {
        task_definition_arn: journal.target(deployment_id, &planned).await?,
        ecs_deployment_id: row.row.ecs_deployment_id.clone().ok_or_else(|| missing("deployment"))?,
        previous_task_definition_arn: row.row.previous_task_definition_arn.clone(),
        before: row.row.before.clone().unwrap_or_default(),
        digests: planned.digests_shown(),
    };
    let observed = read(
        ecs,
        &planned.cluster,
        &service_arn,
        &expected,
        row.row.service_deployment_arn.as_deref(),
    )
    .await?;
    Ok(Rollout {
        planned,
        expected,
        observed,
        step: row,
    })
}

async fn read(
    ecs: &EcsReader,
    cluster: &str,
    service_arn: &str,
    expected: &Expected,
    known: Option<&str>,
) -> Result<Observed, Failure> {
    let described = ecs.describe_services(cluster, &[service_arn.to_owned()]).await?;
    let service = described.found.first().map(ServiceFacts::from_json);
    let service = service.unwrap_or_else(|| Ok(ServiceFacts::missing(service_arn)))?;
    if service.status != "ACTIVE" {
        return Ok(Observed {
            service,
            service_deployment: None,
            target_revision: None,
            running_tasks: Vec::new(),
        });
    }
    let (service_deployment, found) = match known {
        Some(arn) => (describe(ecs, &[arn.to_owned()]).await?.into_iter().next(), None),
        None => find(ecs, cluster, &service, expected).await?.unzip(),
    };
    let shown = match (&service_deployment, found.flatten()) {
        (_, Some(revision)) => vec![revision],
        (Some(deployment), None) => {
            let target: Vec<String> = deployment.target_revision_arn.iter().cloned().collect();
            revisions(ecs, &target).await?
        }
        // It may be in force for longer than ECS lists service deployments: then the service shows the revision.
        (None, None) if expected.is_adopted() => revisions(ecs, &service.current_service_revisions).await?,
        (None, None) => Vec::new(),
    };
    let mut shown = shown.into_iter();
    let (target_revision, may_be_proven) = match &service_deployment {
        Some(deployment) => (shown.next(), deployment.status == ServiceDeploymentStatus::Successful),
        None => {
            let in_force = shown.find(|revision| revision.task_definition_arn == expected.task_definition_arn);
            let is_shown = in_force.is_some();
            (in_force, is_shown)
        }
    };
    let running_tasks = if may_be_proven {
        tasks(ecs, cluster, service_arn).await?
    } else {
        Vec::new()
    };
    Ok(Observed {
        service,
        service_deployment,
        target_revision,
        running_tasks,
    })
}

/// The service deployment that the step started or adopted, where ECS shows it, with the revision that it brings.
async fn find(
    ecs: &EcsReader,
    cluster: &str,
    service: &ServiceFacts,
    expected: &Expected,
) -> Result<Option<(ServiceDeploymentFacts, Option<RevisionFacts>)>, Failure> {
    let listed = listed(ecs, cluster, &service.service_arn).await?.into_iter();
    let looked_through: Vec<String> = if expected.is_adopted() {
        listed.take(LOOKED_THROUGH).collect()
    } else {
        // Ours is the first after what was there before.
        let known_before = expected.before.service_deployment_arn.as_ref();
        let mut since: Vec<String> = listed.take_while(|arn| Some(arn) != known_before).collect();
        since.split_off(since.len().saturating_sub(LOOKED_THROUGH))
    };
    let deployments = describe(ecs, &looked_through).await?;
    let targets: Vec<String> = deployments
        .iter()
        .filter_map(|deployment| deployment.target_revision_arn.clone())
        .collect();
    let mut revisions: BTreeMap<String, RevisionFacts> = revisions(ecs, &targets)
        .await?
        .into_iter()
        .map(|revision| (revision.arn.clone(), revision))
        .collect();
    let candidates: Vec<Candidate> = deployments
        .into_iter()
        .map(|deployment| {
            let target = deployment.target_revision_arn.as_ref();
            let revision = target.and_then(|arn| revisions.get(arn));
            Candidate {
                task_definition_arn: revision.map(|revision| revision.task_definition_arn.clone()),
                deployment,
            }
        })
        .collect();
    Ok(ours(&candidates, expected, service).map(|found| {
        let target = found.target_revision_arn.as_ref();
        (found.clone(), target.and_then(|arn| revisions.remove(arn)))
    }))
}

/// The ARNs of the service deployments of a service, the newest first.
///
/// # Errors
/// Those of [`EcsReader::list_service_deployments`].
pub async fn listed(ecs: &EcsReader, cluster: &str, service_arn: &str) -> Result<Vec<String>, Failure> {
    let listed = ecs.list_service_deployments(cluster, service_arn).await?.found;
    let arn = |brief: &Value| brief.get("serviceDeploymentArn")?.as_str().map(str::to_owned);
    Ok(listed.iter().filter_map(arn).collect())
}

async fn describe(ecs: &EcsReader, arns: &[String]) -> Result<Vec<ServiceDeploymentFacts>, Failure> {
    let described = ecs.describe_service_deployments(arns).await?.found;
    let mut deployments = described
        .iter()
        .map(ServiceDeploymentFacts::from_json)
        .collect::<Result<Vec<_>, Failure>>()?;
    deployments.sort_by_key(|deployment| arns.iter().position(|arn| *arn == deployment.arn));
    Ok(deployments)
}

async fn revisions(ecs: &EcsReader, arns: &[String]) -> Result<Vec<RevisionFacts>, Failure> {
    let described = ecs.describe_service_revisions(arns).await?.found;
    described.iter().map(RevisionFacts::from_json).collect()
}

async fn tasks(ecs: &EcsReader, cluster: &str, service_arn: &str) -> Result<Vec<TaskFacts>, Failure> {
    let name = service_arn.rsplit('/').next().unwrap_or(service_arn);
    let arns = ecs.list_tasks(cluster, &TaskFilter::Service(name)).await?;
    let described = ecs.describe_tasks(cluster, &arns).await?.found;
    described.iter().map(TaskFacts::from_json).collect()
}
