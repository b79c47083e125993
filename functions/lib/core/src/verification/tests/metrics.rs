//! Datapoints become measurements: each whole period once, however the looks fall.

use super::*;
use crate::pipeline::{Limit, MetricMeasure, NoData};
use crate::verification::metric::is_early;

fn measure(limit: Limit, no_data: NoData) -> MetricMeasure {
    let yaml = serde_json::json!({
        "metrics": {"letters": {"namespace": "AWS/SQS", "name": "Letters", "statistic": "Maximum"}}, "limit": {"at_most": 1},
    });
    let mut measure: MetricMeasure = serde_json::from_value(yaml).unwrap();
    (measure.limit, measure.no_data) = (limit, no_data);
    measure
}

/// A measure that asks for so many samples.
fn sampled(at_least: f64, no_data: NoData) -> MetricMeasure {
    let samples = serde_json::json!({"of": "requests", "at_least": at_least});
    MetricMeasure {
        samples: serde_json::from_value(samples).unwrap(),
        ..measure(Limit::AtMost(1.0), no_data)
    }
}

/// The second at which a look finds the period that begins at 60 as the newest one, of a verification that began at 10.
const LOOK: i64 = 130;

/// What one look shows that finds these periods, by the seconds at which they begin.
fn looked(
    measure: &MetricMeasure,
    periods: &[(i64, MetricPeriod)],
    samples: Option<f64>,
    now: i64,
) -> (Outcome, String) {
    let periods = periods
        .iter()
        .map(|(second, period)| (at(*second).as_second(), *period));
    let sight = MetricSight {
        periods: periods.collect(),
        samples,
        baseline: None,
    };
    let shown = metric(measure, at(10), None, &sight, at(now));
    (shown.outcome, shown.sentence)
}

fn one(value: f64, samples: Option<f64>) -> [(i64, MetricPeriod); 1] {
    [(60, MetricPeriod { value, samples })]
}

#[test]
fn a_number_is_held_against_its_limit_and_what_is_missing_is_judged_by_the_policy() {
    let shows = |limit, no_data, value: Option<f64>, baseline: Option<f64>| {
        let found = |value| (at(60).as_second(), MetricPeriod { value, samples: None });
        let sight = MetricSight {
            periods: value.map(found).into_iter().collect(),
            samples: None,
            baseline,
        };
        // When a value could be there, were there one.
        let now = if value.is_some() { LOOK } else { 3_600 };
        metric(&measure(limit, no_data), at(10), None, &sight, at(now)).outcome
    };
    for (limit, value, baseline, outcome) in [
        (Limit::AtMost(5.0), 5.0, None, Outcome::Pass),
        (Limit::AtMost(5.0), 5.1, None, Outcome::Fail),
        (Limit::AtLeast(1.0), 1.0, None, Outcome::Pass),
        (Limit::AtLeast(1.0), 0.0, None, Outcome::Fail),
        (Limit::AtMostTimesBaseline(3.0), 6.0, Some(2.0), Outcome::Pass),
        (Limit::AtMostTimesBaseline(3.0), 6.1, Some(2.0), Outcome::Fail),
        (Limit::AtMostAboveBaseline(1.0), 4.0, Some(3.0), Outcome::Pass),
        (Limit::AtMostAboveBaseline(1.0), 4.1, Some(3.0), Outcome::Fail),
    ] {
        let shown = shows(limit, NoData::Inconclusive, Some(value), baseline);
        assert_eq!(shown, outcome, "{limit:?} {value}");
    }
    for (no_data, outcome) in [
        (NoData::Inconclusive, Outcome::Inconclusive),
        (NoData::Pass, Outcome::Pass),
        (NoData::Fail, Outcome::Fail),
    ] {
        assert_eq!(shows(Limit::AtMost(1.0), no_data, None, None), outcome);
        assert_eq!(
            shows(Limit::AtMostTimesBaseline(3.0), no_data, Some(1.0), None),
            outcome
        );
        let early = looked(&measure(Limit::AtMost(1.0), no_data), &[], None, LOOK);
        assert_eq!(
            early,
            (
                Outcome::Inconclusive,
                "there is no datapoint of the release yet".to_owned()
            )
        );
    }
    // What is only written when something is wrong was nothing before.
    let letters = |no_data| shows(Limit::AtMostAboveBaseline(0.0), no_data, Some(1.0), None);
    assert_eq!(
        (letters(NoData::Pass), letters(NoData::Inconclusive)),
        (Outcome::Fail, Outcome::Inconclusive)
    );
}

