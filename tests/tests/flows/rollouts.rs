//! Rollouts that do not work: brought back by ECS, by the deployer, or by nobody.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::kernel::Behaviour;
use simulator::{Fault, FaultKind, Selector};

use crate::path::{self, BACK, EVIDENCE, NEXT, SERVICE, SERVICE_STOPPED, TASK, WAY_BACK_END};
use crate::support::Account;

/// Pushes an image of superbowleto whose migration works and whose containers of this name behave so; waits for the
/// end.
fn release_with(account: &mut Account, tag: &str, container: &str, outcome: &Value) -> String {
    let mut manifest: Value = serde_json::from_str(&Kind::Good.manifest(tag, &account.example.commands())).unwrap();
    let annotation = &mut manifest["annotations"][Behaviour::ANNOTATION];
    let mut behaviour: Value = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
    let mut program = outcome.clone();
    program["container"] = json!(container);
    behaviour["programs"].as_array_mut().unwrap().push(program);
    *annotation = json!(behaviour.to_string());
    let digest = account
        .lab
        .push("superbowleto", Some(tag), &manifest.to_string())
        .unwrap();
    account.settle();
    digest
}

/// What the stock waiter for stable services would say: one deployment is left and everything wanted runs.
fn is_stable(service: &Value) -> bool {
    service["deployments"].as_array().unwrap().len() == 1 && service["runningCount"] == service["desiredCount"]
}

#[test]
fn a_rollout_that_ecs_rolls_back_is_no_success_although_the_service_is_stable() {
    for kind in [Kind::CrashLoop, Kind::Unhealthy] {
        let mut account = Account::with("nest-demo");
        let good = account.release("v1.0.0", Kind::Good);
        let before = account.definition_of("nest-demo-development", "nest-demo");
        account.forget_calls();
        account.release("v1.1.0", kind);
        account.assert_deployment_path(
            "development",
            &[&path::opening(1), SERVICE, EVIDENCE, BACK, WAY_BACK_END],
        );
        account.assert_ended("ROLLED_BACK", "reverted", "rollout_failed");
        account.assert_acts(&[("RegisterTaskDefinition", 1), ("UpdateService", 1)]);
        account.assert_runs("nest-demo-development", "nest-demo", "nestapp", &good, 1);
        assert_eq!(account.definition_of("nest-demo-development", "nest-demo"), before);
        assert!(
            is_stable(&account.service("nest-demo-development", "nest-demo")),
            "{kind:?}"
        );
        account.assert_left("FREE");
    }
}

#[test]
fn a_rollout_that_fails_after_its_migration_leaves_the_schema_ahead() {
    let mut account = Account::with("imagy-catalog");
    let good = account.release("v1", Kind::Good);
    account.release("v2", Kind::CrashLoop);
    account.assert_deployment_path(
        "develop",
        &[&path::opening(2), TASK, NEXT, SERVICE, EVIDENCE, BACK, WAY_BACK_END],
    );
    account.assert_ended("ROLLED_BACK", "schema_moved", "rollout_failed");
    account.assert_runs("imagy-develop", "imagy-catalog", "api", &good, 1);
    account.assert_runs("imagy-staging", "imagy-catalog", "api", &good, 2);
    account.assert_left("FREE");
}

#[test]
fn when_the_second_service_fails_the_first_is_brought_back() {
    let mut account = Account::with("superbowleto");
    let good = account.release("v1", Kind::Good);
    let definitions = |account: &Account| {
        ["superbowleto-s-stg", "superbowleto-w-stg"].map(|service| account.definition_of("superbowleto-stg", service))
    };
    let before = definitions(&account);
    account.forget_calls();
    let outcome = json!({"outcome": "fail_to_start", "reason": "CannotStartContainerError: no such file"});
    release_with(&mut account, "v2", "superbowleto-w-stg", &outcome);
    account.assert_deployment_path(
        "stg",
        &[
            &path::opening(2),
            TASK,
            NEXT,
            SERVICE,
            NEXT,
            SERVICE,
            EVIDENCE,
            BACK,
            SERVICE,
            NEXT,
            WAY_BACK_END,
        ],
    );
    account.assert_ended("ROLLED_BACK", "schema_moved", "rollout_failed");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1), ("UpdateService", 3)]);
    assert_eq!(definitions(&account), before);
    for service in ["superbowleto-s-stg", "superbowleto-w-stg"] {
        account.assert_runs("superbowleto-stg", service, service, &good, 1);
    }
    account.assert_left("FREE");
}

