//! Reading the metrics of CloudWatch.

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric as ShownMetric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy,
};
use aws_smithy_types::DateTime;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::{Metric, MetricMeasure};
use esclusa_core::plan::FargateUsage;
use esclusa_core::verification::{MetricSight, MetricWindow, baseline, is_early};
use jiff::Timestamp;

use crate::sdk::failure;

const ACTION: &str = "cloudwatch:GetMetricData";

/// The name of the value of an expression. No key of a pipeline has an underscore.
const VALUE: &str = "the_value";

/// The names of what Fargate runs and of what it may run.
const USED: &str = "used";
const QUOTA: &str = "quota";

/// How long a datapoint of a usage metric is, and how far back one is looked for, in seconds: they are published every minute, and late.
const USAGE_PERIOD_SECONDS: i64 = 60;
const USAGE_WINDOW_SECONDS: i64 = 1_800;

/// Reads metrics. Changes nothing.
#[derive(Debug, Clone)]
pub struct MetricReader {
    client: Client,
}

impl MetricReader {
    /// A reader of the metrics of this account and Region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// What CloudWatch shows of a measure: the newest datapoint since the verification began, the samples in the same period, and what it was before the deployment
    /// began where the limit asks for it.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when CloudWatch cannot compute the expression.
    pub async fn sight(
        &self,
        measure: &MetricMeasure,
        deployment_began_at: Timestamp,
        verification_began_at: Timestamp,
        now: Timestamp,
    ) -> Result<MetricSight, Failure> {
        let window = MetricWindow::of_value(measure, verification_began_at, now);
        let (mut newest, mut samples) = (None, None);
        if window.from < window.to {
            let answer = self.data(measure, window).await?;
            newest = series(&answer, value_of(measure)).first().copied();
            samples = measure.samples.as_ref().and_then(|samples| {
                let (at, _) = newest?;
                let counted = series(&answer, samples.of.as_str());
                counted
                    .iter()
                    .find(|(counted, _)| *counted == at)
                    .map(|(_, count)| *count)
            });
        }
        let before = match MetricWindow::of_baseline(measure, deployment_began_at) {
            Some(window) => series(&self.data(measure, window).await?, value_of(measure)),
            None => Vec::new(),
        };
        let before: Vec<f64> = before.into_iter().map(|(_, value)| value).collect();
        Ok(MetricSight {
            value: newest.map(|(_, value)| value),
            samples,
            baseline: baseline(measure, &before),
            is_early: is_early(measure, verification_began_at, now),
        })
    }

    /// How many vCPU Fargate runs on demand in this account and Region, and how many it may run: CloudWatch knows the quota that a usage metric counts against, so
    /// that nobody needs a permission to read quotas. Nothing where there is no usage to be seen, as where nothing runs.
    ///
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Quotas-Visualize-Alarms.html>
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn fargate_usage(&self, now: Timestamp) -> Result<Option<FargateUsage>, Failure> {
        let metric = Metric {
            namespace: "AWS/Usage".to_owned(),
            name: "ResourceCount".to_owned(),
            dimensions: [
                ("Service", "Fargate"),
                ("Type", "Resource"),
                ("Resource", "vCPU"),
                ("Class", "Standard/OnDemand"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
            statistic: "Maximum".to_owned(),
        };
        let period = u32::try_from(USAGE_PERIOD_SECONDS).unwrap_or(u32::MAX);
        let used = MetricDataQuery::builder().id(USED).metric_stat(stat(&metric, period));
        let quota = MetricDataQuery::builder()
            .id(QUOTA)
            .expression(format!("SERVICE_QUOTA({USED})"));
        let to = now.as_second() - now.as_second().rem_euclid(USAGE_PERIOD_SECONDS);
        let answer = self
            .client
            .get_metric_data()
            .metric_data_queries(used.build())
            .metric_data_queries(quota.build())
            .start_time(DateTime::from_secs(to.saturating_sub(USAGE_WINDOW_SECONDS)))
            .end_time(DateTime::from_secs(to))
            .scan_by(ScanBy::TimestampDescending)
            .send()
            .await
            .map_err(|error| failure(ACTION, &error))?;
        let newest = |name| series(&answer, name).first().map(|(_, value)| *value);
        let seen = newest(USED).zip(newest(QUOTA));
        Ok(seen.map(|(used_vcpus, quota_vcpus)| FargateUsage {
            used_vcpus,
            quota_vcpus,
        }))
    }

    /// The datapoints of the measure, the newest first.
    async fn data(&self, measure: &MetricMeasure, window: MetricWindow) -> Result<GetMetricDataOutput, Failure> {
        let answer = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(queries(measure)))
            .start_time(DateTime::from_secs(window.from))
            .end_time(DateTime::from_secs(window.to))
            .scan_by(ScanBy::TimestampDescending)
            .send()
            .await;
        let answer = answer.map_err(|error| failure(ACTION, &error))?;
        let results = answer.metric_data_results().iter();
        let told = answer
            .messages()
            .iter()
            .chain(results.flat_map(MetricDataResult::messages));
        let told: Vec<&str> = told.filter_map(|message| message.value()).collect();
        // It also tells of datapoints that it left out, such as those of a division by zero, beside those that there are.
        if told.is_empty() || !series(&answer, value_of(measure)).is_empty() {
            return Ok(answer);
        }
        let is_left_out = told
            .iter()
            .all(|message| message.contains("data-points have been dropped"));
        if is_left_out {
            Ok(answer)
        } else {
            Err(Failure::refused(format!("`{ACTION}` says: {}", told.join("; "))))
        }
    }
}

/// The name of what is judged.
fn value_of(measure: &MetricMeasure) -> &str {
    let only = measure.metrics.keys().next().filter(|_| measure.expression.is_none());
    only.map_or(VALUE, |only| only.as_str())
}

fn queries(measure: &MetricMeasure) -> Vec<MetricDataQuery> {
    let counted = measure.samples.as_ref().map(|samples| samples.of.as_str());
    let metrics = measure.metrics.iter().map(|(name, metric)| {
        let name = name.as_str();
        MetricDataQuery::builder()
            .id(name)
            .metric_stat(stat(metric, measure.period_seconds))
            .return_data(name == value_of(measure) || Some(name) == counted)
            .build()
    });
    let expression = measure.expression.as_ref().map(|expression| {
        MetricDataQuery::builder()
            .id(VALUE)
            .expression(expression)
            .return_data(true)
            .build()
    });
    metrics.chain(expression).collect()
}

fn stat(metric: &Metric, period_seconds: u32) -> MetricStat {
    let dimensions = metric
        .dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let shown = ShownMetric::builder()
        .namespace(&metric.namespace)
        .metric_name(&metric.name)
        .set_dimensions(Some(dimensions.collect()))
        .build();
    MetricStat::builder()
        .metric(shown)
        .period(i32::try_from(period_seconds).unwrap_or(i32::MAX))
        .stat(&metric.statistic)
        .build()
}

/// The datapoints of one query, in the order of the answer.
fn series(answer: &GetMetricDataOutput, name: &str) -> Vec<(i64, f64)> {
    let results = answer.metric_data_results().iter();
    let of_name = results.filter(|result| result.id() == Some(name));
    of_name
        .flat_map(|result| result.timestamps().iter().zip(result.values()))
        .map(|(at, value)| (at.secs(), *value))
        .collect()
}
