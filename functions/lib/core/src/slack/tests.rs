use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::secret::Secret;

/// The example of Slack's documentation.
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const AT: &str = "1531420618";
const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA\
&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

fn secret() -> Secret<String> {
    Secret::new(SECRET.to_owned())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_531_420_618 + seconds).unwrap()
}

fn request<'a>(timestamp: &'a str, signature: &'a str, body: &'a str) -> SignedRequest<'a> {
    SignedRequest {
        timestamp: Some(timestamp),
        signature: Some(signature),
        body: body.as_bytes(),
    }
}

#[test]
fn the_published_example_is_slacks_own_and_what_we_sign_is_the_same() {
    assert_eq!(verify(&secret(), &request(AT, SIGNATURE, BODY), at(1)), Ok(()));
    assert_eq!(sign(&secret(), AT, BODY.as_bytes()).as_deref(), Some(SIGNATURE));
}

/// F68.
#[test]
fn an_old_request_another_secret_and_another_body_are_none() {
    let signed = request(AT, SIGNATURE, BODY);
    for (seconds, expected) in [
        (300, Ok(())),
        (301, Err(Unsigned::Stale)),
        (-300, Ok(())),
        (-301, Err(Unsigned::Stale)),
    ] {
        assert_eq!(verify(&secret(), &signed, at(seconds)), expected, "{seconds}");
    }
    let other = Secret::new("9f742231b10e8888abcd99yyyzzz85a5".to_owned());
    assert_eq!(verify(&other, &signed, at(1)), Err(Unsigned::Wrong));
    // The same form, written with other escapes.
    let written_again = BODY.replace("%2F", "%2f");
    assert_eq!(
        verify(&secret(), &request(AT, SIGNATURE, &written_again), at(1)),
        Err(Unsigned::Wrong)
    );
    assert_eq!(
        verify(&secret(), &request("1531420619", SIGNATURE, BODY), at(1)),
        Err(Unsigned::Wrong)
    );
    let cut = SIGNATURE.get(..SIGNATURE.len() - 2).unwrap();
    assert_eq!(verify(&secret(), &request(AT, cut, BODY), at(1)), Err(Unsigned::Wrong));
}

#[test]
fn what_is_not_signed_in_the_known_way_has_no_signature() {
    let later = SIGNATURE.replace("v0=", "v1=");
    for (timestamp, signature) in [
        (None, Some(SIGNATURE)),
        (Some(AT), None),
        (Some("soon"), Some(SIGNATURE)),
        (Some("+1531420618"), Some(SIGNATURE)),
        (Some("9223372036854775807"), Some(SIGNATURE)),
        (Some(""), Some(SIGNATURE)),
        (Some(AT), Some("")),
        (Some(AT), Some("v0=zz")),
        (Some(AT), Some(later.as_str())),
    ] {
        let request = SignedRequest {
            timestamp,
            signature,
            body: BODY.as_bytes(),
        };
        assert_eq!(
            verify(&secret(), &request, at(1)),
            Err(Unsigned::Missing),
            "{timestamp:?} {signature:?}"
        );
    }
    assert_eq!(TOLERANCE, SignedDuration::from_mins(5));
}

fn click() -> Value {
    json!({
        "type": "block_actions",
        "user": {"id": "U0ALICE", "username": "alice", "team_id": "T0TEAM"},
        "team": {"id": "T0HOST", "domain": "example"},
        "token": "deprecated",
        "trigger_id": "1.2.3",
        "response_url": "https://hooks.slack.com/actions/T0TEAM/1/abc",
        "actions": [{
            "type": "button", "action_id": "approve", "block_id": "b1",
            "value": json!({"release": "shop-1", "environment": "production", "plan": "abc"}).to_string(),
        }],
    })
}

fn body(payload: &Value) -> Vec<u8> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("payload", &payload.to_string());
    form.finish().into_bytes()
}

#[test]
fn a_click_says_who_wants_what_about_which_plan() {
    let Ok(Interaction::Click(read)) = read(&body(&click())) else {
        panic!("it is a click")
    };
    // The workspace is that of the member, which in a shared channel is not that of the app.
    assert_eq!(read.member.to_string(), "slack:T0TEAM/U0ALICE");
    assert_eq!(Member::of("slack:T0TEAM/U0ALICE"), Some(read.member.clone()));
    assert_eq!(read.press, Press::Approve);
    assert_eq!(
        (read.pointer.release.as_str(), read.pointer.plan.as_deref()),
        ("shop-1", Some("abc"))
    );
    assert!(read.response_url.is_some());
}

#[test]
fn an_answer_goes_to_slack_and_nowhere_else() {
    for url in [
        "https://hooks.slack.com.example.com/actions",
        "http://hooks.slack.com/actions",
        "https://169.254.169.254/latest",
        "https://hooks.slack.com@example.com/",
    ] {
        let mut payload = click();
        payload["response_url"] = json!(url);
        let Ok(Interaction::Click(read)) = read(&body(&payload)) else {
            panic!("it is a click")
        };
        assert_eq!(read.response_url, None, "{url}");
    }
}

#[test]
fn what_is_no_button_of_ours_is_nothing_to_do_and_what_cannot_be_read_is_refused() {
    for (pointer, value) in [
        ("/type", json!("view_submission")),
        ("/actions/0/action_id", json!("link")),
        ("/actions", json!([])),
    ] {
        let mut payload = click();
        *payload.pointer_mut(pointer).unwrap() = value;
        assert_eq!(read(&body(&payload)), Ok(Interaction::Other), "{pointer}");
    }
    for (pointer, value) in [
        ("/user", Value::Null),
        ("/actions/0/value", json!("shop-1")),
        ("/actions/0/value", json!("{}")),
    ] {
        let mut payload = click();
        *payload.pointer_mut(pointer).unwrap() = value;
        assert_eq!(read(&body(&payload)), Err(NotReadable), "{pointer}");
    }
    for body in [&b""[..], b"payload", b"payload=%7B", b"\xff\xfe", b"other=1"] {
        assert_eq!(read(body), Err(NotReadable));
    }
}
