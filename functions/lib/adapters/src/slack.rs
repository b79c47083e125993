//! The API of Slack: writing messages into a channel, and answering whoever pressed a button.

use aws_config::SdkConfig;
use esclusa_core::canonical::canonical_sha256;
use esclusa_core::doctor::Membership;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::Method;
use esclusa_core::secret::Secret;
use serde_json::{Map, Value, json};

use crate::http::{Call, Http, Reply, Unanswered};

/// Where the methods of the API are.
const API: &str = "https://slack.com/api";

/// How long Slack is waited for when a message is written.
const WRITE_SECONDS: u32 = 10;

/// How long it is waited for when somebody is answered: they see an error when we do not answer them within three
/// seconds.
const ANSWER_SECONDS: u32 = 1;

/// How long is waited where Slack says that it was too much and not for how long.
const PAUSE_SECONDS: u32 = 30;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    There {
        /// The channel, as Slack knows it.
        channel: String,
        /// Names the message in the channel.
        ts: String,
    },
    /// It was one too many.
    TooMany {
        /// After how many seconds Slack takes the next.
        seconds: u32,
    },
    /// Slack does not take it.
    Refused {
        /// The word of Slack, such as `not_in_channel`.
        code: String,
    },
    /// Nobody knows: no answer, or none that can be read.
    Unknown {
        /// Why.
        why: String,
    },
}

/// What Slack says of a token: <https://docs.slack.dev/reference/methods/auth.test>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tested {
    /// It is that of an app.
    Valid {
        /// The name of the workspace.
        team: String,
        /// What it may do, where Slack says so.
        scopes: Vec<String>,
    },
    /// Slack does not take it.
    Refused {
        /// The word of Slack, such as `invalid_auth`.
        code: String,
    },
}

/// Where a message goes.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The id of the channel.
    pub channel: &'a str,
    /// The message under which it stands; none for one of its own.
    pub thread: Option<&'a str>,
}

/// Writes messages. The token is given with every call and never kept.
#[derive(Debug, Clone)]
pub struct SlackClient(Http);

impl SlackClient {
    /// A client over the HTTP client of the configuration, if it has one of its own.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self(Http::new(config))
    }

    /// Writes a message. `name` names it: a repeat has the same name, by which Slack may know it again.
    ///
    /// # Errors
    /// `Defect`: the address is none.
    pub async fn post(
        &self,
        token: &Secret<String>,
        to: Destination<'_>,
        message: &Value,
        name: &str,
    ) -> Result<Written, Failure> {
        let mut body = members(message);
        body.insert("channel".to_owned(), Value::from(to.channel));
        body.insert("client_msg_id".to_owned(), Value::from(message_id(name)));
        // Nothing that is named in a message is looked at by Slack.
        body.insert("unfurl_links".to_owned(), Value::from(false));
        body.insert("unfurl_media".to_owned(), Value::from(false));
        if let Some(thread) = to.thread {
            body.insert("thread_ts".to_owned(), Value::from(thread));
        }
        self.write("chat.postMessage", token, body).await
    }

    /// Writes a message anew in the place of the one that is there.
    ///
    /// # Errors
    /// `Defect`: the address is none.
    pub async fn update(
        &self,
        token: &Secret<String>,
        channel: &str,
        ts: &str,
        message: &Value,
    ) -> Result<Written, Failure> {
        let mut body = members(message);
        body.insert("channel".to_owned(), Value::from(channel));
        body.insert("ts".to_owned(), Value::from(ts));
        self.write("chat.update", token, body).await
    }

    /// Asks Slack whose token it is. Nothing is written.
    ///
    /// # Errors
    /// `Transient`: no answer, or none that can be read.
    pub async fn test(&self, token: &Secret<String>) -> Result<Tested, Failure> {
        let reply = self.send("auth.test", token, Map::new()).await?;
        let reply = reply.map_err(|why| Failure::transient(format!("Slack: {why}")))?;
        tested(&reply)
    }

    /// Asks Slack whether the app is a member of a channel: <https://docs.slack.dev/reference/methods/conversations.info>. Nothing is written.
    ///
    /// # Errors
    /// `Transient`: no answer, or none that says so.
    pub async fn membership(&self, token: &Secret<String>, channel: &str) -> Result<Membership, Failure> {
        // What only reads takes no JSON.
        let url = format!("{API}/conversations.info?channel={channel}");
        let call = Call {
            method: Method::Get,
            url: &url,
            body: None,
            headers: vec![bearer(token)],
            timeout_seconds: WRITE_SECONDS,
        };
        let reply = self.0.send(call).await?;
        let reply = reply.map_err(|unanswered| Failure::transient(format!("Slack: {}", unanswered.why)))?;
        membership(&reply)
    }

    async fn write(&self, method: &str, token: &Secret<String>, body: Map<String, Value>) -> Result<Written, Failure> {
        Ok(match self.send(method, token, body).await? {
            Ok(reply) => written(&reply),
            Err(why) => Written::Unknown { why },
        })
    }

    async fn send(
        &self,
        method: &str,
        token: &Secret<String>,
        body: Map<String, Value>,
    ) -> Result<Result<Reply, String>, Failure> {
        let url = format!("{API}/{method}");
        let call = Call {
            method: Method::Post,
            url: &url,
            body: Some(Value::Object(body).to_string()),
            headers: vec![bearer(token)],
            timeout_seconds: WRITE_SECONDS,
        };
        let sent = self.0.send(call).await?;
        Ok(sent.map_err(|unanswered| unanswered.why))
    }

    /// Tells whoever pressed a button something that only they see.
    ///
    /// # Errors
    /// `Defect`: the address is none; `Transient`: they were not told.
    pub async fn tell(&self, response_url: &str, text: &str) -> Result<(), Failure> {
        let body = json!({"response_type": "ephemeral", "replace_original": false, "text": text});
        let call = Call {
            method: Method::Post,
            url: response_url,
            body: Some(body.to_string()),
            headers: Vec::new(),
            timeout_seconds: ANSWER_SECONDS,
        };
        match self.0.send(call).await? {
            Ok(reply) if reply.status == 200 => Ok(()),
            Ok(reply) => Err(Failure::transient(format!(
                "Slack answered with status {}",
                reply.status
            ))),
            Err(Unanswered { why, .. }) => Err(Failure::transient(format!("Slack: {why}"))),
        }
    }
}

