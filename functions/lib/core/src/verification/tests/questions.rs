//! A person is asked.

use super::*;
use crate::pipeline::{Ask, Choice};

/// A check that asks a person, for ten minutes, what becomes of the release once it failed for two.
fn asking(unanswered: Choice) -> Verification {
    let mut policy = policy(300, tolerant(), Reaction::Ask);
    let ask = Ask {
        answer_seconds: 600,
        unanswered,
    };
    policy.checks["errors"].ask = Some(ask);
    policy
}

/// As [`run`], and somebody answers `choice` at the second `answered` if there is a question then. Answers also the
/// state that it ended in.
fn run_asking(
    policy: &Verification,
    shows: impl Fn(i64) -> Outcome,
    answered: Option<(i64, Choice)>,
) -> (VerificationEnd, i64, State) {
    let mut state = State::begun(at(0));
    let mut answers = BTreeMap::new();
    let mut second = 0;
    loop {
        let now = at(second);
        let measured = due(policy, &state, 0, now).into_iter().map(|name| {
            let outcome = if name == SERVICES { Outcome::Pass } else { shows(second) };
            (name.to_owned(), measurement(second, outcome, name))
        });
        if let Some((_, choice)) = answered.filter(|(when, _)| *when <= second)
            && let Some(question) = state.checks.get("errors").and_then(|check| check.question)
        {
            answers.entry("errors".to_owned()).or_insert(Answer {
                asked_at: question.asked_at,
                choice,
                by: "ana".to_owned(),
                reason: "it is the load test".to_owned(),
                at: now,
            });
        }
        let sight = Sight {
            measured: measured.collect(),
            answers: answers.clone(),
            ..Sight::default()
        };
        let (next, decision) = judge(policy, &state, sight, now);
        state = next;
        match decision {
            Decision::Over(end) => return (end, second, state),
            Decision::Continue { pause } => second += pause.as_secs(),
        }
    }
}

fn failing_from(from: i64) -> impl Fn(i64) -> Outcome {
    move |second| if second >= from { Outcome::Fail } else { Outcome::Pass }
}

#[test]
fn a_question_that_nobody_answers_ends_as_its_default_says_and_not_before() {
    let (end, second, _) = run_asking(&asking(Choice::Rollback), failing_from(60), None);
    // It fails since 60, is over its limit at 180, and is asked about until 780.
    assert_eq!(second, 780);
    let VerificationEnd::Failed { outcome, why, .. } = end else {
        panic!("it failed: {end:?}")
    };
    assert_eq!(outcome, Outcome::Fail);
    assert!(
        why.contains("it failed for 120 seconds, and nobody answered in time"),
        "{why}"
    );
    let (end, second, state) = run_asking(&asking(Choice::Keep), failing_from(60), None);
    assert!(matches!(end, VerificationEnd::Passed { .. }), "{end:?}");
    assert_eq!(
        second,
        780 + 300,
        "the soak begins when the check decides nothing any more"
    );
    assert_eq!(state.checks["errors"].kept.as_deref(), Some("nobody answered in time"));
}

#[test]
fn whoever_is_asked_decides_within_one_look() {
    let answer = |choice| run_asking(&asking(Choice::Rollback), failing_from(60), Some((300, choice)));
    let (end, second, _) = answer(Choice::Rollback);
    assert_eq!(second, 300);
    let VerificationEnd::Failed { why, .. } = end else {
        panic!("it failed: {end:?}")
    };
    assert!(why.contains("`ana` decided: it is the load test"), "{why}");
    let (end, second, state) = answer(Choice::Keep);
    assert!(matches!(end, VerificationEnd::Passed { .. }), "{end:?}");
    assert_eq!(second, 600);
    assert_eq!(
        state.checks["errors"].kept.as_deref(),
        Some("`ana` decided: it is the load test")
    );
}

#[test]
fn what_recovers_is_no_question_any_more_and_an_answer_to_it_none_to_the_next() {
    let policy = asking(Choice::Rollback);
    let recovers = |second: i64| {
        if (60..400).contains(&second) {
            Outcome::Fail
        } else {
            Outcome::Pass
        }
    };
    let (end, second, state) = run_asking(&policy, recovers, None);
    assert!(matches!(end, VerificationEnd::Passed { .. }), "{end:?}");
    assert_eq!((second, state.checks["errors"].question), (420 + 300, None));
    // Asked about from 180 to 420, when it recovered, and again from 660 on.
    let mut state = State::begun(at(0));
    let mut look = |second: i64, outcome, answers: &BTreeMap<String, Answer>| {
        let measured = [SERVICES, "errors"].map(|name| {
            let outcome = if name == SERVICES { Outcome::Pass } else { outcome };
            (name.to_owned(), measurement(second, outcome, name))
        });
        let sight = Sight {
            measured: measured.into(),
            answers: answers.clone(),
            ..Sight::default()
        };
        let (next, decision) = judge(&policy, &state, sight, at(second));
        state = next;
        (
            state.checks["errors"].question.map(|question| question.asked_at),
            decision,
        )
    };
    let none = BTreeMap::new();
    assert_eq!(look(0, Outcome::Fail, &none).0, None);
    assert_eq!(look(120, Outcome::Fail, &none).0, Some(at(120)));
    assert_eq!(
        look(150, Outcome::Inconclusive, &none).0,
        Some(at(120)),
        "nothing clear is not well"
    );
    assert_eq!(look(180, Outcome::Pass, &none).0, None);
    let late = Answer {
        asked_at: at(120),
        choice: Choice::Rollback,
        by: "ana".to_owned(),
        reason: "too many errors".to_owned(),
        at: at(181),
    };
    let late = [("errors".to_owned(), late)].into();
    assert_eq!(look(210, Outcome::Fail, &late).0, None);
    let (asked_at, decision) = look(330, Outcome::Fail, &late);
    assert_eq!(asked_at, Some(at(330)));
    assert!(matches!(decision, Decision::Continue { .. }), "{decision:?}");
}

#[test]
fn a_question_outlasts_the_time_of_the_verification() {
    let mut policy = asking(Choice::Rollback);
    policy.timeout_seconds = Some(400);
    let (end, second, _) = run_asking(&policy, failing_from(60), None);
    assert_eq!(second, 780);
    assert!(matches!(end, VerificationEnd::Failed { check, .. } if check == "errors"));
}
