//! Migrations that fail, never start, are lost or hang. Whatever happens, no service is touched and the evidence is
//! kept.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::{ApiError, CallOutcome, CallRecord, Fault, FaultKind, Selector};
use simulator_ecs::Ecs;

use crate::path::{self, BACK, CLOSED, END, NEXT, SERVICE, TASK, TASK_AGAIN, TASK_STOPPED, WAY_BACK_END};
use crate::support::Account;

const OPENING: usize = 2;

/// What is kept about the container that was judged, of the last task that was judged.
fn evidence(account: &Account, container: &str) -> Value {
    let stopped = account.records("task_stopped").pop().unwrap();
    let containers = stopped["body"]["task"]["containers"].as_array().unwrap().clone();
    containers
        .into_iter()
        .find(|candidate| candidate["name"] == container)
        .unwrap()
}

/// The last lines of the log that are kept about the last task that was judged.
fn last_words(account: &Account) -> Vec<String> {
    let stopped = account.records("task_stopped").pop().unwrap();
    let lines = stopped["body"]["log"].as_array().unwrap().clone();
    lines
        .iter()
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect()
}

/// Asserts that no service was moved, and that the release went no further.
#[track_caller]
fn assert_untouched(account: &Account) {
    assert_eq!(account.ecs_calls("UpdateService").len(), 0);
    assert_eq!(
        account.definition_of("imagy-develop", "imagy-catalog"),
        "imagy-catalog-develop:1"
    );
    account.assert_path(&account.only_release(), &[&path::release(1), CLOSED]);
}

#[test]
fn a_migration_that_fails_by_its_own_word_is_no_success_and_may_have_moved_the_schema() {
    let mut account = Account::with("imagy-catalog");
    account.release("4f2c1e9", Kind::BadMigration);
    account.assert_deployment_path("develop", &[&path::opening(OPENING), TASK, BACK, WAY_BACK_END]);
    account.assert_ended("FAILED", "schema_moved", "task_failed");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1)]);
    assert_untouched(&account);
    assert_eq!(evidence(&account, "migrations")["exitCode"], 1);
    assert_eq!(
        last_words(&account),
        [
            "applying 20261102_add_rating",
            "error: relation \"rating\" already exists"
        ]
    );
    account.assert_left("FREE");
}

/// F30: the client token is that of a task of somebody else.
#[test]
fn a_client_token_that_belongs_to_another_task_leaves_the_database_to_a_person() {
    let mut account = Account::with("imagy-catalog");
    let task = "arn:aws:ecs:us-east-1:123456789012:task/imagy-develop/0123456789abcdef0123456789abcdef";
    let conflict = ApiError::client("ConflictException", "the token was used with other parameters")
        .with("resourceIds", json!([task]));
    let run = Selector::operation("ecs", "RunTask");
    account
        .lab
        .world_mut()
        .add_fault(Fault::new(run, FaultKind::ErrorBefore(conflict)));
    account.release("4f2c1e9", Kind::Good);
    account.assert_ended("FAILED", "unknown", "unknown_effect");
    assert_untouched(&account);
    let reasons = account.reasons();
    assert!(
        reasons.contains(&format!("belongs to other tasks: `{task}`")),
        "{reasons}"
    );
    // Nobody knows what came of the act until the sweep has looked.
    account.pass(SignedDuration::from_mins(20));
    account.assert_left("QUARANTINED");
}

#[test]
fn a_migration_whose_host_is_lost_may_have_done_a_part() {
    let mut account = Account::with("imagy-catalog");
    account.release("4f2c1e9", Kind::LostMigration);
    account.assert_deployment_path("develop", &[&path::opening(OPENING), TASK, BACK, WAY_BACK_END]);
    account.assert_ended("FAILED", "unknown", "unknown_effect");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1)]);
    assert_untouched(&account);
    assert_eq!(evidence(&account, "migrations")["exitCode"], Value::Null);
    assert_eq!(
        account.records("task_stopped")[0]["body"]["task"]["stopCode"],
        "TerminationNotice"
    );
    account.assert_left("QUARANTINED");
}

