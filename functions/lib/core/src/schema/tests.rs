use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::pipeline::Phase;
use crate::plan::PlannedDown;
use crate::verdict::StepReference;
use crate::way_back::{TakenStep, way_back};

fn version(text: &str) -> CodeVersion {
    text.parse().unwrap()
}

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn any_version() -> impl Strategy<Value = Option<CodeVersion>> {
    proptest::option::of((0..3_u8, 0..3_u8).prop_map(|(major, minor)| version(&format!("v{major}.{minor}.0"))))
}

#[test]
fn what_else_an_image_says_is_kept_short_without_secrets_and_counted() {
    let many: Vec<String> = (0..30).map(|index| format!("com.example.{index:02}")).collect();
    let mut pairs: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "x")).collect();
    let long = "a ".repeat(300);
    pairs.extend([
        (ANNOTATION_REVISION, "4f2c1e9"),
        ("a.author", "ana"),
        ("a.token", "hunter2"),
        ("a.authorization", "hunter2"),
        ("a.source", "https://ana:hunter2@example.com/shop"),
        ("a.text", long.as_str()),
    ]);
    let declared = Declared::read(&annotations(&pairs), "v1.0.0").unwrap();
    assert_eq!((declared.labels.len(), declared.labels_left_out), (20, 15));
    assert_eq!(declared.labels["a.author"], "ana");
    assert_eq!(declared.labels["a.text"].len(), 200);
    let shown = format!("{:?}", declared.labels);
    assert!(!shown.contains("hunter2") && !shown.contains("4f2c1e9"), "{shown}");
}

#[test]
fn the_annotation_tells_the_version_and_the_tag_where_there_is_none() {
    let read = |pairs: &[(&str, &str)], tag: &str| Declared::read(&annotations(pairs), tag).unwrap().version;
    assert_eq!(read(&[(ANNOTATION_VERSION, "1.4.0")], "v9.9.9"), Some(version("1.4.0")));
    assert_eq!(
        read(&[(ANNOTATION_VERSION, "nightly")], "v1.5.0"),
        Some(version("v1.5.0"))
    );
    assert_eq!(read(&[], "main-0a1b2c3"), None);
    assert_eq!(read(&[], &format!("sha256:{}", "0".repeat(64))), None);
}

#[test]
fn an_empty_name_of_a_migration_is_none() {
    let read = |name: &str| Declared::read(&annotations(&[(ANNOTATION_MIGRATION, name)]), "v1.0.0").unwrap();
    assert_eq!(read("").migration, None);
    assert_eq!(read("0005_orders").migration.as_deref(), Some("0005_orders"));
}

#[test]
fn versions_are_compared_by_precedence_whatever_they_are_written_like() {
    assert!(version("v1.9.0").is_older_than(&version("1.10.0")));
    assert!(version("v2.0.0-rc.1").is_older_than(&version("v2.0.0")));
    assert!(!version("1.4.0+build.7").is_older_than(&version("v1.4.0")));
    assert_eq!(
        "v1.4".parse::<CodeVersion>().unwrap_err().to_string(),
        "`v1.4` is not a semantic version such as `v1.4.0`"
    );
}

proptest! {
    #[test]
    fn a_floor_never_falls_and_fits_exactly_what_is_not_older(left in any_version(), right in any_version(), code in any_version()) {
        let floor = higher(left.clone(), right.clone());
        let fits_both = fit(code.as_ref(), left.as_ref()) == Fit::Runs && fit(code.as_ref(), right.as_ref()) == Fit::Runs;
        prop_assert_eq!(fit(code.as_ref(), floor.as_ref()) == Fit::Runs, fits_both);
    }
}

fn state(migration: &str, since: Option<&str>) -> SchemaState {
    SchemaState {
        image: "app".parse().unwrap(),
        digest: format!("sha256:{}", "b".repeat(64)).parse().unwrap(),
        release_id: "shop-bbbbbbbbbbbbbbbbbbbb".parse().unwrap(),
        deployment_id: "before".to_owned(),
        version: Some(version("v1.4.0")),
        compatible_since: since.map(version),
        migration: Some(migration.to_owned()),
        complete: true,
        moved_by: Vec::new(),
        since: Timestamp::UNIX_EPOCH,
    }
}

fn task(name: &str, automatic: Option<bool>) -> PlannedTask {
    PlannedTask {
        name: name.parse().unwrap(),
        phase: Phase::BeforeServices,
        revision: "app".parse().unwrap(),
        cluster: "shop".to_owned(),
        launch_type: "FARGATE".to_owned(),
        network: None,
        container_overrides: "up".into(),
        group: None,
        container: "app".to_owned(),
        database: Some("main".parse().unwrap()),
        restore_point: None,
        down: automatic.map(|automatic| PlannedDown {
            container_overrides: "down".into(),
            automatic,
        }),
        undoes: None,
        idempotent: false,
        timeout_seconds: 60,
        start_attempts: 1,
        is_for_a_check: false,
    }
}

