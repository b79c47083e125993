//! What was deployed is looked at until it has worked for long enough, or is found not to.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};

use crate::path::{self, ANOTHER_LOOK, FIRST_LOOK, NEXT, SERVICE, VERIFIED};
use crate::support::{Account, measured};

const CLUSTER: &str = "nest-demo-development";

/// An account whose environment is verified: five healthy minutes, looked at every minute, with an alarm.
fn verified() -> Account {
    let mut account = Account::edited(
        "nest-demo",
        "    trigger: push\n",
        "    trigger: push\n    verification:\n      soak_seconds: 300\n      services: {interval_seconds: 60}\n      checks:\n        errors:\n          measure: {alarms: [errors]}\n          pace: {interval_seconds: 60, failing_seconds: 120}\n",
    );
    account.create_alarm("errors");
    account
}

/// The last pause between two looks is nobody's any more once a sweep has seen it.
fn assert_left(account: &mut Account) {
    account.pass(SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

/// Pushes an image whose servers run for so long and exit.
fn push_that_exits(account: &mut Account, tag: &str, after_seconds: u32) {
    let program = json!({"container": "nestapp", "outcome": "exit", "after_seconds": after_seconds, "code": 1});
    account.release_that_behaves(tag, &json!({"programs": [program]}));
}

#[test]
fn a_release_that_works_for_five_minutes_is_good_and_every_look_is_in_the_ledger() {
    let mut account = verified();
    account.release("v1.0.0", Kind::Good);
    let opening = path::opening(1);
    let mut segments = vec![opening.as_slice(), SERVICE, NEXT, FIRST_LOOK];
    segments.extend([ANOTHER_LOOK; 5]);
    segments.push(VERIFIED);
    account.assert_deployment_path("development", &segments);
    account.assert_ended("SUCCEEDED", "none", "proven");
    let looks = account.records("checks_measured");
    let shown: Vec<&Value> = looks
        .iter()
        .map(|look| &measured(look, "errors").unwrap()["outcome"])
        .collect();
    assert_eq!(shown, ["pass"; 6]);
    assert_eq!(looks[5]["body"]["end"]["end"], "passed");
    // The pointer by which the alarm's events find it is kept as long as its plan, and written anew by each that
    // follows.
    let expires = |account: &Account| {
        let watches = account.rows("ALARM#errors");
        assert_eq!(watches.len(), 1, "{watches:#?}");
        watches[0]["expires_at"].as_i64().unwrap()
    };
    let first = expires(&account);
    assert!(first > account.lab.world().now().as_second() + 399 * 86_400, "{first}");
    account.pass(SignedDuration::from_hours(24));
    account.release("v1.1.0", Kind::Good);
    assert!(expires(&account) > first + 86_400);
    assert_left(&mut account);
}

#[test]
fn an_alarm_during_the_soak_takes_the_release_back_and_its_image_goes_nowhere_again() {
    let mut account = verified();
    account.release("v1.0.0", Kind::Good);
    let before = account.definition_of(CLUSTER, "nest-demo");
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_mins(4));
    let status = account.esclusa(&["status", "nest-demo"]).out;
    assert!(status.contains("verifying: healthy since"), "{status}");
    account.say_alarm("errors", "ALARM");
    account.settle();
    account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
    let reasons = account.reasons();
    assert!(
        reasons.contains("check `errors`: it failed for 120 seconds: in `ALARM`: `errors`"),
        "{reasons}"
    );
    assert_eq!(account.definition_of(CLUSTER, "nest-demo"), before);
    let quarantined = account.esclusa(&["quarantine"]).out;
    assert!(quarantined.contains("v1.1.0"), "{quarantined}");
    assert_left(&mut account);
}

/// A container that works for a while and exits, without a health check: ECS calls the rollout complete and starts the
/// task again and again.
#[test]
fn a_crash_loop_that_ecs_does_not_see_is_no_success() {
    let mut account = verified();
    account.release("v1.0.0", Kind::Good);
    let before = account.definition_of(CLUSTER, "nest-demo");
    push_that_exits(&mut account, "v1.1.0", 100);
    account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
    let reasons = account.reasons();
    assert!(
        reasons.contains("check `services`") && reasons.contains("stopped of themselves"),
        "{reasons}"
    );
    // What ECS forgets within the hour is kept.
    let evidence = account.records("evidence");
    let [of_service] = &evidence[..] else {
        panic!("there is one service: {evidence:#?}")
    };
    let body = &of_service["body"];
    let sentence = body["sentence"].as_str().unwrap();
    assert!(sentence.contains("ends with exit code 1"), "{sentence}");
    assert_eq!((&body["name"], &body["blame"]), (&json!("nestapp"), &json!("release")));
    assert_ne!((&body["tasks"], &body["messages"]), (&json!([]), &json!([])));
    assert_eq!(account.definition_of(CLUSTER, "nest-demo"), before);
    assert_left(&mut account);
}

/// F54: what would take the release back is known before anything moves.
#[test]
fn an_alarm_of_a_check_that_fires_already_is_told_before_anything_moves() {
    let mut account = verified();
    account.say_alarm("errors", "ALARM");
    account.forget_calls();
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    account.assert_acts(&[]);
    let reasons = account.reasons();
    assert!(
        reasons.contains("the check `errors` of the verification would roll the release back"),
        "{reasons}"
    );
    account.say_alarm("errors", "OK");
    account.push("v1.1.0", Kind::Good);
    account.settle();
    account.assert_release_ended(&account.releases().pop().unwrap(), "SUCCEEDED", "none", "proven");
}

/// F94: of a service that runs nothing nobody has seen that it works.
#[test]
fn a_service_that_wants_no_task_during_the_soak_is_never_called_verified() {
    let mut account = verified();
    account.push("v1.0.0", Kind::Good);
    account.pass(SignedDuration::from_mins(4));
    let nothing = json!({"cluster": CLUSTER, "service": "nest-demo", "desiredCount": 0});
    account.administer("ecs", "UpdateService", nothing);
    account.settle();
    let looks = account.records("checks_measured");
    let said = looks.iter().rev().find_map(|look| measured(look, "services")).unwrap();
    assert_eq!(
        (&said["outcome"], &said["sentence"]),
        (&json!("inconclusive"), &json!("`nest-demo` has the desired count 0"))
    );
    assert_eq!(looks.last().unwrap()["body"]["end"]["end"], "failed");
    account.assert_ended("ROLLED_BACK", "reverted", "not_verified");
}

/// A service that scales has fewer tasks than it wants for a while: that says nothing about the release.
#[test]
fn a_service_that_scales_during_the_soak_begins_it_again_and_is_not_taken_back() {
    let mut account = verified();
    account.push("v1.0.0", Kind::Good);
    account.pass(SignedDuration::from_mins(4));
    account.run_out_of_capacity(SignedDuration::from_mins(3));
    let scale = json!({"cluster": CLUSTER, "service": "nest-demo", "desiredCount": 2});
    account.administer("ecs", "UpdateService", scale);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    let looks = account.records("checks_measured");
    let shown = |look: &Value| measured(look, "services").unwrap()["outcome"].clone();
    assert!(looks.iter().any(|look| shown(look) == "inconclusive"), "{looks:#?}");
}

/// Somebody else brings the service to another revision while it soaks: that is not fought, and is no failure of the
/// image.
#[test]
fn a_service_that_somebody_moves_during_the_soak_stays_where_it_was_brought() {
    let mut account = verified();
    account.release("v1.0.0", Kind::Good);
    let before = account.definition_of(CLUSTER, "nest-demo");
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_mins(5));
    let moved = json!({"cluster": CLUSTER, "service": "nest-demo", "taskDefinition": before});
    account.administer("ecs", "UpdateService", moved);
    account.settle();
    account.assert_ended("FAILED", "none", "foreign_change");
    assert_eq!(account.definition_of(CLUSTER, "nest-demo"), before);
    assert_left(&mut account);
}

