use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::migration::TaskFacts;
use crate::verdict::StepOutcome;

const OURS: &str = "arn:td/api:8";
const BEFORE: &str = "arn:td/api:7";
const DIGEST: &str = "sha256:aa";

fn service(primary: &str, desired: u64, running: u64) -> Value {
    json!({
        "serviceArn": "arn:service/api", "status": "ACTIVE", "desiredCount": desired, "runningCount": running,
        "deployments": [{
            "id": if primary == OURS { "ecs-svc/8" } else { "ecs-svc/9" }, "status": "PRIMARY", "taskDefinition": primary,
            "desiredCount": desired, "runningCount": running, "failedTasks": 0, "rolloutState": "IN_PROGRESS",
        }],
    })
}

fn task(definition: &str, digest: Option<&str>) -> TaskFacts {
    let mut container = json!({"name": "api", "lastStatus": "RUNNING"});
    if let Some(digest) = digest {
        container["imageDigest"] = json!(digest);
    }
    let sidecar = json!({"name": "aws-guardduty-agent", "imageDigest": "sha256:ff"});
    let task = json!({"taskArn": "arn:task/1", "lastStatus": "RUNNING", "taskDefinitionArn": definition, "containers": [sidecar, container]});
    TaskFacts::from_json(&task).unwrap()
}

fn what_was_there(ecs_deployment_id: &str) -> Before {
    Before {
        ecs_deployment_id: Some(ecs_deployment_id.into()),
        service_deployment_arn: Some("arn:sd/7".into()),
        is_completed: true,
    }
}

fn expected() -> Expected {
    Expected {
        task_definition_arn: OURS.into(),
        ecs_deployment_id: "ecs-svc/8".into(),
        previous_task_definition_arn: Some(BEFORE.into()),
        before: what_was_there("ecs-svc/7"),
        digests: [(
            "api".to_owned(),
            [DIGEST.to_owned(), "sha256:platform".to_owned()].into(),
        )]
        .into(),
    }
}

fn observed(status: &str, service: &Value, tasks: &[TaskFacts]) -> Observed {
    let deployment = json!({
        "serviceDeploymentArn": "arn:sd/8", "status": status, "statusReason": "said ECS", "targetServiceRevision": {"arn": "arn:rev/8"},
    });
    Observed {
        service: ServiceFacts::from_json(service).unwrap(),
        service_deployment: Some(ServiceDeploymentFacts::from_json(&deployment).unwrap()),
        target_revision: Some(RevisionFacts {
            digests: BTreeMap::new(),
            arn: "arn:rev/8".into(),
            task_definition_arn: OURS.into(),
        }),
        running_tasks: tasks.to_vec(),
    }
}

#[test]
fn success_names_its_proof() {
    let observed = observed(
        "SUCCESSFUL",
        &service(OURS, 1, 1),
        &[task(OURS, Some("sha256:platform"))],
    );
    let Judgement::Succeeded(proof) = judge(&expected(), &observed) else {
        panic!("{:?}", judge(&expected(), &observed))
    };
    assert_eq!(
        (proof.service_revision_arn.as_str(), proof.task_arns.len()),
        ("arn:rev/8", 1)
    );
}

#[test]
fn successful_without_every_proof_is_not_success() {
    let good = observed("SUCCESSFUL", &service(OURS, 1, 1), &[task(OURS, Some(DIGEST))]);
    let judged = |change: &dyn Fn(&mut Observed)| {
        let mut observed = good.clone();
        change(&mut observed);
        judge(&expected(), &observed)
    };
    assert_eq!(judged(&|_| ()).step_outcome(), StepOutcome::Done);
    assert!(!judged(&|observed| observed.service.running = 0).is_over());
    assert!(!judged(&|observed| observed.running_tasks.clear()).is_over());
    assert!(!judged(&|observed| observed.running_tasks = vec![task(OURS, None)]).is_over());
    assert!(!judged(&|observed| observed.running_tasks = vec![task(BEFORE, Some(DIGEST))]).is_over());
    assert!(!judged(&|observed| observed.target_revision = None).is_over());
    assert!(matches!(
        judged(&|observed| observed.running_tasks.push(task(OURS, Some("sha256:bb")))),
        Judgement::Failed { .. }
    ));
    assert!(matches!(
        judged(&|observed| observed.target_revision.as_mut().unwrap().task_definition_arn = BEFORE.into()),
        Judgement::Failed { .. }
    ));
    assert!(matches!(
        judged(&|observed| observed.service = ServiceFacts::from_json(&service(BEFORE, 1, 1)).unwrap()),
        Judgement::ForeignChange { .. }
    ));
    let none = |observed: &mut Observed| (observed.service.desired, observed.service.running) = (0, 0);
    assert!(matches!(judged(&none), Judgement::Vacuous { .. }));
    assert_ne!(judged(&none).step_outcome(), StepOutcome::Done);
}

