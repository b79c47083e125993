//! Delivery to one target at a time: attempts, back-off, dead letters.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, CallId, Kernel, Principal, TimerId};

use crate::target::{Destination, RetryPolicy, queue_url};

/// The longest pause between two attempts, before jitter: the 185 attempts of the default policy fit into its 24 hours.
const LONGEST_PAUSE_SECONDS: u32 = 600;

/// One payload on its way to one target.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// The ARN of the rule or schedule that sends it.
    pub(crate) origin: String,
    pub(crate) target: String,
    pub(crate) destination: Destination,
    /// Who calls the target.
    pub(crate) principal: Principal,
    pub(crate) payload: Value,
    /// What goes to the dead-letter queue: the event as it came.
    pub(crate) event: String,
    /// The ARN of the dead-letter queue.
    pub(crate) dead_letter_queue: Option<String>,
    /// Who calls the dead-letter queue.
    pub(crate) dead_letter_principal: Principal,
    pub(crate) policy: RetryPolicy,
    pub(crate) since: Timestamp,
    pub(crate) retries: u32,
}

/// Which limit of the retry policy ended the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// All attempts were made.
    MaximumRetryAttempts,
    /// The event had become too old for another.
    MaximumEventAgeInSeconds,
}

impl Exhausted {
    /// The value of the message attribute `EXHAUSTED_RETRY_CONDITION`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaximumRetryAttempts => "MaximumRetryAttempts",
            Self::MaximumEventAgeInSeconds => "MaximumEventAgeInSeconds",
        }
    }
}

/// An event that a target did not receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The ARN of the rule or schedule.
    pub origin: String,
    /// The ARN of the target.
    pub target: String,
    /// The event as it came, as JSON text.
    pub event: String,
    /// The value of `ERROR_CODE`, such as `NO_PERMISSIONS`.
    pub error_code: String,
    /// What the target answered last.
    pub error_message: String,
    /// The limit that ended the attempts; `None` when the error allowed no further attempt.
    pub exhausted: Option<Exhausted>,
    /// Attempts after the first.
    pub retries: u32,
    /// The queue that has the event now; `None` when it is lost.
    pub dead_letter_queue: Option<String>,
}

/// Carries parcels for one service.
#[derive(Debug)]
pub(crate) struct Courier {
    service: &'static str,
    waiting: BTreeMap<TimerId, Parcel>,
    calling: BTreeMap<CallId, Parcel>,
    burying: BTreeMap<CallId, Undelivered>,
    undelivered: Vec<Undelivered>,
}

impl Courier {
    pub(crate) fn new(service: &'static str) -> Self {
        Self {
            service,
            waiting: BTreeMap::new(),
            calling: BTreeMap::new(),
            burying: BTreeMap::new(),
            undelivered: Vec::new(),
        }
    }

    pub(crate) fn undelivered(&self) -> &[Undelivered] {
        &self.undelivered
    }

    /// Makes an attempt.
    pub(crate) fn send(&mut self, parcel: Parcel, kernel: &mut Kernel) {
        let (service, operation, input) = parcel.destination.call(&parcel.target, &parcel.payload);
        let call = kernel.call_at(
            parcel.destination.place(&parcel.target).as_ref(),
            Some(&parcel.origin),
            self.service,
            service,
            &operation,
            input,
            &parcel.principal,
        );
        self.calling.insert(call, parcel);
    }

