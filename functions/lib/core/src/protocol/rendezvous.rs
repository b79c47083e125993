//! Meeting the end of a resource: a waiting state on one side, events and the truth in ECS on the other.
//!
//! Both sides write first and look second, in the base table with strongly consistent reads: the waiter stores its
//! token, then reads the truth; the event handler stores the event, then looks for waiters. Whoever comes second sees
//! the other and completes the wait. The sweeper repeats the look on a fixed cadence, so that a lost event costs time
//! and nothing else.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Attempt, Write};
use crate::error::Failure;

/// What a state waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// A one-off task has stopped.
    Task,
    /// A rollout of a service is over.
    Service,
    /// An execution has closed.
    Execution,
    /// The turn at a lock has come.
    Lock,
    /// There is a reason to look at a verification before it is due.
    Look,
    /// There is a reason to ask the gates of an environment again.
    Gate,
}

impl WaitKind {
    /// Its name, as rows and metrics have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Service => "service",
            Self::Execution => "execution",
            Self::Lock => "lock",
            Self::Look => "look",
            Self::Gate => "gate",
        }
    }

    /// Whether events of what it waits for are kept. The state of a service, and what stands in the control table, can
    /// be read at any time: an event of those is a reason to look and nothing more, and there are as many as others
    /// bring about.
    #[must_use]
    pub const fn keeps_events(self) -> bool {
        match self {
            Self::Task | Self::Execution | Self::Look => true,
            Self::Service | Self::Lock | Self::Gate => false,
        }
    }
}

/// Where a wait stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WaitStatus {
    /// Somebody must complete it.
    Open,
    /// The state was completed with this token, or had moved on without it.
    Closed,
    /// Step Functions does not know the token: a person must look, and the sweeper leaves it alone.
    Quarantined,
}

/// The row of one state of one execution that waits for one resource. `T` is the task token; this crate never looks
/// into it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Waiter<T> {
    /// The token of the newest attempt.
    pub token: T,
    /// Which attempt it belongs to.
    pub attempt: Attempt,
    /// Where the wait stands.
    pub status: WaitStatus,
    /// What it waits for.
    pub kind: WaitKind,
    /// The deployment or release it waits in.
    pub deployment_id: String,
    /// When the state gives up by itself; the sweeper stops looking some time after it.
    pub deadline: Timestamp,
}

/// An event as it lies in the inbox of its resource: a hint that survives the hour after which ECS forgets a stopped
/// task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InboxEvent {
    /// `detail.version` of a task event; other events carry none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Whether the event says that the resource has come to its end for good.
    pub is_over: bool,
    /// The part of the event that is kept, as JSON text.
    pub detail: String,
    /// When AWS says it happened.
    pub event_time: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
}

/// What is known about the end of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    /// It has come to its end.
    Over,
    /// It has not.
    Running,
    /// ECS does not describe it (not yet, or no longer) and no stored event says it ended.
    NotVisible,
}

/// The truth from both sources. An event that says the end is enough: ends are final, and ECS forgets a stopped task
/// after an hour.
pub fn truth(inbox: &[InboxEvent], described_as_over: Option<bool>) -> Truth {
    if inbox.iter().any(|event| event.is_over) {
        return Truth::Over;
    }
    match described_as_over {
        Some(true) => Truth::Over,
        Some(false) => Truth::Running,
        None => Truth::NotVisible,
    }
}

/// How long ECS describes a task that has stopped, at least.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// Whether a task that ECS does not describe has stopped: it shows one within seconds of its start and for an hour
/// after its end, so that one it does not show to who has waited for longer was there, and is over. Without this, a
/// task that stopped while nobody could listen is waited for until the limit.
pub fn is_forgotten<T>(waiter: &Waiter<T>, now: Timestamp) -> bool {
    now.duration_since(waiter.attempt.entered_at) > REMEMBERED
}

/// What storing a wait comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreWait<T> {
    /// Write the row, then look.
    Store(Write<Waiter<T>>),
    /// This very attempt stored it before: look.
    AlreadyStored,
    /// This very attempt was stored and is closed: nothing is left to do.
    AlreadyClosed,
}

/// Why a wait is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitRefusal {
    /// A newer attempt of the same state is stored: this one's token is stale and nobody waits behind it.
    #[error("attempt `{newer}` of the same state is stored already")]
    NewerAttempt {
        /// The attempt that is stored.
        newer: Attempt,
    },
    /// The same attempt is stored with another token, which Step Functions never does.
    #[error("attempt `{attempt}` is stored with another token")]
    OtherToken {
        /// The attempt.
        attempt: Attempt,
    },
}

impl From<WaitRefusal> for Failure {
    fn from(refusal: WaitRefusal) -> Self {
        match refusal {
            WaitRefusal::NewerAttempt { .. } => Self::conflict(refusal.to_string()),
            WaitRefusal::OtherToken { .. } => Self::defect(refusal.to_string()),
        }
    }
}

/// The waiter's first step: its token goes over an older attempt's and never over a newer one's. After it, and only
/// then, comes the look at the truth.
///
/// # Errors
/// [`WaitRefusal`] when the row belongs to a newer attempt, or to the same one with another token.
pub fn store_wait<T: Clone + PartialEq>(
    read: Option<&Waiter<T>>,
    wait: Waiter<T>,
) -> Result<StoreWait<T>, WaitRefusal> {
    match read {
        Some(stored) if stored.attempt > wait.attempt => Err(WaitRefusal::NewerAttempt { newer: stored.attempt }),
        Some(stored) if stored.attempt == wait.attempt && stored.token != wait.token => {
            Err(WaitRefusal::OtherToken { attempt: wait.attempt })
        }
        Some(stored) if stored.attempt == wait.attempt && stored.status == WaitStatus::Open => {
            Ok(StoreWait::AlreadyStored)
        }
        Some(stored) if stored.attempt == wait.attempt => Ok(StoreWait::AlreadyClosed),
        None | Some(_) => Ok(StoreWait::Store(Write::after(read, wait))),
    }
}

