//! The application that is deployed while things go wrong: the smallest one with everything that a fault can meet.

use std::collections::BTreeSet;

use esclusa_core::schema::{ANNOTATION_COMPATIBLE_SINCE, ANNOTATION_VERSION};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simulator::kernel::{Behaviour, Site};
use simulator::services::{DatabaseKind, Ecr, Rds, Slack};
use simulator::{ApiError, DynamoDb, Fault, FaultKind, Selector, Settings, World};
use simulator_event_bridge::{Disturbance, EventBridge, Fault as DeliveryFault, Occurrence, Pattern};

use super::seen::text;
use crate::deployer::{Beside, InstallError, repository};
use crate::lab::Lab;
use crate::target;

/// How long the shop is left alone before it is looked at, so that every schedule has come by.
const WHILE: SignedDuration = SignedDuration::from_mins(2);

/// What a pushed image does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Image {
    /// The migration ends well, the servers serve.
    #[default]
    Good,
    /// The migration ends with exit code 1.
    BadMigration,
    /// The migration never ends by itself.
    HangingMigration,
    /// The migration is lost with its host: nobody knows how far it came.
    LostMigration,
    /// The worker serves; the web server, which comes after it, exits again and again: ECS rolls it back, and the
    /// worker is brought back by Esclusa.
    CrashingWeb,
    /// The servers serve; the check that comes after them fails.
    FailingCheck,
    /// The servers serve, and answer with errors: only their metric shows it.
    Erring,
    /// As a good one, and its migration drops what code before the last version needs.
    Contracting,
}

impl Image {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Good,
        Self::BadMigration,
        Self::HangingMigration,
        Self::LostMigration,
        Self::CrashingWeb,
        Self::FailingCheck,
        Self::Erring,
        Self::Contracting,
    ];

    fn programs(self) -> Value {
        let log = ["applying 20261102_add_rating"];
        let exit = |container: &str, code: i32| json!({"container": container, "outcome": "exit", "after_seconds": 25, "code": code, "log": log});
        let migrate = match self {
            Self::BadMigration => exit("migrations", 1),
            Self::HangingMigration => json!({"container": "migrations", "outcome": "hang", "log": log}),
            Self::LostMigration => json!({
                "container": "migrations", "outcome": "vanish", "after_seconds": 2, "stop_code": "SpotInterruption", "log": log,
            }),
            Self::Good | Self::CrashingWeb | Self::FailingCheck | Self::Erring | Self::Contracting => {
                exit("migrations", 0)
            }
        };
        let check = exit("checks", i32::from(self == Self::FailingCheck));
        let web = json!({"container": "web", "outcome": "exit", "after_seconds": 3, "code": 1, "log": ["panic: no RATING_URL"]});
        match self {
            Self::CrashingWeb => json!([migrate, check, web]),
            _ => json!([migrate, check]),
        }
    }

    /// How many errors its web servers report a minute.
    fn errors(self) -> Value {
        let errors = if self == Self::Erring { 50 } else { 0 };
        let dimensions = json!({"Cluster": "${cluster}"});
        json!({"container": "web", "namespace": "Shop", "name": "Errors", "dimensions": dimensions, "values": [errors]})
    }

    /// The configuration, with the labels.
    fn configuration(self, tag: &str) -> String {
        let since = format!("{}.0.0", number(tag).saturating_sub(1));
        let labels = match self {
            Self::Contracting => json!({ANNOTATION_COMPATIBLE_SINCE: since}),
            _ => json!({}),
        };
        json!({"os": "linux", "config": {"Labels": labels}}).to_string()
    }

    fn manifest(self, tag: &str, configuration: &str) -> String {
        let annotations = json!({
            ANNOTATION_VERSION: format!("{}.0.0", number(tag)),
            Behaviour::ANNOTATION: json!({"programs": self.programs(), "metrics": [self.errors()], "http": [healthy()]}).to_string(),
        });
        let blob = |kind: &str, digest: &str| {
            let kind = format!("application/vnd.oci.image.{kind}");
            json!({"mediaType": kind, "digest": digest, "size": 512})
        };
        let layer = format!("sha256:{}", "11".repeat(32));
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob("config.v1+json", configuration),
            "layers": [blob("layer.v1.tar+gzip", &layer)],
            "annotations": annotations,
        })
        .to_string()
    }
}

