//! Amazon RDS.

use aws_sdk_rds::Client;
use aws_sdk_rds::error::ProvideErrorMetadata;
use jiff::SignedDuration;
use serde_json::json;

use super::simulation;
use crate::services::{DatabaseKind, Rds};
use crate::{Principal, Simulation};

/// An instance and a cluster, and a client.
fn shop() -> (Simulation, Client) {
    let mut simulation = simulation();
    let world = simulation.world_mut();
    for (operation, member) in [
        ("CreateDBInstance", "DBInstanceIdentifier"),
        ("CreateDBCluster", "DBClusterIdentifier"),
    ] {
        let input = json!({member: "orders", "Engine": "postgres", "BackupRetentionPeriod": 7});
        world.administer("rds", operation, input).unwrap();
    }
    let client = Client::new(&simulation.sdk_config(&Principal::Administrator));
    (simulation, client)
}

/// How many seconds ago the moment was to which the instance can be restored.
fn age(simulation: &mut Simulation, client: &Client) -> Option<i64> {
    let request = client.describe_db_instances().db_instance_identifier("orders");
    let described = simulation.block_on(request.send()).unwrap();
    let latest = described.db_instances()[0].latest_restorable_time()?.secs();
    Some(simulation.world().now().as_second() - latest)
}

/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIT.html>
#[test]
fn a_database_can_be_restored_to_within_the_last_five_minutes_while_its_logs_are_uploaded() {
    let (mut simulation, client) = shop();
    assert_eq!(age(&mut simulation, &client), None);
    for _ in 0..4 {
        simulation.run_for(SignedDuration::from_mins(7));
        assert!((0..=300).contains(&age(&mut simulation, &client).unwrap()));
    }
    let (rds, kernel) = simulation.world_mut().service_mut::<Rds>().unwrap();
    rds.stall(DatabaseKind::Instance, "orders", kernel);
    simulation.run_for(SignedDuration::from_mins(30));
    assert!(age(&mut simulation, &client).unwrap() >= 1800);
    let modify = client.modify_db_instance().db_instance_identifier("orders");
    simulation.block_on(modify.backup_retention_period(0).send()).unwrap();
    assert_eq!(age(&mut simulation, &client), None);
}

#[test]
fn a_snapshot_takes_its_time_and_its_name_is_taken() {
    let (mut simulation, client) = shop();
    let take = || {
        client
            .create_db_snapshot()
            .db_instance_identifier("orders")
            .db_snapshot_identifier("before")
    };
    let status = |simulation: &mut Simulation| {
        let request = client.describe_db_snapshots().db_snapshot_identifier("before");
        let described = simulation.block_on(request.send()).unwrap();
        described.db_snapshots()[0].status().unwrap().to_owned()
    };
    simulation.block_on(take().send()).unwrap();
    assert_eq!(status(&mut simulation), "creating");
    let error = simulation.block_on(take().send()).unwrap_err().into_service_error();
    assert!(error.is_db_snapshot_already_exists_fault(), "{error:?}");
    simulation.run_for(SignedDuration::from_mins(5));
    assert_eq!(status(&mut simulation), "available");
}

#[test]
fn clusters_and_their_snapshots_are_others_than_instances_and_theirs() {
    let (mut simulation, client) = shop();
    let take = client
        .create_db_cluster_snapshot()
        .db_cluster_identifier("orders")
        .db_cluster_snapshot_identifier("before");
    simulation.block_on(take.send()).unwrap();
    let absent = client.describe_db_snapshots().db_snapshot_identifier("before");
    let error = simulation.block_on(absent.send()).unwrap_err().into_service_error();
    assert!(error.is_db_snapshot_not_found_fault(), "{error:?}");
    let absent = client.describe_db_clusters().db_cluster_identifier("absent");
    let error = simulation.block_on(absent.send()).unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("DBClusterNotFoundFault"));
}
