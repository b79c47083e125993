//! Telling the world: events on an EventBridge bus.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use esclusa_core::error::{ErrorKind, Failure};
use serde_json::Value;

use crate::client;
use crate::sdk::{OnFirstUse, classify, failure};

/// The `source` of our events.
pub const SOURCE: &str = "esclusa";

/// What one call takes (`PutEvents`).
const EVENTS_PER_CALL: usize = 10;

/// One event to publish.
#[derive(Debug, Clone, PartialEq)]
pub struct OutgoingEvent {
    /// What happened, such as `Esclusa Release Ended`.
    pub detail_type: String,
    /// The details.
    pub detail: Value,
    /// ARNs of what it is about.
    pub resources: Vec<String>,
}

/// The power to publish events on one bus.
#[derive(Debug, Clone)]
pub struct EventPublisher {
    client: OnFirstUse<Client>,
    bus: String,
}

impl EventPublisher {
    /// A publisher on `bus` (name or ARN) in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig, bus: impl Into<String>) -> Self {
        Self {
            client: client!(aws_sdk_eventbridge, config),
            bus: bus.into(),
        }
    }

    /// Publishes events. EventBridge accepts each on its own: after a failure some may have been published.
    ///
    /// # Errors
    /// As every call to AWS; the reason of the first event that was not accepted, `Transient` where a repeat may help.
    pub async fn publish(&self, events: &[OutgoingEvent]) -> Result<(), Failure> {
        const ACTION: &str = "events:PutEvents";
        for chunk in events.chunks(EVENTS_PER_CALL) {
            let entries = chunk.iter().map(|event| self.entry(event)).collect();
            let request = self.client.put_events().set_entries(Some(entries));
            let answer = request.send().await.map_err(|error| failure(ACTION, &error))?;
            let results = answer.entries.unwrap_or_default();
            if results.len() != chunk.len() {
                return Err(Failure::transient(format!("`{ACTION}` did not answer for every event")));
            }
            for (event, result) in chunk.iter().zip(results) {
                if let Some(code) = result.error_code {
                    let kind = match classify(&code, 400) {
                        ErrorKind::Refused if code == "InternalException" => ErrorKind::Transient,
                        kind => kind,
                    };
                    let reason = result.error_message.unwrap_or_default();
                    let detail_type = &event.detail_type;
                    return Err(Failure::new(
                        kind,
                        format!("event `{detail_type}` was not accepted: `{code}` {reason}"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn entry(&self, event: &OutgoingEvent) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(&event.detail_type)
            .detail(event.detail.to_string())
            .set_resources(Some(event.resources.clone()))
            .build()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Recorded};

    fn events(count: usize) -> Vec<OutgoingEvent> {
        let event = |index| OutgoingEvent {
            detail_type: "Esclusa Release Ended".to_owned(),
            detail: json!({"index": index}),
            resources: Vec::new(),
        };
        (0..count).map(event).collect()
    }

    fn accepted(count: usize) -> Answer {
        let entries: Value = (0..count).map(|index| json!({"eventId": index.to_string()})).collect();
        Answer::json(200, &json!({"FailedEntryCount": 0, "Entries": entries}))
    }

    #[tokio::test]
    async fn more_events_than_one_call_takes_are_published_in_several() {
        let recorded = Recorded::new([accepted(10), accepted(2)]);
        let publisher = EventPublisher::new(&recorded.config(), "default");
        publisher.publish(&events(12)).await.unwrap();
        let sent = recorded.requests();
        assert_eq!(sent[1].body["Entries"].as_array().unwrap().len(), 2);
        assert_eq!(sent[1].body["Entries"][0]["Source"], "esclusa");
        assert_eq!(sent[1].body["Entries"][0]["Detail"], r#"{"index":10}"#);
    }

    #[tokio::test]
    async fn an_event_that_was_not_accepted_is_a_failure_although_the_call_succeeded() {
        for (code, kind) in [
            ("ThrottlingException", ErrorKind::Transient),
            ("MalformedDetail", ErrorKind::Refused),
        ] {
            let refused = json!({"FailedEntryCount": 1, "Entries": [{"eventId": "1"}, {"ErrorCode": code, "ErrorMessage": "why"}]});
            let recorded = Recorded::new([Answer::json(200, &refused)]);
            let publisher = EventPublisher::new(&recorded.config(), "default");
            let failure = publisher.publish(&events(2)).await.unwrap_err();
            assert_eq!(failure.kind, kind);
            assert!(
                failure.message.contains(code) && failure.message.contains("why"),
                "{failure}"
            );
        }
    }
}
