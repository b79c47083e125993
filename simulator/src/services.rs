//! The small services.

mod application_auto_scaling;
mod cloudwatch;
pub(crate) mod ecr;
mod elastic_load_balancing;
pub(crate) mod http_apis;
pub(crate) mod iam;
mod logs;
pub(crate) mod made;
mod rds;
mod secrets_manager;
pub(crate) mod sites;
pub(crate) mod slack;
mod sqs;
mod sts;

pub use application_auto_scaling::ApplicationAutoScaling;
pub use cloudwatch::CloudWatch;
pub use ecr::{Ecr, Replication};
pub use elastic_load_balancing::ElasticLoadBalancing;
pub use http_apis::HttpApis;
pub use iam::Iam;
pub use logs::Logs;
pub use rds::{Kind as DatabaseKind, Rds};
pub use secrets_manager::SecretsManager;
pub use sites::Sites;
pub use slack::{Button as SlackButton, Delivery as SlackDelivery, Message as SlackMessage, Slack};
pub use sqs::Sqs;
pub use sts::Sts;

use jiff::Timestamp;
use serde_json::{Map, Value};
use simulator_kernel::ApiError;

/// The input of an operation, read member by member.
#[derive(Clone, Copy)]
struct Input<'a>(&'a Value);

impl<'a> Input<'a> {
    fn text(self, member: &str) -> Option<&'a str> {
        self.0.get(member)?.as_str()
    }

    fn required(self, member: &str) -> Result<&'a str, ApiError> {
        self.text(member)
            .ok_or_else(|| invalid(format!("`{member}` is missing or is not a string")))
    }

    fn number(self, member: &str) -> Option<i64> {
        self.0.get(member)?.as_i64()
    }

    fn count(self, member: &str) -> Option<usize> {
        self.number(member).and_then(|number| usize::try_from(number).ok())
    }

    fn flag(self, member: &str) -> bool {
        self.0.get(member).and_then(Value::as_bool).unwrap_or(false)
    }

    fn list(self, member: &str) -> &'a [Value] {
        self.0.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn object(self, member: &str) -> Option<&'a Map<String, Value>> {
        self.0.get(member)?.as_object()
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterException", message)
}

/// Refuses the first member of an input that is not simulated.
fn only(service: &str, operation: &str, input: Input<'_>, known: &[&str]) -> Result<(), ApiError> {
    let mut members = input.0.as_object().into_iter().flatten();
    match members.find(|(member, value)| !value.is_null() && !known.contains(&member.as_str())) {
        None => Ok(()),
        Some((member, _)) => Err(ApiError::unsupported(format_args!(
            "`{member}` in `{operation}` of `{service}`"
        ))),
    }
}

/// One page of `entries`: those after the position that `token` names, at most `limit`, and the token of the next page.
fn page<T>(entries: Vec<T>, token: Option<&str>, limit: usize) -> Result<(Vec<T>, Option<String>), ApiError> {
    let from = match token {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| invalid("The specified token is invalid"))?,
    };
    let total = entries.len();
    let end = from.saturating_add(limit);
    let page = entries.into_iter().skip(from).take(limit).collect();
    Ok((page, (end < total).then(|| end.to_string())))
}

/// A time as awsJson writes it: seconds since 1970 with milliseconds as a fraction.
fn epoch_seconds(time: Timestamp) -> Value {
    let milliseconds = time.as_millisecond();
    let text = format!("{}.{:03}", milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
    text.parse::<f64>().map_or(Value::Null, Value::from)
}
