//! `esclusa answer`: a person decides about a check that failed and asks.

use esclusa_adapters::decisions::{Answered, Reply};
use esclusa_core::pipeline::Choice;
use serde_json::{Value, json};

use super::{WHY, check_reason};
use crate::arguments::Answer;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

pub(super) async fn execute(command: &Answer, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Answer {
        release,
        environment,
        check,
        keep,
        reason,
        ..
    } = command;
    check_reason(reason, WHY)?;
    let choice = if *keep { Choice::Keep } else { Choice::Rollback };
    let answered = match session.console() {
        Some(console) => {
            let answer = json!({"release": release, "environment": environment, "check": check, "choice": choice, "reason": reason});
            console.post("/api/answers", &answer).await?
        }
        None => directly(command, choice, session).await?,
    };
    if output.format() == Format::Json {
        output.document(&json!({
            "deployment_id": answered.get("deployment_id"),
            "check": check,
            "answer": answered.get("answer"),
        }))?;
    } else {
        let what = match choice {
            Choice::Keep => "the release stays and keeps soaking without this check",
            Choice::Rollback => "the release goes back",
        };
        output.line(format_args!(
            "`{check}` is answered in `{}`: {what}; the next look acts on it (`esclusa status --release {release} --watch`)",
            answered.get("environment").and_then(Value::as_str).unwrap_or_default()
        ))?;
    }
    Ok(Exit::Success)
}

/// Writes the answer with the permissions of the caller. What the console would answer.
async fn directly(command: &Answer, choice: Choice, session: &Session) -> Result<Value, CommandError> {
    let principal = session.caller().await?.arn;
    let reply = Reply {
        release: &command.release,
        environment: command.environment.as_deref(),
        check: &command.check,
        asked_at: None,
        choice,
        principal: &principal,
        reason: &command.reason,
    };
    let answered = session.journal.answer(&reply, &[]).await?;
    let about = (reply.release, reply.environment);
    let Answered { answer, deployment } = session.heard(Some(about), &principal, answered).await?;
    Ok(json!({"answer": answer, "deployment_id": deployment.deployment_id, "environment": deployment.environment}))
}
