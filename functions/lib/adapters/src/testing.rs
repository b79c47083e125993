//! An HTTP client that answers from a list and remembers what it was asked: the seam under the real SDK clients.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// What the recorded AWS answers to one attempt.
#[derive(Debug)]
pub(crate) enum Answer {
    /// An HTTP response.
    Response { status: u16, body: String },
    /// The connection breaks after the request was sent.
    ConnectionReset,
    /// No answer comes.
    TimedOut,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::Response {
            status,
            body: body.to_owned(),
        }
    }
}

/// One attempt as it went over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Sent {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The operation, such as `RunTask`.
    pub(crate) fn operation(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().unwrap_or_default()
    }
}

/// The recorded AWS.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Recorded {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            sent: Arc::default(),
        }
    }

    /// A configuration whose clients talk to this, without retries.
    pub(crate) fn config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys(
                "key", "secret", None,
            )))
            .retry_config(RetryConfig::disabled())
            .http_client(self.clone())
            .build()
    }

    pub(crate) fn requests(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

impl HttpConnector for Recorded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let bytes = request.body().bytes().unwrap();
        // A form stays as it is.
        let body = serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into());
        self.sent.lock().unwrap().push(Sent { headers, body });
        HttpConnectorFuture::ready(
            match self.answers.lock().unwrap().pop_front().expect("no answer is left") {
                Answer::Response { status, body } => Ok(HttpResponse::new(
                    StatusCode::try_from(status).unwrap(),
                    SdkBody::from(body),
                )),
                Answer::ConnectionReset => Err(ConnectorError::io("connection reset".into())),
                Answer::TimedOut => Err(ConnectorError::timeout("no answer".into())),
            },
        )
    }
}

impl HttpClient for Recorded {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
