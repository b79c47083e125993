//! What goes well.

use std::collections::BTreeSet;

use lab::images::Kind;
use serde_json::Value;

use crate::path::{self, CLOSED, END, NEXT, SCALED_SERVICE, SERVICE, TASK};
use crate::support::Account;

#[test]
fn a_push_is_in_force_in_both_environments_that_take_pushes() {
    let mut account = Account::with("imagy-catalog");
    let digest = account.release("4f2c1e9", Kind::Good);
    let release = account.only_release();
    account.assert_path(&release, &[&path::release(2), CLOSED]);
    for (environment, service) in [("develop", SERVICE), ("staging", SCALED_SERVICE)] {
        account.assert_deployment_path(environment, &[&path::opening(2), TASK, NEXT, service, NEXT, END]);
    }
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.assert_acts(&[("RegisterTaskDefinition", 4), ("RunTask", 2), ("UpdateService", 2)]);
    account.assert_runs("imagy-develop", "imagy-catalog", "api", &digest, 1);
    account.assert_runs("imagy-staging", "imagy-catalog", "api", &digest, 2);
    assert_eq!(
        account.definition_of("imagy-production", "imagy-catalog"),
        "imagy-catalog-production:1"
    );
    account.assert_left("FREE");
}

#[test]
fn rows_that_only_serve_a_deployment_at_work_expire_long_after_it_and_no_others_do() {
    let account = Account::running("superbowleto", "v1");
    let kind = |row: &Value| {
        let word = |name: &str| row[name].as_str().unwrap().split('#').next().unwrap().to_owned();
        format!("{} {}", word("pk"), word("sk"))
    };
    let now = account.lab.world().now().as_second();
    let (expiring, kept): (Vec<Value>, Vec<Value>) = account
        .rows("")
        .into_iter()
        .filter(|row| !row["pk"].as_str().unwrap().starts_with("RESOURCE#"))
        .partition(|row| row.get("expires_at").is_some());
    let kinds = |rows: &[Value]| rows.iter().map(kind).collect::<BTreeSet<String>>();
    assert_eq!(
        Vec::from_iter(kinds(&expiring)),
        [
            "DEPLOYMENT INTENT",
            "DEPLOYMENT PLAN",
            "DEPLOYMENT REVISION",
            "DEPLOYMENT STEP",
            "DEPLOYMENT SUMMARY",
            "STARTEDBY STEP"
        ]
    );
    for row in &expiring {
        assert!(row["expires_at"].as_i64().unwrap() > now + 399 * 86_400, "{row}");
    }
    for needed in [
        "DEPLOYMENT DEPLOYMENT",
        "RELEASE RELEASE",
        "SERVICE VERIFIED",
        "ENVIRONMENT CURRENT",
        "CHAIN HEAD",
    ] {
        assert!(
            kinds(&kept).contains(needed),
            "`{needed}` must stay: {:?}",
            kinds(&kept)
        );
    }
}
