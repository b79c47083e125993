//! Task tokens: each can be returned once.

use std::collections::BTreeMap;

use simulator_kernel::{ApiError, Kernel};

use crate::execution::Holder;

/// Real tokens have several hundred characters and no promised length.
const TOKEN_DIGITS: usize = 480;

/// Every token ever issued.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: BTreeMap<String, Issued>,
}

/// A token with the task it was issued to.
#[derive(Debug)]
struct Issued {
    holder: Holder,
    is_open: bool,
}

impl Tokens {
    /// A new token for the task of a branch.
    pub(crate) fn issue(&mut self, holder: Holder, kernel: &mut Kernel) -> String {
        let token = format!("AQCEAAAAKgAAAAMAAAAAAAAAA{}", kernel.hex_id(TOKEN_DIGITS));
        let issued = Issued { holder, is_open: true };
        self.issued.insert(token.clone(), issued);
        token
    }

    /// From here on the token answers `TaskTimedOut`.
    pub(crate) fn close(&mut self, token: &str) {
        if let Some(issued) = self.issued.get_mut(token) {
            issued.is_open = false;
        }
    }

    /// The task that waits for an open token.
    pub(crate) fn holder(&self, token: &str) -> Result<Holder, ApiError> {
        match self.issued.get(token) {
            Some(issued) if issued.is_open => Ok(issued.holder.clone()),
            Some(_) => Err(ApiError::client(
                "TaskTimedOut",
                "the task token has expired or its task has already been closed",
            )),
            None => Err(ApiError::client("InvalidToken", "the provided token is not valid")),
        }
    }

    /// Open tokens with who waits for them, in no promised order.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&str, &Holder)> {
        self.issued
            .iter()
            .filter(|(_, issued)| issued.is_open)
            .map(|(token, issued)| (token.as_str(), &issued.holder))
    }

    /// The execution that a token was issued to, open or not.
    pub(crate) fn execution(&self, token: &str) -> Option<&str> {
        self.issued.get(token).map(|issued| issued.holder.execution.as_str())
    }
}
