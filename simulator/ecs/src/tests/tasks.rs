use super::*;

fn statuses(world: &World, arn: &str) -> Vec<String> {
    let mut statuses: Vec<String> = world
        .details("ECS Task State Change")
        .into_iter()
        .filter(|detail| detail["taskArn"] == arn)
        .map(|detail| detail["lastStatus"].as_str().unwrap().to_owned())
        .collect();
    statuses.dedup();
    statuses
}

#[test]
fn a_migration_that_exits_leaves_its_code_its_log_and_an_ordered_trail() {
    let mut world = World::new();
    let digest = world.push(
        "v1",
        json!([{"command_contains": "--migrate", "outcome": "exit", "after_seconds": 20, "code": 3, "log": ["half done"]}]),
    );
    let definition = world.register("v1", false);
    let mut input = run(&definition);
    input["overrides"] = json!({"containerOverrides": [{"name": "api", "command": ["--migrate"]}]});
    input["startedBy"] = json!("release/1");
    let arn = world.ok("RunTask", input)["tasks"][0]["taskArn"]
        .as_str()
        .unwrap()
        .to_owned();
    world.run_minutes(5);

    let trail = [
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ];
    let mut seen = statuses(&world, &arn);
    seen.dedup();
    assert_eq!(seen, trail);
    let versions: Vec<u64> = world
        .details("ECS Task State Change")
        .iter()
        .map(|detail| detail["version"].as_u64().unwrap())
        .collect();
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");

    let task = world.task(&arn);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(task["containers"][0]["exitCode"], 3);
    assert_eq!(task["containers"][0]["imageDigest"], digest);
    assert_eq!(task["group"], "family:api");
    let id = arn.rsplit('/').next().unwrap();
    let lines = &world.kernel.logs.groups["/ecs/api"][&format!("app/api/{id}")];
    assert_eq!(lines[0].message, "half done");
}

#[test]
fn events_carry_iso_times_and_no_health_while_descriptions_carry_numbers_and_health() {
    let mut world = World::new();
    world.push("v1", json!([]));
    let definition = world.register("v1", true);
    let arn = world.run_task(&definition);
    world.run_minutes(2);
    let event = (*world.details("ECS Task State Change").last().unwrap()).clone();
    assert_eq!(event["lastStatus"], "RUNNING");
    assert!(event["startedAt"].as_str().unwrap().ends_with('Z'));
    assert!(event.get("healthStatus").is_none() && event["containers"][0].get("healthStatus").is_none());
    let task = world.task(&arn);
    assert!(task["startedAt"].is_f64());
    assert_eq!(task["healthStatus"], "HEALTHY");
}

#[test]
fn an_image_that_is_not_there_fails_the_task_before_it_runs() {
    let mut world = World::new();
    let definition = world.register("gone", false);
    let arn = world.run_task(&definition);
    world.run_minutes(2);
    let task = world.task(&arn);
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert!(
        task["stoppedReason"]
            .as_str()
            .unwrap()
            .starts_with("CannotPullContainerError")
    );
    assert!(task.get("startedAt").is_none() && task["containers"][0].get("exitCode").is_none());
}

#[test]
fn a_lost_host_leaves_a_started_task_without_exit_code() {
    let mut world = World::new();
    world.push(
        "v1",
        json!([{"outcome": "vanish", "after_seconds": 30, "stop_code": "SpotInterruption"}]),
    );
    let definition = world.register("v1", false);
    let arn = world.run_task(&definition);
    world.run_minutes(2);
    let task = world.task(&arn);
    assert_eq!(task["stopCode"], "SpotInterruption");
    assert!(task.get("startedAt").is_some() && task["containers"][0].get("exitCode").is_none());
}

