//! From what AWS shows to a measurement.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Measurement, Outcome};
use crate::evidence::is_of_surroundings;
use crate::migration::{StopCode, TaskFacts};
use crate::pipeline::{HttpMeasure, LogMeasure};
use crate::service_deployment::another_digest;
use crate::task_definition::{masked_text, masked_value};
use crate::words;

/// How much is shown of a line of a log, and of a word of an endpoint.
const LINE_CHARACTERS: usize = 200;

/// A service as one look at it shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSight {
    /// Its name in ECS.
    pub service: String,
    /// How many tasks it is to run.
    pub desired: u64,
    /// Every digest under which an image of its containers may show, by container.
    pub digests: BTreeMap<String, BTreeSet<String>>,
    /// Its tasks of the released revision, those that run and those that have stopped.
    pub tasks: Vec<TaskFacts>,
}

impl ServiceSight {
    fn running(&self) -> usize {
        self.tasks.iter().filter(|task| task.last_status == "RUNNING").count()
    }

    /// The task that runs something else than what was released, where there is one.
    fn foreign(&self) -> Option<String> {
        let running = self.tasks.iter().filter(|task| task.last_status == "RUNNING");
        running.filter_map(|task| another_digest(&self.digests, task)).next()
    }

    /// Whether it runs as many tasks as it is to run.
    fn is_short(&self) -> bool {
        u64::try_from(self.running()).is_ok_and(|running| running < self.desired)
    }
}

/// Whether a task stopped of itself: neither its service nor a person wanted that, nor does the cause lie around it,
/// such as a host that was taken away, a registry that does not answer, or too little room.
fn failed(task: &TaskFacts) -> bool {
    if is_of_surroundings(task) {
        return false;
    }
    match &task.stop_code {
        Some(StopCode::EssentialContainerExited) => true,
        Some(StopCode::TaskFailedToStart) => !reason(task).to_lowercase().contains("capacity"),
        // The scheduler stops tasks that fail a health check, and those that it needs no longer.
        Some(StopCode::ServiceSchedulerInitiated) | None => reason(task).contains("health check"),
        Some(_) => false,
    }
}

fn reason(task: &TaskFacts) -> &str {
    task.stopped_reason.as_deref().unwrap_or("ECS gives no reason")
}

/// How much earlier than the measurement before a stopped task may have stopped and still be new: ECS shows it a little
/// later, and its clock is another.
const OVERLAP: SignedDuration = SignedDuration::from_mins(2);

/// What the services show: each runs as many tasks of the release as it is to run, more than none, every one with the
/// digests that were released, and none of them
/// stopped of itself since the measurement `before`, or since the verification began. ECS starts a task that exits
/// again and again without ever calling the deployment failed, where no health check says so.
///
/// A service that runs too few tasks, none of which stopped of itself, shows nothing about the release: it is scaling,
/// or waits for room. Answers also the ARNs of the stopped tasks it has counted.
#[must_use]
pub fn services(
    sights: &[ServiceSight],
    begun_at: Timestamp,
    before: Option<&Measurement>,
) -> (Outcome, String, BTreeSet<String>) {
    let since = before.map_or(begun_at, |before| {
        let since = before.at.saturating_sub(OVERLAP).unwrap_or(Timestamp::MIN);
        since.max(begun_at)
    });
    let is_recent = |task: &&TaskFacts| task.stopped_at.is_none_or(|at| at >= since);
    let is_new = |task: &&TaskFacts| before.is_none_or(|before| !before.counted.contains(&task.task_arn));
    let mut counted = BTreeSet::new();
    let mut fallen = None;
    for sight in sights {
        let stopped = sight.tasks.iter().filter(|task| task.is_stopped() && failed(task));
        let recent: Vec<&TaskFacts> = stopped.filter(is_recent).collect();
        counted.extend(recent.iter().map(|task| task.task_arn.clone()));
        let new: Vec<&TaskFacts> = recent.into_iter().filter(is_new).collect();
        if let Some(last) = new.iter().max_by_key(|task| task.stopped_at) {
            let (name, count) = (&sight.service, new.len());
            fallen.get_or_insert(format!(
                "tasks of `{name}` that stopped of themselves: {count}, the last one: {}",
                reason(last)
            ));
        }
    }
    let (outcome, sentence) = match fallen {
        Some(said) => (Outcome::Fail, said),
        None => running(sights),
    };
    (outcome, sentence, counted)
}

