//! When an environment is open. Everything is computed in the zone of the file, so that a window keeps its hours when the clocks change.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};

use crate::pipeline::{ClosedTime, Day, WeeklyWindow, Windows};

/// How many days ahead an opening is looked for, first and then further.
const DAYS_AHEAD: [i32; 3] = [9, 40, 400];

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
    #[error("`{text}` is not a time of day, such as `10:00` or `24:00`")]
    TimeOfDay {
        /// The text.
        text: String,
    },
    /// A closed time ends before it begins.
    #[error("it ends at `{to}`, which is not after `{from}`")]
    Backwards {
        /// Its begin.
        from: DateTime,
        /// Its end.
        to: DateTime,
    },
}

/// Windows that can be asked.
#[derive(Debug, Clone)]
pub struct OpenTimes {
    zone: TimeZone,
    allow: Vec<Weekly>,
    deny: Vec<Closed>,
    holidays: Vec<Date>,
}

#[derive(Debug, Clone)]
struct Weekly {
    days: Vec<Weekday>,
    from: Time,
    /// From the beginning of the first day on; more than a day for one that goes over midnight.
    length: Span,
}

#[derive(Debug, Clone)]
struct Closed {
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
    /// [`WindowError`] for a zone, a time of day or a closed time that is none.
    pub fn new(windows: &Windows) -> Result<Self, WindowError> {
        let unknown = || WindowError::Zone {
            zone: windows.zone.clone(),
        };
        let zone = TimeZone::get(&windows.zone).map_err(|_| unknown())?;
        let allow = windows.allow.iter().map(Weekly::new).collect::<Result<_, _>>()?;
        let closed = |closed: &ClosedTime| Closed::new(closed, &zone);
        let deny = windows.deny.iter().map(closed).collect::<Result<_, _>>()?;
        Ok(Self {
            allow,
            deny,
            holidays: windows.holidays.clone(),
            zone,
        })
    }

    /// Whether it is open at a moment, and until when.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Opening {
        let today = self.zone.to_datetime(now).date();
        if let Some(closed) = self.closed_at(now) {
            return Opening::Closed {
                until: self.next_opening(now),
                why: closed,
            };
        }
        let windows = self.windows(today.yesterday().unwrap_or(today), 2);
        let within = windows.iter().filter(|(from, to)| *from <= now && now < *to);
        let ends = within.map(|(_, to)| *to).max();
        if !self.allow.is_empty() && ends.is_none() {
            return Opening::Closed {
                until: self.next_opening(now),
                why: "outside of the windows of the environment".to_owned(),
            };
        }
        let denied = self
            .deny
            .iter()
            .filter(|closed| closed.from > now)
            .map(|closed| closed.from);
        let holidays = self
            .holidays
            .iter()
            .filter_map(|day| self.midnight(*day))
            .filter(|start| *start > now);
        let until = denied.chain(holidays).chain(ends).min();
        Opening::Open { until }
    }

    /// How much of the time between two moments it was open. Looked at in steps of its openings and closings.
    #[must_use]
    pub fn open_between(&self, from: Timestamp, to: Timestamp) -> SignedDuration {
        let (mut at, mut open) = (from, SignedDuration::ZERO);
        while at < to {
            let (is_open, until) = match self.at(at) {
                Opening::Open { until } => (true, until),
                Opening::Closed { until, .. } => (false, until),
            };
            let until = until.unwrap_or(to).min(to);
            if is_open {
                open = open.saturating_add(until.duration_since(at));
            }
            // It always moves on: an opening or closing is after the moment it is asked for.
            if until <= at {
                break;
            }
            at = until;
        }
        open
    }

    /// Why it is closed whatever is allowed.
    fn closed_at(&self, now: Timestamp) -> Option<String> {
        let denied = self.deny.iter().find(|closed| closed.from <= now && now < closed.to);
        if let Some(denied) = denied {
            return Some(
                denied
                    .reason
                    .clone()
                    .unwrap_or_else(|| "a closed time of the environment".to_owned()),
            );
        }
        let today = self.zone.to_datetime(now).date();
        let is_holiday = self.holidays.contains(&today);
        is_holiday.then(|| format!("{today} is a holiday"))
    }

    /// The first moment after `now` at which it is open.
    fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        let is_opening = |at: &Timestamp| *at > now && self.closed_at(*at).is_none();
        if self.allow.is_empty() {
            return self.endings().into_iter().filter(is_opening).min();
        }
        let today = self.zone.to_datetime(now).date();
        let first = today.yesterday().unwrap_or(today);
        // Most openings are within days: a year is looked through only when there is none.
        DAYS_AHEAD.into_iter().find_map(|days| {
            let windows = self.windows(first, days).into_iter();
            let openings = windows.flat_map(|(from, to)| self.openings_within(from, to));
            let opening = openings.filter(is_opening).min()?;
            let seen = first.checked_add(Span::new().try_days(days).ok()?).ok()?;
            // Behind the last day that was looked at there may be an earlier one.
            (opening < self.midnight(seen)?).then_some(opening)
        })
    }

    /// The moments at which a window may open: where it begins, and where something that closed it ends.
    fn openings_within(&self, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let ends = self.endings().into_iter().filter(|end| from < *end && *end < to);
        std::iter::once(from).chain(ends).collect()
    }

    /// The ends of closed times and holidays.
    fn endings(&self) -> Vec<Timestamp> {
        let denied = self.deny.iter().map(|closed| closed.to);
        let holidays = self
            .holidays
            .iter()
            .filter_map(|day| self.midnight(day.tomorrow().ok()?));
        denied.chain(holidays).collect()
    }

    /// The windows that begin on so many days from `first` on.
    fn windows(&self, first: Date, days: i32) -> Vec<(Timestamp, Timestamp)> {
        let days = (0..=days).filter_map(|day| first.checked_add(Span::new().try_days(day).ok()?).ok());
        let windows = days.flat_map(|day| {
            let of_day = self
                .allow
                .iter()
                .filter(move |weekly| weekly.days.contains(&day.weekday()));
            of_day.filter_map(move |weekly| {
                let from = self.instant(day.to_datetime(weekly.from))?;
                let ends = day.to_datetime(Time::midnight()).checked_add(weekly.length).ok()?;
                // One whose hours the change of clocks leaves out does not open.
                Some((from, self.instant(ends)?)).filter(|(from, to)| from < to)
            })
        });
        windows.collect()
    }

    fn midnight(&self, day: Date) -> Option<Timestamp> {
        self.instant(day.to_datetime(Time::midnight()))
    }

    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        instant(&self.zone, local)
    }
}

/// The instant of a local time: the change of clocks for one that it leaves out, and the first of two where it comes twice.
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

impl Weekly {
    fn new(window: &WeeklyWindow) -> Result<Self, WindowError> {
        let from = time_of_day(&window.from)?;
        let ends = match window.to.as_str() {
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
            length: ends,
        })
    }
}

impl Closed {
    fn new(closed: &ClosedTime, zone: &TimeZone) -> Result<Self, WindowError> {
        let backwards = || WindowError::Backwards {
            from: closed.from,
            to: closed.to,
        };
        if closed.to <= closed.from {
            return Err(backwards());
        }
        let instant = |local: DateTime| instant(zone, local).ok_or_else(backwards);
        let (from, to) = (instant(closed.from)?, instant(closed.to)?);
        Ok(Self {
            from,
            to,
            reason: closed.reason.clone(),
        })
    }
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
