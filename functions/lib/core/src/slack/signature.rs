//! The signature of Slack over a request: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use crate::secret::Secret;

/// The header with the signature, in lower case.
pub const SIGNATURE_HEADER: &str = "x-slack-signature";

/// The header with the moment at which it was signed, in lower case.
pub const TIMESTAMP_HEADER: &str = "x-slack-request-timestamp";

/// How far the moment of a request may be from now: what is older may have been taken from somewhere.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// The version of the signature.
const VERSION: &str = "v0";

/// What a signature is over, and the signature.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The value of [`TIMESTAMP_HEADER`].
    pub timestamp: Option<&'a str>,
    /// The value of [`SIGNATURE_HEADER`].
    pub signature: Option<&'a str>,
    /// The body as it came, byte by byte: what is read and written again is another one.
    pub body: &'a [u8],
}

/// Why a request is not taken for one of Slack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// It has no signature of the known version.
    #[error("the request has no Slack signature")]
    Missing,
    /// It was signed too long ago, or in the future.
    #[error("the request was not signed within five minutes of now")]
    Stale,
    /// It is signed with another secret, or the body is another one.
    #[error("the signature of the request is wrong")]
    Wrong,
}

/// Whether a request is Slack's own and was made just now. The signature is compared in constant time.
///
/// # Errors
/// Why it is not taken for one.
pub fn verify(secret: &Secret<String>, request: &SignedRequest<'_>, now: Timestamp) -> Result<(), Unsigned> {
    let (Some(timestamp), Some(signature)) = (request.timestamp, request.signature) else {
        return Err(Unsigned::Missing);
    };
    let signature = signature.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('='));
    let signature = signature.and_then(|digits| hex::decode(digits).ok());
    let signature = signature.ok_or(Unsigned::Missing)?;
    // A sign or a space before the digits is none of Slack's.
    let is_number = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: Option<i64> = timestamp.parse().ok().filter(|_| is_number);
    let signed_at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let signed_at = signed_at.ok_or(Unsigned::Missing)?;
    if now.duration_since(signed_at).abs() > TOLERANCE {
        return Err(Unsigned::Stale);
    }
    let mac = mac(secret, timestamp, request.body).ok_or(Unsigned::Wrong)?;
    mac.verify_slice(&signature).map_err(|_| Unsigned::Wrong)
}

/// The signature of a body: the value of [`SIGNATURE_HEADER`].
#[must_use]
pub fn sign(secret: &Secret<String>, timestamp: &str, body: &[u8]) -> Option<String> {
    let mac = mac(secret, timestamp, body)?;
    Some(format!("{VERSION}={}", hex::encode(mac.finalize().into_bytes())))
}

fn mac(secret: &Secret<String>, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    mac.update(format!("{VERSION}:{timestamp}:").as_bytes());
    mac.update(body);
    Some(mac)
}