fn running(sights: &[ServiceSight]) -> (Outcome, String) {
    for sight in sights {
        let name = &sight.service;
        if let Some(foreign) = sight.foreign() {
            return (Outcome::Fail, format!("`{name}`: {foreign}"));
        }
        if sight.desired == 0 {
            return (Outcome::Inconclusive, format!("`{name}` has the desired count 0"));
        }
        if sight.is_short() {
            let desired = words::counted(sight.desired, "task");
            let said = format!("`{name}` runs {} of {desired}", sight.running());
            return (Outcome::Inconclusive, said);
        }
    }
    if sights.is_empty() {
        return (Outcome::Inconclusive, "there is no service to look at".to_owned());
    }
    let running: Vec<String> = sights
        .iter()
        .map(|sight| format!("`{}` runs {}", sight.service, sight.running()))
        .collect();
    (Outcome::Pass, running.join(", "))
}

/// What alarms show: the states by name, of those that exist.
#[must_use]
pub fn alarms(names: &[String], states: &BTreeMap<String, String>) -> (Outcome, String) {
    let listed = |wanted: &dyn Fn(Option<&str>) -> bool| {
        let found = names
            .iter()
            .filter(|name| wanted(states.get(*name).map(String::as_str)));
        let found: Vec<String> = found.map(|name| format!("`{name}`")).collect();
        (!found.is_empty()).then(|| found.join(", "))
    };
    if let Some(firing) = listed(&|state| state == Some("ALARM")) {
        return (Outcome::Fail, format!("in `ALARM`: {firing}"));
    }
    if let Some(absent) = listed(&|state| state.is_none()) {
        return (Outcome::Error, format!("there is no alarm {absent}"));
    }
    if let Some(unclear) = listed(&|state| state != Some("OK")) {
        return (Outcome::Inconclusive, format!("without data: {unclear}"));
    }
    (Outcome::Pass, format!("alarms that are `OK`: {}", names.len()))
}

/// What an HTTP endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpSight {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
    /// None: no connection, or not in time. Why, for people.
    Silent(String),
}

/// What an HTTP endpoint shows: the status that is expected and, where the body is to be read, the word in its `status`
/// and in that of each of its `checks`, which may be a list of objects with `name` and `status`, or an object of these
/// by name.
#[must_use]
pub fn http(measure: &HttpMeasure, sight: &HttpSight) -> (Outcome, String) {
    let (status, body) = match sight {
        HttpSight::Silent(why) => return (Outcome::Fail, why.clone()),
        HttpSight::Answer { status, body } => (*status, body),
    };
    let Some(healthy) = &measure.healthy else {
        return if status == measure.status {
            (Outcome::Pass, format!("status {status}"))
        } else {
            (Outcome::Fail, format!("status {status}, not {}", measure.status))
        };
    };
    let Ok(report) = serde_json::from_str::<Value>(body) else {
        return (Outcome::Fail, format!("status {status}, but the body is not JSON"));
    };
    let said = |value: &Value| value.get("status").unwrap_or(value).as_str().map(str::to_owned);
    let named: Vec<(String, Option<String>)> = match report.get("checks").or_else(|| report.get("entries")) {
        Some(Value::Array(checks)) => checks
            .iter()
            .map(|check| {
                let name = check.get("name").and_then(Value::as_str).unwrap_or("without a name");
                (name.to_owned(), said(check))
            })
            .collect(),
        Some(Value::Object(checks)) => checks.iter().map(|(name, check)| (name.clone(), said(check))).collect(),
        _ => Vec::new(),
    };
    // The endpoint may say anything, and the ledger keeps it for ever.
    let word = |said: &Option<String>| said.as_deref().map_or_else(|| "says nothing".to_owned(), shown_line);
    let mut sentence = format!("status {status}, {}", word(&said(&report)));
    for (name, said) in &named {
        sentence.push_str(&format!(", `{}` {}", shown_line(name), word(said)));
    }
    let is_healthy = |said: &Option<String>| said.as_ref() == Some(healthy);
    let all = status == measure.status && is_healthy(&said(&report)) && named.iter().all(|(_, said)| is_healthy(said));
    (if all { Outcome::Pass } else { Outcome::Fail }, sentence)
}

