//! A small world that owns a kernel and an [`Ecs`], drives the timers and collects the events.

#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` literals read better without a borrow"
)]

mod deployments;
mod operations;
mod tasks;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{
    ApiError, Behaviour, Effect, Image, ImageStatus, Kernel, Principal, Reply, Request, RequestId, Service,
};

use crate::{Ecs, Settings};

const REGISTRY: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

struct World {
    kernel: Kernel,
    ecs: Ecs,
    events: Vec<Value>,
}

impl World {
    /// A cluster `prod` without read delays.
    fn new() -> Self {
        let settings = Settings {
            task_visible_after: SignedDuration::ZERO,
            deployment_visible_after: SignedDuration::ZERO,
            ..Settings::default()
        };
        Self::with(settings)
    }

    fn with(settings: Settings) -> Self {
        Self::seeded(settings, 7)
    }

    fn seeded(settings: Settings, seed: u64) -> Self {
        let kernel = Kernel::new(
            "123456789012",
            "us-east-1",
            "2026-11-02T09:00:00Z".parse().unwrap(),
            seed,
        );
        let mut world = Self {
            kernel,
            ecs: Ecs::new(settings),
            events: Vec::new(),
        };
        world.ok("CreateCluster", json!({"clusterName": "prod"}));
        world
    }

    fn request(operation: &str, input: Value) -> Request {
        let principal = Principal::Role("deployer".to_owned());
        Request {
            access_key_id: None,
            id: RequestId(0),
            operation: operation.to_owned(),
            input,
            principal,
        }
    }

    fn call(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let Reply::Now(answer) = self.ecs.call(&Self::request(operation, input), &mut self.kernel) else {
            panic!("ecs answers at once")
        };
        self.collect();
        answer
    }

    fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input).unwrap()
    }

    fn code(&mut self, operation: &str, input: Value) -> String {
        self.call(operation, input).unwrap_err().code
    }

    fn collect(&mut self) {
        while let Some(effect) = self.kernel.take_effect() {
            match effect {
                Effect::Event(event) => self.events.push(event),
                other => panic!("unexpected effect {other:?}"),
            }
        }
    }

    fn step(&mut self) {
        let due = self.kernel.take_due().unwrap();
        self.ecs.wake(due.timer, &mut self.kernel);
        self.collect();
    }

    fn run_for(&mut self, duration: SignedDuration) {
        self.run_checked(duration, |_| {});
    }

    /// Runs and looks at the world after every step.
    fn run_checked(&mut self, duration: SignedDuration, mut check: impl FnMut(&Self)) {
        let end = self.kernel.now() + duration;
        while self.kernel.next_due().is_some_and(|due| due <= end) {
            self.step();
            check(self);
        }
        self.kernel.move_clock(end);
    }

    fn run_minutes(&mut self, minutes: i64) {
        self.run_for(SignedDuration::from_mins(minutes));
    }

    fn now(&self) -> Timestamp {
        self.kernel.now()
    }

    /// Pushes an image that behaves so, and returns its digest.
    fn push(&mut self, tag: &str, programs: Value) -> String {
        let behaviour = json!({"programs": programs}).to_string();
        let manifest = json!({"tag": tag, "annotations": {Behaviour::ANNOTATION: behaviour}}).to_string();
        let digest = format!("sha256:{}", self.kernel.hex_id(64));
        let image = Image {
            digest: digest.clone(),
            tags: [tag.to_owned()].into(),
            manifest,
            manifest_media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            labels: std::collections::BTreeMap::new(),
            artifact_media_type: None,
            pushed_at: self.now(),
            status: ImageStatus::Active,
        };
        let images = self.kernel.images.repositories.entry("api".to_owned()).or_default();
        for other in images.values_mut() {
            other.tags.remove(tag);
        }
        images.insert(digest.clone(), image);
        digest
    }

    /// Registers a revision of the family `api` with one container of this tag, and returns its ARN.
    fn register(&mut self, tag: &str, health_check: bool) -> String {
        let mut container = json!({
            "name": "api",
            "image": format!("{REGISTRY}/api:{tag}"),
            "portMappings": [{"containerPort": 8080}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/ecs/api", "awslogs-stream-prefix": "app"},
            },
        });
        if health_check {
            container["healthCheck"] = json!({"command": ["CMD", "true"], "interval": 10, "retries": 2});
        }
        let answer = self.ok("RegisterTaskDefinition", definition(json!([container])));
        answer["taskDefinition"]["taskDefinitionArn"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A service `api` that has reached its steady state with two tasks of a serving image.
    fn with_steady_service(configuration: Value) -> Self {
        let mut world = Self::new();
        world.push("v1", json!([]));
        world.register("v1", false);
        world.ok("CreateService", service(configuration, 2));
        world.run_minutes(3);
        assert_eq!(world.service()["deployments"][0]["rolloutState"], "COMPLETED");
        world
    }

    fn service(&mut self) -> Value {
        self.ok("DescribeServices", json!({"cluster": "prod", "services": ["api"]}))["services"][0].clone()
    }

    /// The newest service deployment.
    fn service_deployment(&mut self) -> Value {
        let listed = self.ok("ListServiceDeployments", json!({"cluster": "prod", "service": "api"}));
        let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
        self.ok("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}))["serviceDeployments"][0].clone()
    }

    fn update(&mut self, definition: &str) -> String {
        let input = json!({"cluster": "prod", "service": "api", "taskDefinition": definition});
        let answer = self.ok("UpdateService", input);
        answer["service"]["deployments"][0]["id"].as_str().unwrap().to_owned()
    }

    fn run_task(&mut self, definition: &str) -> String {
        let answer = self.ok("RunTask", run(definition));
        answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned()
    }

    fn task(&mut self, arn: &str) -> Value {
        self.ok("DescribeTasks", json!({"cluster": "prod", "tasks": [arn]}))["tasks"][0].clone()
    }

    /// The details of the events of one type.
    fn details(&self, detail_type: &str) -> Vec<&Value> {
        self.events
            .iter()
            .filter(|event| event["detail-type"] == detail_type)
            .map(|event| &event["detail"])
            .collect()
    }

    /// Name and deployment id of the deployment events, in order.
    fn deployment_events(&self) -> Vec<(String, String)> {
        let text = |detail: &Value, key: &str| detail[key].as_str().unwrap().to_owned();
        self.details("ECS Deployment State Change")
            .into_iter()
            .map(|detail| (text(detail, "eventName"), text(detail, "deploymentId")))
            .collect()
    }
}

fn definition(containers: Value) -> Value {
    json!({
        "family": "api",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "taskRoleArn": "arn:aws:iam::123456789012:role/task",
        "containerDefinitions": containers,
    })
}

fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}})
}

fn run(definition: &str) -> Value {
    json!({
        "cluster": "prod",
        "taskDefinition": definition,
        "launchType": "FARGATE",
        "networkConfiguration": network(),
    })
}

fn service(deployment_configuration: Value, desired_count: u32) -> Value {
    json!({
        "cluster": "prod",
        "serviceName": "api",
        "taskDefinition": "api",
        "desiredCount": desired_count,
        "launchType": "FARGATE",
        "networkConfiguration": network(),
        "deploymentConfiguration": deployment_configuration,
    })
}

fn breaker(rollback: bool) -> Value {
    json!({"deploymentCircuitBreaker": {"enable": true, "rollback": rollback}})
}
