//! Answers of ECS, read as raw JSON: tasks, services, their deployments and revisions, and the answer to `RunTask`.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_core::migration::{
    Next, Policy, RunTaskDecision, StopCode, TaskFacts, TaskOutcome, classify, decide_answer, redact,
};
use esclusa_core::pipeline::Percentages;
use esclusa_core::service_deployment::{
    Before, BeforeUpdate, Expected, Judgement, Observed, RevisionFacts, ServiceDeploymentFacts, ServiceFacts, Wanted,
    before_update, judge,
};
use serde_json::Value;

use super::assert_one_line;
use super::json::{MARKER, contains, extended, list, mark, read, reordered, text};

/// The document is an answer, or `{"task": …, "service": …, "deployment": …, "revision": …, "answer": …}`.
pub(super) fn check(input: &[u8]) {
    let Some(document) = read(input) else { return };
    let part = |name: &str| document.get(name).unwrap_or(&document);
    task(part("task"));
    redacted(part("task"));
    answer(part("answer"));
    service(part("service"));
    rollout(part("service"), part("deployment"), part("revision"), part("task"));
}

/// A task is read when it has an ARN and a status, and it is complete only where the judged container says so.
fn task(task: &Value) {
    let is_task = text(task, "taskArn").is_some() && text(task, "lastStatus").is_some();
    let facts = match TaskFacts::from_json(task) {
        Ok(facts) => facts,
        Err(failure) => {
            assert!(!is_task, "a task is refused: {failure}");
            return assert_one_line(&failure.to_string());
        }
    };
    assert!(is_task);
    assert_eq!(TaskFacts::from_json(&reordered(task)).as_ref(), Ok(&facts));
    assert_eq!(TaskFacts::from_json(&extended(task)).as_ref(), Ok(&facts));
    assert_eq!(Some(facts.task_arn.as_str()), text(task, "taskArn"));
    assert_eq!(facts.started_by.as_deref(), text(task, "startedBy"));
    assert_eq!(facts.stop_code.as_ref().map(StopCode::as_str), text(task, "stopCode"));
    assert_eq!(facts.containers.len(), list(task, "containers").len());
    assert!(facts.has_started || facts.started_at.is_none());
    for name in facts
        .containers
        .iter()
        .map(|container| container.name.as_str())
        .chain(["migrations"])
    {
        for (idempotent, attempt) in [(false, 1), (true, 1), (true, 3)] {
            let policy = Policy {
                idempotent,
                start_attempts: 3,
                is_for_a_check: false,
            };
            let judgement = classify(&facts, name, policy, attempt);
            let exit_code = facts.container(name).and_then(|container| container.exit_code);
            if judgement.next == Next::Completed {
                assert!(facts.is_stopped() && exit_code == Some(0), "complete without a proof");
            }
            if judgement.next == Next::RunAgain {
                let is_safe = idempotent || judgement.outcome == TaskOutcome::NeverStarted;
                assert!(is_safe && attempt < 3, "run again without a permission");
            }
            assert_eq!(judgement.next == Next::WaitAgain, !facts.is_stopped());
            assert!(!judgement.diagnosis.is_empty());
        }
    }
}

/// No value of an override is left, wherever it is; what is no override stays.
fn redacted(task: &Value) {
    let mut planted = task.clone();
    let mut names = 0;
    if let Some(overrides) = planted.get_mut("overrides") {
        plant(overrides, &mut names);
    }
    let shown = redact(&planted);
    assert!(!contains(&shown, MARKER), "the value of an override is kept: {shown}");
    let rest = |value: &Value| {
        let mut value = value.clone();
        value.as_object_mut().and_then(|members| members.remove("overrides"));
        value
    };
    assert_eq!(rest(&redact(task)), rest(task), "something else is lost");
    assert_eq!(
        count_names(shown.get("overrides").unwrap_or(&Value::Null)),
        names,
        "the name of a variable is lost"
    );
}

