//! What is registered with Application Auto Scaling: what the environment declares, wherever it is otherwise, and
//! nothing on the way back.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::{ApiError, Fault, FaultKind, Selector};

use crate::path::{
    self, BACK, END, EVIDENCE, NEXT, RESTORED, RESTORED_AND_BACK, SCALED_SERVICE, SERVICE_STOPPED, TASK, WAY_BACK_END,
};
use crate::support::Account;

const SCALING: &str = "application-autoscaling";
const STAGING: &str = "service/imagy-staging/imagy-catalog";
const DEVELOP: &str = "service/imagy-develop/imagy-catalog";

/// The pipeline, with a line of an environment read differently.
const IN_STAGING: &str = "api: {start_count: 2, scaling: {min: 2, max: 4, cpu_percent: 70}}";
const IN_DEVELOP: &str = "api: {start_count: 1, deployment: {minimum_healthy_percent: 0}}";

/// An application that declares in its first environment how it scales.
fn scaling_in_develop(scaling: &str) -> Account {
    let line = format!("api: {{start_count: 1, scaling: {scaling}, deployment: {{minimum_healthy_percent: 0}}}}");
    Account::edited("imagy-catalog", IN_DEVELOP, &line)
}

/// Minimum, maximum, and the policies with what they keep their metric at.
fn registered(account: &mut Account, resource: &str) -> (Value, Value, Vec<(String, f64)>) {
    let input = json!({"ServiceNamespace": "ecs", "ResourceIds": [resource]});
    let target = account.administer(SCALING, "DescribeScalableTargets", input)["ScalableTargets"][0].clone();
    let input = json!({"ServiceNamespace": "ecs", "ResourceId": resource});
    let policies = account.administer(SCALING, "DescribeScalingPolicies", input)["ScalingPolicies"].clone();
    let policy = |policy: &Value| {
        let value = &policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"];
        (
            policy["PolicyName"].as_str().unwrap().to_owned(),
            value.as_f64().unwrap(),
        )
    };
    let policies = policies.as_array().unwrap().iter().map(policy).collect();
    (target["MinCapacity"].clone(), target["MaxCapacity"].clone(), policies)
}

/// Whether nothing of the scaling of a service is suspended, or all of it.
#[track_caller]
fn scales(account: &mut Account, resource: &str) -> bool {
    let input = json!({"ServiceNamespace": "ecs", "ResourceIds": [resource]});
    let target = account.administer(SCALING, "DescribeScalableTargets", input)["ScalableTargets"][0].clone();
    let states: Vec<&Value> = target["SuspendedState"].as_object().unwrap().values().collect();
    assert!(states.iter().all(|state| *state == states[0]), "{states:?}");
    states[0] == false
}

/// The calls that move the service and its scaling, in order: `update`, `suspend` or `resume`.
fn moves(account: &Account) -> Vec<&'static str> {
    let calls = account.calls(SCALING, "RegisterScalableTarget");
    let mut moves: Vec<_> = calls
        .iter()
        .filter_map(|call| {
            let state = call.input.pointer("/SuspendedState/DynamicScalingOutSuspended")?;
            Some((call.at, if *state == true { "suspend" } else { "resume" }))
        })
        .chain(
            account
                .ecs_calls("UpdateService")
                .iter()
                .map(|call| (call.at, "update")),
        )
        .collect();
    moves.sort();
    moves.into_iter().map(|(_, what)| what).collect()
}

/// Asserts that nothing of a suspension is left once the sweeps have come by.
#[track_caller]
fn assert_let_go(account: &mut Account) {
    account.pass(SignedDuration::from_mins(5));
    assert_eq!(account.rows("OPEN#SCALING"), Vec::<Value>::new());
    assert!(scales(account, DEVELOP));
}

/// How often bounds and policies were registered by the deployer.
fn registrations(account: &Account) -> (usize, usize) {
    let count = |operation: &str| account.calls(SCALING, operation).len();
    (count("RegisterScalableTarget"), count("PutScalingPolicy"))
}

