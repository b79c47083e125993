//! What a rollout that failed left behind, and what it says in one sentence.
//!
//! The reasons are those of "Amazon ECS stopped tasks error messages" and "Amazon ECS service event messages".

use serde::{Deserialize, Serialize};

use crate::migration::{ContainerFacts, StopCode, TaskFacts};
use crate::words;

/// What was found when a rollout had failed.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the judgement says about the rollout.
    pub rollout: &'a str,
    /// The tasks of the revision that have stopped, the newest first.
    pub stopped: &'a [TaskFacts],
    /// The tasks of the revision that still run.
    pub running: &'a [TaskFacts],
    /// What ECS told about the service since the step was begun, the newest first.
    pub events: &'a [String],
    /// What the container of the newest stopped task wrote last.
    pub last_line: Option<&'a str>,
}

/// Where the cause lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// In the release: the same image would fail elsewhere as well.
    Release,
    /// Around it: capacity, permissions, the network, a host.
    Surroundings,
    /// Nothing tells.
    Unknown,
}

/// A sentence for people, and where the cause lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Why the rollout failed.
    pub sentence: String,
    /// Where the cause lies.
    pub blame: Blame,
}

/// Why a task ended, without what ECS does when it takes a rollout back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cause {
    what: String,
    blame: Blame,
    /// Whether a container ran and has something to say.
    has_words: bool,
}

/// Draws one sentence from the evidence. Of several causes the most frequent counts, and of those the newest.
#[must_use]
pub fn diagnose(evidence: &Evidence<'_>) -> Diagnosis {
    let causes: Vec<Cause> = evidence.stopped.iter().filter_map(cause).collect();
    let count = |cause: &Cause| causes.iter().filter(|other| *other == cause).count();
    // `max_by_key` takes the last of equals, which is the newest when read from the oldest.
    if let Some(cause) = causes.iter().rev().max_by_key(|cause| count(cause)) {
        let words = evidence
            .last_line
            .filter(|_| cause.has_words)
            .map(|line| format!("; its last output: `{}`", line.trim()));
        let times = match (count(cause), causes.len()) {
            (1, 1) => String::new(),
            (count, all) => format!(" ({count} of {all} stopped tasks)"),
        };
        return Diagnosis {
            sentence: format!("{}{times}{}", cause.what, words.unwrap_or_default()),
            blame: cause.blame,
        };
    }
    if let Some(event) = evidence.events.iter().find(|event| tells_of_no_room(event)) {
        return Diagnosis {
            sentence: format!("ECS could not place its tasks: {event}"),
            blame: Blame::Surroundings,
        };
    }
    let is_unhealthy = |task: &&TaskFacts| {
        let mut containers = task.containers.iter();
        containers.any(|container| container.health_status.as_deref() == Some("UNHEALTHY"))
    };
    let unhealthy = evidence.running.iter().filter(is_unhealthy).count();
    if unhealthy > 0 {
        return Diagnosis {
            sentence: format!(
                "{unhealthy} of {} {}",
                words::counted(evidence.running.len(), "running task"),
                if unhealthy == 1 {
                    "fails its health check"
                } else {
                    "fail their health check"
                }
            ),
            blame: Blame::Release,
        };
    }
    Diagnosis {
        sentence: evidence.rollout.to_owned(),
        blame: Blame::Unknown,
    }
}

/// The name of the container that a task is to be asked about: the one that failed, or else the first.
#[must_use]
pub fn speaker(task: &TaskFacts) -> Option<&str> {
    let failed = task.containers.iter().find(|container| has_failed(container));
    failed
        .or_else(|| task.containers.first())
        .map(|container| container.name.as_str())
}

/// Whether a task ended for a cause that lies around the release.
pub(crate) fn is_of_surroundings(task: &TaskFacts) -> bool {
    cause(task).is_some_and(|cause| cause.blame == Blame::Surroundings)
}

