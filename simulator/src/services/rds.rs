//! Amazon RDS, as far as backups go: DB instances and DB clusters with the moment to which they can be restored, and
//! snapshots of them. <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/Welcome.html>

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, Service};

use super::Input;

/// The signing name of the service, and the prefix of its actions.
const NAME: &str = "rds";

const OPERATIONS: [&str; 10] = [
    "CreateDBCluster",
    "CreateDBClusterSnapshot",
    "CreateDBInstance",
    "CreateDBSnapshot",
    "DescribeDBClusters",
    "DescribeDBClusterSnapshots",
    "DescribeDBInstances",
    "DescribeDBSnapshots",
    "ModifyDBCluster",
    "ModifyDBInstance",
];

/// "RDS uploads transaction logs for DB instances to Amazon S3 every five minutes."
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIT.html>
const LOGS_EVERY_SECONDS: i64 = 300;

/// How long a snapshot takes.
const SNAPSHOT_TAKES: SignedDuration = SignedDuration::from_mins(3);

/// For how many days backups are kept where nobody says.
const RETENTION_DAYS: u64 = 1;

/// Instance or cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A DB instance.
    Instance,
    /// A DB cluster.
    Cluster,
}

impl Kind {
    /// The member that names one.
    const fn identifier(self) -> &'static str {
        match self {
            Self::Instance => "DBInstanceIdentifier",
            Self::Cluster => "DBClusterIdentifier",
        }
    }

    const fn snapshot_identifier(self) -> &'static str {
        match self {
            Self::Instance => "DBSnapshotIdentifier",
            Self::Cluster => "DBClusterSnapshotIdentifier",
        }
    }

    /// The member that an answer has one in.
    const fn member(self) -> &'static str {
        match self {
            Self::Instance => "DBInstance",
            Self::Cluster => "DBCluster",
        }
    }

    const fn snapshot_member(self) -> &'static str {
        match self {
            Self::Instance => "DBSnapshot",
            Self::Cluster => "DBClusterSnapshot",
        }
    }

    const fn arn_type(self) -> &'static str {
        match self {
            Self::Instance => "db",
            Self::Cluster => "cluster",
        }
    }

    const fn snapshot_arn_type(self) -> &'static str {
        match self {
            Self::Instance => "snapshot",
            Self::Cluster => "cluster-snapshot",
        }
    }

    fn not_found(self, name: &str) -> ApiError {
        let code = match self {
            Self::Instance => "DBInstanceNotFound",
            Self::Cluster => "DBClusterNotFoundFault",
        };
        missing(code, format!("{} {name} not found.", self.member()))
    }

    fn busy(self, name: &str) -> ApiError {
        let code = match self {
            Self::Instance => "InvalidDBInstanceState",
            Self::Cluster => "InvalidDBClusterStateFault",
        };
        let message =
            format!("Cannot create a snapshot because the database {name} is not currently in the available state.");
        ApiError::client(code, message)
    }

    fn snapshot_not_found(self, name: &str) -> ApiError {
        let code = match self {
            Self::Instance => "DBSnapshotNotFound",
            Self::Cluster => "DBClusterSnapshotNotFoundFault",
        };
        missing(code, format!("{} {name} not found.", self.snapshot_member()))
    }

    fn snapshot_exists(self, name: &str) -> ApiError {
        let code = match self {
            Self::Instance => "DBSnapshotAlreadyExists",
            Self::Cluster => "DBClusterSnapshotAlreadyExistsFault",
        };
        let message = format!("Cannot create the snapshot because one with the identifier {name} already exists.");
        ApiError::client(code, message)
    }
}

#[derive(Debug, Clone)]
struct Database {
    engine: String,
    retention_days: u64,
    created_at: Timestamp,
    /// The cluster that it belongs to.
    member_of: Option<String>,
    /// Since when no logs are uploaded.
    stalled_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Snapshot {
    of: String,
    taken_at: Timestamp,
    fails: bool,
}

/// The service `rds`.
#[derive(Debug, Default)]
pub struct Rds {
    /// Whether snapshots that are taken from now on fail.
    pub snapshots_fail: bool,
    databases: BTreeMap<(Kind, String), Database>,
    snapshots: BTreeMap<(Kind, String), Snapshot>,
}

impl Rds {
    /// A database that has been there since some time, with backups for a week.
    pub fn provide(&mut self, kind: Kind, name: &str, since: Timestamp) {
        let database = Database {
            engine: "postgres".to_owned(),
            retention_days: 7,
            created_at: since,
            member_of: None,
            stalled_at: None,
        };
        self.databases.insert((kind, name.to_owned()), database);
    }