/// What its web servers say of themselves, whatever errors they answer others with.
fn healthy() -> Value {
    let body = json!({"status": "Healthy", "checks": [{"name": "database", "status": "Healthy"}]}).to_string();
    json!({"path": "/health", "status": 200, "body": body})
}

/// Which version a tag such as `v2` is.
fn number(tag: &str) -> u64 {
    tag.trim_start_matches('v').parse().unwrap_or_default()
}

/// What an account has beside Esclusa.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// The shop in one environment.
    #[default]
    Small,
    /// The shop in two environments, with a check after the services and a web server whose circuit breaker never
    /// trips, so that a rollout that does not work hangs; and another application that shares nothing with it.
    Large,
    /// The shop in two environments that go together, where people are asked before it comes, in Slack; one of them
    /// wants two people and an acknowledgement.
    Gated,
    /// The shop in one environment, which is in another account and Region, as the image is that is replicated there.
    Abroad,
}

/// An application in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The application.
    pub application: &'static str,
    /// Its environment.
    pub environment: &'static str,
    /// The cluster, which no other place has.
    pub cluster: &'static str,
    /// Its services.
    pub services: &'static [&'static str],
}

impl Account {
    /// Where is deployed.
    #[must_use]
    pub fn places(self) -> &'static [Place] {
        const PRODUCTION: Place = Place {
            application: Shop::NAME,
            environment: Shop::ENVIRONMENT,
            cluster: Shop::CLUSTER,
            services: &Shop::SERVICES,
        };
        const STAGING: Place = Place {
            environment: Shop::FIRST,
            cluster: "shop-staging",
            ..PRODUCTION
        };
        const MIRROR: Place = Place {
            environment: Shop::MIRROR,
            cluster: "shop-mirror",
            ..PRODUCTION
        };
        const OTHER: Place = Place {
            application: Shop::OTHER,
            environment: Shop::ENVIRONMENT,
            cluster: Shop::OTHER,
            services: &["desk"],
        };
        match self {
            Self::Small | Self::Abroad => &[PRODUCTION],
            Self::Large => &[STAGING, PRODUCTION, OTHER],
            Self::Gated => &[MIRROR, PRODUCTION],
        }
    }

    /// The pipelines that are applied.
    fn pipelines(self) -> &'static [&'static str] {
        match self {
            Self::Small => &["shop.yaml"],
            Self::Large => &["shop-large.yaml", "till.yaml"],
            Self::Gated => &["shop-gated.yaml"],
            Self::Abroad => &["shop-abroad.yaml"],
        }
    }

    /// What is beside Esclusa.
    fn beside(self) -> Beside {
        match self {
            Self::Small | Self::Large => Beside::Nobody,
            Self::Gated => Beside::Slack,
            Self::Abroad => Beside::Account,
        }
    }

    /// Does something where the clusters are.
    pub(super) fn at_work<T>(self, world: &mut World, work: impl FnOnce(&mut World) -> T) -> T {
        match self {
            Self::Abroad => world.at(&target::account(), work),
            Self::Small | Self::Large | Self::Gated => work(world),
        }
    }

    /// A base task definition with this memory.
    pub(super) fn task_definition(self, application: &str, container: &str, memory: &str) -> Value {
        let account = match self {
            Self::Abroad => target::account().account,
            Self::Small | Self::Large | Self::Gated => Settings::default().account,
        };
        json!({
            "family": format!("{application}-{container}"),
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": memory,
            "executionRoleArn": format!("arn:aws:iam::{account}:role/ecsTaskExecutionRole"),
            "containerDefinitions": [{
                "name": container,
                "image": "public.ecr.aws/nginx/nginx:1.29",
                "essential": true,
                "environment": [{"name": "DATABASE_PASSWORD", "value": Shop::SECRET}],
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": "/ecs/shop", "awslogs-region": "us-east-1", "awslogs-stream-prefix": container},
                },
            }],
        })
    }
}

