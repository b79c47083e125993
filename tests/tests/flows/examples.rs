//! Each of the examples deploys well into the first environment of its pipeline.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::Value;

use crate::path::{self, END, NEXT, SERVICE, TASK};
use crate::support::{Account, last_part};

/// What an example does with a pushed image.
struct Expected {
    example: &'static str,
    image: &'static str,
    tag: &'static str,
    environment: &'static str,
    cluster: &'static str,
    revisions: usize,
    steps: &'static [&'static [&'static str]],
    effect: &'static str,
    /// Service, container of the image, and how many tasks run in the end.
    services: &'static [(&'static str, &'static str, usize)],
}

const EXAMPLES: [Expected; 7] = [
    Expected {
        example: "imagy-catalog",
        image: "app",
        tag: "4f2c1e9",
        environment: "develop",
        cluster: "imagy-develop",
        revisions: 2,
        steps: &[TASK, SERVICE],
        effect: "schema_moved",
        services: &[("imagy-catalog", "api", 1)],
    },
    Expected {
        example: "superbowleto",
        image: "app",
        tag: "4f2c1e9",
        environment: "stg",
        cluster: "superbowleto-stg",
        revisions: 2,
        steps: &[TASK, SERVICE, SERVICE],
        effect: "schema_moved",
        services: &[
            ("superbowleto-s-stg", "superbowleto-s-stg", 1),
            ("superbowleto-w-stg", "superbowleto-w-stg", 1),
        ],
    },
    Expected {
        example: "orbiquant",
        image: "backend",
        tag: "develop-41",
        environment: "staging",
        cluster: "orbiquant-staging",
        revisions: 2,
        steps: &[TASK, SERVICE, TASK],
        effect: "schema_moved",
        services: &[("orbiquant-backend", "backend", 1)],
    },
    Expected {
        example: "orbiquant",
        image: "frontend",
        tag: "develop-41",
        environment: "staging",
        cluster: "orbiquant-staging",
        revisions: 2,
        steps: &[SERVICE, TASK],
        effect: "none",
        services: &[("orbiquant-frontend", "frontend", 1)],
    },
    Expected {
        example: "orbiquant",
        image: "ml-engine",
        tag: "develop-41",
        environment: "staging",
        cluster: "orbiquant-staging",
        revisions: 2,
        steps: &[SERVICE, TASK],
        effect: "none",
        services: &[("orbiquant-ml-engine", "ml-engine", 1)],
    },
    Expected {
        example: "nest-demo",
        image: "nestapp",
        tag: "latest",
        environment: "development",
        cluster: "nest-demo-development",
        revisions: 1,
        steps: &[SERVICE],
        effect: "none",
        services: &[("nest-demo", "nestapp", 1)],
    },
    Expected {
        example: "django-blog",
        image: "backend",
        tag: "v0.1.0",
        environment: "alpha",
        cluster: "alpha-cluster",
        revisions: 4,
        steps: &[TASK, TASK, TASK, SERVICE, SERVICE, SERVICE],
        effect: "schema_moved",
        services: &[
            ("alpha-gunicorn", "gunicorn", 1),
            ("alpha-default", "default", 1),
            ("alpha-beat", "beat", 1),
        ],
    },
];

#[test]
fn every_example_brings_a_pushed_image_into_its_first_environment() {
    for expected in &EXAMPLES {
        let mut account = Account::with(expected.example);
        let digest = account.release_image(expected.image, expected.tag, Kind::Good);
        account.assert_ended("SUCCEEDED", expected.effect, "proven");
        let steps: Vec<&str> = expected
            .steps
            .iter()
            .flat_map(|step| [step, NEXT])
            .flatten()
            .copied()
            .collect();
        account.assert_deployment_path(expected.environment, &[&path::opening(expected.revisions), &steps, END]);
        for (service, container, count) in expected.services {
            account.assert_runs(expected.cluster, service, container, &digest, *count);
        }
        account.assert_left("FREE");
    }
}

/// The commands of the tasks that were run, in order.
fn commands(account: &Account) -> Vec<String> {
    let runs = account.ecs_calls("RunTask");
    let command = |input: &Value| {
        let words = input["overrides"]["containerOverrides"][0]["command"]
            .as_array()
            .unwrap()
            .clone();
        words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    };
    runs.iter().map(|run| command(&run.input)).collect()
}

/// The services that were updated, in order.
fn updated(account: &Account) -> Vec<String> {
    account
        .ecs_calls("UpdateService")
        .iter()
        .map(|call| last_part(call.input["service"].as_str().unwrap()))
        .collect()
}

#[test]
fn tasks_run_in_their_order_and_services_of_one_image_follow_as_declared() {
    let mut account = Account::with("django-blog");
    account.release("v0.1.0", Kind::Good);
    assert_eq!(
        commands(&account),
        [
            "python manage.py create_database --name=alpha-db",
            "python manage.py migrate --no-input",
            "python manage.py collectstatic --no-input",
        ]
    );
    assert_eq!(updated(&account), ["alpha-gunicorn", "alpha-default", "alpha-beat"]);
    account.assert_acts(&[("RegisterTaskDefinition", 4), ("RunTask", 3), ("UpdateService", 3)]);
}

#[test]
fn a_task_after_the_services_runs_when_they_are_proven() {
    let mut account = Account::with("orbiquant");
    account.release_image("backend", "develop-41", Kind::Good);
    assert_eq!(
        commands(&account),
        ["npm run migrate", "sh -c redis-cli -u \"$REDIS_URL\" FLUSHDB"]
    );
    let judged = account.records("judged");
    let order: Vec<&Value> = judged.iter().map(|record| &record["body"]["name"]).collect();
    assert_eq!(order, ["migrate", "backend", "flush-cache"]);
    assert_eq!(updated(&account), ["orbiquant-backend"]);
}

#[test]
fn a_service_with_the_desired_count_zero_is_started_and_its_count_is_never_sent_again() {
    let mut account = Account::with("django-blog");
    account.release("v0.1.0", Kind::Good);
    let sent = |account: &Account| -> Vec<Value> {
        account
            .ecs_calls("UpdateService")
            .iter()
            .map(|call| call.input["desiredCount"].clone())
            .collect()
    };
    assert_eq!(sent(&account), [1, 1, 1]);
    account.forget_calls();
    account.administer(
        "ecs",
        "UpdateService",
        serde_json::json!({"cluster": "alpha-cluster", "service": "alpha-gunicorn", "desiredCount": 3}),
    );
    let digest = account.release("v0.2.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert_eq!(sent(&account), [Value::Null, Value::Null, Value::Null]);
    account.assert_runs("alpha-cluster", "alpha-gunicorn", "gunicorn", &digest, 3);
}

#[test]
fn two_beats_never_run_at_once() {
    let mut account = Account::with("django-blog");
    account.release("v0.1.0", Kind::Good);
    account.release("v0.2.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let mut states: BTreeMap<String, String> = BTreeMap::new();
    for event in account.lab.world().events() {
        let detail = &event["detail"];
        if detail["group"] != "service:alpha-beat" {
            continue;
        }
        let task = detail["taskArn"].as_str().unwrap();
        states.insert(task.to_owned(), detail["lastStatus"].as_str().unwrap().to_owned());
        let runs = |state: &&String| ["ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING"].contains(&state.as_str());
        assert!(states.values().filter(runs).count() <= 1, "{states:?}");
    }
    assert_eq!(states.len(), 2, "one beat before and one after: {states:?}");
}

/// The orders of the platform guide as people live with them: staging by itself, production when the tech lead agrees,
/// within its windows.
#[test]
fn orders_come_into_production_when_the_lead_agrees_and_the_window_is_open() {
    let mut account = Account::with("imagy-orders");
    account.push("v1.4.0", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&release, "AwaitGate");
    account.esclusa(&["approve", &release]);
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let started = account.records("deployment_started");
    let production = started
        .iter()
        .find(|record| record["environment"] == "production")
        .unwrap();
    // Ten o'clock in Lima.
    assert!(
        production["at"].as_str().unwrap().starts_with("2026-11-02T15:00:"),
        "{production}"
    );
    account.assert_left("FREE");
}

/// What an image shows when it is bad in one way is seen by one check, which says so, and goes back in staging: by
/// itself, or when nobody has answered for ten minutes where the platform guide has people decide.
#[test]
fn every_way_in_which_an_image_can_be_bad_is_seen_in_staging_by_the_check_for_it() {
    const BY_HAND: &str = "and nobody answered in time";
    for (kind, check, words, is_asked) in [
        (Kind::UnhealthyReport, "health", "rabbitmq", false),
        (Kind::FailingRequests, "error-rate", "12", true),
        (Kind::Slow, "latency", "1.4", true),
        (Kind::DeadLetters, "dead-letters", "7", true),
        (Kind::StuckConsumers, "consumers", "40 waiting", false),
        (Kind::FatalLines, "fatal", "the order queue is not reachable", false),
    ] {
        let mut account = Account::with("imagy-orders");
        account.push("v1.4.0", Kind::Good);
        let first = account.run_until_claimed();
        account.run_until_entered(&first, "AwaitGate");
        account.pass(SignedDuration::from_hours(1));
        account.push("v1.5.0", kind);
        account.pass(SignedDuration::from_hours(2));
        let second = account.releases().pop().unwrap();
        account.assert_release_ended(&second, "ROLLED_BACK", "schema_moved", "verification_failed");
        let reasons = account.reasons();
        assert!(
            reasons.contains(&format!("`{check}`")) && reasons.contains(words),
            "{kind:?}: {reasons}"
        );
        assert_eq!(reasons.contains(BY_HAND), is_asked, "{kind:?}: {reasons}");
        let looks = account.records("checks_measured");
        let questions = looks
            .iter()
            .flat_map(|look| look["body"]["questions"].as_array().unwrap());
        let asked: BTreeSet<&str> = questions.map(|question| question["check"].as_str().unwrap()).collect();
        assert_eq!(
            asked,
            if is_asked {
                BTreeSet::from([check])
            } else {
                BTreeSet::new()
            }
        );
    }
}
