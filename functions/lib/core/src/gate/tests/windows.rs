//! When windows are open, by hand and at random.

use jiff::civil::Date;
use proptest::prelude::*;

use super::*;

fn once(from: &str, to: &str, reason: &str) -> Window {
    Window {
        days: Vec::new(),
        from: from.to_owned(),
        to: to.to_owned(),
        reason: Some(reason.to_owned()),
    }
}

fn opens(windows: &Windows, now: &str) -> Option<String> {
    match OpenTimes::new(windows).unwrap().at(at(now)) {
        Opening::Open { .. } => None,
        Opening::Closed { until, .. } => Some(until.map_or_else(|| "never".to_owned(), |until| until.to_string())),
    }
}

#[test]
fn a_window_is_open_within_its_hours_and_says_when_it_opens() {
    let lima = lima();
    // Thursday 2026-11-26.
    assert_eq!(opens(&lima, "2026-11-26T15:00:00Z"), None);
    assert_eq!(opens(&lima, "2026-11-26T14:59:59Z").unwrap(), "2026-11-26T15:00:00Z");
    assert_eq!(opens(&lima, "2026-11-26T20:59:59Z"), None);
    // Over the weekend, to Monday.
    assert_eq!(opens(&lima, "2026-11-26T21:00:00Z").unwrap(), "2026-11-30T15:00:00Z");
    let until = OpenTimes::new(&lima).unwrap().at(at("2026-11-26T16:00:00Z"));
    assert_eq!(
        until,
        Opening::Open {
            until: Some(at("2026-11-26T21:00:00Z")),
            once: None,
        }
    );
}

#[test]
fn a_window_keeps_its_hours_when_the_clocks_change_and_one_may_go_over_midnight() {
    let mut windows = lima();
    windows.zone = "America/New_York".to_owned();
    windows.allow[0].days = vec![Day::Sun];
    // 2026-11-01 is the Sunday on which the clocks go back.
    assert_eq!(opens(&windows, "2026-10-25T00:00:00Z").unwrap(), "2026-10-25T14:00:00Z");
    assert_eq!(opens(&windows, "2026-10-26T00:00:00Z").unwrap(), "2026-11-01T15:00:00Z");
    windows.allow[0].from = "22:00".to_owned();
    windows.allow[0].to = "02:00".to_owned();
    assert_eq!(opens(&windows, "2026-11-09T05:00:00Z"), None, "it is Monday, midnight");
    assert_eq!(opens(&windows, "2026-11-09T07:00:00Z").unwrap(), "2026-11-16T03:00:00Z");
}

#[test]
fn a_window_that_the_change_of_clocks_leaves_out_does_not_open() {
    let mut windows = lima();
    windows.zone = "Australia/Lord_Howe".to_owned();
    windows.allow[0].days = vec![Day::Sun];
    windows.allow[0].from = "02:00".to_owned();
    windows.allow[0].to = "02:30".to_owned();
    // On Sunday 2026-10-04 the clocks go from two to half past two.
    assert_eq!(opens(&windows, "2026-10-01T00:00:00Z").unwrap(), "2026-10-10T15:00:00Z");
    // Of one of which they leave out the beginning the rest is left.
    windows.allow[0].from = "02:15".to_owned();
    windows.allow[0].to = "02:45".to_owned();
    assert_eq!(opens(&windows, "2026-10-01T00:00:00Z").unwrap(), "2026-10-03T15:30:00Z");
    assert_eq!(opens(&windows, "2026-10-03T15:45:00Z").unwrap(), "2026-10-10T15:15:00Z");
}

#[test]
fn a_holiday_and_a_closed_time_keep_everything_out_and_what_ends_in_a_window_opens_there() {
    let mut windows = lima();
    windows.holidays = vec!["2026-11-30".parse::<Date>().unwrap()];
    windows.deny = vec![once("2026-12-01T00:00", "2026-12-01T12:00", "the audit")];
    assert_eq!(opens(&windows, "2026-11-26T21:00:00Z").unwrap(), "2026-12-01T17:00:00Z");
    let times = OpenTimes::new(&windows).unwrap();
    let Opening::Closed { why, .. } = times.at(at("2026-12-01T16:00:00Z")) else {
        panic!("it is closed")
    };
    assert_eq!(why, "the audit");
    // Without weekly windows it is open but for those.
    windows.allow.clear();
    assert_eq!(opens(&windows, "2026-11-29T12:00:00Z"), None);
    assert_eq!(opens(&windows, "2026-11-30T12:00:00Z").unwrap(), "2026-12-01T17:00:00Z");
}

/// Why it is open or closed, in the words of the gate.
fn said(windows: &Windows, now: &str) -> (bool, String) {
    let report = windowed(&OpenTimes::new(windows).unwrap(), at(now));
    (report.is_open, report.sentence)
}

