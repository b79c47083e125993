//! Metric alarms. An alarm that watches a metric is evaluated every minute and changes its state by itself; an alarm
//! without one keeps the state that it was put into. <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html>

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use simulator_kernel::{AlarmState, ApiError, Authorization, Kernel, Metric, TimerId};

use super::data::{Asked, Query, Source, dimensions, minute_of, period};
use super::judge::{Comparison, Rule, Treatment};
use super::{CloudWatch, Input, NAME, epoch_seconds, missing, only, page, required, validation};

/// What can be said of an alarm when it is put, and is shown again. `Tags` are shown by another operation.
const SETTINGS: [&str; 20] = [
    "ActionsEnabled",
    "AlarmActions",
    "AlarmDescription",
    "AlarmName",
    "ComparisonOperator",
    "DatapointsToAlarm",
    "Dimensions",
    "EvaluateLowSampleCountPercentile",
    "EvaluationPeriods",
    "ExtendedStatistic",
    "InsufficientDataActions",
    "MetricName",
    "Metrics",
    "Namespace",
    "OKActions",
    "Period",
    "Statistic",
    "Threshold",
    "TreatMissingData",
    "Unit",
];

/// The most alarms of one answer, and how many there are unless the caller says.
const MAXIMUM_RECORDS: usize = 100;
const DEFAULT_RECORDS: usize = 50;

/// How often an alarm is evaluated.
const EVALUATION_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// The longest time that an alarm can look at.
const LONGEST_EVALUATION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An alarm without its state, which the kernel keeps.
#[derive(Debug)]
pub(super) struct Alarm {
    settings: Map<String, Value>,
    watch: Option<Watch>,
    /// The timer of the next evaluation.
    evaluation: Option<TimerId>,
    /// Whether somebody put it into its state since it was evaluated last.
    is_set_by_hand: bool,
    put_at: Timestamp,
    why: Why,
    updated_at: Timestamp,
    transitioned_at: Timestamp,
}

/// Why an alarm is in its state.
#[derive(Debug, Clone, PartialEq)]
struct Why {
    reason: String,
    data: Option<Value>,
}

impl Why {
    fn of(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            data: None,
        }
    }
}

/// What an alarm watches.
#[derive(Debug)]
struct Watch {
    queries: Vec<Query>,
    /// The id of the query whose values are compared.
    watched: String,
    statistic: Option<String>,
    period: SignedDuration,
    rule: Rule,
}

impl Watch {
    /// Nothing where the alarm names no metric.
    fn parse(input: Input<'_>) -> Result<Option<Self>, ApiError> {
        let statistic = input.text("Statistic").or(input.text("ExtendedStatistic"));
        let queries = match (input.text("MetricName"), input.list("Metrics")) {
            (None, []) => return Ok(None),
            (None, metrics) => Query::parse_all("PutMetricAlarm", metrics)?,
            (Some(name), []) => {
                let metric = Metric {
                    namespace: required(input, "Namespace")?.to_owned(),
                    name: name.to_owned(),
                    dimensions: dimensions(input)?,
                };
                let statistic = statistic.ok_or_else(|| missing("Statistic"))?;
                vec![Query::of_metric(metric, statistic, period(input)?)?]
            }
            (Some(_), _) => return Err(validation("MetricName and Metrics cannot both be given.")),
        };
        let mut returned = queries.iter().filter(|query| query.is_returned);
        let (Some(watched), None) = (returned.next(), returned.next()) else {
            return Err(validation("Exactly one of Metrics must have ReturnData."));
        };
        let watched = watched.id.clone();
        let periods = queries.iter().find_map(|query| match &query.source {
            Source::Metric { period, .. } => Some(*period),
            Source::Expression(_) => None,
        });
        let period = periods.ok_or_else(|| ApiError::unsupported("an alarm without a metric in `Metrics`"))?;
        let rule = rule(input)?;
        let evaluated = period.saturating_mul(i32::try_from(rule.periods).unwrap_or(i32::MAX));
        if evaluated > LONGEST_EVALUATION {
            return Err(validation(
                "Metrics cannot be checked across more than seven days (EvaluationPeriods * Period must be <= 604800).",
            ));
        }
        Ok(Some(Self {
            period,
            rule,
            statistic: statistic.map(str::to_owned),
            queries,
            watched,
        }))
    }

    fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.queries.iter().filter_map(|query| match &query.source {
            Source::Metric { metric, .. } => Some(metric),
            Source::Expression(_) => None,
        })
    }

    /// The values of the evaluation range that ends now, oldest first.
    fn points(&self, kernel: &Kernel) -> Result<Vec<(Timestamp, Option<f64>)>, ApiError> {
        let end = minute_of(kernel.now());
        let range = i32::try_from(self.rule.range()).unwrap_or(i32::MAX);
        let start = end
            .checked_sub(self.period.saturating_mul(range))
            .unwrap_or(Timestamp::MIN);
        let series = Asked::new(&self.queries, kernel, start, end).series(&self.watched)?;
        let next = |at: &Timestamp| at.checked_add(self.period).ok();
        let periods = std::iter::successors(Some(start), next).take(self.rule.range());
        Ok(periods.map(|at| (at, series.get(&at).copied())).collect())
    }

    /// The next state, and why.
    fn judge(&self, current: AlarmState, kernel: &Kernel) -> (AlarmState, Why) {
        match self.points(kernel) {
            Err(error) => (
                AlarmState::InsufficientData,
                Why::of(format!("Unable to evaluate the metrics: {}", error.message)),
            ),
            Ok(points) => {
                let values: Vec<Option<f64>> = points.iter().map(|(_, value)| *value).collect();
                let state = self.rule.judge(&values, current);
                let why = Why {
                    reason: self.rule.reason(&points, current, state),
                    data: Some(self.reason_data(&points, kernel)),
                };
                (state, why)
            }
        }
    }

    fn reason_data(&self, points: &[(Timestamp, Option<f64>)], kernel: &Kernel) -> Value {
        let mut real = points.iter().filter(|(_, value)| value.is_some()).peekable();
        let mut data = json!({"version": "1.0", "queryDate": stamp(kernel.now())});
        let members = [
            ("startDate", real.peek().map(|(at, _)| json!(stamp(*at)))),
            ("statistic", self.statistic.as_deref().map(Value::from)),
            ("period", Some(json!(self.period.as_secs()))),
            (
                "recentDatapoints",
                Some(real.filter_map(|(_, value)| *value).collect::<Value>()),
            ),
            ("threshold", Some(json!(self.rule.threshold))),
        ];
        if let Some(object) = data.as_object_mut() {
            object.extend(
                members
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?))),
            );
        }
        data
    }
}

fn rule(input: Input<'_>) -> Result<Rule, ApiError> {
    let operator = required(input, "ComparisonOperator")?;
    let periods = input
        .count("EvaluationPeriods")
        .ok_or_else(|| missing("EvaluationPeriods"))?;
    let to_alarm = input.count("DatapointsToAlarm").unwrap_or(periods);
    if to_alarm < 1 || to_alarm > periods {
        return Err(validation(
            "DatapointsToAlarm must be from 1 to the number of EvaluationPeriods.",
        ));
    }
    let treatment = input.text("TreatMissingData").unwrap_or("missing");
    if input.text("EvaluateLowSampleCountPercentile") == Some("ignore") {
        return Err(ApiError::unsupported(
            "`ignore` of `EvaluateLowSampleCountPercentile` in `PutMetricAlarm` of `cloudwatch`",
        ));
    }
    if input.text("Unit").is_some() {
        return Err(ApiError::unsupported("`Unit` in `PutMetricAlarm` of `cloudwatch`"));
    }
    Ok(Rule {
        comparison: Comparison::parse(operator).ok_or_else(|| {
            ApiError::unsupported(format_args!(
                "the comparison `{operator}` in `PutMetricAlarm` of `cloudwatch`"
            ))
        })?,
        threshold: input
            .0
            .get("Threshold")
            .and_then(Value::as_f64)
            .ok_or_else(|| missing("Threshold"))?,
        periods,
        to_alarm,
        treatment: Treatment::parse(treatment)
            .ok_or_else(|| validation(format!("The value {treatment} for TreatMissingData is invalid.")))?,
    })
}

