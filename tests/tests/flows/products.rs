//! Images of one product that are promoted together: none before all of them are ready.

use jiff::SignedDuration;
use lab::images::Kind;

use crate::support::Account;

const BY_HAND: &str = "  - name: production\n    trigger: manual\n";
const TOGETHER: &str = "  - name: production\n    trigger: push\n    together: [backend, frontend]\n";

/// The trading platform, whose backend and frontend come into production together under a release tag.
fn together() -> Account {
    let mut account = Account::edited("orbiquant", BY_HAND, TOGETHER);
    account.forget_calls();
    account
}

fn pushed(account: &mut Account, image: &str, kind: Kind) -> String {
    let before = account.releases();
    account.push_image(image, "v0.2.0", kind);
    account.pass(SignedDuration::from_mins(2));
    let mut new = account.releases();
    new.retain(|release| !before.contains(release));
    assert_eq!(new.len(), 1, "{new:?}");
    new.remove(0)
}

#[test]
fn a_version_waits_until_the_rest_of_its_product_stands_there_as_well() {
    let mut account = together();
    let backend = pushed(&mut account, "backend", Kind::Good);
    account.pass(SignedDuration::from_hours(30));
    account.assert_acts(&[]);
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(
        waiting.contains("`frontend` has not arrived here under the same tag"),
        "{waiting}"
    );
    let frontend = pushed(&mut account, "frontend", Kind::Good);
    account.settle();
    account.assert_release_ended(&backend, "SUCCEEDED", "schema_moved", "proven");
    account.assert_release_ended(&frontend, "SUCCEEDED", "none", "proven");
    // What is no part of it comes alone.
    let engine = pushed(&mut account, "ml-engine", Kind::Good);
    account.settle();
    account.assert_release_ended(&engine, "SUCCEEDED", "none", "proven");
    account.pass(SignedDuration::from_mins(5));
    account.assert_left("FREE");
}

#[test]
fn one_that_still_waits_for_somebody_keeps_the_rest_waiting() {
    let people = "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/*\"]}\n\nenvironments:\n";
    let mut account = Account::with("orbiquant");
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let approval = "    approval: {approvers: [ana], unknown_pusher: is_nobody}\n";
    let text = text
        .replacen(BY_HAND, &format!("{TOGETHER}{approval}"), 1)
        .replacen("environments:\n", people, 1);
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.forget_calls();
    let backend = pushed(&mut account, "backend", Kind::Good);
    let frontend = pushed(&mut account, "frontend", Kind::Good);
    account.esclusa(&["approve", &backend]);
    account.pass(SignedDuration::from_hours(2));
    account.assert_acts(&[]);
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(waiting.contains("`frontend` waits here for approval"), "{waiting}");
    account.esclusa(&["approve", &frontend]);
    account.settle();
    account.assert_release_ended(&backend, "SUCCEEDED", "schema_moved", "proven");
    account.assert_release_ended(&frontend, "SUCCEEDED", "none", "proven");
}

/// The first one that goes does not work: the other one stays where it is, until a version comes that does.
#[test]
fn when_one_does_not_work_the_rest_does_not_come_without_it() {
    let mut account = together();
    let backend = pushed(&mut account, "backend", Kind::Good);
    let bad = pushed(&mut account, "frontend", Kind::CrashLoop);
    account.pass(SignedDuration::from_hours(1));
    account.assert_release_ended(&bad, "ROLLED_BACK", "reverted", "rollout_failed");
    let services = account.ecs_calls("UpdateService");
    assert!(
        services
            .iter()
            .all(|call| call.input["service"] == "orbiquant-frontend"),
        "{services:?}"
    );
    account.push_image("frontend", "v0.2.0", Kind::Good);
    account.settle();
    account.assert_release_ended(&backend, "SUCCEEDED", "schema_moved", "proven");
}

/// A release of one image soaks; what is urgent of another one does not wait for the end of that.
#[test]
fn a_soak_gives_way_to_a_hotfix_of_another_image_and_to_nothing_else_of_it() {
    const STAGING: &str = "    tags: {allow: [\"develop-*\"]}\n";
    const SOAKING: &str = "    tags: {allow: [\"develop-*\", \"fix-*\"]}\n    verification: {soak_seconds: 3600}\n";
    let mut account = Account::with("orbiquant");
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let text = text.replacen(STAGING, SOAKING, 1).replacen(
        "environments:\n",
        "hotfix: {tags: {allow: [\"fix-*\"]}}\nenvironments:\n",
        1,
    );
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    let come = |account: &mut Account, image: &str, tag: &str| {
        let before = account.releases();
        account.push_image(image, tag, Kind::Good);
        account.pass(SignedDuration::from_secs(30));
        let mut new = account.releases();
        new.retain(|release| !before.contains(release));
        new.remove(0)
    };
    let frontend = come(&mut account, "frontend", "develop-1");
    account.run_until_entered(&format!("{frontend}-staging-1"), "LookAtChecks");
    let engine = come(&mut account, "ml-engine", "develop-2");
    account.pass(SignedDuration::from_mins(20));
    assert_eq!(account.records("deployment_ended"), Vec::<serde_json::Value>::new());
    let backend = come(&mut account, "backend", "fix-1");
    account.pass(SignedDuration::from_mins(3));
    account.assert_release_ended(&frontend, "STOPPED", "none", "gave_way");
    account.settle();
    // What waited as well comes after the hotfix, and soaks as it must.
    account.assert_release_ended(&engine, "SUCCEEDED", "none", "proven");
    account.assert_release_ended(&backend, "SUCCEEDED", "schema_moved", "proven");
    account.pass(SignedDuration::from_mins(5));
    account.assert_left("FREE");
}
