//! Checks over the targets of load balancers, over the lines of a log and over the consumers of a queue, each crossed
//! and not crossed.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::kernel::TargetCondition;

use crate::support::{Account, measured};

const CLUSTER: &str = "nest-demo-development";
const SERVICE: &str = "nest-demo";

/// Where the first environment begins to say how it is deployed to.
const PUSH: &str = "    trigger: push\n";

/// An environment that this check decides about, looked at every minute for five minutes.
fn verified_by(check: &str) -> String {
    format!(
        "{PUSH}    verification:\n      soak_seconds: 300\n      checks:\n        {check}\n          pace: {{interval_seconds: 60}}\n"
    )
}

/// An account with a pipeline file that reads differently in these places.
fn edited(places: &[(&str, &str)]) -> Account {
    let mut account = Account::with("nest-demo");
    let mut text = std::fs::read_to_string(&account.example.file).unwrap();
    for (from, to) in places {
        assert_eq!(text.matches(from).count(), 1, "`{from}`");
        text = text.replace(from, to);
    }
    let file = account.written(&text);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account
}

/// What the looks at a check showed: outcome and sentence of each.
fn shown(account: &Account, check: &str) -> Vec<(String, String)> {
    let text = |measured: &Value, member: &str| measured[member].as_str().unwrap().to_owned();
    let looks = account.records("checks_measured").into_iter();
    let shown = looks.filter_map(|look| measured(&look, check).cloned());
    shown
        .map(|measured| (text(&measured, "outcome"), text(&measured, "sentence")))
        .collect()
}

const TARGETS: &str = "targets:\n          measure: {targets: all}";

/// Puts a load balancer before the service. The ARN of its target group.
fn balance(account: &mut Account) -> String {
    let kernel = account.lab.world().kernel();
    let group = kernel.arn("elasticloadbalancing", "targetgroup/nest/0d0000000000006f");
    let load_balancer = json!({"targetGroupArn": group, "containerName": "nestapp", "containerPort": 3000});
    let update = json!({"cluster": CLUSTER, "service": SERVICE, "loadBalancers": [load_balancer]});
    account.administer("ecs", "UpdateService", update);
    account.pass(SignedDuration::from_mins(10));
    group
}

#[test]
fn targets_that_stay_healthy_are_counted_in_every_look() {
    let mut account = edited(&[(PUSH, &verified_by(TARGETS))]);
    balance(&mut account);
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "none", "proven");
    let looks = shown(&account, "targets");
    let well = (
        "pass".to_owned(),
        "targets of `nest-demo` in `nest`: 1 `healthy` of 1".to_owned(),
    );
    assert_eq!(looks, vec![well; 6]);
    account.assert_left("FREE");
}

/// The containers find themselves well, so ECS does; the load balancer does not reach them.
#[test]
fn a_target_that_becomes_unhealthy_takes_the_release_back_with_the_reason_of_the_load_balancer() {
    let mut account = edited(&[(PUSH, &verified_by(TARGETS))]);
    let group = balance(&mut account);
    account.release("v1.0.0", Kind::Good);
    let before = account.definition_of(CLUSTER, SERVICE);
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_mins(5));
    let targets = &mut account.lab.world_mut().kernel_mut().targets;
    let targets = &mut targets.groups.get_mut(&group).unwrap().targets;
    assert!(!targets.is_empty());
    for target in targets.values_mut() {
        target.condition = TargetCondition::Failing;
    }
    account.settle();
    account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
    let reasons = account.reasons();
    let why = "check `targets`: it failed: targets of `nest-demo` in `nest`: 0 `healthy` of 1, 1 `unhealthy` (`Target.FailedHealthChecks`)";
    assert!(reasons.contains(why), "{reasons}");
    assert_eq!(account.definition_of(CLUSTER, SERVICE), before);
    account.assert_left("FREE");
}

#[test]
fn a_service_without_a_load_balancer_has_no_targets_that_could_be_called_healthy() {
    let mut account = edited(&[(PUSH, &verified_by(TARGETS))]);
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("ROLLED_BACK", "reverted", "not_verified");
    let reasons = account.reasons();
    assert!(
        reasons.contains("check `targets`: without the target group of a load balancer: `nest-demo`"),
        "{reasons}"
    );
    account.assert_left("FREE");
}

/// An account whose containers log to CloudWatch, and may log two errors while they are verified.
fn logged() -> Account {
    let check = "errors:\n          measure: {log: {group: \"/ecs/nest-demo-${environment}\", pattern: \"?ERROR ?FATAL\", at_most: 2}}";
    let options =
        "{awslogs-group: \"/ecs/nest-demo-${environment}\", awslogs-region: us-east-1, awslogs-stream-prefix: nest}";
    let container = "        image: nestapp\n";
    let log = format!("{container}        log: {{driver: awslogs, options: {options}}}\n");
    let mut account = edited(&[(PUSH, &verified_by(check)), (container, &log)]);
    account.administer(
        "logs",
        "CreateLogGroup",
        json!({"logGroupName": "/ecs/nest-demo-development"}),
    );
    account
}

