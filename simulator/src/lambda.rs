//! AWS Lambda: invocations, asynchronous retries, timeouts, reserved concurrency.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, CallId, Kernel, Reply, Request, RequestId, Service, TimerId};

use crate::stdout::Stdout;

/// How long an asynchronous event that meets a throttle is tried again, unless the function says otherwise.
const MAXIMUM_EVENT_AGE: SignedDuration = SignedDuration::from_hours(6);

/// Names one run of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvocationId(pub u64);

/// What an in-process handler is given beside its payload: what a real one finds in its environment and in the
/// request's headers.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The request id: the same for every attempt of an asynchronous event.
    pub request_id: String,
    /// The function's name.
    pub function_name: String,
    /// The function's ARN.
    pub function_arn: String,
    /// When the invocation is ended if it has not ended by itself.
    pub deadline: Timestamp,
    /// The function's environment variables, as the template sets them.
    pub environment: BTreeMap<String, String>,
    /// For SDK clients that act as the function's role in this world.
    pub sdk_config: aws_config::SdkConfig,
    /// Where its output goes; none where it is not kept: [`crate::Settings::function_logs`].
    pub stdout: Option<Stdout>,
}

/// How a handler fails: what `lambda_runtime` calls a `Diagnostic`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error_type}: {error_message}")]
pub struct FunctionError {
    /// The name that `Retry` and `Catch` match.
    pub error_type: String,
    /// The text beside it.
    pub error_message: String,
}

impl FunctionError {
    /// An error of this type with this message.
    pub fn new(error_type: impl Into<String>, error_message: impl Into<String>) -> Self {
        Self {
            error_type: error_type.into(),
            error_message: error_message.into(),
        }
    }

    fn payload(&self) -> Value {
        json!({"errorType": self.error_type, "errorMessage": self.error_message})
    }
}

/// The code of an in-process function.
pub type Handler = Rc<dyn Fn(Value, Invocation) -> LocalBoxFuture<'static, Result<Value, FunctionError>>>;

/// What the template says of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionConfiguration {
    /// The function's name.
    pub name: String,
    /// The role that the function's calls are made with; the administrator when absent.
    pub role: Option<String>,
    /// 1 to 900.
    pub timeout_seconds: u32,
    /// 128 to 10,240.
    pub memory_mebibytes: u32,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// The log group of what it writes, where it is another than `/aws/lambda/NAME`.
    pub log_group: Option<String>,
    /// How many invocations may run at the same time.
    pub reserved_concurrency: Option<u32>,
    /// How often an asynchronous event is tried again after a function error: 0 to 2.
    pub maximum_retry_attempts: u32,
    /// How long an asynchronous event is kept, in seconds: 60 to 21,600.
    pub maximum_event_age_seconds: u32,
    /// ARN of the queue that an asynchronous event ends in when every attempt failed, with a record of the failure
    /// around it.
    pub on_failure: Option<String>,
    /// ARN of the queue that an asynchronous event ends in when every attempt failed, as it was sent.
    pub dead_letter_queue: Option<String>,
}

impl FunctionConfiguration {
    /// A function as Lambda creates it when nothing else is said, except for a timeout of 30 seconds.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: None,
            timeout_seconds: 30,
            memory_mebibytes: 128,
            environment: BTreeMap::new(),
            log_group: None,
            reserved_concurrency: None,
            maximum_retry_attempts: 2,
            maximum_event_age_seconds: 21_600,
            on_failure: None,
            dead_letter_queue: None,
        }
    }
}

impl FunctionConfiguration {
    fn log_group_name(&self) -> String {
        self.log_group.clone().unwrap_or_else(|| own_log_group(&self.name))
    }
}

/// The log group of a function that names no other.
fn own_log_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

struct Function {
    configuration: FunctionConfiguration,
    handler: Option<Handler>,
    running: u32,
}

/// An event that waits for an attempt, or is in one.
#[derive(Debug, Clone)]
struct AsyncEvent {
    received: Timestamp,
    failures: u32,
    throttles: u32,
}

