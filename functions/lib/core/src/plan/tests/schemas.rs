//! What a plan knows about schemas: code that they do not take is refused, and migrations are taken back by name.

use serde_json::json;

use super::*;
use crate::schema::{ANNOTATION_COMPATIBLE_SINCE, ANNOTATION_MIGRATION, ANNOTATION_VERSION, Mover, SchemaState};

/// The pipeline of the other tests, in which the migration can be taken back.
fn undoable(accept: bool, automatic: bool) -> ResolvedEnvironment {
    let down = format!(
        "database: main\n    down: {{automatic: {automatic}, containers: {{web: {{command: [migrate, --to, \"${{previous_migration}}\"]}}}}}}"
    );
    let yaml = PIPELINE.replacen("database: main", &down, 1);
    let accepted = if accept {
        "    accept: [incompatible_schema]\n"
    } else {
        ""
    };
    resolve(&parse(&format!("{yaml}{accepted}")).unwrap(), "develop").unwrap()
}

/// An image that says this of itself.
fn saying(mut world: Observed, said: &[(&str, &str)]) -> Observed {
    let image = world.images.get_mut(&key("app")).unwrap();
    image.said = said
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    world
}

fn state(since: Option<&str>, migration: Option<&str>, at: i64) -> SchemaState {
    SchemaState {
        image: key("app"),
        digest: digest('c'),
        release_id: release('c'),
        deployment_id: "shop-c-develop-1".to_owned(),
        version: None,
        compatible_since: since.map(|since| since.parse().unwrap()),
        migration: migration.map(str::to_owned),
        complete: true,
        moved_by: vec![Mover {
            task: key("migrate"),
            task_definition_arn: "shop:9".to_owned(),
        }],
        since: Timestamp::from_second(at).unwrap(),
    }
}

fn planned(accept: bool, world: &Observed) -> Result<Plan, Refusals> {
    let input = PlanInput {
        environment: undoable(accept, true),
        ..input('a')
    };
    plan(&input, world, now())
}

fn messages(refusals: &Refusals) -> Vec<&str> {
    refusals.0.iter().map(|refusal| refusal.message.as_str()).collect()
}

#[test]
fn a_migration_that_breaks_what_runs_is_refused_unless_the_breach_is_accepted_and_then_ecs_may_not_go_back() {
    let since = |version: &'static str| saying(history(&[3]), &[(ANNOTATION_COMPATIBLE_SINCE, version)]);
    assert!(
        planned(false, &since("v1.3.0")).is_ok(),
        "v1.3.0 runs, and that is new enough"
    );
    let refusals = planned(false, &since("v1.4.0")).unwrap_err();
    assert_eq!(
        messages(&refusals),
        [
            "`shop` runs code that is `v1.3.0`, but the schema that this release needs requires `v1.4.0` or later: it would break during the migrations, and ECS could not go back to it"
        ]
    );
    assert!(
        refusals.0[0].help.starts_with("release `v1.4.0` or later first"),
        "{}",
        refusals.0[0].help
    );

    let rollback = |plan: &Plan, mechanism: &str| {
        let path = format!("/{mechanism}/rollback");
        service(plan, "web").deployment_configuration.pointer(&path).cloned()
    };
    let accepted = planned(true, &since("v1.4.0")).unwrap();
    assert!(
        accepted
            .notes
            .iter()
            .any(|note| note.starts_with("accepted by the pipeline")),
        "{:?}",
        accepted.notes
    );
    for mechanism in ["deploymentCircuitBreaker", "alarms"] {
        assert_eq!(rollback(&accepted, mechanism), Some(json!(false)), "{mechanism}");
    }
    let kept = planned(true, &since("v1.3.0")).unwrap();
    assert_eq!(rollback(&kept, "deploymentCircuitBreaker"), Some(json!(true)));
}

#[test]
fn code_of_an_unknown_version_is_refused_where_the_schema_asks_for_one() {
    let mut world = saying(history(&[3]), &[(ANNOTATION_COMPATIBLE_SINCE, "v1.0.0")]);
    world.services.get_mut("shop").unwrap().verified[0].version = None;
    let refusals = planned(false, &world).unwrap_err();
    assert!(messages(&refusals)[0].contains("of an unknown version"), "{refusals}");
    assert!(refusals.0[0].help.contains(ANNOTATION_VERSION), "{refusals}");

    let stopped = world.services.get_mut("shop").unwrap();
    stopped.facts.running = 0;
    assert!(planned(false, &world).is_ok(), "what runs nothing breaks nothing");
}

