//! Whether a deployment gives way to a newer one. An older push never replaces a newer one in an environment, unless a
//! person asks for it.
//!
//! Releases of one image may wait for the lock of an environment in any order, and the lock is given in any order. The
//! question is therefore asked under the lock, where nothing else in the environment can move, and again by whoever
//! gets it next.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pipeline::{Newest, Soaking, Tag, Waiting};
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
    /// By a person, who named a version or the way back to an earlier one.
    Person {
        /// The tag of the version; none for the way back, which stands for no version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
        /// When.
        at: Timestamp,
    },
}

impl Asked {
    /// The generation of the tag, for a push.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        match self {
            Self::Push { generation, .. } => Some(*generation),
            Self::Person { .. } => None,
        }
    }

    /// When, and at one moment a person after a push: the registry tells the second only.
    fn moment(&self) -> (Timestamp, bool) {
        match self {
            Self::Push { at, .. } => (*at, false),
            Self::Person { at, .. } => (*at, true),
        }
    }

    fn is_person(&self) -> bool {
        matches!(self, Self::Person { .. })
    }

    fn candidate(&self) -> Option<Candidate<'_>> {
        match self {
            Self::Push { tag, generation, at } => Some(Candidate {
                tag,
                generation: *generation,
                pushed_at: *at,
            }),
            Self::Person { tag, at } => tag.as_ref().map(|tag| Candidate {
                tag,
                generation: 0,
                pushed_at: *at,
            }),
        }
    }

    /// Whether this stands above `ours`. A person stands above whatever was asked for before, a push never above a
    /// person; between a push and what a person asked for before it, as between two pushes, the policy decides.
    fn is_newer_than(&self, ours: &Self, newest: Newest) -> bool {
        let by_policy = || match (self.candidate(), ours.candidate()) {
            (Some(this), Some(ours)) => compare_age(newest, &this, &ours).is_gt(),
            _ => self.moment() > ours.moment(),
        };
        match (self.is_person(), ours.is_person()) {
            (true, true) => self.moment() > ours.moment(),
            (true, false) => self.moment() > ours.moment() || (newest == Newest::Version && by_policy()),
            (false, true) => false,
            (false, false) => by_policy(),
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

impl Rival {
    /// A rival that ended without a trace, or was brought back, takes nobody's turn; one that waits does so where the
    /// newest of those that wait goes.
    fn counts(&self, waiting: Waiting) -> bool {
        let leaves_something = |end: &End| {
            let is_clean = matches!(end.effect, Effect::None | Effect::Reverted);
            // One that gave way while it soaked is what the next one replaces, and what stays if that one is brought
            // back.
            end.is_in_force() || !is_clean
        };
        self.end
            .as_ref()
            .map_or(waiting == Waiting::Supersede, leaves_something)
    }
}

/// The release that a deployment gives way to: the first, by the policy, of the rivals that stand above it and wait,
/// run, are in force or have left something behind. Where all that wait are deployed in turn, those that only wait do
/// not count: a newer one in force still does.
///
/// What a person asked for gives way to a later wish of a person only. It also ends what was before it: a version that
/// a person went back from does not stand above what is pushed after that.
#[must_use]
pub fn superseded_by<'a>(newest: Newest, waiting: Waiting, ours: &Asked, rivals: &'a [Rival]) -> Option<&'a str> {
    let counting = || rivals.iter().filter(|rival| rival.counts(waiting));
    // A wish that waits for its turn will be carried out: it ends what was before it already now, whoever of the two
    // gets the lock first.
    let wishes = rivals.iter().filter(|rival| rival.counts(Waiting::Supersede));
    let wishes = wishes.map(|rival| &rival.asked).filter(|asked| asked.is_person());
    let since = wishes.map(Asked::moment).filter(|moment| *moment < ours.moment()).max();
    let mut first: Option<&Rival> = None;
    for rival in counting() {
        let is_over = since.is_some_and(|since| rival.asked.moment() < since);
        let stands_above = !is_over && rival.asked.is_newer_than(ours, newest);
        if stands_above && first.is_none_or(|first| rival.asked.is_newer_than(&first.asked, newest)) {
            first = Some(rival);
        }
    }
    first.map(|rival| rival.release_id.as_str())
}

/// Whether a release goes before those that can wait for a lock: whoever goes back, or mends what is broken, waits for
/// nothing but what is at work.
#[must_use]
pub const fn is_urgent(is_rollback: bool, is_hotfix: bool) -> bool {
    is_rollback || is_hotfix
}

