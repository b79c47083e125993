//! `esclusa unlock`: a person frees a lock, out of quarantine or from a deployment that does not end.

use esclusa_adapters::control::rows::DeploymentRow;
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::protocol::lock::{Lock, LockStatus, unlock};
use serde_json::json;

use super::locks::{NamedLock, help, read, status};
use crate::arguments::Unlock;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

pub(super) async fn execute(command: &Unlock, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Unlock { name, from, reason } = command;
    let place = Place::of(name)?;
    if reason.trim().is_empty() {
        return Err(CommandError::InvalidInput(
            "the reason is empty: say what was found and done".to_owned(),
        ));
    }
    let key = Key::lock(name);
    let stored: Option<Stored<Lock>> = session.control().get(&key).await?;
    let by = session.caller().await?.arn;
    let read = stored.as_ref().map(|stored| &stored.row);
    let write = unlock(read, from.as_deref(), &by, reason, session.now()?)
        .map_err(|refusal| Failure::from(refusal).context(format!("lock `{name}`")))?;
    let was = read.cloned();
    let body = Body::new(&json!({
        "decision": "unlock",
        "lock": name,
        "reason": reason,
        "was": read.map(|lock| lock.status),
        "since": read.map(|lock| lock.since),
        "because": read.and_then(|lock| lock.reason.clone()),
        "fence": write.row.fence,
    }))?;
    let draft = Draft {
        application: Some(place.application.to_owned()),
        environment: Some(place.environment.to_owned()),
        deployment_id: read.and_then(|lock| lock.deployment_id.clone()),
        ..Draft::new(RecordKind::PersonDecided, &by, body)
    };
    let commit = Commit::new()
        .change(Change::put(key, &write.row, Expected::unchanged(stored.as_ref()))?)
        .record(&Chain::application(place.application), draft);
    if let Committed::Lost(_) = session.journal.commit(commit).await? {
        return Err(CommandError::refused(format!(
            "lock `{name}` changed at this moment; nothing was done: look with `esclusa locks`"
        )));
    }
    let left = others(session, name, was.as_ref()).await?;
    if output.format() == Format::Json {
        output.document(&json!({"unlocked": {"name": name, "lock": write.row}, "quarantined": left}))?;
    } else {
        let before = was.map_or("", |lock| status(lock.status));
        output.line(format_args!(
            "lock `{name}` is free (it was {before}); deployments may move there again"
        ))?;
        output.text(help(&left))?;
    }
    Ok(Exit::Success)
}

/// The other locks that the same deployment left quarantined.
async fn others(session: &Session, name: &str, lifted: Option<&Lock>) -> Result<Vec<NamedLock>, Failure> {
    let lifted = lifted.filter(|lock| lock.status == LockStatus::Quarantined);
    let Some(deployment_id) = lifted.and_then(|lock| lock.deployment_id.as_deref()) else {
        return Ok(Vec::new());
    };
    let deployment: Option<Stored<DeploymentRow>> = session.control().get(&Key::deployment(deployment_id)).await?;
    let mut left = Vec::new();
    for other in deployment
        .iter()
        .flat_map(|stored| &stored.row.locks)
        .filter(|other| *other != name)
    {
        let lock = read(session.control(), other).await?;
        left.extend(lock.filter(|named| named.lock.status == LockStatus::Quarantined));
    }
    Ok(left)
}

/// What a lock's name says it is about.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    application: &'a str,
    environment: &'a str,
}

impl<'a> Place<'a> {
    fn of(name: &'a str) -> Result<Self, CommandError> {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["environment", application, environment] | ["database", _, _, application, environment, _] => Ok(Self {
                application,
                environment,
            }),
            _ => Err(CommandError::InvalidInput(format!(
                "`{name}` is not the name of a lock, such as `environment/shop/production`: `esclusa locks` lists them"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use esclusa_adapters::deployments::{database_lock, environment_lock};

    use super::*;

    #[test]
    fn the_name_of_a_lock_says_where_its_record_belongs() {
        let place = Place {
            application: "shop",
            environment: "develop",
        };
        assert_eq!(Place::of(&environment_lock("shop", "develop")).unwrap(), place);
        assert_eq!(
            Place::of(&database_lock("123456789012", "us-east-1", "shop", "develop", "main")).unwrap(),
            place
        );
        assert_eq!(Place::of("shop").unwrap_err().exit(), Exit::InvalidInput);
    }
}
