//! When an environment is open. Everything is computed in the zone of the file, so that a window keeps its hours when
//! the clocks change.
//!
//! What is denied wins over everything. A holiday closes what is allowed every week, and not what is allowed once: that
//! was written for its day.

mod check;
mod stretches;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};

pub use self::check::{WindowPlace, check_windows};
use self::stretches::{Stretch, joined, without};
use crate::pipeline::{Day, Window, Windows};

/// How many days ahead an opening or a closing is looked for, first and then further.
const DAYS_AHEAD: [i32; 3] = [9, 40, 400];

/// The days of a week.
const DAYS_PER_WEEK: i32 = 7;

/// What is wrong with windows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The time zone does not exist.
    #[error("`{zone}` is not an IANA time zone, such as `America/Lima` or `UTC`")]
    Zone {
        /// Its name.
        zone: String,
    },
    /// A time of day is none.
    #[error(
        "`{text}` is not a time of day, such as `10:00` or `24:00`; what comes once, from one date to another, has no `days`"
    )]
    TimeOfDay {
        /// The text.
        text: String,
    },
    /// A date with its time is none.
    #[error("`{text}` is not a date and a time, such as `2026-12-20T00:00`; what comes every week names its `days`")]
    Moment {
        /// The text.
        text: String,
    },
    /// What comes once ends before it begins.
    #[error("it ends at `{to}`, which is not after `{from}`")]
    Backwards {
        /// Its begin.
        from: DateTime,
        /// Its end.
        to: DateTime,
    },
    /// What is allowed is denied as well, or left out by the clocks.
    #[error("it never opens: `deny` and changes of the clock leave nothing of it")]
    NeverOpens,
}

/// Windows that can be asked.
#[derive(Debug, Clone)]
pub struct OpenTimes {
    zone: TimeZone,
    /// Whether it is open whenever nothing closes it.
    is_always: bool,
    allow: Times,
    deny: Times,
    holidays: Vec<Date>,
    /// The holidays, joined.
    holiday_stretches: Vec<Stretch>,
}

/// What comes every week, and what comes once.
#[derive(Debug, Clone, Default)]
struct Times {
    weekly: Vec<Weekly>,
    once: Vec<Once>,
}

#[derive(Debug, Clone)]
struct Weekly {
    days: Vec<Weekday>,
    from: Time,
    /// From the beginning of the first day on; more than a day for one that goes over midnight.
    length: Span,
    reason: Option<String>,
}

#[derive(Debug, Clone)]
struct Once {
    from: Timestamp,
    to: Timestamp,
    reason: Option<String>,
}

/// Whether it is open at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It is, until then if it ever closes within a year.
    Open {
        /// When it closes.
        until: Option<Timestamp>,
        /// Why, for people, where it is only because it is allowed once.
        once: Option<String>,
    },
    /// It is not.
    Closed {
        /// When it opens, if it does within a year.
        until: Option<Timestamp>,
        /// Why, for people.
        why: String,
    },
}

impl OpenTimes {
    /// The windows of a file.
    ///
    /// # Errors
    /// [`WindowError`] for a zone or a time that is none.
    pub fn new(windows: &Windows) -> Result<Self, WindowError> {
        let zone = zone_of(windows)?;
        let times = |windows: &[Window]| {
            let mut times = Times::default();
            for window in windows {
                times.add(window, &zone)?;
            }
            Ok(times)
        };
        let (allow, deny) = (times(&windows.allow)?, times(&windows.deny)?);
        let midnight = |day: Date| instant(&zone, day.to_datetime(Time::midnight()));
        let day = |day: &Date| Some((midnight(*day)?, midnight(day.tomorrow().ok()?)?));
        Ok(Self {
            is_always: windows.allow.is_empty(),
            allow,
            deny,
            holiday_stretches: joined(windows.holidays.iter().filter_map(day).collect()),
            holidays: windows.holidays.clone(),
            zone,
        })
    }

