//! From a stopped task to what it means. One container is judged by its name; the others are reported and decide
//! nothing.

use serde::{Deserialize, Serialize};

use super::{ContainerFacts, StopCode, TaskFacts};
use crate::verdict::StepOutcome;

/// What the pipeline allows for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// It may be run again after an unknown effect.
    pub idempotent: bool,
    /// How often it may be run in all.
    pub start_attempts: u32,
    /// A check says what its end means, so that the deployment goes on however it ended.
    pub is_for_a_check: bool,
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TaskOutcome {
    /// The judged container ended by itself with exit code 0.
    Completed,
    /// It is proven that the judged container did not run.
    NeverStarted,
    /// The judged container ended by itself with another exit code.
    Failed {
        /// The exit code.
        exit_code: i64,
    },
    /// It may have run, in part or in whole.
    UnknownEffect,
    /// It has not stopped.
    StillRunning,
}

/// What follows from a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// The step is done.
    Completed,
    /// Run it again, as a new attempt.
    RunAgain,
    /// The step has failed.
    Failed,
    /// Wait on.
    WaitAgain,
}

/// A container besides the judged one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    /// Its name.
    pub name: String,
    /// Its exit code, if it ran and ended.
    pub exit_code: Option<i64>,
    /// What ECS says about its end.
    pub reason: Option<String>,
    /// Whether AWS put it there: it is in no task definition and names no image.
    pub injected: bool,
}

/// A judgement about one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskJudgement {
    /// What became of it.
    #[serde(flatten)]
    pub outcome: TaskOutcome,
    /// What follows.
    pub next: Next,
    /// The containers that were not judged.
    pub sidecars: Vec<Sidecar>,
    /// One sentence for people.
    pub diagnosis: String,
}

impl TaskJudgement {
    /// The same, as the end of the deployment counts it.
    pub const fn step_outcome(&self) -> StepOutcome {
        self.outcome.as_step()
    }
}

impl TaskOutcome {
    const fn as_step(&self) -> StepOutcome {
        match self {
            Self::Completed => StepOutcome::Done,
            Self::NeverStarted => StepOutcome::NeverStarted,
            Self::Failed { .. } => StepOutcome::Failed,
            Self::UnknownEffect => StepOutcome::Unknown,
            Self::StillRunning => StepOutcome::Begun,
        }
    }
}

/// Exit codes by which a shell reports that a process was ended from outside: SIGINT, SIGKILL (out of memory included),
/// SIGTERM.
const ENDED_FROM_OUTSIDE: [i64; 3] = [130, 137, 143];

/// Judges a task by the container named `judged_container`. `attempt` counts from 1.
///
/// | observation | outcome |
/// |---|---|
/// | not stopped | still running |
/// | `EssentialContainerExited`, exit code 0 | completed |
/// | `EssentialContainerExited`, exit code 130, 137 or 143 | unknown: ended from outside, perhaps half-way |
/// | `EssentialContainerExited`, any other exit code | failed by its own word |
/// | `TaskFailedToStart`, no exit code, never running | never started |
/// | any other stop code, or no exit code | unknown: stopped from outside, or lost with its host; also an exit code 0, which a process that ends well on SIGTERM gives |
///
/// What never started is run again while attempts are left; an unknown effect only where the pipeline declares the task
/// idempotent; a failure by its own word never.
pub fn classify(task: &TaskFacts, judged_container: &str, policy: Policy, attempt: u32) -> TaskJudgement {
    let judged = task.container(judged_container);
    let (outcome, why) = outcome(task, judged, judged_container);
    let next = next_after(outcome.as_step(), policy, attempt);
    let mut diagnosis = match next {
        Next::RunAgain => format!(
            "{why}; it is run again (attempt {attempt} of {})",
            policy.start_attempts
        ),
        Next::Failed if outcome == TaskOutcome::UnknownEffect && !policy.idempotent => {
            format!("{why}; it is not run again because it is not declared `idempotent`")
        }
        Next::Failed if !matches!(outcome, TaskOutcome::Failed { .. }) => {
            format!("{why}; all {} attempts are used", policy.start_attempts)
        }
        Next::Completed | Next::Failed | Next::WaitAgain => why,
    };
    let sidecars = sidecars(task, judged_container);
    for sidecar in sidecars
        .iter()
        .filter(|sidecar| sidecar.exit_code.is_some_and(|code| code != 0))
    {
        diagnosis.push_str(&format!(
            "; sidecar `{}` ended with exit code {}",
            sidecar.name,
            sidecar.exit_code.unwrap_or_default()
        ));
    }
    TaskJudgement {
        outcome,
        next,
        sidecars,
        diagnosis,
    }
}

