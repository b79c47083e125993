//! `esclusa pin` and `esclusa unpin`: an environment keeps the version that it runs.

use esclusa_adapters::control::rows::EnvironmentRow;
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_core::gate;
use esclusa_core::ledger::{Body, Draft, RecordKind};
use esclusa_core::pipeline::{ApplicationName, EnvironmentName};
use serde_json::{Value, json};

use super::order::{how_long, order, write};
use super::{WHY, check_reason, parse};
use crate::arguments::{Pin, Unpin};
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

/// What is said when somebody else was faster.
const MEANWHILE: &str = "the pin of the environment changed at this moment";

pub(super) async fn pin(command: &Pin, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Pin {
        application,
        environment,
        reason,
        until,
    } = command;
    parse::<ApplicationName>(application)?;
    parse::<EnvironmentName>(environment)?;
    check_reason(reason, WHY)?;
    let place = format!("{application}/{environment}");
    let current: Option<Stored<EnvironmentRow>> = session
        .control()
        .get(&Key::environment(application, environment))
        .await?;
    let Some(EnvironmentRow { digests, tag, .. }) = current.map(|stored| stored.row) else {
        return Err(CommandError::refused(format!(
            "nothing of ours runs in `{place}` that it could keep: see `esclusa status {application}`"
        )));
    };
    let key = Key::pin(application, environment);
    let stored: Option<Stored<gate::Pin>> = session.control().get(&key).await?;
    let by = session.caller().await?.arn;
    let pin = gate::Pin {
        order: order(&by, reason.trim(), session.now()?, until.as_deref())?,
        digests,
        tag,
    };
    let body = json!({"decision": "pin", "place": format!("`{place}`"), "tag": pin.tag, "digests": pin.digests, "reason": pin.order.reason, "until": pin.order.until});
    let draft = decided(application, environment, &by, &body)?;
    let change = Change::put(key, &pin, Expected::unchanged(stored.as_ref()))?;
    write(session, application, change, draft, MEANWHILE).await?;
    if output.format() == Format::Json {
        output.document(&json!({"pin": pin}))?;
    } else {
        output.line(format_args!(
            "`{place}` keeps `{}` {}; rollbacks are let through",
            pin.tag,
            how_long(&pin.order)
        ))?;
    }
    Ok(Exit::Success)
}

pub(super) async fn unpin(command: &Unpin, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Unpin {
        application,
        environment,
        reason,
    } = command;
    check_reason(reason, WHY)?;
    let place = format!("{application}/{environment}");
    let key = Key::pin(application, environment);
    let stored: Option<Stored<gate::Pin>> = session.control().get(&key).await?;
    let now = session.now()?;
    let Some(stored) = stored.filter(|stored| stored.row.order.holds(now)) else {
        return Err(CommandError::refused(format!("`{place}` is pinned to nothing")));
    };
    let by = session.caller().await?.arn;
    let body = json!({"decision": "unpin", "place": format!("`{place}`"), "tag": stored.row.tag, "reason": reason});
    let draft = decided(application, environment, &by, &body)?;
    let pin = gate::Pin {
        order: stored.row.order.clone().lifted(gate::Lifted {
            by,
            reason: reason.trim().to_owned(),
            at: now,
        }),
        ..stored.row
    };
    let change = Change::put(key, &pin, Expected::Revision(stored.revision))?;
    write(session, application, change, draft, MEANWHILE).await?;
    if output.format() == Format::Json {
        output.document(&json!({"pin": pin}))?;
    } else {
        output.line(format_args!("`{place}` is pinned no more"))?;
    }
    Ok(Exit::Success)
}

fn decided(application: &str, environment: &str, by: &str, body: &Value) -> Result<Draft, CommandError> {
    Ok(Draft {
        application: Some(application.to_owned()),
        environment: Some(environment.to_owned()),
        ..Draft::new(RecordKind::PersonDecided, by, Body::new(body)?)
    })
}
