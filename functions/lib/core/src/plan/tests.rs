mod capacity;
mod examples;
mod powers;
mod schemas;

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::pipeline::{Replica, parse, resolve};
use crate::quarantine::{Cause, Quarantine};
use crate::service_deployment::DeploymentCounts;

/// A named change of the world.
type Alteration = (&'static str, fn(&mut Observed));

const PIPELINE: &str = r#"
version: 1
application: shop
images:
  app: {repository: shop}
  other: {repository: other}
databases:
  main: {}
task_definitions:
  web:
    family: shop
    containers:
      web: {image: app, environment: {LOG_LEVEL: info}}
  side:
    family: side
    containers:
      side: {image: other}
  tool:
    family: tool
tasks:
  migrate:
    run: before_services
    task_definition: web
    containers:
      web: {command: [migrate]}
    database: main
  other-task: {run: before_services, task_definition: side}
  flush: {run: after_services, task_definition: tool, container: tool}
services:
  web: {service: shop, task_definition: web, start_count: 2}
  side: {service: side, task_definition: side}
environments:
  - name: develop
    trigger: push
    cluster: main
    network: {subnets: [subnet-1], security_groups: [sg-1]}
"#;

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

fn release(letter: char) -> ReleaseId {
    format!("shop-{}", letter.to_string().repeat(20)).parse().unwrap()
}

fn key(text: &str) -> Name {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000).unwrap()
}

fn home() -> Home {
    Home {
        account: "123456789012".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
    }
}

fn input(letter: char) -> PlanInput {
    PlanInput {
        environment: resolve(&parse(PIPELINE).unwrap(), "develop").unwrap(),
        image: key("app"),
        tag: "main".to_owned(),
        digests: BTreeMap::from([(key("app"), digest(letter))]),
        files: BTreeMap::new(),
        pipeline_version: 1,
        release_id: release(letter),
        powers: None,
        home: home(),
    }
}

fn definition(family: &str) -> Value {
    json!({
        "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": if family == "shop" { "web" } else { family }, "image": "x:latest", "essential": true}],
    })
}

fn observed_definition(family: &str, revision: u32, definition: Value) -> ObservedDefinition {
    let arn = format!("arn:aws:ecs:us-east-1:123456789012:task-definition/{family}:{revision}");
    ObservedDefinition {
        arn,
        definition,
        tags: BTreeMap::new(),
    }
}

fn observed_service(name: &str, arn: &str, desired: u64) -> ObservedService {
    let primary = DeploymentCounts {
        id: "ecs-svc/1".to_owned(),
        status: "PRIMARY".to_owned(),
        task_definition_arn: arn.to_owned(),
        desired,
        running: desired,
        pending: 0,
        failed: 0,
        rollout_state: Some("COMPLETED".to_owned()),
        rollout_reason: None,
    };
    let facts = ServiceFacts {
        service_arn: format!("arn:aws:ecs:us-east-1:123456789012:service/main/{name}"),
        status: "ACTIVE".to_owned(),
        controller: "ECS".to_owned(),
        desired,
        running: desired,
        current_service_deployment: None,
        current_service_revisions: Vec::new(),
        deployments: vec![primary],
        target_groups: Vec::new(),
        is_behind_classic: false,
    };
    let deployment_configuration =
        json!({"maximumPercent": 200, "minimumHealthyPercent": 100, "alarms": {"alarmNames": ["a"], "enable": true}});
    ObservedService {
        facts,
        deployment_configuration,
        verified: Vec::new(),
        runs_on: RunsOn::Fargate,
        fallback: ObservedFallback::new(),
    }
}

fn observed_image() -> ObservedImage {
    ObservedImage {
        status: "ACTIVE".to_owned(),
        manifest_media_type: Some("application/vnd.oci.image.index.v1+json".to_owned()),
        artifact_media_type: None,
        platforms: vec![Platform {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            digest: Some(digest('f')),
        }],
        said: BTreeMap::new(),
    }
}

fn observed_database() -> DatabaseFacts {
    DatabaseFacts {
        retention_days: 7,
        latest_restorable: Some(now()),
        member_of: None,
    }
}

