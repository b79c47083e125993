//! Before a migration: that there is a moment to restore the database to, and a snapshot where one is asked for.
//! Nothing has moved yet.

use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::control::rows::RestorePointRow;
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::deployments::Work;
use esclusa_adapters::journal::Commit;
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::plan::PlannedTask;
use esclusa_core::restore_point::{
    DatabaseId, Lack, PlannedRestorePoint, SecuredRestorePoint, SnapshotState, snapshot_id,
};
use esclusa_core::verdict::{Mode, StepReference};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{ACTOR, Migrate};

impl Migrate {
    /// Reads the truth again and writes it down. While a snapshot is not available yet, the answer says when to look
    /// again.
    pub(crate) async fn secure_restore_point(
        &self,
        deployment_id: &str,
        step: StepReference,
    ) -> Result<Value, Failure> {
        let task = self.task(deployment_id, step).await?;
        let Some(point) = &task.restore_point else {
            return Ok(answer(true, 0));
        };
        let key = Key::restore_point(deployment_id, step.index);
        let stored: Option<Stored<RestorePointRow>> = self.journal.control().get(&key).await?;
        if stored.as_ref().is_some_and(|stored| stored.row.secured.is_some()) {
            return Ok(answer(true, 0));
        }
        let work = self.journal.work_here(deployment_id).await?;
        self.journal.unless_stopped(&work.release.row.release_id).await?;
        let now = self.journal.clock().now()?;
        let facts = self.databases.facts(&point.database).await?;
        let (latest_restorable, lack) = match point.check(facts.as_ref(), now) {
            Ok(latest) => (Some(latest), None),
            Err(lack) if point.accepts_none => (None, Some(lack.message)),
            Err(Lack { message, help }) => {
                return Err(Failure::refused(format!("{message}; nothing was migrated: {help}")));
            }
        };
        // Of a database that is not there, which is accepted, there can be no snapshot.
        let snapshot = (point.snapshot && facts.is_some()).then(|| snapshot_id(deployment_id, step.index));
        if let Some(snapshot) = &snapshot
            && !self
                .is_taken(&work, &task, point, &key, stored.as_ref(), snapshot)
                .await?
        {
            return Ok(answer(false, point.pause_seconds()));
        }
        let secured = SecuredRestorePoint {
            latest_restorable,
            lack,
            snapshot,
            at: now,
        };
        self.secured(&work, &task, step, &key, secured).await?;
        Ok(answer(true, 0))
    }

