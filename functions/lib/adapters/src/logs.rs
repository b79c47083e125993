//! The last words of a container.

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::get_log_events::GetLogEventsError;
use esclusa_core::error::Failure;
use jiff::Timestamp;

use crate::sdk::failure;

/// The most lines that one call hands out (`GetLogEvents`).
const LINES_PER_CALL: u16 = 10_000;

/// One line of a log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the container wrote it.
    pub at: Option<Timestamp>,
    /// What it wrote.
    pub text: String,
}

/// Reads log streams. Changes nothing.
#[derive(Debug, Clone)]
pub struct LogReader {
    client: Client,
}

impl LogReader {
    /// A reader in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// The last lines of a stream, oldest first: at most `lines`, of together at most `bytes` of text; nothing where there is no such
    /// group or stream (a container that never started has none).
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn tail(&self, group: &str, stream: &str, lines: u16, bytes: usize) -> Result<Vec<LogLine>, Failure> {
        let request = self
            .client
            .get_log_events()
            .log_group_name(group)
            .log_stream_name(stream);
        let request = request
            .start_from_head(false)
            .limit(i32::from(lines.clamp(1, LINES_PER_CALL)));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let absent = error
                    .as_service_error()
                    .is_some_and(GetLogEventsError::is_resource_not_found_exception);
                return if absent {
                    Ok(Vec::new())
                } else {
                    Err(failure("logs:GetLogEvents", &error))
                };
            }
        };
        let events = answer.events.unwrap_or_default();
        let mut left = bytes;
        let mut tail: Vec<LogLine> = events
            .into_iter()
            .rev()
            .take(usize::from(lines))
            .map_while(|event| {
                let text = event.message.unwrap_or_default();
                left = left.checked_sub(text.len())?;
                Some(LogLine {
                    at: event.timestamp.and_then(|at| Timestamp::from_millisecond(at).ok()),
                    text,
                })
            })
            .collect();
        tail.reverse();
        Ok(tail)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Answer, Recorded};

    fn events(texts: &[&str]) -> Answer {
        let events: Value = texts
            .iter()
            .map(|text| json!({"timestamp": 1_793_620_800_000_i64, "message": text}))
            .collect();
        Answer::json(200, &json!({"events": events}))
    }

    #[tokio::test]
    async fn the_tail_keeps_the_newest_lines_within_both_bounds() {
        let recorded = Recorded::new([
            events(&["one", "two", "three"]),
            events(&["one", "two", "three"]),
            events(&["long"]),
        ]);
        let reader = LogReader::new(&recorded.config());
        let texts = |lines: Vec<LogLine>| lines.into_iter().map(|line| line.text).collect::<Vec<_>>();
        assert_eq!(
            texts(reader.tail("group", "stream", 2, 1000).await.unwrap()),
            ["two", "three"]
        );
        assert_eq!(
            texts(reader.tail("group", "stream", 10, 8).await.unwrap()),
            ["two", "three"]
        );
        assert!(reader.tail("group", "stream", 10, 3).await.unwrap().is_empty());
        assert_eq!(recorded.requests()[0].body["limit"], 2);
        assert_eq!(recorded.requests()[0].body["startFromHead"], false);
    }

    #[tokio::test]
    async fn a_stream_that_does_not_exist_is_empty() {
        let absent =
            json!({"__type": "ResourceNotFoundException", "message": "The specified log stream does not exist."});
        let recorded = Recorded::new([Answer::json(400, &absent)]);
        assert!(
            LogReader::new(&recorded.config())
                .tail("group", "stream", 10, 100)
                .await
                .unwrap()
                .is_empty()
        );
    }
}
