//! Environments in another account and Region: the same path, by roles of that account, and what can go wrong between the two.

use jiff::SignedDuration;
use lab::images::Kind;
use lab::target;
use serde_json::{Value, json};
use simulator::services::Ecr;
use simulator::{CallOutcome, Principal};
use simulator_event_bridge::{Disturbance, EventBridge, Fault, Occurrence, Pattern};
use simulator_step_functions::{Status, StepFunctions};

use crate::support::Account;

const CLUSTER: &str = "superbowleto-prd";
const SERVER: &str = "superbowleto-s-prd";
const ENVIRONMENT: &str = "  - name: prd\n    trigger: manual\n";

/// The pipeline whose production is in the other account and Region, with `more` in it.
fn elsewhere(more: &str) -> Account {
    Account::beside_target("superbowleto", |text| {
        assert_eq!(text.matches(ENVIRONMENT).count(), 1);
        let place = "    account: \"210987654321\"\n    region: eu-west-1\n";
        text.replace(ENVIRONMENT, &format!("  - name: prd\n    trigger: push\n{place}{more}"))
    })
}

/// The calls that changed something in ECS, by the account they reached and the role that made them.
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

fn reached(account: &mut Account, environment: &str) -> String {
    let release = account.releases().pop().unwrap();
    format!("{release}-{environment}-1")
}

/// The locks that somebody holds.
fn locks(account: &Account) -> Vec<Value> {
    account
        .rows("LOCK#")
        .into_iter()
        .filter(|row| row["status"] != "free" && row["status"] != "FREE")
        .collect()
}

#[test]
fn one_push_goes_through_staging_at_home_and_production_in_another_account_and_region() {
    let mut account = elsewhere("    verification: {soak_seconds: 60}\n");
    let digest = account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.assert_runs(
        "superbowleto-stg",
        "superbowleto-s-stg",
        "superbowleto-s-stg",
        &digest,
        1,
    );
    account.there(|there| {
        let running = there.digests_of(CLUSTER, SERVER, SERVER);
        assert!(
            !running.is_empty() && running.iter().all(|found| *found == digest),
            "{running:?}"
        );
        let definition = there.definition_of(CLUSTER, SERVER);
        let described = there.administer("ecs", "DescribeTaskDefinition", json!({"taskDefinition": definition}));
        let definition = &described["taskDefinition"];
        assert!(
            definition["taskDefinitionArn"]
                .as_str()
                .unwrap()
                .starts_with("arn:aws:ecs:eu-west-1:210987654321:task-definition/"),
            "{definition}"
        );
        // Nothing is replicated: the image is pulled from the repository of home.
        let image = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/superbowleto@{digest}");
        assert_eq!(definition["containerDefinitions"][0]["image"], image.as_str());
    });
    assert!(
        account
            .digests_of(CLUSTER, SERVER, SERVER)
            .iter()
            .all(|found| *found != digest)
    );
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
    let production = reached(&mut account, "prd");
    let staging = reached(&mut account, "stg");
    let mut path = account.lab.path(&production);
    path.retain(|state| !state.contains("Verif") && !state.contains("Look") && !state.contains("Check"));
    assert!(account.lab.path(&staging).len() > 10 && path.len() > 10, "{path:?}");
    assert_eq!(locks(&account), Vec::<Value>::new());
    account.esclusa(&["audit", "verify", "--all"]);
    let told = account.esclusa(&["status", "superbowleto", "prd"]).out;
    assert!(told.contains("v1.0.0"), "{told}");
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
    let running = account.there(|there| there.digests_of(CLUSTER, SERVER, SERVER));
    assert!(running.iter().all(|found| *found == first), "{running:?}");
    account.assert_runs(
        "superbowleto-stg",
        "superbowleto-s-stg",
        "superbowleto-s-stg",
        &second,
        1,
    );
    assert_eq!(acts(&account), ["210987654321 UpdateService esclusa-target-update"]);
}

#[test]
fn a_release_that_fails_there_goes_back_there_and_stays_at_home() {
    let mut account = elsewhere("");
    let first = account.release("v1.0.0", Kind::Good);
    let digest = account.push("v2.0.0", Kind::CrashLoop);
    account.settle();
    // It failed in staging already, at home.
    account.assert_ended("ROLLED_BACK", "schema_moved", "rollout_failed");
    let running = account.there(|there| there.digests_of(CLUSTER, SERVER, SERVER));
    assert!(
        running.iter().all(|found| *found == first && *found != digest),
        "{running:?}"
    );
}

