//! The seam to the AWS SDK for Rust: an HTTP client without a socket, a clock and a sleep that are the world's.

use std::collections::BTreeMap;
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
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use futures_util::future::{Either, select};
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Principal};
use tokio::sync::oneshot;

use crate::identity::{self, AccessKey};
use crate::mailbox::{Arrival, ClientCall, Mailbox};
use crate::protocol::{self, HttpAnswer, HttpCall, Protocol};
use crate::services::{ecr, http_apis, sites, slack};

/// The host name of the loopback endpoint.
const LOOPBACK: &str = "localhost";

/// What the host names of HTTP APIs have in them.
const API_DOMAIN: &str = ".execute-api.";

/// An SDK configuration whose clients act as the owner of `access_key_id` and know no other world and no other time.
pub(crate) fn config(mailbox: &Arc<Mailbox>, region: &str, access_key_id: &str) -> SdkConfig {
    let credentials = Credentials::new(access_key_id, identity::SECRET_ACCESS_KEY, None, None, "simulator");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(WorldClient {
            mailbox: Arc::clone(mailbox),
            access_key_id: access_key_id.to_owned(),
        })
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

/// A connection of the owner of an access key.
pub(crate) fn connector(mailbox: &Arc<Mailbox>, access_key_id: &str) -> SharedHttpConnector {
    SharedHttpConnector::new(WorldConnector {
        mailbox: Arc::clone(mailbox),
        access_key_id: access_key_id.to_owned(),
        read_timeout: None,
    })
}

#[derive(Debug, Clone)]
struct WorldClient {
    mailbox: Arc<Mailbox>,
    /// Whose client it is: requests to sites do not say so themselves.
    access_key_id: String,
}

impl HttpClient for WorldClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(WorldConnector {
            mailbox: Arc::clone(&self.mailbox),
            access_key_id: self.access_key_id.clone(),
            read_timeout: settings.read_timeout().map(signed),
        })
    }
}

#[derive(Debug, Clone)]
struct WorldConnector {
    mailbox: Arc<Mailbox>,
    access_key_id: String,
    read_timeout: Option<SignedDuration>,
}

impl HttpConnector for WorldConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            let uri: http::Uri = request
                .uri()
                .parse()
                .map_err(|error| ConnectorError::user(Box::new(error)))?;
            let authorization = request.headers().get("authorization");
            let is_signed = authorization.is_some_and(|authorization| authorization.starts_with("AWS4-"));
            match uri.host() {
                Some(host) if host.contains(API_DOMAIN) || !is_signed && (!is_of_aws(host) || ecr::is_bucket(host)) => {
                    let visit = connector.visit(&request, host, &uri);
                    connector.within_timeout(visit).await?
                }
                _ => connector.dated(response(connector.answer(&request, &uri).await?)),
            }
        })
    }
}

impl WorldConnector {
    async fn answer(&self, request: &HttpRequest, uri: &http::Uri) -> Result<HttpAnswer, ConnectorError> {
        let body = request
            .body()
            .bytes()
            .ok_or_else(|| ConnectorError::user("the simulated AWS takes no streaming request body".into()))?;
        let call = protocol::parse(request.method(), uri, |name| request.headers().get(name), body);
        let answer = submit(&self.mailbox, call, self.mailbox.running());
        let outcome = self.within_timeout(answer).await?;
        outcome.ok_or_else(reset)
    }

    /// An answer with the time of AWS in it, as every answer has.
    fn dated(&self, response: Result<HttpResponse, ConnectorError>) -> Result<HttpResponse, ConnectorError> {
        let mut response = response?;
        let date = self.mailbox.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        response.headers_mut().insert("date", date);
        Ok(response)
    }

    async fn within_timeout<T>(&self, answer: impl Future<Output = T>) -> Result<T, ConnectorError> {
        let answer = std::pin::pin!(answer);
        match self.read_timeout {
            None => Ok(answer.await),
            Some(limit) => match select(answer, std::pin::pin!(self.mailbox.sleep(limit))).await {
                Either::Left((outcome, _)) => Ok(outcome),
                Either::Right(_) => Err(ConnectorError::timeout(format!("no answer within {limit:#}").into())),
            },
        }
    }

    /// A request to a host that is no endpoint of a service of AWS: one of Slack, an HTTP API, or else a site, as the
    /// bucket of the registry is.
    async fn visit(&self, request: &HttpRequest, host: &str, uri: &http::Uri) -> Result<HttpResponse, ConnectorError> {
        let header = |name: &str| request.headers().get(name);
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let (service, operation, input, key) = if host.contains(API_DOMAIN) {
            let (input, key) = api_input(host, uri, request.headers().iter(), &body);
            (http_apis::NAME, request.method().to_owned(), input, key)
        } else if let Some(operation) = slack::operation(host, uri.path()) {
            let input = json!({"path": uri.path(), "query": uri.query(), "authorization": header("authorization"), "body": body});
            (slack::NAME, operation, input, None)
        } else {
            let input = json!({"host": host, "path": uri.path()});
            (sites::NAME, request.method().to_owned(), input, None)
        };
        let key = key.unwrap_or_else(|| self.access_key_id.clone());
        let (principal, owner) = self
            .mailbox
            .principal(&key)
            .ok_or_else(|| ConnectorError::user(format!("nobody owns the access key `{key}`").into()))?;
        let (answer, answered) = oneshot::channel();
        self.mailbox.put(Arrival::Call(ClientCall {
            principal,
            access_key_id: key,
            region: None,
            service: service.to_owned(),
            operation,
            input,
            invocation: self.mailbox.running().or(owner),
            answer,
        }));
        match answered.await.map_err(|_| reset())?.1 {
            Ok(page) => page_response(&page),
            Err(error) if error.code == sites::UNKNOWN_HOST => Err(ConnectorError::io(error.message.into())),
            Err(error) => page_response(&refusal(&error)),
        }
    }
}

