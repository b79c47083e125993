//! Reading API inputs: a parameter that is not implemented is refused, never ignored.

use serde::de::DeserializeOwned;
use serde_json::Value;
use simulator_kernel::ApiError;

/// Reads an input into its shape.
pub(crate) fn parse<T: DeserializeOwned>(operation: &str, input: &Value) -> Result<T, ApiError> {
    serde_json::from_value(input.clone()).map_err(|error| {
        let message = error.to_string();
        if message.starts_with("unknown ") {
            ApiError::unsupported(format!("this input of `{operation}`: {message}"))
        } else {
            validation(message)
        }
    })
}

/// The error for an input that breaks the API's rules.
pub(crate) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message)
}

/// Refuses names outside `[.\-_A-Za-z0-9]{1,64}`.
pub(crate) fn check_name(parameter: &str, name: &str) -> Result<(), ApiError> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(validation(format!(
        "`{name}` at `{parameter}` must be 1 to 64 of letters, digits, `.`, `-`, `_`"
    )))
}
