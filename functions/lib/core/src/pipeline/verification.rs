//! What the pipeline file says about verification: for how long a release must work before it counts as good, and what
//! is looked at.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::Name;

/// How it is verified that what was deployed works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// Seconds for which everything must be healthy without a break; any other look begins them again.
    #[schemars(range(min = 0, max = 21_600))]
    pub soak_seconds: u32,
    /// Seconds, from the end of the rollout, in which it must have been healthy for that long; then the verification
    /// has failed. `soak_seconds` and a quarter of an hour unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 43_200))]
    pub timeout_seconds: Option<u32>,
    /// How the services themselves are looked at: their tasks run, run the released image, and do not stop.
    #[serde(default)]
    pub services: Pace,
    /// What else is looked at.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub checks: IndexMap<Name, Check>,
}

/// One thing that is looked at again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is measured.
    pub measure: Measure,
    /// When it is measured, and what it may show before it decides.
    #[serde(default)]
    pub pace: Pace,
    /// What happens when it has failed.
    #[serde(default)]
    pub reaction: Reaction,
    /// How a person is asked, where `reaction` is `ask`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
}

/// How a person is asked what becomes of a release whose check has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Seconds in which somebody may answer. The check is measured on meanwhile; one that recovers is no question any
    /// more.
    #[serde(default = "default_answer_seconds")]
    #[schemars(range(min = 60, max = 21_600))]
    pub answer_seconds: u32,
    /// What happens when nobody does.
    #[serde(default)]
    pub unanswered: Choice,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            answer_seconds: default_answer_seconds(),
            unanswered: Choice::default(),
        }
    }
}

/// What becomes of a release whose check has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// It has failed, and goes the way back that the environment has for failures.
    #[default]
    Rollback,
    /// It is kept: from then on the check is written down and decides nothing.
    Keep,
}

/// What a check measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Measure {
    /// The states of CloudWatch alarms: one in `ALARM` is a failure, one without data is not clear.
    Alarms(
        /// Their names. Placeholders are allowed.
        #[schemars(length(min = 1, max = 50))]
        Vec<String>,
    ),
    /// A number from CloudWatch metrics, against a limit.
    Metric(MetricMeasure),
    /// The answer of an HTTP endpoint.
    Http(HttpMeasure),
    /// Requests one after another, each with what is expected of its answer: a smoke test.
    Smoke(SmokeMeasure),
    /// A Lambda function that tests the release and fails when it does not work.
    Function(FunctionMeasure),
    /// The health of the targets that load balancers send requests to.
    Targets(TargetsMeasure),
    /// The lines of a log group of CloudWatch Logs that match a pattern.
    Log(LogMeasure),
    /// Whether the consumers of a queue of Amazon SQS are at work.
    Consumers(ConsumersMeasure),
    /// How a task with `run: after_services` ended, which by itself decides nothing then.
    Task(
        /// Its key in `tasks`.
        Name,
    ),
}

/// A number from CloudWatch metrics, against a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricMeasure {
    /// The metrics, by the names that `expression` uses.
    #[schemars(extend("minProperties" = 1))]
    pub metrics: IndexMap<Name, Metric>,
    /// Metric math of CloudWatch over those names, such as `100 * errors / requests`. It may be left out where there
    /// is one metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Seconds of one datapoint. Every whole one since the rollout is judged, once it is there.
    #[serde(default = "default_period_seconds")]
    #[schemars(range(min = 60, max = 3_600))]
    pub period_seconds: u32,
    /// What it must keep to.
    pub limit: Limit,
    /// How many samples a metric must have in the period; with fewer nothing is clear, and without a datapoint of that
    /// metric there is no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
    /// Seconds before the deployment in which the baseline is looked for: their mean, or for a level the last
    /// datapoint in them.
    #[serde(default = "default_baseline_seconds")]
    #[schemars(range(min = 300, max = 86_400))]
    pub baseline_seconds: u32,
    /// What it means that there is no datapoint, none of the metric that counts the samples, or none from before the
    /// deployment where the limit needs one.
    #[serde(default)]
    pub no_data: NoData,
}

/// One metric of CloudWatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its namespace, such as `AWS/ApplicationELB`.
    pub namespace: String,
    /// Its name, such as `HTTPCode_Target_5XX_Count`.
    pub name: String,
    /// Its dimensions. Placeholders are allowed.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub dimensions: IndexMap<String, String>,
    /// The statistic, such as `Sum`, `Average` or `p99`.
    pub statistic: String,
}

/// What a number must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Limit {
    /// It is no more than this.
    AtMost(f64),
    /// It is no less than this.
    AtLeast(f64),
    /// It is no more than so many times what it was before the deployment.
    AtMostTimesBaseline(f64),
    /// It is no more than so much above what it was before the deployment.
    AtMostAboveBaseline(f64),
}

/// How many samples a metric must have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// The metric whose value counts them, such as the number of requests.
    pub of: Name,
    /// How many there must be.
    pub at_least: f64,
}

/// What it means that there is no datapoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoData {
    /// Nothing is clear.
    #[default]
    Inconclusive,
    /// All is well: the metric is only written when something is wrong.
    Pass,
    /// Something is wrong: the metric is always written.
    Fail,
}

