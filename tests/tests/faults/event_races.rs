//! Events that are lost, late, repeated or out of order, and the truth that is looked at besides: the end is the same,
//! only the time is another, and the output of the waiting state tells who woke it.

use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator::{FaultKind, Selector};
use simulator_event_bridge::{Fault, Occurrence};

use crate::observation::End;
use crate::points::{is_invocation, payload};
use crate::shop::{Image, Shop, undisturbed};

/// Both services and the migration.
const WAITS: usize = 3;

fn task_event(status: &str) -> Value {
    json!({
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {"lastStatus": [status], "startedBy": [{"prefix": "esclusa/"}]},
    })
}

fn rollout_event(name: &str) -> Value {
    json!({"source": ["aws.ecs"], "detail-type": ["ECS Deployment State Change"], "detail": {"eventName": [{"suffix": name}]}})
}

fn execution_event() -> Value {
    json!({"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"]})
}

/// A run with these events disturbed, which must end as one without.
fn disturbed(image: Image, disturbances: &[(Value, Fault)]) -> Shop {
    let mut shop = Shop::open(1);
    for (pattern, fault) in disturbances {
        shop.disturb(pattern, Occurrence::Every, fault.clone());
    }
    ends_as_undisturbed(&mut shop, image);
    shop
}

fn ends_as_undisturbed(shop: &mut Shop, image: Image) {
    let digest = shop.deploy(image);
    let observed = shop.observe(&digest);
    let expected: &End = undisturbed(image);
    assert_eq!(&observed.end, expected, "{:?}", observed.path);
    assert_eq!(observed.problems, Vec::<String>::new());
}

/// Who woke the states of this name, in order.
fn woken(shop: &mut Shop, machine: &str, state: &str) -> Vec<String> {
    let woken = shop.woken_by(machine).into_iter();
    woken
        .filter(|(name, _)| name == state)
        .map(|(_, source)| source)
        .collect()
}

#[test]
fn an_event_that_comes_wakes_the_state_that_waits_for_it() {
    let mut shop = disturbed(Image::Good, &[]);
    assert_eq!(woken(&mut shop, "deployment", "AwaitTask"), ["event"]);
    assert_eq!(woken(&mut shop, "deployment", "AwaitService"), ["event", "event"]);
    assert_eq!(woken(&mut shop, "release", "AwaitDeployment"), ["event"]);
}

/// F38.
#[test]
fn a_task_whose_stop_was_never_told_is_found_by_the_sweep() {
    let mut shop = disturbed(Image::Good, &[(task_event("STOPPED"), Fault::Drop)]);
    assert_eq!(woken(&mut shop, "deployment", "AwaitTask"), ["sweep"]);
}

/// F38 with the failure of a migration: the exit code is read from ECS.
#[test]
fn a_failed_migration_whose_stop_was_never_told_fails_all_the_same() {
    let mut shop = disturbed(Image::BadMigration, &[(task_event("STOPPED"), Fault::Drop)]);
    assert_eq!(woken(&mut shop, "deployment", "AwaitTask"), ["sweep"]);
}

/// F39.
#[test]
fn a_stop_that_is_told_twice_wakes_once() {
    for again in [SignedDuration::from_millis(1), SignedDuration::from_mins(10)] {
        let mut shop = disturbed(Image::Good, &[(task_event("STOPPED"), Fault::Duplicate(again))]);
        assert_eq!(woken(&mut shop, "deployment", "AwaitTask"), ["event"]);
    }
}

/// F38.
#[test]
fn a_stop_that_is_told_twenty_minutes_late_is_not_waited_for() {
    let mut shop = disturbed(
        Image::Good,
        &[(task_event("STOPPED"), Fault::Delay(SignedDuration::from_mins(20)))],
    );
    assert_eq!(woken(&mut shop, "deployment", "AwaitTask"), ["sweep"]);
}

/// F39: the inbox keeps versions apart, so that the older event neither wakes nor hides anything.
#[test]
fn an_older_event_after_the_stop_changes_nothing() {
    let mut shop = disturbed(
        Image::Good,
        &[(task_event("RUNNING"), Fault::Delay(SignedDuration::from_mins(5)))],
    );
    assert_eq!(woken(&mut shop, "deployment", "AwaitTask"), ["event"]);
}

