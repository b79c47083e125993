//! What is kept of a rollout that failed, and where the image may not go afterwards.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::Value;

use crate::gates::{APPROVAL, CALLER, gated, pushed};
use crate::support::Account;

/// The version that failed last, as `esclusa quarantine` shows it: its digest and why.
fn quarantined(account: &mut Account) -> Vec<(String, String)> {
    let answer = account.esclusa(&["quarantine", "--output", "json"]).out;
    let document: Value = serde_json::from_str(&answer).unwrap();
    let rows = document["quarantined"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            (
                row["digest"].as_str().unwrap().to_owned(),
                row["why"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn the_evidence_of_a_crash_loop_is_in_the_ledger_with_one_sentence() {
    let mut account = Account::running("imagy-catalog", "v1");
    account.release("v2", Kind::CrashLoop);
    account.assert_ended("ROLLED_BACK", "schema_moved", "rollout_failed");
    let evidence = account.records("evidence");
    assert_eq!(evidence.len(), 1, "{evidence:#?}");
    let body = &evidence[0]["body"];
    let sentence = body["sentence"].as_str().unwrap();
    assert_eq!(
        sentence,
        "container `api` ends with exit code 1 (3 of 3 stopped tasks); its last output: `panic: missing setting RATING_URL`"
    );
    assert_eq!(body["blame"], "release");
    let tasks = body["tasks"].as_array().unwrap();
    assert!(
        !tasks.is_empty() && tasks.iter().all(|task| task["desiredStatus"] == "STOPPED"),
        "{body:#}"
    );
    assert!(!body["messages"].as_array().unwrap().is_empty(), "{body:#}");
    assert!(!body["log"].as_array().unwrap().is_empty(), "{body:#}");
    assert!(account.reasons().contains(sentence), "{}", account.reasons());
}

/// F50, F32: what failed here is refused there, until a person says that it was not the image.
#[test]
fn an_image_that_failed_goes_nowhere_until_a_person_lets_it_out() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    let bad = account.release("v1.1.0", Kind::CrashLoop);
    let listed = quarantined(&mut account);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].0, bad);
    assert!(listed[0].1.contains("`nestapp`"), "{}", listed[0].1);

    account.forget_calls();
    let refused = account.lab.esclusa(&["deploy", "nest-demo", "production", "v1.1.0"]);
    assert_eq!(refused.code, 1);
    let command = format!("`esclusa quarantine release {bad} --reason …`");
    assert!(refused.out.contains(&command), "{}{}", refused.out, refused.err);
    account.assert_acts(&[]);

    let expires = |account: &Account| account.rows("QUARANTINE#")[0].get("expires_at").is_some();
    assert!(!expires(&account));
    account.esclusa(&["quarantine", "release", &bad, "--reason", "the database was down"]);
    assert!(quarantined(&mut account).is_empty());
    assert!(expires(&account));
    let again = account
        .lab
        .esclusa(&["quarantine", "release", &bad, "--reason", "again"]);
    assert_eq!(again.code, 1, "{}", again.out);
    // It is tried again, and fails again: back into quarantine.
    let tried = account.lab.esclusa(&["deploy", "nest-demo", "production", "v1.1.0"]);
    assert_eq!(tried.code, 1);
    assert!(tried.out.contains("ROLLED_BACK"), "{}{}", tried.out, tried.err);
    assert_eq!(quarantined(&mut account).len(), 1);
    assert!(!expires(&account));
    account.assert_left("FREE");
}

/// Somebody knows that a version is bad before it fails: it comes no further, and what is at work with it is named.
#[test]
fn an_image_that_a_person_puts_into_quarantine_comes_no_further_until_it_is_let_out() {
    let mut account = Account::with("imagy-catalog");
    let bad = account.push("4f2c1e9", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-develop-1"), "AwaitTask");
    let add = [
        "quarantine",
        "add",
        "imagy-catalog",
        "4f2c1e9",
        "--reason",
        "it sends every mail twice",
    ];
    let told = account.esclusa(&add).out;
    assert!(told.contains(&format!("`{bad}` is in quarantine")), "{told}");
    let at_work = format!(
        "release `{release}` is deploying it in `develop` and goes no further: `esclusa stop {release}` stops it"
    );
    assert!(told.contains(&at_work), "{told}");
    let again = account.lab.esclusa(&add);
    assert!(
        again.code == 1 && again.err.contains("is already in quarantine"),
        "{}",
        again.err
    );
    // What is at work goes on, and its release comes no further.
    account.settle();
    account.assert_ended("FAILED", "none", "refused");
    let ended = account.records("deployment_ended");
    assert_eq!(ended.len(), 1, "{ended:#?}");
    assert_eq!(ended[0]["body"]["end"]["verdict"], "SUCCEEDED");
    assert_eq!(
        quarantined(&mut account),
        [(bad.clone(), "it sends every mail twice".to_owned())]
    );
    let decided = account.records("person_decided");
    assert_eq!(decided[0]["body"]["decision"], "quarantine");
    assert_eq!(decided[0]["digest"], bad.as_str());
    let told = account.esclusa(&["quarantine"]).out;
    assert!(told.contains("it sends every mail twice"), "{told}");
    account.esclusa(&["quarantine", "release", &bad, "--reason", "the queue was wrong"]);
    account.esclusa(&["deploy", "imagy-catalog", "staging", "4f2c1e9"]);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    // By its digest, of an image that runs; and of one that is nowhere yet.
    let told = account
        .esclusa(&["quarantine", "add", "imagy-catalog", &bad, "--reason", "it does again"])
        .out;
    for environment in ["develop", "staging"] {
        let runs = format!("it runs in `{environment}`: `esclusa rollback imagy-catalog {environment}`");
        assert!(told.contains(&runs), "{told}");
    }
    let other = format!("sha256:{}", "0f".repeat(32));
    account.esclusa(&["quarantine", "add", "imagy-catalog", &other, "--reason", "a leaked key"]);
    assert_eq!(quarantined(&mut account).len(), 2);
    let unknown = account
        .lab
        .esclusa(&["quarantine", "add", "imagy-catalog", "v9", "--reason", "bad"]);
    assert!(
        unknown.code == 1 && unknown.err.contains("there is no image `v9`"),
        "{}",
        unknown.err
    );
}

#[test]
fn a_release_that_waits_is_kept_while_its_image_may_be_let_out_of_quarantine() {
    let mut account = gated(APPROVAL, [CALLER, "nobody"]);
    let release = pushed(&mut account, "v1.0.0");
    let add = ["quarantine", "add", "nest-demo", "v1.0.0", "--reason", "a leaked key"];
    let told = account.esclusa(&add).out;
    assert!(
        told.contains(&format!("release `{release}` goes no further with it")),
        "{told}"
    );
    account.esclusa(&["approve", &release]);
    account.pass(SignedDuration::from_mins(30));
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(
        waiting.contains("put it there: a leaked key; it waits until"),
        "{waiting}"
    );
    let bad = quarantined(&mut account).pop().unwrap().0;
    account.esclusa(&["quarantine", "release", &bad, "--reason", "it was another one"]);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    // Nobody lets this one out in time.
    let release = pushed(&mut account, "v1.1.0");
    account.esclusa(&["quarantine", "add", "nest-demo", "v1.1.0", "--reason", "a leaked key"]);
    account.esclusa(&["approve", &release]);
    account.settle();
    account.assert_release_ended(&release, "FAILED", "none", "refused");
}

#[test]
fn a_migration_that_fails_by_its_own_word_puts_its_image_into_quarantine_and_one_that_cannot_start_does_not() {
    let mut account = Account::with("imagy-catalog");
    let bad = account.release("v1", Kind::BadMigration);
    account.release("v2", Kind::UnstartableMigration);
    let listed: Vec<String> = quarantined(&mut account)
        .into_iter()
        .map(|(digest, _)| digest)
        .collect();
    assert_eq!(listed, [bad]);
}

#[test]
fn what_was_good_until_a_bad_version_came_can_be_gone_back_to() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    account.release("v1.1.0", Kind::Good);
    account.release("v1.2.0", Kind::CrashLoop);
    account.pass(SignedDuration::from_mins(1));
    account.esclusa(&["rollback", "nest-demo", "development", "--reason", "slow"]);
    assert_eq!(quarantined(&mut account).len(), 1);
}
