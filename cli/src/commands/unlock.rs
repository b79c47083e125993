//! `esclusa unlock`: a person frees a lock, out of quarantine or from a deployment that does not end.

use esclusa_adapters::control::rows::{DeploymentRow, QuarantinedLockRow};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::protocol::lock::{Lock, LockStatus, unlock};
use serde_json::json;

use super::check_reason;
use super::locks::{NamedLock, help, read, status};
use crate::arguments::Unlock;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

pub(super) async fn execute(command: &Unlock, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Unlock { name, from, reason } = command;
    let place = Place::of(name)?;
    check_reason(reason, "`--reason` must say what was found and done")?;
    let key = Key::lock(name);
    let stored: Option<Stored<Lock>> = session.control().get(&key).await?;
    let by = session.caller().await?.arn;
    let read = stored.as_ref().map(|stored| &stored.row);
    let write = unlock(read, from.as_deref(), &by, reason, session.now()?)
        .map_err(|refusal| Failure::from(refusal).context(format!("lock `{name}`")))?;
    let was = read.cloned();
    let place = match place {
        Some(place) => place,
        None => of_deployment(session, name, was.as_ref()).await?,
    };
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
        application: Some(place.application.clone()),
        environment: Some(place.environment.clone()),
        deployment_id: read.and_then(|lock| lock.deployment_id.clone()),
        ..Draft::new(RecordKind::PersonDecided, &by, body)
    };
    let pointer = Key::quarantined_lock(name);
    let pointed: Option<Stored<QuarantinedLockRow>> = session.control().get(&pointer).await?;
    let commit = Commit::new()
        .change(Change::put(key, &write.row, Expected::unchanged(stored.as_ref()))?)
        .changes(pointed.map(|pointed| Change::delete(pointer, pointed.revision)))
        .record(&Chain::application(&place.application), draft);
    if let Committed::Lost(_) = session.journal.commit(commit).await? {
        return Err(CommandError::refused(format!(
            "lock `{name}` has just changed; nothing was done: check with `esclusa locks`"
        )));
    }
    let left = others(session, name, was.as_ref()).await?;
    if output.format() == Format::Json {
        output.document(&json!({"unlocked": {"name": name, "lock": write.row}, "quarantined": left}))?;
    } else {
        let before = was.map_or("", |lock| status(lock.status));
        output.line(format_args!(
            "lock `{name}` is free (it was {before}); deployments may proceed there again"
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

/// Where the record of a lock belongs.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    application: String,
    environment: String,
}

impl Place {
    /// What the name of a lock says; nothing where several applications share it.
    fn of(name: &str) -> Result<Option<Self>, CommandError> {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["environment", application, environment] | ["database", _, _, application, environment, _] => {
                Ok(Some(Self {
                    application: (*application).to_owned(),
                    environment: (*environment).to_owned(),
                }))
            }
            ["database", _, _, _] => Ok(None),
            _ => Err(CommandError::InvalidInput(format!(
                "`{name}` is not the name of a lock, such as `environment/shop/production`: `esclusa locks` lists them"
            ))),
        }
    }
}

/// The record of a shared lock belongs to the application whose deployment has it.
async fn of_deployment(session: &Session, name: &str, lock: Option<&Lock>) -> Result<Place, CommandError> {
    let deployment_id = lock.and_then(|lock| lock.deployment_id.as_deref());
    let deployment_id =
        deployment_id.ok_or_else(|| CommandError::refused(format!("no deployment has the lock `{name}`")))?;
    let deployment: Stored<DeploymentRow> = session.control().require(&Key::deployment(deployment_id)).await?;
    Ok(Place {
        application: deployment.row.application,
        environment: deployment.row.environment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_lock_says_where_its_record_belongs_unless_it_is_shared() {
        let place = |name: &str| Place::of(name).unwrap();
        let of_shop = Place {
            application: "shop".to_owned(),
            environment: "develop".to_owned(),
        };
        assert_eq!(place("environment/shop/develop"), Some(of_shop));
        assert!(place("database/123456789012/us-east-1/shop/develop/main").is_some());
        assert_eq!(place("database/123456789012/us-east-1/billing"), None);
        assert_eq!(Place::of("shop").unwrap_err().exit(), Exit::InvalidInput);
    }
}
