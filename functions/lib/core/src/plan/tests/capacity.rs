//! Room on Fargate for what comes beside what runs.

use super::*;
use crate::pipeline::Hazard;

/// The world where Fargate may run 6 vCPU and has so many left, and the service runs tasks of a quarter of one.
fn with_left(left: f64, desired: u64) -> Observed {
    let mut world = observed();
    world
        .services
        .insert("shop".to_owned(), observed_service("shop", "shop:1", desired));
    world.fargate = Some(FargateUsage {
        used_vcpus: 6.0 - left,
        quota_vcpus: 6.0,
    });
    world
}

fn percentages(world: &mut Observed, minimum: u32, maximum: u32) {
    let shop = world.services.get_mut("shop").unwrap();
    shop.deployment_configuration = json!({"minimumHealthyPercent": minimum, "maximumPercent": maximum});
}

/// Refused, told in a note, or neither.
fn outcome(input: &PlanInput, world: &Observed) -> (bool, bool) {
    let is_of_room = |text: &str| text.contains("Fargate may run 6 vCPU on demand at once");
    match plan(input, world, now()) {
        Ok(plan) => (false, plan.notes.iter().any(|note| is_of_room(note))),
        Err(Refusals(refusals)) => {
            let of_room = |refusal: &Refusal| {
                refusal.kind == RefusalKind::Hazard(Hazard::NoCapacity) && is_of_room(&refusal.message)
            };
            assert!(refusals.iter().all(of_room), "{refusals:?}");
            (true, false)
        }
    }
}

#[test]
fn a_rollout_that_the_quota_cannot_hold_is_refused_and_one_that_finds_little_room_now_is_told() {
    // Twenty-four of the tasks fill the quota. What others use of it may be free again when the rollout begins.
    for (left, desired, expected) in [
        (6.0, 3, (false, false)),
        (0.75, 3, (false, false)),
        (0.5, 3, (false, true)),
        (0.0, 3, (false, true)),
        (0.0, 23, (false, true)),
        (0.0, 24, (true, false)),
    ] {
        assert_eq!(
            outcome(&input('b'), &with_left(left, desired)),
            expected,
            "{left} for {desired}"
        );
    }
}

/// What is started in place of tasks that crash fills the quota, and none of them is running.
#[test]
fn a_release_that_mends_a_crash_loop_is_not_kept_out_by_it() {
    let mut world = with_left(0.0, 3);
    world.services.get_mut("shop").unwrap().facts.running = 0;
    assert_eq!(outcome(&input('b'), &world), (false, true));
}

#[test]
fn tasks_that_may_stop_first_make_room_themselves() {
    let mut input = input('b');
    input
        .environment
        .steps
        .retain(|step| matches!(step, crate::pipeline::ResolvedStep::Service(_)));
    let mut world = with_left(0.0, 24);
    assert_eq!(outcome(&input, &world), (true, false));
    percentages(&mut world, 50, 200);
    assert_eq!(outcome(&input, &world), (false, true));
    percentages(&mut world, 0, 100);
    assert_eq!(
        outcome(&input, &world),
        (false, false),
        "nothing comes beside what runs"
    );
}

#[test]
fn a_one_off_task_that_the_quota_cannot_hold_is_refused() {
    let mut world = with_left(6.0, 0);
    world.fargate = Some(FargateUsage {
        used_vcpus: 0.0,
        quota_vcpus: 0.125,
    });
    let Err(Refusals(refusals)) = plan(&input('b'), &world, now()) else {
        panic!("nothing has room")
    };
    let messages: Vec<&str> = refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    assert!(
        messages
            .iter()
            .any(|message| message.contains("the task `migrate` takes 0.25 vCPU")),
        "{messages:?}"
    );
}

#[test]
fn the_whole_of_a_new_revision_stands_beside_the_old_one_where_traffic_is_shifted() {
    let mut input = input('b');
    input.environment.accept.push(Hazard::BreakerOff);
    let shifted = |desired| {
        let mut world = with_left(0.5, desired);
        let shop = world.services.get_mut("shop").unwrap();
        shop.deployment_configuration = json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5});
        world
    };
    assert_eq!(outcome(&input, &shifted(12)), (false, true));
    assert_eq!(outcome(&input, &shifted(13)), (true, false));
    input.environment.accept.push(Hazard::NoCapacity);
    assert_eq!(outcome(&input, &shifted(13)), (false, true), "accepted by name");
}

#[test]
fn room_that_cannot_be_seen_is_no_reason_and_other_capacity_is_said_not_to_be_looked_at() {
    let mut world = with_left(0.0, 3);
    world.fargate = None;
    assert_eq!(outcome(&input('b'), &world), (false, false));
    let mut elsewhere = with_left(0.25, 3);
    elsewhere.services.get_mut("shop").unwrap().runs_on = RunsOn::Other("FARGATE_SPOT".to_owned());
    let notes = plan(&input('b'), &elsewhere, now()).unwrap().notes;
    assert!(
        notes.iter().any(|note| note.contains("they run on `FARGATE_SPOT`")),
        "{notes:?}"
    );
}

#[test]
fn what_runs_already_needs_no_room() {
    let mut world = verified();
    world.fargate = Some(FargateUsage {
        used_vcpus: 6.0,
        quota_vcpus: 6.0,
    });
    assert!(plan(&input('a'), &world, now()).unwrap().unchanged);
}
