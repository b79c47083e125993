//! Amazon ECS on a laptop: task definitions, tasks on Fargate, rolling services with their deployments, and the events
//! of all of them.
//!
//! [`Ecs`] is a [`Service`] of the simulated account. What its API cannot script (capacity, delays) is in [`Settings`];
//! the alarms that watch deployments are those of the kernel. What is not simulated answers with an error: launch types
//! other than Fargate, deployment strategies other than rolling, lifecycle hooks, daemons, task sets.

mod activity;
mod authorization;
mod breaker;
mod clusters;
mod containers;
mod deployment_records;
mod deployments;
mod events;
mod input;
mod lifecycle;
mod quota;
mod rules;
mod run_task;
mod scheduler;
mod service_deployments;
mod services;
mod settings;
mod sites;
mod tags;
mod targets;
mod task_definition_defaults;
mod task_definitions;
mod tasks;
#[cfg(test)]
mod tests;
mod throttle;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, Service, TimerId};

use crate::activity::Moment;
use crate::clusters::Cluster;
use crate::lifecycle::Step;
use crate::run_task::ClientTokens;
use crate::services::ServiceKey;
use crate::task_definitions::TaskDefinitions;
use crate::tasks::Task;
use crate::throttle::Throttle;

pub use crate::settings::{CapacityShortage, DurationRange, Durations, Settings};
pub use crate::tasks::TaskStatus;

/// The signing name of the service.
const NAME: &str = "ecs";

/// The simulated Amazon ECS.
#[derive(Debug, Default)]
pub struct Ecs {
    /// What tests and the world may turn at any moment.
    pub settings: Settings,
    clusters: BTreeMap<String, Cluster>,
    task_definitions: TaskDefinitions,
    tasks: BTreeMap<String, Task>,
    client_tokens: ClientTokens,
    services: BTreeMap<ServiceKey, services::Service>,
    throttle: Throttle,
    timers: Timers,
    /// The CPU units that run on demand and the quota, as they are shown.
    published: Option<(u32, u32)>,
}

/// Everything that can be asked of it.
const OPERATIONS: [&str; 25] = [
    "CreateCluster",
    "DeleteCluster",
    "DescribeClusters",
    "ListClusters",
    "RegisterTaskDefinition",
    "DescribeTaskDefinition",
    "DeregisterTaskDefinition",
    "ListTaskDefinitions",
    "ListTaskDefinitionFamilies",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
    "RunTask",
    "DescribeTasks",
    "ListTasks",
    "StopTask",
    "CreateService",
    "UpdateService",
    "DeleteService",
    "DescribeServices",
    "ListServices",
    "ListServiceDeployments",
    "DescribeServiceDeployments",
    "DescribeServiceRevisions",
    "StopServiceDeployment",
];

/// A task as a test or an oracle sees it, without the delays of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// The task's ARN.
    pub arn: String,
    /// The ARN of the task definition it runs.
    pub task_definition: String,
    /// `lastStatus`.
    pub status: TaskStatus,
    /// Whether ECS wants it to run: `desiredStatus` is `RUNNING`.
    pub wanted: bool,
    /// Whether every essential container with a health check passes it.
    pub healthy: bool,
    /// `startedBy`.
    pub started_by: Option<String>,
}

/// What a timer of this service is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Timer {
    Task(String, Step),
    Schedule(ServiceKey),
    SteadyState(ServiceKey),
    Activity(String, Moment),
}

/// The timers that are set.
#[derive(Debug, Default)]
struct Timers {
    pending: BTreeMap<TimerId, Timer>,
}

impl Timers {
    fn set_at(&mut self, at: Timestamp, timer: Timer, kernel: &mut Kernel) -> TimerId {
        let id = kernel.wake_at(at, NAME);
        self.pending.insert(id, timer);
        id
    }

    fn set_after(&mut self, delay: SignedDuration, timer: Timer, kernel: &mut Kernel) -> TimerId {
        let id = kernel.wake_after(delay, NAME);
        self.pending.insert(id, timer);
        id
    }
}

impl Ecs {
    /// An account without clusters, with `settings`.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// The tasks of a service whose containers run or may still run, from `PROVISIONING` to `STOPPING`, oldest first.
    #[must_use]
    pub fn running_tasks(&self, cluster: &str, service: &str) -> Vec<TaskView> {
        let key = ServiceKey {
            cluster: cluster.to_owned(),
            name: service.to_owned(),
        };
        self.view(|task| task.belongs_to(&key) && task.may_run())
    }

