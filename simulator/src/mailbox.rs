//! Where everything that reaches the world from outside its thread of control is put: calls of SDK clients and of the
//! loopback endpoint, sleeps, the ends of process invocations. The world takes from it one by one; nothing else
//! crosses.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simulator_kernel::{ApiError, Principal, Session};
use tokio::sync::oneshot;

use crate::lambda::{FunctionError, InvocationId};
use crate::world::World;

/// One thing that has reached the world.
pub(crate) enum Arrival {
    /// An API call.
    Call(ClientCall),
    /// Somebody wants to be told when this much simulated time has passed.
    Sleep {
        duration: SignedDuration,
        done: oneshot::Sender<()>,
    },
    /// A process invocation has ended.
    Ended {
        invocation: InvocationId,
        result: Result<Value, FunctionError>,
    },
    /// A process wrote a line.
    Line { function: String, line: String },
    /// Work that only the world's thread can do.
    Errand(Box<dyn FnOnce(&mut World) + Send>),
}

/// An API call of a client, parsed.
#[derive(Debug)]
pub(crate) struct ClientCall {
    pub(crate) principal: Principal,
    /// The key that signed it.
    pub(crate) access_key_id: String,
    /// The Region that it is for; that of the world where the request does not say.
    pub(crate) region: Option<String>,
    pub(crate) service: String,
    pub(crate) operation: String,
    pub(crate) input: Value,
    /// The invocation that makes the call, where an invocation does.
    pub(crate) invocation: Option<InvocationId>,
    /// Dropped without an answer, the client sees its connection reset.
    pub(crate) answer: oneshot::Sender<Answered>,
}

/// Whom an access key speaks for.
#[derive(Debug, Clone)]
struct Owner {
    principal: Principal,
    /// The invocation that the key's process works on.
    invocation: Option<InvocationId>,
    /// For temporary credentials the key that asked for them, and until when they are good.
    temporary: Option<(Option<String>, Timestamp)>,
}

/// The request id that the world gave to a call, and its answer.
pub(crate) type Answered = (String, Result<Value, ApiError>);

#[derive(Default)]
struct Inner {
    arrivals: VecDeque<Arrival>,
    /// The owners of access keys.
    keys: BTreeMap<String, Owner>,
    now: Timestamp,
    /// How far the clocks of the owners of access keys are off, by access key id.
    skews: BTreeMap<String, SignedDuration>,
    /// The invocation whose future is being polled.
    running: Option<InvocationId>,
}

/// Shared between the world and everybody who calls it. One lock, held for moments.
#[derive(Default)]
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
    bell: Condvar,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        formatter
            .debug_struct("Mailbox")
            .field("arrivals", &inner.arrivals.len())
            .field("now", &inner.now)
            .finish()
    }
}

impl Mailbox {
    pub(crate) fn new(now: Timestamp) -> Arc<Self> {
        let mailbox = Self::default();
        mailbox.lock().now = now;
        Arc::new(mailbox)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whole after every statement, so a thread that died with the lock leaves nothing half-done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, arrival: Arrival) {
        self.lock().arrivals.push_back(arrival);
        self.bell.notify_all();
    }

    pub(crate) fn take(&self) -> Option<Arrival> {
        self.lock().arrivals.pop_front()
    }

    /// Blocks the thread until something has arrived or `limit` of real time is over.
    pub(crate) fn wait(&self, limit: Duration) {
        let inner = self.lock();
        drop(
            self.bell
                .wait_timeout_while(inner, limit, |inner| inner.arrivals.is_empty()),
        );
    }

    /// What the clock of the owner of an access key shows.
    pub(crate) fn now_of(&self, access_key_id: &str) -> Timestamp {
        let inner = self.lock();
        let skew = inner.skews.get(access_key_id).copied().unwrap_or_default();
        inner.now.saturating_add(skew).unwrap_or(inner.now)
    }

    /// What the clock of AWS shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.lock().now
    }

    pub(crate) fn set_skew(&self, access_key_id: &str, skew: SignedDuration) {
        self.lock().skews.insert(access_key_id.to_owned(), skew);
    }

    pub(crate) fn set_now(&self, now: Timestamp) {
        self.lock().now = now;
    }

    /// Says whose future is polled until this is called again.
    pub(crate) fn set_running(&self, invocation: Option<InvocationId>) {
        self.lock().running = invocation;
    }

    pub(crate) fn running(&self) -> Option<InvocationId> {
        self.lock().running
    }

    pub(crate) fn register_key(&self, access_key_id: &str, principal: Principal, invocation: Option<InvocationId>) {
        let owner = Owner {
            principal,
            invocation,
            temporary: None,
        };
        self.lock().keys.insert(access_key_id.to_owned(), owner);
    }

    /// Makes temporary credentials known.
    pub(crate) fn register_session(&self, session: Session) {
        let owner = Owner {
            principal: session.principal,
            invocation: None,
            temporary: Some((session.asked_with, session.expires_at)),
        };
        self.lock().keys.insert(session.access_key_id, owner);
    }

    /// Whom a key speaks for, and the invocation whose process uses it.
    pub(crate) fn principal(&self, access_key_id: &str) -> Option<(Principal, Option<InvocationId>)> {
        let inner = self.lock();
        let owner = inner.keys.get(access_key_id)?;
        // Whoever asked for temporary credentials uses them.
        let asked_with = owner.temporary.as_ref().and_then(|(key, _)| key.as_deref());
        let user = asked_with.and_then(|key| inner.keys.get(key)).unwrap_or(owner);
        Some((owner.principal.clone(), user.invocation))
    }

    /// Whether a key is one of temporary credentials that are good no longer.
    pub(crate) fn is_expired(&self, access_key_id: &str) -> bool {
        let inner = self.lock();
        let owner = inner.keys.get(access_key_id);
        let temporary = owner.and_then(|owner| owner.temporary.as_ref());
        temporary.is_some_and(|(_, expires_at)| *expires_at <= inner.now)
    }

    /// A future that is ready when `duration` of simulated time has passed.
    pub(crate) fn sleep(&self, duration: SignedDuration) -> impl Future<Output = ()> + Send + Sync + use<> {
        let (done, over) = oneshot::channel();
        self.put(Arrival::Sleep { duration, done });
        async move {
            // The sender is dropped only together with the world, after which nobody waits.
            let _ended = over.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_credentials_are_used_by_whoever_asked_for_them_and_end() {
        let start: Timestamp = "2026-11-02T09:00:00Z".parse().unwrap();
        let mailbox = Mailbox::new(start);
        let role = |name: &str| Principal::Role(name.to_owned());
        // A process works on one invocation after another with the same key.
        mailbox.register_key("process", role("update"), Some(InvocationId(1)));
        mailbox.register_session(Session {
            access_key_id: "temporary".to_owned(),
            principal: role("there"),
            asked_with: Some("process".to_owned()),
            expires_at: start + SignedDuration::from_hours(1),
        });
        mailbox.register_key("process", role("update"), Some(InvocationId(2)));
        assert_eq!(
            mailbox.principal("temporary"),
            Some((role("there"), Some(InvocationId(2))))
        );
        assert!(!mailbox.is_expired("temporary"));
        mailbox.set_now(start + SignedDuration::from_hours(1));
        assert!(mailbox.is_expired("temporary") && !mailbox.is_expired("process"));
    }
}