/// That nobody counted is something else than that nothing was there to count.
#[test]
fn samples_that_are_not_counted_are_no_data_and_too_few_of_them_show_nothing() {
    const MISSING: &str = "there is no datapoint of `requests`, which counts the samples";
    for (no_data, without) in [
        (NoData::Inconclusive, Outcome::Inconclusive),
        (NoData::Pass, Outcome::Pass),
        (NoData::Fail, Outcome::Fail),
    ] {
        let shows = |periods: &[(i64, MetricPeriod)], samples, at_least, now| {
            looked(&sampled(at_least, no_data), periods, samples, now)
        };
        for (periods, samples, at_least, now, outcome, sentence) in [
            (&one(9.0, None)[..], None, 20.0, LOOK, without, MISSING),
            (&[], None, 20.0, 3_600, without, MISSING),
            (&[], Some(20.0), 20.0, 3_600, without, "there is no datapoint"),
            (
                &[],
                Some(0.0),
                20.0,
                3_600,
                Outcome::Inconclusive,
                "0 samples of `requests`, too few to tell: 20 are needed",
            ),
            (
                &one(9.0, Some(0.0)),
                None,
                1.0,
                LOOK,
                Outcome::Inconclusive,
                "0 samples of `requests`, too few to tell: 1 is needed",
            ),
            (
                &one(9.0, Some(1.0)),
                None,
                2.0,
                LOOK,
                Outcome::Inconclusive,
                "1 sample of `requests`, too few to tell: 2 are needed",
            ),
            (
                &one(9.0, Some(20.0)),
                None,
                20.0,
                LOOK,
                Outcome::Fail,
                "9, at most 1 is allowed",
            ),
            (
                &one(1.0, Some(20.0)),
                None,
                20.0,
                LOOK,
                Outcome::Pass,
                "1, at most 1 is allowed",
            ),
        ] {
            let shown = shows(periods, samples, at_least, now);
            assert_eq!(shown, (outcome, sentence.to_owned()), "{no_data:?}");
        }
    }
}

#[test]
fn a_number_is_read_from_whole_periods_since_the_verification_began() {
    let measure = measure(Limit::AtMostAboveBaseline(0.0), NoData::Inconclusive);
    let begin = at(0).as_second();
    let judged = |until: i64| JudgedPeriods {
        until: at(until),
        outcomes: BTreeMap::new(),
    };
    let value = |began: i64, before: Option<i64>, now: i64| {
        let before = before.map(judged);
        let window = MetricWindow::of_values(&measure, at(began), before.as_ref(), at(now));
        (window.from - begin, window.to - begin)
    };
    assert_eq!(value(10, None, 70), (60, 60), "no whole period of the release is over");
    assert_eq!(value(10, None, 130), (60, 120));
    assert_eq!(
        value(10, None, 3_601),
        (3_420, 3_600),
        "three periods back for a first look"
    );
    assert_eq!(
        value(10, Some(3_000), 3_601),
        (3_000, 3_600),
        "what is not judged for good"
    );
    assert_eq!(
        value(10, Some(3_540), 3_601),
        (3_420, 3_600),
        "and three periods at least"
    );
    assert_eq!(
        value(10, Some(60), 36_001),
        (32_400, 36_000),
        "an hour of minutes at most"
    );
    assert!(is_early(&measure, at(10), at(239)) && !is_early(&measure, at(10), at(240)));
    let before = MetricWindow::of_baseline(&measure, at(70)).unwrap();
    assert_eq!((before.from - begin, before.to - begin), (60 - 3_600, 60));
    assert_eq!(
        baseline(&measure, &[3.0, 1.0]),
        Some(3.0),
        "a level is what it was last"
    );
    let times = super::metrics::measure(Limit::AtMostTimesBaseline(3.0), NoData::Inconclusive);
    assert_eq!(
        (baseline(&times, &[3.0, 1.0]), baseline(&times, &[])),
        (Some(2.0), None)
    );
    let fixed = super::metrics::measure(Limit::AtMost(3.0), NoData::Inconclusive);
    assert_eq!(MetricWindow::of_baseline(&fixed, at(70)), None);
}

