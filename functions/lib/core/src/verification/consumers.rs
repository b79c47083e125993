//! From the metrics of a queue of Amazon SQS to a measurement of those who consume it.
//!
//! A queue itself tells how much lies in it and nothing of who takes it away; its metrics do, minute by minute
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>). Whoever is done with a message deletes it:
//! one that was received only may come back, and goes to the dead-letter queue without ever having been deleted.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Outcome;
use super::metric::{MetricWindow, shown};
use crate::pipeline::{ConsumersMeasure, Idle};

/// Seconds between two datapoints of a queue.
const MINUTE: i64 = 60;

/// How many minutes back the newest datapoint is looked for: CloudWatch shows some only after minutes.
const MINUTES_LATE: i64 = 3;

/// One minute of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueueMinute {
    /// `ApproximateNumberOfMessagesVisible`: messages that could be received.
    pub waiting: f64,
    /// `ApproximateNumberOfMessagesNotVisible`: messages that were received and neither deleted nor given back.
    pub in_flight: f64,
    /// `NumberOfMessagesReceived`.
    pub received: f64,
    /// `NumberOfEmptyReceives`: how often somebody asked for a message and there was none.
    pub empty_receives: f64,
    /// `NumberOfMessagesDeleted`.
    pub deleted: f64,
}

impl QueueMinute {
    /// Whether there was something to be done.
    fn is_busy(&self) -> bool {
        self.waiting + self.in_flight > 0.0
    }
}

/// What CloudWatch shows of a queue: the minutes of which it shows everything, by their begin in seconds since 1970.
pub type QueueSight = BTreeMap<i64, QueueMinute>;

/// Which minutes of a queue are looked at: whole ones since the verification began, as many as decide, and those that
/// may not be there yet.
#[must_use]
pub fn queue_window(measure: &ConsumersMeasure, began_at: Timestamp, now: Timestamp) -> MetricWindow {
    let to = whole(now);
    let from = to - MINUTE * (wanted(measure) + MINUTES_LATE);
    MetricWindow {
        from: from.max(first(began_at)).min(to),
        to,
    }
}

/// The begin of the minute of a moment.
fn whole(at: Timestamp) -> i64 {
    at.as_second() - at.as_second().rem_euclid(MINUTE)
}

/// The begin of the first whole minute of the verification.
fn first(began_at: Timestamp) -> i64 {
    whole(began_at) + MINUTE
}

/// How many minutes decide.
fn wanted(measure: &ConsumersMeasure) -> i64 {
    (i64::from(measure.stalled_seconds) / MINUTE).max(1)
}

/// What a queue shows of its consumers, over the minutes up to the newest that is there: they are at work when they
/// have deleted messages, and are not when there were messages all the time and none was deleted. A queue without
/// messages shows nothing, or that they live where they ask for messages and that is declared to be enough. Minutes
/// that are not shown are not guessed.
#[must_use]
pub fn consumers(
    measure: &ConsumersMeasure,
    began_at: Timestamp,
    sight: &QueueSight,
    now: Timestamp,
) -> (Outcome, String) {
    let (name, wanted) = (&measure.queue, wanted(measure));
    let recent = whole(now) - MINUTE * MINUTES_LATE;
    let Some((newest, last)) = sight.last_key_value().filter(|(began, _)| **began >= recent) else {
        let said = match recent < first(began_at) {
            true => "there is no datapoint of the release yet".to_owned(),
            false => {
                format!(
                    "there is no datapoint of the queue `{name}`: nobody has used it for hours, or it does not exist"
                )
            }
        };
        return (Outcome::Inconclusive, said);
    };
    let back = (0..wanted).map_while(|minutes| sight.get(&(newest - minutes * MINUTE)));
    let minutes: Vec<&QueueMinute> = back.collect();
    let sum = |of: fn(&QueueMinute) -> f64| minutes.iter().map(|minute| of(minute)).sum::<f64>();
    let (deleted, received, empty) = (
        sum(|minute| minute.deleted),
        sum(|minute| minute.received),
        sum(|minute| minute.empty_receives),
    );
    let count = i64::try_from(minutes.len()).unwrap_or(i64::MAX);
    let said = format!(
        "messages in `{name}`: {} waiting, {} in flight; in {} seconds: deleted {}, received {}, empty receives {}",
        shown(last.waiting),
        shown(last.in_flight),
        count.saturating_mul(MINUTE),
        shown(deleted),
        shown(received),
        shown(empty)
    );
    let outcome = if deleted > 0.0 {
        Outcome::Pass
    } else if count >= wanted && minutes.iter().all(|minute| minute.is_busy()) {
        Outcome::Fail
    } else if measure.idle == Idle::Pass && !last.is_busy() && received + empty > 0.0 {
        Outcome::Pass
    } else {
        Outcome::Inconclusive
    };
    (outcome, said)
}
