//! Amazon CloudWatch: metric alarms that are put into their states by hand. No metric is kept, so no alarm changes its state by itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use simulator_kernel::{AlarmState, ApiError, Authorization, Kernel, Reply, Request, Service};

use super::{Input, epoch_seconds, page, unknown};

const OPERATIONS: [&str; 4] = ["PutMetricAlarm", "SetAlarmState", "DescribeAlarms", "DeleteAlarms"];

/// What can be said of an alarm when it is put, and is shown again. `Tags` are shown by another operation.
const SETTINGS: [&str; 21] = [
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
    "ThresholdMetricId",
    "TreatMissingData",
    "Unit",
];

/// The most alarms of one answer, and how many there are unless the caller says.
const MAXIMUM_RECORDS: usize = 100;
const DEFAULT_RECORDS: usize = 50;

/// An alarm without its state, which the kernel keeps.
#[derive(Debug)]
struct Alarm {
    settings: Map<String, Value>,
    put_at: Timestamp,
    reason: String,
    updated_at: Timestamp,
    transitioned_at: Timestamp,
}

/// The service `monitoring`.
#[derive(Debug, Default)]
pub struct CloudWatch {
    alarms: BTreeMap<String, Alarm>,
}

impl CloudWatch {
    fn put(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let name = required(input, "AlarmName")?.to_owned();
        required(input, "ComparisonOperator")?;
        if input.number("EvaluationPeriods").is_none_or(|periods| periods < 1) {
            return Err(missing("EvaluationPeriods"));
        }
        let mut settings = input.0.as_object().cloned().unwrap_or_default();
        if let Some(unknown) = settings.keys().find(|member| !SETTINGS.contains(&member.as_str())) {
            return Err(ApiError::unsupported(format_args!(
                "`{unknown}` in `PutMetricAlarm` of `cloudwatch`"
            )));
        }
        settings.entry("ActionsEnabled".to_owned()).or_insert(Value::Bool(true));
        let now = kernel.now();
        // An alarm that exists keeps its state.
        kernel.alarms.states.entry(name.clone()).or_default();
        let alarm = self.alarms.entry(name).or_insert_with(|| Alarm {
            settings: Map::new(),
            put_at: now,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            updated_at: now,
            transitioned_at: now,
        });
        alarm.settings = settings;
        alarm.put_at = now;
        Ok(json!({}))
    }

    fn set_state(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let name = required(input, "AlarmName")?;
        let value = required(input, "StateValue")?;
        let reason = required(input, "StateReason")?.to_owned();
        let state = AlarmState::parse(value).ok_or_else(|| {
            let message = format!("Value '{value}' at 'stateValue' failed to satisfy constraint");
            ApiError::client("ValidationError", message)
        })?;
        let now = kernel.now();
        let (Some(alarm), Some(current)) = (self.alarms.get_mut(name), kernel.alarms.states.get_mut(name)) else {
            return Err(ApiError {
                status: 404,
                ..ApiError::client("ResourceNotFound", format!("Alarm {name} does not exist"))
            });
        };
        if *current != state {
            alarm.transitioned_at = now;
        }
        alarm.updated_at = now;
        alarm.reason = reason;
        *current = state;
        Ok(json!({}))
    }

    fn delete(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Value {
        for name in input.list("AlarmNames").iter().filter_map(Value::as_str) {
            self.alarms.remove(name);
            kernel.alarms.states.remove(name);
        }
        json!({})
    }

    fn describe(&self, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
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

    fn operate(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let input = Input(&request.input);
        match request.operation.as_str() {
            "PutMetricAlarm" => self.put(input, kernel),
            "SetAlarmState" => self.set_state(input, kernel),
            "DescribeAlarms" => self.describe(input, kernel),
            "DeleteAlarms" => Ok(self.delete(input, kernel)),
            other => Err(unknown("cloudwatch", other, &OPERATIONS)),
        }
    }
}

impl Alarm {
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
            ("StateReason".to_owned(), Value::from(self.reason.as_str())),
            ("StateUpdatedTimestamp".to_owned(), epoch_seconds(self.updated_at)),
            (
                "StateTransitionedTimestamp".to_owned(),
                epoch_seconds(self.transitioned_at),
            ),
        ]);
        Value::Object(members)
    }
}

fn arn(name: &str, kernel: &Kernel) -> String {
    kernel.arn("cloudwatch", &format!("alarm:{name}"))
}

fn required<'i>(input: Input<'i>, member: &str) -> Result<&'i str, ApiError> {
    input.text(member).ok_or_else(|| missing(member))
}

fn missing(member: &str) -> ApiError {
    ApiError::client("MissingParameter", format!("The parameter {member} is required."))
}

impl Service for CloudWatch {
    fn name(&self) -> &'static str {
        "monitoring"
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let operation = request.operation.as_str();
        if !OPERATIONS.contains(&operation) {
            return Vec::new();
        }
        let input = Input(&request.input);
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

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(self.operate(request, kernel))
    }
}
