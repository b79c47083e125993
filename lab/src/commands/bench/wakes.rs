//! How soon an execution goes on after what it waits for has happened, and what finding that out costs: by events, and
//! by a waiter that polls, of the same deployment.

use jiff::{SignedDuration, Timestamp};
use lab::Lab;
use lab::example::Example;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::{Settings, World};

use super::EXAMPLE;
use crate::commands::CommandError;
use crate::commands::page::Page;

/// How many images are pushed.
const RELEASES: u32 = 5;

/// How often the stock waiters of the AWS clients ask: `tasks-stopped` of ECS, and `services-stable`.
/// <https://docs.aws.amazon.com/cli/latest/reference/ecs/wait/>
const TASK_POLL: SignedDuration = SignedDuration::from_secs(6);
const SERVICE_POLL: SignedDuration = SignedDuration::from_secs(15);

/// One wait of a state machine.
#[derive(Debug, Clone)]
struct Wait {
    /// The ARN of what is waited for.
    resource: String,
    began: Timestamp,
    /// When what was waited for has happened.
    over: Timestamp,
    /// When the execution went on.
    resumed: Timestamp,
}

/// Measures and prints.
pub(super) fn print(page: &mut Page) -> Result<(), CommandError> {
    let example = Example::load(EXAMPLE)?;
    let mut lab = Lab::with_example(&Settings::default(), &example)?;
    lab.simulation().run_for(SignedDuration::from_mins(5));
    for number in 1..=RELEASES {
        lab.push_example(&example, "app", &format!("v1.{number}.0"), Kind::Good)?;
        lab.settle();
    }
    page.heading(
        "From what is waited for to the execution that goes on: by an event, and by a stock waiter that polls",
    )?;
    page.faint("  waits         by event      polled      ratio    calls of ECS: by event      polled      ratio")?;
    for (name, state, poll) in [
        ("tasks", "AwaitTask", TASK_POLL),
        ("services", "AwaitService", SERVICE_POLL),
    ] {
        let waits = waits(&mut lab, state)?;
        let by_event: f64 = waits.iter().map(|wait| seconds(wait.over, wait.resumed)).sum();
        let polled: Vec<(f64, f64)> = waits.iter().map(|wait| polled(wait, poll)).collect();
        let late: f64 = polled.iter().map(|(late, _)| late).sum();
        let polls: f64 = polled.iter().map(|(_, polls)| polls).sum();
        let count = u32::try_from(waits.len()).map_or(f64::NAN, f64::from);
        let asked: usize = waits.iter().map(|wait| looks(lab.world(), wait)).sum();
        let asked = u32::try_from(asked).map_or(f64::NAN, f64::from);
        page.text(format_args!(
            "  {name:<10}{:>9.2} s{:>10.2} s{:>11.2}{:>26.1}{:>12.1}{:>11.2}",
            by_event / count,
            late / count,
            by_event / late,
            asked / count,
            polls / count,
            asked / polls,
        ))?;
    }
    Ok(())
}

/// How often the function that waits asked ECS about what is waited for, in its sweeps too.
fn looks(world: &World, wait: &Wait) -> usize {
    // Service deployments are named by their service.
    let name = wait.resource.split_once('/').map_or("", |(_, name)| name);
    let calls = world.calls().iter();
    let looks = calls.filter(|call| call.service == "ecs" && call.function.as_deref() == Some("esclusa-resume"));
    let during = looks.filter(|call| (wait.began..=wait.resumed).contains(&call.at));
    during.filter(|call| call.input.to_string().contains(name)).count()
}

/// What a waiter makes of a wait that asks at once and then again and again: how late it finds out, in seconds, and how
/// often it has asked.
fn polled(wait: &Wait, every: SignedDuration) -> (f64, f64) {
    let mut asks = 1.0;
    let mut at = wait.began;
    while at < wait.over {
        at = at.saturating_add(every).unwrap_or(Timestamp::MAX);
        asks += 1.0;
    }
    (seconds(wait.over, at), asks)
}

/// The waits of all executions in a state, as their histories and ECS tell of them.
fn waits(lab: &mut Lab, state: &str) -> Result<Vec<Wait>, CommandError> {
    let mut waits = Vec::new();
    for execution in lab.executions("deployment") {
        let arn = format!("arn:aws:states:us-east-1:123456789012:execution:esclusa-deployment:{execution}");
        let input = json!({"executionArn": arn, "maxResults": 1_000, "includeExecutionData": true});
        let history = lab.world_mut().administer("states", "GetExecutionHistory", input)?;
        let events = history
            .get("events")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut began = None;
        for event in &events {
            if event
                .pointer("/stateEnteredEventDetails/name")
                .is_some_and(|name| name == state)
            {
                began = moment(event.get("timestamp"));
            }
            let completed = event
                .pointer("/taskSucceededEventDetails/output")
                .and_then(Value::as_str);
            let Some((began, output)) = completed.and_then(|output| Some((began.take()?, output))) else {
                continue;
            };
            let output: Value = serde_json::from_str(output).unwrap_or_default();
            let resource = output.get("resourceArn").and_then(Value::as_str).unwrap_or_default();
            let resumed = moment(event.get("timestamp"));
            let over = resumed
                .and_then(|resumed| over(lab, resource, resumed).transpose())
                .transpose()?;
            if let (Some(resumed), Some(over)) = (resumed, over) {
                waits.push(Wait {
                    resource: resource.to_owned(),
                    began,
                    over: over.max(began),
                    resumed,
                });
            }
        }
    }
    if waits.is_empty() {
        return Err(CommandError::Refused(format!("no execution waited in `{state}`")));
    }
    Ok(waits)
}

/// When a task had stopped, or the last rollout of a service before a moment was over.
fn over(lab: &mut Lab, resource: &str, before: Timestamp) -> Result<Option<Timestamp>, CommandError> {
    let world = lab.world_mut();
    let cluster = resource.split('/').nth(1).unwrap_or_default();
    if resource.contains(":task/") {
        let input = json!({"cluster": cluster, "tasks": [resource]});
        let described = world.administer("ecs", "DescribeTasks", input)?;
        return Ok(moment(described.pointer("/tasks/0/stoppedAt")));
    }
    let input = json!({"cluster": cluster, "service": resource});
    let listed = world.administer("ecs", "ListServiceDeployments", input)?;
    let finished = listed
        .get("serviceDeployments")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let finished = finished.filter_map(|deployment| moment(deployment.get("finishedAt")));
    Ok(finished.filter(|finished| *finished <= before).max())
}

/// A moment as the protocols of AWS write it: seconds, with a fraction.
fn moment(value: Option<&Value>) -> Option<Timestamp> {
    let seconds = value?.as_f64()?;
    let since = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since).ok()
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
