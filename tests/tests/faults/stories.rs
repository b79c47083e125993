//! The stories that together reach every Task state of both machines.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lab::images::Kind;
use lab::{is_at_work, repository};
use serde_json::{Value, json};
use simulator::World;
use simulator_ecs::{CapacityShortage, Ecs};
use simulator_step_functions::StepFunctions;

use crate::observation::text;
use crate::shop::{Image, SWEPT, Shop, TAG};

/// How long a step may take that hangs.
const STEP_SECONDS: u32 = 1800;

/// The tag of a version that is pushed after another one.
const NEXT_TAG: &str = "8b1d0a3";

/// How often everything is waited for.
const ROUNDS: usize = 4;

/// How a push goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Story {
    /// Well, when its window has come, with everything that a pipeline can ask for, and looked at.
    Good,
    /// The migration ends with exit code 1.
    BadMigration,
    /// The second service crashes: ECS rolls it back, and the first is brought back.
    WayBack,
    /// There is no room for the tasks of the first service: its rollout is stopped at its deadline.
    HangingRollout,
    /// The migration does not end, and is stopped at its deadline.
    HangingMigration,
    /// Another version is pushed while the migration runs, and waits for the lock.
    Queue,
    /// Somebody else publishes a revision of a task definition between the gate and the lock: everything is planned
    /// again.
    Replanned,
}

impl Story {
    /// Pushes, and waits until everything has come to rest and was swept. The digest of what was pushed.
    pub(crate) fn tell(self, shop: &mut Shop) -> String {
        if [Self::HangingRollout, Self::HangingMigration].contains(&self) {
            shop.apply(&impatient());
        }
        if self == Self::Good {
            shop.apply(&guarded(shop.now()));
        }
        if self == Self::WayBack {
            let scaled = "    service: web\n    scaling: {min: 1, max: 4, suspend: true}\n";
            shop.apply(&altered(&[("    service: web\n", scaled)]));
        }
        let digest = match self {
            Self::Good | Self::HangingRollout => shop.push(Image::Good),
            Self::Queue => {
                shop.push(Image::Good);
                shop.run_until(|world| migrates(world) || has_ended(world));
                let manifest = Kind::Good.manifest(NEXT_TAG, &["migrate".to_owned()]);
                shop.lab.push("shop", Some(NEXT_TAG), &manifest).unwrap()
            }
            Self::Replanned => {
                let digest = shop.push(Image::Good);
                shop.run_until(|world| deploys(world) || has_ended(world));
                let described = shop.ask("ecs", "DescribeTaskDefinition", json!({"taskDefinition": "shop-web"}));
                let published = next_revision(&described);
                shop.ask("ecs", "RegisterTaskDefinition", published);
                digest
            }
            Self::BadMigration => shop.push(Image::BadMigration),
            Self::WayBack => shop.push(Image::CrashingWeb),
            Self::HangingMigration => {
                let manifest = Kind::HangingMigration.manifest(TAG, &["migrate".to_owned()]);
                shop.lab.push("shop", Some(TAG), &manifest).unwrap()
            }
        };
        if self == Self::HangingRollout {
            shop.run_until(|world| has_migrated(world) || has_ended(world));
            let now = shop.now();
            let (ecs, _) = shop.lab.world_mut().service_mut::<Ecs>().unwrap();
            let shortage = CapacityShortage::fargate(now, now + SignedDuration::from_hours(4));
            ecs.settings.capacity_shortages.push(shortage);
        }
        self.come_to_rest(shop);
        digest
    }

    /// The tag of the version that the story is about: the last one that is pushed.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Queue => NEXT_TAG,
            Self::Good
            | Self::BadMigration
            | Self::WayBack
            | Self::HangingRollout
            | Self::HangingMigration
            | Self::Replanned => TAG,
        }
    }

    /// What was lost is found by a schedule and begins then; a wait for a deployment may last longer than a week.
    fn come_to_rest(self, shop: &mut Shop) {
        let rests = |shop: &mut Shop| {
            let settled = shop.lab.settle();
            shop.run_for(SWEPT);
            settled && !is_at_work(shop.lab.world())
        };
        assert!((0..ROUNDS).any(|_| rests(shop)), "{self:?} has no end");
    }
}

