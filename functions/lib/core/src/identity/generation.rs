//! Generations of a tag: how often it was pushed, as far as anybody saw.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pipeline::Digest;

/// What is known of a tag: the push that was accepted last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRow {
    /// The digest the tag pointed to.
    pub digest: Digest,
    /// The number of the push, from 1.
    pub generation: u64,
    /// When the push happened by its event; when the registry was read, if the push was found without its event.
    pub event_time: Timestamp,
    /// When the registry says the image was pushed.
    pub pushed_at: Timestamp,
    /// How the push was found.
    pub found_by: FoundBy,
}

/// How a push was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// By its event.
    Event,
    /// By reading the registry, because the event was late or lost.
    Registry,
}

/// A push as it was seen, together with what the registry says at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSeen {
    /// The digest of the event; for a push found by reading the registry, the digest the tag points to.
    pub digest: Digest,
    /// The time of the event; for a push found by reading the registry, the time of the reading.
    pub event_time: Timestamp,
    /// When the registry says the image was pushed.
    pub pushed_at: Timestamp,
    /// What the tag points to now, read after the row of the tag was read. `None` when the tag is gone.
    pub registry_digest: Option<Digest>,
    /// How the push was found.
    pub found_by: FoundBy,
}

/// What a push means for its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushObservation {
    /// A new push: this is the row to write, on condition that the row read before is still there.
    Accepted(TagRow),
    /// The push that the row already stands for.
    Duplicate,
    /// A push that is over: another came after it.
    Late(LateReason),
}

/// Why a push is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum LateReason {
    /// The tag points to another digest now.
    TagMoved {
        /// The digest it points to.
        now: Digest,
    },
    /// The tag is gone.
    TagDeleted,
    /// A later push was already accepted.
    LaterPushAccepted {
        /// The time of the later push.
        at: Timestamp,
    },
}

impl fmt::Display for LateReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TagMoved { now } => write!(formatter, "the tag points to `{now}` now"),
            Self::TagDeleted => formatter.write_str("the tag was deleted"),
            Self::LaterPushAccepted { at } => write!(formatter, "a later push, of {at}, was already accepted"),
        }
    }
}

/// Decides whether a push of a tag is a new one.
///
/// A registry refuses to push the digest that a tag already points to. Two pushes of one digest under one tag therefore
/// have a push of another digest between them. From this follow, in this order:
///
/// 1. *The tag points elsewhere now*: the push is over, whenever it happened. Nothing is lost, because what the tag
///    points to has its own event, and the regular reading of the registry finds it if that event is lost. A registry
///    that answers with a stale view costs one such reading, not a push.
/// 2. *The row has this digest*. The event of the accepted push, repeated, is not later than the row. An event that is
///    later proves that the tag went away and came back in between, so it is a new push: A → B → A is three generations
///    when all are seen, and two when B was never seen while it was current. A late duplicate of the first A is not
///    later than the row of the third and is no push. A row that was found by reading the registry has no event time,
///    only a time of our clock, so every event of that digest is taken for the push that was found. A reading of the
///    registry never makes a new push of the digest that the row has.
/// 3. *The row has another digest*, and the tag points to this one: the tag has moved since. An event before the row is
///    a late duplicate of an older push of the digest; the push that moved the tag has its own event, and accepting it
///    twice is what must not happen. Any other is the new push. Event times have whole seconds: at equal times it is
///    the registry that tells, and the row counts as found there.
///
/// Wrong either way is harmless: a push taken for a duplicate has the digest that is already on its way, and a push
/// accepted twice ends unchanged. The caller writes the row by compare-and-set; of two that decide at once, one loses
/// and decides again.
pub fn observe_push(current: Option<&TagRow>, seen: &PushSeen) -> PushObservation {
    match &seen.registry_digest {
        None => return PushObservation::Late(LateReason::TagDeleted),
        Some(now) if *now != seen.digest => return PushObservation::Late(LateReason::TagMoved { now: now.clone() }),
        Some(_) => {}
    }
    let Some(row) = current else {
        return PushObservation::Accepted(next_row(0, seen));
    };
    let is_later = seen.event_time > row.event_time;
    if row.digest == seen.digest {
        let both_by_event = (row.found_by, seen.found_by) == (FoundBy::Event, FoundBy::Event);
        if !(both_by_event && is_later) {
            return PushObservation::Duplicate;
        }
    } else if seen.found_by == FoundBy::Event && seen.event_time < row.event_time {
        return PushObservation::Late(LateReason::LaterPushAccepted { at: row.event_time });
    }
    let mut next = next_row(row.generation, seen);
    if !is_later {
        // The registry tells that there was a push; the event's time does not tell which. The push's own event is still
        // to come.
        next.found_by = FoundBy::Registry;
        next.event_time = row.event_time;
    }
    PushObservation::Accepted(next)
}

