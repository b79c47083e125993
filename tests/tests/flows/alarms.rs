//! The alarms by which ECS watches the deployments of a service.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::json;
use simulator::World;

use crate::path::{self, BACK, EVIDENCE, SERVICE, WAY_BACK_END};
use crate::support::Account;

const CLUSTER: &str = "nest-demo-development";
const SERVICE_NAME: &str = "nest-demo";

/// An account in which a good version runs whose service is watched by the alarm `errors`.
fn watched() -> Account {
    let mut account = Account::running("nest-demo", "v1.0.0");
    account.administer(
        "monitoring",
        "PutMetricAlarm",
        json!({
            "AlarmName": "errors", "Namespace": "nest-demo", "MetricName": "Errors", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold", "Threshold": 5.0,
        }),
    );
    account.say_alarm("errors", "OK");
    let watch = json!({"alarms": {"alarmNames": ["errors"], "enable": true, "rollback": true}});
    let update = json!({"cluster": CLUSTER, "service": SERVICE_NAME, "deploymentConfiguration": watch});
    account.administer("ecs", "UpdateService", update);
    account.forget_calls();
    account
}

#[test]
fn an_alarm_that_fires_already_is_told_before_anything_moves_and_keeps_nobody_from_going_back() {
    let mut account = watched();
    account.release("v1.1.0", Kind::Good);
    account.say_alarm("errors", "ALARM");
    account.forget_calls();
    account.release("v1.2.0", Kind::Good);
    account.assert_acts(&[]);
    let reasons = account.reasons();
    for words in [
        "`errors`",
        "aws cloudwatch describe-alarms --alarm-names errors",
        "`accept: [alarm_firing]`",
    ] {
        assert!(reasons.contains(words), "{reasons}");
    }
    account.esclusa(&["rollback", "nest-demo", "development", "--reason", "errors"]);
    account.assert_ended("SUCCEEDED", "none", "proven");
    account.assert_acts(&[("UpdateService", 1)]);
    account.assert_left("FREE");
}

#[test]
fn an_alarm_that_goes_off_during_the_rollout_brings_it_back() {
    let mut account = watched();
    let before = account.definition_of(CLUSTER, SERVICE_NAME);
    let calls = account.lab.world().calls().len();
    account.push("v1.1.0", Kind::Good);
    let has_moved = |world: &World| {
        let mut later = world.calls().iter().skip(calls);
        later.any(|call| call.operation == "UpdateService")
    };
    assert!(
        account
            .lab
            .simulation()
            .run_until(SignedDuration::from_mins(10), has_moved)
    );
    account.say_alarm("errors", "ALARM");
    account.settle();
    account.assert_deployment_path(
        "development",
        &[&path::opening(1), SERVICE, EVIDENCE, BACK, WAY_BACK_END],
    );
    account.assert_ended("ROLLED_BACK", "reverted", "rollout_failed");
    assert!(account.reasons().contains("`errors`"), "{}", account.reasons());
    assert_eq!(account.definition_of(CLUSTER, SERVICE_NAME), before);
    account.assert_left("FREE");
}
