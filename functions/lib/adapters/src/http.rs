//! Requests to what is no service of AWS: an endpoint, asked as a client of the service would, and the API of Slack.
//! Redirects are not followed.

use std::convert::Infallible;
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::{HttpMeasure, Method, SmokeStep};
use esclusa_core::secret::Secret;
use esclusa_core::verification::{HttpSight, is_forbidden};
use http_body_util::Limited;

/// How much of a body is looked at for what an endpoint says.
const BODY_BYTES: usize = 64 * 1024;

/// The longest body that is read at all: a function has little memory, and an endpoint may never end.
const LONGEST_BODY_BYTES: usize = 4 * 1024 * 1024;

/// One request.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    method: Method,
    url: &'a str,
    body: Option<String>,
    timeout_seconds: u32,
}

impl<'a> From<&'a HttpMeasure> for Question<'a> {
    fn from(measure: &'a HttpMeasure) -> Self {
        Self {
            method: Method::Get,
            url: &measure.url,
            body: None,
            timeout_seconds: measure.timeout_seconds,
        }
    }
}

impl<'a> From<&'a SmokeStep> for Question<'a> {
    fn from(step: &'a SmokeStep) -> Self {
        Self {
            method: step.method,
            url: &step.url,
            body: step.body.as_ref().map(ToString::to_string),
            timeout_seconds: step.timeout_seconds,
        }
    }
}

/// One request, as it is sent. Its address may be signed, which is as good as a password.
pub(crate) struct Call<'a> {
    /// The method.
    pub(crate) method: Method,
    /// The address.
    pub(crate) url: &'a str,
    /// JSON, where there is a body.
    pub(crate) body: Option<String>,
    /// Headers that say whom it is from.
    pub(crate) headers: Vec<(String, Secret<String>)>,
    /// How long an answer is waited for.
    pub(crate) timeout_seconds: u32,
}

/// What is answered to a [`Call`].
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The header `Retry-After`.
    pub(crate) retry_after: Option<String>,
    /// The header `X-OAuth-Scopes`, by which Slack says what a token may do.
    pub(crate) scopes: Option<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// That nothing is answered to a [`Call`].
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// Why, for people.
    pub(crate) why: String,
    /// Whether nobody could be asked: the name has no address that may be.
    is_unasked: bool,
}

/// Sends requests that are none of AWS.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    config: SdkConfig,
    client: SharedHttpClient,
}

impl Http {
    /// Over the client of the configuration, if it has one of its own.
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let client = config.http_client().unwrap_or_else(|| {
            Builder::new()
                .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
                .build_with_resolver(Guarded)
        });
        let client = SharedHttpClient::new(Bounded(client));
        Self {
            config: config.clone(),
            client,
        }
    }

    /// What is answered, or why nothing is.
    ///
    /// # Errors
    /// `Defect` for an address that is none.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Result<Reply, Unanswered>, Failure> {
        let Call {
            method,
            url,
            body,
            headers: own,
            timeout_seconds,
        } = call;
        let seconds = Duration::from_secs(u64::from(timeout_seconds));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(seconds)
            .operation_timeout(seconds)
            .build();
        let (origin, path) =
            split(url).ok_or_else(|| Failure::defect("what was to be asked is no address of http or https"))?;
        let mut operation = Operation::builder()
            .service_name("http")
            .operation_name(method.as_str())
            .http_client(self.client.clone())
            .endpoint_url(origin)
            .no_auth()
            .no_retry()
            .timeout_config(timeouts);
        if let Some(sleep) = self.config.sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        if let Some(time) = self.config.time_source() {
            operation = operation.time_source(time);
        }
        let operation = operation
            .serializer(move |path: String| {
                let mut request = match &body {
                    Some(body) => HttpRequest::new(SdkBody::from(body.as_str())),
                    None => HttpRequest::empty(),
                };
                request.set_method(method.as_str())?;
                request.set_uri(path)?;
                let headers = request.headers_mut();
                if body.is_some() {
                    headers.insert("content-type", "application/json");
                }
                for (name, value) in &own {
                    headers.insert(name.clone(), value.expose().clone());
                }
                headers.insert("user-agent", "esclusa");
                headers.insert("accept", "application/json, */*;q=0.5");
                Ok(request)
            })
            // Whatever its status is, an answer is one.
            .deserializer(|response: &HttpResponse| Ok::<_, OrchestratorError<Infallible>>(reply(response)))
            .build();
        let sent = operation.invoke(path).await;
        Ok(sent.map_err(|error| unanswered(&error, timeout_seconds)))
    }
}

