//! What happens while a release soaks: an alarm ends the pause, a person is asked, somebody else wants the lock; and
//! afterwards, when it does not work any more.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::kernel::{Behaviour, Site};
use simulator::{FunctionError, Handler, Lambda};
use simulator_event_bridge::{Disturbance, EventBridge, Fault, Occurrence, Pattern};

use crate::support::{Account, measured};

const CLUSTER: &str = "nest-demo-development";
const PRODUCTION: &str = "nest-demo-production";
const SERVICE: &str = "nest-demo";

/// Where the first environment begins to say how it is deployed to.
const PUSH: &str = "    trigger: push\n";

/// An environment that is pushed to and verified for ten minutes.
fn verified(interval_seconds: u32, more: &str, lock: &str) -> String {
    format!(
        "{PUSH}{lock}    verification:\n      soak_seconds: 600\n      services: {{interval_seconds: 60}}\n      checks:\n        errors:\n          measure: {{alarms: [errors]}}\n          pace: {{interval_seconds: {interval_seconds}}}\n{more}"
    )
}

/// An account whose environment is verified for ten minutes by the alarm `errors`, which is looked at that often.
fn alarmed(interval_seconds: u32, more: &str, lock: &str) -> Account {
    let mut account = Account::edited("nest-demo", PUSH, &verified(interval_seconds, more, lock));
    account.create_alarm("errors");
    account
}

/// Pushes a version and lets it soak for so long. Its release.
fn soaking(account: &mut Account, tag: &str, minutes: i64) -> String {
    account.push(tag, Kind::Good);
    account.pass(SignedDuration::from_secs(20));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{release}-development-1"), "LookAtChecks");
    account.pass(SignedDuration::from_mins(minutes));
    release
}

fn ended_at(account: &Account, release: &str) -> Timestamp {
    let records = account.records("deployment_ended");
    let record = records.iter().find(|record| record["release_id"] == release).unwrap();
    record["at"].as_str().unwrap().parse().unwrap()
}

