//! Every interleaving of two executions that want one lock, their deaths at every point, and a sweeper that takes over, over the transitions of
//! `protocol::lock` and `protocol::intent`.
//!
//! An execution is closed by Step Functions while the Lambda that it started may still run: only at the end of that Lambda nothing more follows.

use std::collections::BTreeMap;

use esclusa_core::ledger::Chain;
use esclusa_core::protocol::intent::{self, Held, Intent, IntentStatus, Open};
use esclusa_core::protocol::lock::{
    Acquire, Claimant, Lock, LockRefusal, LockStatus, TakeOverEvidence, acquire, check, release, take_over,
};
use esclusa_core::protocol::{Condition, Write};
use jiff::Timestamp;
use stateright::{Model, Property};

use crate::harness::Protocol;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

type Release = fn(Option<&Lock>, &str, u64, Timestamp) -> Result<Option<Write<Lock>>, LockRefusal>;
type OpenIntent = fn(&[Held<'_>], &str, Option<&Intent>, Intent) -> Result<Open, LockRefusal>;

/// When the sweeper believes that it may take a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Patience {
    /// When the owner is closed and its intents, older than the longest Lambda, are settled.
    Settled,
    /// When the owner is closed; its intents are settled while its last Lambda may still run.
    SettledTooEarly,
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
    TakingOver { read: Option<Lock>, evidence_of: Owner },
    Ended,
}

impl At {
    fn believes_to_hold(&self) -> bool {
        !matches!(
            self,
            Self::Begin | Self::Acquiring { .. } | Self::TakingOver { .. } | Self::Ended
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
    at: BTreeMap<Owner, At>,
    closed: BTreeMap<Owner, bool>,
    intents: BTreeMap<Owner, Intent>,
    highest_fence: u64,
    fence_went_back: bool,
    intent_without_lock: bool,
    act_without_lock: bool,
    acts: u8,
    took_over: bool,
    refused_stale: bool,
    entered_again: bool,
    deaths: u8,
    lost_answers: u8,
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
    Settle(Owner),
    Sweep(Owner),
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
        outcome: None,
    }
}

impl Locks {
    fn step(&self, world: &mut World, owner: Owner, at: At) -> At {
        match at {
            At::Begin => At::Acquiring {
                read: world.lock.clone(),
            },
            At::Acquiring { read } => match acquire(read.as_ref(), &owner.claimant(), AT) {
                Ok(Acquire::AlreadyHeld { fence }) => {
                    world.entered_again = true;
                    At::Holding { fence }
                }
                Ok(Acquire::Take(write)) => {
                    let fence = write.row.fence;
                    if world.write_lock(write) {
                        At::Holding { fence }
                    } else {
                        At::Begin
                    }
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
            At::TakingOver { read, evidence_of } => {
                let named = match self.patience {
                    Patience::TimeAlone => read.as_ref().and_then(|lock| lock.owner.clone()).unwrap_or_default(),
                    Patience::Settled | Patience::SettledTooEarly => evidence_of.name().to_owned(),
                };
                let open_intents =
                    usize::from(self.patience != Patience::TimeAlone && world.has_open_intent(evidence_of));
                let evidence = TakeOverEvidence::OwnerClosed {
                    owner: named,
                    open_intents,
                };
                match take_over(read.as_ref(), &evidence, &owner.claimant(), AT) {
                    Ok(write) => {
                        let fence = write.row.fence;
                        let written = world.write_lock(write);
                        world.took_over |= written;
                        if written { At::Recorded { fence } } else { At::Ended }
                    }
                    Err(_) => At::Ended,
                }
            }
            At::Ended => At::Ended,
        }
    }

    /// The transaction that writes the intent only while the lock is as it was read.
    fn announce(&self, world: &mut World, owner: Owner, fence: u64, read: Option<&Lock>) -> At {
        let existing = world.intents.get(&owner).cloned();
        let held = [Held { lock: read, fence }];
        match (self.open)(&held, owner.name(), existing.as_ref(), new_intent()) {
            Ok(Open::Write { intent, locks }) => {
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

    fn may_settle(&self, world: &World, owner: Owner) -> bool {
        let lambda_is_gone = world.at.get(&owner).is_none_or(At::is_between_lambdas);
        world.is_closed(owner)
            && world.has_open_intent(owner)
            && (lambda_is_gone || self.patience == Patience::SettledTooEarly)
    }

    fn may_sweep(&self, world: &World, owner: Owner) -> bool {
        let is_holder = world
            .lock
            .as_ref()
            .is_some_and(|lock| lock.status == LockStatus::Held && lock.owner.as_deref() == Some(owner.name()));
        let idle = world.at.get(&Owner::Sweeper).is_none_or(|at| *at == At::Ended);
        is_holder && idle && (world.is_closed(owner) || self.patience == Patience::TimeAlone) && !world.took_over
    }
}

impl Model for Locks {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            lock: None,
            at: [(Owner::First, At::Begin), (Owner::Second, At::Begin)].into(),
            closed: BTreeMap::new(),
            intents: BTreeMap::new(),
            highest_fence: 0,
            fence_went_back: false,
            intent_without_lock: false,
            act_without_lock: false,
            acts: 0,
            took_over: false,
            refused_stale: false,
            entered_again: false,
            deaths: self.deaths,
            lost_answers: self.lost_answers,
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
                if self.may_settle(world, *owner) {
                    actions.push(Action::Settle(*owner));
                }
                if self.may_sweep(world, *owner) {
                    actions.push(Action::Sweep(*owner));
                }
            }
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
            Action::Settle(owner) => {
                let mut row = world.intents.get(&owner).cloned();
                if let Ok(Some(write)) = intent::close(row.as_ref(), "settled from the truth") {
                    let _ = write.apply(&mut row);
                }
                world.intents.extend(row.map(|row| (owner, row)));
            }
            Action::Sweep(owner) => {
                world.at.insert(
                    Owner::Sweeper,
                    At::TakingOver {
                        read: world.lock.clone(),
                        evidence_of: owner,
                    },
                );
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
                    let believes = |(owner, at): &(&Owner, &At)| !world.is_closed(**owner) && at.believes_to_hold();
                    world.at.iter().filter(believes).count() <= 1
                },
            ),
            Property::always(
                "at rest nobody is left holding and every living execution has acted",
                |model: &Self, world: &World| {
                    let free = world.lock.as_ref().is_none_or(|lock| lock.status == LockStatus::Free);
                    let done = [Owner::First, Owner::Second].iter().all(|owner| {
                        world.is_closed(*owner)
                            || world.intents.get(owner).is_some_and(|intent| intent.outcome.is_some())
                    });
                    !model.is_at_rest(world) || (free && done)
                },
            ),
            Property::sometimes("a lock is taken over", |_, world: &World| world.took_over),
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
    patience: Patience::Settled,
    deaths: 1,
    lost_answers: 1,
};

#[test]
fn one_owner_at_a_time_and_a_dead_one_is_replaced() {
    RIGHT.assert_holds(2_851);
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
            Open::Write { intent, .. } => Ok(Open::Write {
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
fn taking_over_by_time_alone_lets_two_act() {
    let hasty = Locks {
        patience: Patience::TimeAlone,
        deaths: 0,
        ..RIGHT
    };
    hasty
        .clone()
        .assert_finds("no two living owners believe that they hold the lock");
    hasty.assert_finds("only the holder acts");
}

#[test]
fn settling_intents_while_the_last_lambda_may_run_lets_a_fenced_out_owner_act() {
    let model = Locks {
        patience: Patience::SettledTooEarly,
        ..RIGHT
    };
    model.assert_finds("only the holder acts");
}
