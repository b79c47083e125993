//! The way back: which services a deployment that failed must bring back to what ran before, in which order, and which
//! migrations are taken back after them.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{PinnedDigest, Plan, PlannedService, PlannedStep, PlannedTask, Target, VerifiedRevision, works};
use crate::schema::{CodeVersion, Fit, Undoes, fit, floor, higher, migration};
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

/// What is done when a deployment has failed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WayBack {
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// What stays as the deployment left it and why, in sentences for people.
    pub left: Vec<String>,
}

/// The steps back, the last service first: one for every service that runs, or may run, something of this deployment.
/// Each goes back to what it ran before; where that was never verified and its rollout was not complete either, it
/// never worked, and the service goes back to the last revision that was verified.
///
/// Left alone are services that ran the release before the deployment came to them, services that ECS itself brought
/// back, services that somebody else moved since, and services that ran nothing before. Bringing back a service that is
/// back already finds it there and calls nothing. A service whose former code the schema does not take any more stays
/// where it is: a person decides.
///
/// When every service is back, the migrations are taken back whose pipeline says so, the last one first. Only one that
/// was complete is: one that failed half-way is left to the next release. A deployment that itself takes migrations
/// back has no way back once one of these was begun.
#[must_use]
pub fn way_back(plan: &Plan, taken: &[TakenStep<'_>]) -> WayBack {
    let began = |taken: &&TakenStep<'_>| last(taken).is_some_and(|record| record.outcome != StepOutcome::NeverStarted);
    let migrations = || {
        taken
            .iter()
            .filter_map(|taken| Some((taken, migration(taken.planned)?)))
            .filter(|(taken, _)| began(taken))
    };
    if migrations().any(|(_, task)| task.undoes.is_some()) {
        return WayBack {
            steps: Vec::new(),
            left: vec!["the services stay back: there is no way back from taking migrations back".to_owned()],
        };
    }
    let moved = migrations().next().is_some();
    let as_it_was = floor(plan.schemas.values());
    let floor = if moved {
        higher(as_it_was, plan.declared.compatible_since.clone())
    } else {
        as_it_was
    };
    let mut back = WayBack::default();
    for taken in taken.iter().rev() {
        match step_back(taken, floor.as_ref()) {
            Back::To(service) => back.steps.push(PlannedStep::Service(*service)),
            Back::Left(why) => back.left.push(why),
            Back::Nothing => {}
        }
    }
    if back.left.is_empty() && taken.iter().all(is_free_of_the_release) {
        let begun = migrations().collect::<Vec<_>>();
        let mut stays = BTreeSet::new();
        for (taken, task) in begun.into_iter().rev() {
            // A migration is never taken back from under one that came after it.
            let step = (!stays.contains(&task.database)).then(|| step_down(plan, taken, task));
            match step.flatten() {
                Some(step) => back.steps.push(step),
                None => {
                    stays.insert(&task.database);
                }
            }
        }
    }
    back
}

/// What becomes of one service.
enum Back {
    To(Box<PlannedService>),
    Left(String),
    Nothing,
}

fn last<'a>(taken: &TakenStep<'a>) -> Option<&'a StepRecord> {
    forward(taken).max_by_key(|record| record.step.attempt)
}

fn forward<'a>(taken: &TakenStep<'a>) -> impl Iterator<Item = &'a StepRecord> + use<'a> {
    let records = taken.records.iter();
    records.filter(|record| record.step.mode == Mode::Forward)
}

fn step_back(taken: &TakenStep<'_>, floor: Option<&CodeVersion>) -> Back {
    let PlannedStep::Service(planned) = taken.planned else {
        return Back::Nothing;
    };
    let Some(last) = last(taken) else { return Back::Nothing };
    if forward(taken).all(|record| record.already_there) {
        return Back::Nothing;
    }
    match last.outcome {
        StepOutcome::Done | StepOutcome::Begun | StepOutcome::Failed | StepOutcome::Unknown => {}
        StepOutcome::NeverStarted | StepOutcome::Reverted | StepOutcome::Foreign => return Back::Nothing,
    }
    let Some(destination) = destination(taken) else {
        return Back::Nothing;
    };
    if let Some(floor) = floor
        && fit(destination.version.as_ref(), Some(floor)) != Fit::Runs
    {
        let runs = destination.version.map_or_else(
            || "code of an unknown version".to_owned(),
            |version| format!("`{version}`"),
        );
        return Back::Left(format!(
            "`{}` is not brought back: it ran {runs} before, and the schema requires `{floor}` or later",
            planned.service
        ));
    }
    Back::To(Box::new(PlannedService {
        target: Target::Arn { arn: destination.arn },
        previous_task_definition_arn: None,
        digests: destination.digests,
        version: destination.version,
        stays: false,
        scaling: None,
        ..planned.clone()
    }))
}

