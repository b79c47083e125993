//! How soon an execution goes on after what it waits for has happened, and what finding that out costs: by events, and
//! by waiters that poll beside it, of the same deployment.

use jiff::{SignedDuration, Timestamp};
use lab::Lab;
use lab::example::Example;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::{CallOutcome, CallRecord, Settings, World};

use super::{EXAMPLE, is_over};
use crate::commands::CommandError;
use crate::commands::page::Page;

/// How many images are pushed whose waits are measured. One is pushed before them: services that have run nothing have
/// one deployment at once, with which a stock waiter is content.
const RELEASES: usize = 5;

/// A release is over long before.
const PATIENCE: SignedDuration = SignedDuration::from_hours(6);

/// A stock waiter of the AWS clients. <https://docs.aws.amazon.com/cli/latest/reference/ecs/wait/>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stock {
    /// Until a task has stopped.
    TasksStopped,
    /// Until a service has one deployment and runs what it should.
    ServicesStable,
}

impl Stock {
    /// What somebody who made a call waits with.
    fn after(operation: &str) -> Option<Self> {
        match operation {
            "RunTask" => Some(Self::TasksStopped),
            "UpdateService" => Some(Self::ServicesStable),
            _ => None,
        }
    }

    /// How often it asks.
    fn every(self) -> SignedDuration {
        SignedDuration::from_secs(match self {
            Self::TasksStopped => 6,
            Self::ServicesStable => 15,
        })
    }

    /// Asks once whether it is over.
    fn is_over(self, world: &mut World, cluster: &str, resource: &str) -> Result<bool, CommandError> {
        match self {
            Self::TasksStopped => {
                let input = json!({"cluster": cluster, "tasks": [resource]});
                let described = world.administer("ecs", "DescribeTasks", input)?;
                let status = described.pointer("/tasks/0/lastStatus");
                Ok(status.is_some_and(|status| status == "STOPPED"))
            }
            Self::ServicesStable => {
                let input = json!({"cluster": cluster, "services": [resource]});
                let described = world.administer("ecs", "DescribeServices", input)?;
                let count = |name: &str| described.pointer(&format!("/services/0/{name}"));
                let deployments = count("deployments").and_then(Value::as_array);
                Ok(deployments.is_some_and(|all| all.len() == 1) && count("runningCount") == count("desiredCount"))
            }
        }
    }
}

/// A stock waiter that was started when a function had made the call.
#[derive(Debug, Clone)]
struct Waiter {
    stock: Stock,
    cluster: String,
    /// The service, or the task: who has started it until its ARN is known.
    resource: String,
    began: Timestamp,
    next: Timestamp,
    asked: u32,
    /// When it found that it is over.
    found: Option<Timestamp>,
}

impl Waiter {
    /// Whether it waits for this, which is named by its ARN.
    fn is_for(&self, arn: &str) -> bool {
        match self.stock {
            Stock::TasksStopped => self.resource == arn,
            Stock::ServicesStable => {
                arn.ends_with(&format!(":service/{}/{}", last(&self.cluster), last(&self.resource)))
            }
        }
    }

    fn asks(&mut self, world: &mut World) -> Result<(), CommandError> {
        let now = world.now();
        if let Some(task) = task_of(world, &self.resource) {
            self.resource = task;
        }
        self.asked += 1;
        if self.stock.is_over(world, &self.cluster, &self.resource)? {
            self.found = Some(now);
        }
        self.next = now.saturating_add(self.stock.every()).unwrap_or(Timestamp::MAX);
        Ok(())
    }
}

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
    lab.push_example(&example, "app", "v1.0.0", Kind::Good)?;
    lab.settle();
    let began = lab.world().now();
    let mut waiters = Vec::new();
    for number in 1..=RELEASES {
        let from = lab.world().calls().len();
        lab.push_example(&example, "app", &format!("v1.{number}.0"), Kind::Good)?;
        waiters.extend(settle_with_waiters(&mut lab, number + 1, from)?);
    }
    page.heading(
        "From what is waited for to the execution that goes on: by an event, and to a stock waiter that polls beside it",
    )?;
    page.faint("  waits         by event      polled      ratio    calls of ECS: by event      polled      ratio")?;
    for (name, state, stock) in [
        ("tasks", "AwaitTask", Stock::TasksStopped),
        ("services", "AwaitService", Stock::ServicesStable),
    ] {
        let mut waits = waits(&mut lab, state)?;
        waits.retain(|wait| wait.began >= began);
        let (mut by_event, mut polled, mut looked, mut asked) = (0.0, 0.0, 0.0, 0.0);
        for wait in &waits {
            let (found, asks) = beside(wait, stock, &waiters)?;
            by_event += seconds(wait.over, wait.resumed);
            polled += seconds(wait.over, found);
            looked += u32::try_from(looks(lab.world(), wait)).map_or(f64::NAN, f64::from);
            asked += f64::from(asks);
        }
        let count = u32::try_from(waits.len()).map_or(f64::NAN, f64::from);
        page.text(format_args!(
            "  {name:<10}{:>9.2} s{:>10.2} s{:>11.2}{:>26.1}{:>12.1}{:>11.2}",
            by_event / count,
            polled / count,
            by_event / polled,
            looked / count,
            asked / count,
            looked / asked,
        ))?;
    }
    Ok(())
}

