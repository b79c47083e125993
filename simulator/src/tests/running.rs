//! What a running service emits, how its targets do, and what it answers.

use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, Compatibility, ContainerDefinition, HealthCheck, LaunchType, LoadBalancer,
    LogConfiguration, LogDriver, NetworkConfiguration, NetworkMode,
};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator_kernel::{Behaviour, Metric, Site, Statistic, Window};

use super::simulation;
use crate::{Fault, FaultKind, Principal, Selector, Simulation};

const TARGET_GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/api/0123456789abcdef";

/// Pushes an image with this annotation as `api:{tag}`.
fn push(simulation: &mut Simulation, tag: &str, annotation: &Value) -> Result<(), String> {
    let ecr = aws_sdk_ecr::Client::new(&simulation.sdk_config(&Principal::Administrator));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [], "tag": tag,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{}", "22".repeat(32))},
        "annotations": {Behaviour::ANNOTATION: annotation.to_string()},
    });
    let put = ecr.put_image().repository_name("api").image_tag(tag);
    let pushed = simulation.block_on(put.image_manifest(manifest.to_string()).send());
    pushed.map(drop).map_err(|error| format!("{error:?}"))
}

fn network() -> NetworkConfiguration {
    let subnets = AwsVpcConfiguration::builder()
        .subnets("subnet-1")
        .security_groups("sg-1");
    let subnets = subnets.assign_public_ip(AssignPublicIp::Disabled).build().unwrap();
    NetworkConfiguration::builder().awsvpc_configuration(subnets).build()
}

/// Registers the family `api` with the image of a tag.
fn register(simulation: &mut Simulation, tag: &str, has_check: bool) {
    let log = LogConfiguration::builder()
        .log_driver(LogDriver::Awslogs)
        .options("awslogs-group", "/ecs/api")
        .options("awslogs-stream-prefix", "app");
    let health = HealthCheck::builder().command("CMD").command("true").interval(10);
    let container = ContainerDefinition::builder()
        .name("api")
        .image(format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/api:{tag}"))
        .log_configuration(log.build().unwrap())
        .set_health_check(has_check.then(|| health.retries(2).build().unwrap()))
        .port_mappings(aws_sdk_ecs::types::PortMapping::builder().container_port(8080).build());
    let ecs = aws_sdk_ecs::Client::new(&simulation.sdk_config(&Principal::Administrator));
    let family = ecs
        .register_task_definition()
        .family("api")
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::Fargate)
        .cpu("256")
        .memory("512")
        .execution_role_arn("arn:aws:iam::123456789012:role/execution")
        .container_definitions(container.build());
    simulation.block_on(family.send()).unwrap();
}

/// A simulation with the service `api` of cluster `prod`, which runs two tasks of an image with this annotation behind
/// a target group.
fn running(annotation: &Value) -> Simulation {
    running_with(annotation, true)
}

/// Without a health check of its own, its load balancer asks, after five minutes of grace.
fn running_with(annotation: &Value, has_check: bool) -> Simulation {
    let mut simulation = simulation();
    let config = simulation.sdk_config(&Principal::Administrator);
    let (ecr, ecs) = (aws_sdk_ecr::Client::new(&config), aws_sdk_ecs::Client::new(&config));
    simulation
        .block_on(ecr.create_repository().repository_name("api").send())
        .unwrap();
    push(&mut simulation, "v1", annotation).unwrap();
    simulation
        .block_on(ecs.create_cluster().cluster_name("prod").send())
        .unwrap();
    register(&mut simulation, "v1", has_check);
    let balancer = LoadBalancer::builder()
        .target_group_arn(TARGET_GROUP)
        .container_name("api")
        .container_port(8080);
    let service = ecs
        .create_service()
        .cluster("prod")
        .service_name("api")
        .task_definition("api")
        .desired_count(2)
        .launch_type(LaunchType::Fargate)
        .load_balancers(balancer.build())
        .health_check_grace_period_seconds(if has_check { 0 } else { 300 })
        .network_configuration(network());
    simulation.block_on(service.send()).unwrap();
    simulation
}

fn errors(simulation: &Simulation) -> Vec<f64> {
    let metric = Metric {
        namespace: "shop".to_owned(),
        name: "Errors".to_owned(),
        dimensions: [
            ("Cluster".to_owned(), "prod".to_owned()),
            ("Service".to_owned(), "the api".to_owned()),
        ]
        .into(),
    };
    let window = Window {
        start: "2026-11-02T09:00:00Z".parse().unwrap(),
        end: simulation.now(),
        period: SignedDuration::from_mins(60),
    };
    let metrics = &simulation.world().kernel().metrics;
    metrics
        .datapoints(&metric, Statistic::Sum, window)
        .into_values()
        .collect()
}

