//! What a push starts, and how often.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::Value;
use simulator_event_bridge::{Fault, Occurrence};

use crate::path::{self, CLOSED, END, NEXT, SERVICE};
use crate::support::Account;

#[test]
fn a_tag_that_goes_away_and_comes_back_is_three_releases_and_a_late_repeat_of_the_first_is_none() {
    let mut account = Account::with("nest-demo");
    let manifest = |version: &str| Kind::Good.manifest(version, &[]);
    let mut digests = Vec::new();
    for version in ["a", "b", "a"] {
        digests.push(
            account
                .lab
                .push("pm4-ecommerce", Some("latest"), &manifest(version))
                .unwrap(),
        );
        account.settle();
        account.assert_ended("SUCCEEDED", "none", "proven");
        account.assert_runs(
            "nest-demo-development",
            "nest-demo",
            "nestapp",
            digests.last().unwrap(),
            1,
        );
    }
    assert_eq!(digests[0], digests[2]);
    let releases = account.releases();
    assert_eq!(releases.len(), 3);
    let first = account.push_events()[0].clone();
    account.forget_calls();
    account.put_event(&first);
    account.settle();
    assert_eq!(account.releases(), releases);
    account.assert_acts(&[]);
    assert_eq!(account.dead_letters(), Vec::<Value>::new());
    account.assert_left("FREE");
}

#[test]
fn the_event_of_a_version_that_the_tag_has_left_starts_nothing_and_says_so() {
    let mut account = Account::with("nest-demo");
    account.disturb_pushes(Occurrence::Nth(1), Fault::Delay(SignedDuration::from_hours(20)));
    account.release("v1.0.0", Kind::Good);
    let late = account
        .lab
        .push("pm4-ecommerce", Some("v1.0.0"), &Kind::Good.manifest("another", &[]))
        .unwrap();
    account.settle();
    account.pass(SignedDuration::from_hours(21));
    account.settle();
    assert_eq!(account.releases().len(), 1);
    account.assert_runs("nest-demo-development", "nest-demo", "nestapp", &late, 1);
    let ignored = account.records("push_ignored");
    assert_eq!(ignored.len(), 1);
    assert_eq!(
        ignored[0]["body"]["facts"]["reason"],
        format!("the tag points to `{late}` now")
    );
    account.assert_left("FREE");
}

#[test]
fn an_event_that_comes_twice_at_once_starts_one_release() {
    for apart in [
        SignedDuration::ZERO,
        SignedDuration::from_millis(3),
        SignedDuration::from_secs(90),
        SignedDuration::from_hours(3),
    ] {
        let mut account = Account::with("nest-demo");
        account.disturb_pushes(Occurrence::Every, Fault::Duplicate(apart));
        account.release("v1.0.0", Kind::Good);
        account.pass(apart + SignedDuration::from_mins(5));
        let release = account.only_release();
        account.assert_path(&release, &[&path::release(1), CLOSED]);
        account.assert_deployment_path("development", &[&path::opening(1), SERVICE, NEXT, END]);
        account.assert_acts(&[("RegisterTaskDefinition", 1), ("UpdateService", 1)]);
        assert_eq!(account.records("push_received").len(), 1);
        account.assert_left("FREE");
    }
}

/// Nothing was verified yet, and what runs is no completed deployment: that is the work of the release before it.
#[test]
fn a_push_during_the_first_rollout_of_all_waits_for_its_turn() {
    let mut account = Account::with("nest-demo");
    account.push("v1.0.0", Kind::Good);
    let first = account.run_until_claimed();
    account.run_until_entered(&format!("{first}-development-1"), "AwaitService");
    account.pass(SignedDuration::from_secs(10));
    let digest = account.push("v1.1.0", Kind::Good);
    account.settle();
    let second = account.releases().pop().unwrap();
    assert_ne!(first, second);
    for release in [&first, &second] {
        account.assert_release_ended(release, "SUCCEEDED", "none", "proven");
    }
    account.assert_runs("nest-demo-development", "nest-demo", "nestapp", &digest, 1);
    account.assert_left("FREE");
}

