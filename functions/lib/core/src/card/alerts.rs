//! What people are told of besides the card: that it begins after a wait, that somebody is needed, and how it ended.

use std::collections::BTreeSet;

use super::asks::{is_asked, question_words, questions};
use super::{
    Alert, Audience, Facts, Line, Part, Standing, Tone, quarantine_of_image, quarantine_of_locks, verdict_tone,
    verdict_words,
};
use crate::gate::person_of;
use crate::pipeline::{Approval, MemberId, Name};
use crate::verdict::{End, Verdict};

/// The members of Slack who may still agree.
fn asked_members<'a>(
    facts: &Facts<'a>,
    approval: &'a Approval,
    removed: &'a [Name],
) -> impl Iterator<Item = &'a MemberId> {
    let person = |principal: &str| person_of(facts.people, principal);
    let out: Vec<&Name> = facts
        .votes
        .iter()
        .filter(|vote| facts.plan_hash == Some(vote.plan_hash.as_str()))
        .filter_map(|vote| person(&vote.principal))
        .chain(facts.requested_by.and_then(person))
        .chain(facts.pushed_by)
        .chain(removed)
        .collect();
    let people = facts.people;
    let names = approval.approvers.iter().filter(move |name| !out.contains(name));
    names
        .filter_map(|name| people.get(name))
        .flat_map(|person| &person.slack)
}

/// The members of Slack whose release it is: whoever asked for it or pushed it, and whoever agreed with this plan.
fn concerned<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a MemberId> {
    let agreed = facts
        .votes
        .iter()
        .filter(|vote| vote.approves && facts.plan_hash == Some(vote.plan_hash.as_str()))
        .map(|vote| vote.principal.as_str());
    let people = facts.people;
    let names: BTreeSet<&Name> = agreed
        .chain(facts.requested_by)
        .filter_map(|principal| person_of(people, principal))
        .chain(facts.pushed_by)
        .collect();
    names
        .into_iter()
        .filter_map(|name| people.get(name))
        .flat_map(|person| &person.slack)
}

fn named<'a>(mut words: Line, members: impl Iterator<Item = &'a MemberId>) -> Line {
    for member in members {
        words.push(Part::text(" "));
        words.push(Part::Member(member.clone()));
    }
    words
}

/// How it ended. Who follows the card hears of every end; the channel of those after which something is not as somebody
/// wanted it.
fn ended(facts: &Facts<'_>, end: &End, name: &str) -> Alert {
    let tone = verdict_tone(end);
    let mut words = Line::text(format!("{name} in {}: {}", facts.environment, verdict_words(end)));
    if tone != Tone::Good {
        let why = end.reasons.first().map_or(end.reason.as_str(), String::as_str);
        words.push(Part::text(format!(": {why}")));
    }
    if end.effect.is_dirty() {
        words.push(Part::text(". "));
        words.extend(quarantine_of_locks());
    }
    let is_for_everybody = tone == Tone::Bad || end.verdict == Verdict::Expired;
    Alert {
        key: format!("end:{}:{}", end.verdict, end.effect),
        words: named(words, concerned(facts)),
        audience: if is_for_everybody {
            Audience::Channel
        } else {
            Audience::Thread
        },
    }
}

/// What people are told of besides, in the order in which they are told.
pub(super) fn alerts(facts: &Facts<'_>) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let name = format!("{} {}", facts.application, facts.tag);
    match facts.standing {
        Standing::Gates { approval, removed, .. } if is_asked(facts) => {
            let words = Line::text(format!("{name} is waiting for approval in {}.", facts.environment));
            let members = approval
                .into_iter()
                .flat_map(|approval| asked_members(facts, approval, removed));
            alerts.push(Alert {
                key: format!("approval:{}", facts.plan_hash.unwrap_or_default()),
                words: named(words, members),
                audience: Audience::Channel,
            });
        }
        // The card that shows it at work for the first time tells so itself; one that was there before only changes.
        Standing::UnderWay { has_waited: true, .. } => alerts.push(Alert {
            key: format!("start:{}", facts.plan_hash.unwrap_or_default()),
            words: Line::text(format!("{name} in {}: started", facts.environment)),
            audience: Audience::Thread,
        }),
        Standing::Ended {
            end, asks_again: false, ..
        } => alerts.push(ended(facts, end, &name)),
        Standing::Gates { .. } | Standing::Queued { .. } | Standing::UnderWay { .. } | Standing::Ended { .. } => {}
    }
    for (check, state) in questions(facts) {
        if let Some(question) = state.question {
            let mut words = Line::text(format!("{name} in {}: ", facts.environment));
            words.extend(question_words(check, state, question));
            alerts.push(Alert {
                key: format!("question:{check}:{}", question.asked_at),
                words,
                audience: Audience::Channel,
            });
        }
    }
    if let Some(why) = facts.quarantined {
        let mut words = Line::text(format!("{name}: "));
        words.extend(quarantine_of_image(why));
        alerts.push(Alert {
            key: "quarantine".to_owned(),
            words,
            audience: Audience::Channel,
        });
    }
    alerts
}
