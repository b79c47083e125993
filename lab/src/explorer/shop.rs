//! The application that is deployed while things go wrong: the smallest one with everything that a fault can meet.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simulator::kernel::Behaviour;
use simulator::services::Ecr;
use simulator::{ApiError, DynamoDb, Fault, FaultKind, Selector, Settings, World};
use simulator_event_bridge::{Disturbance, EventBridge, Fault as DeliveryFault, Occurrence, Pattern};

use crate::deployer::{InstallError, repository};
use crate::lab::Lab;

/// How long the shop is left alone before it is looked at, so that every schedule has come by.
const WHILE: SignedDuration = SignedDuration::from_mins(2);

/// What a pushed image does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Image {
    /// The migration ends well, the servers serve.
    Good,
    /// The migration ends with exit code 1.
    BadMigration,
    /// The worker serves; the web server, which comes after it, exits again and again: ECS rolls it back, and the worker is brought back by Esclusa.
    CrashingWeb,
}

impl Image {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Good, Self::BadMigration, Self::CrashingWeb];

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
pub struct Shop {
    /// The account.
    pub lab: Lab,
    /// How many calls had been made when the shop was open.
    pub calls_before: usize,
    /// How many events had been emitted when the shop was open.
    pub events_before: usize,
    /// When the shop was open.
    pub opened_at: Timestamp,
}

impl Shop {
    /// The application, and its repository.
    pub const NAME: &str = "shop";
    /// The only environment.
    pub const ENVIRONMENT: &str = "production";
    /// The cluster.
    pub const CLUSTER: &str = "shop";
    /// The services, in the order in which they are updated.
    pub const SERVICES: [&str; 2] = ["worker", "web"];
    /// The family of the migration.
    pub const MIGRATIONS: &str = "shop-migrations";

    /// An account in which the shop has run for a while.
    ///
    /// # Errors
    /// When something of it cannot be installed or is refused.
    pub fn open(seed: u64) -> Result<Self, InstallError> {
        let settings = Settings {
            seed,
            ..Settings::default()
        };
        let mut lab = Lab::new(&settings)?;
        provide(lab.world_mut()).map_err(|error| InstallError::Account(error.to_string()))?;
        let path = repository().join("lab/src/explorer/shop.yaml");
        let answer = lab.esclusa(&["pipelines", "apply", &path.display().to_string()]);
        if answer.code != 0 {
            return Err(InstallError::Content {
                path,
                reason: answer.err,
            });
        }
        lab.simulation().run_for(WHILE);
        let world = lab.world();
        Ok(Self {
            calls_before: world.calls().len(),
            events_before: world.events().len(),
            opened_at: world.now(),
            lab,
        })
    }

    /// Pushes an image; its digest.
    ///
    /// # Errors
    /// What the registry answers.
    pub fn push(&mut self, tag: &str, image: Image) -> Result<String, ApiError> {
        self.lab.push(Self::NAME, Some(tag), &image.manifest(tag))
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: SignedDuration) {
        self.lab.simulation().run_for(duration);
    }

    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.lab.world().now()
    }

    /// Plans a fault.
    pub fn fault(&mut self, selector: Selector, kind: FaultKind) {
        self.lab.world_mut().add_fault(Fault::new(selector, kind));
    }

    /// Disturbs events between their services and the bus.
    pub fn disturb(&mut self, pattern: Pattern, occurrence: Occurrence, fault: DeliveryFault) {
        if let Some((bus, _)) = self.lab.world_mut().service_mut::<EventBridge>() {
            bus.delivery.plan(Disturbance {
                pattern,
                occurrence,
                fault,
            });
        }
    }

    /// Asks a service as the administrator, at once and past every fault.
    ///
    /// # Errors
    /// What the service answers.
    pub fn ask(&mut self, service: &str, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.lab.world_mut().administer(service, operation, input)
    }

    /// Every item of a table; none where there is no such table.
    #[must_use]
    pub fn items(&self, table: &str) -> Vec<Value> {
        let dynamodb = self.lab.world().service::<DynamoDb>();
        dynamodb
            .and_then(|dynamodb| dynamodb.items(table).ok())
            .unwrap_or_default()
    }
}

/// What infrastructure code has created: a repository, a cluster, task definitions and services that run the image of somebody else.
fn provide(world: &mut World) -> Result<(), ApiError> {
    if let Some((ecr, kernel)) = world.service_mut::<Ecr>() {
        ecr.create(Shop::NAME, kernel);
    }
    world.administer("ecs", "CreateCluster", json!({"clusterName": Shop::CLUSTER}))?;
    for container in ["migrations", "worker", "web"] {
        world.administer("ecs", "RegisterTaskDefinition", task_definition(container))?;
    }
    for service in Shop::SERVICES {
        world.administer("ecs", "CreateService", created(service))?;
    }
    Ok(())
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