fn cause(task: &TaskFacts) -> Option<Cause> {
    let reason = task.stopped_reason.as_deref().unwrap_or_default();
    let texts = || {
        let containers = task
            .containers
            .iter()
            .filter_map(|container| container.reason.as_deref());
        std::iter::once(reason).chain(containers)
    };
    let told = |needle: &str| texts().find(|text| text.contains(needle));
    let cause = |what: String, blame: Blame, has_words: bool| Some(Cause { what, blame, has_words });
    if let Some(text) = told("CannotPull") {
        let is_gone = ["not found", "manifest unknown", "does not exist"]
            .iter()
            .any(|sign| text.contains(sign));
        let blame = if is_gone { Blame::Release } else { Blame::Surroundings };
        return cause(format!("an image cannot be pulled: {text}"), blame, false);
    }
    if let Some(text) = told("ResourceInitializationError") {
        return cause(format!("a task cannot be set up: {text}"), Blame::Surroundings, false);
    }
    if let Some(text) = told("CannotStartContainer").or_else(|| told("CannotCreateContainer")) {
        return cause(format!("a container cannot be started: {text}"), Blame::Release, false);
    }
    let failed = task.containers.iter().find(|container| has_failed(container));
    if let Some(text) = told("OutOfMemory") {
        let name = failed.map_or("?", |container| container.name.as_str());
        return cause(
            format!("container `{name}` ran out of memory: {text}"),
            Blame::Release,
            true,
        );
    }
    if let Some(text) = told("health check") {
        return cause(format!("tasks are stopped as unhealthy: {text}"), Blame::Release, true);
    }
    match &task.stop_code {
        // The way back itself stops tasks, healthy ones among them.
        Some(StopCode::ServiceSchedulerInitiated) => None,
        Some(code @ (StopCode::SpotInterruption | StopCode::TerminationNotice | StopCode::InfrastructureHealth)) => {
            cause(
                format!("tasks lost their host: `{}` ({reason})", code.as_str()),
                Blame::Surroundings,
                false,
            )
        }
        Some(StopCode::UserInitiated) => cause(
            format!("tasks were stopped by somebody: {reason}"),
            Blame::Surroundings,
            false,
        ),
        Some(StopCode::EssentialContainerExited) => {
            let name = failed.map_or("?", |container| container.name.as_str());
            let code = failed.and_then(|container| container.exit_code);
            let how = code.map_or_else(
                || "without an exit code".to_owned(),
                |code| format!("with exit code {code}"),
            );
            cause(format!("container `{name}` ends {how}"), Blame::Release, true)
        }
        Some(StopCode::TaskFailedToStart | StopCode::Unknown(_)) | None => {
            let why = if reason.is_empty() {
                "ECS gives no reason"
            } else {
                reason
            };
            cause(format!("tasks do not start: {why}"), Blame::Unknown, false)
        }
    }
}

/// Whether a container has come to an end by itself: a server is not meant to.
fn has_failed(container: &ContainerFacts) -> bool {
    container.exit_code.is_some_and(|code| code != 0) || container.reason.is_some()
}

