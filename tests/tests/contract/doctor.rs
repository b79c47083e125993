//! `esclusa doctor`: what is broken is found, and only that; what the template has and the doctor looks for are the
//! same.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_core::doctor::{ALARMS, FUNCTIONS, MACHINES, Only, RULES, SCHEDULES, TABLES};
use jiff::SignedDuration;
use lab::example::Example;
use lab::images::Kind;
use lab::{Beside, Lab};
use serde_json::{Value, json};
use simulator::services::Slack;
use simulator::{Principal, Settings, World};

use crate::flows::altered_pipeline;
use crate::story::Story;

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:esclusa-alarms";

/// An account with an example that runs everywhere, in which all is well.
fn sound() -> Story {
    let mut story = Story::of("imagy-catalog");
    story.push("4f2c1e9", Kind::Good);
    story.settle();
    let answer = story.lab.esclusa(&["deploy", "imagy-catalog", "production", "4f2c1e9"]);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    listen(&mut story.lab);
    story
}

/// Lets somebody hear of the alarms.
fn listen(lab: &mut Lab) {
    let queue = "arn:aws:sqs:us-east-1:123456789012:operators";
    administer(
        lab.world_mut(),
        "sns",
        "Subscribe",
        json!({"TopicArn": TOPIC, "Protocol": "sqs", "Endpoint": queue}),
    );
}

fn administer(world: &mut World, service: &str, operation: &str, input: Value) -> Value {
    world.administer(service, operation, input).unwrap()
}

/// What is not well, as `status check`, and the exit code.
fn ailing(lab: &mut Lab) -> (Vec<String>, u8) {
    let answer = lab.esclusa(&["doctor", "--output", "json"]);
    let document: Value = serde_json::from_str(&answer.out).expect(&answer.err);
    let text = |finding: &Value, member: &str| finding[member].as_str().unwrap().to_owned();
    let findings = document["findings"].as_array().unwrap().iter();
    let ailing = findings
        .filter(|finding| finding["status"] != "ok")
        .map(|finding| format!("{} {}", text(finding, "status"), text(finding, "check")));
    (ailing.collect(), answer.code)
}

#[test]
fn a_fresh_installation_is_well() {
    let mut story = sound();
    story.run(&["doctor"]);
    insta::assert_snapshot!(story.told());
}

#[test]
fn what_somebody_broke_is_found_with_what_helps() {
    let mut story = Story::of("imagy-catalog");
    story.say("nothing was released yet, nobody listens, and somebody turned off the rule of pushes and the protection of the ledger");
    let world = story.lab.world_mut();
    administer(world, "events", "DisableRule", json!({"Name": "esclusa-push"}));
    administer(
        world,
        "dynamodb",
        "UpdateTable",
        json!({"TableName": "esclusa-ledger", "DeletionProtectionEnabled": false}),
    );
    story.run(&["doctor"]);
    insta::assert_snapshot!(story.told());
}

/// Breaks something, or mends it again.
type Hand = fn(&mut World);