    /// All tasks of a cluster that the account still remembers, oldest first.
    #[must_use]
    pub fn tasks(&self, cluster: &str) -> Vec<TaskView> {
        self.view(|task| task.cluster == cluster)
    }

    fn view(&self, shown: impl Fn(&Task) -> bool) -> Vec<TaskView> {
        let mut tasks: Vec<&Task> = self.tasks.values().filter(|task| shown(task)).collect();
        tasks.sort_by_key(|task| (task.created_at, &task.id));
        tasks
            .into_iter()
            .map(|task| TaskView {
                arn: task.arn.clone(),
                task_definition: task.definition_arn.clone(),
                status: task.status,
                wanted: task.is_wanted(),
                healthy: task.passes_checks(),
                started_by: task.started_by.clone(),
            })
            .collect()
    }

    /// The ARN of the task definition that a service is set to, if the service is there.
    #[must_use]
    pub fn service_task_definition(&self, cluster: &str, service: &str) -> Option<&str> {
        let key = ServiceKey {
            cluster: cluster.to_owned(),
            name: service.to_owned(),
        };
        input::text(&self.services.get(&key)?.configuration, "taskDefinition")
    }

    fn answer(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Value, ApiError> {
        if self.settings.throttling && !self.throttle.admits(&request.operation, kernel.now()) {
            return Err(ApiError::client("ThrottlingException", "Rate exceeded"));
        }
        self.forget_stopped_tasks(kernel.now());
        let input = &request.input;
        match request.operation.as_str() {
            "CreateCluster" => self.create_cluster(input, kernel),
            "DeleteCluster" => self.delete_cluster(input),
            "ListClusters" => self.list_clusters(input),
            "DescribeClusters" => self.describe_clusters(input, kernel),
            "RegisterTaskDefinition" => self.register_task_definition(request, kernel),
            "DescribeTaskDefinition" => self.describe_task_definition(input),
            "DeregisterTaskDefinition" => self.deregister_task_definition(input, kernel),
            "ListTaskDefinitions" => self.list_task_definitions(input),
            "ListTaskDefinitionFamilies" => self.list_task_definition_families(input),
            "TagResource" => self.tag_resource(input),
            "UntagResource" => self.untag_resource(input),
            "ListTagsForResource" => self.list_tags_for_resource(input),
            "RunTask" => self.run_task(input, kernel),
            "DescribeTasks" => self.describe_tasks(input, kernel),
            "ListTasks" => self.list_tasks(input, kernel),
            "StopTask" => self.stop_task(input, kernel),
            "CreateService" => self.create_service(request, kernel),
            "UpdateService" => self.update_service(input, kernel),
            "DeleteService" => self.delete_service(input, kernel),
            "DescribeServices" => self.describe_services(input, kernel),
            "ListServices" => self.list_services(input),
            "ListServiceDeployments" => self.list_service_deployments(input, kernel),
            "DescribeServiceDeployments" => self.describe_service_deployments(input, kernel),
            "DescribeServiceRevisions" => self.describe_service_revisions(input),
            "StopServiceDeployment" => self.stop_service_deployment(input, kernel),
            operation => Err(ApiError::unknown_operation(NAME, operation, &OPERATIONS)),
        }
    }
}

impl Service for Ecs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        self.required_permissions(request, kernel)
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        let answer = self.answer(request, kernel);
        self.publish_usage(kernel);
        Reply::Now(answer)
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        let Some(due) = self.timers.pending.remove(&timer) else {
            return;
        };
        self.fall_due(due, timer, kernel);
        self.publish_usage(kernel);
    }
}

impl Ecs {
    fn fall_due(&mut self, due: Timer, timer: TimerId, kernel: &mut Kernel) {
        match due {
            Timer::Task(id, step) => self.take_step(&id, step, kernel),
            Timer::Activity(id, moment) => self.act(&id, moment, kernel),
            // A timer that an earlier one has replaced is stale.
            Timer::Schedule(key) => {
                if self
                    .services
                    .get(&key)
                    .is_some_and(|service| service.tick.is_some_and(|(_, id)| id == timer))
                {
                    self.take_turn(&key, kernel);
                }
            }
            Timer::SteadyState(key) => {
                if self
                    .services
                    .get(&key)
                    .is_some_and(|service| service.steady == Some(timer))
                {
                    self.repeat_steady_state(&key, kernel);
                }
            }
        }
    }
}
