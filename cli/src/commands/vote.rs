//! `esclusa approve` and `esclusa reject`: a person agrees with a plan, or says no to it.

use esclusa_adapters::decisions::{Voice, Voted};
use serde_json::{Value, json};

use super::{WHY, check_reason};
use crate::arguments::{Approval, Rejection};
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::words;
use crate::session::Session;

/// What a person says about a release at a gate.
#[derive(Debug)]
struct Vote<'a> {
    release: &'a str,
    environment: Option<&'a str>,
    plan: Option<&'a str>,
    approves: bool,
    reason: Option<&'a str>,
}

pub(super) async fn approve(command: &Approval, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let vote = Vote {
        release: &command.release,
        environment: command.environment.as_deref(),
        plan: command.plan.as_deref(),
        approves: true,
        reason: command.reason.as_deref(),
    };
    execute(&vote, session, output).await
}

pub(super) async fn reject(command: &Rejection, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    check_reason(&command.reason, WHY)?;
    let vote = Vote {
        release: &command.release,
        environment: command.environment.as_deref(),
        plan: command.plan.as_deref(),
        approves: false,
        reason: Some(&command.reason),
    };
    execute(&vote, session, output).await
}

async fn execute(vote: &Vote<'_>, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Vote {
        release,
        environment,
        plan,
        approves,
        reason,
    } = vote;
    let mut voted = match session.console() {
        Some(console) => {
            let vote = json!({"release": release, "environment": environment, "plan": plan, "approves": approves, "reason": reason});
            console.post("/api/votes", &vote).await?
        }
        None => directly(vote, session).await?,
    };
    let text = |pointer: &str| voted.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if output.format() == Format::Json {
        if let Some(members) = voted.as_object_mut() {
            members.remove("tag");
        }
        output.document(&voted)?;
    } else {
        let what = if *approves { "approved" } else { "rejected" };
        output.line(format_args!(
            "`{}` is {what} for `{}` by `{}`, with plan {}; the gate is checked again within two minutes (`esclusa status --release {release} --watch`)",
            text("/tag"),
            text("/environment"),
            text("/person"),
            words::hash(text("/vote/plan_hash"))
        ))?;
    }
    Ok(Exit::Success)
}

/// Writes the vote with the permissions of the caller. What the console would answer.
async fn directly(vote: &Vote<'_>, session: &Session) -> Result<Value, CommandError> {
    let principal = session.caller().await?.arn;
    let voice = Voice {
        release: vote.release,
        environment: vote.environment,
        plan: vote.plan,
        principal: &principal,
        approves: vote.approves,
        reason: vote.reason,
    };
    let voted = session.journal.vote(&voice, &[]).await?;
    let about = (vote.release, vote.environment);
    let Voted { person, vote, waiting } = session.heard(Some(about), &principal, voted).await?;
    Ok(json!({
        "vote": vote,
        "person": person,
        "environment": waiting.deployment.environment,
        "tag": waiting.release.tag,
    }))
}
