//! Asking a person what becomes of a release whose check has failed: a question with a time and a default, measured on
//! meanwhile.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Outcome, State, VerificationEnd, after, against, over_its_limit};
use crate::pipeline::{Choice, Reaction, Verification};

/// A question that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Since when. An answer names it, so that no answer to an earlier question counts for a later one.
    pub asked_at: Timestamp,
    /// Until when somebody may answer.
    pub until: Timestamp,
    /// What happens when nobody does.
    pub unanswered: Choice,
}

/// The answer of a person, written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question that it answers.
    pub asked_at: Timestamp,
    /// What becomes of the release.
    pub choice: Choice,
    /// Who says so.
    pub by: String,
    /// Why, in the words of that person.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Asks about the checks that are over their limits, drops the questions about those that have recovered, and takes
/// answers and defaults into account. Answers nothing where no question was settled, and otherwise the end that the
/// first answer against the release is.
pub(super) fn ask(
    policy: &Verification,
    state: &mut State,
    answers: &BTreeMap<String, Answer>,
    now: Timestamp,
) -> Option<Option<VerificationEnd>> {
    let (mut is_settled, mut end) = (false, None);
    for (name, check) in &policy.checks {
        let name = name.as_str();
        if check.reaction != Reaction::Ask {
            continue;
        }
        let over = over_its_limit(name, &check.pace, state);
        let Some(known) = state.checks.get_mut(name).filter(|known| known.kept.is_none()) else {
            continue;
        };
        let Some(question) = known.question else {
            if over.is_some() {
                let ask = check.ask.unwrap_or_default();
                known.question = Some(Question {
                    asked_at: now,
                    until: after(now, ask.answer_seconds),
                    unanswered: ask.unanswered,
                });
            }
            continue;
        };
        let answer = answers.get(name).filter(|answer| answer.asked_at == question.asked_at);
        let (choice, who) = match answer {
            Some(Answer { choice, by, reason, .. }) => (*choice, format!("`{by}` decided: {reason}")),
            // Only what was seen to be well is no question any more: nothing clear is not well.
            None if known.last.as_ref().is_some_and(|last| last.outcome == Outcome::Pass) => {
                known.question = None;
                known.failures = 0;
                continue;
            }
            None if now >= question.until => (question.unanswered, "nobody answered in time".to_owned()),
            None => continue,
        };
        is_settled = true;
        known.question = None;
        match choice {
            Choice::Keep => known.kept = Some(who),
            Choice::Rollback => {
                let how = over.map_or_else(|| who.clone(), |how| format!("{how}, and {who}"));
                end = end.or_else(|| Some(against(name, state, &how)));
            }
        }
    }
    is_settled.then_some(end)
}