#[test]
fn lost_events_of_the_other_account_are_found_by_the_sweep() {
    let mut account = elsewhere("");
    let pattern = Pattern::compile(&json!({"source": ["aws.ecs"]})).unwrap();
    account.there(|there| {
        let (bus, _) = there.lab.world_mut().service_mut::<EventBridge>().unwrap();
        bus.delivery.plan(Disturbance {
            pattern,
            occurrence: Occurrence::Every,
            fault: Fault::Drop,
        });
    });
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let dropped = account.there(|there| {
        let bus = there.lab.world().service::<EventBridge>().unwrap();
        bus.dropped().len()
    });
    assert!(dropped > 0, "no event was lost");
}

#[test]
fn events_of_the_other_account_reach_the_bus_of_home() {
    let mut account = elsewhere("");
    account.release("v1.0.0", Kind::Good);
    let heard = account.rows("EVENT#arn:aws:ecs:eu-west-1:210987654321:");
    let heard = if heard.is_empty() {
        account
            .rows("")
            .into_iter()
            .filter(|row| {
                let key = row["pk"].as_str().unwrap_or_default();
                key.contains("arn:aws:ecs:eu-west-1:210987654321:")
                    && row["sk"].as_str().unwrap_or_default().contains("EVENT")
            })
            .collect()
    } else {
        heard
    };
    assert!(
        !heard.is_empty(),
        "{:?}",
        account.rows("").iter().map(|row| row["pk"].clone()).collect::<Vec<_>>()
    );
}

#[test]
fn an_event_of_one_account_about_a_resource_of_another_changes_nothing() {
    let mut account = elsewhere("");
    account.push("v1.0.0", Kind::HangingMigration);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-stg-1"), "AwaitTask");
    account.pass(SignedDuration::from_mins(5));
    let task = account.ecs_calls("RunTask").len();
    assert_eq!(task, 1);
    let before = account.rows("").len();
    // A stopped task, as the other account would tell it: of home.
    let mine = account
        .lab
        .world()
        .events()
        .iter()
        .rfind(|event| {
            event["detail-type"] == "ECS Task State Change"
                && event["detail"]["lastStatus"] == "RUNNING"
                && event["detail"]["startedBy"]
                    .as_str()
                    .is_some_and(|by| by.starts_with("esclusa/"))
        })
        .cloned()
        .unwrap();
    for (account_of, region) in [("210987654321", "us-east-1"), ("123456789012", "eu-west-1")] {
        let mut forged = mine.clone();
        forged["account"] = json!(account_of);
        forged["region"] = json!(region);
        forged["id"] = json!(format!("forged-{account_of}-{region}"));
        forged["detail"]["lastStatus"] = json!("STOPPED");
        forged["detail"]["stopCode"] = json!("EssentialContainerExited");
        forged["detail"]["version"] = json!(99);
        account.put_event(&forged);
    }
    account.pass(SignedDuration::from_mins(30));
    let arn = format!("arn:aws:states:us-east-1:123456789012:execution:esclusa-deployment:{release}-stg-1");
    let machines = account.lab.world().service::<StepFunctions>().unwrap();
    assert_eq!(machines.status(&arn), Some(Status::Running));
    let kept = account.rows("");
    assert!(
        kept.iter().all(|row| !row.to_string().contains("\"STOPPED\"")),
        "a forged event was kept"
    );
    assert!(kept.len() >= before);
    // It is told like every event that cannot be understood.
    let letters = account.esclusa(&["status"]).out;
    assert!(letters.contains("could not be"), "{letters}");
}

