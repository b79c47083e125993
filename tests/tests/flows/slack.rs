//! What people are told in Slack, and what they decide there.

mod buttons;
mod cards;
mod outages;

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::Value;
use simulator::services::{Slack, SlackButton, SlackDelivery, SlackMessage};

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

/// The status of the last answer to Slack.
fn slack_status(account: &Account) -> Option<u64> {
    slack(account).deliveries().last().unwrap().status
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
