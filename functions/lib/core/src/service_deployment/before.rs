//! Compare before acting: `UpdateService` has no client token, so a repeat is recognised by what it finds.

use serde::{Deserialize, Serialize};

use super::ServiceFacts;
use crate::error::Failure;

/// What was there before the first call of a step, written down before it: after the call, ECS shows only what it put
/// there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Before {
    /// The primary deployment (`ecs-svc/…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecs_deployment_id: Option<String>,
    /// The newest service deployment that ECS listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_deployment_arn: Option<String>,
    /// Whether ECS called the rollout of the primary deployment complete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_completed: bool,
}

/// What a step wants a service to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The revision it shall run.
    pub task_definition_arn: String,
    /// The revision that it may run besides: the one that the plan found, or for a way back the one that the
    /// deployment brought. Whatever else it runs, somebody else put there. None where nothing is known of it.
    pub expected_task_definition_arn: Option<String>,
    /// How many tasks to start with where none are wanted now. With 0 such a service is refused: nothing would run, so
    /// nothing could be proven.
    pub start_count: u64,
}

/// What to do before a call of `UpdateService`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeforeUpdate {
    /// The wanted revision is primary already: no call.
    Adopt {
        /// The deployment that brings it (`ecs-svc/…`).
        ecs_deployment_id: String,
    },
    /// One call.
    Call {
        /// The desired count to send; none leaves it to whoever scales the service.
        desired_count: Option<u64>,
        /// Whether to force a new deployment: the same revision was primary before the step and its rollout had
        /// failed, and without force the call would do nothing. Safe to repeat, because a forced call that was
        /// made shows as another primary, which is then adopted.
        force_new_deployment: bool,
    },
    /// Somebody else moved the service since the plan was made: no call.
    Foreign {
        /// What is primary now.
        by: String,
    },
    /// Somebody deleted the service: no call.
    Deleted {
        /// `DRAINING`, `INACTIVE` or `MISSING`.
        status: String,
    },
    /// No call can help.
    Refuse(Failure),
}

/// Decides from what is observed, and from what was there `before` the step, whether bringing the service to `wanted`
/// needs a call.
pub fn before_update(observed: &ServiceFacts, wanted: &Wanted, before: &Before) -> BeforeUpdate {
    let service = &observed.service_arn;
    if observed.status != "ACTIVE" {
        return BeforeUpdate::Deleted {
            status: observed.status.clone(),
        };
    }
    if observed.controller != "ECS" {
        return BeforeUpdate::Refuse(Failure::refused(format!(
            "service `{service}` is deployed by the controller `{}`; only the controller `ECS` is supported",
            observed.controller
        )));
    }
    if let (Some(primary), Some(expected)) = (observed.primary(), &wanted.expected_task_definition_arn)
        && primary.task_definition_arn != wanted.task_definition_arn
        && primary.task_definition_arn != *expected
    {
        return BeforeUpdate::Foreign { by: primary.describe() };
    }
    if observed.desired == 0 && wanted.start_count == 0 {
        return BeforeUpdate::Refuse(Failure::refused(format!(
            "service `{service}` has the desired count 0, so nothing would be proven; set `start_count` in the pipeline or scale the service up"
        )));
    }
    let desired_count = (observed.desired == 0).then_some(wanted.start_count);
    let ours = observed
        .primary()
        .filter(|primary| primary.task_definition_arn == wanted.task_definition_arn);
    match ours {
        Some(primary) if primary.has_failed() && before.ecs_deployment_id.as_ref() == Some(&primary.id) => {
            BeforeUpdate::Call {
                desired_count,
                force_new_deployment: true,
            }
        }
        // One that is not from before the step is its own: that it failed is for the judge to say.
        Some(primary) if primary.has_failed() || desired_count.is_none() => BeforeUpdate::Adopt {
            ecs_deployment_id: primary.id.clone(),
        },
        Some(_) | None => BeforeUpdate::Call {
            desired_count,
            force_new_deployment: false,
        },
    }
}
