//! A plan, as a person reads it before saying yes.

use std::fmt::Write as _;

use esclusa_core::pipeline::{Name, Phase};
use esclusa_core::plan::{
    Plan, PlannedRevision, PlannedService, PlannedStep, PlannedTask, Refusals, RevisionAction, Target,
};
use esclusa_core::scaling::PlannedScaling;
use esclusa_core::task_definition::{Change, ChangeKind};
use esclusa_core::verification::SERVICES;

use super::{palette, words};

/// The whole plan.
pub(crate) fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_plan(&mut text, plan);
    text
}

fn write_plan(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let place = format!("`{}` in `{}`", plan.application, plan.environment);
    writeln!(
        text,
        "{}",
        palette::heading(format_args!("plan {} for {place}", words::hash(&plan.plan_hash)))
    )?;
    writeln!(
        text,
        "  pipeline version {}, cluster `{}`",
        plan.pipeline_version, plan.cluster
    )?;
    for (image, digest) in &plan.images {
        writeln!(text, "  image `{image}` {digest}")?;
    }
    if !plan.revisions.is_empty() {
        writeln!(text, "\n{}", palette::heading("task definitions"))?;
    }
    for revision in &plan.revisions {
        write_revision(text, revision)?;
    }
    if !plan.unchanged {
        writeln!(text, "\n{}", palette::heading("steps"))?;
        for (position, step) in plan.steps.iter().enumerate() {
            writeln!(text, "  {}. {}", position.saturating_add(1), step_sentence(step))?;
            let scaling = match step {
                PlannedStep::Service(service) => service.scaling.as_ref(),
                PlannedStep::Task(_) => None,
            };
            for change in scaling.iter().flat_map(|scaling| &scaling.changes) {
                write_change(text, change)?;
            }
        }
        if let Some(verification) = &plan.verification {
            let checks = verification.checks.keys().map(Name::as_str);
            let looked_at = words::names(std::iter::once(SERVICES).chain(checks).collect::<Vec<_>>());
            let (soak, limit) = (verification.soak_seconds, verification.timeout().as_secs());
            writeln!(
                text,
                "  then {looked_at} must be healthy for {soak} s without interruption (within {limit} s)"
            )?;
        }
    }
    for note in &plan.notes {
        writeln!(text, "\nnote: {note}")?;
    }
    writeln!(text, "\n{}", conclusion(plan))
}

fn write_revision(text: &mut String, revision: &PlannedRevision) -> std::fmt::Result {
    let PlannedRevision {
        key, family, changes, ..
    } = revision;
    match (&revision.action, &revision.base_arn) {
        (RevisionAction::Reuse { arn }, _) => return writeln!(text, "  = `{key}` stays at `{}`", words::resource(arn)),
        (RevisionAction::Register, Some(base)) => {
            let changed = words::count(changes.len(), "change");
            writeln!(
                text,
                "  {} `{key}`: {changed} against `{}`",
                palette::warning("~"),
                words::resource(base)
            )?;
        }
        (RevisionAction::Register, None) => writeln!(
            text,
            "  {} `{key}`: the first revision of `{family}`",
            palette::good("+")
        )?,
    }
    for change in changes {
        write_change(text, change)?;
    }
    Ok(())
}

fn write_change(text: &mut String, change: &Change) -> std::fmt::Result {
    let Change {
        path,
        kind,
        before,
        after,
    } = change;
    let (before, after) = (
        before.as_deref().unwrap_or_default(),
        after.as_deref().unwrap_or_default(),
    );
    match kind {
        ChangeKind::Added => writeln!(text, "      {} {path}: {after}", palette::good("+")),
        ChangeKind::Removed => writeln!(text, "      {} {path}: {before}", palette::error("-")),
        ChangeKind::Changed => writeln!(text, "      {} {path}: {before} → {after}", palette::warning("~")),
    }
}

/// One step in words.
pub(crate) fn step_sentence(step: &PlannedStep) -> String {
    match step {
        PlannedStep::Task(task) => task_sentence(task),
        PlannedStep::Service(service) => service_sentence(service),
    }
}

