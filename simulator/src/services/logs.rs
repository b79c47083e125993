//! Amazon CloudWatch Logs over the log streams of the kernel.

mod pattern;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, Kernel, LogEvent, Reply, Request, Service};

use self::pattern::FilterPattern;
use super::{Input, invalid, page};

const OPERATIONS: [&str; 9] = [
    "CreateLogGroup",
    "DeleteLogGroup",
    "CreateLogStream",
    "DeleteLogStream",
    "DescribeLogGroups",
    "DescribeLogStreams",
    "GetLogEvents",
    "FilterLogEvents",
    "PutLogEvents",
];

/// The most events of one answer.
const MAXIMUM_EVENTS: usize = 10_000;

/// The service `logs`.
#[derive(Debug, Default, Clone, Copy)]
pub struct Logs;

type Streams = BTreeMap<String, Vec<LogEvent>>;

impl Service for Logs {
    fn name(&self) -> &'static str {
        "logs"
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let operation = request.operation.as_str();
        if !OPERATIONS.contains(&operation) {
            return Vec::new();
        }
        let input = Input(&request.input);
        let group = group_name(input).unwrap_or("*");
        let stream = input.text("logStreamName").unwrap_or_default();
        let resource = match operation {
            "CreateLogGroup" | "DeleteLogGroup" | "DescribeLogGroups" => {
                kernel.arn("logs", &format!("log-group:{group}"))
            }
            "GetLogEvents" | "PutLogEvents" | "DeleteLogStream" => {
                kernel.arn("logs", &format!("log-group:{group}:log-stream:{stream}"))
            }
            _ => kernel.arn("logs", &format!("log-group:{group}:*")),
        };
        vec![Authorization::new(format!("logs:{operation}"), resource)]
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        let input = Input(&request.input);
        Reply::Now(match request.operation.as_str() {
            "CreateLogGroup" => create_group(input, kernel),
            "CreateLogStream" => create_stream(input, kernel),
            "DeleteLogGroup" => {
                let removed = kernel.logs.groups.remove(group_name(input).unwrap_or_default());
                removed.map(|_| json!({})).ok_or_else(|| missing("group"))
            }
            "DeleteLogStream" => delete_stream(input, kernel),
            "DescribeLogGroups" => describe_groups(input, kernel),
            "DescribeLogStreams" => describe_streams(input, kernel),
            "GetLogEvents" => get_events(input, kernel),
            "FilterLogEvents" => filter_events(input, kernel),
            "PutLogEvents" => put_events(input, kernel),
            other => Err(ApiError::unknown_operation("logs", other, &OPERATIONS)),
        })
    }
}

/// The group by name, or by the ARN that `logGroupIdentifier` may be.
fn group_name(input: Input<'_>) -> Option<&str> {
    let identifier = input
        .text("logGroupName")
        .or_else(|| input.text("logGroupIdentifier"))?;
    Some(
        identifier
            .split_once(":log-group:")
            .map_or(identifier, |(_, name)| name),
    )
}

fn required_group(input: Input<'_>) -> Result<&str, ApiError> {
    group_name(input).ok_or_else(|| invalid("Exactly one of LogGroupName or LogGroupIdentifier must be specified."))
}

fn streams<'a>(group: &str, kernel: &'a Kernel) -> Result<&'a Streams, ApiError> {
    kernel.logs.groups.get(group).ok_or_else(|| missing("group"))
}

fn missing(what: &str) -> ApiError {
    ApiError::client(
        "ResourceNotFoundException",
        format!("The specified log {what} does not exist."),
    )
}

fn exists(what: &str) -> ApiError {
    ApiError::client(
        "ResourceAlreadyExistsException",
        format!("The specified log {what} already exists"),
    )
}

fn create_group(input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
    let group = input.required("logGroupName")?;
    if kernel.logs.groups.contains_key(group) {
        return Err(exists("group"));
    }
    kernel.logs.groups.insert(group.to_owned(), Streams::new());
    Ok(json!({}))
}

fn create_stream(input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
    let stream = input.required("logStreamName")?;
    let streams = kernel
        .logs
        .groups
        .get_mut(required_group(input)?)
        .ok_or_else(|| missing("group"))?;
    if streams.contains_key(stream) {
        return Err(exists("stream"));
    }
    streams.insert(stream.to_owned(), Vec::new());
    Ok(json!({}))
}

fn delete_stream(input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
    let stream = input.required("logStreamName")?;
    let group = kernel.logs.groups.get_mut(required_group(input)?);
    let streams = group.ok_or_else(|| missing("group"))?;
    streams
        .remove(stream)
        .map(|_| json!({}))
        .ok_or_else(|| missing("stream"))
}

fn describe_groups(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let prefix = input.text("logGroupNamePrefix").unwrap_or_default();
    let groups = kernel
        .logs
        .groups
        .keys()
        .filter(|name| name.starts_with(prefix))
        .map(|name| {
            let arn = kernel.arn("logs", &format!("log-group:{name}"));
            json!({"logGroupName": name, "arn": format!("{arn}:*"), "logGroupArn": arn, "storedBytes": 0})
        })
        .collect();
    let (groups, next) = page::<Value>(groups, input.text("nextToken"), input.count("limit").unwrap_or(50))?;
    Ok(json!({"logGroups": groups, "nextToken": next}))
}

