//! Task tokens: each can be returned once.

use std::collections::BTreeMap;

use simulator_kernel::{ApiError, Kernel};

use crate::execution::Holder;

/// Real tokens have several hundred characters and no promised length.
const TOKEN_DIGITS: usize = 480;

/// Every token ever issued, with the task that waits for it while it is open.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: BTreeMap<String, Option<Holder>>,
}

impl Tokens {
    /// A new token for the task of a branch.
    pub(crate) fn issue(&mut self, holder: Holder, kernel: &mut Kernel) -> String {
        let token = format!("AQCEAAAAKgAAAAMAAAAAAAAAA{}", kernel.hex_id(TOKEN_DIGITS));
        self.issued.insert(token.clone(), Some(holder));
        token
    }

    /// From here on the token answers `TaskTimedOut`.
    pub(crate) fn close(&mut self, token: &str) {
        if let Some(holder) = self.issued.get_mut(token) {
            *holder = None;
        }
    }

    /// The task that waits for an open token.
    pub(crate) fn holder(&self, token: &str) -> Result<Holder, ApiError> {
        match self.issued.get(token) {
            Some(Some(holder)) => Ok(holder.clone()),
            Some(None) => Err(ApiError::client(
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
            .filter_map(|(token, holder)| Some((token.as_str(), holder.as_ref()?)))
    }
}