#[test]
fn each_thing_that_is_broken_is_found_and_nothing_else() {
    let mut lab = sound().lab;
    assert_eq!(ailing(&mut lab), (Vec::new(), 0));
    let table: [(Hand, Hand, &[&str]); 8] = [
        (
            |world| {
                administer(world, "events", "DisableRule", json!({"Name": "esclusa-push"}));
            },
            |world| {
                administer(world, "events", "EnableRule", json!({"Name": "esclusa-push"}));
            },
            &["problem rule esclusa-push"],
        ),
        (
            |world| set_protection(world, false),
            |world| set_protection(world, true),
            &["problem table esclusa-control"],
        ),
        (
            |world| set_recovery(world, false),
            |world| set_recovery(world, true),
            &["problem table esclusa-ledger"],
        ),
        (
            |world| set_alarm(world, "ALARM"),
            |world| set_alarm(world, "OK"),
            &["problem alarm esclusa-dead-letters"],
        ),
        (
            |world| set_schedule(world, "DISABLED"),
            |world| set_schedule(world, "ENABLED"),
            &["problem schedule esclusa-reconcile"],
        ),
        (
            |world| {
                let input = json!({"QueueUrl": dead_letters(world), "MessageBody": "{}"});
                administer(world, "sqs", "SendMessage", input);
            },
            |world| {
                let input = json!({"QueueUrl": dead_letters(world)});
                administer(world, "sqs", "PurgeQueue", input);
            },
            &["problem queue esclusa-dead-letters"],
        ),
        (
            |world| world.skew_clock(&Principal::Administrator, SignedDuration::from_mins(7)),
            |world| world.skew_clock(&Principal::Administrator, SignedDuration::ZERO),
            &["problem clock of this machine"],
        ),
        (
            |world| {
                let family = json!({"familyPrefix": "imagy-catalog-migrations"});
                let listed = administer(world, "ecs", "ListTaskDefinitions", family);
                for revision in listed["taskDefinitionArns"].as_array().unwrap() {
                    let input = json!({"taskDefinition": revision});
                    administer(world, "ecs", "DeregisterTaskDefinition", input);
                }
            },
            |_| {},
            &[
                "problem develop: family imagy-catalog-migrations",
                "problem staging: family imagy-catalog-migrations",
                "problem production: family imagy-catalog-migrations",
            ],
        ),
    ];
    for (broken, mended, expected) in table {
        broken(lab.world_mut());
        let expected = expected.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(ailing(&mut lab), (expected, 1));
        mended(lab.world_mut());
    }
}

fn set_protection(world: &mut World, enabled: bool) {
    let input = json!({"TableName": "esclusa-control", "DeletionProtectionEnabled": enabled});
    administer(world, "dynamodb", "UpdateTable", input);
}

fn set_recovery(world: &mut World, enabled: bool) {
    let specification = json!({"PointInTimeRecoveryEnabled": enabled});
    let input = json!({"TableName": "esclusa-ledger", "PointInTimeRecoverySpecification": specification});
    administer(world, "dynamodb", "UpdateContinuousBackups", input);
}

fn set_alarm(world: &mut World, state: &str) {
    let input = json!({"AlarmName": "esclusa-dead-letters", "StateValue": state, "StateReason": "by hand"});
    administer(world, "monitoring", "SetAlarmState", input);
}

fn set_schedule(world: &mut World, state: &str) {
    let name = json!({"Name": "esclusa-reconcile"});
    let mut schedule = administer(world, "scheduler", "GetSchedule", name);
    let members = schedule.as_object_mut().unwrap();
    for member in ["Arn", "CreationDate", "LastModificationDate"] {
        members.remove(member);
    }
    members.insert("State".to_owned(), state.into());
    administer(world, "scheduler", "UpdateSchedule", schedule);
}

fn dead_letters(world: &mut World) -> Value {
    administer(
        world,
        "sqs",
        "GetQueueUrl",
        json!({"QueueName": "esclusa-dead-letters"}),
    )["QueueUrl"]
        .clone()
}

