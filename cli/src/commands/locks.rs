//! `esclusa locks`: who may move where, and the way out of a quarantine.

use esclusa_adapters::control::rows::DeploymentRow;
use esclusa_adapters::control::{Change, ControlTable, Expected, Key, Stored};
use esclusa_adapters::deployments::{database_lock, environment_lock};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::pipeline::Pipeline;
use esclusa_core::protocol::lock::{Lock, LockStatus, lift_quarantine};
use esclusa_core::task_definition::Home;
use serde::Serialize;
use serde_json::json;

use crate::arguments::{Locks, LocksCommand};
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::table::Columns;
use crate::render::{palette, words};
use crate::session::Session;

/// A lock by its name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct NamedLock {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) lock: Lock,
}

pub(super) async fn execute(command: &Locks, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    match &command.command {
        None | Some(LocksCommand::List) => list(session, output).await,
        Some(LocksCommand::Release { name, reason }) => release(name, reason, session, output).await,
    }
}

async fn list(session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let control = session.control();
    let home = session.home().await?;
    let mut locks = Vec::new();
    for application in pipelines::applications(control).await? {
        let row = pipelines::version(control, &application.application, application.version).await?;
        locks.extend(of_pipeline(control, &pipelines::parsed(&row)?, &home).await?);
    }
    if output.format() == Format::Json {
        output.document(&json!({"locks": locks}))?;
        return Ok(Exit::Success);
    }
    if locks.is_empty() {
        output.note("no lock was ever taken")?;
        return Ok(Exit::Success);
    }
    output.text(table(&locks, output.width()))?;
    output.text(help(&locks))?;
    Ok(Exit::Success)
}

/// The locks of a pipeline's environments and databases that were taken at least once.
pub(super) async fn of_pipeline(
    control: &ControlTable,
    pipeline: &Pipeline,
    home: &Home,
) -> Result<Vec<NamedLock>, Failure> {
    let region = home.region.as_str();
    let application = pipeline.application.as_str();
    let mut locks = Vec::new();
    for environment in &pipeline.environments {
        let account = environment.account.as_ref().unwrap_or(&home.account).as_str();
        let name = environment.name.as_str();
        let databases = pipeline.databases.keys();
        let databases = databases.map(|database| database_lock(account, region, application, name, database.as_str()));
        for name in std::iter::once(environment_lock(application, name)).chain(databases) {
            locks.extend(read(control, &name).await?);
        }
    }
    Ok(locks)
}

async fn read(control: &ControlTable, name: &str) -> Result<Option<NamedLock>, Failure> {
    let stored: Option<Stored<Lock>> = control.get(&Key::lock(name)).await?;
    Ok(stored.map(|stored| NamedLock {
        name: name.to_owned(),
        lock: stored.row,
    }))
}

