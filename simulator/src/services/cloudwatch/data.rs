//! Metrics: `PutMetricData` and `GetMetricData`.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Kernel, Metric, Metrics, Sample, Statistic, Window};

use super::math::{Context, Expression, Outcome, Series};
use super::{Input, epoch_seconds, missing, only, required, validation};

/// The most datapoints of one answer.
const MAXIMUM_DATAPOINTS: usize = 100_800;
/// The most queries of one request.
const MAXIMUM_QUERIES: usize = 500;
/// Start times are rounded down to it.
const MINUTE_SECONDS: i64 = 60;

pub(super) fn put(input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
    only(
        "PutMetricData",
        input,
        &["Namespace", "MetricData", "StrictEntityValidation"],
    )?;
    let namespace = required(input, "Namespace")?;
    if namespace.starts_with("AWS/") {
        return Err(ApiError::client(
            "InvalidParameterValue",
            "The value AWS/ for parameter Namespace is invalid.",
        ));
    }
    let mut all = Vec::new();
    for datum in input.list("MetricData") {
        let datum = Input(datum);
        let metric = Metric {
            namespace: namespace.to_owned(),
            name: required(datum, "MetricName")?.to_owned(),
            dimensions: dimensions(datum)?,
        };
        all.push((metric, samples(datum, kernel.now())?));
    }
    if all.is_empty() {
        return Err(missing("MetricData"));
    }
    for (metric, samples) in all {
        for sample in samples {
            kernel.metrics.put(&metric, sample);
        }
    }
    Ok(json!({}))
}

/// The samples of one datum. Units are not kept: nobody can ask for one.
fn samples(datum: Input<'_>, now: Timestamp) -> Result<Vec<Sample>, ApiError> {
    let known = [
        "MetricName",
        "Dimensions",
        "Timestamp",
        "Value",
        "Values",
        "Counts",
        "Unit",
        "StorageResolution",
    ];
    only("PutMetricData", datum, &known)?;
    let at = time(datum, "Timestamp")?.unwrap_or(now);
    if !Metrics::are_kept(at, now) {
        return Err(ApiError::client(
            "InvalidParameterValue",
            "The parameter MetricData.member.1.Timestamp must specify a time no earlier than two weeks ago and no later than two hours from now.",
        ));
    }
    let number = |value: &Value| {
        value.as_f64().ok_or_else(|| {
            ApiError::client(
                "InvalidParameterValue",
                "The value for the parameter MetricData.member.1.Value is invalid.",
            )
        })
    };
    let counts = datum.list("Counts");
    let values = match datum.0.get("Value").filter(|value| !value.is_null()) {
        Some(value) => std::slice::from_ref(value),
        None => datum.list("Values"),
    };
    if values.is_empty() {
        return Err(missing("MetricData.member.1.Value"));
    }
    if !counts.is_empty() && counts.len() != values.len() {
        return Err(ApiError::client(
            "InvalidParameterValue",
            "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size.",
        ));
    }
    let samples = values.iter().enumerate().map(|(index, value)| {
        let count = counts.get(index).map_or(Ok(1.0), number)?;
        if count <= 0.0 {
            return Err(ApiError::client(
                "InvalidParameterValue",
                "The value for the parameter MetricData.member.1.Counts must be greater than zero.",
            ));
        }
        Ok(Sample {
            at,
            value: number(value)?,
            count,
        })
    });
    samples.collect()
}

pub(super) fn dimensions(owner: Input<'_>) -> Result<BTreeMap<String, String>, ApiError> {
    let dimensions = owner.list("Dimensions").iter().map(|dimension| {
        let dimension = Input(dimension);
        let (name, value) = (required(dimension, "Name")?, required(dimension, "Value")?);
        Ok((name.to_owned(), value.to_owned()))
    });
    dimensions.collect()
}

pub(super) fn time(input: Input<'_>, member: &str) -> Result<Option<Timestamp>, ApiError> {
    let Some(value) = input.0.get(member).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let seconds = value.as_f64();
    let since = seconds.and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok());
    since
        .and_then(|since| Timestamp::from_duration(since).ok())
        .map(Some)
        .ok_or_else(|| validation(format!("{member} must be a timestamp")))
}

