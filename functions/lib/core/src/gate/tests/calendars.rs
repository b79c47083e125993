//! Random calendars, judged minute by minute by another implementation of time zones.

use chrono::{
    DateTime, Datelike, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::super::*;
use crate::pipeline::{Day, Window};

/// How many minutes of a calendar are judged.
const MINUTES: i64 = 10 * 24 * 60;

const DAYS: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

/// Zones whose clocks change by an hour, by half an hour, at midnight and for Ramadan, on both halves of the globe, and
/// one whose clocks never do.
const ZONES: [&str; 7] = [
    "America/New_York",
    "Europe/Madrid",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Pacific/Auckland",
    "Africa/Casablanca",
    "America/Lima",
];

/// Days shortly before every change of clocks in one of the zones, before a leap day and before the end of a year.
const BEGINNINGS: [(i32, u32, u32); 12] = [
    (2026, 2, 12),
    (2026, 3, 5),
    (2026, 3, 19),
    (2026, 3, 26),
    (2026, 4, 2),
    (2026, 9, 3),
    (2026, 9, 24),
    (2026, 10, 1),
    (2026, 10, 22),
    (2026, 10, 29),
    (2028, 2, 26),
    (2026, 12, 28),
];

/// What comes every week: on which days, from which minute of the day, to which.
type Weekly = (Vec<usize>, u32, u32);

/// What comes once: from which minute since the beginning, for how many.
type Once = (i64, i64);

/// A calendar as numbers: minutes of the day, and minutes since its beginning.
#[derive(Debug, Clone)]
struct Calendar {
    zone: &'static str,
    begins: NaiveDate,
    allowed: Vec<Weekly>,
    allowed_once: Vec<Once>,
    denied: Vec<Weekly>,
    denied_once: Vec<Once>,
    holidays: Vec<u64>,
}

fn calendars() -> impl Strategy<Value = Calendar> {
    let quarter = || (0u32..96).prop_map(|quarter| quarter * 15);
    let weekly = || (proptest::collection::vec(0usize..7, 1..5), quarter(), quarter());
    let once = || (0i64..MINUTES, 15i64..3_000);
    (
        (0..ZONES.len(), 0..BEGINNINGS.len()),
        proptest::collection::vec(weekly(), 0..4),
        proptest::collection::vec(once(), 0..3),
        proptest::collection::vec(weekly(), 0..3),
        proptest::collection::vec(once(), 0..3),
        proptest::collection::vec(0u64..11, 0..3),
    )
        .prop_map(
            |((zone, begins), allowed, allowed_once, denied, denied_once, holidays)| {
                let (year, month, day) = BEGINNINGS[begins];
                Calendar {
                    zone: ZONES[zone],
                    begins: NaiveDate::from_ymd_opt(year, month, day).unwrap(),
                    allowed,
                    allowed_once,
                    denied,
                    denied_once,
                    holidays,
                }
            },
        )
}

fn time(minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap()
}

impl Calendar {
    fn once<'a>(&self, once: &'a [Once]) -> impl Iterator<Item = (NaiveDateTime, NaiveDateTime)> + use<'a> {
        let begins = self.begins.and_time(NaiveTime::MIN);
        let minutes = move |minutes: i64| begins + Duration::minutes(minutes);
        once.iter()
            .map(move |(from, length)| (minutes(*from), minutes(from + length)))
    }

    /// Whether it is open whenever nothing closes it.
    fn is_always(&self) -> bool {
        self.allowed.is_empty() && self.allowed_once.is_empty()
    }

    fn is_holiday(&self, day: NaiveDate) -> bool {
        let mut holidays = self.holidays.iter();
        holidays.any(|after| self.begins + chrono::Days::new(*after) == day)
    }

    fn windows(&self) -> Windows {
        let text = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        let civil = |at: NaiveDateTime| at.format("%Y-%m-%dT%H:%M").to_string();
        let written = |weekly: &[Weekly], once: &[Once]| {
            let weekly = weekly.iter().map(|(days, from, to)| Window {
                days: days.iter().map(|day| DAYS[*day]).collect(),
                from: text(*from),
                to: text(*to),
                reason: None,
            });
            let once = self.once(once).map(|(from, to)| Window {
                days: Vec::new(),
                from: civil(from),
                to: civil(to),
                reason: None,
            });
            weekly.chain(once).collect()
        };
        Windows {
            zone: self.zone.to_owned(),
            allow: written(&self.allowed, &self.allowed_once),
            deny: written(&self.denied, &self.denied_once),
            holidays_file: None,
            holidays: (self.holidays.iter())
                .map(|after| (self.begins + chrono::Days::new(*after)).to_string().parse().unwrap())
                .collect(),
        }
    }
}

/// From an instant to before another.
type Instants = (DateTime<Utc>, DateTime<Utc>);

/// The other implementation.
struct Judge {
    zone: Tz,
    calendar: Calendar,
    /// What is allowed and denied, every week and once, as instants.
    allowed: Vec<Instants>,
    allowed_once: Vec<Instants>,
    denied: Vec<Instants>,
}

/// The instant of a local time: the first of two, and the change of clocks for one that it leaves out.
fn instant(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
        LocalResult::None => instant(zone, local + Duration::minutes(1)),
    }
}

