//! Whether a rollout is over, how, and what proves it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Before, DeploymentCounts, RevisionFacts, ServiceDeploymentFacts, ServiceDeploymentStatus, ServiceFacts};
use crate::migration::TaskFacts;
use crate::verdict::StepOutcome;
use crate::words;

/// What the step put into the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The revision that was sent or adopted.
    pub task_definition_arn: String,
    /// The deployment that was primary after the call (`ecs-svc/…`).
    pub ecs_deployment_id: String,
    /// The revision that was primary before.
    pub previous_task_definition_arn: Option<String>,
    /// What was there before the step.
    pub before: Before,
    /// Every digest under which an image of ours may show, by container: the digest that was pushed and, for an image
    /// index, those of its platforms.
    pub digests: BTreeMap<String, BTreeSet<String>>,
}

impl Expected {
    /// Whether the deployment was there before the step, which started none.
    pub fn is_adopted(&self) -> bool {
        self.before.ecs_deployment_id.as_ref() == Some(&self.ecs_deployment_id)
    }
}

/// What is read from ECS after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The service.
    pub service: ServiceFacts,
    /// Our service deployment; none while ECS does not show it.
    pub service_deployment: Option<ServiceDeploymentFacts>,
    /// The service revision that it targets, or without one the revision in force that has our task definition; none
    /// while ECS does not show it.
    pub target_revision: Option<RevisionFacts>,
    /// The tasks that the service runs.
    pub running_tasks: Vec<TaskFacts>,
}

/// What success rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The service deployment that ECS calls successful; none for a revision that has been in force for longer than
    /// ECS lists service deployments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_deployment_arn: Option<String>,
    /// The service revision that is in force.
    pub service_revision_arn: String,
    /// The task definition of that revision, ours.
    pub task_definition_arn: String,
    /// The tasks that were seen running with our digests.
    pub task_arns: Vec<String>,
}

/// A judgement about a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "judgement", rename_all = "snake_case")]
pub enum Judgement {
    /// In force and proven.
    Succeeded(Proof),
    /// Not over, or over and not proven yet; within the deadline it may be.
    StillRolling {
        /// What is missing.
        missing: Vec<String>,
        /// The deployments of the service with their counts.
        progress: Vec<DeploymentCounts>,
    },
    /// ECS brought back what ran before.
    RolledBack {
        /// Why.
        reason: String,
    },
    /// It failed and what ran before is not back.
    Failed {
        /// Why.
        reason: String,
    },
    /// Somebody else moved the service; it is not fought for.
    ForeignChange {
        /// What is primary now.
        by: String,
    },
    /// Somebody deleted the service: nothing of ours is left in it, and nothing can be brought back.
    Deleted {
        /// `DRAINING`, `INACTIVE` or `MISSING`.
        status: String,
    },
    /// ECS calls it successful and no task is wanted, so that nothing was proven.
    Vacuous {
        /// What to do about it.
        reason: String,
    },
}

impl Judgement {
    /// Whether waiting longer cannot change it.
    pub const fn is_over(&self) -> bool {
        !matches!(self, Self::StillRolling { .. })
    }

    /// The same, as the end of the deployment counts it. A vacuous success leaves the revision in force without a
    /// proof.
    pub const fn step_outcome(&self) -> StepOutcome {
        match self {
            Self::Succeeded(_) => StepOutcome::Done,
            Self::StillRolling { .. } => StepOutcome::Begun,
            Self::RolledBack { .. } => StepOutcome::Reverted,
            Self::Failed { .. } | Self::Vacuous { .. } => StepOutcome::Failed,
            Self::ForeignChange { .. } | Self::Deleted { .. } => StepOutcome::Foreign,
        }
    }
}

/// Whether a wait for the rollout is over: exactly when its judgement is, so that a wait that ends never begins again
/// with the same facts.
pub fn is_over(expected: &Expected, observed: &Observed) -> bool {
    judge(expected, observed).is_over()
}

