//! What people look at first: which metrics there are, and the statistics of one.

use serde_json::{Map, Value, json};
use simulator_kernel::{ApiError, Kernel, Metric, Window};

use super::data::{dimensions, minute_of, period, statistic, time};
use super::{Input, epoch_seconds, missing, only, page, required};

/// How many metrics one answer has at most.
const MAXIMUM_METRICS: usize = 500;

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html>
pub(super) fn list(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    only(
        "ListMetrics",
        input,
        &["Namespace", "MetricName", "Dimensions", "NextToken"],
    )?;
    let is_meant = |metric: &&Metric| {
        let has = |dimension: &Value| {
            let dimension = Input(dimension);
            let value = dimension.text("Name").and_then(|name| metric.dimensions.get(name));
            value.is_some_and(|value| dimension.text("Value").is_none_or(|wanted| wanted == value))
        };
        input
            .text("Namespace")
            .is_none_or(|namespace| namespace == metric.namespace)
            && input.text("MetricName").is_none_or(|name| name == metric.name)
            && input.list("Dimensions").iter().all(has)
    };
    let describe = |metric: &Metric| {
        let dimensions = metric.dimensions.iter();
        let dimensions: Vec<Value> = dimensions
            .map(|(name, value)| json!({"Name": name, "Value": value}))
            .collect();
        json!({"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions})
    };
    let metrics = kernel.metrics.known().filter(is_meant).map(describe).collect();
    let (metrics, next) = page::<Value>(metrics, input.text("NextToken"), MAXIMUM_METRICS)?;
    Ok(json!({"Metrics": metrics, "NextToken": next}))
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html>
pub(super) fn statistics(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let known = [
        "Namespace",
        "MetricName",
        "Dimensions",
        "StartTime",
        "EndTime",
        "Period",
        "Statistics",
        "ExtendedStatistics",
    ];
    only("GetMetricStatistics", input, &known)?;
    let metric = Metric {
        namespace: required(input, "Namespace")?.to_owned(),
        name: required(input, "MetricName")?.to_owned(),
        dimensions: dimensions(input)?,
    };
    let moment = |member: &str| time(input, member)?.ok_or_else(|| missing(member));
    let window = Window {
        start: minute_of(moment("StartTime")?),
        end: moment("EndTime")?,
        period: period(input)?,
    };
    let names = |member: &str| input.list(member).iter().filter_map(Value::as_str);
    if names("Statistics").chain(names("ExtendedStatistics")).next().is_none() {
        return Err(missing("Statistics"));
    }
    let mut datapoints: std::collections::BTreeMap<jiff::Timestamp, Map<String, Value>> = Default::default();
    for (name, is_extended) in names("Statistics")
        .map(|name| (name, false))
        .chain(names("ExtendedStatistics").map(|name| (name, true)))
    {
        for (at, value) in kernel.metrics.datapoints(&metric, statistic(name)?, window) {
            let datapoint = datapoints.entry(at).or_default();
            if is_extended {
                let extended = datapoint.entry("ExtendedStatistics").or_insert_with(|| json!({}));
                if let Some(extended) = extended.as_object_mut() {
                    extended.insert(name.to_owned(), json!(value));
                }
            } else {
                datapoint.insert(name.to_owned(), json!(value));
            }
        }
    }
    let datapoints: Vec<Value> = datapoints
        .into_iter()
        .map(|(at, mut datapoint)| {
            datapoint.insert("Timestamp".to_owned(), epoch_seconds(at));
            datapoint.insert("Unit".to_owned(), json!("None"));
            datapoint.into()
        })
        .collect();
    Ok(json!({"Label": metric.name, "Datapoints": datapoints}))
}
