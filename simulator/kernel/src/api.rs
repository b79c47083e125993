//! The contract between the world and a simulated service.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::{Value, json};

use crate::{Kernel, Place, TimerId};

/// Names one incoming API request for the time it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names one call of a service to another service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The owner of the account where the world began: a test, the local run, a client with the administrator's key.
    /// Everything is allowed there.
    Administrator,
    /// The owner of another account.
    AdministratorOf(String),
    /// A role of the account where the world began, by name. Only what its policies allow is allowed.
    Role(String),
    /// A role of another account. Only what its policies allow is allowed.
    RoleOf {
        /// The account.
        account: String,
        /// The name.
        role: String,
    },
    /// An AWS service acting for itself, such as `events.amazonaws.com`: allowed where a resource policy of the
    /// template says so.
    Service(String),
}

/// One API request as a service sees it: parsed, and allowed by the caller's role.
#[derive(Debug, Clone)]
pub struct Request {
    /// To answer later with [`Kernel::answer`].
    pub id: RequestId,
    /// The operation, such as `RunTask`.
    pub operation: String,
    /// The body as AWS's JSON protocols carry it.
    pub input: Value,
    /// Who calls.
    pub principal: Principal,
    /// The access key that signed it, where a client did.
    pub access_key_id: Option<String>,
}

/// A call of a service to another service.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Where the called service is; where the calling one is, unless given.
    pub place: Option<Place>,
    /// Comes back with the answer.
    pub id: CallId,
    /// Signing name of the calling service.
    pub from: String,
    /// Signing name of the called service, such as `lambda`.
    pub service: String,
    /// The operation, such as `Invoke`.
    pub operation: String,
    /// The input in the shape of the API reference.
    pub input: Value,
    /// On whose behalf.
    pub principal: Principal,
    /// What made the service call, such as the ARN of a rule: the condition key `aws:SourceArn` of the request.
    pub source_arn: Option<String>,
}

/// One permission that an operation needs: all of an operation's permissions must be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The IAM action, such as `ecs:RunTask`.
    pub action: String,
    /// The ARN it acts on, or `*` where the action knows no resource.
    pub resource: String,
    /// Condition keys of the request with their values, such as `ecs:cluster` or `dynamodb:LeadingKeys`.
    pub conditions: BTreeMap<String, Vec<String>>,
}

impl Authorization {
    /// A permission without condition keys.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            resource: resource.into(),
            conditions: BTreeMap::new(),
        }
    }

    /// Adds a condition key of the request.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.conditions.entry(key.into()).or_default().push(value.into());
        self
    }
}

/// An error as AWS's JSON protocols carry it: `{"__type": code, "message": message, ...}`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The error's name in the API model, such as `ClusterNotFoundException`.
    pub code: String,
    /// The text beside it.
    pub message: String,
    /// 400 for the caller's mistakes, 500 and above for the service's.
    pub status: u16,
    /// Further members of the modelled error, such as `resourceIds` or `CancellationReasons`.
    pub members: Box<serde_json::Map<String, Value>>,
}

impl ApiError {
    /// An error with HTTP status 400.
    pub fn client(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status: 400,
            members: Box::default(),
        }
    }

    /// An error with HTTP status 500.
    pub fn server(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status: 500,
            members: Box::default(),
        }
    }

    /// The answer to an operation, parameter or value that the simulator does not know: never shaped like success.
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        Self {
            code: "UnsupportedBySimulatorException".to_owned(),
            message: format!("the simulated AWS does not implement {what}"),
            status: 501,
            members: Box::default(),
        }
    }

    /// The same for an operation, with the names of those that the service has.
    #[must_use]
    pub fn unknown_operation(service: &str, operation: &str, known: &[&str]) -> Self {
        Self::unsupported(format_args!(
            "`{operation}` of `{service}`; there are `{}`",
            known.join("`, `")
        ))
    }

    /// Adds a member of the modelled error.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.to_owned(), value);
        self
    }

    /// The body on the wire.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({"__type": self.code, "message": self.message});
        if let Some(object) = body.as_object_mut() {
            for (member, value) in self.members.iter() {
                object.insert(member.clone(), value.clone());
            }
        }
        body
    }
}

/// What a service says to a request.
#[derive(Debug)]
pub enum Reply {
    /// The answer.
    Now(Result<Value, ApiError>),
    /// The answer comes through [`Kernel::answer`].
    Later,
}

/// What the name of an operation begins with that services call on each other and that no client can call.
pub const INTERNAL: &str = "internal/";

/// One simulated AWS service. What its API does not show or cannot set is reached through its type, as [`Any`].
pub trait Service: Debug + Any {
    /// The signing name, such as `ecs`, `states`, `dynamodb`, `events`.
    fn name(&self) -> &'static str;

    /// The permissions that this request needs. An operation the service does not know needs none: [`Service::call`]
    /// refuses it.
    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization>;

    /// Carries out one operation. Effects on other services and later moments are asked of the kernel.
    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply;

    /// A timer that this service set is due.
    fn wake(&mut self, _timer: TimerId, _kernel: &mut Kernel) {}

    /// The answer to a call that this service made with [`Kernel::call`].
    fn replied(&mut self, _call: CallId, _result: Result<Value, ApiError>, _kernel: &mut Kernel) {}

    /// An event has been put on the default bus. Only EventBridge listens.
    fn event(&mut self, _event: &Value, _kernel: &mut Kernel) {}
}
