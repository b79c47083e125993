//! Tasks: what they are, and the operations that read and stop them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Kernel};

use crate::Ecs;
use crate::containers::Container;
use crate::input::{
    Answer, bounded_texts, epoch_seconds, includes_tags, invalid_parameter, only, page, required_text, short_name, text,
};
use crate::services::ServiceKey;
use crate::targets::LoadBalanced;

/// How long stopped tasks can still be described.
const STOPPED_TASKS_KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);

/// `lastStatus`, in the order a task runs through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskStatus {
    /// The network interface is being attached.
    Provisioning,
    /// Images are pulled, and containers wait for the containers they depend on.
    Pending,
    /// Containers run, and targets are being registered.
    Activating,
    /// In service.
    Running,
    /// Targets are being deregistered.
    Deactivating,
    /// Containers are asked to stop.
    Stopping,
    /// No container runs any more, and the network interface is being detached.
    Deprovisioning,
    /// Over.
    Stopped,
}

impl TaskStatus {
    /// The name in the API, such as `RUNNING`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// The service a task belongs to, and the service revision it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) service: ServiceKey,
    pub(crate) revision: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) code: String,
    pub(crate) reason: String,
}

#[derive(Debug, Clone)]
pub(crate) struct NetworkInterface {
    pub(crate) attachment_id: String,
    pub(crate) subnet_id: String,
    pub(crate) interface_id: String,
    pub(crate) mac_address: String,
    pub(crate) address: String,
}

/// The moments of a task's life that have come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    pub(crate) connected: Option<Timestamp>,
    pub(crate) pull_started: Option<Timestamp>,
    pub(crate) pull_stopped: Option<Timestamp>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) stopping: Option<Timestamp>,
    pub(crate) execution_stopped: Option<Timestamp>,
    pub(crate) stopped: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) cluster: String,
    pub(crate) cluster_arn: String,
    pub(crate) definition_arn: String,
    pub(crate) family: String,
    pub(crate) containers: Vec<Container>,
    pub(crate) status: TaskStatus,
    pub(crate) group: String,
    pub(crate) started_by: Option<String>,
    pub(crate) membership: Option<Membership>,
    pub(crate) load_balanced: Vec<LoadBalanced>,
    pub(crate) overrides: Value,
    pub(crate) tags: Vec<Value>,
    pub(crate) cpu: Value,
    pub(crate) memory: Value,
    pub(crate) capacity_provider: Option<String>,
    pub(crate) enable_execute_command: bool,
    pub(crate) platform_version: String,
    pub(crate) availability_zone: String,
    pub(crate) ephemeral_storage: Value,
    pub(crate) network: Option<NetworkInterface>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) moments: Moments,
    pub(crate) version: u64,
    pub(crate) stop: Option<Stop>,
}

impl Task {
    pub(crate) fn is_stopped(&self) -> bool {
        self.status == TaskStatus::Stopped
    }

    /// Whether ECS wants it to run: `desiredStatus`.
    pub(crate) fn is_wanted(&self) -> bool {
        self.stop.is_none()
    }

    pub(crate) fn desired_status(&self) -> &'static str {
        if self.is_wanted() { "RUNNING" } else { "STOPPED" }
    }

    /// Whether its containers run or may still run.
    pub(crate) fn may_run(&self) -> bool {
        self.status < TaskStatus::Deprovisioning
    }

    /// `RUNNING`, and every essential container with a health check passes it.
    pub(crate) fn is_healthy(&self) -> bool {
        self.status == TaskStatus::Running && self.is_wanted() && self.passes_checks()
    }

    pub(crate) fn passes_checks(&self) -> bool {
        self.containers
            .iter()
            .filter(|container| container.essential)
            .all(Container::passes_checks)
    }

    pub(crate) fn has_checks(&self) -> bool {
        self.containers
            .iter()
            .any(|container| container.essential && container.check.is_some())
    }

    pub(crate) fn runs_revision(&self, service: &ServiceKey, revision: &str) -> bool {
        self.belongs_to(service)
            && self
                .membership
                .as_ref()
                .is_some_and(|membership| membership.revision == revision)
    }

    pub(crate) fn belongs_to(&self, service: &ServiceKey) -> bool {
        self.membership
            .as_ref()
            .is_some_and(|membership| membership.service == *service)
    }

    fn is_forgotten(&self, now: Timestamp) -> bool {
        self.moments
            .stopped
            .is_some_and(|at| now.duration_since(at) >= STOPPED_TASKS_KEPT_FOR)
    }
}