/// A release that waits for the lock of one that is in force and only soaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InQueue {
    /// The release.
    pub release_id: String,
    /// How it was asked for.
    pub asked: Asked,
    /// Whether it brings another image.
    pub is_of_another_image: bool,
    /// Whether it goes back to an earlier release.
    pub is_rollback: bool,
    /// Whether it is a hotfix.
    pub is_hotfix: bool,
}

/// The release that one which is in force and only soaks gives way to: a rollback by hand that was asked for after it,
/// always, because whoever goes back has seen enough, of whatever image; the newest that stands above it, where that is
/// a hotfix, or the policy says so; a hotfix of another image, which nothing stands above.
#[must_use]
pub fn soak_gives_way<'a>(newest: Newest, soaking: Soaking, ours: &Asked, queue: &'a [InQueue]) -> Option<&'a str> {
    let rollback = |waits: &&InQueue| waits.is_rollback && waits.asked.moment() > ours.moment();
    let may = |waits: &InQueue| soaking == Soaking::GiveWay || waits.is_hotfix;
    let above = |waits: &&InQueue| !waits.is_of_another_image && may(waits) && waits.asked.is_newer_than(ours, newest);
    let newest_above = || {
        queue.iter().filter(above).reduce(|first, waits| {
            if waits.asked.is_newer_than(&first.asked, newest) {
                waits
            } else {
                first
            }
        })
    };
    let first = queue
        .iter()
        .find(rollback)
        .or_else(newest_above)
        .or_else(|| queue.iter().find(|waits| waits.is_of_another_image && waits.is_hotfix));
    first.map(|waits| waits.release_id.as_str())
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
        Asked::Person {
            tag: None,
            at: at(second),
        }
    }

    fn deploy(tag: &str, second: i64) -> Asked {
        Asked::Person {
            tag: Some(tag.parse().unwrap()),
            at: at(second),
        }
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
    fn a_soak_gives_way_to_a_rollback_always_and_to_newer_ones_where_it_may() {
        let ours = push("v2", 1, 20);
        let waits = |release_id: &str, asked: Asked, is_rollback| InQueue {
            release_id: release_id.to_owned(),
            asked,
            is_of_another_image: false,
            is_rollback,
            is_hotfix: false,
        };
        let queue = [
            waits("older", push("v1", 1, 10), false),
            waits("newer", push("v3", 1, 30), false),
            waits("newest", push("v4", 1, 40), false),
        ];
        let gives_way =
            |soaking, queue: &[InQueue]| soak_gives_way(Newest::Push, soaking, &ours, queue).map(str::to_owned);
        assert_eq!(gives_way(Soaking::Hold, &queue), None);
        assert_eq!(gives_way(Soaking::GiveWay, &queue).as_deref(), Some("newest"));
        assert_eq!(gives_way(Soaking::GiveWay, &queue[..1]), None);
        let back = [queue[2].clone(), waits("back", person(25), true)];
        assert_eq!(gives_way(Soaking::Hold, &back).as_deref(), Some("back"));
        assert_eq!(gives_way(Soaking::GiveWay, &back).as_deref(), Some("back"));
        let hotfix = InQueue {
            is_hotfix: true,
            ..queue[1].clone()
        };
        assert_eq!(
            gives_way(Soaking::Hold, &[queue[2].clone(), hotfix]).as_deref(),
            Some("newer")
        );
        // Of another image: a hotfix and who goes back, and nobody else.
        let of_another_image = |waits: &InQueue, is_hotfix| InQueue {
            is_of_another_image: true,
            is_hotfix,
            ..waits.clone()
        };
        let (older, newer, back) = (&queue[0], &queue[1], &back[1]);
        assert_eq!(gives_way(Soaking::GiveWay, &[of_another_image(newer, false)]), None);
        for first in [of_another_image(older, true), of_another_image(back, false)] {
            let waiting = [of_another_image(newer, false), first.clone()];
            assert_eq!(gives_way(Soaking::Hold, &waiting), Some(first.release_id));
        }
        let old_wish = [waits("back", person(15), true)];
        assert_eq!(
            gives_way(Soaking::GiveWay, &old_wish),
            None,
            "it was asked for before ours came"
        );
    }

    #[test]
    fn what_gave_way_while_it_soaked_keeps_older_ones_out() {
        let gave_way = Some(End {
            verdict: Verdict::Stopped,
            effect: Effect::None,
            reason: Reason::GaveWay,
            reasons: Vec::new(),
        });
        let rivals = [rival("gave way", push("v3", 1, 30), gave_way)];
        let ours = push("v2", 1, 20);
        assert_eq!(
            superseded_by(Newest::Push, Waiting::Queue, &ours, &rivals),
            Some("gave way")
        );
    }

    #[test]
    fn an_older_push_gives_way_to_the_newest_that_counts() {
        let ours = push("v2", 1, 20);
        let rivals = [
            rival("older", push("v1", 1, 10), None),
            rival("waiting", push("v3", 1, 30), None),
            rival("newest", push("v4", 1, 40), None),
        ];
        assert_eq!(
            superseded_by(Newest::Push, Waiting::Supersede, &ours, &rivals),
            Some("newest")
        );
        assert_eq!(
            superseded_by(Newest::Push, Waiting::Supersede, &push("v4", 1, 40), &rivals),
            None
        );
    }

    #[test]
    fn in_a_queue_a_newer_one_counts_only_when_it_is_in_force() {
        let ours = push("v2", 1, 20);
        let newer = |end| [rival("newer", push("v3", 1, 30), end)];
        let given = |end| superseded_by(Newest::Push, Waiting::Queue, &ours, &newer(end)).is_some();
        assert_eq!(
            [given(None), given(ended(Verdict::Succeeded, Effect::None))],
            [false, true]
        );
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
            let given = superseded_by(Newest::Push, Waiting::Supersede, &push("v2", 1, 20), &rivals);
            assert_eq!(given, expected, "{verdict:?} {effect:?}");
        }
    }

    #[test]
    fn a_person_gives_way_to_no_push_and_stands_above_what_was_pushed_before() {
        let pushed_later = [rival("push", push("v9", 1, 90), None)];
        assert_eq!(
            superseded_by(Newest::Push, Waiting::Supersede, &person(10), &pushed_later),
            None
        );
        let by_hand = [rival("rollback", person(50), ended(Verdict::Succeeded, Effect::None))];
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Supersede, &push("v9", 1, 40), &by_hand),
            Some("rollback")
        );
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Supersede, &push("v1", 1, 60), &by_hand),
            None
        );
    }

    #[test]
    fn a_pipeline_that_orders_by_version_does_not_ask_the_clock() {
        let rivals = [rival("v10", push("v10.0.0", 1, 10), None)];
        let late = push("v9.0.0", 1, 20);
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Supersede, &late, &rivals),
            Some("v10")
        );
        assert_eq!(superseded_by(Newest::Push, Waiting::Supersede, &late, &rivals), None);
    }

    #[test]
    fn what_a_person_went_back_from_does_not_stand_above_what_comes_after() {
        let done = || ended(Verdict::Succeeded, Effect::None);
        let rivals = [
            rival("v10", push("v10.0.0", 1, 10), done()),
            rival("rollback", person(20), done()),
        ];
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Supersede, &push("v9.0.1", 1, 30), &rivals),
            None
        );
        // Also while both still wait: the one that waits gives way to the person, and then nobody stands above the
        // third.
        let waiting = [
            rival("v10", push("v10.0.0", 1, 10), None),
            rival("rollback", person(20), None),
        ];
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Supersede, &push("v9.0.1", 1, 30), &waiting),
            None
        );
    }

    #[test]
    fn what_a_person_who_waits_in_the_queue_goes_back_from_does_not_stand_above_what_comes_after() {
        let in_force = rival("v1.1.0", push("v1.1.0", 1, 40), ended(Verdict::Succeeded, Effect::None));
        let back = |end| rival("rollback", person(48), end);
        let after = push("v1.0.0", 1, 49);
        for end in [None, ended(Verdict::Succeeded, Effect::None)] {
            let rivals = [in_force.clone(), back(end)];
            assert_eq!(superseded_by(Newest::Version, Waiting::Queue, &after, &rivals), None);
        }
        let failed = [in_force, back(ended(Verdict::Failed, Effect::None))];
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Queue, &after, &failed),
            Some("v1.1.0")
        );
    }

    #[test]
    fn a_push_of_the_very_second_in_which_a_person_asked_came_before() {
        let (by_hand, same_second, later) = (person(31), push("v1.0.0", 1, 31), push("main", 1, 32));
        let waiting = [
            rival("by hand", by_hand, None),
            rival("same second", same_second.clone(), None),
        ];
        let by_hand = Some("by hand");
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Supersede, &same_second, &waiting),
            by_hand
        );
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Supersede, &later, &waiting),
            None
        );
    }

    #[test]
    fn a_version_that_a_person_named_is_a_version() {
        let rivals = [rival(
            "by hand",
            deploy("v10.0.0", 20),
            ended(Verdict::Succeeded, Effect::None),
        )];
        let backport = push("v9.9.9", 1, 30);
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Supersede, &backport, &rivals),
            Some("by hand")
        );
        assert_eq!(
            superseded_by(Newest::Push, Waiting::Supersede, &backport, &rivals),
            None
        );
        assert_eq!(
            superseded_by(Newest::Version, Waiting::Supersede, &push("v10.0.1", 1, 30), &rivals),
            None
        );
    }

    #[test]
    fn an_older_wish_of_a_person_gives_way_to_a_newer_one() {
        let rivals = [rival("rollback", person(50), ended(Verdict::Succeeded, Effect::None))];
        assert_eq!(
            superseded_by(Newest::Push, Waiting::Supersede, &deploy("v5", 40), &rivals),
            Some("rollback")
        );
        assert_eq!(
            superseded_by(Newest::Push, Waiting::Supersede, &deploy("v5", 60), &rivals),
            None
        );
    }

    fn asked() -> impl Strategy<Value = Asked> {
        let tags = prop::sample::select(vec!["v1.0.0", "v1.1.0", "v2.0.0", "main", "latest"]);
        let pushed = (tags, 1_u64..4, 0_i64..=20).prop_map(|(tag, generation, second)| {
            let generations_seconds = 20 * i64::try_from(generation).unwrap();
            push(tag, generation, generations_seconds + second)
        });
        let named = prop::sample::select(vec!["v1.0.0", "v2.0.0"]);
        prop_oneof![
            4 => pushed,
            1 => (0_i64..100).prop_map(person),
            1 => (named, 0_i64..100).prop_map(|(tag, second)| deploy(tag, second)),
        ]
    }

    proptest! {
        /// However many wait, somebody goes: nobody waits for a circle.
        #[test]
        fn of_those_that_wait_at_least_one_gives_way_to_nobody(
            waiting in prop::collection::vec(asked(), 1..8),
            newest in prop::sample::select(vec![Newest::Push, Newest::Version]),
            policy in prop::sample::select(vec![Waiting::Supersede, Waiting::Queue]),
        ) {
            let rivals: Vec<Rival> = waiting.iter().enumerate().map(|(index, asked)| rival(&index.to_string(), asked.clone(), None)).collect();
            prop_assert!(waiting.iter().any(|ours| superseded_by(newest, policy, ours, &rivals).is_none()));
        }

        /// In whatever order the lock is given, nothing newer than what is in force at the end was left out for it.
        #[test]
        fn the_order_of_the_lock_does_not_decide_what_is_in_force(
            waiting in prop::collection::vec(asked(), 1..8).prop_shuffle(),
            newest in prop::sample::select(vec![Newest::Push, Newest::Version]),
            policy in prop::sample::select(vec![Waiting::Supersede, Waiting::Queue]),
        ) {
            let mut rivals: Vec<Rival> = waiting.iter().enumerate().map(|(index, asked)| rival(&index.to_string(), asked.clone(), None)).collect();
            let mut in_force = None;
            for index in 0..rivals.len() {
                let others: Vec<Rival> = rivals.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, rival)| rival.clone()).collect();
                let gives_way = superseded_by(newest, policy, &rivals[index].asked, &others).is_some();
                rivals[index].end = if gives_way {
                    ended(Verdict::Superseded, Effect::None)
                } else {
                    in_force = Some(index);
                    ended(Verdict::Succeeded, Effect::None)
                };
            }
            let in_force = &rivals[in_force.expect("somebody goes")].asked;
            let latest_wish = waiting.iter().filter(|asked| asked.is_person()).map(Asked::moment).max();
            for other in &waiting {
                let is_over = latest_wish.is_some_and(|wish| other.moment() < wish);
                prop_assert!(is_over || !other.is_newer_than(in_force, newest), "{in_force:?} is in force, and {other:?} is not");
            }
        }
    }
}