/// Looks at these seconds, of a verification that began at 10 with at most 1 allowed, of which each reads what it asks
/// for. A period shows what `shows` says of it, by the second of its begin and that of the look.
fn looks(measure: &MetricMeasure, seconds: &[i64], shows: impl Fn(i64, i64) -> Option<f64>) -> Vec<MetricShown> {
    let mut before: Option<JudgedPeriods> = None;
    let taken = seconds.iter().map(|second| {
        let window = MetricWindow::of_values(measure, at(10), before.as_ref(), at(*second));
        let asked = (window.from..window.to).step_by(60);
        let found = asked.filter_map(|began| {
            let value = shows(began - at(0).as_second(), *second)?;
            Some((began, MetricPeriod { value, samples: None }))
        });
        let sight = MetricSight {
            periods: found.collect(),
            ..MetricSight::default()
        };
        let shown = metric(measure, at(10), before.as_ref(), &sight, at(*second));
        // As it is stored.
        let stored = serde_json::to_string(&shown.judged).unwrap();
        before = Some(serde_json::from_str(&stored).unwrap());
        shown
    });
    taken.collect()
}

fn outcomes(shown: &[MetricShown]) -> String {
    let letter = |shown: &MetricShown| match shown.outcome {
        Outcome::Pass => 'p',
        Outcome::Fail => 'F',
        Outcome::Inconclusive => 'i',
        Outcome::Error => 'e',
    };
    shown.iter().map(letter).collect()
}

/// One bad period, wherever it falls between the looks, is seen by one of them, and by one only unless it is the newest
/// of several.
#[test]
fn no_period_falls_between_two_looks() {
    let letters = measure(Limit::AtMost(1.0), NoData::Inconclusive);
    for every in [60, 90, 300, 600, 1_800] {
        let seconds: Vec<i64> = (0..)
            .map(|look| look * every)
            .take_while(|second| *second <= 3_600)
            .collect();
        // The last period that is over at the last look.
        let last = seconds.last().unwrap() / 60 * 60 - 60;
        for bad in (60..=last).step_by(60) {
            let shown = looks(&letters, &seconds, |began, _| {
                Some(if began == bad { 4.0 } else { 1.0 })
            });
            let failed: Vec<&MetricShown> = shown.iter().filter(|shown| shown.outcome == Outcome::Fail).collect();
            assert_eq!(
                failed.len(),
                1,
                "every {every} seconds, the period at {bad}: {}",
                outcomes(&shown)
            );
            let is_newest = failed[0].moments.is_empty() || failed[0].moments.last().unwrap().outcome == Outcome::Fail;
            let said = format!("4, at most 1 is allowed, in the 60 seconds until {}", at(bad + 60));
            let expected = if is_newest { "4, at most 1 is allowed" } else { &said };
            assert_eq!(failed[0].sentence, expected);
        }
    }
}

#[test]
fn a_late_look_shows_what_every_period_since_the_look_before_showed() {
    let letters = measure(Limit::AtMost(1.0), NoData::Inconclusive);
    let shown = looks(&letters, &[120, 180, 480], |began, _| {
        Some(if [180, 240, 360].contains(&began) { 4.0 } else { 0.0 })
    });
    let last = shown.last().unwrap();
    let said: Vec<(Timestamp, Outcome)> = last.moments.iter().map(|moment| (moment.at, moment.outcome)).collect();
    let bad = |second: i64| (at(second), Outcome::Fail);
    let expected = [
        bad(240),
        bad(300),
        (at(360), Outcome::Pass),
        bad(420),
        (at(480), Outcome::Pass),
    ];
    assert_eq!(said, expected);
    assert_eq!(
        last.sentence,
        format!("4, at most 1 is allowed, in the 60 seconds until {}", at(420))
    );
    // Nothing of it counts again.
    let again = metric(&letters, at(10), Some(&last.judged), &MetricSight::default(), at(480));
    assert_eq!((again.outcome, again.moments), (Outcome::Inconclusive, Vec::new()));
}

/// What turns bad late began before a period that was seen to be well: it lasts no longer than until then.
#[test]
fn a_period_that_was_well_ends_what_turned_bad_before_it() {
    let letters = measure(Limit::AtMost(1.0), NoData::Inconclusive);
    let shown = looks(&letters, &[120, 180, 240], |began, now| {
        Some(if began == 180 || (began == 60 && now == 240) {
            4.0
        } else {
            0.0
        })
    });
    let last = shown.last().unwrap();
    let said: Vec<(Timestamp, Outcome)> = last.moments.iter().map(|moment| (moment.at, moment.outcome)).collect();
    let bad = |second: i64| (at(second), Outcome::Fail);
    assert_eq!(said, [bad(120), (at(180), Outcome::Pass), bad(240)]);
}

/// Nobody is to have looked earlier than at the first look, and what was before the newest period then is not to count.
#[test]
fn a_first_look_judges_the_newest_period_only() {
    let letters = measure(Limit::AtMost(1.0), NoData::Inconclusive);
    let bad_before = |bad: i64| move |began: i64, _: i64| Some(if began < bad { 4.0 } else { 0.0 });
    assert_eq!(outcomes(&looks(&letters, &[600, 660, 900], bad_before(540))), "ppp");
    assert_eq!(outcomes(&looks(&letters, &[600, 660, 900], bad_before(600))), "Fpp");
}

