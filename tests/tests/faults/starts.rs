//! Executions that were, or were not, started.

use jiff::SignedDuration;
use simulator::{ApiError, CallOutcome, CallRecord, FaultKind, Principal, Selector};

use crate::points::{is_invocation, payload};
use crate::shop::{Image, Shop, ends_as_undisturbed};

const START: &str = "StartExecution";

fn starts(shop: &Shop) -> Vec<&CallRecord> {
    shop.lab
        .world()
        .calls()
        .iter()
        .filter(|call| call.operation == START)
        .collect()
}

/// F01 in its second half: the push was seen and written down, and then nobody started the release. Every attempt at
/// the event dies; the reading on a schedule starts what is claimed.
#[test]
fn a_release_that_was_claimed_and_never_started_is_started_by_the_next_reconciliation() {
    let mut shop = Shop::open(1);
    let intake = Selector {
        function: Some("esclusa-intake".to_owned()),
        ..Selector::operation("states", START)
    };
    shop.fault(intake, FaultKind::DieBefore);
    let digest = shop.push(Image::Good);
    // An asynchronous event is tried three times within three minutes.
    shop.run_for(SignedDuration::from_mins(4));
    let attempts = starts(&shop).len();
    assert!(attempts >= 3, "the event was tried {attempts} times");
    assert_eq!(shop.lab.executions("release"), Vec::<String>::new());
    shop.lab.world_mut().clear_faults();
    shop.finish();
    let reconciled = shop
        .lab
        .world()
        .calls()
        .iter()
        .any(|call| is_invocation(call) && payload(call)["action"] == "reconcile");
    assert!(reconciled);
    ends_as_undisturbed(&mut shop, &digest);
}

/// F17: the same name with the same input is answered with the execution that runs.
#[test]
fn a_start_whose_answer_is_lost_is_not_a_second_start() {
    // The first starts the release, the one after its repetition the deployment.
    for nth in [1, 2] {
        let mut shop = Shop::open(1);
        shop.fault(Selector::operation("states", START).nth(nth), FaultKind::AnswerLost);
        let digest = shop.deploy(Image::Good);
        assert_eq!(
            starts(&shop)
                .iter()
                .filter(|call| call.outcome == CallOutcome::Lost)
                .count(),
            1
        );
        assert_eq!(
            (
                shop.lab.executions("release").len(),
                shop.lab.executions("deployment").len()
            ),
            (1, 1)
        );
        ends_as_undisturbed(&mut shop, &digest);
    }
}

/// F18: the state that starts the deployment is tried again when the deployment has long ended.
#[test]
fn a_start_that_is_repeated_after_the_end_finds_the_deployment_that_ended() {
    let mut shop = Shop::open(1);
    let release_machine = Principal::Role("esclusa-release-state-machine".to_owned());
    let invocations = Selector::operation("lambda", "Invoke").by(release_machine);
    shop.fault(Selector::operation("states", START).nth(2), FaultKind::DieAfter);
    // OpenRelease, PlanWave, AskGates, StartDeployment, and StartDeployment again.
    shop.fault(invocations.nth(5), FaultKind::Delay(SignedDuration::from_hours(2)));
    let digest = shop.deploy(Image::Good);
    let refused = |call: &&&CallRecord| matches!(call.outcome, CallOutcome::Error { .. });
    let starts = starts(&shop);
    assert_eq!(
        starts.iter().filter(refused).count(),
        0,
        "what has an end is not started again"
    );
    assert_eq!(shop.lab.executions("deployment").len(), 1);
    ends_as_undisturbed(&mut shop, &digest);
}

/// A release that does not know whether it started its deployment waits for what is written down.
#[test]
fn a_release_that_lost_sight_of_a_deployment_it_started_waits_for_its_end() {
    let mut shop = Shop::open(1);
    shop.fault(Selector::operation("states", START).nth(2), FaultKind::DieAfter);
    let denied = ApiError::client(
        "AccessDeniedException",
        "not authorized to perform: states:StartExecution",
    );
    shop.fault(
        Selector::operation("states", START).nth(3),
        FaultKind::ErrorBefore(denied),
    );
    // The deployment lives on, slowly enough to be seen by its release in its first state.
    let deployment_machine = Principal::Role("esclusa-deployment-state-machine".to_owned());
    shop.fault(
        Selector::operation("lambda", "Invoke").by(deployment_machine).nth(1),
        FaultKind::Delay(SignedDuration::from_mins(5)),
    );
    let digest = shop.deploy(Image::Good);
    ends_as_undisturbed(&mut shop, &digest);
}

/// A deployment that Step Functions refuses to start is concluded as one that never began, and holds nothing.
#[test]
fn a_deployment_that_cannot_be_started_ends_as_one_that_did_nothing() {
    let mut shop = Shop::open(1);
    let denied = ApiError::client(
        "AccessDeniedException",
        "not authorized to perform: states:StartExecution",
    );
    shop.fault(
        Selector::operation("states", START).nth(2),
        FaultKind::ErrorBefore(denied),
    );
    let digest = shop.deploy(Image::Good);
    let observed = shop.observe(&digest);
    assert_eq!(observed.end.releases, ["FAILED none access_denied"]);
    assert_eq!(observed.end.deployments, ["FAILED none access_denied"]);
    assert_eq!(observed.problems, Vec::<String>::new());
}

/// A deployment that was planned, and of whose plan nobody heard, ends with its release: no other release waits for it.
#[test]
fn a_deployment_that_was_only_planned_is_concluded_with_its_release() {
    let mut shop = Shop::open(1);
    let observe = |operation: &str| Selector {
        function: Some("esclusa-observe".to_owned()),
        ..Selector::operation("dynamodb", operation)
    };
    shop.fault(observe("TransactWriteItems").nth(1), FaultKind::DieAfter);
    let denied = ApiError::client("AccessDeniedException", "not authorized to perform: dynamodb:GetItem");
    shop.push(Image::Good);
    shop.run_until(|world| {
        let planned = |call: &&CallRecord| {
            call.operation == "TransactWriteItems" && call.function.as_deref() == Some("esclusa-observe")
        };
        world.calls().iter().filter(planned).count() == 1
    });
    shop.fault(observe("GetItem"), FaultKind::ErrorBefore(denied));
    shop.run_for(SignedDuration::from_mins(5));
    shop.lab.world_mut().clear_faults();
    shop.finish();
    let observed = shop.observe("");
    assert_eq!(observed.end.releases, ["FAILED none access_denied"]);
    assert_eq!(observed.end.deployments, ["FAILED none access_denied"]);
    assert_eq!(observed.problems, Vec::<String>::new());
}

/// A release that cannot even be opened is over: nothing is left that would be started again and again.
#[test]
fn a_release_that_cannot_be_opened_is_closed_and_not_looked_for_any_more() {
    let mut shop = Shop::open(1);
    let denied = ApiError::client("AccessDeniedException", "not authorized to perform: dynamodb:GetItem");
    let first = Selector {
        function: Some("esclusa-record".to_owned()),
        ..Selector::operation("dynamodb", "GetItem")
    };
    shop.fault(first.nth(1), FaultKind::ErrorBefore(denied));
    let digest = shop.deploy(Image::Good);
    let observed = shop.observe(&digest);
    assert_eq!(observed.end.releases, ["FAILED none access_denied"]);
    assert_eq!(observed.problems, Vec::<String>::new());
}
