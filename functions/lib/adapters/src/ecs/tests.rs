use std::collections::BTreeMap;

use esclusa_core::error::ErrorKind;
use esclusa_core::migration::{RunTaskError, TaskFacts};
use esclusa_core::service_deployment::ServiceFacts;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Answer, Recorded};

const TASK: &str = "arn:aws:ecs:us-east-1:123456789012:task/develop/fdf2c302";

fn error(name: &str, message: &str) -> Answer {
    Answer::json(400, &json!({"__type": name, "message": message}))
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("service-{index}")).collect()
}

fn run_task() -> RunTask {
    RunTask {
        cluster: "develop".to_owned(),
        task_definition: "migrations:7".to_owned(),
        client_token: "token-1".to_owned(),
        started_by: "catalog-0a1b-develop-1".to_owned(),
        launch_type: "FARGATE".to_owned(),
        network: Some(esclusa_core::pipeline::Network {
            subnets: vec!["subnet-1".to_owned()],
            security_groups: vec!["sg-1".to_owned()],
            assign_public_ip: false,
        }),
        group: Some("migration".to_owned()),
        container_overrides: json!([{
            "name": "migrations", "command": ["migrate"], "environment": [{"name": "STAGE", "value": "a-value"}],
        }]),
        tags: BTreeMap::from([("esclusa:release".to_owned(), "catalog-0a1b".to_owned())]),
    }
}

#[tokio::test]
async fn more_services_than_one_call_takes_are_described_in_several() {
    let service =
        |index: usize| json!({"serviceArn": format!("arn:{index}"), "serviceName": format!("service-{index}")});
    let first: Value = (0..10).map(service).collect();
    let recorded = Recorded::new([
        Answer::json(200, &json!({"services": first, "failures": []})),
        Answer::json(
            200,
            &json!({"services": [service(10)], "failures": [{"arn": "arn:11", "reason": "MISSING"}]}),
        ),
    ]);
    let described = EcsReader::new(&recorded.config())
        .describe_services("develop", &names(12))
        .await
        .unwrap();
    assert_eq!(described.found.len(), 11);
    assert_eq!(described.missing[0].reason.as_deref(), Some("MISSING"));
    assert_eq!(
        recorded.requests()[1].body["services"],
        json!(["service-10", "service-11"])
    );
}

#[tokio::test]
async fn nothing_to_describe_calls_nobody() {
    let recorded = Recorded::new([]);
    let described = EcsReader::new(&recorded.config())
        .describe_tasks("develop", &[])
        .await
        .unwrap();
    assert_eq!(described, Described::default());
    assert!(recorded.requests().is_empty());
}

#[tokio::test]
async fn a_service_is_handed_on_whole_and_the_core_finds_its_primary_deployment() {
    let service = json!({
        "serviceArn": "arn:service", "serviceName": "api", "status": "ACTIVE", "desiredCount": 2, "runningCount": 1,
        "taskDefinition": "api:8", "deployments": [
            {"id": "ecs-svc/1", "status": "ACTIVE", "taskDefinition": "api:7", "rolloutState": "COMPLETED"},
            {"id": "ecs-svc/2", "status": "PRIMARY", "taskDefinition": "api:8", "rolloutState": "IN_PROGRESS", "createdAt": 1_793_620_800.25},
        ],
        "currentServiceDeployment": "arn:deployment", "addedTomorrow": {"x": 1},
    });
    let recorded = Recorded::new([Answer::json(200, &json!({"services": [service], "failures": []}))]);
    let described = EcsReader::new(&recorded.config())
        .describe_services("develop", &names(1))
        .await
        .unwrap();
    assert_eq!(described.found, [service]);
    let facts = ServiceFacts::from_json(&described.found[0]).unwrap();
    assert_eq!(facts.primary().unwrap().id, "ecs-svc/2");
}

#[tokio::test]
async fn a_list_of_tasks_is_read_to_its_end() {
    let recorded = Recorded::new([
        Answer::json(200, &json!({"taskArns": ["one"], "nextToken": "more"})),
        Answer::json(200, &json!({"taskArns": ["two"]})),
    ]);
    let reader = EcsReader::new(&recorded.config());
    let arns = reader
        .list_tasks("develop", &TaskFilter::StartedBy("release-1"))
        .await
        .unwrap();
    assert_eq!(arns, ["one", "two"]);
    let sent = recorded.requests();
    assert!(sent[0].body.get("desiredStatus").is_none());
    assert_eq!(sent[0].body["startedBy"], "release-1");
    assert_eq!(sent[1].body["nextToken"], "more");
}