#[test]
fn an_older_release_is_refused_on_a_schema_that_has_dropped_what_it_needs() {
    let mut world = history(&[4]);
    world.schemas = BTreeMap::from([(key("main"), state(Some("v1.3.0"), None, 1))]);
    let version = |version: &'static str| saying(world.clone(), &[(ANNOTATION_VERSION, version)]);
    assert!(planned(false, &version("v1.3.0")).is_ok());
    let refusals = planned(false, &version("1.2.9")).unwrap_err();
    assert_eq!(
        messages(&refusals),
        [
            "the schema of `main` has required the code of `v1.3.0` or later since the release `shop-cccccccccccccccccccc`, and the image `app` is `1.2.9`"
        ]
    );
    assert!(planned(false, &world).is_err(), "the tag `main` tells no version");
    let mut of_another_image = world.clone();
    of_another_image.schemas.get_mut(&key("main")).unwrap().image = key("other");
    assert!(planned(false, &of_another_image).is_ok());
}

#[test]
fn what_an_image_says_of_its_migrations_must_be_a_version() {
    let refusals = planned(
        false,
        &saying(observed(), &[(ANNOTATION_COMPATIBLE_SINCE, "yesterday")]),
    )
    .unwrap_err();
    assert_eq!(refusals.0[0].kind, RefusalKind::Declaration);
    assert_eq!(
        messages(&refusals),
        ["`esclusa.compatible-since` of the image `app`: `yesterday` is not a semantic version such as `v1.4.0`"]
    );
}

#[test]
fn the_way_down_names_the_migration_that_was_there_before() {
    let down = |world: &Observed| {
        let plan = planned(false, world).unwrap();
        let PlannedStep::Task(task) = &plan.steps[0] else {
            panic!("the migration comes first")
        };
        (task.down.clone(), plan.notes)
    };
    let mut world = history(&[4]);
    let (unknown, notes) = down(&world);
    assert_eq!(unknown, None);
    assert!(notes[0].contains(ANNOTATION_MIGRATION), "{notes:?}");
    world.schemas = BTreeMap::from([(key("main"), state(None, Some("0005_orders"), 1))]);
    let (known, notes) = down(&world);
    assert_eq!(
        known.unwrap().container_overrides[0]["command"],
        json!(["migrate", "--to", "0005_orders"])
    );
    assert!(notes.is_empty(), "{notes:?}");
}

fn undo(world: &Observed) -> Result<Plan, Refusals> {
    let input = RollbackInput {
        environment: undoable(false, false),
        undo_migrations: true,
        ..rollback(None)
    };
    rollback_plan(&input, world, now())
}

/// `v1.2.0` runs, `v1.1.0` was verified at second 1,000, and the schema moved after that.
fn moved(history_of_main: Vec<SchemaState>) -> Observed {
    let mut world = history(&[1, 2]);
    world.schemas = BTreeMap::from([(key("main"), history_of_main[0].clone())]);
    world.schema_history = BTreeMap::from([(key("main"), history_of_main)]);
    world.movers = BTreeMap::from([("shop:9".to_owned(), observed_definition("shop", 9, definition("shop")))]);
    world
}

#[test]
fn going_back_takes_the_migrations_back_after_the_services_where_that_is_asked_for() {
    let before = state(None, Some("0004_before"), 900);
    let world = moved(vec![state(None, Some("0005_orders"), 2_000), before.clone()]);
    let plan = undo(&world).unwrap();
    assert_eq!(names(&plan), ["web", "migrate"]);
    let PlannedStep::Task(task) = &plan.steps[1] else {
        panic!("the way down comes last")
    };
    assert_eq!(
        task.container_overrides[0]["command"],
        json!(["migrate", "--to", "0004_before"])
    );
    assert_eq!(task.undoes.as_ref().unwrap().to, Some(Box::new(before)));
    assert_eq!(
        plan.databases(),
        BTreeSet::from([&key("main")]),
        "its database is locked"
    );
    assert!(matches!(&plan.revisions[0].action, RevisionAction::Reuse { arn } if arn == "shop:9"));

    let services_only = rollback_plan(&rollback(None), &world, now()).unwrap();
    assert_eq!(names(&services_only), ["web"]);
}

