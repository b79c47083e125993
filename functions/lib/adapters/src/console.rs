//! The API of the console, asked with the credentials of whoever calls.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::AsyncSleep as _;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::Method;
use esclusa_core::secret::Secret;
use serde_json::Value;

use crate::clock::Clock;
use crate::http::{Call, Http, Reply};
use crate::sdk::{NO_CREDENTIALS, NOT_ACCEPTED};

/// How long the console is waited for: longer than its function may run.
const SECONDS: u32 = 30;

/// The status with which API Gateway says that too many ask.
const TOO_MANY: u16 = 429;

/// How long it is left alone then, before each further attempt.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// The signing name of an HTTP API.
const SERVICE: &str = "execute-api";

/// Asks the API of the console.
#[derive(Debug, Clone)]
pub struct ConsoleClient {
    config: SdkConfig,
    clock: Clock,
    http: Http,
    url: String,
}

impl ConsoleClient {
    /// A client of the console that is there.
    #[must_use]
    pub fn new(config: &SdkConfig, url: &str) -> Self {
        Self {
            config: config.clone(),
            clock: Clock::new(config),
            http: Http::new(config),
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    /// What is answered to a document.
    ///
    /// # Errors
    /// `Refused` with the reason of the console where it did not do it; `AccessDenied` where the caller was not let in;
    /// `Transient` where nobody answered, or too many ask.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let body = body.to_string();
        let mut pauses = PAUSES.into_iter();
        loop {
            let reply = self.ask(path, &body).await?;
            match (reply.status, self.config.sleep_impl(), pauses.next()) {
                // API Gateway has handed it on to nobody.
                (TOO_MANY, Some(sleep), Some(pause)) => sleep.sleep(pause).await,
                _ => return self.answer(path, &reply),
            }
        }
    }

    async fn ask(&self, path: &str, body: &str) -> Result<Reply, Failure> {
        let url = format!("{}{path}", self.url);
        let headers = self.signature(&url, body).await?;
        let call = Call {
            method: Method::Post,
            url: &url,
            body: Some(body.to_owned()),
            headers,
            timeout_seconds: SECONDS,
        };
        let reply = self.http.send(call).await?;
        reply.map_err(|unanswered| Failure::transient(format!("the console at `{}`: {}", self.url, unanswered.why)))
    }

    fn answer(&self, path: &str, reply: &Reply) -> Result<Value, Failure> {
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let text = |member: &str| answer.get(member).and_then(Value::as_str);
        let url = &self.url;
        // A reason is one of the console itself, a message one of API Gateway before it.
        match (reply.status, text("error"), text("message")) {
            (200, _, _) => Ok(answer),
            (400..500, Some(reason), _) => Err(Failure::refused(reason)),
            (403, None, Some(message)) if is_about_credentials(message) => Err(Failure::access_denied(format!(
                "{NOT_ACCEPTED} by the console at `{url}`: {message}"
            ))),
            (403, None, message) => Err(Failure::access_denied(format!(
                "the console at `{url}` refuses the caller{}: allow `execute-api:Invoke` on `{path}` of its API",
                message.map(|message| format!(" (`{message}`)")).unwrap_or_default()
            ))),
            (status, None, _) if status != TOO_MANY && (400..500).contains(&status) => Err(Failure::refused(format!(
                "the console at `{url}` answered with status {status}: is this its address?"
            ))),
            (status, _, _) => Err(Failure::transient(format!(
                "the console at `{url}` answered with status {status}"
            ))),
        }
    }

    /// The headers that sign a request.
    async fn signature(&self, url: &str, body: &str) -> Result<Vec<(String, Secret<String>)>, Failure> {
        let provider = self
            .config
            .credentials_provider()
            .ok_or_else(|| Failure::access_denied(format!("{NO_CREDENTIALS} to sign with")))?;
        let credentials = provider
            .provide_credentials()
            .await
            .map_err(|error| Failure::access_denied(format!("{NO_CREDENTIALS} to sign with: {error}")))?;
        let region = self
            .config
            .region()
            .ok_or_else(|| Failure::refused("no Region is configured: give `--region`"))?;
        let broken = |what: &dyn std::fmt::Display| Failure::defect(format!("a request cannot be signed: {what}"));
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region.as_ref())
            .name(SERVICE)
            .time(SystemTime::from(self.clock.now()?))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| broken(&error))?;
        let request = SignableRequest::new("POST", url, std::iter::empty(), SignableBody::Bytes(body.as_bytes()))
            .map_err(|error| broken(&error))?;
        let signed = sign(request, &parameters.into()).map_err(|error| broken(&error))?;
        let (instructions, _) = signed.into_parts();
        let headers = instructions.headers();
        Ok(headers
            .map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned())))
            .collect())
    }
}