#[tokio::test]
async fn a_list_of_services_is_read_to_its_end() {
    let recorded = Recorded::new([
        Answer::json(200, &json!({"serviceArns": ["arn:one"], "nextToken": "more"})),
        Answer::json(200, &json!({"serviceArns": ["arn:two"]})),
    ]);
    let services = EcsReader::new(&recorded.config()).list_services("shop").await.unwrap();
    assert_eq!(services, ["arn:one", "arn:two"]);
    let sent = recorded.requests();
    assert_eq!(sent[0].body, json!({"cluster": "shop", "maxResults": 100}));
    assert_eq!(sent[1].body["nextToken"], "more");
}

#[tokio::test]
async fn a_list_without_end_is_refused_and_never_cut() {
    let pages = (0..100).map(|_| Answer::json(200, &json!({"taskArns": ["one"], "nextToken": "more"})));
    let recorded = Recorded::new(pages);
    let reader = EcsReader::new(&recorded.config());
    let failure = reader
        .list_tasks("develop", &TaskFilter::Service("api"))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Refused);
    assert_eq!(recorded.requests().len(), 50);
}

#[tokio::test]
async fn a_task_definition_is_read_with_its_tags_and_an_unknown_family_is_absent() {
    let answer = json!({
        "taskDefinition": {"taskDefinitionArn": "arn:api:8", "family": "api", "revision": 8, "status": "ACTIVE", "restartPolicy2": {}},
        "tags": [{"key": "esclusa:content", "value": "0a1b"}, {"key": "empty"}],
    });
    let recorded = Recorded::new([
        Answer::json(200, &answer),
        error("ClientException", "Unable to describe task definition."),
        error("ClientException", "Something else"),
    ]);
    let reader = EcsReader::new(&recorded.config());
    let definition = reader.describe_task_definition("api").await.unwrap().unwrap();
    assert_eq!(
        (definition.arn.as_str(), definition.status.as_deref()),
        ("arn:api:8", Some("ACTIVE"))
    );
    assert_eq!(definition.tags.get("esclusa:content").map(String::as_str), Some("0a1b"));
    assert!(definition.raw.get("restartPolicy2").is_some());
    assert_eq!(recorded.requests()[0].body["include"], json!(["TAGS"]));
    assert_eq!(reader.describe_task_definition("api").await.unwrap(), None);
    assert_eq!(
        reader.describe_task_definition("api").await.unwrap_err().kind,
        ErrorKind::Refused
    );
}

#[tokio::test]
async fn service_deployments_are_listed_newest_first_and_none_for_an_unknown_service() {
    let recorded = Recorded::new([
        Answer::json(
            200,
            &json!({"serviceDeployments": [
                {"serviceDeploymentArn": "old", "status": "SUCCESSFUL", "createdAt": 1_793_620_800},
                {"serviceDeploymentArn": "new", "status": "ADDED_TOMORROW", "createdAt": 1_793_620_900},
            ]}),
        ),
        error("ServiceNotFoundException", "no"),
    ]);
    let reader = EcsReader::new(&recorded.config());
    let described = reader.list_service_deployments("develop", "api").await.unwrap();
    let arns: Vec<&Value> = described.found.iter().map(|one| &one["serviceDeploymentArn"]).collect();
    assert_eq!(arns, ["new", "old"]);
    assert!(
        reader
            .list_service_deployments("develop", "api")
            .await
            .unwrap()
            .found
            .is_empty()
    );
}

#[tokio::test]
async fn tasks_and_service_deployments_keep_what_we_do_not_know() {
    let task =
        json!({"taskArn": TASK, "lastStatus": "STOPPED", "startedAt": 1_793_620_800.5, "addedTomorrow": {"x": null}});
    let deployment =
        json!({"serviceDeploymentArn": "arn:deployment", "status": "ADDED_TOMORROW", "addedTomorrow": [1]});
    let recorded = Recorded::new([
        Answer::json(200, &json!({"tasks": [task], "failures": []})),
        Answer::json(200, &json!({"serviceDeployments": [deployment], "failures": []})),
    ]);
    let reader = EcsReader::new(&recorded.config());
    let tasks = reader.describe_tasks("develop", &[TASK.to_owned()]).await.unwrap();
    assert_eq!(tasks.found, [task]);
    assert!(TaskFacts::from_json(&tasks.found[0]).unwrap().is_stopped());
    let deployments = reader
        .describe_service_deployments(&["arn:deployment".to_owned()])
        .await
        .unwrap();
    assert_eq!(deployments.found, [deployment]);
}

