//! Environments in another account or Region: the same path, by roles of there, and what can go wrong between the two.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use lab::images::Kind;
use lab::target;
use serde_json::{Value, json};
use simulator::kernel::{Behaviour, Place};
use simulator::services::{Ecr, Sqs};
use simulator::{CallOutcome, Principal};
use simulator_event_bridge::{Disturbance, EventBridge, Fault, Occurrence, Pattern};
use simulator_step_functions::{Status, StepFunctions};

use crate::support::Account;

const CLUSTER: &str = "superbowleto-prd";
const SERVER: &str = "superbowleto-s-prd";
const ENVIRONMENT: &str = "  - name: prd\n    trigger: manual\n";

/// The pipeline whose production is in another account and Region, with `more` in it.
fn elsewhere(more: &str) -> Account {
    at(&target::account(), more)
}

/// The pipeline whose production is in a place.
fn at(place: &Place, more: &str) -> Account {
    Account::beside_place("superbowleto", place, |text| placed(&text, place, more))
}

/// The pipeline whose staging at home and production in another account and Region go together, with `more` in that of
/// production.
fn together(more: &str) -> Account {
    const STAGING: &str = "  - name: stg\n    trigger: push\n";
    const WAVE: &str = "    wave: everywhere\n";
    let place = target::account();
    Account::beside_place("superbowleto", &place, |text| {
        assert_eq!(text.matches(STAGING).count(), 1);
        let text = text.replace(STAGING, &format!("{STAGING}{WAVE}"));
        placed(&text, &place, &format!("{WAVE}{more}"))
    })
}

/// The text of the pipeline with its production in a place.
fn placed(text: &str, place: &Place, more: &str) -> String {
    let Place { account, region } = place;
    let there = format!("    account: \"{account}\"\n    region: {region}\n");
    assert_eq!(text.matches(ENVIRONMENT).count(), 1);
    text.replace(ENVIRONMENT, &format!("  - name: prd\n    trigger: push\n{there}{more}"))
}

/// What changed ECS: where, and by whom.
fn acts(account: &Account) -> Vec<String> {
    let mut acts = Vec::new();
    for operation in ["RegisterTaskDefinition", "RunTask", "UpdateService"] {
        for call in account.ecs_calls(operation) {
            let role = match &call.principal {
                Principal::Role(role) | Principal::RoleOf { role, .. } => role.as_str(),
                other => panic!("{other:?}"),
            };
            acts.push(format!("{} {operation} {role}", call.place.account));
        }
    }
    acts.sort();
    acts.dedup();
    acts
}

/// The digests of the server in production of the other account.
fn production(account: &mut Account) -> Vec<String> {
    account.there(&target::account(), |there| there.digests_of(CLUSTER, SERVER, SERVER))
}

#[track_caller]
fn assert_production_runs(account: &mut Account, digest: &str) {
    let running = production(account);
    assert!(
        !running.is_empty() && running.iter().all(|found| found == digest),
        "{running:?}"
    );
}

#[track_caller]
fn assert_staging_runs(account: &mut Account, digest: &str) {
    account.assert_runs(
        "superbowleto-stg",
        "superbowleto-s-stg",
        "superbowleto-s-stg",
        digest,
        1,
    );
}

/// Asserts that every lock is free.
#[track_caller]
fn assert_locks_are_free(account: &mut Account) {
    let told = account.esclusa(&["locks", "--output", "json"]).out;
    let locks: Value = serde_json::from_str(&told).unwrap();
    let mut texts = locks["locks"].as_array().cloned().unwrap_or_default().into_iter();
    assert!(
        texts.all(|lock| lock["status"]
            .as_str()
            .is_none_or(|status| status.eq_ignore_ascii_case("free"))),
        "{told}"
    );
}

/// How many events could not be understood or delivered.
fn dead_letters(account: &Account) -> usize {
    let queues = account.lab.world().service::<Sqs>().unwrap();
    queues.messages("esclusa-dead-letters").len()
}

