//! What a run left behind, read from the calls that were made, from ECS and from the events: what the invariants are
//! held against.

use std::collections::BTreeMap;

use esclusa_adapters::control::rows::DeploymentRow;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulator::{CallOutcome, CallRecord, plain_item};

use super::Shop;

/// The operations by which the deployer changes something, with their services.
const ACTS: [(&str, &str); 9] = [
    ("ecs", "RegisterTaskDefinition"),
    ("ecs", "RunTask"),
    ("ecs", "StopTask"),
    ("ecs", "UpdateService"),
    ("ecs", "StopServiceDeployment"),
    ("application-autoscaling", "RegisterScalableTarget"),
    ("application-autoscaling", "PutScalingPolicy"),
    ("rds", "CreateDBSnapshot"),
    ("rds", "CreateDBClusterSnapshot"),
];

/// One act of the deployer that had its effect, or may have had it.
pub(super) struct Act {
    pub(super) at: Timestamp,
    pub(super) deployment_id: String,
    /// The application and the environment of the deployment.
    pub(super) place: (String, String),
    pub(super) operation: String,
    pub(super) started_by: String,
    /// In which direction the deployment went.
    pub(super) mode: String,
    /// The revision that is run.
    pub(super) task_definition: String,
}

/// What somebody said about a plan.
pub(super) struct Voted {
    pub(super) at: Timestamp,
    /// The release and the environment, as in `RELEASE#ENVIRONMENT`.
    pub(super) about: String,
    pub(super) plan_hash: String,
    pub(super) principal: String,
    pub(super) approves: bool,
}

/// When what was written down was written, by the clock of the world.
#[derive(Default)]
pub(super) struct Written {
    /// The end of each deployment.
    pub(super) ends: BTreeMap<String, Timestamp>,
    /// When the verification of each deployment passed.
    pub(super) verified: BTreeMap<String, Timestamp>,
    /// When a person stopped a release.
    pub(super) stops: BTreeMap<String, Timestamp>,
    /// When a freeze began, and when it was lifted.
    pub(super) freezes: BTreeMap<String, (Timestamp, Option<Timestamp>)>,
    /// When each hold of a release began, and when it is over: by its own time, or because it was lifted.
    pub(super) holds: BTreeMap<(String, String), (Timestamp, Option<Timestamp>)>,
    /// When each pin of the last environment began, when it was lifted, and to which digests.
    pub(super) pins: BTreeMap<String, (Timestamp, Option<Timestamp>, String)>,
    /// When what a release asks for in an environment was acknowledged, as in `RELEASE#ENVIRONMENT`.
    pub(super) acknowledged: BTreeMap<String, Timestamp>,
    /// What looking at a verified deployment once more came to: whether it works.
    pub(super) rechecked: Vec<(Timestamp, String, bool)>,
    /// When each deployment had its locks.
    pub(super) locked: BTreeMap<String, Timestamp>,
    /// When it was decided under its locks that a deployment is carried out.
    pub(super) decided: BTreeMap<String, Timestamp>,
    /// What people said about what was to come.
    pub(super) votes: Vec<Voted>,
    /// The intents of each deployment, with what they announce.
    pub(super) intents: BTreeMap<String, Vec<(Timestamp, String)>>,
}

impl Written {
    /// Whether a deployment had announced this operation by then.
    pub(super) fn announced(&self, act: &Act, by: Timestamp) -> bool {
        let intents = self.intents.get(&act.deployment_id).into_iter().flatten();
        intents
            .filter(|(at, _)| *at <= by)
            .any(|(_, intent)| intent.contains(&act.operation))
    }
}

/// The application and the environment of a deployment.
pub(super) fn place_of(deployment: &DeploymentRow) -> (String, String) {
    (deployment.application.clone(), deployment.environment.clone())
}

