//! `esclusa pin` and `esclusa unpin`: an environment keeps the version that it runs.

use esclusa_adapters::decisions::Wish;
use serde_json::Value;

use super::order::{self, how_long, until};
use super::{WHY, check_reason, parse};
use crate::arguments::{Pin, Unpin};
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn pin(command: &Pin, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Pin {
        application,
        environment,
        reason,
        until: end,
    } = command;
    let wish = Wish::Pin {
        application: parse(application)?,
        environment: parse(environment)?,
        reason: reason.clone(),
        until: until(end.as_deref(), session)?,
    };
    check_reason(reason, WHY)?;
    order::give(&wish, session, output, |told| {
        let tag = told.pointer("/pin/tag").and_then(Value::as_str).unwrap_or_default();
        let how_long = how_long(told, "pin");
        format!("`{application}/{environment}` keeps `{tag}` {how_long}; rollbacks still pass")
    })
    .await
}

pub(super) async fn unpin(command: &Unpin, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Unpin {
        application,
        environment,
        reason,
    } = command;
    check_reason(reason, WHY)?;
    let wish = Wish::Unpin {
        application: parse(application)?,
        environment: parse(environment)?,
        reason: reason.clone(),
    };
    order::give(&wish, session, output, |_| {
        format!("`{application}/{environment}` is no longer pinned")
    })
    .await
}
