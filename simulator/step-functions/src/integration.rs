//! The services that Task states call: arguments, results and names of errors.
//!
//! Follows "Invoke an AWS Lambda function with Step Functions" and "Handling errors in Step Functions workflows".

use serde_json::{Map, Value, json};
use simulator_kernel::ApiError;

use crate::definition::{Action, Resource};
use crate::retry::{Failure, RUNTIME};

/// A call to another service.
#[derive(Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) input: Value,
}

/// `resourceType` and `resource` of the history events of a task.
pub(crate) fn resource_names(resource: &Resource) -> (&'static str, String) {
    let (service, operation) = match resource.action {
        Action::LambdaInvoke | Action::LambdaFunction(_) => ("lambda", "invoke"),
        Action::StartExecution => ("states", "startExecution"),
        Action::PutEvents => ("events", "putEvents"),
    };
    let suffix = if resource.wait_for_task_token {
        ".waitForTaskToken"
    } else {
        ""
    };
    (service, format!("{operation}{suffix}"))
}

/// The call that a task with these arguments makes.
pub(crate) fn call(action: &Action, arguments: Value) -> Result<Call, Failure> {
    let input = match action {
        Action::LambdaFunction(function) => invocation(&json!(function), &arguments),
        Action::LambdaInvoke => {
            let mut arguments = Arguments::new(arguments)?;
            if let Some(kind) = arguments.take("InvocationType")
                && kind != json!("RequestResponse")
            {
                return Err(bad_argument(&format!(
                    "the simulated AWS does not implement `InvocationType` {kind}"
                )));
            }
            let function = arguments.required("FunctionName")?;
            let payload = arguments.take("Payload").unwrap_or_else(|| json!({}));
            arguments.finish()?;
            invocation(&function, &payload)
        }
        Action::StartExecution => {
            let mut arguments = Arguments::new(arguments)?;
            let mut input = Map::new();
            input.insert("stateMachineArn".to_owned(), arguments.required("StateMachineArn")?);
            if let Some(name) = arguments.take("Name") {
                input.insert("name".to_owned(), name);
            }
            if let Some(value) = arguments.take("Input") {
                input.insert("input".to_owned(), text_of(value));
            }
            arguments.finish()?;
            Value::Object(input)
        }
        Action::PutEvents => {
            let mut arguments = Arguments::new(arguments)?;
            let mut entries = arguments.required("Entries")?;
            arguments.finish()?;
            for entry in entries.as_array_mut().into_iter().flatten() {
                if let Some(detail) = entry.get_mut("Detail") {
                    *detail = text_of(detail.take());
                }
            }
            json!({"Entries": entries})
        }
    };
    let (service, operation) = match action {
        Action::LambdaInvoke | Action::LambdaFunction(_) => ("lambda", "Invoke"),
        Action::StartExecution => ("states", "StartExecution"),
        Action::PutEvents => ("events", "PutEvents"),
    };
    Ok(Call {
        service,
        operation,
        input,
    })
}

fn invocation(function: &Value, payload: &Value) -> Value {
    json!({"FunctionName": function, "InvocationType": "RequestResponse", "Payload": payload})
}

/// Where the API wants JSON as text, the integration also takes the value itself.
fn text_of(value: Value) -> Value {
    match value {
        Value::String(_) => value,
        other => Value::String(other.to_string()),
    }
}

/// The result of a task, from the answer to its call.
pub(crate) fn result(action: &Action, reply: Result<Value, ApiError>) -> Result<Value, Failure> {
    let reply = reply.map_err(|error| service_failure(action, &error))?;
    match action {
        Action::LambdaInvoke => {
            let (status, payload) = payload(reply)?;
            Ok(json!({"ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": status}))
        }
        Action::LambdaFunction(_) => payload(reply).map(|(_, payload)| payload),
        Action::StartExecution => Ok(json!({
            "ExecutionArn": reply.get("executionArn").cloned().unwrap_or_default(),
            "StartDate": reply.get("startDate").cloned().unwrap_or_default(),
        })),
        Action::PutEvents => match reply.get("FailedEntryCount").and_then(Value::as_u64) {
            Some(0) | None => Ok(reply),
            Some(_) => Err(Failure::new("EventBridge.FailedEntry", reply.to_string())),
        },
    }
}

/// Status and payload of a Lambda that ran, or the error that it reported.
fn payload(mut reply: Value) -> Result<(Value, Value), Failure> {
    let payload = reply.get_mut("Payload").map(Value::take).unwrap_or_default();
    if reply.get("FunctionError").is_none_or(Value::is_null) {
        return Ok((reply.get("StatusCode").cloned().unwrap_or_else(|| json!(200)), payload));
    }
    match payload.get("errorType").and_then(Value::as_str) {
        Some(error) => Err(Failure::new(error, payload.to_string())),
        None => Err(Failure::new(
            "Lambda.Unknown",
            format!(
                "The cause could not be determined because Lambda did not return an error type. Returned payload: {payload}"
            ),
        )),
    }
}

/// The name of an error that the called service itself answered.
fn service_failure(action: &Action, error: &ApiError) -> Failure {
    let name = match action {
        Action::LambdaInvoke | Action::LambdaFunction(_) if LAMBDA_ERRORS.contains(&error.code.as_str()) => {
            format!("Lambda.{}", error.code)
        }
        Action::LambdaInvoke | Action::LambdaFunction(_) => "Lambda.AWSLambdaException".to_owned(),
        Action::StartExecution => format!("StepFunctions.{}", with_suffix(&error.code)),
        Action::PutEvents => format!("EventBridge.{}", with_suffix(&error.code)),
    };
    let cause = format!(
        "{} (Status Code: {}; Error Code: {})",
        error.message, error.status, error.code
    );
    Failure::new(name, cause)
}

