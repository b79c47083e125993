//! What keeps a release before an environment, and who lets it in.

use jiff::{SignedDuration, Timestamp};
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::{Fault, FaultKind, FunctionError, FunctionFault, Selector};

use crate::support::Account;

/// Where the first environment begins to say how it is deployed to.
const PUSH: &str = "    trigger: push\n";

/// The principal of the command line in these accounts.
pub(crate) const CALLER: &str = "arn:aws:iam::123456789012:user/*";

/// The pipeline of an account with these gates of its environment. `people` are the IAM principals of `ana` and `luis`.
pub(crate) fn with_gates(account: &Account, gates: &str, people: [&str; 2]) -> String {
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let [ana, luis] = people;
    let people = format!("people:\n  ana: {{iam: [\"{ana}\"]}}\n  luis: {{iam: [\"{luis}\"]}}\n\nenvironments:\n");
    text.replace(PUSH, &format!("{PUSH}{gates}"))
        .replacen("environments:\n", &people, 1)
}

/// Has an account use a pipeline from now on.
pub(crate) fn apply(account: &mut Account, text: &str) {
    let file = account.written(text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
}

/// An account whose environment has these gates.
pub(crate) fn gated(gates: &str, people: [&str; 2]) -> Account {
    let mut account = Account::with("nest-demo");
    let text = with_gates(&account, gates, people);
    apply(&mut account, &text);
    account
}

/// Pushes a version and waits until it stands at a gate. Its release.
pub(crate) fn pushed(account: &mut Account, tag: &str) -> String {
    account.push(tag, Kind::Good);
    account.pass(SignedDuration::from_secs(30));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&release, "AwaitGate");
    account.pass(SignedDuration::from_secs(5));
    release
}

/// When the deployment of a release began.
pub(crate) fn began_at(account: &Account, release: &str) -> Timestamp {
    let records = account.records("deployment_started");
    let record = records.iter().find(|record| record["release_id"] == release).unwrap();
    record["at"].as_str().unwrap().parse().unwrap()
}

