//! An execution that somebody stops: nothing in it can catch that.

use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator::services::Sqs;
use simulator::{ApiError, Fault, FaultKind, Selector};
use simulator_event_bridge::{Fault as DeliveryFault, Occurrence};

use crate::observation::Observation;
use crate::shop::{Image, SWEPT, Shop, undisturbed};

/// Stops the only executions of these machines when the deployment is in a state, and lets everything come to rest.
fn stop(shop: &mut Shop, machines: &[&str], state: &str, after: SignedDuration) -> Observation {
    let digest = shop.push(Image::Good);
    shop.run_until_state(state);
    shop.run_for(after);
    for machine in machines {
        let execution = shop.execution(machine);
        shop.ask(
            "states",
            "StopExecution",
            json!({"executionArn": execution, "error": "Stopped", "cause": "by hand"}),
        );
    }
    shop.finish();
    shop.observe(&digest)
}

fn stopped_in(state: &str, after: SignedDuration) -> (Shop, Observation) {
    let mut shop = Shop::open(1);
    let observed = stop(&mut shop, &["deployment"], state, after);
    (shop, observed)
}

/// What is left besides the executions that were stopped.
fn problems(observed: &Observation) -> Vec<&String> {
    let stopped = |problem: &&String| problem.ends_with("is Some(Aborted)");
    observed.problems.iter().filter(|problem| !stopped(problem)).collect()
}

/// F49 and F81. The release concludes for the execution that cannot: a migration that runs on is of unknown effect, and
/// a person must look.
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