#[test]
fn the_event_of_an_alarm_ends_the_soak_long_before_the_next_look() {
    let mut account = alarmed(600, "", "");
    account.release("v1.0.0", Kind::Good);
    let before = account.definition_of(CLUSTER, SERVICE);
    // The looks at the services are a minute apart, those at the alarm ten.
    let release = soaking(&mut account, "v1.1.0", 3);
    account.pass(SignedDuration::from_secs(5));
    let fires = account.lab.world().now();
    account.say_alarm("errors", "ALARM");
    account.run_until_entered(&format!("{release}-development-1"), "PlanWayBack");
    let late = account.lab.world().now().duration_since(fires);
    assert!(late < SignedDuration::from_secs(15), "it took {late} to notice");
    account.settle();
    account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
    assert_eq!(account.definition_of(CLUSTER, SERVICE), before);
    account.pass(SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

#[test]
fn the_event_of_an_alarm_that_is_lost_or_repeated_changes_nothing_but_the_time() {
    for fault in [Fault::Drop, Fault::Duplicate(SignedDuration::from_secs(3))] {
        let mut account = alarmed(60, "", "");
        account.release("v1.0.0", Kind::Good);
        soaking(&mut account, "v1.1.0", 3);
        let pattern = Pattern::compile(&json!({"detail-type": ["CloudWatch Alarm State Change"]})).unwrap();
        let (bus, _) = account.lab.world_mut().service_mut::<EventBridge>().unwrap();
        let occurrence = Occurrence::Every;
        bus.delivery.plan(Disturbance {
            pattern,
            occurrence,
            fault,
        });
        account.say_alarm("errors", "ALARM");
        account.settle();
        account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
        account.pass(SignedDuration::from_mins(3));
        account.assert_left("FREE");
    }
}

const ASK: &str = "          reaction: ask\n          ask: {answer_seconds: 600, unanswered: rollback}\n";

#[test]
fn a_person_who_is_asked_keeps_the_release_or_takes_it_back() {
    for (choice, verdict) in [
        ("--keep", "SUCCEEDED none proven"),
        ("--roll-back", "ROLLED_BACK reverted verification_failed"),
    ] {
        let mut account = alarmed(60, ASK, "");
        account.release("v1.0.0", Kind::Good);
        let release = soaking(&mut account, "v1.1.0", 3);
        let early = account.lab.esclusa(&[
            "answer",
            &release,
            "--check",
            "errors",
            choice,
            "--reason",
            "it is known",
        ]);
        assert_eq!(early.code, 1, "{}", early.out);
        assert!(early.err.contains("it asks nothing now"), "{}", early.err);
        account.say_alarm("errors", "ALARM");
        account.pass(SignedDuration::from_mins(3));
        let status = account.esclusa(&["status", "nest-demo"]).out;
        assert!(
            status.contains("asks about `errors`") && status.contains("then it goes back"),
            "{status}"
        );
        let answer = [
            "answer",
            &release,
            "--check",
            "errors",
            choice,
            "--reason",
            "it is the load test",
        ];
        account.esclusa(&answer);
        let second = account.lab.esclusa(&answer);
        assert!(
            second.code == 1 && second.err.contains("answered first"),
            "{}",
            second.err
        );
        account.settle();
        account.assert_all_ended(&["SUCCEEDED none proven", verdict]);
        let told = account.esclusa(&["audit", "--release", &release]).out;
        assert!(told.contains("`errors` asks until"), "{told}");
        let decided = account.records("person_decided");
        assert_eq!(decided.len(), 1, "{decided:#?}");
        assert_eq!(decided[0]["body"]["reason"], "it is the load test");
        account.pass(SignedDuration::from_mins(3));
        account.assert_left("FREE");
    }
}

#[test]
fn a_question_that_nobody_answers_takes_its_default_and_one_that_is_resolved_is_none() {
    let mut account = alarmed(60, ASK, "");
    account.release("v1.0.0", Kind::Good);
    soaking(&mut account, "v1.1.0", 3);
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(8));
    account.say_alarm("errors", "OK");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    soaking(&mut account, "v1.2.0", 3);
    account.say_alarm("errors", "ALARM");
    account.settle();
    account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
    let reasons = account.reasons();
    assert!(reasons.contains("nobody answered in time"), "{reasons}");
}

#[test]
fn whoever_goes_back_does_not_wait_for_the_soak() {
    let mut account = alarmed(60, "", "");
    account.release("v1.0.0", Kind::Good);
    let before = account.definition_of(CLUSTER, SERVICE);
    let second = soaking(&mut account, "v1.1.0", 3);
    let asked = account.lab.world().now();
    account.esclusa(&["rollback", "nest-demo", "development", "--reason", "complaints"]);
    account.assert_all_ended(&[
        "SUCCEEDED none proven",
        "STOPPED none gave_way",
        "SUCCEEDED none proven",
    ]);
    let late = ended_at(&account, &second).duration_since(asked);
    assert!(late < SignedDuration::from_secs(90), "it gave way after {late}");
    assert_eq!(account.definition_of(CLUSTER, SERVICE), before);
    account.pass(SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

#[test]
fn a_newer_release_waits_for_the_soak_unless_the_pipeline_lets_it_go_first() {
    let ends = |lock: &str| {
        let mut account = alarmed(60, "", lock);
        account.release("v1.0.0", Kind::Good);
        soaking(&mut account, "v1.1.0", 3);
        account.push("v1.2.0", Kind::Good);
        account.settle();
        account.pass(SignedDuration::from_mins(3));
        account.assert_left("FREE");
        account
    };
    ends("").assert_all_ended(&["SUCCEEDED none proven"; 3]);
    ends("    lock: {soaking: give_way}\n").assert_all_ended(&[
        "SUCCEEDED none proven",
        "STOPPED none gave_way",
        "SUCCEEDED none proven",
    ]);
}

#[test]
fn what_fails_its_recheck_is_nothing_to_go_back_to_until_it_works_again() {
    let mut account = alarmed(60, "", "");
    account.release("v1.0.0", Kind::Good);
    account.release("v1.1.0", Kind::Good);
    let holds = account.esclusa(&["recheck", "nest-demo", "development"]).out;
    assert!(
        holds.contains("the verification of `v1.1.0` in `development` holds"),
        "{holds}"
    );
    // The event of the alarm has it checked once more.
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(1));
    let status = account.esclusa(&["status", "nest-demo", "development"]).out;
    assert!(status.contains("has failed verification since"), "{status}");
    let fails = account.lab.esclusa(&["recheck", "nest-demo", "development"]);
    assert_eq!(fails.code, 1, "{}{}", fails.out, fails.err);
    account.say_alarm("errors", "OK");
    account.pass(SignedDuration::from_mins(1));
    let status = account.esclusa(&["status", "nest-demo", "development"]).out;
    assert!(!status.contains("has failed verification since"), "{status}");
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(1));
    let revoked = account.releases()[1].clone();
    account.say_alarm("errors", "INSUFFICIENT_DATA");
    account.pass(SignedDuration::from_mins(1));
    // The next one comes, works, and is gone back from: past the one that was found not to work.
    account.say_alarm("errors", "OK");
    let mut rechecks = account.records("rechecked").len();
    assert!(rechecks >= 4, "{rechecks}");
    account.pass(SignedDuration::from_mins(1));
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(1));
    account.administer("monitoring", "DeleteAlarms", json!({"AlarmNames": ["errors"]}));
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let file = account.written(&format!("{text}\n# without verification\n"));
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.release("v1.2.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "none", "proven");
    let refused = account.lab.esclusa(&[
        "rollback",
        "nest-demo",
        "development",
        "--to",
        &revoked,
        "--reason",
        "errors",
    ]);
    assert!(
        refused.code == 1 && refused.err.contains("has failed verification since"),
        "{}",
        refused.err
    );
    let first = account.releases()[0].clone();
    account.esclusa(&["rollback", "nest-demo", "development", "--reason", "errors"]);
    let back = account.releases().pop().unwrap();
    let records = account.records("release_claimed");
    let claimed = records
        .iter()
        .find(|record| record["release_id"] == back.as_str())
        .unwrap();
    assert!(claimed["body"].to_string().contains(&first), "{claimed:#}");
    rechecks = account.records("rechecked").len();
    assert!(rechecks >= 5, "{rechecks}");
    account.assert_left("FREE");
}

/// Two looks at one moment: what the earlier one saw is old when the later one is written down.
#[test]
fn a_recheck_that_is_overtaken_by_a_later_one_changes_nothing() {
    let mut account = alarmed(60, "", "");
    account.release("v1.0.0", Kind::Good);
    let verified: Vec<Value> = account
        .rows("ENVIRONMENT#nest-demo#development")
        .into_iter()
        .filter(|row| row["sk"].as_str().unwrap().starts_with("VERIFIED#"))
        .collect();
    assert_eq!(verified.len(), 1, "{verified:?}");
    let looked_at = |account: &mut Account, at: Timestamp| {
        account.administer(
            "dynamodb",
            "UpdateItem",
            json!({
                "TableName": "esclusa-control",
                "Key": {"pk": {"S": verified[0]["pk"]}, "sk": {"S": verified[0]["sk"]}},
                "UpdateExpression": "SET looked_at = :at",
                "ExpressionAttributeValues": {":at": {"S": at.to_string()}},
            }),
        );
    };
    let now = account.lab.world().now();
    looked_at(&mut account, now + SignedDuration::from_mins(10));
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(1));
    let revoked = |account: &Account| {
        account
            .rows("ENVIRONMENT#")
            .iter()
            .any(|row| row["revoked"].is_object())
    };
    assert!(!revoked(&account));
    looked_at(&mut account, now);
    account.lab.esclusa(&["recheck", "nest-demo", "development"]);
    assert!(revoked(&account));
}

