//! What people are told in Slack, and what they decide there.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::kernel::ApiError;
use simulator::services::{Slack, SlackButton, SlackDelivery, SlackMessage};
use simulator::{DynamoDb, Fault, FaultKind, Selector};

use crate::console::http;
use crate::gates::CALLER;
use crate::planning::latest;
use crate::support::Account;

pub(crate) const CHANNEL: &str = "C0DEPLOY";

/// Where the first environment begins to say how it is deployed to.
const PUSH: &str = "    trigger: push\n";

pub(crate) const APPROVAL: &str = "    approval: {approvers: [ana, luis], unknown_pusher: is_nobody}\n";

/// The people of the pipelines here.
const PEOPLE: &str = "people:\n  ana: {slack: [U0ANA]}\n  luis: {slack: [U0LUIS]}\n\n";

/// An account whose environment has these gates, and whose people are told in the channel.
fn gated(gates: &str) -> Account {
    gated_in("nest-demo", gates)
}

fn gated_in(example: &str, gates: &str) -> Account {
    let mut account = Account::beside_slack(example, CHANNEL);
    apply(&mut account, PEOPLE, gates);
    account
}

pub(crate) fn apply(account: &mut Account, people: &str, gates: &str) {
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let told = format!("notifications: {{slack: {{channel: {CHANNEL}}}}}\n{people}environments:\n");
    let text = text
        .replace(PUSH, &format!("{PUSH}{gates}"))
        .replacen("environments:\n", &told, 1);
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
}

/// Pushes a version and waits until it stands at a gate and people were told. Its release.
pub(crate) fn pushed(account: &mut Account, tag: &str) -> String {
    account.push(tag, Kind::Good);
    account.pass(SignedDuration::from_secs(30));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&release, "AwaitGate");
    account.pass(SignedDuration::from_mins(2));
    release
}

fn slack(account: &Account) -> &Slack {
    account.lab.world().service::<Slack>().unwrap()
}

/// The messages of the channel that are cards, the oldest first.
fn cards(account: &Account) -> Vec<SlackMessage> {
    let messages = slack(account).messages(CHANNEL).iter();
    messages
        .filter(|message| message.thread_ts.is_none())
        .cloned()
        .collect()
}

/// What people were told in threads.
fn alerts(account: &Account) -> Vec<String> {
    replies(account).into_iter().map(|message| message.text).collect()
}

fn replies(account: &Account) -> Vec<SlackMessage> {
    let messages = slack(account).messages(CHANNEL).iter();
    let replies = messages.filter(|message| message.thread_ts.is_some());
    replies.cloned().collect()
}

/// The ids of the actions of a message's buttons.
fn buttons(message: &SlackMessage) -> Vec<String> {
    let elements = message.blocks.as_array().unwrap().iter();
    let elements = elements.filter_map(|block| block["elements"].as_array()).flatten();
    let ids = elements.filter_map(|element| element["action_id"].as_str());
    ids.map(str::to_owned).collect()
}

/// A button of the last card.
fn button(account: &Account, action: &str) -> SlackButton {
    let card = cards(account).pop().unwrap();
    let button = slack(account).button(CHANNEL, &card.ts, action);
    button.unwrap_or_else(|| panic!("no `{action}`: {:#}", card.blocks))
}

fn press(account: &mut Account, button: &SlackButton, user: &str) {
    let (slack, kernel) = account.lab.world_mut().service_mut::<Slack>().unwrap();
    slack.press(button, user, kernel);
}

/// Presses a button of the last card.
fn press_shown(account: &mut Account, action: &str, user: &str) {
    let button = button(account, action);
    press(account, &button, user);
}

/// What a member was told that nobody else sees.
fn told(account: &Account, user: &str) -> Vec<String> {
    let private = slack(account).private().iter().filter(|private| private.user == user);
    private.map(|private| private.text.clone()).collect()
}

/// Every press was answered in time and without an error.
#[track_caller]
fn assert_acknowledged(account: &Account, presses: usize) {
    let deliveries = slack(account).deliveries();
    assert_eq!(deliveries.len(), presses, "{deliveries:?}");
    assert!(deliveries.iter().all(SlackDelivery::is_acknowledged), "{deliveries:?}");
}

/// The person of each decision that was recorded.
fn decided(account: &Account) -> Vec<Value> {
    let records = account.records("person_decided");
    records.iter().map(|record| record["body"]["person"].clone()).collect()
}

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

