//! Slack: no service of AWS, but what happens there is part of the same time. A request to its hosts comes here as a
//! call, so that it is written down and meets faults as every call does. It knows the messages of its channels, and
//! nothing of who writes them.
//!
//! It is as strict as the reference (<https://docs.slack.dev/reference/block-kit/blocks>) where that names a limit, and does not know a message again by
//! `client_msg_id`: nothing promises that it would.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use simulator_kernel::{ApiError, Authorization, CallId, Kernel, Principal, Reply, Request, Service};

use super::http_apis;

/// The name of the service in the records of calls and in faults.
pub(crate) const NAME: &str = "slack";

/// The host of the API.
const API_HOST: &str = "slack.com";

/// The host that takes answers to interactions.
const HOOKS_HOST: &str = "hooks.slack.com";

/// How long Slack waits for the answer to an interaction.
const PATIENCE: SignedDuration = SignedDuration::from_secs(3);

/// How long, and how often, an interaction can be answered.
const RESPONSE_TIME: SignedDuration = SignedDuration::from_mins(30);
const RESPONSES: u32 = 5;

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Names it in its channel.
    pub ts: String,
    /// The message under which it stands.
    pub thread_ts: Option<String>,
    /// Whether it is shown in the channel as well, though it stands in a thread.
    pub is_broadcast: bool,
    /// Its text.
    pub text: String,
    /// Its blocks.
    pub blocks: Value,
    /// How often it was written anew.
    pub edits: u32,
}

/// A button that somebody sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Button {
    channel: String,
    ts: String,
    block_id: String,
    action_id: String,
    value: String,
    text: Value,
}

/// What somebody was told that nobody else sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// Who.
    pub user: String,
    /// What.
    pub text: String,
}

/// What became of a press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The status of the answer; none when the connection broke.
    pub status: Option<u64>,
    /// How long it took. Whoever pressed sees an error after three seconds.
    pub took: SignedDuration,
}

impl Delivery {
    /// Whether whoever pressed saw no error.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.status == Some(200) && self.took <= PATIENCE
    }
}

/// Somebody who may be answered.
#[derive(Debug, Clone)]
struct Answerable {
    user: String,
    until: Timestamp,
    left: u32,
}

/// The workspace, with one app in it.
#[derive(Debug)]
pub struct Slack {
    /// The id of the workspace.
    pub team: String,
    /// The token of the app.
    pub token: String,
    /// The secret that it signs interactions with.
    pub signing_secret: String,
    /// Host and path of the app's request URL; interactions go nowhere while there is none.
    pub request_url: Option<(String, String)>,
    /// Until when no message is taken, because there were too many.
    pub limited_until: Option<Timestamp>,
    channels: BTreeMap<String, Vec<Message>>,
    private: Vec<Private>,
    answerable: BTreeMap<String, Answerable>,
    open: BTreeMap<CallId, Timestamp>,
    deliveries: Vec<Delivery>,
}

impl Default for Slack {
    fn default() -> Self {
        Self {
            team: "T0SIMULATED".to_owned(),
            token: "xoxb-simulated-token".to_owned(),
            signing_secret: "simulated-signing-secret".to_owned(),
            request_url: None,
            limited_until: None,
            channels: BTreeMap::new(),
            private: Vec::new(),
            answerable: BTreeMap::new(),
            open: BTreeMap::new(),
            deliveries: Vec::new(),
        }
    }
}

/// The operation that a request to a host of Slack is; none for other hosts.
pub(crate) fn operation(host: &str, path: &str) -> Option<String> {
    match host {
        API_HOST => Some(path.strip_prefix("/api/").unwrap_or(path).to_owned()),
        HOOKS_HOST => Some("respond".to_owned()),
        _ => None,
    }
}

impl Slack {
    /// Makes the app a member of a channel.
    pub fn invite(&mut self, channel: &str) {
        self.channels.entry(channel.to_owned()).or_default();
    }

