//! The sections of a card: what the release is, what it changes, and what the gates, people and checks say.

use super::{
    Facts, Line, Moved, Part, Section, Standing, Summary, approval_expires, quarantine_of_image, quarantine_of_locks,
    who,
};
use crate::span::span;
use crate::verification::{CheckState, Outcome};

pub(super) fn origin(facts: &Facts<'_>) -> Section {
    let mut lines = Vec::new();
    let what = if facts.is_rollback {
        "Rollback requested by "
    } else {
        "Requested by "
    };
    if let Some(principal) = facts.requested_by {
        let mut line = Line::from([Part::text(what), who(facts.people, principal)]);
        if let Some(reason) = facts.reason {
            line.push(Part::text(format!(": {reason}")));
        }
        lines.push(line);
    }
    let declared = facts.summary.map(|summary| &summary.declared);
    let declared = declared.into_iter().flat_map(|declared| {
        [
            ("Version ", declared.version.as_ref().map(ToString::to_string)),
            ("Commit ", declared.commit.clone()),
            ("Migration ", declared.migration.clone()),
        ]
    });
    for (label, value) in declared {
        lines.extend(value.map(|value| Line::from([Part::text(label), Part::code(value)])));
    }
    Section::new("Release", lines)
}

/// What else the image says of itself.
pub(super) fn says(summary: &Summary) -> Section {
    let declared = &summary.declared;
    let labels = declared
        .labels
        .iter()
        .map(|(name, text)| Line::from([Part::code(name.as_str()), Part::text(" "), Part::code(text.as_str())]));
    let left_out = (declared.labels_left_out > 0).then(|| {
        Line::from([
            Part::text(format!("and {} more: ", declared.labels_left_out)),
            Part::code("docker buildx imagetools inspect"),
            Part::text(" shows all"),
        ])
    });
    Section::new("The image says", labels.chain(left_out).collect())
}

impl Moved {
    /// What it goes back to.
    pub(super) fn way_back(&self) -> Line {
        let mut line = Line::from([Part::code(self.service.as_str())]);
        line.extend(self.way_back_words());
        line
    }

    pub(super) fn way_back_words(&self) -> Line {
        match (&self.previous, self.stays) {
            (_, true) => Line::text(" does not go back: the schema does not accept what runs now"),
            (Some(previous), false) => Line::from([Part::text(" goes back to "), Part::code(previous.as_str())]),
            (None, false) => Line::text(" has nothing to go back to"),
        }
    }
}

/// What the plan changes; `audit` is the command that shows all of it.
pub(super) fn summary_sections(summary: &Summary, audit: &str) -> [Section; 4] {
    let mut changes: Vec<Line> = summary
        .changes
        .iter()
        .map(|change| {
            Line::from([
                Part::code(change.family.as_str()),
                Part::text(format!(" {}: ", change.what())),
                Part::code(change.path.as_str()),
            ])
        })
        .collect();
    if summary.changes_left_out > 0 {
        changes.push(Line::from([
            Part::text(format!("and {} more: ", summary.changes_left_out)),
            Part::code(audit),
            Part::text(" shows all"),
        ]));
    }
    let migrations = summary.migrations.iter().map(|migration| {
        let on = migration.database.as_ref();
        let mut line = Line::from([Part::code(migration.task.as_str())]);
        if let Some(database) = on {
            line.push(Part::text(" on "));
            line.push(Part::code(database.as_str()));
        }
        line.push(Part::text(format!(": {}", migration.undo.words())));
        line
    });
    let mut way_back: Vec<Line> = summary.services.iter().map(Moved::way_back).collect();
    if let Some(replaces) = &summary.replaces {
        way_back.insert(
            0,
            Line::from([Part::text("In force before: "), Part::code(replaces.as_str())]),
        );
    }
    [
        Section::new("What changes", changes),
        Section::new("Migrations", migrations.collect()),
        Section::new("Way back", way_back),
        Section::new("To know", summary.notes.iter().map(Line::text).collect()),
    ]
}