#[test]
fn a_rollout_that_does_not_come_to_an_end_is_stopped_at_its_deadline_and_rolled_back() {
    let mut account = Account::with("nest-demo");
    let good = account.release("v1.0.0", Kind::Good);
    let before = account.definition_of("nest-demo-development", "nest-demo");
    account.forget_calls();
    account.run_out_of_capacity(SignedDuration::from_hours(4));
    account.release("v1.1.0", Kind::Good);
    account.assert_deployment_path(
        "development",
        &[&path::opening(1), SERVICE_STOPPED, EVIDENCE, BACK, WAY_BACK_END],
    );
    account.assert_ended("ROLLED_BACK", "reverted", "rollout_failed");
    account.assert_acts(&[
        ("RegisterTaskDefinition", 1),
        ("UpdateService", 1),
        ("StopServiceDeployment", 1),
    ]);
    let (update, stop) = (
        account.ecs_calls("UpdateService")[0].at,
        account.ecs_calls("StopServiceDeployment")[0].at,
    );
    let waited = stop.duration_since(update);
    assert!(
        waited >= SignedDuration::from_secs(1800) && waited < SignedDuration::from_secs(1860),
        "{waited}"
    );
    account.assert_runs("nest-demo-development", "nest-demo", "nestapp", &good, 1);
    assert_eq!(account.definition_of("nest-demo-development", "nest-demo"), before);
    account.assert_left("FREE");
}

/// F59: the deadline of a rollout is around its end, and the stop is on its way for four seconds: it comes before, while
/// or after the rollout is over.
#[test]
fn a_rollout_that_comes_to_its_end_as_it_is_stopped_ends_as_what_runs() {
    let (cluster, service) = ("nest-demo-development", "nest-demo");
    let deployed = |timeout_seconds: i64| {
        let timeout = format!("    service: nest-demo\n    timeout_seconds: {timeout_seconds}\n");
        let mut account = Account::edited("nest-demo", "    service: nest-demo\n", &timeout);
        let stop = Selector::operation("ecs", "StopServiceDeployment").nth(1);
        let late = FaultKind::Delay(SignedDuration::from_secs(4));
        account.lab.world_mut().add_fault(Fault::new(stop, late));
        // The shortest deadline is a minute.
        account.run_out_of_capacity(SignedDuration::from_secs(60));
        let before = account.digests_of(cluster, service, "nestapp");
        account.forget_calls();
        let digest = account.release("v1.0.0", Kind::Good);
        (account, before, digest)
    };
    let (account, ..) = deployed(1800);
    let began = account.ecs_calls("UpdateService")[0].at;
    let mut events = account.lab.world().events().iter();
    let over = events
        .rfind(|event| event["detail"]["eventName"] == "SERVICE_DEPLOYMENT_COMPLETED")
        .unwrap();
    let over: Timestamp = over["time"].as_str().unwrap().parse().unwrap();
    let takes = over.duration_since(began).as_secs();
    let mut ends: BTreeSet<(usize, String)> = BTreeSet::new();
    for timeout_seconds in (takes - 20..=takes + 2).step_by(2) {
        let (mut account, before, digest) = deployed(timeout_seconds);
        let release = account.releases().pop().unwrap();
        let end = account.status(&release)["end"].clone();
        let runs = match end["verdict"].as_str().unwrap() {
            "SUCCEEDED" => vec![digest],
            _ => before,
        };
        assert_eq!(
            account.digests_of(cluster, service, "nestapp"),
            runs,
            "{timeout_seconds}: {end}"
        );
        account.assert_left("FREE");
        let stops = account.ecs_calls("StopServiceDeployment").len();
        ends.insert((stops, format!("{} {}", end["verdict"], end["effect"])));
    }
    let expected = [
        (0, "\"SUCCEEDED\" \"none\""),
        (1, "\"ROLLED_BACK\" \"reverted\""),
        (1, "\"SUCCEEDED\" \"none\""),
    ];
    assert_eq!(ends, expected.map(|(stops, end)| (stops, end.to_owned())).into());
}

#[test]
fn a_rollout_that_a_person_stops_takes_back_what_had_moved_with_it() {
    let mut account = Account::with("nest-demo");
    let good = account.release("v1.0.0", Kind::Good);
    let before = account.definition_of("nest-demo-development", "nest-demo");
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_secs(10));
    let deployment = format!("{}-development-1", account.releases().pop().unwrap());
    account.run_until_entered(&deployment, "AwaitService");
    account.pass(SignedDuration::from_secs(5));
    let cluster = "nest-demo-development";
    let listed = account.administer(
        "ecs",
        "ListServiceDeployments",
        json!({"cluster": cluster, "service": "nest-demo"}),
    );
    let ongoing = &listed["serviceDeployments"][0]["serviceDeploymentArn"];
    account.administer(
        "ecs",
        "StopServiceDeployment",
        json!({"serviceDeploymentArn": ongoing, "stopType": "ROLLBACK"}),
    );
    account.settle();
    account.assert_ended("ROLLED_BACK", "reverted", "rollout_failed");
    account.assert_runs(cluster, "nest-demo", "nestapp", &good, 1);
    assert_eq!(account.definition_of(cluster, "nest-demo"), before);
    account.assert_left("FREE");
}

