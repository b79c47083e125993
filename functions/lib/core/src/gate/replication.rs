//! Whether the images of a release have arrived in the registry that an environment pulls them from.

use jiff::{SignedDuration, Timestamp};

use super::{Closed, GateReport, open, waits};

/// The shortest and the longest time in which nothing is asked after a registry that does not have a digest yet.
const PAUSES: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(60), SignedDuration::from_mins(30));

/// An image that is replicated to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The key of the image.
    pub image: String,
    /// Where its digest must be: a repository with its registry.
    pub repository: String,
    /// Whether it is there.
    pub is_there: bool,
    /// Seconds for which it is waited for.
    pub seconds: u32,
}

impl Copy {
    /// Until when it is waited for.
    fn until(&self, since: Timestamp) -> Timestamp {
        let limit = SignedDuration::from_secs(i64::from(self.seconds));
        since.saturating_add(limit).unwrap_or(Timestamp::MAX)
    }

    /// How long nothing is asked after the registry, the longer the longer it was waited for: the state machine asks a
    /// release of a large wave at its gates twenty times only (`GatesOutcome?`), and four hours are seventeen of these
    /// pauses.
    pub(super) fn pause(&self, since: Timestamp, now: Timestamp) -> SignedDuration {
        let (shortest, longest) = PAUSES;
        let left = self.until(since).duration_since(now);
        (now.duration_since(since) / 2).clamp(shortest, longest).min(left)
    }

    /// Where the gate stands for a release that came to it at `since`.
    pub(super) fn report(&self, since: Timestamp) -> GateReport {
        let Self { image, repository, .. } = self;
        if self.is_there {
            return open("replication", format!("the image `{image}` is in `{repository}`"));
        }
        let until = self.until(since);
        let sentence = format!("the image `{image}` is not in `{repository}` yet; waiting for it until {until:.0}");
        waits("replication", sentence, None)
    }

    /// That it did not arrive in time.
    pub(super) fn over(&self, since: Timestamp, now: Timestamp) -> Option<Closed> {
        let is_late = !self.is_there && self.until(since) <= now;
        is_late.then(|| Closed::NotReplicated {
            image: self.image.clone(),
            repository: self.repository.clone(),
        })
    }
}