#[test]
fn the_second_of_two_releases_waits_for_the_lock_and_runs_after_the_first() {
    let mut account = Account::with("superbowleto");
    account.push("v1", Kind::Good);
    let first = account.run_until_claimed();
    account.run_until_entered(&format!("{first}-stg-1"), "AwaitTask");
    let newest = account.release("v2", Kind::Good);
    account.assert_all_ended(&["SUCCEEDED schema_moved proven"; 2]);
    let releases = account.releases();
    let of_second = |record: &&Value| record["release_id"] == releases[1].as_str();
    let acquired = account.records("lock_acquired").iter().find(of_second).unwrap()["at"].to_string();
    let freed = account
        .records("deployment_ended")
        .iter()
        .find(|record| !of_second(record))
        .unwrap()["at"]
        .to_string();
    assert!(
        acquired > freed,
        "the second took the lock at {acquired}, the first had it until {freed}"
    );
    account.assert_acts(&[("RegisterTaskDefinition", 4), ("RunTask", 2), ("UpdateService", 4)]);
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
fn of_releases_that_wait_for_a_lock_only_the_newest_is_deployed() {
    for seed in 0..4 {
        let mut account = Account::seeded("superbowleto", seed);
        account.push("v1", Kind::Good);
        let first = account.run_until_claimed();
        account.run_until_entered(&format!("{first}-stg-1"), "AwaitTask");
        for tag in ["v2", "v3"] {
            account.push(tag, Kind::Good);
            account.pass(SignedDuration::from_secs(20));
        }
        let newest = account.release("v4", Kind::Good);
        account.assert_all_ended(&[
            "SUCCEEDED schema_moved proven",
            "SUPERSEDED none superseded",
            "SUPERSEDED none superseded",
            "SUCCEEDED schema_moved proven",
        ]);
        // The migrations of the two in between never ran.
        account.assert_acts(&[("RegisterTaskDefinition", 4), ("RunTask", 2), ("UpdateService", 4)]);
        account.assert_runs(
            "superbowleto-stg",
            "superbowleto-s-stg",
            "superbowleto-s-stg",
            &newest,
            1,
        );
        account.assert_left("FREE");
    }
}

#[test]
fn a_push_that_waited_while_a_person_went_back_does_not_undo_that() {
    let mut account = Account::with("superbowleto");
    let wanted = account.release("v1", Kind::Good);
    account.release("v2", Kind::Good);
    account.push("v3", Kind::Good);
    account.pass(SignedDuration::from_secs(20));
    let third = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{third}-stg-1"), "AwaitTask");
    account.push("v4", Kind::Good);
    account.pass(SignedDuration::from_secs(20));
    account.esclusa(&["rollback", "superbowleto", "stg", "--reason", "errors"]);
    account.settle();
    account.assert_all_ended(&[
        "SUCCEEDED schema_moved proven",
        "SUCCEEDED schema_moved proven",
        "SUCCEEDED schema_moved proven",
        "SUPERSEDED none superseded",
        "SUCCEEDED none proven",
    ]);
    account.assert_runs(
        "superbowleto-stg",
        "superbowleto-s-stg",
        "superbowleto-s-stg",
        &wanted,
        1,
    );
}

#[test]
fn a_push_whose_event_is_lost_is_found_in_the_registry_and_its_late_event_is_a_duplicate() {
    let mut account = Account::with("nest-demo");
    account.disturb_pushes(Occurrence::Every, Fault::Drop);
    let digest = account.push("v1.0.0", Kind::Good);
    account.pass(SignedDuration::from_mins(9));
    assert!(account.releases().is_empty(), "its event may still come");
    account.pass(SignedDuration::from_mins(10));
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    account.assert_runs("nest-demo-development", "nest-demo", "nestapp", &digest, 1);
    let received = account.records("push_received");
    assert_eq!(received.len(), 1);
    assert_eq!(received[0]["body"]["foundBy"], "registry");
    let lost = account.push_events()[0].clone();
    account.forget_calls();
    account.put_event(&lost);
    account.pass(SignedDuration::from_hours(1));
    account.settle();
    assert_eq!(account.releases().len(), 1);
    account.assert_acts(&[]);
    account.assert_left("FREE");
}

#[test]
fn of_pushes_that_were_all_lost_the_newest_is_deployed() {
    let mut account = Account::with("superbowleto");
    account.disturb_pushes(Occurrence::Every, Fault::Drop);
    account.push("v1", Kind::Good);
    account.pass(SignedDuration::from_secs(30));
    let newest = account.push("v2", Kind::Good);
    account.pass(SignedDuration::from_mins(16));
    account.settle();
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
fn what_was_pushed_before_its_pipeline_was_applied_is_not_looked_for() {
    let mut account = Account::with("nest-demo");
    account.disturb_pushes(Occurrence::Every, Fault::Drop);
    account.push("v1.0.0", Kind::Good);
    account.pass(SignedDuration::from_mins(1));
    account.apply_again();
    account.pass(SignedDuration::from_mins(30));
    assert!(account.releases().is_empty());
}
