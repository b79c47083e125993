//! The dead-letter queue is looked at with every sweep, so that whoever asks for the status hears of it.

use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::Commit;
use esclusa_core::delivery::{Undelivered, seen};
use esclusa_core::error::Failure;

use crate::Record;

impl Record {
    /// Looks at the queue and remembers what changed. That it cannot be looked at keeps nothing else waiting.
    pub(crate) async fn look_at_dead_letters(&self) {
        match self.dead_letters_seen().await {
            Ok(0) => {}
            Ok(count) => tracing::error!(count, "events could not be delivered: look at the dead-letter queue"),
            Err(failure) => {
                tracing::warn!(kind = %failure.kind, message = %failure.message, "the dead-letter queue cannot be read");
            }
        }
    }

    async fn dead_letters_seen(&self) -> Result<u64, Failure> {
        let count = self.dead_letters.depth().await?;
        let key = Key::undelivered();
        let stored: Option<Stored<Undelivered>> = self.journal.control().get(&key).await?;
        let known = stored.as_ref().map(|stored| &stored.row);
        if let Some(row) = seen(known, count, self.journal.clock().now()?) {
            let commit = Commit::new().change(Change::put(key, &row, Expected::unchanged(stored.as_ref()))?);
            self.journal.commit(commit).await?.or_failure()?;
        }
        Ok(count)
    }
}
