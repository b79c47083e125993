//! The restore point of a database: verified in the plan, and again right before the migration, when it is written
//! down.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::services::{DatabaseKind, Rds};
use simulator::{CallOutcome, Fault, FaultKind, Selector};

use crate::path::{self, BACK, END, NEXT, SECURED_TASK, SERVICE, SNAPSHOT_AGAIN, WAY_BACK_END};
use crate::support::Account;

const DATABASE: &str = "imagy-catalog-production";

/// An application whose first environment migrates a database with this restore point.
pub(crate) fn asking(restore_point: &str, more: &str) -> Account {
    let line = "variables: {aspnetcore: Development, log_level: Debug}\n";
    let asked = format!("{line}    databases: {{catalog: {{restore_point: {restore_point}}}}}\n{more}");
    Account::edited("imagy-catalog", line, &asked)
}

fn keep_backups(account: &mut Account, days: u32) {
    let input = json!({"DBInstanceIdentifier": DATABASE, "BackupRetentionPeriod": days});
    account.administer("rds", "ModifyDBInstance", input);
}

/// What was written down, and that it was before the task.
#[track_caller]
fn secured(account: &Account) -> Value {
    let records = account.records("restore_point");
    let [record] = records.as_slice() else {
        panic!("{records:#?}")
    };
    let intents = account.records("intent");
    let run = intents
        .iter()
        .find(|intent| intent["body"]["action"] == "ecs:RunTask")
        .unwrap();
    let sequence = |record: &Value| record["sequence"].as_u64().unwrap();
    assert!(sequence(record) < sequence(run), "{record:#}");
    record["body"].clone()
}

#[test]
fn a_migration_of_a_database_with_a_restore_point_begins_when_that_is_written_down() {
    let mut account = Account::running("imagy-catalog", "v1");
    account.esclusa(&[
        "deploy",
        "imagy-catalog",
        "production",
        "v1",
        "--reason",
        "the release of the week",
    ]);
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let release = account.releases().pop().unwrap();
    let record = account.records("restore_point").pop().unwrap();
    assert_eq!(record["body"]["source"], json!({"instance": DATABASE}));
    assert_eq!(record["body"]["snapshot"], Value::Null);
    let latest: jiff::Timestamp = record["body"]["latestRestorable"].as_str().unwrap().parse().unwrap();
    let written: jiff::Timestamp = record["at"].as_str().unwrap().parse().unwrap();
    assert!(
        written.duration_since(latest) < SignedDuration::from_mins(6),
        "{record:#}"
    );
    assert_eq!(account.calls("rds", "CreateDBSnapshot").len(), 0);
    let shown = account.esclusa(&["status", "--release", &release]).out;
    assert!(shown.contains("before `migrate`: could be restored to"), "{shown}");
    let told = account.esclusa(&["audit", "--release", &release]).out;
    assert!(
        told.contains("instance `imagy-catalog-production` can be restored to"),
        "{told}"
    );
    account.assert_left("FREE");
}