/// What was verified is what runs, whoever has asked for it since and found nothing to do.
#[test]
fn what_was_found_in_force_already_is_checked_again_as_what_it_was() {
    let mut account = alarmed(60, "", "");
    account.release("v1.0.0", Kind::Good);
    account.esclusa(&["deploy", "nest-demo", "development", "v1.0.0", "--no-wait"]);
    account.settle();
    account.assert_ended("UNCHANGED", "none", "nothing_to_do");
    let works = |account: &mut Account| {
        account.pass(SignedDuration::from_mins(1));
        !account
            .esclusa(&["status", "nest-demo", "development"])
            .out
            .contains("has failed verification since")
    };
    account.say_alarm("errors", "ALARM");
    assert!(!works(&mut account));
    account.say_alarm("errors", "OK");
    assert!(works(&mut account));
}

/// The alarm was last looked at for a version that went back: it speaks of the one before it again.
#[test]
fn what_is_gone_back_to_is_checked_again_by_its_alarm() {
    let mut account = alarmed(60, "", "");
    account.release("v1.0.0", Kind::Good);
    let second = soaking(&mut account, "v1.1.0", 2);
    account.say_alarm("errors", "ALARM");
    account.settle();
    account.assert_release_ended(&second, "ROLLED_BACK", "reverted", "verification_failed");
    account.say_alarm("errors", "OK");
    account.pass(SignedDuration::from_mins(1));
    let status = account.esclusa(&["status", "nest-demo", "development"]).out;
    assert!(
        !status.contains("has failed verification since"),
        "what the other did says nothing about it: {status}"
    );
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(1));
    let status = account.esclusa(&["status", "nest-demo", "development"]).out;
    assert!(status.contains("has failed verification since"), "{status}");
    account.assert_left("FREE");
}

