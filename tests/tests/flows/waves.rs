//! Environments that go together: at the same time, none before all of them can be planned, and the first bad one stops
//! those that have not begun.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::{FunctionError, FunctionFault, Selector};

use crate::path::{self, CLOSED};
use crate::planning::latest;
use crate::support::Account;

/// The platform guide's service, whose develop and staging environments go together. `of_staging` is said of staging
/// besides.
fn together(of_staging: &str) -> Account {
    let mut account = Account::with("imagy-catalog");
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let text = text
        .replacen("    trigger: push\n", "    trigger: push\n    wave: early\n", 1)
        .replacen(
            "  - name: staging\n    trigger: push\n",
            &format!("  - name: staging\n    trigger: push\n    wave: early\n{of_staging}"),
            1,
        );
    assert_eq!(text.matches("wave: early").count(), 2, "{text}");
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account
}

/// When each deployment of the last release began and ended, by its environment.
fn spans(account: &Account) -> Vec<(String, String, String)> {
    let of = |kind: &str| -> Vec<(String, String)> {
        let part = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
        account
            .records(kind)
            .iter()
            .map(|record| (part(record, "environment"), part(record, "at")))
            .collect()
    };
    let ended = of("deployment_ended");
    of("deployment_started")
        .into_iter()
        .map(|(environment, began)| {
            let (_, end) = ended.iter().find(|(known, _)| *known == environment).unwrap();
            (environment, began, end.clone())
        })
        .collect()
}

#[test]
fn environments_of_a_wave_are_deployed_at_the_same_time_and_the_next_waits_for_both() {
    let mut account = together("");
    let release = account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let spans = spans(&account);
    let [(_, first_began, first_ended), (_, second_began, second_ended)] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert!(second_began < first_ended && first_began < second_ended, "{spans:?}");
    let mut path = account.lab.path(&account.only_release());
    let alone = path::release(1);
    let (wave, each) = alone.split_at(5);
    for state in each.iter().chain(&CLOSED[..1]) {
        let at = path.iter().position(|entered| entered == state).unwrap();
        path.remove(at);
    }
    let rest: Vec<&str> = wave.iter().chain(each).chain(CLOSED).copied().collect();
    path.sort();
    let mut expected: Vec<String> = rest.into_iter().map(str::to_owned).collect();
    expected.sort();
    assert_eq!(path, expected, "each environment took its way once");
    let told = account.esclusa(&["status", "--release", &account.only_release()]).out;
    assert!(
        told.contains("develop") && told.contains("staging") && release.starts_with("sha256:"),
        "{told}"
    );
    account.assert_left("FREE");
}

#[test]
fn what_cannot_be_planned_in_one_environment_begins_in_none_of_its_wave() {
    let mut account = together("");
    account.administer(
        "ecs",
        "DeleteService",
        json!({"cluster": "imagy-staging", "service": "imagy-catalog", "force": true}),
    );
    account.forget_calls();
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    account.assert_acts(&[]);
    let reasons = account.reasons();
    assert!(reasons.contains("`staging`: "), "{reasons}");
    account.assert_left("FREE");
}

#[test]
fn an_environment_that_waits_does_not_begin_any_more_when_another_one_of_its_wave_fails() {
    let gate = "    acknowledgements: {dashboard: {person: {that: the dashboard was looked at}}}\n";
    let mut account = together(gate);
    account.push("v1.0.0", Kind::CrashLoop);
    account.settle();
    account.assert_ended("ROLLED_BACK", "schema_moved", "rollout_failed");
    let release = account.only_release();
    let status = account.status(&release);
    let staging = status["environments"]
        .as_array()
        .unwrap()
        .iter()
        .find(|known| known["name"] == "staging" || known["environment"] == "staging");
    let staging = staging.unwrap().to_string();
    assert!(
        staging.contains("REJECTED") && staging.contains("wave_failed"),
        "{staging}"
    );
    assert_eq!(account.ecs_calls("RunTask").len(), 1, "only develop has begun");
    account.pass(SignedDuration::from_mins(5));
    account.assert_left("FREE");
}