    /// Makes the next attempt of the parcel that waits for this timer, if one does.
    pub(crate) fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        if let Some(mut parcel) = self.waiting.remove(&timer) {
            parcel.retries += 1;
            self.send(parcel, kernel);
        }
    }

    pub(crate) fn replied(&mut self, call: CallId, result: Result<Value, ApiError>, kernel: &mut Kernel) {
        if let Some(parcel) = self.calling.remove(&call) {
            if let Err(error) = result {
                self.failed(parcel, &error, kernel);
            }
        } else if let Some(mut undelivered) = self.burying.remove(&call) {
            if let Err(error) = result {
                undelivered.dead_letter_queue = None;
                undelivered.error_message = format!("{}; dead-letter queue: {error}", undelivered.error_message);
            }
            self.undelivered.push(undelivered);
        }
    }

    fn failed(&mut self, parcel: Parcel, error: &ApiError, kernel: &mut Kernel) {
        let verdict = Verdict::of(error);
        if !verdict.again {
            self.give_up(&parcel, verdict.code, &error.to_string(), None, kernel);
            return;
        }
        if parcel.retries >= parcel.policy.maximum_retry_attempts {
            let exhausted = Some(Exhausted::MaximumRetryAttempts);
            self.give_up(&parcel, verdict.code, &error.to_string(), exhausted, kernel);
            return;
        }
        let pause = pause(parcel.retries, kernel);
        let age = kernel
            .now()
            .saturating_add(pause)
            .unwrap_or(Timestamp::MAX)
            .duration_since(parcel.since);
        if age > parcel.policy.maximum_age() {
            let exhausted = Some(Exhausted::MaximumEventAgeInSeconds);
            self.give_up(&parcel, verdict.code, &error.to_string(), exhausted, kernel);
            return;
        }
        let timer = kernel.wake_after(pause, self.service);
        self.waiting.insert(timer, parcel);
    }

    /// Sends the event to the dead-letter queue, or notes that it is lost.
    pub(crate) fn give_up(
        &mut self,
        parcel: &Parcel,
        error_code: &str,
        error_message: &str,
        exhausted: Option<Exhausted>,
        kernel: &mut Kernel,
    ) {
        let undelivered = Undelivered {
            origin: parcel.origin.clone(),
            target: parcel.target.clone(),
            event: parcel.event.clone(),
            error_code: error_code.to_owned(),
            error_message: error_message.to_owned(),
            exhausted,
            retries: parcel.retries,
            dead_letter_queue: parcel.dead_letter_queue.clone(),
        };
        let Some(url) = parcel.dead_letter_queue.as_deref().and_then(|arn| queue_url(arn).ok()) else {
            self.undelivered.push(undelivered);
            return;
        };
        let input = json!({
            "QueueUrl": url,
            "MessageBody": undelivered.event,
            "MessageAttributes": attributes(&undelivered),
        });
        let principal = &parcel.dead_letter_principal;
        let call = kernel.call_for(
            Some(&parcel.origin),
            self.service,
            "sqs",
            "SendMessage",
            input,
            principal,
        );
        self.burying.insert(call, undelivered);
    }
}

/// The message attributes of a dead letter.
fn attributes(undelivered: &Undelivered) -> Value {
    let mut attributes = serde_json::Map::new();
    let mut add = |name: &str, kind: &str, value: String| {
        attributes.insert(name.to_owned(), json!({"DataType": kind, "StringValue": value}));
    };
    add("RULE_ARN", "String", undelivered.origin.clone());
    add("TARGET_ARN", "String", undelivered.target.clone());
    add("ERROR_CODE", "String", undelivered.error_code.clone());
    add("ERROR_MESSAGE", "String", undelivered.error_message.clone());
    if let Some(exhausted) = undelivered.exhausted {
        add("EXHAUSTED_RETRY_CONDITION", "String", exhausted.as_str().to_owned());
    }
    add("RETRY_ATTEMPTS", "Number", undelivered.retries.to_string());
    Value::Object(attributes)
}

/// Doubles with every attempt up to the longest pause; jitter takes up to half of it away.
fn pause(retries: u32, kernel: &mut Kernel) -> SignedDuration {
    let full = 2_u32
        .checked_pow(retries)
        .map_or(LONGEST_PAUSE_SECONDS, |seconds| seconds.min(LONGEST_PAUSE_SECONDS));
    let milliseconds = i64::from(full) * 1000;
    SignedDuration::from_millis(kernel.rng().i64(milliseconds / 2..=milliseconds))
}

/// What EventBridge makes of the answer of a target.
struct Verdict {
    code: &'static str,
    again: bool,
}

impl Verdict {
    fn of(error: &ApiError) -> Self {
        let (code, again) = match error.code.as_str() {
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => ("NO_PERMISSIONS", false),
            "ResourceNotFoundException" | "StateMachineDoesNotExist" | "StateMachineDeleting" | "QueueDoesNotExist" => {
                ("NO_RESOURCE", false)
            }
            "InvalidRequestContentException" | "InvalidExecutionInput" => ("INVALID_JSON", false),
            "UnsupportedBySimulatorException" => ("UNKNOWN", false),
            "TooManyRequestsException" | "ThrottlingException" | "ExecutionLimitExceeded" => ("THROTTLING", true),
            "RequestTimeout" | "RequestTimeoutException" => ("TIMEOUT", true),
            _ => ("ERROR_FROM_TARGET", true),
        };
        Self { code, again }
    }
}