/// The target groups of a service as one look at them shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetsSight {
    /// The name of the service in ECS.
    pub service: String,
    /// How many tasks it is to run.
    pub desired: u64,
    /// Its target groups; none without a load balancer.
    pub groups: Vec<TargetGroupSight>,
}

/// The targets of one target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroupSight {
    /// The ARN of the group, `arn:…:targetgroup/{name}/{id}`.
    pub arn: String,
    /// Its targets.
    pub targets: Vec<TargetFacts>,
}

/// How a load balancer sees one target: `TargetHealth`
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFacts {
    /// `State`, such as `healthy`.
    pub state: String,
    /// `Reason`, such as `Target.FailedHealthChecks`, which a healthy target does not have.
    pub reason: Option<String>,
}

impl TargetFacts {
    /// Whether it is on its way out of the group: the requests of the service no longer depend on it.
    fn is_leaving(&self) -> bool {
        matches!(self.state.as_str(), "draining" | "unhealthy.draining")
    }
}

/// What the targets of the load balancers show: in every target group of every service as many are healthy as the
/// service wants tasks, and none is unhealthy. A target that is not checked yet is not clear. A service without a load
/// balancer, such as a worker, shows nothing; where no service has one, nothing is clear.
#[must_use]
pub fn targets(sights: &[TargetsSight]) -> (Outcome, String) {
    if sights.is_empty() {
        return (Outcome::Inconclusive, "there is no service to look at".to_owned());
    }
    if let Some(sight) = sights.iter().find(|sight| sight.desired == 0) {
        let said = format!("`{}` has the desired count 0", sight.service);
        return (Outcome::Inconclusive, said);
    }
    let groups = sights
        .iter()
        .flat_map(|sight| sight.groups.iter().map(move |group| target_group(sight, group)));
    let judged: Vec<(Outcome, String)> = groups.collect();
    if judged.is_empty() {
        let names: Vec<String> = sights.iter().map(|sight| format!("`{}`", sight.service)).collect();
        let said = format!("without the target group of a load balancer: {}", names.join(", "));
        return (Outcome::Inconclusive, said);
    }
    let is_shown = |wanted: Outcome| judged.iter().any(|(outcome, _)| *outcome == wanted);
    let worst = [Outcome::Fail, Outcome::Inconclusive]
        .into_iter()
        .find(|outcome| is_shown(*outcome));
    let worst = worst.unwrap_or(Outcome::Pass);
    let said = judged.iter().filter(|(outcome, _)| *outcome == worst);
    let said: Vec<&str> = said.map(|(_, said)| said.as_str()).collect();
    (worst, said.join("; "))
}

