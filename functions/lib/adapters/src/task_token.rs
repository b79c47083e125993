//! Task tokens of Step Functions.

use std::fmt;

use serde::Deserialize;

/// A task token: whoever has it can end the waiting state. It is read from a payload, kept in the control table and
/// sent back to Step Functions; it is never printed, and it has no serialised form by which it could become part of a
/// record or an answer.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct TaskToken(String);

impl TaskToken {
    /// The token that Step Functions gave.
    #[must_use]
    pub fn new(token: String) -> Self {
        Self(token)
    }

    /// The token itself, to store it or to send it back.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TaskToken(redacted)")
    }
}
