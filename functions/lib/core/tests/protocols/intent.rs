//! Every interleaving of the repeats of one act, with a death at every point, and a sweeper that settles what was left
//! open, over the transitions of `protocol::intent`.
//!
//! The act is idempotent as the acts of Esclusa are: a client token for `RunTask`, compare-before-act for
//! `UpdateService`. Any call of it can be refused. What the model checks is that the record and the world never
//! contradict each other, whatever dies.

use std::collections::BTreeMap;

use esclusa_core::ledger::Chain;
use esclusa_core::protocol::Write;
use esclusa_core::protocol::intent::{self, CloseRefusal, Held, Intent, IntentStatus, Open};
use esclusa_core::protocol::lock::{Acquire, Claimant, Lock, acquire};
use jiff::Timestamp;
use stateright::{Model, Property};

use crate::harness::Protocol;

const OWNER: &str = "execution";
const ACTED: &str = "acted";
const NOT_ACTED: &str = "not acted";
const REFUSED: &str = "refused";

/// In which order a Lambda takes its three steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Order {
    IntentActOutcome,
    ActIntentOutcome,
    IntentOutcomeAct,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sweeper {
    /// Waits until every Lambda that may act has ended.
    Patient,
    Impatient,
    Absent,
}

type Close = fn(Option<&Intent>, &str) -> Result<Option<Write<Intent>>, CloseRefusal>;

