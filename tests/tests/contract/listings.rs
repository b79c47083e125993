//! What people look for is shown however much has come after it, and followed to its end through disturbances.

use jiff::SignedDuration;
use lab::Lab;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::{ApiError, DynamoDb, Fault, FaultKind, Principal, Selector};

use crate::flows::{altered_pipeline, steady};
use crate::story::Story;

const CATALOG: &str = "imagy-catalog";
const CONTROL: &str = "esclusa-control";
const DEVELOP: &str = "  - name: develop\n    trigger: push\n";

/// Answers what a command that succeeds says.
#[track_caller]
fn told(lab: &mut Lab, words: &[&str]) -> String {
    let answer = lab.esclusa(words);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    answer.out
}

/// Answers why a command does nothing.
#[track_caller]
fn refused(lab: &mut Lab, words: &[&str]) -> String {
    let answer = lab.esclusa(words);
    assert_ne!(answer.code, 0, "{}", answer.out);
    answer.err
}

/// Lists one release as the newest so many times.
fn list_again(lab: &mut Lab, release: &str, year: u32, times: u32) {
    let table = lab.world().service::<DynamoDb>().unwrap();
    let rows: Vec<Value> = table.items(CONTROL).unwrap();
    let partition = format!("RELEASES#{CATALOG}");
    let listed = rows
        .iter()
        .find(|row| row["pk"]["S"] == *partition && row["sk"]["S"].as_str().unwrap().ends_with(release));
    let mut row = listed.unwrap().clone();
    for number in 0..times {
        row["sk"] = json!({"S": format!("{year}-01-01T00:00:00.{number:03}Z#{release}")});
        let put = json!({"TableName": CONTROL, "Item": row});
        lab.world_mut().administer("dynamodb", "PutItem", put).unwrap();
    }
}

/// The first release runs in `develop`; the second one waits there for `ana`, who is whoever calls.
fn waiting() -> (Story, String, String) {
    let mut story = Story::of(CATALOG);
    story.push("4f2c1e9", Kind::Good);
    story.settle();
    let runs = story.release();
    let people = "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/administrator\"]}\n\nenvironments:\n";
    let asked = "    approval: {approvers: [ana], unknown_pusher: is_nobody}\n";
    let gated = format!("{people}{DEVELOP}{asked}");
    let file = altered_pipeline(&story.example, &format!("environments:\n{DEVELOP}"), &gated);
    told(&mut story.lab, &["pipelines", "apply", file.to_str().unwrap()]);
    story.push("8b1d0a3", Kind::Good);
    story.wait(SignedDuration::from_mins(2));
    let waits = story.release();
    assert_ne!(runs, waits);
    (story, runs, waits)
}

#[test]
fn what_runs_and_what_waits_is_shown_however_many_releases_have_come_since() {
    let (mut story, runs, waits) = waiting();
    let digest = told(&mut story.lab, &["status", "--release", &runs, "--output", "json"]);
    let digest: Value = serde_json::from_str(&digest).unwrap();
    let digest = digest["digest"].as_str().unwrap().to_owned();
    list_again(&mut story.lab, &waits, 2027, 201);
    for version in ["4f2c1e9", &digest] {
        let why = told(&mut story.lab, &["why", CATALOG, "develop", "--version", version]);
        assert!(
            why.starts_with("`4f2c1e9` has been running in") && why.contains(&runs),
            "{why}"
        );
    }
    list_again(&mut story.lab, &runs, 2028, 21);
    for words in [&["status"][..], &["status", CATALOG], &["status", CATALOG, "develop"]] {
        let status = told(&mut story.lab, words);
        assert!(status.contains(&format!("on its way {waits}")), "{status}");
    }
}

#[test]
fn a_vote_is_about_the_plan_that_was_looked_at() {
    let (mut story, _, waits) = waiting();
    let lab = &mut story.lab;
    let approvals = told(lab, &["approvals"]);
    let command = approvals.lines().find(|line| line.contains("esclusa approve")).unwrap();
    let (_, plan) = command.split_once(" --plan ").unwrap();
    let other: String = plan.chars().rev().collect();
    let changed = "has changed: review it with `esclusa approvals` and vote again";
    for verb in [&["approve"][..], &["reject", "--reason", "not today"]] {
        let why = refused(lab, &[verb, &[&waits, "--plan", &other]].concat());
        assert!(why.contains(changed), "{why}");
    }
    let approved = told(lab, &["approve", &waits, "--plan", plan]);
    assert!(
        approved.starts_with(&format!(
            "`8b1d0a3` is approved for `develop` by `ana`, with plan {plan};"
        )),
        "{approved}"
    );
}