    /// The messages of a channel, the oldest first.
    #[must_use]
    pub fn messages(&self, channel: &str) -> &[Message] {
        self.channels.get(channel).map(Vec::as_slice).unwrap_or_default()
    }

    /// What people were told that nobody else sees.
    #[must_use]
    pub fn private(&self) -> &[Private] {
        &self.private
    }

    /// What became of the presses, as they were answered.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// Removes a message, as somebody in the channel may.
    pub fn remove(&mut self, channel: &str, ts: &str) {
        if let Some(messages) = self.channels.get_mut(channel) {
            messages.retain(|message| message.ts != ts);
        }
    }

    /// The button of a message with this action, as it is shown now.
    #[must_use]
    pub fn button(&self, channel: &str, ts: &str, action: &str) -> Option<Button> {
        let message = self.messages(channel).iter().find(|message| message.ts == ts)?;
        let blocks = message.blocks.as_array()?;
        blocks.iter().find_map(|block| {
            let elements = block.get("elements")?.as_array()?;
            let is_meant = |element: &&Value| element.get("action_id").is_some_and(|id| id == action);
            let element = elements.iter().find(is_meant)?;
            let text = |value: &Value, name: &str| Some(value.get(name)?.as_str()?.to_owned());
            Some(Button {
                channel: channel.to_owned(),
                ts: ts.to_owned(),
                block_id: text(block, "block_id").unwrap_or_default(),
                action_id: text(element, "action_id")?,
                value: text(element, "value")?,
                text: element.get("text").cloned().unwrap_or_default(),
            })
        })
    }

    /// A member presses a button that they see, or still see. What becomes of it is among [`Slack::deliveries`].
    pub fn press(&mut self, button: &Button, user: &str, kernel: &mut Kernel) {
        let (body, timestamp, signature) = self.signed_press(button, user, kernel);
        self.deliver(&body, &timestamp, &signature, kernel);
    }

    /// Sends a body to the app's request URL, with these words in the headers that carry the signature.
    pub fn deliver(&mut self, body: &str, timestamp: &str, signature: &str, kernel: &mut Kernel) {
        let Some((host, path)) = self.request_url.clone() else {
            return;
        };
        let headers = json!({
            "content-type": "application/x-www-form-urlencoded",
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "x-slack-request-timestamp": timestamp,
            "x-slack-signature": signature,
        });
        let input = json!({"host": host, "path": path, "query": "", "headers": headers, "body": body, "signed": false});
        let anybody = Principal::Service(API_HOST.to_owned());
        let call = kernel.call(NAME, http_apis::NAME, "POST", input, &anybody);
        self.open.insert(call, kernel.now());
    }

    /// The form that the next press of a button would have, with its signature and when it was signed.
    pub fn signed_press(&mut self, button: &Button, user: &str, kernel: &mut Kernel) -> (String, String, String) {
        let payload = self.payload(button, user, kernel);
        let mut body = String::from("payload=");
        percent_encode(&payload.to_string(), &mut body);
        let timestamp = kernel.now().as_second().to_string();
        let signature = signature(&self.signing_secret, &timestamp, &body);
        (body, timestamp, signature)
    }

