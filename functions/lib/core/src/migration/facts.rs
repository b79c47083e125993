//! The facts of a task, from `DescribeTasks` (numbers for times) or from an event (text for times), whatever else they
//! carry.

use jiff::Timestamp;
use serde_json::Value;

use crate::error::Failure;
use crate::timestamp;

/// Why a task stopped, as ECS codes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopCode {
    /// It could not be started.
    TaskFailedToStart,
    /// A container without which the task does not go on has exited.
    EssentialContainerExited,
    /// Somebody called `StopTask`.
    UserInitiated,
    /// The service scheduler stopped it.
    ServiceSchedulerInitiated,
    /// Spot capacity was reclaimed.
    SpotInterruption,
    /// The instance or the platform was retired.
    TerminationNotice,
    /// The host is not healthy.
    InfrastructureHealth,
    /// A code that this program does not know.
    Unknown(String),
}

impl StopCode {
    /// Reads a code; unknown ones are kept.
    pub fn parse(code: &str) -> Self {
        match code {
            "TaskFailedToStart" => Self::TaskFailedToStart,
            "EssentialContainerExited" => Self::EssentialContainerExited,
            "UserInitiated" => Self::UserInitiated,
            "ServiceSchedulerInitiated" => Self::ServiceSchedulerInitiated,
            "SpotInterruption" => Self::SpotInterruption,
            "TerminationNotice" => Self::TerminationNotice,
            "InfrastructureHealth" => Self::InfrastructureHealth,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// The code as ECS writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::TaskFailedToStart => "TaskFailedToStart",
            Self::EssentialContainerExited => "EssentialContainerExited",
            Self::UserInitiated => "UserInitiated",
            Self::ServiceSchedulerInitiated => "ServiceSchedulerInitiated",
            Self::SpotInterruption => "SpotInterruption",
            Self::TerminationNotice => "TerminationNotice",
            Self::InfrastructureHealth => "InfrastructureHealth",
            Self::Unknown(code) => code,
        }
    }
}

/// One container of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerFacts {
    /// Its name in the task definition, or the name that AWS gave to one it injected.
    pub name: String,
    /// Its last status.
    pub last_status: String,
    /// Its exit code; none when it never ran, and none is not zero.
    pub exit_code: Option<i64>,
    /// What ECS says about its end.
    pub reason: Option<String>,
    /// The image as the task definition names it; none for a container that AWS injected.
    pub image: Option<String>,
    /// The digest that was pulled.
    pub image_digest: Option<String>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`; none where ECS does not say.
    pub health_status: Option<String>,
}

/// What is known about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    /// The ARN.
    pub task_arn: String,
    /// Its last status.
    pub last_status: String,
    /// The revision it runs.
    pub task_definition_arn: Option<String>,
    /// What started it: our mark for a one-off task, `ecs-svc/…` for a task of a service.
    pub started_by: Option<String>,
    /// Why it stopped.
    pub stop_code: Option<StopCode>,
    /// Why it stopped, in the words of ECS.
    pub stopped_reason: Option<String>,
    /// Whether it was ever seen running, even where the time of it cannot be read.
    pub has_started: bool,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When its images began to be pulled.
    pub pull_started_at: Option<Timestamp>,
    /// When its images were there.
    pub pull_stopped_at: Option<Timestamp>,
    /// When it was running.
    pub started_at: Option<Timestamp>,
    /// When it had stopped.
    pub stopped_at: Option<Timestamp>,
    /// `version`, which grows with every event of the task.
    pub version: Option<u64>,
    /// Its containers, in the order that ECS gives.
    pub containers: Vec<ContainerFacts>,
}

impl TaskFacts {
    /// Reads a task of `DescribeTasks` or the `detail` of a task event.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::error::ErrorKind::InvalidInput) when it has no ARN or no status; everything else may be
    /// missing or strange.
    pub fn from_json(task: &Value) -> Result<Self, Failure> {
        let required = |name: &str| {
            text(task, name).ok_or_else(|| Failure::invalid_input(format!("a task of ECS has no `{name}`")))
        };
        let containers = task
            .get("containers")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(Self {
            task_arn: required("taskArn")?,
            last_status: required("lastStatus")?,
            task_definition_arn: text(task, "taskDefinitionArn"),
            started_by: text(task, "startedBy"),
            stop_code: text(task, "stopCode").map(|code| StopCode::parse(&code)),
            stopped_reason: text(task, "stoppedReason"),
            has_started: task.get("startedAt").is_some_and(|at| !at.is_null()),
            created_at: time(task, "createdAt"),
            pull_started_at: time(task, "pullStartedAt"),
            pull_stopped_at: time(task, "pullStoppedAt"),
            started_at: time(task, "startedAt"),
            stopped_at: time(task, "stoppedAt"),
            version: task.get("version").and_then(Value::as_u64),
            containers: containers.iter().map(container).collect(),
        })
    }

    /// Whether it has come to its end.
    pub fn is_stopped(&self) -> bool {
        matches!(self.last_status.as_str(), "STOPPED" | "DELETED")
    }

    /// The container of this name.
    pub fn container(&self, name: &str) -> Option<&ContainerFacts> {
        self.containers.iter().find(|container| container.name == name)
    }
}

fn container(container: &Value) -> ContainerFacts {
    ContainerFacts {
        name: text(container, "name").unwrap_or_default(),
        last_status: text(container, "lastStatus").unwrap_or_default(),
        exit_code: container.get("exitCode").and_then(Value::as_i64),
        reason: text(container, "reason"),
        image: text(container, "image"),
        image_digest: text(container, "imageDigest"),
        health_status: text(container, "healthStatus"),
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// A time as text or as seconds since the epoch. What cannot be read is no time, never a failure.
fn time(value: &Value, name: &str) -> Option<Timestamp> {
    match value.get(name)? {
        Value::String(text) => timestamp::from_text(text).ok(),
        Value::Number(seconds) => timestamp::from_seconds(seconds.as_f64()?).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
