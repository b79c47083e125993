//! What could not be delivered: messages in the dead-letter queue, as an operator hears of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How much lies in the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// About how many messages.
    pub count: u64,
    /// Since when there is at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What to remember when the queue was looked at; nothing where it says what was known. Only a queue that was seen
/// empty begins anew.
#[must_use]
pub fn seen(known: Option<&Undelivered>, count: u64, now: Timestamp) -> Option<Undelivered> {
    let since = match (count, known) {
        (0, _) => None,
        (_, known) => Some(known.and_then(|known| known.since).unwrap_or(now)),
    };
    let seen = Undelivered { count, since };
    let is_news = known.map_or(count > 0, |known| *known != seen);
    is_news.then_some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_filled_since_it_was_seen_empty_and_only_news_is_remembered() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let undelivered = |count, since: Option<i64>| Undelivered {
            count,
            since: since.map(at),
        };
        assert_eq!(seen(None, 0, at(1)), None);
        let first = seen(None, 2, at(1)).unwrap();
        assert_eq!(first, undelivered(2, Some(1)));
        assert_eq!(seen(Some(&first), 2, at(5)), None);
        assert_eq!(seen(Some(&first), 3, at(5)), Some(undelivered(3, Some(1))));
        let empty = seen(Some(&first), 0, at(9)).unwrap();
        assert_eq!(empty, undelivered(0, None));
        assert_eq!(seen(Some(&empty), 0, at(10)), None);
        assert_eq!(seen(Some(&empty), 1, at(12)), Some(undelivered(1, Some(12))));
    }
}
