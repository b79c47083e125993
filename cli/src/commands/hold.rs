//! `esclusa hold` and `esclusa release-hold`: a release comes no further for now.

use esclusa_adapters::control::rows::{Progress, ReleaseRow};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_core::gate::{Lifted, Order};
use esclusa_core::ledger::{Body, Draft, RecordKind};
use serde_json::{Value, json};

use super::order::{how_long, order, write};
use super::{WHY, check_reason};
use crate::arguments::{Hold, ReleaseHold};
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

/// What is said when somebody else was faster.
const MEANWHILE: &str = "the hold of the release changed at this moment";

pub(super) async fn hold(command: &Hold, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Hold { release, reason, until } = command;
    check_reason(reason, WHY)?;
    let row = on_its_way(release, session).await?;
    let key = Key::hold(release);
    let stored: Option<Stored<Order>> = session.control().get(&key).await?;
    let now = session.now()?;
    if let Some(held) = stored.as_ref().map(|stored| &stored.row).filter(|held| held.holds(now)) {
        return Err(CommandError::refused(format!(
            "release `{release}` is held by `{}` already: {}",
            held.by, held.reason
        )));
    }
    let by = session.caller().await?.arn;
    let held = order(&by, reason.trim(), now, until.as_deref())?;
    let draft = decided(
        &row,
        &by,
        &json!({"decision": "hold", "tag": row.tag, "reason": held.reason, "until": held.until}),
    )?;
    let change = Change::put(key, &held, Expected::unchanged(stored.as_ref()))?;
    write(session, &row.application, change, draft, MEANWHILE).await?;
    if output.format() == Format::Json {
        output.document(&json!({"hold": held}))?;
    } else {
        output.line(format_args!(
            "`{}` is held {}: it comes into no further environment; a deployment that has its locks goes on (`esclusa stop {release}` stops it)",
            row.tag,
            how_long(&held)
        ))?;
    }
    Ok(Exit::Success)
}

pub(super) async fn release_hold(
    command: &ReleaseHold,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let ReleaseHold { release, reason } = command;
    check_reason(reason, WHY)?;
    let row = session.journal.release(release).await?.row;
    let key = Key::hold(release);
    let stored: Option<Stored<Order>> = session.control().get(&key).await?;
    let now = session.now()?;
    let Some(stored) = stored.filter(|stored| stored.row.holds(now)) else {
        return Err(CommandError::refused(format!("release `{release}` is not held")));
    };
    let by = session.caller().await?.arn;
    let draft = decided(
        &row,
        &by,
        &json!({"decision": "release_hold", "tag": row.tag, "reason": reason, "since": stored.row.since}),
    )?;
    let lifted = stored.row.lifted(Lifted {
        by,
        reason: reason.trim().to_owned(),
        at: now,
    });
    let change = Change::put(key, &lifted, Expected::Revision(stored.revision))?;
    write(session, &row.application, change, draft, MEANWHILE).await?;
    if output.format() == Format::Json {
        output.document(&json!({"hold": lifted}))?;
    } else {
        output.line(format_args!(
            "`{}` is held no more; its gates are asked again within two minutes (`esclusa status --release {release} --watch`)",
            row.tag
        ))?;
    }
    Ok(Exit::Success)
}

/// A release that has not ended.
pub(super) async fn on_its_way(release_id: &str, session: &Session) -> Result<ReleaseRow, CommandError> {
    let row = session.journal.release(release_id).await?.row;
    match (&row.end, row.progress) {
        (Some(end), _) => Err(CommandError::refused(format!(
            "release `{release_id}` has ended: {}",
            end.verdict.as_str()
        ))),
        (None, Progress::Ended) => Err(CommandError::refused(format!("release `{release_id}` has ended"))),
        (None, Progress::Claimed | Progress::Started) => Ok(row),
    }
}

/// The record of a decision about a release.
pub(super) fn decided(release: &ReleaseRow, by: &str, body: &Value) -> Result<Draft, CommandError> {
    Ok(Draft {
        application: Some(release.application.clone()),
        digest: Some(release.digest.clone()),
        release_id: Some(release.release_id.clone()),
        ..Draft::new(RecordKind::PersonDecided, by, Body::new(body)?)
    })
}