impl CloudWatch {
    pub(super) fn put(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let name = required(input, "AlarmName")?.to_owned();
        required(input, "ComparisonOperator")?;
        if input.number("EvaluationPeriods").is_none_or(|periods| periods < 1) {
            return Err(missing("EvaluationPeriods"));
        }
        only("PutMetricAlarm", input, &SETTINGS)?;
        let watch = Watch::parse(input)?;
        let mut settings = input.0.as_object().cloned().unwrap_or_default();
        settings.entry("ActionsEnabled".to_owned()).or_insert(Value::Bool(true));
        let now = kernel.now();
        // An alarm that exists keeps its state.
        kernel.alarms.states.entry(name.clone()).or_default();
        let alarm = self.alarms.entry(name).or_insert_with(|| Alarm::made(now));
        alarm.settings = settings;
        alarm.watch = watch;
        alarm.put_at = now;
        alarm.await_evaluation(kernel);
        Ok(json!({}))
    }

    /// An alarm that is never evaluated.
    pub(super) fn insert(&mut self, name: &str, properties: &Value, kernel: &mut Kernel) {
        let now = kernel.now();
        let members = properties.as_object().into_iter().flatten();
        let settings = members.filter(|(member, _)| SETTINGS.contains(&member.as_str()));
        let mut settings: Map<String, Value> = settings.map(|(name, value)| (name.clone(), value.clone())).collect();
        settings.entry("ActionsEnabled".to_owned()).or_insert(Value::Bool(true));
        settings.insert("AlarmName".to_owned(), Value::from(name));
        let is_well = settings.get("TreatMissingData").and_then(Value::as_str) == Some("notBreaching");
        let state = if is_well {
            AlarmState::Ok
        } else {
            AlarmState::InsufficientData
        };
        kernel.alarms.states.insert(name.to_owned(), state);
        let alarm = Alarm {
            settings,
            ..Alarm::made(now)
        };
        self.alarms.insert(name.to_owned(), alarm);
    }

    pub(super) fn set_state(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let name = required(input, "AlarmName")?;
        let value = required(input, "StateValue")?;
        let reason = required(input, "StateReason")?;
        let state = AlarmState::parse(value).ok_or_else(|| {
            let message = format!("Value '{value}' at 'stateValue' failed to satisfy constraint");
            validation(message)
        })?;
        let data = match input.text("StateReasonData").map(serde_json::from_str) {
            None => None,
            Some(Ok(data)) => Some(data),
            Some(Err(_)) => {
                return Err(ApiError::client("InvalidFormat", "StateReasonData is not valid JSON"));
            }
        };
        let Some(alarm) = self.alarms.get_mut(name) else {
            return Err(ApiError {
                status: 404,
                ..ApiError::client("ResourceNotFound", format!("Alarm {name} does not exist"))
            });
        };
        alarm.is_set_by_hand = true;
        let why = Why {
            data,
            ..Why::of(reason)
        };
        alarm.enter(name, state, why, kernel);
        Ok(json!({}))
    }