    fn payload(&mut self, button: &Button, user: &str, kernel: &mut Kernel) -> Value {
        let id = kernel.hex_id(24);
        let until = kernel.now().saturating_add(RESPONSE_TIME).unwrap_or(Timestamp::MAX);
        let path = format!("/actions/{}/{id}", self.team);
        self.answerable.insert(
            path.clone(),
            Answerable {
                user: user.to_owned(),
                until,
                left: RESPONSES,
            },
        );
        let Button {
            channel,
            ts,
            block_id,
            action_id,
            value,
            text,
        } = button;
        json!({
            "type": "block_actions",
            "user": {"id": user, "username": user.to_lowercase(), "name": user.to_lowercase(), "team_id": self.team},
            "api_app_id": "A0SIMULATED",
            "token": "deprecated-do-not-use",
            "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": false},
            "trigger_id": kernel.hex_id(32),
            "team": {"id": self.team, "domain": "simulated"},
            "enterprise": null,
            "is_enterprise_install": false,
            "channel": {"id": channel, "name": "deployments"},
            "message": {"type": "message", "ts": ts},
            "response_url": format!("https://{HOOKS_HOST}{path}"),
            "actions": [{
                "type": "button", "action_id": action_id, "block_id": block_id, "value": value, "text": text,
                "action_ts": timestamp(kernel),
            }],
        })
    }

    /// Whose token it is, and what it may do: <https://docs.slack.dev/reference/methods/auth.test>.
    fn tested(&self) -> Value {
        let mut answer = answered(
            200,
            &json!({"ok": true, "team": "Simulated", "team_id": self.team, "user": "esclusa"}),
        );
        if let Some(headers) = answer.get_mut("headers").and_then(Value::as_object_mut) {
            headers.insert(
                "x-oauth-scopes".to_owned(),
                "chat:write,channels:read,groups:read".into(),
            );
        }
        answer
    }

    fn answer(&mut self, request: &Request, kernel: &mut Kernel) -> Value {
        let text = |name: &str| request.input.get(name).and_then(Value::as_str).unwrap_or_default();
        let body: Value = serde_json::from_str(text("body")).unwrap_or_default();
        if request.operation == "respond" {
            return self.respond(text("path"), &body, kernel);
        }
        let now = kernel.now();
        if let Some(left) = self
            .limited_until
            .map(|until| until.duration_since(now).as_secs())
            .filter(|left| *left > 0)
        {
            return too_many(left);
        }
        if text("authorization") != format!("Bearer {}", self.token) {
            return refused("invalid_auth");
        }
        // What only reads takes no JSON.
        if request.operation == "conversations.info" {
            let channel = text("query").strip_prefix("channel=").unwrap_or_default();
            return self.shown(channel);
        }
        let Some(body) = body.as_object() else {
            return refused("invalid_json");
        };
        match request.operation.as_str() {
            "auth.test" => self.tested(),
            "chat.postMessage" => self.post(body, kernel),
            "chat.update" => self.update(body),
            _ => refused("unknown_method"),
        }
    }

    /// A channel: <https://docs.slack.dev/reference/methods/conversations.info>. The app sees those that it is a member of.
    fn shown(&self, channel: &str) -> Value {
        if !self.channels.contains_key(channel) {
            return refused("channel_not_found");
        }
        answered(
            200,
            &json!({"ok": true, "channel": {"id": channel, "name": "deployments", "is_channel": true, "is_member": true}}),
        )
    }

    fn post(&mut self, body: &Map<String, Value>, kernel: &mut Kernel) -> Value {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let channel = text("channel").unwrap_or_default();
        let Some(messages) = self.channels.get_mut(channel) else {
            return refused("not_in_channel");
        };
        if let Err(code) = check(body) {
            return refused(code);
        }
        let (thread_ts, is_broadcast) = match place(body, messages) {
            Ok(place) => place,
            Err(code) => return refused(code),
        };
        let ts = timestamp(kernel);
        messages.push(Message {
            ts: ts.clone(),
            thread_ts,
            is_broadcast,
            text: text("text").unwrap_or_default().to_owned(),
            blocks: body.get("blocks").cloned().unwrap_or_else(|| json!([])),
            edits: 0,
        });
        done(channel, &ts)
    }

    fn update(&mut self, body: &Map<String, Value>) -> Value {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let (channel, ts) = (text("channel"), text("ts"));
        let Some(messages) = self.channels.get_mut(channel) else {
            return refused("channel_not_found");
        };
        if let Err(code) = check(body) {
            return refused(code);
        }
        let Some(message) = messages.iter_mut().find(|message| message.ts == ts) else {
            return refused("message_not_found");
        };
        text("text").clone_into(&mut message.text);
        message.blocks = body.get("blocks").cloned().unwrap_or_else(|| json!([]));
        message.edits = message.edits.saturating_add(1);
        done(channel, ts)
    }

    fn respond(&mut self, path: &str, body: &Value, kernel: &Kernel) -> Value {
        let now = kernel.now();
        let known = self.answerable.get_mut(path);
        let Some(answerable) = known.filter(|known| known.left > 0 && now <= known.until) else {
            return json!({"status": 404, "headers": {}, "body": "{\"ok\":false,\"error\":\"used_url\"}"});
        };
        answerable.left = answerable.left.saturating_sub(1);
        let is_private = body.get("response_type").is_some_and(|kind| kind == "ephemeral");
        let keeps = body.get("replace_original").is_some_and(|flag| flag == false);
        let text = body.get("text").and_then(Value::as_str);
        match text.filter(|_| is_private && keeps) {
            Some(text) => {
                let (user, text) = (answerable.user.clone(), text.to_owned());
                self.private.push(Private { user, text });
                json!({"status": 200, "headers": {"content-type": "application/json"}, "body": "{\"ok\":true}"})
            }
            None => {
                json!({"status": 400, "headers": {}, "body": "{\"ok\":false,\"error\":\"unsupported_by_simulator\"}"})
            }
        }
    }
}

