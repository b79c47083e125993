//! Is there room for the tasks that come before those of the service that is replaced have gone?
//!
//! Fargate runs as many vCPU on demand at once as its quota says, and CloudWatch shows the quota and what of it is
//! used: that is what is looked at (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/monitoring-fargate-usage.html>). Whether Fargate has machines nobody can ask beforehand.

use serde_json::Value;

use super::preflight::Findings;
use super::{ObservedService, PlannedService, PlannedTask};
use crate::pipeline::{Hazard, ResolvedEnvironment};
use crate::words;

/// CPU units of one vCPU.
const UNITS_PER_VCPU: f64 = 1024.0;

/// How many vCPU Fargate may run on demand in the place of an environment, and how many it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FargateUsage {
    /// How many it runs, of everybody in the account.
    pub used_vcpus: f64,
    /// How many it may run.
    pub quota_vcpus: f64,
}

impl FargateUsage {
    fn free_vcpus(self) -> f64 {
        (self.quota_vcpus - self.used_vcpus).max(0.0)
    }
}

/// What the tasks of a service run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunsOn {
    /// Fargate, on demand.
    Fargate,
    /// Something else, by the name of the launch type or of the capacity provider.
    Other(String),
}

impl RunsOn {
    /// Reads a service of `DescribeServices`. A service without a strategy runs on its launch type, which is `EC2`
    /// where none is shown.
    #[must_use]
    pub fn of(service: &Value) -> Self {
        let strategy = service.get("capacityProviderStrategy").and_then(Value::as_array);
        let mut providers = strategy
            .into_iter()
            .flatten()
            .filter_map(|item| item.get("capacityProvider")?.as_str())
            .peekable();
        let other = if providers.peek().is_some() {
            providers.find(|provider| *provider != "FARGATE")
        } else {
            let launch_type = service.get("launchType").and_then(Value::as_str).unwrap_or("EC2");
            Some(launch_type).filter(|launch_type| *launch_type != "FARGATE")
        };
        other.map_or(Self::Fargate, |name| Self::Other(name.to_owned()))
    }
}

/// Whether the tasks find room that ECS starts when a service is updated. Where the quota cannot hold them beside those
/// that must stay, whatever else runs, nothing would move until the deadline. What others use is another number when
/// the rollout begins: where that leaves too little it is told, and the rollout waits.
pub(super) fn check_service(
    environment: &ResolvedEnvironment,
    planned: &PlannedService,
    live: &ObservedService,
    definition: &Value,
    usage: Option<FargateUsage>,
) -> Findings {
    let mut findings = Findings::default();
    let name = &planned.service;
    if let RunsOn::Other(on) = &live.runs_on {
        findings.notes.push(format!(
            "whether there is room for more tasks of `{name}` is not checked: they run on `{on}`"
        ));
        return findings;
    }
    let Some((usage, vcpus)) = usage.zip(vcpus_of(definition)) else {
        return findings;
    };
    let configuration = &planned.deployment_configuration;
    let desired = match live.facts.desired {
        0 => planned.start_count.map_or(0, u64::from),
        desired => desired,
    };
    let percentages = super::service::percentages(configuration);
    let is_rolling = super::service::is_rolling(configuration);
    let running = live.facts.running;
    // How many may come beside those that run, and how many there are at least while the first of them comes.
    let (more, at_once) = if is_rolling {
        let may_run = percentages.may_run(desired).max(desired);
        let stay = percentages.must_stay(desired).min(running);
        let more = may_run.saturating_sub(running);
        (more, stay.saturating_add(more.min(1)))
    } else {
        // The new revision stands in full beside the old one.
        (desired, running.saturating_add(desired))
    };
    let (fits, holds) = (whole(usage.free_vcpus() / vcpus), whole(usage.quota_vcpus / vcpus));
    if more <= fits {
        return findings;
    }
    let room = format!("{} and each task of `{name}` takes {}", said(usage), vcpus_text(vcpus));
    if at_once > holds {
        let tasks = words::counted(at_once, "task");
        let message = format!("{room}: {tasks} must run at once, and the quota holds {holds}");
        findings.add(environment, Hazard::NoCapacity, message, HELP);
    } else {
        findings.notes.push(format!(
            "{room}: there is room now for {fits} of the {more} tasks that may start beside those that run, so the rollout goes in smaller steps or waits"
        ));
    }
    findings
}

