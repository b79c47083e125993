//! The simulated Slack takes what Slack takes, and nothing else.

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::simulation;
use crate::services::Slack;
use crate::{Fault, FaultKind, Principal, Selector, Simulation};

const CHANNEL: &str = "C0DEPLOY";

fn workspace() -> Simulation {
    let mut simulation = simulation();
    let (slack, _) = simulation.world_mut().service_mut::<Slack>().unwrap();
    slack.invite(CHANNEL);
    simulation
}

/// Status, `Retry-After` and body.
fn call(simulation: &mut Simulation, method: &str, token: &str, body: &Value) -> (u16, Option<String>, Value) {
    let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
    request.set_method("POST").unwrap();
    request.set_uri(format!("https://slack.com/api/{method}")).unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}"));
    let connector = simulation.world_mut().http_connector(&Principal::Administrator);
    let response = simulation.block_on(connector.call(request)).unwrap();
    let retry_after = response.headers().get("retry-after").map(str::to_owned);
    let text = response.body().bytes().unwrap();
    (
        response.status().as_u16(),
        retry_after,
        serde_json::from_slice(text).unwrap_or_default(),
    )
}

fn token(simulation: &Simulation) -> String {
    simulation.world().service::<Slack>().unwrap().token.clone()
}

/// What Slack says against a message; nothing where it takes it.
fn refused(simulation: &mut Simulation, body: &Value) -> Option<String> {
    let token = token(simulation);
    let (status, _, answer) = call(simulation, "chat.postMessage", &token, body);
    assert_eq!(status, 200);
    assert_eq!(answer["ok"] == true, answer.get("error").is_none());
    answer["error"].as_str().map(str::to_owned)
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": text})
}

#[test]
fn a_message_is_taken_within_the_limits_of_its_blocks_and_not_beyond() {
    let mut simulation = workspace();
    let with = |blocks: Value| json!({"channel": CHANNEL, "text": "t", "blocks": blocks});
    let section = |text: &str| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    let button = |text: &str, value: &str, id: &str| json!({"type": "button", "text": plain(text), "value": value, "action_id": id});
    let actions = |elements: Vec<Value>| json!([{"type": "actions", "elements": elements}]);
    let long = |length: usize| "é".repeat(length);
    for sound in [
        json!({"channel": CHANNEL, "text": "t"}),
        with(json!([{"type": "header", "text": plain(&long(150))}])),
        with(json!([section(&long(3_000))])),
        with(json!(vec![section("t"); 50])),
        with(actions(vec![
            button(&long(75), &long(2_000), "a"),
            button("t", "v", "b"),
        ])),
    ] {
        assert_eq!(refused(&mut simulation, &sound), None, "{sound}");
    }
    for broken in [
        with(json!([{"type": "header", "text": plain(&long(151))}])),
        with(json!([{"type": "header", "text": {"type": "mrkdwn", "text": "t"}}])),
        with(json!([section(&long(3_001))])),
        with(json!([section("")])),
        with(json!(vec![section("t"); 51])),
        with(actions(vec![button(&long(76), "v", "a")])),
        with(actions(vec![button("t", &long(2_001), "a")])),
        with(actions(vec![button("t", "v", "a"), button("t", "v", "a")])),
        with(actions(Vec::new())),
        with(json!([{"type": "video"}])),
    ] {
        assert_eq!(
            refused(&mut simulation, &broken).as_deref(),
            Some("invalid_blocks"),
            "{broken}"
        );
    }
    for (body, code) in [
        (json!({"channel": CHANNEL}), "no_text"),
        (json!({"channel": "C0OTHER", "text": "t"}), "not_in_channel"),
        (
            json!({"channel": CHANNEL, "text": "t", "thread_ts": "1.2"}),
            "thread_not_found",
        ),
    ] {
        assert_eq!(refused(&mut simulation, &body).as_deref(), Some(code));
    }
    let (_, _, answer) = call(
        &mut simulation,
        "chat.postMessage",
        "xoxb-other",
        &json!({"channel": CHANNEL, "text": "t"}),
    );
    assert_eq!(answer["error"], "invalid_auth");
}

