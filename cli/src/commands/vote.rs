//! `esclusa approve` and `esclusa reject`: a person agrees with a plan, or says no to it.

use esclusa_adapters::decisions::{Voice, Voted};
use serde_json::{Value, json};

use crate::arguments::Vote;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

pub(super) async fn execute(
    command: &Vote,
    approves: bool,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let Vote {
        release,
        environment,
        reason,
    } = command;
    if !approves && reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(CommandError::InvalidInput("say why with `--reason`".to_owned()));
    }
    let mut voted = match session.console() {
        Some(console) => {
            let vote = json!({"release": release, "environment": environment, "approves": approves, "reason": reason});
            console.post("/api/votes", &vote).await?
        }
        None => directly(command, approves, session).await?,
    };
    let text = |member: &str| voted.get(member).and_then(Value::as_str).unwrap_or_default();
    if output.format() == Format::Json {
        if let Some(members) = voted.as_object_mut() {
            members.remove("tag");
        }
        output.document(&voted)?;
    } else {
        let what = if approves { "approved" } else { "rejected" };
        output.line(format_args!(
            "`{}` is {what} for `{}` by `{}`; the gate is asked again within two minutes (`esclusa status --release {release} --watch`)",
            text("tag"),
            text("environment"),
            text("person")
        ))?;
    }
    Ok(Exit::Success)
}

/// Writes the vote with the permissions of the caller. What the console would answer.
async fn directly(command: &Vote, approves: bool, session: &Session) -> Result<Value, CommandError> {
    let principal = session.caller().await?.arn;
    let voice = Voice {
        release: &command.release,
        environment: command.environment.as_deref(),
        plan: None,
        principal: &principal,
        approves,
        reason: command.reason.as_deref(),
    };
    let voted = session.journal.vote(&voice, &[]).await?;
    let Voted { person, vote, waiting } = voted.map_err(|refusal| CommandError::refused(refusal.to_string()))?;
    Ok(json!({
        "vote": vote,
        "person": person,
        "environment": waiting.deployment.environment,
        "tag": waiting.release.tag,
    }))
}
