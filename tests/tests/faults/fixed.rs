//! Faults at one fixed point each. That each of them strikes is asserted with what it comes to: an explored plan may
//! miss its point, and a sampled loop leaves most of them out.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator::kernel::Service;
use simulator::{ApiError, CallOutcome, DynamoDb, FaultKind, FunctionError, FunctionFault, Principal, Selector, World};
use simulator_ecs::Ecs;
use simulator_event_bridge::{EventBridge, Fault, Occurrence};
use simulator_step_functions::StepFunctions;

use crate::observation::{FAILED, text};
use crate::shop::{Image, Shop, ends_as_undisturbed};

/// What a deployment of the shop does, each by the function that does it.
const ACTS: [(&str, &str, &str); 4] = [
    ("register", "ecs", "RegisterTaskDefinition"),
    ("migrate", "ecs", "RunTask"),
    ("update", "ecs", "UpdateService"),
    ("record", "dynamodb", "TransactWriteItems"),
];

fn of_function(function: &str, service: &str, operation: &str) -> Selector {
    Selector {
        function: Some(format!("esclusa-{function}")),
        ..Selector::operation(service, operation)
    }
}

/// F20, and F28 where it is `RunTask`.
#[test]
fn a_function_that_dies_at_an_act_is_replaced_and_the_act_is_done_once() {
    for (function, service, operation) in ACTS {
        for fault in [FaultKind::DieBefore, FaultKind::DieAfter] {
            let mut shop = Shop::open(1);
            shop.fault(of_function(function, service, operation).nth(1), fault);
            let digest = shop.deploy(Image::Good);
            assert_eq!(shop.struck().len(), 1, "{operation}");
            ends_as_undisturbed(&mut shop, &digest);
        }
    }
}

/// The active revisions of task definitions that no deployment uses, of those that were registered since.
fn unused_since(shop: &mut Shop, before: &BTreeSet<String>) -> usize {
    let control = shop.items("esclusa-control");
    let used = control.iter().map(|item| text(item, "/task_definition_arn/S"));
    let used: BTreeSet<&str> = used.collect();
    let registered = revisions(shop);
    let registered = registered.difference(before);
    registered.filter(|arn| !used.contains(arn.as_str())).count()
}

fn revisions(shop: &mut Shop) -> BTreeSet<String> {
    let listed = shop.ask("ecs", "ListTaskDefinitions", json!({}));
    let arns = listed["taskDefinitionArns"].as_array().unwrap();
    arns.iter().map(|arn| arn.as_str().unwrap().to_owned()).collect()
}

/// F24, also of two runs at once.
#[test]
fn a_revision_whose_registration_was_not_heard_of_is_found_by_its_tags_and_used() {
    let registrations = Selector::operation("ecs", "RegisterTaskDefinition");
    let tries = Selector::state(&format!("{}-deployment", lab::DEPLOYER), "RegisterRevision");
    for (selector, fault) in [
        (&registrations, FaultKind::DieAfter),
        (&registrations, FaultKind::AnswerLost),
        (&tries, FaultKind::Repeat),
    ] {
        for nth in 1..=3 {
            let mut shop = Shop::open(1);
            let before = revisions(&mut shop);
            shop.fault(selector.clone().nth(nth), fault.clone());
            let digest = shop.deploy(Image::Good);
            assert_eq!(shop.struck().len(), 1, "{fault:?} at {nth}");
            assert_eq!(
                revisions(&mut shop).difference(&before).count(),
                3,
                "{fault:?} at {nth}"
            );
            assert_eq!(unused_since(&mut shop, &before), 0, "{fault:?} at {nth}");
            ends_as_undisturbed(&mut shop, &digest);
        }
    }
}