/// One `MetricDataQuery`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) id: String,
    pub(super) source: Source,
    label: Option<String>,
    pub(super) is_returned: bool,
}

/// Where the values of a query come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    Metric {
        metric: Metric,
        statistic: Statistic,
        /// As it was written.
        spelling: String,
        period: SignedDuration,
    },
    Expression(Expression),
}

impl Query {
    pub(super) fn of_metric(metric: Metric, spelling: &str, period: SignedDuration) -> Result<Self, ApiError> {
        Ok(Self {
            id: "m1".to_owned(),
            source: Source::Metric {
                metric,
                statistic: statistic(spelling)?,
                spelling: spelling.to_owned(),
                period,
            },
            label: None,
            is_returned: true,
        })
    }

    fn parse(operation: &str, input: Input<'_>) -> Result<Self, ApiError> {
        only(
            operation,
            input,
            &["Id", "MetricStat", "Expression", "Label", "ReturnData"],
        )?;
        let id = required(input, "Id")?;
        let is_valid = id.starts_with(|first: char| first.is_ascii_lowercase())
            && id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if !is_valid {
            return Err(validation(format!(
                "The value for the parameter Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$: {id}"
            )));
        }
        let source = match (input.0.get("MetricStat"), input.text("Expression")) {
            (Some(stat), None) => Source::of_stat(operation, Input(stat))?,
            (None, Some(expression)) => Source::Expression(Expression::parse(expression)?),
            _ => {
                return Err(validation(format!(
                    "The query {id} must have either MetricStat or Expression."
                )));
            }
        };
        Ok(Self {
            id: id.to_owned(),
            source,
            label: input.text("Label").map(str::to_owned),
            is_returned: input.0.get("ReturnData").and_then(Value::as_bool).unwrap_or(true),
        })
    }

    pub(super) fn parse_all(operation: &str, inputs: &[Value]) -> Result<Vec<Self>, ApiError> {
        let queries = inputs
            .iter()
            .map(|query| Self::parse(operation, Input(query)))
            .collect::<Result<Vec<_>, _>>()?;
        let ids: BTreeSet<&str> = queries.iter().map(|query| query.id.as_str()).collect();
        if queries.is_empty() || queries.len() > MAXIMUM_QUERIES {
            return Err(validation(format!(
                "There must be from 1 to {MAXIMUM_QUERIES} metric data queries."
            )));
        }
        if ids.len() != queries.len() {
            return Err(validation("The ids of metric data queries must be unique."));
        }
        Ok(queries)
    }

    fn label(&self) -> &str {
        match (&self.label, &self.source) {
            (Some(label), _) => label,
            (None, Source::Metric { metric, .. }) => &metric.name,
            (None, Source::Expression(_)) => &self.id,
        }
    }
}

impl Source {
    fn of_stat(operation: &str, input: Input<'_>) -> Result<Self, ApiError> {
        only(operation, input, &["Metric", "Period", "Stat"])?;
        let metric = Input(input.0.get("Metric").ok_or_else(|| missing("Metric"))?);
        only(operation, metric, &["Namespace", "MetricName", "Dimensions"])?;
        let spelling = required(input, "Stat")?;
        Ok(Self::Metric {
            metric: Metric {
                namespace: required(metric, "Namespace")?.to_owned(),
                name: required(metric, "MetricName")?.to_owned(),
                dimensions: dimensions(metric)?,
            },
            statistic: statistic(spelling)?,
            spelling: spelling.to_owned(),
            period: period(input)?,
        })
    }
}

pub(super) fn statistic(spelling: &str) -> Result<Statistic, ApiError> {
    Statistic::parse(spelling)
        .ok_or_else(|| ApiError::unsupported(format_args!("the statistic `{spelling}` of `cloudwatch`")))
}

