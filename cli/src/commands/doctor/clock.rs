//! The clock of this machine against that of AWS, which every answer shows.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use esclusa_adapters::client;
use esclusa_core::doctor::Seen;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

use super::looking::seen;
use crate::session::Session;

/// By how much the clock of this machine is ahead.
pub(super) async fn ahead(session: &Session) -> Seen<SignedDuration> {
    let date = DateHeader::default();
    let asked = client!(aws_sdk_sts, session.config())
        .get_caller_identity()
        .customize()
        .interceptor(date.clone())
        .send()
        .await;
    // A refused signature has a date as well, and is refused for the clock more often than not.
    match (date.read(), session.now()) {
        (Some(theirs), Ok(ours)) => Seen::Found(difference(ours, theirs)),
        _ => match seen("sts:GetCallerIdentity", asked) {
            Seen::Found(_) => Seen::Unreadable {
                why: "AWS sent no date".to_owned(),
            },
            other => other.map(|_| SignedDuration::ZERO),
        },
    }
}

/// The header tells whole seconds: less than two are none.
fn difference(ours: Timestamp, theirs: Timestamp) -> SignedDuration {
    let difference = ours.duration_since(theirs);
    if difference.abs() < SignedDuration::from_secs(2) {
        SignedDuration::ZERO
    } else {
        difference
    }
}

/// Keeps the header `Date` of an answer.
#[derive(Debug, Clone, Default)]
struct DateHeader(Arc<Mutex<Option<String>>>);

impl DateHeader {
    fn read(&self) -> Option<Timestamp> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        rfc2822::DateTimeParser::new().parse_timestamp(&kept).ok()
    }
}

impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "DateHeader"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_difference_is_none() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let header = DateHeader(Arc::new(Mutex::new(Some("Sun, 29 Nov 2026 14:00:00 GMT".to_owned()))));
        let theirs = header.read().unwrap();
        for (seconds, expected) in [(0, 0), (1, 0), (-1, 0), (40, 40), (-301, -301)] {
            let ours = at(theirs.as_second() + seconds);
            assert_eq!(difference(ours, theirs).as_secs(), expected);
        }
        let nonsense = DateHeader(Arc::new(Mutex::new(Some("yesterday".to_owned()))));
        assert_eq!(nonsense.read(), None);
    }
}