fn plan(before: Option<SchemaState>, steps: Vec<PlannedStep>) -> Plan {
    Plan {
        plan_hash: String::new(),
        application: "shop".parse().unwrap(),
        environment: "production".parse().unwrap(),
        release_id: "shop-cccccccccccccccccccc".parse().unwrap(),
        pipeline_version: 1,
        planned_at: Timestamp::UNIX_EPOCH,
        cluster: "shop".to_owned(),
        image: Some("app".parse().unwrap()),
        images: BTreeMap::from([(
            "app".parse().unwrap(),
            format!("sha256:{}", "c".repeat(64)).parse().unwrap(),
        )]),
        declared: Declared {
            version: Some(version("v1.5.0")),
            compatible_since: Some(version("v1.3.0")),
            migration: Some("0005".to_owned()),
            ..Declared::default()
        },
        pushed_by: None,
        schemas: before
            .map(|state| ("main".parse().unwrap(), state))
            .into_iter()
            .collect(),
        revisions: Vec::new(),
        steps,
        verification: None,
        skipped: Vec::new(),
        unchanged: false,
        notes: Vec::new(),
    }
}

fn record(mode: Mode, index: usize, outcome: StepOutcome) -> StepRecord {
    StepRecord {
        step: StepReference {
            mode,
            index,
            attempt: 1,
        },
        outcome,
        sentence: String::new(),
        already_there: false,
    }
}

fn after(plan: &Plan, records: &[StepRecord], way_back: &[PlannedStep]) -> Option<Option<SchemaState>> {
    let revisions = BTreeMap::from([("app".parse().unwrap(), "app:9".to_owned())]);
    let now = Timestamp::from_second(100).unwrap();
    let mut states = moved(plan, records, way_back, &revisions, "deployment", now);
    states.remove("main")
}

#[test]
fn a_migration_that_was_started_moves_the_schema_however_it_ended() {
    let plan = plan(
        Some(state("0004", Some("v1.2.0"))),
        vec![PlannedStep::Task(task("migrate", None))],
    );
    let with = |outcome: StepOutcome| after(&plan, &[record(Mode::Forward, 0, outcome)], &[]);
    assert_eq!(after(&plan, &[], &[]), None);
    assert_eq!(with(StepOutcome::NeverStarted), None);
    let done = with(StepOutcome::Done).unwrap().unwrap();
    assert!(done.complete);
    assert_eq!(done.migration.as_deref(), Some("0005"));
    assert_eq!(done.compatible_since, Some(version("v1.3.0")));
    assert_eq!(done.moved_by[0].task_definition_arn, "app:9");
    for outcome in [StepOutcome::Begun, StepOutcome::Failed, StepOutcome::Unknown] {
        let state = with(outcome).unwrap().unwrap();
        assert!(!state.complete, "{outcome:?}");
        assert_eq!(
            state.migration.as_deref(),
            Some("0004"),
            "the last that is known to be complete"
        );
        assert_eq!(
            state.compatible_since,
            Some(version("v1.3.0")),
            "it may have dropped something"
        );
    }
}

#[test]
fn what_was_dropped_once_stays_dropped() {
    let plan = plan(
        Some(state("0004", Some("v1.4.0"))),
        vec![PlannedStep::Task(task("migrate", None))],
    );
    let after = after(&plan, &[record(Mode::Forward, 0, StepOutcome::Done)], &[]);
    assert_eq!(after.unwrap().unwrap().compatible_since, Some(version("v1.4.0")));
}

#[test]
fn two_migrations_of_one_database_are_complete_together() {
    let steps = ["create", "migrate"].map(|name| PlannedStep::Task(task(name, None)));
    let plan = plan(None, steps.to_vec());
    let with = |outcome: StepOutcome| {
        let records = [
            record(Mode::Forward, 0, StepOutcome::Done),
            record(Mode::Forward, 1, outcome),
        ];
        after(&plan, &records, &[]).unwrap().unwrap()
    };
    let tasks: Vec<String> = with(StepOutcome::Done)
        .moved_by
        .iter()
        .map(|mover| mover.task.to_string())
        .collect();
    assert_eq!(tasks, ["create", "migrate"]);
    assert!(with(StepOutcome::Done).complete && !with(StepOutcome::Failed).complete);
}

#[test]
fn a_schema_that_was_taken_back_is_what_it_was_and_one_that_was_not_is_uncertain() {
    let plan = plan(
        Some(state("0004", None)),
        vec![PlannedStep::Task(task("migrate", Some(true)))],
    );
    let done = record(Mode::Forward, 0, StepOutcome::Done);
    let taken = TakenStep {
        planned: &plan.steps[0],
        records: std::slice::from_ref(&done),
        previous_task_definition_arn: None,
        was_completed: true,
        verified: &[],
    };
    let steps = way_back(&plan, &[taken]).steps;
    let PlannedStep::Task(down) = &steps[0] else {
        panic!("the migration is taken back")
    };
    assert_eq!(down.container_overrides, Value::from("down"));
    let with = |outcome: StepOutcome| after(&plan, &[done.clone(), record(Mode::WayBack, 0, outcome)], &steps);
    assert_eq!(with(StepOutcome::Done), None, "nothing has changed");
    assert!(with(StepOutcome::NeverStarted).unwrap().unwrap().complete);
    assert!(!with(StepOutcome::Failed).unwrap().unwrap().complete);
}

