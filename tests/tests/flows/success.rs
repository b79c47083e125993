//! What goes well.

use lab::images::Kind;

use crate::path::{self, END, NEXT, SERVICE, TASK, THROUGH};
use crate::support::Account;

#[test]
fn a_push_is_in_force_in_both_environments_that_take_pushes() {
    let mut account = Account::with("imagy-catalog");
    let digest = account.release("4f2c1e9", Kind::Good);
    let release = account.only_release();
    account.assert_path(&release, &[&path::release(2), THROUGH]);
    for environment in ["develop", "staging"] {
        account.assert_deployment_path(environment, &[&path::opening(2), TASK, NEXT, SERVICE, NEXT, END]);
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
