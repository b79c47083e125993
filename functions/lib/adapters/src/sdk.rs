//! How clients of the SDKs are made, and from their errors to failures named by the reaction they need.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use aws_config::SdkConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector, tls};
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use esclusa_core::error::{ErrorKind, Failure};
use jiff::Timestamp;

/// The client of an SDK with this configuration, as [`OnFirstUse`].
///
/// Its quota of retries, <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>, is its own. By default all clients of a service and
/// Region share one in the whole process, so that an account that throttles would use up the retries of all others, and
/// what one simulated world goes through would change how another one ends.
#[macro_export]
macro_rules! client {
    ($sdk:ident, $config:expr) => {{
        let config: &aws_config::SdkConfig = $config;
        let config = config.clone();
        $crate::sdk::OnFirstUse::new(move || {
            let config = $sdk::config::Builder::from(&config)
                .http_client($crate::sdk::connections(&config))
                .retry_partition($crate::sdk::own_quota());
            $sdk::Client::from_conf(config.build())
        })
    }};
}

/// A client that is made when it is used for the first time: each reads the names of all Regions of AWS for its
/// endpoints, and a function that starts pays for no client but those that its first invocation needs.
#[derive(Clone)]
pub struct OnFirstUse<C>(Arc<LazyLock<C, Make<C>>>);

type Make<C> = Box<dyn FnOnce() -> C + Send>;

impl<C> OnFirstUse<C> {
    /// What `make` makes.
    #[must_use]
    pub fn new(make: impl FnOnce() -> C + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(make))))
    }
}

impl<C> Deref for OnFirstUse<C> {
    type Target = C;

    fn deref(&self) -> &C {
        LazyLock::force(&self.0)
    }
}

/// Without what is in it: the configuration of a client has credentials.
impl<C> fmt::Debug for OnFirstUse<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(std::any::type_name::<C>())
    }
}

/// A quota of retries that nobody else draws on.
#[must_use]
pub fn own_quota() -> RetryPartition {
    RetryPartition::custom("client").build()
}

/// The connections of a client: those of its configuration, where that has some, or those that all others of this
/// process have.
#[must_use]
pub fn connections(config: &SdkConfig) -> SharedHttpClient {
    config.http_client().unwrap_or_else(|| CONNECTIONS.clone())
}

/// As the SDK makes its own, through the proxy that `HTTPS_PROXY` names, where it does.
static CONNECTIONS: LazyLock<SharedHttpClient> = LazyLock::new(|| {
    let client = Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder()
            .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    });
    SharedHttpClient::new(FromTheFirstCall(client))
});

/// Reads the roots of trust for the first call and not before.
///
/// The client inside does so whenever a client of a service is made, for nothing but to have read them from their file,
/// and parses all of them each time, which takes longer than all else that a function does until its first answer.
#[derive(Debug)]
struct FromTheFirstCall(SharedHttpClient);

impl HttpClient for FromTheFirstCall {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

/// How ECS begins to say that two revisions of a family are registered at the same time, with a code,
/// `ClientException`, that is final otherwise: <https://github.com/hashicorp/terraform-provider-aws/issues/9777>.
const AT_ONCE: &str = "Too many concurrent attempts";

/// How a failure begins where nobody is signed in.
pub(crate) const NO_CREDENTIALS: &str = "there are no AWS credentials";

/// How a failure begins where something other than an AWS service does not, or no longer, accept the credentials.
pub(crate) const NOT_ACCEPTED: &str = "the AWS credentials are not accepted";

/// What AWS calls credentials that it does not know, or not any more.
const NOT_SIGNED_IN: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
];

/// Whether a call failed because nobody is signed in, or not any more.
#[must_use]
pub fn is_not_signed_in(failure: &Failure) -> bool {
    let is_refused = |code: &&str| {
        let Failure { message, .. } = failure;
        message.contains(&format!("`{code}`")) || message.contains(&format!("({code})"))
    };
    failure.kind == ErrorKind::AccessDenied
        && ([NO_CREDENTIALS, NOT_ACCEPTED]
            .iter()
            .any(|beginning| failure.message.starts_with(beginning))
            || NOT_SIGNED_IN.iter().any(is_refused))
}

