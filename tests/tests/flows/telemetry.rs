//! What is measured becomes metrics, and the alarms of the template go off for what a person must look at, and for
//! nothing else.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::kernel::{Metric, Statistic, Window};
use simulator::{ApiError, Fault, FaultKind, Lambda, Selector};
use simulator_event_bridge::{Fault as DeliveryFault, Occurrence};

use crate::support::Account;

/// Longer than the alarms over the schedules take to notice that one is silent.
const SILENCE: SignedDuration = SignedDuration::from_mins(31);

/// An account in which the output of the functions is kept, with the alarms of the template.
fn watched(mut account: Account) -> Account {
    let alarms = account.lab.world().template().unwrap().alarms.clone();
    for alarm in alarms.into_values() {
        account.administer("monitoring", "PutMetricAlarm", alarm.properties);
    }
    account.pass(SILENCE);
    account
}

/// The alarms that fire, without the name of the stack.
fn firing(account: &mut Account) -> Vec<String> {
    let found = account.administer("monitoring", "DescribeAlarms", json!({"StateValue": "ALARM"}));
    let names = found["MetricAlarms"].as_array().unwrap().iter();
    let name = |alarm: &Value| alarm["AlarmName"].as_str().unwrap().replace("esclusa-", "");
    names.map(name).collect()
}

/// What a metric has measured since the account began; none where it never measured anything.
fn measured(account: &Account, statistic: Statistic, name: &str, dimensions: &[(&str, &str)]) -> Option<f64> {
    let own = [("service", "esclusa")];
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let metric = Metric {
        namespace: "Esclusa".to_owned(),
        name: name.to_owned(),
        dimensions: own.iter().chain(dimensions).map(text).collect::<BTreeMap<_, _>>(),
    };
    let world = account.lab.world();
    let day = SignedDuration::from_hours(24);
    let window = Window {
        start: world.now() - day,
        end: world.now() + SignedDuration::from_secs(1),
        period: day + day,
    };
    let points = world.kernel().metrics.datapoints(&metric, statistic, window);
    points.into_values().next()
}

#[test]
fn a_release_is_measured_and_nobody_is_woken_for_it() {
    let mut account = watched(Account::with_logs("imagy-catalog"));
    account.release("v1.0.0", Kind::Good);
    account.pass(SignedDuration::from_mins(10));
    let good = [("verdict", "SUCCEEDED"), ("effect", "schema_moved")];
    for (name, dimensions, count) in [
        ("DeploymentSeconds", &good[..], 2.0),
        ("StepSeconds", &[("step", "task"), ("outcome", "done")], 2.0),
        ("StepSeconds", &[("step", "service"), ("outcome", "done")], 2.0),
        ("ReleaseSeconds", &good, 1.0),
        ("WaitSeconds", &[("wait", "task"), ("woken_by", "event")], 2.0),
        ("WaitSeconds", &[("wait", "service"), ("woken_by", "event")], 2.0),
        ("WaitSeconds", &[("wait", "execution"), ("woken_by", "event")], 2.0),
    ] {
        let given = measured(&account, Statistic::SampleCount, name, dimensions);
        assert_eq!(given, Some(count), "{name} {dimensions:?}");
    }
    let took = measured(&account, Statistic::Maximum, "ReleaseSeconds", &good).unwrap();
    let longest = measured(&account, Statistic::Maximum, "DeploymentSeconds", &good).unwrap();
    assert!(took > longest && longest > 60.0, "{took} s and {longest} s");
    for sweeper in ["intake", "record", "resume", "update"] {
        let rounds = measured(&account, Statistic::Sum, "Sweeps", &[("sweeper", sweeper)]);
        assert!(rounds >= Some(6.0), "{sweeper}: {rounds:?}");
    }
    assert_eq!(
        measured(&account, Statistic::Maximum, "QuarantinedLocks", &[]),
        Some(0.0)
    );
    assert_eq!(measured(&account, Statistic::Sum, "SweepFailures", &[]), None);
    let lag = measured(
        &account,
        Statistic::Maximum,
        "EventLagSeconds",
        &[("detail_type", "ECR Image Action")],
    );
    assert!(lag.is_some_and(|lag| lag < 60.0), "{lag:?}");
    assert_eq!(
        measured(&account, Statistic::Sum, "SweepFinds", &[("found", "push")]),
        None
    );
    assert_eq!(firing(&mut account), [""; 0]);
}

#[test]
fn what_a_sweep_finds_is_counted() {
    let mut account = watched(Account::with_logs("imagy-catalog"));
    account.disturb_pushes(Occurrence::Nth(1), DeliveryFault::Drop);
    account.push("v1.0.0", Kind::Good);
    account.pass(SignedDuration::from_mins(40));
    assert_eq!(
        measured(&account, Statistic::Sum, "SweepFinds", &[("found", "push")]),
        Some(1.0)
    );
}

#[test]
fn how_long_a_release_stood_at_a_gate_is_measured() {
    let mut account = watched(Account::with_logs("imagy-catalog"));
    account.esclusa(&[
        "freeze",
        "imagy-catalog",
        "develop",
        "--reason",
        "an outage",
        "--until",
        "30m",
    ]);
    account.push("v1.0.0", Kind::Good);
    account.settle();
    let stood = measured(&account, Statistic::Maximum, "GateSeconds", &[("gate", "freeze")]).unwrap();
    assert!((1_500.0..=2_100.0).contains(&stood), "{stood} s");
}

