//! From the datapoints of CloudWatch to a measurement.
//!
//! Every whole period counts, however far apart the looks are: one that nobody looked at while it was the newest is
//! judged by the next look, and one whose datapoint comes late, or grows bad late, by the first look that sees it. What
//! was judged before is in the measurement before, so that nothing counts twice.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Moment, Outcome};
use crate::pipeline::{Limit, MetricMeasure, NoData};

/// How many periods back the newest datapoint is looked for: CloudWatch shows some only after minutes.
const PERIODS: i64 = 3;

/// The most periods that one look judges: what was longer ago was of a time in which nobody looked, and the soak has
/// begun again since.
const PERIODS_MAX: i64 = 60;

/// How long after the end of a period its datapoint may come, or become another, and still be judged.
pub(super) const DATAPOINTS_LATE: SignedDuration = SignedDuration::from_mins(5);

/// Between which moments, in seconds since 1970, datapoints are read: those of the periods that begin there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricWindow {
    /// From then on.
    pub from: i64,
    /// Before then.
    pub to: i64,
}

impl MetricWindow {
    /// Where the datapoints of the release are looked for: whole periods since the verification began, because what was
    /// measured while the release before was at work says nothing about this one, that were not judged for good by
    /// a measurement `before`. Empty while there is none.
    #[must_use]
    pub fn of_values(
        measure: &MetricMeasure,
        began_at: Timestamp,
        before: Option<&JudgedPeriods>,
        now: Timestamp,
    ) -> Self {
        let to = whole(measure, now);
        let from = unjudged(measure, began_at, before, now).min(Self::recent(measure, now));
        Self {
            from: from.max(first(measure, began_at)).min(to),
            to,
        }
    }

    /// The begin of the first period in which the newest datapoint may be.
    #[must_use]
    pub fn recent(measure: &MetricMeasure, now: Timestamp) -> i64 {
        whole(measure, now) - PERIODS * period(measure)
    }

    /// Where the baseline is looked for, where the limit asks for one.
    #[must_use]
    pub fn of_baseline(measure: &MetricMeasure, deployment_began_at: Timestamp) -> Option<Self> {
        match measure.limit {
            Limit::AtMost(_) | Limit::AtLeast(_) => None,
            Limit::AtMostTimesBaseline(_) | Limit::AtMostAboveBaseline(_) => {
                let to = whole(measure, deployment_began_at);
                let from = to - i64::from(measure.baseline_seconds);
                Some(Self { from, to })
            }
        }
    }
}

fn period(measure: &MetricMeasure) -> i64 {
    i64::from(measure.period_seconds.max(1))
}

/// The begin of the period of a moment.
fn whole(measure: &MetricMeasure, at: Timestamp) -> i64 {
    at.as_second() - at.as_second().rem_euclid(period(measure))
}

/// The begin of the first whole period of the verification.
fn first(measure: &MetricMeasure, began_at: Timestamp) -> i64 {
    whole(measure, began_at) + period(measure)
}

/// The begin of the first period that is not judged for good: of a first look the newest one, because nobody is to have
/// looked before.
fn unjudged(measure: &MetricMeasure, began_at: Timestamp, before: Option<&JudgedPeriods>, now: Timestamp) -> i64 {
    let newest = whole(measure, now) - period(measure);
    let from = before.map_or(newest, |before| before.until.as_second());
    let most = whole(measure, now) - PERIODS_MAX * period(measure);
    from.max(most).max(first(measure, began_at))
}

/// Whether the last whole period before a moment was judged, of those since the verification began.
pub(super) fn is_judged_until(
    measure: &MetricMeasure,
    began_at: Timestamp,
    judged: Option<&JudgedPeriods>,
    moment: Timestamp,
) -> bool {
    let last = whole(measure, moment) - period(measure);
    let at = ended(measure, last);
    last < first(measure, began_at)
        || judged.is_some_and(|judged| judged.until >= at || judged.outcomes.contains_key(&at))
}

/// The end of the period that begins then.
fn ended(measure: &MetricMeasure, began: i64) -> Timestamp {
    Timestamp::from_second(began.saturating_add(period(measure))).unwrap_or(Timestamp::MAX)
}

