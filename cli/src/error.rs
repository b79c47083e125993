//! How a command ends.

use std::io;
use std::process::ExitCode;

use esclusa_core::error::Failure;

/// What a command says to whoever called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked (0).
    Success,
    /// It did not, or what it followed or verified is not well (1).
    Failure,
    /// There is a difference between what is wanted and what is live (2).
    Difference,
    /// It was asked for something that has no meaning (2; of `plan` 1).
    InvalidInput,
}

impl Exit {
    /// The exit code of the process.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Difference | Self::InvalidInput => 2,
        }
    }

    /// The same of `esclusa plan`, where 2 means that there is a difference and nothing else.
    pub(crate) const fn of_plan(self) -> Self {
        match self {
            Self::InvalidInput => Self::Failure,
            Self::Success | Self::Failure | Self::Difference => self,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// AWS, the tables or the state of the world.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// What was asked for has no meaning.
    #[error("{0}")]
    InvalidInput(String),
    /// A file of the user cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the operating system says.
        reason: io::Error,
    },
    /// The answer cannot be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl CommandError {
    /// The state of the world does not allow what was asked.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Failed(Failure::refused(message))
    }

    /// The exit that tells it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Failed(_) | Self::Output(_) => Exit::Failure,
            Self::InvalidInput(_) | Self::File { .. } => Exit::InvalidInput,
        }
    }

    /// The name of the kind, for programs that read the answer.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Failed(failure) => failure.kind.as_str(),
            Self::InvalidInput(_) | Self::File { .. } => "InvalidInput",
            Self::Output(_) => "Output",
        }
    }
}
