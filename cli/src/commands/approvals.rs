//! `esclusa approvals`: the releases that wait at a gate.

use esclusa_adapters::control::rows::{DeploymentRow, GatesRow, Progress, ReleasePointerRow, ReleaseRow};
use esclusa_adapters::control::{Key, Stored};
use esclusa_core::error::Failure;
use esclusa_core::gate::GateReport;
use serde::Serialize;
use serde_json::json;

use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::table::Columns;
use crate::render::words;
use crate::session::Session;

/// A release before an environment.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Waiting {
    pub(super) release: ReleaseRow,
    pub(super) deployment: DeploymentRow,
    pub(super) gates: GatesRow,
}

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
        waiting.extend(of(&pointer.row.release_id, session).await?);
    }
    waiting.sort_by_key(|waits| waits.gates.since);
    Ok(waiting)
}

/// Where a release waits at a gate, if it does.
pub(super) async fn of(release_id: &str, session: &Session) -> Result<Option<Waiting>, Failure> {
    let release = session.journal.release(release_id).await?.row;
    for environment in &release.environments {
        let last = session.journal.last_deployment(release_id, environment).await?;
        let Some(deployment) = last.map(|stored| stored.row) else {
            continue;
        };
        if deployment.progress != Progress::Claimed || deployment.execution_arn.is_some() {
            continue;
        }
        let key = Key::gates(&deployment.deployment_id);
        let gates: Option<Stored<GatesRow>> = session.control().get(&key).await?;
        if let Some(gates) = gates.map(|stored| stored.row).filter(|gates| gates.closed.is_none()) {
            return Ok(Some(Waiting {
                release,
                deployment,
                gates,
            }));
        }
    }
    Ok(None)
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
