//! An execution that somebody stops: nothing in it can catch that.

use jiff::SignedDuration;
use serde_json::json;

use crate::observation::Observation;
use crate::shop::{Image, Shop, undisturbed};

/// Stops the execution of the only deployment when it is in a state, and lets everything come to rest.
fn stopped_in(state: &str, after: SignedDuration) -> (Shop, Observation) {
    let mut shop = Shop::open(1);
    let digest = shop.push(Image::Good);
    shop.run_until_state(state);
    shop.run_for(after);
    let execution = shop.execution("deployment");
    shop.ask(
        "states",
        "StopExecution",
        json!({"executionArn": execution, "error": "Stopped", "cause": "by hand"}),
    );
    shop.finish();
    let observed = shop.observe(&digest);
    (shop, observed)
}

/// F49 and F81. The release concludes for the execution that cannot: a migration that runs on is of unknown effect, and a person must look.
#[test]
fn a_deployment_that_is_stopped_during_its_migration_ends_unknown_and_quarantines_its_locks() {
    let (mut shop, observed) = stopped_in("AwaitTask", SignedDuration::from_secs(10));
    assert_eq!(observed.end.releases, ["FAILED unknown interrupted"]);
    assert_eq!(observed.end.deployments, ["FAILED unknown interrupted"]);
    assert!(
        observed.end.locks.values().all(|status| status == "QUARANTINED"),
        "{:?}",
        observed.end.locks
    );
    assert_eq!(
        observed.end.migrations,
        [Some(0)],
        "a migration is not killed by what happens to its deployment"
    );
    assert!(observed.end.rollouts.is_empty());
    // The next release does not get the locks, and does nothing without them.
    let digest = shop.deploy(Image::BadMigration);
    let next = shop.observe(&digest);
    assert_eq!(next.end.migrations, [Some(0)]);
    assert!(
        next.end.releases.iter().any(|end| end.starts_with("FAILED none")),
        "{:?}",
        next.end.releases
    );
}

/// Before anything was announced there is nothing to be unsure of: the locks are free, and the next release goes through.
#[test]
fn a_deployment_that_is_stopped_before_it_acts_frees_its_locks() {
    let (mut shop, observed) = stopped_in("PlanDeployment", SignedDuration::ZERO);
    assert_eq!(observed.end.deployments, ["FAILED none interrupted"]);
    assert!(
        observed.end.locks.values().all(|status| status == "FREE"),
        "{:?}",
        observed.end.locks
    );
    let [aborted] = observed.problems.as_slice() else {
        panic!("{:#?}", observed.problems);
    };
    assert!(aborted.ends_with("is Some(Aborted)"), "{aborted}");
    let digest = shop.deploy(Image::BadMigration);
    let next = shop.observe(&digest);
    assert!(
        next.end
            .releases
            .contains(&undisturbed(Image::BadMigration).releases[0]),
        "{:?}",
        next.end.releases
    );
}
