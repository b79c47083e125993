//! The card of a release in an environment: what people must know to decide about it, and what became of it. Facts come
//! in, a card goes out; the same card is shown in Slack and as text.
//!
//! A card shows moments and never how long something takes from now: it is another one only when something is.

mod alerts;
mod asks;
mod blocks;
mod deadline;
mod markup;
mod renewed;
mod sections;
mod summary;
mod upstream;

use jiff::Timestamp;

use self::alerts::alerts;
use self::asks::{Ask, asks};
pub use self::blocks::{
    ACTION_TEXT_MAX, ALERT_TEXT_MAX, BLOCKS_MAX, HEADER_MAX, SECTION_MAX, VALUE_MAX, alert_message, message,
};
pub use self::deadline::approval_expires;
use self::markup::{Line, Part};
use self::sections::{gates, origin, outcome, says, summary_sections, verification, votes};
pub use self::summary::{Migration, Moved, PlannedChange, Sources, Summary, Undo};
pub use self::upstream::Upstream;
use self::upstream::seen_before;
use crate::gate::{Closed, GateReport, Vote, person_of};
use crate::pipeline::{Approval, Name, People, Windows};
use crate::verdict::{End, Reason, Verdict};
use crate::verification::State;
use crate::wave::WaveFailed;

/// The digits of a digest or a hash that are shown.
const DIGITS: usize = 12;

/// Where a release stands in an environment.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    /// Its plan is made and nothing is started.
    Gates {
        /// What each gate says; nothing before they were asked.
        reports: &'a [GateReport],
        /// Since when it stands there.
        since: Option<Timestamp>,
        /// That it does not come any more.
        closed: Option<&'a Closed>,
        /// Who must agree.
        approval: Option<&'a Approval>,
        /// Those of them who may not any more.
        removed: &'a [Name],
        /// When releases may come.
        windows: Option<&'a Windows>,
    },
    /// It waits for its turn.
    Queued {
        /// Since when.
        since: Timestamp,
    },
    /// It is at work.
    UnderWay {
        /// Since when.
        since: Option<Timestamp>,
        /// Whether people were shown before that it waits.
        has_waited: bool,
    },
    /// It is over.
    Ended {
        /// How.
        end: &'a End,
        /// When.
        at: Option<Timestamp>,
        /// Whether its release plans and asks once more.
        asks_again: bool,
    },
}

/// What a card is made from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The application.
    pub application: &'a str,
    /// The environment.
    pub environment: &'a str,
    /// The release.
    pub release_id: &'a str,
    /// The tag under which it was pushed or asked for.
    pub tag: &'a str,
    /// The digest of its image.
    pub digest: &'a str,
    /// Who asked for it; none for a push, which does not say who.
    pub requested_by: Option<&'a str>,
    /// Who pushed the image, as far as that says so.
    pub pushed_by: Option<&'a Name>,
    /// Why, in the words of who asked.
    pub reason: Option<&'a str>,
    /// Whether it goes back to an earlier release.
    pub is_rollback: bool,
    /// The people of the pipeline.
    pub people: &'a People,
    /// The hash of the plan; none where none was made.
    pub plan_hash: Option<&'a str>,
    /// What the plan changes.
    pub summary: Option<&'a Summary>,
    /// What the plan before it changed, which was void; none where this one is the first.
    pub earlier: Option<&'a Summary>,
    /// What was seen of it in the environments before this one, the nearest first; none where there is no environment
    /// before.
    pub upstream: Option<&'a [Upstream]>,
    /// Where it stands.
    pub standing: Standing<'a>,
    /// What was said about it, about this plan and others.
    pub votes: &'a [Vote],
    /// What is known about its verification.
    pub verification: Option<&'a State>,
    /// Why its image is in quarantine, where it is.
    pub quarantined: Option<&'a str>,
}

/// How it stands, at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Somebody is waited for.
    Waits,
    /// It is at work.
    Works,
    /// It ended well.
    Good,
    /// It ended with nothing moved, or moved back.
    Over,
    /// Somebody should look.
    Bad,
}

