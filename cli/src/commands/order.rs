//! Orders that hold until somebody lifts them or their time is over: what a freeze, a hold and a pin have in common.

use esclusa_adapters::control::Change;
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::gate::Order;
use esclusa_core::ledger::{Chain, Draft};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::error::CommandError;
use crate::render::words;
use crate::session::Session;

/// An order from now on.
pub(super) fn order(by: &str, reason: &str, since: Timestamp, until: Option<&str>) -> Result<Order, CommandError> {
    Ok(Order {
        by: by.to_owned(),
        reason: reason.to_owned(),
        since,
        until: until.map(|text| moment(text, since)).transpose()?,
        lifted: None,
    })
}

/// Until when an order holds, for people.
pub(super) fn how_long(order: &Order) -> String {
    order.until.map_or_else(
        || "until it is lifted".to_owned(),
        |until| format!("until {}", words::time(until)),
    )
}

/// Writes a decision down with its record, unless somebody else has decided at this moment: then `what` says so.
pub(super) async fn write(
    session: &Session,
    application: &str,
    change: Change,
    draft: Draft,
    what: &str,
) -> Result<(), CommandError> {
    let commit = Commit::new()
        .change(change)
        .record(&Chain::application(application), draft);
    match session.journal.commit(commit).await? {
        Committed::Lost(_) => Err(CommandError::refused(format!("{what}; nothing was done"))),
        written => Ok(written.or_failure().map(|_| ())?),
    }
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
            "`{text}` is no time to come, such as `2026-12-01T08:00Z` or `2h`"
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
        for text in ["tomorrow", "2026-11-20T08:00Z", "-2h", "2026-12-01"] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }
}
