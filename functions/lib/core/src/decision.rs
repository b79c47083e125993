//! Whether somebody may decide: about a release that waits for an approval, and about a check that asks. Where the
//! decision comes from makes no difference.

use jiff::Timestamp;

use crate::gate::{Approvers, agrees_in_time, person_of};
use crate::pipeline::{Approval, Name, People, Windows};
use crate::slack::Member;
use crate::verification::Question;

/// The longest reason or note that a person may give, in characters.
pub const REASON_MAX: usize = 2_000;

/// Whether a reason or a note can be taken: it goes into rows, records and messages, which have their own limits.
///
/// # Errors
/// [`Refusal::TooLong`].
pub fn check_length(text: &str) -> Result<(), Refusal> {
    match text.chars().count() {
        length if length > REASON_MAX => Err(Refusal::TooLong { length }),
        _ => Ok(()),
    }
}

/// Why a decision does not count. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The release waits at no gate.
    #[error("release `{release}` is not waiting at a gate: `esclusa approvals` lists those that are")]
    NotWaiting {
        /// The release.
        release: String,
    },
    /// It waits before this environment no more.
    #[error("release `{release}` no longer waits for a decision in `{environment}`: {how}")]
    Settled {
        /// The release.
        release: String,
        /// The environment.
        environment: String,
        /// What became of it.
        how: String,
    },
    /// It waits before another environment.
    #[error(
        "release `{release}` is no longer waiting for `{environment}`: `esclusa status --release {release}` shows where it stands"
    )]
    Elsewhere {
        /// The release.
        release: String,
        /// The environment that was decided about.
        environment: String,
    },
    /// Several environments of a wave may be meant, and none was named.
    #[error("release `{release}` waits for a decision in {environments}: name one with `--environment`")]
    Several {
        /// The release.
        release: String,
        /// Those environments.
        environments: String,
    },
    /// What is said about it is longer than anybody reads.
    #[error(
        "a reason or note may have at most {REASON_MAX} characters, and this one has {length}: link to the longer text"
    )]
    TooLong {
        /// How many characters it has.
        length: usize,
    },
    /// An order that changes nothing.
    #[error("{why}")]
    Order {
        /// Why.
        why: String,
    },
    /// The plan is another one now.
    #[error(
        "the plan of `{release}` for `{environment}` has changed: review it with `esclusa approvals` and vote again"
    )]
    OtherPlan {
        /// The release.
        release: String,
        /// The environment.
        environment: String,
    },
    /// The time to agree is over.
    #[error("this release could be approved for `{place}` within {hours} open hours, and they are over")]
    Expired {
        /// Application and environment.
        place: String,
        /// How many they were.
        hours: u32,
    },
    /// Nobody has to agree.
    #[error("`{place}` requires no approval")]
    NobodyDecides {
        /// Application and environment.
        place: String,
    },
    /// Whoever wants to decide is nobody who may.
    #[error("`{principal}` may not decide about `{place}`: only {names} may")]
    NotApprover {
        /// Who.
        principal: String,
        /// Application and environment.
        place: String,
        /// Who may.
        names: String,
    },
    /// Whoever wants to decide might when the release began, and may not any more.
    #[error("`{person}` may no longer decide about `{place}` in the current pipeline version")]
    Removed {
        /// Who.
        person: Name,
        /// Application and environment.
        place: String,
    },
    /// Whoever asked for the release wants to agree with it.
    #[error("`{person}` requested this release: another of {names} must agree")]
    OwnWish {
        /// Who.
        person: Name,
        /// Who may.
        names: String,
    },
    /// Whoever pushed the image wants to agree with it.
    #[error("`{person}` pushed this image, as the image itself says: another of {names} must agree")]
    OwnPush {
        /// Who.
        person: Name,
        /// Who may.
        names: String,
    },
    /// The same was said before.
    #[error("`{person}` has already said so; nothing was done")]
    SaidAlready {
        /// Who.
        person: Name,
    },
    /// Nothing is asked about the check.
    #[error(
        "release `{release}` has no open question about `{check}`: {instead}; `esclusa status --release {release}` shows where it stands"
    )]
    NotAsked {
        /// The release.
        release: String,
        /// The check.
        check: String,
        /// What it asks instead.
        instead: String,
    },
    /// The question was answered, or is another one now.
    #[error(
        "this question about `{check}` is no longer open: `esclusa status --release {release}` shows where it stands"
    )]
    OtherQuestion {
        /// The release.
        release: String,
        /// The check.
        check: String,
    },
    /// The time to answer is over.
    #[error("the question about `{check}` was open until {}: it is too late to answer", .until.strftime("%Y-%m-%d %H:%M:%SZ"))]
    TooLate {
        /// The check.
        check: String,
        /// Until when it was open.
        until: Timestamp,
    },
    /// Whoever wants to answer is none of the people of the pipeline.
    #[error("`{principal}` is not one of the people of `{application}`")]
    Stranger {
        /// Who.
        principal: String,
        /// The application.
        application: String,
    },
    /// Somebody else answered.
    #[error("{by} answered first; nothing was done")]
    AnsweredFirst {
        /// Who, in backticks where that is known.
        by: String,
    },
    /// The very same request was taken before.
    #[error("this request was already taken; nothing was done")]
    Repeated,
}

