//! A click, as Slack sends it: a form with one field, which holds JSON
//! (<https://docs.slack.dev/reference/interaction-payloads/block_actions-payload>). What is not read is left alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Member;

/// The only host that an answer is sent to.
pub const RESPONSE_HOST: &str = "hooks.slack.com";

/// What a button stands for: enough to find what it is about, and nothing that must not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The release.
    pub release: String,
    /// The environment.
    pub environment: String,
    /// The plan that is decided about, by its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The check that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// When it asked: an answer to an earlier question is none to a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
}

/// Which button.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Press {
    /// The release may come.
    Approve,
    /// It may not.
    Reject,
    /// It comes no further for now.
    Hold,
    /// It goes on.
    ReleaseHold,
    /// It goes back.
    RollBack,
    /// It stays.
    Keep,
}

impl Press {
    /// Every button that there is.
    pub const ALL: [Self; 6] = [
        Self::Approve,
        Self::Reject,
        Self::Hold,
        Self::ReleaseHold,
        Self::RollBack,
        Self::Keep,
    ];

    /// The id of the button's action.
    #[must_use]
    pub const fn action_id(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Hold => "hold",
            Self::ReleaseHold => "release_hold",
            Self::RollBack => "roll_back",
            Self::Keep => "keep",
        }
    }
}

/// A button that somebody pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// Who.
    pub member: Member,
    /// Which.
    pub press: Press,
    /// What about.
    pub pointer: Pointer,
    /// Where an answer may be sent that only they see.
    pub response_url: Option<String>,
}

/// What a request of Slack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// A button of ours.
    Click(Box<Click>),
    /// Something else: there is nothing to do.
    Other,
}

/// The body is no interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a Slack interaction")]
pub struct NotReadable;

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    user: Option<User>,
    team: Option<Team>,
    response_url: Option<String>,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Debug, Deserialize)]
struct User {
    id: String,
    team_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Team {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Action {
    #[serde(default)]
    action_id: String,
    value: Option<String>,
}

/// Reads the body of a request whose signature is Slack's.
///
/// # Errors
/// [`NotReadable`]; nothing of the body is told.
pub fn read(body: &[u8]) -> Result<Interaction, NotReadable> {
    let mut fields = form_urlencoded::parse(body);
    let payload = fields.find(|(name, _)| name == "payload").map(|(_, payload)| payload);
    let payload = payload.ok_or(NotReadable)?;
    let payload: Payload = serde_json::from_str(&payload).map_err(|_| NotReadable)?;
    if payload.kind != "block_actions" {
        return Ok(Interaction::Other);
    }
    let user = payload.user.ok_or(NotReadable)?;
    let team = user
        .team_id
        .or_else(|| payload.team.map(|team| team.id))
        .ok_or(NotReadable)?;
    if !is_id(&team) || !is_id(&user.id) {
        return Err(NotReadable);
    }
    let pressed = payload.actions.iter().find_map(|action| {
        let press = Press::ALL
            .into_iter()
            .find(|press| press.action_id() == action.action_id)?;
        Some((press, action.value.as_ref()?))
    });
    let Some((press, value)) = pressed else {
        return Ok(Interaction::Other);
    };
    let pointer = serde_json::from_str(value).map_err(|_| NotReadable)?;
    let response_url = payload.response_url.filter(|url| is_answerable(url));
    Ok(Interaction::Click(Box::new(Click {
        member: Member { team, user: user.id },
        press,
        pointer,
        response_url,
    })))
}

/// Whether a text can be an id of Slack: what else it may hold would be somebody else as a principal.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether an address is one of Slack: nothing is sent anywhere else.
fn is_answerable(url: &str) -> bool {
    url.strip_prefix("https://")
        .and_then(|rest| rest.strip_prefix(RESPONSE_HOST))
        .is_some_and(|rest| rest.starts_with('/'))
}
