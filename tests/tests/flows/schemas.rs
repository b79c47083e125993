//! Schemas move, code goes back: what the one does not take of the other is refused, and migrations are taken back.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};

use crate::path::{self, BACK, CLOSED, END, EVIDENCE, NEXT, REFUSED, SERVICE, TASK, WAY_BACK_END};
use crate::support::Account;

const SINCE: &str = "esclusa.compatible-since";
const MIGRATION: &str = "esclusa.migration";

const MIGRATE: &str = "migrations: {command: [dotnet, Imagy.Catalog.Api.dll, --migrate]}";

/// Develop only, with a migration that can be taken back.
fn undoable(automatic: bool) -> Account {
    let down = format!(
        "{MIGRATE}\n    down: {{automatic: {automatic}, containers: {{migrations: {{command: [dotnet, Imagy.Catalog.Api.dll, --migrate, --to, \"${{previous_migration}}\"]}}}}}}"
    );
    Account::edited("imagy-catalog", MIGRATE, &down)
}

/// The commands of the tasks that were run, the first one first.
fn commands(account: &Account) -> Vec<Value> {
    account
        .ecs_calls("RunTask")
        .iter()
        .map(|call| call.input["overrides"]["containerOverrides"][0]["command"].clone())
        .collect()
}

#[test]
fn a_migration_that_breaks_what_runs_waits_for_the_release_that_does_without_what_it_drops() {
    let mut account = Account::running("imagy-catalog", "v1.4.0");
    let first = account.releases()[0].clone();
    account.release_that_says("v1.6.0", Kind::Good, &[(SINCE, "v1.5.0")]);
    account.assert_ended("FAILED", "none", "refused");
    account.assert_acts(&[]);
    let reasons = account.reasons();
    assert!(
        reasons.contains("`imagy-catalog` runs code that is `v1.4.0`, but the schema that this release needs requires `v1.5.0` or later")
            && reasons.contains("release `v1.5.0` or later first"),
        "{reasons}"
    );
    account.release("v1.5.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.release_that_says("v1.6.1", Kind::Good, &[(SINCE, "v1.5.0")]);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert_eq!(
        account.schema("develop", "catalog").unwrap()["compatible_since"],
        "v1.5.0"
    );

    // What was dropped stays dropped, also for a release that says nothing.
    let later = account.release("v1.7.0", Kind::Good);
    assert_eq!(
        account.schema("develop", "catalog").unwrap()["compatible_since"],
        "v1.5.0"
    );
    account.forget_calls();
    let back = |account: &mut Account, to: &str| {
        let words = ["rollback", "imagy-catalog", "develop", "--to", to, "--reason", "errors"];
        let answer = account.lab.esclusa(&words);
        account.settle();
        format!("{}{}", answer.out, answer.err)
    };
    let refused = back(&mut account, &first);
    assert!(
        refused.contains("the schema of `catalog` has required the code of `v1.5.0` or later since the release")
            && refused.contains("what `imagy-catalog` goes back to is `v1.4.0`"),
        "{refused}"
    );
    account.assert_acts(&[]);
    account.assert_runs("imagy-develop", "imagy-catalog", "api", &later, 1);
    account.assert_left("FREE");
}

#[test]
fn an_older_push_is_refused_on_a_schema_that_has_dropped_what_it_needs() {
    let mut account = Account::running("imagy-catalog", "v1.5.0");
    account.release_that_says("v1.6.0", Kind::Good, &[(SINCE, "v1.5.0")]);
    account.forget_calls();
    account.release("v1.4.1", Kind::Good);
    account.assert_path(account.releases().last().unwrap(), &[REFUSED]);
    account.assert_ended("FAILED", "none", "refused");
    account.assert_acts(&[]);
}

/// An account in which a good version runs, and whose pipeline accepts code that the schema does not take.
fn accepting() -> Account {
    let mut account = Account::edited(
        "imagy-catalog",
        "  - name: develop\n",
        "  - name: develop\n    accept: [incompatible_schema]\n",
    );
    account.release("v1.4.0", Kind::Good);
    account.forget_calls();
    account
}

#[test]
fn code_that_the_schema_does_not_take_is_not_brought_back_and_a_person_is_asked() {
    let mut account = accepting();
    account.release_that_says("v1.5.0", Kind::CrashLoop, &[(SINCE, "v1.5.0")]);
    let update = account.ecs_calls("UpdateService")[0].input.clone();
    assert_eq!(
        update["deploymentConfiguration"]["deploymentCircuitBreaker"]["rollback"],
        false
    );
    account.assert_deployment_path(
        "develop",
        &[&path::opening(2), TASK, NEXT, SERVICE, EVIDENCE, BACK, WAY_BACK_END],
    );
    account.assert_ended("FAILED", "partial", "rollout_failed");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1), ("UpdateService", 1)]);
    let reasons = account.reasons();
    assert!(
        reasons.contains(
            "`imagy-catalog` is not brought back: it ran `v1.4.0` before, and the schema requires `v1.5.0` or later"
        ),
        "{reasons}"
    );
    let locks = account.locks();
    let develop = locks.iter().filter(|(name, _)| name.contains("develop"));
    assert!(
        develop.clone().count() == 2 && develop.clone().all(|(_, status)| status == "QUARANTINED"),
        "{locks:?}"
    );
}