/// A `Period`, of whole minutes.
pub(super) fn period(input: Input<'_>) -> Result<SignedDuration, ApiError> {
    match input.number("Period") {
        None => Err(missing("Period")),
        Some(seconds) if seconds > 0 && seconds % MINUTE_SECONDS == 0 => Ok(SignedDuration::from_secs(seconds)),
        Some(seconds @ (1 | 5 | 10 | 20 | 30)) => Err(ApiError::unsupported(format_args!(
            "a `Period` of {seconds} s, which is less than a minute, of `cloudwatch`"
        ))),
        Some(_) => Err(validation(
            "Period must be 1, 5, 10, 20, 30 or a multiple of 60 seconds.",
        )),
    }
}

/// The beginning of the period that a moment is in.
fn whole(at: Timestamp, period: SignedDuration) -> Timestamp {
    let seconds = at.as_second().rem_euclid(period.as_secs().max(1));
    let start = at.as_second().saturating_sub(seconds);
    Timestamp::from_second(start).unwrap_or(at)
}

/// The queries of one request, and the periods that they are asked for.
pub(super) struct Asked<'q> {
    queries: &'q [Query],
    kernel: &'q Kernel,
    start: Timestamp,
    end: Timestamp,
    /// The ids that are being evaluated.
    path: Vec<String>,
}

impl<'q> Asked<'q> {
    pub(super) fn new(queries: &'q [Query], kernel: &'q Kernel, start: Timestamp, end: Timestamp) -> Self {
        Self {
            queries,
            kernel,
            start,
            end,
            path: Vec::new(),
        }
    }

    /// The values of one query.
    pub(super) fn series(&mut self, id: &str) -> Result<Series, ApiError> {
        match self.query(id)? {
            Outcome::Series(series) => Ok(series),
            Outcome::Number(_) => Err(validation(format!(
                "The expression {id} must return a time series, not a number."
            ))),
        }
    }

    fn window(&self, period: SignedDuration) -> Window {
        let lag = self.kernel.metrics.lag;
        let shown = self.kernel.now().saturating_sub(lag).unwrap_or(Timestamp::MIN);
        Window {
            start: self.start,
            // Whole periods come late; what is in one is not shown in part.
            end: if lag.is_zero() {
                self.end
            } else {
                self.end.min(whole(shown, period))
            },
            period,
        }
    }

    fn datapoints(&self, metric: &Metric, statistic: Statistic, period: SignedDuration) -> Series {
        let window = self.window(period);
        match self.kernel.metrics.usage(metric) {
            Some(usage) => self.throughout(window, usage.used),
            None => self.kernel.metrics.datapoints(metric, statistic, window),
        }
    }

    /// One value in every period of a window that has begun.
    fn throughout(&self, window: Window, value: f64) -> Series {
        let begun = window.periods().take_while(|at| *at <= self.kernel.now());
        begun.take(MAXIMUM_DATAPOINTS).map(|at| (at, value)).collect()
    }

    /// The one period of all metrics of the request.
    fn common_period(&self) -> Result<SignedDuration, ApiError> {
        let mut periods = self.queries.iter().filter_map(|query| match &query.source {
            Source::Metric { period, .. } => Some(*period),
            Source::Expression(_) => None,
        });
        let first = periods
            .next()
            .ok_or_else(|| ApiError::unsupported("metric math without a metric"))?;
        if periods.any(|other| other != first) {
            return Err(ApiError::unsupported("metric math over metrics of different periods"));
        }
        Ok(first)
    }
}

