//! What a card asks, with the buttons that answer it.

use jiff::Timestamp;

use super::{Facts, Line, Part, Standing, short};
use crate::pipeline::Choice;
use crate::slack::{Pointer, Press};
use crate::verification::{CheckState, Question};

/// The most questions that a card has buttons for: each takes two blocks of the few that there are.
const QUESTIONS_MAX: usize = 12;

/// What people are asked, with the buttons that answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) words: Line,
    pub(super) pointer: Pointer,
    pub(super) buttons: &'static [Button],
}

/// A button of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Button {
    pub(super) press: Press,
    pub(super) label: &'static str,
    pub(super) style: Option<&'static str>,
    /// What is asked before it counts.
    pub(super) confirm: &'static str,
}

impl Button {
    /// The command that does the same, for where there are no buttons.
    pub(super) fn command(&self, pointer: &Pointer) -> String {
        let Pointer {
            release,
            environment,
            plan,
            check,
            ..
        } = pointer;
        let plan = plan
            .as_ref()
            .map(|plan| format!(" --plan {}", short(plan)))
            .unwrap_or_default();
        let answer = |flag: &str| {
            let check = check.as_deref().unwrap_or_default();
            format!("answer {release} --environment {environment} --check {check} {flag} --reason WHY")
        };
        let command = match self.press {
            Press::Approve => format!("approve {release} --environment {environment}{plan}"),
            Press::Reject => format!("reject {release} --environment {environment}{plan} --reason WHY"),
            Press::Hold => format!("hold {release} --reason WHY"),
            Press::ReleaseHold => format!("release-hold {release} --reason WHY"),
            Press::RollBack => answer("--roll-back"),
            Press::Keep => answer("--keep"),
        };
        format!("esclusa {command}")
    }
}

const APPROVE: Button = Button {
    press: Press::Approve,
    label: "Approve",
    style: Some("primary"),
    confirm: "The release may be deployed as this card shows it.",
};

const REJECT: Button = Button {
    press: Press::Reject,
    label: "Reject",
    style: Some("danger"),
    confirm: "The release ends here, whatever others say.",
};

const LET_GO: Button = Button {
    press: Press::ReleaseHold,
    label: "Release the hold",
    style: None,
    confirm: "The release is no longer held; its gates are checked again.",
};

/// The buttons where an approval is missing.
const DECIDE: &[Button] = &[
    APPROVE,
    REJECT,
    Button {
        press: Press::Hold,
        label: "Hold",
        style: None,
        confirm: "The release goes no further until somebody releases the hold.",
    },
];

/// Where nothing is missing but that it is let go on.
const HELD: &[Button] = &[LET_GO];

/// The same where the release is held.
const DECIDE_HELD: &[Button] = &[APPROVE, REJECT, LET_GO];

/// The buttons where a check asks.
const ANSWER: &[Button] = &[
    Button {
        press: Press::RollBack,
        label: "Roll back",
        style: Some("danger"),
        confirm: "The services go back to what they ran before.",
    },
    Button {
        press: Press::Keep,
        label: "Keep",
        style: None,
        confirm: "The release stays, whatever this check shows.",
    },
];

/// Whether an approval is missing that a vote can give.
pub(super) fn is_asked(facts: &Facts<'_>) -> bool {
    let Standing::Gates {
        reports, closed: None, ..
    } = facts.standing
    else {
        return false;
    };
    facts.plan_hash.is_some()
        && reports
            .iter()
            .any(|report| report.gate == "approval" && !report.is_open)
}

/// Whether the release is held.
fn is_held(facts: &Facts<'_>) -> bool {
    let Standing::Gates {
        reports, closed: None, ..
    } = facts.standing
    else {
        return false;
    };
    reports.iter().any(|report| report.gate == "hold" && !report.is_open)
}

/// The checks that ask, with the moment at which each did.
pub(super) fn questions<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a str, &'a CheckState)> {
    let is_at_work = matches!(facts.standing, Standing::UnderWay { .. });
    let state = facts.verification.filter(|state| is_at_work && state.end.is_none());
    let checks = state.into_iter().flat_map(|state| &state.checks);
    checks
        .filter(|(_, check)| check.question.is_some())
        .map(|(name, check)| (name.as_str(), check))
}

/// What is asked, with the buttons: the one place where a card gets them.
pub(super) fn asks(facts: &Facts<'_>) -> Vec<Ask> {
    let pointer = |plan: Option<&str>, check: Option<&str>, asked_at: Option<Timestamp>| Pointer {
        release: facts.release_id.to_owned(),
        environment: facts.environment.to_owned(),
        plan: plan.map(str::to_owned),
        check: check.map(str::to_owned),
        asked_at,
    };
    if is_asked(facts) {
        return vec![Ask {
            words: Line::text("Deploy this release?"),
            pointer: pointer(facts.plan_hash, None, None),
            buttons: if is_held(facts) { DECIDE_HELD } else { DECIDE },
        }];
    }
    if is_held(facts) {
        return vec![Ask {
            words: Line::text("This release is on hold. Let it continue?"),
            pointer: pointer(facts.plan_hash, None, None),
            buttons: HELD,
        }];
    }
    let questions = questions(facts).take(QUESTIONS_MAX);
    let asks = questions.filter_map(|(name, check)| {
        let question = check.question?;
        Some(Ask {
            words: question_words(name, check, question),
            pointer: pointer(None, Some(name), Some(question.asked_at)),
            buttons: ANSWER,
        })
    });
    asks.collect()
}

pub(super) fn question_words(name: &str, check: &CheckState, question: Question) -> Line {
    let unanswered = match question.unanswered {
        Choice::Keep => "it stays",
        Choice::Rollback => "it goes back",
    };
    let mut line = Line::from([Part::text("Check "), Part::code(name), Part::text(" failed")]);
    if let Some(last) = &check.last {
        line.push(Part::text(format!(": {}", last.sentence)));
    }
    line.push(Part::text(format!(
        ". Keep the release or roll it back? Without an answer {unanswered}; decide by "
    )));
    line.push(Part::Time(question.until));
    line
}