/// Whether API Gateway says with a 403 that it does not know the credentials, or not any more:
/// <https://repost.aws/knowledge-center/api-gateway-troubleshoot-403-forbidden>.
fn is_about_credentials(message: &str) -> bool {
    let message = message.to_lowercase();
    ["security token", "authentication token"]
        .iter()
        .any(|what| message.contains(what))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
    use esclusa_core::error::ErrorKind;
    use serde_json::json;

    use super::*;
    use crate::sdk::is_not_signed_in;
    use crate::testing::{Answer, Recorded};

    /// Waits for nothing, and remembers how long it should have.
    #[derive(Debug, Clone, Default)]
    struct Slept(Arc<Mutex<Vec<Duration>>>);

    impl AsyncSleep for Slept {
        fn sleep(&self, duration: Duration) -> Sleep {
            self.0.lock().unwrap().push(duration);
            // What ends a request that takes too long must not end before it.
            match duration.as_secs() {
                0..10 => Sleep::new(std::future::ready(())),
                _ => Sleep::new(std::future::pending()),
            }
        }
    }

    /// What comes of a vote, and how often it was sent.
    async fn vote(answers: impl IntoIterator<Item = Answer>) -> (Result<Value, Failure>, usize, Vec<Duration>) {
        let (recorded, slept) = (Recorded::new(answers), Slept::default());
        let config = recorded.config().into_builder().sleep_impl(slept.clone()).build();
        let console = ConsoleClient::new(&config, "https://console.example.com/");
        let answer = console.post("/api/votes", &json!({"release": "shop-1"})).await;
        let slept = slept.0.lock().unwrap().clone();
        let paused = slept.into_iter().filter(|pause| PAUSES.contains(pause)).collect();
        (answer, recorded.requests().len(), paused)
    }

    fn said(status: u16, message: &str) -> Answer {
        Answer::json(status, &json!({"message": message}))
    }

    #[tokio::test]
    async fn a_console_that_too_many_ask_is_asked_again_a_few_times() {
        let busy = || said(429, "Too Many Requests");
        let done = Answer::json(200, &json!({"person": "ana"}));
        let (answer, sent, paused) = vote([busy(), busy(), done]).await;
        assert_eq!((answer.unwrap(), sent), (json!({"person": "ana"}), 3));
        assert_eq!(paused, PAUSES[..2]);

        let (answer, sent, paused) = vote([busy(), busy(), busy(), busy()]).await;
        let failure = answer.unwrap_err();
        assert_eq!((failure.kind, sent), (ErrorKind::Transient, 4));
        assert!(failure.message.ends_with("answered with status 429"), "{failure}");
        assert_eq!(paused, PAUSES);
    }

    #[tokio::test]
    async fn whoever_is_not_let_in_is_told_whether_the_credentials_are_old_or_a_permission_is_missing() {
        for message in [
            "The security token included in the request is expired",
            "The security token included in the request is invalid.",
            "Missing Authentication Token",
        ] {
            let failure = vote([said(403, message)]).await.0.unwrap_err();
            assert!(is_not_signed_in(&failure), "{failure}");
            assert!(
                failure
                    .message
                    .ends_with(&format!("`https://console.example.com`: {message}")),
                "{failure}"
            );
        }
        let failure = vote([said(403, "Forbidden")]).await.0.unwrap_err();
        assert!(!is_not_signed_in(&failure) && failure.kind == ErrorKind::AccessDenied);
        assert!(
            failure
                .message
                .ends_with("refuses the caller (`Forbidden`): allow `execute-api:Invoke` on `/api/votes` of its API"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn the_console_is_told_from_what_is_none() {
        let refused = Answer::json(409, &json!({"error": "`ana` has already said so; nothing was done"}));
        let failure = vote([refused]).await.0.unwrap_err();
        assert_eq!(failure, Failure::refused("`ana` has already said so; nothing was done"));
        let failure = vote([said(404, "Not Found")]).await.0.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Refused);
        assert!(
            failure.message.ends_with("status 404: is this its address?"),
            "{failure}"
        );
        let (answer, sent, _) = vote([said(503, "Service Unavailable")]).await;
        assert_eq!((answer.unwrap_err().kind, sent), (ErrorKind::Transient, 1));
    }
}