/// Whether too little time has passed since the verification began to expect a datapoint.
pub(super) fn is_early(measure: &MetricMeasure, began_at: Timestamp, now: Timestamp) -> bool {
    MetricWindow::recent(measure, now) < first(measure, began_at)
}

/// The baseline of values before the deployment, the newest first: their mean, or for a level, such as the depth of a
/// queue, what it was last.
#[must_use]
pub fn baseline(measure: &MetricMeasure, values: &[f64]) -> Option<f64> {
    match measure.limit {
        Limit::AtMostAboveBaseline(_) => values.first().copied(),
        Limit::AtMost(_) | Limit::AtLeast(_) | Limit::AtMostTimesBaseline(_) => {
            let count = f64::from(u32::try_from(values.len()).ok()?);
            (count > 0.0).then(|| values.iter().sum::<f64>() / count)
        }
    }
}

/// One period of a metric measure as CloudWatch shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MetricPeriod {
    /// The value.
    pub value: f64,
    /// How many samples there were, where that is asked for: none is something else than 0 of them.
    pub samples: Option<f64>,
}

/// What CloudWatch shows of a metric measure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricSight {
    /// The periods with a value, by their begin in seconds since 1970.
    pub periods: BTreeMap<i64, MetricPeriod>,
    /// How many samples there were last in the time in which the newest value may be, where that is asked for.
    pub samples: Option<f64>,
    /// What it was before the deployment, where that is asked for: the mean, or for a level the last value.
    pub baseline: Option<f64>,
}

/// Which periods of a metric were judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedPeriods {
    /// What ended until then is judged for good.
    pub until: Timestamp,
    /// What the others showed, by the moments at which they ended: one that failed once has failed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<Timestamp, Outcome>,
}

/// What a metric shows to one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricShown {
    /// The worst of what the newest period and those that nobody has judged before show.
    pub outcome: Outcome,
    /// Which, for people.
    pub sentence: String,
    /// What they show one after the other, where there are several: those from before by their ends, the newest now.
    pub moments: Vec<Moment>,
    /// What is judged from now on.
    pub judged: JudgedPeriods,
}

/// Judges the newest period, and all others since the verification began that were not judged by a measurement `before`
/// or are worse than they were then. A first look judges the newest one only: what is not to be looked at yet does not
/// count.
#[must_use]
pub fn metric(
    measure: &MetricMeasure,
    began_at: Timestamp,
    before: Option<&JudgedPeriods>,
    sight: &MetricSight,
    now: Timestamp,
) -> MetricShown {
    let known = |at: &Timestamp| before.and_then(|before| before.outcomes.get(at)).copied();
    let recent = MetricWindow::recent(measure, now);
    let newest = sight.periods.last_key_value().filter(|(began, _)| **began >= recent);
    let unjudged = unjudged(measure, began_at, before, now);
    let mut outcomes = before.map_or_else(BTreeMap::new, |before| before.outcomes.clone());
    let mut earlier = Vec::new();
    for (began, found) in sight.periods.range(unjudged..) {
        let at = ended(measure, *began);
        let (outcome, said) = number(measure, *found, sight.baseline);
        if known(&at).is_some_and(|known| outcome != Outcome::Fail || known == Outcome::Fail) {
            continue;
        }
        outcomes.insert(at, outcome);
        if newest.is_none_or(|(newest, _)| newest != began) {
            let said = format!("{said}, in the {} seconds until {at}", period(measure));
            earlier.push((Moment { at, outcome }, said));
        }
    }
    let (outcome, said) = match newest {
        Some((_, found)) => number(measure, *found, sight.baseline),
        None => missing(measure, sight.samples, is_early(measure, began_at, now)),
    };
    let itself = (Moment { at: now, outcome }, said);
    let shown = || earlier.iter().chain([&itself]);
    let worst = [Outcome::Fail, Outcome::Inconclusive].into_iter();
    let mut worst = worst.filter_map(|worst| shown().rfind(|(moment, _)| moment.outcome == worst));
    let (deciding, sentence) = worst.next().unwrap_or(&itself);
    // Those in between that were judged before are shown again: one that is well ends what began before it.
    let moments = match earlier.first() {
        None => Vec::new(),
        Some((first, _)) => {
            let itself_at = newest.map(|(began, _)| ended(measure, *began));
            let since = outcomes.range(first.at..).filter(|(at, _)| Some(**at) != itself_at);
            let since = since.map(|(at, outcome)| Moment {
                at: *at,
                outcome: *outcome,
            });
            since.chain([itself.0]).collect()
        }
    };
    let late = whole(measure, now.saturating_sub(DATAPOINTS_LATE).unwrap_or(Timestamp::MIN));
    let until = Timestamp::from_second(late.max(unjudged)).unwrap_or(Timestamp::MAX);
    outcomes.retain(|at, _| *at > until);
    MetricShown {
        outcome: deciding.outcome,
        sentence: sentence.clone(),
        moments,
        judged: JudgedPeriods { until, outcomes },
    }
}