#[test]
fn a_running_service_puts_metrics_and_writes_lines_as_its_image_says_until_it_stops() {
    let mut simulation = running(&json!({
        "metrics": [{
            "container": "api", "namespace": "shop", "name": "Errors", "dimensions": {"Cluster": "${cluster}", "Service": "the ${service}"},
            "values": [1, 10], "every_seconds": 30, "after_seconds": 10, "for_seconds": 120,
        }, {"container": "other", "namespace": "shop", "name": "Errors", "values": [5]}],
        "log_every": [{"text": "tick", "every_seconds": 60}],
    }));
    simulation.run_for(SignedDuration::from_mins(10));
    assert_eq!(errors(&simulation), [44.0], "two tasks with 1, 10, 1 and 10 each");
    let lines = |simulation: &Simulation| -> usize {
        let streams = simulation.world().kernel().logs.groups["/ecs/api"].values();
        streams.map(Vec::len).sum()
    };
    let ticks = lines(&simulation);
    assert!((16..=20).contains(&ticks), "{ticks}");
    let ecs = aws_sdk_ecs::Client::new(&simulation.sdk_config(&Principal::Administrator));
    let stop = ecs.delete_service().cluster("prod").service("api").force(true);
    simulation.block_on(stop.send()).unwrap();
    simulation.run_for(SignedDuration::from_mins(2));
    let ticks = lines(&simulation);
    simulation.run_for(SignedDuration::from_mins(30));
    assert_eq!(lines(&simulation), ticks);
}

#[test]
fn an_image_whose_script_is_not_understood_is_refused() {
    let mut simulation = running(&json!({}));
    for (annotation, named) in [
        (json!({"metrics": [{"namespace": "shop"}]}), "`name`"),
        (json!({"programs": [{"outcome": "explode"}]}), "`programs`"),
    ] {
        let text = push(&mut simulation, "v2", &annotation).unwrap_err();
        assert!(
            text.contains("UnsupportedBySimulatorException") && text.contains(named),
            "{text}"
        );
    }
}

/// The state, reason and description of every target.
fn target_health(simulation: &mut Simulation) -> Vec<(String, String)> {
    use aws_sdk_elasticloadbalancingv2::types::TargetHealth;
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&simulation.sdk_config(&Principal::Administrator));
    let health = elb.describe_target_health().target_group_arn(TARGET_GROUP);
    let health = simulation.block_on(health.send()).unwrap();
    let state = |health: &TargetHealth| {
        let reason = health.reason().map_or("", |reason| reason.as_str());
        (health.state().unwrap().as_str().to_owned(), reason.to_owned())
    };
    health
        .target_health_descriptions()
        .iter()
        .map(|one| {
            assert_eq!(one.target().unwrap().port(), Some(8080));
            state(one.target_health().unwrap())
        })
        .collect()
}

fn both(state: &str, reason: &str) -> Vec<(String, String)> {
    vec![(state.to_owned(), reason.to_owned()); 2]
}

#[test]
fn the_targets_of_a_group_are_the_running_tasks_of_its_service() {
    let mut simulation = running(&json!({}));
    assert!(target_health(&mut simulation).is_empty());
    let wait = |simulation: &mut Simulation, limit: i64, wanted: &[(String, String)]| {
        for _ in 0..limit {
            if target_health(simulation) == wanted {
                return;
            }
            simulation.run_for(SignedDuration::from_secs(1));
        }
        panic!("{:?} instead of {wanted:?}", target_health(simulation));
    };
    wait(&mut simulation, 120, &both("initial", "Elb.InitialHealthChecking"));
    wait(&mut simulation, 120, &both("healthy", ""));
    let config = simulation.sdk_config(&Principal::Administrator);
    let ecs = aws_sdk_ecs::Client::new(&config);
    let stop = ecs.update_service().cluster("prod").service("api").desired_count(0);
    simulation.block_on(stop.send()).unwrap();
    wait(
        &mut simulation,
        60,
        &both("draining", "Target.DeregistrationInProgress"),
    );
    wait(&mut simulation, 600, &[]);

    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&config);
    let groups = simulation
        .block_on(elb.describe_target_groups().names("api").send())
        .unwrap();
    assert_eq!(groups.target_groups()[0].target_group_arn(), Some(TARGET_GROUP));
    let other = elb.describe_target_health().target_group_arn("arn:aws:other");
    let error = simulation.block_on(other.send()).unwrap_err().into_service_error();
    assert!(error.is_target_group_not_found_exception(), "{error:?}");
    let error = simulation.block_on(elb.describe_load_balancers().send()).unwrap_err();
    let error = error.into_service_error();
    assert_eq!(
        error.meta().code(),
        Some("UnsupportedBySimulatorException"),
        "{error:?}"
    );
}

