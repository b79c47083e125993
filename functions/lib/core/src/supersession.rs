//! Whether a deployment gives way to a newer one. An older push never replaces a newer one in an environment, unless a person asks for it.
//!
//! Releases of one image may wait for the lock of an environment in any order, and the lock is given in any order. The question is therefore asked under
//! the lock, where nothing else in the environment can move, and again by whoever gets it next.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pipeline::{Newest, Tag};
use crate::tags::{Candidate, compare_age};
use crate::verdict::{Effect, End};

/// How a release came to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Asked {
    /// By pushing an image.
    Push {
        /// The tag.
        tag: Tag,
        /// The generation of the tag, from 1.
        generation: u64,
        /// When the tag was pushed.
        at: Timestamp,
    },
    /// By a person who named a version, or the way back to one.
    Person {
        /// When.
        at: Timestamp,
    },
}

impl Asked {
    /// Whether this was asked for later than, or stands above, `other`.
    fn is_newer_than(&self, other: &Self, newest: Newest) -> bool {
        match (self, other) {
            (
                Self::Push { tag, generation, at },
                Self::Push {
                    tag: other_tag,
                    generation: other_generation,
                    at: other_at,
                },
            ) => {
                let candidate = |tag, generation: &u64, pushed_at: &Timestamp| Candidate {
                    tag,
                    generation: *generation,
                    pushed_at: *pushed_at,
                };
                compare_age(
                    newest,
                    &candidate(tag, generation, at),
                    &candidate(other_tag, other_generation, other_at),
                )
                .is_gt()
            }
            _ => self.at() > other.at(),
        }
    }

    /// The generation of the tag, for a push.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        match self {
            Self::Push { generation, .. } => Some(*generation),
            Self::Person { .. } => None,
        }
    }

    fn at(&self) -> Timestamp {
        match self {
            Self::Push { at, .. } | Self::Person { at } => *at,
        }
    }
}

/// Another deployment of the same image into the same environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// The release that it carries.
    pub release_id: String,
    /// How that release was asked for.
    pub asked: Asked,
    /// How the deployment ended; none while it waits or runs.
    pub end: Option<End>,
}

/// Whether a rival that was asked for as `theirs` may stand in the way of one asked for as `ours`: the cheap half of the question, before any end is read.
#[must_use]
pub fn is_rival(newest: Newest, ours: &Asked, theirs: &Asked) -> bool {
    matches!(ours, Asked::Push { .. }) && theirs.is_newer_than(ours, newest)
}

