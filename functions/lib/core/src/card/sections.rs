//! The sections of a card: what the release is, what it changes, and what the gates, people and checks say.

use super::{Facts, Line, Part, Section, Standing, Summary, quarantine_of_image, quarantine_of_locks, who};
use crate::verification::Outcome;

pub(super) fn origin(facts: &Facts<'_>) -> Section {
    let mut lines = Vec::new();
    let what = if facts.is_rollback {
        "Goes back, asked for by "
    } else {
        "Asked for by "
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
    Section {
        title: "Release",
        lines,
    }
}

pub(super) fn summary_sections(summary: &Summary) -> [Section; 4] {
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
        changes.push(Line::text(format!("and {} more", summary.changes_left_out)));
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
    let back = summary.services.iter().map(|moved| {
        let mut line = Line::from([Part::code(moved.service.as_str())]);
        match (&moved.previous, moved.stays) {
            (_, true) => line.push(Part::text(" does not go back: the schema does not take what runs now")),
            (Some(previous), false) => {
                line.push(Part::text(" goes back to "));
                line.push(Part::code(previous.as_str()));
            }
            (None, false) => line.push(Part::text(" has nothing to go back to")),
        }
        line
    });
    let mut way_back: Vec<Line> = back.collect();
    if let Some(replaces) = &summary.replaces {
        way_back.insert(
            0,
            Line::from([Part::text("In force before: "), Part::code(replaces.as_str())]),
        );
    }
    [
        Section {
            title: "What changes",
            lines: changes,
        },
        Section {
            title: "Migrations",
            lines: migrations.collect(),
        },
        Section {
            title: "Way back",
            lines: way_back,
        },
        Section {
            title: "To know",
            lines: summary.notes.iter().map(Line::text).collect(),
        },
    ]
}

pub(super) fn gates(facts: &Facts<'_>) -> Section {
    let title = "Gates";
    let Standing::Gates {
        reports,
        since,
        closed: None,
        approval,
    } = facts.standing
    else {
        return Section {
            title,
            lines: Vec::new(),
        };
    };
    let has_windows = reports.iter().any(|report| report.gate == "window");
    let lines = reports.iter().map(|report| {
        let mark = if report.is_open { "✓" } else { "✗" };
        let mut line = Line::text(format!("{mark} {}: {}", report.gate, report.sentence));
        if let Some(until) = report.until {
            line.push(Part::text(", until "));
            line.push(Part::Time(until));
        }
        let hours = approval.and_then(|approval| approval.expires_open_hours);
        if let (Some(hours), Some(since), false) = (hours, since, report.is_open)
            && report.gate == "approval"
        {
            let limit = jiff::SignedDuration::from_hours(i64::from(hours));
            match since.saturating_add(limit) {
                Ok(at) if !has_windows => {
                    line.push(Part::text("; it expires "));
                    line.push(Part::Time(at));
                }
                _ => line.push(Part::text(format!(
                    "; it expires after {hours} hours in which the windows are open"
                ))),
            }
        }
        line
    });
    Section {
        title,
        lines: lines.collect(),
    }
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
    Section {
        title: "Votes",
        lines: lines.collect(),
    }
}

pub(super) fn verification(facts: &Facts<'_>) -> Section {
    let mut lines = Vec::new();
    if let Some(state) = facts.verification {
        if let Some(since) = state.healthy_since {
            lines.push(Line::from([
                Part::text("Healthy without a break since "),
                Part::Time(since),
            ]));
        }
        for (name, check) in &state.checks {
            let Some(last) = &check.last else { continue };
            let mark = match last.outcome {
                Outcome::Pass => "✓",
                Outcome::Fail => "✗",
                Outcome::Inconclusive | Outcome::Error => "?",
            };
            let mut line = Line::from([
                Part::text(format!("{mark} ")),
                Part::code(name.as_str()),
                Part::text(format!(": {}", last.sentence)),
            ]);
            if let Some(kept) = &check.kept {
                line.push(Part::text(format!("; kept: {kept}")));
            }
            lines.push(line);
        }
    }
    Section {
        title: "Verification",
        lines,
    }
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
    Section { title: "End", lines }
}