#[test]
fn a_check_whose_alarm_does_not_exist_is_refused_before_anything_moves() {
    let mut account = verified();
    account.administer("monitoring", "DeleteAlarms", json!({"AlarmNames": ["errors"]}));
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    account.assert_acts(&[]);
    let reasons = account.reasons();
    assert!(reasons.contains("`errors`, which does not exist"), "{reasons}");
}

/// Nobody can tell whether it works: it is taken back, and nothing is said against the image.
#[test]
fn a_release_that_cannot_be_seen_to_work_is_taken_back_and_its_image_may_come_again() {
    let mut account = verified();
    account.release("v1.0.0", Kind::Good);
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_mins(4));
    account.say_alarm("errors", "INSUFFICIENT_DATA");
    account.settle();
    account.assert_ended("ROLLED_BACK", "reverted", "not_verified");
    let quarantined = account.esclusa(&["quarantine"]).out;
    assert!(!quarantined.contains("v1.1.0"), "{quarantined}");
    assert_left(&mut account);
}

/// The environments of an application whose smoke test is a one-off task with the released image: production follows
/// development, and both say besides what comes of it.
fn tested_by_a_task(besides: &str) -> Account {
    let mut account = Account::with("nest-demo");
    let mut text = std::fs::read_to_string(&account.example.file).unwrap();
    let network = "network: {subnets: [subnet-0d00000000000001a], security_groups: [sg-0d00000000000001a]}";
    let task = "tasks:\n  smoke:\n    run: after_services\n    task_definition: nestapp\n    idempotent: true\n    timeout_seconds: 300\n    containers:\n      nestapp: {command: [npm, run, smoke]}\n\nservices:\n  nestapp:\n    service";
    for (from, to) in [
        ("services:\n  nestapp:\n    service", task),
        (
            "    trigger: push\n",
            &format!("    trigger: push\n    {network}\n    {besides}\n"),
        ),
        (
            "    trigger: manual\n",
            &format!("    trigger: push\n    {network}\n    {besides}\n"),
        ),
    ] {
        assert_eq!(text.matches(from).count(), 1, "`{from}`");
        text = text.replace(from, to);
    }
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    push_with_a_smoke_test(&mut account, "v1.0.0", 0);
    account.assert_ended("SUCCEEDED", "none", "proven");
    account
}