/// What was written to the tables, and when, from the calls that wrote it.
pub(super) fn written(shop: &Shop) -> Written {
    let mut written = Written::default();
    let calls = shop.lab.world().calls().iter().skip(shop.calls_before);
    for call in calls.filter(|call| call.operation == "TransactWriteItems" && has_effect(call)) {
        let items = call.input.get("TransactItems").and_then(Value::as_array);
        for item in items.into_iter().flatten().filter_map(|item| item.pointer("/Put/Item")) {
            let id = || text(item, "/deployment_id/S").to_owned();
            if text(item, "/kind/S") == "intent" {
                let intents = written.intents.entry(id()).or_default();
                intents.push((call.at, item.to_string()));
            } else if text(item, "/kind/S") == "checks_measured" && text(item, "/body/S").contains("\"end\":\"passed\"")
            {
                written.verified.entry(id()).or_insert(call.at);
            } else if text(item, "/kind/S") == "lock_acquired" {
                written.locked.entry(id()).or_insert(call.at);
            } else if text(item, "/sk/S") == "PLAN" && item.get("plan_hash").is_some() {
                let deployment = text(item, "/pk/S").trim_start_matches("DEPLOYMENT#");
                written.decided.entry(deployment.to_owned()).or_insert(call.at);
            } else if text(item, "/kind/S") == "rechecked" {
                let holds = text(item, "/body/S").contains("\"holds\":true");
                written.rechecked.push((call.at, id(), holds));
            } else if text(item, "/sk/S") == "STOP" {
                let release = text(item, "/pk/S").trim_start_matches("ORDERS#");
                written.stops.entry(release.to_owned()).or_insert(call.at);
            } else if text(item, "/sk/S") == "HOLD" {
                let release = text(item, "/pk/S").trim_start_matches("ORDERS#").to_owned();
                let hold = written.holds.entry((release, text(item, "/since/S").to_owned()));
                let until = text(item, "/until/S").parse().ok();
                let hold = hold.or_insert((call.at, until));
                if item.get("lifted").is_some() {
                    hold.1 = hold.1.min(Some(call.at)).or(Some(call.at));
                }
            } else if text(item, "/pk/S").starts_with("PINS#") {
                let pin = written.pins.entry(text(item, "/since/S").to_owned());
                let pin =
                    pin.or_insert_with(|| (call.at, None, item.pointer("/digests").unwrap_or_default().to_string()));
                if item.get("lifted").is_some() {
                    pin.1 = Some(call.at);
                }
            } else if let Some(about) = text(item, "/pk/S").strip_prefix("ACKNOWLEDGEMENTS#") {
                written.acknowledged.entry(about.to_owned()).or_insert(call.at);
            } else if let Some(about) = text(item, "/pk/S").strip_prefix("VOTES#") {
                written.votes.push(Voted {
                    at: call.at,
                    about: about.to_owned(),
                    plan_hash: text(item, "/plan_hash/S").to_owned(),
                    principal: text(item, "/principal/S").to_owned(),
                    approves: item.pointer("/approves/BOOL") == Some(&Value::Bool(true)),
                });
            } else if text(item, "/pk/S").starts_with("FREEZES#") {
                let freeze = written.freezes.entry(text(item, "/sk/S").to_owned());
                let freeze = freeze.or_insert((call.at, None));
                if item.get("lifted").is_some() {
                    freeze.1 = Some(call.at);
                }
            } else if text(item, "/sk/S") == "DEPLOYMENT" && text(item, "/progress/S") == "ENDED" {
                written.ends.entry(id()).or_insert(call.at);
            }
        }
    }
    written
}

/// Whether a call has changed what it was to change.
fn has_effect(call: &CallRecord) -> bool {
    match &call.outcome {
        CallOutcome::Success | CallOutcome::Lost => true,
        CallOutcome::Error { effect, .. } => *effect,
        CallOutcome::Open | CallOutcome::Denied { .. } | CallOutcome::NeverSent => false,
    }
}