#[derive(Debug)]
enum Source {
    Synchronous(RequestId),
    Asynchronous(AsyncEvent),
}

#[derive(Debug)]
struct Attempt {
    function: String,
    request_id: String,
    payload: Value,
    source: Source,
    /// Since when it runs.
    began: Option<Timestamp>,
}

/// How a function was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FunctionUsage {
    /// Invocations that are over, however they ended.
    pub invocations: u32,
    /// How long they took together: what a function waits for. Its own work takes no time in a simulated world.
    pub duration: SignedDuration,
}

/// An invocation that the world must begin.
pub(crate) struct Start {
    pub(crate) id: InvocationId,
    pub(crate) function: String,
    pub(crate) arn: String,
    pub(crate) request_id: String,
    pub(crate) payload: Value,
    /// The call that waits for it.
    pub(crate) caller: Option<RequestId>,
    pub(crate) role: Option<String>,
    pub(crate) timeout: SignedDuration,
    pub(crate) memory_mebibytes: u32,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) log_group: String,
    pub(crate) handler: Option<Handler>,
}

/// The service `lambda`.
#[derive(Default)]
pub struct Lambda {
    functions: BTreeMap<String, Function>,
    attempts: BTreeMap<InvocationId, Attempt>,
    later: BTreeMap<TimerId, Attempt>,
    starts: VecDeque<Start>,
    usage: BTreeMap<String, FunctionUsage>,
}

