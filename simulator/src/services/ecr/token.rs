//! Authorization tokens: what a client of the registry shows instead of a signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{Kernel, Request};

use super::super::epoch_seconds;

/// The user name of every token.
const USER: &str = "AWS";

/// How long a token is good.
const LIFE: SignedDuration = SignedDuration::from_hours(12);

/// The answer to `GetAuthorizationToken`.
pub(super) fn authorize(request: &Request, kernel: &Kernel) -> Value {
    let token = Token {
        access_key_id: request.access_key_id.clone().unwrap_or_default(),
        expires_at: kernel.now().saturating_add(LIFE).unwrap_or(Timestamp::MAX),
    };
    json!({"authorizationData": [{
        "authorizationToken": STANDARD.encode(format!("{USER}:{}", token.password())),
        "expiresAt": epoch_seconds(token.expires_at),
        "proxyEndpoint": format!("https://{}.dkr.ecr.{}.amazonaws.com", kernel.account(), kernel.region()),
    }]})
}

/// Who asked for a token, and until when it is good. As little is secret in it as in the keys of the simulated
/// accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The key that signed the request.
    pub(crate) access_key_id: String,
    /// When it ends.
    pub(crate) expires_at: Timestamp,
}

impl Token {
    fn password(&self) -> String {
        STANDARD.encode(format!("{}/{}", self.access_key_id, self.expires_at.as_second()))
    }

    /// Reads the header `Authorization` of a request to the registry: `Basic`, with the user `AWS` and the password
    /// that [`authorize`] gave.
    pub(crate) fn from_header(header: &str) -> Option<Self> {
        let decode = |text: &str| String::from_utf8(STANDARD.decode(text).ok()?).ok();
        let (scheme, credentials) = header.split_once(' ')?;
        let credentials = decode(credentials.trim())?;
        let (user, password) = credentials.split_once(':')?;
        if !scheme.eq_ignore_ascii_case("basic") || user != USER {
            return None;
        }
        let password = decode(password)?;
        let (access_key_id, second) = password.split_once('/')?;
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            expires_at: Timestamp::from_second(second.parse().ok()?).ok()?,
        })
    }
}