#[test]
fn every_status_of_a_service_deployment_is_told_apart() {
    for (status, primary, over, outcome) in [
        ("PENDING", OURS, false, StepOutcome::Begun),
        ("IN_PROGRESS", OURS, false, StepOutcome::Begun),
        ("STOP_REQUESTED", OURS, false, StepOutcome::Begun),
        ("ROLLBACK_REQUESTED", OURS, false, StepOutcome::Begun),
        ("ROLLBACK_IN_PROGRESS", BEFORE, false, StepOutcome::Begun),
        ("SOMETHING_NEW", OURS, false, StepOutcome::Begun),
        ("ROLLBACK_SUCCESSFUL", BEFORE, true, StepOutcome::Reverted),
        ("ROLLBACK_FAILED", BEFORE, true, StepOutcome::Failed),
        ("STOPPED", OURS, true, StepOutcome::Failed),
        ("STOPPED", "arn:td/api:9", true, StepOutcome::Foreign),
    ] {
        let judgement = judge(
            &expected(),
            &observed(status, &service(primary, 1, 1), &[task(primary, Some(DIGEST))]),
        );
        assert_eq!(
            (judgement.is_over(), judgement.step_outcome()),
            (over, outcome),
            "{status}"
        );
    }
}

#[test]
fn a_stopped_deployment_that_went_back_is_a_roll_back_and_one_that_was_replaced_by_the_same_revision_is_not() {
    let mut observed = observed("STOPPED", &service(BEFORE, 1, 1), &[]);
    assert!(matches!(judge(&expected(), &observed), Judgement::ForeignChange { .. }));
    observed.service_deployment.as_mut().unwrap().rollback_revision_arn = Some("arn:rev/7".into());
    assert!(matches!(judge(&expected(), &observed), Judgement::RolledBack { .. }));
}

#[test]
fn before_ecs_shows_the_service_deployment_only_a_stranger_ends_the_wait() {
    let mut observed = observed("PENDING", &service(BEFORE, 1, 1), &[]);
    observed.service_deployment = None;
    assert!(!is_over(&expected(), &observed), "the call may not be visible yet");
    observed.service = ServiceFacts::from_json(&service("arn:td/api:9", 1, 1)).unwrap();
    assert!(is_over(&expected(), &observed));
}

#[test]
fn the_reason_of_a_roll_back_names_alarms_and_breaker() {
    let deployment = ServiceDeploymentFacts::from_json(&json!({
        "serviceDeploymentArn": "arn:sd/8", "status": "ROLLBACK_SUCCESSFUL", "rollback": {"reason": "tasks failed to start"},
        "deploymentCircuitBreaker": {"status": "TRIGGERED", "failureCount": 3, "threshold": 3}, "alarms": {"triggeredAlarmNames": ["errors"]},
    }))
    .unwrap();
    let observed = Observed {
        service_deployment: Some(deployment),
        ..observed("PENDING", &service(BEFORE, 1, 1), &[])
    };
    let Judgement::RolledBack { reason } = judge(&expected(), &observed) else {
        panic!("it is rolled back")
    };
    assert_eq!(
        reason,
        "tasks failed to start; alarms `errors`; 3 of 3 failures that the circuit breaker allows"
    );
}

#[test]
fn a_service_that_is_gone_is_somebody_elses_doing_and_is_not_called() {
    let mut gone = service(OURS, 1, 1);
    gone["status"] = json!("DRAINING");
    let judged = judge(&expected(), &observed("IN_PROGRESS", &gone, &[]));
    assert!(matches!(judged, Judgement::Deleted { .. }));
    assert_eq!(judged.step_outcome(), StepOutcome::Foreign);
    let status = "DRAINING".to_owned();
    assert_eq!(before(&gone, 1), BeforeUpdate::Deleted { status });
}

