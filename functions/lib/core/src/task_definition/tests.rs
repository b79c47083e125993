use insta::assert_json_snapshot;
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::pipeline::{Name, TaskDefinition};

fn base() -> Value {
    json!({
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/shop:7", "revision": 7, "status": "ACTIVE",
        "requiresAttributes": [{"name": "x"}], "compatibilities": ["FARGATE"], "registeredAt": 1.5, "registeredBy": "someone",
        "deregisteredAt": 2, "deleteRequestedAt": 3,
        "family": "shop", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
        "volumes": [], "placementConstraints": [], "aFieldFromTheFuture": {"deep": [1]},
        "containerDefinitions": [
            {
                "name": "web", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop:latest", "cpu": 0, "essential": true,
                "environment": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "OLD", "value": "1"}], "mountPoints": [], "volumesFrom": [],
                "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp", "appProtocol": "http"}],
                "restartPolicy": {"enabled": true},
                "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/shop", "awslogs-region": "us-east-1"}},
            },
            {"name": "datadog-agent", "image": "public.ecr.aws/datadog/agent:7", "essential": false},
        ],
    })
}

fn settings(container: &Value) -> TaskDefinition {
    serde_json::from_value(json!({"family": "shop", "cpu": 512, "containers": {"web": container}})).unwrap()
}

fn images() -> BTreeMap<Name, String> {
    BTreeMap::from([("app".parse().unwrap(), "repository/shop@sha256:0f".to_owned())])
}

fn web(definition: &Value) -> &Value {
    containers(definition).find(|(name, _)| *name == "web").unwrap().1
}

#[test]
fn exactly_what_only_describe_answers_is_dropped() {
    let stripped = strip(&base());
    let dropped = base()
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| stripped.get(*name).is_none())
        .cloned()
        .collect::<Vec<_>>();
    let mut expected = DESCRIBE_ONLY_FIELDS.map(str::to_owned);
    expected.sort();
    let mut dropped = dropped;
    dropped.sort();
    assert_eq!(dropped, expected);
}

#[test]
fn settings_are_laid_over_and_the_rest_is_kept() {
    let settings = settings(&json!({
        "image": "app", "command": ["serve"], "environment": {"LOG_LEVEL": "debug", "NEW": "x", "OLD": null},
        "secrets": {"TOKEN": "arn:aws:ssm:us-east-1:123456789012:parameter/token"},
        "ports": [{"container_port": 8080, "protocol": "tcp"}, {"container_port": 9000, "protocol": "udp"}],
        "health_check": {"command": ["CMD", "true"], "retries": 5}, "log": {"options": {"awslogs-stream-prefix": "web"}}, "memory": 256,
    }));
    assert_json_snapshot!(patch(&base(), &settings, &images()).unwrap());
}

#[test]
fn a_container_without_a_known_digest_keeps_its_image() {
    let patched = patch(&base(), &settings(&json!({"image": "app"})), &BTreeMap::new()).unwrap();
    assert_eq!(web(&patched)["image"], web(&base())["image"]);
}

#[test]
fn everything_that_does_not_fit_is_reported() {
    let mut settings = settings(&json!({
        "health_check": {"retries": 2}, "secrets": {"LOG_LEVEL": "arn:aws:ssm:us-east-1:123456789012:parameter/level"},
    }));
    settings
        .containers
        .insert("wep".to_owned(), serde_json::from_value(json!({"log": {}})).unwrap());
    settings.containers.insert(
        "datadog-agent".to_owned(),
        serde_json::from_value(json!({"log": {}})).unwrap(),
    );
    let messages: Vec<String> = patch(&base(), &settings, &images())
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_json_snapshot!(messages);
}

#[test]
fn what_aws_fills_in_makes_no_difference() {
    let written = json!({
        "family": "shop", "networkMode": "awsvpc", "cpu": 256, "memory": 512,
        "containerDefinitions": [{
            "name": "web", "image": "x", "portMappings": [{"containerPort": 8080}],
            "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}], "healthCheck": {"command": ["CMD", "true"]},
        }],
    });
    let described = json!({
        "taskDefinitionArn": "arn", "revision": 1, "status": "ACTIVE", "family": "shop", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "volumes": [], "placementConstraints": [], "enableFaultInjection": false,
        "containerDefinitions": [{
            "name": "web", "image": "x", "cpu": 0, "essential": true, "mountPoints": [], "volumesFrom": [], "systemControls": [],
            "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}],
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "healthCheck": {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3},
        }],
    });
    assert!(same_definition(&written, &described));
    assert_eq!(content_sha256(&written), content_sha256(&described));
    assert!(diff(&written, &described).is_empty());
    let mut other = described.clone();
    other["containerDefinitions"][0]["essential"] = json!(false);
    assert!(!same_definition(&written, &other));
    let mut bridge = (written.clone(), described);
    bridge.0["networkMode"] = json!("bridge");
    bridge.1["networkMode"] = json!("bridge");
    assert!(
        !same_definition(&bridge.0, &bridge.1),
        "in bridge mode a fixed host port is not the default"
    );
}

