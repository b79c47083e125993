//! What makes a deployment less safe than it looks: each is refused before anything moves, unless the pipeline accepts
//! it by name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::refusal::{Refusal, RefusalKind};
use super::{Observed, ObservedService, PlannedTask};
use crate::pipeline::{Hazard, Name, ResolvedEnvironment, ResolvedService};
use crate::restore_point::PlannedRestorePoint;
use crate::service_deployment::DeploymentCounts;
use crate::words;

/// ECS refuses an update of a service that has this many deployments at work ("5 active deployments exist").
const ACTIVE_DEPLOYMENTS_MAX: usize = 5;

/// What was found about a service: refusals, or notes where the pipeline accepts them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) refusals: Vec<Refusal>,
    pub(super) notes: Vec<String>,
}

impl Findings {
    pub(super) fn add(
        &mut self,
        environment: &ResolvedEnvironment,
        hazard: Hazard,
        message: String,
        help: impl Into<String>,
    ) {
        if environment.accept.contains(&hazard) {
            self.notes.push(format!("accepted by the pipeline: {message}"));
            return;
        }
        let help = format!(
            "{}; or accept it in the pipeline file: `accept: [{}]` of the environment `{}`",
            help.into(),
            hazard.as_str(),
            environment.name
        );
        self.refusals
            .push(Refusal::new(RefusalKind::Hazard(hazard), message, help));
    }
}

/// Makes notes of what a rollout that is under way in the environment looks like: the plan is made again when it is
/// over, under the lock.
pub(super) fn postpone(refusals: &mut Vec<Refusal>, notes: &mut Vec<String>, under_way: Option<&str>) {
    let Some(under_way) = under_way else { return };
    refusals.retain(|refusal| {
        let is_of_it = matches!(&refusal.kind, RefusalKind::Hazard(hazard) if hazard.is_of_a_rollout());
        if is_of_it {
            notes.push(format!(
                "{}; it is checked again when `{under_way}` is over, which is under way",
                refusal.message
            ));
        }
        !is_of_it
    });
}

/// Looks for what would make the way back of a service a false promise.
pub(super) fn check(
    environment: &ResolvedEnvironment,
    service: &ResolvedService,
    live: &ObservedService,
    observed: &Observed,
) -> Findings {
    let mut findings = Findings::default();
    let name = &service.service;
    let cluster = &environment.cluster;
    if let Some(strategy) = without_breaker(&live.deployment_configuration) {
        findings.add(
            environment,
            Hazard::BreakerOff,
            format!(
                "`{name}` is deployed by the strategy `{strategy}`, for which ECS has no circuit breaker: a failure would be seen at the deadline only"
            ),
            "set the deployment strategy `ROLLING`",
        );
    }
    let at_work: Vec<&DeploymentCounts> = live
        .facts
        .deployments
        .iter()
        .filter(|deployment| matches!(deployment.status.as_str(), "PRIMARY" | "ACTIVE"))
        .collect();
    if at_work.len() >= ACTIVE_DEPLOYMENTS_MAX {
        findings.add(
            environment,
            Hazard::ActiveDeployments,
            format!(
                "`{name}` has {} deployments in progress, and ECS accepts no more: {}",
                at_work.len(),
                listed(&at_work)
            ),
            format!(
                "wait until their tasks have stopped: `aws ecs describe-services --cluster {cluster} --services {name}`"
            ),
        );
    }
    let primary = live.facts.primary();
    let is_completed = primary.is_some_and(|primary| primary.rollout_state.as_deref() == Some("COMPLETED"));
    let nowhere = !is_completed && live.verified.is_empty();
    if nowhere && live.facts.running > 0 {
        findings.add(
            environment,
            Hazard::NoWayBack,
            format!(
                "`{name}` runs {} of a deployment that never completed, and no revision of it was verified: there is nothing to go back to",
                words::counted(live.facts.running, "task")
            ),
            format!("wait until it is steady: `aws ecs wait services-stable --cluster {cluster} --services {name}`"),
        );
    } else if nowhere {
        findings.notes.push(format!(
            "`{name}` never completed a deployment and runs nothing: if this one fails there is nothing to go back to"
        ));
    }
    let places = [
        (live.in_force(), "runs now", "ECS cannot go back to it"),
        (
            live.instead(),
            "ran when it was last known to work",
            "nothing goes back to it",
        ),
    ];
    for (revision, when, what) in places {
        for (container, pinned) in revision.into_iter().flat_map(|revision| &revision.digests) {
            if observed.gone.contains(&pinned.digest) {
                findings.add(
                    environment,
                    Hazard::FallbackGone,
                    format!(
                        "the image that `{container}` of `{name}` {when}, `{}`, can no longer be pulled: if this deployment fails {what}",
                        pinned.digest
                    ),
                    "push it again, and keep what runs out of the repository's lifecycle policy",
                );
            }
        }
    }
    findings
}