/// Whether nothing of the release will run in a service once the steps back are taken.
fn is_free_of_the_release(taken: &TakenStep<'_>) -> bool {
    match (taken.planned, last(taken)) {
        (PlannedStep::Task(_), _) | (PlannedStep::Service(_), None) => true,
        (PlannedStep::Service(_), Some(last)) => match last.outcome {
            StepOutcome::NeverStarted | StepOutcome::Reverted => true,
            StepOutcome::Foreign => false,
            StepOutcome::Done | StepOutcome::Begun | StepOutcome::Failed | StepOutcome::Unknown => {
                !forward(taken).all(|record| record.already_there) && destination(taken).is_some()
            }
        },
    }
}

fn step_down(plan: &Plan, taken: &TakenStep<'_>, task: &PlannedTask) -> Option<PlannedStep> {
    let down = task.down.as_ref().filter(|down| down.automatic)?;
    let is_complete = last(taken).is_some_and(|record| record.outcome == StepOutcome::Done);
    is_complete.then(|| {
        PlannedStep::Task(PlannedTask {
            container_overrides: down.container_overrides.clone(),
            // The one before the migration is the one to go back to.
            restore_point: None,
            down: None,
            undoes: Some(Undoes {
                to: task
                    .database
                    .as_ref()
                    .and_then(|database| plan.schemas.get(database).cloned().map(Box::new)),
            }),
            ..task.clone()
        })
    })
}

/// Where a service goes back to.
struct Destination {
    arn: String,
    /// The digests that were verified with it; none where nobody verified it.
    digests: BTreeMap<String, PinnedDigest>,
    version: Option<CodeVersion>,
}