    pub(super) fn delete(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Value {
        for name in input.list("AlarmNames").iter().filter_map(Value::as_str) {
            self.alarms.remove(name);
            kernel.alarms.states.remove(name);
        }
        json!({})
    }

    /// The moment has come to evaluate an alarm. The timer of an alarm that has gone finds none.
    pub(super) fn evaluate(&mut self, timer: TimerId, kernel: &mut Kernel) {
        let mut alarms = self.alarms.iter_mut();
        if let Some((name, alarm)) = alarms.find(|(_, alarm)| alarm.evaluation == Some(timer)) {
            alarm.evaluation = None;
            alarm.evaluate(name, kernel);
            alarm.await_evaluation(kernel);
        }
    }

    pub(super) fn describe(&self, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        for member in ["ActionPrefix", "ChildrenOfAlarmName", "ParentsOfAlarmName"] {
            if input.text(member).is_some() {
                return Err(ApiError::unsupported(format_args!(
                    "`{member}` in `DescribeAlarms` of `cloudwatch`"
                )));
            }
        }
        let types = input.list("AlarmTypes");
        let are_metric_alarms_wanted = types.is_empty() || types.iter().any(|kind| kind == "MetricAlarm");
        let names = input.list("AlarmNames");
        let prefix = input.text("AlarmNamePrefix").unwrap_or_default();
        let is_wanted = |name: &str, state: AlarmState| {
            are_metric_alarms_wanted
                && (names.is_empty() || names.iter().any(|wanted| wanted == name))
                && name.starts_with(prefix)
                && input.text("StateValue").is_none_or(|wanted| wanted == state.as_str())
        };
        let states = &kernel.alarms.states;
        let described = self.alarms.iter().filter_map(|(name, alarm)| {
            let state = states.get(name).copied().unwrap_or_default();
            is_wanted(name, state).then(|| alarm.describe(name, state, kernel))
        });
        let limit = input.count("MaxRecords").unwrap_or(DEFAULT_RECORDS);
        let (alarms, next) = page(
            described.collect(),
            input.text("NextToken"),
            limit.clamp(1, MAXIMUM_RECORDS),
        )
        .map_err(|_| ApiError::client("InvalidNextToken", "The next token specified is invalid."))?;
        // Composite alarms cannot be put, so there are none.
        Ok(json!({"MetricAlarms": alarms, "CompositeAlarms": [], "NextToken": next}))
    }
}

impl Alarm {
    /// A new alarm, of which nothing is known yet.
    fn made(now: Timestamp) -> Self {
        Self {
            settings: Map::new(),
            watch: None,
            evaluation: None,
            is_set_by_hand: false,
            put_at: now,
            why: Why::of("Unchecked: Initial alarm creation"),
            updated_at: now,
            transitioned_at: now,
        }
    }

    /// An alarm that watches something is evaluated at every whole minute.
    fn await_evaluation(&mut self, kernel: &mut Kernel) {
        if self.watch.is_none() {
            self.evaluation = None;
        } else if self.evaluation.is_none() {
            let next = minute_of(kernel.now()).saturating_add(EVALUATION_INTERVAL);
            self.evaluation = Some(kernel.wake_at(next.unwrap_or(Timestamp::MAX), NAME));
        }
    }

    /// A state that was set by hand stays as long as there never was anything to judge by.
    fn evaluate(&mut self, name: &str, kernel: &mut Kernel) {
        let Some(watch) = &self.watch else { return };
        let has_data = watch.metrics().any(|metric| kernel.metrics.has_samples(metric));
        if self.is_set_by_hand && !has_data {
            return;
        }
        self.is_set_by_hand = false;
        let current = kernel.alarms.states.get(name).copied().unwrap_or_default();
        let (state, why) = watch.judge(current, kernel);
        if state != current {
            self.enter(name, state, why, kernel);
        }
    }

