//! Asking for a release, in the words of the command line, of the console and of `intake`.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use esclusa_core::error::Failure;
use esclusa_core::identity::RequestKind;
use esclusa_core::version::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client;
use crate::functions::{invoke, once_within};
use crate::sdk::OnFirstUse;

/// What stands in an address of the console for a deployment that is a hotfix, in place of its kind.
pub const HOTFIX: &str = "hotfix";

/// How long `intake` is waited for: it reads the registry, and must be done before whoever asked is answered.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseRequest {
    /// A version into one environment, or the way back in one.
    pub kind: RequestKind,
    /// The application.
    pub application: String,
    /// The environment.
    pub environment: String,
    /// The key of the image; needed where the application has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// For a deployment: what to bring there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// For a rollback: where to; the last one that ran there with other images, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_release: Option<String>,
    /// For a rollback: whether the migrations since then are taken back as well.
    #[serde(default)]
    pub undo_migrations: bool,
    /// For a deployment: whether it does without what the pipeline says that a hotfix does without.
    #[serde(default)]
    pub hotfix: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the function `intake` is invoked with.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    action: &'static str,
    request_id: &'a str,
    requested_by: &'a str,
    request: &'a ReleaseRequest,
}

impl ReleaseRequest {
    /// The payload with which `intake` is invoked for somebody. It believes who that is: whoever invokes it answers for
    /// it. `request_id` is chosen once by whoever asks: a repeat carries the same, and is the same request.
    ///
    /// # Errors
    /// `Defect` where it cannot be written as JSON.
    pub fn payload(&self, request_id: &str, requested_by: &str) -> Result<Value, Failure> {
        let asked = Asked {
            action: "request_release",
            request_id,
            requested_by,
            request: self,
        };
        serde_json::to_value(asked).map_err(|error| Failure::defect(error.to_string()))
    }
}

/// Has `intake` make releases that people ask for.
#[derive(Debug, Clone)]
pub struct ReleaseRequester {
    client: OnFirstUse<Client>,
    function: String,
}

impl ReleaseRequester {
    /// A requester that invokes the function of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, function: &str) -> Self {
        Self {
            client: client!(aws_sdk_lambda, config),
            function: function.to_owned(),
        }
    }

    /// Asks for a release in the name of a principal, and answers with the release. What is asked for again with the
    /// same request id is asked for once.
    ///
    /// # Errors
    /// Those of `intake`: `Refused` and `InvalidInput` say what is wrong with the request.
    pub async fn ask(&self, request: &ReleaseRequest, request_id: &str, requested_by: &str) -> Result<Value, Failure> {
        let payload = request.payload(request_id, requested_by)?;
        let limits = once_within(TIMEOUT);
        invoke(&self.client, &self.function, &payload, Some(limits), "update the stack").await
    }
}
