//! One container of one task.

use jiff::SignedDuration;
use serde_json::Value;
use simulator_kernel::{Activity, Kernel, Outcome, Program};

use crate::input::{list, number, text, texts};
use crate::task_definition_defaults::is_essential;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerStatus {
    Pending,
    Running,
    Stopped,
}

impl ContainerStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Unknown,
    Healthy,
    Unhealthy,
}

impl Health {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

/// Who asks a container whether it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The `healthCheck` of its definition.
    Container,
    /// A load balancer of the service.
    LoadBalancer,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct HealthCheck {
    pub(crate) asker: Asker,
    interval: SignedDuration,
    retries: u32,
    start_period: SignedDuration,
}

impl HealthCheck {
    fn of(definition: &Value) -> Option<Self> {
        let check = definition.get("healthCheck").filter(|check| check.is_object())?;
        let seconds =
            |key: &str, default: u32| SignedDuration::from_secs(i64::from(number(check, key).unwrap_or(default)));
        Some(Self {
            asker: Asker::Container,
            interval: seconds("interval", 30),
            retries: number(check, "retries").unwrap_or(3),
            start_period: seconds("startPeriod", 0),
        })
    }

    /// What a target group with its default settings does to a container that it sends traffic to.
    pub(crate) fn of_load_balancer(grace_period: SignedDuration) -> Self {
        let interval = SignedDuration::from_secs(30);
        Self {
            asker: Asker::LoadBalancer,
            interval,
            retries: 2,
            start_period: grace_period,
        }
    }

    /// When a container that never passes is given up, counted from its start.
    fn patience(&self) -> SignedDuration {
        let retries = i32::try_from(self.retries).unwrap_or(i32::MAX);
        self.start_period.saturating_add(self.interval.saturating_mul(retries))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) arn: String,
    /// Absent for containers that AWS adds to the task.
    pub(crate) image: Option<String>,
    pub(crate) image_digest: Option<String>,
    pub(crate) runtime_id: Option<String>,
    pub(crate) cpu: String,
    pub(crate) memory: Option<String>,
    pub(crate) memory_reservation: Option<String>,
    pub(crate) essential: bool,
    pub(crate) status: ContainerStatus,
    pub(crate) exit_code: Option<i32>,
    pub(crate) reason: Option<String>,
    pub(crate) health: Health,
    pub(crate) check: Option<HealthCheck>,
    pub(crate) program: Program,
    pub(crate) activity: Activity,
    command: Vec<String>,
    dependencies: Vec<(String, String)>,
    log_group_and_stream: Option<(String, String)>,
    stop_timeout: SignedDuration,
}

impl Container {
    /// A container as its definition and the override of the task ask for it.
    pub(crate) fn defined(definition: &Value, override_: Option<&Value>, task_id: &str, arn: String) -> Self {
        let name = text(definition, "name").unwrap_or_default();
        let size = |key: &str| {
            let overridden = override_.and_then(|override_| number(override_, key));
            overridden
                .or_else(|| number(definition, key))
                .map(|value| value.to_string())
        };
        let option = |key: &str| definition.get("logConfiguration")?.get("options")?.get(key)?.as_str();
        let log_group_and_stream = option("awslogs-group").map(|group| {
            let prefix = option("awslogs-stream-prefix").unwrap_or("ecs");
            (group.to_owned(), format!("{prefix}/{name}/{task_id}"))
        });
        let dependency = |value: &Value| {
            Some((
                text(value, "containerName")?.to_owned(),
                text(value, "condition")?.to_owned(),
            ))
        };
        Self {
            name: name.to_owned(),
            arn,
            image: text(definition, "image").map(str::to_owned),
            image_digest: None,
            runtime_id: None,
            cpu: size("cpu").unwrap_or_else(|| "0".to_owned()),
            memory: size("memory"),
            memory_reservation: size("memoryReservation"),
            essential: is_essential(definition),
            status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: Health::Unknown,
            check: HealthCheck::of(definition),
            program: serving(),
            activity: Activity::default(),
            command: command_line(definition, override_),
            dependencies: list(definition, "dependsOn").iter().filter_map(dependency).collect(),
            log_group_and_stream,
            stop_timeout: SignedDuration::from_secs(i64::from(number(definition, "stopTimeout").unwrap_or(30))),
        }
    }

    /// A container that AWS adds to the task: no image, and the word `null` where others have a number.
    pub(crate) fn injected(name: &str, arn: String) -> Self {
        let definition = serde_json::json!({"name": name, "essential": false});
        Self {
            cpu: "null".to_owned(),
            ..Self::defined(&definition, None, "", arn)
        }
    }