/// A part of a card with a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    title: String,
    lines: Vec<Line>,
}

impl Section {
    fn new(title: &str, lines: Vec<Line>) -> Self {
        let title = title.to_owned();
        Self { title, lines }
    }
}

/// Who hears of something that is told in the thread of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Whoever is named, and whoever follows the thread.
    Thread,
    /// Everybody in the channel as well.
    Channel,
}

/// Something that people are told of besides the card, because what is changed in a card tells nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Names it: what was told once is not told again.
    pub key: String,
    words: Line,
    audience: Audience,
}

/// What people are shown about a release in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    title: String,
    tone: Tone,
    status: Line,
    sections: Vec<Section>,
    asks: Vec<Ask>,
    context: Line,
    /// The command that shows what there was no room for.
    rest: String,
    alerts: Vec<Alert>,
}

impl Card {
    /// What people are told of besides.
    #[must_use]
    pub fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// How it stands.
    #[must_use]
    pub const fn tone(&self) -> Tone {
        self.tone
    }

    /// Whether it has buttons.
    #[must_use]
    pub fn asks(&self) -> bool {
        !self.asks.is_empty()
    }
}

/// The card that shows these facts.
#[must_use]
pub fn card(facts: &Facts<'_>) -> Card {
    let (tone, status) = status(facts);
    let audit = format!("esclusa audit --release {}", facts.release_id);
    let mut sections = vec![origin(facts)];
    if let Some((summary, earlier)) = facts.summary.zip(facts.earlier) {
        sections.push(Section::new("Different from the plan before", summary.since(earlier)));
    }
    sections.extend(facts.summary.map(says));
    sections.extend(seen_before(facts));
    if let Some(summary) = facts.summary {
        sections.extend(summary_sections(summary, &audit));
    }
    sections.push(gates(facts));
    sections.push(votes(facts));
    sections.push(verification(facts));
    sections.push(outcome(facts));
    sections.retain(|section| !section.lines.is_empty());
    let asks = asks(facts);
    Card {
        title: format!("{} {} → {}", facts.application, facts.tag, facts.environment),
        tone,
        status,
        sections,
        alerts: alerts(facts),
        asks,
        context: context(facts),
        rest: match facts.standing {
            Standing::Gates { closed: None, .. } => "esclusa approvals".to_owned(),
            Standing::Gates { .. } | Standing::Queued { .. } | Standing::UnderWay { .. } | Standing::Ended { .. } => {
                audit
            }
        },
    }
}

fn status(facts: &Facts<'_>) -> (Tone, Line) {
    match facts.standing {
        Standing::Gates {
            closed: Some(closed), ..
        } => (Tone::Over, closed_words(closed)),
        Standing::Gates { reports, since, .. } => {
            let waits: Vec<&str> = reports
                .iter()
                .filter(|report| !report.is_open)
                .map(|report| report.gate.as_str())
                .collect();
            let mut line = match waits.as_slice() {
                [] => Line::text("About to start"),
                waits => Line::text(format!("Waiting for: {}", waits.join(", "))),
            };
            if let Some(since) = since.filter(|_| !waits.is_empty()) {
                line.push(Part::text(", since "));
                line.push(Part::Time(since));
            }
            (Tone::Waits, line)
        }
        Standing::Queued { since } => {
            let line = Line::from([Part::text("Waiting its turn since "), Part::Time(since)]);
            (Tone::Waits, line)
        }
        Standing::UnderWay { since, .. } => {
            let is_verified = facts.verification.is_some_and(|state| state.end.is_none());
            let what = if is_verified {
                "In force, being verified"
            } else {
                "Being deployed"
            };
            let mut line = Line::text(what);
            if let Some(since) = since {
                line.push(Part::text(", since "));
                line.push(Part::Time(since));
            }
            (Tone::Works, line)
        }
        Standing::Ended {
            asks_again: true, end, ..
        } => {
            let first = end.reasons.first().map_or("the plan changed", String::as_str);
            (
                Tone::Waits,
                Line::text(format!(
                    "The plan changed; it is made again and needs a new decision: {first}"
                )),
            )
        }
        Standing::Ended { end, at, .. } => {
            let mut line = Line::text(verdict_words(end));
            if let Some(at) = at {
                line.push(Part::text(", "));
                line.push(Part::Time(at));
            }
            (verdict_tone(end), line)
        }
    }
}

