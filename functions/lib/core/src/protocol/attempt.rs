//! The order of the attempts of one waiting state.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// One attempt of one state of one execution: when the state was entered, then how often it was retried since.
///
/// Step Functions gives every retry a token of its own and says both numbers in the context object, so that a Lambda
/// which was slow cannot put an older token over a newer one. The text form sorts as the attempts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Attempt {
    /// `$states.context.State.EnteredTime`.
    pub entered_at: Timestamp,
    /// `$states.context.State.RetryCount`.
    pub retry_count: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.9}#{:06}", self.entered_at, self.retry_count)
    }
}

impl FromStr for Attempt {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let malformed = || Failure::invalid_input(format!("`{}` is not the attempt of a state", text.escape_debug()));
        let (entered_at, retry_count) = text.split_once('#').ok_or_else(malformed)?;
        Ok(Self {
            entered_at: entered_at.parse().map_err(|_| malformed())?,
            retry_count: retry_count.parse().map_err(|_| malformed())?,
        })
    }
}

impl From<Attempt> for String {
    fn from(attempt: Attempt) -> Self {
        attempt.to_string()
    }
}

impl TryFrom<String> for Attempt {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_text_of_attempts_is_read_back_and_sorts_as_they_do(
            a in (0..2_000_000_000_i64, 0..1_000_000_000_i32, 0..1_000_000_u32),
            b in (0..2_000_000_000_i64, 0..1_000_000_000_i32, 0..1_000_000_u32),
        ) {
            let attempt = |(second, nanosecond, retry_count)| Attempt { entered_at: Timestamp::new(second, nanosecond).unwrap(), retry_count };
            let (a, b) = (attempt(a), attempt(b));
            prop_assert_eq!(a.to_string().parse::<Attempt>().unwrap(), a);
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }
    }

    #[test]
    fn a_state_entered_again_is_newer_than_every_retry_of_the_entry_before() {
        let entered = |text: &str, retry_count| Attempt {
            entered_at: text.parse().unwrap(),
            retry_count,
        };
        assert!(entered("2026-11-21T00:00:01Z", 0) > entered("2026-11-21T00:00:00.999Z", 7));
    }
}