/// F24: a deployment that ends before it has looked leaves the one that it has not heard of.
#[test]
fn a_revision_that_nobody_may_look_for_is_the_only_one_that_is_left_unused() {
    let mut shop = Shop::open(1);
    let before = revisions(&mut shop);
    shop.fault(
        Selector::operation("ecs", "RegisterTaskDefinition").nth(1),
        FaultKind::DieAfter,
    );
    let denied = ApiError::client(
        "AccessDeniedException",
        "not authorized to perform: ecs:ListTaskDefinitions",
    );
    let looks = of_function("register", "ecs", "ListTaskDefinitions");
    shop.fault(looks, FaultKind::ErrorBefore(denied));
    let digest = shop.deploy(Image::Good);
    assert_eq!(shop.struck().len(), 2);
    assert_eq!(unused_since(&mut shop, &before), 1);
    let observed = shop.observe(&digest);
    assert_eq!(observed.end.deployments, ["FAILED none access_denied"]);
    assert_eq!(observed.problems, Vec::<String>::new());
}

/// F73: at once, while DynamoDB knows the token of the transaction, and when it has forgotten it, after ten minutes.
#[test]
fn a_transaction_whose_answer_is_lost_is_recognised_by_who_repeats_it() {
    for state in ["AcquireLocks", "RunTask", "JudgeTask", "UpdateService", "RecordEnd"] {
        for away in [SignedDuration::ZERO, SignedDuration::from_mins(11)] {
            let mut shop = Shop::open(1);
            let digest = shop.push(Image::Good);
            shop.run_until_state(state);
            let writes = Selector::operation("dynamodb", "TransactWriteItems").nth(1);
            if away.is_zero() {
                shop.fault(writes, FaultKind::AnswerLost);
            } else {
                shop.fault(writes, FaultKind::DieAfter);
                shop.run_until(|world| world.calls().iter().any(|call| call.fault.is_some()));
                let throttled = FunctionError::new("Lambda.TooManyRequestsException", "Rate Exceeded.");
                let machine = Selector {
                    machine: Some(format!("{}-deployment", lab::DEPLOYER)),
                    ..Selector::default()
                };
                let world = shop.lab.world_mut();
                world.add_function_fault(machine, FunctionFault::FailsBefore(throttled));
                shop.run_for(away);
                shop.lab.world_mut().clear_faults();
            }
            shop.finish();
            let outcomes: Vec<&CallOutcome> = shop.struck().iter().map(|call| &call.outcome).collect();
            assert_eq!(outcomes, [&CallOutcome::Lost], "{state}");
            ends_as_undisturbed(&mut shop, &digest);
        }
    }
}

/// F20: of two runs of one act the one that announced it is refused, while the other is about to call. The refusal
/// settles nothing: what the other run did counts.
#[test]
fn a_refusal_says_nothing_about_what_another_run_of_the_same_act_did() {
    for (function, operation) in [("migrate", "RunTask"), ("update", "UpdateService")] {
        let mut shop = Shop::open(1);
        let tries = Selector::state(&format!("{}-deployment", lab::DEPLOYER), operation);
        shop.fault(tries.nth(1), FaultKind::Repeat);
        let digest = shop.push(Image::Good);
        shop.run_until_state(operation);
        // One run begins to read when the other has announced the act and was refused, and calls when that one has
        // written down what it takes for the outcome.
        let late = |milliseconds| FaultKind::Delay(SignedDuration::from_millis(milliseconds));
        shop.fault(of_function(function, "dynamodb", "GetItem").nth(1), late(300));
        shop.fault(
            of_function(function, "dynamodb", "TransactWriteItems").nth(2),
            late(1_000),
        );
        let message = format!("User: esclusa is not authorized to perform: ecs:{operation}");
        let denied = ApiError::client("AccessDeniedException", message);
        let calls = of_function(function, "ecs", operation);
        shop.fault(calls.clone().nth(1), FaultKind::ErrorBefore(denied));
        shop.fault(calls.nth(2), late(2_000));
        shop.finish();
        assert_eq!(shop.struck().len(), 5, "{operation}");
        ends_as_undisturbed(&mut shop, &digest);
    }
}

