//! Reading JSON without ever quoting it.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why JSON could not be read. Names the place and the kind of mistake, never the value: payloads carry task tokens and
/// the environment of containers, and this text ends in logs and execution histories.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {reason}")]
pub struct DecodeError {
    /// Where in the document, such as `detail.containers[0].exitCode`; `.` is the document itself.
    pub path: String,
    /// What is wrong there, to be read after the path.
    pub reason: String,
}

/// Reads `value` as a `T`.
///
/// # Errors
/// A member is missing or has another type than `T` asks for.
pub fn decode<T: DeserializeOwned>(value: Value) -> Result<T, DecodeError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        DecodeError {
            path,
            reason: reason(&error.into_inner().to_string()),
        }
    })
}

/// Keeps of serde's message what names members and drops what quotes values.
fn reason(message: &str) -> String {
    if message.starts_with("missing field") {
        return format!("lacks a member: {message}");
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("should be {expected}"),
        None => "is not as expected".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the error is looked at")]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the error is looked at")]
    struct Inner {
        count: u8,
    }

    #[test]
    fn an_error_names_the_place_and_never_the_value() {
        let error = decode::<Outer>(json!({"inner": {"count": "token-123"}})).unwrap_err();
        assert_eq!(error.to_string(), "`inner.count` should be u8");
        let error = decode::<Outer>(json!({"inner": {}})).unwrap_err();
        assert_eq!(error.to_string(), "`inner` lacks a member: missing field `count`");
        let error = decode::<Outer>(json!("token-123")).unwrap_err();
        assert_eq!(error.to_string(), "`.` should be struct Outer");
    }
}
