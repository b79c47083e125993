//! One round trip for each service of this crate.

use jiff::SignedDuration;
use serde_json::json;

use super::{control_table, simulation, take_lock, text};
use crate::{Principal, Simulation};

const MANIFEST: &str = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": "sha256:2222222222222222222222222222222222222222222222222222222222222222"}, "layers": []}"#;

fn ecr(simulation: &mut Simulation) -> aws_sdk_ecr::Client {
    aws_sdk_ecr::Client::new(&simulation.sdk_config(&Principal::Administrator))
}

#[test]
fn the_loser_of_a_conditional_put_learns_who_won() {
    let mut simulation = simulation();
    let client = control_table(&mut simulation);
    simulation.block_on(take_lock(&client, "first").send()).unwrap();
    let error = simulation
        .block_on(take_lock(&client, "second").send())
        .unwrap_err()
        .into_service_error();
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.item().unwrap()["owner"], text("first"));
}

#[test]
fn a_push_puts_its_event_on_the_bus_with_the_digest_of_the_manifest() {
    let mut simulation = simulation();
    let client = ecr(&mut simulation);
    simulation
        .block_on(client.create_repository().repository_name("apps/api").send())
        .unwrap();
    let push = client
        .put_image()
        .repository_name("apps/api")
        .image_manifest(MANIFEST)
        .image_tag("v1");
    let image = simulation.block_on(push.send()).unwrap().image.unwrap();
    let digest = image.image_id().unwrap().image_digest().unwrap().to_owned();

    let event = &simulation.world().events()[0];
    assert_eq!(
        event["detail"],
        json!({
            "result": "SUCCESS",
            "repository-name": "apps/api",
            "image-digest": digest,
            "action-type": "PUSH",
            "manifest-media-type": "application/vnd.oci.image.manifest.v1+json",
            "artifact-media-type": "application/vnd.oci.image.config.v1+json",
            "image-tag": "v1",
        })
    );
    assert_eq!(
        (event["source"].as_str(), event["resources"].as_array().map(Vec::len)),
        (Some("aws.ecr"), Some(0))
    );

    let by_tag = aws_sdk_ecr::types::ImageIdentifier::builder().image_tag("v1").build();
    let described = simulation
        .block_on(
            client
                .describe_images()
                .repository_name("apps/api")
                .image_ids(by_tag)
                .send(),
        )
        .unwrap();
    assert_eq!(described.image_details()[0].image_digest(), Some(digest.as_str()));
}

#[test]
fn the_same_push_is_refused_and_a_second_tag_is_an_event_of_its_own() {
    let mut simulation = simulation();
    let client = ecr(&mut simulation);
    simulation
        .block_on(client.create_repository().repository_name("api").send())
        .unwrap();
    let push = |tag: &str| {
        client
            .put_image()
            .repository_name("api")
            .image_manifest(MANIFEST)
            .image_tag(tag)
    };
    simulation.block_on(push("v1").send()).unwrap();
    let error = simulation.block_on(push("v1").send()).unwrap_err().into_service_error();
    assert!(error.is_image_already_exists_exception(), "{error:?}");
    simulation.block_on(push("v2").send()).unwrap();
    let tags: Vec<_> = simulation
        .world()
        .events()
        .iter()
        .map(|event| event["detail"]["image-tag"].clone())
        .collect();
    assert_eq!(tags, [json!("v1"), json!("v2")]);
}

#[test]
fn an_immutable_tag_does_not_move_and_a_mutable_one_does() {
    let mut simulation = simulation();
    let client = ecr(&mut simulation);
    for (name, mutability) in [("fixed", "IMMUTABLE"), ("moving", "MUTABLE")] {
        let create = client
            .create_repository()
            .repository_name(name)
            .image_tag_mutability(mutability.into());
        simulation.block_on(create.send()).unwrap();
        let push = client
            .put_image()
            .repository_name(name)
            .image_manifest(MANIFEST)
            .image_tag("latest");
        simulation.block_on(push.send()).unwrap();
    }
    let newer = MANIFEST.replace("\"layers\"", "\"newer\": true, \"layers\"");
    let push = |name: &str| {
        client
            .put_image()
            .repository_name(name)
            .image_manifest(&newer)
            .image_tag("latest")
    };
    let error = simulation
        .block_on(push("fixed").send())
        .unwrap_err()
        .into_service_error();
    assert!(error.is_image_tag_already_exists_exception(), "{error:?}");
    simulation.block_on(push("moving").send()).unwrap();
    let untagged = &simulation.world().kernel().images.repositories["moving"];
    assert_eq!(
        untagged.values().filter(|image| image.tags.is_empty()).count(),
        1,
        "the older image lost its tag"
    );
}

#[test]
fn an_image_that_is_not_there_is_not_found() {
    let mut simulation = simulation();
    let client = ecr(&mut simulation);
    simulation
        .block_on(client.create_repository().repository_name("api").send())
        .unwrap();
    let id = aws_sdk_ecr::types::ImageIdentifier::builder().image_tag("gone").build();
    let error = simulation
        .block_on(client.describe_images().repository_name("api").image_ids(id).send())
        .unwrap_err();
    let error = error.into_service_error();
    assert!(error.is_image_not_found_exception(), "{error:?}");
}

