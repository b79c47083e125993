//! Application Auto Scaling.

use aws_sdk_applicationautoscaling::Client;
use aws_sdk_applicationautoscaling::operation::put_scaling_policy::builders::PutScalingPolicyFluentBuilder;
use aws_sdk_applicationautoscaling::operation::register_scalable_target::builders::RegisterScalableTargetFluentBuilder;
use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension, ServiceNamespace, SuspendedState,
    TargetTrackingScalingPolicyConfiguration,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::simulation;
use crate::{Principal, Simulation};

const RESOURCE: &str = "service/shop/web";

/// A service that wants one task, and a client.
fn shop() -> (Simulation, Client) {
    let mut simulation = simulation();
    let mut ask = |operation: &str, input: Value| {
        simulation.world_mut().administer("ecs", operation, input).unwrap();
    };
    ask("CreateCluster", json!({"clusterName": "shop"}));
    let container = json!({"name": "web", "image": "web:1", "essential": true});
    let definition = json!({
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution", "containerDefinitions": [container],
    });
    ask("RegisterTaskDefinition", definition);
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}});
    let service = json!({
        "cluster": "shop", "serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "launchType": "FARGATE",
        "networkConfiguration": network,
    });
    ask("CreateService", service);
    let client = Client::new(&simulation.sdk_config(&Principal::Administrator));
    (simulation, client)
}

fn register(client: &Client, resource: &str) -> RegisterScalableTargetFluentBuilder {
    client
        .register_scalable_target()
        .service_namespace(ServiceNamespace::Ecs)
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .resource_id(resource)
}

fn track(client: &Client, name: &str, percent: f64) -> PutScalingPolicyFluentBuilder {
    let metric = PredefinedMetricSpecification::builder()
        .predefined_metric_type(MetricType::EcsServiceAverageCpuUtilization)
        .build()
        .unwrap();
    let configuration = TargetTrackingScalingPolicyConfiguration::builder()
        .target_value(percent)
        .predefined_metric_specification(metric)
        .build()
        .unwrap();
    client
        .put_scaling_policy()
        .policy_name(name)
        .service_namespace(ServiceNamespace::Ecs)
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .resource_id(RESOURCE)
        .policy_type(PolicyType::TargetTrackingScaling)
        .target_tracking_scaling_policy_configuration(configuration)
}

fn desired(simulation: &mut Simulation) -> Value {
    let input = json!({"cluster": "shop", "services": ["web"]});
    let described = simulation
        .world_mut()
        .administer("ecs", "DescribeServices", input)
        .unwrap();
    described["services"][0]["desiredCount"].clone()
}

/// <https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html>: the capacity is changed to one inside of the range.
#[test]
fn a_count_outside_of_its_bounds_is_brought_inside_of_them_and_then_left_alone() {
    let (mut simulation, client) = shop();
    for (minimum, maximum, expected) in [(3, 5, 3), (1, 2, 2), (1, 9, 2)] {
        let request = register(&client, RESOURCE).min_capacity(minimum).max_capacity(maximum);
        simulation.block_on(request.send()).unwrap();
        simulation.run_for(SignedDuration::from_secs(10));
        assert_eq!(desired(&mut simulation), expected, "{minimum} to {maximum}");
    }
}

#[test]
fn an_update_keeps_what_it_does_not_name() {
    let (mut simulation, client) = shop();
    let request = register(&client, RESOURCE).min_capacity(1).max_capacity(4);
    simulation.block_on(request.send()).unwrap();
    let suspended = SuspendedState::builder().dynamic_scaling_in_suspended(true).build();
    let request = register(&client, RESOURCE).max_capacity(6).suspended_state(suspended);
    simulation.block_on(request.send()).unwrap();
    let described = client
        .describe_scalable_targets()
        .service_namespace(ServiceNamespace::Ecs);
    let described = simulation.block_on(described.send()).unwrap();
    let [target] = described.scalable_targets() else {
        panic!("{described:?}")
    };
    let suspended = target.suspended_state().unwrap();
    assert_eq!((target.min_capacity(), target.max_capacity()), (1, 6));
    assert_eq!(suspended.dynamic_scaling_in_suspended(), Some(true));
    assert_eq!(suspended.dynamic_scaling_out_suspended(), Some(false));
}

#[test]
fn a_service_that_does_not_exist_cannot_be_registered_and_one_that_is_not_registered_has_no_policy() {
    let (mut simulation, client) = shop();
    let request = register(&client, "service/shop/absent").min_capacity(1).max_capacity(4);
    let error = simulation.block_on(request.send()).unwrap_err().into_service_error();
    assert!(error.is_validation_exception(), "{error:?}");
    let error = simulation.block_on(track(&client, "cpu", 70.0).send()).unwrap_err();
    assert!(error.into_service_error().is_object_not_found_exception());
}

#[test]
fn a_metric_has_one_policy_which_is_put_again_under_its_name_only() {
    let (mut simulation, client) = shop();
    let request = register(&client, RESOURCE).min_capacity(1).max_capacity(4);
    simulation.block_on(request.send()).unwrap();
    for percent in [70.0, 60.0] {
        simulation.block_on(track(&client, "cpu", percent).send()).unwrap();
    }
    let error = simulation.block_on(track(&client, "other", 60.0).send()).unwrap_err();
    assert!(error.into_service_error().is_validation_exception());
    let described = client
        .describe_scaling_policies()
        .service_namespace(ServiceNamespace::Ecs);
    let described = simulation.block_on(described.resource_id(RESOURCE).send()).unwrap();
    let [policy] = described.scaling_policies() else {
        panic!("{described:?}")
    };
    let configuration = policy.target_tracking_scaling_policy_configuration().unwrap();
    assert_eq!((policy.policy_name(), configuration.target_value()), ("cpu", 60.0));
}