/// How long an event may take before its push is looked for in the registry: EventBridge delivers within seconds.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// How long a push is looked for: longer than EventBridge tries to deliver an event, and than a deployer is dead over a
/// weekend.
const SOUGHT: SignedDuration = SignedDuration::from_hours(24 * 4);

/// From when on pushes are looked for in the registry: what was pushed before the pipeline was applied was pushed under
/// other rules, or none.
#[must_use]
pub fn sought_since(applied_at: Timestamp, now: Timestamp) -> Timestamp {
    now.saturating_sub(SOUGHT)
        .map_or(applied_at, |oldest| oldest.max(applied_at))
}

/// Whether the event of an image that was pushed at `pushed_at` should have come.
#[must_use]
pub fn is_overdue(pushed_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(pushed_at) >= PATIENCE
}

fn next_row(generation: u64, seen: &PushSeen) -> TagRow {
    TagRow {
        digest: seen.digest.clone(),
        generation: generation.saturating_add(1),
        event_time: seen.event_time,
        pushed_at: seen.pushed_at,
        found_by: seen.found_by,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(letter: char) -> Digest {
        format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_push_is_sought_when_its_event_is_overdue_and_only_under_the_rules_of_today() {
        let (hour, day) = (3_600, 86_400);
        assert_eq!(sought_since(at(10 * day), at(11 * day)), at(10 * day));
        assert_eq!(sought_since(at(day), at(11 * day)), at(7 * day));
        assert!(!is_overdue(at(hour), at(hour + 599)));
        assert!(is_overdue(at(hour), at(hour + 600)));
    }

    fn event(letter: char, second: i64, registry: char) -> PushSeen {
        PushSeen {
            digest: digest(letter),
            event_time: at(second),
            pushed_at: at(second),
            registry_digest: Some(digest(registry)),
            found_by: FoundBy::Event,
        }
    }

    fn reading(registry: char, second: i64) -> PushSeen {
        PushSeen {
            found_by: FoundBy::Registry,
            ..event(registry, second, registry)
        }
    }

    /// Applies what is seen, one after the other; returns the generations that were made.
    fn generations(seen: &[PushSeen]) -> Vec<(char, u64)> {
        let mut row: Option<TagRow> = None;
        let mut made = Vec::new();
        for seen in seen {
            if let PushObservation::Accepted(next) = observe_push(row.as_ref(), seen) {
                made.push((next.digest.as_str().chars().last().unwrap(), next.generation));
                row = Some(next);
            }
        }
        made
    }

    #[test]
    fn there_and_back_is_three_generations_and_late_duplicates_are_none() {
        let (first, second, third) = (event('a', 10, 'a'), event('b', 20, 'b'), event('a', 30, 'a'));
        let late_first = event('a', 10, 'a');
        let late_second = event('b', 20, 'a');
        assert_eq!(
            generations(&[
                first.clone(),
                first,
                second,
                third.clone(),
                late_first,
                late_second,
                third
            ]),
            [('a', 1), ('b', 2), ('a', 3)]
        );
    }

    #[test]
    fn a_late_duplicate_of_the_first_does_not_pass_for_the_third_that_was_not_seen_yet() {
        let seen = [
            event('a', 10, 'a'),
            event('b', 20, 'b'),
            event('a', 10, 'a'),
            event('a', 30, 'a'),
        ];
        assert_eq!(generations(&seen), [('a', 1), ('b', 2), ('a', 3)]);
    }

    #[test]
    fn a_return_is_a_new_push_even_when_what_was_between_came_too_late() {
        let seen = [event('a', 10, 'a'), event('a', 30, 'a'), event('b', 20, 'a')];
        assert_eq!(generations(&seen), [('a', 1), ('a', 2)]);
    }

    #[test]
    fn a_push_found_in_the_registry_absorbs_its_own_event_whatever_our_clock_said() {
        let behind = [event('a', 10, 'a'), reading('b', 15), event('b', 20, 'b')];
        let ahead = [event('a', 10, 'a'), reading('b', 900), event('b', 20, 'b')];
        assert_eq!(generations(&behind), [('a', 1), ('b', 2)]);
        assert_eq!(generations(&ahead), [('a', 1), ('b', 2)]);
    }

    #[test]
    fn reading_the_registry_again_finds_nothing_new() {
        assert_eq!(
            generations(&[event('a', 10, 'a'), reading('a', 500), reading('a', 900)]),
            [('a', 1)]
        );
    }

    #[test]
    fn a_deleted_tag_starts_nothing() {
        let gone = PushSeen {
            registry_digest: None,
            ..event('a', 10, 'a')
        };
        assert_eq!(observe_push(None, &gone), PushObservation::Late(LateReason::TagDeleted));
    }

    /// The registry and the delivery of its events, as a sequence of operations on one tag.
    #[derive(Debug, Clone)]
    enum Operation {
        /// Pushes one of three digests, if the tag does not already point to it, some seconds after the last push.
        Push { letter: usize, seconds: i64 },
        /// Delivers the event of one of the pushes so far, perhaps again, perhaps long after.
        Deliver { push: prop::sample::Index },
        /// Reads the registry.
        Read,
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let operation = prop_oneof![
            3 => (0..3_usize, 0..3_i64).prop_map(|(letter, seconds)| Operation::Push { letter, seconds }),
            6 => any::<prop::sample::Index>().prop_map(|push| Operation::Deliver { push }),
            1 => Just(Operation::Read),
        ];
        proptest::collection::vec(operation, 0..40)
    }

    #[derive(Debug, Default)]
    struct World {
        pushes: Vec<(char, i64)>,
        now: i64,
        row: Option<TagRow>,
        generations: Vec<u64>,
    }

    impl World {
        fn push(&mut self, letter: char, seconds: i64) -> bool {
            if self.pushes.last().is_some_and(|(current, _)| *current == letter) {
                return false;
            }
            self.now += seconds;
            self.pushes.push((letter, self.now));
            true
        }

        fn see(&mut self, seen: &PushSeen) {
            if let PushObservation::Accepted(next) = observe_push(self.row.as_ref(), seen) {
                assert_eq!(
                    Some(&next.digest),
                    seen.registry_digest.as_ref(),
                    "only what the tag points to is accepted"
                );
                self.generations.push(next.generation);
                self.row = Some(next);
            }
        }

        fn deliver(&mut self, index: usize) {
            let (letter, second) = self.pushes[index];
            let current = self.pushes.last().unwrap().0;
            self.see(&event(letter, second, current));
        }

        fn read(&mut self) {
            if let Some((current, _)) = self.pushes.last().copied() {
                self.see(&reading(current, self.now));
            }
        }
    }

    proptest! {
        #[test]
        fn no_push_makes_two_generations_whatever_happens_to_its_events(operations in operations()) {
            let mut world = World::default();
            for operation in operations {
                match operation {
                    Operation::Push { letter, seconds } => {
                        world.push(['a', 'b', 'c'][letter], seconds);
                    }
                    Operation::Deliver { push } if !world.pushes.is_empty() => world.deliver(push.index(world.pushes.len())),
                    Operation::Deliver { .. } => {}
                    Operation::Read => world.read(),
                }
                prop_assert!(world.generations.len() <= world.pushes.len());
            }
            let dense: Vec<u64> = (1..).take(world.generations.len()).collect();
            prop_assert_eq!(&world.generations, &dense);
            world.read();
            prop_assert_eq!(world.row.map(|row| row.digest), world.pushes.last().map(|(letter, _)| digest(*letter)));
        }

        #[test]
        fn events_in_order_make_every_push_a_generation_however_often_they_repeat(
            pushes in proptest::collection::vec((0..3_usize, 1..3_i64, proptest::collection::vec(any::<prop::sample::Index>(), 0..4)), 0..15),
        ) {
            let mut world = World::default();
            for (letter, seconds, repeated) in pushes {
                if world.push(['a', 'b', 'c'][letter], seconds) {
                    world.deliver(world.pushes.len() - 1);
                }
                for earlier in repeated.iter().filter(|_| !world.pushes.is_empty()).map(|index| index.index(world.pushes.len())).collect::<Vec<_>>() {
                    world.deliver(earlier);
                }
                prop_assert_eq!(world.generations.len(), world.pushes.len());
            }
        }
    }
}