impl Judge {
    fn new(calendar: &Calendar) -> Self {
        let zone: Tz = calendar.zone.parse().unwrap();
        let weekly = |windows: &[Weekly]| {
            let mut instants = Vec::new();
            for after in 0..14 {
                let day = calendar.begins - chrono::Days::new(1) + chrono::Days::new(after);
                let weekday = day.weekday().num_days_from_monday() as usize;
                for (_, from, to) in windows.iter().filter(|(days, _, _)| days.contains(&weekday)) {
                    let ends = if to > from { day } else { day + chrono::Days::new(1) };
                    instants.push((
                        instant(zone, day.and_time(time(*from))),
                        instant(zone, ends.and_time(time(*to))),
                    ));
                }
            }
            instants
        };
        let once = |windows: &[Once]| -> Vec<Instants> {
            let once = calendar.once(windows);
            once.map(|(from, to)| (instant(zone, from), instant(zone, to)))
                .collect()
        };
        let mut denied = weekly(&calendar.denied);
        denied.extend(once(&calendar.denied_once));
        Self {
            zone,
            allowed: weekly(&calendar.allowed),
            allowed_once: once(&calendar.allowed_once),
            denied,
            calendar: calendar.clone(),
        }
    }

    fn is_open(&self, at: DateTime<Utc>) -> bool {
        let within = |times: &[Instants]| times.iter().any(|(from, to)| *from <= at && at < *to);
        let is_holiday = self.calendar.is_holiday(at.with_timezone(&self.zone).date_naive());
        let is_regular = (self.calendar.is_always() || within(&self.allowed)) && !is_holiday;
        (is_regular || within(&self.allowed_once)) && !within(&self.denied)
    }

    /// By what the clock on the wall shows, which is the same as long as no clock changes.
    fn shows_open(&self, at: DateTime<Utc>) -> Option<bool> {
        let offset = |hours: i64| (at + Duration::hours(hours)).with_timezone(&self.zone).offset().fix();
        if [-50, 50].into_iter().any(|hours| offset(hours) != offset(0)) {
            return None;
        }
        let wall = at.with_timezone(&self.zone).naive_local();
        let minute = wall.hour() * 60 + wall.minute();
        let today = wall.weekday().num_days_from_monday() as usize;
        let yesterday = (today + 6) % 7;
        let weekly = |windows: &[Weekly]| {
            windows.iter().any(|(days, from, to)| {
                let begins_today = days.contains(&today) && minute >= *from && (to <= from || minute < *to);
                let began_yesterday = to <= from && days.contains(&yesterday) && minute < *to;
                begins_today || began_yesterday
            })
        };
        let calendar = &self.calendar;
        let once = |windows: &[Once]| calendar.once(windows).any(|(from, to)| from <= wall && wall < to);
        let is_regular = (calendar.is_always() || weekly(&calendar.allowed)) && !calendar.is_holiday(wall.date());
        let is_denied = weekly(&calendar.denied) || once(&calendar.denied_once);
        Some((is_regular || once(&calendar.allowed_once)) && !is_denied)
    }
}

fn other(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp(at.as_second(), 0).unwrap()
}

#[test]
fn every_change_of_clocks_is_in_one_of_the_calendars() {
    let new_year = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().and_time(NaiveTime::MIN);
    for name in ZONES {
        let zone: Tz = name.parse().unwrap();
        let offset = |hours: i64| {
            (new_year.and_utc() + Duration::hours(hours))
                .with_timezone(&zone)
                .offset()
                .fix()
        };
        let changes = (0..365 * 24).filter(|hour| offset(*hour) != offset(hour + 1));
        let days: Vec<NaiveDate> = changes.map(|hour| (new_year + Duration::hours(hour)).date()).collect();
        assert_eq!(days.len(), if name == "America/Lima" { 0 } else { 2 }, "{name}");
        for day in days {
            let is_judged = |(year, month, begins): (i32, u32, u32)| {
                let begins = NaiveDate::from_ymd_opt(year, month, begins).unwrap();
                (1..MINUTES / (24 * 60) - 1).contains(&(day - begins).num_days())
            };
            assert!(BEGINNINGS.into_iter().any(is_judged), "{name}: {day}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Never open outside, and open at the first minute that is allowed.
    #[test]
    fn a_calendar_is_what_another_implementation_says_in_every_minute(calendar in calendars()) {
        let judge = Judge::new(&calendar);
        let times = OpenTimes::new(&calendar.windows()).unwrap();
        let begins = instant(judge.zone, calendar.begins.and_time(NaiveTime::MIN));
        let begins = Timestamp::from_second(begins.timestamp()).unwrap();
        let (mut at, ends) = (begins, begins + SignedDuration::from_mins(MINUTES));
        let mut open = SignedDuration::ZERO;
        while at < ends {
            let (is_open, until) = match times.at(at) {
                Opening::Open { until, .. } => (true, until),
                Opening::Closed { until, .. } => (false, until),
            };
            let until = until.unwrap_or(ends).min(ends);
            prop_assert!(until > at);
            if is_open {
                open += until.duration_since(at);
            }
            let mut minute = at;
            while minute < until {
                prop_assert_eq!(judge.is_open(other(minute)), is_open, "{}", minute);
                if let Some(shown) = judge.shows_open(other(minute)) {
                    prop_assert_eq!(shown, is_open, "{} by the clock on the wall", minute);
                }
                minute += SignedDuration::from_mins(1);
            }
            // What is closed opens in the very minute in which it may, and what is open closes in the very minute in which it must.
            prop_assert!(until == ends || judge.is_open(other(until)) != is_open, "{} is too late or too early", until);
            at = until;
        }
        prop_assert_eq!(times.open_between(begins, ends), open);
    }
}