#[test]
fn after_an_unknown_effect_people_are_told_and_nobody_moves_until_one_of_them_has_looked() {
    let mut account = Account::with("imagy-catalog");
    account.release("v1", Kind::LostMigration);
    let told = account.calls("events", "PutEvents");
    assert_eq!(told.len(), 1);
    let detail: Value = serde_json::from_str(told[0].input["Entries"][0]["Detail"].as_str().unwrap()).unwrap();
    assert_eq!([&detail["verdict"], &detail["effect"]], ["FAILED", "unknown"]);

    account.forget_calls();
    account.release("v2", Kind::Good);
    account.assert_deployment_path("develop", &[&["BeginDeployment", "AcquireLocks", "RecordEnd", "Ended"]]);
    account.assert_ended("FAILED", "none", "refused");
    account.assert_acts(&[]);
    assert!(account.reasons().contains("`esclusa unlock`"), "{}", account.reasons());
    account.assert_left("QUARANTINED");

    for (lock, _) in account.locks() {
        account.esclusa(&["unlock", &lock, "--reason", "the table is whole"]);
    }
    account.release("v3", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.assert_left("FREE");
}

#[test]
fn a_migration_that_hangs_is_stopped_at_its_deadline() {
    let mut account = Account::with("imagy-catalog");
    account.release("4f2c1e9", Kind::HangingMigration);
    account.assert_deployment_path("develop", &[&path::opening(OPENING), TASK_STOPPED, BACK, WAY_BACK_END]);
    account.assert_ended("FAILED", "unknown", "unknown_effect");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1), ("StopTask", 1)]);
    let (run, stop) = (account.ecs_calls("RunTask")[0].at, account.ecs_calls("StopTask")[0].at);
    let waited = stop.duration_since(run);
    assert!(
        waited >= SignedDuration::from_secs(3600) && waited < SignedDuration::from_secs(3660),
        "{waited}"
    );
    assert_untouched(&account);
    assert_eq!(evidence(&account, "migrations")["exitCode"], 137);
    assert_eq!(last_words(&account), ["waiting for a lock on table \"rating\""]);
    account.assert_left("QUARANTINED");
}

#[test]
fn a_migration_that_never_starts_is_tried_as_often_as_allowed_and_leaves_nothing() {
    let mut account = Account::with("imagy-catalog");
    account.release("4f2c1e9", Kind::UnstartableMigration);
    account.assert_deployment_path(
        "develop",
        &[
            &path::opening(OPENING),
            TASK,
            TASK_AGAIN,
            TASK_AGAIN,
            BACK,
            WAY_BACK_END,
        ],
    );
    account.assert_ended("FAILED", "none", "task_never_started");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 3)]);
    assert_untouched(&account);
    assert_eq!(account.records("task_stopped").len(), 3);
    assert_eq!(evidence(&account, "migrations")["exitCode"], Value::Null);
    assert!(
        account.reasons().contains("unable to pull secrets"),
        "{}",
        account.reasons()
    );
    account.assert_left("FREE");
}

#[test]
fn a_migration_that_starts_at_the_second_try_is_done() {
    let mut account = Account::with("superbowleto");
    let digest = account.push("4f2c1e9", Kind::UnstartableMigration);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-stg-1"), "PauseBeforeRunningAgain");
    let good = Kind::Good.manifest("4f2c1e9", &account.example.commands());
    let images = &mut account.lab.world_mut().kernel_mut().images;
    images
        .repositories
        .get_mut("superbowleto")
        .unwrap()
        .get_mut(&digest)
        .unwrap()
        .manifest = good;
    account.settle();
    account.assert_deployment_path(
        "stg",
        &[
            &path::opening(2),
            TASK,
            TASK_AGAIN,
            NEXT,
            SERVICE,
            NEXT,
            SERVICE,
            NEXT,
            END,
        ],
    );
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let tokens: Vec<String> = account
        .ecs_calls("RunTask")
        .iter()
        .map(|call| call.input["clientToken"].to_string())
        .collect();
    assert_eq!(tokens.len(), 2);
    assert_ne!(tokens[0], tokens[1], "a new attempt has a token of its own");
    account.assert_left("FREE");
}

#[test]
fn a_migration_that_finds_no_room_is_tried_again_and_its_empty_answer_is_no_success() {
    let mut account = Account::with("superbowleto");
    account.push("4f2c1e9", Kind::Good);
    account.run_out_of_capacity(SignedDuration::from_secs(15));
    account.settle();
    let not_placed = [
        "MoreSteps?",
        "TaskOrService?",
        "RunTask",
        "TaskStarted?",
        "JudgeTask",
        "TaskOutcome?",
    ];
    let steps: &[&[&str]] = &[
        &path::opening(2),
        &not_placed,
        TASK_AGAIN,
        NEXT,
        SERVICE,
        NEXT,
        SERVICE,
        NEXT,
        END,
    ];
    account.assert_deployment_path("stg", steps);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let sentence = account.records("judged")[0]["body"]["sentence"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        sentence.starts_with("ECS placed no task: Capacity is unavailable"),
        "{sentence}"
    );
}

