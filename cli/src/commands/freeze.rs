//! `esclusa freeze` and `esclusa unfreeze`: nothing comes into a place for a while.

use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::gates::EVERYTHING;
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::error::Failure;
use esclusa_core::gate;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::pipeline::{ApplicationName, EnvironmentName};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::order::{how_long, order};
use super::{WHY, check_reason, parse};
use crate::arguments::{Freeze, Unfreeze};
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

/// What is frozen.
struct Place<'a> {
    application: Option<&'a str>,
    environment: Option<&'a str>,
}

pub(super) async fn freeze(command: &Freeze, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let place = Place::of(command.application.as_deref(), command.environment.as_deref())?;
    let reason = command.reason.trim();
    check_reason(reason, WHY)?;
    let since = session.now()?;
    let by = session.caller().await?.arn;
    let row = order(&by, reason, since, command.until.as_deref())?;
    let until = row.until;
    let body = json!({"decision": "freeze", "place": place.to_string(), "reason": reason, "until": until});
    let commit = Commit::new()
        .change(Change::put(place.key(since), &row, Expected::Absent)?)
        .record(&place.chain(), place.draft(&by, &body)?);
    session.journal.commit(commit).await?.or_failure()?;
    if output.format() == Format::Json {
        output.document(&json!({"freeze": row}))?;
    } else {
        output.line(format_args!(
            "{place} is frozen {}; rollbacks are let through",
            how_long(&row)
        ))?;
    }
    Ok(Exit::Success)
}

pub(super) async fn unfreeze(command: &Unfreeze, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let place = Place::of(command.application.as_deref(), command.environment.as_deref())?;
    let reason = command.reason.trim();
    check_reason(reason, WHY)?;
    let now = session.now()?;
    let by = session.caller().await?.arn;
    let prefix = format!("{}#", place.environment.unwrap_or(EVERYTHING));
    let rows: Vec<(String, Stored<gate::Order>)> = session.control().list(&place.partition(), &prefix).await?;
    let mut lifted = 0_usize;
    for (_, stored) in rows.into_iter().filter(|(_, stored)| stored.row.holds(now)) {
        let row = stored.row.lifted(gate::Lifted {
            by: by.clone(),
            reason: reason.to_owned(),
            at: now,
        });
        let body = json!({"decision": "unfreeze", "place": place.to_string(), "reason": reason, "since": row.since});
        let commit = Commit::new()
            .change(Change::put(
                place.key(row.since),
                &row,
                Expected::Revision(stored.revision),
            )?)
            .record(&place.chain(), place.draft(&by, &body)?);
        if let Committed::Lost(_) = session.journal.commit(commit).await? {
            return Err(Failure::conflict(format!(
                "a freeze of {place} changed at this moment: run the command again"
            ))
            .into());
        }
        lifted = lifted.saturating_add(1);
    }
    if lifted == 0 {
        return Err(CommandError::refused(format!("{place} is not frozen")));
    }
    if output.format() == Format::Json {
        output.document(&json!({"lifted": lifted}))?;
    } else {
        output.line(format_args!("{place} is frozen no more"))?;
    }
    Ok(Exit::Success)
}

impl<'a> Place<'a> {
    fn of(application: Option<&'a str>, environment: Option<&'a str>) -> Result<Self, CommandError> {
        application.map(parse::<ApplicationName>).transpose()?;
        environment.map(parse::<EnvironmentName>).transpose()?;
        Ok(Self {
            application,
            environment,
        })
    }

    fn partition(&self) -> String {
        Key::freezes_of(self.application.unwrap_or(EVERYTHING))
    }

    fn key(&self, since: Timestamp) -> Key {
        let application = self.application.unwrap_or(EVERYTHING);
        Key::freeze(application, self.environment.unwrap_or(EVERYTHING), &since.to_string())
    }

    /// What is frozen for all applications has a chain of its own.
    fn chain(&self) -> Chain {
        Chain::application(self.application.unwrap_or(EVERYTHING))
    }

    fn draft(&self, by: &str, body: &Value) -> Result<Draft, Failure> {
        Ok(Draft {
            application: self.application.map(str::to_owned),
            environment: self.environment.map(str::to_owned),
            ..Draft::new(RecordKind::PersonDecided, by, Body::new(body)?)
        })
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.application, self.environment) {
            (Some(application), Some(environment)) => write!(formatter, "`{application}` in `{environment}`"),
            (Some(application), None) => write!(formatter, "`{application}` everywhere"),
            (None, Some(environment)) => write!(formatter, "everything in `{environment}`"),
            (None, None) => formatter.write_str("everything"),
        }
    }
}
