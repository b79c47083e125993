//! Every interleaving of three pushes of one tag (A, B, A), their events, and regular readings of the registry, over
//! the transition of `identity::observe_push`.
//!
//! Events may be duplicated, late, lost and out of order. Whoever handles one reads the row of the tag, then the
//! registry, then writes the row where it is as it was read; every row that is written starts one release.

use std::collections::BTreeMap;

use esclusa_core::identity::{FoundBy, PushObservation, PushSeen, TagRow, observe_push};
use esclusa_core::pipeline::Digest;
use jiff::Timestamp;
use stateright::{Model, Property};

use crate::harness::Protocol;

type Observe = fn(Option<&TagRow>, &PushSeen) -> PushObservation;

const PUSHED: [char; 3] = ['a', 'b', 'a'];

#[derive(Clone)]
struct Tags {
    observe: Observe,
    /// The second of each push: event times have whole seconds, so pushes may share one.
    seconds: [i64; 3],
    conditional_writes: bool,
    duplicates: u8,
    losses: u8,
    /// Readings of the registry while something may still arrive; one more always follows.
    readings: u8,
}

/// The row of the tag, small enough to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Row {
    letter: char,
    generation: u64,
    second: i64,
    by_event: bool,
}

/// What a handler looks into: an event, by the number of its push, or the registry itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Source {
    Event(usize),
    Reading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    ReadRow,
    ReadRegistry {
        read: Option<Row>,
    },
    Write {
        read: Option<Row>,
        registry: Option<char>,
        second: i64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    pushes: usize,
    in_flight: BTreeMap<usize, u8>,
    handlers: BTreeMap<(Source, u8), At>,
    row: Option<Row>,
    /// The letters of the releases, in the order they were started.
    releases: Vec<char>,
    duplicates: u8,
    losses: u8,
    readings: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Push,
    Lose(usize),
    Duplicate(usize),
    Deliver(usize),
    Read,
    Step((Source, u8)),
}

#[expect(clippy::unwrap_used, reason = "sixty-four letters from a to f are a digest")]
fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

#[expect(clippy::unwrap_used, reason = "the seconds of the model are within the calendar")]
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

impl Row {
    fn stored(self) -> TagRow {
        TagRow {
            digest: digest(self.letter),
            generation: self.generation,
            event_time: at(self.second),
            pushed_at: at(self.second),
            found_by: if self.by_event {
                FoundBy::Event
            } else {
                FoundBy::Registry
            },
        }
    }

    fn read(row: &TagRow) -> Self {
        Self {
            letter: row.digest.as_str().chars().last().unwrap_or_default(),
            generation: row.generation,
            second: row.event_time.as_second(),
            by_event: row.found_by == FoundBy::Event,
        }
    }
}

impl Tags {
    fn current(world: &World) -> Option<char> {
        world.pushes.checked_sub(1).and_then(|last| PUSHED.get(last).copied())
    }

    fn second_of(&self, push: usize) -> i64 {
        self.seconds.get(push).copied().unwrap_or_default()
    }

    fn seen(&self, source: Source, registry: Option<char>, second: i64) -> Option<PushSeen> {
        let (letter, second, found_by) = match source {
            Source::Event(push) => (PUSHED.get(push).copied()?, self.second_of(push), FoundBy::Event),
            Source::Reading => (registry?, second, FoundBy::Registry),
        };
        Some(PushSeen {
            digest: digest(letter),
            event_time: at(second),
            pushed_at: at(second),
            registry_digest: registry.map(digest),
            found_by,
        })
    }

    /// One step of one handler: where it stands afterwards, or nothing when it has ended.
    fn step(&self, world: &mut World, source: Source, at: At) -> Option<At> {
        match at {
            At::ReadRow => Some(At::ReadRegistry { read: world.row }),
            At::ReadRegistry { read } => {
                let second = self.second_of(world.pushes.saturating_sub(1));
                Some(At::Write {
                    read,
                    registry: Self::current(world),
                    second,
                })
            }
            At::Write { read, registry, second } => {
                let seen = self.seen(source, registry, second)?;
                let PushObservation::Accepted(next) = (self.observe)(read.map(Row::stored).as_ref(), &seen) else {
                    return None;
                };
                if self.conditional_writes && world.row != read {
                    return Some(At::ReadRow);
                }
                let next = Row::read(&next);
                world.row = Some(next);
                world.releases.push(next.letter);
                None
            }
        }
    }