fn answered(status: u16, body: &Value) -> Value {
    json!({"status": status, "headers": {"content-type": "application/json; charset=utf-8"}, "body": body.to_string()})
}

fn refused(code: &str) -> Value {
    answered(200, &json!({"ok": false, "error": code}))
}

fn done(channel: &str, ts: &str) -> Value {
    answered(
        200,
        &json!({"ok": true, "channel": channel, "ts": ts, "message": {"ts": ts}}),
    )
}

/// The answer to one request too many: <https://docs.slack.dev/apis/web-api/rate-limits>.
fn too_many(seconds: i64) -> Value {
    json!({
        "status": 429,
        "headers": {"content-type": "application/json", "retry-after": seconds.to_string()},
        "body": "{\"ok\":false,\"error\":\"ratelimited\"}",
    })
}

/// Seconds and a number that no other message has.
fn timestamp(kernel: &mut Kernel) -> String {
    let (seconds, id) = (kernel.now().as_second(), kernel.next_id());
    format!("{seconds}.{:06}", id % 1_000_000)
}

/// The thread in which a message is to stand, and whether the channel is to see it there: <https://docs.slack.dev/messaging/#threading>.
///
/// Slack takes a reply to a reply for one to somewhere, and ignores a broadcast without a thread. Neither is ever
/// meant, so that both are refused here.
fn place(body: &Map<String, Value>, messages: &[Message]) -> Result<(Option<String>, bool), &'static str> {
    let is_broadcast = match body.get("reply_broadcast") {
        None => false,
        Some(flag) => flag.as_bool().ok_or("invalid_arguments")?,
    };
    let Some(thread) = body.get("thread_ts") else {
        return if is_broadcast {
            Err("invalid_arguments")
        } else {
            Ok((None, false))
        };
    };
    let ts = thread.as_str().ok_or("invalid_thread_ts")?;
    let parent = messages
        .iter()
        .find(|message| message.ts == ts)
        .ok_or("thread_not_found")?;
    if parent.thread_ts.is_some() {
        return Err("cannot_reply_to_message");
    }
    Ok((Some(ts.to_owned()), is_broadcast))
}

/// What Slack does not take, by its word for it.
fn check(body: &Map<String, Value>) -> Result<(), &'static str> {
    let text = body.get("text").and_then(Value::as_str).unwrap_or_default();
    if text.chars().count() > 40_000 {
        return Err("msg_too_long");
    }
    let blocks = match body.get("blocks") {
        None => &[],
        Some(blocks) => blocks.as_array().map(Vec::as_slice).ok_or("invalid_blocks_format")?,
    };
    if blocks.is_empty() && text.is_empty() {
        return Err("no_text");
    }
    // Documented nowhere: <https://github.com/slackapi/bolt-js/issues/2867>.
    if blocks.iter().map(texts).sum::<usize>() > 11_000 {
        return Err("msg_blocks_too_long");
    }
    let is_sound = blocks.len() <= 50 && blocks.iter().all(is_block) && are_unique(blocks, "block_id");
    if is_sound { Ok(()) } else { Err("invalid_blocks") }
}

