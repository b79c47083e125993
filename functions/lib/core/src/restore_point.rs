//! The restore point of a database: that there is a moment to go back to, before a migration moves the schema.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::canonical::canonical_sha256;
use crate::pipeline::{Database, Name, ResolvedEnvironment, ResolvedStep, RestorePoint};

/// How many digits of a hash the name of a snapshot has.
const SNAPSHOT_DIGITS: usize = 24;

/// The fewest and the most seconds between two looks at a snapshot.
const PAUSE_SECONDS_MIN: u32 = 15;
const PAUSE_SECONDS_MAX: u32 = 300;

/// How often a snapshot is looked at within the time that it is given.
const LOOKS: u32 = 100;

/// A database of Amazon RDS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseId {
    /// A DB instance, by its identifier.
    Instance(String),
    /// A DB cluster, by its identifier.
    Cluster(String),
}

impl DatabaseId {
    /// What a declaration names; nothing where it names none or two.
    #[must_use]
    pub fn of(declared: &RestorePoint) -> Option<Self> {
        match (&declared.instance, &declared.cluster) {
            (Some(instance), None) => Some(Self::Instance(instance.clone())),
            (None, Some(cluster)) => Some(Self::Cluster(cluster.clone())),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }

    /// The identifier.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Instance(name) | Self::Cluster(name) => name,
        }
    }

    /// What it is, for people.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Instance(_) => "instance",
            Self::Cluster(_) => "cluster",
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Instance(name) => format!("aws rds describe-db-instances --db-instance-identifier {name}"),
            Self::Cluster(name) => format!("aws rds describe-db-clusters --db-cluster-identifier {name}"),
        }
    }

    fn keep_backups(&self) -> String {
        match self {
            Self::Instance(name) => format!(
                "aws rds modify-db-instance --db-instance-identifier {name} --backup-retention-period 7 --apply-immediately"
            ),
            Self::Cluster(name) => format!(
                "aws rds modify-db-cluster --db-cluster-identifier {name} --backup-retention-period 7 --apply-immediately"
            ),
        }
    }
}

/// The databases that tasks of an environment migrate and that must have a restore point, by their keys.
#[must_use]
pub fn restored_databases(environment: &ResolvedEnvironment) -> BTreeMap<&Name, DatabaseId> {
    let migrated = environment.steps.iter().filter_map(|step| match step {
        ResolvedStep::Task(task) => task.database.as_ref(),
        ResolvedStep::Service(_) => None,
    });
    let declared = |name| environment.databases.get(name)?.restore_point.as_ref();
    migrated
        .filter_map(|name| Some((name, DatabaseId::of(declared(name)?)?)))
        .collect()
}

/// What RDS says of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// For how many days backups are kept; with 0 there is no point-in-time recovery.
    pub retention_days: u32,
    /// The latest moment to which it can be restored.
    pub latest_restorable: Option<Timestamp>,
    /// The cluster that an instance belongs to: its backups are those of the cluster.
    pub member_of: Option<String>,
}

/// A restore point that is to be secured before a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRestorePoint {
    /// Of which database.
    pub database: DatabaseId,
    /// How old the latest restorable time may be.
    pub at_most_seconds: u32,
    /// Whether a snapshot is taken besides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub snapshot: bool,
    /// Seconds until the snapshot must be available.
    pub timeout_seconds: u32,
    /// Whether the environment accepts that there is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepts_none: bool,
}

/// Why there is no restore point, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Why.
    pub message: String,
    /// What helps.
    pub help: String,
}

impl PlannedRestorePoint {
    /// What a database of the pipeline declares.
    #[must_use]
    pub fn of(database: &Database, accepts_none: bool) -> Option<Self> {
        let declared = database.restore_point.as_ref()?;
        Some(Self {
            database: DatabaseId::of(declared)?,
            at_most_seconds: declared.at_most_seconds,
            snapshot: declared.snapshot,
            timeout_seconds: declared.timeout_seconds,
            accepts_none,
        })
    }

    /// The latest moment to which the database can be restored, or why there is none that is good enough.
    ///
    /// # Errors
    /// [`Lack`].
    pub fn check(&self, facts: Option<&DatabaseFacts>, now: Timestamp) -> Result<Timestamp, Lack> {
        let (kind, name) = (self.database.kind(), self.database.name());
        let lack = |message: String, help: String| Err(Lack { message, help });
        let look = format!("look at it with `{}`", self.database.describe());
        let Some(facts) = facts else {
            return lack(
                format!("there is no {kind} `{name}` in RDS to which a migration could be taken back"),
                "correct `restore_point` of the database in the pipeline file".to_owned(),
            );
        };
        if let (DatabaseId::Instance(_), Some(cluster)) = (&self.database, &facts.member_of) {
            return lack(
                format!("the instance `{name}` belongs to the cluster `{cluster}`, which keeps the backups"),
                format!("name the cluster: `restore_point: {{cluster: {cluster}}}`"),
            );
        }
        if facts.retention_days == 0 {
            return lack(
                format!("the {kind} `{name}` has no point-in-time recovery: its backups are kept for 0 days"),
                format!("keep them: `{}`", self.database.keep_backups()),
            );
        }
        let Some(latest) = facts.latest_restorable else {
            return lack(
                format!("the {kind} `{name}` has no point yet to which it can be restored"),
                look,
            );
        };
        let age = now.duration_since(latest);
        if age > SignedDuration::from_secs(self.at_most_seconds.into()) {
            return lack(
                format!(
                    "the {kind} `{name}` can be restored only to {latest}, {} seconds ago, more than the {} that are allowed",
                    age.as_secs(),
                    self.at_most_seconds
                ),
                look,
            );
        }
        Ok(latest)
    }