#[test]
fn a_message_is_written_anew_in_its_place_and_a_repeat_is_another_one() {
    let mut simulation = workspace();
    let token = token(&simulation);
    let message = json!({"channel": CHANNEL, "text": "first", "client_msg_id": "same"});
    let post = Selector::operation("slack", "chat.postMessage").nth(1);
    simulation
        .world_mut()
        .add_fault(Fault::new(post, FaultKind::AnswerLost));
    let connector = simulation.world_mut().http_connector(&Principal::Administrator);
    let mut request = HttpRequest::new(SdkBody::from(message.to_string()));
    request.set_method("POST").unwrap();
    request.set_uri("https://slack.com/api/chat.postMessage").unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}"));
    assert!(simulation.block_on(connector.call(request)).is_err());
    let (_, _, answer) = call(&mut simulation, "chat.postMessage", &token, &message);
    let ts = answer["ts"].clone();
    let update = |ts: &Value| json!({"channel": CHANNEL, "ts": ts, "text": "second"});
    let (_, _, updated) = call(&mut simulation, "chat.update", &token, &update(&ts));
    assert_eq!(updated["ok"], true);
    let (_, _, unknown) = call(&mut simulation, "chat.update", &token, &update(&json!("1.2")));
    assert_eq!(unknown["error"], "message_not_found");
    let slack = simulation.world().service::<Slack>().unwrap();
    let shown: Vec<(&str, u32)> = slack
        .messages(CHANNEL)
        .iter()
        .map(|message| (message.text.as_str(), message.edits))
        .collect();
    assert_eq!(shown, [("first", 0), ("second", 1)]);
}

#[test]
fn a_reply_stands_under_a_message_of_the_channel_and_is_shown_there_where_that_is_asked_for() {
    let mut simulation = workspace();
    let token = token(&simulation);
    let mut post = |more: Value| {
        let mut body = json!({"channel": CHANNEL, "text": "t"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call(&mut simulation, "chat.postMessage", &token, &body).2
    };
    let parent = post(json!({}))["ts"].clone();
    let reply = post(json!({"thread_ts": parent}))["ts"].clone();
    assert_eq!(post(json!({"thread_ts": parent, "reply_broadcast": true}))["ok"], true);
    for (broken, code) in [
        (json!({"thread_ts": reply}), "cannot_reply_to_message"),
        (json!({"thread_ts": 1.2}), "invalid_thread_ts"),
        (
            json!({"thread_ts": parent, "reply_broadcast": "true"}),
            "invalid_arguments",
        ),
        (json!({"reply_broadcast": true}), "invalid_arguments"),
    ] {
        assert_eq!(post(broken.clone())["error"], code, "{broken}");
    }
    let slack = simulation.world().service::<Slack>().unwrap();
    let shown: Vec<(bool, bool)> = slack
        .messages(CHANNEL)
        .iter()
        .map(|message| (message.thread_ts.is_some(), message.is_broadcast))
        .collect();
    assert_eq!(shown, [(false, false), (true, false), (true, true)]);
}

#[test]
fn one_message_too_many_is_told_when_the_next_is_taken() {
    let mut simulation = workspace();
    let token = token(&simulation);
    let until = simulation.now() + SignedDuration::from_secs(90);
    let (slack, _) = simulation.world_mut().service_mut::<Slack>().unwrap();
    slack.limited_until = Some(until);
    let message = json!({"channel": CHANNEL, "text": "t"});
    let (status, retry_after, _) = call(&mut simulation, "chat.postMessage", &token, &message);
    assert_eq!((status, retry_after.as_deref()), (429, Some("90")));
    simulation.run_for(SignedDuration::from_secs(90));
    assert_eq!(call(&mut simulation, "chat.postMessage", &token, &message).0, 200);
}
