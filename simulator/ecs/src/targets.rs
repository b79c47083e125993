//! Tasks in the target groups of their services.

use serde_json::Value;
use simulator_kernel::{Kernel, Outcome, Target, TargetCondition};

use crate::containers::{Container, ContainerStatus, Health};
use crate::input::{list, number, text};
use crate::tasks::{Task, TaskStatus};

/// An entry of `loadBalancers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadBalanced {
    pub(crate) container: String,
    target_group: Option<String>,
    port: u32,
}

impl LoadBalanced {
    /// Those of the configuration of a service.
    pub(crate) fn of(configuration: &Value) -> Vec<Self> {
        let entries = list(configuration, "loadBalancers").iter().filter_map(|entry| {
            Some(Self {
                container: text(entry, "containerName")?.to_owned(),
                target_group: text(entry, "targetGroupArn").map(str::to_owned),
                port: number(entry, "containerPort").unwrap_or_default(),
            })
        });
        entries.collect()
    }

    /// Lets the target group exist.
    pub(crate) fn name(&self, kernel: &mut Kernel) {
        if let Some(group) = &self.target_group {
            kernel.targets.name(group, self.port);
        }
    }
}

impl Task {
    /// Tells the target groups how the task does.
    pub(crate) fn tell_targets(&self, kernel: &mut Kernel) {
        let Some(network) = &self.network else { return };
        for entry in &self.load_balanced {
            let Some(group) = &entry.target_group else { continue };
            let container = self
                .containers
                .iter()
                .find(|container| container.name == entry.container);
            match container.and_then(|container| self.condition(container)) {
                None => kernel.targets.deregister(group, &self.id, entry.port),
                Some(condition) => {
                    let target = Target {
                        address: network.address.clone(),
                        port: entry.port,
                        availability_zone: self.availability_zone.clone(),
                        registered_at: kernel.now(),
                        condition,
                    };
                    kernel.targets.register(group, &self.id, &target);
                }
            }
        }
    }

    /// Nothing while it is not a target.
    fn condition(&self, container: &Container) -> Option<TargetCondition> {
        match self.status {
            TaskStatus::Activating | TaskStatus::Running if self.is_wanted() => Some(match container.health {
                _ if container.status != ContainerStatus::Running => TargetCondition::Failing,
                Health::Healthy => TargetCondition::Passing,
                Health::Unhealthy => TargetCondition::Failing,
                Health::Unknown if container.program.outcome == Outcome::Unhealthy => TargetCondition::Failing,
                Health::Unknown => TargetCondition::Starting,
            }),
            TaskStatus::Activating | TaskStatus::Running | TaskStatus::Deactivating => Some(TargetCondition::Leaving),
            _ => None,
        }
    }
}