    /// Seconds until the next look at a snapshot: so that a long wait takes no more looks than a short one.
    #[must_use]
    pub fn pause_seconds(&self) -> u32 {
        (self.timeout_seconds / LOOKS).clamp(PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX)
    }
}

/// What was secured before a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecuredRestorePoint {
    /// The latest moment to which the database could be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_restorable: Option<Timestamp>,
    /// Why there is none, where the environment accepts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lack: Option<String>,
    /// The snapshot that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// When that was so.
    pub at: Timestamp,
}

/// The name of the snapshot of one migration: the same whoever asks again.
#[must_use]
pub fn snapshot_id(deployment_id: &str, step: usize) -> String {
    let hash = canonical_sha256(&json!([deployment_id, step]));
    let digits: String = hash.chars().take(SNAPSHOT_DIGITS).collect();
    format!("esclusa-{digits}")
}

/// What a snapshot says of its making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotState {
    /// It can be restored.
    Available,
    /// It will be, or nobody knows yet.
    Pending,
    /// It will never be.
    Failed,
}

impl SnapshotState {
    /// Reads `Status` (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CreateSnapshot.html>).
    #[must_use]
    pub fn read(status: &str) -> Self {
        match status {
            "available" => Self::Available,
            "failed" | "deleting" | "deleted" => Self::Failed,
            _ => Self::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_793_610_000 + second).unwrap()
    }

    fn planned(database: DatabaseId) -> PlannedRestorePoint {
        PlannedRestorePoint {
            database,
            at_most_seconds: 900,
            snapshot: false,
            timeout_seconds: 3600,
            accepts_none: false,
        }
    }

    fn facts() -> DatabaseFacts {
        DatabaseFacts {
            retention_days: 7,
            latest_restorable: Some(at(0)),
            member_of: None,
        }
    }

    #[test]
    fn a_restore_point_is_one_that_is_recent_enough() {
        let point = planned(DatabaseId::Instance("catalog".to_owned()));
        assert_eq!(point.check(Some(&facts()), at(900)), Ok(at(0)));
        // A clock that is behind that of RDS.
        assert_eq!(point.check(Some(&facts()), at(-60)), Ok(at(0)));
    }

    #[test]
    fn what_is_missing_is_said_with_what_helps() {
        let instance = || planned(DatabaseId::Instance("catalog".to_owned()));
        let cluster = || planned(DatabaseId::Cluster("catalog".to_owned()));
        let off = DatabaseFacts {
            retention_days: 0,
            latest_restorable: None,
            ..facts()
        };
        let new = DatabaseFacts {
            latest_restorable: None,
            ..facts()
        };
        let member = DatabaseFacts {
            latest_restorable: None,
            member_of: Some("orders".to_owned()),
            ..facts()
        };
        for (point, facts, now, message, help) in [
            (instance(), None, 0, "no instance `catalog`", "correct `restore_point`"),
            (
                instance(),
                Some(off.clone()),
                0,
                "kept for 0 days",
                "modify-db-instance",
            ),
            (cluster(), Some(off), 0, "kept for 0 days", "modify-db-cluster"),
            (instance(), Some(new), 0, "no point yet", "describe-db-instances"),
            (
                instance(),
                Some(member),
                0,
                "belongs to the cluster `orders`",
                "{cluster: orders}",
            ),
            (cluster(), Some(facts()), 901, "901 seconds ago", "describe-db-clusters"),
        ] {
            let lack = point.check(facts.as_ref(), at(now)).unwrap_err();
            assert!(lack.message.contains(message), "{}", lack.message);
            assert!(lack.help.contains(help), "{}", lack.help);
        }
    }

    #[test]
    fn a_snapshot_is_named_by_its_migration_and_by_nothing_else() {
        let name = snapshot_id("shop-0a-production-1", 0);
        assert_eq!(name, snapshot_id("shop-0a-production-1", 0));
        assert_ne!(name, snapshot_id("shop-0a-production-1", 1));
        assert_ne!(name, snapshot_id("shop-0a-production-2", 0));
        assert!(
            name.len() <= 63 && name.starts_with(|letter: char| letter.is_ascii_lowercase()),
            "{name}"
        );
    }

    #[test]
    fn a_snapshot_is_looked_at_as_often_however_long_it_may_take() {
        let waiting = |timeout_seconds| PlannedRestorePoint {
            timeout_seconds,
            ..planned(DatabaseId::Instance("catalog".to_owned()))
        };
        let pauses = [60, 3600, 43_200].map(|timeout| waiting(timeout).pause_seconds());
        assert_eq!(pauses, [15, 36, 300]);
    }
}