#[derive(Clone)]
struct Acts {
    order: Order,
    sweeper: Sweeper,
    /// How the run that announced the act records that its call was refused.
    refuse: Close,
    runs: u8,
    deaths: u8,
    refusals: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum At {
    ReadIntent,
    WriteIntent {
        read: Option<Intent>,
    },
    /// Its own intent is there from an earlier run: look whether it acted.
    FindOut,
    Act {
        /// Whether this run announced it.
        announced: bool,
    },
    ReadForOutcome,
    WriteOutcome {
        read: Option<Intent>,
    },
    ReadForRefusal,
    WriteRefusal {
        read: Option<Intent>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    lock: Option<Lock>,
    intent: Option<Intent>,
    /// How often the act had an effect.
    effects: u8,
    effect_without_intent: bool,
    effect_after_settlement: bool,
    adopted: bool,
    settled_by_sweeper: bool,
    refusal_recorded: bool,
    refusal_doubted: bool,
    /// Runs of the Lambda: a run that is taken for dead is repeated while it may still go on.
    runs: BTreeMap<u8, At>,
    started: u8,
    finished: bool,
    deaths: u8,
    refusals: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Step(u8),
    /// The call of a run is refused.
    Refuse(u8),
    Die(u8),
    /// Step Functions takes the run for dead and starts another.
    Repeat,
    Sweep,
}

fn lock() -> Option<Lock> {
    let claimant = Claimant {
        owner: OWNER.to_owned(),
        deployment_id: "d".to_owned(),
    };
    let mut row = None;
    if let Ok(Acquire::Take(write)) = acquire(None, &[], &claimant, Timestamp::UNIX_EPOCH) {
        let _ = write.apply(&mut row);
    }
    row
}

fn new_intent() -> Intent {
    Intent {
        status: IntentStatus::Open,
        step: None,
        action: "ecs:RunTask".to_owned(),
        target: "migrate".to_owned(),
        chain: Chain::release("r"),
        sequence: 1,
        is_taken_up: false,
        outcome: None,
    }
}

impl Acts {
    fn first(&self) -> At {
        if self.order == Order::ActIntentOutcome {
            At::Act { announced: true }
        } else {
            At::ReadIntent
        }
    }

    /// One step of a run: where it stands afterwards, or nothing when it has ended.
    fn step(&self, world: &mut World, at: At) -> Option<At> {
        match at {
            At::ReadIntent => Some(At::WriteIntent {
                read: world.intent.clone(),
            }),
            At::WriteIntent { read } => {
                let held = [Held {
                    lock: world.lock.as_ref(),
                    fence: 1,
                }];
                match intent::open(&held, OWNER, read.as_ref(), new_intent()) {
                    Ok(Open::Write { intent: write, locks }) => {
                        let held = locks.iter().all(|condition| condition.holds(world.lock.as_ref()));
                        if !held || !write.apply(&mut world.intent) {
                            return Some(At::ReadIntent);
                        }
                        Some(match self.order {
                            Order::IntentActOutcome => At::Act { announced: true },
                            Order::ActIntentOutcome | Order::IntentOutcomeAct => At::ReadForOutcome,
                        })
                    }
                    Ok(Open::TakeUp { intent: write, locks }) => {
                        let held = locks.iter().all(|condition| condition.holds(world.lock.as_ref()));
                        let is_taken_up = held && write.apply(&mut world.intent);
                        Some(if is_taken_up { At::FindOut } else { At::ReadIntent })
                    }
                    Ok(Open::FindOut) => Some(At::FindOut),
                    Ok(Open::Settled { .. }) => {
                        world.finished = true;
                        None
                    }
                    Err(_) => None,
                }
            }
            At::FindOut if world.effects > 0 => {
                world.adopted = true;
                Some(At::ReadForOutcome)
            }
            At::FindOut => Some(At::Act { announced: false }),
            At::Act { .. } => {
                world.effect_without_intent |= world.intent.is_none();
                let settled = world.intent.as_ref().is_some_and(|intent| intent.outcome.is_some());
                if world.effects == 0 {
                    world.effect_after_settlement |= settled;
                    world.effects = 1;
                }
                match self.order {
                    Order::IntentActOutcome => Some(At::ReadForOutcome),
                    Order::ActIntentOutcome => Some(At::ReadIntent),
                    Order::IntentOutcomeAct => None,
                }
            }
            At::ReadForOutcome => Some(At::WriteOutcome {
                read: world.intent.clone(),
            }),
            At::WriteOutcome { read } => {
                match intent::close(read.as_ref(), ACTED) {
                    Ok(Some(write)) if !write.clone().apply(&mut world.intent) => return Some(At::ReadForOutcome),
                    Ok(_) => world.finished = true,
                    Err(_) => {}
                }
                (self.order == Order::IntentOutcomeAct).then_some(At::Act { announced: true })
            }
            At::ReadForRefusal => Some(At::WriteRefusal {
                read: world.intent.clone(),
            }),
            At::WriteRefusal { read } => {
                match (self.refuse)(read.as_ref(), REFUSED) {
                    Ok(Some(write)) if !write.clone().apply(&mut world.intent) => return Some(At::ReadForRefusal),
                    Ok(Some(_)) => {
                        world.refusal_recorded = true;
                        world.finished = true;
                    }
                    Ok(None) => {}
                    Err(_) => world.refusal_doubted = true,
                }
                None
            }
        }
    }

    /// Where a run stands whose call is refused. Only who announced the act can know from it that nothing was done.
    fn refused(at: &At) -> Option<At> {
        matches!(at, At::Act { announced: true }).then_some(At::ReadForRefusal)
    }

    fn settle(world: &mut World) {
        let outcome = if world.effects > 0 { ACTED } else { NOT_ACTED };
        let settled: Option<Write<Intent>> = intent::close(world.intent.as_ref(), outcome).ok().flatten();
        world.settled_by_sweeper |= settled.is_some_and(|write| write.apply(&mut world.intent));
    }
}

impl Model for Acts {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            lock: lock(),
            intent: None,
            effects: 0,
            effect_without_intent: false,
            effect_after_settlement: false,
            adopted: false,
            settled_by_sweeper: false,
            refusal_recorded: false,
            refusal_doubted: false,
            runs: [(1, self.first())].into(),
            started: 1,
            finished: false,
            deaths: self.deaths,
            refusals: self.refusals,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (run, at) in &world.runs {
            actions.push(Action::Step(*run));
            if world.refusals > 0 && self.order == Order::IntentActOutcome && matches!(at, At::Act { .. }) {
                actions.push(Action::Refuse(*run));
            }
            if world.deaths > 0 {
                actions.push(Action::Die(*run));
            }
        }
        if world.started < self.runs && !world.finished {
            actions.push(Action::Repeat);
        }
        let open = world
            .intent
            .as_ref()
            .is_some_and(|intent| intent.status == IntentStatus::Open);
        let sweeps = match self.sweeper {
            Sweeper::Patient => world.runs.is_empty(),
            Sweeper::Impatient => true,
            Sweeper::Absent => false,
        };
        if open && sweeps {
            actions.push(Action::Sweep);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Step(run) => {
                let at = world.runs.remove(&run)?;
                if let Some(at) = self.step(&mut world, at) {
                    world.runs.insert(run, at);
                }
            }
            Action::Refuse(run) => {
                world.refusals -= 1;
                let at = world.runs.remove(&run)?;
                if let Some(at) = Self::refused(&at) {
                    world.runs.insert(run, at);
                }
            }
            Action::Die(run) => {
                world.deaths -= 1;
                world.runs.remove(&run)?;
            }
            Action::Repeat => {
                world.started += 1;
                world.runs.insert(world.started, self.first());
            }
            Action::Sweep => Self::settle(&mut world),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no act without an intent", |_, world: &World| {
                !world.effect_without_intent
            }),
            Property::always("the recorded outcome is what happened", |_, world: &World| match world
                .intent
                .as_ref()
                .and_then(|intent| intent.outcome.as_deref())
            {
                Some(ACTED) => world.effects == 1,
                Some(_) => world.effects == 0,
                None => true,
            }),
            Property::always("nothing happens after its outcome is recorded", |_, world: &World| {
                !world.effect_after_settlement
            }),
            Property::always("at rest every intent has an outcome", |model: &Self, world: &World| {
                !model.is_at_rest(world)
                    || world
                        .intent
                        .as_ref()
                        .is_none_or(|intent| intent.status == IntentStatus::Closed)
            }),
            Property::sometimes("a repeat adopts what an earlier run did", |_, world: &World| {
                world.adopted
            }),
            Property::sometimes("the sweeper settles an act", |_, world: &World| {
                world.settled_by_sweeper && world.effects == 1
            }),
            Property::sometimes("the sweeper settles an announcement", |_, world: &World| {
                world.settled_by_sweeper && world.effects == 0
            }),
            Property::sometimes("a refusal settles an act", |_, world: &World| world.refusal_recorded),
            Property::sometimes(
                "a refusal proves nothing while another run is at the act",
                |_, world: &World| world.refusal_doubted && world.effects == 1,
            ),
        ]
    }
}

