//! Environments that are made from a pattern by their names.

use lab::images::Kind;

use crate::support::Account;

const PATTERN: &str = "    names: [beta, \"pr-*\"]\n    trigger: manual\n    tags: {allow: [\"semver:>=0.1.0\"]}\n";

/// The Django blog, whose copies take pushes by the tag that names them.
fn pushed_to() -> Account {
    let by_tag = "    names: [beta, \"pr-*\"]\n    trigger: push\n    tags: {allow: [\"${environment}-v*\"]}\n";
    Account::edited("django-blog", PATTERN, by_tag)
}

#[test]
fn a_tag_brings_a_version_into_the_environment_that_it_names_and_into_no_other() {
    let mut account = pushed_to();
    let digest = account.release("beta-v0.2.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.assert_runs("beta-cluster", "beta-gunicorn", "gunicorn", &digest, 1);
    let updated = account.ecs_calls("UpdateService");
    assert!(
        updated.iter().all(|call| call.input["cluster"] == "beta-cluster"),
        "{updated:?}"
    );
    let told = account.esclusa(&["status", "django-blog"]).out;
    assert!(
        told.contains("beta") && !told.contains("copy") && !told.contains("pr-"),
        "{told}"
    );
    let locks = account.esclusa(&["locks"]).out;
    assert!(locks.contains("environment/django-blog/beta"), "{locks}");
    account.assert_left("FREE");
}

#[test]
fn a_person_deploys_to_a_copy_and_one_that_nobody_has_built_is_refused_before_anything_moves() {
    let mut account = Account::with("django-blog");
    let digest = account.push("v0.2.0", Kind::Good);
    account.settle();
    account.forget_calls();
    let before = account.esclusa(&["status", "django-blog"]).out;
    assert!(!before.contains("beta"), "{before}");
    account.esclusa(&["deploy", "django-blog", "beta", "v0.2.0", "--no-wait"]);
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let after = account.esclusa(&["status", "django-blog"]).out;
    assert!(after.contains("beta"), "{after}");
    // A copy that runs an image is named where its image is found to be bad.
    let told = account.esclusa(&[
        "quarantine",
        "add",
        "django-blog",
        "v0.2.0",
        "--reason",
        "it loses posts",
    ]);
    let way_back = "it runs in `beta`: `esclusa rollback django-blog beta`";
    assert!(told.out.contains(way_back), "{}", told.out);
    account.esclusa(&["quarantine", "release", &digest, "--reason", "it was the browser"]);
    account.forget_calls();
    account.esclusa(&["deploy", "django-blog", "pr-7", "v0.2.0", "--no-wait"]);
    account.settle();
    account.assert_ended("FAILED", "none", "refused");
    assert!(account.reasons().contains("pr-7-cluster"), "{}", account.reasons());
    account.assert_acts(&[]);
    let unknown = account.lab.esclusa(&["deploy", "django-blog", "gamma", "v0.2.0"]);
    assert!(
        unknown.code != 0 && unknown.err.contains("no environment `gamma`"),
        "{}",
        unknown.err
    );
}
