//! The events of one execution, in the shape of `GetExecutionHistory`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::execution::Status;
use crate::retry::Failure;

/// The member that holds an event's details, with the details.
pub(crate) type Details = Option<(&'static str, Value)>;

/// The events of an execution, up to its quota.
#[derive(Debug, Clone)]
pub(crate) struct History {
    events: Vec<Value>,
    quota: usize,
    full: bool,
}

impl History {
    pub(crate) fn new(quota: usize) -> Self {
        Self {
            events: Vec::new(),
            quota,
            full: false,
        }
    }

    /// All events, oldest first.
    pub(crate) fn events(&self) -> &[Value] {
        &self.events
    }

    /// Whether an event had to be left out to keep a place for the last one: the execution must fail.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Adds an event and returns its id.
    pub(crate) fn record(&mut self, at: Timestamp, previous: u64, kind: &str, details: Details) -> u64 {
        if self.events.len() + 1 >= self.quota {
            self.full = true;
            return previous;
        }
        self.push(at, previous, kind, details)
    }

    /// Adds the event that ends the execution.
    pub(crate) fn close(
        &mut self,
        at: Timestamp,
        previous: u64,
        status: Status,
        output: Option<&str>,
        failure: Option<&Failure>,
    ) {
        let (kind, member) = match status {
            Status::Running => return,
            Status::Succeeded => ("ExecutionSucceeded", "executionSucceededEventDetails"),
            Status::Failed => ("ExecutionFailed", "executionFailedEventDetails"),
            Status::TimedOut => ("ExecutionTimedOut", "executionTimedOutEventDetails"),
            Status::Aborted => ("ExecutionAborted", "executionAbortedEventDetails"),
        };
        let mut details = failure.map(self::failure).unwrap_or_default();
        if let Some(output) = output {
            details.insert("output".to_owned(), output.into());
            details.insert("outputDetails".to_owned(), json!({"truncated": false}));
        }
        self.push(at, previous, kind, Some((member, details.into())));
    }

    fn push(&mut self, at: Timestamp, previous: u64, kind: &str, details: Details) -> u64 {
        let id = u64::try_from(self.events.len()).unwrap_or(u64::MAX).saturating_add(1);
        let mut event = Map::new();
        event.insert("timestamp".to_owned(), epoch_seconds(at));
        event.insert("type".to_owned(), kind.into());
        event.insert("id".to_owned(), id.into());
        event.insert("previousEventId".to_owned(), previous.into());
        if let Some((name, details)) = details {
            event.insert(name.to_owned(), details);
        }
        self.events.push(Value::Object(event));
        id
    }
}

/// A moment as the JSON protocols of AWS write it, with milliseconds.
pub(crate) fn epoch_seconds(at: Timestamp) -> Value {
    json!(SignedDuration::from_millis(at.as_millisecond()).as_secs_f64())
}

/// A moment as the context object and ISO 8601 write it.
pub(crate) fn iso_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `{"error", "cause"}` with what the failure has of it.
pub(crate) fn failure(failure: &Failure) -> Map<String, Value> {
    let mut details = Map::new();
    if !failure.error.is_empty() {
        details.insert("error".to_owned(), failure.error.clone().into());
    }
    if let Some(cause) = &failure.cause {
        details.insert("cause".to_owned(), cause.clone().into());
    }
    details
}