fn before_with(service: &Value, start_count: u64, before: &Before) -> BeforeUpdate {
    let wanted = Wanted {
        task_definition_arn: OURS.into(),
        expected_task_definition_arn: Some(BEFORE.into()),
        start_count,
    };
    before_update(&ServiceFacts::from_json(service).unwrap(), &wanted, before)
}

fn before(service: &Value, start_count: u64) -> BeforeUpdate {
    before_with(service, start_count, &what_was_there("ecs-svc/7"))
}

fn call(desired_count: Option<u64>, force_new_deployment: bool) -> BeforeUpdate {
    BeforeUpdate::Call {
        desired_count,
        force_new_deployment,
    }
}

fn adopt() -> BeforeUpdate {
    BeforeUpdate::Adopt {
        ecs_deployment_id: "ecs-svc/8".into(),
    }
}

#[test]
fn a_repeat_of_the_update_adopts_what_the_first_call_began() {
    assert_eq!(before(&service(BEFORE, 2, 2), 1), call(None, false));
    assert_eq!(before(&service(OURS, 2, 0), 1), adopt());
    let mut other_controller = service(BEFORE, 2, 2);
    other_controller["deploymentController"] = json!({"type": "CODE_DEPLOY"});
    assert!(
        matches!(before(&other_controller, 1), BeforeUpdate::Refuse(failure) if failure.message.contains("CODE_DEPLOY"))
    );
}

#[test]
fn a_failed_rollout_is_forced_again_only_where_it_failed_before_the_step() {
    let mut failed = service(OURS, 2, 0);
    failed["deployments"][0]["rolloutState"] = json!("FAILED");
    assert_eq!(before_with(&failed, 1, &what_was_there("ecs-svc/8")), call(None, true));
    assert_eq!(
        before(&failed, 1),
        adopt(),
        "it is the step's own, and its judge says that it failed"
    );
    failed["desiredCount"] = json!(0);
    assert_eq!(before(&failed, 1), adopt());
}

#[test]
fn the_live_count_alone_decides_whether_a_count_is_sent() {
    assert_eq!(before(&service(BEFORE, 0, 0), 2), call(Some(2), false));
    assert_eq!(before(&service(OURS, 0, 0), 2), call(Some(2), false));
    assert_eq!(before(&service(BEFORE, 5, 5), 2), call(None, false));
    assert!(
        matches!(before(&service(BEFORE, 0, 0), 0), BeforeUpdate::Refuse(failure) if failure.message.contains("start_count"))
    );
}

#[test]
fn a_service_that_somebody_else_moved_since_the_plan_is_not_called() {
    let strange = service("arn:td/api:9", 2, 2);
    let BeforeUpdate::Foreign { by } = before(&strange, 1) else {
        panic!("{:?}", before(&strange, 1))
    };
    assert!(by.contains("arn:td/api:9"));
    let unplanned = Wanted {
        task_definition_arn: OURS.into(),
        expected_task_definition_arn: None,
        start_count: 0,
    };
    let strange = ServiceFacts::from_json(&strange).unwrap();
    assert_eq!(
        before_update(&strange, &unplanned, &Before::default()),
        call(None, false),
        "where nothing is known of it, nothing is foreign"
    );
}

/// A service deployment `arn:sd/<number>` that brings `arn:rev/<number>`, which runs the definition.
fn candidate(number: u64, definition: &str, status: &str) -> Candidate {
    let deployment = json!({
        "serviceDeploymentArn": format!("arn:sd/{number}"), "status": status, "targetServiceRevision": {"arn": format!("arn:rev/{number}")},
    });
    Candidate {
        deployment: ServiceDeploymentFacts::from_json(&deployment).unwrap(),
        task_definition_arn: Some(definition.to_owned()),
    }
}