/// CloudWatch shows a datapoint minutes after its period, and may make another of it when more comes in.
#[test]
fn a_datapoint_that_comes_or_becomes_bad_late_is_judged_by_the_first_look_that_sees_it() {
    let letters = measure(Limit::AtMost(1.0), NoData::Inconclusive);
    for every in [30, 60, 300] {
        let seconds: Vec<i64> = (0..)
            .map(|look| look * every)
            .take_while(|second| *second <= 3_000)
            .collect();
        for late in (0..=300).step_by(60) {
            for before in [None, Some(1.0)] {
                let shown = looks(&letters, &seconds, |began, now| match began {
                    900 if now < 960 + late => before,
                    900 => Some(4.0),
                    _ => Some(1.0),
                });
                let failed = shown
                    .iter()
                    .zip(&seconds)
                    .filter(|(shown, _)| shown.outcome == Outcome::Fail);
                let first = failed.clone().next().map(|(_, second)| *second);
                let seen = seconds.iter().find(|second| **second >= 960 + late).copied();
                assert_eq!(first, seen, "looked at every {every} seconds, {late} seconds late");
                // As long as it is the newest one every look shows it.
                let is_newest = |second: i64| (960..1_020).contains(&second);
                let repeats = failed.filter(|(_, second)| !is_newest(**second) && Some(**second) != first);
                assert_eq!(repeats.count(), 0);
            }
        }
    }
    // Later than that it is not seen any more.
    let seconds: Vec<i64> = (0..50).map(|look| look * 60).collect();
    let shown = looks(&letters, &seconds, |began, now| match began {
        900 if now < 960 + 420 => None,
        900 => Some(4.0),
        _ => Some(1.0),
    });
    assert!(!outcomes(&shown).contains('F'));
}

/// Where nothing is written but what is wrong, what was wrong between two looks counts as well.
#[test]
fn a_bad_period_counts_though_there_is_no_datapoint_after_it() {
    let letters = measure(Limit::AtMost(1.0), NoData::Pass);
    let shown = looks(&letters, &[0, 600, 1_200, 1_800], |began, _| {
        (began == 660).then_some(2.0)
    });
    assert_eq!(outcomes(&shown), "ipFp");
}

/// What a check comes to of which one look shows these moments, at the last of them, after it failed since the second 0
/// or was well.
fn failed(pace: &Pace, was_failing: bool, moments: &[(i64, Outcome)]) -> Option<String> {
    let mut policy = policy(300, pace.clone(), Reaction::Rollback);
    policy.services.interval_seconds = 600;
    let (state, _) = {
        let outcome = if was_failing { Outcome::Fail } else { Outcome::Pass };
        let first = [("errors".to_owned(), measurement(0, outcome, "first"))];
        judge(
            &policy,
            &State::begun(at(0)),
            measures(first.into_iter().collect()),
            at(0),
        )
    };
    let (last, worst) = (
        moments.last().unwrap().0,
        moments.iter().any(|(_, outcome)| *outcome == Outcome::Fail),
    );
    let outcome = if worst { Outcome::Fail } else { Outcome::Pass };
    let moments = moments.iter().map(|(second, outcome)| Moment {
        at: at(*second),
        outcome: *outcome,
    });
    let measured = Measurement {
        moments: moments.collect(),
        ..measurement(last, outcome, "then")
    };
    let sight = measures([("errors".to_owned(), measured)].into_iter().collect());
    match judge(&policy, &state, sight, at(last)).1 {
        Decision::Over(VerificationEnd::Failed { why, .. }) => Some(why),
        Decision::Over(_) | Decision::Continue { .. } => None,
    }
}