#[test]
fn what_is_allowed_once_opens_a_weekend_and_a_holiday_and_what_is_denied_closes_it_all_the_same() {
    let mut windows = lima();
    // Saturday 2026-12-05 at ten in the evening in Lima, to Sunday at four; and six hours of a holiday.
    windows
        .allow
        .push(once("2026-12-05T22:00", "2026-12-06T04:00", "the migration night"));
    windows
        .allow
        .push(once("2026-12-08T08:00", "2026-12-08T14:00", "the sale"));
    windows.holidays = vec!["2026-12-08".parse::<Date>().unwrap()];
    assert_eq!(opens(&windows, "2026-12-03T21:00:00Z").unwrap(), "2026-12-06T03:00:00Z");
    let open = |why: &str| (true, format!("the window is open: {why}"));
    assert_eq!(said(&windows, "2026-12-06T03:00:00Z"), open("the migration night"));
    assert_eq!(opens(&windows, "2026-12-06T09:00:00Z").unwrap(), "2026-12-07T15:00:00Z");
    let within = (true, "the window is open".to_owned());
    assert_eq!(said(&windows, "2026-12-07T15:00:00Z"), within, "as on every Monday");
    // Of the holiday it is open only for what was written for it, within the hours of every week and outside of them.
    assert_eq!(opens(&windows, "2026-12-07T21:00:00Z").unwrap(), "2026-12-08T13:00:00Z");
    for now in ["2026-12-08T13:00:00Z", "2026-12-08T15:00:00Z"] {
        assert_eq!(said(&windows, now), open("the sale"), "{now}");
    }
    assert_eq!(
        said(&windows, "2026-12-08T20:00:00Z"),
        (false, "2026-12-08 is a holiday".to_owned())
    );
    windows
        .deny
        .push(once("2026-12-05T23:00", "2026-12-06T01:00", "the backup"));
    assert_eq!(said(&windows, "2026-12-06T05:00:00Z"), (false, "the backup".to_owned()));
    assert_eq!(opens(&windows, "2026-12-06T05:00:00Z").unwrap(), "2026-12-06T06:00:00Z");
    // Where only that is allowed, nothing else is.
    windows.allow.remove(0);
    assert_eq!(opens(&windows, "2026-12-08T20:00:00Z").unwrap(), "never");
}

#[test]
fn what_is_denied_every_week_is_denied_whatever_is_allowed() {
    let mut windows = lima();
    windows.allow.clear();
    windows.deny.push(Window {
        reason: Some("nobody is there to look".to_owned()),
        ..weekly(&[Day::Fri], "15:00", "08:00")
    });
    // Friday 2026-11-27, to Saturday.
    assert_eq!(
        said(&windows, "2026-11-27T19:59:00Z"),
        (true, "the window is open".to_owned())
    );
    let closed = (false, "nobody is there to look".to_owned());
    for now in ["2026-11-27T20:00:00Z", "2026-11-28T12:59:00Z"] {
        assert_eq!(said(&windows, now), closed, "{now}");
        assert_eq!(opens(&windows, now).unwrap(), "2026-11-28T13:00:00Z");
    }
    windows.allow = vec![
        weekly(&[Day::Fri, Day::Sat], "07:00", "10:00"),
        once("2026-11-27T16:00", "2026-11-27T20:00", "the migration night"),
    ];
    assert_eq!(opens(&windows, "2026-11-27T22:00:00Z").unwrap(), "2026-11-28T13:00:00Z");
    assert_eq!(opens(&windows, "2026-11-28T15:00:00Z").unwrap(), "2026-12-04T12:00:00Z");
}

