//! What is kept of a rollout that failed, and where the image may not go afterwards.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::Value;

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
        "container `api` ends with exit code 1 (3 of 3 stopped tasks); it wrote last: `panic: missing setting RATING_URL`"
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
