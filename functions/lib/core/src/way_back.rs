//! The way back: which services a deployment that failed must bring back to what ran before, and in which order.

use std::collections::BTreeMap;

use crate::plan::{PinnedDigest, PlannedService, PlannedStep, Target, VerifiedRevision};
use crate::verdict::{Mode, StepOutcome, StepRecord};

/// A forward step as it went, with what its service ran before.
#[derive(Debug, Clone)]
pub struct TakenStep<'a> {
    /// The step as it was planned.
    pub planned: &'a PlannedStep,
    /// What is known about its attempts.
    pub records: &'a [StepRecord],
    /// The task definition that was in force before the update, as the update found it.
    pub previous_task_definition_arn: Option<&'a str>,
    /// Whether ECS called the rollout of that one complete.
    pub was_completed: bool,
    /// The revisions of the service that were verified by us, the most recent first.
    pub verified: &'a [VerifiedRevision],
}

/// The steps back, the last service first: one for every service that runs, or may run, something of this deployment. Each goes back to what it ran before;
/// where that was never verified and its rollout was not complete either, it never worked, and the service goes back to the last revision that was verified.
///
/// Left alone are services that ran the release before the deployment came to them, services that ECS itself brought back, services that somebody else
/// moved since, and services that ran nothing before. Task steps are not undone here. Bringing back a service that is back already finds it there and calls
/// nothing.
#[must_use]
pub fn way_back(taken: &[TakenStep<'_>]) -> Vec<PlannedStep> {
    taken
        .iter()
        .rev()
        .filter_map(step_back)
        .map(PlannedStep::Service)
        .collect()
}

fn step_back(taken: &TakenStep<'_>) -> Option<PlannedService> {
    let PlannedStep::Service(planned) = taken.planned else {
        return None;
    };
    let forward = || {
        let records = taken.records.iter();
        records.filter(|record| record.step.mode == Mode::Forward)
    };
    let last = forward().max_by_key(|record| record.step.attempt)?;
    if forward().all(|record| record.already_there) {
        return None;
    }
    match last.outcome {
        StepOutcome::Done | StepOutcome::Begun | StepOutcome::Failed | StepOutcome::Unknown => {}
        StepOutcome::NeverStarted | StepOutcome::Reverted | StepOutcome::Foreign => return None,
    }
    let (arn, digests) = destination(taken)?;
    Some(PlannedService {
        target: Target::Arn { arn },
        previous_task_definition_arn: None,
        digests,
        ..planned.clone()
    })
}

/// The task definition to go back to, with the digests that were verified with it; none where nobody verified it.
fn destination(taken: &TakenStep<'_>) -> Option<(String, BTreeMap<String, PinnedDigest>)> {
    let known = |revision: &VerifiedRevision| (revision.task_definition_arn.clone(), revision.digests.clone());
    let previous = taken.previous_task_definition_arn?;
    let mut verified = taken.verified.iter();
    if let Some(previous) = verified.find(|revision| revision.task_definition_arn == previous) {
        return Some(known(previous));
    }
    let fallback = taken.verified.first().filter(|_| !taken.was_completed).map(known);
    Some(fallback.unwrap_or_else(|| (previous.to_owned(), BTreeMap::new())))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::verdict::StepReference;

    fn service(name: &str) -> PlannedStep {
        PlannedStep::Service(PlannedService {
            name: name.parse().unwrap(),
            service: name.to_owned(),
            cluster: "alpha".to_owned(),
            target: Target::Revision {
                key: "backend".parse().unwrap(),
            },
            previous_task_definition_arn: None,
            digests: BTreeMap::new(),
            deployment_configuration: Value::Null,
            start_count: Some(1),
            timeout_seconds: 600,
        })
    }

    fn records(outcome: StepOutcome) -> Vec<StepRecord> {
        let step = StepReference {
            mode: Mode::Forward,
            index: 0,
            attempt: 1,
        };
        vec![StepRecord {
            step,
            outcome,
            sentence: String::new(),
            already_there: false,
        }]
    }

    fn names(steps: &[PlannedStep]) -> Vec<&str> {
        steps.iter().map(|step| step.name().as_str()).collect()
    }

    #[test]
    fn what_moved_goes_back_the_last_first_and_what_did_not_is_left_alone() {
        let planned = ["gunicorn", "worker", "beat", "flower"].map(service);
        let (done, failed, reverted) = (
            records(StepOutcome::Done),
            records(StepOutcome::Failed),
            records(StepOutcome::Reverted),
        );
        let taken = |planned, records| TakenStep {
            planned,
            records,
            previous_task_definition_arn: Some("arn:aws:ecs:us-east-1:123456789012:task-definition/backend:7"),
            was_completed: true,
            verified: &[],
        };
        let steps = way_back(&[
            taken(&planned[0], &done),
            taken(&planned[1], &failed),
            taken(&planned[2], &reverted),
            taken(&planned[3], &[]),
        ]);
        assert_eq!(names(&steps), ["worker", "gunicorn"]);
        let PlannedStep::Service(worker) = &steps[0] else {
            panic!("it is a service")
        };
        assert!(matches!(&worker.target, Target::Arn { arn } if arn.ends_with("backend:7")));
    }

    #[test]
    fn a_service_that_somebody_else_moved_is_not_fought_for() {
        let (planned, foreign) = (service("gunicorn"), records(StepOutcome::Foreign));
        let taken = TakenStep {
            planned: &planned,
            records: &foreign,
            previous_task_definition_arn: Some("arn"),
            was_completed: true,
            verified: &[],
        };
        assert!(way_back(&[taken]).is_empty());
    }

    #[test]
    fn a_service_that_ran_the_release_before_has_nothing_to_go_back_from() {
        let (planned, mut done) = (service("gunicorn"), records(StepOutcome::Done));
        done[0].already_there = true;
        let taken = TakenStep {
            planned: &planned,
            records: &done,
            previous_task_definition_arn: Some("arn"),
            was_completed: true,
            verified: &[],
        };
        assert!(way_back(&[taken]).is_empty());
    }

    #[test]
    fn a_service_that_ran_nothing_before_has_no_way_back() {
        let (planned, failed) = (service("gunicorn"), records(StepOutcome::Failed));
        let taken = TakenStep {
            planned: &planned,
            records: &failed,
            previous_task_definition_arn: None,
            was_completed: true,
            verified: &[],
        };
        assert!(way_back(&[taken]).is_empty());
    }

    #[test]
    fn what_never_worked_is_not_gone_back_to_where_something_was_verified() {
        let (planned, failed) = (service("gunicorn"), records(StepOutcome::Failed));
        let revision = |arn: &str, digest: &str| VerifiedRevision {
            task_definition_arn: arn.to_owned(),
            digests: [(
                "web".to_owned(),
                PinnedDigest {
                    digest: format!("sha256:{}", digest.repeat(64)).parse().unwrap(),
                    platforms: std::collections::BTreeSet::new(),
                },
            )]
            .into(),
            release_id: "shop-0f0f0f0f0f0f0f0f0f0f".parse().unwrap(),
            verified_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let verified = [revision("backend:5", "a"), revision("backend:4", "b")];
        let goes_to = |previous: &str, was_completed: bool, verified: &[VerifiedRevision]| {
            let taken = TakenStep {
                planned: &planned,
                records: &failed,
                previous_task_definition_arn: Some(previous),
                was_completed,
                verified,
            };
            let steps = way_back(&[taken]);
            let PlannedStep::Service(step) = &steps[0] else {
                panic!("it is a service")
            };
            match &step.target {
                Target::Arn { arn } => (arn.clone(), step.digests.len()),
                Target::Revision { .. } => panic!("it goes back to what exists"),
            }
        };
        let to = |arn: &str, digests: usize| (arn.to_owned(), digests);
        // Verified, though its last rollout was not complete: it worked once.
        assert_eq!(goes_to("backend:4", false, &verified), to("backend:4", 1));
        // Somebody else's, and it runs.
        assert_eq!(goes_to("backend:7", true, &verified), to("backend:7", 0));
        assert_eq!(goes_to("backend:7", false, &verified), to("backend:5", 1));
        assert_eq!(goes_to("backend:7", false, &[]), to("backend:7", 0));
    }
}
