//! The life of a task, from `PROVISIONING` to `STOPPED`.

use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator_kernel::{Kernel, Outcome};

use crate::breaker::Sign;
use crate::containers::{Asker, Container, ContainerStatus, Health, HealthCheck};
use crate::input::{list, set, text, texts};
use crate::targets::LoadBalanced;
use crate::tasks::{Membership, Moments, NetworkInterface, Stop, Task, TaskStatus};
use crate::{Ecs, Timer};

/// A moment in the life of one task. A step whose time has passed, because the task took another turn, does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Provisioned,
    Pulled,
    Activated,
    /// The program of a container ends by itself.
    ContainerExits {
        index: usize,
        code: i32,
    },
    /// The host of a container is lost.
    ContainerVanishes {
        stop_code: String,
    },
    /// A health check comes to its verdict.
    Verdict {
        index: usize,
        health: Health,
    },
    Deactivated,
    /// A container has obeyed the stop signal, or was killed.
    ContainerStopped {
        index: usize,
        code: i32,
    },
    Deprovisioned,
}

/// All that a new task is made of.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) cluster: String,
    pub(crate) cluster_arn: String,
    pub(crate) definition_arn: String,
    pub(crate) group: String,
    pub(crate) started_by: Option<String>,
    pub(crate) membership: Option<Membership>,
    pub(crate) overrides: Value,
    pub(crate) tags: Vec<Value>,
    pub(crate) capacity_provider: Option<String>,
    pub(crate) enable_execute_command: bool,
    pub(crate) platform_version: Option<String>,
    pub(crate) network_configuration: Value,
    /// Containers that a load balancer sends traffic to, with the grace period before it asks for their health.
    pub(crate) load_balanced: Vec<LoadBalanced>,
    pub(crate) grace_period: SignedDuration,
}

impl Ecs {
    /// Starts a task and returns its id. `None` when the definition has gone.
    pub(crate) fn launch(&mut self, launch: &Launch, kernel: &mut Kernel) -> Option<String> {
        let id = kernel.hex_id(32);
        let definition = self.task_definitions.find(&launch.definition_arn)?;
        let container_arn = |kernel: &mut Kernel| {
            let path = format!("container/{}/{id}/{}", launch.cluster, kernel.uuid());
            kernel.arn("ecs", &path)
        };
        let mut overrides = launch.overrides.clone();
        let mut shown_overrides: Vec<Value> = Vec::new();
        let mut containers = Vec::new();
        for container in definition.container_definitions() {
            let name = text(container, "name").unwrap_or_default();
            let override_ = list(&launch.overrides, "containerOverrides")
                .iter()
                .find(|override_| text(override_, "name") == Some(name));
            let mut made = Container::defined(container, override_, &id, container_arn(kernel));
            if launch.load_balanced.iter().any(|balanced| balanced.container == name) && made.check.is_none() {
                made.check = Some(HealthCheck::of_load_balancer(launch.grace_period));
            }
            containers.push(made);
            shown_overrides.push(override_.cloned().unwrap_or_else(|| json!({"name": name})));
        }
        if let Some(name) = &self.settings.injected_sidecar {
            containers.push(Container::injected(name, container_arn(kernel)));
            shown_overrides
                .push(json!({"name": name, "memory": 128, "environment": [{"name": "STAGE", "value": "prod"}]}));
        }
        set(&mut overrides, "containerOverrides", json!(shown_overrides));
        let size = |key: &str| {
            launch
                .overrides
                .get(key)
                .or_else(|| definition.content.get(key))
                .cloned()
        };
        let ephemeral_storage = size("ephemeralStorage").unwrap_or_else(|| json!({"sizeInGiB": 20}));
        let mut task = Task {
            arn: kernel.arn("ecs", &format!("task/{}/{id}", launch.cluster)),
            id: id.clone(),
            cluster: launch.cluster.clone(),
            cluster_arn: launch.cluster_arn.clone(),
            definition_arn: definition.arn.clone(),
            family: definition.family.clone(),
            containers,
            status: TaskStatus::Provisioning,
            group: launch.group.clone(),
            started_by: launch.started_by.clone(),
            membership: launch.membership.clone(),
            load_balanced: launch.load_balanced.clone(),
            overrides,
            tags: launch.tags.clone(),
            cpu: size("cpu").unwrap_or_else(|| json!("256")),
            memory: size("memory").unwrap_or_else(|| json!("512")),
            capacity_provider: launch.capacity_provider.clone(),
            enable_execute_command: launch.enable_execute_command,
            platform_version: launch
                .platform_version
                .clone()
                .filter(|version| version != "LATEST")
                .unwrap_or_else(|| "1.4.0".to_owned()),
            availability_zone: format!(
                "{}{}",
                kernel.region().to_owned(),
                kernel.rng().choice(["a", "b", "c"]).unwrap_or("a")
            ),
            ephemeral_storage,
            network: definition
                .uses_awsvpc()
                .then(|| network_interface(&launch.network_configuration, kernel)),
            created_at: kernel.now(),
            updated_at: kernel.now(),
            moments: Moments::default(),
            version: 0,
            stop: None,
        };
        task.publish(kernel);
        self.tasks.insert(id.clone(), task);
        let delay = self.settings.durations.provisioning.draw(kernel);
        self.timers
            .set_after(delay, Timer::Task(id.clone(), Step::Provisioned), kernel);
        Some(id)
    }