pub(super) fn gates(facts: &Facts<'_>) -> Section {
    let title = "Gates";
    let Standing::Gates {
        reports,
        since,
        closed: None,
        approval,
        windows,
        ..
    } = facts.standing
    else {
        return Section::new(title, Vec::new());
    };
    let lines = reports.iter().map(|report| {
        let mark = if report.is_open { "✓" } else { "✗" };
        let mut line = Line::text(format!("{mark} {}: {}", report.gate, report.sentence));
        if let Some(until) = report.until {
            line.push(Part::text(", until "));
            line.push(Part::Time(until));
        }
        let hours = approval.and_then(|approval| approval.expires_open_hours);
        let asked = match report.gate.as_str() {
            "approval" => Some("the time to agree"),
            "acknowledgements" => Some("the time for that"),
            _ => None,
        };
        if let (Some(hours), Some(since), Some(time), false) = (hours, since, asked, report.is_open) {
            let expires = approval.and_then(|approval| approval_expires(reports, since, approval, windows));
            match expires {
                Some(at) => {
                    line.push(Part::text(format!("; {time} ends ")));
                    line.push(Part::Time(at));
                }
                None => line.push(Part::text(format!("; {time} ends after {hours} open hours"))),
            }
        }
        line
    });
    Section::new(title, lines.collect())
}

pub(super) fn votes(facts: &Facts<'_>) -> Section {
    let lines = facts.votes.iter().map(|vote| {
        let what = if vote.approves { " approved " } else { " rejected " };
        let mut line = Line::from([
            who(facts.people, &vote.principal),
            Part::text(what),
            Part::Time(vote.at),
        ]);
        if facts.plan_hash != Some(vote.plan_hash.as_str()) {
            line.push(Part::text(", about an earlier plan"));
        }
        if let Some(reason) = &vote.reason {
            line.push(Part::text(format!(": {reason}")));
        }
        line
    });
    Section::new("Votes", lines.collect())
}

/// Whether it is told how often a check was measured. While it goes on that is another number with every look, and no
/// card changes for that alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    Shown,
    Hidden,
}

/// What a check showed last, with its numbers; none while it was not measured.
pub(super) fn check(name: &str, state: &CheckState, counts: Counts) -> Option<Line> {
    let last = state.last.as_ref()?;
    let mark = match last.outcome {
        Outcome::Pass => "✓",
        Outcome::Fail => "✗",
        Outcome::Inconclusive | Outcome::Error => "?",
    };
    let mut line = Line::from([
        Part::text(format!("{mark} ")),
        Part::code(name),
        Part::text(format!(": {}", last.sentence)),
    ]);
    if counts == Counts::Shown {
        let failed = (state.failures > 0).then(|| format!(", failed {}", state.failures));
        line.push(Part::text(format!(
            " (passed {}{})",
            state.passes,
            failed.unwrap_or_default()
        )));
    }
    if let Some(kept) = &state.kept {
        line.push(Part::text(format!("; kept: {kept}")));
    }
    Some(line)
}

pub(super) fn verification(facts: &Facts<'_>) -> Section {
    let mut lines = Vec::new();
    if let Some(state) = facts.verification {
        if let Some(since) = state.healthy_since {
            let mut line = Line::from([Part::text("Healthy without interruption since "), Part::Time(since)]);
            if let Some(asked) = state.soak().asked {
                line.push(Part::text(format!(", {} required", span(asked))));
            }
            lines.push(line);
        }
        let counts = match state.end {
            Some(_) => Counts::Shown,
            None => Counts::Hidden,
        };
        lines.extend(
            state
                .checks
                .iter()
                .filter_map(|(name, state)| check(name, state, counts)),
        );
    }
    Section::new("Verification", lines)
}

pub(super) fn outcome(facts: &Facts<'_>) -> Section {
    let mut lines = Vec::new();
    if let Standing::Ended {
        end, asks_again: false, ..
    } = facts.standing
    {
        lines.extend(end.reasons.iter().map(Line::text));
        if end.effect.is_dirty() {
            lines.push(quarantine_of_locks());
        }
    }
    if let Some(why) = facts.quarantined {
        lines.push(quarantine_of_image(why));
    }
    Section::new("End", lines)
}