#[test]
fn the_time_for_which_a_metric_may_fail_is_counted_from_period_to_period() {
    const BAD: Outcome = Outcome::Fail;
    const WELL: Outcome = Outcome::Pass;
    for (was_failing, moments, is_over) in [
        (true, &[(60, BAD), (120, BAD)][..], true),
        (true, &[(60, BAD), (90, BAD)], false),
        // It failed for two minutes between the looks, and is well now.
        (false, &[(60, BAD), (120, BAD), (180, BAD), (240, WELL)], true),
        (false, &[(60, BAD), (120, BAD), (180, WELL)], false),
        // It was well in between.
        (true, &[(60, WELL), (120, BAD), (180, BAD)], false),
        (true, &[(60, BAD), (90, WELL), (120, BAD)], false),
        (true, &[(60, BAD), (90, Outcome::Inconclusive), (120, BAD)], false),
        // A look later than the second of a datapoint that came late.
        (true, &[(-60, BAD), (120, BAD)], true),
    ] {
        let why = failed(&tolerant(), was_failing, moments);
        let said = why.as_deref();
        let expected = is_over.then_some("check `errors`: it failed for 120 seconds: then");
        assert_eq!(said, expected, "{was_failing} {moments:?}");
    }
    // A look is one measurement, however many of its periods are bad.
    let once = Pace {
        failure_limit: 1,
        ..Pace::default()
    };
    let several = [(60, BAD), (120, BAD), (180, BAD)];
    assert_eq!(failed(&once, false, &several), None);
    assert!(failed(&once, true, &several).unwrap().contains("it failed 2 times"));
}

/// The seconds of the looks at a metric that is watched for five minutes, whose datapoints come `late` and are well but
/// for the period that begins at `bad`, and how and when its verification ends.
fn watched(policy: &Verification, late: i64, bad: Option<i64>) -> (Vec<i64>, VerificationEnd, i64) {
    let measure = measure(Limit::AtMost(1.0), NoData::Pass);
    let mut state = State::begun(at(0));
    let mut looks = Vec::new();
    for second in (0..2_000).step_by(5) {
        let now = at(second);
        let measured = due(policy, &state, 0, now).into_iter().map(|name| {
            if name == SERVICES {
                return (name.to_owned(), measurement(second, Outcome::Pass, ""));
            }
            looks.push(second);
            let ends = policy.watched_until(name, state.begun_at, state.checks.get(name));
            let until = ends.map_or(now, |ends| ends.min(now));
            let shown = (0..second - late - 59).step_by(60).map(|began| {
                let value = if Some(began) == bad { 2.0 } else { 0.0 };
                (at(began).as_second(), MetricPeriod { value, samples: None })
            });
            let sight = MetricSight {
                periods: shown.filter(|(began, _)| *began < until.as_second()).collect(),
                ..MetricSight::default()
            };
            let before = state
                .checks
                .get(name)
                .and_then(|check| check.seen.as_ref()?.judged.clone());
            let shown = metric(&measure, state.since(), before.as_ref(), &sight, until);
            let measured = Measurement {
                moments: shown.moments,
                judged: Some(shown.judged),
                ..measurement(second, shown.outcome, &shown.sentence)
            };
            (name.to_owned(), measured)
        });
        let sight = measures(measured.collect());
        let (next, decision) = judge(policy, &state, sight, now);
        if let Decision::Over(end) = decision {
            return (looks, end, second);
        }
        state = next;
    }
    panic!("it does not end: {state:?}")
}

/// The last minutes of the time for which a metric is watched decide as well, although their datapoints come late.
#[test]
fn the_last_minutes_of_a_window_are_waited_for() {
    let pace = Pace {
        interval_seconds: 60,
        initial_delay_seconds: 60,
        until_seconds: Some(300),
        ..Pace::default()
    };
    let mut policy = policy(300, pace, Reaction::Rollback);
    let (_, check) = policy.checks.first_mut().unwrap();
    check.measure = Measure::Metric(measure(Limit::AtMost(1.0), NoData::Pass));
    let is_well = |end: &VerificationEnd| matches!(end, VerificationEnd::Passed { .. });
    let (looks, end, over) = watched(&policy, 0, None);
    assert_eq!((looks.last(), is_well(&end)), (Some(&300), true));
    assert!(over < 400, "{over}");
    // Two minutes late: the last period ends at 300 and is there at 420.
    let (looks, end, _) = watched(&policy, 120, None);
    assert_eq!((looks.last(), is_well(&end)), (Some(&420), true), "{looks:?}");
    for late in [0, 60, 120] {
        for bad in [60, 180, 240] {
            let (_, end, _) = watched(&policy, late, Some(bad));
            assert!(!is_well(&end), "{bad}, {late} seconds late");
        }
        // What is after it does not decide.
        let (_, end, _) = watched(&policy, late, Some(300));
        assert!(is_well(&end), "{late} seconds late");
    }
    // Datapoints that do not come keep nothing out for ever, nor longer than there is time.
    let (_, end, over) = watched(&policy, 3_600, None);
    assert!(is_well(&end) && over >= 600, "{over}");
    policy.timeout_seconds = Some(580);
    let (_, end, over) = watched(&policy, 3_600, None);
    assert!(is_well(&end) && over == 580, "{over}: {end:?}");
}
