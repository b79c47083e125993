//! An execution that somebody stops: nothing in it can catch that.

use jiff::SignedDuration;
use serde_json::json;

use crate::shop::{Image, Shop};

/// F49 and F81. The lock of an execution that was stopped stays held: taking it over from a closed owner, which [`docs/SEMANTICS.md`] describes, is not
/// in the sweep yet. Until then nobody moves in this environment, and the release says that it does not know.
#[test]
fn a_deployment_that_is_stopped_from_outside_leaves_its_locks_held_and_its_release_unknown() {
    let mut shop = Shop::open(1);
    let digest = shop.push(Image::Good);
    shop.run_until_state("AwaitTask");
    shop.run_for(SignedDuration::from_secs(10));
    let execution = shop.execution("deployment");
    shop.ask(
        "states",
        "StopExecution",
        json!({"executionArn": execution, "error": "Stopped", "cause": "by hand"}),
    );
    shop.finish();
    let observed = shop.observe(&digest);
    assert_eq!(observed.end.releases, ["FAILED unknown unknown_effect"]);
    assert_eq!(observed.end.deployments, ["  "], "nobody has written its end");
    assert!(
        observed.end.locks.values().all(|status| status == "HELD"),
        "{:?}",
        observed.end.locks
    );
    assert_eq!(
        observed.end.migrations,
        [Some(0)],
        "a migration is not killed by what happens to its deployment"
    );
    assert!(observed.end.rollouts.is_empty());
    let left: Vec<&str> = observed
        .problems
        .iter()
        .map(|problem| problem.split('#').next().unwrap_or_default())
        .collect();
    let held = ["row `DEPLOYMENT", "row `LOCK", "row `LOCK"];
    assert_eq!(left.get(..3), Some(&held[..]), "{:#?}", observed.problems);
    assert!(
        left.get(3).is_some_and(|last| last.ends_with("is Some(Aborted)")),
        "no wait is left: {:#?}",
        observed.problems
    );
    assert_eq!(left.len(), 4, "{:#?}", observed.problems);
    // The next release waits for the locks and does nothing without them.
    shop.push(Image::BadMigration);
    shop.run_for(SignedDuration::from_hours(1));
    let observed = shop.observe(&digest);
    assert_eq!(observed.path.last().map(String::as_str), Some("AcquireLocks"));
    assert_eq!(observed.end.migrations, [Some(0)]);
}