    /// Puts the alarm into a state. A change is put on the default bus.
    fn enter(&mut self, name: &str, state: AlarmState, why: Why, kernel: &mut Kernel) {
        let now = kernel.now();
        let former = kernel.alarms.states.insert(name.to_owned(), state).unwrap_or_default();
        let previous = shown_state(former, &self.why, self.updated_at);
        self.updated_at = now;
        self.why = why;
        if former == state {
            return;
        }
        self.transitioned_at = now;
        let detail = json!({
            "alarmName": name,
            "configuration": self.configuration(kernel),
            "previousState": previous,
            "state": shown_state(state, &self.why, now),
        });
        let arn = arn(name, kernel);
        kernel.emit("aws.cloudwatch", "CloudWatch Alarm State Change", &[arn], detail);
    }

    /// `configuration` of the event: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html>.
    fn configuration(&self, kernel: &mut Kernel) -> Value {
        let queries = self.watch.iter().flat_map(|watch| &watch.queries);
        let metrics: Vec<Value> = queries
            .filter_map(|query| match &query.source {
                Source::Metric {
                    metric,
                    spelling,
                    period,
                    ..
                } => Some(json!({
                    "id": kernel.uuid(),
                    "metricStat": {
                        "metric": {"dimensions": metric.dimensions, "name": metric.name, "namespace": metric.namespace},
                        "period": period.as_secs(),
                        "stat": spelling,
                    },
                    "returnData": query.is_returned,
                })),
                Source::Expression(_) => None,
            })
            .collect();
        let mut configuration = json!({"metrics": metrics});
        if let (Some(object), Some(description)) =
            (configuration.as_object_mut(), self.settings.get("AlarmDescription"))
        {
            object.insert("description".to_owned(), description.clone());
        }
        configuration
    }

    fn describe(&self, name: &str, state: AlarmState, kernel: &Kernel) -> Value {
        let mut members = self.settings.clone();
        // A threshold is a floating-point number, however it was written.
        if let Some(threshold) = members.get_mut("Threshold")
            && let Some(number) = threshold.as_f64()
        {
            *threshold = Value::from(number);
        }
        members.extend([
            ("AlarmArn".to_owned(), Value::from(arn(name, kernel))),
            (
                "AlarmConfigurationUpdatedTimestamp".to_owned(),
                epoch_seconds(self.put_at),
            ),
            ("StateValue".to_owned(), Value::from(state.as_str())),
            ("StateReason".to_owned(), Value::from(self.why.reason.as_str())),
            ("StateUpdatedTimestamp".to_owned(), epoch_seconds(self.updated_at)),
            (
                "StateTransitionedTimestamp".to_owned(),
                epoch_seconds(self.transitioned_at),
            ),
        ]);
        if let Some(data) = &self.why.data {
            members.insert("StateReasonData".to_owned(), Value::from(data.to_string()));
        }
        Value::Object(members)
    }
}

fn shown_state(state: AlarmState, why: &Why, since: Timestamp) -> Value {
    let mut shown = json!({"reason": why.reason, "timestamp": stamp(since), "value": state.as_str()});
    if let (Some(object), Some(data)) = (shown.as_object_mut(), &why.data) {
        object.insert("reasonData".to_owned(), Value::from(data.to_string()));
    }
    shown
}

/// A time as the events of alarms have it.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

fn arn(name: &str, kernel: &Kernel) -> String {
    kernel.arn("cloudwatch", &format!("alarm:{name}"))
}

pub(super) fn authorizations(operation: &str, input: Input<'_>, kernel: &Kernel) -> Vec<Authorization> {
    let listed = input.list("AlarmNames").iter().filter_map(Value::as_str);
    let mut resources: Vec<String> = listed
        .chain(input.text("AlarmName"))
        .map(|name| arn(name, kernel))
        .collect();
    // Composite alarms are shown to those only who may read all alarms.
    let is_composite = |kind: &Value| kind == "CompositeAlarm";
    if resources.is_empty() || input.list("AlarmTypes").iter().any(is_composite) {
        resources = vec!["*".to_owned()];
    }
    resources
        .into_iter()
        .map(|resource| Authorization::new(format!("cloudwatch:{operation}"), resource))
        .collect()
}