fn describe_streams(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let group = required_group(input)?;
    let prefix = input.text("logStreamNamePrefix").unwrap_or_default();
    let mut chosen: Vec<(&String, &Vec<LogEvent>)> = streams(group, kernel)?
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .collect();
    if input.text("orderBy") == Some("LastEventTime") {
        chosen.sort_by_key(|(_, events)| events.last().map(|event| event.at));
    }
    if input.flag("descending") {
        chosen.reverse();
    }
    let described = chosen
        .into_iter()
        .map(|(name, events)| {
            let at = |event: Option<&LogEvent>| event.map(|event| event.at.as_millisecond());
            json!({
                "logStreamName": name,
                "arn": kernel.arn("logs", &format!("log-group:{group}:log-stream:{name}")),
                "firstEventTimestamp": at(events.first()),
                "lastEventTimestamp": at(events.last()),
            })
        })
        .collect();
    let (described, next) = page::<Value>(described, input.text("nextToken"), input.count("limit").unwrap_or(50))?;
    Ok(json!({"logStreams": described, "nextToken": next}))
}

/// Whether an event lies in `startTime` (included) to `endTime` (excluded).
fn in_time(input: Input<'_>, event: &LogEvent) -> bool {
    let at = event.at.as_millisecond();
    input.number("startTime").is_none_or(|start| at >= start) && input.number("endTime").is_none_or(|end| at < end)
}

/// Tokens name a position: `f/{first unread}` forward, `b/{first read}` backward. A page at the end gives the token it
/// was asked with.
fn get_events(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let stream = input.required("logStreamName")?;
    let all = streams(required_group(input)?, kernel)?
        .get(stream)
        .ok_or_else(|| missing("stream"))?;
    let events: Vec<&LogEvent> = all.iter().filter(|event| in_time(input, event)).collect();
    let limit = input.count("limit").unwrap_or(MAXIMUM_EVENTS).clamp(1, MAXIMUM_EVENTS);
    let position = |digits: &str| {
        digits
            .parse::<usize>()
            .map_err(|_| invalid("The specified nextToken is invalid."))
    };
    let (from, to) = match input.text("nextToken").and_then(|token| token.split_once('/')) {
        Some(("f", digits)) => {
            let from = position(digits)?.min(events.len());
            (from, from.saturating_add(limit).min(events.len()))
        }
        Some(("b", digits)) => {
            let to = position(digits)?.min(events.len());
            (to.saturating_sub(limit), to)
        }
        Some(_) => return Err(invalid("The specified nextToken is invalid.")),
        None if input.flag("startFromHead") => (0, limit.min(events.len())),
        None => (events.len().saturating_sub(limit), events.len()),
    };
    let page: Vec<Value> = events
        .iter()
        .skip(from)
        .take(to.saturating_sub(from))
        .map(|event| output(event, None))
        .collect();
    Ok(json!({"events": page, "nextForwardToken": format!("f/{to}"), "nextBackwardToken": format!("b/{from}")}))
}

fn output(event: &LogEvent, stream: Option<&str>) -> Value {
    let at = event.at.as_millisecond();
    match stream {
        None => json!({"timestamp": at, "message": event.message, "ingestionTime": at}),
        Some(stream) => {
            json!({"logStreamName": stream, "timestamp": at, "message": event.message, "ingestionTime": at})
        }
    }
}

/// The matching lines of all streams of a group, the oldest first.
fn filter_events(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let pattern = FilterPattern::parse(input.text("filterPattern").unwrap_or_default())?;
    let named: Vec<&str> = input.list("logStreamNames").iter().filter_map(Value::as_str).collect();
    let prefix = input.text("logStreamNamePrefix").unwrap_or_default();
    let mut found: Vec<(Timestamp, Value)> = Vec::new();
    for (stream, events) in streams(required_group(input)?, kernel)? {
        if stream.starts_with(prefix) && (named.is_empty() || named.contains(&stream.as_str())) {
            let matching = events
                .iter()
                .filter(|event| in_time(input, event) && pattern.matches(&event.message));
            found.extend(matching.map(|event| (event.at, output(event, Some(stream)))));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    let events = found.into_iter().map(|(_, event)| event).collect();
    let (events, next) = page::<Value>(
        events,
        input.text("nextToken"),
        input.count("limit").unwrap_or(MAXIMUM_EVENTS),
    )?;
    Ok(json!({"events": events, "nextToken": next}))
}

fn put_events(input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
    let stream = input.required("logStreamName")?;
    let events = input
        .list("logEvents")
        .iter()
        .map(|event| {
            let event = Input(event);
            let at = event
                .number("timestamp")
                .and_then(|at| Timestamp::from_millisecond(at).ok());
            let at = at.ok_or_else(|| invalid("`timestamp` is missing or out of range"))?;
            Ok(LogEvent {
                at,
                message: event.required("message")?.to_owned(),
            })
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    let streams = kernel
        .logs
        .groups
        .get_mut(required_group(input)?)
        .ok_or_else(|| missing("group"))?;
    streams.get_mut(stream).ok_or_else(|| missing("stream"))?.extend(events);
    Ok(json!({"nextSequenceToken": "0"}))
}
