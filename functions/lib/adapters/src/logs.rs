//! The last words of a container, and the lines of a log group that match a pattern.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsError;
use aws_sdk_cloudwatchlogs::operation::get_log_events::GetLogEventsError;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::LogMeasure;
use esclusa_core::task_definition::masked_text;
use esclusa_core::verification::{CountedLines, LogSight};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::client;
use crate::clock::Clock;
use crate::sdk::{OnFirstUse, failure};

/// How much of a container's log is kept. What looks like a secret is masked: the ledger is kept for ever.
const LINES_KEPT: u16 = 50;
const BYTES_KEPT: usize = 16_000;

/// The most lines that one call hands out (`GetLogEvents`).
const LINES_PER_CALL: u16 = 10_000;

/// For how long pages of matching lines are read in one look. There may be any number of them, and most are empty: a
/// call ends after a while of searching, and a group has a stream for every task that there ever was.
const READING: SignedDuration = SignedDuration::from_secs(15);

/// How long one call that searches may take.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(10);

/// One line of a log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the container wrote it.
    pub at: Option<Timestamp>,
    /// What it wrote.
    pub text: String,
}

/// What a container wrote last, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastWords {
    /// `{"at": …, "text": …}`, the oldest first.
    pub lines: Vec<Value>,
    /// Why it could not be read.
    pub unreadable: Option<String>,
}

impl LastWords {
    /// The last line that says something.
    #[must_use]
    pub fn last_line(&self) -> Option<&str> {
        let texts = self.lines.iter().filter_map(|line| line.get("text")?.as_str());
        texts.rev().find(|text| !text.trim().is_empty())
    }
}

/// Where a container writes its log with the `awslogs` driver.
struct LogPlace {
    group: String,
    prefix: String,
}

impl LogPlace {
    fn of(definition: &Value, container: &str) -> Option<Self> {
        let containers = definition.get("containerDefinitions")?.as_array()?;
        let container = containers
            .iter()
            .find(|candidate| candidate.get("name").and_then(Value::as_str) == Some(container))?;
        let configuration = container.get("logConfiguration")?;
        if configuration.get("logDriver").and_then(Value::as_str) != Some("awslogs") {
            return None;
        }
        let option = |name: &str| configuration.get("options")?.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            group: option("awslogs-group")?,
            prefix: option("awslogs-stream-prefix")?,
        })
    }
}

/// Reads log streams. Changes nothing.
#[derive(Debug, Clone)]
pub struct LogReader {
    client: OnFirstUse<Client>,
    clock: Clock,
}

