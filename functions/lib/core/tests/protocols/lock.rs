//! Every interleaving of two executions that want one lock, their deaths at every point, a sweeper that concludes for
//! the dead, and a person who frees what it left in quarantine, over the transitions of `protocol::lock` and
//! `protocol::intent`.
//!
//! An execution is closed by Step Functions while the Lambda that it started may still run: only at the end of that
//! Lambda nothing more follows.

use std::collections::BTreeMap;

use esclusa_core::ledger::Chain;
use esclusa_core::protocol::intent::{self, Held, Intent, IntentStatus, Open};
use esclusa_core::protocol::lock::{
    Acquire, Claimant, Lock, LockRefusal, LockStatus, Queued, acquire, check, quarantine, release, unlock,
};
use esclusa_core::protocol::{Condition, Write};
use jiff::Timestamp;
use stateright::{Model, Property};

use crate::harness::Protocol;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

type Release = fn(Option<&Lock>, &str, u64, Timestamp) -> Result<Option<Write<Lock>>, LockRefusal>;
type OpenIntent = fn(&[Held<'_>], &str, Option<&Intent>, Intent) -> Result<Open, LockRefusal>;

/// When the sweeper believes that it may conclude for an owner, and a person that the environment can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Patience {
    /// When the owner is closed and its last Lambda must have ended.
    LambdaEnded,
    /// When the owner is closed, while its last Lambda may still run.
    TooEarly,
    /// When some time has passed.
    TimeAlone,
}

#[derive(Clone)]
struct Locks {
    open: OpenIntent,
    release: Release,
    patience: Patience,
    deaths: u8,
    lost_answers: u8,
    impatient_people: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Owner {
    First,
    Second,
    Sweeper,
}

impl Owner {
    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Sweeper => "sweeper",
        }
    }

    fn claimant(self) -> Claimant {
        Claimant {
            owner: self.name().to_owned(),
            deployment_id: self.name().to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum At {
    Begin,
    Acquiring { read: Option<Lock> },
    Holding { fence: u64 },
    Announcing { fence: u64, read: Option<Lock> },
    Acting { fence: u64 },
    Acted { fence: u64 },
    Recorded { fence: u64 },
    Releasing { fence: u64, read: Option<Lock> },
    Concluding { read: Option<Lock>, of: Owner },
    Ended,
}

impl At {
    fn believes_to_hold(&self) -> bool {
        !matches!(
            self,
            Self::Begin | Self::Acquiring { .. } | Self::Concluding { .. } | Self::Ended
        )
    }

    /// Between two Lambdas: a closed execution goes no further from here.
    fn is_between_lambdas(&self) -> bool {
        matches!(
            self,
            Self::Begin | Self::Holding { .. } | Self::Recorded { .. } | Self::Ended
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    lock: Option<Lock>,
    queue: Vec<Queued>,
    at: BTreeMap<Owner, At>,
    closed: BTreeMap<Owner, bool>,
    intents: BTreeMap<Owner, Intent>,
    highest_fence: u64,
    fence_went_back: bool,
    intent_without_lock: bool,
    act_without_lock: bool,
    acts: u8,
    concluded: bool,
    quarantined: bool,
    overtaken: bool,
    refused_stale: bool,
    entered_again: bool,
    deaths: u8,
    lost_answers: u8,
    impatient_people: u8,
    taken_from: Option<Owner>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Step(Owner),
    /// The write of the lock is done, its answer is lost, and the Lambda is retried.
    StepWithoutAnswer(Owner),
    /// Step Functions closes the execution: aborted, timed out, or out of history.
    Close(Owner),
    /// The Lambda that a closed execution left behind reaches the end of its time.
    LambdaEnds(Owner),
    /// The sweeper concludes for an owner.
    Sweep(Owner),
    /// A person has looked and frees what is in quarantine.
    Unlock,
    /// A person takes the lock from one that lives. Between its intent and its act no fence can help, so that moment is
    /// left out.
    Take(Owner),
}

impl World {
    fn holds(&self, owner: Owner, fence: u64) -> bool {
        check(self.lock.as_ref(), owner.name(), fence).is_ok()
    }

    fn write_lock(&mut self, write: Write<Lock>) -> bool {
        let fence = write.row.fence;
        let written = write.apply(&mut self.lock);
        if written {
            self.fence_went_back |= fence < self.highest_fence;
            self.highest_fence = self.highest_fence.max(fence);
        }
        written
    }

    fn is_held_by(&self, owner: Owner) -> bool {
        let is_its = |lock: &Lock| lock.status == LockStatus::Held && lock.owner.as_deref() == Some(owner.name());
        self.lock.as_ref().is_some_and(is_its)
    }

    fn stand_in_queue(&mut self, owner: Owner) {
        if !self.queue.iter().any(|queued| queued.deployment_id == owner.name()) {
            let since = Timestamp::from_second(i64::try_from(self.queue.len()).unwrap_or(i64::MAX)).unwrap_or(AT);
            self.queue.push(Queued {
                since,
                deployment_id: owner.name().to_owned(),
                is_urgent: false,
            });
        }
    }

    fn leave_queue(&mut self, owner: Owner) {
        self.queue.retain(|queued| queued.deployment_id != owner.name());
    }

    fn is_closed(&self, owner: Owner) -> bool {
        self.closed.get(&owner).copied().unwrap_or_default()
    }

    fn has_open_intent(&self, owner: Owner) -> bool {
        self.intents
            .get(&owner)
            .is_some_and(|intent| intent.status == IntentStatus::Open)
    }
}

fn new_intent() -> Intent {
    Intent {
        status: IntentStatus::Open,
        step: None,
        action: "ecs:UpdateService".to_owned(),
        target: "api".to_owned(),
        chain: Chain::release("r"),
        sequence: 1,
        is_taken_up: false,
        outcome: None,
    }
}

impl Locks {
    fn step(&self, world: &mut World, owner: Owner, at: At) -> At {
        match at {
            At::Begin => At::Acquiring {
                read: world.lock.clone(),
            },
            At::Acquiring { read } => match acquire(read.as_ref(), &world.queue, &owner.claimant(), AT) {
                Ok(Acquire::AlreadyHeld { fence }) => {
                    world.entered_again = true;
                    At::Holding { fence }
                }
                Ok(Acquire::Take(write)) => {
                    let fence = write.row.fence;
                    let stands = world.queue.iter().any(|queued| queued.deployment_id == owner.name());
                    if world.write_lock(write) {
                        world.overtaken |= !stands && !world.queue.is_empty();
                        world.leave_queue(owner);
                        At::Holding { fence }
                    } else {
                        At::Begin
                    }
                }
                Ok(Acquire::Wait { .. }) => {
                    world.stand_in_queue(owner);
                    At::Begin
                }
                Err(_) => At::Begin,
            },
            At::Holding { fence } => At::Announcing {
                fence,
                read: world.lock.clone(),
            },
            At::Announcing { fence, read } => self.announce(world, owner, fence, read.as_ref()),
            At::Acting { fence } => {
                world.act_without_lock |= !world.holds(owner, fence);
                world.acts += 1;
                At::Acted { fence }
            }
            At::Acted { fence } => {
                let mut row = world.intents.get(&owner).cloned();
                if let Ok(Some(write)) = intent::close(row.as_ref(), "acted") {
                    let _ = write.apply(&mut row);
                }
                world.intents.extend(row.map(|row| (owner, row)));
                At::Recorded { fence }
            }
            At::Recorded { fence } => At::Releasing {
                fence,
                read: world.lock.clone(),
            },
            At::Releasing { fence, read } => match (self.release)(read.as_ref(), owner.name(), fence, AT) {
                Ok(Some(write)) => {
                    if world.write_lock(write) {
                        At::Ended
                    } else {
                        At::Recorded { fence }
                    }
                }
                Ok(None) | Err(_) => At::Ended,
            },
            At::Concluding { read, of } => {
                let fence = read.as_ref().map_or(0, |lock| lock.fence);
                let write = if world.has_open_intent(of) {
                    quarantine(read.as_ref(), of.name(), fence, "an act has no outcome", AT)
                } else {
                    (self.release)(read.as_ref(), of.name(), fence, AT)
                };
                match write {
                    Ok(Some(write)) => {
                        let quarantined = write.row.status == LockStatus::Quarantined;
                        if world.write_lock(write) {
                            world.concluded = true;
                            world.quarantined |= quarantined;
                            world.leave_queue(of);
                        }
                    }
                    Ok(None) | Err(_) => world.leave_queue(of),
                }
                At::Ended
            }
            At::Ended => At::Ended,
        }
    }

    /// The transaction that writes the intent only while the lock is as it was read.
    fn announce(&self, world: &mut World, owner: Owner, fence: u64, read: Option<&Lock>) -> At {
        let existing = world.intents.get(&owner).cloned();
        let held = [Held { lock: read, fence }];
        match (self.open)(&held, owner.name(), existing.as_ref(), new_intent()) {
            Ok(Open::Write { intent, locks } | Open::TakeUp { intent, locks }) => {
                if !locks.iter().all(|condition| condition.holds(world.lock.as_ref())) {
                    return At::Announcing {
                        fence,
                        read: world.lock.clone(),
                    };
                }
                world.intent_without_lock |= !world.holds(owner, fence);
                let mut row = existing;
                let _ = intent.apply(&mut row);
                world.intents.extend(row.map(|row| (owner, row)));
                At::Acting { fence }
            }
            Ok(Open::FindOut) => At::Acting { fence },
            Ok(Open::Settled { .. }) => At::Recorded { fence },
            Err(_) => {
                world.refused_stale = true;
                At::Ended
            }
        }
    }

    /// Whether whoever died last may still do something.
    fn may_still_act(&self, world: &World, owner: Owner) -> bool {
        match self.patience {
            Patience::LambdaEnded => {
                !world.is_closed(owner) || !world.at.get(&owner).is_none_or(At::is_between_lambdas)
            }
            Patience::TooEarly => !world.is_closed(owner),
            Patience::TimeAlone => false,
        }
    }

    fn may_sweep(&self, world: &World, owner: Owner) -> bool {
        let stands = world.queue.iter().any(|queued| queued.deployment_id == owner.name());
        let idle = world.at.get(&Owner::Sweeper).is_none_or(|at| *at == At::Ended);
        idle && !self.may_still_act(world, owner) && (world.is_held_by(owner) || stands)
    }

    fn may_unlock(&self, world: &World) -> bool {
        let left_by = world
            .lock
            .as_ref()
            .filter(|lock| lock.status == LockStatus::Quarantined);
        let owner = left_by.and_then(|lock| lock.owner.as_deref());
        [Owner::First, Owner::Second]
            .into_iter()
            .any(|left| owner == Some(left.name()) && !self.may_still_act(world, left))
    }
}

impl Model for Locks {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            lock: None,
            queue: Vec::new(),
            at: [(Owner::First, At::Begin), (Owner::Second, At::Begin)].into(),
            closed: BTreeMap::new(),
            intents: BTreeMap::new(),
            highest_fence: 0,
            fence_went_back: false,
            intent_without_lock: false,
            act_without_lock: false,
            acts: 0,
            concluded: false,
            quarantined: false,
            overtaken: false,
            refused_stale: false,
            entered_again: false,
            deaths: self.deaths,
            lost_answers: self.lost_answers,
            impatient_people: self.impatient_people,
            taken_from: None,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (owner, at) in &world.at {
            let closed = world.is_closed(*owner);
            if *at != At::Ended && !(closed && at.is_between_lambdas()) {
                actions.push(Action::Step(*owner));
            }
            if closed && !at.is_between_lambdas() {
                actions.push(Action::LambdaEnds(*owner));
            }
            if world.lost_answers > 0 && matches!(at, At::Acquiring { .. }) {
                actions.push(Action::StepWithoutAnswer(*owner));
            }
            if *owner != Owner::Sweeper {
                if world.deaths > 0 && !closed && *at != At::Ended {
                    actions.push(Action::Close(*owner));
                }
                if world.impatient_people > 0 && world.is_held_by(*owner) && !matches!(at, At::Acting { .. }) {
                    actions.push(Action::Take(*owner));
                }
                if self.may_sweep(world, *owner) {
                    actions.push(Action::Sweep(*owner));
                }
            }
        }
        if self.may_unlock(world) {
            actions.push(Action::Unlock);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Step(owner) => {
                let at = world.at.remove(&owner)?;
                let at = self.step(&mut world, owner, at);
                world.at.insert(owner, at);
            }
            Action::StepWithoutAnswer(owner) => {
                world.lost_answers -= 1;
                let at = world.at.remove(&owner)?;
                let _ = self.step(&mut world, owner, at);
                world.at.insert(owner, At::Begin);
            }
            Action::Close(owner) => {
                world.deaths -= 1;
                world.closed.insert(owner, true);
            }
            Action::LambdaEnds(owner) => {
                world.at.insert(owner, At::Ended);
            }
            Action::Sweep(owner) => {
                world.at.insert(
                    Owner::Sweeper,
                    At::Concluding {
                        read: world.lock.clone(),
                        of: owner,
                    },
                );
            }
            Action::Take(owner) => {
                let write = unlock(world.lock.as_ref(), Some(owner.name()), "ana", "it hangs", AT).ok()?;
                if world.write_lock(write) {
                    world.impatient_people -= 1;
                    world.taken_from = Some(owner);
                }
            }
            Action::Unlock => {
                let write = unlock(world.lock.as_ref(), None, "ana", "looked", AT).ok()?;
                let _ = world.write_lock(write);
            }
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("only the holder announces an act", |_, world: &World| {
                !world.intent_without_lock
            }),
            Property::always("only the holder acts", |_, world: &World| !world.act_without_lock),
            Property::always("the fence never goes back", |_, world: &World| !world.fence_went_back),
            Property::always(
                "no two living owners believe that they hold the lock",
                |_, world: &World| {
                    let believes = |(owner, at): &(&Owner, &At)| {
                        !world.is_closed(**owner) && at.believes_to_hold() && world.taken_from != Some(**owner)
                    };
                    world.at.iter().filter(believes).count() <= 1
                },
            ),
            Property::always(
                "at rest nobody is left holding and every living execution has acted",
                |model: &Self, world: &World| {
                    let free = world.lock.as_ref().is_none_or(|lock| lock.status == LockStatus::Free);
                    let done = [Owner::First, Owner::Second].iter().all(|owner| {
                        world.is_closed(*owner)
                            || world.taken_from == Some(*owner)
                            || world.intents.get(owner).is_some_and(|intent| intent.outcome.is_some())
                    });
                    !model.is_at_rest(world) || (free && done)
                },
            ),
            Property::always("nobody overtakes the queue", |_, world: &World| !world.overtaken),
            Property::sometimes("the sweeper concludes for a dead owner", |_, world: &World| {
                world.concluded
            }),
            Property::sometimes("what nobody knows is left to a person", |_, world: &World| {
                world.quarantined
            }),
            Property::sometimes("an owner enters again", |_, world: &World| world.entered_again),
            Property::sometimes("both act", |_, world: &World| world.acts == 2),
            Property::sometimes("a fenced-out owner is refused", |_, world: &World| world.refused_stale),
        ]
    }
}

impl Protocol for Locks {}

const RIGHT: Locks = Locks {
    open: intent::open,
    release,
    patience: Patience::LambdaEnded,
    deaths: 1,
    lost_answers: 1,
    impatient_people: 1,
};

#[test]
fn one_owner_at_a_time_and_a_dead_one_is_replaced() {
    RIGHT.assert_holds(10_765);
}

#[test]
fn an_intent_without_the_fence_lets_a_fenced_out_owner_announce() {
    fn without_fence(_: &[Held<'_>], _: &str, existing: Option<&Intent>, intent: Intent) -> Result<Open, LockRefusal> {
        match existing {
            None => Ok(Open::Write {
                intent: Write {
                    row: intent,
                    condition: Condition::NotExists,
                },
                locks: Vec::new(),
            }),
            Some(_) => Ok(Open::FindOut),
        }
    }
    let model = Locks {
        open: without_fence,
        ..RIGHT
    };
    model.assert_finds("only the holder announces an act");
}

#[test]
fn a_fence_that_is_read_but_is_no_condition_of_the_write_is_found() {
    fn read_only(
        held: &[Held<'_>],
        owner: &str,
        existing: Option<&Intent>,
        intent: Intent,
    ) -> Result<Open, LockRefusal> {
        match intent::open(held, owner, existing, intent)? {
            Open::Write { intent, .. } | Open::TakeUp { intent, .. } => Ok(Open::Write {
                intent,
                locks: Vec::new(),
            }),
            other => Ok(other),
        }
    }
    let model = Locks {
        open: read_only,
        ..RIGHT
    };
    model.assert_finds("only the holder announces an act");
}

#[test]
fn a_release_that_forgets_the_fence_is_found() {
    fn forgetful(
        read: Option<&Lock>,
        owner: &str,
        fence: u64,
        at: Timestamp,
    ) -> Result<Option<Write<Lock>>, LockRefusal> {
        let write = release(read, owner, fence, at)?;
        Ok(write.map(|write| Write {
            row: Lock { fence: 0, ..write.row },
            ..write
        }))
    }
    let model = Locks {
        release: forgetful,
        ..RIGHT
    };
    model.assert_finds("the fence never goes back");
}

#[test]
fn concluding_by_time_alone_lets_two_act() {
    let hasty = Locks {
        patience: Patience::TimeAlone,
        deaths: 0,
        impatient_people: 0,
        ..RIGHT
    };
    hasty
        .clone()
        .assert_finds("no two living owners believe that they hold the lock");
    hasty.assert_finds("only the holder acts");
}

#[test]
fn concluding_while_the_last_lambda_may_run_lets_a_fenced_out_owner_act() {
    let model = Locks {
        patience: Patience::TooEarly,
        ..RIGHT
    };
    model.assert_finds("only the holder acts");
}
