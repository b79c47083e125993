//! Schedule expressions.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use simulator_kernel::ApiError;

use crate::input::validation;

/// When a schedule or a scheduled rule is due.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    /// `rate(5 minutes)`.
    Rate(SignedDuration),
    /// `at(2026-11-02T09:00:00)`, in the schedule's time zone.
    At(DateTime),
}

impl Expression {
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let argument = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        if argument("cron").is_some() {
            return Err(ApiError::unsupported(
                "`cron(...)` schedules; use `rate(...)` or `at(...)`",
            ));
        }
        let parsed = match (argument("rate"), argument("at")) {
            (Some(rate), _) => parse_rate(rate).map(Self::Rate),
            (None, Some(at)) if at.len() == "yyyy-mm-ddThh:mm:ss".len() => at.parse().ok().map(Self::At),
            _ => None,
        };
        parsed.ok_or_else(|| validation(format!("Parameter ScheduleExpression is not valid: `{text}`")))
    }

    /// The next due time after `after`, which a rate counts from; `None` when there is none.
    pub(crate) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Rate(period) => after.checked_add(*period).ok(),
            Self::At(at) => at
                .to_zoned(zone.clone())
                .ok()
                .map(|at| at.timestamp())
                .filter(|at| *at > after),
        }
    }
}

fn parse_rate(text: &str) -> Option<SignedDuration> {
    let (value, unit) = text.split_once(' ')?;
    let value: i64 = value.parse().ok().filter(|value| *value > 0)?;
    let singular = if value == 1 { unit } else { unit.strip_suffix('s')? };
    let minutes = match singular {
        "minute" => 1,
        "hour" => 60,
        "day" => 24 * 60,
        _ => return None,
    };
    Some(SignedDuration::from_mins(value.checked_mul(minutes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_need_the_number_of_their_unit() {
        let minutes = |text| match Expression::parse(text) {
            Ok(Expression::Rate(period)) => Some(period.as_mins()),
            _ => None,
        };
        assert_eq!(minutes("rate(5 minutes)"), Some(5));
        assert_eq!(minutes("rate(1 hour)"), Some(60));
        assert_eq!(minutes("rate(2 days)"), Some(2880));
        for wrong in [
            "rate(1 minutes)",
            "rate(5 minute)",
            "rate(0 minutes)",
            "rate(5)",
            "rate(5 weeks)",
            "5 minutes",
            "at(tomorrow)",
        ] {
            assert_eq!(
                Expression::parse(wrong).unwrap_err().code,
                "ValidationException",
                "{wrong}"
            );
        }
        assert_eq!(Expression::parse("cron(0 10 * * ? *)").unwrap_err().status, 501);
    }

    #[test]
    fn a_moment_is_read_in_the_zone_of_the_schedule() {
        let at = Expression::parse("at(2026-11-02T10:00:00)").unwrap();
        let before = "2026-11-01T00:00:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(at.next(before, &zone).unwrap().to_string(), "2026-11-02T09:00:00Z");
        assert_eq!(at.next("2026-11-02T09:00:00Z".parse().unwrap(), &zone), None);
    }
}