/// F40: the task runs, and migrates, and ECS says that it is missing. Whoever waits for it looks again.
#[test]
fn a_task_that_ecs_does_not_show_yet_is_looked_at_again() {
    let mut shop = Shop::open(1);
    let (ecs, _) = shop.lab.world_mut().service_mut::<Ecs>().unwrap();
    ecs.settings.task_visible_after = SignedDuration::from_secs(40);
    let digest = shop.push(Image::Good);
    shop.run_until_state("AwaitTask");
    let begun = shop.lab.world().calls().len();
    let looks = |shop: &Shop| {
        let calls = shop.lab.world().calls().iter().skip(begun);
        let of_ours = calls.filter(|call| call.function.as_deref() == Some("esclusa-resume"));
        let looks = of_ours.filter(|call| call.operation == "DescribeTasks");
        looks.map(|call| call.input["tasks"].clone()).collect::<Vec<Value>>()
    };
    shop.run_for(SignedDuration::from_secs(5));
    let looked_at = looks(&shop);
    assert!(!looked_at.is_empty(), "nobody has looked");
    for tasks in looked_at {
        let described = shop.ask(
            "ecs",
            "DescribeTasks",
            json!({"cluster": Shop::CLUSTER, "tasks": tasks}),
        );
        assert_eq!(described["tasks"], json!([]));
        assert_eq!(described["failures"][0]["reason"], "MISSING");
    }
    shop.finish();
    assert!(looks(&shop).len() > 1, "nobody has looked again");
    ends_as_undisturbed(&mut shop, &digest);
}

/// F75: what does not ask for consistency is answered with what the tables held before the push.
#[test]
fn reads_that_lag_behind_a_whole_release_change_nothing() {
    let mut shop = Shop::open(1);
    let (dynamodb, _) = shop.lab.world_mut().service_mut::<DynamoDb>().unwrap();
    dynamodb.set_read_lag(SignedDuration::from_hours(12)).unwrap();
    let digest = shop.deploy(Image::Good);
    let control = shop.items("esclusa-control");
    let release = control.iter().find(|item| text(item, "/sk/S") == "RELEASE").unwrap();
    let key = json!({"pk": release["pk"], "sk": release["sk"]});
    let stale = shop.ask(
        "dynamodb",
        "GetItem",
        json!({"TableName": "esclusa-control", "Key": key}),
    );
    assert_eq!(stale.get("Item"), None, "the reads do not lag behind");
    ends_as_undisturbed(&mut shop, &digest);
}

/// F76: rows whose time is over may still be there days later, or be gone at once. A release that comes then is one
/// like any other, an event that comes again after all that time starts nothing, and what ran before is still known.
#[test]
fn expired_rows_decide_nothing_whether_they_are_still_there_or_gone() {
    for is_gone in [false, true] {
        let mut shop = Shop::open(1);
        let first = shop.push_as("v1", Image::Good);
        shop.finish();
        let events = shop.lab.world().events().iter().skip(shop.events_before);
        let mut pushes = events.filter(|event| text(event, "/detail-type") == "ECR Image Action");
        let push: Value = pushes.next().unwrap().clone();
        assert!(expire(&mut shop, is_gone) > 0, "nothing has expired");
        shop.push_as("v2", Image::Good);
        shop.finish();
        assert!(expire(&mut shop, is_gone) > 0, "nothing has expired");
        let before = shop.lab.executions("release").len();
        let (bus, kernel) = shop.lab.world_mut().service_mut::<EventBridge>().unwrap();
        bus.event(&push, kernel);
        shop.finish();
        assert_eq!(shop.lab.executions("release").len(), before, "gone: {is_gone}");
        expire(&mut shop, is_gone);
        let back = ["rollback", "shop", "production", "--reason", "errors", "--no-wait"];
        let answer = shop.lab.esclusa(&back);
        assert_eq!(answer.code, 0, "{}", answer.err);
        shop.finish();
        let observed = shop.observe(&first);
        let mut ends = observed.end.deployments;
        ends.sort();
        let [proven, moved] = ["none", "schema_moved"].map(|effect| format!("SUCCEEDED {effect} proven"));
        assert_eq!(ends, [proven, moved.clone(), moved], "gone: {is_gone}");
        assert_eq!(observed.end.migrations, [Some(0); 2], "gone: {is_gone}");
        let running: Vec<bool> = observed.end.running.into_values().flatten().collect();
        assert_eq!(running, [true; 4], "gone: {is_gone}");
        assert_eq!(observed.problems, Vec::<String>::new(), "gone: {is_gone}");
    }
}

