//! The application that is deployed while things go wrong.

use std::path::Path;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use lab::Lab;
use serde_json::{Value, json};
use simulator::kernel::Behaviour;
use simulator::services::Ecr;
use simulator::{Fault, FaultKind, Selector, Settings, World};
use simulator_event_bridge::{Disturbance, EventBridge, Fault as DeliveryFault, Occurrence, Pattern};
use simulator_step_functions::StepFunctions;

/// Longer than the period of every schedule: what a sweep or a reconciliation heals is healed after it.
pub(crate) const SWEPT: SignedDuration = SignedDuration::from_mins(6);

/// How many disturbed runs a sampled loop makes at most. Every loop has all of its runs in an ignored test beside it.
pub(crate) const SAMPLE: usize = 12;

/// What the pushed image does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    /// The migration ends well, the servers serve.
    Good,
    /// The migration ends with exit code 1.
    BadMigration,
    /// The worker serves; the web server, which comes after it, exits again and again: ECS rolls it back, and the worker is brought back by Esclusa.
    CrashingWeb,
}

impl Image {
    fn programs(self) -> Value {
        let code = i32::from(self == Self::BadMigration);
        let migrate = json!({
            "container": "migrations", "outcome": "exit", "after_seconds": 25, "code": code, "log": ["applying 20261102_add_rating"],
        });
        let web = json!({"container": "web", "outcome": "exit", "after_seconds": 3, "code": 1, "log": ["panic: no RATING_URL"]});
        match self {
            Self::Good | Self::BadMigration => json!([migrate]),
            Self::CrashingWeb => json!([migrate, web]),
        }
    }

    fn manifest(self, version: &str) -> String {
        let blob = |kind: &str, byte: &str| {
            let kind = format!("application/vnd.oci.image.{kind}");
            json!({"mediaType": kind, "digest": format!("sha256:{}", byte.repeat(32)), "size": 512})
        };
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob("config.v1+json", "22"),
            "layers": [blob("layer.v1.tar+gzip", "11")],
            "annotations": {
                "org.opencontainers.image.version": version,
                Behaviour::ANNOTATION: json!({"programs": self.programs()}).to_string(),
            },
        })
        .to_string()
    }
}

/// A simulated account in which the shop runs, with Esclusa.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) lab: Lab,
    pub(crate) seed: u64,
    /// How many calls had been made when the shop was open.
    pub(crate) calls_before: usize,
    /// How many events had been emitted when the shop was open.
    pub(crate) events_before: usize,
}

impl Shop {
    pub(crate) const CLUSTER: &str = "shop";
    pub(crate) const SERVICES: [&str; 2] = ["worker", "web"];

    /// An account in which the shop has run for a while.
    pub(crate) fn open(seed: u64) -> Self {
        let settings = Settings {
            seed,
            ..Settings::default()
        };
        let mut lab = Lab::new(&settings).unwrap();
        provide(lab.world_mut());
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shop/pipeline.yaml");
        let answer = lab.esclusa(&["pipelines", "apply", &file.display().to_string()]);
        assert_eq!(answer.code, 0, "{}", answer.err);
        lab.simulation().run_for(SignedDuration::from_mins(2));
        let (calls_before, events_before) = (lab.world().calls().len(), lab.world().events().len());
        Self {
            lab,
            seed,
            calls_before,
            events_before,
        }
    }

    /// Pushes an image; its digest.
    pub(crate) fn push(&mut self, image: Image) -> String {
        self.lab
            .push("shop", Some("4f2c1e9"), &image.manifest("4f2c1e9"))
            .unwrap()
    }

    /// Pushes an image and waits until its release is over and everything that is swept was swept.
    pub(crate) fn deploy(&mut self, image: Image) -> String {
        let digest = self.push(image);
        self.finish();
        digest
    }

    /// Waits until every release is over, and then until everything that is swept was swept.
    pub(crate) fn finish(&mut self) {
        assert!(
            self.lab.settle(),
            "seed {}: an execution runs for more than a week",
            self.seed
        );
        self.run_for(SWEPT);
    }

    pub(crate) fn run_for(&mut self, duration: SignedDuration) {
        self.lab.simulation().run_for(duration);
    }

