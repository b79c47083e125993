//! Intent before, outcome after, fence inside: no act on the outside world without a record that says it was about to
//! happen.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::lock::{self, Lock, LockRefusal};
use super::{Condition, Write};
use crate::canonical::canonical_sha256;
use crate::error::Failure;
use crate::ledger::Chain;
use crate::verdict::StepReference;

/// Where an intent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IntentStatus {
    /// The act may be under way, may have happened, or may never have begun.
    Open,
    /// What became of it is recorded.
    Closed,
}

/// The row of an intent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Intent {
    /// Where it stands.
    pub status: IntentStatus,
    /// The step it belongs to; none for what changes nothing that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepReference>,
    /// The act, such as `ecs:UpdateService`.
    pub action: String,
    /// What it is aimed at.
    pub target: String,
    /// The chain of its ledger record.
    pub chain: Chain,
    /// The sequence number of its ledger record.
    pub sequence: u64,
    /// Whether a run that found it announced has taken it up. From then on nothing that one call is answered proves that
    /// the act was not done: the other run may have called too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_taken_up: bool,
    /// What became of it, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// The id of an intent: the same act of the same attempt has the same id, so that a repeat finds its own.
pub fn intent_id(deployment_id: &str, step: Option<StepReference>, action: &str, target: &str) -> String {
    let step = step.map(|step| json!([step.mode, step.index, step.attempt]));
    let hash = canonical_sha256(&json!([deployment_id, step, action, target]));
    hash.chars().take(32).collect()
}

/// A lock that the actor believes to hold, with the row as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// The row as it was read.
    pub lock: Option<&'a Lock>,
    /// The fence that the actor was given.
    pub fence: u64,
}

/// What opening an intent comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// Write the row, with the ledger record, while every lock is unchanged; then act.
    Write {
        /// The row, where none exists.
        intent: Write<Intent>,
        /// The conditions on the locks, in the order they were given.
        locks: Vec<Condition<Lock>>,
    },
    /// This act was announced before by a run that may still be at it: write the row, while every lock is unchanged; then
    /// go on as after [`Open::FindOut`].
    TakeUp {
        /// The row that says that it was taken up.
        intent: Write<Intent>,
        /// The conditions on the locks, in the order they were given.
        locks: Vec<Condition<Lock>>,
    },
    /// This act was announced and taken up before and its outcome is not recorded: compare with the truth before acting
    /// again.
    FindOut,
    /// This act has happened and its outcome is recorded: do not act.
    Settled {
        /// What became of it, as JSON text.
        outcome: String,
    },
}

/// Opens an intent, or finds the actor's own from before. A settled one is answered even to an actor that has lost its
/// locks: it will not act.
///
/// # Errors
/// [`LockRefusal::FenceLost`] when any of the locks is not held any more.
pub fn open(held: &[Held<'_>], owner: &str, existing: Option<&Intent>, intent: Intent) -> Result<Open, LockRefusal> {
    if let Some(outcome) = existing.and_then(|intent| intent.outcome.clone()) {
        return Ok(Open::Settled { outcome });
    }
    let mut locks = Vec::new();
    for held in held {
        locks.push(Condition::Unchanged(lock::check(held.lock, owner, held.fence)?.clone()));
    }
    match existing {
        Some(announced) if announced.is_taken_up => Ok(Open::FindOut),
        Some(announced) => {
            let taken_up = Intent {
                is_taken_up: true,
                ..announced.clone()
            };
            Ok(Open::TakeUp {
                intent: Write::after(existing, taken_up),
                locks,
            })
        }
        None => Ok(Open::Write {
            intent: Write::after(None, intent),
            locks,
        }),
    }
}

/// Why an outcome is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseRefusal {
    /// Nobody announced the act.
    #[error("there is no intent to record an outcome for")]
    NoIntent,
    /// Another outcome is recorded.
    #[error("the outcome `{recorded}` is recorded already")]
    OtherOutcome {
        /// The outcome that is recorded.
        recorded: String,
    },
    /// Another run has called too, or has recorded what came of it.
    #[error("another run has taken up `{action}` on `{target}`, and may have done what was refused here")]
    TakenUp {
        /// The act.
        action: String,
        /// What it is aimed at.
        target: String,
    },
}

impl From<CloseRefusal> for Failure {
    fn from(refusal: CloseRefusal) -> Self {
        match refusal {
            CloseRefusal::NoIntent | CloseRefusal::OtherOutcome { .. } => Self::defect(refusal.to_string()),
            CloseRefusal::TakenUp { .. } => Self::conflict(refusal.to_string()),
        }
    }
}