fn tells_of_no_room(event: &str) -> bool {
    ["unable to place", "RESOURCE:", "capacity is unavailable"]
        .iter()
        .any(|sign| event.contains(sign))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn task(stop_code: &str, reason: &str, containers: &Value) -> TaskFacts {
        let task = json!({
            "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/shop/0f",
            "lastStatus": "STOPPED",
            "stopCode": stop_code,
            "stoppedReason": reason,
            "containers": containers,
        });
        TaskFacts::from_json(&task).unwrap()
    }

    fn found<'a>(stopped: &'a [TaskFacts], last_line: Option<&'a str>) -> Evidence<'a> {
        Evidence {
            rollout: "ECS rolled it back",
            stopped,
            running: &[],
            events: &[],
            last_line,
        }
    }

    #[test]
    fn each_way_to_fail_has_its_sentence_and_its_blame() {
        let exited = "Essential container in task exited";
        let api = |code: i64| json!([{"name": "log", "exitCode": 0}, {"name": "api", "exitCode": code}]);
        let table = [
            (
                task("EssentialContainerExited", exited, &api(1)),
                "container `api` ends with exit code 1; its last output: `no database`",
                Blame::Release,
            ),
            (
                task(
                    "EssentialContainerExited",
                    exited,
                    &json!([{"name": "api", "exitCode": 137, "reason": "OutOfMemoryError: container killed due to memory usage"}]),
                ),
                "container `api` ran out of memory: OutOfMemoryError: container killed due to memory usage; its last output: `no database`",
                Blame::Release,
            ),
            (
                task(
                    "ServiceSchedulerInitiated",
                    "Task failed container health checks",
                    &json!([]),
                ),
                "tasks are stopped as unhealthy: Task failed container health checks; its last output: `no database`",
                Blame::Release,
            ),
            (
                task(
                    "TaskFailedToStart",
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): repo@sha256:0f: not found",
                    &json!([{"name": "api"}]),
                ),
                "an image cannot be pulled: CannotPullContainerError: pull image manifest has been retried 1 time(s): repo@sha256:0f: not found",
                Blame::Release,
            ),
            (
                task(
                    "TaskFailedToStart",
                    "CannotPullContainerError: dial tcp: i/o timeout",
                    &json!([]),
                ),
                "an image cannot be pulled: CannotPullContainerError: dial tcp: i/o timeout",
                Blame::Surroundings,
            ),
            (
                task(
                    "TaskFailedToStart",
                    "ResourceInitializationError: unable to pull secrets or registry auth",
                    &json!([]),
                ),
                "a task cannot be set up: ResourceInitializationError: unable to pull secrets or registry auth",
                Blame::Surroundings,
            ),
            (
                task("SpotInterruption", "Your Spot Task was interrupted.", &json!([])),
                "tasks lost their host: `SpotInterruption` (Your Spot Task was interrupted.)",
                Blame::Surroundings,
            ),
            (
                task("TaskFailedToStart", "", &json!([])),
                "tasks do not start: ECS gives no reason",
                Blame::Unknown,
            ),
        ];
        for (task, sentence, blame) in table {
            let diagnosis = diagnose(&found(&[task], Some("no database\n")));
            assert_eq!((diagnosis.sentence.as_str(), diagnosis.blame), (sentence, blame));
        }
    }

    #[test]
    fn the_most_frequent_cause_counts_and_what_the_way_back_stopped_does_not() {
        let exit = |code: i64| {
            task(
                "EssentialContainerExited",
                "",
                &json!([{"name": "api", "exitCode": code}]),
            )
        };
        let taken_back = task(
            "ServiceSchedulerInitiated",
            "Scaling activity initiated by (deployment ecs-svc/1)",
            &json!([{"name": "api", "exitCode": 0}]),
        );
        let stopped = [taken_back.clone(), exit(2), exit(1), exit(1)];
        assert_eq!(
            diagnose(&found(&stopped, None)).sentence,
            "container `api` ends with exit code 1 (2 of 3 stopped tasks)"
        );
        let diagnosis = diagnose(&found(&[taken_back], None));
        assert_eq!(
            (diagnosis.sentence.as_str(), diagnosis.blame),
            ("ECS rolled it back", Blame::Unknown)
        );
    }

    #[test]
    fn without_stopped_tasks_the_events_and_the_health_of_what_runs_tell() {
        let events = [
            "service shop was unable to place a task because no capacity was available. Reason: RESOURCE:FARGATE"
                .to_owned(),
        ];
        let no_room = Evidence {
            events: &events,
            ..found(&[], None)
        };
        assert_eq!(diagnose(&no_room).blame, Blame::Surroundings);
        let ill = task("", "", &json!([{"name": "api", "healthStatus": "UNHEALTHY"}]));
        let unhealthy = Evidence {
            running: std::slice::from_ref(&ill),
            ..found(&[], None)
        };
        assert_eq!(
            diagnose(&unhealthy).sentence,
            "1 of 1 running task fails its health check"
        );
    }

    #[test]
    fn the_container_that_failed_is_asked_before_the_first_one() {
        let exited = task(
            "",
            "",
            &json!([{"name": "log", "exitCode": 0}, {"name": "api", "exitCode": 1}]),
        );
        assert_eq!(speaker(&exited), Some("api"));
        let unhealthy = task("", "", &json!([{"name": "api"}, {"name": "log"}]));
        assert_eq!(speaker(&unhealthy), Some("api"));
    }
}
