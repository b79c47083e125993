//! Cards: what people read about a release, until it is over.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::DynamoDb;
use simulator::services::{Slack, SlackButton};

use super::{
    APPROVAL, CHANNEL, PEOPLE, PUSH, alerts, apply, assert_acknowledged, button, buttons, cards, decided, gated, press,
    press_shown, pushed, replies, slack, told,
};
use crate::console::http;
use crate::support::Account;

#[test]
fn a_push_waits_for_an_approval_that_is_given_with_a_button() {
    let mut account = gated(APPROVAL);
    pushed(&mut account, "v1.0.0");
    account.assert_acts(&[]);
    let [card] = &cards(&account)[..] else {
        panic!("one card: {:#?}", cards(&account))
    };
    assert_eq!(buttons(card), ["approve", "reject", "hold"]);
    assert!(
        card.blocks.to_string().contains("1 of `ana`, `luis` must agree"),
        "{:#}",
        card.blocks
    );
    let [alert] = &alerts(&account)[..] else {
        panic!("{:?}", alerts(&account))
    };
    assert!(
        alert.contains("is waiting for approval") && alert.contains("<@U0ANA> <@U0LUIS>"),
        "{alert}"
    );
    let approve = button(&account, "approve");
    press(&mut account, &approve, "U0ANA");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    account.pass(SignedDuration::from_mins(2));
    assert_acknowledged(&account, 1);
    assert!(
        told(&account, "U0ANA")[0].contains("is approved"),
        "{:?}",
        told(&account, "U0ANA")
    );
    assert_eq!(decided(&account), [json!("ana")]);
    let principal = &account.records("person_decided")[0]["actor"];
    assert_eq!(principal, "slack:T0SIMULATED/U0ANA");
    let [card] = &cards(&account)[..] else {
        panic!("one card")
    };
    let shown = card.blocks.to_string();
    assert!(
        buttons(card).is_empty() && shown.contains("Succeeded") && shown.contains("`ana` approved"),
        "{shown}"
    );
    // That it began and ended well is told under the card; only the channel was asked for an approval.
    let replies = replies(&account);
    let shown: Vec<(&str, bool)> = replies
        .iter()
        .map(|reply| {
            assert_eq!(reply.thread_ts.as_ref(), Some(&card.ts));
            (reply.text.as_str(), reply.is_broadcast)
        })
        .collect();
    let [(_, true), (began, false), (ended, false)] = &shown[..] else {
        panic!("{shown:#?}")
    };
    assert_eq!(*began, "nest-demo v1.0.0 in development: started");
    assert_eq!(*ended, "nest-demo v1.0.0 in development: Succeeded <@U0ANA>");
}

/// What is true is told once, however often it is looked at, by however many at once.
#[test]
fn an_end_is_told_once_and_what_went_back_in_the_channel() {
    let mut account = gated("");
    account.release("v1.0.0", Kind::Good);
    account.pass(SignedDuration::from_mins(2));
    // Slack takes nothing of the next one for a while.
    let until = account.lab.world().now() + SignedDuration::from_mins(45);
    let (slack, _) = account.lab.world_mut().service_mut::<Slack>().unwrap();
    slack.limited_until = Some(until);
    account.push("v1.1.0", Kind::CrashLoop);
    account.settle();
    let now = account.lab.world().now();
    assert!(now < until, "{now}");
    assert_eq!(alerts(&account).len(), 1);
    account.pass(until.duration_since(now) + SignedDuration::from_secs(1));
    for _ in 0..6 {
        let tell = json!({"FunctionName": "esclusa-notify", "InvocationType": "Event", "Payload": {"action": "tell"}});
        account.administer("lambda", "Invoke", tell);
    }
    account.pass(SignedDuration::from_mins(5));
    let replies = replies(&account);
    let shown: Vec<(&str, bool)> = replies
        .iter()
        .map(|reply| (reply.text.split(':').nth(1).unwrap().trim(), reply.is_broadcast))
        .collect();
    let (bad, quarantined) = ("Rolled back", "The image is in quarantine");
    assert_eq!(
        shown,
        [("Succeeded", false), (bad, true), (quarantined, true)],
        "{replies:#?}"
    );
}

