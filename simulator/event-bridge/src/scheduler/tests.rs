use serde_json::{Value, json};
use simulator_kernel::{ApiError, Principal};

use super::Scheduler;
use crate::testing::{FUNCTION, MACHINE, QUEUE, ROLE, World};

fn schedule(name: &str, expression: &str) -> Value {
    json!({
        "Name": name,
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": FUNCTION, "RoleArn": ROLE, "Input": "{\"sweep\": true}"},
    })
}

fn with(mut schedule: Value, pointer: &str, member: &str, value: Value) -> Value {
    schedule
        .pointer_mut(pointer)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .insert(member.to_owned(), value);
    schedule
}

#[test]
fn a_rate_invokes_the_function_as_its_role_within_a_minute_of_each_due_time() {
    let mut world = World::new(Scheduler::new());
    world
        .call("CreateSchedule", schedule("sweep", "rate(5 minutes)"))
        .unwrap();
    let start = world.kernel.now().as_second();
    world.run_well(1260);
    assert_eq!(world.calls.len(), 4);
    for (run, (at, call)) in world.calls.iter().enumerate() {
        let due = start + 300 * (i64::try_from(run).unwrap() + 1);
        assert!((due..due + 60).contains(at), "run {run} was at {}", at - start);
        assert_eq!((call.service.as_str(), call.operation.as_str()), ("lambda", "Invoke"));
        assert_eq!(call.input["Payload"], json!({"sweep": true}));
        assert_eq!(call.principal, Principal::Role("start-release".to_owned()));
        assert_eq!(
            call.source_arn.as_deref(),
            Some("arn:aws:scheduler:us-east-1:123456789012:schedule/default/sweep")
        );
    }
}

#[test]
fn a_one_time_schedule_runs_once_and_stays_unless_it_says_delete() {
    let mut world = World::new(Scheduler::new());
    world
        .call("CreateSchedule", schedule("keep", "at(2026-11-02T09:10:00)"))
        .unwrap();
    let spent = with(
        schedule("gone", "at(2026-11-02T09:10:00)"),
        "",
        "ActionAfterCompletion",
        json!("DELETE"),
    );
    world.call("CreateSchedule", spent).unwrap();
    world.run_well(86_400);
    assert_eq!(world.calls.len(), 2);
    assert!(world.call("GetSchedule", json!({"Name": "keep"})).is_ok());
    assert_eq!(
        world.call("GetSchedule", json!({"Name": "gone"})).unwrap_err().code,
        "ResourceNotFoundException"
    );
}

#[test]
fn without_an_input_the_target_receives_a_scheduled_event() {
    let mut world = World::new(Scheduler::new());
    let mut machine = schedule("start", "rate(1 hour)");
    machine["Target"] = json!({"Arn": MACHINE, "RoleArn": ROLE});
    world.call("CreateSchedule", machine).unwrap();
    world.run_well(3700);
    let call = &world.calls[0].1;
    assert_eq!(call.operation, "StartExecution");
    let event: Value = serde_json::from_str(call.input["input"].as_str().unwrap()).unwrap();
    assert_eq!(
        (event["source"].as_str(), event["detail"].as_str()),
        (Some("aws.scheduler"), Some("{}"))
    );
}

#[test]
fn the_input_may_name_the_moment_it_was_due() {
    let mut world = World::new(Scheduler::new());
    let input = json!({"due": "<aws.scheduler.scheduled-time>"}).to_string();
    world
        .call(
            "CreateSchedule",
            with(schedule("due", "rate(1 hour)"), "/Target", "Input", json!(input)),
        )
        .unwrap();
    world.run_well(3700);
    assert_eq!(
        world.calls[0].1.input["Payload"],
        json!({"due": "2026-11-02T10:00:00Z"})
    );
}

#[test]
fn an_existing_name_is_a_conflict_except_for_the_same_request() {
    let mut world = World::new(Scheduler::new());
    let first = with(schedule("lock", "rate(1 hour)"), "", "ClientToken", json!("one"));
    world.call("CreateSchedule", first.clone()).unwrap();
    assert!(world.call("CreateSchedule", first).is_ok());
    let second = with(schedule("lock", "rate(1 hour)"), "", "ClientToken", json!("two"));
    assert_eq!(
        world.call("CreateSchedule", second).unwrap_err().code,
        "ConflictException"
    );
}

#[test]
fn an_update_replaces_everything_and_a_deleted_schedule_never_runs() {
    let mut world = World::new(Scheduler::new());
    let described = with(schedule("s", "rate(1 hour)"), "", "Description", json!("old"));
    world.call("CreateSchedule", described).unwrap();
    world.call("UpdateSchedule", schedule("s", "rate(2 hours)")).unwrap();
    let read = world.call("GetSchedule", json!({"Name": "s"})).unwrap();
    assert_eq!(
        (&read["Description"], &read["ScheduleExpression"]),
        (&Value::Null, &json!("rate(2 hours)"))
    );
    world.run_well(3700);
    assert!(world.calls.is_empty());
    world.call("DeleteSchedule", json!({"Name": "s"})).unwrap();
    world.run_well(86_400);
    assert!(world.calls.is_empty());
    assert_eq!(world.call("ListSchedules", json!({})).unwrap()["Schedules"], json!([]));
}

#[test]
fn a_refused_target_leaves_a_dead_letter_from_the_same_role() {
    let mut world = World::new(Scheduler::new());
    let queue = json!({"Arn": QUEUE});
    let schedule = with(
        schedule("s", "at(2026-11-02T09:10:00)"),
        "/Target",
        "DeadLetterConfig",
        queue,
    );
    world.call("CreateSchedule", schedule).unwrap();
    world.run(3600, |call| match call.service.as_str() {
        "lambda" => Err(ApiError::client("AccessDeniedException", "no")),
        _ => Ok(json!({})),
    });
    assert_eq!(world.operations(), ["Invoke", "SendMessage"]);
    assert_eq!(world.calls[1].1.principal, Principal::Role("start-release".to_owned()));
    assert_eq!(world.service.undelivered()[0].dead_letter_queue.as_deref(), Some(QUEUE));
}

#[test]
fn what_can_never_run_is_refused() {
    let mut world = World::new(Scheduler::new());
    let mut refusal = |schedule: Value| world.call("CreateSchedule", schedule).unwrap_err();
    assert_eq!(
        refusal(schedule("s", "at(2026-11-02T08:59:59)")).code,
        "ValidationException"
    );
    assert_eq!(refusal(schedule("s", "cron(0 10 * * ? *)")).status, 501);
    assert_eq!(
        refusal(with(schedule("s", "rate(1 hour)"), "", "StartDate", json!(1))).status,
        501
    );
    assert_eq!(
        refusal(with(
            schedule("s", "rate(1 hour)"),
            "",
            "ScheduleExpressionTimezone",
            json!("Mars")
        ))
        .code,
        "ValidationException"
    );
    let window = json!({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1441});
    assert_eq!(
        refusal(with(schedule("s", "rate(1 hour)"), "", "FlexibleTimeWindow", window)).code,
        "ValidationException"
    );
    assert_eq!(
        refusal(with(
            schedule("s", "rate(1 hour)"),
            "/Target",
            "Arn",
            json!("arn:aws:scheduler:::aws-sdk:ecs:runTask")
        ))
        .status,
        501
    );
}