    /// Whether all that it depends on allow it to start. `Err` when one of them can never do so any more.
    pub(crate) fn may_start(&self, siblings: &[Container]) -> Result<bool, String> {
        for (name, condition) in &self.dependencies {
            let Some(other) = siblings.iter().find(|other| other.name == *name) else {
                continue;
            };
            let stopped = other.status == ContainerStatus::Stopped;
            let fulfilled = match condition.as_str() {
                "COMPLETE" => stopped,
                "SUCCESS" => stopped && other.exit_code == Some(0),
                "HEALTHY" => other.health == Health::Healthy,
                _ => other.status != ContainerStatus::Pending,
            };
            let hopeless = stopped || (condition == "HEALTHY" && other.health == Health::Unhealthy);
            match (fulfilled, hopeless) {
                (true, _) => {}
                (false, true) => return Err(format!("Container dependency {name} never met condition {condition}")),
                (false, false) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Finds the image in the registry and learns from it how to behave. `image` may differ from the definition's where
    /// a service revision has fixed the tag to a digest. `Err` carries the reason why the task cannot start.
    pub(crate) fn pull(&mut self, image: &str, kernel: &Kernel) -> Result<(), String> {
        let Some(resolution) = kernel.resolve_image(image) else {
            self.image_digest = image.split_once('@').map(|(_, digest)| digest.to_owned());
            let foreign = kernel.images.foreign.get(image);
            if let Some(program) = foreign.and_then(|behaviour| behaviour.program(&self.name, &self.command)) {
                self.program = program.clone();
            }
            return Ok(());
        };
        let found = resolution
            .image
            .filter(|found| found.status == simulator_kernel::ImageStatus::Active);
        let Some(found) = found else {
            let reference = self.image.as_deref().unwrap_or(image);
            return Err(format!(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref \
                 {reference}: {reference}: not found"
            ));
        };
        self.image_digest = Some(found.digest.clone());
        if let Some(program) = found.behaviour().program(&self.name, &self.command) {
            self.program = program.clone();
        }
        self.activity = found.activity();
        match &self.program.outcome {
            Outcome::FailToStart { reason } => Err(reason.clone()),
            _ => Ok(()),
        }
    }

    pub(crate) fn start(&mut self, task_id: &str, kernel: &mut Kernel) {
        self.status = ContainerStatus::Running;
        self.runtime_id = Some(format!("{task_id}-{:010}", kernel.rng().u32(..)));
        for line in &self.program.log {
            self.log(line, kernel);
        }
    }

    /// Writes a line to its log, where it has one.
    pub(crate) fn log(&self, line: &str, kernel: &mut Kernel) {
        if let Some((group, stream)) = &self.log_group_and_stream {
            kernel.logs.write(group, stream, kernel.now(), line);
        }
    }

    /// When the health check comes to its verdict, and which: counted from the start of the container.
    pub(crate) fn verdict(&self) -> Option<(SignedDuration, Health)> {
        let check = self.check?;
        match self.program.outcome {
            Outcome::Unhealthy => Some((check.patience(), Health::Unhealthy)),
            _ => Some((check.interval, Health::Healthy)),
        }
    }

    /// How long it takes to obey the stop signal, and the exit code it leaves.
    pub(crate) fn stopped_after(&self, obeying: SignedDuration) -> (SignedDuration, i32) {
        match self.program.outcome {
            Outcome::Hang => (self.stop_timeout, 137),
            Outcome::Exit { .. } => (obeying, 143),
            _ => (obeying, 0),
        }
    }

    pub(crate) fn passes_checks(&self) -> bool {
        self.check.is_none() || self.health == Health::Healthy
    }

    /// The image with its tag replaced by a digest.
    pub(crate) fn pinned(image: &str, digest: &str) -> String {
        let name = image.split('@').next().unwrap_or(image);
        let repository = match name.rfind(':') {
            Some(colon) if name.rfind('/').is_none_or(|slash| slash < colon) => name.get(..colon).unwrap_or(name),
            _ => name,
        };
        format!("{repository}@{digest}")
    }
}

fn serving() -> Program {
    Program {
        container: None,
        command_contains: None,
        outcome: Outcome::Serve,
        log: Vec::new(),
    }
}

fn command_line(definition: &Value, override_: Option<&Value>) -> Vec<String> {
    let overridden = override_
        .map(|override_| texts(override_, "command"))
        .filter(|command| !command.is_empty());
    let command = overridden.unwrap_or_else(|| texts(definition, "command"));
    texts(definition, "entryPoint")
        .into_iter()
        .chain(command)
        .map(str::to_owned)
        .collect()
}