#[test]
fn who_may_see_little_is_told_so_and_nothing_ends_the_looking() {
    let mut lab = sound().lab;
    let config = lab
        .simulation()
        .sdk_config(&Principal::Role("esclusa-notify".to_owned()));
    let (mut output, captured) = esclusa_cli::Output::captured();
    let looking = esclusa_cli::run(["esclusa", "doctor", "--output", "json"], &config, &mut output);
    let exit = lab.simulation().block_on(looking);
    let document: Value = serde_json::from_str(&captured.out()).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let statuses: BTreeSet<&str> = findings
        .iter()
        .map(|finding| finding["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, BTreeSet::from(["ok", "unknown"]), "{document:#}");
    assert_eq!(exit.code(), 0);
    let rule = findings
        .iter()
        .find(|finding| finding["check"] == "rule esclusa-push")
        .unwrap();
    assert_eq!(rule["seen"], "not permitted: you may not call `events:DescribeRule`");
}

#[test]
fn slack_is_well_where_it_is_connected() {
    let mut lab = Lab::beside(&Settings::default(), Beside::Slack).unwrap();
    listen(&mut lab);
    lab.simulation().run_for(SignedDuration::from_mins(5));
    assert_eq!(ailing(&mut lab), (vec!["warning pipelines".to_owned()], 0));
}

#[test]
fn a_channel_of_slack_is_well_once_the_app_is_a_member_of_it() {
    let mut lab = Lab::beside(&Settings::default(), Beside::Slack).unwrap();
    let example = Example::load("imagy-catalog").unwrap();
    lab.add(&example).unwrap();
    listen(&mut lab);
    let told = "notifications: {slack: {channel: C0DEPLOY}}\nenvironments:\n";
    let file = altered_pipeline(&example, "environments:\n", told);
    let applied = lab.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    assert_eq!(applied.code, 0, "{}", applied.err);
    lab.simulation().run_for(SignedDuration::from_mins(5));
    let (mut before, _) = ailing(&mut lab);
    let (slack, _) = lab.world_mut().service_mut::<Slack>().unwrap();
    slack.invite("C0DEPLOY");
    let (after, _) = ailing(&mut lab);
    before.retain(|finding| !after.contains(finding));
    assert_eq!(before, ["problem channel C0DEPLOY"]);
}

/// A piece that is added to the template is looked at, or this fails.
#[test]
fn the_doctor_looks_for_what_the_template_has() {
    let lab = Lab::new(&Settings::default()).unwrap();
    let template = lab.world().template().unwrap();
    let own = |name: &str| name.strip_prefix("esclusa-").unwrap().to_owned();
    let functions: BTreeSet<String> = template.functions.values().map(|one| own(&one.name)).collect();
    assert_eq!(functions, FUNCTIONS.map(str::to_owned).into());
    let machines: BTreeSet<String> = template.state_machines.values().map(|one| own(&one.name)).collect();
    assert_eq!(machines, MACHINES.map(str::to_owned).into());
    let tables: BTreeMap<String, Option<String>> = template
        .tables
        .values()
        .map(|one| (own(&one.name), one.time_to_live_attribute.clone()))
        .collect();
    let expected = TABLES.map(|(name, expires_by)| (name.to_owned(), expires_by.map(str::to_owned)));
    assert_eq!(tables, expected.into());
    let rules: BTreeSet<String> = template.rules.values().map(|one| own(&one.name)).collect();
    assert_eq!(rules, RULES.map(|rule| rule.name.to_owned()).into());
    let schedules: BTreeSet<String> = template.schedules.values().map(|one| own(&one.name)).collect();
    assert_eq!(schedules, SCHEDULES.map(|schedule| schedule.name.to_owned()).into());
    let alarms: BTreeSet<String> = template.alarms.values().map(|one| own(&one.name)).collect();
    let expected = ALARMS.into_iter().filter(|(_, only)| only.is_none());
    assert_eq!(alarms, expected.map(|(name, _)| name.to_owned()).collect());
    // Without Slack and other places what is for them is off, and nothing else.
    for rule in RULES {
        let found = template.rules.values().find(|one| own(&one.name) == rule.name).unwrap();
        assert_eq!(found.enabled, rule.only.is_none(), "{}", rule.name);
        assert_ne!(rule.only, Some(Only::Slack).filter(|_| found.enabled));
    }
    let version = template
        .functions
        .values()
        .map(|one| one.environment["ESCLUSA_VERSION"].as_str());
    assert_eq!(
        version.collect::<BTreeSet<_>>(),
        BTreeSet::from([env!("CARGO_PKG_VERSION")])
    );
}