/// The release that a deployment gives way to: the newest rival that is newer than it and waits, runs, is in force, or has left something behind.
///
/// What a person asked for gives way to nothing. A rival that ended without a trace, or was brought back, takes nobody's turn.
#[must_use]
pub fn superseded_by<'a>(newest: Newest, ours: &Asked, rivals: &'a [Rival]) -> Option<&'a str> {
    let stands = |end: &End| end.verdict.is_in_force() || !matches!(end.effect, Effect::None | Effect::Reverted);
    let mut first: Option<&Rival> = None;
    for rival in rivals {
        let counts = is_rival(newest, ours, &rival.asked) && rival.end.as_ref().is_none_or(stands);
        if counts && first.is_none_or(|first| rival.asked.is_newer_than(&first.asked, newest)) {
            first = Some(rival);
        }
    }
    first.map(|rival| rival.release_id.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::verdict::{Reason, Verdict};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn push(tag: &str, generation: u64, second: i64) -> Asked {
        Asked::Push {
            tag: tag.parse().unwrap(),
            generation,
            at: at(second),
        }
    }

    fn person(second: i64) -> Asked {
        Asked::Person { at: at(second) }
    }

    fn ended(verdict: Verdict, effect: Effect) -> Option<End> {
        Some(End {
            verdict,
            effect,
            reason: Reason::Proven,
            reasons: Vec::new(),
        })
    }

    fn rival(release_id: &str, asked: Asked, end: Option<End>) -> Rival {
        Rival {
            release_id: release_id.to_owned(),
            asked,
            end,
        }
    }

    #[test]
    fn an_older_push_gives_way_to_the_newest_that_counts() {
        let ours = push("v2", 1, 20);
        let rivals = [
            rival("older", push("v1", 1, 10), None),
            rival("waiting", push("v3", 1, 30), None),
            rival("newest", push("v4", 1, 40), None),
        ];
        assert_eq!(superseded_by(Newest::Push, &ours, &rivals), Some("newest"));
        assert_eq!(superseded_by(Newest::Push, &push("v4", 1, 40), &rivals), None);
    }

    #[test]
    fn what_a_newer_deployment_left_behind_decides_whether_it_counts() {
        for (verdict, effect, counts) in [
            (Verdict::Succeeded, Effect::None, true),
            (Verdict::Succeeded, Effect::SchemaMoved, true),
            (Verdict::Unchanged, Effect::None, true),
            (Verdict::RolledBack, Effect::Reverted, false),
            (Verdict::RolledBack, Effect::SchemaMoved, true),
            (Verdict::Failed, Effect::None, false),
            (Verdict::Failed, Effect::Partial, true),
            (Verdict::Failed, Effect::Unknown, true),
            (Verdict::Superseded, Effect::None, false),
        ] {
            let rivals = [rival("v3", push("v3", 1, 30), ended(verdict, effect))];
            let expected = counts.then_some("v3");
            let given = superseded_by(Newest::Push, &push("v2", 1, 20), &rivals);
            assert_eq!(given, expected, "{verdict:?} {effect:?}");
        }
    }

    #[test]
    fn a_person_gives_way_to_nobody_and_stands_above_what_was_pushed_before() {
        let pushed_later = [rival("push", push("v9", 1, 90), None)];
        assert_eq!(superseded_by(Newest::Push, &person(10), &pushed_later), None);
        let by_hand = [rival("rollback", person(50), ended(Verdict::Succeeded, Effect::None))];
        assert_eq!(
            superseded_by(Newest::Version, &push("v9", 1, 40), &by_hand),
            Some("rollback")
        );
        assert_eq!(superseded_by(Newest::Version, &push("v1", 1, 60), &by_hand), None);
    }

    #[test]
    fn a_pipeline_that_orders_by_version_does_not_ask_the_clock() {
        let rivals = [rival("v10", push("v10.0.0", 1, 10), None)];
        let late = push("v9.0.0", 1, 20);
        assert_eq!(superseded_by(Newest::Version, &late, &rivals), Some("v10"));
        assert_eq!(superseded_by(Newest::Push, &late, &rivals), None);
    }

    fn asked() -> impl Strategy<Value = Asked> {
        let tags = prop::sample::select(vec!["v1.0.0", "v1.1.0", "v2.0.0", "main", "latest"]);
        let pushed = (tags, 1_u64..4, 0_i64..=20).prop_map(|(tag, generation, second)| {
            let generations_seconds = 20 * i64::try_from(generation).unwrap();
            push(tag, generation, generations_seconds + second)
        });
        prop_oneof![4 => pushed, 1 => (0_i64..100).prop_map(person)]
    }

    proptest! {
        /// However many wait, somebody goes: nobody waits for a circle.
        #[test]
        fn of_those_that_wait_at_least_one_gives_way_to_nobody(
            waiting in prop::collection::vec(asked(), 1..8),
            newest in prop::sample::select(vec![Newest::Push, Newest::Version]),
        ) {
            let rivals: Vec<Rival> = waiting.iter().enumerate().map(|(index, asked)| rival(&index.to_string(), asked.clone(), None)).collect();
            prop_assert!(waiting.iter().any(|ours| superseded_by(newest, ours, &rivals).is_none()));
        }
    }
}