/// The last wait at a gate is nobody's any more once a sweep has seen it.
pub(crate) fn assert_left(account: &mut Account) {
    account.pass(SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

pub(crate) const APPROVAL: &str = "    approval: {approvers: [ana, luis], unknown_pusher: is_nobody}\n";

#[test]
fn a_release_waits_until_somebody_who_may_agrees() {
    let mut account = gated(APPROVAL, [CALLER, "nobody"]);
    let release = pushed(&mut account, "v1.0.0");
    account.assert_acts(&[]);
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(
        waiting.contains(&release) && waiting.contains("1 of `ana`, `luis` must agree"),
        "{waiting}"
    );
    account.pass(SignedDuration::from_hours(24 * 5));
    account.esclusa(&["approve", &release, "--reason", "seen in staging"]);
    let again = account.lab.esclusa(&["approve", &release]);
    assert!(
        again.code == 1 && again.err.contains("already said so"),
        "{}{}",
        again.out,
        again.err
    );
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    let told = account.esclusa(&["audit", "--release", &release]).out;
    assert!(told.contains("must agree") && told.contains("`ana` agreed"), "{told}");
    let decided = account.records("person_decided");
    assert_eq!((decided.len(), &decided[0]["body"]["person"]), (1, &json!("ana")));
    let too_late = account.lab.esclusa(&["approve", &release]);
    assert!(
        too_late.code == 1 && too_late.err.contains("is not waiting at a gate"),
        "{}",
        too_late.err
    );
    assert_left(&mut account);
}

#[test]
fn who_may_not_decide_is_told_so_and_one_no_of_who_may_ends_the_release() {
    let mut account = gated(APPROVAL, ["arn:aws:iam::123456789012:user/ana-elsewhere", "nobody"]);
    let release = pushed(&mut account, "v1.0.0");
    let refused = account.lab.esclusa(&["approve", &release]);
    assert!(
        refused.code == 1 && refused.err.contains("may not decide about"),
        "{}",
        refused.err
    );
    let tried = account.records("decision_refused");
    assert_eq!(
        (tried.len(), &tried[0]["release_id"]),
        (1, &json!(release)),
        "{tried:?}"
    );
    let mut account = gated(APPROVAL, ["nobody", CALLER]);
    let release = pushed(&mut account, "v1.0.0");
    let silent = account.lab.esclusa(&["reject", &release]);
    assert!(silent.err.contains("--reason <REASON>"), "{}", silent.err);
    account.esclusa(&["reject", &release, "--reason", "not before the audit"]);
    account.settle();
    account.assert_ended("REJECTED", "none", "rejected");
    assert!(
        account.reasons().contains("`luis`: not before the audit"),
        "{}",
        account.reasons()
    );
    account.assert_acts(&[]);
    assert_left(&mut account);
}

/// Whoever asks for a release needs somebody else.
#[test]
fn nobody_agrees_with_a_wish_of_their_own() {
    let mut account = gated(APPROVAL, [CALLER, "nobody"]);
    let release = pushed(&mut account, "v1.0.0");
    account.esclusa(&["approve", &release]);
    account.settle();
    account.esclusa(&["deploy", "nest-demo", "development", "v1.0.0", "--no-wait"]);
    account.settle();
    account.assert_ended("UNCHANGED", "none", "nothing_to_do");
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_secs(30));
    let pushed = account.releases().pop().unwrap();
    account.esclusa(&["deploy", "nest-demo", "development", "v1.1.0", "--no-wait"]);
    account.pass(SignedDuration::from_mins(5));
    let mine = account
        .releases()
        .into_iter()
        .find(|id| *id != pushed && *id != release)
        .unwrap();
    let waiting = account.esclusa(&["approvals"]).out;
    let asked = account
        .releases()
        .into_iter()
        .rfind(|id| waiting.contains(id))
        .unwrap_or(mine);
    let refused = account.lab.esclusa(&["approve", &asked]);
    assert!(
        refused.code == 1 && refused.err.contains("requested this release"),
        "{}{}",
        refused.out,
        refused.err
    );
}

#[test]
fn nobody_who_pushed_is_known_so_that_one_more_must_agree() {
    let raised = "    approval: {approvers: [ana, luis]}\n";
    let mut account = gated(raised, [CALLER, "nobody"]);
    let release = pushed(&mut account, "v1.0.0");
    account.esclusa(&["approve", &release]);
    account.pass(SignedDuration::from_mins(10));
    account.assert_acts(&[]);
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(waiting.contains("1 of `luis` must agree; `ana` agreed"), "{waiting}");
}

/// The accounts begin on a Monday at nine in the morning, UTC.
#[test]
fn a_window_opens_by_itself_and_what_was_agreed_before_is_remembered() {
    let gates = format!(
        "    windows:\n      zone: America/Lima\n      allow: [{{days: [mon, tue, wed, thu], from: \"10:00\", to: \"16:00\"}}]\n{APPROVAL}"
    );
    let mut account = gated(&gates, [CALLER, "nobody"]);
    let release = pushed(&mut account, "v1.0.0");
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(waiting.contains("outside the windows"), "{waiting}");
    account.esclusa(&["approve", &release]);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    let began: Timestamp = began_at(&account, &release);
    let opens: Timestamp = "2026-11-02T15:00:00Z".parse().unwrap();
    let late = began.duration_since(opens);
    assert!(
        !late.is_negative() && late < SignedDuration::from_secs(30),
        "it began at {began}"
    );
    assert_left(&mut account);
}

#[test]
fn a_night_that_is_allowed_once_lets_in_and_an_hour_of_it_that_is_denied_every_week_does_not() {
    let gates = "    windows:\n      zone: UTC\n      allow:\n        - {days: [thu], from: \"10:00\", to: \"16:00\"}\n        \
                 - {from: \"2026-11-02T22:00\", to: \"2026-11-03T04:00\", reason: the migration night}\n      deny:\n        \
                 - {days: [mon], from: \"21:00\", to: \"23:00\", reason: the backup}\n";
    let mut account = gated(gates, [CALLER, "nobody"]);
    let told = account.esclusa(&["when", "nest-demo", "v1.0.0"]).out;
    assert!(told.contains("`development` at 2026-11-02 23:00:00Z"), "{told}");
    let release = pushed(&mut account, "v1.0.0");
    let waiting = account.esclusa(&["approvals"]).out;
    let closed = "window: outside the windows of the environment (until 2026-11-02 23:00:00Z)";
    assert!(waiting.contains(closed), "{waiting}");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    let late = began_at(&account, &release).duration_since("2026-11-02T23:00:00Z".parse().unwrap());
    assert!(!late.is_negative() && late < SignedDuration::from_secs(30), "{late}");
    let told = account.esclusa(&["audit", "--release", &release]).out;
    assert!(told.contains("the window is open: the migration night"), "{told}");
    // After that night it is Thursday.
    account.esclusa(&["freeze", "--until", "2026-11-03T05:00Z", "--reason", "an outage"]);
    let told = account.esclusa(&["when", "nest-demo", "v1.1.0"]).out;
    assert!(told.contains("`development` at 2026-11-05 10:00:00Z"), "{told}");
    let never = gates.replace("21:00\", to: \"23:00", "21:00\", to: \"05:00");
    let file = account.written(&with_gates(&account, &never, [CALLER, "nobody"]));
    let refused = account.lab.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    let told = ["it never opens", "environments[0].windows.allow[1]"];
    assert!(
        refused.code == 2 && told.iter().all(|told| refused.err.contains(told)),
        "{}",
        refused.err
    );
}

#[test]
fn nobody_in_time_is_the_end_and_a_newer_release_takes_the_place_of_one_that_waits() {
    let expiring = "    approval: {approvers: [ana], unknown_pusher: is_nobody, expires_open_hours: 2}\n";
    let mut account = gated(expiring, [CALLER, "nobody"]);
    pushed(&mut account, "v1.0.0");
    account.settle();
    account.assert_ended("EXPIRED", "none", "expired");
    assert_left(&mut account);
    // Nobody asks the gates for a while, and the time to agree is over all the same.
    let mut account = gated(expiring, [CALLER, "nobody"]);
    let release = pushed(&mut account, "v1.0.0");
    let away = FunctionFault::FailsBefore(FunctionError::new("Lambda.ServiceException", "it is away"));
    account.pass(SignedDuration::from_mins(119));
    let now = account.lab.world().now();
    let asks = Selector {
        payload: vec![("/action".to_owned(), json!("ask_gates"))],
        between: Some((now, now + SignedDuration::from_mins(10))),
        ..Selector::operation("lambda", "Invoke")
    };
    account.lab.world_mut().add_function_fault(asks, away);
    account.pass(SignedDuration::from_mins(2));
    let late = account.lab.esclusa(&["approve", &release]);
    assert!(
        late.code == 1 && late.err.contains("within 2 open hours, and they are over"),
        "{}",
        late.err
    );
    account.settle();
    account.assert_ended("EXPIRED", "none", "expired");
    let mut account = gated(APPROVAL, [CALLER, "nobody"]);
    pushed(&mut account, "v1.0.0");
    let newer = pushed(&mut account, "v1.1.0");
    account.esclusa(&["approve", &newer]);
    account.pass(SignedDuration::from_hours(25));
    account.settle();
    account.assert_all_ended(&["SUPERSEDED none superseded", "SUCCEEDED none proven"]);
    assert_left(&mut account);
}

#[test]
fn a_freeze_keeps_everything_out_but_who_goes_back() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    account.release("v1.1.0", Kind::Good);
    account.forget_calls();
    account.esclusa(&["freeze", "nest-demo", "--reason", "the sale"]);
    let release = pushed(&mut account, "v1.2.0");
    account.assert_acts(&[]);
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(waiting.contains("the sale"), "{waiting}");
    account.esclusa(&["rollback", "nest-demo", "development", "--reason", "errors"]);
    account.assert_acts(&[("UpdateService", 1)]);
    let [standing] = &account.rows("FREEZES#")[..] else {
        panic!("one freeze stands")
    };
    assert_eq!(standing.get("expires_at"), None, "{standing}");
    account.esclusa(&["unfreeze", "nest-demo", "--reason", "it is over"]);
    let lifted = account.lab.world().now().as_second();
    let expires = account.rows("FREEZES#")[0]["expires_at"].as_i64().unwrap();
    assert!(expires > lifted + 399 * 86_400, "{expires}");
    let nothing = account
        .lab
        .esclusa(&["unfreeze", "nest-demo", "--reason", "it is over"]);
    assert!(
        nothing.code == 1 && nothing.err.contains("is not frozen"),
        "{}",
        nothing.err
    );
    account.settle();
    // A person went back after it was pushed: that stands above it.
    account.assert_release_ended(&release, "SUPERSEDED", "none", "superseded");
    account.esclusa(&["freeze", "--until", "2h", "--reason", "an outage"]);
    // One that is over by itself is kept as long after its time as others after they were lifted.
    let standing = account.rows("FREEZES#*").pop().unwrap();
    let ends: Timestamp = standing["until"].as_str().unwrap().parse().unwrap();
    let kept = standing["expires_at"].as_i64().unwrap() - ends.as_second();
    assert!((399 * 86_400..=400 * 86_400).contains(&kept), "{standing}");
    let release = pushed(&mut account, "v1.3.0");
    let since = account.lab.world().now();
    account.settle();
    account.assert_release_ended(&release, "SUCCEEDED", "none", "proven");
    let waited = began_at(&account, &release).duration_since(since);
    assert!(
        waited > SignedDuration::from_mins(110) && waited < SignedDuration::from_mins(130),
        "{waited}"
    );
    assert_left(&mut account);
}

