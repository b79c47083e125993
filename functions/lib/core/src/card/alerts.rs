//! What people are told of besides the card.

use super::{
    Alert, Facts, Line, Part, Standing, Tone, is_asked, quarantine_of_image, quarantine_of_locks, question_words,
    questions, verdict_tone, verdict_words,
};
use crate::gate::person_of;
use crate::pipeline::{Approval, Key, MemberId};

/// The members of Slack who may still agree.
fn asked_members<'a>(facts: &Facts<'a>, approval: &'a Approval) -> impl Iterator<Item = &'a MemberId> {
    let person = |principal: &str| person_of(facts.people, principal);
    let out: Vec<&Key> = facts
        .votes
        .iter()
        .filter(|vote| facts.plan_hash == Some(vote.plan_hash.as_str()))
        .filter_map(|vote| person(&vote.principal))
        .chain(facts.requested_by.and_then(person))
        .collect();
    let people = facts.people;
    let names = approval.approvers.iter().filter(move |name| !out.contains(name));
    names
        .filter_map(|name| people.get(name))
        .flat_map(|person| &person.slack)
}

pub(super) fn alerts(facts: &Facts<'_>) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let name = format!("{} {}", facts.application, facts.tag);
    match facts.standing {
        Standing::Gates { approval, .. } if is_asked(facts) => {
            let mut words = Line::text(format!("{name} waits for an approval for {}.", facts.environment));
            for member in approval.into_iter().flat_map(|approval| asked_members(facts, approval)) {
                words.push(Part::text(" "));
                words.push(Part::Member(member.clone()));
            }
            let key = format!("approval:{}", facts.plan_hash.unwrap_or_default());
            alerts.push(Alert { key, words });
        }
        Standing::Ended {
            end, asks_again: false, ..
        } if verdict_tone(end) == Tone::Bad => {
            let why = end.reasons.first().map_or(end.reason.as_str(), String::as_str);
            let what = verdict_words(end);
            let mut words = Line::text(format!("{name} in {}: {what}: {why}", facts.environment));
            if end.effect.is_dirty() {
                words.push(Part::text(". "));
                words.extend(quarantine_of_locks());
            }
            alerts.push(Alert {
                key: format!("end:{}:{}", end.verdict, end.effect),
                words,
            });
        }
        Standing::Gates { .. } | Standing::Queued { .. } | Standing::UnderWay { .. } | Standing::Ended { .. } => {}
    }
    for (check, state) in questions(facts) {
        if let Some(question) = state.question {
            let mut words = Line::text(format!("{name} in {}: ", facts.environment));
            words.extend(question_words(check, state, question));
            let key = format!("question:{check}:{}", question.asked_at);
            alerts.push(Alert { key, words });
        }
    }
    if let Some(why) = facts.quarantined {
        let mut words = Line::text(format!("{name}: "));
        words.extend(quarantine_of_image(why));
        let key = "quarantine".to_owned();
        alerts.push(Alert { key, words });
    }
    alerts
}