/// Pushes an image whose smoke test ends with this exit code, and waits for the end.
fn push_with_a_smoke_test(account: &mut Account, tag: &str, code: u32) {
    let log = if code == 0 {
        "3 endpoints answer"
    } else {
        "GET /orders: 500"
    };
    let program =
        json!({"command_contains": "smoke", "outcome": "exit", "after_seconds": 20, "code": code, "log": [log]});
    account.release_that_behaves(tag, &json!({"programs": [program]}));
}

#[test]
fn a_smoke_test_that_is_a_task_takes_the_release_back_and_ends_its_promotion() {
    let mut account = tested_by_a_task("on_failure: roll_back");
    let before = account.definition_of(CLUSTER, "nest-demo");
    let runs = account.ecs_calls("RunTask").len();
    assert_eq!(runs, 2, "once in each environment, after its service");
    push_with_a_smoke_test(&mut account, "v1.1.0", 1);
    account.assert_ended("ROLLED_BACK", "reverted", "task_failed");
    let reasons = account.reasons();
    assert!(
        reasons.contains("`smoke`: container `nestapp`") && reasons.contains("exit code 1"),
        "{reasons}"
    );
    assert_eq!(account.definition_of(CLUSTER, "nest-demo"), before);
    assert_eq!(account.ecs_calls("RunTask").len(), runs + 1, "it comes no further");
    let quarantined = account.esclusa(&["quarantine"]).out;
    assert!(quarantined.contains("v1.1.0"), "{quarantined}");
    assert_left(&mut account);
}

#[test]
fn a_smoke_test_that_is_a_task_leaves_everything_as_it_is_where_that_is_declared() {
    let mut account = tested_by_a_task("on_failure: stop");
    let before = account.definition_of(CLUSTER, "nest-demo");
    push_with_a_smoke_test(&mut account, "v1.1.0", 1);
    account.assert_ended("FAILED", "partial", "task_failed");
    assert_ne!(account.definition_of(CLUSTER, "nest-demo"), before);
    let lock = ("environment/nest-demo/development".to_owned(), "QUARANTINED".to_owned());
    assert!(account.locks().contains(&lock), "{:?}", account.locks());
}

