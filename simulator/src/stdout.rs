//! What functions write, and what becomes of it: lines of a log group, and metrics where a line is in the embedded
//! metric format. <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use simulator_kernel::{Kernel, Metric, Metrics, Sample};

/// The standard output of one invocation of an in-process function.
#[derive(Debug, Clone, Default)]
pub struct Stdout(Arc<Mutex<Vec<u8>>>);

impl Stdout {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        // Whole after every write.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was written.
    pub(crate) fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.bytes())).into_owned()
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_aws")]
    metadata: Metadata,
    #[serde(flatten)]
    members: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: i64,
    cloud_watch_metrics: Vec<Directive>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: String,
    dimensions: Vec<Vec<String>>,
    metrics: Vec<Definition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: String,
}

/// Writes a line into a log group, and puts the metrics that are embedded in it. A line that is not in that format is a
/// line.
pub(crate) fn write(group: &str, line: &str, kernel: &mut Kernel) {
    let now = kernel.now();
    kernel.logs.write(group, "simulator", now, line);
    if !line.contains("\"_aws\"") {
        return;
    }
    let Ok(Line { metadata, members }) = serde_json::from_str::<Line>(line) else {
        return;
    };
    let Ok(at) = Timestamp::from_millisecond(metadata.timestamp) else {
        return;
    };
    if !Metrics::are_kept(at, now) {
        return;
    }
    for directive in &metadata.cloud_watch_metrics {
        for names in &directive.dimensions {
            let value = |name: &String| Some((name.clone(), members.get(name)?.as_str()?.to_owned()));
            let Some(dimensions) = names.iter().map(value).collect::<Option<BTreeMap<_, _>>>() else {
                continue;
            };
            for definition in &directive.metrics {
                let metric = Metric {
                    namespace: directive.namespace.clone(),
                    name: definition.name.clone(),
                    dimensions: dimensions.clone(),
                };
                let values = match members.get(&definition.name) {
                    Some(Value::Array(values)) => values.iter().filter_map(Value::as_f64).collect(),
                    Some(value) => Vec::from_iter(value.as_f64()),
                    None => Vec::new(),
                };
                for value in values {
                    kernel.metrics.put(&metric, Sample { at, value, count: 1.0 });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;
    use simulator_kernel::{Statistic, Window};

    use super::*;

    fn kernel() -> Kernel {
        Kernel::new(
            "123456789012",
            "us-east-1",
            Timestamp::from_second(1_793_610_000).unwrap(),
            1,
        )
    }

    fn line(at_seconds: i64, value: &Value) -> String {
        json!({
            "_aws": {
                "Timestamp": at_seconds * 1_000,
                "CloudWatchMetrics": [{
                    "Namespace": "Canal", "Dimensions": [["service", "verdict"], ["service"], ["service", "absent"]],
                    "Metrics": [{"Name": "Ends", "Unit": "Count"}],
                }],
            },
            "service": "esclusa", "verdict": "FAILED", "Ends": value,
        })
        .to_string()
    }

    fn sum(kernel: &Kernel, dimensions: &[(&str, &str)]) -> Option<f64> {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let metric = Metric {
            namespace: "Canal".to_owned(),
            name: "Ends".to_owned(),
            dimensions: dimensions.iter().map(text).collect(),
        };
        let start = Timestamp::from_second(1_793_606_400).unwrap();
        let window = Window {
            start,
            end: start + SignedDuration::from_hours(8),
            period: SignedDuration::from_hours(8),
        };
        let points = kernel.metrics.datapoints(&metric, Statistic::Sum, window);
        points.values().next().copied()
    }

    #[test]
    fn a_line_in_the_format_is_a_metric_of_each_set_of_dimensions_that_it_has() {
        let mut kernel = kernel();
        write("/esclusa/record", &line(1_793_610_000, &json!(2)), &mut kernel);
        write("/esclusa/record", &line(1_793_610_000, &json!([1, 4])), &mut kernel);
        assert_eq!(
            sum(&kernel, &[("service", "esclusa"), ("verdict", "FAILED")]),
            Some(7.0)
        );
        assert_eq!(sum(&kernel, &[("service", "esclusa")]), Some(7.0));
        assert_eq!(kernel.logs.groups["/esclusa/record"]["simulator"].len(), 2);
    }

    #[test]
    fn what_is_not_of_these_weeks_or_not_in_the_format_is_a_line_only() {
        let mut kernel = kernel();
        let lines = [
            line(1_793_610_000 - 15 * 86_400, &json!(1)),
            line(1_793_610_000 + 3 * 3_600, &json!(1)),
            line(1_793_610_000, &json!("many")),
            r#"{"_aws": "nothing"}"#.to_owned(),
            r#"the member "_aws" names it"#.to_owned(),
        ];
        for line in &lines {
            write("/esclusa/record", line, &mut kernel);
        }
        assert_eq!(sum(&kernel, &[("service", "esclusa")]), None);
        assert_eq!(kernel.logs.groups["/esclusa/record"]["simulator"].len(), lines.len());
    }
}