impl LogReader {
    /// A reader in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_cloudwatchlogs, config),
            clock: Clock::new(config),
        }
    }

    /// What a container of a task wrote last, masked; nothing where it does not log to CloudWatch. The log decorates
    /// other evidence, so one that cannot be read is no failure: what was in the way is kept in its place.
    pub async fn last_words(&self, definition: &Value, container: &str, task_arn: &str) -> LastWords {
        let Some(place) = LogPlace::of(definition, container) else {
            return LastWords::default();
        };
        let id = task_arn.rsplit('/').next().unwrap_or_default();
        let stream = format!("{}/{container}/{id}", place.prefix);
        match self.tail(&place.group, &stream, LINES_KEPT, BYTES_KEPT).await {
            Ok(lines) => LastWords {
                lines: lines
                    .into_iter()
                    .map(|line| json!({"at": line.at, "text": masked_text(&line.text)}))
                    .collect(),
                unreadable: None,
            },
            Err(failure) => LastWords {
                lines: Vec::new(),
                unreadable: Some(failure.message),
            },
        }
    }

    /// The last lines of a stream, oldest first: at most `lines`, of together at most `bytes` of text; nothing where
    /// there is no such group or stream (a container that never started has none).
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

    /// The lines of a log group that match a pattern, by the time at which they were written, from where lines were not
    /// `counted` for good before: `FilterLogEvents` (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>). Nothing is read on when there are
    /// more of them than may be.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the group does not exist or the pattern is none.
    pub async fn sight(
        &self,
        measure: &LogMeasure,
        counted: CountedLines,
        now: Timestamp,
    ) -> Result<LogSight, Failure> {
        let mut sight = LogSight {
            matches: 0,
            last: None,
            is_whole: false,
            for_good: CountedLines::none(counted.next_until(now)),
        };
        let limits = TimeoutConfig::builder()
            .operation_timeout(SEARCH_TIMEOUT)
            .operation_attempt_timeout(SEARCH_TIMEOUT)
            .build();
        let begun = self.clock.now()?;
        let mut last_at = None;
        let mut token = None;
        while self.clock.now()?.duration_since(begun) < READING
            && counted.matches.saturating_add(sight.matches) <= u64::from(measure.at_most)
        {
            let request = self.client.filter_log_events().log_group_name(&measure.group);
            let request = request
                .filter_pattern(&measure.pattern)
                .start_time(counted.until.as_millisecond())
                .set_next_token(token)
                .customize()
                .config_override(aws_sdk_cloudwatchlogs::config::Builder::new().timeout_config(limits.clone()));
            let answer = request.send().await.map_err(|error| {
                let is_absent = error
                    .as_service_error()
                    .is_some_and(FilterLogEventsError::is_resource_not_found_exception);
                if is_absent {
                    Failure::refused(format!("there is no log group `{}`", measure.group))
                } else {
                    failure("logs:FilterLogEvents", &error)
                }
            })?;
            for event in answer.events.unwrap_or_default() {
                sight.matches = sight.matches.saturating_add(1);
                let written_at = event.timestamp.unwrap_or(i64::MAX);
                let is_settled = written_at < sight.for_good.until.as_millisecond();
                sight.for_good.matches = sight.for_good.matches.saturating_add(u64::from(is_settled));
                // The streams of a group are not sorted into each other.
                if event.timestamp >= last_at {
                    last_at = event.timestamp;
                    sight.last = event.message;
                }
            }
            token = answer.next_token;
            if token.is_none() {
                sight.is_whole = true;
                break;
            }
        }
        Ok(sight)
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_async::time::TimeSource;
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

    fn matching(lines: &[(i64, &str)], next_token: Option<&str>) -> Answer {
        let events: Value = lines
            .iter()
            .map(|(after, text)| (begun() + SignedDuration::from_secs(*after), text))
            .map(|(at, text)| json!({"timestamp": at.as_millisecond(), "message": text, "logStreamName": "api/1"}))
            .collect();
        Answer::json(200, &json!({"events": events, "nextToken": next_token}))
    }

    fn begun() -> Timestamp {
        Timestamp::from_second(1_793_620_800).unwrap()
    }

    fn measure(at_most: u32) -> LogMeasure {
        LogMeasure {
            group: "/ecs/api".to_owned(),
            pattern: "?ERROR ?FATAL".to_owned(),
            at_most,
        }
    }

    #[tokio::test]
    async fn lines_that_match_are_counted_over_all_pages_and_the_newest_is_the_last() {
        let recorded = Recorded::new([
            matching(&[(10, "ERROR one"), (90, "ERROR three")], Some("a")),
            matching(&[], Some("b")),
            matching(&[(20, "FATAL two")], None),
        ]);
        let sight = LogReader::new(&recorded.config())
            .sight(
                &measure(10),
                CountedLines::none(begun()),
                begun() + SignedDuration::from_mins(6),
            )
            .await
            .unwrap();
        let expected = LogSight {
            matches: 3,
            last: Some("ERROR three".to_owned()),
            is_whole: true,
            for_good: CountedLines {
                until: begun() + SignedDuration::from_mins(1),
                matches: 2,
            },
        };
        assert_eq!(sight, expected);
        let requests = recorded.requests();
        let asked =
            json!({"logGroupName": "/ecs/api", "filterPattern": "?ERROR ?FATAL", "startTime": 1_793_620_800_000_i64});
        assert_eq!(requests[0].body, asked);
        let tokens: Vec<&Value> = requests.iter().map(|request| &request.body["nextToken"]).collect();
        assert_eq!(tokens, [&Value::Null, &json!("a"), &json!("b")]);
    }

    /// A clock that is ten seconds further whenever somebody looks.
    #[derive(Debug, Default)]
    struct Hasty(std::sync::atomic::AtomicU64);

    impl TimeSource for Hasty {
        fn now(&self) -> std::time::SystemTime {
            let seconds = self.0.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
            std::time::UNIX_EPOCH + Duration::from_secs(seconds)
        }
    }

    #[tokio::test]
    async fn a_log_is_read_for_a_while_and_not_beyond_what_may_match() {
        let more = |_| matching(&[(10, "ERROR")], Some("more"));
        let counted = CountedLines::none(begun());
        let endless = Recorded::new((0..2).map(more));
        let config = endless.config().into_builder().time_source(Hasty::default()).build();
        let reader = LogReader::new(&config);
        let sight = reader.sight(&measure(100), counted, begun()).await.unwrap();
        assert!(!sight.is_whole && sight.matches < 3, "{sight:?}");

        let many = Recorded::new((0..3).map(more));
        let before = CountedLines { matches: 1, ..counted };
        let reader = LogReader::new(&many.config());
        let sight = reader.sight(&measure(3), before, begun()).await.unwrap();
        assert_eq!((sight.matches, sight.is_whole), (3, false));
    }

    #[tokio::test]
    async fn a_group_that_does_not_exist_is_named() {
        let absent =
            json!({"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."});
        let recorded = Recorded::new([Answer::json(400, &absent)]);
        let reader = LogReader::new(&recorded.config());
        let failure = reader
            .sight(&measure(0), CountedLines::none(begun()), begun())
            .await
            .unwrap_err();
        assert_eq!(failure.message, "there is no log group `/ecs/api`");
    }
}