fn observed() -> Observed {
    let families =
        ["shop", "side", "tool"].map(|family| (family.to_owned(), observed_definition(family, 1, definition(family))));
    let services = ["shop", "side"].map(|name| (name.to_owned(), observed_service(name, &format!("{name}:1"), 1)));
    Observed {
        cluster_status: Some("ACTIVE".to_owned()),
        families: families.into(),
        services: services.into(),
        images: BTreeMap::from([(key("app"), observed_image())]),
        alarms: BTreeMap::from([("a".to_owned(), "OK".to_owned())]),
        ..Observed::default()
    }
}

/// The world after the plan was carried out and verified.
fn after(plan: &Plan, mut observed: Observed) -> Observed {
    for revision in plan
        .revisions
        .iter()
        .filter(|revision| revision.action == RevisionAction::Register)
    {
        observed.families.insert(
            revision.family.clone(),
            observed_definition(&revision.family, 2, revision.definition.clone()),
        );
    }
    for step in &plan.steps {
        let PlannedStep::Service(service) = step else { continue };
        let arn = match &service.target {
            Target::Arn { arn } => arn.clone(),
            Target::Revision { key } => observed.families[&plan.revision(key).unwrap().family].arn.clone(),
        };
        let live = observed.services.get_mut(&service.service).unwrap();
        live.facts.deployments[0].task_definition_arn.clone_from(&arn);
        if live.facts.desired == 0 {
            live.facts.desired = service.start_count.map_or(0, u64::from);
        }
        live.verified.insert(
            0,
            VerifiedRevision {
                task_definition_arn: arn,
                digests: service.digests.clone(),
                release_id: plan.release_id.clone(),
                verified_at: now(),
                version: service.version.clone(),
                revoked: None,
            },
        );
    }
    observed
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.name().as_str()).collect()
}

fn service<'a>(plan: &'a Plan, name: &str) -> &'a PlannedService {
    let step = plan.steps.iter().find(|step| step.name().as_str() == name).unwrap();
    let PlannedStep::Service(service) = step else {
        panic!("{name} is no service")
    };
    service
}

#[test]
fn only_steps_of_the_released_image_and_tools_are_planned() {
    let plan = plan(&input('a'), &observed(), now()).unwrap();
    assert_eq!(names(&plan), ["migrate", "web", "flush"]);
    assert_eq!(plan.databases(), BTreeSet::from([&key("main")]));
    assert_eq!(plan.revision(&key("web")).unwrap().action, RevisionAction::Register);
    assert!(matches!(
        plan.revision(&key("tool")).unwrap().action,
        RevisionAction::Reuse { .. }
    ));
    assert_eq!(plan.images, BTreeMap::from([(key("app"), digest('a'))]));
    assert!(!plan.unchanged);
}

#[test]
fn a_task_is_planned_with_everything_run_task_needs() {
    let plan = plan(&input('a'), &observed(), now()).unwrap();
    let PlannedStep::Task(task) = &plan.steps[0] else {
        panic!("the migration comes first")
    };
    assert_eq!(
        task.container_overrides,
        json!([{"name": "web", "command": ["migrate"]}])
    );
    assert_eq!(
        (
            task.launch_type.as_str(),
            task.group.as_deref(),
            task.container.as_str()
        ),
        ("FARGATE", Some("migration"), "web")
    );
}

#[test]
fn the_live_deployment_configuration_is_kept_and_the_breaker_is_on() {
    let plan = plan(&input('a'), &observed(), now()).unwrap();
    let configuration = &service(&plan, "web").deployment_configuration;
    assert_eq!(configuration["alarms"]["alarmNames"], json!(["a"]));
    assert_eq!(
        configuration["deploymentCircuitBreaker"],
        json!({"enable": true, "rollback": true})
    );
    assert_eq!(
        service(&plan, "web").digests["web"].platforms,
        BTreeSet::from([digest('f')])
    );
}

#[test]
fn the_count_to_start_with_is_planned_whatever_the_live_count_is_for_that_may_change_until_the_update() {
    let mut stopped = observed();
    stopped.services.get_mut("shop").unwrap().facts.desired = 0;
    for observed in [observed(), stopped] {
        let plan = plan(&input('a'), &observed, now()).unwrap();
        assert_eq!(service(&plan, "web").start_count, Some(2));
    }
}

