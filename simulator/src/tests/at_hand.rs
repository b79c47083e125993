//! What people do with the services from outside, beyond what functions need.

use serde_json::{Value, json};
use simulator_kernel::ApiError;

use super::permissions::{ask, call, send};
use super::simulation;
use crate::services::Sqs;
use crate::{Simulation, World};

fn done(world: &mut World, service: &str, operation: &str, input: Value) -> Value {
    call(world, service, operation, input).unwrap()
}

fn code(result: Result<Value, ApiError>) -> String {
    result.unwrap_err().code
}

#[test]
fn a_batch_does_what_it_can_and_tells_the_rest() {
    let mut simulation = simulation();
    let world = simulation.world_mut();
    let url = done(world, "sqs", "CreateQueue", json!({"QueueName": "letters"}))["QueueUrl"].clone();
    let entries = json!([{"Id": "a", "MessageBody": "one"}, {"Id": "b"}]);
    let sent = done(
        world,
        "sqs",
        "SendMessageBatch",
        json!({"QueueUrl": url, "Entries": entries}),
    );
    assert_eq!(
        (&sent["Successful"][0]["Id"], &sent["Failed"][0]["Id"]),
        (&json!("a"), &json!("b"))
    );

    let receive =
        |world: &mut World| done(world, "sqs", "ReceiveMessage", json!({"QueueUrl": url}))["Messages"].clone();
    let receipt = receive(world)[0]["ReceiptHandle"].clone();
    assert_eq!(receive(world), json!([]));
    let visible = json!({"QueueUrl": url, "ReceiptHandle": receipt, "VisibilityTimeout": 0});
    done(world, "sqs", "ChangeMessageVisibility", visible);
    let receipt = receive(world)[0]["ReceiptHandle"].clone();
    let entries = json!([{"Id": "a", "ReceiptHandle": receipt}]);
    done(
        world,
        "sqs",
        "DeleteMessageBatch",
        json!({"QueueUrl": url, "Entries": entries}),
    );
    let of = |count: usize| -> Vec<Value> {
        let ids = 0..count;
        ids.map(|id| json!({"Id": id.to_string(), "MessageBody": "body"}))
            .collect()
    };
    for (entries, refused) in [
        (of(0), "EmptyBatchRequest"),
        (of(11), "TooManyEntriesInBatchRequest"),
        ([of(1), of(1)].concat(), "BatchEntryIdsNotDistinct"),
    ] {
        let batch = json!({"QueueUrl": url, "Entries": entries});
        assert_eq!(code(call(world, "sqs", "SendMessageBatch", batch)), refused);
    }
    assert_eq!(receive(world), json!([]));
    for (timeout, refused) in [
        (json!(null), "MissingParameter"),
        (json!(-1), "InvalidParameterValue"),
        (json!(43_201), "InvalidParameterValue"),
        (json!("9"), "InvalidParameterValue"),
    ] {
        let change = json!({"QueueUrl": url, "ReceiptHandle": "none", "VisibilityTimeout": timeout});
        assert_eq!(code(call(world, "sqs", "ChangeMessageVisibility", change)), refused);
    }
    done(world, "sqs", "DeleteQueue", json!({"QueueUrl": url}));
    assert_eq!(
        code(call(world, "sqs", "PurgeQueue", json!({"QueueUrl": url}))),
        "QueueDoesNotExist"
    );
}