    fn start(world: &mut World, source: Source) {
        let number = (0..u8::MAX).find(|number| !world.handlers.contains_key(&(source, *number)));
        world
            .handlers
            .extend(number.map(|number| ((source, number), At::ReadRow)));
    }
}

impl Model for Tags {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            pushes: 0,
            in_flight: BTreeMap::new(),
            handlers: BTreeMap::new(),
            row: None,
            releases: Vec::new(),
            duplicates: self.duplicates,
            losses: self.losses,
            readings: self.readings,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.pushes < PUSHED.len() {
            actions.push(Action::Push);
        }
        for push in world.in_flight.keys() {
            actions.push(Action::Deliver(*push));
            if world.losses > 0 {
                actions.push(Action::Lose(*push));
            }
            if world.duplicates > 0 {
                actions.push(Action::Duplicate(*push));
            }
        }
        actions.extend(world.handlers.keys().map(|handler| Action::Step(*handler)));
        // The reading that follows when all is quiet: without anything new it changes nothing and is left out, so that
        // the paths end.
        let quiet = world.pushes == PUSHED.len() && world.in_flight.is_empty() && world.handlers.is_empty();
        let behind = world.row.map(|row| row.letter) != Self::current(world);
        if (world.readings > 0 && world.pushes > 0) || (quiet && behind) {
            actions.push(Action::Read);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Push => {
                world.in_flight.insert(world.pushes, 1);
                world.pushes += 1;
            }
            Action::Lose(push) | Action::Deliver(push) => {
                let copies = world.in_flight.get_mut(&push)?;
                *copies -= 1;
                if *copies == 0 {
                    world.in_flight.remove(&push);
                }
                match action {
                    Action::Deliver(_) => Self::start(&mut world, Source::Event(push)),
                    _ => world.losses -= 1,
                }
            }
            Action::Duplicate(push) => {
                world.duplicates -= 1;
                *world.in_flight.get_mut(&push)? += 1;
            }
            Action::Read => {
                world.readings = world.readings.saturating_sub(1);
                Self::start(&mut world, Source::Reading);
            }
            Action::Step((source, number)) => {
                let at = world.handlers.remove(&(source, number))?;
                if let Some(at) = self.step(&mut world, source, at) {
                    world.handlers.insert((source, number), at);
                }
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no more releases than pushes", |_, world: &World| {
                world.releases.len() <= world.pushes
            }),
            Property::always("a generation is one release", |_, world: &World| {
                world.row.map_or(0, |row| row.generation) == u64::try_from(world.releases.len()).unwrap_or(u64::MAX)
            }),
            Property::always(
                "at rest the tag's digest has been released last",
                |model: &Self, world: &World| {
                    !model.is_at_rest(world) || world.releases.last().copied() == Self::current(world)
                },
            ),
            Property::sometimes("there and back is three releases", |_, world: &World| {
                world.releases == PUSHED
            }),
            Property::sometimes("a push that was over at once is none", |model: &Self, world: &World| {
                world.releases.len() == 1 && world.pushes == PUSHED.len() && model.is_at_rest(world)
            }),
        ]
    }
}

impl Protocol for Tags {}

const RIGHT: Tags = Tags {
    observe: observe_push,
    seconds: [1, 2, 3],
    conditional_writes: true,
    duplicates: 1,
    losses: 1,
    readings: 1,
};

#[test]
fn a_push_is_one_release_at_most_and_the_last_one_is_never_lost() {
    RIGHT.assert_holds(174_987);
}

#[test]
fn pushes_within_one_second_change_nothing() {
    let model = Tags {
        seconds: [1, 1, 1],
        ..RIGHT
    };
    model.assert_holds(123_220);
}

#[test]
fn a_row_written_without_a_condition_is_found() {
    let model = Tags {
        conditional_writes: false,
        ..RIGHT
    };
    model.assert_finds("no more releases than pushes");
}

#[test]
fn a_push_taken_for_new_because_its_digest_differs_is_found() {
    fn by_digest(current: Option<&TagRow>, seen: &PushSeen) -> PushObservation {
        match current {
            Some(row) if row.digest == seen.digest => PushObservation::Duplicate,
            current => PushObservation::Accepted(TagRow {
                digest: seen.digest.clone(),
                generation: current.map_or(0, |row| row.generation) + 1,
                event_time: seen.event_time,
                pushed_at: seen.pushed_at,
                found_by: seen.found_by,
            }),
        }
    }
    let model = Tags {
        observe: by_digest,
        ..RIGHT
    };
    model.assert_finds("no more releases than pushes");
}