/// Before anything was announced there is nothing to be unsure of: the locks are free, and the next release goes
/// through.
#[test]
fn a_deployment_that_is_stopped_before_it_acts_frees_its_locks() {
    let (mut shop, observed) = stopped_in("PlanDeployment", SignedDuration::ZERO);
    assert_eq!(observed.end.deployments, ["FAILED none interrupted"]);
    assert!(
        observed.end.locks.values().all(|status| status == "FREE"),
        "{:?}",
        observed.end.locks
    );
    assert_eq!(problems(&observed), Vec::<&String>::new());
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

/// F49 without anybody who waits: neither execution can write an end. The events of their ends do, or the sweep where
/// these are lost.
#[test]
fn a_release_that_is_stopped_with_its_deployment_is_concluded_by_event_or_by_sweep() {
    for events_are_lost in [false, true] {
        let mut shop = Shop::open(1);
        if events_are_lost {
            let ends = json!({"detail-type": ["Step Functions Execution Status Change"]});
            shop.disturb(&ends, Occurrence::Every, DeliveryFault::Drop);
        }
        let observed = stop(
            &mut shop,
            &["release", "deployment"],
            "AwaitTask",
            SignedDuration::from_secs(10),
        );
        shop.run_for(SWEPT);
        let observed = Observation {
            problems: shop.observe("").problems,
            ..observed
        };
        assert_eq!(observed.end.deployments, ["FAILED unknown interrupted"]);
        assert_eq!(observed.end.releases, ["FAILED unknown interrupted"]);
        assert!(observed.end.locks.values().all(|status| status == "QUARANTINED"));
        assert_eq!(problems(&observed), Vec::<&String>::new());
    }
}

/// Stopping a release does not stop its deployment, and what the deployment proves is true for the release as well.
#[test]
fn a_release_that_is_stopped_alone_ends_as_its_deployment_does() {
    let mut shop = Shop::open(1);
    // So that the deployment goes on for longer than the event of the release's end is delivered: only the sweep sees
    // the task stop.
    let tasks = json!({"detail-type": ["ECS Task State Change"]});
    shop.disturb(&tasks, Occurrence::Every, DeliveryFault::Drop);
    let observed = stop(&mut shop, &["release"], "AwaitTask", SignedDuration::from_secs(10));
    let good = undisturbed(Image::Good);
    assert_eq!(observed.end.deployments, good.deployments);
    assert_eq!(observed.end.releases, good.releases);
    assert_eq!(problems(&observed), Vec::<&String>::new());
    // That the end of its execution could not be concluded while the deployment ran is no event that nobody could
    // deliver.
    let queue = shop.lab.world().service::<Sqs>().unwrap();
    assert_eq!(queue.messages("esclusa-dead-letters").len(), 0);
}

/// The end is concluded from what is written down: an execution that was stopped behind its last proof takes nothing
/// back.
#[test]
fn what_is_proven_stays_proven_when_the_execution_is_stopped_before_it_could_say_so() {
    let mut shop = Shop::open(1);
    let digest = shop.push(Image::Good);
    shop.run_until_state("RecordEnd");
    let away = ApiError::server("InternalServerError", "the table is away");
    let writes = Selector {
        function: Some("esclusa-record".to_owned()),
        ..Selector::operation("dynamodb", "TransactWriteItems")
    };
    shop.fault(writes, FaultKind::ErrorBefore(away));
    shop.run_for(SignedDuration::from_secs(30));
    let execution = shop.execution("deployment");
    shop.ask(
        "states",
        "StopExecution",
        json!({"executionArn": execution, "error": "Stopped", "cause": "by hand"}),
    );
    shop.run_for(SignedDuration::from_secs(30));
    shop.lab.world_mut().clear_faults();
    shop.finish();
    let observed = shop.observe(&digest);
    assert_eq!(&observed.end, undisturbed(Image::Good));
    assert_eq!(problems(&observed), Vec::<&String>::new());
}

/// What the sweep found later of an act of the only deployment, whose function died with its answer and whose execution
/// was stopped then.
fn found_later(function: &str, operation: &str, image: Image) -> Value {
    let mut shop = Shop::open(1);
    let act = Selector {
        function: Some(function.to_owned()),
        ..Selector::operation("ecs", operation)
    };
    shop.lab
        .world_mut()
        .add_fault(Fault::new(act.nth(1), FaultKind::DieAfter));
    let digest = shop.push(image);
    shop.run_until(|world| world.calls().iter().any(|call| call.fault.is_some()));
    let execution = shop.execution("deployment");
    shop.ask("states", "StopExecution", json!({"executionArn": execution}));
    shop.finish();
    shop.run_for(SWEPT);
    let observed = shop.observe(&digest);
    assert_eq!(observed.end.deployments.len(), 1);
    let rows = shop.ask("dynamodb", "Scan", json!({"TableName": "esclusa-ledger"}));
    let mut found: Vec<Value> = rows["Items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| serde_json::from_str::<Value>(row["body"]["S"].as_str()?).ok())
        .filter_map(|body| body.pointer("/outcome/foundLater").cloned())
        .collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

/// F81: what the world shows of an act whose outcome nobody could write down any more is recorded when nobody can act
/// for its deployment.
#[test]
fn what_became_of_an_act_without_an_outcome_is_looked_up_and_recorded() {
    // Its migration runs on.
    let task = found_later("esclusa-migrate", "RunTask", Image::HangingMigration);
    let [running] = &task["running"].as_array().unwrap()[..] else {
        panic!("{task:#}")
    };
    assert!(running.as_str().unwrap().contains(":task/shop/"), "{task:#}");
    // Where it has come to its end meanwhile, ECS lists it no more: its events have told.
    let task = found_later("esclusa-migrate", "RunTask", Image::Good);
    assert_eq!(task["running"], json!([]), "{task:#}");
    assert!(task["known"].as_str().unwrap().contains(":task/shop/"), "{task:#}");
    let heard = &task["heard"];
    assert!(
        heard["lastStatus"] == "STOPPED" && heard["exitCodes"].to_string().contains(":0"),
        "{task:#}"
    );
    // The update has moved the service, and nobody brings it back.
    let update = found_later("esclusa-update", "UpdateService", Image::Good);
    let service = &update["service"];
    let runs = service["taskDefinition"].as_str().unwrap();
    assert!(
        runs.ends_with("task-definition/shop-worker:2") && service["status"] == "ACTIVE",
        "{update:#}"
    );
    let revision = found_later("esclusa-register", "RegisterTaskDefinition", Image::Good);
    let newest = revision["newestRevision"].as_str().unwrap();
    assert!(
        newest.ends_with(":2") && revision["ofThisRelease"] == true,
        "{revision:#}"
    );
}