/// F92: what the image says of its pusher takes that person out, and what it does not say makes one more agree.
#[test]
fn whoever_the_image_names_as_its_pusher_agrees_with_nothing_and_a_stranger_raises_the_quorum() {
    let pusher = format!("pusher: {{annotation: com.example.author}}\n{PEOPLE}");
    let mut account = Account::beside_slack("nest-demo", CHANNEL);
    apply(&mut account, &pusher, "    approval: {approvers: [ana, luis]}\n");
    let stands = |account: &mut Account, tag: &str, author: &str| {
        account.push_labelled(Some(tag), Kind::Good, &[("com.example.author", author)]);
        account.pass(SignedDuration::from_secs(30));
        let release = account.releases().pop().unwrap();
        account.run_until_entered(&release, "AwaitGate");
        account.pass(SignedDuration::from_mins(2));
        release
    };
    let release = stands(&mut account, "v1.0.0", "ana");
    let asked = alerts(&account).pop().unwrap();
    assert!(asked.contains("<@U0LUIS>") && !asked.contains("U0ANA"), "{asked}");
    let approvals = account.esclusa(&["approvals"]).out;
    for part in [
        "1 of `luis` must agree",
        "`ana` pushed the image, as its `com.example.author` says",
        "`com.example.author` `ana`",
    ] {
        assert!(approvals.contains(part), "{part}: {approvals}");
    }
    assert_eq!(account.records("planned")[0]["body"]["pushedBy"], "ana");
    press_shown(&mut account, "approve", "U0ANA");
    account.pass(SignedDuration::from_mins(3));
    let refused = told(&account, "U0ANA");
    assert!(refused[0].contains("`ana` pushed this image"), "{refused:?}");
    account.assert_acts(&[]);
    press_shown(&mut account, "approve", "U0LUIS");
    account.settle();
    account.assert_release_ended(&release, "SUCCEEDED", "none", "proven");
    account.pass(SignedDuration::from_mins(2));
    // Whose release it is hears of its end.
    let ended = alerts(&account).pop().unwrap();
    assert!(ended.contains("Succeeded <@U0ANA> <@U0LUIS>"), "{ended}");
    stands(&mut account, "v1.1.0", "dependabot");
    let approvals = account.esclusa(&["approvals"]).out;
    for part in [
        "2 of `ana`, `luis` must agree",
        "`dependabot` pushed it, who is not one of the `people`",
    ] {
        assert!(approvals.contains(part), "{part}: {approvals}");
    }
}

/// F67.
#[test]
fn a_button_that_is_pressed_twice_and_two_people_at_once_count_once_each() {
    let mut account = gated("    approval: {approvers: [ana, luis], quorum: 2, unknown_pusher: is_nobody}\n");
    pushed(&mut account, "v1.0.0");
    let approve = button(&account, "approve");
    for user in ["U0ANA", "U0LUIS", "U0ANA", "U0LUIS"] {
        press(&mut account, &approve, user);
    }
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    assert_acknowledged(&account, 4);
    let people: BTreeSet<String> = decided(&account).iter().map(Value::to_string).collect();
    assert_eq!((decided(&account).len(), people.len()), (2, 2));
    assert_eq!(account.rows("VOTES#").len(), 2);
    for user in ["U0ANA", "U0LUIS"] {
        let mut told = told(&account, user);
        told.sort();
        let [said_already, approved] = &told[..] else {
            panic!("{told:?}")
        };
        assert!(
            said_already.contains("already said so") && approved.contains("is approved"),
            "{told:?}"
        );
    }
}

/// F67: one no is the end, whatever comes at the same moment and in whichever order, also where one yes is enough.
#[test]
fn an_approval_and_a_rejection_at_once_end_the_release() {
    let both = "    approval: {approvers: [ana, luis], quorum: 2, unknown_pusher: is_nobody}\n";
    for (gates, approves_first) in [(both, true), (APPROVAL, true), (APPROVAL, false)] {
        let mut account = gated(gates);
        pushed(&mut account, "v1.0.0");
        let mut presses = [
            (button(&account, "approve"), "U0ANA"),
            (button(&account, "reject"), "U0LUIS"),
        ];
        if !approves_first {
            presses.reverse();
        }
        for (button, user) in &presses {
            press(&mut account, button, user);
        }
        account.settle();
        account.assert_ended("REJECTED", "none", "rejected");
        account.assert_acts(&[]);
        assert_eq!(account.rows("VOTES#").len(), 2, "both have said so");
        account.pass(SignedDuration::from_mins(2));
        let card = cards(&account).pop().unwrap();
        let shown = card.blocks.to_string();
        assert!(buttons(&card).is_empty() && shown.contains("Rejected"), "{shown}");
    }
}