#[test]
fn a_freeze_that_begins_while_somebody_is_asked_outlasts_the_answer() {
    let mut account = gated(APPROVAL, [CALLER, "nobody"]);
    let release = pushed(&mut account, "v1.0.0");
    account.esclusa(&["freeze", "nest-demo", "--reason", "an outage"]);
    account.esclusa(&["approve", &release]);
    account.pass(SignedDuration::from_mins(30));
    account.assert_acts(&[]);
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(
        waiting.contains("approval: open, `ana` agreed") && waiting.contains("an outage"),
        "{waiting}"
    );
    account.esclusa(&["unfreeze", "nest-demo", "--reason", "it is over"]);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    assert_left(&mut account);
}

/// The deployment waits for the lock while the window closes: it does not act, and its release stands at the gate
/// again.
#[test]
fn a_gate_that_closes_while_the_lock_is_waited_for_is_asked_again() {
    let mut account = gated("    lock: {waiting: queue}\n", [CALLER, "nobody"]);
    account.release("v1.0.0", Kind::Good);
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_secs(20));
    let first = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{first}-development-1"), "AwaitService");
    account.push("v1.2.0", Kind::Good);
    account.pass(SignedDuration::from_secs(20));
    let second = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{second}-development-1"), "AwaitLock");
    account.esclusa(&[
        "freeze",
        "nest-demo",
        "development",
        "--reason",
        "an outage",
        "--until",
        "3h",
    ]);
    account.settle();
    account.assert_release_ended(&second, "SUCCEEDED", "none", "proven");
    let ends: Vec<Value> = account
        .records("deployment_ended")
        .iter()
        .filter(|record| record["release_id"] == second.as_str())
        .map(|record| record["body"]["end"]["reason"].clone())
        .collect();
    assert_eq!(ends, ["plan_changed", "proven"]);
    assert_left(&mut account);
}

