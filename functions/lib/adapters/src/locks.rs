//! Locks with their queues, as they stand.

use esclusa_core::error::Failure;
use esclusa_core::protocol::lock::{Acquire, Claimant, Lock, LockRefusal, Queued, acquire};
use jiff::Timestamp;

use crate::control::rows::DeploymentRow;
use crate::control::{Change, ControlTable, Key, Stored};
use crate::deployments::environment_lock;

/// A lock and who stands in its queue.
#[derive(Debug, Clone)]
pub struct StandingLock {
    /// Its name.
    pub name: String,
    /// Its row; none before it was taken for the first time.
    pub lock: Option<Stored<Lock>>,
    /// Who stands in its queue, in no order that means anything.
    pub queue: Vec<Queued>,
}

impl StandingLock {
    /// Reads a lock, then its queue: whoever came to stand there meanwhile goes before one that does not stand there.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`].
    pub async fn read(control: &ControlTable, name: &str) -> Result<Self, Failure> {
        let lock = control.get(&Key::lock(name)).await?;
        let queue: Vec<(String, Stored<Queued>)> = control.list(&Key::lock_rows(name), Key::QUEUE_PREFIX).await?;
        Ok(Self {
            name: name.to_owned(),
            lock,
            queue: queue.into_iter().map(|(_, stored)| stored.row).collect(),
        })
    }

    /// What acquiring it would come to.
    ///
    /// # Errors
    /// `Refused` when it is quarantined.
    pub fn acquire(&self, claimant: &Claimant, at: Timestamp) -> Result<Acquire, Failure> {
        let read = self.lock.as_ref().map(|stored| &stored.row);
        let refused = |refusal: LockRefusal| Failure::from(refusal).context(format!("lock `{}`", self.name));
        acquire(read, &self.queue, claimant, at).map_err(refused)
    }
}

/// The row of the lock of an environment; none before it was taken for the first time.
///
/// # Errors
/// Those of [`ControlTable::get`].
pub async fn environment_lock_row(
    control: &ControlTable,
    application: &str,
    environment: &str,
) -> Result<Option<Stored<Lock>>, Failure> {
    control
        .get(&Key::lock(&environment_lock(application, environment)))
        .await
}

/// The place of a deployment in the queue of a lock, where it stands since then.
#[must_use]
pub fn place_in_queue(name: &str, since: Timestamp, deployment_id: &str) -> Key {
    Key::queued(name, &format!("{since:.9}"), deployment_id)
}

/// Takes a deployment out of the queues that it stands in.
///
/// # Errors
/// Those of [`ControlTable::get`].
pub async fn out_of_queues(control: &ControlTable, deployment: &DeploymentRow) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    let Some(since) = deployment.queued_at else {
        return Ok(changes);
    };
    for name in &deployment.locks {
        let key = place_in_queue(name, since, &deployment.deployment_id);
        if let Some(stored) = control.get::<Queued>(&key).await? {
            changes.push(Change::delete(key, stored.revision));
        }
    }
    Ok(changes)
}