/// What one target group shows. The sentence counts the states and names the reasons of those that are not healthy.
fn target_group(sight: &TargetsSight, group: &TargetGroupSight) -> (Outcome, String) {
    let staying = group.targets.iter().filter(|target| !target.is_leaving());
    let mut by_state: BTreeMap<&str, (u64, BTreeSet<&str>)> = BTreeMap::new();
    for target in staying {
        let (count, reasons) = by_state.entry(&target.state).or_default();
        *count = count.saturating_add(1);
        reasons.extend(target.reason.as_deref());
    }
    let (healthy, _) = by_state.remove("healthy").unwrap_or_default();
    let unclear = by_state.iter().filter(|(state, _)| **state != "unhealthy");
    let unclear: u64 = unclear.map(|(_, (count, _))| *count).sum();
    // Too few are no failure: a service that scales has them for a while.
    let outcome = if by_state.contains_key("unhealthy") {
        Outcome::Fail
    } else if unclear > 0 || healthy < sight.desired {
        Outcome::Inconclusive
    } else {
        Outcome::Pass
    };
    let name = group.arn.split('/').nth(1).unwrap_or(&group.arn);
    let mut said = format!(
        "targets of `{}` in `{name}`: {healthy} `healthy` of {}",
        sight.service, sight.desired
    );
    for (state, (count, reasons)) in by_state {
        said.push_str(&format!(", {count} `{state}`"));
        if !reasons.is_empty() {
            let reasons: Vec<String> = reasons.into_iter().map(|reason| format!("`{reason}`")).collect();
            said.push_str(&format!(" ({})", reasons.join(", ")));
        }
    }
    (outcome, said)
}

/// How late a line of a log may come to be found.
const LINES_LATE: SignedDuration = SignedDuration::from_mins(5);

/// Lines of a log that match and were counted for good: none of before can come any more. Without it every look would
/// read the log from the beginning of the verification, and a long soak would be too long to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedLines {
    /// Up to which moment, by the time at which they were written.
    pub until: Timestamp,
    /// How many.
    pub matches: u64,
}

impl CountedLines {
    /// Nothing, before everything that was written `since` then.
    #[must_use]
    pub const fn none(since: Timestamp) -> Self {
        Self {
            until: since,
            matches: 0,
        }
    }

    /// Up to which moment lines are counted for good that are read `now`.
    #[must_use]
    pub fn next_until(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(LINES_LATE).unwrap_or(self.until).max(self.until)
    }
}

/// What a log group shows of a pattern, beyond what was counted for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSight {
    /// How many lines match, of those that were read.
    pub matches: u64,
    /// The last of them, as it was written.
    pub last: Option<String>,
    /// Whether the log was read to its end.
    pub is_whole: bool,
    /// What of it is counted for good; only where it was read to its end is that taken over.
    pub for_good: CountedLines,
}

/// What the lines of a log show: no more of them match than may. A log that is too long to be read in one look is never
/// a success. With what is counted for good from now on.
#[must_use]
pub fn log(measure: &LogMeasure, counted: CountedLines, sight: &LogSight) -> (Outcome, String, CountedLines) {
    let (matches, at_most) = (counted.matches.saturating_add(sight.matches), measure.at_most);
    let mut said = format!("lines that match: {matches}, at most {at_most} allowed");
    let outcome = if matches > u64::from(at_most) {
        if let Some(last) = sight.last.as_deref().map(shown_line) {
            said = format!("{said}, the last one: {last}");
        }
        Outcome::Fail
    } else if sight.is_whole {
        Outcome::Pass
    } else {
        said.push_str(", and the log is too long to be read to its end in one look");
        Outcome::Inconclusive
    };
    let counted = if sight.is_whole {
        CountedLines {
            until: sight.for_good.until,
            matches: counted.matches.saturating_add(sight.for_good.matches),
        }
    } else {
        counted
    };
    (outcome, said, counted)
}

/// A line of a log, or a word of an endpoint, as the ledger may keep it. It is cut only when everything in it is
/// masked: half of a secret looks like none.
pub(super) fn shown_line(line: &str) -> String {
    let masked = match serde_json::from_str(line) {
        Ok(value @ Value::Object(_)) => masked_value(&value).to_string(),
        _ => masked_text(line),
    };
    let words: Vec<&str> = masked.split_whitespace().collect();
    let text = words.join(" ");
    let mut shown: String = text.chars().take(LINE_CHARACTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
