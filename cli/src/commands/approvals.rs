//! `esclusa approvals`: the releases that wait at a gate, with what somebody should know who decides about them.

use esclusa_adapters::cards::{Known, expires};
use esclusa_adapters::control::rows::ReleasePointerRow;
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::decisions::Waiting;
use esclusa_adapters::planning::pipeline_version;
use esclusa_core::card::Card;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::pipeline::resolve;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::table::Columns;
use crate::render::words;
use crate::session::Session;

pub(super) async fn execute(session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let waiting = all(session).await?;
    let mut shown = Vec::new();
    for waits in &waiting {
        shown.push(evidence(waits, session).await?);
    }
    if output.format() == Format::Json {
        let documents = waiting
            .iter()
            .zip(&shown)
            .map(|(waits, shown)| document(waits, shown.as_ref()));
        output.document(&json!({"waiting": documents.collect::<Vec<_>>()}))?;
    } else if waiting.is_empty() {
        output.line("nothing is waiting at a gate")?;
    } else {
        output.text(table(&waiting, output.width()))?;
        for card in shown.iter().flatten().filter_map(|shown| shown.card.as_ref()) {
            output.line(format_args!("\n{}", card.to_text()))?;
        }
    }
    Ok(Exit::Success)
}

/// What is known about a release that waits.
struct Evidence {
    known: Known,
    card: Option<Card>,
    expires_at: Option<Timestamp>,
}

/// Reads it; none where the pipeline that it began with is none for this version of esclusa any more.
async fn evidence(waits: &Waiting, session: &Session) -> Result<Option<Evidence>, Failure> {
    let Waiting {
        release,
        deployment,
        gates,
    } = waits;
    let control = session.control();
    let pipeline = match pipeline_version(control, &release.application, release.pipeline_version).await {
        Ok((_, pipeline)) => pipeline,
        Err(failure) if failure.kind == ErrorKind::Refused => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let environment = resolve(&pipeline, &deployment.environment).ok();
    let known = Known::read(
        control,
        release,
        &pipeline,
        &deployment.environment,
        Some(deployment.clone()),
    )
    .await?;
    let card = environment
        .as_ref()
        .and_then(|environment| known.card(release, environment));
    Ok(Some(Evidence {
        card,
        expires_at: expires(gates, environment.as_ref()),
        known,
    }))
}

fn document(waits: &Waiting, shown: Option<&Evidence>) -> Value {
    json!({
        "release_id": waits.release.release_id,
        "application": waits.release.application,
        "environment": waits.deployment.environment,
        "tag": waits.release.tag,
        "plan_hash": waits.deployment.plan_hash,
        "since": waits.gates.since,
        "gates": waits.gates.reports,
        "expires_at": shown.and_then(|shown| shown.expires_at),
        "summary": shown.and_then(|shown| shown.known.summary()),
        "seen_before": shown.and_then(|shown| shown.known.upstream()),
        "votes": shown.map(|shown| shown.known.votes()),
    })
}

/// The releases that wait at a gate, the oldest first.
pub(super) async fn all(session: &Session) -> Result<Vec<Waiting>, Failure> {
    let open: Vec<(String, Stored<ReleasePointerRow>)> = session.control().all(Key::OPEN_RELEASES, "").await?;
    let mut waiting = Vec::new();
    for (_, pointer) in open {
        waiting.extend(session.journal.waiting(&pointer.row.release_id).await?);
    }
    waiting.sort_by_key(|waits| waits.gates.since);
    Ok(waiting)
}

fn table(waiting: &[Waiting], width: Option<u16>) -> String {
    let mut table = Columns::new(&["release", "tag", "waits for", "since", "gates"], width);
    for waits in waiting {
        let gates: Vec<String> = waits.gates.reports.iter().map(words::gate).collect();
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
