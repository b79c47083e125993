//! `esclusa locks`: who may move where, and who waits for it.

use std::collections::BTreeSet;

use esclusa_adapters::control::rows::QuarantinedLockRow;
use esclusa_adapters::control::{ControlTable, Key, Stored};
use esclusa_adapters::deployments::{database_lock, environment_lock};
use esclusa_adapters::locks::StandingLock;
use esclusa_adapters::planning::written;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::{Pipeline, resolve};
use esclusa_core::protocol::lock::{Lock, LockStatus};
use esclusa_core::task_definition::Home;
use serde::Serialize;
use serde_json::json;

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
    /// The deployments that wait for it, the first one first.
    pub(crate) queue: Vec<String>,
}

pub(super) async fn execute(session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let control = session.control();
    let home = session.home().await?;
    let mut locks = Vec::new();
    for application in pipelines::applications(control).await? {
        let row = pipelines::version(control, &application.application, application.version).await?;
        locks.extend(of_pipeline(control, &written(&row)?, &home, None).await?);
    }
    // A pipeline may no longer name what one of its deployments left quarantined.
    let quarantined: Vec<(String, Stored<QuarantinedLockRow>)> = control.all(Key::QUARANTINED_LOCKS, "").await?;
    for (_, pointer) in quarantined {
        locks.extend(read(control, &pointer.row.lock).await?);
    }
    distinct(&mut locks);
    if output.format() == Format::Json {
        output.document(&json!({"locks": locks}))?;
        return Ok(Exit::Success);
    }
    if locks.is_empty() {
        output.note("no lock has been taken yet")?;
        return Ok(Exit::Success);
    }
    output.text(table(&locks, output.width()))?;
    output.text(help(&locks))?;
    Ok(Exit::Success)
}

/// The locks of a pipeline's environments, or of one of them, and of their databases that were taken at least once.
pub(super) async fn of_pipeline(
    control: &ControlTable,
    pipeline: &Pipeline,
    home: &Home,
    environment: Option<&str>,
) -> Result<Vec<NamedLock>, Failure> {
    let application = pipeline.application.as_str();
    let mut locks = Vec::new();
    for name in pipelines::environments(control, pipeline, environment).await? {
        let resolved = resolve(pipeline, &name).map_err(|error| Failure::refused(error.to_string()))?;
        let databases = resolved.databases.keys();
        let databases = databases.map(|database| database_lock(&resolved.place(home), &resolved, database));
        for name in std::iter::once(environment_lock(application, &name)).chain(databases) {
            locks.extend(read(control, &name).await?);
        }
    }
    distinct(&mut locks);
    Ok(locks)
}

/// Each lock once: applications and environments may share that of a database.
fn distinct(locks: &mut Vec<NamedLock>) {
    let mut seen = BTreeSet::new();
    locks.retain(|named| seen.insert(named.name.clone()));
}

/// A lock that was taken at least once.
pub(super) async fn read(control: &ControlTable, name: &str) -> Result<Option<NamedLock>, Failure> {
    let StandingLock { name, lock, mut queue } = StandingLock::read(control, name).await?;
    queue.sort_by(|one, other| one.turn().cmp(&other.turn()));
    Ok(lock.map(|stored| NamedLock {
        name,
        lock: stored.row,
        queue: queue.into_iter().map(|queued| queued.deployment_id).collect(),
    }))
}

fn table(locks: &[NamedLock], width: Option<u16>) -> String {
    let mut table = Columns::new(&["lock", "status", "since", "deployment", "waiting", "reason"], width);
    for NamedLock { name, lock, queue } in locks {
        table.row([
            name.clone(),
            status(lock.status).to_owned(),
            words::time(lock.since),
            lock.deployment_id.clone().unwrap_or_default(),
            queue.join(", "),
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
pub(super) fn help(locks: &[NamedLock]) -> String {
    let line = |NamedLock { name, .. }: &NamedLock| attention(name, "quarantined");
    quarantined(locks).map(line).collect()
}

/// Why locks are quarantined, and what to do about it; nothing where there is none.
pub(super) fn reasons(locks: &[NamedLock]) -> String {
    let line = |NamedLock { name, lock, .. }: &NamedLock| {
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
        "{} `{name}` is {state}; look at the environment, then run `esclusa unlock {} --reason …`\n",
        palette::warning("attention:"),
        words::argument(name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
            queue: Vec::new(),
        };
        let locks = [
            named("environment/shop/develop", lock(LockStatus::Free, None, None)),
            NamedLock {
                queue: vec!["shop-1a-staging-1".to_owned(), "shop-1b-staging-1".to_owned()],
                ..named(
                    "environment/shop/staging",
                    lock(LockStatus::Held, Some("shop-0f-staging-1"), None),
                )
            },
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