/// It was let in, and is found not to work elsewhere while it waits for its lock: it stands at the gates again, and is
/// kept there.
#[test]
fn what_fails_its_recheck_while_it_waits_for_the_lock_may_be_mended_as_well() {
    let mut account = Account::with("nest-demo");
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let text = text.replace(PUSH, &verified(60, "", "")).replace(
        "    trigger: manual\n",
        "    trigger: push\n    verification: {soak_seconds: 3600}\n",
    );
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.create_alarm("errors");
    account.push("v1.0.0", Kind::Good);
    account.pass(SignedDuration::from_mins(15));
    let first = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{first}-production-1"), "LookAtChecks");
    let second_digest = account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_mins(15));
    let second = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{second}-production-1"), "AwaitLock");
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(55));
    account.say_alarm("errors", "OK");
    account.settle();
    account.assert_release_ended(&second, "SUCCEEDED", "none", "proven");
    account.assert_runs(PRODUCTION, SERVICE, "nestapp", &second_digest, 2);
}

/// Nobody has verified it, and it runs all the same until the next one has come.
#[test]
fn what_gave_way_while_it_soaked_is_what_runs() {
    let mut account = alarmed(60, "", "    lock: {soaking: give_way}\n");
    account.release("v1.0.0", Kind::Good);
    let second = soaking(&mut account, "v1.1.0", 2);
    account.push("v1.2.0", Kind::Good);
    account.pass(SignedDuration::from_mins(2));
    account.assert_release_ended(&second, "STOPPED", "none", "gave_way");
    let told = account.esclusa(&["quarantine", "add", "nest-demo", "v1.1.0", "--reason", "it loses posts"]);
    assert!(told.out.contains("it runs in `development`"), "{}", told.out);
    let told = account.esclusa(&["quarantine", "add", "nest-demo", "v1.0.0", "--reason", "so did this"]);
    assert!(!told.out.contains("it runs in"), "{}", told.out);
    account.esclusa(&["pin", "nest-demo", "development", "--reason", "the sale"]);
    let pins = account.records("person_decided");
    let pin = pins.iter().find(|record| record["body"]["decision"] == "pin").unwrap();
    assert_eq!(pin["body"]["tag"], "v1.1.0");
}

/// Pushes a version that is verified in the first environment and waits at the gates of the second. Its release.
fn before_production(account: &mut Account, tag: &str) -> String {
    account.push(tag, Kind::Good);
    account.pass(SignedDuration::from_secs(20));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&release, "AwaitGate");
    account.pass(SignedDuration::from_mins(10));
    release
}

