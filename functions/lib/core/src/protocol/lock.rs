//! The lock with a fence: one owner at a time, and a number that only grows, by which an owner that lost the lock is
//! told so before it acts.
//!
//! Whoever finds it held stands in a queue: what cannot wait goes first, and otherwise who came first. Everybody who
//! wants several locks stands in the queues of all of them since one moment and in one way, and nobody holds one while
//! waiting for another: so nobody waits in a circle.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Write;
use crate::error::Failure;

/// Where a lock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LockStatus {
    /// Anybody may acquire it.
    Free,
    /// Its owner works.
    Held,
    /// Nobody may acquire it until a person has looked.
    Quarantined,
}

/// The row of a lock. Rows are never deleted: the fence must not begin again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lock {
    /// Where it stands.
    pub status: LockStatus,
    /// Grows with every change of hands.
    pub fence: u64,
    /// The ARN of the execution that holds it, or that left it quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The deployment that the owner carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// Since when it stands so.
    pub since: Timestamp,
    /// Why it is quarantined, or who lifted the quarantine and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who wants a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The ARN of its execution: the identity of the owner, the same in every retry.
    pub owner: String,
    /// The deployment that it carries.
    pub deployment_id: String,
}

/// A place in the queue of a lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Queued {
    /// Since when it stands there: the same moment in all queues it stands in. Of two that cannot wait, or that can, who
    /// came first goes first.
    pub since: Timestamp,
    /// Who stands there.
    pub deployment_id: String,
    /// Whether it goes before those that can wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_urgent: bool,
}

impl Queued {
    /// What orders a queue: whose is the least goes first. Of two that came at one moment one does.
    #[must_use]
    pub fn turn(&self) -> impl Ord {
        (!self.is_urgent, self.since, self.deployment_id.as_str())
    }
}

/// What acquiring comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquire {
    /// Write the row; the fence of the row is the owner's.
    Take(Write<Lock>),
    /// A retry of the owner: nothing to write.
    AlreadyHeld {
        /// The fence it holds.
        fence: u64,
    },
    /// Its turn has not come.
    Wait {
        /// The deployment that holds the lock, or that stands before it in the queue.
        behind: String,
    },
}

/// Why a lock does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockRefusal {
    /// A person must look first.
    #[error("the lock is quarantined: {reason}; look at the environment, then run `esclusa unlock`")]
    Quarantined {
        /// Why.
        reason: String,
    },
    /// Whoever asks is not the owner, or not any more.
    #[error("fence {fence} is lost: {now}")]
    FenceLost {
        /// The fence of whoever asks.
        fence: u64,
        /// How the lock stands now.
        now: String,
    },
    /// A person may not take it like this.
    #[error("{why}")]
    NotUnlocked {
        /// What is missing.
        why: String,
    },
}

impl From<LockRefusal> for Failure {
    fn from(refusal: LockRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            LockRefusal::Quarantined { .. } | LockRefusal::NotUnlocked { .. } => Self::refused(message),
            LockRefusal::FenceLost { .. } => Self::fence_lost(message),
        }
    }
}

/// Acquires a free lock when it is the claimant's turn, or finds that the claimant holds it already.
///
/// # Errors
/// [`LockRefusal::Quarantined`].
pub fn acquire(
    read: Option<&Lock>,
    queue: &[Queued],
    claimant: &Claimant,
    at: Timestamp,
) -> Result<Acquire, LockRefusal> {
    match read {
        Some(lock) if lock.status == LockStatus::Quarantined => Err(quarantined(lock)),
        Some(lock) if lock.status == LockStatus::Held && lock.owner.as_ref() == Some(&claimant.owner) => {
            Ok(Acquire::AlreadyHeld { fence: lock.fence })
        }
        Some(lock) if lock.status == LockStatus::Held => Ok(Acquire::Wait {
            behind: lock.deployment_id.clone().unwrap_or_default(),
        }),
        None | Some(_) => Ok(match first_before(queue, claimant) {
            Some(first) => Acquire::Wait {
                behind: first.deployment_id.clone(),
            },
            None => Acquire::Take(Write::after(read, held(read, claimant, at))),
        }),
    }
}

/// Who goes first, if it is not the claimant: of those that stand in the queue before it, or of all where it does not
/// stand there.
fn first_before<'a>(queue: &'a [Queued], claimant: &Claimant) -> Option<&'a Queued> {
    let first = queue.iter().min_by_key(|queued| queued.turn())?;
    (first.deployment_id != claimant.deployment_id).then_some(first)
}

/// The check before every act: the lock is held, by this owner, with this fence.
///
/// # Errors
/// [`LockRefusal::FenceLost`].
pub fn check<'a>(read: Option<&'a Lock>, owner: &str, fence: u64) -> Result<&'a Lock, LockRefusal> {
    read.filter(|lock| lock.status == LockStatus::Held && lock.fence == fence && lock.owner.as_deref() == Some(owner))
        .ok_or_else(|| LockRefusal::FenceLost {
            fence,
            now: standing(read),
        })
}