/// F37, and F41 where it takes so long that ECS has forgotten the task and only the stored event tells how it ended.
#[test]
fn a_stop_that_is_told_before_anybody_waits_is_found_by_whoever_comes_to_wait() {
    for late in [SignedDuration::from_mins(5), SignedDuration::from_mins(100)] {
        for image in [Image::Good, Image::BadMigration] {
            let mut shop = Shop::open(1);
            delay_the_wait(&mut shop, image, "await_task", late);
            ends_as_undisturbed(&mut shop, image);
            assert_eq!(
                woken(&mut shop, "deployment", "AwaitTask"),
                ["read"],
                "{image:?} after {late}"
            );
        }
    }
}

/// F37 for a rollout.
#[test]
fn a_rollout_that_is_over_before_anybody_waits_is_found_by_whoever_comes_to_wait() {
    let mut shop = Shop::open(1);
    delay_the_wait(&mut shop, Image::Good, "await_service", SignedDuration::from_mins(30));
    ends_as_undisturbed(&mut shop, Image::Good);
    assert_eq!(woken(&mut shop, "deployment", "AwaitService"), ["read", "event"]);
}

/// Lets the first invocation with this action begin late. Which one it is, a run without faults tells.
fn delay_the_wait(shop: &mut Shop, image: Image, action: &str, late: SignedDuration) {
    let mut rehearsal = Shop::open(shop.seed);
    rehearsal.deploy(image);
    let calls = rehearsal.lab.world().calls().get(rehearsal.calls_before..).unwrap();
    let mut invocations = calls.iter().filter(|call| is_invocation(call));
    let before = invocations.position(|call| payload(call)["action"] == action).unwrap();
    let nth = u64::try_from(before).unwrap() + 1;
    shop.fault(Selector::operation("lambda", "Invoke").nth(nth), FaultKind::Delay(late));
}

/// F38 for rollouts.
#[test]
fn a_rollout_whose_end_was_never_told_is_found_by_the_sweep() {
    for image in [Image::Good, Image::CrashingWeb] {
        let mut shop = disturbed(image, &[(rollout_event(""), Fault::Drop)]);
        let woken = woken(&mut shop, "deployment", "AwaitService");
        assert!(
            woken.len() > 1 && woken.iter().all(|source| source == "sweep"),
            "{image:?}: {woken:?}"
        );
    }
}

/// F39 for rollouts: the events carry no version, so they are hints and ECS is asked.
#[test]
fn events_of_a_rollout_may_come_twice_and_out_of_order() {
    let late = Fault::Delay(SignedDuration::from_mins(4));
    for image in [Image::Good, Image::CrashingWeb] {
        disturbed(image, &[(rollout_event("_IN_PROGRESS"), late.clone())]);
        disturbed(image, &[(rollout_event("_COMPLETED"), late.clone())]);
        disturbed(
            image,
            &[(rollout_event(""), Fault::Duplicate(SignedDuration::from_secs(40)))],
        );
    }
}

#[test]
fn a_deployment_whose_end_was_never_told_is_found_by_the_sweep() {
    let mut shop = disturbed(Image::Good, &[(execution_event(), Fault::Drop)]);
    assert_eq!(woken(&mut shop, "release", "AwaitDeployment"), ["sweep"]);
}

#[test]
fn without_a_single_event_after_the_push_every_image_ends_as_with_them() {
    for image in [Image::Good, Image::BadMigration, Image::CrashingWeb] {
        let all =
            [json!({"source": ["aws.ecs"]}), json!({"source": ["aws.states"]})].map(|pattern| (pattern, Fault::Drop));
        let mut shop = disturbed(image, &all);
        let woken = shop.woken_by("deployment");
        assert!(
            woken.iter().all(|(_, source)| source == "sweep"),
            "{image:?}: {woken:?}"
        );
        assert!(image != Image::Good || woken.len() == WAITS, "{woken:?}");
    }
}