/// What a check makes of the end of a task: nothing but a record, the way back, or a question.
#[test]
fn a_check_says_what_the_end_of_a_task_means() {
    let judged = |reaction: &str| {
        let check = format!("smoke: {{measure: {{task: smoke}}, reaction: {reaction}}}");
        tested_by_a_task(&format!("verification: {{soak_seconds: 60, checks: {{{check}}}}}"))
    };
    let shown = "`smoke` fail: container `nestapp` failed with exit code 1";
    for (reaction, (verdict, effect, reason)) in [
        ("report", ("SUCCEEDED", "none", "proven")),
        ("rollback", ("ROLLED_BACK", "reverted", "verification_failed")),
        (
            "ask, ask: {answer_seconds: 600, unanswered: keep}",
            ("SUCCEEDED", "none", "proven"),
        ),
        (
            "ask, ask: {answer_seconds: 600, unanswered: rollback}",
            ("ROLLED_BACK", "reverted", "verification_failed"),
        ),
    ] {
        let mut account = judged(reaction);
        push_with_a_smoke_test(&mut account, "v1.1.0", 1);
        account.assert_ended(verdict, effect, reason);
        let release = account.releases().pop().unwrap();
        let audit = account.esclusa(&["audit", "--release", &release]).out;
        assert!(audit.contains(shown), "{reaction}: {audit}");
        assert_left(&mut account);
    }
}

/// What somebody calls an image, a database, a task, a service or a check is a value in the ledger: it may be a word that
/// no member of a record has.
#[test]
fn everything_may_be_named_by_a_word_that_the_ledger_refuses_as_a_member() {
    let mut account = Account::with("imagy-catalog");
    let mut text = std::fs::read_to_string(&account.example.file).unwrap();
    for (from, to) in [
        (
            "images:\n  app:",
            "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/administrator\"]}\n\nimages:\n  token:",
        ),
        ("image: app", "image: token"),
        ("databases:\n  catalog:", "databases:\n  secret:"),
        ("database: catalog", "database: secret"),
        ("      catalog: {restore", "      secret: {restore"),
        ("tasks:\n  migrate:", "tasks:\n  password:"),
        ("services:\n  api:", "services:\n  authorization:"),
        ("      api: {start_count", "      authorization: {start_count"),
        (
            "    variables: {aspnetcore: Development",
            "    acknowledgements: {task-token: {person: {that: it is the right one}}}\n    verification:\n      soak_seconds: 60\n      checks:\n        signature: {measure: {alarms: [errors]}}\n    variables: {aspnetcore: Development",
        ),
    ] {
        assert!(text.contains(from), "`{from}`");
        text = text.replace(from, to);
    }
    account.create_alarm("errors");
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.push("v1.0.0", Kind::Good);
    account.pass(SignedDuration::from_mins(10));
    let release = account.only_release();
    account.esclusa(&["acknowledge", &release, "task-token"]);
    account.settle();
    account.assert_release_ended(&release, "SUCCEEDED", "schema_moved", "proven");
    let looks = account.records("checks_measured");
    assert_eq!(measured(&looks[0], "signature").unwrap()["outcome"], "pass");
    account.esclusa(&["pin", "imagy-catalog", "develop", "--reason", "the audit"]);
    let decided = account.records("person_decided");
    let pinned = decided
        .iter()
        .find(|record| record["body"]["decision"] == "pin")
        .unwrap();
    assert_eq!(pinned["body"]["images"][0]["image"], "token", "{pinned:#}");
}

/// More alarms than DynamoDB takes rows in one transaction.
#[test]
fn a_verification_may_watch_more_alarms_than_a_transaction_has_rows() {
    let alarms: Vec<String> = (0..120).map(|number| format!("errors-{number}")).collect();
    let checks = alarms.chunks(40).enumerate();
    let checks =
        checks.map(|(at, alarms)| format!("        of-{at}: {{measure: {{alarms: [{}]}}}}\n", alarms.join(", ")));
    let verification = format!(
        "    verification:\n      soak_seconds: 60\n      checks:\n{}",
        checks.collect::<String>()
    );
    let trigger = "    trigger: push\n";
    let mut account = Account::edited("nest-demo", trigger, &format!("{trigger}{verification}"));
    for alarm in &alarms {
        account.create_alarm(alarm);
    }
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "none", "proven");
    assert_eq!(account.rows("ALARM#").len(), alarms.len());
}