#[test]
fn a_metric_is_listed_by_what_it_is_of_and_its_statistics_are_by_period() {
    let mut simulation = simulation();
    let world = simulation.world_mut();
    let now = world.now().as_second();
    let of = |service: &str| json!([{"Name": "Service", "Value": service}]);
    for (service, value) in [("api", 1.0), ("api", 3.0), ("web", 9.0)] {
        let datum = json!({"MetricName": "Errors", "Dimensions": of(service), "Value": value, "Timestamp": now - 60});
        done(
            world,
            "monitoring",
            "PutMetricData",
            json!({"Namespace": "shop", "MetricData": [datum]}),
        );
    }
    let listed = done(
        world,
        "monitoring",
        "ListMetrics",
        json!({"Namespace": "shop", "Dimensions": of("api")}),
    );
    assert_eq!(
        listed["Metrics"],
        json!([{"Namespace": "shop", "MetricName": "Errors", "Dimensions": of("api")}])
    );
    let asked = json!({
        "Namespace": "shop", "MetricName": "Errors", "Dimensions": of("api"), "StartTime": now - 300, "EndTime": now, "Period": 300,
        "Statistics": ["Sum", "Maximum"], "ExtendedStatistics": ["p50"],
    });
    let answer = done(world, "monitoring", "GetMetricStatistics", asked);
    let datapoint = &answer["Datapoints"][0];
    assert_eq!((&datapoint["Sum"], &datapoint["Maximum"]), (&json!(4.0), &json!(3.0)));
    assert!(datapoint["ExtendedStatistics"]["p50"].is_number() && datapoint["Timestamp"].is_number());
    assert_eq!(answer["Datapoints"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_listed_of_a_secret_does_not_hold_it() {
    let mut simulation = simulation();
    let world = simulation.world_mut();
    done(
        world,
        "secretsmanager",
        "CreateSecret",
        json!({"Name": "token", "SecretString": "hidden"}),
    );
    let listed = done(world, "secretsmanager", "ListSecrets", json!({}));
    let described = done(world, "secretsmanager", "DescribeSecret", json!({"SecretId": "token"}));
    assert_eq!(listed["SecretList"][0], described);
    assert!(described["Name"] == "token" && !described.to_string().contains("hidden"));
    let id = json!({"SecretId": "token", "ForceDeleteWithoutRecovery": true});
    done(world, "secretsmanager", "DeleteSecret", id);
    let gone = call(world, "secretsmanager", "GetSecretValue", json!({"SecretId": "token"}));
    assert_eq!(code(gone), "ResourceNotFoundException");
}

#[test]
fn a_cluster_is_deleted_when_nothing_is_left_in_it() {
    let mut simulation = simulation();
    let world = simulation.world_mut();
    done(world, "ecs", "CreateCluster", json!({"clusterName": "mine"}));
    let definition = json!({
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "web", "image": "nginx"}],
    });
    done(world, "ecs", "RegisterTaskDefinition", definition);
    let service = json!({"cluster": "mine", "serviceName": "web", "taskDefinition": "web", "desiredCount": 0, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}});
    done(world, "ecs", "CreateService", service);
    let arn = "arn:aws:ecs:us-east-1:123456789012:cluster/mine";
    assert_eq!(
        done(world, "ecs", "ListClusters", json!({}))["clusterArns"],
        json!([arn])
    );
    let refused = call(world, "ecs", "DeleteCluster", json!({"cluster": "mine"}));
    assert_eq!(code(refused), "ClusterContainsServicesException");
    done(
        world,
        "ecs",
        "DeleteService",
        json!({"cluster": "mine", "service": "web", "force": true}),
    );
    done(world, "ecs", "DeleteCluster", json!({"cluster": "mine"}));
    assert_eq!(done(world, "ecs", "ListClusters", json!({}))["clusterArns"], json!([]));
}

#[test]
fn a_repository_with_images_is_deleted_by_force_only() {
    let mut simulation = simulation();
    let world = simulation.world_mut();
    done(world, "ecr", "CreateRepository", json!({"repositoryName": "api"}));
    let manifest = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json"}).to_string();
    done(
        world,
        "ecr",
        "PutImage",
        json!({"repositoryName": "api", "imageManifest": manifest, "imageTag": "v1"}),
    );
    let refused = call(world, "ecr", "DeleteRepository", json!({"repositoryName": "api"}));
    assert_eq!(code(refused), "RepositoryNotEmptyException");
    done(
        world,
        "ecr",
        "DeleteRepository",
        json!({"repositoryName": "api", "force": true}),
    );
    let gone = call(world, "ecr", "ListImages", json!({"repositoryName": "api"}));
    assert_eq!(code(gone), "RepositoryNotFoundException");
}

#[test]
fn rules_are_found_by_their_target_on_the_one_bus() {
    let mut simulation = simulation();
    let world = simulation.world_mut();
    done(
        world,
        "events",
        "PutRule",
        json!({"Name": "orders", "EventPattern": "{\"source\": [\"shop\"]}"}),
    );
    let queue = "arn:aws:sqs:us-east-1:123456789012:letters";
    let role = "arn:aws:iam::123456789012:role/made";
    let target = json!({"Id": "1", "Arn": queue, "RoleArn": role});
    done(
        world,
        "events",
        "PutTargets",
        json!({"Rule": "orders", "Targets": [target]}),
    );
    let found = done(world, "events", "ListRuleNamesByTarget", json!({"TargetArn": queue}));
    assert_eq!(found, json!({"RuleNames": ["orders"]}));
    let buses = done(world, "events", "ListEventBuses", json!({}));
    assert_eq!(
        buses["EventBuses"][0],
        done(world, "events", "DescribeEventBus", json!({}))
    );
}