impl fmt::Debug for Lambda {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Lambda")
            .field("functions", &self.functions.keys())
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl Lambda {
    /// Creates a function, or changes the configuration of one that exists.
    pub fn configure(&mut self, configuration: FunctionConfiguration) {
        match self.functions.get_mut(&configuration.name) {
            Some(function) => function.configuration = configuration,
            None => {
                let function = Function {
                    configuration: configuration.clone(),
                    handler: None,
                    running: 0,
                };
                self.functions.insert(configuration.name, function);
            }
        }
    }

    /// Gives a function its in-process code. A function that was not configured gets [`FunctionConfiguration::named`].
    pub fn register(&mut self, name: &str, handler: Handler) {
        if !self.functions.contains_key(name) {
            self.configure(FunctionConfiguration::named(name));
        }
        if let Some(function) = self.functions.get_mut(name) {
            function.handler = Some(handler);
        }
    }

    /// Takes the in-process code of a function away: from now on it is run as a program, where one is known.
    pub fn unregister(&mut self, name: &str) {
        if let Some(function) = self.functions.get_mut(name) {
            function.handler = None;
        }
    }

    /// The configuration of a function.
    #[must_use]
    pub fn configuration(&self, name: &str) -> Option<&FunctionConfiguration> {
        self.functions.get(name).map(|function| &function.configuration)
    }

    /// What each function has been used for, by name.
    #[must_use]
    pub fn usage(&self) -> &BTreeMap<String, FunctionUsage> {
        &self.usage
    }

    /// The log group of what a function writes.
    pub(crate) fn log_group(&self, function: &str) -> String {
        self.configuration(function)
            .map_or_else(|| own_log_group(function), FunctionConfiguration::log_group_name)
    }

    pub(crate) fn take_start(&mut self) -> Option<Start> {
        self.starts.pop_front()
    }

    pub(crate) fn request_id(&self, invocation: InvocationId) -> Option<String> {
        self.attempts.get(&invocation).map(|attempt| attempt.request_id.clone())
    }

    /// The error of an invocation that reached its timeout.
    pub(crate) fn timed_out(&self, invocation: InvocationId) -> FunctionError {
        let attempt = self.attempts.get(&invocation);
        let request = attempt.map(|attempt| attempt.request_id.as_str()).unwrap_or_default();
        let seconds = attempt.map_or(0, |attempt| self.timeout_seconds(&attempt.function));
        timed_out(request, seconds)
    }

    /// How long a function may run; nothing when there is none of this name or ARN.
    pub(crate) fn timeout_seconds(&self, function: &str) -> u32 {
        self.configuration(function_name(function))
            .map_or(0, |configuration| configuration.timeout_seconds)
    }

    /// The body of an invocation is over.
    pub(crate) fn ended(
        &mut self,
        invocation: InvocationId,
        result: Result<Value, FunctionError>,
        kernel: &mut Kernel,
    ) {
        let Some(attempt) = self.attempts.remove(&invocation) else {
            return;
        };
        if let Some(function) = self.functions.get_mut(&attempt.function) {
            function.running = function.running.saturating_sub(1);
        }
        let usage = self.usage.entry(attempt.function.clone()).or_default();
        usage.invocations = usage.invocations.saturating_add(1);
        if let Some(began) = attempt.began {
            usage.duration = usage.duration.saturating_add(kernel.now().duration_since(began));
        }
        match (&attempt.source, result) {
            (Source::Synchronous(request), result) => kernel.answer(*request, Ok(answer(result))),
            (Source::Asynchronous(_), Ok(_)) => {}
            (Source::Asynchronous(_), Err(error)) => self.failed(attempt, &error, kernel),
        }
    }

    /// An asynchronous attempt has failed: after one minute, then after two, then never again.
    fn failed(&mut self, mut attempt: Attempt, error: &FunctionError, kernel: &mut Kernel) {
        let Some(configuration) = self.configuration(&attempt.function).cloned() else {
            return;
        };
        let Source::Asynchronous(event) = &mut attempt.source else {
            return;
        };
        event.failures += 1;
        let delay = SignedDuration::from_mins(event.failures.into());
        if event.failures > configuration.maximum_retry_attempts {
            give_up(&attempt, &configuration, "RetriesExhausted", error, kernel);
        } else if too_old(event, &configuration, kernel.now(), delay) {
            give_up(&attempt, &configuration, "EventAgeExceeded", error, kernel);
        } else {
            self.later.insert(kernel.wake_after(delay, "lambda"), attempt);
        }
    }

    fn invoke(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Reply, ApiError> {
        let text = |member: &str| request.input.get(member).and_then(Value::as_str);
        let name = function_name(text("FunctionName").unwrap_or_default());
        if !self.functions.contains_key(name) {
            return Err(not_found(name, kernel));
        }
        let kind = text("InvocationType").unwrap_or("RequestResponse");
        let mut attempt = Attempt {
            function: name.to_owned(),
            request_id: kernel.uuid(),
            payload: request.input.get("Payload").cloned().unwrap_or_else(|| json!({})),
            source: Source::Synchronous(request.id),
            began: None,
        };
        match kind {
            "RequestResponse" => match self.start(attempt, kernel) {
                None => Ok(Reply::Later),
                Some(_) => Err(throttled()),
            },
            "Event" => {
                let event = AsyncEvent {
                    received: kernel.now(),
                    failures: 0,
                    throttles: 0,
                };
                attempt.source = Source::Asynchronous(event);
                let delay = SignedDuration::from_millis(kernel.rng().i64(1..=50));
                self.later.insert(kernel.wake_after(delay, "lambda"), attempt);
                Ok(Reply::Now(Ok(json!({"StatusCode": 202}))))
            }
            "DryRun" => Ok(Reply::Now(Ok(json!({"StatusCode": 204})))),
            other => Err(ApiError::client(
                "InvalidParameterValueException",
                format!("unknown invocation type `{other}`"),
            )),
        }
    }

    /// Begins an attempt, or gives it back when the function's reserved concurrency is used up.
    fn start(&mut self, mut attempt: Attempt, kernel: &mut Kernel) -> Option<Attempt> {
        let Some(function) = self.functions.get_mut(&attempt.function) else {
            return Some(attempt);
        };
        if function
            .configuration
            .reserved_concurrency
            .is_some_and(|limit| function.running >= limit)
        {
            return Some(attempt);
        }
        function.running += 1;
        attempt.began = Some(kernel.now());
        let id = InvocationId(kernel.next_id());
        let configuration = &function.configuration;
        self.starts.push_back(Start {
            id,
            function: attempt.function.clone(),
            arn: kernel.arn("lambda", &format!("function:{}", attempt.function)),
            request_id: attempt.request_id.clone(),
            payload: attempt.payload.clone(),
            caller: match attempt.source {
                Source::Synchronous(request) => Some(request),
                Source::Asynchronous(_) => None,
            },
            role: configuration.role.clone(),
            timeout: SignedDuration::from_secs(configuration.timeout_seconds.into()),
            memory_mebibytes: configuration.memory_mebibytes,
            environment: configuration.environment.clone(),
            log_group: configuration.log_group_name(),
            handler: function.handler.clone(),
        });
        self.attempts.insert(id, attempt);
        None
    }

    fn describe(&self, name: &str, kernel: &Kernel) -> Result<Value, ApiError> {
        let function = self.functions.get(name).ok_or_else(|| not_found(name, kernel))?;
        let FunctionConfiguration {
            name,
            role,
            timeout_seconds,
            memory_mebibytes,
            environment,
            ..
        } = &function.configuration;
        let role = role
            .as_ref()
            .map(|role| format!("arn:aws:iam::{}:role/{role}", kernel.account()));
        Ok(json!({
            "FunctionName": name,
            "FunctionArn": kernel.arn("lambda", &format!("function:{name}")),
            "Role": role,
            "Timeout": timeout_seconds,
            "MemorySize": memory_mebibytes,
            "Environment": {"Variables": environment},
            "Runtime": "provided.al2023",
            "PackageType": "Zip",
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "Version": "$LATEST",
        }))
    }

    fn list(&self, kernel: &Kernel) -> Result<Value, ApiError> {
        let functions: Result<Vec<Value>, ApiError> =
            self.functions.keys().map(|name| self.describe(name, kernel)).collect();
        Ok(json!({"Functions": functions?}))
    }
}

impl Service for Lambda {
    fn name(&self) -> &'static str {
        "lambda"
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let name = function_name(
            request
                .input
                .get("FunctionName")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        );
        let arn = kernel.arn("lambda", &format!("function:{name}"));
        match request.operation.as_str() {
            "Invoke" => vec![Authorization::new("lambda:InvokeFunction", arn)],
            operation @ ("GetFunction" | "GetFunctionConfiguration") => {
                vec![Authorization::new(format!("lambda:{operation}"), arn)]
            }
            "ListFunctions" => vec![Authorization::new("lambda:ListFunctions", "*")],
            _ => Vec::new(),
        }
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        let name = function_name(
            request
                .input
                .get("FunctionName")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        );
        match request.operation.as_str() {
            "Invoke" => self
                .invoke(request, kernel)
                .unwrap_or_else(|error| Reply::Now(Err(error))),
            "GetFunction" => Reply::Now(
                self.describe(name, kernel)
                    .map(|configuration| json!({"Configuration": configuration})),
            ),
            "GetFunctionConfiguration" => Reply::Now(self.describe(name, kernel)),
            "ListFunctions" => Reply::Now(self.list(kernel)),
            other => Reply::Now(Err(ApiError::unsupported(format_args!(
                "`{other}` of `lambda`; there are `Invoke`, `GetFunction`, `GetFunctionConfiguration`, `ListFunctions`"
            )))),
        }
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        let Some(attempt) = self.later.remove(&timer) else {
            return;
        };
        let Some(mut attempt) = self.start(attempt, kernel) else {
            return;
        };
        let Some(configuration) = self.configuration(&attempt.function).cloned() else {
            return;
        };
        let Source::Asynchronous(event) = &mut attempt.source else {
            return;
        };
        event.throttles += 1;
        let delay = SignedDuration::from_secs(1_i64.checked_shl(event.throttles).unwrap_or(300).min(300));
        if too_old(event, &configuration, kernel.now(), delay) {
            let error = FunctionError::new("TooManyRequestsException", "Rate Exceeded.");
            give_up(&attempt, &configuration, "EventAgeExceeded", &error, kernel);
        } else {
            self.later.insert(kernel.wake_after(delay, "lambda"), attempt);
        }
    }

    fn replied(&mut self, _: CallId, result: Result<Value, ApiError>, kernel: &mut Kernel) {
        if let Err(error) = result {
            let now = kernel.now();
            let line = format!("an event whose attempts all failed could not be sent to its queue: {error}");
            kernel.logs.write("/simulator/lambda", "destinations", now, &line);
        }
    }
}

/// The error of a function that has reached its timeout.
pub(crate) fn timed_out(request_id: &str, seconds: u32) -> FunctionError {
    let message = format!("RequestId: {request_id} Error: Task timed out after {seconds}.00 seconds");
    FunctionError::new("Sandbox.Timedout", message)
}

/// What `Invoke` answers whoever waits for the function.
pub(crate) fn answer(result: Result<Value, FunctionError>) -> Value {
    match result {
        Ok(payload) => json!({"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": payload}),
        Err(error) => json!({
            "StatusCode": 200,
            "ExecutedVersion": "$LATEST",
            "FunctionError": "Unhandled",
            "Payload": error.payload(),
        }),
    }
}

fn too_old(event: &AsyncEvent, configuration: &FunctionConfiguration, now: Timestamp, delay: SignedDuration) -> bool {
    let limit = SignedDuration::from_secs(configuration.maximum_event_age_seconds.into()).min(MAXIMUM_EVENT_AGE);
    now.duration_since(event.received).saturating_add(delay) > limit
}

/// Sends an event that is given up where its function wants it.
fn give_up(
    attempt: &Attempt,
    configuration: &FunctionConfiguration,
    condition: &str,
    error: &FunctionError,
    kernel: &mut Kernel,
) {
    let Source::Asynchronous(event) = &attempt.source else {
        return;
    };
    let principal = match &configuration.role {
        Some(role) => kernel.role(kernel.account(), role),
        None => kernel.administrator(),
    };
    let function_arn = kernel.arn("lambda", &format!("function:{}:$LATEST", attempt.function));
    let mut send = |queue: &str, body: &Value, attributes: Value| {
        let input = json!({"QueueUrl": queue, "MessageBody": body.to_string(), "MessageAttributes": attributes});
        kernel.call("lambda", "sqs", "SendMessage", input, &principal);
    };
    if let Some(queue) = &configuration.dead_letter_queue {
        let attribute = |kind: &str, text: &str| json!({"DataType": kind, "StringValue": text});
        let attributes = json!({
            "RequestID": attribute("String", &attempt.request_id),
            "ErrorCode": attribute("Number", "200"),
            "ErrorMessage": attribute("String", &error.error_message),
        });
        send(queue, &attempt.payload, attributes);
    }
    if let Some(queue) = &configuration.on_failure {
        let record = json!({
            "version": "1.0",
            "timestamp": event.received.to_string(),
            "requestContext": {
                "requestId": attempt.request_id,
                "functionArn": function_arn,
                "condition": condition,
                "approximateInvokeCount": event.failures,
            },
            "requestPayload": attempt.payload,
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": error.payload(),
        });
        send(queue, &record, json!({}));
    }
}

/// The name in a name, a partial ARN or an ARN, without version or alias.
fn function_name(reference: &str) -> &str {
    let parts: Vec<&str> = reference.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "lambda", _, _, "function", name, ..] | [_, "function", name, ..] | [name, ..] => name,
        [] => reference,
    }
}

fn not_found(name: &str, kernel: &Kernel) -> ApiError {
    let arn = kernel.arn("lambda", &format!("function:{name}"));
    ApiError {
        status: 404,
        ..ApiError::client("ResourceNotFoundException", format!("Function not found: {arn}"))
    }
}

fn throttled() -> ApiError {
    ApiError {
        status: 429,
        ..ApiError::client("TooManyRequestsException", "Rate Exceeded.")
    }
    .with("Reason", json!("ReservedFunctionConcurrentInvocationLimitExceeded"))
}