/// Whoever is known to AWS and to Slack is one person, however often that one agrees.
#[test]
fn one_person_with_two_identities_agrees_once() {
    let mut account = gated("");
    let people = format!("people:\n  ana: {{slack: [U0ANA], iam: [\"{CALLER}\"]}}\n  luis: {{slack: [U0LUIS]}}\n\n");
    let both = "    approval: {approvers: [ana, luis], quorum: 2, unknown_pusher: is_nobody}\n";
    apply(&mut account, &people, both);
    let release = pushed(&mut account, "v1.0.0");
    account.esclusa(&["approve", &release]);
    press_shown(&mut account, "approve", "U0ANA");
    account.pass(SignedDuration::from_mins(10));
    assert_eq!(account.rows("VOTES#").len(), 2, "each of them was heard");
    account.assert_acts(&[]);
    let waits = account.esclusa(&["approvals"]).out;
    assert!(waits.contains("1 of `luis` must agree; `ana` agreed"), "{waits}");
    press_shown(&mut account, "approve", "U0LUIS");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
}

/// F70: the decision is stored, and whoever stored it dies before anybody is woken: the sweep finds it.
#[test]
fn a_decision_whose_writer_dies_is_found_within_minutes() {
    let mut account = gated(APPROVAL);
    let release = pushed(&mut account, "v1.0.0");
    let stored = Selector {
        function: Some("esclusa-console".to_owned()),
        ..Selector::operation("dynamodb", "TransactWriteItems")
    };
    let died = Fault::new(stored.nth(1), FaultKind::DieAfter);
    account.lab.world_mut().add_fault(died);
    press_shown(&mut account, "approve", "U0LUIS");
    account.pass(SignedDuration::from_secs(5));
    assert_eq!(account.rows("VOTES#").len(), 1, "it is stored");
    account.pass(SignedDuration::from_mins(3));
    let path = account.lab.path(&release);
    assert!(path.iter().any(|state| state == "StartDeployment"), "{path:?}");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
}

/// F69: neither whoever is nobody nor whoever is not an approver any more.
#[test]
fn who_may_not_decide_is_told_so_privately_and_it_is_written_down() {
    let mut account = gated(APPROVAL);
    let release = pushed(&mut account, "v1.0.0");
    let approve = button(&account, "approve");
    press(&mut account, &approve, "U0EVA");
    account.pass(SignedDuration::from_secs(10));
    assert!(
        told(&account, "U0EVA")[0].contains("may not decide about"),
        "{:?}",
        told(&account, "U0EVA")
    );
    apply(
        &mut account,
        "people:\n  ana: {slack: [U0ANA]}\n\n",
        "    approval: {approvers: [ana], unknown_pusher: is_nobody}\n",
    );
    press(&mut account, &approve, "U0LUIS");
    account.pass(SignedDuration::from_mins(10));
    assert!(
        told(&account, "U0LUIS")[0].contains("may no longer decide"),
        "{:?}",
        told(&account, "U0LUIS")
    );
    account.assert_acts(&[]);
    assert_eq!((account.rows("VOTES#").len(), decided(&account).len()), (0, 0));
    let refused = account.records("decision_refused");
    let actors: Vec<&Value> = refused.iter().map(|record| &record["actor"]).collect();
    assert_eq!(actors, ["slack:T0SIMULATED/U0EVA", "slack:T0SIMULATED/U0LUIS"]);
    assert!(refused.iter().all(|record| record["release_id"] == release.as_str()));
    assert_acknowledged(&account, 2);
    // Whoever still may still can.
    press(&mut account, &approve, "U0ANA");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
}