    /// From now on no logs of a database are uploaded: the moment to which it can be restored stays what it is.
    pub fn stall(&mut self, kind: Kind, name: &str, kernel: &Kernel) {
        if let Some(database) = self.databases.get_mut(&(kind, name.to_owned())) {
            database.stalled_at = Some(kernel.now());
        }
    }

    fn create(&mut self, kind: Kind, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let name = required(input, kind.identifier())?;
        let database = Database {
            engine: required(input, "Engine")?.to_owned(),
            retention_days: count(input, "BackupRetentionPeriod").unwrap_or(RETENTION_DAYS),
            created_at: kernel.now(),
            member_of: input
                .text("DBClusterIdentifier")
                .filter(|_| kind == Kind::Instance)
                .map(str::to_owned),
            stalled_at: None,
        };
        let shown = show(kind, name, &database, kernel);
        self.databases.insert((kind, name.to_owned()), database);
        Ok(json!({kind.member(): shown}))
    }

    fn modify(&mut self, kind: Kind, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let name = required(input, kind.identifier())?;
        let known = self.databases.get_mut(&(kind, name.to_owned()));
        let database = known.ok_or_else(|| kind.not_found(name))?;
        if let Some(days) = count(input, "BackupRetentionPeriod") {
            database.retention_days = days;
        }
        Ok(json!({kind.member(): show(kind, name, database, kernel)}))
    }

    fn describe(&self, kind: Kind, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let wanted = input.text(kind.identifier());
        let found: Vec<Value> = self
            .databases
            .iter()
            .filter(|((of, name), _)| *of == kind && wanted.is_none_or(|wanted| wanted == name))
            .map(|((_, name), database)| show(kind, name, database, kernel))
            .collect();
        match wanted {
            Some(name) if found.is_empty() => Err(kind.not_found(name)),
            _ => Ok(json!({format!("{}s", kind.member()): found})),
        }
    }

    fn take_snapshot(&mut self, kind: Kind, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let name = required(input, kind.snapshot_identifier())?;
        let of = required(input, kind.identifier())?;
        if !self.databases.contains_key(&(kind, of.to_owned())) {
            return Err(kind.not_found(of));
        }
        if self.snapshots.contains_key(&(kind, name.to_owned())) {
            return Err(kind.snapshot_exists(name));
        }
        // One that is being copied is `backing-up` and not `available`.
        let mut of_this = self
            .snapshots
            .iter()
            .filter(|((known, _), other)| *known == kind && other.of == of);
        if of_this.any(|(_, other)| kernel.now().duration_since(other.taken_at) < SNAPSHOT_TAKES) {
            return Err(kind.busy(of));
        }
        let snapshot = Snapshot {
            of: of.to_owned(),
            taken_at: kernel.now(),
            fails: self.snapshots_fail,
        };
        let shown = show_snapshot(kind, name, &snapshot, kernel);
        self.snapshots.insert((kind, name.to_owned()), snapshot);
        Ok(json!({kind.snapshot_member(): shown}))
    }