fn table(locks: &[NamedLock], width: Option<u16>) -> String {
    let mut table = Columns::new(&["lock", "status", "since", "deployment", "reason"], width);
    for NamedLock { name, lock } in locks {
        table.row([
            name.clone(),
            status(lock.status).to_owned(),
            words::time(lock.since),
            lock.deployment_id.clone().unwrap_or_default(),
            lock.reason.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

pub(super) fn status(status: LockStatus) -> &'static str {
    match status {
        LockStatus::Free => "free",
        LockStatus::Held => "held",
        LockStatus::Quarantined => "QUARANTINED",
    }
}

/// What to do about quarantined locks; nothing where there is none.
fn help(locks: &[NamedLock]) -> String {
    let line = |NamedLock { name, .. }: &NamedLock| attention(name, "quarantined");
    quarantined(locks).map(line).collect()
}

/// Why locks are quarantined, and what to do about it; nothing where there is none.
pub(super) fn reasons(locks: &[NamedLock]) -> String {
    let line = |NamedLock { name, lock }: &NamedLock| {
        let reason = lock.reason.as_deref().unwrap_or("no reason was recorded");
        attention(name, &format!("quarantined: {reason}"))
    };
    quarantined(locks).map(line).collect()
}

fn quarantined(locks: &[NamedLock]) -> impl Iterator<Item = &NamedLock> {
    locks
        .iter()
        .filter(|named| named.lock.status == LockStatus::Quarantined)
}

fn attention(name: &str, state: &str) -> String {
    format!(
        "{} `{name}` is {state}; look at the environment, then run `esclusa locks release {} --reason …`\n",
        palette::warning("attention:"),
        words::argument(name),
    )
}

async fn release(name: &str, reason: &str, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let place = Place::of(name)?;
    if reason.trim().is_empty() {
        return Err(CommandError::InvalidInput(
            "the reason is empty: say what was found and done".to_owned(),
        ));
    }
    let key = Key::lock(name);
    let stored: Option<Stored<Lock>> = session.control().get(&key).await?;
    if let Some(why) = not_quarantined(name, stored.as_ref().map(|stored| &stored.row)) {
        return Err(CommandError::refused(why));
    }
    let by = session.caller().await?.arn;
    let read = stored.as_ref().map(|stored| &stored.row);
    let write = lift_quarantine(read, &by, reason, session.now()?)
        .map_err(|refusal| Failure::from(refusal).context(format!("lock `{name}`")))?;
    let quarantined = read.cloned();
    let body = Body::new(&json!({
        "decision": "lift_quarantine",
        "lock": name,
        "reason": reason,
        "quarantinedSince": read.map(|lock| lock.since),
        "quarantinedBecause": read.and_then(|lock| lock.reason.clone()),
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
    let left = others(session, name, quarantined.as_ref()).await?;
    if output.format() == Format::Json {
        let released = NamedLock {
            name: name.to_owned(),
            lock: write.row,
        };
        output.document(&json!({"released": released, "quarantined": left}))?;
    } else {
        output.line(format_args!("lock `{name}` is free; deployments may move there again"))?;
        output.text(help(&left))?;
    }
    Ok(Exit::Success)
}

/// Why there is no quarantine to lift; nothing where there is one.
fn not_quarantined(name: &str, lock: Option<&Lock>) -> Option<String> {
    let Some(lock) = lock else {
        return Some(format!(
            "lock `{name}` was never taken: `esclusa locks` lists those that were"
        ));
    };
    let deployment = lock.deployment_id.as_deref().unwrap_or("nobody");
    match lock.status {
        LockStatus::Quarantined => None,
        LockStatus::Free => Some(format!("lock `{name}` is free, since {}", words::time(lock.since))),
        LockStatus::Held => Some(format!(
            "lock `{name}` is not quarantined: deployment `{deployment}` holds it since {} and gives it back at its end",
            words::time(lock.since)
        )),
    }
}

/// The other locks that the same deployment left quarantined.
async fn others(session: &Session, name: &str, lifted: Option<&Lock>) -> Result<Vec<NamedLock>, Failure> {
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

    #[test]
    fn a_quarantined_lock_is_shown_with_the_command_that_helps() {
        let lock = |status, deployment: Option<&str>, reason: Option<&str>| Lock {
            status,
            fence: 3,
            owner: None,
            deployment_id: deployment.map(str::to_owned),
            since: "2026-11-21T14:05:07Z".parse().unwrap(),
            reason: reason.map(str::to_owned),
        };
        let named = |name: &str, lock| NamedLock {
            name: name.to_owned(),
            lock,
        };
        let locks = [
            named("environment/shop/develop", lock(LockStatus::Free, None, None)),
            named(
                "environment/shop/staging",
                lock(LockStatus::Held, Some("shop-0f-staging-1"), None),
            ),
            named(
                "environment/shop/production",
                lock(
                    LockStatus::Quarantined,
                    Some("shop-0e-production-1"),
                    Some("nothing proves what `migrate` did"),
                ),
            ),
        ];
        let text = format!("{}{}", table(&locks, None), anstream::adapter::strip_str(&help(&locks)));
        insta::assert_snapshot!(text);
    }
}