/// The alarm says what is true now: a measure that is lost is made up for, and nobody is told that all is well before
/// it is.
#[test]
fn a_lock_in_quarantine_is_told_until_somebody_has_looked() {
    let mut account = watched(Account::with_logs("imagy-catalog"));
    account.release("v1.0.0", Kind::LostMigration);
    account.pass(SignedDuration::from_mins(7));
    // The environment, and the database that was being migrated.
    let locks: Vec<String> = account
        .locks()
        .into_iter()
        .filter(|(_, status)| status == "QUARANTINED")
        .map(|(name, _)| name)
        .collect();
    let measured_now = |account: &Account| measured(account, Statistic::Maximum, "QuarantinedLocks", &[]);
    assert_eq!(
        measured_now(&account),
        Some(f64::from(u32::try_from(locks.len()).unwrap()))
    );
    assert_eq!(firing(&mut account), ["quarantined-locks"]);
    account.pass(SignedDuration::from_hours(2));
    assert_eq!(firing(&mut account), ["quarantined-locks"]);
    for lock in &locks {
        account.esclusa(&["unlock", lock, "--reason", "nothing was migrated"]);
    }
    account.pass(SignedDuration::from_mins(11));
    assert_eq!(firing(&mut account), [""; 0]);
}

/// F07.
#[test]
fn an_image_that_is_deleted_while_it_runs_wakes_a_person() {
    let mut account = watched(Account::with_logs("nest-demo"));
    let digest = account.release("v1.0.0", Kind::Good);
    let delete = json!({"repositoryName": "pm4-ecommerce", "imageIds": [{"imageDigest": digest}]});
    account.administer("ecr", "BatchDeleteImage", delete);
    account.pass(SignedDuration::from_mins(7));
    assert_eq!(measured(&account, Statistic::Sum, "RunningImagesGone", &[]), Some(1.0));
    assert_eq!(firing(&mut account), ["running-images-gone"]);
    account.pass(SignedDuration::from_mins(15));
    assert_eq!(firing(&mut account), [""; 0]);
}

#[test]
fn a_defect_wakes_a_person_and_a_round_that_meets_one_is_no_silence() {
    let mut account = watched(Account::with_logs("imagy-catalog"));
    // A row that no function can read.
    let row = json!({"pk": {"S": "OPEN#DEPLOYMENT"}, "sk": {"S": "shop"}, "revision": {"N": "1"}});
    account.administer(
        "dynamodb",
        "PutItem",
        json!({"TableName": "esclusa-control", "Item": row}),
    );
    account.pass(SILENCE);
    assert!(
        measured(
            &account,
            Statistic::Sum,
            "FailedInvocations",
            &[("error_kind", "Defect")]
        )
        .is_some()
    );
    assert!(firing(&mut account).contains(&"defects".to_owned()));
}

#[test]
fn an_application_that_cannot_be_looked_at_is_counted_and_told_when_it_goes_on() {
    let mut account = watched(Account::with_logs("imagy-catalog"));
    let now = account.lab.world().now();
    let denied = FaultKind::ErrorBefore(ApiError::client("AccessDeniedException", "not authorized"));
    let selector = Selector::operation("ecr", "DescribeImages").between(now, now + SignedDuration::from_mins(75));
    account.lab.world_mut().add_fault(Fault::new(selector, denied));
    account.pass(SILENCE);
    let failures = measured(&account, Statistic::Sum, "SweepFailures", &[]);
    assert!(failures >= Some(5.0), "{failures:?}");
    assert_eq!(firing(&mut account), [""; 0]);
    account.pass(SignedDuration::from_mins(40));
    // Every round looks again by itself: none of them is a message that somebody has to play back.
    assert_eq!(firing(&mut account), ["sweep-failures"]);
    account.pass(SignedDuration::from_mins(50));
    assert_eq!(firing(&mut account), [""; 0]);
}

#[test]
fn each_schedule_that_is_silent_is_told_by_an_alarm_of_its_own() {
    for (function, alarm) in [
        ("intake", "reconcile-silent"),
        ("record", "settle-silent"),
        ("resume", "sweep-silent"),
        ("update", "restore-scaling-silent"),
    ] {
        let mut account = watched(Account::with_logs("imagy-catalog"));
        assert_silent_without(&mut account, function, alarm);
    }
    // People are told where there is a Slack.
    let mut account = watched(Account::beside_slack_with_logs("imagy-orders", "C0DEPLOYS"));
    assert_silent_without(&mut account, "notify", "tell-silent");
}

/// Takes the code of a function away, and asserts that one alarm tells of it.
fn assert_silent_without(account: &mut Account, function: &str, alarm: &str) {
    assert_eq!(firing(account), [""; 0], "before `{function}` is silent");
    let (lambda, _) = account.lab.world_mut().service_mut::<Lambda>().unwrap();
    lambda.unregister(&format!("esclusa-{function}"));
    account.pass(SILENCE);
    assert_eq!(firing(account), [alarm], "without `{function}`");
}