#[test]
fn a_plan_that_was_carried_out_and_verified_is_unchanged() {
    let first = plan(&input('a'), &observed(), now()).unwrap();
    let done = after(&first, observed());
    let again = plan(&input('a'), &done, now()).unwrap();
    assert!(again.unchanged);
    assert!(again.revisions.iter().all(|revision| revision.changes.is_empty()));

    let changes: [Alteration; 5] = [
        ("not verified", |world| {
            world.services.get_mut("shop").unwrap().verified.clear();
        }),
        ("not completed", |world| {
            world.services.get_mut("shop").unwrap().facts.deployments[0].rollout_state = Some("IN_PROGRESS".to_owned());
        }),
        ("changed by somebody", |world| {
            world.services.get_mut("shop").unwrap().facts.deployments[0].task_definition_arn = "shop:9".to_owned();
        }),
        ("nothing runs", |world| {
            world.services.get_mut("shop").unwrap().facts.desired = 0;
        }),
        ("a newer base", |world| {
            let family = world.families.get_mut("shop").unwrap();
            family.definition["containerDefinitions"][0]["image"] = json!("x:latest");
        }),
    ];
    for (name, change) in changes {
        let mut world = after(&first, observed());
        change(&mut world);
        assert!(!plan(&input('a'), &world, now()).unwrap().unchanged, "{name}");
    }
    assert!(!plan(&input('b'), &done, now()).unwrap().unchanged, "another digest");
}

#[test]
fn the_hash_binds_what_is_deployed_and_neither_counts_nor_times_nor_progress() {
    let hash = |input: &PlanInput, observed: &Observed, second| {
        plan(input, observed, Timestamp::from_second(second).unwrap())
            .unwrap()
            .plan_hash
    };
    let reference = hash(&input('a'), &observed(), 1);
    let mut scaled = observed();
    scaled.services.get_mut("shop").unwrap().facts.desired = 0;
    assert_eq!(hash(&input('a'), &scaled, 2), reference);
    let done = after(&plan(&input('a'), &observed(), now()).unwrap(), observed());
    assert_eq!(
        hash(&input('a'), &done, 3),
        reference,
        "a repeat under the lock finds its own registered revision"
    );

    let mut other_version = input('a');
    other_version.pipeline_version = 2;
    let mut other_base = observed();
    other_base.families.get_mut("shop").unwrap().definition["cpu"] = json!("512");
    for (name, other) in [
        ("digest", hash(&input('b'), &observed(), 1)),
        ("pipeline version", hash(&other_version, &observed(), 1)),
        ("base", hash(&input('a'), &other_base, 1)),
    ] {
        assert_ne!(other, reference, "{name}");
    }
}

#[test]
fn a_task_gets_a_network_only_where_its_definition_has_one_of_its_own() {
    let networks = |observed: &Observed| -> Vec<bool> {
        let plan = plan(&input('a'), observed, now()).unwrap();
        let tasks = plan.steps.iter().filter_map(|step| match step {
            PlannedStep::Task(task) => Some(task.network.is_some()),
            PlannedStep::Service(_) => None,
        });
        tasks.collect()
    };
    assert!(networks(&observed()).into_iter().all(|has_one| has_one));
    let mut bridged = observed();
    for family in bridged.families.values_mut() {
        family.definition["networkMode"] = json!("bridge");
    }
    assert!(!networks(&bridged).is_empty());
    assert!(networks(&bridged).into_iter().all(|has_one| !has_one));
}

#[test]
fn everything_in_the_way_is_listed_at_once() {
    let mut world = observed();
    world.cluster_status = Some("INACTIVE".to_owned());
    world.families.remove("tool");
    world.families.get_mut("shop").unwrap().definition["runtimePlatform"] = json!({"cpuArchitecture": "ARM64"});
    let image = world.images.get_mut(&key("app")).unwrap();
    image.status = "ARCHIVED".to_owned();
    let shop = world.services.get_mut("shop").unwrap();
    shop.facts.controller = "CODE_DEPLOY".to_owned();
    shop.facts.is_behind_classic = true;
    shop.facts.status = "DRAINING".to_owned();
    shop.deployment_configuration["maximumPercent"] = json!(100);
    assert_snapshot!(plan(&input('a'), &world, now()).unwrap_err());
}

