//! Releases that meet at a lock: in a queue, for too long, and when a person takes it away.

use jiff::{SignedDuration, Timestamp};
use lab::images::Kind;
use serde_json::json;
use simulator::services::Ecr;

use crate::support::Account;

const TRIGGER: &str = "  - name: stg\n    trigger: push\n";

/// An account whose first environment has a lock of its own mind, with a release that holds it while its migration
/// runs. Its id.
fn busy(lock: &str, kind: Kind) -> (Account, String) {
    let mut account = Account::edited("superbowleto", TRIGGER, &format!("{TRIGGER}    lock: {lock}\n"));
    account.push("v1", kind);
    let first = account.run_until_claimed();
    account.run_until_entered(&format!("{first}-stg-1"), "AwaitTask");
    (account, first)
}

fn moment(account: &Account, kind: &str, release: &str) -> Timestamp {
    let records = account.records(kind);
    let record = records
        .iter()
        .find(|record| record["release_id"] == release)
        .unwrap_or_else(|| panic!("`{release}` has no record `{kind}`"));
    record["at"].as_str().unwrap().parse().unwrap()
}

#[test]
fn in_a_queue_every_release_is_deployed_and_who_came_first_goes_first() {
    let (mut account, first) = busy("{waiting: queue}", Kind::Good);
    let mut releases = vec![first];
    for tag in ["v2", "v3", "v4"] {
        account.push(tag, Kind::Good);
        account.pass(SignedDuration::from_secs(20));
        releases.push(account.releases().pop().unwrap());
    }
    let waiting = account.esclusa(&["locks"]).out;
    let place = |release: &String| waiting.find(&format!("{release}-stg-1"));
    assert!(
        place(&releases[0]) < place(&releases[1]) && place(&releases[1]) < place(&releases[2]),
        "{waiting}"
    );
    account.settle();
    account.assert_all_ended(&["SUCCEEDED schema_moved proven"; 4]);
    for (earlier, later) in releases.iter().zip(&releases[1..]) {
        let freed = moment(&account, "deployment_ended", earlier);
        let taken = moment(&account, "lock_acquired", later);
        assert!(taken >= freed, "`{later}` overtook `{earlier}`");
        let late = taken.duration_since(freed);
        assert!(
            late < SignedDuration::from_secs(15),
            "`{later}` was woken {late} after the lock came free: not by the end of the one before it"
        );
    }
    account.assert_left("FREE");
}

/// Whoever goes back, or mends what is broken, waits for what is at work and not for what waits.
#[test]
fn a_rollback_and_a_hotfix_go_before_what_waits_in_the_queue() {
    let (mut account, first) = busy("{waiting: queue}", Kind::Good);
    for tag in ["v2", "v3"] {
        account.push(tag, Kind::Good);
        account.pass(SignedDuration::from_secs(20));
    }
    let waited = account.releases()[1..].to_vec();
    let hotfix = ["deploy", "superbowleto", "stg", "v2", "--hotfix", "--no-wait"];
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let text = text
        .replace(TRIGGER, &format!("{TRIGGER}    lock: {{waiting: queue}}\n"))
        .replacen("environments:\n", "hotfix: {skips: [soak]}\n\nenvironments:\n", 1);
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    let asked = account.esclusa(&[&hotfix[..], &["--reason", "orders are lost"]].concat());
    let hotfix = asked.out.trim().to_owned();
    account.run_until_entered(&format!("{hotfix}-stg-1"), "AwaitLock");
    let waiting = account.esclusa(&["locks"]).out;
    let place = |release: &String| waiting.find(&format!("{release}-stg-1"));
    assert!(
        place(&hotfix).is_some() && place(&hotfix) < place(&waited[0]),
        "{waiting}"
    );
    account.settle();
    account.assert_release_ended(&first, "SUCCEEDED", "schema_moved", "proven");
    account.assert_release_ended(&hotfix, "SUCCEEDED", "schema_moved", "proven");
    let freed = moment(&account, "deployment_ended", &hotfix);
    for release in &waited {
        // Pushed before it, they are older than what is in force.
        account.assert_release_ended(release, "SUPERSEDED", "none", "superseded");
        assert!(moment(&account, "deployment_ended", release) >= freed);
    }
    account.assert_left("FREE");
}

#[test]
fn who_waits_longer_than_the_pipeline_allows_ends_without_having_moved_anything() {
    let (mut account, first) = busy("{waiting: queue, wait_seconds: 60}", Kind::Good);
    account.push("v2", Kind::Good);
    account.pass(SignedDuration::from_secs(20));
    let second = account.releases().pop().unwrap();
    account.settle();
    account.assert_release_ended(&first, "SUCCEEDED", "schema_moved", "proven");
    account.assert_release_ended(&second, "FAILED", "none", "lock_held");
    account.assert_path(
        &format!("{second}-stg-1"),
        &[&[
            "BeginDeployment",
            "AcquireLocks",
            "LocksTaken?",
            "AwaitLock",
            "AcquireLocks",
            "RecordEnd",
            "Ended",
        ]],
    );
    account.assert_left("FREE");
}

