//! How many vCPU Fargate runs on demand, and the quota of that.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/monitoring-fargate-usage.html>

use serde_json::Value;
use simulator_kernel::{Kernel, Metric, Usage};

use crate::Ecs;
use crate::lifecycle::Launch;
use crate::tasks::Task;

/// What ECS says when the quota leaves no room.
pub(crate) const VCPU_LIMIT: &str = "You've reached the limit on the number of vCPUs you can run concurrently";

/// CPU units of one vCPU.
const UNITS_PER_VCPU: u32 = 1024;

impl Ecs {
    /// How many tasks more the quota has room for, of those that a launch starts.
    pub(crate) fn room_for(&self, launch: &Launch) -> u32 {
        if !is_on_demand(launch.capacity_provider.as_deref()) {
            return u32::MAX;
        }
        let of_definition = || self.task_definitions.find(&launch.definition_arn)?.content.get("cpu");
        let each = launch.overrides.get("cpu").or_else(of_definition).map_or(256, units);
        let quota = self.settings.fargate_vcpus.saturating_mul(UNITS_PER_VCPU);
        quota
            .saturating_sub(self.used_units())
            .checked_div(each)
            .unwrap_or(u32::MAX)
    }

    fn used_units(&self) -> u32 {
        let running = self.tasks.values().filter(|task| task.counts());
        running.fold(0, |sum, task| sum.saturating_add(units(&task.cpu)))
    }

    /// Shows what is used, where it is another number than before.
    pub(crate) fn publish_usage(&mut self, kernel: &mut Kernel) {
        let now = (self.used_units(), self.settings.fargate_vcpus);
        if self.published == Some(now) {
            return;
        }
        self.published = Some(now);
        let dimensions = [
            ("Service", "Fargate"),
            ("Type", "Resource"),
            ("Resource", "vCPU"),
            ("Class", "Standard/OnDemand"),
        ];
        let metric = Metric {
            namespace: "AWS/Usage".to_owned(),
            name: "ResourceCount".to_owned(),
            dimensions: dimensions
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        let usage = Usage {
            used: f64::from(now.0) / f64::from(UNITS_PER_VCPU),
            quota: f64::from(now.1),
        };
        kernel.metrics.use_of_quota(metric, usage);
    }
}

impl Task {
    fn counts(&self) -> bool {
        !self.is_stopped() && is_on_demand(self.capacity_provider.as_deref())
    }
}

fn is_on_demand(capacity_provider: Option<&str>) -> bool {
    capacity_provider.is_none_or(|provider| provider == "FARGATE")
}

fn units(cpu: &Value) -> u32 {
    let number = cpu.as_u64().and_then(|units| u32::try_from(units).ok());
    number.or_else(|| cpu.as_str()?.parse().ok()).unwrap_or_default()
}