/// Asks HTTP endpoints.
#[derive(Debug, Clone)]
pub struct HttpProber(Http);

impl HttpProber {
    /// A prober over the client of the configuration, if it has one of its own.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self(Http::new(config))
    }

    /// What the endpoint answers.
    ///
    /// # Errors
    /// `Defect` for an address that is none; `Transient` when its name is not known here, or leads to where nobody may be
    /// asked: that says nothing about what is behind it. An endpoint that does not answer is no failure of the question.
    pub async fn ask(&self, question: impl Into<Question<'_>>) -> Result<HttpSight, Failure> {
        let Question {
            method,
            url,
            body,
            timeout_seconds,
        } = question.into();
        let call = Call {
            method,
            url,
            body,
            headers: Vec::new(),
            timeout_seconds,
        };
        Ok(match self.0.send(call).await? {
            Ok(Reply { status, body, .. }) => HttpSight::Answer {
                status,
                body: String::from_utf8_lossy(body.get(..BODY_BYTES).unwrap_or(&body)).into_owned(),
            },
            Err(Unanswered { why, is_unasked: true }) => return Err(Failure::transient(why)),
            Err(Unanswered { why, .. }) => HttpSight::Silent(why),
        })
    }
}

/// Origin and path of an address.
fn split(url: &str) -> Option<(&str, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let host_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let origin_ends = scheme.len().checked_add("://".len())?.checked_add(host_ends)?;
    let (origin, path) = url.split_at_checked(origin_ends)?;
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    Some((origin, path))
}

fn reply(response: &HttpResponse) -> Reply {
    Reply {
        status: response.status().as_u16(),
        retry_after: response.headers().get("retry-after").map(str::to_owned),
        scopes: response.headers().get("x-oauth-scopes").map(str::to_owned),
        body: response.body().bytes().unwrap_or_default().to_vec(),
    }
}

/// Why there is no answer, by its last cause: that is the one that somebody can do something about.
fn unanswered(error: &SdkError<Infallible, HttpResponse>, seconds: u32) -> Unanswered {
    if let SdkError::TimeoutError(_) = error {
        return Unanswered {
            why: format!("no answer within {seconds} seconds"),
            is_unasked: false,
        };
    }
    let mut last: &dyn Error = error;
    let mut is_unasked = false;
    while let Some(source) = last.source() {
        is_unasked |= source.is::<ResolveDnsError>();
        last = source;
    }
    Unanswered {
        why: format!("no answer: {last}"),
        is_unasked,
    }
}

/// A client that takes no body longer than [`LONGEST_BODY_BYTES`].
#[derive(Debug, Clone)]
struct Bounded<Inner>(Inner);

impl HttpClient for Bounded<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Bounded(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Bounded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answered = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let response = answered.await?;
            Ok(response.map(|body| SdkBody::from_body_1_x(Limited::new(body, LONGEST_BODY_BYTES))))
        })
    }
}

/// Looks names up, and leaves out the addresses at which a function finds its own surroundings.
#[derive(Debug, Clone)]
struct Guarded;

impl ResolveDns for Guarded {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let found = tokio::net::lookup_host((name, 0)).await;
            let found = found.map_err(|error| ResolveDnsError::new(format!("`{name}`: {error}")))?;
            let addresses: Vec<IpAddr> = found
                .map(|address| address.ip())
                .filter(|address| !is_forbidden(*address))
                .collect();
            if addresses.is_empty() {
                return Err(ResolveDnsError::new(format!(
                    "`{name}` has no address that may be asked"
                )));
            }
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use aws_config::BehaviorVersion;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::aws_lc_rs;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::testing::{Answer, Recorded};

