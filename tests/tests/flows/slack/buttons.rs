//! Buttons: who may press which, and what comes of it.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::services::Slack;
use simulator::{Fault, FaultKind, Selector};

use super::{
    APPROVAL, ASKING, CHANNEL, PEOPLE, alerts, apply, assert_acknowledged, button, buttons, cards, decided, gated,
    gated_in, press, press_shown, pushed, slack_status, told,
};
use crate::gates::CALLER;
use crate::planning::latest;
use crate::support::Account;

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