    pub(crate) fn take_step(&mut self, id: &str, step: Step, kernel: &mut Kernel) {
        match step {
            Step::Provisioned => self.provisioned(id, kernel),
            Step::Pulled => self.pulled(id, kernel),
            Step::Activated => self.activated(id, kernel),
            Step::ContainerExits { index, code } => self.container_exits(id, index, code, kernel),
            Step::ContainerVanishes { stop_code } => self.vanish(id, &stop_code, kernel),
            Step::Verdict { index, health } => self.verdict(id, index, health, kernel),
            Step::Deactivated => self.deactivated(id, kernel),
            Step::ContainerStopped { index, code } => self.container_stopped(id, index, code, kernel),
            Step::Deprovisioned => self.deprovisioned(id, kernel),
        }
        if let Some(membership) = self.tasks.get(id).and_then(|task| task.membership.clone()) {
            self.schedule(&membership.service, kernel);
        }
    }

    fn task_with(&mut self, id: &str, status: TaskStatus) -> Option<&mut Task> {
        self.tasks.get_mut(id).filter(|task| task.status == status)
    }

    fn provisioned(&mut self, id: &str, kernel: &mut Kernel) {
        let Some(task) = self.task_with(id, TaskStatus::Provisioning) else {
            return;
        };
        task.status = TaskStatus::Pending;
        task.moments.connected = Some(kernel.now());
        task.moments.pull_started = Some(kernel.now());
        task.publish(kernel);
        let delay = self.settings.durations.pull.draw(kernel);
        self.timers
            .set_after(delay, Timer::Task(id.to_owned(), Step::Pulled), kernel);
    }

    fn pulled(&mut self, id: &str, kernel: &mut Kernel) {
        let Some(membership) = self
            .task_with(id, TaskStatus::Pending)
            .map(|task| task.membership.clone())
        else {
            return;
        };
        let fixed = membership
            .as_ref()
            .map(|membership| self.fixed_images(membership))
            .unwrap_or_default();
        let Some(task) = self.tasks.get_mut(id) else { return };
        let mut failure = None;
        for container in &mut task.containers {
            let Some(image) = container.image.clone() else { continue };
            let image = fixed
                .get(&container.name)
                .map_or(image.clone(), |digest| Container::pinned(&image, digest));
            if let Err(reason) = container.pull(&image, kernel) {
                container.reason = Some(reason.clone());
                failure.get_or_insert(reason);
            }
        }
        if let Some(reason) = failure {
            return self.begin_stop(id, "TaskFailedToStart", &reason, kernel);
        }
        task.moments.pull_stopped = Some(kernel.now());
        if let Some(membership) = membership {
            self.fix_images(&membership, id);
        }
        self.start_containers(id, kernel);
    }

    /// Starts every container whose dependencies allow it; with the last one the task goes on to `ACTIVATING`.
    fn start_containers(&mut self, id: &str, kernel: &mut Kernel) {
        loop {
            let Some(task) = self.task_with(id, TaskStatus::Pending).filter(|task| task.is_wanted()) else {
                return;
            };
            let pending = task
                .containers
                .iter()
                .filter(|container| container.status == ContainerStatus::Pending);
            if pending.clone().count() == 0 {
                task.status = TaskStatus::Activating;
                task.publish(kernel);
                let delay = self.settings.durations.activating.draw(kernel);
                self.timers
                    .set_after(delay, Timer::Task(id.to_owned(), Step::Activated), kernel);
                return;
            }
            let impossible = pending
                .filter_map(|container| container.may_start(&task.containers).err())
                .next();
            if let Some(reason) = impossible {
                return self.begin_stop(id, "TaskFailedToStart", &reason, kernel);
            }
            let startable = |container: &Container| {
                container.status == ContainerStatus::Pending && container.may_start(&task.containers) == Ok(true)
            };
            let Some(index) = task.containers.iter().position(startable) else {
                return;
            };
            self.start_container(id, index, kernel);
        }
    }