/// Gives the lock back; nothing to write when this owner gave it back before.
///
/// # Errors
/// [`LockRefusal::FenceLost`] when it went to somebody else or was quarantined.
pub fn release(
    read: Option<&Lock>,
    owner: &str,
    fence: u64,
    at: Timestamp,
) -> Result<Option<Write<Lock>>, LockRefusal> {
    if read.is_some_and(|lock| lock.status == LockStatus::Free && lock.fence == fence) {
        return Ok(None);
    }
    let lock = check(read, owner, fence)?;
    let free = Lock {
        status: LockStatus::Free,
        fence: lock.fence,
        owner: None,
        deployment_id: None,
        since: at,
        reason: None,
    };
    Ok(Some(Write::after(read, free)))
}

/// Leaves the lock to a person; nothing to write when this owner left it so before.
///
/// # Errors
/// [`LockRefusal::FenceLost`] when it went to somebody else.
pub fn quarantine(
    read: Option<&Lock>,
    owner: &str,
    fence: u64,
    reason: &str,
    at: Timestamp,
) -> Result<Option<Write<Lock>>, LockRefusal> {
    let is_left = |lock: &Lock| {
        lock.status == LockStatus::Quarantined && lock.fence == fence && lock.owner.as_deref() == Some(owner)
    };
    if read.is_some_and(is_left) {
        return Ok(None);
    }
    let lock = check(read, owner, fence)?;
    let quarantined = Lock {
        status: LockStatus::Quarantined,
        since: at,
        reason: Some(reason.to_owned()),
        ..lock.clone()
    };
    Ok(Some(Write::after(read, quarantined)))
}

/// Frees a lock on the word of a person: a quarantined one after a look at the environment, or a held one from the
/// deployment that `from` names. The fence grows, so that an act the old owner has not begun is refused. Time alone is
/// never a reason.
///
/// # Errors
/// [`LockRefusal::NotUnlocked`] when it is free, is held by another deployment than `from`, or no reason is given.
pub fn unlock(
    read: Option<&Lock>,
    from: Option<&str>,
    by: &str,
    why: &str,
    at: Timestamp,
) -> Result<Write<Lock>, LockRefusal> {
    let refused = |why: String| Err(LockRefusal::NotUnlocked { why });
    let Some(lock) = read.filter(|lock| lock.status != LockStatus::Free) else {
        return refused(standing(read));
    };
    let owner = lock.deployment_id.as_deref().unwrap_or_default();
    if why.trim().is_empty() {
        return refused("a person must give a reason".to_owned());
    }
    if lock.status == LockStatus::Held && from != Some(owner) {
        return refused(format!(
            "deployment `{owner}` has held the lock since {} and releases it when it ends; to take it from a deployment that does not end, repeat with `--from {owner}`: what it has begun continues in ECS, and its next act is refused",
            lock.since
        ));
    }
    if from.is_some_and(|from| from != owner) {
        return refused(standing(read));
    }
    let word = match lock.status {
        LockStatus::Quarantined => "quarantine lifted",
        LockStatus::Held | LockStatus::Free => "taken",
    };
    let free = Lock {
        status: LockStatus::Free,
        fence: lock.fence.saturating_add(1),
        owner: None,
        deployment_id: None,
        since: at,
        reason: Some(format!("{word} by {by}: {why}")),
    };
    Ok(Write::after(read, free))
}

fn held(read: Option<&Lock>, claimant: &Claimant, at: Timestamp) -> Lock {
    Lock {
        status: LockStatus::Held,
        fence: read.map_or(0, |lock| lock.fence).saturating_add(1),
        owner: Some(claimant.owner.clone()),
        deployment_id: Some(claimant.deployment_id.clone()),
        since: at,
        reason: None,
    }
}

fn quarantined(lock: &Lock) -> LockRefusal {
    LockRefusal::Quarantined {
        reason: lock
            .reason
            .clone()
            .unwrap_or_else(|| "no reason was recorded".to_owned()),
    }
}