fn task_sentence(task: &PlannedTask) -> String {
    let PlannedTask {
        name,
        revision,
        timeout_seconds,
        ..
    } = task;
    let phase = match task.phase {
        Phase::BeforeServices => "before the services",
        Phase::AfterServices => "after the services",
    };
    let database = task.database.as_ref().map(|database| match &task.undoes {
        None => format!(", migrates database `{database}`"),
        Some(_) => format!(", takes the migrations of database `{database}` back"),
    });
    let database = database.unwrap_or_default();
    let restore_point = task.restore_point.as_ref().map(|point| {
        let with = if point.snapshot { " and a snapshot" } else { "" };
        let (kind, name) = (point.database.kind(), point.database.name());
        format!(", once the restore point of {kind} `{name}`{with} is secured")
    });
    let restore_point = restore_point.unwrap_or_default();
    let again = if task.idempotent { ", may be run again" } else { "" };
    let judged = if task.is_for_a_check { ", judged by a check" } else { "" };
    let down = match &task.down {
        None => "",
        Some(down) if down.automatic => ", taken back if a later step fails",
        Some(_) => ", can be taken back",
    };
    let phase = if task.undoes.is_some() {
        "after the services"
    } else {
        phase
    };
    format!(
        "run task `{name}` on `{revision}` {phase}{database}{restore_point}{again}{judged}{down} (at most {timeout_seconds} s)"
    )
}

fn service_sentence(service: &PlannedService) -> String {
    let PlannedService {
        name, timeout_seconds, ..
    } = service;
    let live = service
        .previous_task_definition_arn
        .as_deref()
        .map(|arn| format!(" from `{}`", words::resource(arn)));
    let target = match &service.target {
        Target::Revision { key } => format!("task definition `{key}`"),
        Target::Arn { arn } => format!("`{}`", words::resource(arn)),
    };
    let count = service.start_count.map(|count| {
        format!(
            ", starting {} because the desired count is 0",
            words::count(count.try_into().unwrap_or(usize::MAX), "task")
        )
    });
    let suspends = |scaling: &PlannedScaling| scaling.suspend;
    let suspended = match service.scaling.as_ref().is_some_and(suspends) {
        true => ", with scaling suspended meanwhile",
        false => "",
    };
    format!(
        "bring service `{name}` (`{}`){} to {target}{}{suspended} (at most {timeout_seconds} s)",
        service.service,
        live.unwrap_or_default(),
        count.unwrap_or_default(),
    )
}

fn conclusion(plan: &Plan) -> String {
    if plan.unchanged {
        return format!(
            "{}: this is in force and was verified; a deployment would do nothing",
            palette::good("no difference")
        );
    }
    let registered = plan
        .revisions
        .iter()
        .filter(|revision| revision.action == RevisionAction::Register)
        .count();
    let steps = words::count(plan.steps.len(), "step");
    format!(
        "{}: a deployment would register {} and take {steps}",
        palette::warning("there is a difference"),
        words::count(registered, "task definition"),
    )
}