#[test]
fn one_push_goes_through_staging_at_home_and_production_in_another_account_and_region() {
    let mut account = elsewhere("    verification: {soak_seconds: 60}\n");
    let digest = account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert_staging_runs(&mut account, &digest);
    assert_production_runs(&mut account, &digest);
    account.there(&target::account(), |there| {
        let definition = there.definition_of(CLUSTER, SERVER);
        let described = there.administer("ecs", "DescribeTaskDefinition", json!({"taskDefinition": definition}));
        let definition = &described["taskDefinition"];
        let arn = definition["taskDefinitionArn"].as_str().unwrap();
        assert!(
            arn.starts_with("arn:aws:ecs:eu-west-1:210987654321:task-definition/superbowleto-s-prd:2"),
            "{arn}"
        );
        // Nothing is replicated: the image is pulled from the repository of home.
        let image = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/superbowleto@{digest}");
        assert_eq!(definition["containerDefinitions"][0]["image"], image.as_str());
    });
    // The cluster of the same name at home is somebody else's.
    let namesakes = account.digests_of(CLUSTER, SERVER, SERVER);
    assert!(namesakes.iter().all(|found| *found != digest), "{namesakes:?}");
    assert_eq!(
        acts(&account),
        [
            "123456789012 RegisterTaskDefinition esclusa-register",
            "123456789012 RunTask esclusa-migrate",
            "123456789012 UpdateService esclusa-update",
            "210987654321 RegisterTaskDefinition esclusa-target-register",
            "210987654321 RunTask esclusa-target-migrate",
            "210987654321 UpdateService esclusa-target-update",
        ]
    );
    // One for each function that was at work there, and for those that ran twice at once: credentials are kept.
    let assumed = account.calls("sts", "AssumeRole");
    let of_roles: BTreeSet<&str> = assumed
        .iter()
        .filter_map(|call| call.input["RoleArn"].as_str())
        .collect();
    assert_eq!(of_roles.len(), 5, "{of_roles:?}");
    assert!(assumed.len() < 10, "{} calls", assumed.len());
    let release = account.only_release();
    let path = |account: &Account, environment: &str| {
        let mut path = account.lab.path(&format!("{release}-{environment}-1"));
        path.dedup();
        path
    };
    let (staging, production) = (path(&account, "stg"), path(&account, "prd"));
    let walked = |path: &[String], state: &str| path.iter().filter(|entered| *entered == state).count();
    for state in [
        "AcquireLocks",
        "PlanDeployment",
        "RegisterRevision",
        "RunTask",
        "UpdateService",
        "EndDeployment",
    ] {
        assert_eq!(
            walked(&staging, state),
            walked(&production, state),
            "{state}: {production:?}"
        );
    }
    assert_locks_are_free(&mut account);
    account.esclusa(&["audit", "verify", "--all"]);
    let told = account.esclusa(&["status", "superbowleto", "prd"]).out;
    let Place {
        account: number,
        region,
    } = target::account();
    for part in [
        format!("prd is in account {number}, {region}"),
        format!("`aws ecs describe-services --region {region} --cluster {CLUSTER} --services {SERVER}"),
    ] {
        assert!(told.contains(&part), "{part}: {told}");
    }
    // It is no less one of the environments than those at home.
    let all = account.esclusa(&["status"]).out;
    assert!(
        all.contains(&format!("prd is in account {number}, {region}\n")),
        "{all}"
    );
    let row = all
        .lines()
        .find(|line| line.trim_start_matches(['│', ' ']).starts_with("prd"))
        .unwrap();
    assert!(row.contains("v1.0.0"), "{all}");
    assert!(told.contains("v1.0.0"), "{told}");
}

#[test]
fn an_environment_may_be_in_another_region_of_the_same_account() {
    let region = target::region();
    let mut account = at(&region, "");
    let digest = account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let running = account.there(&region, |there| there.digests_of(CLUSTER, SERVER, SERVER));
    assert!(
        !running.is_empty() && running.iter().all(|found| *found == digest),
        "{running:?}"
    );
    let namesakes = account.digests_of(CLUSTER, SERVER, SERVER);
    assert!(namesakes.iter().all(|found| *found != digest), "{namesakes:?}");
    assert!(
        acts(&account).contains(&"123456789012 UpdateService esclusa-target-update".to_owned()),
        "{:?}",
        acts(&account)
    );
}

