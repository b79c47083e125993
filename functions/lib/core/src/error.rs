//! Failures, named by the reaction they require: the name is the `errorType` that `Retry` and `Catch` of the state
//! machines branch on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a step could not do what it was asked; closed, and each name stands for one reaction ([`ErrorKind::reaction`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The input is not one of ours: a bug, or a foreign payload.
    InvalidInput,
    /// The account is not as the step requires it; nothing moved, and the message says what helps.
    Refused,
    /// AWS denied the call: a role or a trust policy has drifted.
    AccessDenied,
    /// Others held the lock for longer than this deployment waits.
    LockHeld,
    /// The lock passed to somebody else while this execution believed to hold it.
    FenceLost,
    /// The plan computed under the lock is not the one that passed the gate.
    PlanChanged,
    /// A person has stopped the release: nothing of it is begun any more.
    Stopped,
    /// A compare-and-set was lost to another writer; reading again and repeating is safe.
    Conflict,
    /// Throttling, a server-side error or a read that is not consistent yet; repeating is safe.
    Transient,
    /// The call may have acted and nothing proves whether it did.
    UnknownEffect,
    /// An invariant of this program is broken.
    Defect,
}

/// What an [`ErrorKind`] requires from whoever receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reaction {
    /// Repeat the same step after a pause.
    Retry,
    /// End this attempt; the release machine plans and asks again.
    AskAgain,
    /// End the deployment, going the way back where something has moved.
    End,
    /// End the deployment and page a person: what is in the world is not known or not trusted.
    Page,
}

impl ErrorKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::InvalidInput,
        Self::Refused,
        Self::AccessDenied,
        Self::LockHeld,
        Self::FenceLost,
        Self::PlanChanged,
        Self::Stopped,
        Self::Conflict,
        Self::Transient,
        Self::UnknownEffect,
        Self::Defect,
    ];

    /// The name as it reaches Step Functions (`errorType`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInput",
            Self::Refused => "Refused",
            Self::AccessDenied => "AccessDenied",
            Self::LockHeld => "LockHeld",
            Self::FenceLost => "FenceLost",
            Self::PlanChanged => "PlanChanged",
            Self::Stopped => "Stopped",
            Self::Conflict => "Conflict",
            Self::Transient => "Transient",
            Self::UnknownEffect => "UnknownEffect",
            Self::Defect => "Defect",
        }
    }

    /// The reaction that this kind requires.
    pub const fn reaction(self) -> Reaction {
        match self {
            Self::Conflict | Self::Transient => Reaction::Retry,
            Self::PlanChanged => Reaction::AskAgain,
            Self::Refused | Self::AccessDenied | Self::LockHeld | Self::Stopped => Reaction::End,
            Self::InvalidInput | Self::FenceLost | Self::UnknownEffect | Self::Defect => Reaction::Page,
        }
    }

    /// Whether the same step may simply be repeated.
    pub const fn is_retryable(self) -> bool {
        matches!(self.reaction(), Reaction::Retry)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ErrorKind {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            Failure::invalid_input(format!("`{}` is not the name of an error kind", name.escape_debug()))
        })
    }
}

/// A failure: the kind for machines, the message for the operator who reads it at night.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// The reaction it requires.
    pub kind: ErrorKind,
    /// One sentence, lower case, values in backticks, with the command that helps where there is one.
    pub message: String,
}

impl Failure {
    /// A failure of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// [`ErrorKind::InvalidInput`].
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// [`ErrorKind::Refused`]: say what is not as required and the command that helps.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// [`ErrorKind::AccessDenied`]: say which action on which resource.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::AccessDenied, message)
    }

    /// [`ErrorKind::LockHeld`]: say who holds it.
    pub fn lock_held(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::LockHeld, message)
    }

    /// [`ErrorKind::FenceLost`]: say who holds the lock now.
    pub fn fence_lost(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::FenceLost, message)
    }

    /// [`ErrorKind::PlanChanged`]: say what changed.
    pub fn plan_changed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::PlanChanged, message)
    }

    /// [`ErrorKind::Stopped`]: say by whom and why.
    pub fn stopped(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Stopped, message)
    }

    /// [`ErrorKind::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// [`ErrorKind::Transient`].
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, message)
    }

    /// [`ErrorKind::UnknownEffect`]: say what may have happened and where to look.
    pub fn unknown_effect(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::UnknownEffect, message)
    }

    /// [`ErrorKind::Defect`]: say which invariant is broken.
    pub fn defect(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Defect, message)
    }

    /// The same failure with `context` before its message: what was being done when it happened.
    #[must_use]
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self {
            message: format!("{context}: {}", self.message),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_name_in_text_and_in_json() {
        for kind in ErrorKind::ALL {
            assert_eq!(kind.as_str().parse::<ErrorKind>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn an_unknown_name_is_refused_and_quoted() {
        let failure = "States.Timeout".parse::<ErrorKind>().unwrap_err();
        assert_eq!(failure.kind, ErrorKind::InvalidInput);
        assert!(failure.to_string().contains("`States.Timeout`"));
        let failure = "a\nb".parse::<ErrorKind>().unwrap_err();
        assert!(failure.to_string().starts_with(r"`a\nb`"), "{failure}");
    }

    #[test]
    fn only_a_lost_compare_and_set_and_a_transient_error_are_repeated_blindly() {
        let repeated: Vec<_> = ErrorKind::ALL.into_iter().filter(|kind| kind.is_retryable()).collect();
        assert_eq!(repeated, [ErrorKind::Conflict, ErrorKind::Transient]);
    }

    #[test]
    fn context_is_put_before_the_message_and_keeps_the_kind() {
        let failure = Failure::transient("rate exceeded").context("cannot describe service `imagy-catalog`");
        assert_eq!(
            failure,
            Failure::transient("cannot describe service `imagy-catalog`: rate exceeded")
        );
    }
}