impl Protocol for Acts {}

const RIGHT: Acts = Acts {
    order: Order::IntentActOutcome,
    sweeper: Sweeper::Patient,
    refuse: intent::close_refused,
    runs: 3,
    deaths: 3,
    refusals: 2,
};

#[test]
fn the_record_and_the_world_agree_whatever_dies_and_is_repeated() {
    RIGHT.assert_holds(4_774);
}

#[test]
fn acting_before_the_intent_is_found() {
    let model = Acts {
        order: Order::ActIntentOutcome,
        ..RIGHT
    };
    model.assert_finds("no act without an intent");
}

#[test]
fn recording_the_outcome_before_the_act_is_found() {
    let model = Acts {
        order: Order::IntentOutcomeAct,
        ..RIGHT
    };
    model.assert_finds("the recorded outcome is what happened");
}

#[test]
fn a_sweeper_that_settles_while_a_lambda_may_still_act_is_found() {
    let model = Acts {
        sweeper: Sweeper::Impatient,
        ..RIGHT
    };
    model.assert_finds("the recorded outcome is what happened");
}

#[test]
fn a_refusal_that_is_recorded_while_another_run_is_at_the_act_is_found() {
    let model = Acts {
        refuse: intent::close,
        ..RIGHT
    };
    model.assert_finds("the recorded outcome is what happened");
}

#[test]
fn an_intent_that_nobody_settles_is_found() {
    let model = Acts {
        sweeper: Sweeper::Absent,
        ..RIGHT
    };
    model.assert_finds("at rest every intent has an outcome");
}
