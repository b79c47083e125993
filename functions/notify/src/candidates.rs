//! Which releases are looked at: those that are open, those that began a short while ago, and those whose cards are not
//! known to show their end.

use std::collections::BTreeSet;

use esclusa_adapters::control::rows::{OpenCardRow, ReleasePointerRow};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::error::Failure;
use esclusa_runtime::Round;
use jiff::{SignedDuration, Timestamp};
use serde::de::IgnoredAny;

use crate::Notify;

/// How far back the listing of an application is read: a release may be over before a round has seen it open.
const RECENT: SignedDuration = SignedDuration::from_hours(1);

/// How many releases of an application are looked back upon.
const RECENT_MAX: usize = 50;

impl Notify {
    /// The releases to look at, the oldest id first. From now on each is remembered until its end was told.
    /// One that cannot be read or remembered waits for the next round.
    pub(crate) async fn candidates(&self, now: Timestamp, round: &mut Round) -> Result<Vec<String>, Failure> {
        let control = self.journal.control();
        let known: Vec<(String, Stored<OpenCardRow>)> = control.all(Key::OPEN_CARDS, "").await?;
        let mut known: BTreeSet<String> = known.into_iter().map(|(_, stored)| stored.row.release_id).collect();
        let open: Vec<(String, Stored<ReleasePointerRow>)> = control.all(Key::OPEN_RELEASES, "").await?;
        let mut found: BTreeSet<String> = open.into_iter().map(|(_, stored)| stored.row.release_id).collect();
        let applications: Vec<(String, Stored<IgnoredAny>)> = control.all(Key::APPLICATIONS, "").await?;
        for (application, _) in applications {
            let partition = Key::releases_of(&application);
            let latest: Vec<(String, Stored<ReleasePointerRow>)> = control.latest(&partition, "", RECENT_MAX).await?;
            let recent = latest.into_iter().filter(|(key, _)| is_recent(key, now));
            found.extend(recent.map(|(_, stored)| stored.row.release_id));
        }
        for release_id in found {
            if known.contains(&release_id) {
                continue;
            }
            let remembered = match self.is_told(&release_id).await {
                Ok(true) => continue,
                Ok(false) => self.remember(&release_id).await,
                Err(failure) => Err(failure),
            };
            match remembered {
                Ok(()) => {
                    known.insert(release_id);
                }
                Err(failure) => round.failed(&format!("whether release `{release_id}` was told of"), &failure),
            }
        }
        Ok(known.into_iter().collect())
    }

    async fn is_told(&self, release_id: &str) -> Result<bool, Failure> {
        let told: Option<Stored<OpenCardRow>> = self.journal.control().get(&Key::cards_told(release_id)).await?;
        Ok(told.is_some())
    }

    async fn remember(&self, release_id: &str) -> Result<(), Failure> {
        let row = OpenCardRow {
            release_id: release_id.to_owned(),
        };
        let change = Change::put(Key::open_card(release_id), &row, Expected::Absent)?;
        match self.journal.commit(Commit::new().change(change)).await? {
            // Another round was faster.
            Committed::Lost(_) => Ok(()),
            written => written.or_failure().map(|_| ()),
        }
    }

    /// Forgets a release whose end was told.
    pub(crate) async fn forget(&self, release_id: &str) -> Result<(), Failure> {
        let key = Key::open_card(release_id);
        let stored: Option<Stored<OpenCardRow>> = self.journal.control().get(&key).await?;
        let Some(stored) = stored else {
            return Ok(());
        };
        let commit = Commit::new()
            .change(Change::put(Key::cards_told(release_id), &stored.row, Expected::Absent)?)
            .change(Change::delete(key, stored.revision));
        match self.journal.commit(commit).await? {
            Committed::Lost(_) => Ok(()),
            written => written.or_failure().map(|_| ()),
        }
    }
}

/// Whether the sort key of a listing is of a release that began a short while ago.
fn is_recent(key: &str, now: Timestamp) -> bool {
    let created_at: Option<Timestamp> = key.split_once('#').and_then(|(at, _)| at.parse().ok());
    created_at.is_some_and(|at| now.duration_since(at) < RECENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_began_a_short_while_ago_is_told_by_its_key() {
        let now: Timestamp = "2026-11-02T10:00:00Z".parse().unwrap();
        assert!(is_recent("2026-11-02T09:00:00.001Z#shop-1", now));
        assert!(!is_recent("2026-11-02T09:00:00.000Z#shop-1", now));
        assert!(!is_recent("shop-1", now));
    }
}