/// The acts of the deployer, in the order in which they had their effect.
pub(super) fn acts(shop: &Shop, deployments: &[DeploymentRow]) -> Vec<Act> {
    let world = shop.lab.world();
    let is_act = |call: &&CallRecord| ACTS.contains(&(call.service.as_str(), call.operation.as_str()));
    let calls = world.calls().iter().skip(shop.calls_before);
    calls
        .filter(is_act)
        .filter(|call| has_effect(call))
        .filter_map(|call| {
            let payload = world.payload(call.invocation?)?;
            let deployment_id = text(payload, "/deploymentId");
            // A sweep acts for deployments that have ended.
            if deployment_id.is_empty() {
                return None;
            }
            let deployment = deployments.iter().find(|row| row.deployment_id == deployment_id);
            Some(Act {
                at: call.at,
                deployment_id: deployment_id.to_owned(),
                place: deployment.map(place_of).unwrap_or_default(),
                operation: call.operation.clone(),
                started_by: text(&call.input, "/startedBy").to_owned(),
                mode: text(payload, "/step/mode").to_owned(),
                task_definition: text(&call.input, "/taskDefinition").to_owned(),
            })
        })
        .collect()
}

/// A migration as ECS told of it.
#[derive(Default)]
pub(super) struct Migration {
    pub(super) cluster: String,
    pub(super) started_by: String,
    pub(super) started_at: Option<Timestamp>,
    pub(super) stopped_at: Option<Timestamp>,
    pub(super) exit_code: Option<i64>,
}

/// The migrations that ECS has told of, by task.
pub(super) fn migrations(shop: &Shop) -> BTreeMap<String, Migration> {
    let mut tasks: BTreeMap<String, Migration> = BTreeMap::new();
    for event in shop.lab.world().events().iter().skip(shop.events_before) {
        let family = format!("/{}:", Shop::MIGRATIONS);
        if text(event, "/detail-type") != "ECS Task State Change"
            || !text(event, "/detail/taskDefinitionArn").contains(&family)
        {
            continue;
        }
        let task = tasks.entry(text(event, "/detail/taskArn").to_owned()).or_default();
        text(event, "/detail/clusterArn").clone_into(&mut task.cluster);
        text(event, "/detail/startedBy").clone_into(&mut task.started_by);
        let moment = |pointer: &str| text(event, pointer).parse::<Timestamp>().ok();
        task.started_at = task.started_at.or_else(|| moment("/detail/startedAt"));
        task.stopped_at = task.stopped_at.or_else(|| moment("/detail/executionStoppedAt"));
        let exit_code = event.pointer("/detail/containers/0/exitCode").and_then(Value::as_i64);
        task.exit_code = task.exit_code.or(exit_code);
    }
    tasks
}

/// The digest of the first image that a revision runs; empty where it is none of a registry that names digests.
pub(super) fn image_of(shop: &mut Shop, task_definition: &str) -> String {
    let described = shop.ask(
        "ecs",
        "DescribeTaskDefinition",
        json!({"taskDefinition": task_definition}),
    );
    let described = described.unwrap_or_default();
    let image = text(&described, "/taskDefinition/containerDefinitions/0/image");
    image
        .split_once('@')
        .map(|(_, digest)| digest.to_owned())
        .unwrap_or_default()
}

/// The digests that the running tasks of a service report.
pub(super) fn running(shop: &mut Shop, cluster: &str, service: &str) -> Vec<String> {
    let listed = shop.ask("ecs", "ListTasks", json!({"cluster": cluster, "serviceName": service}));
    let arns = listed.map(|listed| listed.get("taskArns").cloned().unwrap_or_default());
    let described = shop.ask(
        "ecs",
        "DescribeTasks",
        json!({"cluster": cluster, "tasks": arns.unwrap_or_default()}),
    );
    let tasks = described
        .ok()
        .and_then(|described| described.get("tasks")?.as_array().cloned());
    let digest = |task: &Value| match text(task, "/containers/0/imageDigest") {
        "" => "unknown".to_owned(),
        digest => digest.to_owned(),
    };
    tasks.unwrap_or_default().iter().map(digest).collect()
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn rows<T: DeserializeOwned>(control: &[Value], sk: &str) -> Vec<T> {
    let rows = control.iter().map(plain_item).filter(|row| text(row, "/sk") == sk);
    rows.filter_map(|row| serde_json::from_value(row).ok()).collect()
}