#[test]
fn a_migration_is_taken_back_by_hand_from_a_database_with_a_restore_point_only() {
    let mut world = moved(vec![
        state(None, Some("0005_orders"), 2_000),
        state(None, Some("0004_before"), 900),
    ]);
    let input = RollbackInput {
        environment: restorable(PlanInput {
            environment: undoable(false, false),
            ..input('b')
        })
        .environment,
        undo_migrations: true,
        ..rollback(None)
    };
    let refusals = rollback_plan(&input, &world, now()).unwrap_err();
    assert!(messages(&refusals)[0].contains("without a restore point"), "{refusals}");
    world.databases.insert(key("main"), observed_database());
    let plan = rollback_plan(&input, &world, now()).unwrap();
    assert!(plan.steps[1].task().unwrap().restore_point.is_some());
    // The services alone go back without it.
    world.databases.clear();
    let services_only = RollbackInput {
        undo_migrations: false,
        ..input
    };
    assert!(rollback_plan(&services_only, &world, now()).is_ok());
}

#[test]
fn going_back_with_a_schema_that_has_not_moved_since_has_nothing_to_take_back() {
    let plan = undo(&moved(vec![state(None, Some("0004_before"), 900)])).unwrap();
    assert_eq!(names(&plan), ["web"]);
    assert!(
        plan.notes.iter().any(|note| note.contains("has not moved since")),
        "{:?}",
        plan.notes
    );
}

#[test]
fn what_cannot_be_taken_back_is_refused_before_anything_moves() {
    let unknown = undo(&moved(vec![state(None, Some("0005_orders"), 2_000)])).unwrap_err();
    assert!(
        messages(&unknown)[0].contains("nobody knows the name of the migration"),
        "{unknown}"
    );

    let mut gone = moved(vec![state(None, None, 2_000), state(None, Some("0004"), 900)]);
    gone.movers.clear();
    let gone = undo(&gone).unwrap_err();
    assert!(
        messages(&gone)[0].contains("the revision `shop:9` that migrated `main` is gone"),
        "{gone}"
    );

    let mut undeclared = moved(vec![state(None, None, 2_000), state(None, Some("0004"), 900)]);
    for state in undeclared.schemas.values_mut() {
        state.moved_by[0].task = key("flush");
    }
    let undeclared = undo(&undeclared).unwrap_err();
    assert!(
        messages(&undeclared)[0].contains("declares no `down` command"),
        "{undeclared}"
    );
    let mut under_another = moved(vec![state(None, None, 2_000), state(None, Some("0004"), 900)]);
    for state in under_another.schemas.values_mut() {
        let contract = Mover {
            task: key("flush"),
            ..state.moved_by[0].clone()
        };
        state.moved_by.push(contract);
    }
    let under_another = undo(&under_another).unwrap_err();
    assert!(
        messages(&under_another)[0].contains("`flush` migrated `main`"),
        "{under_another}"
    );

    let contracted = undo(&moved(vec![
        state(Some("v1.2.0"), Some("0005_drop"), 2_000),
        state(None, Some("0004"), 900),
    ]))
    .unwrap_err();
    assert_eq!(
        contracted.0[0].kind,
        RefusalKind::Hazard(crate::pipeline::Hazard::IncompatibleSchema)
    );
    assert!(
        messages(&contracted)[0].contains("what `shop` goes back to is `v1.1.0`"),
        "{contracted}"
    );
}

#[test]
fn a_down_command_without_a_name_takes_back_one_release_only() {
    let by_one = PIPELINE.replacen(
        "database: main",
        "database: main\n    down: {containers: {web: {command: [migrate, --down]}}}",
        1,
    );
    let environment = resolve(&parse(&by_one).unwrap(), "develop").unwrap();
    let input = RollbackInput {
        environment,
        undo_migrations: true,
        ..rollback(None)
    };
    let other = SchemaState {
        digest: digest('d'),
        ..state(None, None, 1_500)
    };
    let one = moved(vec![state(None, None, 2_000), state(None, None, 900)]);
    assert!(rollback_plan(&input, &one, now()).is_ok());
    let two = moved(vec![state(None, None, 2_000), other, state(None, None, 900)]);
    let refusals = rollback_plan(&input, &two, now()).unwrap_err();
    assert!(
        messages(&refusals)[0].starts_with("2 releases have migrated `main` since then"),
        "{refusals}"
    );
}