    fn start_container(&mut self, id: &str, index: usize, kernel: &mut Kernel) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let Some(container) = task.containers.get_mut(index) else {
            return;
        };
        container.start(id, kernel);
        let mut steps = Vec::new();
        let seconds = |seconds: &u32| SignedDuration::from_secs(i64::from(*seconds));
        match &container.program.outcome {
            Outcome::Exit { after_seconds, code } => {
                steps.push((seconds(after_seconds), Step::ContainerExits { index, code: *code }));
            }
            Outcome::Vanish {
                after_seconds,
                stop_code,
            } => {
                steps.push((
                    seconds(after_seconds),
                    Step::ContainerVanishes {
                        stop_code: stop_code.clone(),
                    },
                ));
            }
            Outcome::Serve | Outcome::Unhealthy | Outcome::FailToStart { .. } | Outcome::Hang => {}
        }
        if let Some((delay, health)) = container.verdict() {
            steps.push((delay, Step::Verdict { index, health }));
        }
        task.publish(kernel);
        for (delay, step) in steps {
            self.timers.set_after(delay, Timer::Task(id.to_owned(), step), kernel);
        }
    }

    fn activated(&mut self, id: &str, kernel: &mut Kernel) {
        let Some(task) = self
            .task_with(id, TaskStatus::Activating)
            .filter(|task| task.is_wanted())
        else {
            return;
        };
        task.status = TaskStatus::Running;
        task.moments.started = Some(kernel.now());
        task.publish(kernel);
        let healthy = task.passes_checks();
        let membership = task.membership.clone();
        self.begin_activity(id, kernel);
        if let Some(membership) = membership {
            self.task_started(&membership.service);
            if healthy {
                self.observe(&membership, Sign::Healthy, kernel);
            }
        }
    }

    fn container_exits(&mut self, id: &str, index: usize, code: i32, kernel: &mut Kernel) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let Some(container) = task.containers.get_mut(index) else {
            return;
        };
        if container.status != ContainerStatus::Running {
            return;
        }
        container.status = ContainerStatus::Stopped;
        container.exit_code = Some(code);
        let essential = container.essential;
        task.publish(kernel);
        if task.status == TaskStatus::Stopping {
            self.deprovision_when_quiet(id, kernel);
        } else if essential {
            self.begin_stop(
                id,
                "EssentialContainerExited",
                "Essential container in task exited",
                kernel,
            );
        } else {
            self.start_containers(id, kernel);
        }
    }

    fn verdict(&mut self, id: &str, index: usize, health: Health, kernel: &mut Kernel) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.is_wanted()) else {
            return;
        };
        let Some(container) = task.containers.get_mut(index) else {
            return;
        };
        if container.status != ContainerStatus::Running {
            return;
        }
        container.health = health;
        let gives_up = health == Health::Unhealthy && container.essential;
        let asker = container.check.map(|check| check.asker);
        task.tell_targets(kernel);
        let membership = task.membership.clone();
        let healthy = task.is_healthy();
        match membership {
            Some(_) if gives_up => {
                let reason = match asker {
                    Some(Asker::LoadBalancer) => "Task failed ELB health checks",
                    _ => "Task failed container health checks",
                };
                return self.begin_stop(id, "ServiceSchedulerInitiated", reason, kernel);
            }
            Some(membership) if healthy => self.observe(&membership, Sign::Healthy, kernel),
            _ => {}
        }
        self.start_containers(id, kernel);
    }

    /// Asks a task to stop. The first reason is the one that stays.
    pub(crate) fn begin_stop(&mut self, id: &str, code: &str, reason: &str, kernel: &mut Kernel) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.is_wanted()) else {
            return;
        };
        let sign = sign_of_stop(task, code);
        task.stop = Some(Stop {
            code: code.to_owned(),
            reason: reason.to_owned(),
        });
        task.moments.stopping = Some(kernel.now());
        let membership = task.membership.clone();
        if task
            .containers
            .iter()
            .any(|container| container.status != ContainerStatus::Pending)
        {
            task.status = TaskStatus::Deactivating;
            task.publish(kernel);
            let delay = self.settings.durations.deactivating.draw(kernel);
            self.timers
                .set_after(delay, Timer::Task(id.to_owned(), Step::Deactivated), kernel);
        } else {
            self.deprovision(id, kernel);
        }
        if let Some(membership) = membership {
            if let Some(sign) = sign {
                self.observe(&membership, sign, kernel);
            }
            self.schedule(&membership.service, kernel);
        }
    }

    fn deactivated(&mut self, id: &str, kernel: &mut Kernel) {
        let Some(task) = self.task_with(id, TaskStatus::Deactivating) else {
            return;
        };
        task.status = TaskStatus::Stopping;
        task.publish(kernel);
        let running: Vec<usize> = task
            .containers
            .iter()
            .enumerate()
            .filter(|(_, container)| container.status == ContainerStatus::Running)
            .map(|(index, _)| index)
            .collect();
        for index in running {
            let obeying = self.settings.durations.stopping.draw(kernel);
            let container = self.tasks.get(id).and_then(|task| task.containers.get(index));
            let Some((delay, code)) = container.map(|container| container.stopped_after(obeying)) else {
                continue;
            };
            let step = Step::ContainerStopped { index, code };
            self.timers.set_after(delay, Timer::Task(id.to_owned(), step), kernel);
        }
        self.deprovision_when_quiet(id, kernel);
    }

    fn container_stopped(&mut self, id: &str, index: usize, code: i32, kernel: &mut Kernel) {
        let Some(task) = self.task_with(id, TaskStatus::Stopping) else {
            return;
        };
        let Some(container) = task.containers.get_mut(index) else {
            return;
        };
        if container.status == ContainerStatus::Running {
            container.status = ContainerStatus::Stopped;
            container.exit_code = Some(code);
            task.publish(kernel);
        }
        self.deprovision_when_quiet(id, kernel);
    }

    /// The host is lost: no container leaves an exit code.
    fn vanish(&mut self, id: &str, stop_code: &str, kernel: &mut Kernel) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.is_wanted()) else {
            return;
        };
        let reason = match stop_code {
            "SpotInterruption" => "Your Spot Task was interrupted.",
            "TerminationNotice" => "Your task was stopped because its host is being retired.",
            _ => "The infrastructure that hosted the task was lost.",
        };
        task.stop = Some(Stop {
            code: stop_code.to_owned(),
            reason: reason.to_owned(),
        });
        task.moments.stopping = Some(kernel.now());
        self.deprovision(id, kernel);
    }

    fn deprovision_when_quiet(&mut self, id: &str, kernel: &mut Kernel) {
        let quiet = self.task_with(id, TaskStatus::Stopping).is_some_and(|task| {
            task.containers
                .iter()
                .all(|container| container.status != ContainerStatus::Running)
        });
        if quiet {
            self.deprovision(id, kernel);
        }
    }

    fn deprovision(&mut self, id: &str, kernel: &mut Kernel) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.status = TaskStatus::Deprovisioning;
        task.moments.execution_stopped = Some(kernel.now());
        for container in &mut task.containers {
            container.status = ContainerStatus::Stopped;
        }
        task.publish(kernel);
        let delay = self.settings.durations.deprovisioning.draw(kernel);
        self.timers
            .set_after(delay, Timer::Task(id.to_owned(), Step::Deprovisioned), kernel);
    }

    fn deprovisioned(&mut self, id: &str, kernel: &mut Kernel) {
        let Some(task) = self.task_with(id, TaskStatus::Deprovisioning) else {
            return;
        };
        task.status = TaskStatus::Stopped;
        task.moments.stopped = Some(kernel.now());
        task.publish(kernel);
    }
}