#[test]
fn going_back_by_hand_there_touches_nothing_at_home() {
    let mut account = elsewhere("");
    let first = account.release("v1.0.0", Kind::Good);
    let second = account.release("v2.0.0", Kind::Good);
    account.forget_calls();
    account.esclusa(&["rollback", "superbowleto", "prd", "--reason", "too slow"]);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    assert_production_runs(&mut account, &first);
    assert_staging_runs(&mut account, &second);
    assert_eq!(acts(&account), ["210987654321 UpdateService esclusa-target-update"]);
}

#[test]
fn a_rollout_that_fails_there_is_rolled_back_there_and_home_keeps_the_release() {
    let mut account = elsewhere("");
    let first = account.release("v1.0.0", Kind::Good);
    // It works in staging, and not with the containers of production.
    let programs = json!({"programs": [
        {"command_contains": "migrate", "outcome": "exit", "after_seconds": 25, "code": 0},
        {"container": SERVER, "outcome": "exit", "after_seconds": 3, "code": 1},
    ]});
    let second = account.release_that_says("v2.0.0", Kind::Good, &[(Behaviour::ANNOTATION, &programs.to_string())]);
    account.assert_ended("ROLLED_BACK", "schema_moved", "rollout_failed");
    assert_production_runs(&mut account, &first);
    assert_staging_runs(&mut account, &second);
    let release = account.releases().pop().unwrap();
    let evidence = account.esclusa(&["audit", "--release", &release]).out;
    assert!(evidence.contains("exit code 1"), "{evidence}");
    assert_locks_are_free(&mut account);
}

/// What was brought back there is what ran there: the way back is planned at home and taken in the other account.
#[test]
fn a_release_that_is_stopped_while_it_soaks_there_goes_back_there() {
    let mut account = elsewhere("    verification: {soak_seconds: 1200, services: {interval_seconds: 60}}\n");
    let first = account.release("v1.0.0", Kind::Good);
    account.push("v1.1.0", Kind::Good);
    account.pass(SignedDuration::from_secs(30));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{release}-prd-1"), "LookAtChecks");
    account.pass(SignedDuration::from_mins(2));
    account.esclusa(&["stop", &release, "--reason", "the wrong version"]);
    account.settle();
    account.assert_release_ended(&release, "STOPPED", "schema_moved", "stopped");
    assert_production_runs(&mut account, &first);
    assert_locks_are_free(&mut account);
}

/// The other environment that it is to be set like is at home, and is looked at there.
#[test]
fn drift_from_an_environment_at_home_is_told_of_one_elsewhere() {
    let mut account = elsewhere("    same_as: {environment: stg}\n");
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let planned = account.records("planned");
    let of_production = planned
        .iter()
        .rev()
        .find(|record| record["environment"] == "prd")
        .unwrap();
    let notes = of_production["body"]["notes"].to_string();
    let at_home: usize = account
        .ecs_calls("DescribeServices")
        .iter()
        .filter(|call| call.input["cluster"] == "superbowleto-stg" && call.place.account != target::account().account)
        .count();
    let there = account
        .ecs_calls("DescribeServices")
        .iter()
        .any(|call| call.input["cluster"] == "superbowleto-stg" && call.place.account == target::account().account);
    assert!(at_home > 0 && !there, "{notes}");
}

#[test]
fn lost_events_of_the_other_account_are_found_by_the_sweep() {
    let mut account = elsewhere("");
    let pattern = Pattern::compile(&json!({"source": ["aws.ecs"]})).unwrap();
    account.there(&target::account(), |there| {
        let (bus, _) = there.lab.world_mut().service_mut::<EventBridge>().unwrap();
        bus.delivery.plan(Disturbance {
            pattern,
            occurrence: Occurrence::Every,
            fault: Fault::Drop,
        });
    });
    let before = told_of_there(&account);
    let digest = account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert_production_runs(&mut account, &digest);
    let dropped = account.there(&target::account(), |there| {
        let bus = there.lab.world().service::<EventBridge>().unwrap();
        bus.dropped().len()
    });
    assert!(dropped > 0, "no event was lost");
    assert_eq!(told_of_there(&account), before);
}