/// Whether a one-off task finds room. One that finds none at its moment is tried again, and fails the release in the
/// end.
pub(super) fn check_task(
    environment: &ResolvedEnvironment,
    task: &PlannedTask,
    definition: &Value,
    usage: Option<FargateUsage>,
) -> Findings {
    let mut findings = Findings::default();
    let on_fargate = usage.filter(|_| task.launch_type == "FARGATE");
    if let Some((usage, vcpus)) = on_fargate.zip(vcpus_of(definition))
        && vcpus > usage.free_vcpus()
    {
        let (said, takes) = (said(usage), vcpus_text(vcpus));
        let room = format!("{said} and the task `{}` takes {takes}", task.name);
        if vcpus > usage.quota_vcpus {
            findings.add(environment, Hazard::NoCapacity, room, HELP);
        } else {
            findings
                .notes
                .push(format!("{room}: there is no room for it now, and it is tried again"));
        }
    }
    findings
}

const HELP: &str = "stop what is not needed, or have the quota raised: `aws service-quotas request-service-quota-increase --service-code fargate \
                    --quota-code L-3032A538 --desired-value …`";

fn said(usage: FargateUsage) -> String {
    format!(
        "Fargate may run {} on demand at once and runs {},",
        vcpus_text(usage.quota_vcpus),
        vcpus_text(usage.used_vcpus)
    )
}

fn vcpus_text(vcpus: f64) -> String {
    format!("{vcpus} vCPU")
}

/// How often something finds room whole.
fn whole(times: f64) -> u64 {
    // Of more tasks than that no service consists: the quota of ECS is 5000.
    let most = u32::from(u16::MAX);
    let fits = |count: &u32| f64::from(*count) <= times;
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(&middle) { low = middle } else { high = middle - 1 }
    }
    u64::from(low)
}

/// The vCPU of a task, which Fargate takes of the task as a whole: in units, or in vCPU as a file may say it.
fn vcpus_of(definition: &Value) -> Option<f64> {
    let cpu = definition.get("cpu")?;
    let vcpus = match cpu.as_str() {
        Some(text) => match text.to_ascii_lowercase().strip_suffix("vcpu") {
            Some(vcpus) => vcpus.trim().parse().ok()?,
            None => text.trim().parse::<f64>().ok()? / UNITS_PER_VCPU,
        },
        None => cpu.as_f64()? / UNITS_PER_VCPU,
    };
    (vcpus > 0.0).then_some(vcpus)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_tasks_run_on_is_read_as_ecs_says_it() {
        let other = |name: &str| RunsOn::Other(name.to_owned());
        for (service, expected) in [
            (json!({"launchType": "FARGATE"}), RunsOn::Fargate),
            (json!({"launchType": "EXTERNAL"}), other("EXTERNAL")),
            (json!({}), other("EC2")),
            (
                json!({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}),
                RunsOn::Fargate,
            ),
            (
                json!({"capacityProviderStrategy": [{"capacityProvider": "FARGATE", "base": 1}, {"capacityProvider": "FARGATE_SPOT"}]}),
                other("FARGATE_SPOT"),
            ),
            (
                json!({"launchType": "FARGATE", "capacityProviderStrategy": [{"capacityProvider": "gpu"}]}),
                other("gpu"),
            ),
        ] {
            assert_eq!(RunsOn::of(&service), expected, "{service}");
        }
    }

    #[test]
    fn the_size_of_a_task_is_read_in_units_and_in_vcpu() {
        for (cpu, expected) in [
            (json!("256"), Some(0.25)),
            (json!(512), Some(0.5)),
            (json!(".5 vCPU"), Some(0.5)),
            (json!("2 vcpu"), Some(2.0)),
            (json!("many"), None),
            (json!(0), None),
            (Value::Null, None),
        ] {
            assert_eq!(vcpus_of(&json!({"cpu": cpu})), expected, "{cpu}");
        }
    }

    #[test]
    fn only_whole_tasks_find_room() {
        for (times, expected) in [
            (0.0, 0),
            (0.99, 0),
            (1.0, 1),
            (11.75, 11),
            (-3.0, 0),
            (f64::INFINITY, 65_535),
        ] {
            assert_eq!(whole(times), expected, "{times}");
        }
    }
}
