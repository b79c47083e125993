//! The metrics of the simulated account: every sample that was put, from which statistics are computed when somebody
//! asks.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// What names a metric: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html>.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// The namespace, such as `AWS/ECS`.
    pub namespace: String,
    /// The name within the namespace.
    pub name: String,
    /// Values by the name of the dimension. Metrics that differ in one dimension are different metrics.
    pub dimensions: BTreeMap<String, String>,
}

/// One value, or several equal ones of the same moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was measured.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
    /// How often it was measured: `Counts` of `PutMetricData`.
    pub count: f64,
}

/// What is computed from the samples of a period:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// All values added up.
    Sum,
    /// The sum divided by the number of samples.
    Average,
    /// The least value.
    Minimum,
    /// The greatest value.
    Maximum,
    /// How many samples there are.
    SampleCount,
    /// The least value that at least so many percent of the samples do not exceed.
    Percentile(f64),
}

impl Statistic {
    /// Reads the spelling of CloudWatch, such as `Sum` or `p99.9`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "Sum" => Self::Sum,
            "Average" => Self::Average,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            "SampleCount" => Self::SampleCount,
            other => {
                let digits = other.strip_prefix('p')?;
                let is_number = digits.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
                let percent = digits.parse().ok().filter(|percent| *percent <= 100.0);
                Self::Percentile(percent.filter(|_| is_number)?)
            }
        })
    }

    /// The statistic of these samples; nothing where there are none.
    #[must_use]
    pub fn of(self, samples: &[Sample]) -> Option<f64> {
        let count: f64 = samples.iter().map(|sample| sample.count).sum();
        let sum = || samples.iter().map(|sample| sample.value * sample.count).sum::<f64>();
        let values = || samples.iter().map(|sample| sample.value);
        if samples.is_empty() {
            return None;
        }
        match self {
            Self::Sum => Some(sum()),
            Self::Average => Some(sum() / count),
            Self::Minimum => values().reduce(f64::min),
            Self::Maximum => values().reduce(f64::max),
            Self::SampleCount => Some(count),
            Self::Percentile(percent) => percentile(samples, count * percent / 100.0),
        }
    }
}

/// The least value that at least `rank` samples do not exceed.
fn percentile(samples: &[Sample], rank: f64) -> Option<f64> {
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by(|one, other| one.value.partial_cmp(&other.value).unwrap_or(Ordering::Equal));
    let mut seen = 0.0;
    let reached = sorted.iter().find(|sample| {
        seen += sample.count;
        seen >= rank
    });
    reached.or(sorted.last()).map(|sample| sample.value)
}

/// The periods of a request, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The beginning of the first period.
    pub start: Timestamp,
    /// No period begins here or later.
    pub end: Timestamp,
    /// How long a period is.
    pub period: SignedDuration,
}

impl Window {
    /// The beginnings of the periods.
    pub fn periods(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let Self { start, end, period } = *self;
        let next = move |at: &Timestamp| at.checked_add(period).ok().filter(|next| next > at);
        std::iter::successors(Some(start), next).take_while(move |at| *at < end)
    }
}

/// What a service of AWS uses of a quota: the metrics of the namespace `AWS/Usage`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// What is used now. What was used before is not kept: every period shows it.
    pub used: f64,
    /// The quota.
    pub quota: f64,
}

/// The metrics with their samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// In the order of their times.
    samples: BTreeMap<Metric, Vec<Sample>>,
    usage: BTreeMap<Metric, Usage>,
    /// How much later than they were put `GetMetricData` shows samples: CloudWatch may take minutes.
    pub lag: SignedDuration,
}

impl Metrics {
    /// How old a sample may be,
    const OLDEST: SignedDuration = SignedDuration::from_hours(14 * 24);
    /// and how far ahead of the time.
    const NEWEST: SignedDuration = SignedDuration::from_hours(2);

    /// Whether CloudWatch takes samples of a time.
    #[must_use]
    pub fn are_kept(at: Timestamp, now: Timestamp) -> bool {
        let age = now.duration_since(at);
        age <= Self::OLDEST && age >= -Self::NEWEST
    }

    /// Adds a sample. The metric is made with its first one.
    pub fn put(&mut self, metric: &Metric, sample: Sample) {
        let Some(samples) = self.samples.get_mut(metric) else {
            self.samples.insert(metric.clone(), vec![sample]);
            return;
        };
        let position = samples.partition_point(|other| other.at <= sample.at);
        samples.insert(position, sample);
    }