/// How many waits were ended by an event of the other account.
fn told_of_there(account: &Account) -> usize {
    let calls = account.lab.world().calls().iter();
    let outputs = calls.filter(|call| call.operation == "SendTaskSuccess");
    let is_told = |output: &Value| {
        let of = output["resourceArn"].as_str().unwrap_or_default();
        output["source"] == "event" && of.starts_with("arn:aws:ecs:eu-west-1:210987654321:service")
    };
    let outputs = outputs.filter_map(|call| serde_json::from_str(call.input["output"].as_str()?).ok());
    outputs.filter(is_told).count()
}

#[test]
fn events_of_the_other_account_reach_whom_they_are_waited_for_by() {
    let mut account = elsewhere("");
    let before = told_of_there(&account);
    account.release("v1.0.0", Kind::Good);
    assert!(told_of_there(&account) > before);
}

/// Waits in staging for a migration that hangs, and gives the event that told that its task runs.
fn waiting() -> (Account, String, Value) {
    let mut account = elsewhere("");
    account.push("v1.0.0", Kind::HangingMigration);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-stg-1"), "AwaitTask");
    account.pass(SignedDuration::from_mins(5));
    let is_told = |event: &&Value| {
        let detail = &event["detail"];
        event["detail-type"] == "ECS Task State Change"
            && detail["lastStatus"] == "RUNNING"
            && detail["startedBy"]
                .as_str()
                .is_some_and(|by| by.starts_with("esclusa/"))
    };
    let told = account.lab.world().events().iter().rfind(is_told).cloned().unwrap();
    (account, release, told)
}

/// An event as the other account could tell it, that a task has ended well.
fn forged(told: &Value, place: &Place, task_arn: &str) -> Value {
    let mut forged = told.clone();
    forged["account"] = json!(place.account);
    forged["region"] = json!(place.region);
    forged["id"] = json!(format!("forged-{}-{}", place.account, place.region));
    forged["resources"] = json!([task_arn]);
    let detail = &mut forged["detail"];
    detail["taskArn"] = json!(task_arn);
    detail["lastStatus"] = json!("STOPPED");
    detail["stopCode"] = json!("EssentialContainerExited");
    detail["version"] = json!(99);
    forged
}

#[test]
fn an_event_of_one_account_about_a_task_of_another_changes_nothing_and_is_told() {
    let (mut account, release, told) = waiting();
    let ours = told["detail"]["taskArn"].as_str().unwrap().to_owned();
    let theirs = ours
        .replace("us-east-1", "eu-west-1")
        .replace("123456789012", "210987654321");
    let rows = |account: &Account| -> BTreeSet<String> {
        let rows = account
            .rows("")
            .into_iter()
            .map(|row| (row["pk"].clone(), row["sk"].clone()));
        rows.map(|row| format!("{row:?}")).collect()
    };
    let letters = dead_letters(&account);
    let before = rows(&account);
    for (place, task) in [
        (Place::new("210987654321", "us-east-1"), &ours),
        (Place::new("123456789012", "eu-west-1"), &ours),
        // A task of its own, which says that the deployment at home started it.
        (target::account(), &theirs),
    ] {
        account.put_event(&forged(&told, &place, task));
    }
    account.pass(SignedDuration::from_mins(20));
    let arn = format!("arn:aws:states:us-east-1:123456789012:execution:esclusa-deployment:{release}-stg-1");
    let machines = account.lab.world().service::<StepFunctions>().unwrap();
    assert_eq!(machines.status(&arn), Some(Status::Running));
    let after = rows(&account);
    // What is new is that something could not be understood, for whoever asks `esclusa status`.
    let new = after.symmetric_difference(&before);
    let new: Vec<&String> = new.filter(|row| !row.contains("UNDELIVERED")).collect();
    assert_eq!(new, Vec::<&String>::new());
    assert_eq!(dead_letters(&account) - letters, 3, "each is kept for a person");
}