/// The failure that an error of `action` means; `action` is in IAM's spelling, such as `ecs:RunTask`.
///
/// Callers look at the errors they can act upon first (an image that does not exist, an execution that exists already)
/// and leave the rest to this.
pub fn failure<E>(action: &str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    tracing::debug!(action, error = %DisplayErrorContext(error), "AWS call failed");
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("an error without a name");
            let message = service.err().message().unwrap_or("AWS gives no reason");
            let kind = match message {
                _ if message.starts_with(AT_ONCE) => ErrorKind::Transient,
                _ => classify(code, service.raw().status().as_u16()),
            };
            match kind {
                ErrorKind::AccessDenied => Failure::access_denied(format!(
                    "the caller's role may not call `{action}` ({code}): {message}{}",
                    remedy(message)
                )),
                _ => Failure::new(kind, format!("`{action}` answered `{code}`: {message}")),
            }
        }
        SdkError::TimeoutError(_) => Failure::transient(format!("`{action}` did not answer in time")),
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            let kind = if (400..500).contains(&status) {
                ErrorKind::Defect
            } else {
                ErrorKind::Transient
            };
            Failure::new(
                kind,
                format!(
                    "the answer to `{action}` (status {status}) cannot be read: {}",
                    chain(error)
                ),
            )
        }
        SdkError::DispatchFailure(dispatch) if dispatch.is_user() => {
            Failure::defect(format!("`{action}` could not be sent: {}", chain(error)))
        }
        _ if caused_by_credentials(error) => {
            Failure::access_denied(format!("{NO_CREDENTIALS} to call `{action}` with: {}", chain(error)))
        }
        SdkError::DispatchFailure(_) => Failure::transient(format!("`{action}` could not be sent: {}", chain(error))),
        _ => Failure::defect(format!(
            "the request for `{action}` could not be built: {}",
            chain(error)
        )),
    }
}

/// What helps against a missing permission that is a matter of the installation, to be read after the words of AWS.
fn remedy(message: &str) -> &'static str {
    if message.contains("iam:PassRole") {
        "; add the role to the parameter `PassableRoleArns` of the stack with `scripts/deploy --guided`, then deploy again"
    } else {
        ""
    }
}

/// The reaction that an AWS error code needs, over all services in use.
///
/// What is not listed is taken for AWS saying that the account is not as the call requires it (a missing cluster, a
/// limit, an unsupported combination): AWS checked and did nothing, and repeating changes nothing.
pub(crate) fn classify(code: &str, status: u16) -> ErrorKind {
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "KmsThrottlingException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ExecutionLimitExceeded"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "UpdateInProgressException"
        | "ConcurrentUpdateException"
        | "ServerException"
        | "InternalFailure"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => ErrorKind::Transient,
        "ConditionalCheckFailedException" => ErrorKind::Conflict,
        "AuthFailure" | "InvalidSignatureException" | "KmsAccessDeniedException" | "UnauthorizedOperation" => {
            ErrorKind::AccessDenied
        }
        _ if code.starts_with("AccessDenied") || NOT_SIGNED_IN.contains(&code) => ErrorKind::AccessDenied,
        "IdempotentParameterMismatchException"
        | "InvalidAction"
        | "InvalidArn"
        | "InvalidExecutionInput"
        | "InvalidName"
        | "InvalidOutput"
        | "MissingParameter"
        | "SerializationException"
        | "UnknownOperationException"
        | "ValidationException" => ErrorKind::Defect,
        _ => match status {
            501 => ErrorKind::Defect,
            500.. => ErrorKind::Transient,
            _ => ErrorKind::Refused,
        },
    }
}