#[test]
fn a_queue_that_is_there_is_created_again_only_as_it_is() {
    let mut simulation = simulation();
    let world = simulation.world_mut();
    let create = |world: &mut World, attributes: Value| {
        let input = json!({"QueueName": "letters", "Attributes": attributes});
        call(world, "sqs", "CreateQueue", input)
    };
    let url = create(world, json!({"VisibilityTimeout": "60"})).unwrap();
    for same in [
        json!({}),
        json!({"VisibilityTimeout": "60"}),
        json!({"VisibilityTimeout": "60", "DelaySeconds": "0"}),
    ] {
        assert_eq!(create(world, same).unwrap(), url);
    }
    for other in [json!({"VisibilityTimeout": "30"}), json!({"DelaySeconds": "5"})] {
        assert_eq!(code(create(world, other)), "QueueNameExists");
    }
    let asked = json!({"QueueUrl": url["QueueUrl"], "AttributeNames": ["VisibilityTimeout", "DelaySeconds"]});
    assert_eq!(
        done(world, "sqs", "GetQueueAttributes", asked)["Attributes"],
        json!({"VisibilityTimeout": "60"})
    );
}

#[test]
fn who_waits_for_a_message_is_told_that_the_queue_is_gone() {
    let mut simulation = simulation();
    let created = ask(&mut simulation, "sqs", "CreateQueue", json!({"QueueName": "letters"})).unwrap();
    let url = created["QueueUrl"].clone();
    let waiting = json!({"QueueUrl": url, "WaitTimeSeconds": 20});
    let answered = send(&simulation, "sqs", "ReceiveMessage", waiting);
    let second = jiff::SignedDuration::from_secs(1);
    simulation.run_for(second);
    let deleted = simulation.world().now();
    ask(&mut simulation, "sqs", "DeleteQueue", json!({"QueueUrl": url})).unwrap();
    assert_eq!(code(simulation.block_on(answered).unwrap().1), "QueueDoesNotExist");
    assert!(simulation.world().now().duration_since(deleted) < second);
}

#[test]
fn a_queue_lets_in_whom_its_policy_names_as_long_as_it_is_there() {
    let mut simulation = simulation();
    let rule = "arn:aws:events:us-east-1:123456789012:rule/orders";
    let letters = "arn:aws:sqs:us-east-1:123456789012:letters";
    let statement = json!({
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": letters,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    });
    let created = ask(&mut simulation, "sqs", "CreateQueue", json!({"QueueName": "letters"})).unwrap();
    let set = |simulation: &mut Simulation, policy: &str| {
        let input = json!({"QueueUrl": created["QueueUrl"], "Attributes": {"Policy": policy}});
        ask(simulation, "sqs", "SetQueueAttributes", input)
    };
    let wrong = set(&mut simulation, r#"{"Statement": [{"Effect": "Maybe"}]}"#);
    assert_eq!(code(wrong), "InvalidAttributeValue");
    set(&mut simulation, &json!({"Statement": [statement]}).to_string()).unwrap();
    for rule in ["orders", "others"] {
        let pattern = json!({"Name": rule, "EventPattern": "{\"source\": [\"shop\"]}"});
        ask(&mut simulation, "events", "PutRule", pattern).unwrap();
        let targets = json!({"Rule": rule, "Targets": [{"Id": "1", "Arn": letters}]});
        ask(&mut simulation, "events", "PutTargets", targets).unwrap();
    }
    let messages = |simulation: &mut Simulation| {
        let entry = json!({"Source": "shop", "DetailType": "Order", "Detail": "{}"});
        ask(simulation, "events", "PutEvents", json!({"Entries": [entry]})).unwrap();
        simulation.run_for(jiff::SignedDuration::from_mins(1));
        simulation.world().service::<Sqs>().unwrap().messages("letters").len()
    };
    // One rule is named, the other is not.
    assert_eq!(messages(&mut simulation), 1);
    set(&mut simulation, "").unwrap();
    assert_eq!(messages(&mut simulation), 1);
}