/// Puts the marker in the place of every value in a list of variables, and counts the names in the lists that ECS
/// writes.
fn plant(overrides: &mut Value, names: &mut usize) {
    match overrides {
        Value::Object(members) => {
            for (member, value) in members {
                if member == "environment" {
                    let variables = value.as_array_mut();
                    match variables {
                        Some(variables) => variables
                            .iter_mut()
                            .for_each(|variable| plant_variable(variable, names)),
                        None => mark(value),
                    }
                } else {
                    // In a command a name is an argument like any other.
                    let mut of_command = 0;
                    plant(value, if member == "command" { &mut of_command } else { names });
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| plant(element, names)),
        _ => {}
    }
}

fn plant_variable(variable: &mut Value, names: &mut usize) {
    let Value::Object(members) = variable else {
        return mark(variable);
    };
    for (member, value) in members {
        match (member.as_str(), &*value) {
            ("name", Value::String(_)) => *names += 1,
            ("name", Value::Bool(_) | Value::Number(_)) => {}
            _ => mark(value),
        }
    }
}

fn count_names(overrides: &Value) -> usize {
    match overrides {
        Value::Object(members) => members
            .iter()
            .map(|(member, value)| match value {
                Value::Array(variables) if member == "environment" => variables
                    .iter()
                    .filter(|variable| variable.get("name").is_some_and(Value::is_string))
                    .count(),
                _ if member == "command" => 0,
                other => count_names(other),
            })
            .sum(),
        Value::Array(elements) => elements.iter().map(count_names).sum(),
        _ => 0,
    }
}

/// One task is started or none, and only an answer without any leaves it open.
fn answer(answer: &Value) {
    let arns: Vec<&str> = list(answer, "tasks")
        .iter()
        .filter_map(|task| task.get("taskArn")?.as_str())
        .collect();
    let failures = list(answer, "failures").len();
    match decide_answer(answer) {
        RunTaskDecision::Started { task_arn } => assert_eq!(arns, [task_arn.as_str()]),
        RunTaskDecision::NotPlaced { reasons } => {
            assert!(arns.is_empty() && failures > 0 && reasons.len() == failures);
            assert!(reasons.iter().all(|reason| !reason.is_empty()));
        }
        RunTaskDecision::GiveUp(_) => assert!(arns.len() > 1 || failures == 0),
        other => panic!("an answer leads to {other:?}"),
    }
}

/// A service is read when it has an ARN and a status; only an active one of the controller `ECS` is updated.
fn service(service: &Value) {
    let is_service = text(service, "serviceArn").is_some() && text(service, "status").is_some();
    let facts = match ServiceFacts::from_json(service) {
        Ok(facts) => facts,
        Err(failure) => {
            assert!(!is_service, "a service is refused: {failure}");
            return assert_one_line(&failure.to_string());
        }
    };
    assert!(is_service);
    assert_eq!(ServiceFacts::from_json(&reordered(service)).as_ref(), Ok(&facts));
    assert_eq!(ServiceFacts::from_json(&extended(service)).as_ref(), Ok(&facts));
    assert_eq!(facts.deployments.len(), list(service, "deployments").len());
    for deployment in &facts.deployments {
        let maximum = u32::try_from(deployment.running).unwrap_or(u32::MAX);
        let minimum_healthy = u32::try_from(deployment.pending).unwrap_or(100);
        let percentages = Percentages {
            minimum_healthy,
            maximum,
        };
        progress(percentages, facts.desired);
        progress(percentages, deployment.desired);
    }
    progress(Percentages::DEFAULT, facts.desired);
    for start_count in [0, 1] {
        let wanted = Wanted {
            task_definition_arn: "arn:td:2".to_owned(),
            expected_task_definition_arn: facts.primary().map(|primary| primary.task_definition_arn.clone()),
            start_count,
        };
        match before_update(&facts, &wanted, &Before::default()) {
            BeforeUpdate::Call { desired_count, .. } => {
                assert!(facts.status == "ACTIVE" && facts.controller == "ECS");
                assert_eq!(desired_count, (facts.desired == 0).then_some(start_count));
                assert!(facts.desired > 0 || start_count > 0, "a service at 0 is updated");
            }
            BeforeUpdate::Adopt { ecs_deployment_id } => {
                assert_eq!(facts.primary().map(|primary| &primary.id), Some(&ecs_deployment_id));
            }
            BeforeUpdate::Foreign { by } => panic!("nobody moved the service, but {by}"),
            BeforeUpdate::Deleted { status } => assert!(status == facts.status && status != "ACTIVE"),
            BeforeUpdate::Refuse(failure) => assert!(!failure.message.is_empty()),
        }
    }
}

/// The arithmetic is that of the numbers, whatever their size.
fn progress(percentages: Percentages, desired: u64) {
    let (count, minimum, maximum) = (
        u128::from(desired),
        u128::from(percentages.minimum_healthy),
        u128::from(percentages.maximum),
    );
    let may_stop = (count * minimum).div_ceil(100) < count;
    let may_start = count * maximum / 100 > count;
    assert_eq!(
        percentages.allow_progress(desired).is_ok(),
        may_stop || may_start,
        "{percentages:?} of {desired}"
    );
}

/// A rollout has succeeded only with the wanted revision, every wanted task and our digest in each.
fn rollout(service: &Value, deployment: &Value, revision: &Value, task: &Value) {
    let revision = RevisionFacts::from_json(revision).ok();
    let deployment = ServiceDeploymentFacts::from_json(deployment).ok();
    let (Ok(service), Ok(task)) = (ServiceFacts::from_json(service), TaskFacts::from_json(task)) else {
        return;
    };
    let digest = |name: &str| {
        task.container(name)
            .and_then(|container| container.image_digest.clone())
    };
    let names: BTreeSet<String> = task.containers.iter().map(|container| container.name.clone()).collect();
    let digests: BTreeMap<String, BTreeSet<String>> = names
        .into_iter()
        .filter_map(|name| Some((name.clone(), BTreeSet::from([digest(&name)?]))))
        .collect();
    let expected = Expected {
        task_definition_arn: task.task_definition_arn.clone().unwrap_or_default(),
        ecs_deployment_id: service.primary().map(|primary| primary.id.clone()).unwrap_or_default(),
        previous_task_definition_arn: None,
        before: Before::default(),
        digests,
    };
    let observed = Observed {
        service,
        service_deployment: deployment,
        target_revision: revision,
        running_tasks: vec![task],
    };
    let service = &observed.service;
    match judge(&expected, &observed) {
        Judgement::Succeeded(proof) => {
            assert!(service.status == "ACTIVE" && service.desired == 1 && service.running == 1);
            assert_eq!(proof.task_definition_arn, expected.task_definition_arn);
            assert!(
                service
                    .primary()
                    .is_none_or(|primary| primary.task_definition_arn == expected.task_definition_arn)
            );
            assert!(
                observed
                    .running_tasks
                    .iter()
                    .all(|task| proof.task_arns == [task.task_arn.as_str()] && task.last_status == "RUNNING")
            );
        }
        Judgement::Failed { reason } | Judgement::RolledBack { reason } | Judgement::Vacuous { reason } => {
            assert!(!reason.is_empty());
        }
        Judgement::StillRolling { missing, .. } => assert!(!missing.is_empty(), "it rolls, and nothing is missing"),
        Judgement::ForeignChange { by } => assert!(!by.is_empty()),
        Judgement::Deleted { status } => assert_eq!(status, service.status),
    }
}