/// The time that the SDK read, where it is one.
pub(crate) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// The causes of an error, nearest first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// The message of an error with those of its causes.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn caused_by_credentials(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(<dyn Error>::is::<CredentialsError>)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_sdk_ecs::operation::run_task::RunTaskError;
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Recorded};

    async fn failure_of(answer: Answer) -> Failure {
        let recorded = Recorded::new([answer]);
        let client = aws_sdk_ecs::Client::new(&recorded.config());
        let error: SdkError<RunTaskError, _> = client.run_task().task_definition("api:1").send().await.unwrap_err();
        failure("ecs:RunTask", &error)
    }

    #[test]
    fn a_client_is_made_when_it_is_first_used_and_then_once() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let client = OnFirstUse::new(move || counted.fetch_add(1, Ordering::Relaxed));
        let other = client.clone();
        assert_eq!(made.load(Ordering::Relaxed), 0);
        assert_eq!((*client, *other, *client), (0, 0, 0));
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert_eq!(format!("{client:?}"), "usize");
    }

    #[tokio::test]
    async fn an_error_of_aws_becomes_the_reaction_it_needs() {
        let table = [
            (400, "ThrottlingException", ErrorKind::Transient),
            (400, "ExecutionLimitExceeded", ErrorKind::Transient),
            (500, "ServerException", ErrorKind::Transient),
            (503, "SomethingNew", ErrorKind::Transient),
            (501, "UnsupportedBySimulatorException", ErrorKind::Defect),
            (400, "AccessDeniedException", ErrorKind::AccessDenied),
            (400, "AccessDenied", ErrorKind::AccessDenied),
            (403, "ExpiredTokenException", ErrorKind::AccessDenied),
            (400, "ClusterNotFoundException", ErrorKind::Refused),
            (400, "InvalidParameterException", ErrorKind::Refused),
            (400, "SomethingNewException", ErrorKind::Refused),
            (400, "SerializationException", ErrorKind::Defect),
            (400, "ConditionalCheckFailedException", ErrorKind::Conflict),
        ];
        for (status, code, kind) in table {
            let answer = Answer::json(status, &json!({"__type": code, "message": "the words of AWS"}));
            let failure = failure_of(answer).await;
            assert_eq!(failure.kind, kind, "{code}");
            assert!(failure.message.contains("`ecs:RunTask`"), "{failure}");
            assert!(
                failure.message.contains(code) && failure.message.contains("the words of AWS"),
                "{failure}"
            );
        }
    }

    #[tokio::test]
    async fn a_family_that_others_register_at_the_same_time_is_registered_again() {
        let of = async |message: &str| {
            let answer = Answer::json(400, &json!({"__type": "ClientException", "message": message}));
            failure_of(answer).await.kind
        };
        let at_once = "Too many concurrent attempts to create a new revision of the specified family.";
        assert_eq!(of(at_once).await, ErrorKind::Transient);
        assert_eq!(of("Unable to describe task definition.").await, ErrorKind::Refused);
    }

    #[tokio::test]
    async fn an_answer_that_never_came_or_cannot_be_read_is_transient() {
        for answer in [
            Answer::ConnectionReset,
            Answer::TimedOut,
            Answer::text(502, "<html>bad gateway</html>"),
        ] {
            let failure = failure_of(answer).await;
            assert_eq!(failure.kind, ErrorKind::Transient, "{failure}");
        }
    }

    #[tokio::test]
    async fn a_caller_without_credentials_is_told_so() {
        let recorded = Recorded::new([]);
        let config = recorded.config().into_builder().credentials_provider(
            aws_credential_types::provider::SharedCredentialsProvider::new(NoCredentials),
        );
        let error = aws_sdk_ecs::Client::new(&config.build())
            .list_clusters()
            .send()
            .await
            .unwrap_err();
        let failure = failure("ecs:ListClusters", &error);
        assert_eq!(failure.kind, ErrorKind::AccessDenied, "{failure}");
        assert!(failure.message.starts_with("there are no AWS credentials"), "{failure}");
    }

    #[derive(Debug)]
    struct NoCredentials;

    impl aws_credential_types::provider::ProvideCredentials for NoCredentials {
        fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            aws_credential_types::provider::future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none")))
        }
    }
}
