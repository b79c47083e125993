//! Text of a card, in parts: what is foreign is never taken for markup, and what does not fit is cut between
//! characters, with how much is left out.

use jiff::Timestamp;

use crate::pipeline::MemberId;

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Words.
    Text(String),
    /// A name or a command.
    Code(String),
    /// A moment, shown in the zone of whoever reads it.
    Time(Timestamp),
    /// A member of Slack, who is told of it.
    Member(MemberId),
}

impl Part {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn code(text: impl Into<String>) -> Self {
        Self::Code(text.into())
    }
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<Part>);

impl Line {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self(vec![Part::text(text)])
    }

    pub(super) fn push(&mut self, part: Part) {
        self.0.push(part);
    }

    pub(super) fn extend(&mut self, line: Self) {
        self.0.extend(line.0);
    }

    /// As `mrkdwn` of Slack, at most so long: <https://docs.slack.dev/messaging/formatting-message-text>.
    pub(super) fn mrkdwn(&self, limit: usize) -> String {
        self.written(limit, &Slack)
    }

    /// As plain text, at most so long.
    pub(super) fn plain(&self, limit: usize) -> String {
        self.written(limit, &Plain)
    }

    fn written(&self, limit: usize, style: &dyn Style) -> String {
        let whole = self.within(usize::MAX, style);
        if length(&whole.text) <= limit {
            return whole.text;
        }
        // Room for the note, whatever number is in it.
        let cut = self.within(limit.saturating_sub(NOTE_ROOM), style);
        let note = format!("… ({} more characters)", cut.left_out);
        let written = format!("{}{note}", cut.text);
        if length(&written) <= limit {
            written
        } else {
            // There is no room to say even that.
            cut_text("…", limit)
        }
    }

    fn within(&self, limit: usize, style: &dyn Style) -> Cut {
        let mut cut = Cut {
            limit,
            ..Cut::default()
        };
        for part in &self.0 {
            match part {
                Part::Text(text) => text.chars().for_each(|each| cut.push(&style.character(each))),
                Part::Code(text) => {
                    cut.open();
                    text.chars()
                        .map(|each| if each == '`' { '\'' } else { each })
                        .for_each(|each| cut.push(&style.character(each)));
                    cut.close();
                }
                Part::Time(time) => cut.push_whole(&style.time(*time)),
                Part::Member(member) => cut.push_whole(&style.member(member)),
            }
        }
        cut
    }
}

impl<const N: usize> From<[Part; N]> for Line {
    fn from(parts: [Part; N]) -> Self {
        Self(parts.into())
    }
}

/// The room for the note that something is left out.
const NOTE_ROOM: usize = 48;

/// Text that is written as long as it fits.
#[derive(Default)]
struct Cut {
    text: String,
    used: usize,
    limit: usize,
    /// What is kept free for the end of what is open.
    reserved: usize,
    is_full: bool,
    left_out: usize,
}

impl Cut {
    fn fits(&mut self, more: usize) -> bool {
        let needed = self.used.saturating_add(more).saturating_add(self.reserved);
        self.is_full = self.is_full || needed > self.limit;
        !self.is_full
    }

    fn push(&mut self, character: &str) {
        self.push_whole_as(character, 1);
    }

    fn push_whole(&mut self, text: &str) {
        self.push_whole_as(text, text.chars().count());
    }

    fn push_whole_as(&mut self, text: &str, shown: usize) {
        if self.fits(length(text)) {
            self.text.push_str(text);
            self.used = self.used.saturating_add(length(text));
        } else {
            self.left_out = self.left_out.saturating_add(shown);
        }
    }

    /// A backtick, if that which ends it fits as well.
    fn open(&mut self) {
        if self.fits(2) {
            self.text.push('`');
            self.used = self.used.saturating_add(1);
            self.reserved = 1;
        }
    }

    fn close(&mut self) {
        if self.reserved > 0 {
            self.reserved = 0;
            self.text.push('`');
            self.used = self.used.saturating_add(1);
        }
    }
}

trait Style {
    fn character(&self, character: char) -> String;
    fn time(&self, time: Timestamp) -> String;
    fn member(&self, member: &MemberId) -> String;
}

/// A moment as everybody can read it.
fn universal(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

struct Slack;

impl Style for Slack {
    fn character(&self, character: char) -> String {
        match character {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            control if control.is_control() => " ".to_owned(),
            other => other.to_string(),
        }
    }

    fn time(&self, time: Timestamp) -> String {
        let (seconds, otherwise) = (time.as_second(), universal(time));
        format!("<!date^{seconds}^{{date_short_pretty}} {{time}}|{otherwise}>")
    }

    fn member(&self, member: &MemberId) -> String {
        format!("<@{}>", member.user())
    }
}

struct Plain;

impl Style for Plain {
    fn character(&self, character: char) -> String {
        if character.is_control() { ' ' } else { character }.to_string()
    }

    fn time(&self, time: Timestamp) -> String {
        universal(time)
    }

    fn member(&self, member: &MemberId) -> String {
        format!("@{}", member.user())
    }
}

/// The length of a text as Slack may count it: it does not say in which units, and these are the most.
pub(super) fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The beginning of a text that is no longer than this.
pub(super) fn cut_text(text: &str, limit: usize) -> String {
    if length(text) <= limit {
        return text.to_owned();
    }
    let limit = limit.saturating_sub(1);
    let mut used = 0_usize;
    let beginning = text.chars().take_while(|each| {
        used = used.saturating_add(each.len_utf16());
        used <= limit
    });
    let mut cut: String = beginning.collect();
    cut.push('…');
    cut
}
