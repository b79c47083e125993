//! `esclusa answer`: a person decides about a check that failed and asks.

use esclusa_adapters::control::rows::{DeploymentRow, Progress};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::pipeline::Choice;
use esclusa_core::verification::{self, Question};
use serde_json::json;

use super::{WHY, check_reason};
use crate::arguments::Answer;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::words;
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
    let (deployment, question) = asked(release, check, session).await?;
    let now = session.now()?;
    if now >= question.until {
        return Err(CommandError::refused(format!(
            "the question about `{check}` was open until {}: it is too late",
            words::time(question.until)
        )));
    }
    let by = session.caller().await?.arn;
    let answer = verification::Answer {
        asked_at: question.asked_at,
        choice: if *keep { Choice::Keep } else { Choice::Rollback },
        by: by.clone(),
        reason: reason.clone(),
        at: now,
    };
    let body = Body::new(&json!({
        "decision": "answer",
        "check": check,
        "choice": answer.choice,
        "askedAt": question.asked_at,
        "reason": reason,
    }))?;
    let draft = Draft {
        application: Some(deployment.application.clone()),
        environment: Some(deployment.environment.clone()),
        deployment_id: Some(deployment.deployment_id.clone()),
        release_id: Some(release.clone()),
        ..Draft::new(RecordKind::PersonDecided, &by, body)
    };
    let key = Key::answer(&deployment.deployment_id, check, &question.asked_at.to_string());
    let commit = Commit::new()
        .change(Change::put(key.clone(), &answer, Expected::Absent)?)
        .record(&Chain::application(&deployment.application), draft);
    if let Committed::Lost(_) = session.journal.commit(commit).await? {
        let first: Option<Stored<verification::Answer>> = session.control().get(&key).await?;
        let who = first.map_or_else(|| "somebody".to_owned(), |stored| format!("`{}`", stored.row.by));
        return Err(CommandError::refused(format!("{who} answered first; nothing was done")));
    }
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

/// The deployment of a release that asks about a check, and its question.
async fn asked(release_id: &str, check: &str, session: &Session) -> Result<(DeploymentRow, Question), CommandError> {
    let release = session.journal.release(release_id).await?;
    let mut open = Vec::new();
    for environment in &release.row.environments {
        let last = session.journal.last_deployment(release_id, environment).await?;
        let Some(deployment) = last.filter(|stored| stored.row.progress != Progress::Ended) else {
            continue;
        };
        let key = Key::verification(&deployment.row.deployment_id);
        let Some(state) = session.control().get::<verification::State>(&key).await? else {
            continue;
        };
        for (name, known) in state.row.checks {
            match known.question {
                Some(question) if name == check => return Ok((deployment.row, question)),
                Some(_) => open.push(format!("`{name}`")),
                None => {}
            }
        }
    }
    let what = match open.as_slice() {
        [] => "it asks nothing now".to_owned(),
        open => format!("it asks about {}", open.join(", ")),
    };
    Err(CommandError::refused(format!(
        "release `{release_id}` asks nothing about `{check}`: {what}; `esclusa status --release {release_id}` shows where it stands"
    )))
}