#[test]
fn a_difference_shows_names_but_no_values_that_may_be_secrets() {
    let mut after = strip(&base());
    after["cpu"] = json!("512");
    after["containerDefinitions"][0]["environment"] =
        json!([{"name": "LOG_LEVEL", "value": "hunter2"}, {"name": "NEW", "value": "hunter2"}]);
    after["containerDefinitions"][0]["secrets"] =
        json!([{"name": "DB", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/db"}]);
    after["containerDefinitions"][0]["command"] = json!([
        "sh",
        "-c",
        "PGPASSWORD=hunter2 run --url postgres://me:hunter2@db/shop",
        "--api-token",
        "hunter2",
        "--password=hunter2",
        "--verbose",
    ]);
    after["containerDefinitions"][0]["logConfiguration"]["options"]["splunk-token"] = json!("hunter2");
    let changes = diff(&base(), &after);
    assert!(!serde_json::to_string(&changes).unwrap().contains("hunter2"));
    assert_json_snapshot!(changes);
}

#[test]
fn a_reference_is_pinned_to_the_repository_of_the_image() {
    let home = Home {
        account: "123456789012".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
    };
    let digest: Digest = format!("sha256:{}", "0f".repeat(32)).parse().unwrap();
    let image = |value| serde_json::from_value::<Image>(value).unwrap();
    let here = image_reference(&image(json!({"repository": "shop"})), &home, &digest);
    assert_eq!(
        here,
        format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/shop@{digest}")
    );
    let there = image_reference(
        &image(json!({"repository": "shop", "account": "210987654321", "region": "cn-north-1"})),
        &home,
        &digest,
    );
    assert_eq!(
        there,
        format!("210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn/shop@{digest}")
    );
}

#[test]
fn tags_of_the_base_are_kept_but_for_ours_and_those_of_aws() {
    let base = [
        ("team", "core"),
        ("esclusa:release", "old"),
        ("aws:cloudformation:stack-name", "x"),
    ];
    let base = base.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let release_id = format!("shop-{}", "0f".repeat(10)).parse().unwrap();
    let tags = revision_tags(
        &base,
        &release_id,
        &"shop".parse().unwrap(),
        &"develop".parse().unwrap(),
        "abc",
    );
    let names: Vec<&str> = tags.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            TAG_APPLICATION,
            TAG_CONTENT_SHA256,
            TAG_ENVIRONMENT,
            TAG_RELEASE,
            "team"
        ]
    );
    assert_eq!(tags[TAG_RELEASE], release_id.as_str());
}

fn variables() -> impl Strategy<Value = Value> {
    let value = prop_oneof![Just(Value::Null), "[a-z]{0,3}".prop_map(Value::from)];
    proptest::collection::btree_map("[A-C]", value, 0..3).prop_map(|members| json!(members))
}

fn container_settings() -> impl Strategy<Value = Value> {
    let ports = proptest::option::of(proptest::collection::vec((1_u16..4, any::<bool>()), 0..3));
    let command = proptest::option::of(proptest::collection::vec("[a-z]{1,4}", 0..3));
    (
        variables(),
        ports,
        command,
        proptest::option::of(6_u32..9),
        proptest::option::of("[a-z]{1,3}"),
    )
        .prop_map(|(environment, ports, command, memory, log_option)| {
            let mut settings = json!({"image": "app", "environment": environment});
            if let Some(ports) = ports {
                let port =
                    |(port, is_udp)| json!({"container_port": port, "protocol": if is_udp { "udp" } else { "tcp" }});
                settings["ports"] = ports.into_iter().map(port).collect();
            }
            for (field, value) in [
                ("command", command.map(|command| json!(command))),
                ("memory", memory.map(|memory| json!(memory))),
            ] {
                if let Some(value) = value {
                    settings[field] = value;
                }
            }
            if let Some(option) = log_option {
                settings["log"] = json!({"driver": "awslogs", "options": {option: "x"}});
            }
            settings
        })
}

fn unknown_fields() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map("future[A-Z]{1,3}", any::<u8>().prop_map(Value::from), 0..4)
        .prop_map(|fields| fields.into_iter().collect())
}