/// The pipeline of the shop, into which nothing comes for an hour, and which is looked at twice with a pause that an
/// alarm could end. All far apart: whatever is tried again and again comes before the next of them, so that how often
/// something is asked does not depend on what is disturbed. Its worker scales.
fn guarded(now: Timestamp) -> String {
    let local = |at: Timestamp| at.to_zoned(TimeZone::UTC).datetime();
    let (from, to) = (
        local(now - SignedDuration::from_hours(1)),
        local(now + SignedDuration::from_hours(1)),
    );
    let windows = format!("    windows: {{zone: UTC, deny: [{{from: \"{from}\", to: \"{to}\"}}]}}\n");
    let alarms = "measure: {alarms: [shop-errors]}, pace: {initial_delay_seconds: 600}";
    let verification = format!(
        "    verification: {{soak_seconds: 0, services: {{interval_seconds: 600}}, checks: {{errors: {{{alarms}}}}}}}\n"
    );
    altered(&[
        // The pause between two looks at the snapshot is longer than it takes, so that it is looked at as often
        // whatever is disturbed.
        (
            "  orders: {}\n",
            "  orders: {restore_point: {instance: shop-orders, snapshot: true, timeout_seconds: 30000}}\n",
        ),
        (
            "    trigger: push\n",
            &format!("    trigger: push\n{windows}{verification}"),
        ),
        (
            "    service: worker\n",
            "    service: worker\n    scaling: {min: 1, max: 4, cpu_percent: 70, memory_percent: 60, suspend: true}\n",
        ),
    ])
}

/// The pipeline of the shop with other lines.
fn altered(lines: &[(&str, &str)]) -> String {
    let path = repository().join("lab/src/explorer/shop.yaml");
    let mut pipeline = std::fs::read_to_string(path).unwrap();
    for (line, instead) in lines {
        assert!(pipeline.contains(line), "{line}");
        pipeline = pipeline.replace(line, instead);
    }
    pipeline
}

/// The pipeline of the shop with less time for its steps, so that a story in which they hang is soon told.
fn impatient() -> String {
    let path = repository().join("lab/src/explorer/shop.yaml");
    let patient = std::fs::read_to_string(path).unwrap();
    let lines = patient.lines().map(|line| match line.split_once("timeout_seconds: ") {
        Some((before, seconds)) if seconds.parse::<u32>().is_ok() => {
            format!("{before}timeout_seconds: {STEP_SECONDS}\n")
        }
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn has_migrated(world: &World) -> bool {
    migration_was(world, "STOPPED")
}

fn migrates(world: &World) -> bool {
    migration_was(world, "RUNNING")
}

fn migration_was(world: &World, status: &str) -> bool {
    let is_told = |event: &Value| {
        text(event, "/detail/lastStatus") == status && text(event, "/detail/startedBy").starts_with("esclusa/")
    };
    world.events().iter().any(is_told)
}

/// Whether a deployment was started.
fn deploys(world: &World) -> bool {
    let machine = format!(":{}-deployment:", lab::DEPLOYER);
    let machines = world.service::<StepFunctions>().unwrap();
    machines.executions().iter().any(|arn| arn.contains(&machine))
}

/// What somebody else would publish over a revision: the same with more memory.
fn next_revision(described: &Value) -> Value {
    let current = &described["taskDefinition"];
    let mut published = json!({"memory": "4096"});
    for member in [
        "family",
        "networkMode",
        "requiresCompatibilities",
        "cpu",
        "containerDefinitions",
        "executionRoleArn",
        "taskRoleArn",
    ] {
        if let Some(value) = current.get(member) {
            published[member] = value.clone();
        }
    }
    published
}

fn has_ended(world: &World) -> bool {
    let machines = world.service::<StepFunctions>().unwrap();
    !machines.executions().is_empty() && !is_at_work(world)
}
