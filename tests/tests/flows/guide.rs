//! The promotion of the platform guide: develop at once, staging after five healthy minutes, production with the
//! approval of a tech lead within its windows; and its hotfixes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use lab::images::Kind;
use serde_json::Value;

use crate::support::Account;

/// The principal of the command line in these accounts.
const LEAD: &str = "arn:aws:iam::123456789012:user/*";

/// The pipeline of the guide, over that of its example, an hour before the push.
pub(crate) fn guide() -> Account {
    let start: Timestamp = FRIDAY.parse().unwrap();
    let mut account = Account::beginning("imagy-catalog", start - SignedDuration::from_hours(1));
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let people = format!(
        "people:\n  lead: {{iam: [\"{LEAD}\"]}}\n\nhotfix: {{tags: {{allow: [\"hotfix-*\"]}}}}\n\nenvironments:\n"
    );
    let gates = "    trigger: push\n    approval: {approvers: [lead], unknown_pusher: is_nobody}\n    \
                 windows: {zone: America/Lima, allow: [{days: [mon, tue, wed, thu], from: \"10:00\", to: \"16:00\"}]}\n    \
                 verification: {soak_seconds: 900, services: {interval_seconds: 60}}\n";
    let soak = "    verification: {soak_seconds: 300, services: {interval_seconds: 30}}\n";
    let text = text
        .replacen("environments:\n", &people, 1)
        .replace("    trigger: push\n", &format!("    trigger: push\n{soak}"))
        .replace("    trigger: manual\n", gates);
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account
}

/// Lets time pass until a moment.
fn until(account: &mut Account, moment: &str) {
    let now = account.lab.world().now();
    let moment: Timestamp = moment.parse().unwrap();
    assert!(moment > now, "it is {now} already");
    account.pass(moment.duration_since(now));
}

/// Friday, three in the afternoon in Lima: production opens again on Monday at ten.
const FRIDAY: &str = "2026-11-06T20:00:00Z";
const SATURDAY: &str = "2026-11-07T15:00:00Z";
const MONDAY: &str = "2026-11-09T15:00:00Z";

fn moment(record: &Value) -> Timestamp {
    record["at"].as_str().unwrap().parse().unwrap()
}

/// Ten minutes of the week: how long a rollout takes to the second depends on much that does not matter here.
fn about(at: Timestamp) -> String {
    let tens = jiff::TimestampRound::new().smallest(jiff::Unit::Minute).increment(10);
    let rounded = at.round(tens.mode(jiff::RoundMode::Trunc)).unwrap();
    rounded.strftime("%a %H:%M").to_string()
}

/// When a release took the lock of an environment; none where it never did.
fn began(account: &Account, release: &str, environment: &str) -> Option<Timestamp> {
    let records = account.records("lock_acquired");
    let is_it = |record: &&Value| record["release_id"] == release && record["environment"] == environment;
    records.iter().find(is_it).map(moment)
}

/// Asserts that a release came into production in the minute in which it could.
#[track_caller]
fn assert_began(account: &Account, release: &str, opened: &str) {
    let began = began(account, release, "production").unwrap();
    let late = began.duration_since(opened.parse().unwrap());
    assert!(
        !late.is_negative() && late < SignedDuration::from_mins(1),
        "{late} after {opened}"
    );
}

/// When `esclusa when` says that a tag would come into the environments, pushed now: those of which it can be said.
fn foretold(account: &mut Account, tag: &str) -> BTreeMap<String, Timestamp> {
    let answer = account.esclusa(&["when", "imagy-catalog", tag, "--output", "json"]).out;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let stages = answer["environments"].as_array().unwrap().iter();
    let opens = stages.filter_map(|stage| {
        let opens = stage["opens"].as_str()?.parse().unwrap();
        Some((stage["environment"].as_str().unwrap().to_owned(), opens))
    });
    opens.collect()
}

/// Asserts that a release began in these environments in the minute that was foretold.
#[track_caller]
fn assert_as_foretold(account: &Account, release: &str, environments: &[&str], foretold: &BTreeMap<String, Timestamp>) {
    for environment in environments {
        let (began, foretold) = (began(account, release, environment).unwrap(), foretold[*environment]);
        let off = began.duration_since(foretold).abs();
        assert!(
            off < SignedDuration::from_mins(1),
            "`{environment}` began at {began} instead of {foretold}"
        );
    }
}