    fn describe_snapshots(&self, kind: Kind, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let wanted = input.text(kind.snapshot_identifier());
        let found: Vec<Value> = self
            .snapshots
            .iter()
            .filter(|((of, name), _)| *of == kind && wanted.is_none_or(|wanted| wanted == name))
            .map(|((_, name), snapshot)| show_snapshot(kind, name, snapshot, kernel))
            .collect();
        match wanted {
            Some(name) if found.is_empty() => Err(kind.snapshot_not_found(name)),
            _ => Ok(json!({format!("{}s", kind.snapshot_member()): found})),
        }
    }
}

/// The latest moment to which a database can be restored: that of the last logs that were uploaded.
fn latest_restorable(database: &Database, now: Timestamp) -> Option<Timestamp> {
    let until = database.stalled_at.unwrap_or(now);
    let uploads = until.duration_since(database.created_at).as_secs() / LOGS_EVERY_SECONDS;
    let since = SignedDuration::from_secs(uploads.checked_mul(LOGS_EVERY_SECONDS)?);
    let is_kept = database.retention_days > 0 && database.member_of.is_none() && uploads > 0;
    database.created_at.checked_add(since).ok().filter(|_| is_kept)
}

fn show(kind: Kind, name: &str, database: &Database, kernel: &Kernel) -> Value {
    let arn = kernel.arn(NAME, &format!("{}:{name}", kind.arn_type()));
    let latest = latest_restorable(database, kernel.now()).map(|latest| latest.to_string());
    let mut shown = Map::new();
    let own = match kind {
        Kind::Instance => json!({
            "DBInstanceArn": arn, "DBInstanceStatus": "available", "DBClusterIdentifier": database.member_of,
        }),
        Kind::Cluster => json!({"DBClusterArn": arn, "Status": "available"}),
    };
    let members = json!({
        kind.identifier(): name,
        "Engine": database.engine,
        "BackupRetentionPeriod": database.retention_days,
        "LatestRestorableTime": latest,
    });
    for members in [own, members] {
        shown.extend(members.as_object().cloned().unwrap_or_default());
    }
    Value::Object(shown)
}

fn show_snapshot(kind: Kind, name: &str, snapshot: &Snapshot, kernel: &Kernel) -> Value {
    let is_over = kernel.now().duration_since(snapshot.taken_at) >= SNAPSHOT_TAKES;
    let status = match (is_over, snapshot.fails) {
        (false, _) => "creating",
        (true, false) => "available",
        (true, true) => "failed",
    };
    json!({
        kind.snapshot_identifier(): name,
        kind.identifier(): snapshot.of,
        "Status": status,
        "SnapshotCreateTime": snapshot.taken_at.to_string(),
    })
}

/// A number, which a form has as text.
fn count(input: Input<'_>, member: &str) -> Option<u64> {
    let value = input.0.get(member)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn required<'i>(input: Input<'i>, member: &str) -> Result<&'i str, ApiError> {
    let message = format!("The parameter {member} must be provided and must not be blank.");
    input
        .text(member)
        .ok_or_else(|| ApiError::client("InvalidParameterValue", message))
}

fn missing(code: &str, message: String) -> ApiError {
    ApiError {
        status: 404,
        ..ApiError::client(code, message)
    }
}

/// Refuses the first member of an input that is not simulated.
fn only(operation: &str, input: Input<'_>, kind: Kind) -> Result<(), ApiError> {
    let known: &[&str] = match operation {
        "CreateDBInstance" | "CreateDBCluster" => &[
            "Engine",
            "BackupRetentionPeriod",
            "DBInstanceClass",
            "DBClusterIdentifier",
        ],
        "ModifyDBInstance" | "ModifyDBCluster" => &["BackupRetentionPeriod", "ApplyImmediately"],
        _ => &[kind.snapshot_identifier()],
    };
    super::only(NAME, operation, input, &[known, &[kind.identifier()]].concat())
}

fn kind_of(operation: &str) -> Kind {
    if operation.contains("Cluster") {
        Kind::Cluster
    } else {
        Kind::Instance
    }
}

impl Service for Rds {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Taking a snapshot needs the right on the database, the right on the snapshot and, since databases copy their tags
    /// to their snapshots here, the right to tag it.
    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let (operation, input) = (request.operation.as_str(), Input(&request.input));
        if !OPERATIONS.contains(&operation) {
            return Vec::new();
        }
        let kind = kind_of(operation);
        let on = |arn_type: &str, member: &str| {
            let name = input.text(member).unwrap_or("*");
            Authorization::new(
                format!("{NAME}:{operation}"),
                kernel.arn(NAME, &format!("{arn_type}:{name}")),
            )
        };
        let database = on(kind.arn_type(), kind.identifier());
        let snapshot = on(kind.snapshot_arn_type(), kind.snapshot_identifier());
        match (operation.starts_with("Create"), operation.contains("Snapshot")) {
            (true, true) => {
                let tags = Authorization::new(format!("{NAME}:AddTagsToResource"), snapshot.resource.clone());
                vec![database, snapshot, tags]
            }
            (false, true) => vec![snapshot],
            (_, false) => vec![database],
        }
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        let (operation, input) = (request.operation.as_str(), Input(&request.input));
        let kind = kind_of(operation);
        if !OPERATIONS.contains(&operation) {
            return Reply::Now(Err(ApiError::unknown_operation(NAME, operation, &OPERATIONS)));
        }
        if let Err(error) = only(operation, input, kind) {
            return Reply::Now(Err(error));
        }
        Reply::Now(match operation {
            "CreateDBInstance" | "CreateDBCluster" => self.create(kind, input, kernel),
            "ModifyDBInstance" | "ModifyDBCluster" => self.modify(kind, input, kernel),
            "DescribeDBInstances" | "DescribeDBClusters" => self.describe(kind, input, kernel),
            "CreateDBSnapshot" | "CreateDBClusterSnapshot" => self.take_snapshot(kind, input, kernel),
            _ => self.describe_snapshots(kind, input, kernel),
        })
    }
}