/// Pushes an image whose containers log so once a minute from the end of their third minute on, that many times, and
/// waits for the end.
fn push_that_logs(account: &mut Account, tag: &str, text: &str, times: u32) {
    let line = json!({"container": "nestapp", "text": text, "every_seconds": 60, "after_seconds": 180, "for_seconds": 60 * times});
    account.release_that_behaves(tag, &json!({"programs": [], "log_every": [line]}));
}

#[test]
fn as_many_lines_as_may_match_are_counted_and_no_more_than_that() {
    let mut account = logged();
    push_that_logs(&mut account, "v1.0.0", "ERROR no connection", 2);
    account.assert_ended("SUCCEEDED", "none", "proven");
    let looks = shown(&account, "errors");
    let well = |matches: u32| {
        (
            "pass".to_owned(),
            format!("lines that match: {matches}, at most 2 allowed"),
        )
    };
    assert_eq!(looks.first(), Some(&well(0)));
    assert_eq!(looks.last(), Some(&well(2)));
    account.assert_left("FREE");
}

#[test]
fn one_line_too_many_takes_the_release_back_and_is_shown_without_its_secret() {
    let mut account = logged();
    push_that_logs(&mut account, "v1.0.0", "INFO all is well", 100);
    account.assert_ended("SUCCEEDED", "none", "proven");
    let before = account.definition_of(CLUSTER, SERVICE);
    push_that_logs(
        &mut account,
        "v1.1.0",
        "FATAL no connection with DB_PASSWORD=hunter2secret",
        100,
    );
    account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
    // What it wrote says nothing about the version before it, which runs alone since then.
    let holds = account.esclusa(&["recheck", "nest-demo", "development"]).out;
    assert!(
        holds.contains("the verification of `v1.0.0` in `development` holds"),
        "{holds}"
    );
    let reasons = account.reasons();
    let why = "check `errors`: it failed: lines that match: 3, at most 2 allowed, the last one: FATAL no connection with DB_PASSWORD=(hidden";
    assert!(reasons.contains(why), "{reasons}");
    let looks = shown(&account, "errors");
    assert!(
        looks.iter().all(|(_, sentence)| !sentence.contains("hunter2")),
        "{looks:?}"
    );
    assert!(!reasons.contains("hunter2"), "{reasons}");
    assert_eq!(account.definition_of(CLUSTER, SERVICE), before);
    account.assert_left("FREE");
}

/// An account in which those who consume a queue are looked at.
fn consuming(idle: &str) -> Account {
    let check =
        format!("consumers:\n          measure: {{consumers: {{queue: \"${{application}}-orders\", idle: {idle}}}}}");
    edited(&[(PUSH, &verified_by(&check))])
}

/// What a queue shows while an image runs, once a minute: messages that wait and are in flight, and those that are
/// received, asked for in vain and deleted.
fn queue(shown: [u32; 5]) -> Value {
    let names = [
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
        "NumberOfMessagesReceived",
        "NumberOfEmptyReceives",
        "NumberOfMessagesDeleted",
    ];
    let metrics = names.iter().zip(shown).map(|(name, value)| {
        json!({"container": "nestapp", "namespace": "AWS/SQS", "name": name, "dimensions": {"QueueName": "nest-demo-orders"}, "values": [value]})
    });
    json!({"programs": [], "metrics": metrics.collect::<Vec<_>>()})
}

#[test]
fn consumers_that_are_done_with_no_message_take_the_release_back() {
    let mut account = consuming("inconclusive");
    account.release_that_behaves("v1.0.0", &queue([2, 1, 12, 3, 12]));
    account.assert_ended("SUCCEEDED", "none", "proven");
    let looks = shown(&account, "consumers");
    let (outcome, sentence) = looks.last().unwrap();
    assert!(
        outcome == "pass" && sentence.starts_with("messages in `nest-demo-orders`: 2 waiting, 1 in flight; in "),
        "{looks:?}"
    );
    let before = account.definition_of(CLUSTER, SERVICE);
    // They receive messages and crash on them.
    account.release_that_behaves("v1.1.0", &queue([0, 4, 4, 0, 0]));
    account.assert_ended("ROLLED_BACK", "reverted", "verification_failed");
    let reasons = account.reasons();
    let why = "check `consumers`: it failed: messages in `nest-demo-orders`: 0 waiting, 4 in flight; in 300 seconds: deleted 0, received 20, empty receives 0";
    assert!(reasons.contains(why), "{reasons}");
    assert_eq!(account.definition_of(CLUSTER, SERVICE), before);
    account.assert_left("FREE");
}

#[test]
fn a_queue_without_messages_is_good_only_where_that_is_declared_and_somebody_asks_it() {
    let (asked, left_alone) = ([0, 0, 0, 3, 0], [0; 5]);
    for (idle, shows, verdict, effect, reason) in [
        ("pass", asked, "SUCCEEDED", "none", "proven"),
        ("pass", left_alone, "ROLLED_BACK", "reverted", "not_verified"),
        ("inconclusive", asked, "ROLLED_BACK", "reverted", "not_verified"),
    ] {
        let mut account = consuming(idle);
        account.release_that_behaves("v1.0.0", &queue(shows));
        account.assert_ended(verdict, effect, reason);
        account.assert_left("FREE");
    }
}
