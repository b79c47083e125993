//! Golden sessions of the command line. Times are simulated, so the same seed tells the same story.

use jiff::SignedDuration;
use lab::images::Kind;

use crate::flows;
use crate::story::Story;

const CATALOG: &str = "imagy-catalog";

#[test]
fn a_pipeline_file_is_checked_and_applied() {
    let mut story = Story::of(CATALOG);
    story.say("what is wrong with a file is shown where it is written, and nothing is applied");
    story.run(&["pipelines", "apply", "tests/contract/files/broken.yaml"]);
    story.say("a file that can be read and means nothing");
    story.run(&["pipelines", "validate", "tests/contract/files/wrong_names.yaml"]);
    story.say("a sound file, as it is in force already");
    story.run(&["pipelines", "apply", "../lab/examples/imagy-catalog/pipeline.yaml"]);
    story.say("and with a change");
    let (place, instead) = ("api: {start_count: 3,", "api: {start_count: 4, timeout_seconds: 900,");
    let changed = flows::altered_pipeline(&story.example, place, instead);
    story.run_as(
        &["pipelines", "apply", "pipeline.yaml"],
        &["pipelines", "apply", changed.to_str().unwrap()],
    );
    story.run(&["pipelines", "list"]);
    story.run(&["pipelines", "list", CATALOG]);
    story.say("one that the environment does not have, and a word too few");
    story.run(&["plan", CATALOG, "moon"]);
    story.run(&["reject", "shop"]);
    insta::assert_snapshot!(story.told());
}

#[test]
fn a_push_is_followed_from_plan_to_proof() {
    let mut story = Story::of(CATALOG);
    story.run(&["status"]);
    story.say("an image is pushed as `4f2c1e9`; 75 seconds later");
    story.push("4f2c1e9", Kind::Good);
    story.wait(SignedDuration::from_secs(75));
    let release = story.release();
    story.run(&["status"]);
    story.run(&["status", "--release", &release]);
    story.say("some minutes later");
    story.settle();
    story.run(&["status", "--release", &release]);
    story.run(&["status"]);
    story.say("what happened, as a story");
    story.run(&["audit", "--release", &release]);
    story.run(&["audit", "verify", "--all"]);
    story.say("and for programs");
    story.run(&["audit", "--application", CATALOG, "--limit", "1", "--output", "json"]);
    insta::assert_snapshot!(story.told());
}

#[test]
fn a_version_is_promoted_by_hand_and_taken_back() {
    let mut story = Story::of(CATALOG);
    story.push("4f2c1e9", Kind::Good);
    story.settle();
    story.say("what would change in production?");
    story.run(&["plan", CATALOG, "production", "--version", "4f2c1e9"]);
    story.run(&["deploy", CATALOG, "production", "4f2c1e9"]);
    story.say("there is nothing to do a second time");
    story.run(&["plan", CATALOG, "production", "--version", "4f2c1e9"]);
    story.run(&["deploy", CATALOG, "production", "4f2c1e9"]);
    story.say("there is nothing to go back to yet");
    story.run(&["rollback", CATALOG, "production", "--reason", "checkout fails"]);
    story.say("the next version, and back");
    story.push("8b1d0a3", Kind::Good);
    story.settle();
    story.run(&["deploy", CATALOG, "production", "8b1d0a3"]);
    story.run(&["rollback", CATALOG, "production", "--reason", "checkout fails"]);
    let release = story.release();
    story.run(&["audit", "--release", &release]);
    story.run(&["status"]);
    insta::assert_snapshot!(story.told());
}

#[test]
fn a_migration_that_fails_leaves_its_evidence() {
    let mut story = Story::of(CATALOG);
    story.say("the migration of this image ends with exit code 1");
    story.push("5a5a5a5", Kind::BadMigration);
    story.settle();
    let release = story.release();
    story.run(&["status", "--release", &release]);
    story.run(&["audit", "--release", &release]);
    insta::assert_snapshot!(story.told());
}

#[test]
fn a_rollout_that_fails_is_rolled_back_and_said_so() {
    let mut story = Story::of(CATALOG);
    story.push("4f2c1e9", Kind::Good);
    story.settle();
    story.say("the servers of this image exit again and again");
    story.push("c0ffee1", Kind::CrashLoop);
    story.wait(SignedDuration::from_secs(110));
    let release = story.release();
    story.run(&["status"]);
    story.settle();
    story.run(&["status", "--release", &release]);
    story.run(&[
        "audit",
        "--application",
        CATALOG,
        "--environment",
        "develop",
        "--limit",
        "12",
    ]);
    insta::assert_snapshot!(story.told());
}

#[test]
fn a_quarantined_lock_is_given_free_by_a_person_with_a_reason() {
    let mut story = Story::of(CATALOG);
    story.say("the host of the migration is lost half-way: nobody knows what it did");
    story.push("70571e5", Kind::LostMigration);
    story.settle();
    let release = story.release();
    story.run(&["status", "--release", &release]);
    story.run(&["locks"]);
    story.say("nobody moves there meanwhile");
    story.run(&["deploy", CATALOG, "develop", "70571e5"]);
    story.say("a person has looked");
    story.run(&["unlock", "environment/imagy-catalog/develop"]);
    let database = "database/123456789012/us-east-1/imagy-catalog/develop/catalog";
    for lock in ["environment/imagy-catalog/develop", database] {
        story.run(&["unlock", lock, "--reason", "the migration had not begun"]);
    }
    story.run(&["unlock", database, "--reason", "again"]);
    story.run(&["locks"]);
    story.run(&[
        "audit",
        "--application",
        CATALOG,
        "--environment",
        "develop",
        "--limit",
        "4",
    ]);
    insta::assert_snapshot!(story.told());
}

#[test]
fn an_image_that_is_known_to_be_bad_is_put_into_quarantine_and_let_out_again() {
    let mut story = Story::of(CATALOG);
    let digest = story.push("4f2c1e9", Kind::Good);
    story.settle();
    story.say("somebody finds out that it sends every mail twice");
    story.run(&[
        "quarantine",
        "add",
        CATALOG,
        "4f2c1e9",
        "--reason",
        "it sends every mail twice",
    ]);
    story.run(&["quarantine"]);
    story.run(&["deploy", CATALOG, "production", "4f2c1e9"]);
    story.run(&["quarantine", "add", CATALOG, "4f2c1e9", "--reason", "again"]);
    story.say("it was the queue");
    story.run(&["quarantine", "release", &digest, "--reason", "the queue was wrong"]);
    story.run(&["audit", "--digest", &digest, "--limit", "8"]);
    insta::assert_snapshot!(story.told());
}

#[test]
fn an_installation_that_is_not_there_is_said_to_be_missing_by_what_would_name_it() {
    let mut story = Story::of(CATALOG);
    story.push("4f2c1e9", Kind::Good);
    story.settle();
    story.run(&["status", "--stack", "blue"]);
    story.run(&["recheck", CATALOG, "develop", "--observe-function", "blue-observe"]);
    story.run(&["status", "--release", "v1.4.0"]);
    insta::assert_snapshot!(story.told());
}
