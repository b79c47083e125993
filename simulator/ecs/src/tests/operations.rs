use super::*;

#[test]
fn registration_keeps_what_it_does_not_know_and_fills_what_aws_fills() {
    let mut world = World::new();
    let mut input = definition(json!([{
        "name": "api",
        "image": "nginx",
        "portMappings": [{"containerPort": 8080}],
        "inventedNextYear": {"deep": [1, 2]},
    }]));
    input["alsoNew"] = json!("kept");
    input["tags"] = json!([{"key": "release-id", "value": "r1"}]);
    let answer = world.ok("RegisterTaskDefinition", input);
    let definition = &answer["taskDefinition"];
    assert_eq!(definition["alsoNew"], "kept");
    let container = &definition["containerDefinitions"][0];
    assert_eq!(container["inventedNextYear"], json!({"deep": [1, 2]}));
    assert_eq!(
        container["portMappings"],
        json!([{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}])
    );
    assert_eq!(
        (&container["essential"], &container["environment"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(
        (&definition["revision"], &definition["status"]),
        (&json!(1), &json!("ACTIVE"))
    );
    assert!(definition.get("tags").is_none(), "tags lie beside the definition");
    assert_eq!(answer["tags"], json!([{"key": "release-id", "value": "r1"}]));

    let bare = world.ok("DescribeTaskDefinition", json!({"taskDefinition": "api"}));
    assert_eq!(&bare["taskDefinition"], definition);
    assert!(bare.get("tags").is_none());
    let arn = definition["taskDefinitionArn"].clone();
    world.ok(
        "TagResource",
        json!({"resourceArn": arn, "tags": [{"key": "release-id", "value": "r2"}]}),
    );
    let tags = world.ok("ListTagsForResource", json!({"resourceArn": arn}));
    assert_eq!(tags["tags"], json!([{"key": "release-id", "value": "r2"}]));
}

#[test]
fn revisions_are_never_reused_and_a_bare_family_means_the_latest_active_one() {
    let mut world = World::new();
    for tag in ["a", "b", "c"] {
        world.register(tag, false);
    }
    world.ok("DeregisterTaskDefinition", json!({"taskDefinition": "api:3"}));
    let latest = world.ok("DescribeTaskDefinition", json!({"taskDefinition": "api"}));
    assert_eq!(latest["taskDefinition"]["revision"], 2);
    assert_eq!(world.register("d", false).rsplit(':').next(), Some("4"));
    assert_eq!(
        world.code("DescribeTaskDefinition", json!({"taskDefinition": "api:3"})),
        "ClientException"
    );
}

#[test]
fn a_deregistered_definition_can_be_used_for_ten_minutes_and_described_while_it_is_needed() {
    let mut world = World::with_steady_service(json!({}));
    let other = world.register("v1", false);
    for revision in ["api:1", "api:2"] {
        world.ok("DeregisterTaskDefinition", json!({"taskDefinition": revision}));
    }
    world.ok("DescribeTaskDefinition", json!({"taskDefinition": "api:1"}));
    let inactive = world.ok(
        "ListTaskDefinitions",
        json!({"familyPrefix": "api", "status": "INACTIVE"}),
    );
    assert_eq!(
        inactive["taskDefinitionArns"].as_array().unwrap().len(),
        1,
        "only the referenced revision is listed"
    );
    world.run_minutes(9);
    world.ok("RunTask", run(&other));
    world.run_minutes(1);
    assert_eq!(world.code("RunTask", run(&other)), "ClientException");
    let update = json!({"cluster": "prod", "service": "api", "taskDefinition": other});
    assert_eq!(world.code("UpdateService", update), "ClientException");
}

#[test]
fn listings_follow_the_exact_family_sort_and_pages() {
    let mut world = World::new();
    for tag in ["a", "b", "c"] {
        world.register(tag, false);
    }
    let mut other = definition(json!([{"name": "x", "image": "nginx"}]));
    other["family"] = json!("api-worker");
    world.ok("RegisterTaskDefinition", other);
    let input = json!({"familyPrefix": "api", "sort": "DESC", "maxResults": 2});
    let first = world.ok("ListTaskDefinitions", input.clone());
    let names = |page: &Value| -> Vec<String> {
        let arns = page["taskDefinitionArns"].as_array().unwrap();
        arns.iter()
            .map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&first), ["api:3", "api:2"]);
    let mut next = input;
    next["nextToken"] = first["nextToken"].clone();
    let second = world.ok("ListTaskDefinitions", next);
    assert_eq!(names(&second), ["api:1"]);
    assert!(second.get("nextToken").is_none());
    let families = world.ok("ListTaskDefinitionFamilies", json!({"familyPrefix": "api"}));
    assert_eq!(families["families"], json!(["api", "api-worker"]));
}

#[test]
fn mistakes_are_named_as_aws_names_them() {
    let mut world = World::with_steady_service(json!({}));
    let cases = [
        (
            "DescribeTasks",
            json!({"cluster": "nowhere", "tasks": ["x"]}),
            "ClusterNotFoundException",
        ),
        (
            "UpdateService",
            json!({"cluster": "prod", "service": "nobody"}),
            "ServiceNotFoundException",
        ),
        (
            "ListTasks",
            json!({"cluster": "prod", "serviceName": "nobody"}),
            "ServiceNotFoundException",
        ),
        (
            "DescribeServices",
            json!({"cluster": "prod", "services": []}),
            "InvalidParameterException",
        ),
        (
            "StopTask",
            json!({"cluster": "prod", "task": "0123"}),
            "InvalidParameterException",
        ),
        (
            "DescribeTaskDefinition",
            json!({"taskDefinition": "nothing"}),
            "ClientException",
        ),
        (
            "RunTask",
            json!({"cluster": "prod", "taskDefinition": "api", "launchType": "FARGATE"}),
            "InvalidParameterException",
        ),
        (
            "StopServiceDeployment",
            json!({"serviceDeploymentArn": "arn:aws:ecs:us-east-1:123456789012:service-deployment/prod/api/x"}),
            "ServiceDeploymentNotFoundException",
        ),
        (
            "DeleteService",
            json!({"cluster": "prod", "service": "api"}),
            "InvalidParameterException",
        ),
        ("ExecuteCommand", json!({}), "UnsupportedBySimulatorException"),
        (
            "UpdateService",
            json!({"cluster": "prod", "service": "api", "deploymentConfiguration": {"strategy": "BLUE_GREEN"}}),
            "UnsupportedBySimulatorException",
        ),
        (
            "UpdateService",
            json!({"cluster": "prod", "service": "api", "deploymentConfiguration": {"lifecycleHooks": [{}]}}),
            "UnsupportedBySimulatorException",
        ),
        (
            "ListServices",
            json!({"cluster": "prod", "newFilter": "x"}),
            "UnsupportedBySimulatorException",
        ),
    ];
    for (operation, input, code) in cases {
        assert_eq!(world.code(operation, input.clone()), code, "{operation} {input}");
    }
    let missing = world.ok("DescribeServices", json!({"cluster": "prod", "services": ["nobody"]}));
    assert_eq!(missing["failures"][0]["reason"], "MISSING");
}

#[test]
fn a_deleted_service_drains_and_is_then_inactive() {
    let mut world = World::with_steady_service(json!({}));
    world.ok(
        "DeleteService",
        json!({"cluster": "prod", "service": "api", "force": true}),
    );
    assert_eq!(world.service()["status"], "DRAINING");
    assert_eq!(
        world.code(
            "UpdateService",
            json!({"cluster": "prod", "service": "api", "desiredCount": 1})
        ),
        "ServiceNotActiveException"
    );
    world.run_minutes(2);
    assert_eq!(world.service()["status"], "INACTIVE");
    assert_eq!(
        world.ok("ListServices", json!({"cluster": "prod"}))["serviceArns"],
        json!([])
    );
    world.ok("CreateService", service(json!({}), 1));
    assert_eq!(world.service()["status"], "ACTIVE");
}

#[test]
fn too_many_registrations_are_throttled_unless_the_knob_is_off() {
    let mut world = World::new();
    let input = definition(json!([{"name": "x", "image": "nginx"}]));
    for _ in 0..20 {
        world.ok("RegisterTaskDefinition", input.clone());
    }
    let error = world.call("RegisterTaskDefinition", input.clone()).unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.message.as_str(), error.status),
        ("ThrottlingException", "Rate exceeded", 400)
    );
    world.ecs.settings.throttling = false;
    world.ok("RegisterTaskDefinition", input);
}

