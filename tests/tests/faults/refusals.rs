//! Services that refuse: for a moment, for a quarter of an hour, for good.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use simulator::{ApiError, CallOutcome, FaultKind, FunctionError, FunctionFault, Selector};
use simulator_ecs::{CapacityShortage, Ecs};

use crate::observation::End;
use crate::shop::{Image, Shop, ends_as_undisturbed, undisturbed};

/// F25.
#[test]
fn a_throttled_registration_is_repeated_until_it_is_let_through() {
    let mut shop = Shop::open(1);
    for nth in 1..=12 {
        shop.fault(
            Selector::operation("ecs", "RegisterTaskDefinition").nth(nth),
            FaultKind::Throttle,
        );
    }
    let digest = shop.deploy(Image::Good);
    let calls = shop.lab.world().calls();
    let registered = calls
        .iter()
        .filter(|call| call.operation == "RegisterTaskDefinition" && call.outcome == CallOutcome::Success);
    assert_eq!(registered.count(), 3, "one for each definition of the pipeline");
    ends_as_undisturbed(&mut shop, &digest);
}

/// F84: a quarter of an hour in which ECS answers nothing but errors, beginning in different states.
#[test]
fn a_storm_of_errors_in_ecs_is_outlasted_wherever_it_begins() {
    for state in ["RegisterRevision", "RunTask", "AwaitTask", "AwaitService"] {
        let mut shop = Shop::open(1);
        let digest = shop.push(Image::Good);
        shop.run_until_state(state);
        let ecs = Selector {
            service: Some("ecs".to_owned()),
            ..Selector::default()
        };
        shop.fault(
            ecs,
            FaultKind::ErrorBefore(ApiError::server(
                "ServerException",
                "Service Unavailable. Please try again later.",
            )),
        );
        shop.run_for(SignedDuration::from_mins(15));
        let struck = shop.struck().len();
        assert!(struck > 1, "{state}: the storm struck {struck} calls");
        shop.lab.world_mut().clear_faults();
        shop.finish();
        ends_as_undisturbed(&mut shop, &digest);
    }
}

/// F85: a permission that is missing ends the deployment at once, with the locks free and with what had happened by
/// then.
#[test]
fn a_missing_permission_fails_fast_and_clean() {
    let cases = [
        ("RegisterTaskDefinition", "FAILED none access_denied", 0),
        ("RunTask", "FAILED none task_never_started", 0),
        ("UpdateService", "FAILED schema_moved access_denied", 1),
    ];
    for (operation, end, migrations) in cases {
        let mut shop = Shop::open(1);
        let message = format!("User: esclusa is not authorized to perform: ecs:{operation}");
        let denied = ApiError::client("AccessDeniedException", message);
        shop.fault(Selector::operation("ecs", operation), FaultKind::ErrorBefore(denied));
        let digest = shop.push(Image::Good);
        shop.run_until(|world| world.calls().iter().any(|call| call.operation == operation));
        let refused_at = shop.now();
        shop.run_until(|world| world.calls().iter().any(|call| call.operation == "PutEvents"));
        assert!(
            shop.now().duration_since(refused_at) < SignedDuration::from_secs(30),
            "{operation}"
        );
        shop.finish();
        let observed = shop.observe(&digest);
        assert_eq!(observed.problems, Vec::<String>::new(), "{operation}");
        let calls = shop.lab.world().calls().iter().skip(shop.calls_before);
        assert_eq!(
            calls.filter(|call| call.operation == operation).count(),
            1,
            "{operation}"
        );
        let none = |service: &&str| ((*service).to_owned(), vec![false, false]);
        let expected = End {
            releases: vec![end.to_owned()],
            deployments: vec![end.to_owned()],
            migrations: vec![Some(0); migrations],
            running: Shop::SERVICES.iter().map(none).collect(),
            rollouts: BTreeMap::new(),
            locks: undisturbed(Image::Good).locks.clone(),
        };
        assert_eq!(observed.end, expected, "{operation}");
    }
}

/// F74: other transactions hold the same rows again and again.
#[test]
fn bursts_of_transaction_conflicts_cost_time_only() {
    for state in ["AcquireLocks", "RunTask", "JudgeTask", "UpdateService", "RecordEnd"] {
        let mut shop = Shop::open(1);
        let digest = shop.push(Image::Good);
        shop.run_until_state(state);
        let writes = Selector::operation("dynamodb", "TransactWriteItems").first(40);
        shop.fault(writes, FaultKind::Conflict);
        shop.finish();
        assert_eq!(shop.struck().len(), 40, "{state}");
        ends_as_undisturbed(&mut shop, &digest);
    }
}

