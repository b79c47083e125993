//! `esclusa approvals`: the releases that wait at a gate.

use esclusa_adapters::control::rows::ReleasePointerRow;
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::decisions::Waiting;
use esclusa_core::error::Failure;
use esclusa_core::gate::GateReport;
use serde_json::json;

use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::table::Columns;
use crate::render::words;
use crate::session::Session;

pub(super) async fn execute(session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let waiting = all(session).await?;
    if output.format() == Format::Json {
        let waiting: Vec<_> = waiting
            .iter()
            .map(|waits| {
                json!({
                    "release_id": waits.release.release_id,
                    "application": waits.release.application,
                    "environment": waits.deployment.environment,
                    "tag": waits.release.tag,
                    "plan_hash": waits.deployment.plan_hash,
                    "since": waits.gates.since,
                    "gates": waits.gates.reports,
                })
            })
            .collect();
        output.document(&json!({"waiting": waiting}))?;
    } else if waiting.is_empty() {
        output.line("nothing waits at a gate")?;
    } else {
        output.text(table(&waiting, output.width()))?;
    }
    Ok(Exit::Success)
}

/// The releases that wait at a gate, the oldest first.
pub(super) async fn all(session: &Session) -> Result<Vec<Waiting>, Failure> {
    let open: Vec<(String, Stored<ReleasePointerRow>)> = session.control().list(Key::OPEN_RELEASES, "").await?;
    let mut waiting = Vec::new();
    for (_, pointer) in open {
        waiting.extend(session.journal.waiting(&pointer.row.release_id).await?);
    }
    waiting.sort_by_key(|waits| waits.gates.since);
    Ok(waiting)
}

/// What a gate says, in words.
pub(super) fn told(report: &GateReport) -> String {
    let until = report.until.map(|until| format!(" (until {})", words::time(until)));
    let is_open = if report.is_open { "open, " } else { "" };
    format!(
        "{}: {is_open}{}{}",
        report.gate,
        report.sentence,
        until.unwrap_or_default()
    )
}

fn table(waiting: &[Waiting], width: Option<u16>) -> String {
    let mut table = Columns::new(&["release", "tag", "waits for", "since", "gates"], width);
    for waits in waiting {
        let gates: Vec<String> = waits.gates.reports.iter().map(told).collect();
        table.row([
            waits.release.release_id.clone(),
            waits.release.tag.clone(),
            format!("{}/{}", waits.release.application, waits.deployment.environment),
            words::time(waits.gates.since),
            gates.join("; "),
        ]);
    }
    table.to_string()
}
