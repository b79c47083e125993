//! Windows that no file should have: those that cannot be read, and those that never open.

use jiff::civil::date;
use jiff::tz::TimeZone;

use super::stretches::{joined, without};
use super::{DAYS_PER_WEEK, OpenTimes, Times, WindowError};
use crate::pipeline::Windows;

/// How many days of a time that is allowed once are held against what is denied every week.
const DAYS_MAX: i32 = 400;

/// Where something stands in windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowPlace {
    /// In all of them.
    Zone,
    /// In what is allowed, from 0.
    Allow(usize),
    /// In what is denied, from 0.
    Deny(usize),
}

/// Everything that is wrong with windows, and where.
#[must_use]
pub fn check_windows(windows: &Windows) -> Vec<(WindowPlace, WindowError)> {
    let zone = match super::zone_of(windows) {
        Ok(zone) => zone,
        Err(error) => return vec![(WindowPlace::Zone, error)],
    };
    let mut wrong = Vec::new();
    let allow = windows.allow.iter().enumerate();
    let allow = allow.map(|(index, window)| (WindowPlace::Allow(index), window));
    let deny = windows.deny.iter().enumerate();
    let deny = deny.map(|(index, window)| (WindowPlace::Deny(index), window));
    for (place, window) in allow.chain(deny) {
        if let Err(error) = Times::default().add(window, &zone) {
            wrong.push((place, error));
        }
    }
    if wrong.is_empty()
        && let Ok(times) = OpenTimes::new(windows)
    {
        let never = never_open(windows, &times).into_iter();
        wrong.extend(never.map(|index| (WindowPlace::Allow(index), WindowError::NeverOpens)));
    }
    wrong
}

/// The windows of which what is denied leaves nothing.
fn never_open(windows: &Windows, times: &OpenTimes) -> Vec<usize> {
    // A week without holidays in which no clock changes says what is left of every other.
    let of_weeks = OpenTimes {
        zone: TimeZone::UTC,
        deny: Times {
            once: Vec::new(),
            ..times.deny.clone()
        },
        ..times.clone()
    };
    let monday = date(2024, 1, 1);
    let week_before = date(2023, 12, 31);
    let denied_weekly = of_weeks.denied(week_before, DAYS_PER_WEEK.saturating_add(2));
    let is_left = |index: usize| {
        let mut only = Times::default();
        let Some(window) = windows.allow.get(index) else {
            return true;
        };
        // It was read before.
        if only.add(window, &times.zone).is_err() {
            return true;
        }
        if let Some(once) = only.once.first() {
            let first = times.day_before(once.from);
            let days = super::days_between(once.from, once.to).min(DAYS_MAX);
            let denied = times.denied(first, days);
            return !without(&joined(vec![(once.from, once.to)]), &denied).is_empty();
        }
        let weekly = of_weeks.begin_within(&only.weekly, monday, DAYS_PER_WEEK.saturating_sub(1));
        !without(&joined(weekly), &denied_weekly).is_empty()
    };
    (0..windows.allow.len()).filter(|index| !is_left(*index)).collect()
}
