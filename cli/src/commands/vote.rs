//! `esclusa approve` and `esclusa reject`: a person agrees with a plan, or says no to it.

use esclusa_adapters::decisions::{Voice, Voted};
use serde_json::json;

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
    let Vote { release, reason } = command;
    if !approves && reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(CommandError::InvalidInput("say why with `--reason`".to_owned()));
    }
    let principal = session.caller().await?.arn;
    let voice = Voice {
        release,
        environment: None,
        plan: None,
        principal: &principal,
        approves,
        reason: reason.as_deref(),
    };
    let Voted { person, vote, waiting } = session
        .journal
        .vote(&voice, &[])
        .await?
        .map_err(|refusal| CommandError::refused(refusal.to_string()))?;
    let environment = &waiting.deployment.environment;
    if output.format() == Format::Json {
        output.document(&json!({"vote": vote, "person": person, "environment": environment}))?;
    } else {
        let what = if approves { "approved" } else { "rejected" };
        output.line(format_args!(
            "`{}` is {what} for `{environment}` by `{person}`; the gate is asked again within two minutes (`esclusa status --release {release} --watch`)",
            waiting.release.tag
        ))?;
    }
    Ok(Exit::Success)
}
