//! Tasks and services as the API and the events show them.

use jiff::Timestamp;
use serde_json::{Value, json};
use simulator_kernel::Kernel;

use crate::containers::{Asker, Container, Health};
use crate::input::{iso_8601, set, set_some};
use crate::tasks::{NetworkInterface, Task, TaskStatus};

const SOURCE: &str = "aws.ecs";

impl Task {
    /// The `Task` of `DescribeTasks`. Its tags are part of it only when they were asked for.
    pub(crate) fn describe(&self, time: impl Fn(Timestamp) -> Value, with_tags: bool) -> Value {
        let mut described = self.common(&time);
        set(
            &mut described,
            "tags",
            if with_tags { json!(self.tags) } else { json!([]) },
        );
        set(&mut described, "healthStatus", json!(self.health().name()));
        if let Some(containers) = described.get_mut("containers").and_then(Value::as_array_mut) {
            for (shown, container) in containers.iter_mut().zip(&self.containers) {
                let asked = container.check.is_some_and(|check| check.asker == Asker::Container);
                let health = if asked { container.health } else { Health::Unknown };
                set(shown, "healthStatus", json!(health.name()));
            }
        }
        described
    }

    /// The members that descriptions and events have in common. Health is in descriptions only.
    fn common(&self, time: &impl Fn(Timestamp) -> Value) -> Value {
        let containers: Vec<Value> = self
            .containers
            .iter()
            .map(|container| self.container(container))
            .collect();
        let attachments: Vec<Value> = self.network.iter().map(|network| self.attachment(network)).collect();
        let mut task = json!({
            "attachments": attachments,
            "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
            "availabilityZone": self.availability_zone,
            "clusterArn": self.cluster_arn,
            "containers": containers,
            "cpu": self.cpu,
            "createdAt": time(self.created_at),
            "desiredStatus": self.desired_status(),
            "enableExecuteCommand": self.enable_execute_command,
            "ephemeralStorage": self.ephemeral_storage,
            "group": self.group,
            "launchType": "FARGATE",
            "lastStatus": self.status.name(),
            "memory": self.memory,
            "overrides": self.overrides,
            "platformVersion": self.platform_version,
            "platformFamily": "Linux",
            "taskArn": self.arn,
            "taskDefinitionArn": self.definition_arn,
            "version": self.version,
        });
        set_some(
            &mut task,
            "capacityProviderName",
            self.capacity_provider.as_ref().map(|name| json!(name)),
        );
        set_some(&mut task, "startedBy", self.started_by.as_ref().map(|by| json!(by)));
        if self.moments.connected.is_some() {
            set(&mut task, "connectivity", json!("CONNECTED"));
        }
        let moments = [
            ("connectivityAt", self.moments.connected),
            ("pullStartedAt", self.moments.pull_started),
            ("pullStoppedAt", self.moments.pull_stopped),
            ("startedAt", self.moments.started),
            ("stoppingAt", self.moments.stopping),
            ("executionStoppedAt", self.moments.execution_stopped),
            ("stoppedAt", self.moments.stopped),
        ];
        for (key, at) in moments {
            set_some(&mut task, key, at.map(time));
        }
        if let Some(stop) = &self.stop {
            set(&mut task, "stopCode", json!(stop.code));
            set(&mut task, "stoppedReason", json!(stop.reason));
        }
        task
    }

    fn container(&self, container: &Container) -> Value {
        let mut shown = json!({
            "containerArn": container.arn,
            "lastStatus": container.status.name(),
            "name": container.name,
            "taskArn": self.arn,
            "cpu": container.cpu,
        });
        let members = [
            ("image", container.image.as_ref().map(|image| json!(image))),
            (
                "imageDigest",
                container.image_digest.as_ref().map(|digest| json!(digest)),
            ),
            ("runtimeId", container.runtime_id.as_ref().map(|id| json!(id))),
            ("memory", container.memory.as_ref().map(|memory| json!(memory))),
            (
                "memoryReservation",
                container.memory_reservation.as_ref().map(|memory| json!(memory)),
            ),
            ("exitCode", container.exit_code.map(|code| json!(code))),
            ("reason", container.reason.as_ref().map(|reason| json!(reason))),
        ];
        for (key, value) in members {
            set_some(&mut shown, key, value);
        }
        let interfaces = self
            .network
            .iter()
            .filter(|_| container.image.is_some() && self.is_connected());
        let interfaces: Vec<Value> = interfaces
            .map(|network| json!({"attachmentId": network.attachment_id, "privateIpv4Address": network.address}))
            .collect();
        set(&mut shown, "networkInterfaces", json!(interfaces));
        shown
    }