fn permissions(world: &World, operation: &str, input: Value) -> Vec<(String, String)> {
    let needed = world
        .ecs
        .authorizations(&World::request(operation, input), &world.kernel);
    needed.into_iter().map(|one| (one.action, one.resource)).collect()
}

#[test]
fn running_a_family_needs_its_latest_revision_and_the_roles_it_passes() {
    let mut world = World::new();
    world.register("a", false);
    world.register("b", false);
    let needed = world
        .ecs
        .authorizations(&World::request("RunTask", run("api")), &world.kernel);
    let on = |action: &str| needed.iter().filter(|one| one.action == action).collect::<Vec<_>>();
    assert_eq!(
        on("ecs:RunTask")[0].resource,
        "arn:aws:ecs:us-east-1:123456789012:task-definition/api:2"
    );
    assert_eq!(
        on("ecs:RunTask")[0].conditions["ecs:cluster"],
        ["arn:aws:ecs:us-east-1:123456789012:cluster/prod"]
    );
    let roles: Vec<&str> = on("iam:PassRole").iter().map(|one| one.resource.as_str()).collect();
    assert_eq!(
        roles,
        [
            "arn:aws:iam::123456789012:role/task",
            "arn:aws:iam::123456789012:role/execution"
        ]
    );
    assert_eq!(
        on("iam:PassRole")[0].conditions["iam:PassedToService"],
        ["ecs-tasks.amazonaws.com"]
    );
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-permissions.html>
#[test]
fn who_names_the_role_of_a_lifecycle_hook_must_be_allowed_to_pass_it() {
    let world = World::new();
    let hooks =
        json!({"lifecycleHooks": [{"targetType": "PAUSE"}, {"roleArn": "arn:aws:iam::123456789012:role/hook"}]});
    for operation in ["CreateService", "UpdateService"] {
        let input =
            json!({"cluster": "prod", "service": "api", "serviceName": "api", "deploymentConfiguration": hooks});
        let needed = world
            .ecs
            .authorizations(&World::request(operation, input), &world.kernel);
        let passed: Vec<_> = needed.iter().filter(|one| one.action == "iam:PassRole").collect();
        assert_eq!(passed.len(), 1, "{operation}");
        assert_eq!(passed[0].resource, "arn:aws:iam::123456789012:role/hook");
        assert_eq!(passed[0].conditions["iam:PassedToService"], ["ecs.amazonaws.com"]);
    }
}

#[test]
fn each_action_is_checked_on_the_resource_it_knows() {
    let world = World::new();
    let arn = |resource: &str| format!("arn:aws:ecs:us-east-1:123456789012:{resource}");
    let in_prod = |extra: Value| {
        let mut input = json!({"cluster": "prod"});
        for (key, value) in extra.as_object().unwrap() {
            input[key] = value.clone();
        }
        input
    };
    let mut registration = definition(json!([{"name": "x", "image": "nginx"}]));
    registration["tags"] = json!([{"key": "release-id", "value": "r1"}]);
    let registered: Vec<(String, String)> = permissions(&world, "RegisterTaskDefinition", registration);
    assert_eq!(
        registered[0],
        ("ecs:RegisterTaskDefinition".to_owned(), arn("task-definition/api:*"))
    );
    assert_eq!(
        registered[1],
        ("ecs:TagResource".to_owned(), arn("task-definition/api:*"))
    );
    assert_eq!(registered.len(), 4);
    let cases = [
        (
            "DescribeTaskDefinition",
            json!({"taskDefinition": "api"}),
            "*".to_owned(),
        ),
        (
            "UpdateService",
            in_prod(json!({"service": "api"})),
            arn("service/prod/api"),
        ),
        (
            "DescribeServices",
            in_prod(json!({"services": ["api"]})),
            arn("service/prod/api"),
        ),
        (
            "ListServiceDeployments",
            in_prod(json!({"service": "api"})),
            arn("service/prod/api"),
        ),
        ("StopTask", in_prod(json!({"task": "abc"})), arn("task/prod/abc")),
        (
            "DescribeTasks",
            in_prod(json!({"tasks": ["abc"]})),
            arn("task/prod/abc"),
        ),
        ("ListTasks", in_prod(json!({})), "*".to_owned()),
    ];
    for (operation, input, resource) in cases {
        assert_eq!(
            permissions(&world, operation, input),
            [(format!("ecs:{operation}"), resource)]
        );
    }
}