/// Records what became of an act; nothing to write when the same outcome is recorded. No lock is needed: what has
/// happened is true for everybody.
///
/// # Errors
/// [`CloseRefusal`] when there is no intent or it has another outcome.
pub fn close(existing: Option<&Intent>, outcome: &str) -> Result<Option<Write<Intent>>, CloseRefusal> {
    let Some(intent) = existing else {
        return Err(CloseRefusal::NoIntent);
    };
    match &intent.outcome {
        Some(recorded) if recorded == outcome => Ok(None),
        Some(recorded) => Err(CloseRefusal::OtherOutcome {
            recorded: recorded.clone(),
        }),
        None => {
            let closed = Intent {
                status: IntentStatus::Closed,
                outcome: Some(outcome.to_owned()),
                ..intent.clone()
            };
            Ok(Some(Write::after(existing, closed)))
        }
    }
}

/// Records that the call of the run that announced the act was refused, which proves that nothing was done as long as no
/// other run has called.
///
/// # Errors
/// [`CloseRefusal::TakenUp`] when another run may have called or its outcome is there; [`CloseRefusal::NoIntent`] when
/// there is no intent.
pub fn close_refused(existing: Option<&Intent>, outcome: &str) -> Result<Option<Write<Intent>>, CloseRefusal> {
    match existing {
        Some(intent) if intent.is_taken_up || intent.outcome.is_some() => Err(CloseRefusal::TakenUp {
            action: intent.action.clone(),
            target: intent.target.clone(),
        }),
        existing => close(existing, outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Mode;

    #[test]
    fn the_same_act_of_the_same_attempt_has_the_same_id_and_any_other_another() {
        let step = |mode, index, attempt| Some(StepReference { mode, index, attempt });
        let id = intent_id("d", step(Mode::Forward, 0, 1), "ecs:RunTask", "migrate");
        assert_eq!(id.len(), 32);
        assert_eq!(id, intent_id("d", step(Mode::Forward, 0, 1), "ecs:RunTask", "migrate"));
        for other in [
            intent_id("e", step(Mode::Forward, 0, 1), "ecs:RunTask", "migrate"),
            intent_id("d", step(Mode::WayBack, 0, 1), "ecs:RunTask", "migrate"),
            intent_id("d", step(Mode::Forward, 1, 1), "ecs:RunTask", "migrate"),
            intent_id("d", step(Mode::Forward, 0, 2), "ecs:RunTask", "migrate"),
            intent_id("d", None, "ecs:RunTask", "migrate"),
            intent_id("d", step(Mode::Forward, 0, 1), "ecs:StopTask", "migrate"),
            intent_id("d", step(Mode::Forward, 0, 1), "ecs:RunTask", "seed"),
        ] {
            assert_ne!(other, id);
        }
    }

    #[test]
    fn an_outcome_is_recorded_once_and_never_changed() {
        let intent = Intent {
            status: IntentStatus::Open,
            step: None,
            action: "ecs:RegisterTaskDefinition".into(),
            target: "imagy-catalog-develop".into(),
            chain: Chain::release("r"),
            sequence: 4,
            is_taken_up: false,
            outcome: None,
        };
        assert_eq!(close(None, "{}").unwrap_err(), CloseRefusal::NoIntent);
        let closed = close(Some(&intent), "{}").unwrap().unwrap().row;
        assert_eq!(closed.status, IntentStatus::Closed);
        assert_eq!(close(Some(&closed), "{}").unwrap(), None);
        assert!(close(Some(&closed), "[]").is_err());
    }

    #[test]
    fn a_refusal_is_recorded_only_while_nobody_else_may_have_called() {
        let announced = Intent {
            status: IntentStatus::Open,
            step: None,
            action: "ecs:RunTask".into(),
            target: "shop/migrate".into(),
            chain: Chain::release("r"),
            sequence: 4,
            is_taken_up: false,
            outcome: None,
        };
        let refused = close_refused(Some(&announced), "refused").unwrap().unwrap().row;
        assert_eq!(refused.outcome.as_deref(), Some("refused"));
        let Ok(Open::TakeUp { intent: taken_up, .. }) = open(&[], "execution", Some(&announced), announced.clone())
        else {
            panic!("it was announced before");
        };
        let taken_up = taken_up.row;
        let failure = Failure::from(close_refused(Some(&taken_up), "refused").unwrap_err());
        assert_eq!(failure.kind, crate::error::ErrorKind::Conflict);
        let acted = close(Some(&taken_up), "acted").unwrap().unwrap().row;
        assert!(close_refused(Some(&acted), "refused").is_err());
        assert_eq!(
            open(&[], "execution", Some(&taken_up), taken_up.clone()),
            Ok(Open::FindOut)
        );
    }
}
