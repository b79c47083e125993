//! What the containers of an image do while their task runs.
//!
//! It is written in the same annotation as the image's behaviour,
//! [`Behaviour::ANNOTATION`](crate::Behaviour::ANNOTATION).

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;

/// The members of the annotation.
const MEMBERS: [&str; 4] = ["programs", "metrics", "log_every", "http"];

/// What running containers of an image emit and answer. Times are counted from the moment at which their task is
/// `RUNNING`, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Activity {
    /// Samples that they put.
    pub metrics: Vec<MetricScript>,
    /// Lines that they log again and again.
    pub log_every: Vec<LogScript>,
    /// How they answer HTTP requests. The first entry that matches answers; without one the answer is 404.
    pub http: Vec<HttpScript>,
}

/// Samples of one metric, at a steady pace.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricScript {
    /// The container that puts them; every container of the image when absent.
    pub container: Option<String>,
    /// The namespace of the metric.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its dimensions. `${cluster}` and `${service}` in a value stand for those of the task. A task without a service
    /// has no value for the latter and puts nothing.
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
    /// The values, one after the other and then from the first one again.
    pub values: Vec<f64>,
    /// The pause from one sample to the next.
    #[serde(default = "a_minute")]
    pub every_seconds: NonZeroU32,
    /// When the first sample is put.
    #[serde(default)]
    pub after_seconds: u32,
    /// For how long from the first sample on; for ever when absent.
    pub for_seconds: Option<u32>,
}

/// A line that is logged at a steady pace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogScript {
    /// The container that logs it; every container of the image when absent.
    pub container: Option<String>,
    /// The line.
    pub text: String,
    /// The pause from one line to the next.
    #[serde(default = "a_minute")]
    pub every_seconds: NonZeroU32,
    /// When the first line is written.
    #[serde(default)]
    pub after_seconds: u32,
    /// For how long from the first line on; for ever when absent.
    pub for_seconds: Option<u32>,
}

/// The answer to HTTP requests for one path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpScript {
    /// The path, without the query.
    pub path: String,
    /// The status code.
    pub status: u16,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// The headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// From when on it is the answer.
    #[serde(default)]
    pub after_seconds: u32,
    /// For how long from then on; for ever when absent.
    pub for_seconds: Option<u32>,
    /// How long the container takes to answer.
    #[serde(default)]
    pub delay_seconds: u32,
}

const fn a_minute() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(59)
}

/// Why an annotation cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ActivityError {
    /// It is not JSON, or a member is not of its form.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// It has a member that nobody knows.
    #[error("there is no member `{0}`")]
    Member(String),
    /// A metric without a value.
    #[error("the metric `{0}` has no values")]
    NoValues(String),
}

impl Activity {
    /// Reads the annotation:
    /// `{"metrics": [{"container": "api", "namespace": "shop", "name": "Errors", "dimensions": {"Service":
    /// "${service}"}, "values": [0, 9], "every_seconds": 60, "after_seconds": 0, "for_seconds": 600}], "log_every":
    /// [{"text": "…", "every_seconds": 60}], "http": [{"path": "/health", "status": 200, "body": "…", "headers":
    /// {}, "after_seconds": 0, "for_seconds": 60, "delay_seconds": 0}]}`, beside the `programs`.
    ///
    /// # Errors
    ///
    /// When it is not of this form.
    pub fn parse(text: &str) -> Result<Self, ActivityError> {
        let value: Value = serde_json::from_str(text)?;
        let mut members = value.as_object().into_iter().flat_map(|object| object.keys());
        if let Some(unknown) = members.find(|member| !MEMBERS.contains(&member.as_str())) {
            return Err(ActivityError::Member(unknown.clone()));
        }
        let activity: Self = serde_json::from_value(value)?;
        match activity.metrics.iter().find(|metric| metric.values.is_empty()) {
            Some(metric) => Err(ActivityError::NoValues(metric.name.clone())),
            None => Ok(activity),
        }
    }

    /// The answer to a request for a path at an age of the task; nothing where no entry matches.
    #[must_use]
    pub fn page(&self, path: &str, age: SignedDuration) -> Option<&HttpScript> {
        self.http.iter().find(|page| {
            let start = SignedDuration::from_secs(page.after_seconds.into());
            let since = age.saturating_sub(start);
            let is_over = |seconds: u32| since >= SignedDuration::from_secs(seconds.into());
            page.path == path && age >= start && !page.for_seconds.is_some_and(is_over)
        })
    }
}

impl MetricScript {
    /// The age of the task at which sample number `count` is put, if it is.
    #[must_use]
    pub fn moment(&self, count: u32) -> Option<SignedDuration> {
        moment(self.after_seconds, self.every_seconds, self.for_seconds, count)
    }

    /// The value of sample number `count`.
    #[must_use]
    pub fn value(&self, count: u32) -> Option<f64> {
        let length = u32::try_from(self.values.len()).ok()?;
        let index = usize::try_from(count.checked_rem(length)?).ok()?;
        self.values.get(index).copied()
    }
}

impl LogScript {
    /// The age of the task at which line number `count` is written, if it is.
    #[must_use]
    pub fn moment(&self, count: u32) -> Option<SignedDuration> {
        moment(self.after_seconds, self.every_seconds, self.for_seconds, count)
    }
}

fn moment(after: u32, every: NonZeroU32, lasts: Option<u32>, count: u32) -> Option<SignedDuration> {
    let since = i64::from(count).checked_mul(i64::from(every.get()))?;
    let is_over = lasts.is_some_and(|lasts| since >= i64::from(lasts));
    (!is_over).then(|| SignedDuration::from_secs(i64::from(after).saturating_add(since)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_its_pace_and_its_end() {
        let activity = Activity::parse(
            r#"{"metrics": [{"namespace": "shop", "name": "Errors", "values": [0, 9], "every_seconds": 30, "after_seconds": 5, "for_seconds": 90}]}"#,
        )
        .unwrap();
        let script = &activity.metrics[0];
        let put: Vec<(i64, f64)> = (0..)
            .map_while(|count| Some((script.moment(count)?.as_secs(), script.value(count)?)))
            .collect();
        assert_eq!(put, [(5, 0.0), (35, 9.0), (65, 0.0)]);
    }

    #[test]
    fn the_first_page_of_its_path_and_age_answers() {
        let activity = Activity::parse(
            r#"{"programs": [], "http": [{"path": "/", "status": 503, "for_seconds": 10}, {"path": "/", "status": 200, "after_seconds": 10}]}"#,
        )
        .unwrap();
        let status = |path: &str, second: i64| {
            let page = activity.page(path, SignedDuration::from_secs(second));
            page.map(|page| page.status)
        };
        assert_eq!(
            [status("/", 0), status("/", 9), status("/", 10)],
            [Some(503), Some(503), Some(200)]
        );
        assert_eq!(status("/other", 0), None);
    }

    #[test]
    fn what_is_not_of_the_form_is_refused_by_name() {
        for (text, named) in [
            (r#"{"metric": []}"#, "`metric`"),
            (r#"{"metrics": [{"namespace": "a", "name": "b", "values": []}]}"#, "`b`"),
            (r#"{"log_every": [{"text": "a", "every_seconds": 0}]}"#, "nonzero"),
            (r#"{"http": [{"path": "/", "status": 200, "delay": 1}]}"#, "`delay`"),
        ] {
            let error = Activity::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