/// The fault F91: the external id was changed there, so that no role can be assumed any more.
#[test]
fn a_trust_that_changed_ends_the_release_there_cleanly_and_nothing_else() {
    let mut account = elsewhere("");
    let first = account.release("v1.0.0", Kind::Good);
    target::connect(account.lab.world_mut(), "another-external-id").unwrap();
    // What was assumed before is good for an hour.
    account.pass(SignedDuration::from_hours(2));
    let digest = account.release("v2.0.0", Kind::Good);
    account.assert_ended("FAILED", "none", "access_denied");
    let reasons = account.reasons();
    assert!(
        reasons.contains("`arn:aws:iam::210987654321:role/esclusa-target-observe` in account 210987654321")
            && reasons.contains("target-account.yaml")
            && !reasons.contains(target::EXTERNAL_ID),
        "{reasons}"
    );
    account.assert_runs(
        "superbowleto-stg",
        "superbowleto-s-stg",
        "superbowleto-s-stg",
        &digest,
        1,
    );
    let running = account.there(|there| there.digests_of(CLUSTER, SERVER, SERVER));
    assert!(running.iter().all(|found| *found == first), "{running:?}");
    assert_eq!(locks(&account), Vec::<Value>::new());
    // Mended, the next one comes through.
    target::connect(account.lab.world_mut(), target::EXTERNAL_ID).unwrap();
    let third = account.release("v3.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let running = account.there(|there| there.digests_of(CLUSTER, SERVER, SERVER));
    assert!(running.iter().all(|found| *found == third), "{running:?}");
}

/// The fault F91 in the middle: the trust changes while a task runs there, and is mended by hand.
#[test]
fn a_trust_that_changes_under_way_and_is_mended_goes_on() {
    let mut account = elsewhere("");
    account.release("v1.0.0", Kind::Good);
    // Credentials last an hour: with a migration of two hours they end under way.
    account.push_that_says("v2.0.0", Kind::Good, &[(
        simulator::kernel::Behaviour::ANNOTATION,
        &json!({"programs": [{"command_contains": "migrate", "outcome": "exit", "after_seconds": 7200, "code": 0}]}).to_string(),
    )]);
    account.pass(SignedDuration::from_mins(1));
    let release = account.releases().pop().unwrap();
    account.run_until_entered(&format!("{release}-prd-1"), "AwaitTask");
    target::connect(account.lab.world_mut(), "another-external-id").unwrap();
    account.pass(SignedDuration::from_mins(90));
    let refused = account
        .lab
        .world()
        .calls()
        .iter()
        .filter(|call| call.operation == "AssumeRole" && matches!(call.outcome, CallOutcome::Denied { .. }))
        .count();
    assert!(refused > 0, "nobody was refused");
    target::connect(account.lab.world_mut(), target::EXTERNAL_ID).unwrap();
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert_eq!(locks(&account), Vec::<Value>::new());
}

const REPLICATED: &str = "    images: {app: {replication_seconds: 1800}}\n";

/// The fault F10: the copy is late, and the release waits for it.
#[test]
fn a_release_waits_until_its_image_has_arrived_there() {
    let mut account = elsewhere(REPLICATED);
    target::replicate(account.lab.world_mut()).unwrap();
    let (ecr, _) = account.lab.world_mut().service_mut::<Ecr>().unwrap();
    ecr.replication.takes = SignedDuration::from_mins(25);
    let digest = account.push("v1.0.0", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&release, "AwaitGate");
    let waits = account.esclusa(&["approvals"]).out;
    assert!(waits.contains("210987654321/eu-west-1/superbowleto"), "{waits}");
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let image = account.there(|there| {
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
    let mut account = elsewhere(REPLICATED);
    target::replicate(account.lab.world_mut()).unwrap();
    let (ecr, _) = account.lab.world_mut().service_mut::<Ecr>().unwrap();
    ecr.replication.fails = true;
    let began = account.lab.world().now();
    let digest = account.release("v1.0.0", Kind::Good);
    account.assert_ended("EXPIRED", "none", "not_replicated");
    assert!(account.lab.world().now().duration_since(began) < SignedDuration::from_mins(60));
    let reasons = account.reasons();
    assert!(reasons.contains("`210987654321/eu-west-1/superbowleto`"), "{reasons}");
    account.assert_runs(
        "superbowleto-stg",
        "superbowleto-s-stg",
        "superbowleto-s-stg",
        &digest,
        1,
    );
    let there = acts(&account).into_iter().filter(|act| act.starts_with("210987654321"));
    assert_eq!(there.count(), 0);
    assert_eq!(locks(&account), Vec::<Value>::new());
}

#[test]
fn without_a_connection_the_plan_says_what_to_set() {
    let mut account = Account::edited(
        "superbowleto",
        "  - name: prd\n    trigger: manual\n",
        "  - name: prd\n    trigger: manual\n    account: \"210987654321\"\n",
    );
    account.release("v1.0.0", Kind::Good);
    account.lab.esclusa(&["deploy", "superbowleto", "prd", "v1.0.0"]);
    account.settle();
    account.assert_ended("FAILED", "none", "refused");
    let reasons = account.reasons();
    assert!(reasons.contains("`TargetExternalId`"), "{reasons}");
}