#[test]
fn what_is_missing_is_named_with_what_helps() {
    let mut attestation = observed();
    attestation.images.get_mut(&key("app")).unwrap().artifact_media_type =
        Some("application/vnd.in-toto+json".to_owned());
    attestation.cluster_status = None;
    attestation.services.remove("shop");
    attestation.families.get_mut("shop").unwrap().definition["containerDefinitions"][0]["name"] = json!("api");
    assert_snapshot!(plan(&input('a'), &attestation, now()).unwrap_err());

    let mut gone = observed();
    gone.images.clear();
    let mut without_flush = input('a');
    without_flush
        .environment
        .steps
        .retain(|step| step.name().as_str() != "flush");
    assert_snapshot!(plan(&without_flush, &gone, now()).unwrap_err());

    let mut stopped = observed();
    stopped.services.get_mut("side").unwrap().facts.desired = 0;
    stopped.images.insert(key("other"), observed_image());
    let mut other = input('a');
    other.image = key("other");
    other.digests = BTreeMap::from([(key("other"), digest('a'))]);
    assert_snapshot!(plan(&other, &stopped, now()).unwrap_err());
}

#[test]
fn an_environment_of_another_account_or_region_is_refused_where_none_is_reached() {
    let mut environment = input('a').environment;
    assert!(unreachable(&environment, &home()).is_none());
    environment.account = Some(home().account);
    environment.region = Some(home().region);
    assert!(unreachable(&environment, &home()).is_none(), "home by its name");
    environment.region = Some("eu-west-1".parse().unwrap());
    let refusal = unreachable(&environment, &home()).unwrap();
    assert_eq!(refusal.kind, RefusalKind::Elsewhere);
    assert!(refusal.help.contains("`TargetExternalId`"), "{refusal:?}");
}

