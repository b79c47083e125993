//! Which service deployment a step started. The same task definition may have been rolled out before, so that only what
//! was there before tells.

use super::{Expected, ServiceDeploymentFacts, ServiceDeploymentStatus, ServiceFacts};

/// A service deployment that may be the one of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The service deployment.
    pub deployment: ServiceDeploymentFacts,
    /// The task definition that it brings; none while ECS does not show its target revision.
    pub task_definition_arn: Option<String>,
}

/// The service deployment of the step among those that ECS lists, the newest first; none while ECS does not show it.
///
/// One that the step started is the first after what was there before. For one that the step adopted it is the newest
/// that brings, or brought, the revision in force: one that failed brought nothing into force.
#[must_use]
pub fn ours<'a>(
    newest_first: &'a [Candidate],
    expected: &Expected,
    service: &ServiceFacts,
) -> Option<&'a ServiceDeploymentFacts> {
    let brings_ours =
        |candidate: &&Candidate| candidate.task_definition_arn.as_ref() == Some(&expected.task_definition_arn);
    let mut candidates = newest_first.iter();
    if expected.is_adopted() {
        return candidates
            .filter(brings_ours)
            .map(|candidate| &candidate.deployment)
            .find(|deployment| is_in_force(deployment, service));
    }
    let known_before = expected.before.service_deployment_arn.as_ref();
    candidates
        .by_ref()
        .take_while(|candidate| Some(&candidate.deployment.arn) != known_before)
        .filter(brings_ours)
        .last()
        .map(|candidate| &candidate.deployment)
}

fn is_in_force(deployment: &ServiceDeploymentFacts, service: &ServiceFacts) -> bool {
    match deployment.status {
        ServiceDeploymentStatus::Stopped
        | ServiceDeploymentStatus::RollbackSuccessful
        | ServiceDeploymentStatus::RollbackFailed => false,
        ServiceDeploymentStatus::Successful => deployment
            .target_revision_arn
            .as_ref()
            .is_some_and(|arn| service.current_service_revisions.contains(arn)),
        ServiceDeploymentStatus::Pending
        | ServiceDeploymentStatus::InProgress
        | ServiceDeploymentStatus::StopRequested
        | ServiceDeploymentStatus::RollbackRequested
        | ServiceDeploymentStatus::RollbackInProgress
        | ServiceDeploymentStatus::Unknown(_) => true,
    }
}
