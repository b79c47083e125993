//! Times as AWS writes them: RFC 3339 in events, seconds since the epoch in answers.

use jiff::{SignedDuration, Timestamp, Unit};

/// Reads RFC 3339 with any number of fraction digits; those beyond nanoseconds are dropped.
///
/// # Errors
/// What was expected.
pub fn from_text(text: &str) -> Result<Timestamp, &'static str> {
    const NANOSECOND_DIGITS: usize = 9;
    let mut digits = 0_usize;
    let mut fraction = false;
    let kept: String = text
        .chars()
        .filter(|character| {
            if *character == '.' {
                fraction = true;
            } else if fraction && character.is_ascii_digit() {
                digits += 1;
            } else {
                fraction = false;
            }
            !fraction || digits <= NANOSECOND_DIGITS
        })
        .collect();
    kept.parse().map_err(|_| "a time is RFC 3339")
}

/// Answers carry milliseconds; the binary fraction is rounded back to them.
///
/// # Errors
/// What was expected.
pub fn from_seconds(seconds: f64) -> Result<Timestamp, &'static str> {
    SignedDuration::try_from_secs_f64(seconds)
        .and_then(Timestamp::from_duration)
        .and_then(|time| time.round(Unit::Millisecond))
        .map_err(|_| "a time is in seconds since the epoch")
}