/// Somebody in Slack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Member {
    /// An approver, who is also whoever uses the command line.
    Ana,
    /// An approver.
    Luis,
    /// An approver of the mirror only.
    Eve,
}

impl Member {
    /// Everybody.
    pub const ALL: [Self; 3] = [Self::Ana, Self::Luis, Self::Eve];

    /// The id of the member.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Ana => "U0ANA",
            Self::Luis => "U0LUIS",
            Self::Eve => "U0EVE",
        }
    }
}

/// An image in an account: what becomes of its release when nothing disturbs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Story {
    /// The account.
    pub account: Account,
    /// The image.
    pub image: Image,
    /// Whether another version is pushed right behind it, which waits for the lock.
    pub is_followed: bool,
}

impl Story {
    /// Those that differ.
    pub const ALL: [Self; 14] = [
        Self::of(Account::Small, Image::Good),
        Self::of(Account::Small, Image::BadMigration),
        Self::of(Account::Large, Image::HangingMigration),
        Self::of(Account::Small, Image::LostMigration),
        Self::of(Account::Small, Image::CrashingWeb),
        Self::of(Account::Large, Image::CrashingWeb),
        Self::of(Account::Large, Image::Good),
        Self::of(Account::Large, Image::FailingCheck),
        Self::of(Account::Large, Image::Erring),
        Self::of(Account::Gated, Image::Good),
        Self::of(Account::Gated, Image::CrashingWeb),
        Self::of(Account::Abroad, Image::Good),
        Self::of(Account::Abroad, Image::CrashingWeb),
        Self {
            is_followed: true,
            ..Self::of(Account::Small, Image::Good)
        },
    ];

    const fn of(account: Account, image: Image) -> Self {
        Self {
            account,
            image,
            is_followed: false,
        }
    }

    /// How often it is drawn where it is one of several.
    #[must_use]
    pub fn weight(self) -> usize {
        match (self.account, self.image) {
            _ if self.is_followed => 2,
            (Account::Small, Image::Good) => 10,
            (Account::Small, Image::CrashingWeb) => 3,
            (Account::Gated | Account::Abroad, Image::Good) => 3,
            _ => 1,
        }
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
    /// What the account has.
    pub account: Account,
}

impl Shop {
    /// The DB instance of the shop, whose restore points pipelines may ask for.
    pub const DATABASE: &str = "shop-orders";
    /// The application, and its repository.
    pub const NAME: &str = "shop";
    /// The alarm by which a verification looks at its services.
    pub const ALARM: &str = "shop-errors";
    /// The other application of a large account, its repository and its cluster.
    pub const OTHER: &str = "till";
    /// The environment, of a large account the last one.
    pub const ENVIRONMENT: &str = "production";
    /// The first environment of a large account.
    pub const FIRST: &str = "staging";
    /// The environment that goes together with the last one, where people are asked.
    pub const MIRROR: &str = "mirror";
    /// What must be seen to before anything comes into the mirror.
    pub const ACKNOWLEDGED: &str = "flags";
    /// Its cluster.
    pub const CLUSTER: &str = "shop";
    /// The services, in the order in which they are updated.
    pub const SERVICES: [&str; 2] = ["worker", "web"];
    /// The containers, each in a task definition of its own.
    pub const CONTAINERS: [&str; 3] = ["migrations", "worker", "web"];
    /// The channel in which people are asked, where they are.
    pub const CHANNEL: &str = "C0SHOP";
    /// When the windows of the last environment open, where it has any.
    pub const OPENS_AT: Timestamp = Timestamp::constant(1_793_610_900, 0);
    /// When they close again, and when they open for good.
    pub const CLOSED: [Timestamp; 2] = [
        Timestamp::constant(1_793_611_800, 0),
        Timestamp::constant(1_793_613_600, 0),
    ];
    /// What is in the environment of every container and nobody may read.
    pub const SECRET: &str = "a-password-that-nobody-reads";
    /// The family of the migration.
    pub const MIGRATIONS: &str = "shop-migrations";

