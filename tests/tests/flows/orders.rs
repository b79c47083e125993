//! What people order about a release or an environment: that it waits, that it keeps its version, that it stops,
//! wherever it is.

use jiff::SignedDuration;
use lab::images::Kind;
use simulator::{ApiError, Fault, FaultKind, Selector};

use crate::support::Account;

const CLUSTER: &str = "nest-demo-development";
const SERVICE: &str = "nest-demo";

/// Where the first environment begins to say how it is deployed to.
const PUSH: &str = "    trigger: push\n";

const WHY: [&str; 2] = ["--reason", "the wrong version"];

/// An account with a first version in force, whose environment is verified for ten minutes.
fn verified() -> Account {
    let verification = format!("{PUSH}    verification: {{soak_seconds: 600, services: {{interval_seconds: 60}}}}\n");
    let mut account = Account::edited("nest-demo", PUSH, &verification);
    account.release("v1.0.0", Kind::Good);
    account
}

fn order(account: &mut Account, verb: &str, words: &[&str]) -> String {
    let words: Vec<&str> = [verb].into_iter().chain(words.iter().copied()).chain(WHY).collect();
    account.esclusa(&words).out
}

/// Pushes a version and lets it come as far as `state` of its deployment. Its release.
fn pushed_until(account: &mut Account, environment: &str, kind: Kind, state: &str) -> String {
    account.push("v1.1.0", kind);
    account.pass(SignedDuration::from_secs(15));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{release}-{environment}-1"), state);
    account.pass(SignedDuration::from_secs(2));
    release
}

/// Asserts that nothing is left behind, and that nobody holds a stop against the image.
fn assert_left(account: &mut Account) {
    account.pass(SignedDuration::from_mins(5));
    account.assert_left("FREE");
    assert_eq!(account.rows("QUARANTINE"), Vec::<serde_json::Value>::new());
}

/// Asserts that the stop has ended the release, and the service runs what it ran before.
#[track_caller]
fn assert_brought_back(account: &mut Account, before: &str) {
    account.settle();
    account.assert_ended("STOPPED", "reverted", "stopped");
    assert_eq!(account.definition_of(CLUSTER, SERVICE), before);
    assert_left(account);
}

#[test]
fn a_release_that_is_held_comes_into_no_further_environment_until_it_is_let_go() {
    let mut account = Account::with("imagy-catalog");
    account.push("4f2c1e9", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-develop-1"), "AwaitTask");
    let told = order(&mut account, "hold", &[&release]);
    assert!(told.contains("is held until it is lifted"), "{told}");
    let again = account.lab.esclusa(&["hold", &release, "--reason", "again"]);
    assert!(
        again.code == 1 && again.err.contains("is already held by"),
        "{}",
        again.err
    );
    account.pass(SignedDuration::from_hours(30));
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(
        waiting.contains("imagy-catalog/staging") && waiting.contains("hold: held by"),
        "{waiting}"
    );
    let told = order(&mut account, "release-hold", &[&release]);
    assert!(told.contains("is no longer held"), "{told}");
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let asked: &[&str] = &["AskGates", "GatesOutcome?"];
    let through: &[&str] = &[
        "StartDeployment",
        "AwaitDeployment",
        "SettleDeployment",
        "DeploymentEnd?",
        "EnvironmentEnded",
        "MoreWaves?",
    ];
    let before: &[&str] = &["PlanWave", "DeployWave", "BeginEnvironment"];
    let held: &[&str] = &["AwaitGate", "AskGates", "GatesOutcome?"];
    let begun: &[&str] = &["BeginRelease", "OpenRelease", "MoreWaves?"];
    // Asked once more by itself: nothing said when it would open.
    let path = [
        begun,
        before,
        asked,
        through,
        before,
        asked,
        held,
        held,
        through,
        &["CloseRelease", "Closed"],
    ];
    account.assert_path(&release, &path);
}

#[test]
fn an_environment_that_is_pinned_keeps_its_version_and_takes_that_one_again() {
    let mut account = verified();
    let told = order(&mut account, "pin", &["nest-demo", "development"]);
    assert!(
        told.contains("`nest-demo/development` keeps `v1.0.0` until it is lifted"),
        "{told}"
    );
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_hours(1));
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(waiting.contains("pin: pinned to `v1.0.0` by"), "{waiting}");
    assert_eq!(
        account.ecs_calls("UpdateService").len(),
        1,
        "nothing moved since the first"
    );
    account.esclusa(&["deploy", "nest-demo", "development", "v1.0.0", "--no-wait"]);
    account.pass(SignedDuration::from_mins(10));
    let told = order(&mut account, "unpin", &["nest-demo", "development"]);
    assert!(told.contains("is no longer pinned"), "{told}");
    let again = account
        .lab
        .esclusa(&["unpin", "nest-demo", "development", "--reason", "again"]);
    assert!(again.code == 1 && again.err.contains("is not pinned"), "{}", again.err);
    account.settle();
    assert_left(&mut account);
}