/// What the circuit breaker reads from a stop. A task that ran, had no health check and died tells it nothing.
fn sign_of_stop(task: &Task, code: &str) -> Option<Sign> {
    let by_itself = matches!(code, "TaskFailedToStart" | "EssentialContainerExited");
    let gave_up = task
        .containers
        .iter()
        .any(|container| container.essential && container.health == Health::Unhealthy);
    match task.moments.started {
        None if by_itself => Some(Sign::FailedToStart),
        None => gave_up.then_some(Sign::FailedHealthCheck),
        Some(_) if gave_up => Some(Sign::FailedHealthCheck),
        Some(_) => (by_itself && task.has_checks() && !task.passes_checks()).then_some(Sign::FailedHealthCheck),
    }
}

fn network_interface(configuration: &Value, kernel: &mut Kernel) -> NetworkInterface {
    let awsvpc = configuration.get("awsvpcConfiguration").unwrap_or(&Value::Null);
    let subnets = texts(awsvpc, "subnets");
    let subnet = kernel
        .rng()
        .choice(subnets)
        .unwrap_or("subnet-00000000000000000")
        .to_owned();
    let mut octet = || kernel.rng().u8(1..=254);
    let address = format!("10.0.{}.{}", octet(), octet());
    let mac_address = format!(
        "0e:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
        octet(),
        octet(),
        octet(),
        octet(),
        octet()
    );
    NetworkInterface {
        attachment_id: kernel.uuid(),
        subnet_id: subnet,
        interface_id: format!("eni-{}", kernel.hex_id(17)),
        mac_address,
        address,
    }
}