/// When the deployments of a release took their locks and ended, and what its gates said, as people are told.
fn story(account: &Account, release: &str) -> String {
    let mut told = String::new();
    let told_of = ["gates_asked", "lock_acquired", "deployment_ended"];
    let mut records: Vec<Value> = told_of.iter().flat_map(|kind| account.records(kind)).collect();
    records.retain(|record| record["release_id"] == release);
    records.sort_by_key(|record| record["sequence"].as_u64());
    for record in records {
        let body = &record["body"];
        let what = match record["kind"].as_str().unwrap() {
            "gates_asked" if !body["closed"].is_null() => {
                format!("{} closes", body["closed"]["closed"].as_str().unwrap())
            }
            "gates_asked" => {
                let gates = body["gates"].as_array().unwrap().iter();
                let said = gates.map(|gate| {
                    let state = if gate["is_open"] == true { "open" } else { "closed" };
                    format!("{} {state}", gate["gate"].as_str().unwrap())
                });
                said.collect::<Vec<_>>().join(", ")
            }
            "lock_acquired" => "begins".to_owned(),
            _ => format!("ends {}", body["end"]["verdict"].as_str().unwrap()),
        };
        writeln!(
            told,
            "{} {}: {what}",
            about(moment(&record)),
            record["environment"].as_str().unwrap()
        )
        .unwrap();
    }
    told
}

/// Every environment on the way.
const ALL: [&str; 3] = ["develop", "staging", "production"];

/// The pipeline of the guide with a first version everywhere, so that it is known how long deployments take. It came
/// through as a hotfix.
pub(crate) fn known() -> Account {
    let mut account = guide();
    hurried(&mut account, "hotfix-0000000");
    account
}

/// Has the lead agree as soon as a release comes to the gates, and through the console, so that nobody waits for a
/// sweep.
pub(crate) fn agree_at_once(account: &mut Account, release: &str) {
    account.run_until_entered(release, "AwaitGate");
    account.pass(SignedDuration::from_secs(5));
    let url = account.lab.world().template().unwrap().outputs["ConsoleEndpoint"]
        .value
        .clone();
    account.esclusa(&["--console-url", &url, "approve", release]);
}

/// Brings a hotfix through, with which the lead agrees at once. Its release.
fn hurried(account: &mut Account, tag: &str) -> String {
    let release = pushed(account, tag);
    agree_at_once(account, &release);
    account.settle();
    account.assert_release_ended(&release, "SUCCEEDED", "schema_moved", "proven");
    release
}

pub(crate) fn pushed(account: &mut Account, tag: &str) -> String {
    account.push(tag, Kind::Good);
    account.pass(SignedDuration::from_secs(30));
    account.releases().pop().unwrap()
}

