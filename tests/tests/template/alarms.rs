//! What wakes a person, and what the dashboard shows, is measured.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_core::error::ErrorKind;
use esclusa_runtime::METRICS;
use esclusa_tests::template::Template;
use regex_lite::Regex;
use serde_json::{Value, json};

use crate::{events, template};

const NAMESPACE: &str = "Esclusa";

/// The metrics that functions measure, each with all its dimensions.
fn measured() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let all = METRICS.into_iter();
    all.map(|(name, own)| (name, own.iter().copied().chain(["service"]).collect()))
        .collect()
}

fn alarms(template: &Template) -> BTreeMap<&str, &Value> {
    template.resources("AWS::CloudWatch::Alarm")
}

fn dimensions(alarm: &Value) -> BTreeMap<&str, &str> {
    let dimensions = alarm["Dimensions"].as_array().unwrap().iter();
    dimensions
        .map(|dimension| {
            (
                dimension["Name"].as_str().unwrap(),
                dimension["Value"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
fn an_alarm_over_a_metric_of_ours_names_one_that_is_measured_with_these_dimensions() {
    let (template, measured) = (template(), measured());
    let mut ours = 0;
    for (id, alarm) in alarms(&template) {
        if alarm["Namespace"] != NAMESPACE {
            assert!(alarm["Namespace"].as_str().unwrap().starts_with("AWS/"), "{id}");
            continue;
        }
        ours += 1;
        let name = alarm["MetricName"].as_str().unwrap();
        let given = dimensions(alarm);
        assert_eq!(
            Some(&given.keys().copied().collect()),
            measured.get(name),
            "{id}: {name}"
        );
        assert_eq!(given["service"], "AWS::StackName", "{id}");
        if let Some(kind) = given.get("error_kind") {
            assert!(
                kind.parse::<ErrorKind>().is_ok(),
                "{id}: `{kind}` is no kind of failure"
            );
        }
    }
    assert!(ours > 0);
    // Lambda takes measures for INFO, and drops what is below the level of the function.
    let logging = &template.0["Globals"]["Function"]["LoggingConfig"];
    assert_eq!(
        (&logging["LogFormat"], &logging["ApplicationLogLevel"]),
        (&json!("JSON"), &json!("INFO"))
    );
    let variables = &template.0["Globals"]["Function"]["Environment"]["Variables"];
    assert_eq!(variables["POWERTOOLS_SERVICE_NAME"], "AWS::StackName");
    assert_eq!(variables["POWERTOOLS_METRICS_NAMESPACE"], NAMESPACE);
}

#[test]
fn every_alarm_is_told_to_whoever_subscribes_to_the_topic() {
    let template = template();
    for (id, alarm) in alarms(&template) {
        for told in ["AlarmActions", "OKActions"] {
            assert_eq!(alarm[told], json!(["AlarmTopic"]), "{id} {told}");
        }
        assert!(
            alarm["AlarmDescription"].as_str().unwrap().len() > 50,
            "{id} says what it means"
        );
    }
}

#[test]
fn each_schedule_has_an_alarm_that_notices_its_silence() {
    let template = template();
    let is_silence = |alarm: &&Value| alarm["MetricName"] == "Sweeps" && alarm["TreatMissingData"] == "breaching";
    let watched: BTreeSet<String> = alarms(&template)
        .into_values()
        .filter(is_silence)
        .map(|alarm| dimensions(alarm)["sweeper"].to_owned())
        .collect();
    let scheduled: BTreeSet<String> = events(&template)
        .into_iter()
        .filter(|(_, _, kind, _)| kind == "ScheduleV2")
        .map(|(function, ..)| function.replace("Function", "").to_lowercase())
        .collect();
    assert!(!scheduled.is_empty());
    assert_eq!(watched, scheduled);
}

/// What it is about is in the queue that everything undelivered goes to, and one message is one too many.
#[test]
fn a_message_that_could_not_be_delivered_wakes_a_person() {
    let template = template();
    let of_queues = alarms(&template)
        .into_values()
        .filter(|alarm| alarm["Namespace"] == "AWS/SQS");
    let of_queues: Vec<&Value> = of_queues.collect();
    let [alarm] = of_queues[..] else {
        panic!("{of_queues:?}")
    };
    assert_eq!(alarm["MetricName"], "ApproximateNumberOfMessagesVisible");
    assert_eq!(dimensions(alarm), [("QueueName", "DeadLetterQueue.QueueName")].into());
    assert_eq!(
        (&alarm["ComparisonOperator"], &alarm["Threshold"], &alarm["Statistic"]),
        (&"GreaterThanThreshold".into(), &0.into(), &"Maximum".into())
    );
    assert_eq!(alarm["EvaluationPeriods"], 1);
}

#[test]
fn an_execution_that_fails_wakes_a_person_whichever_machine_it_is_of() {
    let template = template();
    let watched: BTreeSet<(String, String)> = alarms(&template)
        .into_values()
        .filter(|alarm| alarm["Namespace"] == "AWS/States")
        .map(|alarm| {
            let metric = alarm["MetricName"].as_str().unwrap().to_owned();
            (dimensions(alarm)["StateMachineArn"].to_owned(), metric)
        })
        .collect();
    let machines = template.resources("AWS::Serverless::StateMachine");
    let expected = machines.keys().flat_map(|machine| {
        ["ExecutionsFailed", "ExecutionsTimedOut"].map(|metric| ((*machine).to_owned(), metric.to_owned()))
    });
    assert_eq!(watched, expected.collect());
}

#[test]
fn the_dashboard_shows_every_metric_that_is_measured_and_every_alarm_that_is_always_there() {
    let template = template();
    let body = template.properties("Dashboard")["DashboardBody"].as_str().unwrap();
    let board: Value = serde_json::from_str(body).unwrap();
    let search =
        Regex::new(r#"SEARCH\('\{Esclusa,([a-z_,]+)\} MetricName="([A-Za-z]+)" service="\$\{AWS::StackName\}"'"#)
            .unwrap();
    let mut searched = BTreeMap::new();
    for widget in board["widgets"].as_array().unwrap() {
        let rows = widget["properties"]["metrics"].as_array().into_iter().flatten();
        for expression in rows.filter_map(|row| row[0]["expression"].as_str()) {
            let found = search.captures(expression).unwrap_or_else(|| panic!("{expression}"));
            let (_, [dimensions, name]) = found.extract();
            let dimensions: BTreeSet<String> = dimensions.split(',').map(str::to_owned).collect();
            searched.insert(name.to_owned(), dimensions);
        }
    }
    // How long a release takes is in the table of releases; the others have an alarm.
    let elsewhere = [
        "ReleaseSeconds",
        "QuarantinedLocks",
        "RunningImagesGone",
        "SweepFailures",
        "Sweeps",
    ];
    let expected: BTreeMap<String, BTreeSet<String>> = measured()
        .into_iter()
        .filter(|(name, _)| !elsewhere.contains(name))
        .map(|(name, dimensions)| (name.to_owned(), dimensions.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(searched, expected);
    assert!(body.contains("ispresent(ReleaseSeconds)"));
    for (id, _) in alarms(&template) {
        let is_conditional = template.0["Resources"][id].get("Condition").is_some();
        assert_eq!(body.contains(&format!("${{{id}.Arn}}")), !is_conditional, "{id}");
    }
}