    /// An account in which the shop has run for a while.
    ///
    /// # Errors
    /// When something of it cannot be installed or is refused.
    pub fn open(seed: u64) -> Result<Self, InstallError> {
        Self::open_in(seed, Account::Small)
    }

    /// Such an account in which the shop has run for a while.
    ///
    /// # Errors
    /// When something of it cannot be installed or is refused.
    pub fn open_in(seed: u64, account: Account) -> Result<Self, InstallError> {
        let settings = Settings {
            seed,
            // No token and no secret may be in them.
            function_logs: true,
            ..Settings::default()
        };
        let mut lab = Lab::beside(&settings, account.beside())?;
        if let Some((slack, _)) = lab.world_mut().service_mut::<Slack>() {
            slack.invite(Self::CHANNEL);
        }
        provide(lab.world_mut(), account).map_err(|error| InstallError::Account(error.to_string()))?;
        if account == Account::Abroad {
            target::replicate(lab.world_mut(), &target::account())?;
        }
        for file in account.pipelines() {
            let path = repository().join("lab/src/explorer").join(file);
            let answer = lab.esclusa(&["pipelines", "apply", &path.display().to_string()]);
            if answer.code != 0 {
                return Err(InstallError::Content {
                    path,
                    reason: answer.err,
                });
            }
        }
        lab.simulation().run_for(WHILE);
        let world = lab.world();
        Ok(Self {
            calls_before: world.calls().len(),
            events_before: world.events().len(),
            opened_at: world.now(),
            lab,
            account,
        })
    }

    /// Pushes an image; its digest.
    ///
    /// # Errors
    /// What the registry answers.
    pub fn push(&mut self, tag: &str, image: Image) -> Result<String, ApiError> {
        self.push_into(Self::NAME, tag, image)
    }

    /// Pushes an image of the other application; its digest.
    ///
    /// # Errors
    /// What the registry answers.
    pub fn push_other(&mut self, tag: &str) -> Result<String, ApiError> {
        self.push_into(Self::OTHER, tag, Image::Good)
    }

    fn push_into(&mut self, repository: &str, tag: &str, image: Image) -> Result<String, ApiError> {
        let configuration = self.lab.upload(repository, image.configuration(tag).as_bytes())?;
        self.lab
            .push(repository, Some(tag), &image.manifest(tag, &configuration))
    }

    /// Somebody presses a button on every card that shows it.
    pub fn vote(&mut self, member: Member, approves: bool) {
        let action = if approves { "approve" } else { "reject" };
        let Some((slack, kernel)) = self.lab.world_mut().service_mut::<Slack>() else {
            return;
        };
        let cards = slack.messages(Self::CHANNEL).iter();
        let buttons: Vec<_> = cards
            .filter_map(|card| slack.button(Self::CHANNEL, &card.ts, action))
            .collect();
        for button in buttons {
            slack.press(&button, member.id(), kernel);
        }
    }

    /// The release of the shop that was begun last and has not ended.
    #[must_use]
    pub fn last_begun(&self) -> Option<String> {
        let releases = self.items("esclusa-control").into_iter().filter(|item| {
            text(item, "/sk/S") == "RELEASE"
                && text(item, "/application/S") == Self::NAME
                && text(item, "/progress/S") != "ENDED"
        });
        let last = releases.max_by_key(|item| text(item, "/created_at/S").to_owned())?;
        Some(text(&last, "/release_id/S").to_owned())
    }

