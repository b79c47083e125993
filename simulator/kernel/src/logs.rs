//! The log streams of the simulated account.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// One line of a log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// When it was written.
    pub at: Timestamp,
    /// The line.
    pub message: String,
}

/// Log groups with their streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logs {
    /// Events by log group and stream, in the order they were written.
    pub groups: BTreeMap<String, BTreeMap<String, Vec<LogEvent>>>,
}

impl Logs {
    /// Writes a line. A group or stream that does not exist is created, as the `awslogs` driver does for streams.
    pub fn write(&mut self, group: &str, stream: &str, at: Timestamp, message: &str) {
        self.groups
            .entry(group.to_owned())
            .or_default()
            .entry(stream.to_owned())
            .or_default()
            .push(LogEvent {
                at,
                message: message.to_owned(),
            });
    }
}