    /// Whether the snapshot is available. It is taken once, whoever comes by here.
    async fn is_taken(
        &self,
        work: &Work,
        task: &PlannedTask,
        point: &PlannedRestorePoint,
        key: &Key,
        stored: Option<&Stored<RestorePointRow>>,
        snapshot: &str,
    ) -> Result<bool, Failure> {
        let now = self.journal.clock().now()?;
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            // Of no step: a snapshot changes nothing that runs.
            step: None,
            goes_on: true,
            action: match point.database {
                DatabaseId::Instance(_) => "rds:CreateDBSnapshot",
                DatabaseId::Cluster(_) => "rds:CreateDBClusterSnapshot",
            },
            target: snapshot.to_owned(),
            facts: json!({"task": task.name, "database": task.database, "source": point.database}),
        };
        let state = self.snapshots.state(&point.database, snapshot).await?;
        let begun_at = stored.map_or(now, |stored| stored.row.begun_at);
        if state.is_none() {
            let mut commit = Commit::new();
            if stored.is_none() {
                let row = RestorePointRow {
                    name: task.name.to_string(),
                    begun_at,
                    secured: None,
                };
                commit = commit.change(Change::put(key.clone(), &row, Expected::Absent)?);
            }
            let announced = self.journal.announce(&act, commit).await?;
            // One that was taken and is not shown yet is waited for like one that is being made.
            if !matches!(announced, Announced::Settled(_)) {
                if is_late(point, begun_at, now) {
                    // Whatever was asked for before has left no snapshot, and none is taken that nobody waits for any
                    // more.
                    let failure = Failure::refused(format!(
                        "no snapshot could be taken within {} seconds, and nothing was migrated: {}, which must be `available`; or raise `restore_point.timeout_seconds` of the database",
                        point.timeout_seconds,
                        look_at_state(&point.database)
                    ));
                    return Err(self.journal.settle_given_up(&act, failure).await);
                }
                match self.snapshots.take(&point.database, snapshot).await {
                    Ok(true) => self.settle_snapshot(&act).await?,
                    // It is not available now: the next look asks again.
                    Ok(false) => {}
                    Err(failure) => {
                        let refused = self.journal.settle_refused(&act, &announced, failure, Commit::new());
                        return Err(refused.await);
                    }
                }
            }
        } else if self.journal.is_announced(&act).await? {
            self.settle_snapshot(&act).await?;
        }
        match state {
            Some(SnapshotState::Available) => Ok(true),
            Some(SnapshotState::Failed) => Err(Failure::refused(format!(
                "the snapshot `{snapshot}` failed, and nothing was migrated: {}, then deploy again",
                look(&point.database, snapshot)
            ))),
            Some(SnapshotState::Pending) | None if is_late(point, begun_at, now) => Err(Failure::refused(format!(
                "the snapshot `{snapshot}` is not available after {} seconds, and nothing was migrated: {}, or raise `restore_point.timeout_seconds` of the database",
                point.timeout_seconds,
                look(&point.database, snapshot)
            ))),
            Some(SnapshotState::Pending) | None => Ok(false),
        }
    }

    async fn settle_snapshot(&self, act: &Act<'_>) -> Result<(), Failure> {
        let outcome = json!({"snapshot": act.target});
        self.journal.settle(act, &outcome, Commit::new()).await.map(|_| ())
    }

    async fn secured(
        &self,
        work: &Work,
        task: &PlannedTask,
        step: StepReference,
        key: &Key,
        secured: SecuredRestorePoint,
    ) -> Result<(), Failure> {
        // The announcement of the snapshot has written the row, or a run beside this one has.
        let stored: Option<Stored<RestorePointRow>> = self.journal.control().get(key).await?;
        if stored.as_ref().is_some_and(|stored| stored.row.secured.is_some()) {
            return Ok(());
        }
        let source = task.restore_point.as_ref().map(|point| &point.database);
        let facts = json!({
            "step": step,
            "name": task.name,
            "database": task.database,
            "source": source,
            "latestRestorable": secured.latest_restorable,
            "lack": secured.lack,
            "snapshot": secured.snapshot,
        });
        let row = RestorePointRow {
            name: task.name.to_string(),
            begun_at: stored.as_ref().map_or(secured.at, |stored| stored.row.begun_at),
            secured: Some(secured),
        };
        let commit = Commit::new()
            .change(Change::put(key.clone(), &row, Expected::unchanged(stored.as_ref()))?)
            .record(
                &work.subject.chain,
                work.subject.draft(RecordKind::RestorePoint, ACTOR, &facts)?,
            );
        self.journal.commit(commit).await?.or_failure().map(|_| ())
    }

    /// Refuses to start a migration whose restore point was not secured: an execution that began under an earlier
    /// definition does not ask for one.
    pub(crate) async fn require_restore_point(
        &self,
        deployment_id: &str,
        step: StepReference,
        task: &PlannedTask,
    ) -> Result<(), Failure> {
        if task.restore_point.is_none() || step.mode == Mode::WayBack {
            return Ok(());
        }
        let key = Key::restore_point(deployment_id, step.index);
        let stored: Option<Stored<RestorePointRow>> = self.journal.control().get(&key).await?;
        match stored.and_then(|stored| stored.row.secured) {
            Some(_) => Ok(()),
            None => Err(Failure::refused(format!(
                "the restore point of the database that `{}` migrates was not secured, and nothing was migrated: deploy again",
                task.name
            ))),
        }
    }
}

fn is_late(point: &PlannedRestorePoint, begun_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(begun_at) > SignedDuration::from_secs(point.timeout_seconds.into())
}

fn look(database: &DatabaseId, snapshot: &str) -> String {
    match database {
        DatabaseId::Instance(_) => {
            format!("look at it with `aws rds describe-db-snapshots --db-snapshot-identifier {snapshot}`")
        }
        DatabaseId::Cluster(_) => format!(
            "look at it with `aws rds describe-db-cluster-snapshots --db-cluster-snapshot-identifier {snapshot}`"
        ),
    }
}

fn look_at_state(database: &DatabaseId) -> String {
    match database {
        DatabaseId::Instance(name) => {
            format!("look at its state with `aws rds describe-db-instances --db-instance-identifier {name}`")
        }
        DatabaseId::Cluster(name) => {
            format!("look at its state with `aws rds describe-db-clusters --db-cluster-identifier {name}`")
        }
    }
}

/// What the state machine reads: whether the task may run, and when to look again.
fn answer(secured: bool, pause_seconds: u32) -> Value {
    json!({"secured": secured, "pauseSeconds": pause_seconds})
}