    fn question(url: &str) -> Question<'_> {
        Question {
            method: Method::Get,
            url,
            body: None,
            timeout_seconds: 5,
        }
    }

    /// The prober as it is deployed, over a connection of its own.
    fn prober() -> HttpProber {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .build();
        HttpProber::new(&config)
    }

    async fn ask(url: &str) -> HttpSight {
        prober().ask(question(url)).await.unwrap()
    }

    /// A name that leads to the function itself says nothing about the release.
    #[tokio::test]
    async fn a_name_without_an_address_is_no_failure_of_what_is_behind_it() {
        let failure = prober().ask(question("http://localhost/health")).await.unwrap_err();
        assert_eq!(
            failure.message,
            "no answer: `localhost` has no address that may be asked"
        );
    }

    /// An endpoint on loopback that answers one request; what it was asked.
    async fn endpoint(answer: String) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        (address, asked)
    }

    #[test]
    fn an_address_is_asked_at_its_origin_for_its_path() {
        assert_eq!(
            split("https://api.example.com:8443/v1/health?full=1"),
            Some(("https://api.example.com:8443", "/v1/health?full=1".to_owned()))
        );
        assert_eq!(split("http://api"), Some(("http://api", "/".to_owned())));
        assert_eq!(split("http://api?full=1"), Some(("http://api", "/?full=1".to_owned())));
        assert_eq!(split("api.example.com"), None);
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_none() {
        let answer = |bytes: usize| Answer::Response {
            status: 200,
            body: "a".repeat(bytes),
        };
        let recorded = Recorded::new([answer(LONGEST_BODY_BYTES), answer(LONGEST_BODY_BYTES + 1)]);
        let prober = HttpProber::new(&recorded.config());
        let question = || question("https://api.example.com/health");
        let HttpSight::Answer { status, body } = prober.ask(question()).await.unwrap() else {
            panic!("it is an answer")
        };
        assert_eq!((status, body.len()), (200, BODY_BYTES));
        let HttpSight::Silent(why) = prober.ask(question()).await.unwrap() else {
            panic!("it is too long")
        };
        assert!(why.contains("length limit exceeded"), "{why}");
    }

    #[tokio::test]
    async fn a_name_that_leads_to_the_function_itself_is_not_looked_up() {
        let error = Guarded.resolve_dns("localhost").await.unwrap_err();
        assert!(
            format!("{error:?}").contains("no address that may be asked"),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_nobody_goes_there() {
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let location = elsewhere.local_addr().unwrap();
        let (address, asked) = endpoint(format!(
            "HTTP/1.1 302 Found\r\nlocation: http://{location}/latest/meta-data\r\ncontent-length: 0\r\n\r\n"
        ))
        .await;
        let HttpSight::Answer { status, body } = ask(&format!("http://{address}/health?full=1")).await else {
            panic!("it is an answer")
        };
        assert_eq!((status, body.as_str()), (302, ""));
        assert!(asked.await.unwrap().starts_with("GET /health?full=1 HTTP/1.1\r\n"));
        // Whoever had gone there would have connected before the answer was told.
        let nobody = elsewhere.into_std().unwrap().accept();
        assert_eq!(nobody.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_vouches_for_is_no_answer() {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.into()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let greeted = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            TlsAcceptor::from(Arc::new(tls)).accept(stream).await.is_ok()
        });
        let HttpSight::Silent(why) = ask(&format!("https://{address}/health")).await else {
            panic!("nobody knows who answered")
        };
        assert_eq!(why, "no answer: invalid peer certificate: UnknownIssuer");
        assert!(!greeted.await.unwrap(), "the request was sent to it");
    }

    #[tokio::test]
    async fn an_endpoint_without_tls_is_no_answer_to_https() {
        let (address, _) = endpoint("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
        let HttpSight::Silent(why) = ask(&format!("https://{address}/health")).await else {
            panic!("it does not speak TLS")
        };
        assert_eq!(why, "no answer: received corrupt message of type InvalidContentType");
    }
}
