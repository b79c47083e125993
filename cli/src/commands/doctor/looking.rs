//! What an answer of AWS says about something that is looked at.

use std::error::Error;
use std::fmt::Debug;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use esclusa_adapters::sdk::chain;
use esclusa_core::doctor::Seen;
use esclusa_core::error::{ErrorKind, Failure};

/// The words of the services for what is not there.
const ABSENT: [&str; 10] = [
    "AWS.SimpleQueueService.NonExistentQueue",
    "ClusterNotFoundException",
    "NotFound",
    "NotFoundException",
    "QueueDoesNotExist",
    "RepositoryNotFoundException",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "StateMachineDoesNotExist",
    "TableNotFoundException",
];

/// The words of the services for what is not allowed, besides those that begin with `AccessDenied`.
const DENIED: [&str; 3] = ["AuthorizationError", "NotAuthorized", "UnauthorizedOperation"];

/// What the answer to `action`, in IAM's spelling, says.
pub(super) fn seen<T, E, R>(action: &str, answer: Result<T, SdkError<E, R>>) -> Seen<T>
where
    E: ProvideErrorMetadata + Error + 'static,
    R: Debug + 'static,
{
    let error = match answer {
        Ok(facts) => return Seen::Found(facts),
        Err(error) => error,
    };
    match error.code() {
        Some(code) if ABSENT.contains(&code) => Seen::Absent,
        Some(code) if code.starts_with("AccessDenied") || DENIED.contains(&code) => denied(action),
        Some(code) => Seen::Unreadable {
            why: format!(
                "`{action}` answered `{code}`: {}",
                error.message().unwrap_or("AWS gives no reason")
            ),
        },
        None => Seen::Unreadable {
            why: format!("`{action}` could not be called: {}", chain(&error)),
        },
    }
}

/// The same of an adapter, which has read the answer already.
pub(super) fn seen_by<T>(action: &str, answer: Result<T, Failure>) -> Seen<T> {
    match answer {
        Ok(facts) => Seen::Found(facts),
        Err(failure) if failure.kind == ErrorKind::AccessDenied => denied(action),
        Err(failure) if ABSENT.iter().any(|code| failure.message.contains(&format!("`{code}`"))) => Seen::Absent,
        Err(failure) => Seen::Unreadable { why: failure.message },
    }
}

fn denied<T>(action: &str) -> Seen<T> {
    Seen::Denied {
        action: action.to_owned(),
    }
}

/// What is there of what was looked for, if it could be looked for.
pub(super) fn or_absent<T>(seen: Seen<Option<T>>) -> Seen<T> {
    match seen {
        Seen::Found(Some(facts)) => Seen::Found(facts),
        Seen::Found(None) | Seen::Absent => Seen::Absent,
        Seen::Denied { action } => Seen::Denied { action },
        Seen::Unreadable { why } => Seen::Unreadable { why },
    }
}