#[test]
fn a_release_that_is_stopped_before_a_gate_ends_there() {
    let mut account = verified();
    order(&mut account, "freeze", &["nest-demo"]);
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_mins(1));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&release, "AwaitGate");
    account.pass(SignedDuration::from_secs(5));
    let told = order(&mut account, "stop", &[&release]);
    assert!(told.contains("`v1.1.0` stops"), "{told}");
    let again = account.lab.esclusa(&["stop", &release, "--reason", "again"]);
    assert!(
        again.code == 1 && again.err.contains("already stopped"),
        "{}",
        again.err
    );
    account.settle();
    account.assert_ended("STOPPED", "none", "stopped");
    assert!(account.reasons().contains("the wrong version"), "{}", account.reasons());
    assert_left(&mut account);
    let late = account.lab.esclusa(&["stop", &release, "--reason", "late"]);
    assert!(
        late.code == 1 && late.err.contains("has ended: STOPPED"),
        "{}",
        late.err
    );
}

#[test]
fn a_release_that_is_stopped_while_its_migration_runs_lets_it_end_and_moves_no_service() {
    let mut account = Account::with("imagy-catalog");
    let release = {
        account.push("4f2c1e9", Kind::Good);
        let release = account.run_until_claimed();
        account.run_until_entered(&format!("{release}-develop-1"), "AwaitTask");
        release
    };
    order(&mut account, "stop", &[&release]);
    account.settle();
    account.assert_ended("STOPPED", "schema_moved", "stopped");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1)]);
    assert_left(&mut account);
}

/// Also before ECS shows the service deployment, of which nothing can be asked then.
#[test]
fn a_release_that_is_stopped_while_a_service_rolls_out_goes_back_at_once() {
    for seconds in [0, 2, 20] {
        let mut account = verified();
        let before = account.definition_of(CLUSTER, SERVICE);
        // It would roll for as long as the step may take.
        let release = pushed_until(&mut account, "development", Kind::Unhealthy, "UpdateService");
        account.pass(SignedDuration::from_secs(seconds));
        let asked = account.lab.world().now();
        order(&mut account, "stop", &[&release]);
        account.run_until_entered(&format!("{release}-development-1"), "StopRollout");
        let late = account.lab.world().now().duration_since(asked);
        assert!(late < SignedDuration::from_mins(3), "it took {late}");
        assert_brought_back(&mut account, &before);
    }
}

/// Whatever fails after a stop: the stop is why, and says nothing about the image.
#[test]
fn a_rollout_that_cannot_be_stopped_is_brought_back_and_the_end_is_the_stop() {
    let mut account = verified();
    let before = account.definition_of(CLUSTER, SERVICE);
    let release = pushed_until(&mut account, "development", Kind::Unhealthy, "AwaitService");
    account.pass(SignedDuration::from_secs(20));
    let denied = ApiError::client(
        "AccessDeniedException",
        "not authorized to perform: ecs:StopServiceDeployment",
    );
    let stop = Selector::operation("ecs", "StopServiceDeployment");
    account
        .lab
        .world_mut()
        .add_fault(Fault::new(stop, FaultKind::ErrorBefore(denied)));
    order(&mut account, "stop", &[&release]);
    assert_brought_back(&mut account, &before);
}