#[test]
fn without_a_restore_point_nothing_moves_unless_the_pipeline_accepts_that_by_name() {
    let point = format!("{{instance: {DATABASE}}}");
    let mut account = asking(&point, "");
    keep_backups(&mut account, 0);
    account.release("4f2c1e9", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    let reasons = account.reasons();
    for words in [
        "no point-in-time recovery",
        "modify-db-instance",
        "`accept: [no_restore_point]`",
    ] {
        assert!(reasons.contains(words), "{reasons}");
    }
    account.assert_acts(&[]);
    let mut account = asking(&point, "    accept: [no_restore_point]\n");
    keep_backups(&mut account, 0);
    account.release("4f2c1e9", Kind::Good);
    account.assert_release_ended(&account.only_release(), "SUCCEEDED", "schema_moved", "proven");
    let body = secured(&account);
    assert_eq!(body["latestRestorable"], Value::Null);
    assert!(
        body["lack"].as_str().unwrap().contains("no point-in-time recovery"),
        "{body}"
    );
}

#[test]
fn a_database_that_is_absent_or_can_be_restored_to_long_ago_only_is_refused() {
    let mut account = asking("{instance: imagy-absent}", "");
    account.release("4f2c1e9", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    assert!(account.reasons().contains("there is no instance `imagy-absent`"));
    let mut account = asking(&format!("{{instance: {DATABASE}, at_most_seconds: 600}}"), "");
    let (rds, kernel) = account.lab.world_mut().service_mut::<Rds>().unwrap();
    rds.stall(DatabaseKind::Instance, DATABASE, kernel);
    account.pass(SignedDuration::from_mins(11));
    account.release("4f2c1e9", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    assert!(account.reasons().contains("more than the 600 that are allowed"));
    account.assert_acts(&[]);
}

#[test]
fn what_was_there_when_it_was_planned_is_looked_at_again_before_the_migration() {
    let mut account = asking(&format!("{{instance: {DATABASE}}}"), "");
    account.push("4f2c1e9", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-develop-1"), "RegisterRevision");
    keep_backups(&mut account, 0);
    account.settle();
    let refused = ["MoreSteps?", "TaskOrService?", "SecureRestorePoint"];
    account.assert_deployment_path("develop", &[&path::opening(2), &refused, BACK, WAY_BACK_END]);
    account.assert_ended("FAILED", "none", "refused");
    account.assert_acts(&[("RegisterTaskDefinition", 2)]);
    account.assert_left("FREE");
}

/// That the deployment looked at its snapshot so many times more before it migrated, and was proven.
#[track_caller]
fn assert_looked_again(account: &Account, times: usize) {
    let looks = vec![SNAPSHOT_AGAIN; times].concat();
    let path = [
        &path::opening(2)[..],
        &SECURED_TASK[..4],
        &looks,
        &SECURED_TASK[4..],
        NEXT,
        SERVICE,
        NEXT,
        END,
    ];
    account.assert_deployment_path("develop", &path);
}

#[test]
fn a_snapshot_is_taken_once_and_waited_for_before_the_migration() {
    // The pause between two looks is five minutes, the snapshot takes three.
    let mut account = asking(
        &format!("{{instance: {DATABASE}, snapshot: true, timeout_seconds: 30000}}"),
        "",
    );
    let take = Selector::operation("rds", "CreateDBSnapshot");
    account
        .lab
        .world_mut()
        .add_fault(Fault::new(take.nth(1), FaultKind::DieAfter));
    account.push("4f2c1e9", Kind::Good);
    account.settle();
    assert_looked_again(&account, 1);
    let body = secured(&account);
    let calls = account.lab.world().calls();
    let taken: Vec<_> = calls
        .iter()
        .filter(|call| call.operation == "CreateDBSnapshot")
        .collect();
    let [taken] = taken.as_slice() else {
        panic!("{taken:#?}")
    };
    assert_eq!(taken.outcome, CallOutcome::Lost, "the answer of the only call");
    assert_eq!(body["snapshot"], taken.input["DBSnapshotIdentifier"]);
    let run = account.ecs_calls("RunTask")[0].at;
    assert!(run.duration_since(taken.at) >= SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

#[test]
fn a_database_that_is_being_backed_up_is_waited_for() {
    let mut account = asking(
        &format!("{{instance: {DATABASE}, snapshot: true, timeout_seconds: 30000}}"),
        "",
    );
    let nightly = json!({"DBInstanceIdentifier": DATABASE, "DBSnapshotIdentifier": "nightly"});
    account.administer("rds", "CreateDBSnapshot", nightly);
    account.push("4f2c1e9", Kind::Good);
    account.settle();
    assert_looked_again(&account, 2);
    let body = secured(&account);
    let calls = account.lab.world().calls();
    let asked = calls.iter().filter(|call| call.operation == "CreateDBSnapshot");
    let outcomes: Vec<&CallOutcome> = asked.map(|call| &call.outcome).collect();
    let [CallOutcome::Error { code, .. }, CallOutcome::Success] = outcomes.as_slice() else {
        panic!("{outcomes:?}")
    };
    assert_eq!(code, "InvalidDBInstanceState");
    assert!(body["snapshot"].as_str().unwrap().starts_with("esclusa-"), "{body}");
    account.assert_left("FREE");
}

#[test]
fn a_database_that_is_not_available_in_time_is_not_copied_any_more() {
    let mut account = asking(
        &format!("{{instance: {DATABASE}, snapshot: true, timeout_seconds: 60}}"),
        "",
    );
    let nightly = json!({"DBInstanceIdentifier": DATABASE, "DBSnapshotIdentifier": "nightly"});
    account.administer("rds", "CreateDBSnapshot", nightly);
    account.release("4f2c1e9", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    assert!(
        account
            .reasons()
            .contains("no snapshot could be taken within 60 seconds"),
        "{}",
        account.reasons()
    );
    let calls = account.lab.world().calls().iter();
    let taken = calls.filter(|call| call.operation == "CreateDBSnapshot" && call.outcome == CallOutcome::Success);
    assert_eq!(taken.count(), 0);
    account.assert_acts(&[("RegisterTaskDefinition", 2)]);
    account.assert_left("FREE");
}

#[test]
fn a_snapshot_that_fails_or_takes_too_long_is_none_and_nothing_is_migrated() {
    let point = |seconds: u32| format!("{{instance: {DATABASE}, snapshot: true, timeout_seconds: {seconds}}}");
    for (seconds, fails, words) in [(3600, true, "failed"), (60, false, "is not available after 60 seconds")] {
        let mut account = asking(&point(seconds), "");
        account.lab.world_mut().service_mut::<Rds>().unwrap().0.snapshots_fail = fails;
        account.release("4f2c1e9", Kind::Good);
        account.assert_ended("FAILED", "none", "refused");
        assert!(account.reasons().contains(words), "{}", account.reasons());
        account.assert_acts(&[("RegisterTaskDefinition", 2)]);
        account.assert_left("FREE");
    }
}