#[test]
fn a_sidecar_exits_cleanly_when_the_essential_container_fails_and_hanging_ones_are_killed() {
    let mut world = World::new();
    world.push(
        "v1",
        json!([
            {"container": "api", "outcome": "exit", "after_seconds": 5, "code": 1},
            {"container": "stuck", "outcome": "hang"},
        ]),
    );
    let image = format!("{REGISTRY}/api:v1");
    let definition = definition(json!([
        {"name": "api", "image": image},
        {"name": "stuck", "image": image, "essential": false, "stopTimeout": 60},
        {"name": "proxy", "image": "public.ecr.aws/envoy:1", "essential": false},
    ]));
    world.ok("RegisterTaskDefinition", definition);
    let arn = world.run_task("api");
    world.run_minutes(5);
    let codes: Vec<Value> = world.task(&arn)["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["exitCode"].clone())
        .collect();
    assert_eq!(codes, [json!(1), json!(137), json!(0)]);
}

#[test]
fn containers_wait_for_what_they_depend_on() {
    let mut world = World::new();
    world.push(
        "v1",
        json!([{"container": "setup", "outcome": "exit", "after_seconds": 60, "code": 0}]),
    );
    world.push(
        "bad",
        json!([{"container": "setup", "outcome": "exit", "after_seconds": 60, "code": 9}]),
    );
    for (tag, status) in [("v1", "RUNNING"), ("bad", "STOPPED")] {
        let image = format!("{REGISTRY}/api:{tag}");
        let containers = json!([
            {"name": "api", "image": image, "dependsOn": [{"containerName": "setup", "condition": "SUCCESS"}]},
            {"name": "setup", "image": image, "essential": false},
        ]);
        world.ok("RegisterTaskDefinition", definition(containers));
        let arn = world.run_task("api");
        world.run_for(SignedDuration::from_secs(45));
        assert_eq!(world.task(&arn)["lastStatus"], "PENDING");
        world.run_minutes(3);
        assert_eq!(world.task(&arn)["lastStatus"], status);
    }
}

#[test]
fn an_injected_sidecar_has_no_image_and_the_word_null_for_its_cpu() {
    let mut world = World::new();
    world.ecs.settings.injected_sidecar = Some("aws-guardduty-agent-nm40lC".to_owned());
    world.push("v1", json!([]));
    let definition = world.register("v1", false);
    let arn = world.run_task(&definition);
    world.run_minutes(1);
    let sidecar = world.task(&arn)["containers"][1].clone();
    assert_eq!(sidecar["cpu"], "null");
    assert!(sidecar.get("image").is_none());
}

#[test]
fn a_retried_run_returns_the_same_task_until_an_hour_after_it_stopped() {
    let mut world = World::new();
    world.push("v1", json!([{"outcome": "exit", "after_seconds": 5, "code": 0}]));
    let definition = world.register("v1", false);
    let mut input = run(&definition);
    input["clientToken"] = json!("release-1-migrate-1");
    let first = world.ok("RunTask", input.clone())["tasks"][0].clone();
    assert_eq!(
        world.ok("RunTask", input.clone())["tasks"][0]["taskArn"],
        first["taskArn"]
    );
    world.run_minutes(30);
    let replayed = world.ok("RunTask", input.clone())["tasks"][0].clone();
    assert_eq!(
        replayed,
        json!({"taskArn": first["taskArn"], "lastStatus": "STOPPED", "desiredStatus": "STOPPED"})
    );
    world.run_minutes(60);
    assert_ne!(
        world.ok("RunTask", input.clone())["tasks"][0]["taskArn"],
        first["taskArn"],
        "the token has expired"
    );

    input["startedBy"] = json!("another");
    let conflict = world.call("RunTask", input).unwrap_err();
    assert_eq!((conflict.code.as_str(), conflict.status), ("ConflictException", 400));
    assert_eq!(conflict.members["resourceIds"].as_array().unwrap().len(), 1);
}

#[test]
fn a_token_lives_no_longer_than_a_day_even_if_its_task_runs_on() {
    let mut world = World::new();
    world.push("v1", json!([]));
    let definition = world.register("v1", false);
    let mut input = run(&definition);
    input["clientToken"] = json!("token");
    let first = world.ok("RunTask", input.clone())["tasks"][0]["taskArn"].clone();
    world.run_minutes(24 * 60 - 1);
    assert_eq!(world.ok("RunTask", input.clone())["tasks"][0]["taskArn"], first);
    world.run_minutes(1);
    assert_ne!(world.ok("RunTask", input)["tasks"][0]["taskArn"], first);
}

#[test]
fn no_capacity_is_a_success_without_tasks() {
    let mut world = World::new();
    world.push("v1", json!([]));
    let definition = world.register("v1", false);
    let until = world.now() + SignedDuration::from_mins(40);
    world.ecs.settings.capacity_shortages = vec![crate::CapacityShortage::fargate(world.now(), until)];
    let answer = world.ok("RunTask", run(&definition));
    assert_eq!(answer["tasks"], json!([]));
    assert!(
        answer["failures"][0]["reason"]
            .as_str()
            .unwrap()
            .starts_with("Capacity is unavailable")
    );
    world.run_minutes(40);
    assert_eq!(world.ok("RunTask", run(&definition))["failures"], json!([]));
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/monitoring-fargate-usage.html>
#[test]
fn the_quota_of_vcpus_bounds_what_runs_at_once_and_shows_in_the_usage_metric() {
    let mut world = World::new();
    world.push("v1", json!([]));
    let definition = world.register("v1", false);
    world.ecs.settings.fargate_vcpus = 1;
    let dimensions = [
        ("Service", "Fargate"),
        ("Type", "Resource"),
        ("Resource", "vCPU"),
        ("Class", "Standard/OnDemand"),
    ];
    let metric = simulator_kernel::Metric {
        namespace: "AWS/Usage".to_owned(),
        name: "ResourceCount".to_owned(),
        dimensions: dimensions
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    let mut input = run(&definition);
    input["count"] = json!(5);
    let answer = world.ok("RunTask", input);
    assert_eq!(
        answer["tasks"].as_array().unwrap().len(),
        4,
        "of a quarter of a vCPU each"
    );
    let reason = answer["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("limit on the number of vCPUs"), "{reason}");
    let usage = world.kernel.metrics.usage(&metric).unwrap();
    assert!((usage.used, usage.quota) == (1.0, 1.0), "{usage:?}");
}

#[test]
fn a_new_task_is_missing_for_a_moment_and_a_stopped_one_after_an_hour() {
    let mut world = World::new();
    world.ecs.settings.task_visible_after = SignedDuration::from_secs(3);
    world.push("v1", json!([]));
    let definition = world.register("v1", false);
    let arn = world.run_task(&definition);
    let described = |world: &mut World| {
        let answer = world.ok("DescribeTasks", json!({"cluster": "prod", "tasks": [arn.clone()]}));
        answer["failures"][0]["reason"].as_str().unwrap_or("found").to_owned()
    };
    assert_eq!(described(&mut world), "MISSING");
    world.run_for(SignedDuration::from_secs(3));
    assert_eq!(described(&mut world), "found");
    world.ok(
        "StopTask",
        json!({"cluster": "prod", "task": arn, "reason": "the deadline is over"}),
    );
    world.run_minutes(59);
    assert_eq!(described(&mut world), "found");
    world.run_minutes(3);
    assert_eq!(described(&mut world), "MISSING");
}

#[test]
fn a_task_stopped_by_a_user_names_the_reason_and_can_be_found_by_who_started_it() {
    let mut world = World::new();
    world.push("v1", json!([{"outcome": "hang"}]));
    let definition = world.register("v1", false);
    let mut input = run(&definition);
    input["startedBy"] = json!("release-7/migrate");
    let arn = world.ok("RunTask", input)["tasks"][0]["taskArn"].clone();
    world.run_minutes(1);
    let listed = |world: &mut World, status: &str| {
        let filter = json!({"cluster": "prod", "startedBy": "release-7/migrate", "desiredStatus": status});
        world.ok("ListTasks", filter)["taskArns"].clone()
    };
    assert_eq!(listed(&mut world, "RUNNING"), json!([arn]));
    world.ok(
        "StopTask",
        json!({"cluster": "prod", "task": arn, "reason": "the deadline is over"}),
    );
    assert_eq!(listed(&mut world, "RUNNING"), json!([]));
    assert_eq!(listed(&mut world, "STOPPED"), json!([arn]));
    world.run_minutes(2);
    let task = world.task(arn.as_str().unwrap());
    assert_eq!(
        (&task["stopCode"], &task["stoppedReason"]),
        (&json!("UserInitiated"), &json!("the deadline is over"))
    );
    assert_eq!(task["containers"][0]["exitCode"], 137);
}
