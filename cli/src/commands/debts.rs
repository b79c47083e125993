//! `esclusa debts`: what hotfixes did without, until it is settled.

use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::gate::Lifted;
use esclusa_core::hotfix::Debt;
use esclusa_core::ledger::Chain;
use serde::Serialize;
use serde_json::json;

use super::check_reason;
use super::hold::decided;
use crate::arguments::{Debts, DebtsCommand};
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::table::Columns;
use crate::render::words;
use crate::session::Session;

/// What is owed in an environment.
#[derive(Debug, Clone, Serialize)]
struct Owed {
    application: String,
    environment: String,
    #[serde(flatten)]
    debt: Debt,
}

pub(super) async fn execute(command: &Debts, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    match &command.command {
        None | Some(DebtsCommand::List) => list(session, output).await,
        Some(DebtsCommand::Settle { release, reason }) => settle(release, reason, session, output).await,
    }
}

async fn list(session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let mut owed = Vec::new();
    for current in pipelines::applications(session.control()).await? {
        let application = current.application;
        for (key, stored) in session.journal.debts(&application, None).await? {
            owed.push(Owed {
                application: application.clone(),
                environment: environment_of(&key).to_owned(),
                debt: stored.row,
            });
        }
    }
    if output.format() == Format::Json {
        output.document(&json!({"debts": owed}))?;
    } else if owed.is_empty() {
        output.note("nothing is owed")?;
    } else {
        output.text(table(&owed, output.width()))?;
    }
    Ok(Exit::Success)
}

/// The environment in the key of a debt.
fn environment_of(key: &str) -> &str {
    key.split('#').next().unwrap_or(key)
}

fn table(owed: &[Owed], width: Option<u16>) -> String {
    let mut table = Columns::new(&["release", "tag", "in", "since", "owes", "by", "why"], width);
    for Owed {
        application,
        environment,
        debt,
    } in owed
    {
        table.row([
            debt.release_id.clone(),
            debt.tag.clone(),
            format!("{application}/{environment}"),
            words::time(debt.since),
            debt.owes.join("; "),
            debt.by.clone(),
            debt.reason.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

async fn settle(release_id: &str, reason: &str, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    check_reason(reason, "say what was done")?;
    let release = session.journal.release(release_id).await?.row;
    let debts = session.journal.debts(&release.application, None).await?;
    let theirs: Vec<(String, Stored<Debt>)> = debts
        .into_iter()
        .filter(|(_, stored)| stored.row.release_id == release_id)
        .collect();
    if theirs.is_empty() {
        return Err(CommandError::refused(format!("release `{release_id}` owes nothing")));
    }
    let by = session.caller().await?.arn;
    let at = session.now()?;
    let mut owed = Vec::new();
    let mut commit = Commit::new();
    for (key, stored) in theirs {
        owed.extend(stored.row.owes.iter().cloned());
        let debt = Debt {
            settled: Some(Lifted {
                by: by.clone(),
                reason: reason.trim().to_owned(),
                at,
            }),
            ..stored.row
        };
        let key = Key::debt(&release.application, environment_of(&key), release_id);
        commit = commit.change(Change::put(key, &debt, Expected::Revision(stored.revision))?);
    }
    let body = json!({"decision": "settle_debt", "tag": release.tag, "owed": owed, "reason": reason});
    let commit = commit.record(
        &Chain::application(&release.application),
        decided(&release, &by, &body)?,
    );
    if let Committed::Lost(_) = session.journal.commit(commit).await? {
        return Err(CommandError::refused(format!(
            "what release `{release_id}` owes changed at this moment; nothing was done: look with `esclusa debts`"
        )));
    }
    if output.format() == Format::Json {
        output.document(&json!({"settled": owed}))?;
    } else {
        output.line(format_args!("`{}` owes nothing any more", release.tag))?;
    }
    Ok(Exit::Success)
}
