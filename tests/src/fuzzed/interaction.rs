//! Bodies that come to the door of Slack.

use esclusa_core::secret::Secret;
use esclusa_core::slack::{Interaction, Member, RESPONSE_HOST, SignedRequest, Unsigned, read, verify};
use jiff::Timestamp;

/// The moment of the requests.
const AT: i64 = 1_793_610_000;

/// Nothing is taken for Slack's own that is not signed, and what is read names somebody, and nowhere but Slack to
/// answer.
pub(super) fn check(input: &[u8]) {
    unsigned(input);
    let Ok(Interaction::Click(click)) = read(input) else {
        return;
    };
    let principal = click.member.to_string();
    assert_eq!(
        Member::of(&principal).as_ref(),
        Some(&click.member),
        "{principal:?} is somebody else"
    );
    super::assert_one_line(&principal);
    if let Some(url) = &click.response_url {
        let rest = url
            .strip_prefix("https://")
            .and_then(|rest| rest.strip_prefix(RESPONSE_HOST));
        assert!(
            rest.is_some_and(|rest| rest.starts_with('/')),
            "an answer would go to {url:?}"
        );
    }
}

/// The input is the signature, the body, and the moment.
fn unsigned(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (now, secret) = (
        Timestamp::from_second(AT).unwrap_or_default(),
        Secret::new("a secret".to_owned()),
    );
    let (at, signature) = (AT.to_string(), format!("v0={text}"));
    for (timestamp, signature) in [
        (at.as_str(), signature.as_str()),
        (at.as_str(), text.as_ref()),
        (text.as_ref(), signature.as_str()),
    ] {
        let request = SignedRequest {
            timestamp: Some(timestamp),
            signature: Some(signature),
            body: input,
        };
        let refused = verify(&secret, &request, now);
        assert!(
            matches!(refused, Err(Unsigned::Missing | Unsigned::Stale | Unsigned::Wrong)),
            "an unsigned request is taken for one of Slack: {text:?}"
        );
    }
}