#[test]
fn a_push_on_friday_afternoon_is_approved_on_saturday_and_in_production_on_monday_at_ten() {
    let mut account = guide();
    until(&mut account, FRIDAY);
    let release = pushed(&mut account, "4f2c1e9");
    until(&mut account, SATURDAY);
    // Whoever is asked sees what was measured where it came through, and until when they are asked.
    let asked = account.esclusa(&["approvals"]).out;
    for part in [
        "Seen in staging",
        "healthy for 5 min",
        "(5 min required)",
        "✓ `services`: `imagy-catalog` runs 1 (passed 1",
        "Seen in develop",
        "`imagy-catalog` goes back to `imagy-catalog-production:1`",
        &format!("esclusa approve {release} --environment production"),
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let status = account.esclusa(&["status", "imagy-catalog"]).out;
    let stands = "window: outside the windows of the environment (until 2026-11-09 15:00:00Z)";
    assert!(
        status.contains("production: at the gates since") && status.contains(stands),
        "{status}"
    );
    account.esclusa(&["approve", &release, "--reason", "seen in staging"]);
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    insta::assert_snapshot!(story(&account, &release));
    assert_began(&account, &release, MONDAY);
    account.assert_left("FREE");
    assert_eq!(account.rows("DEBTS"), Vec::<Value>::new());
}

#[test]
fn the_same_as_a_hotfix_waits_for_nothing_but_the_approval_and_owes_the_rest() {
    let mut account = guide();
    until(&mut account, FRIDAY);
    let release = pushed(&mut account, "hotfix-4f2c1e9");
    account.run_until_entered(&release, "AwaitGate");
    account.pass(SignedDuration::from_secs(5));
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(
        waiting.contains("imagy-catalog/production") && !waiting.contains("window:"),
        "{waiting}"
    );
    until(&mut account, "2026-11-06T21:30:00Z");
    account.esclusa(&["approve", &release, "--reason", "customers cannot pay"]);
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    insta::assert_snapshot!(story(&account, &release));
    let owed = account.esclusa(&["debts"]).out;
    for owes in [
        "imagy-catalog/develop",
        "the soak of 300 seconds",
        "imagy-catalog/production",
        "a window: it began outside",
    ] {
        assert!(owed.contains(owes), "{owed}");
    }
    let shown = account.esclusa(&["status", "imagy-catalog", "production"]).out;
    assert!(shown.contains("debt: hotfix `hotfix-4f2c1e9` owes a window"), "{shown}");
    // A release in good order settles what is owed where it is verified; a person settles the rest.
    pushed(&mut account, "4f2c1ea");
    account.pass(SignedDuration::from_hours(1));
    let owed = account.esclusa(&["debts"]).out;
    assert!(!owed.contains("develop") && owed.contains("production"), "{owed}");
    account.esclusa(&["debts", "settle", &release, "--reason", "watched over the weekend"]);
    let owed = account.esclusa(&["debts"]);
    assert!(!owed.out.contains("production"), "{}", owed.out);
    // What is settled is kept for long, whoever settled it; what is still owed, in staging, for ever.
    let now = account.lab.world().now().as_second();
    for debt in account.rows("DEBTS#") {
        let expires = debt.get("expires_at").and_then(Value::as_i64);
        let is_settled = debt.get("settled").is_some();
        assert_eq!(
            expires.is_some_and(|expires| expires > now + 398 * 86_400),
            is_settled,
            "{debt}"
        );
        assert_eq!(expires.is_some(), is_settled, "{debt}");
    }
}

/// Brings a hotfix through while an older release is on its way, and asserts that it is verified everywhere and owes
/// what it did without. Its release.
#[track_caller]
fn hurried_past(account: &mut Account, older: &str) -> String {
    let hotfix = hurried(account, "hotfix-4f2c1ea");
    let records = account.records("deployment_ended");
    let is_proven = |record: &&Value| {
        let reasons = record["body"]["end"]["reasons"].to_string();
        record["release_id"] == hotfix.as_str() && reasons.contains("the verification passed")
    };
    let proven = records.iter().filter(is_proven);
    let mut proven: Vec<&str> = proven.map(|record| record["environment"].as_str().unwrap()).collect();
    proven.sort_unstable();
    assert_eq!(proven, ["develop", "production", "staging"]);
    let owed = account.esclusa(&["debts", "--output", "json"]).out;
    let owed: Value = serde_json::from_str(&owed).unwrap();
    let owed = owed["debts"].as_array().unwrap().iter();
    let owed: Vec<String> = owed
        .map(|debt| {
            assert_eq!(debt["release_id"], hotfix.as_str());
            format!("{}: {}", debt["environment"].as_str().unwrap(), debt["owes"])
        })
        .collect();
    assert_eq!(
        owed,
        [
            "develop: [\"the soak of 300 seconds\"]",
            "production: [\"a window: it began outside of them\"]",
            "staging: [\"the soak of 300 seconds\"]",
        ]
    );
    let reasons = account.status(older)["end"]["reasons"].to_string();
    assert!(reasons.contains(&hotfix), "{reasons}");
    hotfix
}

#[test]
fn a_hotfix_takes_the_place_of_a_release_that_waits_at_a_gate_though_it_was_agreed_with() {
    let mut account = guide();
    let older = pushed(&mut account, "4f2c1e9");
    agree_at_once(&mut account, &older);
    // So that nothing happens within seconds of ten minutes, by which the story tells the time.
    account.pass(SignedDuration::from_mins(4));
    let hotfix = hurried_past(&mut account, &older);
    account.assert_release_ended(&older, "SUPERSEDED", "none", "superseded");
    insta::assert_snapshot!(format!("{}\n{}", story(&account, &older), story(&account, &hotfix)));
    account.pass(SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

#[test]
fn a_release_that_soaks_gives_way_to_a_hotfix_at_once() {
    let mut account = guide();
    let older = pushed(&mut account, "4f2c1e9");
    account.run_until_entered(&format!("{older}-develop-1"), "LookAtChecks");
    account.pass(SignedDuration::from_mins(1));
    let pushed_at = account.lab.world().now();
    let hotfix = hurried_past(&mut account, &older);
    account.assert_release_ended(&older, "STOPPED", "schema_moved", "gave_way");
    let late = began(&account, &hotfix, "develop").unwrap().duration_since(pushed_at);
    assert!(late < SignedDuration::from_secs(60), "it began after {late}");
    insta::assert_snapshot!(format!("{}\n{}", story(&account, &older), story(&account, &hotfix)));
    account.pass(SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

#[test]
fn a_release_that_fails_in_develop_comes_no_further() {
    let mut account = known();
    until(&mut account, FRIDAY);
    let foretold = foretold(&mut account, "4f2c1e9");
    // That it does not work cannot be foretold.
    assert!(ALL.iter().all(|name| foretold.contains_key(*name)), "{foretold:?}");
    account.push("4f2c1e9", Kind::Unhealthy);
    account.settle();
    account.assert_ended("ROLLED_BACK", "schema_moved", "rollout_failed");
    let release = account.releases().pop().unwrap();
    insta::assert_snapshot!(story(&account, &release));
    assert_as_foretold(&account, &release, &["develop"], &foretold);
    let later = ["staging", "production"].map(|name| began(&account, &release, name));
    assert_eq!(later, [None, None]);
}

#[test]
fn a_freeze_over_the_weekend_is_waited_for_besides_the_window() {
    let mut account = known();
    until(&mut account, FRIDAY);
    let mut foretold_of = foretold(&mut account, "4f2c1e9");
    let release = pushed(&mut account, "4f2c1e9");
    until(&mut account, SATURDAY);
    account.esclusa(&["approve", &release]);
    account.esclusa(&[
        "freeze",
        "imagy-catalog",
        "production",
        "--until",
        "2026-11-09T17:30Z",
        "--reason",
        "the audit",
    ]);
    // Where it waits, what is said after the freeze counts.
    let frozen = foretold(&mut account, "4f2c1e9")["production"];
    let before = foretold_of.insert("production".to_owned(), frozen);
    assert_eq!(before, Some(MONDAY.parse().unwrap()));
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    insta::assert_snapshot!(story(&account, &release));
    assert_began(&account, &release, "2026-11-09T17:30:00Z");
    assert_as_foretold(&account, &release, &ALL, &foretold_of);
}

/// A push on Friday, with which the lead agrees, waits on Saturday for the window. Its release.
fn waiting_on_saturday(account: &mut Account) -> String {
    until(account, FRIDAY);
    let release = pushed(account, "4f2c1e9");
    account.run_until_entered(&release, "AwaitGate");
    account.pass(SignedDuration::from_mins(3));
    account.esclusa(&["approve", &release]);
    until(account, SATURDAY);
    release
}

#[test]
fn a_second_push_takes_the_place_of_the_first_that_waits_and_needs_an_approval_of_its_own() {
    let mut account = guide();
    let first = waiting_on_saturday(&mut account);
    let second = pushed(&mut account, "4f2c1ea");
    until(&mut account, MONDAY);
    account.pass(SignedDuration::from_mins(30));
    account.assert_release_ended(&first, "SUPERSEDED", "none", "superseded");
    account.esclusa(&["approve", &second]);
    account.settle();
    account.assert_release_ended(&second, "SUCCEEDED", "schema_moved", "proven");
    insta::assert_snapshot!(format!("{}\n{}", story(&account, &first), story(&account, &second)));
}

#[test]
fn what_is_foretold_of_a_second_push_happens_though_the_first_waits() {
    let mut account = known();
    let first = waiting_on_saturday(&mut account);
    let foretold = foretold(&mut account, "4f2c1ea");
    let second = pushed(&mut account, "4f2c1ea");
    agree_at_once(&mut account, &second);
    account.settle();
    account.assert_release_ended(&first, "SUPERSEDED", "none", "superseded");
    account.assert_release_ended(&second, "SUCCEEDED", "schema_moved", "proven");
    assert_as_foretold(&account, &second, &ALL, &foretold);
    assert_began(&account, &second, MONDAY);
    assert_eq!(began(&account, &first, "production"), None);
}

#[test]
fn a_hotfix_is_foretold_without_soaks_and_windows_and_comes_so() {
    let mut account = known();
    let as_any_other = foretold(&mut account, "4f2c1e9");
    let foretold = foretold(&mut account, "hotfix-4f2c1e9");
    // By its tag, or because somebody asks for one.
    let [by_tag, asked_for] = [&["hotfix-4f2c1e9"][..], &["4f2c1e9", "--hotfix"]].map(|words| {
        let words = [&["when", "imagy-catalog", "--output", "json"], words].concat();
        let told: Value = serde_json::from_str(&account.esclusa(&words).out).unwrap();
        let stages = told["environments"].as_array().unwrap().iter();
        let stages: Vec<[Value; 2]> = stages
            .map(|stage| ["takes_seconds", "waits"].map(|member| stage[member].clone()))
            .collect();
        (told["hotfix"].clone(), stages)
    });
    assert_eq!(by_tag, asked_for);
    let release = hurried(&mut account, "hotfix-4f2c1e9");
    assert_as_foretold(&account, &release, &ALL, &foretold);
    let earlier = |name: &str| as_any_other[name].duration_since(foretold[name]);
    assert!(earlier("staging") > SignedDuration::from_mins(4), "{foretold:?}");
    assert!(earlier("production") > SignedDuration::from_hours(48), "{foretold:?}");
}

#[test]
fn what_is_foretold_is_what_happens_and_why_it_is_there_is_told() {
    let mut account = known();
    let foretold_of = foretold(&mut account, "4f2c1e9");
    let told = account.esclusa(&["when", "imagy-catalog", "4f2c1e9"]).out;
    assert!(
        told.contains("`production` at 2026-11-09 15:00:00Z (1 of `lead` must agree first)")
            && told.contains("it waits for window"),
        "{told}"
    );
    // A freeze that nobody has lifted yet.
    account.esclusa(&["freeze", "imagy-catalog", "staging", "--reason", "the audit"]);
    assert_eq!(foretold(&mut account, "4f2c1e9").get("production"), None);
    account.esclusa(&["unfreeze", "imagy-catalog", "staging", "--reason", "over"]);
    let refused = account.lab.esclusa(&["when", "imagy-catalog", "latest"]);
    assert!(
        refused.code == 1 && refused.err.contains("denied by `latest`"),
        "{}",
        refused.err
    );
    account.push("4f2c1e9", Kind::Good);
    account.pass(SignedDuration::from_mins(25));
    let release = account.releases().pop().unwrap();
    let why = account
        .esclusa(&["why", "imagy-catalog", "production", "--version", "4f2c1e9"])
        .out;
    for part in [
        "`4f2c1e9` does not run there: `hotfix-0000000` has been running in",
        "staging: SUCCEEDED",
        "gate window: outside the windows",
        "gate approval: 1 of `lead` must agree",
    ] {
        assert!(why.contains(part), "{why}");
    }
    account.esclusa(&["approve", &release, "--reason", "seen in staging"]);
    account.settle();
    assert_as_foretold(&account, &release, &ALL, &foretold_of);
    let why = account.esclusa(&["why", "imagy-catalog", "production"]).out;
    for part in [
        "`4f2c1e9` has been running in `imagy-catalog/production` since",
        "production: SUCCEEDED",
        "gate window: open",
        "lead approved at",
        ": seen in staging",
    ] {
        assert!(why.contains(part), "{why}");
    }
    let why = account
        .esclusa(&["why", "imagy-catalog", "production", "--version", "latest"])
        .out;
    assert!(
        why.contains("no release of it is known") && why.contains("denied by `latest`"),
        "{why}"
    );
}