#[tokio::test]
async fn registering_sends_the_definition_whole_and_replaces_tags_of_the_same_key() {
    let recorded = Recorded::new([Answer::json(
        200,
        &json!({"taskDefinition": {"taskDefinitionArn": "arn:api:9"}}),
    )]);
    let definition = json!({
        "family": "api", "newerThanTheSdk": true,
        "tags": [{"key": "team", "value": "a"}, {"key": "esclusa:release", "value": "old"}],
    });
    let tags = BTreeMap::from([("esclusa:release".to_owned(), "new".to_owned())]);
    let registrar = TaskDefinitionRegistrar::new(&recorded.config());
    assert_eq!(registrar.register(&definition, &tags).await.unwrap().arn, "arn:api:9");
    let sent = &recorded.requests()[0].body;
    assert_eq!(sent["newerThanTheSdk"], true);
    assert_eq!(
        sent["tags"],
        json!([{"key": "team", "value": "a"}, {"key": "esclusa:release", "value": "new"}])
    );
    assert_eq!(
        registrar.register(&json!([]), &tags).await.unwrap_err().kind,
        ErrorKind::InvalidInput
    );
}

#[tokio::test]
async fn a_task_is_run_with_exactly_what_was_asked_for() {
    let answer = json!({"tasks": [{"taskArn": TASK, "lastStatus": "PROVISIONING"}], "failures": []});
    let recorded = Recorded::new([Answer::json(200, &answer)]);
    assert_eq!(
        TaskRunner::new(&recorded.config()).run(&run_task()).await.unwrap(),
        answer
    );
    assert_eq!(
        recorded.requests()[0].body,
        json!({
            "cluster": "develop", "taskDefinition": "migrations:7", "clientToken": "token-1",
            "startedBy": "catalog-0a1b-develop-1", "count": 1, "launchType": "FARGATE", "group": "migration",
            "networkConfiguration": {"awsvpcConfiguration": {
                "subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED",
            }},
            "overrides": {"containerOverrides": [
                {"name": "migrations", "command": ["migrate"], "environment": [{"name": "STAGE", "value": "a-value"}]},
            ]},
            "tags": [{"key": "esclusa:release", "value": "catalog-0a1b"}],
        })
    );
}

#[tokio::test]
async fn an_error_of_run_task_is_handed_on_with_all_that_a_decision_needs() {
    let recorded = Recorded::new([
        Answer::json(
            400,
            &json!({"__type": "ConflictException", "message": "no", "resourceIds": [TASK]}),
        ),
        Answer::json(500, &json!({"__type": "ServerException", "message": "later"})),
        Answer::ConnectionReset,
    ]);
    let runner = TaskRunner::new(&recorded.config());
    let conflict = RunTaskError {
        code: Some("ConflictException".to_owned()),
        http_status: Some(400),
        message: "no".to_owned(),
        resource_ids: vec![TASK.to_owned()],
    };
    assert_eq!(runner.run(&run_task()).await.unwrap_err(), conflict);
    let later = runner.run(&run_task()).await.unwrap_err();
    assert_eq!(
        (later.code.as_deref(), later.http_status),
        (Some("ServerException"), Some(500))
    );
    let reset = runner.run(&run_task()).await.unwrap_err();
    assert_eq!((reset.code, reset.http_status), (None, None));
    assert!(
        reset.message.contains("`ecs:RunTask` could not be sent"),
        "{}",
        reset.message
    );
}

#[tokio::test]
async fn a_task_without_a_group_or_overrides_sends_neither() {
    let recorded = Recorded::new([Answer::json(200, &json!({})), Answer::json(200, &json!({}))]);
    let runner = TaskRunner::new(&recorded.config());
    let plain = RunTask {
        group: None,
        container_overrides: json!([]),
        ..run_task()
    };
    runner.run(&run_task()).await.unwrap();
    runner.run(&plain).await.unwrap();
    let sent = recorded.requests();
    assert_eq!(sent[0].body["group"], "migration");
    assert_eq!(sent[0].body["overrides"]["containerOverrides"][0]["name"], "migrations");
    assert!(sent[1].body.get("group").is_none() && sent[1].body.get("overrides").is_none());
}