    fn attachment(&self, network: &NetworkInterface) -> Value {
        let status = match self.status {
            TaskStatus::Provisioning => "PRECREATED",
            TaskStatus::Stopped => "DELETED",
            _ => "ATTACHED",
        };
        let details = if self.is_connected() {
            json!([
                {"name": "subnetId", "value": network.subnet_id},
                {"name": "networkInterfaceId", "value": network.interface_id},
                {"name": "macAddress", "value": network.mac_address},
                {"name": "privateDnsName", "value": format!("ip-{}.ec2.internal", network.address.replace('.', "-"))},
                {"name": "privateIPv4Address", "value": network.address},
            ])
        } else {
            json!([{"name": "subnetId", "value": network.subnet_id}])
        };
        json!({"id": network.attachment_id, "type": "eni", "status": status, "details": details})
    }

    fn is_connected(&self) -> bool {
        self.moments.connected.is_some()
    }

    /// The worst health of its essential containers.
    fn health(&self) -> Health {
        let asked: Vec<Health> = self
            .containers
            .iter()
            .filter(|container| {
                container.essential && container.check.is_some_and(|check| check.asker == Asker::Container)
            })
            .map(|container| container.health)
            .collect();
        if asked.contains(&Health::Unhealthy) {
            Health::Unhealthy
        } else if !asked.is_empty() && asked.iter().all(|health| *health == Health::Healthy) {
            Health::Healthy
        } else {
            Health::Unknown
        }
    }

    /// Counts the change and puts `ECS Task State Change` on the bus.
    pub(crate) fn publish(&mut self, kernel: &mut Kernel) {
        self.version += 1;
        self.updated_at = kernel.now();
        self.tell_targets(kernel);
        self.tell_sites(kernel);
        let mut detail = self.common(&iso_8601);
        set(&mut detail, "updatedAt", iso_8601(self.updated_at));
        kernel.emit(SOURCE, "ECS Task State Change", std::slice::from_ref(&self.arn), detail);
    }
}

/// The names of `ECS Deployment State Change`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeploymentEvent {
    InProgress,
    Completed,
    Failed,
}

impl DeploymentEvent {
    pub(crate) fn emit(self, service_arn: &str, deployment_id: &str, reason: &str, kernel: &mut Kernel) {
        let (event_type, name) = match self {
            Self::InProgress => ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS"),
            Self::Completed => ("INFO", "SERVICE_DEPLOYMENT_COMPLETED"),
            Self::Failed => ("ERROR", "SERVICE_DEPLOYMENT_FAILED"),
        };
        let detail = json!({
            "eventType": event_type,
            "eventName": name,
            "deploymentId": deployment_id,
            "updatedAt": iso_8601(kernel.now()),
            "reason": reason,
        });
        kernel.emit(SOURCE, "ECS Deployment State Change", &[service_arn.to_owned()], detail);
    }
}

/// The names of `ECS Service Action` that a rolling service on Fargate shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceAction {
    SteadyState,
    TaskStartImpaired,
    TaskPlacementFailure,
}

impl ServiceAction {
    pub(crate) fn emit(self, service_arn: &str, cluster_arn: &str, kernel: &mut Kernel) {
        let (event_type, name) = match self {
            Self::SteadyState => ("INFO", "SERVICE_STEADY_STATE"),
            Self::TaskStartImpaired => ("WARN", "SERVICE_TASK_START_IMPAIRED"),
            Self::TaskPlacementFailure => ("ERROR", "SERVICE_TASK_PLACEMENT_FAILURE"),
        };
        let mut detail = json!({"eventType": event_type, "eventName": name, "clusterArn": cluster_arn});
        if self == Self::TaskPlacementFailure {
            let provider = kernel.arn("ecs", "capacity-provider/FARGATE");
            set(&mut detail, "capacityProviderArns", json!([provider]));
            set(&mut detail, "reason", json!("RESOURCE:FARGATE"));
        }
        set(&mut detail, "createdAt", iso_8601(kernel.now()));
        kernel.emit(SOURCE, "ECS Service Action", &[service_arn.to_owned()], detail);
    }
}
