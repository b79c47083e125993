//! Reading a secret of AWS Secrets Manager.

use std::sync::{Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use esclusa_core::error::Failure;
use esclusa_core::secret::Secret;
use jiff::{SignedDuration, Timestamp};

use crate::client;
use crate::clock::Clock;
use crate::sdk::{OnFirstUse, failure};

/// How long a secret is remembered: one that is rotated is known this much later.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(5);

/// Reads one secret.
#[derive(Debug)]
pub struct SecretReader {
    client: OnFirstUse<Client>,
    clock: Clock,
    arn: String,
    last: Mutex<Option<(Timestamp, Secret<String>)>>,
}

impl SecretReader {
    /// A reader of the secret with this ARN.
    #[must_use]
    pub fn new(config: &SdkConfig, arn: &str) -> Self {
        Self {
            client: client!(aws_sdk_secretsmanager, config),
            clock: Clock::new(config),
            arn: arn.to_owned(),
            last: Mutex::new(None),
        }
    }

    /// Its current value, at most five minutes old.
    ///
    /// # Errors
    /// What Secrets Manager answered; `Refused` for a secret that is no text.
    pub async fn read(&self) -> Result<Secret<String>, Failure> {
        let now = self.clock.now()?;
        let known = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, secret)) = known
            && now.duration_since(at) < REMEMBERED
        {
            return Ok(secret);
        }
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.arn)
            .send()
            .await
            .map_err(|error| failure("secretsmanager:GetSecretValue", &error))?;
        let text = answer.secret_string.map(|text| text.trim().to_owned());
        let text = text.filter(|text| !text.is_empty()).ok_or_else(|| {
            Failure::refused(format!(
                "the secret `{}` has no text: store it with `aws secretsmanager put-secret-value --secret-id {} --secret-string file:///dev/stdin`",
                self.arn, self.arn
            ))
        })?;
        let secret = Secret::new(text);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, secret.clone()));
        Ok(secret)
    }
}