/// What the alarms of a service are worth for its next deployment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Watch {
    /// Why ECS will look at none of them, and what shows it.
    pub(super) blind: Option<(String, String)>,
    /// What else a reader of the plan should know.
    pub(super) notes: Vec<String>,
}

/// Looks at the alarms by which ECS watches the deployments of a service: while one of them fires when a deployment
/// begins, ECS ignores all of them for as long as it lasts (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html>).
pub(super) fn watch(name: &str, live: &ObservedService, observed: &Observed) -> Watch {
    let state = |alarm: &str| observed.alarms.get(alarm).map(String::as_str);
    let firing: Vec<&str> = live.alarms().filter(|alarm| state(alarm) == Some("ALARM")).collect();
    let absent = live.alarms().filter(|alarm| state(alarm).is_none());
    Watch {
        blind: (!firing.is_empty()).then(|| {
            (
                format!(
                    "`{name}` is watched by alarms that are firing, `{}`: ECS would ignore all its alarms during the deployment",
                    firing.join("`, `")
                ),
                format!(
                    "wait until they are `OK`: `aws cloudwatch describe-alarms --alarm-names {}`",
                    firing.join(" ")
                ),
            )
        }),
        notes: absent
            .map(|alarm| format!("`{name}` is to be watched by the alarm `{alarm}`, which does not exist"))
            .collect(),
    }
}

fn listed(deployments: &[&DeploymentCounts]) -> String {
    let names: Vec<String> = deployments
        .iter()
        .map(|deployment| format!("`{}`", deployment.task_definition_arn))
        .collect();
    names.join(", ")
}

fn without_breaker(configuration: &Value) -> Option<&str> {
    let strategy = configuration.get("strategy").and_then(Value::as_str)?;
    (strategy != "ROLLING").then_some(strategy)
}

/// The restore point of the database that a task migrates, as it is to be secured before the task runs.
pub(super) fn restore_point(environment: &ResolvedEnvironment, database: Option<&Name>) -> Option<PlannedRestorePoint> {
    let database = environment.databases.get(database?)?;
    PlannedRestorePoint::of(database, environment.accept.contains(&Hazard::NoRestorePoint))
}

/// Whether there is a restore point now of each database that is migrated, so that there will be one when its migration
/// comes.
pub(super) fn check_restore_points<'a>(
    environment: &ResolvedEnvironment,
    tasks: impl Iterator<Item = &'a PlannedTask>,
    observed: &Observed,
    now: Timestamp,
) -> Findings {
    let points: BTreeMap<&Name, &PlannedRestorePoint> = tasks
        .filter_map(|task| Some((task.database.as_ref()?, task.restore_point.as_ref()?)))
        .collect();
    let mut findings = Findings::default();
    for (database, point) in points {
        if let Err(lack) = point.check(observed.databases.get(database), now) {
            let message = format!(
                "the database `{database}` would be migrated without a restore point: {}",
                lack.message
            );
            findings.add(environment, Hazard::NoRestorePoint, message, lack.help);
        }
    }
    findings
}