/// The answer of an HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpMeasure {
    /// Where it is asked for, with `http` or `https`. Placeholders are allowed. Redirects are not followed.
    pub url: String,
    /// The status that is expected.
    #[serde(default = "default_status")]
    #[schemars(range(min = 100, max = 599))]
    pub status: u16,
    /// What `status` of the JSON body must say, such as `Healthy`; the checks in its `checks` must say the same, each
    /// by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<String>,
    /// Seconds in which the whole answer must be there.
    #[serde(default = "default_http_seconds")]
    #[schemars(range(min = 1, max = 15))]
    pub timeout_seconds: u32,
}

/// Requests one after another; the first that is not answered as expected is the failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmokeMeasure {
    /// The requests, in order.
    #[schemars(length(min = 1, max = 10))]
    pub steps: Vec<SmokeStep>,
}

/// One request of a smoke test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmokeStep {
    /// What it does, for people, such as `search answers`.
    pub name: String,
    /// Its method.
    #[serde(default)]
    pub method: Method,
    /// Where it is sent, with `http` or `https`. Placeholders are allowed. Redirects are not followed.
    pub url: String,
    /// What is sent with it, as JSON. It is visible in the pipeline: no secrets here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
    /// The status that is expected.
    #[serde(default = "default_status")]
    #[schemars(range(min = 100, max = 599))]
    pub status: u16,
    /// A text that the body must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Seconds in which the whole answer must be there.
    #[serde(default = "default_http_seconds")]
    #[schemars(range(min = 1, max = 15))]
    pub timeout_seconds: u32,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    #[default]
    Get,
    /// Reads, without the body.
    Head,
    /// Sends `body`.
    Post,
    /// Sends `body` to replace what is there.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// The name in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A Lambda function that tests the release: it is invoked and waited for, and what it throws is the failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionMeasure {
    /// The name of the function. Placeholders are allowed.
    pub name: String,
    /// What it is told besides the application, the environment, the release and its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
}

/// Which targets of load balancers are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetsMeasure {
    /// All of those in the target groups of the services that are deployed.
    All,
}

/// The lines of a log group of CloudWatch Logs that match a pattern, counted since the verification began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogMeasure {
    /// The name of the log group, such as `/ecs/shop`. Placeholders are allowed.
    pub group: String,
    /// A filter pattern of CloudWatch Logs, such as `?ERROR ?FATAL`. Placeholders are allowed.
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
    pub pattern: String,
    /// How many lines may match.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000))]
    pub at_most: u32,
}

/// Whether the consumers of a queue of Amazon SQS are at work: they delete what they are done with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumersMeasure {
    /// The name of the queue, such as `orders-staging`. Placeholders are allowed.
    pub queue: String,
    /// Seconds, whole minutes, in which a message must be deleted while there are some in the queue: longer than the
    /// longest of them takes.
    #[serde(default = "default_stalled_seconds")]
    #[schemars(range(min = 60, max = 3_600))]
    pub stalled_seconds: u32,
    /// What it means that there is no message in the queue.
    #[serde(default)]
    pub idle: Idle,
}

/// What it means that there is no message in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// Nothing is clear: nobody has shown that messages are worked on.
    #[default]
    Inconclusive,
    /// All is well as long as somebody asks the queue for messages; otherwise nothing is clear.
    Pass,
}

/// When a check is measured, and what it may show before it decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Seconds between two measurements.
    #[serde(default = "default_interval_seconds")]
    #[schemars(range(min = 10, max = 600))]
    pub interval_seconds: u32,
    /// Seconds after the end of the rollout before the first measurement.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3_600))]
    pub initial_delay_seconds: u32,
    /// Seconds after the end of the rollout in which it is measured; as long as the verification lasts unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 21_600))]
    pub until_seconds: Option<u32>,
    /// Good measurements that are enough; then it is measured no more. `1` makes it a test that is passed once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub count: Option<u32>,
    /// Failed measurements, in all, that are tolerated.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000))]
    pub failure_limit: u32,
    /// Seconds for which it may fail without a break, in place of `failure_limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 21_600))]
    pub failing_seconds: Option<u32>,
    /// Measurements in a row that may show nothing clear, such as a metric without data; any number, within the time
    /// of the verification, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000))]
    pub inconclusive_limit: Option<u32>,
    /// Measurements in a row that may not be possible at all; any number, within the time of the verification, unless
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000))]
    pub error_limit: Option<u32>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval_seconds: default_interval_seconds(),
            initial_delay_seconds: 0,
            until_seconds: None,
            count: None,
            failure_limit: 0,
            failing_seconds: None,
            inconclusive_limit: None,
            error_limit: None,
        }
    }
}

/// What happens when a check has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// The release has failed, and goes the way back that the environment has for failures.
    #[default]
    Rollback,
    /// A person is asked, within the time and with the default of `ask`.
    Ask,
    /// It is written down and shown, and decides nothing.
    Report,
}

const fn default_interval_seconds() -> u32 {
    30
}

const fn default_answer_seconds() -> u32 {
    600
}

const fn default_period_seconds() -> u32 {
    60
}

const fn default_stalled_seconds() -> u32 {
    300
}

const fn default_baseline_seconds() -> u32 {
    3_600
}

const fn default_status() -> u16 {
    200
}

const fn default_http_seconds() -> u32 {
    5
}
