//! Releases that a person asks for.

use jiff::SignedDuration;
use lab::images::Kind;
use simulator_event_bridge::{Fault, Occurrence};

use crate::path::{self, CLOSED, END, NEXT, SCALED_SERVICE, SECURED_TASK, SERVICE};
use crate::support::Account;

const CLUSTER: &str = "imagy-production";

/// Brings versions into production by hand, past all other environments: nobody hears of their pushes, and nobody looks
/// for them. The digest of each.
fn in_production(account: &mut Account, versions: &[&str]) -> Vec<String> {
    account.disturb_pushes(Occurrence::Every, Fault::Drop);
    let mut digests = Vec::new();
    for version in versions {
        digests.push(account.push(version, Kind::Good));
        account.apply_again();
        account.esclusa(&[
            "deploy",
            "imagy-catalog",
            "production",
            version,
            "--reason",
            "the release of the week",
        ]);
        account.settle();
    }
    digests
}

#[test]
fn a_version_comes_into_a_manual_environment_by_hand_only() {
    let mut account = Account::running("imagy-catalog", "v1");
    let digest = account.push("v2", Kind::Good);
    account.settle();
    assert_eq!(
        account.definition_of(CLUSTER, "imagy-catalog"),
        "imagy-catalog-production:1"
    );
    account.forget_calls();
    let answer = account.esclusa(&[
        "deploy",
        "imagy-catalog",
        "production",
        &digest,
        "--reason",
        "the release of the week",
    ]);
    account.settle();
    assert!(answer.out.contains("SUCCEEDED"), "{}", answer.out);
    account.assert_path(&account.releases().pop().unwrap(), &[&path::release(1), CLOSED]);
    account.assert_deployment_path(
        "production",
        &[&path::opening(2), SECURED_TASK, NEXT, SCALED_SERVICE, NEXT, END],
    );
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1), ("UpdateService", 1)]);
    account.assert_runs(CLUSTER, "imagy-catalog", "api", &digest, 3);
    account.assert_left("FREE");
}

#[test]
fn a_version_whose_tags_the_environment_does_not_take_comes_there_by_no_name() {
    let mut account = Account::running("nest-demo", "v0.5.0");
    let digest = account.push("latest", Kind::Good);
    account.settle();
    let releases = account.releases();
    for (version, words) in [
        (
            "v0.5.0",
            "`production` does not accept tag `v0.5.0`: no pattern of `tags.allow` matches",
        ),
        (&digest, "`production` accepts none of the tags of `sha256:"),
    ] {
        for command in [
            &["deploy", "nest-demo", "production", version][..],
            &["plan", "nest-demo", "production", "--version", version],
        ] {
            let answer = account.lab.esclusa(command);
            assert_eq!(answer.code, 1, "{command:?}: {}{}", answer.out, answer.err);
            assert!(answer.err.contains(words), "{command:?}: {}", answer.err);
        }
    }
    account.settle();
    assert_eq!(account.releases(), releases);
}

#[test]
fn going_back_twice_goes_back_two_versions_without_a_task_or_a_registration() {
    let mut account = Account::with("imagy-catalog");
    let digests = in_production(&mut account, &["v1", "v2", "v3"]);
    for earlier in [1, 0] {
        account.forget_calls();
        let asked_at = account.lab.world().now();
        account.esclusa(&["rollback", "imagy-catalog", "production", "--reason", "orders fail"]);
        let took = account.lab.world().now().duration_since(asked_at);
        assert!(took < SignedDuration::from_mins(5), "{took:?}");
        account.settle();
        account.assert_path(&account.releases().pop().unwrap(), &[&path::release(1), CLOSED]);
        account.assert_deployment_path("production", &[&path::opening(0), SERVICE, NEXT, END]);
        account.assert_ended("SUCCEEDED", "none", "proven");
        account.assert_acts(&[("UpdateService", 1)]);
        account.assert_runs(CLUSTER, "imagy-catalog", "api", &digests[earlier], 3);
        account.assert_left("FREE");
    }
    let answer = account
        .lab
        .esclusa(&["rollback", "imagy-catalog", "production", "--reason", "still"]);
    assert_ne!(answer.code, 0);
    assert!(answer.err.contains("there is nothing to go back to"), "{}", answer.err);
}

#[test]
fn a_request_that_is_repeated_with_its_id_is_the_same_release() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    let words = [
        "deploy",
        "nest-demo",
        "production",
        "v1.0.0",
        "--request-id",
        "job-4711",
    ];
    account.esclusa(&words);
    account.settle();
    let releases = account.releases();
    account.esclusa(&words);
    account.settle();
    assert_eq!(account.releases(), releases);
    account.assert_acts(&[("RegisterTaskDefinition", 1), ("UpdateService", 1)]);
    account.assert_left("FREE");
}