/// The same alarm name may be in every account.
#[test]
fn an_alarm_there_speaks_of_what_is_verified_with_it_there() {
    let verification = "    verification:\n      soak_seconds: 900\n      checks:\n        errors: {measure: {alarms: [errors]}, pace: {interval_seconds: 600}, reaction: rollback}\n";
    let mut account = elsewhere(verification);
    account.create_alarm("errors");
    account.there(&target::account(), |there| there.create_alarm("errors"));
    let first = account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let holds = |account: &mut Account| {
        let told = account.esclusa(&["status", "superbowleto", "prd"]).out;
        !told.contains("has failed verification")
    };
    assert!(holds(&mut account));
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(5));
    let rechecked = |account: &Account| account.rows("").iter().filter(|row| row["revoked"].is_object()).count();
    assert_eq!(rechecked(&account), 0, "the alarm of home is another");
    account.there(&target::account(), |there| there.say_alarm("errors", "ALARM"));
    account.pass(SignedDuration::from_mins(5));
    assert!(rechecked(&account) > 0);
    assert_production_runs(&mut account, &first);
}

/// A deployment that died has suspended the scaling of a service there, and a cluster and a service of the same names
/// are at home.
#[test]
fn what_was_suspended_there_is_restored_there_by_the_sweep() {
    let scaling = "    services: {server: {scaling: {min: 1, max: 4, suspend: true}}}\n";
    let mut account = elsewhere(scaling);
    account.provide_scaling(CLUSTER, SERVER, 1, 4);
    account.there(&target::account(), |there| there.provide_scaling(CLUSTER, SERVER, 1, 4));
    account.push("v1.0.0", Kind::Good);
    let release = account.run_until_claimed();
    let execution = format!("{release}-prd-1");
    account.run_until_entered(&execution, "AwaitService");
    let is_suspended = |account: &mut Account| {
        let resource = format!("service/{CLUSTER}/{SERVER}");
        let input = json!({"ServiceNamespace": "ecs", "ResourceIds": [resource]});
        let described = account.administer("application-autoscaling", "DescribeScalableTargets", input);
        described["ScalableTargets"][0]["SuspendedState"]["DynamicScalingOutSuspended"] == true
    };
    let suspended = |account: &mut Account| {
        let there = account.there(&target::account(), is_suspended);
        (is_suspended(account), there)
    };
    assert_eq!(suspended(&mut account), (false, true), "at home, and there");
    let arn = format!("arn:aws:states:us-east-1:123456789012:execution:esclusa-deployment:{execution}");
    account.administer("states", "StopExecution", json!({"executionArn": arn}));
    account.settle();
    account.pass(SignedDuration::from_mins(20));
    assert_eq!(suspended(&mut account), (false, false), "at home, and there");
    assert_eq!(account.rows("OPEN#SCALING"), Vec::<Value>::new());
}

