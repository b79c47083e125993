//! Every interleaving of a waiting state, the events of what it waits for, and the sweeper, over the transitions of
//! `protocol::rendezvous`.
//!
//! One resource comes to its end once. Its event may be duplicated, late or lost. The Lambda that stores the token may
//! be slow, die or be overtaken by a retry with a newer token; whoever looks may die at every point. Step Functions
//! accepts each token once and only while its state waits for it.

use esclusa_core::protocol::rendezvous::{
    Completion, InboxEvent, Look, SendAnswer, StoreWait, Truth, WaitKind, WaitRefusal, WaitStatus, Waiter, complete,
    look, on_event, store_wait, truth,
};
use esclusa_core::protocol::{Attempt, Write};
use jiff::Timestamp;
use stateright::{Model, Property};

use crate::harness::Protocol;

/// The number of the attempt stands for its token.
type Token = u32;
type Row = Waiter<Token>;
type Store = fn(Option<&Row>, Row) -> Result<StoreWait<Token>, WaitRefusal>;

type LookAt = for<'a> fn(Option<&'a Row>, Truth) -> Look<'a, Token>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Order {
    TokenThenTruth,
    TruthThenToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ending {
    SendThenClose,
    CloseThenSend,
}

#[derive(Clone)]
struct Rendezvous {
    store: Store,
    look: LookAt,
    order: Order,
    ending: Ending,
    conditional_writes: bool,
    sweeper: bool,
    retries: u32,
    crashes: u8,
    losses: u8,
    duplicates: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Who {
    Waiter(Token),
    EventHandler(u8),
    Sweeper,
}

/// Where a process stands; every step reads or writes one thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum At {
    ReadRow {
        truth: Option<Truth>,
    },
    StoreRow {
        read: Option<Row>,
        truth: Option<Truth>,
    },
    StoreEvent,
    ReadTruth,
    ReadWaiter(Truth),
    Send {
        token: Token,
        attempt: Attempt,
        close_after: bool,
    },
    ReadForClose {
        token: Token,
        attempt: Attempt,
        answer: SendAnswer,
        send_after: bool,
    },
    Close {
        write: Write<Row>,
        then_send: Option<(Token, Attempt)>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    over: bool,
    events_in_flight: u8,
    inbox: Option<InboxEvent>,
    row: Option<Row>,
    /// The token for which the state waits now.
    live: Option<Token>,
    attempts: Token,
    completed_by: Option<Who>,
    completed_early: bool,
    newest_stored: Token,
    late_send: bool,
    processes: std::collections::BTreeMap<Who, At>,
    crashes: u8,
    losses: u8,
    duplicates: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    End,
    LoseEvent,
    DuplicateEvent,
    DeliverEvent,
    /// The state's Lambda is taken for dead and the state is retried with a new token; the old Lambda may live on.
    Retry,
    Sweep,
    Step(Who),
    /// The call reaches Step Functions, its answer is lost.
    StepWithoutAnswer(Who),
    Crash(Who),
}

fn attempt(token: Token) -> Attempt {
    Attempt {
        entered_at: Timestamp::UNIX_EPOCH,
        retry_count: token,
    }
}

fn event() -> InboxEvent {
    let at = Timestamp::UNIX_EPOCH;
    InboxEvent {
        version: Some(3),
        is_over: true,
        detail: String::new(),
        event_time: at,
        received_at: at,
    }
}

fn waiter(token: Token) -> Row {
    Waiter {
        token,
        attempt: attempt(token),
        status: WaitStatus::Open,
        kind: WaitKind::Task,
        deployment_id: String::new(),
        deadline: Timestamp::UNIX_EPOCH,
    }
}

impl Rendezvous {
    fn start(&self, token: Token) -> (Who, At) {
        let at = match self.order {
            Order::TokenThenTruth => At::ReadRow { truth: None },
            Order::TruthThenToken => At::ReadTruth,
        };
        (Who::Waiter(token), at)
    }

    fn read_truth(world: &World) -> Truth {
        let inbox: Vec<InboxEvent> = world.inbox.iter().cloned().collect();
        truth(&inbox, Some(world.over))
    }

    /// Sends a token as Step Functions takes it.
    fn send(world: &mut World, who: Who, token: Token) -> SendAnswer {
        if world.live != Some(token) {
            world.late_send = true;
            return SendAnswer::TaskTimedOut;
        }
        world.live = None;
        world.completed_early |= !world.over;
        world.completed_by = Some(who);
        SendAnswer::Accepted
    }