#[test]
fn the_sidecar_of_a_migration_is_told_and_decides_nothing() {
    for (kind, verdict, code) in [(Kind::Good, "SUCCEEDED", 0), (Kind::BadMigration, "FAILED", 1)] {
        let mut account = Account::with("superbowleto");
        account
            .lab
            .world_mut()
            .service_mut::<Ecs>()
            .unwrap()
            .0
            .settings
            .injected_sidecar = Some("aws-guardduty-agent-nm40lC".to_owned());
        account.release("4f2c1e9", kind);
        let release = account.only_release();
        assert_eq!(account.status(&release)["end"]["verdict"], verdict);
        let judged = &account.records("judged")[0]["body"];
        assert_eq!(judged["name"], "migrate");
        let sidecars: Vec<(Value, Value)> = judged["judgement"]["sidecars"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sidecar| (sidecar["name"].clone(), sidecar["injected"].clone()))
            .collect();
        assert_eq!(
            sidecars,
            [
                (json!("datadog-agent"), json!(false)),
                (json!("aws-guardduty-agent-nm40lC"), json!(true))
            ]
        );
        assert_eq!(evidence(&account, "superbowleto-w-stg")["exitCode"], code);
        assert_ne!(evidence(&account, "datadog-agent")["exitCode"], Value::Null);
    }
}

#[test]
fn no_value_of_an_environment_variable_is_in_the_evidence() {
    let mut account = Account::with("superbowleto");
    account.release("4f2c1e9", Kind::BadMigration);
    let evidence = account.records("task_stopped")[0]["body"].to_string();
    assert!(!evidence.contains("role:migration"), "{evidence}");
}

#[test]
fn a_migration_runs_once_in_the_group_migration_and_can_be_found_by_who_started_it() {
    let mut account = Account::with("imagy-catalog");
    account.release("4f2c1e9", Kind::Good);
    let runs = account.ecs_calls("RunTask");
    assert_eq!(runs.len(), 2, "one per environment");
    for run in runs {
        let token = run.input["clientToken"].as_str().unwrap();
        assert_eq!(run.input["startedBy"], format!("esclusa/{token}"));
        assert_eq!(run.input["group"], "migration");
        assert_eq!(run.input["launchType"], "FARGATE");
        assert_eq!(run.input["count"].as_u64().unwrap_or(1), 1);
        assert_eq!(
            run.input["overrides"]["containerOverrides"][0]["command"],
            json!(["dotnet", "Imagy.Catalog.Api.dll", "--migrate"])
        );
    }
    account.forget_calls();
    let mut plain = Account::with("orbiquant");
    plain.release_image("frontend", "develop-41", Kind::Good);
    assert_eq!(
        plain.ecs_calls("RunTask")[0].input["group"],
        Value::Null,
        "flushing a cache is no migration"
    );
}

/// F45: a token that Step Functions does not know is nobody's: the row is left to a person, the sweep does not send it
/// again, and the state goes on by its own deadline.
#[test]
fn a_token_that_nobody_knows_is_quarantined_and_not_sent_again() {
    let mut account = Account::with("imagy-catalog");
    account.push("v1", Kind::Good);
    let release = account.run_until_claimed();
    let deployment = format!("{release}-develop-1");
    account.run_until_entered(&deployment, "AwaitTask");
    let waits = |account: &Account| -> Vec<Value> {
        let rows = account.rows("RESOURCE#").into_iter();
        rows.filter(|row| row["state"] == "AwaitTask").collect()
    };
    while waits(&account).is_empty() {
        account.pass(SignedDuration::from_secs(1));
    }
    let row = waits(&account)[0].clone();
    account.administer(
        "dynamodb",
        "UpdateItem",
        json!({
            "TableName": "esclusa-control",
            "Key": {"pk": {"S": row["pk"]}, "sk": {"S": row["sk"]}},
            "UpdateExpression": "SET #token = :another",
            "ExpressionAttributeNames": {"#token": "token"},
            "ExpressionAttributeValues": {":another": {"S": "AQCwnobodysToken"}},
        }),
    );
    account.forget_calls();
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let is_refused = |call: &&CallRecord| {
        let refused = matches!(&call.outcome, CallOutcome::Error { code, .. } if code == "InvalidToken");
        call.operation == "SendTaskSuccess" && refused
    };
    let calls = account.lab.world().calls();
    assert_eq!(calls.iter().filter(is_refused).count(), 1);
    assert_eq!(waits(&account)[0]["status"], "QUARANTINED");
    let path = account.lab.path(&deployment);
    assert!(path.iter().any(|state| state == "StopTask"), "{path:?}");
}
