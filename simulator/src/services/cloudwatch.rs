//! Amazon CloudWatch: metrics that are put and read, and metric alarms that watch them or are put into their states by
//! hand.

mod alarms;
mod data;
mod judge;
mod math;
mod overview;

use std::collections::BTreeMap;

use serde_json::Value;
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, Service, TimerId};

use super::{Input, epoch_seconds, page};
use alarms::Alarm;

/// The signing name of the service.
const NAME: &str = "monitoring";

const ALARM_OPERATIONS: [&str; 4] = ["PutMetricAlarm", "SetAlarmState", "DescribeAlarms", "DeleteAlarms"];
const OPERATIONS: [&str; 8] = [
    "PutMetricAlarm",
    "SetAlarmState",
    "DescribeAlarms",
    "DeleteAlarms",
    "PutMetricData",
    "GetMetricData",
    "GetMetricStatistics",
    "ListMetrics",
];

/// The service `monitoring`.
#[derive(Debug, Default)]
pub struct CloudWatch {
    alarms: BTreeMap<String, Alarm>,
}

impl CloudWatch {
    /// Puts an alarm of a template, which nobody evaluates until it is put again: its metrics are published only where
    /// the output of functions is kept. It is in the state that missing data gives it where that is no alarm.
    pub(crate) fn provide(&mut self, name: &str, properties: &Value, kernel: &mut Kernel) {
        self.insert(name, properties, kernel);
    }

    fn operate(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let input = Input(&request.input);
        match request.operation.as_str() {
            "PutMetricAlarm" => self.put(input, kernel),
            "SetAlarmState" => self.set_state(input, kernel),
            "DescribeAlarms" => self.describe(input, kernel),
            "DeleteAlarms" => Ok(self.delete(input, kernel)),
            "PutMetricData" => data::put(input, kernel),
            "GetMetricData" => data::get(input, kernel),
            "GetMetricStatistics" => overview::statistics(input, kernel),
            "ListMetrics" => overview::list(input, kernel),
            other => Err(ApiError::unknown_operation("cloudwatch", other, &OPERATIONS)),
        }
    }
}

/// Refuses the first member of an input that is not simulated.
fn only(operation: &str, input: Input<'_>, known: &[&str]) -> Result<(), ApiError> {
    super::only("cloudwatch", operation, input, known)
}

fn required<'i>(input: Input<'i>, member: &str) -> Result<&'i str, ApiError> {
    input.text(member).ok_or_else(|| missing(member))
}

fn missing(member: &str) -> ApiError {
    ApiError::client("MissingParameter", format!("The parameter {member} is required."))
}

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationError", message)
}

impl Service for CloudWatch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let operation = request.operation.as_str();
        let input = Input(&request.input);
        match operation {
            "GetMetricData" | "GetMetricStatistics" | "ListMetrics" => {
                vec![Authorization::new(format!("cloudwatch:{operation}"), "*")]
            }
            "PutMetricData" => {
                let namespace = input.text("Namespace").unwrap_or_default();
                vec![Authorization::new("cloudwatch:PutMetricData", "*").with("cloudwatch:namespace", namespace)]
            }
            operation if ALARM_OPERATIONS.contains(&operation) => alarms::authorizations(operation, input, kernel),
            _ => Vec::new(),
        }
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(self.operate(request, kernel))
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        self.evaluate(timer, kernel);
    }
}
