//! What lies between the gate and the first act: unchanged, changed in between, or newer than this program knows.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::{ApiError, Fault, FaultKind, Selector};

use crate::path::{self, CLOSED, END, NEXT, SERVICE, TASK};
use crate::support::Account;

const NOTHING_TO_DO: &[&str] = &[
    "BeginDeployment",
    "AcquireLocks",
    "LocksTaken?",
    "PlanDeployment",
    "AnythingToDo?",
    "RecordEnd",
    "Ended",
];

/// The most recent revision of a family, in the shape in which it is registered.
pub(crate) fn latest(account: &mut Account, family: &str) -> Value {
    let described = account.administer("ecs", "DescribeTaskDefinition", json!({"taskDefinition": family}));
    let mut definition = described["taskDefinition"].clone();
    let members = definition.as_object_mut().unwrap();
    for output_only in [
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
    ] {
        members.remove(output_only);
    }
    definition
}

#[test]
fn a_version_that_runs_already_and_is_proven_is_unchanged_and_nothing_is_called() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    account.esclusa(&["deploy", "nest-demo", "development", "v1.0.0"]);
    account.settle();
    account.assert_path(&account.releases().pop().unwrap(), &[&path::release(1), CLOSED]);
    account.assert_deployment_path("development", &[NOTHING_TO_DO]);
    account.assert_ended("UNCHANGED", "none", "nothing_to_do");
    account.assert_acts(&[]);
    account.assert_left("FREE");
}

#[test]
fn a_rollout_of_the_same_revision_that_somebody_else_began_is_adopted_and_proven() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    let ours = account.definition_of("nest-demo-development", "nest-demo");
    for definition in ["nest-demo-development:1", &ours] {
        account.administer(
            "ecs",
            "UpdateService",
            json!({"cluster": "nest-demo-development", "service": "nest-demo", "taskDefinition": definition}),
        );
    }
    // Before that rollout has ended, so that there is something to prove.
    account.esclusa(&["deploy", "nest-demo", "development", "v1.0.0"]);
    account.settle();
    account.assert_deployment_path("development", &[&path::opening(1), SERVICE, NEXT, END]);
    account.assert_ended("SUCCEEDED", "none", "proven");
    account.assert_acts(&[]);
}

#[test]
fn a_base_revision_that_appears_between_gate_and_lock_is_planned_anew() {
    let mut account = Account::with("superbowleto");
    account.push("4f2c1e9", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&release, "StartDeployment");
    let mut base = latest(&mut account, "superbowleto-s-stg");
    base["cpu"] = json!("1024");
    base["memory"] = json!("2048");
    account.administer("ecs", "RegisterTaskDefinition", base);
    account.settle();
    let (first, second) = (format!("{release}-stg-1"), format!("{release}-stg-2"));
    account.assert_path(
        &first,
        &[&[
            "BeginDeployment",
            "AcquireLocks",
            "LocksTaken?",
            "PlanDeployment",
            "RecordEnd",
            "Ended",
        ]],
    );
    account.assert_path(
        &second,
        &[&path::opening(2), TASK, NEXT, SERVICE, NEXT, SERVICE, NEXT, END],
    );
    let again = [
        "TakeNextAttempt",
        "PlanAgain",
        "AskGates",
        "GatesOutcome?",
        "StartDeployment",
        "AwaitDeployment",
        "SettleDeployment",
        "DeploymentEnd?",
    ];
    account.assert_path(&release, &[&path::release(1), &again, CLOSED]);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1), ("UpdateService", 2)]);
    assert_eq!(
        latest(&mut account, "superbowleto-s-stg")["cpu"],
        "1024",
        "what infrastructure code wants is deployed"
    );
    let ends: Vec<Value> = account
        .records("deployment_ended")
        .iter()
        .map(|record| record["body"]["end"]["reason"].clone())
        .collect();
    assert_eq!(ends, ["plan_changed", "proven"]);
    account.assert_left("FREE");
}

#[test]
fn fields_that_are_newer_than_this_program_survive_a_registration() {
    let mut account = Account::with("superbowleto");
    let mut base = latest(&mut account, "superbowleto-s-stg");
    base["quantumPlacement"] = json!({"entangled": true, "with": ["us-east-1a"]});
    base["containerDefinitions"][0]["thermalPolicy"] = json!("COOL");
    account.administer("ecs", "RegisterTaskDefinition", base.clone());
    let digest = account.release("4f2c1e9", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let deployed = latest(&mut account, "superbowleto-s-stg");
    assert_eq!(deployed["quantumPlacement"], base["quantumPlacement"]);
    let container = &deployed["containerDefinitions"][0];
    assert_eq!(container["thermalPolicy"], "COOL");
    assert_eq!(
        container["image"],
        format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/superbowleto@{digest}")
    );
    assert_eq!(
        deployed["containerDefinitions"][1], base["containerDefinitions"][1],
        "the sidecar stays as it is"
    );
}

/// A plan that is made twice, and is written down the second time while its release ends without it, is concluded as
/// well.
#[test]
fn a_plan_that_comes_while_its_release_ends_is_concluded() {
    let mut account = Account::running("imagy-catalog", "v1");
    let denied = FaultKind::ErrorBefore(ApiError::client("AccessDeniedException", "not authorized"));
    let late = |seconds| FaultKind::Delay(SignedDuration::from_secs(seconds));
    let of = |function: &str, action: &str, service: &str, operation: &str| Selector {
        function: Some(format!("esclusa-{function}")),
        payload: vec![("/action".to_owned(), json!(action))],
        ..Selector::operation(service, operation)
    };
    let plans = Selector {
        payload: vec![("/action".to_owned(), json!("plan_wave"))],
        ..Selector::operation("lambda", "Invoke")
    };
    let looks = of("observe", "plan_wave", "ecr", "DescribeImages");
    for (selector, kind) in [
        (plans.nth(1), FaultKind::Repeat),
        (looks.clone().nth(1), denied),
        (looks.nth(2), late(2)),
        (
            of("record", "close_release", "dynamodb", "TransactWriteItems").nth(1),
            late(5),
        ),
    ] {
        account.lab.world_mut().add_fault(Fault::new(selector, kind));
    }
    account.push("4f2c1e9", Kind::Good);
    account.settle();
    let release = account.releases().pop().unwrap();
    let rows = account.rows(&format!("DEPLOYMENT#{release}-develop-1"));
    let planned = rows.iter().find(|row| row["sk"] == "DEPLOYMENT").unwrap();
    assert_eq!(planned["progress"], "ENDED", "{planned:#}");
}