/// Lets so many releases be carried out, with a stock waiter for each task that is run and each service that is updated
/// by the calls from `from` on.
fn settle_with_waiters(lab: &mut Lab, releases: usize, mut from: usize) -> Result<Vec<Waiter>, CommandError> {
    let mut waiters: Vec<Waiter> = Vec::new();
    let end = lab.world().now().saturating_add(PATIENCE).unwrap_or(Timestamp::MAX);
    loop {
        let next = waiters
            .iter()
            .filter(|waiter| waiter.found.is_none())
            .map(|waiter| waiter.next)
            .min();
        let left = next.unwrap_or(end).duration_since(lab.world().now());
        let is_done = lab.simulation().run_until(left, |world| {
            started(world.calls(), from).is_some() || (next.is_none() && is_over(world, releases))
        });
        if let Some((index, waiter)) = started(lab.world().calls(), from) {
            from = index + 1;
            waiters.push(waiter);
        } else if is_done || lab.world().now() >= end {
            return Ok(waiters);
        }
        let now = lab.world().now();
        for waiter in &mut waiters {
            if waiter.found.is_none() && waiter.next <= now {
                waiter.asks(lab.world_mut())?;
            }
        }
    }
}

/// The first call from `from` on, with its place, after which somebody would wait.
fn started(calls: &[CallRecord], from: usize) -> Option<(usize, Waiter)> {
    let mut new = calls.iter().enumerate().skip(from);
    new.find_map(|(index, call)| {
        let is_ours = call.function.is_some() && call.service == "ecs" && call.outcome == CallOutcome::Success;
        let stock = Stock::after(&call.operation).filter(|_| is_ours)?;
        let text = |member: &str| call.input.get(member).and_then(Value::as_str).map(str::to_owned);
        let resource = match stock {
            Stock::TasksStopped => text("startedBy")?,
            Stock::ServicesStable => text("service")?,
        };
        let waiter = Waiter {
            stock,
            cluster: text("cluster")?,
            resource,
            began: call.at,
            next: call.at,
            asked: 0,
            found: None,
        };
        Some((index, waiter))
    })
}

/// The name in an ARN, or the name as it is.
fn last(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}

/// The ARN of the task that somebody has started, as its events tell it: the record of a call has no answer.
fn task_of(world: &World, started_by: &str) -> Option<String> {
    let mut details = world.events().iter().filter_map(|event| event.get("detail"));
    let of_task = details.find(|detail| detail.get("startedBy").is_some_and(|by| by == started_by))?;
    of_task.get("taskArn")?.as_str().map(str::to_owned)
}

/// When the waiter beside a wait found out, and how often it had asked.
fn beside(wait: &Wait, stock: Stock, waiters: &[Waiter]) -> Result<(Timestamp, u32), CommandError> {
    let same = |waiter: &&Waiter| waiter.stock == stock && waiter.is_for(&wait.resource) && waiter.began <= wait.began;
    let waiter = waiters.iter().filter(same).max_by_key(|waiter| waiter.began);
    waiter
        .and_then(|waiter| Some((waiter.found?, waiter.asked)))
        .ok_or_else(|| CommandError::Refused(format!("no waiter beside `{}` found out", wait.resource)))
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
