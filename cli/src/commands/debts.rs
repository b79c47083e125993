//! `esclusa debts`: what hotfixes did without, until it is settled.

use esclusa_adapters::decisions::Wish;
use esclusa_core::hotfix::Debt;
use serde::Serialize;
use serde_json::json;

use super::{check_reason, order};
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

async fn settle(release: &str, reason: &str, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    check_reason(reason, "`--reason` must say what was done")?;
    let wish = Wish::SettleDebt {
        release: release.to_owned(),
        reason: reason.to_owned(),
    };
    order::give(&wish, session, output, |told| {
        format!("`{}` no longer owes anything", order::tag(told))
    })
    .await
}
