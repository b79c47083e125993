//! Tasks and services, from the events that ECS puts on the bus.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use simulator::World;
use simulator::kernel::LogEvent;

use super::{Line, Tone, name, short};

/// What was told last about every task and service.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    tasks: BTreeMap<String, String>,
    counts: BTreeMap<String, String>,
}

/// The name of the cluster that an event is about: in the detail, or in the ARN of the service,
/// `…:service/{cluster}/{service}`.
pub(super) fn cluster(event: &Value) -> Option<&str> {
    let detail = event.pointer("/detail/clusterArn").and_then(Value::as_str).map(name);
    detail.or_else(|| {
        event
            .pointer("/resources/0")?
            .as_str()?
            .split_once(":service/")?
            .1
            .split('/')
            .next()
    })
}

impl Told {
    pub(super) fn tell(&mut self, event: &Value, world: &mut World) -> Vec<Line> {
        let kind = event.get("detail-type").and_then(Value::as_str).unwrap_or_default();
        let mut lines = Vec::new();
        match kind {
            "ECS Task State Change" => {
                lines.extend(self.task(event, world));
                let service = event
                    .pointer("/detail/group")
                    .and_then(Value::as_str)
                    .and_then(|group| group.strip_prefix("service:"));
                let cluster = event.pointer("/detail/clusterArn").and_then(Value::as_str);
                if let Some((service, cluster)) = service.zip(cluster) {
                    lines.extend(self.counts(cluster, service, world));
                }
            }
            "ECS Deployment State Change" => lines.push(rollout(event, world)),
            _ => {}
        }
        lines
    }

    fn task(&mut self, event: &Value, world: &World) -> Option<Line> {
        let detail = event.get("detail")?;
        let text = |member: &str| detail.get(member).and_then(Value::as_str);
        let (arn, status) = (text("taskArn")?, text("lastStatus")?);
        if self.tasks.insert(arn.to_owned(), status.to_owned()).as_deref() == Some(status) {
            return None;
        }
        let definition = name(text("taskDefinitionArn")?);
        let (end, failed) = if status == "STOPPED" {
            stopped(detail)
        } else {
            (String::new(), false)
        };
        let log = if failed {
            last_words(world, name(arn))
        } else {
            String::new()
        };
        let tone = match status {
            _ if failed => Tone::Bad,
            "RUNNING" => Tone::Good,
            _ => Tone::Plain,
        };
        Some(Line {
            at: world.now(),
            place: String::new(),
            who: format!("task {}", short(name(arn))),
            text: format!("{status:<14} {definition}{end}{log}"),
            tone,
            state: false,
        })
    }

    /// Running, starting and desired tasks of each deployment of a service, when they are others than before.
    fn counts(&mut self, cluster: &str, service: &str, world: &mut World) -> Option<Line> {
        let input = json!({"cluster": cluster, "services": [service]});
        let described = world.administer("ecs", "DescribeServices", input).ok()?;
        let deployments = described.pointer("/services/0/deployments")?.as_array()?;
        let counts: Vec<String> = deployments.iter().filter_map(deployment).collect();
        let counts = counts.join("; ");
        let told = self.counts.insert(format!("{cluster}/{service}"), counts.clone());
        (told.as_deref() != Some(&counts)).then(|| Line {
            at: world.now(),
            place: String::new(),
            who: "service".to_owned(),
            text: format!("{service}: {counts}"),
            tone: Tone::Plain,
            state: false,
        })
    }
}

/// One deployment of a service: what it is, its task definition, its tasks.
fn deployment(deployment: &Value) -> Option<String> {
    let text = |member: &str| deployment.get(member).and_then(Value::as_str);
    let number = |member: &str| deployment.get(member).and_then(Value::as_i64).unwrap_or_default();
    let pending = match number("pendingCount") {
        0 => String::new(),
        pending => format!(", {pending} starting"),
    };
    let failed = match number("failedTasks") {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let running = match (number("runningCount"), number("desiredCount")) {
        (running, 0) => format!("{running} still running"),
        (running, desired) => format!("{running} of {desired} running"),
    };
    Some(format!(
        "{} {} {running}{pending}{failed}",
        text("status")?,
        name(text("taskDefinition")?)
    ))
}

/// Why a task stopped, and whether that is a failure.
fn stopped(detail: &Value) -> (String, bool) {
    let containers = detail.get("containers").and_then(Value::as_array).into_iter().flatten();
    let codes: Vec<i64> = containers
        .filter_map(|container| container.get("exitCode")?.as_i64())
        .collect();
    let texts: Vec<String> = codes.iter().map(i64::to_string).collect();
    let code = if texts.is_empty() {
        ", no exit code".to_owned()
    } else {
        format!(", exit code {}", texts.join(" and "))
    };
    let reason = detail
        .get("stoppedReason")
        .and_then(Value::as_str)
        .map(|reason| format!(": {reason}"));
    let by_scheduler = detail.get("stopCode").and_then(Value::as_str) == Some("ServiceSchedulerInitiated");
    let failed = !by_scheduler && (texts.is_empty() || codes.iter().any(|code| *code != 0));
    (format!("{code}{}", reason.unwrap_or_default()), failed)
}

/// The last line that a container of the task wrote.
fn last_words(world: &World, task: &str) -> String {
    let streams = world.kernel().logs.groups.values().flatten();
    let lines = streams
        .filter(|(stream, _)| stream.ends_with(task))
        .filter_map(|(_, events)| events.last());
    let last = lines.max_by_key(|event: &&LogEvent| event.at);
    last.map(|event| format!("; last words: {}", event.message))
        .unwrap_or_default()
}

/// A rollout began, came to its end, or failed.
fn rollout(event: &Value, world: &World) -> Line {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (state, reason) = (
        text("/detail/eventName").trim_start_matches("SERVICE_DEPLOYMENT_"),
        text("/detail/reason"),
    );
    let said = match state {
        "COMPLETED" => format!("COMPLETED ({})", text("/detail/deploymentId")),
        "IN_PROGRESS" if !reason.contains("circuit breaker") => {
            format!("IN PROGRESS ({})", text("/detail/deploymentId"))
        }
        _ => format!("{}: {reason}", state.replace('_', " ")),
    };
    Line {
        at: world.now(),
        place: String::new(),
        who: "service".to_owned(),
        text: format!("{}: rollout {said}", name(text("/resources/0"))),
        tone: match state {
            "COMPLETED" => Tone::Good,
            "FAILED" => Tone::Bad,
            _ => Tone::Plain,
        },
        state: false,
    }
}