fn standing(read: Option<&Lock>) -> String {
    let deployment = |lock: &Lock| lock.deployment_id.clone().unwrap_or_default();
    match read {
        None => "the lock was never taken".to_owned(),
        Some(lock) => match lock.status {
            LockStatus::Free => format!("the lock is free, at fence {}", lock.fence),
            LockStatus::Held => format!(
                "deployment `{}` holds the lock with fence {}",
                deployment(lock),
                lock.fence
            ),
            LockStatus::Quarantined => format!("the lock is quarantined after deployment `{}`", deployment(lock)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn claimant(owner: &str) -> Claimant {
        Claimant {
            owner: owner.into(),
            deployment_id: format!("deployment of {owner}"),
        }
    }

    fn taken(owner: &str) -> Lock {
        match acquire(None, &[], &claimant(owner), AT).unwrap() {
            Acquire::Take(write) => write.row,
            Acquire::AlreadyHeld { .. } | Acquire::Wait { .. } => panic!("nobody held it"),
        }
    }

    #[test]
    fn the_fence_grows_with_every_change_of_hands_and_not_with_a_retry_of_the_owner() {
        let first = taken("a");
        assert_eq!(
            acquire(Some(&first), &[], &claimant("a"), AT).unwrap(),
            Acquire::AlreadyHeld { fence: 1 }
        );
        let free = release(Some(&first), "a", 1, AT).unwrap().unwrap().row;
        assert_eq!(release(Some(&free), "a", 1, AT).unwrap(), None);
        let Acquire::Take(second) = acquire(Some(&free), &[], &claimant("a"), AT).unwrap() else {
            panic!("it was free")
        };
        assert_eq!(second.row.fence, 2);
        assert!(check(Some(&second.row), "a", 1).is_err());
    }

    fn queued(second: i64, owner: &str) -> Queued {
        Queued {
            since: Timestamp::from_second(second).unwrap(),
            deployment_id: claimant(owner).deployment_id,
            is_urgent: false,
        }
    }

    #[test]
    fn whoever_finds_it_held_waits_behind_the_one_that_holds_it() {
        let waits = acquire(Some(&taken("a")), &[queued(1, "b")], &claimant("b"), AT).unwrap();
        assert_eq!(
            waits,
            Acquire::Wait {
                behind: "deployment of a".to_owned()
            }
        );
    }

    #[test]
    fn a_free_lock_goes_to_the_first_of_the_queue_and_to_nobody_who_does_not_stand_there() {
        let free = release(Some(&taken("a")), "a", 1, AT).unwrap().unwrap().row;
        let queue = [queued(2, "c"), queued(1, "b")];
        let asks = |owner: &str| acquire(Some(&free), &queue, &claimant(owner), AT).unwrap();
        let behind_b = Acquire::Wait {
            behind: "deployment of b".to_owned(),
        };
        assert!(matches!(asks("b"), Acquire::Take(_)));
        assert_eq!([asks("c"), asks("d")], [behind_b.clone(), behind_b]);
    }

    #[test]
    fn what_cannot_wait_goes_before_what_came_before_it_and_behind_what_cannot_either() {
        let urgent = |second: i64, owner: &str| Queued {
            is_urgent: true,
            ..queued(second, owner)
        };
        let queue = [queued(1, "b"), urgent(3, "d"), urgent(2, "c")];
        let goes = |owner: &str| matches!(acquire(None, &queue, &claimant(owner), AT), Ok(Acquire::Take(_)));
        assert_eq!(["b", "c", "d"].map(goes), [false, true, false]);
    }

    #[test]
    fn of_two_that_came_at_one_moment_exactly_one_goes_first() {
        let queue = [queued(1, "b"), queued(1, "c")];
        let goes = |owner: &str| matches!(acquire(None, &queue, &claimant(owner), AT), Ok(Acquire::Take(_)));
        assert_eq!([goes("b"), goes("c")], [true, false]);
    }

    #[test]
    fn a_person_takes_a_held_lock_only_from_the_deployment_that_is_named_and_with_a_reason() {
        let lock = taken("a");
        let attempt = |from: Option<&str>, why: &str| unlock(Some(&lock), from, "ana", why, AT);
        let refusal = attempt(None, "it hangs").unwrap_err().to_string();
        assert!(refusal.contains("`--from deployment of a`"), "{refusal}");
        assert!(attempt(Some("deployment of b"), "it hangs").is_err());
        assert!(attempt(Some("deployment of a"), " ").is_err());
        let free = attempt(Some("deployment of a"), "it hangs").unwrap().row;
        assert_eq!((free.status, free.fence), (LockStatus::Free, 2));
        assert!(free.reason.is_some_and(|reason| reason == "taken by ana: it hangs"));
        assert!(check(Some(&lock), "a", 1).is_ok() && unlock(None, None, "ana", "why", AT).is_err());
    }

    #[test]
    fn a_quarantined_lock_moves_only_when_a_person_frees_it() {
        let left = quarantine(Some(&taken("a")), "a", 1, "the migration died half-way", AT)
            .unwrap()
            .unwrap()
            .row;
        assert_eq!(quarantine(Some(&left), "a", 1, "again", AT).unwrap(), None);
        let refusal = acquire(Some(&left), &[], &claimant("a"), AT).unwrap_err().to_string();
        assert!(
            refusal.contains("half-way") && refusal.contains("esclusa unlock"),
            "{refusal}"
        );
        assert!(unlock(Some(&left), Some("deployment of b"), "ana", "looked", AT).is_err());
        let free = unlock(Some(&left), None, "ana", "looked at the schema", AT)
            .unwrap()
            .row;
        assert_eq!((free.status, free.fence), (LockStatus::Free, 2));
    }
}