/// Judges a rollout.
pub fn judge(expected: &Expected, observed: &Observed) -> Judgement {
    let service = &observed.service;
    if service.status != "ACTIVE" {
        return Judgement::Deleted {
            status: service.status.clone(),
        };
    }
    let Some(deployment) = &observed.service_deployment else {
        return judge_unlisted(expected, observed);
    };
    let reason = reason(deployment);
    match &deployment.status {
        ServiceDeploymentStatus::Successful => judge_successful(expected, observed, deployment),
        ServiceDeploymentStatus::RollbackSuccessful => Judgement::RolledBack { reason },
        ServiceDeploymentStatus::RollbackFailed => Judgement::Failed {
            reason: format!("the rollout failed and ECS could not bring back what ran before: {reason}"),
        },
        ServiceDeploymentStatus::Stopped => judge_stopped(expected, service, deployment, reason),
        ServiceDeploymentStatus::Pending
        | ServiceDeploymentStatus::InProgress
        | ServiceDeploymentStatus::StopRequested
        | ServiceDeploymentStatus::RollbackRequested
        | ServiceDeploymentStatus::RollbackInProgress => {
            still_rolling(service, vec![format!("the rollout is not over: {reason}")])
        }
        ServiceDeploymentStatus::Unknown(status) => {
            still_rolling(service, vec![format!("the status `{status}` is not known: {reason}")])
        }
    }
}

/// Without the service deployment the service itself says three things: that our deployment failed and stays, that it
/// was in force long before the step, and that somebody moved the service elsewhere.
fn judge_unlisted(expected: &Expected, observed: &Observed) -> Judgement {
    let service = &observed.service;
    let ours = service
        .deployments
        .iter()
        .find(|known| known.id == expected.ecs_deployment_id);
    match (ours, foreign_primary(expected, service)) {
        (Some(ours), None) if ours.has_failed() => Judgement::Failed {
            reason: ours
                .rollout_reason
                .clone()
                .unwrap_or_else(|| "ECS gives no reason".to_owned()),
        },
        (Some(ours), None) if expected.is_adopted() && ours.rollout_state.as_deref() == Some("COMPLETED") => {
            match &observed.target_revision {
                Some(revision) => prove(expected, observed, revision, None),
                None => still_rolling(service, vec!["ECS does not show the revision in force".to_owned()]),
            }
        }
        (None, Some(by)) if !is_previous(expected, service) => Judgement::ForeignChange { by },
        _ => still_rolling(service, vec!["ECS does not show the service deployment yet".to_owned()]),
    }
}

/// ECS says success; the rest is checked against the service itself.
fn judge_successful(expected: &Expected, observed: &Observed, deployment: &ServiceDeploymentFacts) -> Judgement {
    let service = &observed.service;
    if let Some(by) = foreign_primary(expected, service) {
        return Judgement::ForeignChange { by };
    }
    let Some(revision) = &observed.target_revision else {
        return still_rolling(service, vec!["ECS does not show the target revision yet".to_owned()]);
    };
    if revision.task_definition_arn != expected.task_definition_arn
        || deployment.target_revision_arn.as_ref() != Some(&revision.arn)
    {
        return Judgement::Failed {
            reason: format!(
                "the successful service deployment brought `{}` instead of `{}`",
                revision.task_definition_arn, expected.task_definition_arn
            ),
        };
    }
    prove(expected, observed, revision, Some(deployment.arn.clone()))
}

/// A revision of ours is in force; what its tasks run is the proof.
fn prove(
    expected: &Expected,
    observed: &Observed,
    revision: &RevisionFacts,
    service_deployment_arn: Option<String>,
) -> Judgement {
    let service = &observed.service;
    if service.desired == 0 {
        return Judgement::Vacuous {
            reason: format!(
                "service `{}` has the desired count 0, so nothing ran; set `start_count` or scale it up",
                service.service_arn
            ),
        };
    }
    let strangers: Vec<String> = observed
        .running_tasks
        .iter()
        .filter_map(|task| foreign_digest(expected, task))
        .collect();
    if !strangers.is_empty() {
        return Judgement::Failed {
            reason: strangers.join("; "),
        };
    }
    let proven: Vec<&TaskFacts> = observed
        .running_tasks
        .iter()
        .filter(|task| runs_ours(expected, task))
        .collect();
    let counted = u64::try_from(proven.len()).unwrap_or(u64::MAX);
    let mut missing = Vec::new();
    if service.running != service.desired {
        missing.push(format!(
            "{} of {} running",
            service.running,
            words::counted(service.desired, "task")
        ));
    }
    if counted < service.desired {
        missing.push(format!(
            "{counted} of {} seen running our digests",
            words::counted(service.desired, "task")
        ));
    }
    if !missing.is_empty() {
        return still_rolling(service, missing);
    }
    Judgement::Succeeded(Proof {
        service_deployment_arn,
        service_revision_arn: revision.arn.clone(),
        task_definition_arn: revision.task_definition_arn.clone(),
        task_arns: proven.into_iter().map(|task| task.task_arn.clone()).collect(),
    })
}