#[test]
fn what_must_be_seen_to_is_waited_for_and_what_an_image_must_say_is_refused_at_once() {
    let asked = "    acknowledgements:\n      tests: {image: {annotation: com.example.tests, is: passed}}\n      \
                 flags: {person: {that: the feature flags are set, by: [ana]}}\n      \
                 dashboards: {person: {that: somebody looked at the dashboards, by: [luis]}}\n";
    let mut account = gated(asked, [CALLER, "nobody"]);
    account.push("v1.0.0", Kind::Good);
    account.settle();
    account.assert_ended("FAILED", "none", "refused");
    assert!(
        account
            .reasons()
            .contains("the image does not say that `com.example.tests` is `passed`"),
        "{}",
        account.reasons()
    );
    let mut account = gated(asked, [CALLER, "nobody"]);
    account.push_labelled(Some("v1.0.1"), Kind::Good, &[("com.example.tests", "failed")]);
    account.settle();
    let told = "the image says `com.example.tests` is `failed`, not `passed`";
    assert!(account.reasons().contains(told), "{}", account.reasons());
    // Of an index the labels of its first platform are read.
    let platform = account.push_labelled(None, Kind::Good, &[("com.example.tests", "passed")]);
    account.push_index("v1.1.0", &platform);
    account.pass(SignedDuration::from_secs(30));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&release, "AwaitGate");
    account.pass(SignedDuration::from_secs(5));
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(
        waiting.contains("somebody must acknowledge `flags` (the feature flags are set), `dashboards`"),
        "{waiting}"
    );
    account.esclusa(&["acknowledge", &release, "flags", "--note", "both on"]);
    for (name, told) in [
        ("flags", "is already acknowledged"),
        (
            "dashboards",
            "may not decide about `nest-demo/development`: only `luis` may",
        ),
        (
            "tests",
            "no acknowledgement `tests` is needed in `development`; it needs `dashboards`, `flags`",
        ),
    ] {
        let refused = account.lab.esclusa(&["acknowledge", &release, name]);
        assert!(
            refused.code == 1 && refused.err.contains(told),
            "{name}: {}",
            refused.err
        );
    }
    account.pass(SignedDuration::from_mins(5));
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(waiting.contains("somebody must acknowledge `dashboards`"), "{waiting}");
    account.assert_acts(&[]);
}