/// The event handler's first step. Nothing is written for an event that is stored already, but the look follows all the
/// same: whoever stored it may have died before looking.
pub fn on_event(read: Option<&InboxEvent>, event: InboxEvent) -> Option<Write<InboxEvent>> {
    read.is_none().then(|| Write::after(None, event))
}

/// What a look at one waiter comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look<'a, T> {
    /// Send success with this token, then [`complete`] with the answer.
    Complete {
        /// The token to send.
        token: &'a T,
        /// The attempt it belongs to, for [`complete`].
        attempt: Attempt,
    },
    /// Its end has not come.
    StillRunning,
    /// Nobody waits.
    NobodyWaits,
}

/// The second step of the waiter and of the event handler, and the only step of the sweeper.
pub fn look<T>(waiter: Option<&Waiter<T>>, truth: Truth) -> Look<'_, T> {
    match (waiter, truth) {
        (Some(waiter), Truth::Over) if waiter.status == WaitStatus::Open => Look::Complete {
            token: &waiter.token,
            attempt: waiter.attempt,
        },
        (Some(waiter), Truth::Running | Truth::NotVisible) if waiter.status == WaitStatus::Open => Look::StillRunning,
        (None | Some(_), _) => Look::NobodyWaits,
    }
}

/// Closes a wait whose state must have ended by its own timeout: nobody can complete it any more. Nothing to write
/// before `grace` has passed after the deadline, so that a state that is still there is never left alone.
pub fn give_up<T: Clone + PartialEq>(
    read: Option<&Waiter<T>>,
    grace: SignedDuration,
    now: Timestamp,
) -> Option<Write<Waiter<T>>> {
    let waiter = read.filter(|waiter| waiter.status == WaitStatus::Open)?;
    let limit = waiter.deadline.saturating_add(grace).unwrap_or(Timestamp::MAX);
    (now > limit).then(|| {
        Write::after(
            read,
            Waiter {
                status: WaitStatus::Closed,
                ..waiter.clone()
            },
        )
    })
}

/// What Step Functions answered to `SendTaskSuccess`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SendAnswer {
    /// The state goes on.
    Accepted,
    /// `TaskTimedOut`: the state was completed before, or has moved on by its own timeout.
    TaskTimedOut,
    /// `InvalidToken` or `TaskDoesNotExist`: this is no token of ours.
    UnknownToken,
    /// Throttling, a server-side error or no answer: it may have been accepted.
    NoAnswer,
}

/// What becomes of the row after a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion<T> {
    /// Write the row.
    Close(Write<Waiter<T>>),
    /// Nothing: it is closed, or a newer attempt waits with a token of its own.
    Settled,
    /// Nothing yet: the next look sends again.
    SendAgain,
}

/// The last step of whoever sent. A second close is fine; a token that came late closes only its own attempt.
pub fn complete<T: Clone + PartialEq>(read: Option<&Waiter<T>>, sent: Attempt, answer: SendAnswer) -> Completion<T> {
    let Some(waiter) = read.filter(|waiter| waiter.attempt == sent && waiter.status == WaitStatus::Open) else {
        return Completion::Settled;
    };
    let status = match answer {
        SendAnswer::Accepted | SendAnswer::TaskTimedOut => WaitStatus::Closed,
        SendAnswer::UnknownToken => WaitStatus::Quarantined,
        SendAnswer::NoAnswer => return Completion::SendAgain,
    };
    Completion::Close(Write::after(
        read,
        Waiter {
            status,
            ..waiter.clone()
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_given_up_only_when_its_state_must_have_ended() {
        let deadline: Timestamp = "2026-11-02T10:00:00Z".parse().unwrap();
        let open = Waiter {
            token: "token",
            attempt: Attempt {
                entered_at: deadline,
                retry_count: 0,
            },
            status: WaitStatus::Open,
            kind: WaitKind::Task,
            deployment_id: "deployment".to_owned(),
            deadline,
        };
        let after = |minutes| deadline + SignedDuration::from_mins(minutes);
        let grace = SignedDuration::from_mins(15);
        assert_eq!(give_up(Some(&open), grace, after(15)), None);
        assert_eq!(
            give_up(Some(&open), grace, after(16)).unwrap().row.status,
            WaitStatus::Closed
        );
        let closed = Waiter {
            status: WaitStatus::Closed,
            ..open
        };
        assert_eq!(give_up(Some(&closed), grace, after(16)), None);
        assert_eq!(give_up::<&str>(None, grace, after(16)), None);
    }

    #[test]
    fn a_task_that_is_not_shown_has_stopped_once_the_wait_is_older_than_the_memory_of_ecs() {
        let entered_at: Timestamp = "2026-11-02T10:00:00Z".parse().unwrap();
        let wait = Waiter {
            token: "token",
            attempt: Attempt {
                entered_at,
                retry_count: 0,
            },
            status: WaitStatus::Open,
            kind: WaitKind::Task,
            deployment_id: "deployment".to_owned(),
            deadline: entered_at + SignedDuration::from_hours(3),
        };
        assert!(!is_forgotten(&wait, entered_at + SignedDuration::from_hours(1)));
        assert!(is_forgotten(&wait, entered_at + SignedDuration::from_mins(61)));
    }
}
