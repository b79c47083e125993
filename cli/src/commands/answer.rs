//! `esclusa answer`: a person decides about a check that failed and asks.

use esclusa_adapters::decisions::{Answered, Reply};
use esclusa_core::pipeline::Choice;
use serde_json::json;

use super::{WHY, check_reason};
use crate::arguments::Answer;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

pub(super) async fn execute(command: &Answer, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Answer {
        release,
        check,
        keep,
        reason,
        ..
    } = command;
    check_reason(reason, WHY)?;
    let principal = session.caller().await?.arn;
    let reply = Reply {
        release,
        environment: None,
        check,
        asked_at: None,
        choice: if *keep { Choice::Keep } else { Choice::Rollback },
        principal: &principal,
        reason,
    };
    let Answered { answer, deployment } = session
        .journal
        .answer(&reply, &[])
        .await?
        .map_err(|refusal| CommandError::refused(refusal.to_string()))?;
    if output.format() == Format::Json {
        output.document(&json!({"deployment_id": deployment.deployment_id, "check": check, "answer": answer}))?;
    } else {
        let what = match answer.choice {
            Choice::Keep => "the release stays, and soaks on without this check",
            Choice::Rollback => "the release goes back",
        };
        output.line(format_args!(
            "`{check}` is answered: {what}; the next look takes it up (`esclusa status --release {release} --watch`)"
        ))?;
    }
    Ok(Exit::Success)
}