#[test]
fn log_lines_are_read_page_by_page_from_the_head() {
    let mut simulation = simulation();
    let now = simulation.now();
    for line in ["one", "two", "three"] {
        simulation
            .world_mut()
            .kernel_mut()
            .logs
            .write("/ecs/api", "api/1", now, line);
    }
    let client = aws_sdk_cloudwatchlogs::Client::new(&simulation.sdk_config(&Principal::Administrator));
    let read = client
        .get_log_events()
        .log_group_name("/ecs/api")
        .log_stream_name("api/1")
        .start_from_head(true)
        .limit(2);
    let first = simulation.block_on(read.clone().send()).unwrap();
    let second = simulation
        .block_on(read.clone().set_next_token(first.next_forward_token.clone()).send())
        .unwrap();
    let third = simulation
        .block_on(read.set_next_token(second.next_forward_token.clone()).send())
        .unwrap();
    let lines: Vec<&str> = first
        .events()
        .iter()
        .chain(second.events())
        .filter_map(|event| event.message())
        .collect();
    assert_eq!(lines, ["one", "two", "three"]);
    assert_eq!(
        third.next_forward_token, second.next_forward_token,
        "the end is told by the same token again"
    );

    let missing = client
        .get_log_events()
        .log_group_name("/ecs/api")
        .log_stream_name("gone");
    let error = simulation.block_on(missing.send()).unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
}

#[test]
fn sts_says_who_calls() {
    let mut simulation = simulation();
    let client = aws_sdk_sts::Client::new(&simulation.sdk_config(&Principal::Role("observe".to_owned())));
    let identity = simulation.block_on(client.get_caller_identity().send()).unwrap();
    assert_eq!(
        identity.arn(),
        Some("arn:aws:sts::123456789012:assumed-role/observe/observe")
    );
    assert_eq!(identity.account(), Some("123456789012"));
}

#[test]
fn an_operation_that_is_not_simulated_says_so_and_names_what_is() {
    let mut simulation = simulation();
    let client = ecr(&mut simulation);
    let error = simulation.block_on(client.describe_registry().send()).unwrap_err();
    let text = format!("{:?}", error.into_service_error());
    assert!(
        text.contains("the simulated AWS does not implement `DescribeRegistry` of `ecr`; there are `"),
        "{text}"
    );
}

#[test]
fn a_call_takes_time_and_nothing_else_does() {
    let mut simulation = simulation();
    let start = simulation.now();
    let client = control_table(&mut simulation);
    let took = simulation.now().duration_since(start);
    assert!(
        took > SignedDuration::ZERO && took < SignedDuration::from_millis(50),
        "{took:#}"
    );
    drop(client);
}

#[test]
fn an_alarm_is_new_without_data_and_says_what_it_is_told() {
    use aws_sdk_cloudwatch::types::{AlarmType, ComparisonOperator, StateValue};
    let mut simulation = simulation();
    let client = aws_sdk_cloudwatch::Client::new(&simulation.sdk_config(&Principal::Administrator));
    let put = |threshold: f64| {
        let alarm = client.put_metric_alarm().alarm_name("errors").threshold(threshold);
        alarm
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .evaluation_periods(1)
    };
    let set = |name: &str, state: StateValue| {
        let wish = client.set_alarm_state().alarm_name(name).state_value(state);
        wish.state_reason("said by hand")
    };
    let read = |simulation: &mut Simulation| {
        let alarms = client.describe_alarms().alarm_names("errors").alarm_names("nobody");
        let alarms = alarms
            .alarm_types(AlarmType::CompositeAlarm)
            .alarm_types(AlarmType::MetricAlarm);
        let described = simulation.block_on(alarms.send()).unwrap();
        assert_eq!(described.metric_alarms().len(), 1, "{described:?}");
        described.metric_alarms()[0].clone()
    };
    simulation.block_on(put(5.0).send()).unwrap();
    let new = read(&mut simulation);
    assert_eq!(new.state_value(), Some(&StateValue::InsufficientData));
    assert_eq!(
        new.alarm_arn(),
        Some("arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors")
    );

    simulation.run_for(SignedDuration::from_mins(5));
    simulation.block_on(set("errors", StateValue::Alarm).send()).unwrap();
    simulation.block_on(put(9.0).send()).unwrap();
    let firing = read(&mut simulation);
    assert_eq!(
        firing.state_value(),
        Some(&StateValue::Alarm),
        "a new threshold keeps the state"
    );
    assert_eq!(
        (firing.threshold(), firing.state_reason()),
        (Some(9.0), Some("said by hand"))
    );
    let since = |alarm: &aws_sdk_cloudwatch::types::MetricAlarm| alarm.state_updated_timestamp().unwrap().secs();
    assert!(since(&firing) >= since(&new) + 300);

    let error = simulation.block_on(set("nobody", StateValue::Ok).send()).unwrap_err();
    assert!(
        error.into_service_error().is_resource_not_found(),
        "no alarm is made by its state"
    );
    let error = simulation.block_on(client.list_dashboards().send()).unwrap_err();
    let error = error.into_service_error();
    assert_eq!(
        error.meta().code(),
        Some("UnsupportedBySimulatorException"),
        "{error:?}"
    );
}
