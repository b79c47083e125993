//! One line of the story.

use jiff::Timestamp;

/// What a line says, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// On the way.
    Plain,
    /// Something outside of the deployer is changed.
    Act,
    /// Something is well.
    Good,
    /// Something is wrong.
    Bad,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, in simulated time.
    pub at: Timestamp,
    /// The environment; empty when it happened in none.
    pub place: String,
    /// Who: a push, a state machine, an API call, a task, a service.
    pub who: String,
    /// What.
    pub text: String,
    /// How it is to be read.
    pub tone: Tone,
    /// Whether it is a state that a machine passes: several in a row can be told in one line.
    pub state: bool,
}
