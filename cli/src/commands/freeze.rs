//! `esclusa freeze` and `esclusa unfreeze`: nothing comes into a place for a while.

use esclusa_adapters::decisions::Wish;
use serde_json::Value;

use super::order::{self, how_long, until};
use super::{WHY, check_reason, parse};
use crate::arguments::{Freeze, Unfreeze};
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::render::words;
use crate::session::Session;

pub(super) async fn freeze(command: &Freeze, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    check_reason(&command.reason, WHY)?;
    let wish = Wish::Freeze {
        application: command.application.as_deref().map(parse).transpose()?,
        environment: command.environment.as_deref().map(parse).transpose()?,
        reason: command.reason.clone(),
        until: until(command.until.as_deref(), session)?,
        stop: command.stop,
    };
    order::give(&wish, session, output, |told| {
        let stopped = told.get("stopped").and_then(Value::as_array);
        let stopped = stopped.map(|releases| format!("; {} stopped", words::count(releases.len(), "release")));
        format!(
            "{} is frozen {}; rollbacks still pass{}",
            place(told),
            how_long(told, "freeze"),
            stopped.unwrap_or_default()
        )
    })
    .await
}

pub(super) async fn unfreeze(command: &Unfreeze, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    check_reason(&command.reason, WHY)?;
    let wish = Wish::Unfreeze {
        application: command.application.as_deref().map(parse).transpose()?,
        environment: command.environment.as_deref().map(parse).transpose()?,
        reason: command.reason.clone(),
    };
    order::give(&wish, session, output, |told| {
        format!("{} is no longer frozen", place(told))
    })
    .await
}

/// What is frozen, for people.
fn place(told: &Value) -> &str {
    told.get("place").and_then(Value::as_str).unwrap_or_default()
}
