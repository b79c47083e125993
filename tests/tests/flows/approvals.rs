//! Who lets a release in and may not any more, and what becomes of one about which nobody says anything.

use jiff::{SignedDuration, Timestamp};
use lab::images::Kind;
use serde_json::Value;

use crate::gates::{APPROVAL, CALLER, apply, assert_left, began_at, gated, pushed, with_gates};
use crate::support::Account;

/// The principals of `ana`, who is whoever calls, and `luis`.
const PEOPLE: [&str; 2] = [CALLER, "nobody"];

/// Applies the pipeline once more, with other approvers of its environment.
fn approved_by(account: &mut Account, before: &str, approvers: &str) {
    let gates = format!("{before}    approval: {{approvers: [{approvers}], unknown_pusher: is_nobody}}\n");
    let text = with_gates(account, &gates, PEOPLE);
    apply(account, &text);
}

const AFTERNOON: &str = "    windows: {zone: UTC, allow: [{days: [mon], from: \"15:00\", to: \"24:00\"}]}\n";

/// Must-show: a removed approver. The release began with the version of the pipeline that names her.
#[test]
fn a_removed_approver_lets_nobody_in_who_waits_and_counts_again_when_she_is_back() {
    let mut account = gated(&format!("{AFTERNOON}{APPROVAL}"), PEOPLE);
    let release = pushed(&mut account, "v1.0.0");
    account.esclusa(&["approve", &release]);
    account.pass(SignedDuration::from_mins(5));
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(waiting.contains("approval: open, `ana` agreed"), "{waiting}");
    approved_by(&mut account, AFTERNOON, "luis");
    // It is seen before the window opens, and nothing begins when it does.
    account.pass(SignedDuration::from_mins(5));
    let waiting = account.esclusa(&["approvals"]).out;
    let told = "1 of `luis` must agree; `ana` agreed, but may no longer approve in the current pipeline version";
    assert!(waiting.contains(told), "{waiting}");
    account.pass(SignedDuration::from_hours(8));
    account.assert_acts(&[]);
    let refused = account
        .lab
        .esclusa(&["reject", &release, "--reason", "not before the audit"]);
    assert!(
        refused.code == 1 && refused.err.contains("may no longer decide"),
        "{}",
        refused.err
    );
    approved_by(&mut account, AFTERNOON, "ana, luis");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    assert_left(&mut account);
}

/// She is removed while the deployment, which was let in, waits for its lock: it begins nothing.
#[test]
fn an_approver_who_is_removed_while_the_lock_is_waited_for_is_noticed_under_it() {
    let queue = "    lock: {waiting: queue}\n    verification: {soak_seconds: 900, services: {interval_seconds: 60}}\n";
    let mut account = gated(&format!("{queue}{APPROVAL}"), PEOPLE);
    let before = pushed(&mut account, "v1.0.0");
    account.esclusa(&["approve", &before]);
    account.settle();
    let first = pushed(&mut account, "v1.1.0");
    account.esclusa(&["approve", &first]);
    account.run_until_entered(&format!("{first}-development-1"), "LookAtChecks");
    let second = pushed(&mut account, "v1.2.0");
    account.esclusa(&["approve", &second]);
    account.run_until_entered(&format!("{second}-development-1"), "AwaitLock");
    approved_by(&mut account, queue, "luis");
    account.pass(SignedDuration::from_hours(2));
    let acts = |account: &Account| account.ecs_calls("UpdateService").len();
    assert_eq!(acts(&account), 2, "the others have moved something");
    let records = account.records("deployment_ended");
    let ended = records.iter().find(|record| record["release_id"] == second.as_str());
    let end = &ended.unwrap()["body"]["end"];
    assert_eq!(end["reason"], "plan_changed", "{end}");
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(
        waiting.contains(&second) && waiting.contains("1 of `luis` must agree"),
        "{waiting}"
    );
}

/// Somebody who has left the people of the pipeline has seen to nothing either.
#[test]
fn who_is_nobody_of_the_pipeline_any_more_sees_to_nothing() {
    let seen_to = "    acknowledgements: {dashboard: {person: {that: the dashboard was looked at}}}\n";
    let mut account = gated(seen_to, PEOPLE);
    let release = pushed(&mut account, "v1.0.0");
    let text = with_gates(&account, seen_to, ["nobody", "nobody"]);
    apply(&mut account, &text);
    let refused = account.lab.esclusa(&["acknowledge", &release, "dashboard"]);
    assert!(
        refused.code == 1 && refused.err.contains("`ana` may no longer decide"),
        "{}",
        refused.err
    );
    account.pass(SignedDuration::from_mins(10));
    account.assert_acts(&[]);
}

const SILENCE: &str = "    approval: {approvers: [ana, luis], quorum: 2, unknown_pusher: is_nobody, expires_open_hours: 2, at_expiry: approve}\n";

#[test]
fn who_is_silent_lets_in_where_the_pipeline_says_so_and_nobody_is_said_to_have_agreed() {
    let mut account = gated(SILENCE, PEOPLE);
    let release = pushed(&mut account, "v1.0.0");
    let since: Timestamp = account.lab.world().now();
    let waiting = account.esclusa(&["approvals"]).out;
    let told = "2 of `ana`, `luis` must agree; it is admitted if nobody rejects it within 2 open hours";
    assert!(waiting.contains(told), "{waiting}");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    let waited = began_at(&account, &release).duration_since(since);
    assert!(
        waited > SignedDuration::from_mins(119) && waited < SignedDuration::from_mins(121),
        "{waited}"
    );
    assert_eq!(account.records("person_decided"), Vec::<Value>::new());
    let asked = account.records("gates_asked");
    let let_in = asked.iter().filter(|record| record["body"]["letInAt"].is_string());
    let let_in: Vec<&Value> = let_in.collect();
    assert_eq!(let_in.len(), 1, "it is decided once: {asked:#?}");
    assert_eq!(let_in[0]["actor"], "esclusa/observe");
    let told = account.esclusa(&["audit", "--release", &release]).out;
    assert!(
        told.contains("nobody rejected it within 2 open hours, so it was admitted"),
        "{told}"
    );
    assert_left(&mut account);
}

#[test]
fn a_no_in_time_ends_what_silence_would_let_in_and_a_hotfix_is_let_in_by_people_only() {
    let mut account = gated(SILENCE, PEOPLE);
    let release = pushed(&mut account, "v1.0.0");
    account.pass(SignedDuration::from_mins(110));
    account.esclusa(&["reject", &release, "--reason", "not before the audit"]);
    account.settle();
    account.assert_ended("REJECTED", "none", "rejected");
    account.assert_acts(&[]);
    let mut account = Account::with("nest-demo");
    let text = with_gates(&account, SILENCE, PEOPLE).replacen("semver:>=0.1.0", "fix-*", 1);
    apply(
        &mut account,
        &format!("{text}\nhotfix: {{tags: {{allow: [\"fix-*\"]}}}}\n"),
    );
    account.push("fix-1", Kind::Good);
    account.settle();
    account.assert_ended("EXPIRED", "none", "expired");
    account.assert_acts(&[]);
}