/// Lets the time of every row be over that has one; how many they are.
fn expire(shop: &mut Shop, is_gone: bool) -> usize {
    let rows = shop.items("esclusa-control");
    let mut expiring: Vec<Value> = rows
        .into_iter()
        .filter(|item| item.get("expires_at").is_some())
        .collect();
    let long_ago = shop.now() - SignedDuration::from_hours(24 * 3);
    for row in &mut expiring {
        let mut input = json!({"TableName": "esclusa-control"});
        let operation = if is_gone {
            input["Key"] = json!({"pk": row["pk"], "sk": row["sk"]});
            "DeleteItem"
        } else {
            row["expires_at"] = json!({"N": long_ago.as_second().to_string()});
            input["Item"] = row.clone();
            "PutItem"
        };
        shop.ask("dynamodb", operation, input);
    }
    expiring.len()
}

/// F86: the clocks of whoever waits, whoever acts and whoever writes it down are minutes apart.
#[test]
fn clocks_that_are_off_by_minutes_cost_time_only() {
    let functions = [
        "intake", "observe", "register", "migrate", "update", "traffic", "record", "resume",
    ];
    for (even, odd) in [(4, -4), (-4, 4)] {
        let mut shop = Shop::open(1);
        for (index, function) in functions.iter().enumerate() {
            let minutes = if index % 2 == 0 { even } else { odd };
            let role = Principal::Role(format!("{}-{function}", lab::DEPLOYER));
            let skew = SignedDuration::from_mins(minutes);
            shop.lab.world_mut().skew_clock(&role, skew);
        }
        let digest = shop.deploy(Image::Good);
        assert_eq!(off_by_minutes(&shop), BTreeSet::from([even, odd]));
        ends_as_undisturbed(&mut shop, &digest);
    }
}

/// By how many minutes the moments of the ledger's records are off.
fn off_by_minutes(shop: &Shop) -> BTreeSet<i64> {
    let calls = shop.lab.world().calls().iter().skip(shop.calls_before);
    let writes = calls.filter(|call| call.operation == "TransactWriteItems" && call.function.is_some());
    let records = writes.flat_map(|call| {
        let items = call.input["TransactItems"].as_array().unwrap();
        items.iter().map(|item| (call.at, text(item, "/Put/Item/at/S")))
    });
    let written = records.filter_map(|(at, written)| Some((at, written.parse::<Timestamp>().ok()?)));
    // To the nearest minute: a record is written moments after its time was read.
    let minutes = |(at, written): (Timestamp, Timestamp)| (written.duration_since(at).as_secs() + 30).div_euclid(60);
    written.map(minutes).collect()
}

/// F86: nothing is told, so that only the schedules wake anybody, and they are a minute late or come twice.
#[test]
fn schedules_that_are_late_or_come_twice_cost_time_only() {
    for fault in [FaultKind::Delay(SignedDuration::from_secs(60)), FaultKind::Repeat] {
        let mut shop = Shop::open(1);
        for source in ["aws.ecs", "aws.states"] {
            shop.disturb(&json!({"source": [source]}), Occurrence::Every, Fault::Drop);
        }
        let scheduled = Selector {
            payload: vec![("/action".to_owned(), json!("sweep"))],
            ..Selector::operation("lambda", "Invoke")
        };
        shop.fault(scheduled, fault.clone());
        let digest = shop.deploy(Image::Good);
        assert!(
            shop.struck().len() > 5,
            "{fault:?} struck {} sweeps",
            shop.struck().len()
        );
        let woken = shop.woken_by("deployment");
        assert!(woken.iter().all(|(_, source)| source == "sweep"), "{woken:?}");
        ends_as_undisturbed(&mut shop, &digest);
    }
}

fn is_away() -> FaultKind {
    FaultKind::ErrorBefore(ApiError::server(
        "ServiceException",
        "The service encountered an internal error.",
    ))
}

/// The pipeline of the shop with rollouts that may take hours.
fn patient() -> String {
    let pipeline = std::fs::read_to_string(lab::repository().join("lab/src/explorer/shop.yaml")).unwrap();
    pipeline.replace("timeout_seconds: 3600", "timeout_seconds: 14400")
}