/// Whoever is asked for production sees what was measured before it. That is shown and decides nothing: the plan that
/// is agreed to stays the same.
#[test]
fn who_is_asked_sees_what_was_measured_where_the_release_came_through() {
    let verified = "    trigger: push\n    verification: {soak_seconds: 60, services: {interval_seconds: 30}, checks: {errors: {measure: {alarms: [errors]}}}}\n";
    let mut account = Account::beside_slack("nest-demo", CHANNEL);
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let told = format!("notifications: {{slack: {{channel: {CHANNEL}}}}}\n{PEOPLE}environments:\n");
    let text = text
        .replace(PUSH, verified)
        .replace("    trigger: manual\n", &format!("{PUSH}{APPROVAL}"))
        .replacen("environments:\n", &told, 1);
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.create_alarm("errors");
    account.say_alarm("errors", "OK");
    let release = pushed(&mut account, "v1.0.0");
    let shown = |account: &Account| cards(account).pop().unwrap();
    let plan = |account: &mut Account| {
        let waiting = account.esclusa(&["approvals", "--output", "json"]).out;
        let waiting: Value = serde_json::from_str(&waiting).unwrap();
        let [one] = &waiting["waiting"].as_array().unwrap()[..] else {
            panic!("{waiting:#}")
        };
        assert_eq!(one["seen_before"][0]["environment"], "development");
        one["plan_hash"].clone()
    };
    let card = shown(&account);
    let text = card.blocks.to_string();
    for part in [
        "*Seen in development*",
        "healthy for 1 min",
        "(1 min required)",
        "✓ `errors`: alarms that are `OK`: 1 (passed ",
        "*Way back*",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let before = plan(&mut account);
    // Nothing of it becomes another one while nothing happens.
    account.pass(SignedDuration::from_mins(30));
    assert_eq!(shown(&account), card);
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(5));
    let failed = shown(&account);
    let text = failed.blocks.to_string();
    assert!(text.contains("It has failed verification there since"), "{text}");
    assert!(failed.edits > card.edits && failed.ts == card.ts);
    account.say_alarm("errors", "OK");
    account.pass(SignedDuration::from_mins(5));
    assert_eq!(shown(&account).blocks, card.blocks);
    assert_eq!(plan(&mut account), before);
    press_shown(&mut account, "approve", "U0ANA");
    account.settle();
    account.assert_release_ended(&release, "SUCCEEDED", "none", "proven");
}

/// F72: the card of the older release is void as soon as the newer one stands at the gate.
#[test]
fn a_newer_release_makes_the_card_of_an_older_one_void() {
    let mut account = gated(APPROVAL);
    let older = pushed(&mut account, "v1.0.0");
    let approve = button(&account, "approve");
    let newer = pushed(&mut account, "v1.1.0");
    press_shown(&mut account, "approve", "U0ANA");
    account.pass(SignedDuration::from_hours(25));
    account.settle();
    account.assert_release_ended(&newer, "SUCCEEDED", "none", "proven");
    account.assert_release_ended(&older, "SUPERSEDED", "none", "superseded");
    press(&mut account, &approve, "U0LUIS");
    account.pass(SignedDuration::from_mins(2));
    assert!(
        told(&account, "U0LUIS")[0].contains("SUPERSEDED"),
        "{:?}",
        told(&account, "U0LUIS")
    );
    let shown: Vec<(Vec<String>, bool)> = cards(&account)
        .iter()
        .map(|card| (buttons(card), card.blocks.to_string().contains("uperseded")))
        .collect();
    assert_eq!(shown, [(Vec::new(), true), (Vec::new(), false)]);
}

#[test]
fn a_card_that_somebody_removes_is_written_anew() {
    let mut account = gated(APPROVAL);
    pushed(&mut account, "v1.0.0");
    let first = cards(&account).pop().unwrap();
    let (slack, _) = account.lab.world_mut().service_mut::<Slack>().unwrap();
    slack.remove(CHANNEL, &first.ts);
    account.esclusa(&["freeze", "nest-demo", "--reason", "the sale"]);
    account.pass(SignedDuration::from_mins(5));
    let [card] = &cards(&account)[..] else {
        panic!("one card")
    };
    assert!(
        card.ts != first.ts && card.blocks.to_string().contains("the sale"),
        "{:#}",
        card.blocks
    );
}

