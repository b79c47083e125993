//! Orders: what a freeze, a hold, a pin and the like have in common. They are given to the console where there is one,
//! and otherwise written with the permissions of the caller.

use esclusa_adapters::decisions::Wish;
use esclusa_core::error::Failure;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::{Map, Value};

use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::words;
use crate::session::Session;

/// Gives an order and tells what came of it; `words` are those for people.
pub(super) async fn give(
    wish: &Wish,
    session: &Session,
    output: &mut Output,
    words: impl FnOnce(&Value) -> String,
) -> Result<Exit, CommandError> {
    let told = match session.console() {
        Some(console) => {
            let (order, fields) = posted(wish)?;
            console.post(&format!("/orders/{order}"), &fields).await?
        }
        None => {
            let caller = session.caller().await?.arn;
            let ordered = session.journal.order(wish, &caller, &[]).await?;
            session.heard(wish.about(), &caller, ordered).await?
        }
    };
    if output.format() == Format::Json {
        output.document(&told)?;
    } else {
        output.line(words(&told))?;
    }
    Ok(Exit::Success)
}

/// The name of an order, which is part of the address, and its fields.
fn posted(wish: &Wish) -> Result<(String, Value), Failure> {
    let defect = || Failure::defect("an order has no name");
    let document = serde_json::to_value(wish).map_err(|error| Failure::defect(error.to_string()))?;
    let Value::Object(mut fields) = document else {
        return Err(defect());
    };
    let Some(Value::String(order)) = fields.remove("order") else {
        return Err(defect());
    };
    let fields: Map<String, Value> = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
    Ok((order, Value::Object(fields)))
}

/// The tag of the release that an order is about.
pub(super) fn tag(told: &Value) -> &str {
    told.get("tag").and_then(Value::as_str).unwrap_or_default()
}

/// Until when what was ordered holds, for people.
pub(super) fn how_long(told: &Value, what: &str) -> String {
    let until = told
        .get(what)
        .and_then(|order| order.get("until"))
        .and_then(Value::as_str);
    match until.and_then(|until| until.parse().ok()) {
        Some(until) => format!("until {}", words::time(until)),
        None => "until it is lifted".to_owned(),
    }
}

/// Until when something shall hold, where that was said.
pub(super) fn until(text: Option<&str>, session: &Session) -> Result<Option<Timestamp>, CommandError> {
    let now = session.now()?;
    text.map(|text| moment(text, now)).transpose()
}

/// A moment that is yet to come: a time, or how long from now.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, CommandError> {
    let ahead = |span: Span| {
        now.to_zoned(TimeZone::UTC)
            .checked_add(span)
            .ok()
            .map(|ahead| ahead.timestamp())
    };
    let span = text.parse::<Span>().ok().and_then(ahead);
    let moment = span.or_else(|| text.parse::<Timestamp>().ok());
    moment.filter(|moment| *moment > now).ok_or_else(|| {
        CommandError::InvalidInput(format!(
            "`{text}` must be a time in the future, such as `2026-12-01T08:00Z` or `2h`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_come_is_a_moment_or_how_long_from_now() {
        let now: Timestamp = "2026-11-21T14:05:00Z".parse().unwrap();
        for (text, expected) in [
            ("2h", "2026-11-21T16:05:00Z"),
            ("3d", "2026-11-24T14:05:00Z"),
            ("2026-12-01T08:00Z", "2026-12-01T08:00:00Z"),
        ] {
            assert_eq!(moment(text, now).unwrap(), expected.parse().unwrap(), "{text}");
        }
        for text in [
            "tomorrow",
            "2026-11-20T08:00Z",
            "-2h",
            "2 hours ago",
            "2026-12-01",
            "2026-12-01T08:00",
        ] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }
}