#[test]
fn a_release_that_is_stopped_while_it_soaks_is_brought_back() {
    let mut account = verified();
    let before = account.definition_of(CLUSTER, SERVICE);
    let release = pushed_until(&mut account, "development", Kind::Good, "LookAtChecks");
    account.pass(SignedDuration::from_mins(3));
    order(&mut account, "stop", &[&release]);
    assert_brought_back(&mut account, &before);
}

#[test]
fn a_release_that_is_stopped_while_it_waits_for_its_lock_ends_without_having_moved_anything() {
    let trigger = "  - name: stg\n    trigger: push\n";
    let mut account = Account::edited(
        "superbowleto",
        trigger,
        &format!("{trigger}    lock: {{waiting: queue}}\n"),
    );
    account.push("v1", Kind::Good);
    let first = account.run_until_claimed();
    account.run_until_entered(&format!("{first}-stg-1"), "AwaitTask");
    account.push("v2", Kind::Good);
    account.pass(SignedDuration::from_secs(20));
    let second = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{second}-stg-1"), "AwaitLock");
    order(&mut account, "stop", &[&second]);
    account.settle();
    account.assert_release_ended(&first, "SUCCEEDED", "schema_moved", "proven");
    account.assert_release_ended(&second, "STOPPED", "none", "stopped");
    assert_left(&mut account);
}

/// An emergency: nothing comes any more, and what is on its way goes back. What goes back already is left alone.
#[test]
fn a_freeze_that_stops_takes_back_what_is_on_its_way_and_lets_nothing_more_come() {
    let mut account = verified();
    let release = pushed_until(&mut account, "development", Kind::Unhealthy, "AwaitService");
    let told = account
        .esclusa(&["freeze", "nest-demo", "development", "--stop", "--reason", "an outage"])
        .out;
    assert!(
        told.contains("is frozen until it is lifted; rollbacks still pass; 1 release stopped"),
        "{told}"
    );
    let again = account.esclusa(&["freeze", "--stop", "--reason", "everywhere"]).out;
    assert!(
        again.contains("everything is frozen") && again.contains("0 releases stopped"),
        "{again}"
    );
    account.settle();
    account.assert_release_ended(&release, "STOPPED", "reverted", "stopped");
    account.push("v1.2.0", Kind::Good);
    account.pass(SignedDuration::from_hours(2));
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(
        waiting.contains("an outage") || waiting.contains("everywhere"),
        "{waiting}"
    );
}

#[test]
fn what_is_not_there_is_not_frozen_as_if_it_were() {
    let mut account = Account::with("nest-demo");
    for (place, says) in [
        (&["production"][..], "there is no application `production`"),
        (
            &["nest-demo", "prod"],
            "`nest-demo` has no environment `prod`: it has `development`, `production`",
        ),
    ] {
        let words: Vec<&str> = ["freeze"].iter().chain(place).chain(&WHY).copied().collect();
        let refused = account.lab.esclusa(&words);
        assert!(refused.code != 0 && refused.err.contains(says), "{}", refused.err);
    }
    order(&mut account, "freeze", &["nest-demo", "production"]);
}

#[test]
fn a_pin_is_taken_out_before_another_one_is_set() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    let place = ["nest-demo", "development"];
    order(&mut account, "pin", &place);
    let words: Vec<&str> = ["pin"].iter().chain(&place).chain(&WHY).copied().collect();
    let refused = account.lab.esclusa(&words);
    assert!(
        refused.code != 0 && refused.err.contains("already pinned by"),
        "{}",
        refused.err
    );
    order(&mut account, "unpin", &place);
    order(&mut account, "pin", &place);
}

#[test]
fn a_reason_has_a_length_that_people_read() {
    let mut account = Account::with("nest-demo");
    let long = "w".repeat(2_001);
    let refused = account.lab.esclusa(&["freeze", "nest-demo", "--reason", &long]);
    assert!(
        refused.code != 0 && refused.err.contains("this one has 2001"),
        "{}",
        refused.err
    );
    account.esclusa(&["freeze", "nest-demo", "--reason", &"w".repeat(2_000)]);
}