    /// One step of one process: where it stands afterwards, or nothing when it has ended.
    fn step(&self, world: &mut World, who: Who, at: At, answered: bool) -> Option<At> {
        match at {
            At::ReadRow { truth } => Some(At::StoreRow {
                read: world.row.clone(),
                truth,
            }),
            At::StoreRow { read, truth } => {
                let Who::Waiter(token) = who else { return None };
                match (self.store)(read.as_ref(), waiter(token)) {
                    Ok(StoreWait::Store(write)) => {
                        if !self.conditional_writes {
                            world.row = Some(write.row);
                        } else if !write.apply(&mut world.row) {
                            return Some(At::ReadRow { truth });
                        }
                        world.newest_stored = world.newest_stored.max(token);
                        Some(truth.map_or(At::ReadTruth, At::ReadWaiter))
                    }
                    Ok(StoreWait::AlreadyStored) => Some(truth.map_or(At::ReadTruth, At::ReadWaiter)),
                    Ok(StoreWait::AlreadyClosed) | Err(_) => None,
                }
            }
            At::StoreEvent => {
                if let Some(write) = on_event(world.inbox.as_ref(), event()) {
                    let _ = write.apply(&mut world.inbox);
                }
                Some(At::ReadWaiter(Truth::Over))
            }
            At::ReadTruth => {
                let seen = Self::read_truth(world);
                let begins = self.order == Order::TruthThenToken
                    && matches!(who, Who::Waiter(token) if world.newest_stored < token);
                Some(if begins {
                    At::ReadRow { truth: Some(seen) }
                } else {
                    At::ReadWaiter(seen)
                })
            }
            At::ReadWaiter(seen) => match (self.look)(world.row.as_ref(), seen) {
                Look::Complete { token, attempt } => Some(match self.ending {
                    Ending::SendThenClose => At::Send {
                        token: *token,
                        attempt,
                        close_after: true,
                    },
                    Ending::CloseThenSend => At::ReadForClose {
                        token: *token,
                        attempt,
                        answer: SendAnswer::Accepted,
                        send_after: true,
                    },
                }),
                Look::StillRunning | Look::NobodyWaits => None,
            },
            At::Send {
                token,
                attempt,
                close_after,
            } => {
                let answer = Self::send(world, who, token);
                let answer = if answered { answer } else { SendAnswer::NoAnswer };
                close_after.then_some(At::ReadForClose {
                    token,
                    attempt,
                    answer,
                    send_after: false,
                })
            }
            At::ReadForClose {
                token,
                attempt,
                answer,
                send_after,
            } => match complete(world.row.as_ref(), attempt, answer) {
                Completion::Close(write) => Some(At::Close {
                    write,
                    then_send: send_after.then_some((token, attempt)),
                }),
                Completion::Settled => None,
                Completion::SendAgain => None,
            },
            At::Close { write, then_send } => {
                let _ = write.apply(&mut world.row);
                then_send.map(|(token, attempt)| At::Send {
                    token,
                    attempt,
                    close_after: false,
                })
            }
        }
    }
}

impl Model for Rendezvous {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            over: false,
            events_in_flight: 0,
            inbox: None,
            row: None,
            live: Some(1),
            attempts: 1,
            completed_by: None,
            completed_early: false,
            newest_stored: 0,
            late_send: false,
            processes: [self.start(1)].into(),
            crashes: self.crashes,
            losses: self.losses,
            duplicates: self.duplicates,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if !world.over {
            actions.push(Action::End);
        }
        if world.events_in_flight > 0 {
            actions.push(Action::DeliverEvent);
            if world.losses > 0 {
                actions.push(Action::LoseEvent);
            }
            if world.duplicates > 0 {
                actions.push(Action::DuplicateEvent);
            }
        }
        // A retry comes only while the Lambda of the attempt has not answered.
        let unanswered = world
            .live
            .is_some_and(|token| world.processes.contains_key(&Who::Waiter(token)));
        if unanswered && world.attempts <= self.retries {
            actions.push(Action::Retry);
        }
        // Sweeps of what has not ended change nothing and are left out, so that the paths end.
        let open = world.row.as_ref().is_some_and(|row| row.status == WaitStatus::Open);
        if self.sweeper && world.over && open && !world.processes.contains_key(&Who::Sweeper) {
            actions.push(Action::Sweep);
        }
        for (who, at) in &world.processes {
            actions.push(Action::Step(*who));
            if world.crashes > 0 {
                if matches!(at, At::Send { .. }) {
                    actions.push(Action::StepWithoutAnswer(*who));
                }
                // The Lambda of the last attempt that the state allows must answer: otherwise the state fails, which is
                // no wait any more.
                let last =
                    matches!(who, Who::Waiter(token) if world.live == Some(*token) && world.attempts > self.retries);
                if !last {
                    actions.push(Action::Crash(*who));
                }
            }
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::End => {
                world.over = true;
                world.events_in_flight = 1;
            }
            Action::LoseEvent => {
                world.losses -= 1;
                world.events_in_flight -= 1;
            }
            Action::DuplicateEvent => {
                world.duplicates -= 1;
                world.events_in_flight += 1;
            }
            Action::DeliverEvent => {
                world.events_in_flight -= 1;
                let free = (1..=u8::MAX).find(|number| !world.processes.contains_key(&Who::EventHandler(*number)))?;
                world.processes.insert(Who::EventHandler(free), At::StoreEvent);
            }
            Action::Retry => {
                world.attempts += 1;
                world.live = Some(world.attempts);
                let (who, at) = self.start(world.attempts);
                world.processes.insert(who, at);
            }
            Action::Sweep => {
                world.processes.insert(Who::Sweeper, At::ReadTruth);
            }
            Action::Step(who) | Action::StepWithoutAnswer(who) => {
                let answered = matches!(action, Action::Step(_));
                world.crashes -= u8::from(!answered);
                let at = world.processes.remove(&who)?;
                if let Some(at) = self.step(&mut world, who, at, answered) {
                    world.processes.insert(who, at);
                }
            }
            Action::Crash(who) => {
                world.crashes -= 1;
                world.processes.remove(&who)?;
                // EventBridge delivers again what a handler did not finish; Step Functions retries what a Lambda did
                // not answer.
                match who {
                    Who::EventHandler(_) => world.events_in_flight += 1,
                    Who::Waiter(token) if world.live == Some(token) => return self.next_state(&world, Action::Retry),
                    Who::Waiter(_) | Who::Sweeper => {}
                }
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is completed before its end", |_, world: &World| {
                !world.completed_early
            }),
            Property::always(
                "a closed row never belongs to a state that waits",
                |_, world: &World| {
                    !world
                        .row
                        .as_ref()
                        .is_some_and(|row| row.status == WaitStatus::Closed && world.live == Some(row.token))
                },
            ),
            Property::always("an older token never replaces a newer one", |_, world: &World| {
                world.row.as_ref().map_or(0, |row| row.token) == world.newest_stored
            }),
            Property::always(
                "at rest the state has gone on and its row is closed",
                |model: &Self, world: &World| {
                    !model.is_at_rest(world)
                        || (world.completed_by.is_some()
                            && world.row.as_ref().is_none_or(|row| row.status == WaitStatus::Closed))
                },
            ),
            Property::eventually("the end wakes the state", |_, world: &World| {
                world.completed_by.is_some()
            }),
            Property::sometimes("the waiter completes", |_, world: &World| {
                matches!(world.completed_by, Some(Who::Waiter(_)))
            }),
            Property::sometimes("a token comes late", |_, world: &World| world.late_send),
            Property::sometimes("the event completes", |_, world: &World| {
                matches!(world.completed_by, Some(Who::EventHandler(_)))
            }),
        ]
    }
}