impl Refusal {
    /// Whether it is for who they are that they may not: that somebody tried is written down.
    #[must_use]
    pub const fn is_forbidden(&self) -> bool {
        match self {
            Self::NotApprover { .. }
            | Self::Removed { .. }
            | Self::OwnWish { .. }
            | Self::OwnPush { .. }
            | Self::Stranger { .. } => true,
            Self::NotWaiting { .. }
            | Self::Several { .. }
            | Self::TooLong { .. }
            | Self::Order { .. }
            | Self::Settled { .. }
            | Self::Elsewhere { .. }
            | Self::OtherPlan { .. }
            | Self::Expired { .. }
            | Self::NobodyDecides { .. }
            | Self::SaidAlready { .. }
            | Self::NotAsked { .. }
            | Self::OtherQuestion { .. }
            | Self::TooLate { .. }
            | Self::AnsweredFirst { .. }
            | Self::Repeated => false,
        }
    }
}

/// A release that waits, and the pipeline that is in force by now.
#[derive(Debug, Clone, Copy)]
pub struct Ballot<'a> {
    /// Application and environment, such as `shop/production`.
    pub place: &'a str,
    /// Who must agree, as the pipeline says that the release began with.
    pub approval: Option<&'a Approval>,
    /// The windows in whose hours they may, where that is limited.
    pub windows: Option<&'a Windows>,
    /// Since when it waits.
    pub since: Timestamp,
    /// The people of that pipeline.
    pub people: &'a People,
    /// Who asked for the release.
    pub requested_by: &'a str,
    /// Who pushed its image, as far as that says so.
    pub pushed_by: Option<&'a Name>,
    /// Who may agree as the pipeline says now.
    pub now: Approvers<'a>,
}

/// The person whose vote it is, who must be one of the approvers, then and now; to agree, another one than whoever
/// asked for the release or pushed its image, and in time.
///
/// # Errors
/// Why they may not.
pub fn may_vote(ballot: &Ballot<'_>, principal: &str, approves: bool, now: Timestamp) -> Result<Name, Refusal> {
    let place = || ballot.place.to_owned();
    let approval = ballot
        .approval
        .ok_or_else(|| Refusal::NobodyDecides { place: place() })?;
    let names: Vec<String> = approval.approvers.iter().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    let person = person_of(ballot.people, principal).filter(|person| approval.approvers.contains(person));
    let person = person.ok_or_else(|| Refusal::NotApprover {
        principal: principal.to_owned(),
        place: place(),
        names: names.clone(),
    })?;
    if !ballot.now.still_know(person, principal) {
        return Err(Refusal::Removed {
            person: person.clone(),
            place: place(),
        });
    }
    if approves && person_of(ballot.people, ballot.requested_by) == Some(person) {
        return Err(Refusal::OwnWish {
            person: person.clone(),
            names,
        });
    }
    if approves && ballot.pushed_by == Some(person) {
        return Err(Refusal::OwnPush {
            person: person.clone(),
            names,
        });
    }
    if approves && !agrees_in_time(approval, ballot.windows, ballot.since, now) {
        return Err(Refusal::Expired {
            place: place(),
            hours: approval.expires_open_hours.unwrap_or_default(),
        });
    }
    Ok(person.clone())
}