#[test]
fn a_replicated_image_is_pulled_where_the_environment_is_and_another_from_its_own_repository() {
    let pulled = |edit: &dyn Fn(&mut PlanInput)| {
        let mut input = input('a');
        input.environment.account = Some("210987654321".parse().unwrap());
        input.environment.region = Some("eu-west-1".parse().unwrap());
        edit(&mut input);
        let plan = plan(&input, &observed(), now()).unwrap();
        assert!(
            plan.notes.iter().any(|note| note.contains("210987654321, `eu-west-1`")),
            "{:?}",
            plan.notes
        );
        let revision = plan
            .revisions
            .iter()
            .find(|revision| revision.family == "shop")
            .unwrap();
        revision.definition["containerDefinitions"][0]["image"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let digest = digest('a');
    let own = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/shop@{digest}");
    assert_eq!(pulled(&|_| {}), own);
    let replica = |text: &str| -> Replica { serde_json::from_str(text).unwrap() };
    let copied = |text: &'static str| {
        pulled(&move |input| {
            input.environment.replicas.insert(key("app"), replica(text));
        })
    };
    let there = format!("210987654321.dkr.ecr.eu-west-1.amazonaws.com/shop@{digest}");
    assert_eq!(copied("{}"), there);
    let named = r#"{"account": "321098765432", "region": "eu-central-1", "repository": "mirror/shop"}"#;
    assert_eq!(
        copied(named),
        format!("321098765432.dkr.ecr.eu-central-1.amazonaws.com/mirror/shop@{digest}")
    );
}

#[test]
fn an_image_of_another_account_or_region_is_refused() {
    for (account, region) in [(Some("210987654321"), None), (None, Some("eu-central-1"))] {
        let mut input = input('a');
        let image = input.environment.images.get_mut(&key("app")).unwrap();
        image.account = account.map(|account| account.parse().unwrap());
        image.region = region.map(|region| region.parse().unwrap());
        let refusals = plan(&input, &observed(), now()).unwrap_err();
        let kinds: Vec<_> = refusals.0.iter().map(|refusal| refusal.kind).collect();
        assert_eq!(kinds, [RefusalKind::Elsewhere], "{refusals}");
    }
}

#[test]
fn an_image_that_no_step_runs_is_refused() {
    let mut input = input('a');
    input
        .environment
        .steps
        .retain(|step| step.task_definition().as_str() != "web");
    let refusals = plan(&input, &observed(), now()).unwrap_err();
    assert_eq!(
        refusals.0.iter().map(|refusal| refusal.kind).collect::<Vec<_>>(),
        [RefusalKind::NothingToDo]
    );
}

fn rollback(target: Option<ReleaseId>) -> RollbackInput {
    let PlanInput {
        environment,
        image,
        pipeline_version,
        home,
        ..
    } = input('a');
    RollbackInput {
        environment,
        image,
        target,
        undo_migrations: false,
        pipeline_version,
        release_id: release('e'),
        home,
    }
}

/// A service that ran the revisions in this order, all verified.
fn history(revisions: &[u32]) -> Observed {
    let mut world = observed();
    let shop = world.services.get_mut("shop").unwrap();
    for revision in revisions {
        let verified = VerifiedRevision {
            task_definition_arn: format!("shop:{revision}"),
            digests: BTreeMap::from([(
                "web".to_owned(),
                PinnedDigest {
                    digest: digest('a'),
                    platforms: BTreeSet::new(),
                },
            )]),
            release_id: release(char::from_digit(*revision, 10).unwrap()),
            verified_at: now(),
            version: format!("v1.{revision}.0").parse().ok(),
            revoked: None,
        };
        shop.verified.insert(0, verified);
        shop.facts.deployments[0].task_definition_arn = format!("shop:{revision}");
    }
    world
}

fn target_of(plan: &Plan) -> String {
    let Target::Arn { arn } = &service(plan, "web").target else {
        panic!("a rollback registers nothing")
    };
    arn.clone()
}

#[test]
fn going_back_goes_one_release_back_each_time_and_never_forth() {
    let back =
        |revisions: &[u32]| rollback_plan(&rollback(None), &history(revisions), now()).map(|plan| target_of(&plan));
    assert_eq!(back(&[1, 2, 3]).unwrap(), "shop:2");
    assert_eq!(back(&[1, 2, 3, 2]).unwrap(), "shop:1");
    assert_eq!(back(&[1]).unwrap_err().0[0].kind, RefusalKind::NoVerifiedRevision);
    let mut failed = history(&[1, 2]);
    failed.services.get_mut("shop").unwrap().facts.deployments[0].task_definition_arn = "shop:3".to_owned();
    assert_eq!(
        target_of(&rollback_plan(&rollback(None), &failed, now()).unwrap()),
        "shop:2"
    );
}

#[test]
fn going_back_to_a_named_release_finds_it_or_refuses() {
    let world = history(&[1, 2, 3]);
    let plan = rollback_plan(&rollback(Some(release('1'))), &world, now()).unwrap();
    assert_eq!(target_of(&plan), "shop:1");
    assert_eq!(names(&plan), ["web"]);
    assert_eq!(plan.images, BTreeMap::from([(key("app"), digest('a'))]));
    let refusals = rollback_plan(&rollback(Some(release('9'))), &world, now()).unwrap_err();
    assert_snapshot!(refusals);
    assert!(
        rollback_plan(&rollback(Some(release('3'))), &world, now())
            .unwrap()
            .unchanged
    );
}

/// Its task definition has another image as well, which came anew between the two versions.
#[test]
fn going_back_with_one_image_takes_back_no_more_of_another_than_it_must() {
    let both = PIPELINE.replacen(
        "web: {image: app, environment: {LOG_LEVEL: info}}",
        "web: {image: app}\n      proxy: {image: other}",
        1,
    );
    let pinned = |letter| PinnedDigest {
        digest: digest(letter),
        platforms: BTreeSet::new(),
    };
    let mut world = history(&[1, 2, 3]);
    let shop = world.services.get_mut("shop").unwrap();
    for (revision, (app, other)) in shop.verified.iter_mut().zip([('b', 'd'), ('a', 'd'), ('a', 'c')]) {
        revision.digests =
            BTreeMap::from([("web", app), ("proxy", other)].map(|(name, letter)| (name.to_owned(), pinned(letter))));
    }
    let input = || RollbackInput {
        environment: resolve(&parse(&both).unwrap(), "develop").unwrap(),
        ..rollback(Some(release('1')))
    };
    let back = |world: &Observed| rollback_plan(&input(), world, now()).unwrap();
    let plan = back(&world);
    assert_eq!(target_of(&plan), "shop:2");
    assert_eq!(plan.images[&key("other")], digest('d'));
    assert!(plan.notes.is_empty(), "{:?}", plan.notes);
    let shop = world.services.get_mut("shop").unwrap();
    shop.verified.remove(1);
    let plan = back(&world);
    assert_eq!(target_of(&plan), "shop:1");
    assert!(
        plan.notes[0].contains("`shop` goes back with the image `other` as well"),
        "{:?}",
        plan.notes
    );
    let quarantine = Quarantine {
        digest: digest('c'),
        application: "shop".to_owned(),
        tag: "v1".to_owned(),
        cause: Cause::Ordered { by: "ana".to_owned() },
        why: "a leaked key".to_owned(),
        since: now(),
        released: None,
    };
    world.quarantined.insert(digest('c'), quarantine);
    let refusals = rollback_plan(&input(), &world, now()).unwrap_err();
    assert_eq!(refusals.0[0].kind, RefusalKind::Quarantined, "{refusals}");
}

#[test]
fn a_plan_notes_what_can_end_a_migration_half_way() {
    let with = |agent: Value| {
        let mut world = observed();
        let shop = world.families.get_mut("shop").unwrap();
        let containers = shop.definition["containerDefinitions"].as_array_mut().unwrap();
        containers.push(agent);
        let notes = plan(&input('a'), &world, now()).unwrap().notes;
        notes
            .iter()
            .any(|note| note.contains("ECS stops it half-way when `agent` ends first"))
    };
    assert!(
        with(json!({"name": "agent", "image": "agent:1"})),
        "it is essential unless it says otherwise"
    );
    assert!(!with(json!({"name": "agent", "image": "agent:1", "essential": false})));
}

/// What was verified under another name of the container is found by its release alone.
#[test]
fn going_back_behind_a_container_that_was_renamed_goes_to_the_release_that_is_named() {
    let mut world = history(&[1, 2, 3]);
    let shop = world.services.get_mut("shop").unwrap();
    for (revision, letter) in shop.verified.iter_mut().zip(['c', 'b', 'a']) {
        let pinned = PinnedDigest {
            digest: digest(letter),
            platforms: BTreeSet::new(),
        };
        revision.digests = BTreeMap::from([("server".to_owned(), pinned)]);
    }
    let plan = rollback_plan(&rollback(Some(release('1'))), &world, now()).unwrap();
    assert_eq!(target_of(&plan), "shop:1");
}

#[test]
fn going_back_to_an_image_that_the_registry_has_forgotten_is_refused() {
    let mut world = history(&[1, 2, 3]);
    world.images.remove(&key("app"));
    let refusals = rollback_plan(&rollback(Some(release('1'))), &world, now()).unwrap_err();
    assert_eq!(refusals.0[0].kind, RefusalKind::ImageMissing);
}

#[test]
fn a_plan_survives_being_stored() {
    for plan in [
        plan(&input('a'), &observed(), now()).unwrap(),
        rollback_plan(&rollback(None), &history(&[1, 2]), now()).unwrap(),
    ] {
        let stored = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
    }
}

proptest! {
    #[test]
    fn a_second_plan_after_the_first_is_unchanged_whatever_the_counts(desired in 0_u64..50, letter in "[a-e]") {
        let letter = letter.chars().next().unwrap();
        let mut world = observed();
        world.services.get_mut("shop").unwrap().facts.desired = desired;
        let first = plan(&input(letter), &world, now()).unwrap();
        let second = plan(&input(letter), &after(&first, world), now()).unwrap();
        prop_assert!(second.unchanged);
        prop_assert_eq!(second.plan_hash, first.plan_hash);
    }
}

fn refused(input: &PlanInput, observed: &Observed) -> Vec<(RefusalKind, String)> {
    let Err(Refusals(refusals)) = plan(input, observed, now()) else {
        return Vec::new();
    };
    refusals
        .into_iter()
        .map(|refusal| (refusal.kind, refusal.to_string()))
        .collect()
}

/// The world in which the plan of version `a` was carried out, so that its services run what was verified.
fn verified() -> Observed {
    after(&plan(&input('a'), &observed(), now()).unwrap(), observed())
}

#[test]
fn what_makes_the_way_back_a_false_promise_is_refused_until_the_pipeline_accepts_it_by_name() {
    use crate::pipeline::Hazard;
    let mut gone = verified();
    gone.gone.insert(digest('a'));
    // What runs was found not to work: the way back leads past it.
    let mut passed_by = verified();
    let shop = passed_by.services.get_mut("shop").unwrap();
    let mut older = shop.verified[0].clone();
    "arn:older".clone_into(&mut older.task_definition_arn);
    for pinned in older.digests.values_mut() {
        pinned.digest = digest('c');
    }
    shop.verified[0].revoked = Some(crate::verification::Revoked {
        at: now(),
        why: "check `errors` failed".to_owned(),
    });
    shop.verified.push(older);
    passed_by.gone.insert(digest('c'));
    let mut busy = verified();
    let shop = busy.services.get_mut("shop").unwrap();
    let another = DeploymentCounts {
        status: "ACTIVE".to_owned(),
        ..shop.facts.deployments[0].clone()
    };
    shop.facts.deployments.extend(vec![another; 4]);
    let mut unsteady = observed();
    let shop = unsteady.services.get_mut("shop").unwrap();
    shop.facts.running = 1;
    shop.facts.deployments[0].rollout_state = Some("IN_PROGRESS".to_owned());
    let mut canary = observed();
    canary.services.get_mut("shop").unwrap().deployment_configuration = json!({"strategy": "CANARY"});
    let mut firing = observed();
    firing.alarms.insert("a".to_owned(), "ALARM".to_owned());
    let mut foreign = observed();
    foreign.services.get_mut("shop").unwrap().fallback = runs("registry/shop:v1", Sight::Gone);
    for (hazard, world) in [
        (Hazard::FallbackGone, gone),
        (Hazard::FallbackGone, foreign),
        (Hazard::FallbackGone, passed_by),
        (Hazard::ActiveDeployments, busy),
        (Hazard::NoWayBack, unsteady),
        (Hazard::BreakerOff, canary),
        (Hazard::AlarmFiring, firing),
    ] {
        // What is under way may be what is seen: then it is looked at again under the lock.
        let busy = Observed {
            under_way: Some("shop-1-staging-1".to_owned()),
            ..world.clone()
        };
        match plan(&input('b'), &busy, now()) {
            Ok(plan) => assert!(
                hazard.is_of_a_rollout()
                    && plan
                        .notes
                        .iter()
                        .any(|note| note.contains("`shop-1-staging-1` is over")),
                "{hazard:?}: {:?}",
                plan.notes
            ),
            Err(_) => assert!(!hazard.is_of_a_rollout(), "{hazard:?}"),
        }
        let found = refused(&input('b'), &world);
        let help = format!("`accept: [{}]`", hazard.as_str());
        assert!(
            matches!(found.as_slice(), [(RefusalKind::Hazard(kind), text)] if *kind == hazard && text.contains(&help)),
            "{hazard:?}: {found:?}"
        );
        let mut accepting = input('b');
        accepting.environment.accept.push(hazard);
        let notes = plan(&accepting, &world, now()).unwrap().notes;
        assert!(
            notes.iter().any(|note| note.starts_with("accepted")),
            "{hazard:?}: {notes:?}"
        );
    }
}

#[test]
fn a_check_judges_a_task_where_the_plan_runs_it_and_a_service_moves() {
    let verification = json!({
        "soak_seconds": 60,
        "checks": {"flushed": {"measure": {"task": "flush"}}, "other": {"measure": {"task": "other-task"}}},
    });
    let planned = |image: &str, moves_services: bool| {
        let mut input = input('b');
        input.image = key(image);
        input.digests.insert(key(image), digest('b'));
        input.environment.verification = serde_json::from_value(verification.clone()).unwrap();
        input
            .environment
            .steps
            .retain(|step| moves_services || matches!(step, crate::pipeline::ResolvedStep::Task(_)));
        let plan = plan(&input, &observed(), now()).unwrap();
        let judged: Vec<String> = plan
            .steps
            .iter()
            .filter_map(PlannedStep::task)
            .filter(|task| task.is_for_a_check)
            .map(|task| task.name.to_string())
            .collect();
        let checks = plan.verification.map(|verification| verification.checks.len());
        let is_told = plan
            .notes
            .iter()
            .any(|note| note.contains("`other` shows nothing: the task `other-task`"));
        (judged, checks, is_told)
    };
    // The other task runs another image, which does not move.
    assert_eq!(planned("app", true), (vec!["flush".to_owned()], Some(1), true));
    // Nothing is verified where no service moves, and then a task that fails is a failure.
    assert_eq!(planned("app", false), (Vec::new(), None, false));
}

/// What a container runs that we did not bring.
fn runs(reference: &str, sight: Sight) -> ObservedFallback {
    let reference = reference.to_owned();
    ObservedFallback::from([("web".to_owned(), FallbackImage { reference, sight })])
}

#[test]
fn what_was_there_before_us_and_cannot_be_looked_at_is_a_note() {
    let notes = |sight| {
        let mut world = observed();
        world.services.get_mut("shop").unwrap().fallback = runs("docker.io/shop:v1", sight);
        let notes = plan(&input('b'), &world, now()).unwrap().notes;
        notes
            .into_iter()
            .filter(|note| note.contains("docker.io/shop:v1"))
            .count()
    };
    assert_eq!(notes(Sight::There), 0);
    assert_eq!(notes(Sight::NotLookedAt), 1);
}

/// The same, where the database that is migrated must have a restore point.
fn restorable(mut input: PlanInput) -> PlanInput {
    let point = json!({"restore_point": {"instance": "shop-main"}});
    let database = serde_json::from_value(point).unwrap();
    input.environment.databases.insert(key("main"), database);
    input
}

#[test]
fn a_database_without_a_restore_point_is_not_migrated_unless_that_is_accepted() {
    let hazard = crate::pipeline::Hazard::NoRestorePoint;
    let task = |plan: &Plan| plan.steps[0].task().cloned().unwrap();
    let mut with_one = observed();
    with_one.databases.insert(key("main"), observed_database());
    let sound = plan(&restorable(input('b')), &with_one, now()).unwrap();
    assert!(!task(&sound).restore_point.unwrap().accepts_none);
    let found = refused(&restorable(input('b')), &observed());
    assert!(
        matches!(found.as_slice(), [(RefusalKind::Hazard(kind), text)] if *kind == hazard && text.contains("`accept: [no_restore_point]`")),
        "{found:?}"
    );
    let mut accepting = restorable(input('b'));
    accepting.environment.accept.push(hazard);
    let accepted = plan(&accepting, &observed(), now()).unwrap();
    assert!(
        accepted.notes.iter().any(|note| note.starts_with("accepted")),
        "{:?}",
        accepted.notes
    );
    assert!(task(&accepted).restore_point.unwrap().accepts_none);
    // What is in force already migrates nothing.
    assert!(plan(&restorable(input('a')), &verified(), now()).unwrap().unchanged);
}

#[test]
fn an_alarm_that_fires_keeps_nobody_from_going_back_and_nothing_from_staying() {
    let fires = |mut world: Observed| {
        world.alarms.insert("a".to_owned(), "ALARM".to_owned());
        world
    };
    let back = rollback_plan(&rollback(None), &fires(history(&[1, 2])), now()).unwrap();
    assert!(
        back.notes.iter().any(|note| note.contains("are firing, `a`")),
        "{:?}",
        back.notes
    );
    let same = plan(&input('a'), &fires(verified()), now()).unwrap();
    assert!(same.unchanged);
}

#[test]
fn alarms_are_looked_at_where_they_watch_and_one_that_does_not_exist_is_told() {
    let mut world = observed();
    let told = |world: &Observed| {
        let notes = plan(&input('b'), world, now()).unwrap().notes;
        notes
            .iter()
            .any(|note| note.contains("the alarm `a`, which does not exist"))
    };
    assert!(!told(&world));
    world.alarms.clear();
    assert!(told(&world));
    world.alarms.insert("a".to_owned(), "INSUFFICIENT_DATA".to_owned());
    assert!(!told(&world));
    world.alarms.insert("a".to_owned(), "ALARM".to_owned());
    let shop = world.services.get_mut("shop").unwrap();
    shop.deployment_configuration["alarms"]["enable"] = json!(false);
    assert!(
        plan(&input('b'), &world, now()).is_ok(),
        "an alarm that is off watches nothing"
    );
}

#[test]
fn a_service_that_runs_nothing_yet_is_deployed_and_the_plan_says_that_there_is_nothing_to_go_back_to() {
    let mut new = observed();
    let shop = new.services.get_mut("shop").unwrap();
    shop.facts.running = 0;
    shop.facts.deployments[0].rollout_state = Some("IN_PROGRESS".to_owned());
    let notes = plan(&input('a'), &new, now()).unwrap().notes;
    assert!(
        notes.iter().any(|note| note.contains("nothing to go back to")),
        "{notes:?}"
    );
}