fn destination(taken: &TakenStep<'_>) -> Option<Destination> {
    let known = |revision: &VerifiedRevision| Destination {
        arn: revision.task_definition_arn.clone(),
        digests: revision.digests.clone(),
        version: revision.version.clone(),
    };
    let previous = taken.previous_task_definition_arn?;
    let known = works(taken.verified, previous, taken.was_completed).map(known);
    Some(known.unwrap_or_else(|| Destination {
        arn: previous.to_owned(),
        digests: BTreeMap::new(),
        version: None,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::schema::Declared;
    use crate::verdict::StepReference;
    use crate::verification::Revoked;

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
            version: None,
            stays: false,
            deployment_configuration: Value::Null,
            start_count: Some(1),
            scaling: None,
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

    fn plan() -> Plan {
        Plan {
            plan_hash: String::new(),
            application: "shop".parse().unwrap(),
            environment: "alpha".parse().unwrap(),
            release_id: "shop-0f0f0f0f0f0f0f0f0f0f".parse().unwrap(),
            pipeline_version: 1,
            planned_at: jiff::Timestamp::UNIX_EPOCH,
            cluster: "alpha".to_owned(),
            image: Some("app".parse().unwrap()),
            images: BTreeMap::new(),
            declared: Declared::default(),
            pushed_by: None,
            schemas: BTreeMap::new(),
            revisions: Vec::new(),
            steps: Vec::new(),
            verification: None,
            skipped: Vec::new(),
            unchanged: false,
            notes: Vec::new(),
        }
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
        let back = way_back(
            &plan(),
            &[
                taken(&planned[0], &done),
                taken(&planned[1], &failed),
                taken(&planned[2], &reverted),
                taken(&planned[3], &[]),
            ],
        );
        assert_eq!(names(&back.steps), ["worker", "gunicorn"]);
        let PlannedStep::Service(worker) = &back.steps[0] else {
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
        assert_eq!(way_back(&plan(), &[taken]), WayBack::default());
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
        assert_eq!(way_back(&plan(), &[taken]), WayBack::default());
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
        assert_eq!(way_back(&plan(), &[taken]), WayBack::default());
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
            version: None,
            revoked: None,
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
            let back = way_back(&plan(), &[taken]);
            let PlannedStep::Service(step) = &back.steps[0] else {
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
        let mut revoked = verified.clone();
        revoked[0].revoked = Some(Revoked {
            at: jiff::Timestamp::UNIX_EPOCH,
            why: "check `errors`: in `ALARM`".to_owned(),
        });
        assert_eq!(goes_to("backend:5", true, &revoked), to("backend:4", 1));
        assert_eq!(goes_to("backend:7", false, &revoked), to("backend:4", 1));
        assert_eq!(
            goes_to("backend:5", true, &revoked[..1]),
            to("backend:5", 0),
            "there is nothing better"
        );
    }

    /// A release of v1.5.0 that migrated, and whose web server failed; the server ran this version before.
    fn failed(since: Option<&str>, ran: Option<&str>, automatic: bool, services: &[StepOutcome]) -> WayBack {
        let mut plan = plan();
        plan.declared.compatible_since = since.map(|since| since.parse().unwrap());
        let migrate = PlannedStep::Task(PlannedTask {
            name: "migrate".parse().unwrap(),
            phase: crate::pipeline::Phase::BeforeServices,
            revision: "backend".parse().unwrap(),
            cluster: "alpha".to_owned(),
            launch_type: "FARGATE".to_owned(),
            network: None,
            container_overrides: Value::Null,
            group: None,
            container: "backend".to_owned(),
            database: Some("main".parse().unwrap()),
            restore_point: None,
            down: Some(crate::plan::PlannedDown {
                container_overrides: "down".into(),
                automatic,
            }),
            undoes: None,
            idempotent: false,
            timeout_seconds: 60,
            start_attempts: 1,
            is_for_a_check: false,
        });
        let verified = [VerifiedRevision {
            task_definition_arn: "backend:7".to_owned(),
            digests: BTreeMap::new(),
            release_id: "shop-0f0f0f0f0f0f0f0f0f0f".parse().unwrap(),
            verified_at: jiff::Timestamp::UNIX_EPOCH,
            version: ran.map(|ran| ran.parse().unwrap()),
            revoked: None,
        }];
        let planned: Vec<PlannedStep> = ["gunicorn", "worker"].map(service).to_vec();
        let records: Vec<Vec<StepRecord>> = services.iter().map(|outcome| records(*outcome)).collect();
        let done = self::records(StepOutcome::Done);
        let mut taken = vec![TakenStep {
            planned: &migrate,
            records: &done,
            previous_task_definition_arn: None,
            was_completed: false,
            verified: &[],
        }];
        taken.extend(planned.iter().zip(&records).map(|(planned, records)| TakenStep {
            planned,
            records,
            previous_task_definition_arn: Some("backend:7"),
            was_completed: true,
            verified: &verified,
        }));
        way_back(&plan, &taken)
    }

    #[test]
    fn code_that_the_schema_does_not_take_any_more_is_not_brought_back() {
        let failed = |since, ran| failed(since, ran, false, &[StepOutcome::Failed]);
        assert_eq!(names(&failed(Some("v1.4.0"), Some("v1.4.0")).steps), ["gunicorn"]);
        assert_eq!(names(&failed(None, None).steps), ["gunicorn"]);
        let too_old = failed(Some("v1.4.0"), Some("v1.3.0"));
        assert!(too_old.steps.is_empty());
        assert_eq!(
            too_old.left,
            ["`gunicorn` is not brought back: it ran `v1.3.0` before, and the schema requires `v1.4.0` or later"]
        );
        assert_eq!(failed(Some("v1.4.0"), None).left.len(), 1, "nobody knows how old it is");
    }

    #[test]
    fn a_migration_is_taken_back_after_the_services_and_only_when_all_of_them_are_back() {
        use StepOutcome::{Begun, Done, Failed, Foreign, NeverStarted, Reverted, Unknown};
        let back = |services: &[StepOutcome]| {
            let back = failed(None, None, true, services);
            names(&back.steps).join(" ")
        };
        assert_eq!(back(&[Done, Failed]), "worker gunicorn migrate");
        assert_eq!(back(&[Reverted]), "migrate");
        assert_eq!(back(&[Done, Unknown]), "worker gunicorn migrate");
        assert_eq!(back(&[NeverStarted]), "migrate");
        assert_eq!(back(&[Begun]), "gunicorn migrate");
        assert_eq!(
            back(&[Foreign, Done]),
            "worker",
            "somebody else's code may need the schema"
        );
        assert!(failed(Some("v1.4.0"), Some("v1.3.0"), true, &[Failed]).steps.is_empty());
        assert_eq!(
            names(&failed(None, None, false, &[Reverted]).steps),
            [""; 0],
            "not without being asked"
        );
    }
}