/// F58: the rollouts wait for room as long as they may.
#[test]
fn a_rollout_outlasts_a_shortage_of_capacity_within_its_time() {
    let mut shop = Shop::open(1);
    let digest = shop.push(Image::Good);
    shop.run_until_state("UpdateService");
    shortage(&mut shop, SignedDuration::from_mins(40));
    shop.run_for(SignedDuration::from_mins(39));
    let running = shop.observe(&digest).end.running;
    assert_eq!(running["worker"], [false, false], "there is no shortage");
    shop.finish();
    ends_as_undisturbed(&mut shop, &digest);
}

/// F31 and F58: a task for which there is no room never started, so it is started again; when the attempts are used up
/// nothing has happened.
#[test]
fn a_migration_for_which_there_is_no_room_fails_with_nothing_done() {
    let mut shop = Shop::open(1);
    let digest = shop.push(Image::Good);
    shortage(&mut shop, SignedDuration::from_mins(40));
    shop.finish();
    let observed = shop.observe(&digest);
    assert_eq!(observed.end.deployments, ["FAILED none task_never_started"]);
    assert_eq!(observed.end.migrations, Vec::<Option<i64>>::new());
    assert_eq!(observed.end.rollouts, BTreeMap::new());
    assert_eq!(observed.problems, Vec::<String>::new());
}

fn shortage(shop: &mut Shop, duration: SignedDuration) {
    let now = shop.now();
    let (ecs, _) = shop.lab.world_mut().service_mut::<Ecs>().unwrap();
    ecs.settings
        .capacity_shortages
        .push(CapacityShortage::fargate(now, now + duration));
}

/// F43: Step Functions took the token and nobody heard. The first repetition within the client, and the next look of
/// another invocation, are told that the task has timed out; both are the success that they look for.
#[test]
fn a_token_whose_answer_is_lost_is_not_sent_in_vain() {
    for answers in [1, 3] {
        let mut shop = Shop::open(1);
        for nth in 1..=answers {
            shop.fault(
                Selector::operation("states", "SendTaskSuccess").nth(nth),
                FaultKind::AnswerLost,
            );
        }
        let digest = shop.deploy(Image::Good);
        let calls = shop.lab.world().calls().iter();
        let timed_out = CallOutcome::Error {
            code: "TaskTimedOut".to_owned(),
            effect: false,
        };
        assert!(
            calls
                .filter(|call| call.operation == "SendTaskSuccess")
                .any(|call| call.outcome == timed_out)
        );
        ends_as_undisturbed(&mut shop, &digest);
    }
}

/// F23: Lambda lets no function of the machines run for ten minutes, beginning in different states.
#[test]
fn functions_that_are_throttled_for_minutes_cost_time_only() {
    for state in ["RegisterRevision", "RunTask", "UpdateService", "JudgeService"] {
        let mut shop = Shop::open(1);
        let digest = shop.push(Image::Good);
        shop.run_until_state(state);
        let throttled = FunctionError::new("Lambda.TooManyRequestsException", "Rate Exceeded.");
        for machine in ["release", "deployment"] {
            let of_machine = Selector {
                machine: Some(format!("{}-{machine}", lab::DEPLOYER)),
                ..Selector::default()
            };
            let world = shop.lab.world_mut();
            world.add_function_fault(of_machine, FunctionFault::FailsBefore(throttled.clone()));
        }
        let before = shop.lab.world().calls().len();
        shop.run_for(SignedDuration::from_mins(10));
        let calls = shop.lab.world().calls().get(before..).unwrap_or_default();
        assert!(calls.iter().any(|call| call.function_fault.is_some()), "{state}");
        shop.lab.world_mut().clear_faults();
        shop.finish();
        ends_as_undisturbed(&mut shop, &digest);
    }
}

/// F44: Step Functions takes no answer for as long as the state waits. The state goes on by itself and finds that the
/// rollout has long won; the answer that comes later closes its row.
#[test]
fn an_answer_that_comes_when_its_state_has_gone_on_changes_nothing() {
    let mut shop = Shop::open(1);
    let digest = shop.push(Image::Good);
    shop.run_until_state("AwaitService");
    let unavailable = ApiError::server("ServiceUnavailable", "Service Unavailable. Please try again later.");
    let answers = Selector::operation("states", "SendTaskSuccess");
    shop.fault(answers, FaultKind::ErrorBefore(unavailable));
    shop.run_until_state("StopRollout");
    shop.lab.world_mut().clear_faults();
    shop.finish();
    let timed_out = CallOutcome::Error {
        code: "TaskTimedOut".to_owned(),
        effect: false,
    };
    let calls = shop.lab.world().calls().iter();
    let answered = calls.filter(|call| call.operation == "SendTaskSuccess" && call.outcome == timed_out);
    assert!(answered.count() > 0);
    ends_as_undisturbed(&mut shop, &digest);
}
