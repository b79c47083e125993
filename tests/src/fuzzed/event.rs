//! Events and requests, as a function is invoked with them.

use esclusa_core::migration::TaskFacts;
use esclusa_events::ecs::Task;
use esclusa_events::{DecodeError, Event, EventError, decode, parse};
use serde::Serialize;
use serde_json::{Value, json};

use super::assert_one_line;
use super::json::{MARKER, extended, list, mark, read, reordered};

/// What is recognised keeps what matters, is the same however it is written, and can be stored and read again; what is
/// refused names the place and never the value.
pub(super) fn check(input: &[u8]) {
    let Some(payload) = read(input).filter(|payload| !is_positional(payload)) else {
        return;
    };
    match parse(payload.clone()) {
        Ok(event) => recognised(&payload, &event),
        Err(error) => refused(&payload, &error),
    }
}

/// Whether a list stands in the place of an object. Serde takes it for the members in their order; AWS sends none.
fn is_positional(payload: &Value) -> bool {
    let detail = payload.get("detail");
    detail.is_some_and(|detail| detail.is_array() || list(detail, "containers").iter().any(Value::is_array))
}

fn recognised(payload: &Value, event: &Event) {
    assert_eq!(
        parse(reordered(payload)).as_ref(),
        Ok(event),
        "the order of members counts"
    );
    match event {
        Event::Request(request) => {
            assert_eq!(
                payload.get("action").and_then(Value::as_str),
                Some(request.action.as_str())
            );
            assert_eq!(&request.payload, payload);
            let shown = format!("Request(Request {{ action: {:?}, .. }})", request.action);
            assert_eq!(format!("{event:?}"), shown, "more than the action is printed");
        }
        Event::EcrImageAction(envelope) => {
            stored(payload, event, envelope);
            let detail = Detail(payload);
            detail.has("action-type", Some(envelope.detail.action_type.as_str()));
            detail.has("result", Some(envelope.detail.result.as_str()));
            detail.has("repository-name", Some(&envelope.detail.repository_name));
            detail.has("image-digest", envelope.detail.image_digest.as_deref());
            detail.has("image-tag", envelope.detail.image_tag.as_deref());
        }
        Event::CloudWatchAlarmStateChange(envelope) => {
            stored(payload, event, envelope);
            let detail = Detail(payload);
            detail.has("alarmName", Some(&envelope.detail.alarm_name));
        }
        Event::EcsTaskStateChange(envelope) => {
            stored(payload, event, envelope);
            task(payload, event, &envelope.detail);
        }
        Event::EcsDeploymentStateChange(envelope) => {
            stored(payload, event, envelope);
            let detail = Detail(payload);
            detail.has("eventName", Some(envelope.detail.event_name.as_str()));
            detail.has("deploymentId", Some(&envelope.detail.deployment_id));
            detail.has("reason", envelope.detail.reason.as_deref());
        }
        Event::EcsServiceAction(envelope) => {
            stored(payload, event, envelope);
            Detail(payload).has("eventName", Some(envelope.detail.event_name.as_str()));
            Detail(payload).has("reason", envelope.detail.reason.as_deref());
        }
        Event::StepFunctionsExecutionStatusChange(envelope) => {
            stored(payload, event, envelope);
            let detail = Detail(payload);
            detail.has("executionArn", Some(&envelope.detail.execution_arn));
            detail.has("stateMachineArn", Some(&envelope.detail.state_machine_arn));
            detail.has("name", Some(&envelope.detail.name));
            detail.has("status", Some(envelope.detail.status.as_str()));
            let mut hidden = payload.clone();
            for member in ["input", "output", "cause"] {
                hidden
                    .pointer_mut(&format!("/detail/{member}"))
                    .map(mark)
                    .unwrap_or_default();
            }
            assert_eq!(parse(hidden).as_ref(), Ok(event), "input, output or cause is kept");
        }
        Event::Scheduled(envelope) => {
            assert_eq!(Some(&envelope.detail), payload.get("detail"));
            named(payload, &envelope.id, &envelope.source, &envelope.detail_type);
        }
        Event::Unknown(envelope) => named(payload, &envelope.id, &envelope.source, &envelope.detail_type),
    }
}

