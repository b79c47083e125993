use simulator_kernel::AlarmState;

use super::*;

const IN_PROGRESS: &str = "SERVICE_DEPLOYMENT_IN_PROGRESS";
const COMPLETED: &str = "SERVICE_DEPLOYMENT_COMPLETED";
const FAILED: &str = "SERVICE_DEPLOYMENT_FAILED";

fn named(events: &[(&str, &str)]) -> Vec<(String, String)> {
    events
        .iter()
        .map(|(name, id)| ((*name).to_owned(), (*id).to_owned()))
        .collect()
}

fn actions(world: &World) -> Vec<String> {
    let details = world.details("ECS Service Action");
    details
        .into_iter()
        .map(|detail| detail["eventName"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_release_replaces_every_task_and_never_falls_below_the_desired_count() {
    let mut world = World::with_steady_service(breaker(true));
    world.push("v2", json!([]));
    let definition = world.register("v2", true);
    let before = world.service()["currentServiceDeployment"].clone();
    world.events.clear();
    let id = world.update(&definition);
    assert_ne!(world.service()["currentServiceDeployment"], before);
    world.run_checked(SignedDuration::from_mins(5), |world| {
        let tasks = world.ecs.running_tasks("prod", "api");
        assert!(
            tasks
                .iter()
                .filter(|task| task.status == crate::TaskStatus::Running && task.healthy)
                .count()
                >= 2
        );
        assert!(tasks.len() <= 4);
    });

    assert_eq!(
        world.deployment_events(),
        named(&[(IN_PROGRESS, &id), (COMPLETED, &id)])
    );
    assert_eq!(actions(&world), ["SERVICE_STEADY_STATE"]);
    let service = world.service();
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&service["runningCount"], &service["deployments"][0]["id"]),
        (&json!(2), &json!(id))
    );
    let tasks = world.ecs.running_tasks("prod", "api");
    assert!(
        tasks
            .iter()
            .all(|task| task.task_definition == definition && task.started_by.as_ref() == Some(&id))
    );
    let released = world.service_deployment();
    assert_eq!(released["status"], "SUCCESSFUL");
    assert_eq!(released["deploymentCircuitBreaker"]["status"], "MONITORING_COMPLETE");
    assert_eq!(released["targetServiceRevision"]["runningTaskCount"], 2);
}

#[test]
fn the_same_definition_starts_nothing_and_force_does() {
    let mut world = World::with_steady_service(json!({}));
    let first = world.service()["deployments"][0]["id"].clone();
    let same = world.update("api:1");
    assert_eq!(first, same.as_str());
    let capacity = json!({"cluster": "prod", "service": "api", "desiredCount": 3, "healthCheckGracePeriodSeconds": 9});
    world.ok("UpdateService", capacity);
    world.run_minutes(2);
    let service = world.service();
    assert_eq!(
        (&service["deployments"][0]["id"], &service["runningCount"]),
        (&first, &json!(3))
    );
    world.ok(
        "UpdateService",
        json!({"cluster": "prod", "service": "api", "forceNewDeployment": true}),
    );
    assert_ne!(world.service()["deployments"][0]["id"], first);
}

#[test]
fn never_two_at_once_when_the_minimum_is_zero_and_the_maximum_hundred() {
    let mut world = World::new();
    world.push("v1", json!([]));
    world.register("v1", false);
    world.ok(
        "CreateService",
        service(json!({"minimumHealthyPercent": 0, "maximumPercent": 100}), 1),
    );
    world.run_minutes(2);
    let next = world.register("v1", false);
    world.update(&next);
    world.run_checked(SignedDuration::from_mins(5), |world| {
        assert!(world.ecs.running_tasks("prod", "api").len() <= 1);
    });
    assert_eq!(world.service_deployment()["status"], "SUCCESSFUL");
}

#[test]
fn a_tripped_breaker_returns_to_the_last_completed_revision_under_a_new_id() {
    let mut world = World::with_steady_service(breaker(true));
    world.push(
        "v2",
        json!([{"outcome": "fail_to_start", "reason": "CannotPullContainerError: no"}]),
    );
    let definition = world.register("v2", false);
    let kept: Vec<String> = world
        .ecs
        .running_tasks("prod", "api")
        .into_iter()
        .map(|task| task.arn)
        .collect();
    world.events.clear();
    let failed = world.update(&definition);
    world.run_minutes(10);

    let events = world.deployment_events();
    let back = events[2].1.clone();
    assert_eq!(
        events,
        named(&[
            (IN_PROGRESS, &failed),
            (FAILED, &failed),
            (IN_PROGRESS, &back),
            (COMPLETED, &back)
        ])
    );
    assert_ne!(back, failed);
    let reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {back}.");
    assert_eq!(world.details("ECS Deployment State Change")[2]["reason"], reason);
    let service = world.service();
    assert!(service["taskDefinition"].as_str().unwrap().ends_with("api:1"));
    assert_eq!(
        service["deployments"].as_array().unwrap().len(),
        1,
        "looks stable, and is not the release"
    );
    let running: Vec<String> = world
        .ecs
        .running_tasks("prod", "api")
        .into_iter()
        .map(|task| task.arn)
        .collect();
    assert_eq!(running, kept, "the old tasks were never touched");
    let released = world.service_deployment();
    assert_eq!(released["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(
        released["deploymentCircuitBreaker"],
        json!({"status": "TRIGGERED", "failureCount": 3, "threshold": 3})
    );
    assert_eq!(
        released["rollback"]["serviceRevisionArn"],
        released["sourceServiceRevisions"][0]["arn"]
    );
}

#[test]
fn failed_health_checks_trip_the_breaker_in_its_second_stage() {
    let mut world = World::with_steady_service(breaker(true));
    world.push("v2", json!([{"outcome": "unhealthy"}]));
    let definition = world.register("v2", true);
    world.update(&definition);
    world.run_minutes(15);
    let released = world.service_deployment();
    assert_eq!(released["status"], "ROLLBACK_SUCCESSFUL");
    assert!(released["statusReason"].as_str().unwrap().contains("health checks"));
}

#[test]
fn tasks_that_ran_and_died_without_a_health_check_never_trip_the_breaker() {
    let mut world = World::with_steady_service(breaker(true));
    world.push("v2", json!([{"outcome": "exit", "after_seconds": 15, "code": 1}]));
    let definition = world.register("v2", false);
    let id = world.update(&definition);
    world.run_minutes(60);
    assert!(!world.deployment_events().contains(&(FAILED.to_owned(), id)));
    assert_eq!(world.service()["deployments"][0]["failedTasks"], 0);
}

#[test]
fn without_a_breaker_a_broken_release_never_ends_and_its_starts_are_slowed_down() {
    let mut world = World::with_steady_service(json!({}));
    world.push(
        "v2",
        json!([{"outcome": "fail_to_start", "reason": "CannotPullContainerError: no"}]),
    );
    let definition = world.register("v2", false);
    world.update(&definition);
    world.run_minutes(24 * 60);
    assert!(world.deployment_events().iter().all(|(name, _)| name != FAILED));
    assert_eq!(world.service_deployment()["status"], "IN_PROGRESS");
    assert!(actions(&world).contains(&"SERVICE_TASK_START_IMPAIRED".to_owned()));
    let failed = world.service()["deployments"][0]["failedTasks"].as_u64().unwrap();
    assert!((20..200).contains(&failed), "{failed} failures in a day");
    assert_eq!(world.service()["runningCount"], 2, "the old tasks go on serving");
}

#[test]
fn a_breaker_without_rollback_stops_the_release_and_leaves_the_old_tasks() {
    let mut world = World::with_steady_service(breaker(false));
    world.push(
        "v2",
        json!([{"outcome": "fail_to_start", "reason": "CannotPullContainerError: no"}]),
    );
    let definition = world.register("v2", false);
    world.update(&definition);
    world.run_minutes(10);
    assert_eq!(world.service_deployment()["status"], "STOPPED");
    let service = world.service();
    let states: Vec<&Value> = service["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["rolloutState"])
        .collect();
    assert_eq!(states, ["FAILED", "COMPLETED"]);
    assert_eq!(service["runningCount"], 2);
}

#[test]
fn a_first_release_that_fails_stalls_until_a_user_stops_it() {
    let mut world = World::new();
    world.register("gone", false);
    world.ok("CreateService", service(breaker(true), 1));
    world.run_minutes(30);
    let started = world.ecs.tasks("prod").len();
    assert_eq!(started, 3, "nothing is launched once the breaker has tripped");
    let stalled = world.service_deployment();
    assert_eq!(stalled["status"], "IN_PROGRESS");
    assert_eq!(stalled["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    let stop = json!({"serviceDeploymentArn": stalled["serviceDeploymentArn"], "stopType": "ROLLBACK"});
    world.ok("StopServiceDeployment", stop.clone());
    world.run_minutes(1);
    assert_eq!(world.service_deployment()["status"], "STOPPED");
    assert_eq!(world.code("StopServiceDeployment", stop), "ConflictException");
}

#[test]
fn a_rollback_fails_when_the_old_revision_no_longer_starts() {
    let mut world = World::with_steady_service(breaker(true));
    world.push(
        "v2",
        json!([{"outcome": "fail_to_start", "reason": "CannotPullContainerError: no"}]),
    );
    let definition = world.register("v2", false);
    world.update(&definition);
    world.kernel.images.repositories.clear();
    for task in world.ecs.running_tasks("prod", "api") {
        world.ok("StopTask", json!({"cluster": "prod", "task": task.arn}));
    }
    world.run_minutes(30);
    assert_eq!(world.service_deployment()["status"], "ROLLBACK_FAILED");
    let failed = world
        .deployment_events()
        .iter()
        .filter(|(name, _)| name == FAILED)
        .count();
    assert_eq!(failed, 2);
}

#[test]
fn a_second_release_supersedes_the_first() {
    let mut world = World::with_steady_service(breaker(true));
    let (second, third) = (world.register("v1", false), world.register("v1", false));
    world.update(&second);
    world.run_for(SignedDuration::from_secs(10));
    world.update(&third);
    let statuses = |world: &mut World| -> Vec<String> {
        let listed = world.ok("ListServiceDeployments", json!({"cluster": "prod", "service": "api"}));
        let deployments = listed["serviceDeployments"].as_array().unwrap();
        deployments
            .iter()
            .map(|one| one["status"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(statuses(&mut world), ["PENDING", "STOP_REQUESTED", "SUCCESSFUL"]);
    world.run_for(SignedDuration::from_secs(5));
    assert_eq!(statuses(&mut world), ["IN_PROGRESS", "STOPPED", "SUCCESSFUL"]);
    world.run_minutes(5);
    assert_eq!(statuses(&mut world), ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]);
    let filter = json!({"cluster": "prod", "service": "api", "status": ["STOPPED"]});
    assert_eq!(
        world.ok("ListServiceDeployments", filter)["serviceDeployments"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_user_can_stop_a_release_twice_and_it_rolls_back_once() {
    let mut world = World::with_steady_service(json!({}));
    world.push("v2", json!([{"outcome": "unhealthy"}]));
    let definition = world.register("v2", true);
    world.update(&definition);
    world.run_minutes(1);
    let stop =
        json!({"serviceDeploymentArn": world.service_deployment()["serviceDeploymentArn"], "stopType": "ROLLBACK"});
    world.ok("StopServiceDeployment", stop.clone());
    world.ok("StopServiceDeployment", stop);
    let mut statuses = vec![world.service_deployment()["status"].clone()];
    while statuses.last().unwrap() != "ROLLBACK_SUCCESSFUL" {
        world.step();
        let status = world.service_deployment()["status"].clone();
        if statuses.last() != Some(&status) {
            statuses.push(status);
        }
    }
    assert_eq!(
        statuses,
        ["ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL"]
    );
    world.run_minutes(5);
    assert_eq!(world.service_deployment()["status"], "ROLLBACK_SUCCESSFUL");
    assert!(
        world
            .ecs
            .service_task_definition("prod", "api")
            .unwrap()
            .ends_with("api:1")
    );
    assert!(
        world.deployment_events().iter().all(|(name, _)| name != FAILED),
        "a user's stop is no failure"
    );
}

#[test]
fn a_release_that_is_complete_wins_against_a_late_stop() {
    let mut world = World::with_steady_service(json!({}));
    let definition = world.register("v1", false);
    world.update(&definition);
    let is_complete = |world: &World| {
        let tasks = world.ecs.running_tasks("prod", "api");
        tasks.len() == 2 && tasks.iter().all(|task| task.task_definition == definition)
    };
    while !is_complete(&world) {
        world.step();
    }
    let arn = world.service_deployment()["serviceDeploymentArn"].clone();
    world.ok(
        "StopServiceDeployment",
        json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"}),
    );
    world.run_minutes(2);
    assert_eq!(world.service_deployment()["status"], "SUCCESSFUL");
}

#[test]
fn a_service_of_no_tasks_completes_at_once() {
    let mut world = World::new();
    world.register("v1", false);
    world.ok("CreateService", service(breaker(true), 0));
    world.run_for(SignedDuration::from_secs(5));
    assert_eq!(world.service_deployment()["status"], "SUCCESSFUL");
    assert!(world.ecs.tasks("prod").is_empty());
}

#[test]
fn a_dead_task_is_replaced_and_steady_state_is_told_every_six_hours() {
    let mut world = World::with_steady_service(json!({}));
    assert_eq!(actions(&world), ["SERVICE_STEADY_STATE"]);
    let victim = world.ecs.running_tasks("prod", "api")[0].arn.clone();
    world.ok("StopTask", json!({"cluster": "prod", "task": victim}));
    world.run_minutes(3);
    assert_eq!(world.service()["runningCount"], 2);
    world.events.clear();
    world.run_minutes(24 * 60);
    assert_eq!(actions(&world).len(), 4);
    assert!(world.details("ECS Task State Change").is_empty());
}

#[test]
fn a_moved_tag_does_not_change_the_revision_that_is_deployed() {
    let mut world = World::with_steady_service(json!({}));
    let revision = world.service()["currentServiceRevisions"][0]["arn"].clone();
    let described = world.ok("DescribeServiceRevisions", json!({"serviceRevisionArns": [revision]}));
    let digest = described["serviceRevisions"][0]["containerImages"][0]["imageDigest"].clone();
    let moved = world.push("v1", json!([]));
    assert_ne!(digest, moved.as_str());
    world.ok(
        "UpdateService",
        json!({"cluster": "prod", "service": "api", "desiredCount": 3}),
    );
    world.run_minutes(2);
    let tasks: Vec<String> = world
        .ecs
        .running_tasks("prod", "api")
        .into_iter()
        .map(|task| task.arn)
        .collect();
    for arn in tasks {
        assert_eq!(world.task(&arn)["containers"][0]["imageDigest"], digest);
    }
    world.ok(
        "UpdateService",
        json!({"cluster": "prod", "service": "api", "forceNewDeployment": true}),
    );
    world.run_minutes(5);
    let task = world.ecs.running_tasks("prod", "api")[0].arn.clone();
    assert_eq!(world.task(&task)["containers"][0]["imageDigest"], moved);
}

#[test]
fn a_shortage_delays_a_release_without_failing_it() {
    let mut world = World::with_steady_service(breaker(true));
    let definition = world.register("v1", false);
    let until = world.now() + SignedDuration::from_mins(40);
    world.ecs.settings.capacity_shortages = vec![crate::CapacityShortage::fargate(world.now(), until)];
    world.update(&definition);
    world.run_minutes(39);
    assert_eq!(world.service_deployment()["status"], "IN_PROGRESS");
    assert!(actions(&world).contains(&"SERVICE_TASK_PLACEMENT_FAILURE".to_owned()));
    world.run_minutes(6);
    assert_eq!(world.service_deployment()["status"], "SUCCESSFUL");
}

fn watched() -> Value {
    json!({"alarms": {"enable": true, "rollback": true, "alarmNames": ["errors"]}, "bakeTimeInMinutes": 10})
}

#[test]
fn an_alarm_in_the_bake_time_rolls_back() {
    let mut world = World::new();
    world.push("v1", json!([]));
    world.register("v1", false);
    world.ok("CreateService", service(watched(), 1));
    world.run_minutes(15);
    let definition = world.register("v1", false);
    world.update(&definition);
    world.run_minutes(5);
    assert_eq!(world.service_deployment()["status"], "IN_PROGRESS", "the release bakes");
    world
        .kernel
        .alarms
        .states
        .insert("errors".to_owned(), AlarmState::Alarm);
    world.run_minutes(5);
    let released = world.service_deployment();
    assert_eq!(released["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(released["alarms"]["triggeredAlarmNames"], json!(["errors"]));
}

#[test]
fn an_alarm_that_fires_from_the_start_is_ignored() {
    let mut world = World::new();
    world.push("v1", json!([]));
    world.register("v1", false);
    world
        .kernel
        .alarms
        .states
        .insert("errors".to_owned(), AlarmState::Alarm);
    world.ok("CreateService", service(watched(), 1));
    world.run_minutes(5);
    assert_eq!(world.service_deployment()["status"], "SUCCESSFUL");
}

#[test]
fn a_new_service_deployment_is_hidden_for_a_moment() {
    let mut world = World::with_steady_service(json!({}));
    world.ecs.settings.deployment_visible_after = SignedDuration::from_secs(5);
    let definition = world.register("v1", false);
    let before = world.service()["currentServiceDeployment"].clone();
    world.update(&definition);
    assert_eq!(world.service()["currentServiceDeployment"], before);
    world.run_for(SignedDuration::from_secs(5));
    assert_ne!(world.service()["currentServiceDeployment"], before);
}

#[test]
fn every_seed_keeps_the_service_up_and_ends_the_release_as_its_image_deserves() {
    for seed in 0..60 {
        let mut world = World::seeded(Settings::default(), seed);
        world.push("v1", json!([]));
        world.push("good", json!([]));
        world.push("bad", json!([{"outcome": "unhealthy"}]));
        world.register("v1", true);
        world.ok("CreateService", service(breaker(true), 3));
        world.run_minutes(5);
        for (tag, end) in [("good", "SUCCESSFUL"), ("bad", "ROLLBACK_SUCCESSFUL")] {
            let definition = world.register(tag, true);
            world.update(&definition);
            world.run_checked(SignedDuration::from_mins(30), |world| {
                let tasks = world.ecs.running_tasks("prod", "api");
                let is_serving = |task: &&crate::TaskView| task.status == crate::TaskStatus::Running && task.healthy;
                assert!(tasks.iter().filter(is_serving).count() >= 3, "seed {seed}, {tag}");
                assert!(tasks.len() <= 6, "seed {seed}, {tag}");
            });
            assert_eq!(world.service_deployment()["status"], end, "seed {seed}, {tag}");
        }
    }
}

#[test]
fn one_seed_gives_one_history() {
    let history = || {
        let mut world = World::with_steady_service(breaker(true));
        world.push("v2", json!([{"outcome": "unhealthy"}]));
        let definition = world.register("v2", true);
        world.update(&definition);
        world.run_minutes(30);
        world.events
    };
    assert_eq!(history(), history());
}