/// Whether the token of a state is written down, so that nothing more is asked of the deployer until it is over.
fn waits(world: &World, state: &str) -> bool {
    let control = world.service::<DynamoDb>().unwrap().items("esclusa-control").unwrap();
    let mut pointers = control.iter().filter(|item| text(item, "/pk/S") == "OPEN#WAIT");
    pointers.any(|pointer| text(pointer, "/state/S") == state)
}

/// F90 for rolling deployments: no function runs while ECS is waited for, and ECS goes on by itself. It remembers a
/// task for an hour, and a rollout for months.
#[test]
fn a_deployer_that_is_away_for_hours_while_it_waits_goes_on_where_it_was() {
    for (state, minutes) in [("AwaitTask", 50), ("AwaitService", 150)] {
        let mut shop = Shop::open(1);
        shop.apply(&patient());
        let digest = shop.push(Image::Good);
        shop.run_until(|world| waits(world, state));
        shop.fault(Selector::operation("lambda", "Invoke"), is_away());
        shop.run_for(SignedDuration::from_mins(minutes));
        let struck = shop.struck().len();
        assert!(struck > 100, "{state}: {struck}");
        shop.lab.world_mut().clear_faults();
        shop.finish();
        ends_as_undisturbed(&mut shop, &digest);
    }
}

/// F90 for what cannot wait for hours: the deployment is given up, and the schedules write its end when the deployer is
/// back. The end is as clean as what had begun.
#[test]
fn a_deployer_that_is_away_for_hours_when_it_is_to_act_comes_to_an_end_that_is_true() {
    for (state, end, migrations, lock) in [
        ("RegisterRevision", "FAILED none interrupted", 0, "FREE"),
        ("RunTask", "FAILED none interrupted", 0, "FREE"),
        ("JudgeTask", "FAILED unknown interrupted", 1, "QUARANTINED"),
        ("UpdateService", "FAILED schema_moved interrupted", 1, "FREE"),
        ("RecordEnd", "SUCCEEDED schema_moved proven", 1, "FREE"),
    ] {
        let mut shop = Shop::open(1);
        let digest = shop.push(Image::Good);
        shop.run_until_state(state);
        shop.fault(Selector::operation("lambda", "Invoke"), is_away());
        shop.run_for(SignedDuration::from_hours(2));
        assert!(shop.struck().len() > 100, "{state}: {}", shop.struck().len());
        shop.lab.world_mut().clear_faults();
        shop.finish();
        let mut observed = shop.observe(&digest);
        // The execution could not say so itself.
        observed.problems.retain(|problem| !problem.ends_with(FAILED));
        assert_eq!(observed.problems, Vec::<String>::new(), "{state}");
        assert_eq!(observed.end.releases, [end], "{state}");
        assert_eq!(observed.end.deployments, [end], "{state}");
        assert_eq!(observed.end.migrations, vec![Some(0); migrations], "{state}");
        assert!(observed.end.locks.values().all(|status| status == lock), "{state}");
    }
}

/// F19: every call is refused for a while, and nothing is lost.
#[test]
fn a_start_that_is_throttled_is_tried_until_it_is_let_through() {
    let full = "The maximum number of running executions has been reached.";
    for fault in [
        FaultKind::Throttle,
        FaultKind::ErrorBefore(ApiError::client("ExecutionLimitExceeded", full)),
    ] {
        // The first start is that of the release, the next one that of its deployment.
        for machine in ["release", "deployment"] {
            let mut shop = Shop::open(1);
            let digest = shop.push(Image::Good);
            if machine == "deployment" {
                shop.run_until(|world| !world.service::<StepFunctions>().unwrap().executions().is_empty());
            }
            shop.fault(Selector::operation("states", "StartExecution"), fault.clone());
            shop.run_for(SignedDuration::from_mins(10));
            let struck = shop.struck().len();
            assert!(struck > 2, "{fault:?} struck {struck} starts of a {machine}");
            assert_eq!(shop.lab.executions(machine), Vec::<String>::new());
            shop.lab.world_mut().clear_faults();
            // What was claimed and not started is started by the next reconciliation.
            shop.run_for(SignedDuration::from_mins(6));
            shop.finish();
            ends_as_undisturbed(&mut shop, &digest);
        }
    }
}