#[test]
fn what_fails_its_recheck_while_it_waits_for_production_comes_there_only_when_it_works_again() {
    let mut account = Account::with("nest-demo");
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let people = "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/*\"]}\n\nenvironments:\n";
    let asked = format!("{PUSH}    approval: {{approvers: [ana], unknown_pusher: is_nobody}}\n");
    let text = text
        .replace(PUSH, &verified(60, "", ""))
        .replace("    trigger: manual\n", &asked)
        .replacen("environments:\n", people, 1);
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.create_alarm("errors");
    let before = account.definition_of(PRODUCTION, SERVICE);
    let first = before_production(&mut account, "v1.0.0");
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(1));
    let fails = account.lab.esclusa(&["recheck", "nest-demo", "development"]);
    assert_eq!(fails.code, 1, "{}{}", fails.out, fails.err);
    // Whoever is asked sees it, and it stays where it is whatever they say.
    account.pass(SignedDuration::from_mins(3));
    let asked = account.esclusa(&["approvals"]).out;
    for part in [
        "has failed verification in `development` since ",
        "check `errors`: in `ALARM`: `errors`",
        "it is seen to work there again",
    ] {
        assert!(asked.contains(part), "{asked}");
    }
    account.esclusa(&["approve", &first]);
    account.pass(SignedDuration::from_mins(30));
    assert_eq!(account.definition_of(PRODUCTION, SERVICE), before);
    assert_eq!(account.lab.path(&first).last().map(String::as_str), Some("AwaitGate"));
    // What works again goes on.
    account.say_alarm("errors", "OK");
    account.pass(SignedDuration::from_mins(1));
    account.settle();
    account.assert_release_ended(&first, "SUCCEEDED", "none", "proven");
    let before = account.definition_of(PRODUCTION, SERVICE);
    // What nobody mends within the hour is refused.
    let second = before_production(&mut account, "v1.1.0");
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(61));
    account.esclusa(&["approve", &second]);
    account.settle();
    account.assert_release_ended(&second, "FAILED", "none", "refused");
    let reasons = account.reasons();
    for part in [
        "it ended in `production`",
        "`v1.1.0` has failed verification in `development` since ",
        "run `esclusa recheck nest-demo development`",
    ] {
        assert!(reasons.contains(part), "{reasons}");
    }
    assert_eq!(account.definition_of(PRODUCTION, SERVICE), before);
    account.pass(SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

/// No alarm tells and nobody asks: what has waited for people is looked at where it came through before it goes on, and
/// again every five minutes until it works there.
#[test]
fn what_has_waited_for_people_goes_on_only_if_it_still_works_where_it_came_through() {
    const PAGE: &str = "{smoke: {steps: [{name: the page, url: \"http://nest.example.com/\"}]}}";
    let mut account = tested(PAGE);
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let people = "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/*\"]}\n\nenvironments:\n";
    let asked = format!("{PUSH}    approval: {{approvers: [ana], unknown_pusher: is_nobody}}\n");
    let text = text
        .replace(PUSH, &verified_by(PAGE))
        .replace("    trigger: manual\n", &asked)
        .replacen("environments:\n", people, 1);
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    let page = |status: u16, after_seconds: u32, for_seconds: u32| json!({"path": "/", "status": status, "after_seconds": after_seconds, "for_seconds": for_seconds});
    let breaks = json!({"programs": [], "http": [page(200, 0, 3600), page(503, 3600, 3600), page(200, 7200, 86_400)]});
    account.push_that_says("v1.0.0", Kind::Good, &[(Behaviour::ANNOTATION, &breaks.to_string())]);
    account.pass(SignedDuration::from_secs(20));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&release, "AwaitGate");
    let before = account.definition_of(PRODUCTION, SERVICE);
    // It breaks, and nobody looks.
    account.pass(SignedDuration::from_mins(90));
    assert_eq!(account.records("rechecked").len(), 0);
    account.esclusa(&["approve", &release]);
    account.pass(SignedDuration::from_mins(3));
    assert_eq!(account.definition_of(PRODUCTION, SERVICE), before);
    let told = account
        .esclusa(&["why", "nest-demo", "production", "--version", "v1.0.0"])
        .out;
    for part in [
        "has failed verification in `development` since ",
        "`the page`: status 503 instead of 200",
        "it is seen to work there again",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // It works again half an hour later, and is found to within minutes.
    account.settle();
    account.assert_release_ended(&release, "SUCCEEDED", "none", "proven");
    let looks: Vec<(Timestamp, bool)> = account
        .records("rechecked")
        .iter()
        .map(|record| {
            (
                record["at"].as_str().unwrap().parse().unwrap(),
                record["body"]["holds"].as_bool().unwrap(),
            )
        })
        .collect();
    let [failed @ .., (before, false), (restored, true)] = &looks[..] else {
        panic!("{looks:?}")
    };
    assert!(
        !failed.is_empty() && failed.iter().all(|(_, holds)| !holds),
        "{looks:?}"
    );
    assert!(
        restored.duration_since(*before) < SignedDuration::from_mins(6),
        "{looks:?}"
    );
    account.pass(SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

/// An environment that is pushed to and verified by this check for a minute.
fn verified_by(measure: &str) -> String {
    format!(
        "{PUSH}    verification:\n      soak_seconds: 60\n      checks:\n        smoke:\n          measure: {measure}\n          pace: {{interval_seconds: 20, count: 1, failure_limit: 1}}\n"
    )
}

/// An account with such an environment, with an endpoint at the service.
fn tested(measure: &str) -> Account {
    let mut account = Account::edited("nest-demo", PUSH, &verified_by(measure));
    let site = Site {
        cluster: CLUSTER.to_owned(),
        service: SERVICE.to_owned(),
        container: "nestapp".to_owned(),
    };
    let kernel = account.lab.world_mut().kernel_mut();
    kernel.sites.hosts.insert("nest.example.com".to_owned(), site);
    account
}

/// Pushes an image whose containers answer so, and waits for the end.
fn push_that_answers(account: &mut Account, tag: &str, pages: &Value) {
    account.release_that_behaves(tag, &json!({"programs": [], "http": pages}));
}

#[test]
fn a_smoke_test_is_passed_once_and_names_the_step_that_fails() {
    let mut account = tested(
        r#"{smoke: {steps: [{name: the page, url: "http://nest.example.com/"}, {name: a task is made, method: POST, url: "http://nest.example.com/tasks", body: {title: "for ${environment}", done: false}, status: 201, contains: title}]}}"#,
    );
    let page = |path: &str, status: u16, body: &str| json!({"path": path, "status": status, "body": body});
    let good = json!([
        page("/", 200, "<html>"),
        page("/tasks", 201, "{\"title\":\"for development\"}")
    ]);
    push_that_answers(&mut account, "v1.0.0", &good);
    account.assert_ended("SUCCEEDED", "none", "proven");
    let looks = account.records("checks_measured");
    let measured = looks.iter().filter(|look| measured(look, "smoke").is_some());
    assert_eq!(measured.count(), 1, "it is passed once");
    let broken = json!([page("/", 200, "<html>"), page("/tasks", 500, "no connection")]);
    push_that_answers(&mut account, "v1.1.0", &broken);
    account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
    let reasons = account.reasons();
    let why = "check `smoke`: it failed 2 times: `a task is made`: status 500 instead of 201";
    assert!(reasons.contains(why), "{reasons}");
    account.assert_left("FREE");
}

#[test]
fn a_function_that_throws_takes_the_release_back_and_says_why() {
    let mut account = tested("{function: {name: nest-smoke-test, payload: {depth: 2}}}");
    let tests: Handler = Rc::new(|payload: Value, _| {
        Box::pin(async move {
            let digests = payload["images"].as_object().map_or(0, serde_json::Map::len);
            let told = (&payload["environment"], &payload["payload"]["depth"], digests);
            assert_eq!(told, (&json!("development"), &json!(2), 1));
            match payload["releaseId"].as_str() {
                Some(release) if release.starts_with("nest-demo-") => Ok(json!({})),
                _ => Err(FunctionError::new("AssertionError", "no release is named")),
            }
        })
    });
    let (lambda, _) = account.lab.world_mut().service_mut::<Lambda>().unwrap();
    lambda.register("nest-smoke-test", tests);
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "none", "proven");
    let fails: Handler = Rc::new(|_, _| {
        Box::pin(async move { Err(FunctionError::new("AssertionError", "the cart is empty after `add`")) })
    });
    let (lambda, _) = account.lab.world_mut().service_mut::<Lambda>().unwrap();
    lambda.register("nest-smoke-test", fails);
    account.release("v1.1.0", Kind::Good);
    account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
    let reasons = account.reasons();
    assert!(
        reasons.contains("the function failed: the cart is empty after `add`"),
        "{reasons}"
    );
    account.assert_left("FREE");
}