impl Protocol for Rendezvous {}

const RIGHT: Rendezvous = Rendezvous {
    store: store_wait::<Token>,
    look,
    order: Order::TokenThenTruth,
    ending: Ending::SendThenClose,
    conditional_writes: true,
    sweeper: true,
    retries: 1,
    crashes: 1,
    losses: 1,
    duplicates: 1,
};

#[test]
fn the_end_wakes_the_state_whatever_is_lost_late_or_dead() {
    let model = Rendezvous { duplicates: 0, ..RIGHT };
    model.assert_holds(71_682);
}

#[test]
fn the_end_wakes_the_state_whatever_is_repeated() {
    let model = Rendezvous { crashes: 0, ..RIGHT };
    model.assert_holds(194_603);
}

#[test]
fn without_faults_the_two_sides_need_no_sweeper() {
    let model = Rendezvous {
        sweeper: false,
        crashes: 0,
        losses: 0,
        ..RIGHT
    };
    model.assert_holds(17_631);
}

#[test]
fn a_lost_event_needs_the_sweeper() {
    let model = Rendezvous {
        sweeper: false,
        crashes: 0,
        ..RIGHT
    };
    model.assert_finds("at rest the state has gone on and its row is closed");
}

#[test]
fn the_truth_read_before_the_token_is_stored_is_a_race_that_the_checker_finds() {
    let model = Rendezvous {
        order: Order::TruthThenToken,
        sweeper: false,
        crashes: 0,
        losses: 0,
        ..RIGHT
    };
    model.assert_finds("at rest the state has gone on and its row is closed");
}

#[test]
fn a_token_stored_without_looking_at_the_attempt_is_found() {
    fn unordered(read: Option<&Row>, wait: Row) -> Result<StoreWait<Token>, WaitRefusal> {
        Ok(StoreWait::Store(Write::after(read, wait)))
    }
    let model = Rendezvous {
        store: unordered,
        ..RIGHT
    };
    model.assert_finds("an older token never replaces a newer one");
}

#[test]
fn a_token_stored_without_a_condition_is_found() {
    let model = Rendezvous {
        conditional_writes: false,
        ..RIGHT
    };
    model.assert_finds("an older token never replaces a newer one");
}

#[test]
fn a_row_closed_before_the_token_is_sent_is_found() {
    let model = Rendezvous {
        ending: Ending::CloseThenSend,
        ..RIGHT
    };
    model.assert_finds("a closed row never belongs to a state that waits");
}

#[test]
fn a_look_that_does_not_ask_for_the_truth_is_found() {
    fn eager(row: Option<&Row>, _: Truth) -> Look<'_, Token> {
        look(row, Truth::Over)
    }
    let model = Rendezvous { look: eager, ..RIGHT };
    model.assert_finds("nothing is completed before its end");
}