    /// Shows what is used of a quota from now on. For the service whose quota it is only.
    pub fn use_of_quota(&mut self, metric: Metric, usage: Usage) {
        self.usage.insert(metric, usage);
    }

    /// What is used of a quota, by its metric.
    #[must_use]
    pub fn usage(&self, metric: &Metric) -> Option<Usage> {
        self.usage.get(metric).copied()
    }

    /// The metrics that have ever had a sample, by namespace, name and dimensions.
    pub fn known(&self) -> impl Iterator<Item = &Metric> {
        self.samples.keys()
    }

    /// Whether the metric has ever had a sample.
    #[must_use]
    pub fn has_samples(&self, metric: &Metric) -> bool {
        self.samples.contains_key(metric)
    }

    /// The samples from `from` on and before `to`.
    #[must_use]
    pub fn samples(&self, metric: &Metric, from: Timestamp, to: Timestamp) -> &[Sample] {
        let samples = self.samples.get(metric).map_or(&[][..], Vec::as_slice);
        let first = samples.partition_point(|sample| sample.at < from);
        let end = samples.partition_point(|sample| sample.at < to);
        samples.get(first..end).unwrap_or_default()
    }

    /// A value for each period that has samples, by the beginning of the period.
    #[must_use]
    pub fn datapoints(&self, metric: &Metric, statistic: Statistic, window: Window) -> BTreeMap<Timestamp, f64> {
        // Whatever the window, there are no more periods with samples than samples.
        let mut datapoints = BTreeMap::new();
        let Ok(end) = window.end.checked_add(window.period) else {
            return datapoints;
        };
        let mut from = window.start;
        while let Some(first) = self.samples(metric, from, end).first() {
            let Some(start) = period_of(first.at, window).filter(|start| *start < window.end) else {
                break;
            };
            let next = start.saturating_add(window.period).unwrap_or(Timestamp::MAX);
            let value = statistic.of(self.samples(metric, start, next));
            if let Some(value) = value.filter(|value| value.is_finite()) {
                datapoints.insert(start, value);
            }
            from = next;
        }
        datapoints
    }
}

/// The beginning of the period that a moment lies in.
fn period_of(at: Timestamp, window: Window) -> Option<Timestamp> {
    let into = at.duration_since(window.start).as_nanos();
    let length = Some(window.period.as_nanos()).filter(|length| *length > 0)?;
    let offset = i64::try_from(into.rem_euclid(length)).ok()?;
    at.checked_sub(SignedDuration::from_nanos(offset)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric() -> Metric {
        Metric {
            namespace: "shop".to_owned(),
            name: "Latency".to_owned(),
            dimensions: BTreeMap::new(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn with(samples: &[(i64, f64)]) -> Metrics {
        let mut metrics = Metrics::default();
        for (second, value) in samples {
            let sample = Sample {
                at: at(*second),
                value: *value,
                count: 1.0,
            };
            metrics.put(&metric(), sample);
        }
        metrics
    }

    #[test]
    fn a_period_without_samples_has_no_datapoint() {
        let metrics = with(&[(200, 4.0), (0, 1.0), (59, 2.0), (180, 3.0), (240, 9.0)]);
        let window = Window {
            start: at(0),
            end: at(240),
            period: SignedDuration::from_secs(60),
        };
        let sums = metrics.datapoints(&metric(), Statistic::Sum, window);
        assert_eq!(sums.into_iter().collect::<Vec<_>>(), [(at(0), 3.0), (at(180), 7.0)]);
        assert_eq!(window.periods().count(), 4);
    }

    #[test]
    fn statistics_are_those_of_the_samples() {
        let samples: Vec<Sample> = (1..=10)
            .map(|number| Sample {
                at: at(number),
                value: f64::from(u8::try_from(number).unwrap()),
                count: 1.0,
            })
            .collect();
        for (text, value) in [
            ("Sum", 55.0),
            ("Average", 5.5),
            ("Minimum", 1.0),
            ("Maximum", 10.0),
            ("SampleCount", 10.0),
            ("p50", 5.0),
            ("p99.9", 10.0),
            ("p0", 1.0),
        ] {
            assert_eq!(Statistic::parse(text).unwrap().of(&samples), Some(value), "{text}");
        }
        for text in ["tm99", "p", "p101", "pinf", "IQM", "sum"] {
            assert_eq!(Statistic::parse(text), None, "{text}");
        }
    }
}
