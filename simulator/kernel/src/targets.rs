//! The target groups of the simulated account, as far as ECS services use them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// How long a target that never passes is still being checked for the first time: two checks, 30 seconds apart, as a
/// target group with its default settings makes them.
const FIRST_CHECKS_LAST: SignedDuration = SignedDuration::from_secs(60);

/// What can be said of a container that a target group sends requests to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetCondition {
    /// It has not passed a health check yet.
    Starting,
    /// It passes its health checks.
    Passing,
    /// It does not pass them.
    Failing,
    /// Its task is on the way out.
    Leaving,
}

/// `TargetHealth`: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetHealth {
    /// `State`, such as `healthy`.
    pub state: &'static str,
    /// `Reason` and `Description`, which a healthy target does not have.
    pub reason_and_description: Option<(&'static str, &'static str)>,
}

/// A task's address in a target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The private IPv4 address of the task.
    pub address: String,
    /// The port of the container.
    pub port: u32,
    /// Where the task runs.
    pub availability_zone: String,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// How its container does.
    pub condition: TargetCondition,
}

impl Target {
    /// The health as the load balancer sees it.
    #[must_use]
    pub fn health(&self, now: Timestamp) -> TargetHealth {
        let is_new = now.duration_since(self.registered_at) < FIRST_CHECKS_LAST;
        let (state, reason_and_description) = match self.condition {
            TargetCondition::Passing => ("healthy", None),
            TargetCondition::Failing if !is_new => {
                ("unhealthy", Some(("Target.FailedHealthChecks", "Health checks failed")))
            }
            TargetCondition::Starting | TargetCondition::Failing => (
                "initial",
                Some(("Elb.InitialHealthChecking", "Initial health checks in progress")),
            ),
            TargetCondition::Leaving => (
                "draining",
                Some((
                    "Target.DeregistrationInProgress",
                    "Target deregistration is in progress",
                )),
            ),
        };
        TargetHealth {
            state,
            reason_and_description,
        }
    }
}

/// A target group that an ECS service has named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// The port of the container that was named with it first.
    pub port: u32,
    /// The targets by the id of their task and their port.
    pub targets: BTreeMap<(String, u32), Target>,
}

/// The target groups by ARN. A group exists from the moment at which an ECS service names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// The groups.
    pub groups: BTreeMap<String, TargetGroup>,
}

impl Targets {
    /// Lets a group exist.
    pub fn name(&mut self, group_arn: &str, port: u32) {
        self.groups.entry(group_arn.to_owned()).or_insert_with(|| TargetGroup {
            port,
            targets: BTreeMap::new(),
        });
    }

    /// Registers a task, or notes how it does. It stays registered since it was first.
    pub fn register(&mut self, group_arn: &str, task_id: &str, target: &Target) {
        let Some(group) = self.groups.get_mut(group_arn) else {
            return;
        };
        let known = group
            .targets
            .entry((task_id.to_owned(), target.port))
            .or_insert_with(|| target.clone());
        known.condition = target.condition;
    }

    /// Takes a task out of a group.
    pub fn deregister(&mut self, group_arn: &str, task_id: &str, port: u32) {
        if let Some(group) = self.groups.get_mut(group_arn) {
            group.targets.remove(&(task_id.to_owned(), port));
        }
    }
}