/// Everything that is in the way of a plan.
pub(crate) fn refusals(refusals: &Refusals) -> String {
    let Refusals(list) = refusals;
    let things = if list.len() == 1 {
        "1 thing is"
    } else {
        &format!("{} things are", list.len())
    };
    let mut text = format!(
        "{}: {things} in the way; nothing was changed\n",
        palette::error("refused")
    );
    for refusal in list {
        text.push_str(&format!("  - {}\n    help: {}\n", refusal.message, refusal.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use esclusa_core::pipeline::Network;
    use esclusa_core::plan::{Refusal, RefusalKind};
    use esclusa_core::schema::Declared;
    use serde_json::json;

    use super::*;

    fn revision(key: &str, action: RevisionAction, base: Option<&str>, changes: Vec<Change>) -> PlannedRevision {
        PlannedRevision {
            key: key.parse().unwrap(),
            family: format!("shop-{key}"),
            base_arn: base.map(str::to_owned),
            definition: json!({}),
            tags: BTreeMap::new(),
            content_sha256: String::new(),
            action,
            changes,
        }
    }

    fn change(path: &str, kind: ChangeKind, before: Option<&str>, after: Option<&str>) -> Change {
        Change {
            path: path.to_owned(),
            kind,
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }
    }

    fn task() -> PlannedStep {
        PlannedStep::Task(PlannedTask {
            name: "migrate".parse().unwrap(),
            phase: Phase::BeforeServices,
            revision: "migrations".parse().unwrap(),
            cluster: "shop".to_owned(),
            launch_type: "FARGATE".to_owned(),
            network: Some(Network {
                subnets: vec![],
                security_groups: vec![],
                assign_public_ip: false,
            }),
            container_overrides: json!([]),
            group: None,
            container: "migrations".to_owned(),
            database: Some("main".parse().unwrap()),
            restore_point: None,
            down: None,
            undoes: None,
            idempotent: true,
            timeout_seconds: 600,
            start_attempts: 3,
            is_for_a_check: false,
        })
    }

    fn service(target: Target, start_count: Option<u32>) -> PlannedStep {
        PlannedStep::Service(PlannedService {
            name: "api".parse().unwrap(),
            service: "shop-api".to_owned(),
            cluster: "shop".to_owned(),
            target,
            previous_task_definition_arn: Some(
                "arn:aws:ecs:us-east-1:123456789012:task-definition/shop-api:6".to_owned(),
            ),
            digests: BTreeMap::new(),
            version: None,
            stays: false,
            deployment_configuration: json!({}),
            start_count,
            scaling: None,
            timeout_seconds: 1_800,
        })
    }

    fn sample(revisions: Vec<PlannedRevision>, steps: Vec<PlannedStep>, unchanged: bool) -> Plan {
        Plan {
            plan_hash: "3f2a9c".repeat(10),
            application: "shop".parse().unwrap(),
            environment: "production".parse().unwrap(),
            release_id: format!("shop-{}", "0f".repeat(10)).parse().unwrap(),
            pipeline_version: 3,
            planned_at: "2026-11-21T14:05:07Z".parse().unwrap(),
            cluster: "shop".to_owned(),
            verification: None,
            image: Some("app".parse().unwrap()),
            declared: Declared::default(),
            pushed_by: None,
            schemas: BTreeMap::new(),
            images: BTreeMap::from([(
                "app".parse().unwrap(),
                format!("sha256:{}", "0f".repeat(32)).parse().unwrap(),
            )]),
            revisions,
            steps,
            skipped: Vec::new(),
            unchanged,
            notes: Vec::new(),
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_plan_shows_what_changes_then_the_steps_in_order() {
        let arn = |name: &str| format!("arn:aws:ecs:us-east-1:123456789012:task-definition/{name}");
        let changes = vec![
            change(
                "containers.api.environment.LOG_LEVEL",
                ChangeKind::Changed,
                Some("(hidden, fingerprint 11111111)"),
                Some("(hidden, fingerprint 22222222)"),
            ),
            change(
                "containers.api.image",
                ChangeKind::Changed,
                Some("shop@sha256:0e"),
                Some("shop@sha256:0f"),
            ),
            change("containers.api.stopTimeout", ChangeKind::Removed, Some("30"), None),
            change("cpu", ChangeKind::Added, None, Some("512")),
        ];
        let revisions = vec![
            revision("api", RevisionAction::Register, Some(&arn("shop-api:6")), changes),
            revision(
                "migrations",
                RevisionAction::Reuse {
                    arn: arn("shop-migrations:2"),
                },
                Some(&arn("shop-migrations:2")),
                vec![],
            ),
            revision("worker", RevisionAction::Register, None, vec![]),
        ];
        let steps = vec![
            task(),
            service(
                Target::Revision {
                    key: "api".parse().unwrap(),
                },
                Some(2),
            ),
        ];
        let mut sample = sample(revisions, steps, false);
        sample.verification = serde_json::from_value(json!({
            "soak_seconds": 300, "checks": {"errors": {"measure": {"alarms": ["api-errors"]}}},
        }))
        .unwrap();
        sample
            .notes
            .push("the image `web` was never released into `production`: it stays as it is in the base".to_owned());
        insta::assert_snapshot!(plain(&plan(&sample)));
    }

    #[test]
    fn a_plan_without_a_difference_says_so() {
        let target = Target::Arn {
            arn: "arn:aws:ecs:us-east-1:123456789012:task-definition/shop-api:6".to_owned(),
        };
        insta::assert_snapshot!(plain(&plan(&sample(vec![], vec![service(target, None)], true))));
    }

    #[test]
    fn everything_in_the_way_is_one_list_with_what_helps() {
        let refusal = |kind, message: &str, help: &str| Refusal {
            kind,
            message: message.to_owned(),
            help: help.to_owned(),
        };
        let list = Refusals(vec![
            refusal(
                RefusalKind::Cluster,
                "there is no cluster `shop`",
                "create it with your infrastructure code",
            ),
            refusal(
                RefusalKind::ImageMissing,
                "the image `app` is not in the repository `shop`",
                "push it again",
            ),
        ]);
        insta::assert_snapshot!(plain(&refusals(&list)));
    }
}