#[test]
fn what_is_registered_otherwise_is_registered_before_the_service_moves_and_only_then() {
    let mut account = Account::with("imagy-catalog");
    account.release("4f2c1e9", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.assert_deployment_path("staging", &[&path::opening(2), TASK, NEXT, SCALED_SERVICE, NEXT, END]);
    let policies = vec![("esclusa-cpu".to_owned(), 70.0)];
    assert_eq!(registered(&mut account, STAGING), (json!(2), json!(4), policies));
    assert_eq!(registrations(&account), (1, 1));
    let intents = account.records("intent");
    let announced = intents
        .iter()
        .filter(|intent| intent["body"]["target"].as_str().unwrap().starts_with(STAGING));
    let announced: Vec<&Value> = announced.map(|intent| &intent["body"]["facts"]).collect();
    assert_eq!(
        announced,
        [
            &json!({"service": "api", "min": 2, "max": 4}),
            &json!({"service": "api", "metric": "cpu", "percent": 70}),
        ]
    );
    account.assert_left("FREE");
    account.forget_calls();
    account.release("8b1d0a3", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    assert_eq!(registrations(&account), (0, 0), "nothing is registered otherwise");
}

#[test]
fn a_count_below_the_minimum_is_raised_by_application_auto_scaling_and_never_sent() {
    let mut account = scaling_in_develop("{min: 3, max: 5}");
    let digest = account.release("4f2c1e9", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.pass(SignedDuration::from_mins(5));
    account.assert_runs("imagy-develop", "imagy-catalog", "api", &digest, 3);
    let updates = account.ecs_calls("UpdateService");
    assert!(updates.iter().all(|update| update.input["desiredCount"].is_null()));
}

#[test]
fn bounds_that_are_declared_anew_are_a_difference_of_their_own_which_the_plan_shows() {
    let mut account = Account::running("imagy-catalog", "4f2c1e9");
    let deploy = ["deploy", "imagy-catalog", "staging", "4f2c1e9"];
    account.esclusa(&deploy);
    account.settle();
    account.assert_ended("UNCHANGED", "none", "nothing_to_do");
    let file = std::fs::read_to_string(&account.example.file).unwrap();
    let wider = file.replace(
        IN_STAGING,
        "api: {start_count: 2, scaling: {min: 2, max: 6, cpu_percent: 65}}",
    );
    assert_ne!(wider, file);
    let file = account.written(&wider);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    // Exit code 2: there is a difference.
    let plan = account
        .lab
        .esclusa(&["plan", "imagy-catalog", "staging", "--version", "4f2c1e9"]);
    for line in ["~ scaling.max: 4 → 6", "~ scaling.cpu_percent: 70 → 65"] {
        assert!(plan.out.contains(line), "{}", plan.out);
    }
    assert!(!plan.out.contains("scaling.min"), "{}", plan.out);
    account.esclusa(&deploy);
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let policies = vec![("esclusa-cpu".to_owned(), 65.0)];
    assert_eq!(registered(&mut account, STAGING), (json!(2), json!(6), policies));
    account.esclusa(&deploy);
    account.settle();
    account.assert_ended("UNCHANGED", "none", "nothing_to_do");
}

#[test]
fn a_policy_of_somebody_else_for_the_same_metric_is_refused_before_anything_moves() {
    let mut account = scaling_in_develop("{min: 1, max: 3, cpu_percent: 70}");
    let by_hand = |target: f64| {
        json!({
            "PolicyName": "by-terraform", "ServiceNamespace": "ecs", "ResourceId": DEVELOP,
            "ScalableDimension": "ecs:service:DesiredCount", "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": target,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
            },
        })
    };
    account.provide_scaling("imagy-develop", "imagy-catalog", 1, 3);
    account.administer(SCALING, "PutScalingPolicy", by_hand(50.0));
    account.release("4f2c1e9", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    let reasons = account.reasons();
    assert!(
        reasons.contains("`by-terraform` of somebody else") && reasons.contains("delete-scaling-policy"),
        "{reasons}"
    );
    account.assert_acts(&[]);
    account.administer(SCALING, "PutScalingPolicy", by_hand(70.0));
    account.release("8b1d0a3", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let policies = vec![("by-terraform".to_owned(), 70.0)];
    assert_eq!(registered(&mut account, DEVELOP), (json!(1), json!(3), policies));
}

#[test]
fn what_cannot_be_registered_leaves_the_service_as_it_is() {
    let mut account = scaling_in_develop("{min: 2, max: 3}");
    let refused = ApiError::client("LimitExceededException", "there are too many scalable targets");
    let register = Selector::operation(SCALING, "RegisterScalableTarget");
    account
        .lab
        .world_mut()
        .add_fault(Fault::new(register, FaultKind::ErrorBefore(refused)));
    account.release("4f2c1e9", Kind::Good);
    account.assert_deployment_path(
        "develop",
        &[
            &path::opening(2),
            TASK,
            NEXT,
            &["MoreSteps?", "TaskOrService?", "PrepareScaling"],
            RESTORED_AND_BACK,
            WAY_BACK_END,
        ],
    );
    account.assert_ended("FAILED", "schema_moved", "refused");
    account.assert_acts(&[("RegisterTaskDefinition", 2), ("RunTask", 1)]);
    account.assert_left("FREE");
}

#[test]
fn going_back_leaves_the_bounds_as_they_are() {
    let mut account = scaling_in_develop("{min: 1, max: 3, cpu_percent: 70}");
    account.release("4f2c1e9", Kind::CrashLoop);
    account.assert_deployment_path(
        "develop",
        &[
            &path::opening(2),
            TASK,
            NEXT,
            SCALED_SERVICE,
            EVIDENCE,
            BACK,
            WAY_BACK_END,
        ],
    );
    let policies = vec![("esclusa-cpu".to_owned(), 70.0)];
    assert_eq!(
        registered(&mut account, DEVELOP),
        (json!(1), json!(3), policies.clone())
    );
    for tag in ["8b1d0a3", "c0ffee1"] {
        account.release(tag, Kind::Good);
    }
    account.provide_scaling("imagy-develop", "imagy-catalog", 1, 8);
    account.pass(SignedDuration::from_mins(1));
    account.forget_calls();
    account.esclusa(&["rollback", "imagy-catalog", "develop", "--reason", "errors"]);
    account.settle();
    assert_eq!(registrations(&account), (0, 0));
    assert_eq!(registered(&mut account, DEVELOP), (json!(1), json!(8), policies));
}

const SUSPENDING: &str = "{min: 1, max: 3, suspend: true}";

#[test]
fn a_service_does_not_scale_while_it_is_deployed_and_does_so_again_before_anything_else_is_done() {
    let mut account = scaling_in_develop(SUSPENDING);
    account.push("4f2c1e9", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-develop-1"), "JudgeService");
    assert!(!scales(&mut account, DEVELOP));
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    account.assert_deployment_path(
        "develop",
        &[&path::opening(2), TASK, NEXT, SCALED_SERVICE, RESTORED, NEXT, END],
    );
    assert_eq!(moves(&account)[..3], ["suspend", "update", "resume"]);
    account.assert_left("FREE");
    assert_let_go(&mut account);
    assert_eq!(
        account.calls(SCALING, "RegisterScalableTarget").len(),
        4,
        "and two of bounds"
    );
}

#[test]
fn a_rollout_that_fails_scales_again_before_it_is_brought_back() {
    let mut account = scaling_in_develop("{min: 1, max: 3, suspend: true}, timeout_seconds: 60");
    account.release("4f2c1e9", Kind::Unhealthy);
    account.assert_deployment_path(
        "develop",
        &[
            &path::opening(2),
            TASK,
            NEXT,
            &["MoreSteps?", "TaskOrService?", "PrepareScaling"],
            &SERVICE_STOPPED[2..],
            EVIDENCE,
            RESTORED_AND_BACK,
            WAY_BACK_END,
        ],
    );
    assert_eq!(moves(&account), ["suspend", "update", "resume"]);
    assert_let_go(&mut account);
    account.assert_left("FREE");
}

#[test]
fn what_a_deployment_that_died_has_suspended_is_restored_by_the_sweep_and_written_down() {
    let mut account = scaling_in_develop(SUSPENDING);
    account.push("4f2c1e9", Kind::Good);
    let release = account.run_until_claimed();
    let execution = format!("{release}-develop-1");
    account.run_until_entered(&execution, "AwaitService");
    let arn = account
        .lab
        .world()
        .kernel()
        .arn("states", &format!("execution:esclusa-deployment:{execution}"));
    account.administer("states", "StopExecution", json!({"executionArn": arn}));
    account.pass(SignedDuration::from_mins(1));
    assert!(!scales(&mut account, DEVELOP));
    account.settle();
    account.pass(SignedDuration::from_mins(10));
    assert_let_go(&mut account);
    assert_eq!(moves(&account), ["suspend", "update", "resume"]);
    let target = format!("{DEVELOP}/restored-later");
    for kind in ["intent", "outcome"] {
        let records = account.records(kind);
        let late = records
            .iter()
            .filter(|record| record["body"]["target"] == target.as_str());
        assert_eq!(late.count(), 1, "{kind}");
    }
    let verified = account.lab.esclusa(&["audit", "verify", "--all"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
}

/// A service that was deleted meanwhile cannot be told how to scale: what is left of it is let go.
#[test]
fn what_was_suspended_of_a_service_that_is_deleted_is_let_go() {
    for is_stopped in [false, true] {
        let mut account = scaling_in_develop(SUSPENDING);
        account.push("4f2c1e9", Kind::Good);
        let release = account.run_until_claimed();
        let execution = format!("{release}-develop-1");
        account.run_until_entered(&execution, "AwaitService");
        let [_, cluster, service] = &DEVELOP.split('/').collect::<Vec<&str>>()[..] else {
            panic!("{DEVELOP}")
        };
        account.administer(
            "ecs",
            "DeleteService",
            json!({"cluster": cluster, "service": service, "force": true}),
        );
        if is_stopped {
            let kernel = account.lab.world().kernel();
            let arn = kernel.arn("states", &format!("execution:esclusa-deployment:{execution}"));
            account.administer("states", "StopExecution", json!({"executionArn": arn}));
        }
        account.settle();
        account.pass(SignedDuration::from_mins(10));
        assert_eq!(account.rows("OPEN#"), Vec::<Value>::new());
        assert_eq!(moves(&account), ["suspend", "update"]);
        let verified = account.lab.esclusa(&["audit", "verify", "--all"]);
        assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    }
}

#[test]
fn what_is_denied_for_a_while_keeps_no_release_from_its_end_and_is_restored_later() {
    let mut account = scaling_in_develop(SUSPENDING);
    account.push("4f2c1e9", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&format!("{release}-develop-1"), "AwaitService");
    let denied = ApiError::client(
        "AccessDeniedException",
        "not authorized to perform: RegisterScalableTarget",
    );
    let register = Selector {
        function: Some("esclusa-update".to_owned()),
        ..Selector::operation(SCALING, "RegisterScalableTarget")
    };
    account
        .lab
        .world_mut()
        .add_fault(Fault::new(register, FaultKind::ErrorBefore(denied)));
    account.run_until_entered(&format!("{release}-develop-1"), "Ended");
    account.pass(SignedDuration::from_mins(5));
    assert!(!scales(&mut account, DEVELOP));
    account.lab.world_mut().clear_faults();
    account.settle();
    assert_let_go(&mut account);
}

#[test]
fn what_somebody_else_has_suspended_stays_suspended() {
    let mut account = scaling_in_develop(SUSPENDING);
    account.provide_scaling("imagy-develop", "imagy-catalog", 1, 3);
    let everything = json!({
        "DynamicScalingInSuspended": true, "DynamicScalingOutSuspended": true, "ScheduledScalingSuspended": true,
    });
    account.suspend_scaling("imagy-develop", "imagy-catalog", everything);
    account.release("4f2c1e9", Kind::Good);
    account.assert_deployment_path("develop", &[&path::opening(2), TASK, NEXT, SCALED_SERVICE, NEXT, END]);
    account.pass(SignedDuration::from_mins(5));
    assert!(!scales(&mut account, DEVELOP));
    assert_eq!(account.rows("OPEN#SCALING"), Vec::<Value>::new());
}