    /// A person says of the release that was begun last that what is asked for has been seen to; what the command line
    /// answers.
    pub fn acknowledge(&mut self) -> String {
        let Some(release) = self.last_begun() else {
            return "nothing is on its way that asks for anything".to_owned();
        };
        let words = [
            "acknowledge",
            &release,
            Self::ACKNOWLEDGED,
            "--environment",
            Self::MIRROR,
        ];
        let answer = self.lab.esclusa(&words);
        format!("esclusa {}: {}{}", words.join(" "), answer.out, answer.err)
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

    /// Asks a service as the administrator, at once and past every fault: the registry and the state machines at home,
    /// all others where the clusters are.
    ///
    /// # Errors
    /// What the service answers.
    pub fn ask(&mut self, service: &str, operation: &str, input: Value) -> Result<Value, ApiError> {
        let (account, world) = (self.account, self.lab.world_mut());
        if ["ecr", "states"].contains(&service) {
            return world.administer(service, operation, input);
        }
        account.at_work(world, |world| world.administer(service, operation, input))
    }

    /// The version of the code of an image of this shop, and the oldest that its migration leaves a schema for; zero
    /// where it does not say.
    #[must_use]
    pub fn versions_of(&self, digest: &str) -> (u64, u64) {
        let major = |text: &str| text.split('.').next().and_then(|major| major.parse().ok());
        let image = self.lab.world().kernel().images.by_digest(Self::NAME, digest);
        let manifest: Option<Value> = image.and_then(|image| serde_json::from_str(&image.manifest).ok());
        let annotations = manifest.as_ref().and_then(|manifest| manifest.get("annotations"));
        let version = annotations.and_then(|all| all.get(ANNOTATION_VERSION)?.as_str());
        let since = image.and_then(|image| image.labels.get(ANNOTATION_COMPATIBLE_SINCE));
        (
            version.and_then(major).unwrap_or_default(),
            since.and_then(|since| major(since)).unwrap_or_default(),
        )
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

/// What infrastructure code has created: repositories, clusters, a database, task definitions and services that run the
/// image of somebody else.
fn provide(world: &mut World, account: Account) -> Result<(), ApiError> {
    for place in account.places() {
        if let Some((ecr, kernel)) = world.service_mut::<Ecr>() {
            ecr.create(place.application, kernel);
        }
    }
    account.at_work(world, |world| provide_clusters(world, account))
}

/// What is where the clusters are.
fn provide_clusters(world: &mut World, account: Account) -> Result<(), ApiError> {
    let mut families = BTreeSet::from([(Shop::NAME, "migrations"), (Shop::NAME, "checks")]);
    for place in account.places() {
        world.administer("ecs", "CreateCluster", json!({"clusterName": place.cluster}))?;
        families.extend(place.services.iter().map(|service| (place.application, *service)));
    }
    for (application, container) in families {
        let definition = account.task_definition(application, container, "512");
        world.administer("ecs", "RegisterTaskDefinition", definition)?;
    }
    if let Some((rds, kernel)) = world.service_mut::<Rds>() {
        let since = kernel.now().saturating_sub(SignedDuration::from_hours(24 * 7));
        rds.provide(DatabaseKind::Instance, Shop::DATABASE, since.unwrap_or(kernel.now()));
    }
    for place in account.places().iter().filter(|place| place.environment == Shop::FIRST) {
        let site = Site {
            cluster: place.cluster.to_owned(),
            service: "web".to_owned(),
            container: "web".to_owned(),
        };
        world
            .kernel_mut()
            .sites
            .hosts
            .insert("shop.example.com".to_owned(), site);
    }
    let alarm = json!({"AlarmName": Shop::ALARM, "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1});
    world.administer("monitoring", "PutMetricAlarm", alarm)?;
    let well = json!({"AlarmName": Shop::ALARM, "StateValue": "OK", "StateReason": "all is well"});
    world.administer("monitoring", "SetAlarmState", well)?;
    for place in account.places() {
        for service in place.services {
            world.administer("ecs", "CreateService", created(place, service))?;
        }
    }
    Ok(())
}

fn created(place: &Place, service: &str) -> Value {
    json!({
        "cluster": place.cluster,
        "serviceName": service,
        "taskDefinition": format!("{}-{service}", place.application),
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
