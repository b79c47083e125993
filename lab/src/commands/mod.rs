//! One module for every command, and what they write on.

pub(crate) mod behaviour;
pub(crate) mod bench;
mod channel;
pub(crate) mod explore;
pub(crate) mod local;
pub(crate) mod page;
pub(crate) mod push;
mod served;

use lab::InstallError;
use simulator::ApiError;
use simulator::served::ServeError;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The deployer or an example.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The simulated AWS.
    #[error("the simulated AWS answers: {0}")]
    Api(#[from] ApiError),
    /// The endpoint.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The terminal or a file.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
    /// What was asked for is not possible, or did not work.
    #[error("{0}")]
    Refused(String),
}