fn closed_words(closed: &Closed) -> Line {
    match closed {
        Closed::Rejected { by } => Line::text(format!("Rejected by {by}")),
        Closed::Expired => Line::text("Expired: nobody answered in time"),
        Closed::NotReplicated { image, repository } => Line::from([
            Part::text("Expired: the image "),
            Part::code(image.as_str()),
            Part::text(" did not arrive in "),
            Part::code(repository.as_str()),
            Part::text(" in time"),
        ]),
        Closed::WaveFailed(WaveFailed { environment, verdict }) => Line::from([
            Part::text("Not deployed: "),
            Part::code(environment.as_str()),
            Part::text(format!(", in the same wave, ended {verdict}")),
        ]),
        Closed::Stopped { by, why } => Line::from([
            Part::text("Stopped by "),
            Part::code(by.as_str()),
            Part::text(format!(": {why}")),
        ]),
        Closed::Superseded { by } => {
            Line::from([Part::text("Superseded by the newer release "), Part::code(by.as_str())])
        }
    }
}

fn verdict_words(end: &End) -> &'static str {
    match end.verdict {
        Verdict::Succeeded => "Succeeded",
        Verdict::Unchanged => "Already in force: nothing was done",
        Verdict::RolledBack => "Rolled back",
        Verdict::Failed if end.effect.is_dirty() => "Failed; a person must look",
        Verdict::Failed => "Failed",
        Verdict::Superseded => "Superseded by a newer release",
        Verdict::Rejected => "Rejected",
        Verdict::Expired if end.reason == Reason::NotReplicated => "Expired: its image did not arrive in time",
        Verdict::Expired => "Expired: nobody answered in time",
        Verdict::Stopped if end.reason == Reason::GaveWay => "Gave way to a newer release while it soaked",
        Verdict::Stopped => "Stopped",
    }
}

fn verdict_tone(end: &End) -> Tone {
    match end.verdict {
        _ if end.effect.is_dirty() => Tone::Bad,
        Verdict::Succeeded | Verdict::Unchanged => Tone::Good,
        Verdict::RolledBack | Verdict::Failed => Tone::Bad,
        Verdict::Superseded | Verdict::Rejected | Verdict::Expired | Verdict::Stopped => Tone::Over,
    }
}

/// The name of a person where the pipeline knows them, else the principal.
fn who(people: &People, principal: &str) -> Part {
    let name = person_of(people, principal).map_or(principal, |name| name.as_str());
    Part::code(name)
}

fn quarantine_of_locks() -> Line {
    Line::from([
        Part::text("No deployments here until somebody has looked: "),
        Part::code("esclusa locks"),
    ])
}

fn quarantine_of_image(why: &str) -> Line {
    Line::from([
        Part::text(format!("The image is in quarantine: {why} (")),
        Part::code("esclusa quarantine"),
        Part::text(")"),
    ])
}

fn context(facts: &Facts<'_>) -> Line {
    let digest = facts.digest.strip_prefix("sha256:").unwrap_or(facts.digest);
    let mut line = Line::from([
        Part::text("release "),
        Part::code(facts.release_id),
        Part::text(" · digest "),
        Part::code(short(digest)),
    ]);
    if let Some(hash) = facts.plan_hash {
        line.push(Part::text(" · plan "));
        line.push(Part::code(short(hash)));
    }
    line
}

/// The first digits of a digest or a hash.
fn short(text: &str) -> String {
    text.chars().take(DIGITS).collect()
}

#[cfg(test)]
mod tests;