impl Ecs {
    pub(crate) fn forget_stopped_tasks(&mut self, now: Timestamp) {
        self.tasks.retain(|_, task| !task.is_forgotten(now));
    }

    fn is_visible(&self, task: &Task, now: Timestamp) -> bool {
        now.duration_since(task.created_at) >= self.settings.task_visible_after
    }

    /// The task that an id or ARN names in a cluster.
    pub(crate) fn task_in(&self, cluster: &str, reference: &str) -> Option<&Task> {
        let names_other_cluster = reference
            .split_once(":task/")
            .and_then(|(_, path)| path.split_once('/'))
            .is_some_and(|(named, _)| named != cluster);
        self.tasks
            .get(short_name(reference))
            .filter(|task| task.cluster == cluster && !names_other_cluster)
    }

    pub(crate) fn describe_tasks(&self, input: &Value, kernel: &Kernel) -> Answer {
        only("DescribeTasks", input, &["cluster", "tasks", "include"])?;
        let (cluster, _) = self.cluster(input)?;
        let mut tasks = Vec::new();
        let mut failures = Vec::new();
        for reference in bounded_texts(input, "tasks", 100)? {
            match self
                .task_in(&cluster, reference)
                .filter(|task| self.is_visible(task, kernel.now()))
            {
                Some(task) => tasks.push(task.describe(epoch_seconds, includes_tags(input))),
                None => {
                    let path = format!("task/{cluster}/{}", short_name(reference));
                    failures.push(json!({"arn": kernel.arn("ecs", &path), "reason": "MISSING"}));
                }
            }
        }
        Ok(json!({"tasks": tasks, "failures": failures}))
    }

    pub(crate) fn list_tasks(&self, input: &Value, kernel: &Kernel) -> Answer {
        let known = [
            "cluster",
            "family",
            "nextToken",
            "maxResults",
            "startedBy",
            "serviceName",
            "desiredStatus",
            "launchType",
        ];
        only("ListTasks", input, &known)?;
        let (cluster, _) = self.cluster(input)?;
        let started_by = text(input, "startedBy");
        let family = text(input, "family");
        if started_by.is_some() && (family.is_some() || text(input, "serviceName").is_some()) {
            return Err(invalid_parameter("startedBy must be the only filter."));
        }
        let service = match text(input, "serviceName") {
            Some(name) => Some(self.service(input, name)?.key.clone()),
            None => None,
        };
        let wanted = match text(input, "desiredStatus") {
            None | Some("RUNNING") => Some(true),
            Some("STOPPED") => Some(false),
            Some("PENDING") => None,
            Some(_) => return Err(invalid_parameter("desiredStatus must be RUNNING, PENDING or STOPPED.")),
        };
        let on_fargate = text(input, "launchType").is_none_or(|launch_type| launch_type == "FARGATE");
        let mut tasks: Vec<&Task> = self
            .tasks
            .values()
            .filter(|task| task.cluster == cluster && on_fargate && wanted == Some(task.is_wanted()))
            .filter(|task| self.is_visible(task, kernel.now()))
            .filter(|task| started_by.is_none() || started_by == task.started_by.as_deref())
            .filter(|task| family.is_none_or(|family| family == task.family))
            .filter(|task| service.as_ref().is_none_or(|service| task.belongs_to(service)))
            .collect();
        tasks.sort_by_key(|task| (task.created_at, &task.id));
        page("taskArns", &tasks, |task| &task.arn, |task| json!(task.arn), input, 100)
    }

    pub(crate) fn stop_task(&mut self, input: &Value, kernel: &mut Kernel) -> Answer {
        only("StopTask", input, &["cluster", "task", "reason"])?;
        let (cluster, _) = self.cluster(input)?;
        let id = self
            .task_in(&cluster, required_text(input, "task")?)
            .map(|task| task.id.clone())
            .ok_or_else(|| invalid_parameter("The referenced task was not found."))?;
        let reason = text(input, "reason").unwrap_or("Task stopped by user");
        self.begin_stop(&id, "UserInitiated", reason, kernel);
        let task = self
            .tasks
            .get(&id)
            .ok_or_else(|| ApiError::server("ServerException", "The task is gone."))?;
        Ok(json!({"task": task.describe(epoch_seconds, false)}))
    }
}
