//! Tells what happens in a simulated account while it happens: pushes, the states of the machines, acts of the
//! deployer, tasks and services.

mod ecs;
mod line;
mod machines;

use std::collections::BTreeMap;

use serde_json::Value;
use simulator::{CallOutcome, CallRecord, World};

use crate::example::Example;
pub use line::{Line, Tone};

/// The operations by which the deployer changes something outside of its own tables.
const ACTS: [&str; 5] = [
    "RegisterTaskDefinition",
    "RunTask",
    "UpdateService",
    "StopTask",
    "StopServiceDeployment",
];

/// Remembers what was told already.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// The environment by the name of its cluster.
    environments: BTreeMap<String, String>,
    calls: usize,
    events: usize,
    machines: machines::Told,
    ecs: ecs::Told,
}

impl Walk {
    /// Begins now: nothing that has happened so far is told.
    #[must_use]
    pub fn new<'a>(examples: impl IntoIterator<Item = &'a Example>, world: &mut World) -> Self {
        let environments = examples.into_iter().flat_map(Example::clusters).collect();
        let mut walk = Self {
            environments,
            ..Self::default()
        };
        let _before = walk.look(world);
        walk
    }

    /// What has happened since the last look. To have the right times, look after every step of the world.
    pub fn look(&mut self, world: &mut World) -> Vec<Line> {
        let mut lines = Vec::new();
        self.look_at_events(world, &mut lines);
        self.machines.look(world, &mut lines);
        self.look_at_calls(world, &mut lines);
        lines
    }

    fn look_at_calls(&mut self, world: &World, lines: &mut Vec<Line>) {
        let acts =
            world.calls().iter().skip(self.calls).filter(|call| {
                call.function.is_some() && call.service == "ecs" && ACTS.contains(&call.operation.as_str())
            });
        for call in acts {
            let place = self.environment_of(call.input.get("cluster").and_then(Value::as_str));
            lines.push(Line {
                place: place.or_else(|| self.machines.environment()).unwrap_or_default(),
                ..act(call)
            });
        }
        self.calls = world.calls().len();
    }

    fn look_at_events(&mut self, world: &mut World, lines: &mut Vec<Line>) {
        let events: Vec<Value> = world.events().iter().skip(self.events).cloned().collect();
        self.events = world.events().len();
        for event in events {
            let line = match event.get("source").and_then(Value::as_str) {
                Some("aws.ecr") => push(&event, world),
                Some("aws.ecs") => {
                    let place = self.environment_of(ecs::cluster(&event));
                    let told = self.ecs.tell(&event, world);
                    lines.extend(told.into_iter().map(|line| Line {
                        place: place.clone().unwrap_or_default(),
                        ..line
                    }));
                    None
                }
                _ => None,
            };
            lines.extend(line);
        }
    }

    fn environment_of(&self, cluster: Option<&str>) -> Option<String> {
        let cluster = name(cluster?);
        Some(
            self.environments
                .get(cluster)
                .cloned()
                .unwrap_or_else(|| cluster.to_owned()),
        )
    }
}

/// An act of the deployer, as it was sent.
fn act(call: &CallRecord) -> Line {
    let text = |member: &str| call.input.get(member).and_then(Value::as_str).unwrap_or_default();
    let words = match call.operation.as_str() {
        "RegisterTaskDefinition" => format!("{} with {}", text("family"), images(&call.input)),
        "RunTask" => format!("{}  {}", name(text("taskDefinition")), command(&call.input)),
        "UpdateService" => format!("{} to {}", name(text("service")), name(text("taskDefinition"))),
        "StopTask" => format!("{}: {}", short(name(text("task"))), text("reason")),
        _ => format!("{} by {}", name(text("serviceDeploymentArn")), text("stopType")),
    };
    let (refused, tone) = match &call.outcome {
        CallOutcome::Success | CallOutcome::Open => (String::new(), Tone::Act),
        CallOutcome::Error { code, .. } => (format!("  answered {code}"), Tone::Bad),
        CallOutcome::Denied { action } => (format!("  denied: {action}"), Tone::Bad),
        CallOutcome::Lost | CallOutcome::NeverSent => ("  unanswered".to_owned(), Tone::Bad),
    };
    Line {
        at: call.at,
        place: String::new(),
        who: "call".to_owned(),
        text: format!("{}  {words}{refused}", call.operation),
        tone,
        state: false,
    }
}

/// The images of a task definition that are pinned by digest.
fn images(definition: &Value) -> String {
    let containers = definition
        .get("containerDefinitions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let images = containers.filter_map(|container| container.get("image")?.as_str());
    let pinned: Vec<String> = images
        .filter_map(|image| {
            let (repository, digest) = image.split_once("@sha256:")?;
            Some(format!("{}@sha256:{}", name(repository), digest.get(..12)?))
        })
        .collect();
    pinned.join(", ")
}

/// The command of a one-off task.
fn command(input: &Value) -> String {
    let overrides = input
        .pointer("/overrides/containerOverrides")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let words = overrides.filter_map(|container| container.get("command")?.as_array());
    let commands: Vec<String> = words
        .map(|words| words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        .collect();
    commands.join("; ")
}

fn push(event: &Value, world: &World) -> Option<Line> {
    let detail = |member: &str| event.get("detail")?.get(member)?.as_str();
    let digest = detail("image-digest")?;
    let is_push = detail("action-type") == Some("PUSH") && detail("result") == Some("SUCCESS");
    is_push.then(|| Line {
        at: world.now(),
        place: String::new(),
        who: "push".to_owned(),
        text: format!(
            "{}:{} is {}",
            detail("repository-name").unwrap_or_default(),
            detail("image-tag").unwrap_or("(no tag)"),
            digest.get(..19).unwrap_or(digest)
        ),
        tone: Tone::Act,
        state: false,
    })
}

/// The last part of an ARN.
fn name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// As many digits of an id as tell two apart by eye.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
