//! From what AWS shows to a measurement.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Outcome;
use crate::migration::{StopCode, TaskFacts};

/// A service as one look at it shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSight {
    /// Its name in ECS.
    pub service: String,
    /// How many tasks it is to run.
    pub desired: u64,
    /// Its tasks of the released revision, those that run and those that have stopped.
    pub tasks: Vec<TaskFacts>,
}

impl ServiceSight {
    fn running(&self) -> usize {
        self.tasks.iter().filter(|task| task.last_status == "RUNNING").count()
    }

    /// Whether it runs as many tasks as it is to run.
    fn is_short(&self) -> bool {
        u64::try_from(self.running()).is_ok_and(|running| running < self.desired)
    }
}

/// Whether a task stopped of itself: neither its service nor a person wanted that, nor was its host taken away.
fn failed(task: &TaskFacts) -> bool {
    match &task.stop_code {
        Some(StopCode::EssentialContainerExited | StopCode::TaskFailedToStart) => true,
        // The scheduler stops tasks that fail a health check, and those that it needs no longer.
        Some(StopCode::ServiceSchedulerInitiated) | None => reason(task).contains("health check"),
        Some(_) => false,
    }
}

fn reason(task: &TaskFacts) -> &str {
    task.stopped_reason.as_deref().unwrap_or("ECS gives no reason")
}

/// What the services show: each runs as many tasks of the release as it is to run, more than none, and none of them stopped of itself since `since`. ECS starts a
/// task that exits again and again without ever calling the deployment failed, where no health check says so.
#[must_use]
pub fn services(sights: &[ServiceSight], since: Timestamp) -> (Outcome, String) {
    for sight in sights {
        let stopped = sight.tasks.iter().filter(|task| task.is_stopped() && failed(task));
        let new: Vec<&TaskFacts> = stopped
            .filter(|task| task.stopped_at.is_none_or(|at| at >= since))
            .collect();
        if let Some(last) = new.iter().max_by_key(|task| task.stopped_at) {
            let (name, count) = (&sight.service, new.len());
            let said = format!(
                "tasks of `{name}` that stopped of themselves: {count}, the last one: {}",
                reason(last)
            );
            return (Outcome::Fail, said);
        }
    }
    for sight in sights {
        let name = &sight.service;
        if sight.desired == 0 {
            return (Outcome::Inconclusive, format!("`{name}` is to run no task at all"));
        }
        if sight.is_short() {
            let said = format!("`{name}` runs {} of {} tasks", sight.running(), sight.desired);
            return (Outcome::Fail, said);
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
    (Outcome::Pass, format!("{} alarms are `OK`", names.len()))
}
