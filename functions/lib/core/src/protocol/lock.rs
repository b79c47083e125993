//! The lock with a fence: one owner at a time, and a number that only grows, by which an owner that lost the lock is told so before it acts.

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
}

/// Why a lock does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockRefusal {
    /// Somebody else works.
    #[error("deployment `{deployment_id}` holds the lock since {since}")]
    Held {
        /// The deployment that holds it.
        deployment_id: String,
        /// Since when.
        since: Timestamp,
    },
    /// A person must look first.
    #[error("the lock is quarantined: {reason}; look at the environment, then run `esclusa locks release`")]
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
    /// The owner may still act.
    #[error("the lock cannot be taken over: {why}")]
    OwnerMayAct {
        /// What was not shown.
        why: String,
    },
}

impl From<LockRefusal> for Failure {
    fn from(refusal: LockRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            LockRefusal::Held { .. } => Self::lock_held(message),
            LockRefusal::Quarantined { .. } | LockRefusal::OwnerMayAct { .. } => Self::refused(message),
            LockRefusal::FenceLost { .. } => Self::fence_lost(message),
        }
    }
}

/// Acquires a free lock, or finds that it is held by the claimant already.
///
/// # Errors
/// [`LockRefusal::Held`] and [`LockRefusal::Quarantined`].
pub fn acquire(read: Option<&Lock>, claimant: &Claimant, at: Timestamp) -> Result<Acquire, LockRefusal> {
    match read {
        Some(lock) if lock.status == LockStatus::Quarantined => Err(quarantined(lock)),
        Some(lock) if lock.status == LockStatus::Held && lock.owner.as_ref() == Some(&claimant.owner) => {
            Ok(Acquire::AlreadyHeld { fence: lock.fence })
        }
        Some(lock) if lock.status == LockStatus::Held => Err(LockRefusal::Held {
            deployment_id: lock.deployment_id.clone().unwrap_or_default(),
            since: lock.since,
        }),
        None | Some(_) => Ok(Acquire::Take(Write::after(read, held(read, claimant, at)))),
    }
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

/// Why somebody may take a held lock from its owner. Time alone is never a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeOverEvidence {
    /// Step Functions says that the owner's execution is closed.
    OwnerClosed {
        /// The execution that was described.
        owner: String,
        /// Its intents without an outcome, after they were settled against ECS.
        open_intents: usize,
    },
    /// A person decided.
    Person {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
}

/// Takes a held lock from an owner that is shown to be gone. The fence grows, so that an act the old owner has not begun is refused.
///
/// # Errors
/// [`LockRefusal::OwnerMayAct`] without evidence for the owner that holds it; [`LockRefusal::Quarantined`], which no evidence but a person's look
/// lifts ([`lift_quarantine`]).
pub fn take_over(
    read: Option<&Lock>,
    evidence: &TakeOverEvidence,
    claimant: &Claimant,
    at: Timestamp,
) -> Result<Write<Lock>, LockRefusal> {
    let may_act = |why: String| Err(LockRefusal::OwnerMayAct { why });
    let Some(lock) = read.filter(|lock| lock.status != LockStatus::Free) else {
        return may_act("nobody holds it; acquire it instead".to_owned());
    };
    if lock.status == LockStatus::Quarantined {
        return Err(quarantined(lock));
    }
    match evidence {
        TakeOverEvidence::OwnerClosed { owner, .. } if lock.owner.as_ref() != Some(owner) => {
            may_act(format!("it is held by another execution than `{owner}`"))
        }
        TakeOverEvidence::OwnerClosed { open_intents, .. } if *open_intents > 0 => {
            may_act(format!("{open_intents} intents of its owner have no outcome"))
        }
        TakeOverEvidence::Person { why, .. } if why.trim().is_empty() => {
            may_act("a person must give a reason".to_owned())
        }
        TakeOverEvidence::OwnerClosed { .. } => Ok(Write::after(read, held(read, claimant, at))),
        TakeOverEvidence::Person { by, why } => {
            let taken = Lock {
                reason: Some(format!("taken over by {by}: {why}")),
                ..held(read, claimant, at)
            };
            Ok(Write::after(read, taken))
        }
    }
}

/// Frees a quarantined lock on the word of a person who has looked.
///
/// # Errors
/// [`LockRefusal::OwnerMayAct`] when it is not quarantined or no reason is given.
pub fn lift_quarantine(read: Option<&Lock>, by: &str, why: &str, at: Timestamp) -> Result<Write<Lock>, LockRefusal> {
    let Some(lock) = read.filter(|lock| lock.status == LockStatus::Quarantined) else {
        return Err(LockRefusal::OwnerMayAct {
            why: format!("it is not quarantined: {}", standing(read)),
        });
    };
    if why.trim().is_empty() {
        return Err(LockRefusal::OwnerMayAct {
            why: "a person must give a reason".to_owned(),
        });
    }
    let free = Lock {
        status: LockStatus::Free,
        fence: lock.fence.saturating_add(1),
        owner: None,
        deployment_id: None,
        since: at,
        reason: Some(format!("quarantine lifted by {by}: {why}")),
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
        match acquire(None, &claimant(owner), AT).unwrap() {
            Acquire::Take(write) => write.row,
            Acquire::AlreadyHeld { .. } => panic!("nobody held it"),
        }
    }

    #[test]
    fn the_fence_grows_with_every_change_of_hands_and_not_with_a_retry_of_the_owner() {
        let first = taken("a");
        assert_eq!(
            acquire(Some(&first), &claimant("a"), AT).unwrap(),
            Acquire::AlreadyHeld { fence: 1 }
        );
        let free = release(Some(&first), "a", 1, AT).unwrap().unwrap().row;
        assert_eq!(release(Some(&free), "a", 1, AT).unwrap(), None);
        let Acquire::Take(second) = acquire(Some(&free), &claimant("a"), AT).unwrap() else {
            panic!("it was free")
        };
        assert_eq!(second.row.fence, 2);
        assert!(check(Some(&second.row), "a", 1).is_err());
    }

    #[test]
    fn a_held_lock_is_refused_with_the_name_of_who_holds_it() {
        let failure = Failure::from(acquire(Some(&taken("a")), &claimant("b"), AT).unwrap_err());
        assert_eq!(failure.kind, crate::error::ErrorKind::LockHeld);
        assert!(failure.message.contains("deployment of a"));
    }

    #[test]
    fn only_an_owner_that_is_closed_and_settled_or_a_person_with_a_reason_gives_way() {
        let lock = taken("a");
        let closed = |owner: &str, open_intents| TakeOverEvidence::OwnerClosed {
            owner: owner.into(),
            open_intents,
        };
        let person = |why: &str| TakeOverEvidence::Person {
            by: "ana".into(),
            why: why.into(),
        };
        let attempt = |evidence| take_over(Some(&lock), &evidence, &claimant("b"), AT);
        assert!(attempt(closed("another", 0)).is_err());
        assert!(attempt(closed("a", 1)).is_err());
        assert!(attempt(person(" ")).is_err());
        assert_eq!(attempt(closed("a", 0)).unwrap().row.fence, 2);
        assert!(
            attempt(person("the execution was deleted"))
                .unwrap()
                .row
                .reason
                .unwrap()
                .contains("ana")
        );
    }

    #[test]
    fn a_quarantined_lock_moves_only_when_a_person_lifts_it() {
        let left = quarantine(Some(&taken("a")), "a", 1, "the migration died half-way", AT)
            .unwrap()
            .unwrap()
            .row;
        assert_eq!(quarantine(Some(&left), "a", 1, "again", AT).unwrap(), None);
        let evidence = TakeOverEvidence::Person {
            by: "ana".into(),
            why: "in a hurry".into(),
        };
        let refusal = take_over(Some(&left), &evidence, &claimant("b"), AT).unwrap_err();
        assert!(refusal.to_string().contains("half-way") && refusal.to_string().contains("esclusa locks release"));
        assert!(acquire(Some(&left), &claimant("a"), AT).is_err());
        let free = lift_quarantine(Some(&left), "ana", "looked at the schema", AT)
            .unwrap()
            .row;
        assert_eq!((free.status, free.fence), (LockStatus::Free, 2));
    }
}