fn named(payload: &Value, id: &str, source: &str, detail_type: &str) {
    for (member, kept) in [("id", id), ("source", source), ("detail-type", detail_type)] {
        assert_eq!(payload.get(member).and_then(Value::as_str), Some(kept), "{member}");
    }
}

/// An event that Esclusa reads: what AWS adds changes nothing, and what is stored is read again as it was.
fn stored<D: Serialize>(payload: &Value, event: &Event, envelope: &esclusa_events::Envelope<D>) {
    named(payload, &envelope.id, &envelope.source, &envelope.detail_type);
    assert_eq!(
        payload.get("account").and_then(Value::as_str),
        Some(envelope.account.as_str())
    );
    assert_eq!(
        payload.get("region").and_then(Value::as_str),
        Some(envelope.region.as_str())
    );
    let resources: Vec<&str> = list(payload, "resources").iter().filter_map(Value::as_str).collect();
    assert_eq!(envelope.resources, resources);
    assert_eq!(envelope.resource(), resources.first().copied());
    assert_eq!(
        parse(extended(payload)).as_ref(),
        Ok(event),
        "a new member changes the event"
    );
    let stored = serde_json::to_value(envelope).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(parse(stored).as_ref(), Ok(event), "it is not read as it was written");
}

/// A task event carries no values of overrides and no attachments, and the core reads from what is stored what it reads
/// from the event.
fn task(payload: &Value, event: &Event, task: &Task) {
    let mut hidden = payload.clone();
    for member in ["overrides", "attachments"] {
        hidden
            .pointer_mut(&format!("/detail/{member}"))
            .map(mark)
            .unwrap_or_default();
    }
    assert_eq!(parse(hidden).as_ref(), Ok(event), "overrides or attachments are kept");
    let detail = payload.get("detail").cloned().unwrap_or_default();
    let written = json!(task);
    assert_eq!(decode::<Task>(written.clone()).as_ref(), Ok(task));
    assert_eq!(TaskFacts::from_json(&detail), TaskFacts::from_json(&written));
    let names = |value: &Value| -> Vec<Option<String>> {
        let containers = list(value, "containers").iter();
        containers
            .map(|container| container.get("name").and_then(Value::as_str).map(str::to_owned))
            .collect()
    };
    assert_eq!(names(&detail), names(&written), "a container is lost");
}

/// The detail of a payload.
struct Detail<'a>(&'a Value);

impl Detail<'_> {
    /// Null and absent are the same; everything else is kept as it is.
    fn has(&self, member: &str, kept: Option<&str>) {
        let given = self.0.get("detail").and_then(|detail| detail.get(member));
        assert_eq!(given.and_then(Value::as_str), kept, "{member}");
    }
}

fn refused(payload: &Value, error: &EventError) {
    assert_one_line(&error.to_string());
    let is_text = |member: &str| payload.get(member).is_some_and(Value::is_string);
    let is_event = is_text("source") && is_text("detail-type");
    match error {
        EventError::Unrecognised => assert!(!is_event, "an event is not recognised"),
        EventError::Malformed { error, .. } => {
            assert!(is_event);
            without_value(payload, error);
        }
    }
}

/// The error is the same for another text in the same place: it does not depend on what it must not quote.
fn without_value(payload: &Value, error: &DecodeError) {
    assert!(!error.path.is_empty() && !error.reason.is_empty());
    let pointer: String = error
        .path
        .split(['.', '[', ']'])
        .filter(|part| !part.is_empty())
        .fold(String::new(), |pointer, part| format!("{pointer}/{part}"));
    let mut other = payload.clone();
    let Some(place) = other.pointer_mut(&pointer).filter(|place| place.is_string()) else {
        return;
    };
    *place = MARKER.into();
    let again = match parse(other) {
        Err(EventError::Malformed { error, .. }) => error,
        other => panic!("`{}` is refused, and with another text there: {other:?}", error.path),
    };
    assert_eq!(&again, error);
}