#[test]
fn windows_that_can_never_open_are_found_where_they_stand() {
    let wrong = |allow: Vec<Window>, deny: Vec<Window>| {
        let windows = Windows { allow, deny, ..lima() };
        check_windows(&windows)
    };
    let friday = || weekly(&[Day::Fri], "16:00", "18:00");
    let evening = || weekly(&[Day::Fri], "15:00", "24:00");
    let never = |index: usize| vec![(WindowPlace::Allow(index), WindowError::NeverOpens)];
    assert_eq!(wrong(vec![friday()], vec![evening()]), never(0));
    // A minute of it is left, or a day, or what denies it is over one day.
    assert_eq!(wrong(vec![friday()], vec![weekly(&[Day::Fri], "16:01", "24:00")]), []);
    assert_eq!(
        wrong(vec![weekly(&[Day::Fri, Day::Mon], "16:00", "18:00")], vec![evening()]),
        []
    );
    assert_eq!(
        wrong(
            vec![friday()],
            vec![once("2026-01-01T00:00", "2027-01-01T00:00", "a year off")]
        ),
        []
    );
    // Over midnight, by one that began the evening before, and over the end of a week.
    let sunday = weekly(&[Day::Sun], "23:00", "02:00");
    assert_eq!(
        wrong(vec![sunday.clone()], vec![weekly(&[Day::Sun], "22:00", "03:00")]),
        never(0)
    );
    assert_eq!(wrong(vec![sunday], vec![weekly(&[Day::Sun], "22:00", "24:00")]), []);
    let night = || once("2026-12-05T22:00", "2026-12-06T04:00", "the migration night");
    let closed = once("2026-12-01T00:00", "2027-01-04T00:00", "the end of the year");
    assert_eq!(wrong(vec![friday(), night()], vec![closed]), never(1));
    assert_eq!(
        wrong(vec![night()], vec![weekly(&[Day::Sat], "20:00", "06:00")]),
        never(0)
    );
    assert_eq!(wrong(vec![night()], vec![weekly(&[Day::Sat], "20:00", "24:00")]), []);
    let told = |allow: Window| {
        let wrong = wrong(vec![allow], Vec::new());
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        wrong[0].1.to_string()
    };
    for (from, to, expected) in [
        (
            "2026-12-06T04:00",
            "2026-12-05T22:00",
            "which is not after `2026-12-06T04:00:00`",
        ),
        ("22:00", "2026-12-06T04:00", "`22:00` is not a date and a time"),
    ] {
        let told = told(once(from, to, "the migration night"));
        assert!(told.contains(expected), "{told}");
    }
    let told = told(weekly(&[Day::Sat], "2026-12-05T22:00", "04:00"));
    assert!(
        told.contains("`2026-12-05T22:00` is not a time of day") && told.contains("no `days`"),
        "{told}"
    );
}

#[test]
fn open_hours_are_those_in_which_somebody_could_have_come() {
    let times = OpenTimes::new(&lima()).unwrap();
    let hours = |from: &str, to: &str| times.open_between(at(from), at(to)).as_hours();
    assert_eq!(hours("2026-11-26T16:00:00Z", "2026-11-26T19:00:00Z"), 3);
    assert_eq!(
        hours("2026-11-26T20:00:00Z", "2026-11-30T16:00:00Z"),
        2,
        "a weekend is between"
    );
    assert_eq!(hours("2026-11-27T00:00:00Z", "2026-11-29T00:00:00Z"), 0);
}

#[test]
fn windows_that_are_none_are_named() {
    let wrong = |change: &dyn Fn(&mut Windows)| {
        let mut windows = lima();
        change(&mut windows);
        OpenTimes::new(&windows).unwrap_err().to_string()
    };
    assert!(wrong(&|windows| windows.zone = "Lima".to_owned()).contains("`Lima` is not an IANA time zone"));
    for text in ["25:00", "10", "9:00", "10:60"] {
        assert!(
            wrong(&|windows| windows.allow[0].from = text.to_owned()).contains("is not a time of day"),
            "{text}"
        );
    }
}

proptest! {
    /// Whatever the windows are: what is said to open is open then, and not before; what is said to close is closed then.
    #[test]
    fn an_opening_is_the_first_and_a_closing_the_end(
        minute in 0i64..600_000,
        days in proptest::collection::vec(0usize..7, 1..4),
        from in 0i8..24, to in 0i8..24,
        zone in prop_oneof![Just("UTC"), Just("America/New_York"), Just("Asia/Kathmandu"), Just("Australia/Lord_Howe")],
        holiday in 1i8..28,
    ) {
        const DAYS: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
        let windows = Windows {
            zone: zone.to_owned(),
            allow: vec![weekly(
                &days.into_iter().map(|day| DAYS[day]).collect::<Vec<_>>(),
                &format!("{from:02}:00"),
                &format!("{to:02}:30"),
            )],
            deny: Vec::new(),
            holidays: vec![Date::new(2026, 10, holiday).unwrap()],
            holidays_file: None,
        };
        let times = OpenTimes::new(&windows).unwrap();
        let now = at("2026-01-01T00:00:00Z") + SignedDuration::from_mins(minute);
        let is_open = |moment: Timestamp| matches!(times.at(moment), Opening::Open { .. });
        let step = SignedDuration::from_mins(97);
        match times.at(now) {
            Opening::Closed { until, .. } => {
                let until = until.unwrap();
                prop_assert!(until > now && is_open(until));
                let mut between = now;
                while between < until {
                    prop_assert!(!is_open(between), "{between} is before {until}");
                    between += step;
                }
            }
            Opening::Open { until, .. } => {
                let until = until.unwrap();
                prop_assert!(until > now && is_open(until - SignedDuration::from_secs(1)));
                let mut between = now;
                while between < until {
                    prop_assert!(is_open(between));
                    between += step;
                }
            }
        }
    }
}