/// The header that says whose call it is.
fn bearer(token: &Secret<String>) -> (String, Secret<String>) {
    let bearer = Secret::new(format!("Bearer {}", token.expose()));
    ("authorization".to_owned(), bearer)
}

fn members(message: &Value) -> Map<String, Value> {
    message.as_object().cloned().unwrap_or_default()
}

/// The name of a message in the form of a UUID, as Slack's own clients name theirs.
fn message_id(name: &str) -> String {
    let hash = canonical_sha256(&Value::from(name));
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

fn tested(reply: &Reply) -> Result<Tested, Failure> {
    let answer: Option<Value> = serde_json::from_slice(&reply.body).ok().filter(|_| reply.status == 200);
    let text = |name: &str| Some(answer.as_ref()?.get(name)?.as_str()?.to_owned());
    match answer.as_ref().and_then(|answer| answer.get("ok")?.as_bool()) {
        Some(true) => {
            let scopes = reply.scopes.iter().flat_map(|scopes| scopes.split(','));
            Ok(Tested::Valid {
                team: text("team").unwrap_or_default(),
                scopes: scopes.map(|scope| scope.trim().to_owned()).collect(),
            })
        }
        Some(false) => Ok(Tested::Refused {
            code: text("error").unwrap_or_else(|| "no reason".to_owned()),
        }),
        None => Err(Failure::transient(format!(
            "Slack answered with status {}",
            reply.status
        ))),
    }
}

fn membership(reply: &Reply) -> Result<Membership, Failure> {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let is_member = answer.pointer("/channel/is_member").and_then(Value::as_bool);
    match (is_member, answer.get("error").and_then(Value::as_str)) {
        (Some(true), _) => Ok(Membership::Member),
        (Some(false), _) => Ok(Membership::Stranger),
        (None, Some("channel_not_found")) => Ok(Membership::NotThere),
        (None, Some("missing_scope")) => Ok(Membership::NotTold),
        (None, code) => Err(Failure::transient(format!(
            "Slack answered with status {}: {}",
            reply.status,
            code.unwrap_or("no reason")
        ))),
    }
}

/// Slack answers 200 also to what it refuses: <https://docs.slack.dev/apis/web-api/#responses>.
fn written(reply: &Reply) -> Written {
    if reply.status == 429 {
        let seconds = reply
            .retry_after
            .as_ref()
            .and_then(|seconds| seconds.trim().parse().ok());
        return Written::TooMany {
            seconds: seconds.unwrap_or(PAUSE_SECONDS),
        };
    }
    let answer: Option<Value> = serde_json::from_slice(&reply.body).ok().filter(|_| reply.status == 200);
    let text = |name: &str| Some(answer.as_ref()?.get(name)?.as_str()?.to_owned());
    match answer.as_ref().and_then(|answer| answer.get("ok")?.as_bool()) {
        Some(true) => match (text("channel"), text("ts")) {
            (Some(channel), Some(ts)) => Written::There { channel, ts },
            _ => Written::Unknown {
                why: "the answer names no message".to_owned(),
            },
        },
        Some(false) => match text("error") {
            Some(code) if code == "ratelimited" => Written::TooMany { seconds: PAUSE_SECONDS },
            // Slack's words for that it does not know itself.
            Some(code)
                if [
                    "fatal_error",
                    "internal_error",
                    "request_timeout",
                    "service_unavailable",
                ]
                .contains(&code.as_str()) =>
            {
                Written::Unknown {
                    why: format!("`{code}`"),
                }
            }
            code => Written::Refused {
                code: code.unwrap_or_else(|| "no reason".to_owned()),
            },
        },
        None => Written::Unknown {
            why: format!("status {}", reply.status),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, retry_after: Option<&str>, body: &str) -> Written {
        written(&Reply {
            status,
            retry_after: retry_after.map(str::to_owned),
            scopes: None,
            body: body.into(),
        })
    }

    #[test]
    fn a_channel_has_the_app_as_a_member_or_says_why_nobody_knows() {
        let asked = |body: &str| {
            membership(&Reply {
                status: 200,
                retry_after: None,
                scopes: None,
                body: body.into(),
            })
        };
        for (body, expected) in [
            (
                r#"{"ok": true, "channel": {"id": "C1", "is_member": true}}"#,
                Membership::Member,
            ),
            (
                r#"{"ok": true, "channel": {"id": "C1", "is_member": false}}"#,
                Membership::Stranger,
            ),
            (r#"{"ok": false, "error": "channel_not_found"}"#, Membership::NotThere),
            (
                r#"{"ok": false, "error": "missing_scope", "needed": "channels:read"}"#,
                Membership::NotTold,
            ),
        ] {
            assert_eq!(asked(body).unwrap(), expected, "{body}");
        }
        for body in [r#"{"ok": false, "error": "fatal_error"}"#, "<html>"] {
            let failure = asked(body).unwrap_err();
            assert!(failure.kind.is_retryable(), "{failure}");
        }
    }

    #[test]
    fn a_token_is_valid_with_its_scopes_or_refused_with_the_word_of_slack() {
        let test = |status, scopes: Option<&str>, body: &str| {
            tested(&Reply {
                status,
                retry_after: None,
                scopes: scopes.map(str::to_owned),
                body: body.into(),
            })
        };
        let valid = test(200, Some("chat:write, users:read"), r#"{"ok": true, "team": "Shop"}"#).unwrap();
        let scopes = ["chat:write", "users:read"].map(str::to_owned).to_vec();
        let team = "Shop".to_owned();
        assert_eq!(valid, Tested::Valid { team, scopes });
        let refused = test(200, None, r#"{"ok": false, "error": "invalid_auth"}"#).unwrap();
        let code = "invalid_auth".to_owned();
        assert_eq!(refused, Tested::Refused { code });
        assert!(test(500, None, "").is_err() && test(200, None, "<html>").is_err());
    }

    #[test]
    fn what_slack_refuses_is_told_from_what_nobody_knows() {
        let there = reply(200, None, r#"{"ok": true, "channel": "C0", "ts": "1.2"}"#);
        assert_eq!(
            there,
            Written::There {
                channel: "C0".to_owned(),
                ts: "1.2".to_owned()
            }
        );
        let refused = reply(200, None, r#"{"ok": false, "error": "not_in_channel"}"#);
        assert_eq!(
            refused,
            Written::Refused {
                code: "not_in_channel".to_owned()
            }
        );
        for (status, body) in [
            (500, ""),
            (200, "<html>"),
            (200, r#"{"ok": true}"#),
            (200, r#"{"ok": false, "error": "internal_error"}"#),
            (404, r#"{"ok": true, "channel": "C0", "ts": "1.2"}"#),
        ] {
            assert!(
                matches!(reply(status, None, body), Written::Unknown { .. }),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn slack_says_for_how_long_it_was_too_much() {
        for (status, header, body, seconds) in [
            (429, Some("7"), "", 7),
            (429, Some("soon"), "", PAUSE_SECONDS),
            (429, None, "", PAUSE_SECONDS),
            (200, None, r#"{"ok": false, "error": "ratelimited"}"#, PAUSE_SECONDS),
        ] {
            assert_eq!(reply(status, header, body), Written::TooMany { seconds }, "{header:?}");
        }
    }

    #[test]
    fn a_repeat_has_the_same_name_in_the_form_of_a_uuid() {
        let name = message_id("shop-1/production");
        assert_eq!(name, message_id("shop-1/production"));
        assert_ne!(name, message_id("shop-1/staging"));
        let lengths: Vec<usize> = name.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