#[test]
fn a_target_that_never_passes_is_unhealthy_until_ecs_gives_it_up() {
    let mut simulation = running_with(&json!({"programs": [{"outcome": "unhealthy"}]}), false);
    let mut seen = Vec::new();
    for _ in 0..500 {
        seen.extend(target_health(&mut simulation).first().map(|(state, _)| state.clone()));
        simulation.run_for(SignedDuration::from_secs(1));
    }
    seen.dedup();
    assert_eq!(seen[..3], ["initial", "unhealthy", "draining"], "{seen:?}");
}

/// Lets `shop.example.com` lead to the service.
fn open_site(simulation: &mut Simulation) {
    let site = Site {
        cluster: "prod".to_owned(),
        service: "api".to_owned(),
        container: "api".to_owned(),
    };
    let sites = &mut simulation.world_mut().kernel_mut().sites;
    sites.hosts.insert("shop.example.com".to_owned(), site);
}

/// Status and body.
fn visit(simulation: &mut Simulation, url: &str) -> Result<(u16, String), ConnectorError> {
    let connector = simulation
        .world_mut()
        .http_connector(&Principal::Role("prober".to_owned()));
    let response = simulation.block_on(connector.call(HttpRequest::get(url).unwrap()))?;
    let body = response.body().bytes().unwrap().to_vec();
    Ok((response.status().as_u16(), String::from_utf8(body).unwrap()))
}

#[test]
fn a_site_is_answered_by_the_running_tasks_as_their_image_says() {
    let mut simulation = running(&json!({"http": [
        {"path": "/health", "status": 503, "body": "warming up", "for_seconds": 300},
        {"path": "/health", "status": 200, "body": "well", "headers": {"x-version": "v1"}, "after_seconds": 300, "delay_seconds": 7},
    ]}));
    open_site(&mut simulation);
    let (status, body) = visit(&mut simulation, "https://shop.example.com/health").unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("503 Service Temporarily Unavailable"), "{body}");
    simulation.run_for(SignedDuration::from_mins(3));
    let early = visit(&mut simulation, "https://shop.example.com/health").unwrap();
    assert_eq!(early, (503, "warming up".to_owned()));
    simulation.run_for(SignedDuration::from_mins(5));
    let start = simulation.now();
    let late = visit(&mut simulation, "https://shop.example.com/health?deep=true").unwrap();
    assert_eq!(late, (200, "well".to_owned()));
    let took = simulation.now().duration_since(start);
    assert!(
        took >= SignedDuration::from_secs(7) && took < SignedDuration::from_secs(8),
        "{took:#}"
    );
    let other = visit(&mut simulation, "https://shop.example.com/other").unwrap();
    assert_eq!(other, (404, String::new()));
    let error = visit(&mut simulation, "https://nowhere.example.com/").unwrap_err();
    assert!(error.is_io() && format!("{error:?}").contains("not known"), "{error:?}");

    let probes =
        simulation.world().calls().iter().filter(|call| {
            call.service == "site" && call.input == json!({"host": "shop.example.com", "path": "/health"})
        });
    let principals: Vec<_> = probes.map(|call| call.principal.clone()).collect();
    assert_eq!(principals, vec![Principal::Role("prober".to_owned()); 3]);
}

#[test]
fn tasks_take_turns_and_a_lost_answer_is_a_connection_that_breaks() {
    let mut simulation =
        running(&json!({"http": [{"path": "/", "status": 200, "for_seconds": 400}, {"path": "/", "status": 500}]}));
    open_site(&mut simulation);
    simulation.run_for(SignedDuration::from_mins(5));
    let ecs = aws_sdk_ecs::Client::new(&simulation.sdk_config(&Principal::Administrator));
    let first = simulation.world().service::<simulator_ecs::Ecs>().unwrap();
    let first = first.running_tasks("prod", "api")[0].arn.clone();
    simulation
        .block_on(ecs.stop_task().cluster("prod").task(first).send())
        .unwrap();
    simulation.run_for(SignedDuration::from_mins(4));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(visit(&mut simulation, "http://shop.example.com/").unwrap().0);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 500, 500], "the younger task is still well");
    let lost = Fault::new(Selector::operation("site", "GET").nth(1), FaultKind::AnswerLost);
    simulation.world_mut().add_fault(lost);
    assert!(visit(&mut simulation, "http://shop.example.com/").unwrap_err().is_io());
}