/// F49, F81: whoever is at the head of the queue and is aborted does not keep those behind it out.
#[test]
fn a_deployment_that_dies_in_the_queue_leaves_its_place() {
    let (mut account, _) = busy("{waiting: queue}", Kind::Good);
    for tag in ["v2", "v3"] {
        account.push(tag, Kind::Good);
        account.pass(SignedDuration::from_secs(20));
    }
    let second = format!("{}-stg-1", account.releases()[1]);
    let arn = format!("arn:aws:states:us-east-1:123456789012:execution:esclusa-deployment:{second}");
    account.administer("states", "StopExecution", json!({"executionArn": arn}));
    account.settle();
    account.assert_all_ended(&[
        "SUCCEEDED schema_moved proven",
        "FAILED none interrupted",
        "SUCCEEDED schema_moved proven",
    ]);
    account.assert_left("FREE");
}

/// F48: the deployment that loses its lock acts no more, and whoever waited goes.
#[test]
fn a_person_takes_the_lock_from_a_deployment_that_does_not_end() {
    let (mut account, first) = busy("{waiting: queue}", Kind::HangingMigration);
    account.push("v2", Kind::Good);
    account.pass(SignedDuration::from_secs(20));
    let second = account.releases().pop().unwrap();
    let (deployment, why) = (format!("{first}-stg-1"), "nobody knows what it does");
    let locks: Vec<String> = account.locks().into_iter().map(|(name, _)| name).collect();
    let refused = account.lab.esclusa(&["unlock", &locks[0], "--reason", why]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains(&format!("`--from {deployment}`")),
        "{}",
        refused.err
    );
    for lock in &locks {
        account.esclusa(&["unlock", lock, "--from", &deployment, "--reason", why]);
    }
    account.settle();
    // Nobody stops the task that hangs, and the wait for it is given up some time after its deadline.
    account.pass(SignedDuration::from_mins(20));
    account.assert_release_ended(&first, "FAILED", "unknown", "fence_lost");
    account.assert_release_ended(&second, "SUCCEEDED", "schema_moved", "proven");
    assert!(
        moment(&account, "lock_acquired", &second) < moment(&account, "deployment_ended", &first),
        "the second waited for the end of the first"
    );
    account.assert_left("FREE");
}

/// F82: an execution that is started over an ended deployment, as a redrive of days later would be, neither takes a
/// lock nor acts.
#[test]
fn a_deployment_that_has_ended_takes_no_lock_again() {
    let mut account = Account::with("superbowleto");
    account.release("v1", Kind::Good);
    let deployment = format!("{}-stg-1", account.only_release());
    account.forget_calls();
    account.administer(
        "states",
        "StartExecution",
        json!({
            "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:esclusa-deployment",
            "name": "again",
            "input": json!({"deploymentId": deployment}).to_string(),
        }),
    );
    account.settle();
    account.assert_path("again", &[&["BeginDeployment", "AcquireLocks", "RecordEnd", "Ended"]]);
    account.assert_acts(&[]);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.assert_left("FREE");
}

#[test]
fn applications_that_share_a_database_migrate_it_one_after_the_other() {
    const REPORTS: &str = r#"
version: 1
application: reports
images:
  app: {repository: reports}
databases:
  main: {shared_as: "boletos-${environment}"}
task_definitions:
  worker:
    family: superbowleto-w-${environment}
    containers: {"superbowleto-w-${environment}": {image: app}}
tasks:
  migrate:
    run: before_services
    task_definition: worker
    database: main
    containers: {"superbowleto-w-${environment}": {command: [npm, run, migrate]}}
environments:
  - name: stg
    trigger: push
    cluster: superbowleto-${environment}
    network: {subnets: [subnet-0500000000000002b], security_groups: [sg-0500000000000002b]}
"#;
    let mut account = Account::edited("superbowleto", "boletos: {}", "boletos: {shared_as: boletos-stg}");
    if let Some((ecr, kernel)) = account.lab.world_mut().service_mut::<Ecr>() {
        ecr.create("reports", kernel);
    }
    let file = account.written(REPORTS);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.push("v1", Kind::Good);
    let first = account.run_until_claimed();
    account.run_until_entered(&format!("{first}-stg-1"), "AwaitTask");
    let manifest = Kind::Good.manifest("v1", &account.example.commands());
    account.lab.push("reports", Some("v1"), &manifest).unwrap();
    account.pass(SignedDuration::from_secs(10));
    let status = account.esclusa(&["status", "reports"]).out;
    assert!(!status.contains(&format!("on its way {first}")), "{status}");
    let locks = account.esclusa(&["locks"]).out;
    assert_eq!(
        locks.matches("database/123456789012/us-east-1/boletos-stg").count(),
        1,
        "{locks}"
    );
    // It waits for two locks, which come free one after the other.
    account.push("v2", Kind::Good);
    account.settle();
    let releases = account.releases();
    let [second, third] = &releases[1..] else {
        panic!("{releases:?}")
    };
    account.assert_all_ended(&["SUCCEEDED schema_moved proven"; 3]);
    for (earlier, later) in [(&first, second), (second, third)] {
        let freed = moment(&account, "deployment_ended", earlier);
        let late = moment(&account, "lock_acquired", later).duration_since(freed);
        assert!(
            late >= SignedDuration::ZERO && late < SignedDuration::from_secs(15),
            "`{later}` was woken {late} after `{earlier}`"
        );
    }
    account.assert_left("FREE");
}