/// A file of holidays belongs to the version of the pipeline that names it.
#[test]
fn holidays_of_a_file_keep_a_release_out_until_the_day_after() {
    let mut account = Account::with("nest-demo");
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let windows = "    windows: {zone: UTC, holidays_file: holidays.json}\n";
    let file = account.written(&text.replace(PUSH, &format!("{PUSH}{windows}")));
    let nothing = account.lab.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    assert!(
        nothing.code == 2 && nothing.err.contains("cannot read `holidays.json`"),
        "{}",
        nothing.err
    );
    let holidays = file.with_file_name("holidays.json");
    std::fs::write(&holidays, r#"{"all": "souls"}"#).unwrap();
    let wrong = account.lab.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    assert!(
        wrong.code == 2 && wrong.err.contains("is not a JSON list of dates"),
        "{}",
        wrong.err
    );
    // The account begins on that Monday.
    std::fs::write(&holidays, r#"[{"date": "2026-11-02", "name": "All Souls' Day"}]"#).unwrap();
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    std::fs::remove_file(&holidays).unwrap();
    let release = pushed(&mut account, "v1.0.0");
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(waiting.contains("holiday"), "{waiting}");
    account.settle();
    assert_eq!(
        began_at(&account, &release).strftime("%F %H:%M").to_string(),
        "2026-11-03 00:00"
    );
}

/// It was in force when it was asked for, so that nothing had to be asked. Under the lock it is not any more, and what
/// holds others holds it.
#[test]
fn a_version_that_is_in_force_no_more_when_its_turn_comes_passes_the_gates_first() {
    let mut account = Account::running("superbowleto", "v1");
    // The newer one holds the lock and has begun nothing that shows yet.
    let late = Selector::operation("ecs", "RegisterTaskDefinition").nth(1);
    let delay = FaultKind::Delay(SignedDuration::from_secs(15));
    account.lab.world_mut().add_fault(Fault::new(late, delay));
    let newer = account.push("v2", Kind::Good);
    account.pass(SignedDuration::from_secs(5));
    let second = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{second}-stg-1"), "RegisterRevision");
    account.esclusa(&["deploy", "superbowleto", "stg", "v1", "--no-wait"]);
    account.pass(SignedDuration::from_secs(3));
    let third = account.releases().pop().unwrap();
    assert_ne!(second, third);
    account.esclusa(&["freeze", "superbowleto", "--reason", "an outage"]);
    account.pass(SignedDuration::from_hours(1));
    account.assert_release_ended(&second, "SUCCEEDED", "schema_moved", "proven");
    let waiting = account.esclusa(&["approvals"]).out;
    assert!(waiting.contains("an outage"), "{waiting}");
    account.assert_runs(
        "superbowleto-stg",
        "superbowleto-s-stg",
        "superbowleto-s-stg",
        &newer,
        1,
    );
    account.esclusa(&["stop", &third, "--reason", "it was tried"]);
    account.settle();
    account.assert_release_ended(&third, "STOPPED", "none", "stopped");
}