#[tokio::test]
async fn a_task_that_is_gone_is_told_from_a_task_that_stops() {
    let recorded = Recorded::new([
        Answer::json(200, &json!({"task": {"taskArn": TASK, "desiredStatus": "STOPPED"}})),
        error("InvalidParameterException", "The referenced task was not found."),
        error("ClusterNotFoundException", "Cluster not found."),
    ]);
    let runner = TaskRunner::new(&recorded.config());
    assert_eq!(
        runner.stop("develop", TASK, "timed out").await.unwrap(),
        StopTaskOutcome::Stopping
    );
    assert_eq!(recorded.requests()[0].body["reason"], "timed out");
    assert_eq!(
        runner.stop("develop", TASK, "timed out").await.unwrap(),
        StopTaskOutcome::NotFound
    );
    assert_eq!(
        runner.stop("develop", TASK, "timed out").await.unwrap_err().kind,
        ErrorKind::Refused
    );
}

#[tokio::test]
async fn an_update_names_only_what_shall_change() {
    let answer = json!({"service": {"serviceArn": "arn:service", "serviceName": "api"}});
    let recorded = Recorded::new([Answer::json(200, &answer), Answer::json(200, &answer)]);
    let updater = ServiceUpdater::new(&recorded.config());
    let mut update = UpdateService {
        cluster: "develop".to_owned(),
        service: "api".to_owned(),
        task_definition: "arn:api:9".to_owned(),
        deployment_configuration: None,
        desired_count: None,
        force_new_deployment: false,
    };
    assert_eq!(updater.update(&update).await.unwrap()["serviceName"], "api");
    update.deployment_configuration = Some(json!({"maximumPercent": 200, "newerThanTheSdk": {}}));
    update.desired_count = Some(1);
    updater.update(&update).await.unwrap();
    let sent = recorded.requests();
    assert_eq!(
        sent[0].body,
        json!({"cluster": "develop", "service": "api", "taskDefinition": "arn:api:9", "forceNewDeployment": false})
    );
    assert_eq!(
        sent[1].body["deploymentConfiguration"],
        json!({"maximumPercent": 200, "newerThanTheSdk": {}})
    );
    assert_eq!(sent[1].body["desiredCount"], 1);
}

#[tokio::test]
async fn a_rollback_of_what_is_over_or_unknown_is_told_and_no_failure() {
    let recorded = Recorded::new([
        Answer::json(200, &json!({"serviceDeploymentArn": "arn:deployment"})),
        error("ConflictException", "no"),
        error("ServiceDeploymentNotFoundException", "no"),
        error("AccessDeniedException", "no"),
    ]);
    let traffic = TrafficController::new(&recorded.config());
    assert_eq!(
        traffic.roll_back("arn:deployment").await.unwrap(),
        RollbackOutcome::Requested
    );
    assert_eq!(recorded.requests()[0].body["stopType"], "ROLLBACK");
    assert_eq!(
        traffic.roll_back("arn:deployment").await.unwrap(),
        RollbackOutcome::Over
    );
    assert_eq!(
        traffic.roll_back("arn:deployment").await.unwrap(),
        RollbackOutcome::NotFound
    );
    assert_eq!(
        traffic.roll_back("arn:deployment").await.unwrap_err().kind,
        ErrorKind::AccessDenied
    );
}

#[test]
fn environment_values_of_overrides_are_not_printed() {
    let printed = format!("{:?}", run_task());
    assert!(
        printed.contains("migrations:7") && !printed.contains("a-value"),
        "{printed}"
    );
}

#[test]
fn the_cluster_is_read_from_the_arn_of_a_task_and_of_a_service() {
    assert_eq!(cluster_of(TASK).unwrap(), "develop");
    assert_eq!(
        cluster_of("arn:aws:ecs:us-east-1:123456789012:service/develop/api").unwrap(),
        "develop"
    );
    for arn in [
        "arn:aws:ecs:us-east-1:123456789012:service/api",
        "arn:aws:ecs:us-east-1:123456789012:cluster/a/b",
        "api",
    ] {
        assert_eq!(cluster_of(arn).unwrap_err().kind, ErrorKind::InvalidInput, "{arn}");
    }
}