const fn without_data(measure: &MetricMeasure) -> Outcome {
    match measure.no_data {
        NoData::Inconclusive => Outcome::Inconclusive,
        NoData::Pass => Outcome::Pass,
        NoData::Fail => Outcome::Fail,
    }
}

/// What it shows that there is no value.
fn missing(measure: &MetricMeasure, samples: Option<f64>, is_early: bool) -> (Outcome, String) {
    if is_early {
        let said = "there is no datapoint of the release yet".to_owned();
        return (Outcome::Inconclusive, said);
    }
    let counted = too_few(measure, samples);
    counted.unwrap_or_else(|| (without_data(measure), "there is no datapoint".to_owned()))
}

/// What it shows that there were too few samples, or that nobody knows how many there were; nothing where there were
/// enough.
fn too_few(measure: &MetricMeasure, samples: Option<f64>) -> Option<(Outcome, String)> {
    let wanted = measure.samples.as_ref()?;
    let Some(samples) = samples else {
        let said = format!("there is no datapoint of `{}`, which counts the samples", wanted.of);
        return Some((without_data(measure), said));
    };
    let (counted, needed) = (shown(samples), shown(wanted.at_least));
    let (word, are) = (
        if counted == "1" { "sample" } else { "samples" },
        if needed == "1" { "is" } else { "are" },
    );
    let said = format!(
        "{counted} {word} of `{}`, too few to tell: {needed} {are} needed",
        wanted.of
    );
    (samples < wanted.at_least).then_some((Outcome::Inconclusive, said))
}

/// What the number of a period shows against its limit. Too few samples show nothing, whatever the number is: five
/// errors of ten requests are no error rate.
fn number(measure: &MetricMeasure, found: MetricPeriod, baseline: Option<f64>) -> (Outcome, String) {
    if let Some(too_few) = too_few(measure, found.samples) {
        return too_few;
    }
    let value = found.value;
    // What is only written when something is wrong was nothing while nothing was written.
    let nothing =
        (measure.no_data == NoData::Pass && matches!(measure.limit, Limit::AtMostAboveBaseline(_))).then_some(0.0);
    let (is_kept, limit) = match (measure.limit, baseline.or(nothing)) {
        (Limit::AtMost(limit), _) => (value <= limit, format!("at most {}", shown(limit))),
        (Limit::AtLeast(limit), _) => (value >= limit, format!("at least {}", shown(limit))),
        (Limit::AtMostTimesBaseline(times), Some(baseline)) => (
            value <= baseline * times,
            format!("at most {} times the baseline of {}", shown(times), shown(baseline)),
        ),
        (Limit::AtMostAboveBaseline(above), Some(baseline)) => (
            value <= baseline + above,
            format!("at most {} above the baseline of {}", shown(above), shown(baseline)),
        ),
        (Limit::AtMostTimesBaseline(_) | Limit::AtMostAboveBaseline(_), None) => {
            let said = format!("{}, and there is no baseline from before the deployment", shown(value));
            return (without_data(measure), said);
        }
    };
    let outcome = if is_kept { Outcome::Pass } else { Outcome::Fail };
    (outcome, format!("{}, {limit} is allowed", shown(value)))
}

/// A number for people: three places are enough.
pub(super) fn shown(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