#[test]
fn our_service_deployment_is_the_first_that_was_not_there_before() {
    let old = || candidate(6, OURS, "SUCCESSFUL");
    let previous = || candidate(7, BEFORE, "SUCCESSFUL");
    for (listed, ours_is, why) in [
        (
            vec![previous(), old()],
            None,
            "the list is late: the old one of the same definition is not taken",
        ),
        (vec![], None, "nothing is listed"),
        (
            vec![candidate(8, OURS, "IN_PROGRESS"), previous(), old()],
            Some(8),
            "the same definition twice",
        ),
        (
            vec![candidate(8, OURS, "STOPPED"), previous(), old()],
            Some(8),
            "it stopped and nothing was rolled back",
        ),
        (
            vec![candidate(8, OURS, "ROLLBACK_SUCCESSFUL"), previous()],
            Some(8),
            "it was rolled back",
        ),
        (
            vec![
                candidate(9, BEFORE, "SUCCESSFUL"),
                candidate(8, OURS, "STOPPED"),
                previous(),
            ],
            Some(8),
            "somebody came after it",
        ),
        (
            vec![
                candidate(9, OURS, "SUCCESSFUL"),
                candidate(8, OURS, "STOPPED"),
                previous(),
            ],
            Some(8),
            "somebody forced it again",
        ),
        (
            vec![candidate(8, OURS, "IN_PROGRESS")],
            Some(8),
            "what was there before is listed no longer",
        ),
    ] {
        let service = ServiceFacts::from_json(&service(OURS, 1, 1)).unwrap();
        let found = ours(&listed, &expected(), &service).map(|deployment| deployment.arn.clone());
        assert_eq!(found, ours_is.map(|number| format!("arn:sd/{number}")), "{why}");
    }
}

fn adopted() -> Expected {
    Expected {
        previous_task_definition_arn: None,
        before: what_was_there("ecs-svc/8"),
        ..expected()
    }
}

#[test]
fn the_service_deployment_of_an_adopted_service_is_the_one_that_brought_the_revision_in_force() {
    let mut service = service(OURS, 1, 1);
    service["currentServiceRevisions"] = json!([{"arn": "arn:rev/7"}]);
    let in_force = || candidate(7, OURS, "SUCCESSFUL");
    for (listed, ours_is, why) in [
        (
            vec![in_force(), candidate(6, OURS, "SUCCESSFUL")],
            Some(7),
            "the same definition twice",
        ),
        (
            vec![candidate(8, "arn:td/api:9", "ROLLBACK_SUCCESSFUL"), in_force()],
            Some(7),
            "it was gone back to",
        ),
        (
            vec![candidate(8, OURS, "ROLLBACK_SUCCESSFUL"), in_force()],
            Some(7),
            "the same definition failed since",
        ),
        (
            vec![candidate(8, OURS, "IN_PROGRESS"), in_force()],
            Some(8),
            "somebody brings it just now",
        ),
        (
            vec![candidate(6, OURS, "SUCCESSFUL")],
            None,
            "the one in force is listed no longer",
        ),
    ] {
        let service = ServiceFacts::from_json(&service).unwrap();
        let found = ours(&listed, &adopted(), &service).map(|deployment| deployment.arn.clone());
        assert_eq!(found, ours_is.map(|number| format!("arn:sd/{number}")), "{why}");
    }
}

#[test]
fn an_adopted_service_whose_service_deployment_is_forgotten_is_proven_by_the_revision_in_force() {
    let mut service = service(OURS, 1, 1);
    service["deployments"][0]["rolloutState"] = json!("COMPLETED");
    let mut observed = observed("SUCCESSFUL", &service, &[task(OURS, Some(DIGEST))]);
    observed.service_deployment = None;
    assert!(
        !is_over(&expected(), &observed),
        "a rollout that the step began is proven by its own service deployment"
    );
    let Judgement::Succeeded(proof) = judge(&adopted(), &observed) else {
        panic!("{:?}", judge(&adopted(), &observed))
    };
    assert_eq!(
        (proof.service_deployment_arn, proof.service_revision_arn.as_str()),
        (None, "arn:rev/8")
    );
    observed.running_tasks.clear();
    assert!(!is_over(&adopted(), &observed));
}

#[test]
fn a_rollout_that_failed_and_stays_is_failed_without_its_service_deployment() {
    let mut failed = service(OURS, 1, 0);
    failed["deployments"][0]["rolloutState"] = json!("FAILED");
    failed["deployments"][0]["rolloutStateReason"] = json!("tasks failed to start");
    let mut observed = observed("PENDING", &failed, &[]);
    observed.service_deployment = None;
    assert!(matches!(judge(&expected(), &observed), Judgement::Failed { reason } if reason == "tasks failed to start"));
}
