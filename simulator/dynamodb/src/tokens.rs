//! Idempotency tokens of transactions, on simulated time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simulator_kernel::ApiError;

/// How long a token stays known after its request was completed.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

#[derive(Debug, Clone)]
struct Completed {
    at: Timestamp,
    items: Value,
    output: Value,
}

/// The transactions of the last ten minutes by token.
#[derive(Debug, Default)]
pub(crate) struct Tokens(BTreeMap<String, Completed>);

impl Tokens {
    /// The answer that was given under this token, if it is still known.
    pub(crate) fn replay(
        &mut self,
        token: Option<&str>,
        input: &Value,
        now: Timestamp,
    ) -> Result<Option<Value>, ApiError> {
        self.0.retain(|_, completed| now.duration_since(completed.at) < WINDOW);
        let Some(completed) = token.and_then(|token| self.0.get(token)) else {
            return Ok(None);
        };
        if input.get("TransactItems") == Some(&completed.items) {
            return Ok(Some(completed.output.clone()));
        }
        Err(ApiError::client(
            "IdempotentParameterMismatchException",
            "Previous request with the same ClientRequestToken had different parameters",
        ))
    }

    pub(crate) fn remember(&mut self, token: Option<&str>, input: &Value, output: &Value, now: Timestamp) {
        if let Some(token) = token {
            let items = input.get("TransactItems").cloned().unwrap_or_default();
            self.0.insert(
                token.to_owned(),
                Completed {
                    at: now,
                    items,
                    output: output.clone(),
                },
            );
        }
    }
}