#[test]
fn a_release_that_fails_over_a_service_that_never_worked_cannot_be_brought_back() {
    let mut account = Account::never_up("nest-demo");
    account.release("v1.0.0", Kind::CrashLoop);
    let not_back = [
        "MoreSteps?",
        "TaskOrService?",
        "UpdateService",
        "AwaitService",
        "RolloutToStop?",
        "JudgeService",
        "ServiceOutcome?",
        "CaptureEvidence",
        "GoingForward?",
        "RecordEnd",
        "Ended",
    ];
    account.assert_deployment_path(
        "development",
        &[&path::opening(1), SERVICE_STOPPED, EVIDENCE, BACK, &not_back],
    );
    account.assert_ended("FAILED", "partial", "rollout_failed");
    account.assert_acts(&[
        ("RegisterTaskDefinition", 1),
        ("UpdateService", 2),
        ("StopServiceDeployment", 1),
    ]);
    // The rows of a wait that its state gave up are closed some time after its deadline.
    account.pass(SignedDuration::from_mins(20));
    account.assert_left("QUARANTINED");
}

/// F60: the image of the version that ran is deleted, and its task is lost, while a rollout fails.
#[test]
fn what_ecs_cannot_bring_back_is_left_to_a_person() {
    let mut account = Account::with("nest-demo");
    let good = account.release("v1.0.0", Kind::Good);
    let (cluster, service) = ("nest-demo-development", "nest-demo");
    account.forget_calls();
    account.push("v1.1.0", Kind::CrashLoop);
    account.pass(SignedDuration::from_secs(5));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{release}-development-1"), "AwaitService");
    let image = account
        .example
        .pipeline
        .images
        .values()
        .next()
        .unwrap()
        .repository
        .to_string();
    let delete = json!({"repositoryName": image, "imageIds": [{"imageDigest": good}]});
    account.administer("ecr", "BatchDeleteImage", delete);
    let tasks = account.administer("ecs", "ListTasks", json!({"cluster": cluster, "serviceName": service}));
    for task in tasks["taskArns"].as_array().unwrap() {
        account.administer("ecs", "StopTask", json!({"cluster": cluster, "task": task}));
    }
    account.settle();
    let listed = account.administer(
        "ecs",
        "ListServiceDeployments",
        json!({"cluster": cluster, "service": service}),
    );
    let statuses = listed["serviceDeployments"].as_array().unwrap().iter();
    let statuses: Vec<&Value> = statuses.map(|one| &one["status"]).collect();
    // Newest first: what Esclusa tried after ECS, for which there is no image either.
    assert_eq!(statuses[..2], ["IN_PROGRESS", "ROLLBACK_FAILED"]);
    account.assert_ended("FAILED", "partial", "rollout_failed");
    for words in [
        "the rollout failed and ECS could not bring back what ran before",
        "`nestapp`: an image cannot be pulled: CannotPullContainerError",
    ] {
        let reasons = account.reasons();
        assert!(reasons.contains(words), "{reasons}");
    }
    account.assert_acts(&[("RegisterTaskDefinition", 1), ("UpdateService", 2)]);
    account.pass(SignedDuration::from_mins(20));
    account.assert_left("QUARANTINED");
}

#[test]
fn a_change_by_somebody_else_during_the_rollout_is_seen_and_not_fought() {
    let mut account = Account::with("nest-demo");
    account.release("v1.0.0", Kind::Good);
    let theirs = account.definition_of("nest-demo-development", "nest-demo");
    account.forget_calls();
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_secs(5));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{release}-development-1"), "AwaitService");
    account.administer(
        "ecs",
        "UpdateService",
        json!({"cluster": "nest-demo-development", "service": "nest-demo", "taskDefinition": theirs}),
    );
    account.settle();
    account.assert_deployment_path(
        "development",
        &[&path::opening(1), SERVICE, EVIDENCE, BACK, WAY_BACK_END],
    );
    account.assert_ended("FAILED", "none", "foreign_change");
    account.assert_acts(&[("RegisterTaskDefinition", 1), ("UpdateService", 1)]);
    assert_eq!(account.definition_of("nest-demo-development", "nest-demo"), theirs);
    account.assert_left("FREE");
}

