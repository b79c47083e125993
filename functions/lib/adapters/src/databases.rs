//! Databases of Amazon RDS: to which moment they can be restored, and snapshots of them.

use aws_config::SdkConfig;
use aws_sdk_rds::Client;
use aws_sdk_rds::operation::create_db_cluster_snapshot::CreateDBClusterSnapshotError;
use aws_sdk_rds::operation::create_db_snapshot::CreateDBSnapshotError;
use aws_sdk_rds::operation::describe_db_cluster_snapshots::DescribeDBClusterSnapshotsError;
use aws_sdk_rds::operation::describe_db_clusters::DescribeDBClustersError;
use aws_sdk_rds::operation::describe_db_instances::DescribeDBInstancesError;
use aws_sdk_rds::operation::describe_db_snapshots::DescribeDBSnapshotsError;
use aws_smithy_types::DateTime;
use esclusa_core::error::Failure;
use esclusa_core::restore_point::{DatabaseFacts, DatabaseId, SnapshotState};

use crate::sdk::{failure, timestamp};

/// Reads databases. Changes nothing.
#[derive(Debug, Clone)]
pub struct DatabaseReader {
    client: Client,
}

impl DatabaseReader {
    /// A reader of the databases of this account and Region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
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
        let answer = self
            .client
            .describe_db_instances()
            .db_instance_identifier(name)
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeDBInstancesError::is_db_instance_not_found_fault) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failure("rds:DescribeDBInstances", &error)),
        };
        let found = answer.db_instances.unwrap_or_default().into_iter().next();
        Ok(found.map(|instance| DatabaseFacts {
            retention_days: days(instance.backup_retention_period),
            latest_restorable: moment(instance.latest_restorable_time.as_ref()),
            member_of: instance.db_cluster_identifier,
        }))
    }

    async fn cluster(&self, name: &str) -> Result<Option<DatabaseFacts>, Failure> {
        let answer = self
            .client
            .describe_db_clusters()
            .db_cluster_identifier(name)
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeDBClustersError::is_db_cluster_not_found_fault) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failure("rds:DescribeDBClusters", &error)),
        };
        let found = answer.db_clusters.unwrap_or_default().into_iter().next();
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
    client: Client,
}

impl SnapshotTaker {
    /// A taker of snapshots in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// How far a snapshot is; none where there is no such snapshot.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn state(&self, database: &DatabaseId, snapshot: &str) -> Result<Option<SnapshotState>, Failure> {
        let status = match database {
            DatabaseId::Instance(_) => {
                let answer = self
                    .client
                    .describe_db_snapshots()
                    .db_snapshot_identifier(snapshot)
                    .send()
                    .await;
                match answer {
                    Ok(answer) => answer
                        .db_snapshots
                        .unwrap_or_default()
                        .into_iter()
                        .next()
                        .map(|found| found.status),
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(DescribeDBSnapshotsError::is_db_snapshot_not_found_fault) =>
                    {
                        None
                    }
                    Err(error) => return Err(failure("rds:DescribeDBSnapshots", &error)),
                }
            }
            DatabaseId::Cluster(_) => {
                let request = self.client.describe_db_cluster_snapshots();
                match request.db_cluster_snapshot_identifier(snapshot).send().await {
                    Ok(answer) => {
                        let mut found = answer.db_cluster_snapshots.unwrap_or_default().into_iter();
                        found.next().map(|found| found.status)
                    }
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(DescribeDBClusterSnapshotsError::is_db_cluster_snapshot_not_found_fault) =>
                    {
                        None
                    }
                    Err(error) => return Err(failure("rds:DescribeDBClusterSnapshots", &error)),
                }
            }
        };
        Ok(status.map(|status| SnapshotState::read(status.as_deref().unwrap_or_default())))
    }

    /// Takes a snapshot under this name. One that is there already is the one of an earlier call.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the database does not exist or cannot be copied now.
    pub async fn take(&self, database: &DatabaseId, snapshot: &str) -> Result<(), Failure> {
        match database {
            DatabaseId::Instance(name) => {
                let request = self.client.create_db_snapshot();
                let request = request.db_instance_identifier(name).db_snapshot_identifier(snapshot);
                match request.send().await {
                    Ok(_) => Ok(()),
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(CreateDBSnapshotError::is_db_snapshot_already_exists_fault) =>
                    {
                        Ok(())
                    }
                    Err(error) => Err(failure("rds:CreateDBSnapshot", &error)),
                }
            }
            DatabaseId::Cluster(name) => {
                let request = self.client.create_db_cluster_snapshot();
                let request = request
                    .db_cluster_identifier(name)
                    .db_cluster_snapshot_identifier(snapshot);
                match request.send().await {
                    Ok(_) => Ok(()),
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(CreateDBClusterSnapshotError::is_db_cluster_snapshot_already_exists_fault) =>
                    {
                        Ok(())
                    }
                    Err(error) => Err(failure("rds:CreateDBClusterSnapshot", &error)),
                }
            }
        }
    }
}

/// For how long backups are kept: for no days where nothing is said.
fn days(period: Option<i32>) -> u32 {
    period.and_then(|days| u32::try_from(days).ok()).unwrap_or_default()
}

fn moment(time: Option<&DateTime>) -> Option<jiff::Timestamp> {
    time.and_then(timestamp)
}
