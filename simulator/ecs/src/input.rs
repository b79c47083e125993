//! Reading requests, and the errors and values that all operations share.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use simulator_kernel::ApiError;

/// What an operation answers.
pub(crate) type Answer = Result<Value, ApiError>;

pub(crate) fn invalid_parameter(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterException", message)
}

pub(crate) fn client_exception(message: impl Into<String>) -> ApiError {
    ApiError::client("ClientException", message)
}

pub(crate) fn text<'a>(input: &'a Value, key: &str) -> Option<&'a str> {
    input.get(key).and_then(Value::as_str)
}

pub(crate) fn required_text<'a>(input: &'a Value, key: &str) -> Result<&'a str, ApiError> {
    text(input, key)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| invalid_parameter(format!("{key} is missing or empty.")))
}

pub(crate) fn texts<'a>(input: &'a Value, key: &str) -> Vec<&'a str> {
    list(input, key).iter().filter_map(Value::as_str).collect()
}

pub(crate) fn list<'a>(input: &'a Value, key: &str) -> &'a [Value] {
    input
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

pub(crate) fn flag(input: &Value, key: &str) -> bool {
    input.get(key).and_then(Value::as_bool).unwrap_or(false)
}

pub(crate) fn number(input: &Value, key: &str) -> Option<u32> {
    input
        .get(key)
        .and_then(Value::as_u64)
        .and_then(|value| u32::try_from(value).ok())
}

/// Like [`number`], and refuses a value that is there but is no count.
pub(crate) fn checked_number(input: &Value, key: &str) -> Result<Option<u32>, ApiError> {
    match input.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => number(input, key)
            .map(Some)
            .ok_or_else(|| invalid_parameter(format!("{key} is out of range."))),
    }
}

/// A list of at least one and at most `limit` strings.
pub(crate) fn bounded_texts<'a>(input: &'a Value, key: &str, limit: usize) -> Result<Vec<&'a str>, ApiError> {
    let values = texts(input, key);
    if values.is_empty() || values.len() > limit {
        return Err(invalid_parameter(format!(
            "{key} must have between 1 and {limit} elements."
        )));
    }
    Ok(values)
}

pub(crate) fn includes_tags(input: &Value) -> bool {
    texts(input, "include").contains(&"TAGS")
}

/// The last part of an ARN or path; a plain name is its own last part.
pub(crate) fn short_name(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

/// Refuses members the simulator would have to ignore. Empty ones carry no meaning and pass.
pub(crate) fn only(operation: &str, input: &Value, known: &[&str]) -> Result<(), ApiError> {
    let unknown = input
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, value)| !known.contains(&key.as_str()) && !is_empty(value));
    unknown.map_or(Ok(()), |(key, _)| {
        Err(ApiError::unsupported(format!("parameter `{key}` of ecs:{operation}")))
    })
}

pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// One page of a listing as `{key: […], "nextToken": …}`. The token is the last item of the page before.
pub(crate) fn page<T>(
    key: &str,
    items: &[T],
    id: impl Fn(&T) -> &str,
    render: impl Fn(&T) -> Value,
    input: &Value,
    default_size: u32,
) -> Answer {
    let size = checked_number(input, "maxResults")?.unwrap_or(default_size);
    if !(1..=100).contains(&size) {
        return Err(invalid_parameter("maxResults must be between 1 and 100."));
    }
    let start = match text(input, "nextToken") {
        None => 0,
        Some(token) => items
            .iter()
            .position(|item| id(item) == token)
            .map(|position| position + 1)
            .ok_or_else(|| invalid_parameter("Invalid token."))?,
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let shown: Vec<&T> = items.iter().skip(start).take(size).collect();
    let mut answer = json!({key: shown.iter().map(|item| render(item)).collect::<Vec<Value>>()});
    if start + shown.len() < items.len()
        && let Some(last) = shown.last()
    {
        set(&mut answer, "nextToken", json!(id(last)));
    }
    Ok(answer)
}

/// Sets a member of an object.
pub(crate) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

/// Sets a member where there is a value for it.
pub(crate) fn set_some(object: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        set(object, key, value);
    }
}

/// Copies those members of `from` that are set.
pub(crate) fn copy(from: &Value, keys: &[&str], into: &mut Map<String, Value>) {
    for key in keys {
        if let Some(value) = from.get(key).filter(|value| !value.is_null()) {
            into.insert((*key).to_owned(), value.clone());
        }
    }
}

/// A time as the JSON protocol of the API carries it.
pub(crate) fn epoch_seconds(at: Timestamp) -> Value {
    json!(at.as_duration().as_secs_f64())
}

/// A time as events carry it.
pub(crate) fn iso_8601(at: Timestamp) -> Value {
    json!(at.to_string())
}

/// Puts tags over existing ones by key, as `TagResource` does.
pub(crate) fn merge_tags(tags: &mut Vec<Value>, added: &[Value]) -> Result<(), ApiError> {
    for tag in added {
        let key = required_text(tag, "key")?;
        tags.retain(|existing| text(existing, "key") != Some(key));
        tags.push(tag.clone());
    }
    if tags.len() > 50 {
        return Err(invalid_parameter("A resource can have at most 50 tags."));
    }
    Ok(())
}