impl Context for Asked<'_> {
    fn query(&mut self, id: &str) -> Result<Outcome, ApiError> {
        let queries = self.queries;
        let query = queries
            .iter()
            .find(|query| query.id == id)
            .ok_or_else(|| validation(format!("The expression refers to the undefined id {id}.")))?;
        match &query.source {
            Source::Metric {
                metric,
                statistic,
                period,
                ..
            } => Ok(Outcome::Series(self.datapoints(metric, *statistic, *period))),
            Source::Expression(expression) => {
                self.common_period()?;
                if self.path.iter().any(|other| other == id) {
                    return Err(validation(format!("The expression {id} refers to itself.")));
                }
                self.path.push(id.to_owned());
                let outcome = expression.evaluate(self);
                self.path.pop();
                outcome
            }
        }
    }

    fn metrics(&self) -> Vec<Series> {
        let metrics = self.queries.iter().filter_map(|query| match &query.source {
            Source::Metric {
                metric,
                statistic,
                period,
                ..
            } => Some(self.datapoints(metric, *statistic, *period)),
            Source::Expression(_) => None,
        });
        metrics.collect()
    }

    fn quota(&self, id: &str) -> Result<Series, ApiError> {
        let query = self.queries.iter().find(|query| query.id == id);
        let query = query.ok_or_else(|| validation(format!("The expression refers to the undefined id {id}.")))?;
        let Source::Metric { metric, period, .. } = &query.source else {
            return Err(validation("SERVICE_QUOTA takes a usage metric."));
        };
        let usage = self.kernel.metrics.usage(metric);
        Ok(usage.map_or_else(Series::new, |usage| self.throughout(self.window(*period), usage.quota)))
    }

    fn periods(&self) -> Result<Vec<Timestamp>, ApiError> {
        let window = self.window(self.common_period()?);
        let periods: Vec<Timestamp> = window.periods().take(MAXIMUM_DATAPOINTS + 1).collect();
        if periods.len() > MAXIMUM_DATAPOINTS {
            return Err(validation(format!(
                "There are more than {MAXIMUM_DATAPOINTS} periods to fill."
            )));
        }
        Ok(periods)
    }
}

/// Start times are rounded down to the minute, and periods are counted from there: times that are multiples of the
/// period give periods that are.
pub(super) fn get(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let known = [
        "MetricDataQueries",
        "StartTime",
        "EndTime",
        "NextToken",
        "ScanBy",
        "MaxDatapoints",
    ];
    only("GetMetricData", input, &known)?;
    let queries = Query::parse_all("GetMetricData", input.list("MetricDataQueries"))?;
    let start = time(input, "StartTime")?.ok_or_else(|| missing("StartTime"))?;
    let end = time(input, "EndTime")?.ok_or_else(|| missing("EndTime"))?;
    if start >= end {
        return Err(validation(
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    let is_ascending = match input.text("ScanBy") {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(other) => {
            return Err(validation(format!(
                "The value {other} for parameter ScanBy is invalid."
            )));
        }
    };
    let mut from = match input.text("NextToken") {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| ApiError::client("InvalidNextToken", "The next token specified is invalid."))?,
    };
    let mut room = input
        .count("MaxDatapoints")
        .unwrap_or(MAXIMUM_DATAPOINTS)
        .clamp(1, MAXIMUM_DATAPOINTS);
    let mut taken = from;
    let mut is_over = true;
    let mut results = Vec::new();
    let mut asked = Asked::new(&queries, kernel, minute_of(start), end);
    for query in queries.iter().filter(|query| query.is_returned) {
        let mut points: Vec<(Timestamp, f64)> = asked.series(&query.id)?.into_iter().collect();
        if !is_ascending {
            points.reverse();
        }
        let skipped = from.min(points.len());
        from -= skipped;
        let left = points.len() - skipped;
        let shown: Vec<(Timestamp, f64)> = points.into_iter().skip(skipped).take(room).collect();
        room -= shown.len();
        taken += shown.len();
        let is_complete = shown.len() == left;
        is_over &= is_complete;
        results.push(json!({
            "Id": query.id,
            "Label": query.label(),
            "Timestamps": shown.iter().map(|(at, _)| epoch_seconds(*at)).collect::<Vec<_>>(),
            "Values": shown.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            "StatusCode": if is_complete { "Complete" } else { "PartialData" },
        }));
    }
    Ok(json!({
        "MetricDataResults": results,
        "Messages": [],
        "NextToken": (!is_over).then(|| taken.to_string()),
    }))
}

/// The beginning of the minute that a moment lies in.
pub(super) fn minute_of(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    let second = second - second.rem_euclid(MINUTE_SECONDS);
    // Nanoseconds of times before 1970 are negative; no request has such times.
    Timestamp::from_second(second).unwrap_or(at)
}