    /// Runs to the very moment in which the deployment enters this state for the first time.
    pub(crate) fn run_until_state(&mut self, state: &str) {
        let machine = format!(":{}-deployment:", lab::DEPLOYER);
        self.run_until(|world| {
            let machines = world.service::<StepFunctions>().unwrap();
            let mut deployments = machines.executions().iter().filter(|arn| arn.contains(&machine));
            deployments.any(|arn| machines.path(arn).last().is_some_and(|last| last == state))
        });
    }

    /// Runs to the very moment in which something holds.
    pub(crate) fn run_until(&mut self, holds: impl FnMut(&World) -> bool) {
        let held = self.lab.simulation().run_until(SignedDuration::from_hours(3), holds);
        assert!(held, "seed {}: what was waited for never came", self.seed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.lab.world().now()
    }

    pub(crate) fn fault(&mut self, selector: Selector, kind: FaultKind) {
        self.lab.world_mut().add_fault(Fault::new(selector, kind));
    }

    /// Disturbs events between their services and the bus.
    pub(crate) fn disturb(&mut self, pattern: &Value, occurrence: Occurrence, fault: DeliveryFault) {
        let pattern = Pattern::compile(pattern).unwrap();
        let (bus, _) = self.lab.world_mut().service_mut::<EventBridge>().unwrap();
        bus.delivery.plan(Disturbance {
            pattern,
            occurrence,
            fault,
        });
    }

    /// Asks a service as the administrator, at once and past every fault.
    pub(crate) fn ask(&mut self, service: &str, operation: &str, input: Value) -> Value {
        self.lab.world_mut().administer(service, operation, input).unwrap()
    }

    /// The ARN of the only execution of a machine.
    pub(crate) fn execution(&self, machine: &str) -> String {
        let executions = self.lab.executions(machine);
        let [name] = executions.as_slice() else {
            panic!("{} executions of `{machine}`", executions.len())
        };
        let kernel = self.lab.world().kernel();
        kernel.arn("states", &format!("execution:{}-{machine}:{name}", lab::DEPLOYER))
    }
}

/// What infrastructure code has created: a repository, a cluster, task definitions and services that run the image of somebody else.
fn provide(world: &mut World) {
    let (ecr, kernel) = world.service_mut::<Ecr>().unwrap();
    ecr.create("shop", kernel);
    world
        .administer("ecs", "CreateCluster", json!({"clusterName": Shop::CLUSTER}))
        .unwrap();
    for container in ["migrations", "worker", "web"] {
        world
            .administer("ecs", "RegisterTaskDefinition", task_definition(container))
            .unwrap();
    }
    for service in Shop::SERVICES {
        world.administer("ecs", "CreateService", created(service)).unwrap();
    }
}

fn task_definition(container: &str) -> Value {
    json!({
        "family": format!("shop-{container}"),
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        "containerDefinitions": [{
            "name": container,
            "image": "public.ecr.aws/nginx/nginx:1.29",
            "essential": true,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/ecs/shop", "awslogs-region": "us-east-1", "awslogs-stream-prefix": container},
            },
        }],
    })
}

fn created(service: &str) -> Value {
    json!({
        "cluster": Shop::CLUSTER,
        "serviceName": service,
        "taskDefinition": format!("shop-{service}"),
        "desiredCount": 2,
        "launchType": "FARGATE",
        "deploymentConfiguration": {
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
            "deploymentCircuitBreaker": {"enable": true, "rollback": true},
        },
        "networkConfiguration": {
            "awsvpcConfiguration": {"subnets": ["subnet-0a00000000000001a"], "securityGroups": ["sg-0a00000000000001a"], "assignPublicIp": "DISABLED"},
        },
    })
}

/// The end of the undisturbed run with seed 1, which every disturbed one is compared with; computed once.
pub(crate) fn undisturbed(image: Image) -> &'static crate::observation::End {
    static ENDS: [OnceLock<crate::observation::End>; 3] = [const { OnceLock::new() }; 3];
    let index = match image {
        Image::Good => 0,
        Image::BadMigration => 1,
        Image::CrashingWeb => 2,
    };
    ENDS.get(index).unwrap().get_or_init(|| {
        let mut shop = Shop::open(1);
        let digest = shop.deploy(image);
        shop.observe(&digest).end
    })
}
