//! A card as a message of Slack, within its limits (<https://docs.slack.dev/reference/block-kit/blocks>), and as text.

use serde_json::{Value, json};

use super::asks::{Ask, Button};
use super::markup::{Line, cut_text, length};
use super::{Alert, Audience, Card, Section, Tone};

/// The most blocks of a message.
pub const BLOCKS_MAX: usize = 50;

/// The most characters of a header.
pub const HEADER_MAX: usize = 150;

/// The most characters of the text of a section.
pub const SECTION_MAX: usize = 3_000;

/// The most characters of all blocks of a message together. Slack documents no such limit, and refuses messages of 11,341
/// characters and more: <https://github.com/slackapi/bolt-js/issues/2867>.
const MESSAGE_MAX: usize = 9_000;

/// The most characters of the status.
const STATUS_MAX: usize = 1_000;

/// The most characters of the line below.
const CONTEXT_MAX: usize = 300;

/// The most characters of all that is asked: there may be a question for every check.
const ASKS_MAX: usize = 5_000;

/// What every section may have, however much there is besides.
const SECTION_MIN: usize = 200;

/// The most characters on a button.
pub const ACTION_TEXT_MAX: usize = 75;

/// The most characters of what a button stands for.
pub const VALUE_MAX: usize = 2_000;

/// The most characters of a message without blocks.
pub const ALERT_TEXT_MAX: usize = 3_000;

/// The most characters of one line of a section, so that one long line leaves room for others.
const LINE_MAX: usize = 700;

/// The room for the note that lines are left out, with the command that shows them.
const NOTE_ROOM: usize = 140;

/// `blocks` and `text` of a message that shows the card. Where Slack shows no blocks, such as in a notification, it
/// shows the text.
#[must_use]
pub fn message(card: &Card) -> Value {
    let mut blocks = vec![header(&card.title), section(&status(card))];
    let (limit, ask_limit) = (section_limit(card), ask_limit(card));
    let sections = card.sections.iter();
    blocks.extend(sections.map(|each| section(&paragraph(each, &card.rest, limit))));
    for (index, ask) in card.asks.iter().enumerate() {
        blocks.push(section(&ask.words.mrkdwn(ask_limit)));
        // A button must not be pressed whose meaning would be cut.
        let value = json!(ask.pointer).to_string();
        if length(&value) <= VALUE_MAX {
            blocks.push(actions(index, ask, &value));
        }
    }
    blocks.push(json!({
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": card.context.mrkdwn(CONTEXT_MAX), "verbatim": true}],
    }));
    blocks.truncate(BLOCKS_MAX);
    json!({"text": text(card, ALERT_TEXT_MAX), "blocks": blocks})
}

/// `text` of a message that tells people in the thread of the card and, where everybody must hear of it, in the
/// channel.
#[must_use]
pub fn alert_message(alert: &Alert) -> Value {
    let text = alert.words.mrkdwn(ALERT_TEXT_MAX);
    match alert.audience {
        Audience::Thread => json!({"text": text}),
        Audience::Channel => json!({"text": text, "reply_broadcast": true}),
    }
}

impl Card {
    /// The card as plain text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.title.clone(), format!("  {}", self.status.plain(usize::MAX))];
        for section in &self.sections {
            lines.push(format!("  {}", section.title));
            lines.extend(
                section
                    .lines
                    .iter()
                    .map(|line| format!("    {}", line.plain(usize::MAX))),
            );
        }
        for ask in &self.asks {
            lines.push(format!("  {}", ask.words.plain(usize::MAX)));
            let commands = ask.buttons.iter().map(|button| button.command(&ask.pointer));
            lines.extend(commands.map(|command| format!("    {command}")));
        }
        lines.push(format!("  {}", self.context.plain(usize::MAX)));
        lines.join("\n")
    }
}

/// Title and status, for where blocks are not shown.
fn text(card: &Card, limit: usize) -> String {
    let mut line = Line::text(card.title.as_str());
    line.extend(Line::text(": "));
    line.extend(card.status.clone());
    line.mrkdwn(limit)
}

fn status(card: &Card) -> String {
    let sign = match card.tone {
        Tone::Waits => ":hourglass_flowing_sand:",
        Tone::Works => ":gear:",
        Tone::Good => ":white_check_mark:",
        Tone::Over => ":heavy_minus_sign:",
        Tone::Bad => ":rotating_light:",
    };
    let room = STATUS_MAX.saturating_sub(length(sign)).saturating_sub(1);
    format!("{sign} {}", card.status.mrkdwn(room))
}

fn header(title: &str) -> Value {
    json!({"type": "header", "text": {"type": "plain_text", "text": cut_text(title, HEADER_MAX), "emoji": false}})
}

fn section(text: &str) -> Value {
    // Nothing in it becomes a link that was none.
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}})
}

/// The most characters of each question.
fn ask_limit(card: &Card) -> usize {
    let shared = ASKS_MAX.checked_div(card.asks.len()).unwrap_or(ASKS_MAX);
    shared.min(SECTION_MAX)
}

/// The most characters of each section, so that all of them have room in the message: the longest are cut first.
fn section_limit(card: &Card) -> usize {
    let ask_limit = ask_limit(card);
    let asks = card.asks.iter().map(|ask| length(&ask.words.mrkdwn(ask_limit)));
    let around = [
        HEADER_MAX,
        length(&status(card)),
        length(&card.context.mrkdwn(CONTEXT_MAX)),
    ];
    let taken: usize = around.into_iter().chain(asks).sum();
    let room = MESSAGE_MAX.saturating_sub(taken);
    let whole = card
        .sections
        .iter()
        .map(|each| length(&paragraph(each, &card.rest, SECTION_MAX)));
    let whole: Vec<usize> = whole.collect();
    let fits = |limit: &usize| whole.iter().map(|length| length.min(limit)).sum::<usize>() <= room;
    let limits = (SECTION_MIN..=SECTION_MAX).rev().step_by(50);
    limits.into_iter().find(fits).unwrap_or(SECTION_MIN)
}

/// A section with as many of its lines as fit, how many are left out, and where they are.
fn paragraph(section: &Section, rest: &str, limit: usize) -> String {
    let mut text = format!("*{}*", Line::text(section.title.as_str()).mrkdwn(HEADER_MAX));
    for (index, line) in section.lines.iter().enumerate() {
        let line = format!("\n• {}", line.mrkdwn(LINE_MAX));
        let is_last = index.saturating_add(1) == section.lines.len();
        let room = if is_last { 0 } else { NOTE_ROOM };
        if length(&text).saturating_add(length(&line)).saturating_add(room) > limit {
            let left_out = section.lines.len().saturating_sub(index);
            text.push_str(&format!("\n… and {left_out} more: `{rest}` shows all"));
            break;
        }
        text.push_str(&line);
    }
    text
}

fn actions(index: usize, ask: &Ask, value: &str) -> Value {
    let elements: Vec<Value> = ask.buttons.iter().map(|each| button(each, value)).collect();
    json!({"type": "actions", "block_id": format!("ask-{index}"), "elements": elements})
}

fn button(button: &Button, value: &str) -> Value {
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let mut element = json!({
        "type": "button",
        "action_id": button.press.action_id(),
        "text": plain(button.label),
        "value": value,
        "confirm": {
            "title": plain("Are you sure?"),
            "text": plain(button.confirm),
            "confirm": plain(button.label),
            "deny": plain("Cancel"),
        },
    });
    if let (Some(style), Some(members)) = (button.style, element.as_object_mut()) {
        members.insert("style".to_owned(), Value::from(style));
    }
    element
}