/// A pipeline that has given an environment another name no longer names what is locked there.
#[test]
fn a_quarantined_lock_is_listed_when_no_pipeline_names_it_any_more() {
    let mut story = Story::of(CATALOG);
    story.push("70571e5", Kind::LostMigration);
    story.settle();
    let file = altered_pipeline(&story.example, DEVELOP, &DEVELOP.replace("develop", "playground"));
    told(&mut story.lab, &["pipelines", "apply", file.to_str().unwrap()]);
    let locks = told(&mut story.lab, &["locks"]);
    let lock = "environment/imagy-catalog/develop";
    assert!(locks.contains(&format!("esclusa unlock {lock} --reason")), "{locks}");
    told(
        &mut story.lab,
        &["unlock", lock, "--reason", "the migration had not begun"],
    );
    let locks = told(&mut story.lab, &["locks"]);
    assert!(!locks.contains(lock), "{locks}");
}

/// A release that soaks for ten minutes in its first environment, where its services are looked at every minute.
fn soaking() -> (Lab, String) {
    let (mut lab, example) = steady(CATALOG);
    let soak = "    verification: {soak_seconds: 600, services: {interval_seconds: 60}}\n";
    let file = altered_pipeline(&example, DEVELOP, &format!("{DEVELOP}{soak}"));
    told(&mut lab, &["pipelines", "apply", file.to_str().unwrap()]);
    lab.push_example(&example, "app", "4f2c1e9", Kind::Good).unwrap();
    lab.simulation().run_for(SignedDuration::from_secs(75));
    let release = lab.executions("release").pop().unwrap();
    (lab, release)
}

/// DynamoDB answers nothing to whoever watches, for so long from a minute on.
fn disturb(lab: &mut Lab, time: SignedDuration) {
    let from = lab.world().now() + SignedDuration::from_mins(1);
    let broken = ApiError::server("InternalServerError", "the table is away");
    for operation in ["GetItem", "Query"] {
        let reads = Selector::operation("dynamodb", operation).by(Principal::Administrator);
        let reads = reads.between(from, from + time);
        lab.world_mut()
            .add_fault(Fault::new(reads, FaultKind::ErrorBefore(broken.clone())));
    }
}

#[test]
fn whoever_watches_a_release_sees_its_checks_and_its_end() {
    let (mut lab, release) = soaking();
    let watched = told(&mut lab, &["status", "--release", &release, "--watch"]);
    let looks = watched.lines().filter(|line| line.contains("  services  pass"));
    assert!(looks.count() > 5, "{watched}");
    assert!(watched.contains("staging: not reached"), "{watched}");
    let (_, last) = watched.rsplit_once("as of ").unwrap();
    assert!(last.contains("SUCCEEDED, effect schema_moved"), "{last}");
    let again = told(&mut lab, &["status", "--release", &release, "--watch"]);
    assert_eq!(again.matches("as of ").count(), 1, "{again}");
}

#[test]
fn whoever_watches_looks_past_a_disturbance_and_is_told_that_the_release_continues_where_it_lasts() {
    let (mut lab, release) = soaking();
    disturb(&mut lab, SignedDuration::from_secs(45));
    let watched = told(&mut lab, &["status", "--release", &release, "--watch"]);
    assert!(watched.contains("SUCCEEDED"), "{watched}");

    let (mut lab, release) = soaking();
    disturb(&mut lab, SignedDuration::from_mins(30));
    let why = refused(&mut lab, &["status", "--release", &release, "--watch"]);
    let hint = format!("error: the release continues: `esclusa status --release {release}`: ");
    assert!(why.starts_with(&hint) && why.contains("the table is away"), "{why}");
    lab.world_mut().clear_faults();
    assert!(lab.settle(), "the release does not continue");
    let status = told(&mut lab, &["status", "--release", &release]);
    assert!(status.contains("SUCCEEDED"), "{status}");
}