/// A stopped deployment was superseded, or failed without a rollback, or was rolled back by a person; the primary
/// tells.
fn judge_stopped(
    expected: &Expected,
    service: &ServiceFacts,
    deployment: &ServiceDeploymentFacts,
    reason: String,
) -> Judgement {
    match foreign_primary(expected, service) {
        Some(_) if deployment.rollback_revision_arn.is_some() && is_previous(expected, service) => {
            Judgement::RolledBack { reason }
        }
        Some(by) => Judgement::ForeignChange { by },
        None => Judgement::Failed { reason },
    }
}

/// What is primary, when it is not our revision.
fn foreign_primary(expected: &Expected, service: &ServiceFacts) -> Option<String> {
    let primary = service
        .primary()
        .filter(|primary| primary.task_definition_arn != expected.task_definition_arn)?;
    Some(primary.describe())
}

fn is_previous(expected: &Expected, service: &ServiceFacts) -> bool {
    service.primary().map(|primary| &primary.task_definition_arn) == expected.previous_task_definition_arn.as_ref()
}

/// Whether a service that was proven still has the revision in force. One whose tasks are replaced or scaled meanwhile
/// has.
///
/// # Errors
/// What became of it, as the rest of a sentence.
pub fn still_in_force(task_definition_arn: &str, service: Option<&ServiceFacts>) -> Result<(), String> {
    let Some(service) = service else {
        return Err("somebody deleted the service".to_owned());
    };
    if service.status != "ACTIVE" {
        return Err(format!("the service became {}", service.status));
    }
    match service.primary() {
        Some(primary) if primary.task_definition_arn == task_definition_arn => Ok(()),
        Some(primary) => Err(format!("somebody else moved the service to {}", primary.describe())),
        None => Err("the service no longer has a deployment".to_owned()),
    }
}

/// A running task of our revision that runs a container of ours with another digest.
fn foreign_digest(expected: &Expected, task: &TaskFacts) -> Option<String> {
    is_running_ours(expected, task)
        .then(|| another_digest(&expected.digests, task))
        .flatten()
}

/// What a task shows that runs a container with another digest than those under which its image may show.
pub(crate) fn another_digest(digests: &BTreeMap<String, BTreeSet<String>>, task: &TaskFacts) -> Option<String> {
    digests.iter().find_map(|(name, digests)| {
        let seen = task.container(name)?.image_digest.as_ref()?;
        (!digests.contains(seen)).then(|| {
            format!(
                "task `{}` runs container `{name}` with `{seen}`, which is not of this release",
                task.task_arn
            )
        })
    })
}

fn runs_ours(expected: &Expected, task: &TaskFacts) -> bool {
    let is_proven = |(name, digests): (&String, &BTreeSet<String>)| {
        task.container(name)
            .and_then(|container| container.image_digest.as_ref())
            .is_some_and(|seen| digests.contains(seen))
    };
    is_running_ours(expected, task) && expected.digests.iter().all(is_proven)
}

fn is_running_ours(expected: &Expected, task: &TaskFacts) -> bool {
    task.last_status == "RUNNING" && task.task_definition_arn.as_deref() == Some(expected.task_definition_arn.as_str())
}

fn still_rolling(service: &ServiceFacts, missing: Vec<String>) -> Judgement {
    Judgement::StillRolling {
        missing,
        progress: service.deployments.clone(),
    }
}

fn reason(deployment: &ServiceDeploymentFacts) -> String {
    let mut said: Vec<String> = [&deployment.rollback_reason, &deployment.status_reason]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    // ECS often says the same in both places.
    said.dedup();
    if !deployment.triggered_alarms.is_empty() {
        said.push(format!("alarms `{}`", deployment.triggered_alarms.join("`, `")));
    }
    if let Some((failures, threshold)) = deployment.breaker.filter(|(failures, _)| *failures > 0) {
        said.push(format!(
            "{failures} of {threshold} failures that the circuit breaker allows"
        ));
    }
    if said.is_empty() {
        "ECS gives no reason".to_owned()
    } else {
        said.join("; ")
    }
}