#[test]
fn a_button_of_a_card_that_is_over_tells_what_is_true_and_changes_nothing() {
    let mut account = gated("    approval: {approvers: [ana], unknown_pusher: is_nobody, expires_open_hours: 2}\n");
    pushed(&mut account, "v1.0.0");
    let approve = button(&account, "approve");
    account.settle();
    account.assert_ended("EXPIRED", "none", "expired");
    account.pass(SignedDuration::from_mins(2));
    assert!(buttons(&cards(&account)[0]).is_empty());
    press(&mut account, &approve, "U0ANA");
    account.pass(SignedDuration::from_mins(5));
    assert!(
        told(&account, "U0ANA")[0].contains("it ended EXPIRED"),
        "{:?}",
        told(&account, "U0ANA")
    );
    assert_eq!((account.rows("VOTES#").len(), decided(&account).len()), (0, 0));
    account.assert_acts(&[]);
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

/// What was agreed to is one plan: the button of the card before says nothing about the next.
#[test]
fn a_button_of_an_earlier_plan_is_none_of_the_plan_that_is_asked_about_now() {
    let mut account = gated_in("superbowleto", APPROVAL);
    let release = pushed(&mut account, "4f2c1e9");
    let earlier = button(&account, "approve");
    // The infrastructure code changes what the plan is made from, which shows under the lock.
    let mut base = latest(&mut account, "superbowleto-s-stg");
    base["cpu"] = json!("1024");
    base["memory"] = json!("2048");
    account.administer("ecs", "RegisterTaskDefinition", base);
    press(&mut account, &earlier, "U0ANA");
    account.pass(SignedDuration::from_mins(10));
    account.assert_acts(&[]);
    let [card] = &cards(&account)[..] else {
        panic!("one card for all attempts")
    };
    assert_eq!(buttons(card), ["approve", "reject", "hold"]);
    let shown = card.blocks.to_string();
    assert!(
        shown.contains("based on task definition `superbowleto-s-stg:2` instead of `superbowleto-s-stg:1`"),
        "{shown}"
    );
    press(&mut account, &earlier, "U0LUIS");
    account.pass(SignedDuration::from_mins(5));
    assert!(
        told(&account, "U0LUIS")[0].contains("has changed"),
        "{:?}",
        told(&account, "U0LUIS")
    );
    account.assert_acts(&[]);
    press_shown(&mut account, "approve", "U0LUIS");
    account.settle();
    account.assert_release_ended(&release, "SUCCEEDED", "schema_moved", "proven");
}

/// F68.
#[test]
fn a_forged_old_or_repeated_request_changes_nothing() {
    let mut account = gated(APPROVAL);
    pushed(&mut account, "v1.0.0");
    let approve = button(&account, "approve");
    let deliver = |account: &mut Account, (body, timestamp, signature): &(String, String, String)| {
        let (slack, kernel) = account.lab.world_mut().service_mut::<Slack>().unwrap();
        slack.deliver(body, timestamp, signature, kernel);
        account.pass(SignedDuration::from_secs(5));
        slack_status(account)
    };
    let signed = |account: &mut Account, user: &str| {
        let (slack, kernel) = account.lab.world_mut().service_mut::<Slack>().unwrap();
        slack.signed_press(&approve, user, kernel)
    };
    let (body, timestamp, signature) = signed(&mut account, "U0ANA");
    let written_again = body.replace("%22", "%2522");
    let other = signature.replace(['0', '1', '2', '3'], "4");
    let rows = |account: &Account| account.rows("").len();
    let before = rows(&account);
    for request in [
        (written_again, timestamp.clone(), signature.clone()),
        (body.clone(), timestamp.clone(), other),
        (body.clone(), "1".to_owned(), signature.clone()),
        (body.clone(), timestamp.clone(), String::new()),
    ] {
        assert_eq!(deliver(&mut account, &request), Some(401));
    }
    account.pass(SignedDuration::from_mins(6));
    let old = (body, timestamp, signature);
    assert_eq!(deliver(&mut account, &old), Some(401));
    assert_eq!(
        (account.rows("VOTES#").len(), decided(&account).len(), rows(&account)),
        (0, 0, before)
    );
    // The same request again, as whoever recorded it would send it.
    let stranger = signed(&mut account, "U0EVA");
    let fresh = signed(&mut account, "U0ANA");
    for request in [&stranger, &stranger, &fresh, &fresh, &fresh] {
        assert_eq!(deliver(&mut account, request), Some(200));
    }
    assert_eq!((account.rows("VOTES#").len(), decided(&account).len()), (1, 1));
    assert_eq!(account.records("decision_refused").len(), 1);
    assert_eq!((told(&account, "U0EVA").len(), told(&account, "U0ANA").len()), (1, 1));
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
}

/// The status of the last answer to Slack.
fn slack_status(account: &Account) -> Option<u64> {
    slack(account).deliveries().last().unwrap().status
}

/// Slack is away from now on for so long.
fn take_slack_down(account: &mut Account, time: SignedDuration) {
    let now = account.lab.world().now();
    let away = FaultKind::ErrorBefore(ApiError::server("ServiceUnavailable", "Slack is down"));
    for operation in ["chat.postMessage", "chat.update", "respond"] {
        let calls = Selector::operation("slack", operation).between(now, now + time);
        account.lab.world_mut().add_fault(Fault::new(calls, away.clone()));
    }
}

/// F71.
#[test]
fn slack_that_is_down_keeps_nobody_waiting_and_shows_what_is_true_afterwards() {
    let mut account = gated("");
    take_slack_down(&mut account, SignedDuration::from_hours(1));
    let began = account.lab.world().now();
    account.push("v1.0.0", Kind::Good);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    account.release("v1.1.0", Kind::CrashLoop);
    let took = account.lab.world().now().duration_since(began);
    assert!(took < SignedDuration::from_mins(50), "{took}");
    assert_eq!((cards(&account).len(), alerts(&account).len()), (0, 0));
    account.pass(SignedDuration::from_mins(65));
    // In whichever order they came to be shown.
    let cards = cards(&account);
    let is_rolled_back = |card: &&SlackMessage| card.blocks.to_string().contains("Rolled back");
    assert_eq!((cards.len(), cards.iter().filter(is_rolled_back).count()), (2, 1));
    let alerts = alerts(&account);
    assert!(alerts.iter().any(|alert| alert.contains("Rolled back")), "{alerts:?}");
    // Everything is told, and nothing is looked at any more.
    assert_eq!(account.rows("CARD#OPEN").len(), 0);
    let calls = account.calls("slack", "chat.update").len();
    account.pass(SignedDuration::from_hours(2));
    assert_eq!(account.calls("slack", "chat.update").len(), calls);
}

/// A channel that does not take messages does not make more and more of them wait.
#[test]
fn what_cannot_be_told_for_days_is_given_up() {
    let mut account = gated("");
    let (slack, _) = account.lab.world_mut().service_mut::<Slack>().unwrap();
    slack.token = "another".to_owned();
    account.push("v1.0.0", Kind::Good);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    // The rounds in between would only repeat themselves.
    let rounds = |account: &mut Account, state: &str| {
        let mut schedule = account.administer("scheduler", "GetSchedule", json!({"Name": "esclusa-tell"}));
        schedule["State"] = json!(state);
        let members = schedule.as_object_mut().unwrap();
        members.retain(|name, _| !["Arn", "CreationDate", "LastModificationDate"].contains(&name.as_str()));
        account.administer("scheduler", "UpdateSchedule", schedule);
    };
    for (hours, left) in [(71, 1), (2, 0)] {
        rounds(&mut account, "DISABLED");
        account.pass(SignedDuration::from_hours(hours));
        rounds(&mut account, "ENABLED");
        account.pass(SignedDuration::from_mins(3));
        assert_eq!(account.rows("CARD#OPEN").len(), left);
    }
}

/// F71: it is not asked again before the time that it names.
#[test]
fn slack_that_takes_no_more_for_a_while_is_left_alone_for_that_while() {
    let mut account = gated(APPROVAL);
    let until = account.lab.world().now() + SignedDuration::from_mins(7);
    let (slack, _) = account.lab.world_mut().service_mut::<Slack>().unwrap();
    slack.limited_until = Some(until);
    pushed(&mut account, "v1.0.0");
    account.pass(SignedDuration::from_mins(3));
    assert_eq!(account.calls("slack", "chat.postMessage").len(), 1);
    assert_eq!(cards(&account).len(), 0);
    account.pass(SignedDuration::from_mins(5));
    assert_eq!((cards(&account).len(), alerts(&account).len()), (1, 1));
    press_shown(&mut account, "approve", "U0ANA");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
}

/// Whoever pressed a button sees no error, however slow the way back to them is.
#[test]
fn a_press_is_answered_in_time_whether_or_not_anybody_can_be_told() {
    let mut account = gated(APPROVAL);
    pushed(&mut account, "v1.0.0");
    let slow = FaultKind::Delay(SignedDuration::from_secs(30));
    let calls = Selector::operation("slack", "respond");
    account.lab.world_mut().add_fault(Fault::new(calls, slow));
    press_shown(&mut account, "approve", "U0EVA");
    press_shown(&mut account, "approve", "U0ANA");
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    assert_acknowledged(&account, 2);
}

/// Nobody knows whether the message came about: it is posted once more, later, and that one is kept.
#[test]
fn a_lost_answer_of_slack_leaves_at_most_one_card_too_many() {
    for fault in [FaultKind::AnswerLost, FaultKind::DieAfter, FaultKind::DieBefore] {
        let mut account = gated(APPROVAL);
        let post = Selector::operation("slack", "chat.postMessage").nth(1);
        account.lab.world_mut().add_fault(Fault::new(post, fault.clone()));
        pushed(&mut account, "v1.0.0");
        account.pass(SignedDuration::from_mins(2));
        let posted = cards(&account).len();
        let expected = if fault == FaultKind::DieBefore { 1 } else { 2 };
        assert_eq!(posted, expected, "{fault:?}");
        press_shown(&mut account, "approve", "U0ANA");
        account.settle();
        account.assert_ended("SUCCEEDED", "none", "proven");
        account.pass(SignedDuration::from_mins(3));
        let last = cards(&account).pop().unwrap();
        assert!(last.blocks.to_string().contains("Succeeded"), "{:#}", last.blocks);
        // Writing a card anew is safe to repeat.
        assert_eq!(cards(&account).len(), posted);
    }
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

pub(crate) const ASKING: &str = "    verification:
      soak_seconds: 600
      services: {interval_seconds: 60}
      checks:
        errors:
          measure: {alarms: [errors]}
          pace: {interval_seconds: 60}
          reaction: ask
          ask: {answer_seconds: 600, unanswered: rollback}
";

#[test]
fn a_question_is_answered_with_a_button_by_somebody_of_the_pipeline() {
    for (action, verdict) in [
        ("keep", ["SUCCEEDED", "none", "proven"]),
        ("roll_back", ["ROLLED_BACK", "reverted", "verification_failed"]),
    ] {
        let mut account = gated(ASKING);
        account.create_alarm("errors");
        account.release("v1.0.0", Kind::Good);
        account.push("v1.1.0", Kind::Good);
        account.pass(SignedDuration::from_secs(20));
        let release = account.releases().pop().unwrap();
        account.run_until_entered(&format!("{release}-development-1"), "LookAtChecks");
        account.pass(SignedDuration::from_mins(2));
        account.say_alarm("errors", "ALARM");
        account.pass(SignedDuration::from_mins(3));
        let question = alerts(&account).pop().unwrap();
        assert!(question.contains("Check `errors` failed"), "{question}");
        let answer = button(&account, action);
        press(&mut account, &answer, "U0EVA");
        press(&mut account, &answer, "U0ANA");
        press(&mut account, &answer, "U0LUIS");
        account.settle();
        let [verdict, effect, reason] = verdict;
        account.assert_release_ended(&release, verdict, effect, reason);
        assert_acknowledged(&account, 3);
        assert!(
            told(&account, "U0EVA")[0].contains("not one of the people"),
            "{:?}",
            told(&account, "U0EVA")
        );
        assert_eq!(account.records("decision_refused").len(), 1);
        let answers = account.records("person_decided");
        assert_eq!(answers.len(), 1, "{answers:?}");
        account.pass(SignedDuration::from_mins(2));
        assert!(buttons(&cards(&account).pop().unwrap()).is_empty());
    }
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
fn a_release_is_held_with_a_button_and_goes_on_with_another_one() {
    let mut account = gated(APPROVAL);
    let release = pushed(&mut account, "v1.0.0");
    press_shown(&mut account, "hold", "U0NOBODY");
    account.pass(SignedDuration::from_mins(3));
    assert!(
        told(&account, "U0NOBODY")[0].contains("is not one of the people"),
        "{:?}",
        told(&account, "U0NOBODY")
    );
    press_shown(&mut account, "hold", "U0LUIS");
    account.pass(SignedDuration::from_mins(3));
    let [card] = &cards(&account)[..] else {
        panic!("one card")
    };
    assert_eq!(buttons(card), ["approve", "reject", "release_hold"]);
    assert!(card.blocks.to_string().contains("held by"), "{:#}", card.blocks);
    press_shown(&mut account, "approve", "U0ANA");
    account.pass(SignedDuration::from_mins(10));
    account.assert_acts(&[]);
    let gates = account.esclusa(&["approvals"]).out;
    assert!(gates.contains(&release) && gates.contains("hold: held by"), "{gates}");
    account.esclusa(&["release-hold", &release, "--reason", "seen"]);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
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