/// Puts a request to an HTTP API into the world, which came over the loopback endpoint: `/_apis/{id}` and then the path
/// of the route. Its answer is a page; none when the connection is reset.
pub(crate) async fn submit_to_api<'h>(
    mailbox: &Mailbox,
    method: &str,
    uri: &http::Uri,
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    body: &str,
) -> Option<Value> {
    let (id, path) = api_path(uri.path()).unwrap_or_default();
    let (mut input, key) = api_input(LOOPBACK, uri, headers, body);
    if let Some(members) = input.as_object_mut() {
        members.insert("api".to_owned(), json!(id));
        members.insert("path".to_owned(), json!(format!("/{path}")));
    }
    let caller = match key.clone() {
        // Nobody: a route that asks who calls does not let them in.
        None => Some((Principal::Service(LOOPBACK.to_owned()), None)),
        Some(key) => mailbox.principal(&key),
    };
    let Some((principal, owner)) = caller else {
        return Some(refusal(&ApiError::client("AccessDeniedException", "Forbidden")));
    };
    let (answer, answered) = oneshot::channel();
    mailbox.put(Arrival::Call(ClientCall {
        principal,
        access_key_id: key.unwrap_or_default(),
        region: None,
        service: http_apis::NAME.to_owned(),
        operation: method.to_owned(),
        input,
        invocation: owner,
        answer,
    }));
    let (_, result) = answered.await.ok()?;
    Some(result.unwrap_or_else(|error| refusal(&error)))
}

/// Asks for a blob of the registry, which anybody may read who has its address. Its answer is a page; none when the
/// connection is reset.
pub(crate) async fn submit_to_bucket(mailbox: &Mailbox, method: &str, path: &str) -> Option<Value> {
    let (answer, answered) = oneshot::channel();
    mailbox.put(Arrival::Call(ClientCall {
        principal: Principal::Service(LOOPBACK.to_owned()),
        access_key_id: String::new(),
        region: None,
        service: sites::NAME.to_owned(),
        operation: method.to_owned(),
        input: json!({"host": LOOPBACK, "path": path}),
        invocation: None,
        answer,
    }));
    let (_, result) = answered.await.ok()?;
    Some(result.unwrap_or_else(|error| refusal(&error)))
}

/// Id and path of a request to an HTTP API over the loopback endpoint.
pub(crate) fn api_path(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/_apis/")?.split_once('/')
}

/// The input of a request to an HTTP API, and the access key that signed it. Who signs nothing is nobody.
fn api_input<'h>(
    host: &str,
    uri: &http::Uri,
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    body: &str,
) -> (Value, Option<String>) {
    let headers: BTreeMap<String, &str> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let key = headers
        .get("authorization")
        .and_then(|header| protocol::credential(header));
    let key = key
        .filter(|(_, _, service)| *service == http_apis::NAME)
        .map(|(key, _, _)| key.to_owned());
    let input = json!({
        "host": host, "path": uri.path(), "query": uri.query(), "headers": headers, "body": body, "signed": key.is_some(),
    });
    (input, key)
}

/// What a refused call looks like to a client of no service of AWS.
fn refusal(error: &ApiError) -> Value {
    let body = json!({"message": error.message}).to_string();
    let is_denied = error.code == "AccessDeniedException";
    let status = if is_denied { 403 } else { error.status };
    json!({"status": status, "headers": {"content-type": "application/json"}, "body": body})
}

fn reset() -> ConnectorError {
    ConnectorError::io("the connection was reset by the peer".into())
}

/// Whether a host name is an endpoint of AWS: <https://docs.aws.amazon.com/general/latest/gr/rande.html>.
fn is_of_aws(host: &str) -> bool {
    let domains = ["amazonaws.com", "amazonaws.com.cn", "api.aws"];
    domains
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// The answer of a site as a response.
fn page_response(page: &Value) -> Result<HttpResponse, ConnectorError> {
    let status = page.get("status").and_then(Value::as_u64);
    let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(502);
    let body = page.get("body").and_then(Value::as_str).unwrap_or_default();
    let mut response = HttpResponse::new(status_code(status)?, SdkBody::from(body));
    let headers = page.get("headers").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in headers {
        let value = value.as_str().unwrap_or_default().to_owned();
        response
            .headers_mut()
            .try_insert(name.clone(), value)
            .map_err(|error| ConnectorError::user(Box::new(error)))?;
    }
    Ok(response)
}

fn status_code(status: u16) -> Result<StatusCode, ConnectorError> {
    status.try_into().map_err(|error| ConnectorError::user(Box::new(error)))
}

/// Puts one request into the world, as far as it was understood, and gives its answer. `None` when the connection is
/// reset. The request is sent when this is first polled.
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
    if mailbox.is_expired(&call.access_key_id) {
        let error = ApiError::client(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        );
        return Some(protocol::encode(&call.protocol, "refused", Err(error)));
    }
    let (answer, answered) = oneshot::channel();
    mailbox.put(Arrival::Call(ClientCall {
        principal,
        access_key_id: call.access_key_id,
        region: Some(call.region),
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
    let mut response = HttpResponse::new(status_code(answer.status)?, SdkBody::from(answer.body));
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}
