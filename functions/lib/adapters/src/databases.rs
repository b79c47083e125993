//! Databases of Amazon RDS: to which moment they can be restored, and snapshots of them.

use std::error::Error;

use aws_config::SdkConfig;
use aws_sdk_rds::Client;
use aws_sdk_rds::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_rds::operation::create_db_cluster_snapshot::CreateDBClusterSnapshotError;
use aws_sdk_rds::operation::create_db_snapshot::CreateDBSnapshotError;
use aws_sdk_rds::operation::describe_db_cluster_snapshots::DescribeDBClusterSnapshotsError;
use aws_sdk_rds::operation::describe_db_clusters::DescribeDBClustersError;
use aws_sdk_rds::operation::describe_db_instances::DescribeDBInstancesError;
use aws_sdk_rds::operation::describe_db_snapshots::DescribeDBSnapshotsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::DateTime;
use esclusa_core::error::Failure;
use esclusa_core::restore_point::{DatabaseFacts, DatabaseId, SnapshotState};

use crate::client;
use crate::sdk::{OnFirstUse, failure, timestamp};

/// Reads databases. Changes nothing.
#[derive(Debug, Clone)]
pub struct DatabaseReader {
    client: OnFirstUse<Client>,
}

impl DatabaseReader {
    /// A reader of the databases of this account and Region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_rds, config),
        }
    }

    /// What RDS says of a database; none where there is no such database.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn facts(&self, database: &DatabaseId) -> Result<Option<DatabaseFacts>, Failure> {
        match database {
            DatabaseId::Instance(name) => self.instance(name).await,
            DatabaseId::Cluster(name) => self.cluster(name).await,
        }
    }

    async fn instance(&self, name: &str) -> Result<Option<DatabaseFacts>, Failure> {
        let request = self.client.describe_db_instances().db_instance_identifier(name);
        let is_absent = DescribeDBInstancesError::is_db_instance_not_found_fault;
        let answer = unless(request.send().await, is_absent, "rds:DescribeDBInstances")?;
        let found = answer.and_then(|answer| answer.db_instances?.into_iter().next());
        Ok(found.map(|instance| DatabaseFacts {
            retention_days: days(instance.backup_retention_period),
            latest_restorable: moment(instance.latest_restorable_time.as_ref()),
            member_of: instance.db_cluster_identifier,
        }))
    }

    async fn cluster(&self, name: &str) -> Result<Option<DatabaseFacts>, Failure> {
        let request = self.client.describe_db_clusters().db_cluster_identifier(name);
        let is_absent = DescribeDBClustersError::is_db_cluster_not_found_fault;
        let answer = unless(request.send().await, is_absent, "rds:DescribeDBClusters")?;
        let found = answer.and_then(|answer| answer.db_clusters?.into_iter().next());
        Ok(found.map(|cluster| DatabaseFacts {
            retention_days: days(cluster.backup_retention_period),
            latest_restorable: moment(cluster.latest_restorable_time.as_ref()),
            member_of: None,
        }))
    }
}

/// The power to take snapshots.
#[derive(Debug, Clone)]
pub struct SnapshotTaker {
    client: OnFirstUse<Client>,
}

impl SnapshotTaker {
    /// A taker of snapshots in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_rds, config),
        }
    }

    /// How far a snapshot is; none where there is no such snapshot.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn state(&self, database: &DatabaseId, snapshot: &str) -> Result<Option<SnapshotState>, Failure> {
        let status = match database {
            DatabaseId::Instance(_) => {
                let request = self.client.describe_db_snapshots().db_snapshot_identifier(snapshot);
                let is_absent = DescribeDBSnapshotsError::is_db_snapshot_not_found_fault;
                let answer = unless(request.send().await, is_absent, "rds:DescribeDBSnapshots")?;
                let found = answer.and_then(|answer| answer.db_snapshots?.into_iter().next());
                found.map(|found| found.status)
            }
            DatabaseId::Cluster(_) => {
                let request = self.client.describe_db_cluster_snapshots();
                let request = request.db_cluster_snapshot_identifier(snapshot);
                let is_absent = DescribeDBClusterSnapshotsError::is_db_cluster_snapshot_not_found_fault;
                let answer = unless(request.send().await, is_absent, "rds:DescribeDBClusterSnapshots")?;
                let found = answer.and_then(|answer| answer.db_cluster_snapshots?.into_iter().next());
                found.map(|found| found.status)
            }
        };
        Ok(status.map(|status| SnapshotState::read(status.as_deref().unwrap_or_default())))
    }

    /// Takes a snapshot under this name, and answers whether it did: a database that is not available, such as one that
    /// is being backed up, cannot be copied now. A snapshot that is there already is the one of an earlier call.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the database does not exist.
    pub async fn take(&self, database: &DatabaseId, snapshot: &str) -> Result<bool, Failure> {
        match database {
            DatabaseId::Instance(name) => {
                let request = self.client.create_db_snapshot();
                let request = request.db_instance_identifier(name).db_snapshot_identifier(snapshot);
                let is_busy = CreateDBSnapshotError::is_invalid_db_instance_state_fault;
                let is_there = CreateDBSnapshotError::is_db_snapshot_already_exists_fault;
                is_taken(request.send().await, is_busy, is_there, "rds:CreateDBSnapshot")
            }
            DatabaseId::Cluster(name) => {
                let request = self.client.create_db_cluster_snapshot().db_cluster_identifier(name);
                let request = request.db_cluster_snapshot_identifier(snapshot);
                let is_busy = CreateDBClusterSnapshotError::is_invalid_db_cluster_state_fault;
                let is_there = CreateDBClusterSnapshotError::is_db_cluster_snapshot_already_exists_fault;
                is_taken(request.send().await, is_busy, is_there, "rds:CreateDBClusterSnapshot")
            }
        }
    }
}

/// Whether RDS took a snapshot, now or before.
fn is_taken<T, E>(
    answer: Result<T, SdkError<E, HttpResponse>>,
    is_busy: impl Fn(&E) -> bool,
    is_there: impl Fn(&E) -> bool,
    action: &str,
) -> Result<bool, Failure>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match answer {
        Err(error) if error.as_service_error().is_some_and(is_busy) => Ok(false),
        answer => unless(answer, is_there, action).map(|_| true),
    }
}

/// What RDS answers; nothing where its error is the one that is expected.
fn unless<T, E>(
    answer: Result<T, SdkError<E, HttpResponse>>,
    is_expected: impl Fn(&E) -> bool,
    action: &str,
) -> Result<Option<T>, Failure>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.as_service_error().is_some_and(is_expected) => Ok(None),
        Err(error) => Err(failure(action, &error)),
    }
}

/// For how long backups are kept: for no days where nothing is said.
fn days(period: Option<i32>) -> u32 {
    period.and_then(|days| u32::try_from(days).ok()).unwrap_or_default()
}

fn moment(time: Option<&DateTime>) -> Option<jiff::Timestamp> {
    time.and_then(timestamp)
}