    /// Whether it is open at a moment, and until when.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Opening {
        let (is_open, until) = self.next_change(now);
        if is_open {
            let once = self.opened_once(now);
            return Opening::Open { until, once };
        }
        let why = self.closed_at(now);
        Opening::Closed { until, why }
    }

    /// How much of the time between two moments it was open.
    #[must_use]
    pub fn open_between(&self, from: Timestamp, to: Timestamp) -> SignedDuration {
        let open = self.open(self.day_before(from), days_between(from, to));
        let within = open.into_iter().map(|(begins, ends)| (begins.max(from), ends.min(to)));
        within
            .filter(|(begins, ends)| begins < ends)
            .map(|(begins, ends)| ends.duration_since(begins))
            .fold(SignedDuration::ZERO, SignedDuration::saturating_add)
    }

    /// Whether it is open at a moment, and when that changes, if it does within a year.
    fn next_change(&self, now: Timestamp) -> (bool, Option<Timestamp>) {
        let first = self.day_before(now);
        let mut is_open = false;
        // Most changes are within days: a year is looked through only when there is none.
        for days in DAYS_AHEAD {
            let open = self.open(first, days);
            let next = open.get(open.partition_point(|(_, ends)| *ends <= now));
            is_open = next.is_some_and(|(begins, _)| *begins <= now);
            let change = next.map(|(begins, ends)| if is_open { *ends } else { *begins });
            // Behind the last day that was looked at there may be more.
            let seen = day_after(first, days).and_then(|seen| self.midnight(seen));
            if let (Some(change), Some(seen)) = (change, seen)
                && change < seen
            {
                return (is_open, Some(change));
            }
        }
        (is_open, None)
    }

    /// When it is open, as far as that follows from what begins on so many days from `first` on.
    fn open(&self, first: Date, days: i32) -> Vec<Stretch> {
        let regular = if self.is_always {
            let end = day_after(first, days.saturating_add(1)).and_then(|end| self.midnight(end));
            self.midnight(first).zip(end).into_iter().collect()
        } else {
            self.begin_within(&self.allow.weekly, first, days)
        };
        let regular = without(&joined(regular), &self.holiday_stretches);
        let once = self.allow.once.iter().map(Once::stretch);
        let allowed = joined(regular.into_iter().chain(once).collect());
        without(&allowed, &self.denied(first, days))
    }

    /// What is denied, as far as that follows from what begins on so many days from `first` on.
    fn denied(&self, first: Date, days: i32) -> Vec<Stretch> {
        let weekly = self.begin_within(&self.deny.weekly, first, days);
        let once = self.deny.once.iter().map(Once::stretch);
        joined(weekly.into_iter().chain(once).collect())
    }

    /// What comes every week, and begins on so many days from `first` on.
    fn begin_within(&self, weekly: &[Weekly], first: Date, days: i32) -> Vec<Stretch> {
        let days = (0..=days).filter_map(|days| day_after(first, days));
        days.flat_map(|day| weekly.iter().filter_map(move |weekly| self.stretch(weekly, day)))
            .collect()
    }

    /// What comes every week, on one day; none where it does not come on it.
    fn stretch(&self, weekly: &Weekly, day: Date) -> Option<Stretch> {
        if !weekly.days.contains(&day.weekday()) {
            return None;
        }
        let ends = day.to_datetime(Time::midnight()).checked_add(weekly.length).ok()?;
        Some((self.instant(day.to_datetime(weekly.from))?, self.instant(ends)?))
    }

    /// What holds at a moment of what comes every week.
    fn weekly_at<'a>(&self, weekly: &'a [Weekly], now: Timestamp) -> Option<&'a Weekly> {
        let today = self.zone.to_datetime(now).date();
        let days = [Some(today), today.yesterday().ok()];
        let holds = |weekly: &&Weekly| {
            let mut stretches = days.iter().flatten().filter_map(|day| self.stretch(weekly, *day));
            stretches.any(|stretch| is_within(now, stretch))
        };
        weekly.iter().find(holds)
    }

    /// Why it is open, where only what is allowed once opens it.
    fn opened_once(&self, now: Timestamp) -> Option<String> {
        let is_holiday = self.holidays.contains(&self.zone.to_datetime(now).date());
        let is_regular = self.is_always || self.weekly_at(&self.allow.weekly, now).is_some();
        if is_regular && !is_holiday {
            return None;
        }
        let once = self.allow.once.iter().find(|once| is_within(now, once.stretch()))?;
        let why = once.reason.clone();
        Some(why.unwrap_or_else(|| "an extra opening of the environment".to_owned()))
    }

    /// Why it is closed.
    fn closed_at(&self, now: Timestamp) -> String {
        let once = self.deny.once.iter().find(|once| is_within(now, once.stretch()));
        let weekly = || self.weekly_at(&self.deny.weekly, now).map(|weekly| &weekly.reason);
        if let Some(reason) = once.map(|once| &once.reason).or_else(weekly) {
            let reason = reason.clone();
            return reason.unwrap_or_else(|| "a closed time of the environment".to_owned());
        }
        let today = self.zone.to_datetime(now).date();
        if self.holidays.contains(&today) {
            return format!("{today} is a holiday");
        }
        "outside the windows of the environment".to_owned()
    }

    /// The day before a moment: what begins before that day is over at that moment.
    fn day_before(&self, now: Timestamp) -> Date {
        let today = self.zone.to_datetime(now).date();
        today.yesterday().unwrap_or(today)
    }

    fn midnight(&self, day: Date) -> Option<Timestamp> {
        self.instant(day.to_datetime(Time::midnight()))
    }

    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        instant(&self.zone, local)
    }
}

