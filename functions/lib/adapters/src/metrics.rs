//! Reading the metrics of CloudWatch.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{
    Dimension, MessageData, Metric as ShownMetric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode,
};
use aws_smithy_types::DateTime;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::{ConsumersMeasure, Metric, MetricMeasure};
use esclusa_core::plan::FargateUsage;
use esclusa_core::verification::{
    JudgedPeriods, MetricPeriod, MetricSight, MetricWindow, QueueMinute, QueueSight, baseline, queue_window,
};
use jiff::Timestamp;

use crate::client;
use crate::sdk::{OnFirstUse, failure};

const ACTION: &str = "cloudwatch:GetMetricData";

/// The name of the value of an expression. No key of a pipeline has an underscore.
const VALUE: &str = "the_value";

/// The names of what Fargate runs and of what it may run.
const USED: &str = "used";
const QUOTA: &str = "quota";

/// How long a datapoint of a usage metric is, and how far back one is looked for, in seconds: they are published every
/// minute, and late.
const USAGE_PERIOD_SECONDS: i64 = 60;
const USAGE_WINDOW_SECONDS: i64 = 1_800;

/// The name of the first of the metrics of a queue.
const WAITING: &str = "waiting";

/// What is read of a queue: names, metrics and statistics
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>).
const QUEUE_METRICS: [(&str, &str, &str); 5] = [
    (WAITING, "ApproximateNumberOfMessagesVisible", "Maximum"),
    ("in_flight", "ApproximateNumberOfMessagesNotVisible", "Maximum"),
    ("received", "NumberOfMessagesReceived", "Sum"),
    ("empty_receives", "NumberOfEmptyReceives", "Sum"),
    ("deleted", "NumberOfMessagesDeleted", "Sum"),
];

/// How often a queue is measured.
const QUEUE_PERIOD_SECONDS: u32 = 60;

/// Reads metrics. Changes nothing.
#[derive(Debug, Clone)]
pub struct MetricReader {
    client: OnFirstUse<Client>,
}