#[test]
fn a_migration_with_an_automatic_way_down_is_taken_back_when_the_services_are_back() {
    let mut account = undoable(true);
    let good = account.release_that_says("v1.4.0", Kind::Good, &[(MIGRATION, "0004_Prices")]);
    let before = account.schema("develop", "catalog");
    assert_eq!(before.as_ref().unwrap()["migration"], "0004_Prices");
    account.forget_calls();
    account.release_that_says("v1.5.0", Kind::CrashLoop, &[(MIGRATION, "0005_Rating")]);
    account.assert_deployment_path(
        "develop",
        &[
            &path::opening(2),
            TASK,
            NEXT,
            SERVICE,
            EVIDENCE,
            BACK,
            TASK,
            NEXT,
            WAY_BACK_END,
        ],
    );
    account.assert_ended("ROLLED_BACK", "reverted", "rollout_failed");
    let release = account.releases().pop().unwrap();
    let told = account.esclusa(&["audit", "--release", &release]).out;
    assert!(
        told.contains("no service is to be brought back; then `migrate` is to be taken back"),
        "{told}"
    );
    assert_eq!(
        commands(&account),
        [
            json!(["dotnet", "Imagy.Catalog.Api.dll", "--migrate"]),
            json!(["dotnet", "Imagy.Catalog.Api.dll", "--migrate", "--to", "0004_Prices"])
        ]
    );
    let revisions: Vec<Value> = account
        .ecs_calls("RunTask")
        .iter()
        .map(|call| call.input["taskDefinition"].clone())
        .collect();
    assert_eq!(revisions[0], revisions[1], "with the image of the release that failed");
    assert_eq!(account.schema("develop", "catalog"), before);
    account.assert_runs("imagy-develop", "imagy-catalog", "api", &good, 1);
    account.assert_left("FREE");
}

#[test]
fn a_person_goes_back_with_the_schema_and_what_is_known_of_it_goes_back_too() {
    let mut account = undoable(false);
    account.release_that_says("v1.4.0", Kind::Good, &[(MIGRATION, "0004_Prices")]);
    let before = account.schema("develop", "catalog").unwrap();
    account.release_that_says("v1.5.0", Kind::Good, &[(MIGRATION, "0005_Rating")]);
    assert_eq!(
        account.schema("develop", "catalog").unwrap()["migration"],
        "0005_Rating"
    );
    account.forget_calls();
    let answer = account.esclusa(&[
        "rollback",
        "imagy-catalog",
        "develop",
        "--undo-migrations",
        "--reason",
        "the ratings are wrong",
    ]);
    account.settle();
    assert!(answer.out.contains("SUCCEEDED, effect schema_moved"), "{}", answer.out);
    account.assert_path(&account.releases().pop().unwrap(), &[&path::release(1), CLOSED]);
    account.assert_deployment_path("develop", &[&path::opening(1), SERVICE, NEXT, TASK, NEXT, END]);
    account.assert_acts(&[("RunTask", 1), ("UpdateService", 1)]);
    assert_eq!(
        commands(&account),
        [json!([
            "dotnet",
            "Imagy.Catalog.Api.dll",
            "--migrate",
            "--to",
            "0004_Prices"
        ])]
    );
    assert_eq!(
        account.schema("develop", "catalog").unwrap()["migration"],
        before["migration"]
    );
    account.assert_left("FREE");
}

#[test]
fn a_rollout_that_hangs_over_code_that_the_schema_does_not_take_is_not_rolled_back_at_its_deadline() {
    let mut account = accepting();
    let mut manifest: Value =
        serde_json::from_str(&Kind::Good.manifest("v1.5.0", &account.example.commands())).unwrap();
    manifest["annotations"][SINCE] = json!("v1.5.0");
    account
        .lab
        .push("imagy-catalog", Some("v1.5.0"), &manifest.to_string())
        .unwrap();
    account.pass(SignedDuration::from_secs(5));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{release}-develop-1"), "UpdateService");
    account.run_out_of_capacity(SignedDuration::from_hours(6));
    account.settle();
    assert_eq!(account.calls("ecs", "StopServiceDeployment").len(), 0);
    account.assert_ended("FAILED", "partial", "rollout_failed");
    let reasons = account.reasons();
    assert!(reasons.contains("`imagy-catalog` is not brought back"), "{reasons}");
}