fn is_within(now: Timestamp, (from, to): Stretch) -> bool {
    from <= now && now < to
}

fn day_after(first: Date, days: i32) -> Option<Date> {
    first.checked_add(Span::new().try_days(days).ok()?).ok()
}

/// More days than there are from the day before a moment to the day of another.
fn days_between(from: Timestamp, to: Timestamp) -> i32 {
    let days = to.duration_since(from).as_hours() / 24;
    i32::try_from(days.saturating_add(4)).unwrap_or(i32::MAX)
}

fn zone_of(windows: &Windows) -> Result<TimeZone, WindowError> {
    TimeZone::get(&windows.zone).map_err(|_| WindowError::Zone {
        zone: windows.zone.clone(),
    })
}

/// The instant of a local time: the change of clocks for one that it leaves out, and the first of two where it comes
/// twice.
fn instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let at = zone.to_ambiguous_timestamp(local);
    match at.offset() {
        AmbiguousOffset::Gap { .. } => {
            let before = at.earlier().ok()?;
            zone.following(before).next().map(|change| change.timestamp())
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => at.compatible().ok(),
    }
}

impl Times {
    /// Adds a window of a file.
    fn add(&mut self, window: &Window, zone: &TimeZone) -> Result<(), WindowError> {
        if window.days.is_empty() {
            self.once.push(Once::new(window, zone)?);
        } else {
            self.weekly.push(Weekly::new(window)?);
        }
        Ok(())
    }
}

impl Weekly {
    fn new(window: &Window) -> Result<Self, WindowError> {
        let from = time_of_day(&window.from)?;
        let length = match window.to.as_str() {
            "24:00" => Span::new().days(1),
            text => {
                let to = time_of_day(text)?;
                let span = Span::new().hours(to.hour()).minutes(to.minute());
                if to > from { span } else { span.days(1) }
            }
        };
        Ok(Self {
            days: window.days.iter().map(|day| weekday(*day)).collect(),
            from,
            length,
            reason: window.reason.clone(),
        })
    }
}

impl Once {
    fn new(window: &Window, zone: &TimeZone) -> Result<Self, WindowError> {
        let (from, to) = (moment(&window.from)?, moment(&window.to)?);
        let backwards = || WindowError::Backwards { from, to };
        if to <= from {
            return Err(backwards());
        }
        let instant = |local: DateTime| instant(zone, local).ok_or_else(backwards);
        Ok(Self {
            from: instant(from)?,
            to: instant(to)?,
            reason: window.reason.clone(),
        })
    }

    fn stretch(&self) -> Stretch {
        (self.from, self.to)
    }
}

fn moment(text: &str) -> Result<DateTime, WindowError> {
    text.parse().map_err(|_| WindowError::Moment { text: text.to_owned() })
}

fn time_of_day(text: &str) -> Result<Time, WindowError> {
    let wrong = || WindowError::TimeOfDay { text: text.to_owned() };
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<i8>().ok().filter(|_| text.len() == 2);
    let (hour, minute) = number(hours).zip(number(minutes)).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

const fn weekday(day: Day) -> Weekday {
    match day {
        Day::Mon => Weekday::Monday,
        Day::Tue => Weekday::Tuesday,
        Day::Wed => Weekday::Wednesday,
        Day::Thu => Weekday::Thursday,
        Day::Fri => Weekday::Friday,
        Day::Sat => Weekday::Saturday,
        Day::Sun => Weekday::Sunday,
    }
}