/// The judgement about a task that ECS no longer describes and of which no stopped event was stored.
pub fn evidence_expired(task_arn: &str, policy: Policy, attempt: u32) -> TaskJudgement {
    let next = next_after(StepOutcome::Unknown, policy, attempt);
    TaskJudgement {
        outcome: TaskOutcome::UnknownEffect,
        next,
        sidecars: Vec::new(),
        diagnosis: format!(
            "ECS no longer describes task `{task_arn}` and no event about its end was stored: nothing proves what it did"
        ),
    }
}

/// What follows from the outcome of one attempt, as it is written down: the same for a judgement and for whoever reads
/// it later. `attempt` counts from 1.
#[must_use]
pub const fn next_after(outcome: StepOutcome, policy: Policy, attempt: u32) -> Next {
    let attempts_left = attempt < policy.start_attempts;
    match outcome {
        StepOutcome::Done => Next::Completed,
        StepOutcome::Begun => Next::WaitAgain,
        StepOutcome::NeverStarted if attempts_left => Next::RunAgain,
        StepOutcome::Unknown if attempts_left && policy.idempotent => Next::RunAgain,
        _ if policy.is_for_a_check => Next::Completed,
        StepOutcome::NeverStarted
        | StepOutcome::Failed
        | StepOutcome::Reverted
        | StepOutcome::Foreign
        | StepOutcome::Unknown => Next::Failed,
    }
}

fn outcome(task: &TaskFacts, judged: Option<&ContainerFacts>, name: &str) -> (TaskOutcome, String) {
    if !task.is_stopped() {
        return (TaskOutcome::StillRunning, format!("the task is {}", task.last_status));
    }
    let exit_code = judged.and_then(|container| container.exit_code);
    let words = words(task, judged);
    match (&task.stop_code, exit_code) {
        (Some(StopCode::EssentialContainerExited), Some(0)) => (
            TaskOutcome::Completed,
            format!("container `{name}` ended with exit code 0"),
        ),
        (Some(StopCode::EssentialContainerExited), Some(code)) if ENDED_FROM_OUTSIDE.contains(&code) => (
            TaskOutcome::UnknownEffect,
            format!(
                "container `{name}` was ended from outside with exit code {code}{words}; it may have done part of its work"
            ),
        ),
        (Some(StopCode::EssentialContainerExited), Some(exit_code)) => (
            TaskOutcome::Failed { exit_code },
            format!("container `{name}` failed with exit code {exit_code}{words}"),
        ),
        // A task whose containers cannot be told apart proves nothing about the judged one.
        (Some(StopCode::TaskFailedToStart), None)
            if !task.has_started && (judged.is_some() || task.containers.is_empty()) =>
        {
            (TaskOutcome::NeverStarted, format!("the task did not start{words}"))
        }
        (_, _) if judged.is_none() => (
            TaskOutcome::UnknownEffect,
            format!("the stopped task has no container `{name}`{words}: nothing proves what it did"),
        ),
        (code, exit_code) => {
            let code = code.as_ref().map_or("no stop code", StopCode::as_str);
            let ended = exit_code.map_or_else(
                || "without an exit code".to_owned(),
                |exit| format!("with exit code {exit}"),
            );
            (
                TaskOutcome::UnknownEffect,
                format!(
                    "container `{name}` ended {ended} while the task was stopped by `{code}`{words}; it may have done part of its work"
                ),
            )
        }
    }
}

/// What ECS says, in its own words.
fn words(task: &TaskFacts, judged: Option<&ContainerFacts>) -> String {
    let of_container = judged.and_then(|container| container.reason.as_deref());
    let said: Vec<&str> = of_container.into_iter().chain(task.stopped_reason.as_deref()).collect();
    if said.is_empty() {
        String::new()
    } else {
        format!(" ({})", said.join("; "))
    }
}

fn sidecars(task: &TaskFacts, judged_container: &str) -> Vec<Sidecar> {
    task.containers
        .iter()
        .filter(|container| container.name != judged_container)
        .map(|container| Sidecar {
            name: container.name.clone(),
            exit_code: container.exit_code,
            reason: container.reason.clone(),
            injected: container.image.is_none(),
        })
        .collect()
}
