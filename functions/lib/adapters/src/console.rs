//! The API of the console, asked with the credentials of whoever calls.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::Method;
use esclusa_core::secret::Secret;
use serde_json::Value;

use crate::clock::Clock;
use crate::http::{Call, Http};

/// How long the console is waited for: longer than its function may run.
const SECONDS: u32 = 30;

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
    /// `Transient` where nobody answered.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.url);
        let body = body.to_string();
        let headers = self.signature(&url, &body).await?;
        let call = Call {
            method: Method::Post,
            url: &url,
            body: Some(body),
            headers,
            timeout_seconds: SECONDS,
        };
        let reply = self.http.send(call).await?;
        let reply = reply.map_err(|why| Failure::transient(format!("the console at `{}`: {why}", self.url)))?;
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let reason = answer.get("error").and_then(Value::as_str);
        match (reply.status, reason) {
            (200, _) => Ok(answer),
            (400..500, Some(reason)) => Err(Failure::refused(reason)),
            (403, None) => Err(Failure::access_denied(format!(
                "the console at `{}` refuses the caller: allow `execute-api:Invoke` on `{path}` of its API",
                self.url
            ))),
            (status @ 400..500, None) => Err(Failure::refused(format!(
                "the console at `{}` answered with status {status}: is this its address?",
                self.url
            ))),
            (status, _) => Err(Failure::transient(format!(
                "the console at `{}` answered with status {status}",
                self.url
            ))),
        }
    }

    /// The headers that sign a request.
    async fn signature(&self, url: &str, body: &str) -> Result<Vec<(String, Secret<String>)>, Failure> {
        let provider = self
            .config
            .credentials_provider()
            .ok_or_else(|| Failure::access_denied("there are no AWS credentials to sign with"))?;
        let credentials = provider
            .provide_credentials()
            .await
            .map_err(|error| Failure::access_denied(format!("there are no AWS credentials to sign with: {error}")))?;
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