/// Whoever must look is told besides, in the thread of the card and in the channel.
#[test]
fn a_failure_that_somebody_must_look_at_and_a_quarantine_are_told() {
    let mut account = Account::beside_slack("imagy-catalog", CHANNEL);
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let told = format!("notifications: {{slack: {{channel: {CHANNEL}}}}}\nenvironments:\n");
    let file = account.written(&text.replacen("environments:\n", &told, 1));
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.release("4f2c1e9", Kind::BadMigration);
    account.pass(SignedDuration::from_mins(3));
    let all = alerts(&account).join("\n");
    assert!(all.contains("Failed") && all.contains("in quarantine"), "{all}");
    let card = cards(&account).pop().unwrap().blocks.to_string();
    assert!(
        card.contains("Migrations") && card.contains("cannot be undone"),
        "{card}"
    );
}

/// Neither in what is written down, nor in what anybody is told.
#[test]
fn the_secrets_of_slack_are_nowhere_but_where_they_are_needed() {
    let mut account = Account::beside_slack_with_logs("nest-demo", CHANNEL);
    apply(&mut account, PEOPLE, APPROVAL);
    pushed(&mut account, "v1.0.0");
    press_shown(&mut account, "approve", "U0ANA");
    account.settle();
    account.pass(SignedDuration::from_mins(2));
    let (token, signing) = {
        let slack = slack(&account);
        (slack.token.clone(), slack.signing_secret.clone())
    };
    let world = account.lab.world();
    let mut written: Vec<String> = ["esclusa-control", "esclusa-ledger"]
        .iter()
        .flat_map(|table| world.service::<DynamoDb>().unwrap().items(table).unwrap())
        .map(|item| item.to_string())
        .collect();
    written.extend(world.events().iter().map(Value::to_string));
    written.extend(
        slack(&account)
            .messages(CHANNEL)
            .iter()
            .map(|message| format!("{message:?}")),
    );
    let groups = &world.kernel().logs.groups;
    assert!(groups.contains_key("/esclusa/notify") && groups.contains_key("/esclusa/resume"));
    written.extend(groups.values().map(|group| format!("{group:?}")));
    for secret in [token.as_str(), signing.as_str(), "hooks.slack.com"] {
        let found = written.iter().find(|text| text.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
}

/// Everybody who is asked about an environment of a wave is asked at the same time.
#[test]
fn every_environment_of_a_wave_has_its_card_and_its_buttons() {
    let people = "people: {ana: {slack: [U0ANA]}}\n";
    let mut account = Account::beside_slack("imagy-catalog", CHANNEL);
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let gates = "    trigger: push\n    wave: early\n    approval: {approvers: [ana], unknown_pusher: is_nobody}\n";
    let told = format!("notifications: {{slack: {{channel: {CHANNEL}}}}}\n{people}environments:\n");
    let text = text
        .replace("    trigger: push\n", gates)
        .replacen("environments:\n", &told, 1);
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    let release = pushed(&mut account, "v1.0.0");
    assert_eq!(cards(&account).len(), 2, "{:#?}", cards(&account));
    let unclear = account.lab.esclusa(&["reject", &release, "--reason", "no"]);
    assert!(
        unclear.code == 1
            && unclear
                .err
                .contains("`develop`, `staging`: name one with `--environment`"),
        "{}",
        unclear.err
    );
    let shown: Vec<SlackButton> = cards(&account)
        .iter()
        .filter_map(|card| slack(&account).button(CHANNEL, &card.ts, "approve"))
        .collect();
    for button in shown {
        press(&mut account, &button, "U0ANA");
    }
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
}

#[test]
fn where_no_slack_is_configured_nobody_is_told_and_nothing_from_there_is_taken() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    let schedule = account.administer("scheduler", "GetSchedule", json!({"Name": "esclusa-tell"}));
    assert_eq!(schedule["State"], "DISABLED");
    let (status, answer) = http(&mut account, "/slack/interactions", None, &json!({}));
    assert!(
        status == 404 && answer.to_string().contains("SlackSigningSecretArn"),
        "{answer}"
    );
    account.pass(SignedDuration::from_mins(10));
    assert_eq!(account.rows("CARD#").len(), 0);
}