#[test]
fn a_rollback_that_takes_migrations_back_restores_what_was_known_before_them() {
    let before = state("0003", None);
    let undo = PlannedTask {
        undoes: Some(Undoes {
            to: Some(Box::new(before.clone())),
        }),
        ..task("migrate", None)
    };
    let plan = plan(Some(state("0005", Some("v1.4.0"))), vec![PlannedStep::Task(undo)]);
    let with = |outcome: StepOutcome| after(&plan, &[record(Mode::Forward, 0, outcome)], &[]);
    assert_eq!(with(StepOutcome::Done), Some(Some(before)));
    assert_eq!(with(StepOutcome::NeverStarted), None);
    let failed = with(StepOutcome::Failed).unwrap().unwrap();
    assert!(!failed.complete);
    assert_eq!(failed.compatible_since, Some(version("v1.4.0")));
}

#[test]
fn a_schema_is_where_it_was_only_when_every_migration_of_it_is_taken_back() {
    let undo = |name| PlannedTask {
        undoes: Some(Undoes {
            to: Some(Box::new(state("0003", None))),
        }),
        ..task(name, None)
    };
    let steps = ["contract", "expand"].map(|name| PlannedStep::Task(undo(name)));
    let mut before = state("0005", Some("v1.4.0"));
    before.moved_by = ["expand", "contract"]
        .map(|name| Mover {
            task: name.parse().unwrap(),
            task_definition_arn: "shop:9".to_owned(),
        })
        .to_vec();
    let plan = plan(Some(before), steps.to_vec());
    let first = record(Mode::Forward, 0, StepOutcome::Done);
    let cut_short = after(&plan, std::slice::from_ref(&first), &[]).unwrap().unwrap();
    assert!(!cut_short.complete);
    assert_eq!(cut_short.compatible_since, Some(version("v1.4.0")));
    let left: Vec<&str> = cut_short.moved_by.iter().map(|mover| mover.task.as_str()).collect();
    assert_eq!(left, ["expand"], "what is taken back is not taken back again");
    let second = record(Mode::Forward, 1, StepOutcome::Done);
    assert_eq!(after(&plan, &[first, second], &[]), Some(Some(state("0003", None))));
}

#[test]
fn what_is_left_of_two_migrations_when_one_is_taken_back_is_uncertain() {
    let steps = ["expand", "contract"].map(|name| PlannedStep::Task(task(name, Some(true))));
    let plan = plan(Some(state("0004", None)), steps.to_vec());
    let done = [0, 1].map(|index| record(Mode::Forward, index, StepOutcome::Done));
    let taken = plan.steps.iter().zip(&done).map(|(planned, record)| TakenStep {
        planned,
        records: std::slice::from_ref(record),
        previous_task_definition_arn: None,
        was_completed: true,
        verified: &[],
    });
    let back = way_back(&plan, &taken.collect::<Vec<_>>()).steps;
    let names: Vec<&str> = back.iter().map(|step| step.name().as_str()).collect();
    assert_eq!(names, ["contract", "expand"]);
    let [expand, contract] = done;
    let records = [expand, contract, record(Mode::WayBack, 0, StepOutcome::Done)];
    let left = after(&plan, &records, &back).unwrap().unwrap();
    assert!(!left.complete);
    assert_eq!(left.moved_by.len(), 1, "{:?}", left.moved_by);
}

#[test]
fn a_migration_is_never_taken_back_from_under_one_that_came_after_it() {
    let of = |contract: PlannedTask, outcome: StepOutcome| {
        let plan = plan(
            Some(state("0004", None)),
            vec![
                PlannedStep::Task(task("expand", Some(true))),
                PlannedStep::Task(contract),
            ],
        );
        let records = [StepOutcome::Done, outcome].map(|outcome| [record(Mode::Forward, 0, outcome)]);
        let taken = plan.steps.iter().zip(&records).map(|(planned, records)| TakenStep {
            planned,
            records,
            previous_task_definition_arn: None,
            was_completed: true,
            verified: &[],
        });
        let back = way_back(&plan, &taken.collect::<Vec<_>>());
        back.steps
            .iter()
            .map(|step| step.name().to_string())
            .collect::<Vec<_>>()
    };
    let (stays, automatic) = (task("contract", None), task("contract", Some(true)));
    assert_eq!(of(stays.clone(), StepOutcome::Done), [""; 0]);
    assert_eq!(
        of(automatic.clone(), StepOutcome::Failed),
        [""; 0],
        "it may have come half-way"
    );
    assert_eq!(of(stays.clone(), StepOutcome::NeverStarted), ["expand"]);
    assert_eq!(of(automatic, StepOutcome::Done), ["contract", "expand"]);
    let elsewhere = PlannedTask {
        database: Some("other".parse().unwrap()),
        ..stays
    };
    assert_eq!(of(elsewhere, StepOutcome::Done), ["expand"]);
}
