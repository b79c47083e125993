//! What people have said about a release that stands at the gates of an environment.

use esclusa_core::canonical::canonical_sha256;
use esclusa_core::error::Failure;
use esclusa_core::gate::{Order, Pin, Stop, Vote};
use serde_json::json;

use crate::control::{ControlTable, Key, Stored};

/// What stands for all applications, and for all environments of one.
pub const EVERYTHING: &str = "*";

/// Votes and orders, as they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What was said about the release in the environment, about this plan and others.
    pub votes: Vec<Vote>,
    /// The freezes over the environment, those that are over as well.
    pub freezes: Vec<Order>,
    /// The hold of the release, one that is over as well.
    pub hold: Option<Order>,
    /// The pin of the environment, one that is over as well.
    pub pin: Option<Pin>,
    /// That the release stops.
    pub stop: Option<Stop>,
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
        let votes: Vec<(String, Stored<Vote>)> = control.list(&Key::vote_rows(release_id, environment), "").await?;
        let mut freezes = Vec::new();
        for of in [EVERYTHING, application] {
            let rows: Vec<(String, Stored<Order>)> = control.list(&Key::freezes_of(of), "").await?;
            let is_here = |key: &str| {
                let over = key.split('#').next();
                over == Some(EVERYTHING) || over == Some(environment)
            };
            let here = rows.into_iter().filter(|(key, _)| is_here(key));
            freezes.extend(here.map(|(_, stored)| stored.row));
        }
        let mut votes: Vec<Vote> = votes.into_iter().map(|(_, stored)| stored.row).collect();
        votes.sort_by_key(|vote| vote.at);
        let hold: Option<Stored<Order>> = control.get(&Key::hold(release_id)).await?;
        let pin: Option<Stored<Pin>> = control.get(&Key::pin(application, environment)).await?;
        let stop: Option<Stored<Stop>> = control.get(&Key::stop(release_id)).await?;
        Ok(Self {
            votes,
            freezes,
            hold: hold.map(|stored| stored.row),
            pin: pin.map(|stored| stored.row),
            stop: stop.map(|stored| stored.row),
        })
    }

    /// A hash over everything, by which a change shows.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        canonical_sha256(&json!({
            "votes": self.votes,
            "freezes": self.freezes,
            "hold": self.hold,
            "pin": self.pin,
            "stop": self.stop,
        }))
    }
}