#[test]
fn a_port_that_is_given_twice_stays_as_it_is_given() {
    let settings = settings(&json!({"ports": [{"container_port": 81, "name": "http"}, {"container_port": 81}]}));
    let once = patch(&base(), &settings, &images()).unwrap();
    assert_eq!(
        web(&once)["portMappings"][1],
        json!({"containerPort": 81, "protocol": "tcp"})
    );
    assert_eq!(patch(&once, &settings, &images()).unwrap(), once);
}

#[test]
fn an_error_stays_on_its_line_whatever_containers_are_called() {
    let base = json!({"containerDefinitions": [{"name": "a\nb"}]});
    let errors = patch(&base, &settings(&json!({})), &images()).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        r"the family `shop` has no container `web`; it has `a\nb`"
    );
}

#[test]
fn a_secret_is_masked_however_it_is_written_on_a_command_line() {
    for arguments in [
        &["--password", "hunter2 hunter2"][..],
        &["--api-key=hunter2 hunter2"],
        &["Authorization: Bearer hunter2"],
        &["curl -H 'Authorization: Bearer hunter2' host"],
        &["mysql --password\thunter2"],
        &["mysql --password \\\n  hunter2"],
        &["mysql --password \"hunter2 hunter2\" -u root"],
        &["set -e\nA=1\nDB_PASSWORD=hunter2\nrun"],
        &["A=1;DB_PASSWORD=hunter2 run"],
        &[r#"{"user":"root","password":"hunter2"}"#],
        &["redis://a:b@one,redis://a:hunter2@two"],
        &["https://ghp_hunter2@github.com/a/b"],
    ] {
        let shown = masked_arguments(arguments.iter().copied()).join(" ");
        assert!(!shown.contains("hunter2"), "{arguments:?} is shown as {shown}");
    }
    let harmless = [
        "sh",
        "-c",
        "wait  4\n\tcurl http://auth-service:8080/ && exec app:1.2 --log=json",
    ];
    assert_eq!(masked_arguments(harmless), harmless);
}

#[test]
fn a_list_that_nobody_knows_shows_no_secret() {
    let known = json!([{"name": "Egress", "value": "80"}, {"labels": ["--token", "x"], "timeout": 5}]);
    let secret =
        json!([{"name": "DB_PASSWORD", "value": "hunter2"}, {"apiKey": {"a": "hunter2"}}, ["--token", "hunter2"]]);
    let definition = |list: &Value| json!({"family": "shop-web", "properties": list});
    let changes = diff(&definition(&known), &definition(&secret));
    assert!(!format!("{changes:?}").contains("hunter2"), "{changes:?}");
    assert!(changes[0].before.as_ref().unwrap().contains("Egress"));
}

proptest! {
    #[test]
    fn patching_twice_is_patching_once(container in container_settings()) {
        let settings = settings(&container);
        let once = patch(&base(), &settings, &images()).unwrap();
        prop_assert_eq!(patch(&once, &settings, &images()).unwrap(), once.clone());
        prop_assert!(same_definition(&once, &patch(&once, &settings, &images()).unwrap()));
    }

    #[test]
    fn fields_nobody_knows_survive(container in container_settings(), of_task in unknown_fields(), of_container in unknown_fields()) {
        let mut base = base();
        base.as_object_mut().unwrap().extend(of_task.clone());
        base["containerDefinitions"][0].as_object_mut().unwrap().extend(of_container.clone());
        let patched = patch(&base, &settings(&container), &images()).unwrap();
        for (name, value) in of_task {
            prop_assert_eq!(&patched[&name], &value);
        }
        for (name, value) in of_container {
            prop_assert_eq!(&web(&patched)[&name], &value);
        }
        prop_assert_eq!(&patched["aFieldFromTheFuture"], &base["aFieldFromTheFuture"]);
        prop_assert_eq!(&patched["containerDefinitions"][1], &base["containerDefinitions"][1]);
    }

    #[test]
    fn a_difference_is_empty_exactly_when_the_definitions_are_the_same(left in container_settings(), right in container_settings()) {
        let left = patch(&base(), &settings(&left), &images()).unwrap();
        let right = patch(&base(), &settings(&right), &images()).unwrap();
        prop_assert_eq!(diff(&left, &right).is_empty(), same_definition(&left, &right));
    }
}
