//! F83: the deployer is upgraded while releases are on their way. Step Functions keeps the definition that an execution
//! began with, and Lambda does not keep the function: an execution of an earlier definition, over rows that an earlier
//! version wrote, comes to its end with the functions of today.
//!
//! `fixtures/earlier` has the definitions of the earliest version that still counts, as they were. A change that breaks
//! this test needs a way for executions that are on their way, or a new earliest version and a note in the changelog.

use std::path::Path;

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::DynamoDb;

use crate::restore_points::asking;
use crate::support::Account;

const ACCOUNT: &str = "us-east-1:123456789012";

/// What rows of today have and rows of the earlier version had not.
const NEW_MEMBERS: [&str; 2] = ["lock_wait_seconds", "queued_at"];

/// Puts definitions in force, for executions that begin from now on.
fn deploy_definitions(account: &mut Account, folder: &str) {
    for machine in ["release", "deployment"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(folder)
            .join(format!("{machine}.asl.json"));
        let mut text = std::fs::read_to_string(file).unwrap();
        for function in [
            "Intake", "Migrate", "Observe", "Record", "Register", "Resume", "Traffic", "Update",
        ] {
            let name = function.to_lowercase();
            let arn = format!("arn:aws:lambda:{ACCOUNT}:function:esclusa-{name}");
            text = text.replace(&format!("${{{function}FunctionArn}}"), &arn);
        }
        assert!(!text.contains("${"), "a function of `{machine}` is not known");
        let arn = format!("arn:aws:states:{ACCOUNT}:stateMachine:esclusa-{machine}");
        account.administer(
            "states",
            "UpdateStateMachine",
            json!({"stateMachineArn": arn, "definition": text}),
        );
    }
}

/// Makes the rows of deployments what the earlier version wrote.
fn age_rows(account: &mut Account) {
    let rows: Vec<Value> = account
        .lab
        .world()
        .service::<DynamoDb>()
        .unwrap()
        .items("esclusa-control")
        .unwrap();
    let mut aged = 0;
    for row in rows {
        for member in NEW_MEMBERS.iter().filter(|member| row.get(**member).is_some()) {
            account.administer(
                "dynamodb",
                "UpdateItem",
                json!({
                    "TableName": "esclusa-control",
                    "Key": {"pk": row["pk"], "sk": row["sk"]},
                    "UpdateExpression": format!("REMOVE {member}"),
                }),
            );
            aged += 1;
        }
    }
    assert!(aged > 0, "no row has a member that is new");
}

/// Two releases on their way, the second of which waits for the lock of the first.
fn begun(account: &mut Account, kind: Kind) {
    account.push("v2", kind);
    account.pass(SignedDuration::from_secs(5));
    let first = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{first}-stg-1"), "AwaitTask");
    account.push("v3", Kind::Good);
    account.pass(SignedDuration::from_secs(20));
}

/// They are on their way under the definitions of today.
pub(crate) fn in_flight(kind: Kind) -> Account {
    let mut account = Account::running("superbowleto", "v1");
    begun(&mut account, kind);
    account
}

/// They are begun under the earlier definitions; then comes the upgrade.
fn upgraded_in_flight(kind: Kind) -> Account {
    let mut account = Account::running("superbowleto", "v1");
    deploy_definitions(&mut account, "fixtures/earlier");
    begun(&mut account, kind);
    age_rows(&mut account);
    deploy_definitions(&mut account, "../statemachine");
    account
}

#[test]
fn executions_of_an_earlier_definition_come_to_their_end_with_the_functions_of_today() {
    let mut account = upgraded_in_flight(Kind::Good);
    let newest = account.push("v4", Kind::Good);
    account.settle();
    account.assert_all_ended(&[
        "SUCCEEDED schema_moved proven",
        "SUCCEEDED schema_moved proven",
        "SUPERSEDED none superseded",
        "SUCCEEDED schema_moved proven",
    ]);
    let releases = account.releases();
    let walked = |account: &Account, release: &str| account.lab.path(&format!("{release}-stg-1"));
    let earlier = walked(&account, &releases[1]);
    assert!(!earlier.iter().any(|state| state == "ConfirmServices"), "{earlier:?}");
    let today = walked(&account, &releases[3]);
    assert!(today.iter().any(|state| state == "ConfirmServices"), "{today:?}");
    account.assert_runs(
        "superbowleto-stg",
        "superbowleto-s-stg",
        "superbowleto-s-stg",
        &newest,
        1,
    );
    account.assert_left("FREE");
}

#[test]
fn an_earlier_definition_that_asks_for_no_restore_point_starts_no_migration_that_needs_one() {
    let mut account = asking("{instance: imagy-catalog-production}", "");
    deploy_definitions(&mut account, "fixtures/earlier");
    account.release("4f2c1e9", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    assert!(account.reasons().contains("was not secured"), "{}", account.reasons());
    account.assert_acts(&[("RegisterTaskDefinition", 2)]);
    account.assert_left("FREE");
}

#[test]
fn a_failure_under_an_earlier_definition_goes_its_way_back_with_the_functions_of_today() {
    let mut account = upgraded_in_flight(Kind::CrashLoop);
    account.settle();
    account.assert_all_ended(&[
        "SUCCEEDED schema_moved proven",
        "ROLLED_BACK schema_moved rollout_failed",
        "SUCCEEDED schema_moved proven",
    ]);
    account.assert_left("FREE");
}
