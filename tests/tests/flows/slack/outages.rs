//! Slack that is down, slow, or takes no more for a while.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::json;
use simulator::kernel::ApiError;
use simulator::services::{Slack, SlackMessage};
use simulator::{Fault, FaultKind, Selector};

use super::{APPROVAL, alerts, assert_acknowledged, cards, gated, press_shown, pushed};
use crate::support::Account;

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
