//! `esclusa stop`: nothing more of a release is begun, and what it has moved goes back.

use esclusa_adapters::control::{Change, Expected, Key};
use esclusa_core::gate::Stop as Order;
use serde_json::json;

use super::hold::{decided, on_its_way};
use super::order::write;
use super::{WHY, check_reason};
use crate::arguments::Stop;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

pub(super) async fn execute(command: &Stop, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Stop { release, reason } = command;
    check_reason(reason, WHY)?;
    let row = on_its_way(release, session).await?;
    let by = session.caller().await?.arn;
    let stop = Order {
        by: by.clone(),
        reason: reason.trim().to_owned(),
        at: session.now()?,
    };
    let draft = decided(
        &row,
        &by,
        &json!({"decision": "stop", "tag": row.tag, "reason": stop.reason}),
    )?;
    let change = Change::put(Key::stop(release), &stop, Expected::Absent)?;
    write(
        session,
        &row.application,
        change,
        draft,
        "the release is stopped already",
    )
    .await?;
    if output.format() == Format::Json {
        output.document(&json!({"stop": stop}))?;
    } else {
        output.line(format_args!(
            "`{}` stops: nothing more of it is begun, a task that runs is let run to its end, and services that it has moved go back (`esclusa status --release {release} --watch`)",
            row.tag
        ))?;
    }
    Ok(Exit::Success)
}
