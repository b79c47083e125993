//! Faults, permissions and determinism.

use jiff::SignedDuration;

use super::{control_table, dynamodb, load_reader, simulation, take_lock, text};
use crate::{CallOutcome, CallRecord, Fault, FaultKind, Principal, Selector, Settings, Simulation, used_actions};
use simulator_kernel::ApiError;

fn puts(simulation: &Simulation) -> Vec<&CallRecord> {
    simulation
        .world()
        .calls()
        .iter()
        .filter(|call| call.operation == "PutItem")
        .collect()
}

#[test]
fn a_lost_answer_is_tried_again_and_the_retry_meets_its_own_effect() {
    let mut simulation = simulation();
    let client = control_table(&mut simulation);
    let selector = Selector::operation("dynamodb", "PutItem").nth(1);
    simulation
        .world_mut()
        .add_fault(Fault::new(selector, FaultKind::AnswerLost));
    let error = simulation
        .block_on(take_lock(&client, "me").send())
        .unwrap_err()
        .into_service_error();
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        error.item().unwrap()["owner"],
        text("me"),
        "the item that stands in the way is the caller's own"
    );
    let outcomes: Vec<_> = puts(&simulation).iter().map(|call| call.outcome.clone()).collect();
    let refused = CallOutcome::Error {
        code: "ConditionalCheckFailedException".to_owned(),
        effect: false,
    };
    assert_eq!(outcomes, [CallOutcome::Lost, refused]);
}

#[test]
fn an_error_after_the_effect_is_written_down_as_one() {
    let mut simulation = simulation();
    let client = control_table(&mut simulation);
    let error = ApiError::server("InternalServerError", "try again");
    let selector = Selector::operation("dynamodb", "PutItem").nth(1);
    simulation
        .world_mut()
        .add_fault(Fault::new(selector, FaultKind::ErrorAfter(error)));
    simulation
        .block_on(client.put_item().table_name("control").item("pk", text("a")).send())
        .unwrap();
    let first = CallOutcome::Error {
        code: "InternalServerError".to_owned(),
        effect: true,
    };
    let outcomes: Vec<_> = puts(&simulation).iter().map(|call| call.outcome.clone()).collect();
    assert_eq!(outcomes, [first, CallOutcome::Success]);
}

#[test]
fn a_throttled_call_waits_in_simulated_time_only() {
    let mut simulation = simulation();
    let client = control_table(&mut simulation);
    for nth in [1, 2] {
        let selector = Selector::operation("dynamodb", "PutItem").nth(nth);
        simulation
            .world_mut()
            .add_fault(Fault::new(selector, FaultKind::Throttle));
    }
    simulation
        .block_on(client.put_item().table_name("control").item("pk", text("a")).send())
        .unwrap();
    assert_eq!(puts(&simulation).len(), 3);
}

#[test]
fn a_call_that_stays_away_runs_into_the_timeout_of_the_client() {
    let mut simulation = simulation();
    control_table(&mut simulation);
    let timeouts = aws_smithy_types::timeout::TimeoutConfig::builder()
        .operation_timeout(std::time::Duration::from_secs(2))
        .build();
    let config = simulation
        .sdk_config(&Principal::Administrator)
        .into_builder()
        .timeout_config(timeouts)
        .build();
    let client = aws_sdk_dynamodb::Client::new(&config);
    let delay = FaultKind::Delay(SignedDuration::from_secs(60));
    simulation
        .world_mut()
        .add_fault(Fault::new(Selector::operation("dynamodb", "PutItem"), delay));
    let start = simulation.now();
    let put = client.put_item().table_name("control").item("pk", text("a"));
    let error = simulation.block_on(put.send()).unwrap_err();
    assert!(
        matches!(error, aws_sdk_dynamodb::error::SdkError::TimeoutError(_)),
        "{error:?}"
    );
    assert_eq!(simulation.now().duration_since(start), SignedDuration::from_secs(2));
    simulation.run_for(SignedDuration::from_secs(60));
    assert_eq!(
        puts(&simulation)[0].outcome,
        CallOutcome::Success,
        "the effect comes after everybody has gone"
    );
}

#[test]
fn a_role_may_do_what_its_policy_says_and_is_denied_the_rest_in_the_words_of_aws() {
    let mut simulation = simulation();
    control_table(&mut simulation);
    load_reader(&mut simulation);
    let config = simulation.sdk_config(&Principal::Role("reader".to_owned()));
    let client = aws_sdk_dynamodb::Client::new(&config);
    simulation
        .block_on(client.get_item().table_name("control").key("pk", text("a")).send())
        .unwrap();
    let put = client.put_item().table_name("control").item("pk", text("a"));
    let error = simulation.block_on(put.send()).unwrap_err().into_service_error();
    assert_eq!(
        error.meta().message(),
        Some(
            "User: arn:aws:sts::123456789012:assumed-role/reader/reader is not authorized to perform: dynamodb:PutItem \
             on resource: arn:aws:dynamodb:us-east-1:123456789012:table/control because no identity-based policy allows the \
             dynamodb:PutItem action"
        )
    );
    assert_eq!(error.meta().code(), Some("AccessDeniedException"));
    let used = used_actions(simulation.world().calls());
    assert_eq!(
        used["reader"].iter().collect::<Vec<_>>(),
        ["dynamodb:GetItem"],
        "what was denied was not used"
    );
}

/// Four clients race for one lock; the history is every call with its time and outcome.
fn race(seed: u64) -> Vec<String> {
    let mut simulation = Simulation::new(&Settings {
        seed,
        ..Settings::default()
    })
    .unwrap();
    control_table(&mut simulation);
    let racers: Vec<_> = (0..4)
        .map(|racer| {
            let client = dynamodb(&mut simulation);
            simulation
                .world_mut()
                .spawn(async move { take_lock(&client, &racer.to_string()).send().await.is_ok() })
        })
        .collect();
    simulation.run_until_idle();
    let winners = racers.iter().filter(|racer| racer.try_take() == Some(Ok(true))).count();
    assert_eq!(winners, 1);
    simulation
        .world()
        .calls()
        .iter()
        .map(|call| format!("{call:?}"))
        .collect()
}

#[test]
fn one_seed_is_one_history() {
    assert_eq!(race(11), race(11));
    let different: std::collections::BTreeSet<_> = (0..8).map(race).collect();
    assert_eq!(different.len(), 8);
}
