//! What a function is.

use aws_config::SdkConfig;
use esclusa_core::error::Failure;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Environment;

/// A function: built once per sandbox, invoked many times.
pub trait Function: Sized + Send + Sync + 'static {
    /// Its name in logs, such as `intake`.
    const NAME: &'static str;

    /// Builds it from the account's configuration and its variables. Calls nobody.
    ///
    /// # Errors
    /// A variable is missing or wrong.
    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure>;

    /// Handles one invocation.
    ///
    /// # Errors
    /// Named by the reaction they need; the name is the `errorType` that the state machine sees.
    fn handle(&self, payload: Value, invocation: &Invocation) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// What Lambda says about one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The id of the request; a repeat by Lambda has the same one.
    pub request_id: String,
    /// The ARN that was invoked, with its version or alias.
    pub function_arn: String,
    /// When Lambda ends the invocation.
    pub deadline: Timestamp,
    /// The X-Ray trace, where there is one.
    pub trace_id: Option<String>,
}

/// Reads the payload of an invocation.
///
/// # Errors
/// `InvalidInput`: names the member that is wrong, never its value.
pub fn parse_request<T: DeserializeOwned>(payload: Value) -> Result<T, Failure> {
    esclusa_events::decode(payload)
        .map_err(|error| Failure::invalid_input(format!("this function does not know such a payload: {error}")))
}

#[cfg(test)]
mod tests {
    use esclusa_core::error::ErrorKind;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the error is looked at")]
    #[serde(tag = "action", rename_all = "snake_case")]
    enum Request {
        AwaitTask { token: String, attempt: u32 },
    }

    #[test]
    fn a_payload_that_is_not_ours_is_invalid_input_and_never_quoted() {
        let payload = json!({"action": "await_task", "token": "AAAAKgAA", "attempt": "AAAAKgAA"});
        let failure = parse_request::<Request>(payload).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::InvalidInput);
        assert!(!failure.message.contains("AAAAKgAA"), "{failure}");
        let failure = parse_request::<Request>(json!({"action": "await_task", "attempt": 1})).unwrap_err();
        assert!(failure.message.contains("missing field `token`"), "{failure}");
        let failure = parse_request::<Request>(json!({"action": "AAAAKgAA"})).unwrap_err();
        assert!(
            failure.message.contains("`await_task`") && !failure.message.contains("AAAAKgAA"),
            "{failure}"
        );
    }
}