fn with_suffix(code: &str) -> String {
    if code.ends_with("Exception") {
        code.to_owned()
    } else {
        format!("{code}Exception")
    }
}

/// The errors of `Invoke` that have a name of their own, and the two that the client raises. All others are
/// `Lambda.AWSLambdaException`.
const LAMBDA_ERRORS: [&str; 31] = [
    "ClientExecutionTimeoutException",
    "EC2AccessDeniedException",
    "EC2ThrottledException",
    "EC2UnexpectedException",
    "EFSIOException",
    "EFSMountConnectivityException",
    "EFSMountFailureException",
    "EFSMountTimeoutException",
    "ENILimitReachedException",
    "ENINotReadyException",
    "InvalidParameterValueException",
    "InvalidRequestContentException",
    "InvalidRuntimeException",
    "InvalidSecurityGroupIDException",
    "InvalidSubnetIDException",
    "InvalidZipFileException",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "RecursiveInvocationException",
    "RequestTooLargeException",
    "ResourceConflictException",
    "ResourceNotFoundException",
    "ResourceNotReadyException",
    "SdkClientException",
    "ServiceException",
    "SnapStartException",
    "SubnetIPAddressLimitReachedException",
    "TooManyRequestsException",
    "UnsupportedMediaTypeException",
];

fn bad_argument(message: &str) -> Failure {
    Failure::new(RUNTIME, message)
}

/// The members of `Arguments` while they are being taken.
struct Arguments(Map<String, Value>);

impl Arguments {
    fn new(value: Value) -> Result<Self, Failure> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            other => Err(bad_argument(&format!("the arguments must be an object, not {other}"))),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name)
    }

    fn required(&mut self, name: &str) -> Result<Value, Failure> {
        self.take(name)
            .ok_or_else(|| bad_argument(&format!("argument `{name}` is missing")))
    }

    fn finish(self) -> Result<(), Failure> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(bad_argument(&format!(
                "the simulated AWS does not implement argument `{name}`"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_function_keep_their_name_and_whole_text() {
        let failed = |payload: Value| {
            result(
                &Action::LambdaInvoke,
                Ok(json!({"StatusCode": 200, "FunctionError": "Unhandled", "Payload": payload})),
            )
            .unwrap_err()
        };
        assert_eq!(
            failed(json!({"errorType": "LockHeld", "errorMessage": "held by r-1"})),
            Failure::new("LockHeld", r#"{"errorType":"LockHeld","errorMessage":"held by r-1"}"#)
        );
        assert_eq!(
            failed(json!({"errorType": "Sandbox.Timedout", "errorMessage": "3 s"})).error,
            "Sandbox.Timedout"
        );
        let crash = failed(json!({"errorMessage": "RequestId: 1 Process exited before completing request"}));
        assert_eq!(crash.error, "Lambda.Unknown");
        assert!(crash.cause.unwrap().contains("Process exited"));
    }

    #[test]
    fn errors_of_the_lambda_service_get_their_documented_names() {
        for (code, name) in [
            ("TooManyRequestsException", "Lambda.TooManyRequestsException"),
            ("ResourceNotFoundException", "Lambda.ResourceNotFoundException"),
            ("ServiceException", "Lambda.ServiceException"),
            ("SdkClientException", "Lambda.SdkClientException"),
            ("AccessDeniedException", "Lambda.AWSLambdaException"),
        ] {
            let failure = result(&Action::LambdaInvoke, Err(ApiError::client(code, "no"))).unwrap_err();
            assert_eq!(failure.error, name);
        }
        let failure = result(
            &Action::StartExecution,
            Err(ApiError::client("ExecutionAlreadyExists", "twice")),
        )
        .unwrap_err();
        assert_eq!(failure.error, "StepFunctions.ExecutionAlreadyExistsException");
    }

    #[test]
    fn an_argument_that_is_not_understood_is_not_dropped() {
        let arguments = json!({"FunctionName": "f", "Qualifier": "live"});
        assert!(
            call(&Action::LambdaInvoke, arguments)
                .unwrap_err()
                .cause
                .unwrap()
                .contains("`Qualifier`")
        );
        assert!(call(&Action::LambdaInvoke, json!({})).is_err());
        assert!(
            call(
                &Action::LambdaInvoke,
                json!({"FunctionName": "f", "InvocationType": "Event"})
            )
            .is_err()
        );
    }

    #[test]
    fn values_become_text_where_the_service_wants_text() {
        let started = call(
            &Action::StartExecution,
            json!({"StateMachineArn": "m", "Name": "n", "Input": {"a": 1}}),
        )
        .unwrap();
        assert_eq!(
            started.input,
            json!({"stateMachineArn": "m", "name": "n", "input": "{\"a\":1}"})
        );
        let put = call(
            &Action::PutEvents,
            json!({"Entries": [{"Source": "s", "Detail": {"a": 1}}]}),
        )
        .unwrap();
        assert_eq!(put.input, json!({"Entries": [{"Source": "s", "Detail": "{\"a\":1}"}]}));
    }
}
