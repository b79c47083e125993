//! The seam to the AWS SDK for Rust: an HTTP client without a socket, a clock and a sleep that are the world's.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use futures_util::future::{Either, select};
use jiff::SignedDuration;
use simulator_kernel::{ApiError, Principal};
use tokio::sync::oneshot;

use crate::identity::{self, AccessKey};
use crate::mailbox::{Arrival, ClientCall, Mailbox};
use crate::protocol::{self, HttpAnswer, HttpCall, Protocol};

/// An SDK configuration whose clients act as the owner of `access_key_id` and know no other world and no other time.
pub(crate) fn config(mailbox: &Arc<Mailbox>, region: &str, access_key_id: &str) -> SdkConfig {
    let credentials = Credentials::new(access_key_id, identity::SECRET_ACCESS_KEY, None, None, "simulator");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(WorldClient(Arc::clone(mailbox)))
        .time_source(WorldClock {
            mailbox: Arc::clone(mailbox),
            access_key_id: access_key_id.to_owned(),
        })
        .sleep_impl(WorldSleep(Arc::clone(mailbox)))
        .retry_config(RetryConfig::standard())
        // A body is whole in memory before anybody reads it: nothing can stall.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

#[derive(Debug, Clone)]
struct WorldClock {
    mailbox: Arc<Mailbox>,
    access_key_id: String,
}

impl TimeSource for WorldClock {
    fn now(&self) -> SystemTime {
        self.mailbox.now_of(&self.access_key_id).into()
    }
}

#[derive(Debug, Clone)]
struct WorldSleep(Arc<Mailbox>);

impl AsyncSleep for WorldSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(self.0.sleep(signed(duration)))
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[derive(Debug, Clone)]
struct WorldClient(Arc<Mailbox>);

impl HttpClient for WorldClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(WorldConnector {
            mailbox: Arc::clone(&self.0),
            read_timeout: settings.read_timeout().map(signed),
        })
    }
}

#[derive(Debug, Clone)]
struct WorldConnector {
    mailbox: Arc<Mailbox>,
    read_timeout: Option<SignedDuration>,
}

impl HttpConnector for WorldConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            let answer = connector.answer(&request).await?;
            response(answer)
        })
    }
}

impl WorldConnector {
    async fn answer(&self, request: &HttpRequest) -> Result<HttpAnswer, ConnectorError> {
        let uri: http::Uri = request
            .uri()
            .parse()
            .map_err(|error| ConnectorError::user(Box::new(error)))?;
        let body = request
            .body()
            .bytes()
            .ok_or_else(|| ConnectorError::user("the simulated AWS takes no streaming request body".into()))?;
        let call = protocol::parse(request.method(), &uri, |name| request.headers().get(name), body);
        let answer = submit(&self.mailbox, call, self.mailbox.running());
        let answer = std::pin::pin!(answer);
        let outcome = match self.read_timeout {
            None => answer.await,
            Some(limit) => match select(answer, std::pin::pin!(self.mailbox.sleep(limit))).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => {
                    return Err(ConnectorError::timeout(format!("no answer within {limit:#}").into()));
                }
            },
        };
        outcome.ok_or_else(|| ConnectorError::io("the connection was reset by the peer".into()))
    }
}

/// Puts one request into the world, as far as it was understood, and gives its answer. `None` when the connection is reset. The request is sent when this is
/// first polled.
pub(crate) async fn submit(
    mailbox: &Mailbox,
    call: Result<HttpCall, ApiError>,
    running: Option<crate::lambda::InvocationId>,
) -> Option<HttpAnswer> {
    let call = match call {
        Ok(call) => call,
        Err(error) => return Some(protocol::encode(&Protocol::Rest, "refused", Err(error))),
    };
    let Some((principal, owner)) = mailbox.principal(&call.access_key_id) else {
        return Some(protocol::encode(
            &call.protocol,
            "refused",
            Err(unknown_key(&call.access_key_id)),
        ));
    };
    let (answer, answered) = oneshot::channel();
    mailbox.put(Arrival::Call(ClientCall {
        principal,
        service: call.service,
        operation: call.operation,
        input: call.input,
        invocation: running.or(owner),
        answer,
    }));
    let (request_id, result) = answered.await.ok()?;
    Some(protocol::encode(&call.protocol, &request_id, result))
}

fn unknown_key(access_key_id: &str) -> ApiError {
    ApiError::client(
        "UnrecognizedClientException",
        format!(
            "The security token included in the request is invalid. The simulated AWS does not know the access key `{access_key_id}`; \
             to act as the administrator, `export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}`.",
            Principal::Administrator.access_key_id(),
            identity::SECRET_ACCESS_KEY
        ),
    )
}

fn response(answer: HttpAnswer) -> Result<HttpResponse, ConnectorError> {
    let status = answer
        .status
        .try_into()
        .map_err(|error| ConnectorError::user(Box::new(error)))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}