/// The fewest digits of its hash by which a person names a plan.
pub const PLAN_DIGITS_MIN: usize = 12;

/// Whether a plan is the one that somebody means, who gives its hash or the first digits of it.
#[must_use]
pub fn is_meant(plan_hash: &str, meant: &str) -> bool {
    meant.len() >= PLAN_DIGITS_MIN && plan_hash.starts_with(&meant.to_ascii_lowercase())
}

/// Whether an answer to a question counts. Whoever comes from AWS was let through by its permissions; a member of Slack
/// must be one of the people.
///
/// # Errors
/// Why it does not.
pub fn may_answer(
    application: &str,
    people_now: &People,
    principal: &str,
    (check, question): (&str, Question),
    now: Timestamp,
) -> Result<(), Refusal> {
    if Member::of(principal).is_some() && person_of(people_now, principal).is_none() {
        return Err(Refusal::Stranger {
            principal: principal.to_owned(),
            application: application.to_owned(),
        });
    }
    if now >= question.until {
        return Err(Refusal::TooLate {
            check: check.to_owned(),
            until: question.until,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{AtExpiry, Choice, Person, UnknownPusher};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn people(known: &[(&str, &str)]) -> People {
        let person = |slack: &str| Person {
            iam: vec![format!("arn:aws:iam::1:user/{slack}")],
            slack: vec![slack.parse().unwrap()],
        };
        known
            .iter()
            .map(|(name, slack)| (name.parse().unwrap(), person(slack)))
            .collect()
    }

    fn approval(approvers: &[&str]) -> Approval {
        Approval {
            approvers: approvers.iter().map(|name| name.parse().unwrap()).collect(),
            quorum: 1,
            expires_open_hours: None,
            at_expiry: AtExpiry::End,
            unknown_pusher: UnknownPusher::IsNobody,
        }
    }

    #[test]
    fn a_plan_is_meant_by_its_hash_or_by_enough_of_its_first_digits() {
        let hash = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
        for meant in [hash, "5e884898da28", "5E884898DA28"] {
            assert!(is_meant(hash, meant), "{meant}");
        }
        for meant in ["", "5e884898da2", "5e884898da29", "another one", &format!("{hash}0")] {
            assert!(!is_meant(hash, meant), "{meant}");
        }
    }

    #[test]
    fn who_may_vote_might_when_the_release_began_and_still_may() {
        let (then, now) = (
            people(&[
                ("ana", "U0ANA"),
                ("luis", "U0LUIS"),
                ("eva", "U0EVA"),
                ("rita", "U0RITA"),
            ]),
            people(&[
                ("ana", "U0ANA"),
                ("luis", "U0LUIS"),
                ("rita", "U0OTHER"),
                ("new", "U0NEW"),
            ]),
        );
        let approvers = approval(&["ana", "luis", "eva", "rita"]);
        let approvers_now = approval(&["ana", "rita", "new"]);
        let ballot = Ballot {
            place: "shop/production",
            approval: Some(&approvers),
            windows: None,
            since: at("2026-11-02T10:00:00Z"),
            people: &then,
            requested_by: "event-1",
            pushed_by: None,
            now: Approvers {
                approval: Some(&approvers_now),
                people: &now,
            },
        };
        let votes = |ballot: &Ballot<'_>, user: &str, approves, now| {
            may_vote(ballot, &format!("slack:T0/{user}"), approves, at(now))
        };
        let says = |ballot: &Ballot<'_>, user: &str| votes(ballot, user, true, "2026-11-02T14:00:00Z");
        let rejects = |ballot: &Ballot<'_>, user: &str| votes(ballot, user, false, "2026-11-02T14:00:00Z");
        assert_eq!(says(&ballot, "U0ANA"), Ok("ana".parse().unwrap()));
        // No approver any more; nobody any more; somebody else under the same name.
        for user in ["U0LUIS", "U0EVA", "U0RITA"] {
            let refused = says(&ballot, user).unwrap_err();
            assert!(
                matches!(refused, Refusal::Removed { .. }) && refused.is_forbidden(),
                "{user}: {refused}"
            );
        }
        // Whoever came later decides about later releases.
        for user in ["U0NEW", "U0OTHER", "U0NOBODY"] {
            let refused = says(&ballot, user).unwrap_err();
            assert!(matches!(refused, Refusal::NotApprover { .. }), "{user}: {refused}");
        }
        let mine = Ballot {
            requested_by: "arn:aws:iam::1:user/U0ANA",
            ..ballot
        };
        assert!(matches!(says(&mine, "U0ANA"), Err(Refusal::OwnWish { .. })));
        assert_eq!(rejects(&mine, "U0ANA"), Ok("ana".parse().unwrap()));
        let ana = "ana".parse().unwrap();
        let pushed = Ballot {
            pushed_by: Some(&ana),
            ..ballot
        };
        let refused = says(&pushed, "U0ANA").unwrap_err();
        assert!(
            matches!(refused, Refusal::OwnPush { .. }) && refused.is_forbidden(),
            "{refused}"
        );
        assert_eq!(rejects(&pushed, "U0ANA"), Ok(ana.clone()));
        // The four hours are over at two; a no is heard all the same.
        let four_hours = Approval {
            expires_open_hours: Some(4),
            ..approvers.clone()
        };
        let expiring = Ballot {
            approval: Some(&four_hours),
            ..ballot
        };
        assert_eq!(votes(&expiring, "U0ANA", true, "2026-11-02T13:59:59Z"), Ok(ana.clone()));
        let late = says(&expiring, "U0ANA").unwrap_err();
        assert!(
            matches!(late, Refusal::Expired { hours: 4, .. }) && !late.is_forbidden(),
            "{late}"
        );
        assert_eq!(rejects(&expiring, "U0ANA"), Ok(ana.clone()));
        let free = Ballot {
            approval: None,
            ..ballot
        };
        assert!(matches!(says(&free, "U0ANA"), Err(Refusal::NobodyDecides { .. })));
    }

    #[test]
    fn a_member_of_slack_who_is_nobody_of_the_pipeline_answers_nothing() {
        let people = people(&[("ana", "U0ANA")]);
        let question = Question {
            asked_at: at("2026-11-02T10:00:00Z"),
            until: at("2026-11-02T10:10:00Z"),
            unanswered: Choice::Rollback,
        };
        let answers =
            |principal: &str, now: &str| may_answer("shop", &people, principal, ("errors", question), at(now));
        assert_eq!(answers("slack:T0/U0ANA", "2026-11-02T10:09:59Z"), Ok(()));
        assert_eq!(answers("arn:aws:iam::1:user/somebody", "2026-11-02T10:05:00Z"), Ok(()));
        let stranger = answers("slack:T0/U0EVA", "2026-11-02T10:05:00Z").unwrap_err();
        assert!(matches!(stranger, Refusal::Stranger { .. }) && stranger.is_forbidden());
        let late = answers("slack:T0/U0ANA", "2026-11-02T10:10:00Z").unwrap_err();
        assert_eq!(
            late.to_string(),
            "the question about `errors` was open until 2026-11-02 10:10:00Z: it is too late to answer"
        );
    }
}