impl MetricReader {
    /// A reader of the metrics of this account and Region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_cloudwatch, config),
        }
    }

    /// What CloudWatch shows of a measure: the periods since the last rollout that were not judged for good `before`,
    /// each with its samples.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when CloudWatch cannot compute the expression.
    pub async fn sight(
        &self,
        measure: &MetricMeasure,
        rolled_out_at: Timestamp,
        baseline: Option<f64>,
        before: Option<&JudgedPeriods>,
        now: Timestamp,
    ) -> Result<MetricSight, Failure> {
        let window = MetricWindow::of_values(measure, rolled_out_at, before, now);
        let mut sight = MetricSight {
            baseline,
            ..MetricSight::default()
        };
        if window.from < window.to {
            let results = self.data(queries(measure), value_of(measure), window).await?;
            let counted = measure.samples.as_ref();
            let counted = counted.map_or_else(BTreeMap::new, |samples| series(&results, samples.of.as_str()));
            let values = series(&results, value_of(measure)).into_iter();
            let periods = values.map(|(began, value)| {
                let samples = counted.get(&began).copied();
                (began, MetricPeriod { value, samples })
            });
            sight.periods = periods.collect();
            let recent = counted.range(MetricWindow::recent(measure, now)..);
            sight.samples = recent.last().map(|(_, count)| *count);
        }
        Ok(sight)
    }

    /// What it was before the deployment acted, where the limit asks for it and there was anything.
    ///
    /// # Errors
    /// Those of [`MetricReader::sight`].
    pub async fn baseline(&self, measure: &MetricMeasure, acted_at: Timestamp) -> Result<Option<f64>, Failure> {
        let Some(window) = MetricWindow::of_baseline(measure, acted_at) else {
            return Ok(None);
        };
        let results = self.data(queries(measure), value_of(measure), window).await?;
        let before = series(&results, value_of(measure));
        let newest_first: Vec<f64> = before.into_values().rev().collect();
        Ok(baseline(measure, &newest_first))
    }

    /// How many vCPU Fargate runs on demand in this account and Region, and how many it may run: CloudWatch knows the
    /// quota that a usage metric counts against, so that nobody needs a permission to read quotas. Nothing where
    /// there is no usage to be seen, as where nothing runs.
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
        let window = MetricWindow {
            from: to.saturating_sub(USAGE_WINDOW_SECONDS),
            to,
        };
        let results = self.data(vec![used.build(), quota.build()], USED, window).await?;
        let newest = |name| {
            let values = series(&results, name);
            values.last_key_value().map(|(_, value)| *value)
        };
        let seen = newest(USED).zip(newest(QUOTA));
        Ok(seen.map(|(used_vcpus, quota_vcpus)| FargateUsage {
            used_vcpus,
            quota_vcpus,
        }))
    }

    /// What CloudWatch shows of a queue: the minutes since the verification began of which it shows everything.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn queue(
        &self,
        measure: &ConsumersMeasure,
        verification_began_at: Timestamp,
        now: Timestamp,
    ) -> Result<QueueSight, Failure> {
        let window = queue_window(measure, verification_began_at, now);
        if window.from >= window.to {
            return Ok(QueueSight::new());
        }
        let query = |(name, metric, statistic): &(&str, &str, &str)| {
            let dimensions = [("QueueName".to_owned(), measure.queue.clone())];
            let metric = Metric {
                namespace: "AWS/SQS".to_owned(),
                name: (*metric).to_owned(),
                dimensions: dimensions.into_iter().collect(),
                statistic: (*statistic).to_owned(),
            };
            let stat = stat(&metric, QUEUE_PERIOD_SECONDS);
            MetricDataQuery::builder()
                .id(*name)
                .metric_stat(stat)
                .return_data(true)
                .build()
        };
        let results = self
            .data(QUEUE_METRICS.iter().map(query).collect(), WAITING, window)
            .await?;
        let [waiting, in_flight, received, empty_receives, deleted] =
            QUEUE_METRICS.map(|(name, ..)| series(&results, name));
        let minutes = waiting.iter().filter_map(|(began, waiting)| {
            let minute = QueueMinute {
                waiting: *waiting,
                in_flight: *in_flight.get(began)?,
                received: *received.get(began)?,
                empty_receives: *empty_receives.get(began)?,
                deleted: *deleted.get(began)?,
            };
            Some((*began, minute))
        });
        Ok(minutes.collect())
    }

    /// The datapoints of these queries, all pages of them; `value` is the name of the one that is judged.
    async fn data(
        &self,
        queries: Vec<MetricDataQuery>,
        value: &str,
        window: MetricWindow,
    ) -> Result<Vec<MetricDataResult>, Failure> {
        let request = self.client.get_metric_data().set_metric_data_queries(Some(queries));
        let request = request
            .start_time(DateTime::from_secs(window.from))
            .end_time(DateTime::from_secs(window.to));
        let mut pages = request.scan_by(ScanBy::TimestampDescending).into_paginator().send();
        let (mut results, mut messages) = (Vec::new(), Vec::new());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure(ACTION, &error))?;
            results.extend(page.metric_data_results.unwrap_or_default());
            messages.extend(page.messages.unwrap_or_default());
        }
        // Of a query that comes in several pages the last one says whether all of it is there.
        let last: BTreeMap<&str, &StatusCode> = results
            .iter()
            .filter_map(|result| Some((result.id()?, result.status_code()?)))
            .collect();
        if let Some((query, status)) = last
            .into_iter()
            .find(|(_, status)| matches!(status, StatusCode::InternalError | StatusCode::PartialData))
        {
            return Err(Failure::transient(format!(
                "`{ACTION}` answers `{query}` with `{status}`: not all of its data could be read"
            )));
        }
        let told = messages
            .iter()
            .chain(results.iter().flat_map(MetricDataResult::messages));
        let told: Vec<&str> = told.filter_map(MessageData::value).collect();
        // It also tells of datapoints that it left out, such as those of a division by zero, beside those that there
        // are.
        let mut unknown = told
            .iter()
            .filter(|told| !told.contains("data-points have been dropped"));
        if unknown.next().is_some() && series(&results, value).is_empty() {
            return Err(Failure::refused(format!("`{ACTION}` says: {}", told.join("; "))));
        }
        Ok(results)
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

/// The datapoints of one query, by the begin of their periods in seconds since 1970.
fn series(results: &[MetricDataResult], name: &str) -> BTreeMap<i64, f64> {
    let of_name = results.iter().filter(|result| result.id() == Some(name));
    of_name
        .flat_map(|result| result.timestamps().iter().zip(result.values()))
        .map(|(at, value)| (at.secs(), *value))
        .collect()
}