/// Whether those that have a name have one of their own.
fn are_unique(values: &[Value], name: &str) -> bool {
    let mut seen = BTreeSet::new();
    values
        .iter()
        .filter_map(|value| value.get(name)?.as_str())
        .all(|id| !id.is_empty() && units(id) <= 255 && seen.insert(id))
}

/// The characters of all texts in a block.
fn texts(block: &Value) -> usize {
    match block {
        Value::Array(values) => values.iter().map(texts).sum(),
        Value::Object(members) => {
            let own = members.get("text").and_then(Value::as_str).map_or(0, units);
            own.saturating_add(members.values().map(texts).sum())
        }
        _ => 0,
    }
}

/// The length of a text in the units that count the most.
fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Whether a member is a text object of one of these kinds, neither empty nor longer than this.
fn is_text(holder: &Value, member: &str, kinds: &[&str], limit: usize) -> bool {
    let object = holder.get(member);
    let part = |name: &str| object.and_then(|object| object.get(name)?.as_str());
    part("type").is_some_and(|kind| kinds.contains(&kind))
        && part("text").is_some_and(|text| !text.is_empty() && units(text) <= limit)
}

const PLAIN: &[&str] = &["plain_text"];
const ANY: &[&str] = &["plain_text", "mrkdwn"];

fn is_block(block: &Value) -> bool {
    let elements = || {
        block
            .get("elements")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    match block.get("type").and_then(Value::as_str) {
        Some("header") => is_text(block, "text", PLAIN, 150),
        Some("section") => is_text(block, "text", ANY, 3_000),
        Some("divider") => true,
        Some("context") => {
            let is_element = |element: &Value| is_text(&json!({"text": element}), "text", ANY, 3_000);
            (1..=10).contains(&elements().len()) && elements().iter().all(is_element)
        }
        Some("actions") => {
            (1..=25).contains(&elements().len())
                && elements().iter().all(is_button)
                && are_unique(elements(), "action_id")
        }
        _ => false,
    }
}

fn is_button(element: &Value) -> bool {
    let is_kind = element.get("type").is_some_and(|kind| kind == "button");
    let value = element.get("value").map(|value| value.as_str().unwrap_or_default());
    let style = element.get("style").map(|style| style.as_str().unwrap_or_default());
    let is_confirm = |confirm: &Value| {
        is_text(confirm, "title", PLAIN, 100)
            && is_text(confirm, "text", ANY, 300)
            && is_text(confirm, "confirm", PLAIN, 30)
            && is_text(confirm, "deny", PLAIN, 30)
    };
    is_kind
        && is_text(element, "text", PLAIN, 75)
        && value.is_none_or(|value| units(value) <= 2_000)
        && style.is_none_or(|style| ["primary", "danger"].contains(&style))
        && element.get("confirm").is_none_or(is_confirm)
}

/// The signature of an interaction: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.
fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

/// A form value, as browsers write it.
fn percent_encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => into.push(char::from(byte)),
            b' ' => into.push('+'),
            other => {
                into.push('%');
                into.push_str(&hex::encode_upper([other]));
            }
        }
    }
}

impl Service for Slack {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Whoever has the token.
    fn authorizations(&self, _: &Request, _: &Kernel) -> Vec<Authorization> {
        Vec::new()
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(Ok(self.answer(request, kernel)))
    }

    fn replied(&mut self, call: CallId, result: Result<Value, ApiError>, kernel: &mut Kernel) {
        if let Some(since) = self.open.remove(&call) {
            self.deliveries.push(Delivery {
                status: result.ok().and_then(|answer| answer.get("status")?.as_u64()),
                took: kernel.now().duration_since(since),
            });
        }
    }
}