/// F47: the first service was proven, and then somebody took it elsewhere while the second was still on its way.
#[test]
fn a_service_that_somebody_moves_after_it_was_proven_is_seen_at_the_end() {
    let mut account = Account::running("superbowleto", "v1");
    let (server, worker) = ("superbowleto-s-stg", "superbowleto-w-stg");
    let before = account.definition_of("superbowleto-stg", worker);
    let theirs = account.definition_of("superbowleto-stg", server);
    account.push("v2", Kind::Good);
    account.pass(SignedDuration::from_secs(5));
    let release = account.releases().pop().unwrap();
    let deployment = format!("{release}-stg-1");
    account.run_until_entered(&deployment, "TakeNextStep");
    let proven = |account: &Account| {
        let judged = account.records("judged");
        judged
            .iter()
            .any(|record| record["deployment_id"] == deployment.as_str() && record["body"]["name"] == "server")
    };
    while !proven(&account) {
        account.pass(SignedDuration::from_secs(1));
    }
    account.administer(
        "ecs",
        "UpdateService",
        json!({"cluster": "superbowleto-stg", "service": server, "taskDefinition": theirs}),
    );
    account.settle();
    account.assert_release_ended(&release, "FAILED", "schema_moved", "foreign_change");
    assert_eq!(
        account.definition_of("superbowleto-stg", server),
        theirs,
        "nobody fights for it"
    );
    assert_eq!(
        account.definition_of("superbowleto-stg", worker),
        before,
        "the other one is back"
    );
    account.assert_left("FREE");
}

/// F87: what is declared is done, and the effect says which.
#[test]
fn where_the_pipeline_says_stop_the_services_stay_as_they_are_and_a_person_is_asked() {
    let mut account = Account::edited(
        "superbowleto",
        "  - name: stg\n    trigger: push\n",
        "  - name: stg\n    trigger: push\n    on_failure: stop\n",
    );
    account.release("v0", Kind::Good);
    account.release("v1", Kind::Good);
    let before = account.definition_of("superbowleto-stg", "superbowleto-s-stg");
    account.forget_calls();
    let outcome = json!({"outcome": "fail_to_start", "reason": "CannotStartContainerError: no such file"});
    release_with(&mut account, "v2", "superbowleto-w-stg", &outcome);
    account.assert_ended("FAILED", "partial", "rollout_failed");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1), ("UpdateService", 2)]);
    assert_ne!(account.definition_of("superbowleto-stg", "superbowleto-s-stg"), before);
    account.assert_left("QUARANTINED");
    // Whoever goes back now means what was verified last, not what was before that.
    for (lock, _) in account.locks() {
        account.esclusa(&["unlock", &lock, "--reason", "looked at"]);
    }
    account.esclusa(&["rollback", "superbowleto", "stg", "--reason", "it does not start"]);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    assert_eq!(account.definition_of("superbowleto-stg", "superbowleto-s-stg"), before);
    account.assert_left("FREE");
}

/// F95: somebody deletes the service while its rollout is under way. Nothing can be brought back to where it was.
#[test]
fn a_service_that_is_deleted_during_its_rollout_ends_the_release_cleanly() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_secs(5));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{release}-development-1"), "AwaitService");
    account.pass(SignedDuration::from_secs(10));
    account.administer(
        "ecs",
        "DeleteService",
        json!({"cluster": "nest-demo-development", "service": "nest-demo", "force": true}),
    );
    account.settle();
    account.assert_release_ended(&release, "FAILED", "none", "foreign_change");
    assert!(
        account
            .reasons()
            .contains("somebody deleted the service, which is INACTIVE; create it again, then deploy"),
        "{}",
        account.reasons()
    );
    account.assert_left("FREE");
}

/// Nothing can be brought back, and nobody has to look: it is created again, and deployed.
#[test]
fn a_service_that_is_deleted_while_it_soaks_ends_the_release_cleanly() {
    let push = "  - name: development\n    trigger: push\n";
    let verified = format!("{push}    verification: {{soak_seconds: 300}}\n");
    let mut account = Account::edited("nest-demo", push, &verified);
    account.push("v1.0.0", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-development-1"), "PauseBetweenLooks");
    account.administer(
        "ecs",
        "DeleteService",
        json!({"cluster": "nest-demo-development", "service": "nest-demo", "force": true}),
    );
    account.settle();
    account.assert_release_ended(&release, "FAILED", "none", "foreign_change");
    account.assert_left("FREE");
}