/// The fault F91: the external id was changed there, so that no role can be assumed any more.
#[test]
fn a_trust_that_changed_ends_the_release_there_cleanly_and_nothing_else() {
    let mut account = elsewhere("");
    let first = account.release("v1.0.0", Kind::Good);
    target::connect(account.lab.world_mut(), &target::account(), "another-external-id").unwrap();
    // What was assumed before is good for an hour.
    account.pass(SignedDuration::from_hours(2));
    let second = account.release("v2.0.0", Kind::Good);
    account.assert_ended("FAILED", "none", "access_denied");
    let reasons = account.reasons();
    assert!(
        reasons.contains("`arn:aws:iam::210987654321:role/esclusa-target-observe` in account 210987654321")
            && reasons.contains("target-account.yaml")
            && !reasons.contains(target::EXTERNAL_ID),
        "{reasons}"
    );
    assert_staging_runs(&mut account, &second);
    assert_production_runs(&mut account, &first);
    assert_locks_are_free(&mut account);
    target::connect(account.lab.world_mut(), &target::account(), target::EXTERNAL_ID).unwrap();
    let third = account.release("v3.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert_production_runs(&mut account, &third);
}

#[test]
fn the_doctor_finds_a_place_that_cannot_be_reached() {
    let mut account = elsewhere("");
    let there = |account: &mut Account| {
        let told = account.lab.esclusa(&["doctor", "--output", "json"]).out;
        let told: Value = serde_json::from_str(&told).unwrap();
        let findings = told["findings"].as_array().unwrap();
        let finding = findings
            .iter()
            .find(|finding| finding["check"] == "prd: account 210987654321, eu-west-1")
            .unwrap();
        let text = |member: &str| finding[member].as_str().unwrap_or_default().to_owned();
        (text("status"), text("seen"))
    };
    let (status, seen) = there(&mut account);
    assert_eq!(
        (status.as_str(), seen.as_str()),
        (
            "ok",
            "the function `observe` reaches it; the cluster `superbowleto-prd` is `ACTIVE`"
        )
    );
    target::connect(account.lab.world_mut(), &target::account(), "another-external-id").unwrap();
    // What was assumed before is good for an hour.
    account.pass(SignedDuration::from_hours(2));
    let (status, seen) = there(&mut account);
    assert!(
        status == "problem" && seen.contains("`arn:aws:iam::210987654321:role/esclusa-target-observe`"),
        "{status}: {seen}"
    );
}

/// The fault F91 in the middle: the trust changes while a task runs there, and is mended by hand.
#[test]
fn a_trust_that_changes_under_way_and_is_mended_goes_on() {
    let mut account = elsewhere("");
    account.release("v1.0.0", Kind::Good);
    // Longer than credentials last.
    let slow =
        json!({"programs": [{"command_contains": "migrate", "outcome": "exit", "after_seconds": 7200, "code": 0}]});
    account.push_that_says("v2.0.0", Kind::Good, &[(Behaviour::ANNOTATION, &slow.to_string())]);
    account.pass(SignedDuration::from_mins(1));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{release}-prd-1"), "AwaitTask");
    target::connect(account.lab.world_mut(), &target::account(), "another-external-id").unwrap();
    account.pass(SignedDuration::from_mins(90));
    let is_refused = |call: &&simulator::CallRecord| {
        call.operation == "AssumeRole" && matches!(call.outcome, CallOutcome::Denied { .. })
    };
    assert!(account.lab.world().calls().iter().any(|call| is_refused(&call)));
    target::connect(account.lab.world_mut(), &target::account(), target::EXTERNAL_ID).unwrap();
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert_locks_are_free(&mut account);
}

const REPLICATED: &str = "    images: {app: {replication_seconds: 1800}}\n";

/// The pipeline whose production pulls a replicated image.
fn replicated(script: impl FnOnce(&mut Ecr)) -> Account {
    let mut account = elsewhere(REPLICATED);
    target::replicate(account.lab.world_mut(), &target::account()).unwrap();
    let (ecr, _) = account.lab.world_mut().service_mut::<Ecr>().unwrap();
    script(ecr);
    account
}

/// The fault F10: the copy is late, and the release waits for it.
#[test]
fn a_release_waits_until_its_image_has_arrived_there() {
    let mut account = replicated(|ecr| ecr.replication.takes = SignedDuration::from_mins(25));
    let told = account.esclusa(&["when", "superbowleto", "v1.0.0"]).out;
    let waits = "once it has been replicated to `210987654321/eu-west-1/superbowleto`, which cannot be predicted";
    let line = told.lines().find(|line| line.contains("`prd`")).unwrap();
    assert!(line.contains("not before") && line.contains(waits), "{told}");
    assert!(
        !told
            .lines()
            .any(|line| line.contains("`stg`") && line.contains("replicated")),
        "{told}"
    );
    let digest = account.push("v1.0.0", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&release, "AwaitGate");
    let waits = account.esclusa(&["approvals"]).out;
    assert!(waits.contains("210987654321/eu-west-1/superbowleto"), "{waits}");
    let moved = |account: &Account| acts(account).iter().any(|act| act.starts_with("210987654321"));
    assert!(!moved(&account));
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert!(moved(&account));
    let image = account.there(&target::account(), |there| {
        let definition = there.definition_of(CLUSTER, SERVER);
        let described = there.administer("ecs", "DescribeTaskDefinition", json!({"taskDefinition": definition}));
        described["taskDefinition"]["containerDefinitions"][0]["image"].clone()
    });
    let pulled = format!("210987654321.dkr.ecr.eu-west-1.amazonaws.com/superbowleto@{digest}");
    assert_eq!(image, pulled.as_str());
}

/// The fault F10: the copy failed, and nothing moves there.
#[test]
fn a_copy_that_failed_ends_the_release_there_without_having_moved_anything() {
    let mut account = replicated(|ecr| ecr.replication.fails = true);
    let began = account.lab.world().now();
    let digest = account.release("v1.0.0", Kind::Good);
    account.assert_ended("EXPIRED", "none", "not_replicated");
    assert!(account.lab.world().now().duration_since(began) < SignedDuration::from_mins(60));
    let reasons = account.reasons();
    assert!(reasons.contains("`210987654321/eu-west-1/superbowleto`"), "{reasons}");
    assert_staging_runs(&mut account, &digest);
    let there = acts(&account).into_iter().filter(|act| act.starts_with("210987654321"));
    assert_eq!(there.count(), 0);
    assert_locks_are_free(&mut account);
}

/// When the deployment of the last release began and ended in an environment.
fn span(account: &Account, environment: &str) -> (String, String) {
    let of = |kind: &str| {
        let records = account.records(kind);
        let record = records.iter().rfind(|record| record["environment"] == environment);
        record.unwrap()["at"].as_str().unwrap().to_owned()
    };
    (of("deployment_started"), of("deployment_ended"))
}

#[test]
fn environments_of_one_wave_may_be_in_two_accounts() {
    let mut account = together("");
    let digest = account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert_staging_runs(&mut account, &digest);
    assert_production_runs(&mut account, &digest);
    let ((home, home_ended), (there, there_ended)) = (span(&account, "stg"), span(&account, "prd"));
    assert!(
        there < home_ended && home < there_ended,
        "at home {home} to {home_ended}, there {there} to {there_ended}"
    );
    assert_locks_are_free(&mut account);
}

#[test]
fn a_wave_begins_in_no_account_when_one_of_them_cannot_be_reached() {
    let mut account = together("");
    let first = account.release("v1.0.0", Kind::Good);
    target::connect(account.lab.world_mut(), &target::account(), "another-external-id").unwrap();
    // What was assumed before is good for an hour.
    account.pass(SignedDuration::from_hours(2));
    account.forget_calls();
    account.release("v2.0.0", Kind::Good);
    account.assert_ended("FAILED", "none", "access_denied");
    assert_eq!(acts(&account), Vec::<String>::new());
    assert_staging_runs(&mut account, &first);
    assert_production_runs(&mut account, &first);
    assert_locks_are_free(&mut account);
}

/// Production waits for its copy of the image while staging, of the same wave, fails with it.
#[test]
fn a_wave_that_fails_at_home_begins_no_more_where_its_image_has_not_arrived() {
    let mut account = together(REPLICATED);
    target::replicate(account.lab.world_mut(), &target::account()).unwrap();
    let first = account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let (ecr, _) = account.lab.world_mut().service_mut::<Ecr>().unwrap();
    ecr.replication.takes = SignedDuration::from_mins(25);
    account.forget_calls();
    account.release("v2.0.0", Kind::CrashLoop);
    account.assert_ended("ROLLED_BACK", "schema_moved", "rollout_failed");
    let acts = acts(&account);
    assert!(
        !acts.is_empty() && acts.iter().all(|act| act.starts_with("123456789012")),
        "{acts:?}"
    );
    assert_staging_runs(&mut account, &first);
    assert_production_runs(&mut account, &first);
    assert_locks_are_free(&mut account);
}

#[test]
fn without_a_connection_the_plan_says_what_to_set() {
    let place = "    account: \"210987654321\"\n";
    let mut account = Account::edited("superbowleto", ENVIRONMENT, &format!("{ENVIRONMENT}{place}"));
    account.release("v1.0.0", Kind::Good);
    account.lab.esclusa(&["deploy", "superbowleto", "prd", "v1.0.0"]);
    account.settle();
    account.assert_ended("FAILED", "none", "refused");
    let reasons = account.reasons();
    assert!(reasons.contains("`TargetExternalId`"), "{reasons}");
}