/// One that is at work when another one fails comes to its own end.
#[test]
fn an_environment_that_has_begun_goes_on_when_another_one_of_its_wave_is_stopped_at_its_gate() {
    let gate = "    approval: {approvers: [ana], unknown_pusher: is_nobody}\n";
    let mut account = Account::with("imagy-catalog");
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let text = text
        .replacen("    trigger: push\n", "    trigger: push\n    wave: early\n", 1)
        .replacen(
            "  - name: staging\n    trigger: push\n",
            &format!("  - name: staging\n    trigger: push\n    wave: early\n{gate}"),
            1,
        )
        .replacen(
            "environments:\n",
            "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/*\"]}\n\nenvironments:\n",
            1,
        );
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.push("v1.0.0", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-develop-1"), "AwaitTask");
    account.esclusa(&["reject", &release, "--reason", "not today"]);
    account.settle();
    account.assert_ended("REJECTED", "none", "rejected");
    let ended: Vec<String> = account
        .records("deployment_ended")
        .iter()
        .map(|record| {
            format!(
                "{} {}",
                record["environment"].as_str().unwrap(),
                record["body"]["end"]["verdict"].as_str().unwrap()
            )
        })
        .collect();
    assert!(
        ended.contains(&"develop SUCCEEDED".to_owned()) && ended.contains(&"staging REJECTED".to_owned()),
        "{ended:?}"
    );
    account.pass(SignedDuration::from_mins(5));
    account.assert_left("FREE");
}

/// The plan of every environment changes, and cannot be made again.
fn plan_changes_and_is_refused(account: &mut Account) {
    let mut base = latest(account, "imagy-catalog-migrations");
    base["cpu"] = json!("1024");
    base["memory"] = json!("2048");
    account.administer("ecs", "RegisterTaskDefinition", base);
    let again = Selector {
        payload: vec![
            ("/action".to_owned(), json!("plan_wave")),
            ("/attempt".to_owned(), json!(2)),
        ],
        ..Selector::operation("lambda", "Invoke")
    };
    let refused = FunctionFault::FailsBefore(FunctionError::new("Refused", "the account is another one now"));
    account.lab.world_mut().add_function_fault(again, refused);
}

/// What breaks the way of both environments is one reason of the end of their release, whose execution closes as any
/// other.
#[test]
fn two_environments_that_cannot_be_planned_again_end_one_release() {
    let mut account = together("");
    account.push("v1.0.0", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&release, "StartDeployment");
    plan_changes_and_is_refused(&mut account);
    account.settle();
    account.assert_ended("FAILED", "none", "plan_changed");
    account.assert_acts(&[]);
    let path = account.lab.path(&release);
    assert_eq!(path.last().map(String::as_str), Some("Closed"));
    assert_eq!(path.iter().filter(|state| *state == "PlanAgain").count(), 2, "{path:?}");
    account.assert_left("FREE");
}

#[test]
fn an_environment_of_a_wave_that_could_not_be_planned_again_for_an_hour_stops_the_others() {
    let gate = "    acknowledgements: {dashboard: {person: {that: the dashboard was looked at}}}\n";
    let mut account = together(gate);
    account.push("v1.0.0", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-develop-1"), "AcquireLocks");
    plan_changes_and_is_refused(&mut account);
    account.pass(SignedDuration::from_mins(50));
    assert!(
        account
            .records("deployment_ended")
            .iter()
            .all(|record| record["environment"] == "develop")
    );
    account.settle();
    account.assert_ended("FAILED", "none", "plan_changed");
    let staging = account.status(&release)["environments"].to_string();
    assert!(staging.contains("wave_failed"), "{staging}");
    account.assert_acts(&[]);
}
