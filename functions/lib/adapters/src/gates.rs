//! What people have said about a release that stands at the gates of an environment.

use esclusa_core::canonical::canonical_sha256;
use esclusa_core::error::Failure;
use esclusa_core::gate::{Freeze, Vote};
use serde_json::json;

use crate::control::{ControlTable, Key, Stored};

/// What stands for all applications, and for all environments of one.
pub const EVERYTHING: &str = "*";

/// Votes and freezes, as they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What was said about the release in the environment, about this plan and others.
    pub votes: Vec<Vote>,
    /// The freezes over the environment, those that are over as well.
    pub freezes: Vec<Freeze>,
}

impl Said {
    /// Reads what was said.
    ///
    /// # Errors
    /// Those of [`ControlTable::list`].
    pub async fn read(
        control: &ControlTable,
        release_id: &str,
        application: &str,
        environment: &str,
    ) -> Result<Self, Failure> {
        let votes = Self::votes(control, release_id, environment).await?;
        let mut freezes = Vec::new();
        for of in [EVERYTHING, application] {
            let rows: Vec<(String, Stored<Freeze>)> = control.list(&Key::freezes_of(of), "").await?;
            let is_here = |key: &str| {
                let over = key.split('#').next();
                over == Some(EVERYTHING) || over == Some(environment)
            };
            let here = rows.into_iter().filter(|(key, _)| is_here(key));
            freezes.extend(here.map(|(_, stored)| stored.row));
        }
        Ok(Self { votes, freezes })
    }

    /// What was said about a release in an environment, about this plan and others, the first word first.
    ///
    /// # Errors
    /// Those of [`ControlTable::list`].
    pub async fn votes(control: &ControlTable, release_id: &str, environment: &str) -> Result<Vec<Vote>, Failure> {
        let votes: Vec<(String, Stored<Vote>)> = control.list(&Key::vote_rows(release_id, environment), "").await?;
        let mut votes: Vec<Vote> = votes.into_iter().map(|(_, stored)| stored.row).collect();
        votes.sort_by_key(|vote| vote.at);
        Ok(votes)
    }

    /// A hash over everything, by which a change shows.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        canonical_sha256(&json!({"votes": self.votes, "freezes": self.freezes}))
    }
}
