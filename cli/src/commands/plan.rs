//! `esclusa plan`: the same reading and planning as the `observe` function does, and nothing after it.

use esclusa_adapters::control::rows::EnvironmentRow;
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::ecr::ImageReader;
use esclusa_adapters::places::Places;
use esclusa_adapters::planning::written;
use esclusa_adapters::planning::{PlanRequest, Planner};
use esclusa_adapters::version;
use esclusa_core::identity::{RequestIdentity, RequestKind};
use esclusa_core::pipeline::{ApplicationName, Digest, EnvironmentName, Name, resolve};
use esclusa_core::plan;
use esclusa_core::version::Version;
use serde_json::json;

use super::parse;
use crate::arguments::Plan;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render;
use crate::session::Session;

/// What stands for the request in the plan of a deployment that nobody asked for.
const REQUEST_ID: &str = "plan";

pub(super) async fn execute(command: &Plan, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    parse::<ApplicationName>(&command.application)?;
    parse::<EnvironmentName>(&command.environment)?;
    match gather(command, session).await? {
        Ok(plan) => {
            if output.format() == Format::Json {
                output.document(&document(&plan))?;
            } else {
                output.text(render::plan::plan(&plan))?;
            }
            Ok(if plan.unchanged {
                Exit::Success
            } else {
                Exit::Difference
            })
        }
        Err(refusals) => {
            if output.format() == Format::Json {
                output.document(&json!({"refusals": refusals}))?;
            } else {
                output.text(render::plan::refusals(&refusals))?;
            }
            Ok(Exit::Failure)
        }
    }
}

/// The plan without what must not be shown: definitions and overrides carry values of environment variables.
fn document(plan: &plan::Plan) -> serde_json::Value {
    let revisions: Vec<_> = plan
        .revisions
        .iter()
        .map(|revision| {
            json!({
                "key": revision.key, "family": revision.family, "base_arn": revision.base_arn,
                "content_sha256": revision.content_sha256, "action": revision.action, "changes": revision.changes,
            })
        })
        .collect();
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| match step {
            plan::PlannedStep::Task(task) => json!({
                "kind": "task", "name": task.name, "revision": task.revision, "database": task.database,
                "timeout_seconds": task.timeout_seconds, "start_attempts": task.start_attempts,
            }),
            plan::PlannedStep::Service(service) => json!({
                "kind": "service", "name": service.name, "service": service.service, "target": service.target,
                "previous_task_definition_arn": service.previous_task_definition_arn, "start_count": service.start_count,
                "timeout_seconds": service.timeout_seconds,
            }),
        })
        .collect();
    json!({
        "plan_hash": plan.plan_hash, "application": plan.application, "environment": plan.environment,
        "pipeline_version": plan.pipeline_version, "cluster": plan.cluster, "images": plan.images,
        "unchanged": plan.unchanged, "revisions": revisions, "steps": steps, "notes": plan.notes,
    })
}

/// Reads the world and plans, as a deployment asked for now would.
async fn gather(command: &Plan, session: &Session) -> Result<Result<plan::Plan, plan::Refusals>, CommandError> {
    let row = pipelines::current(session.control(), &command.application).await?;
    let pipeline = written(&row)?;
    let home = session.home().await?;
    let version = command.version.as_deref().map(parse::<Version>).transpose()?;
    let environment =
        resolve(&pipeline, &command.environment).map_err(|error| CommandError::refused(error.to_string()))?;
    let place = environment.place(&home);
    if place != home {
        return Err(CommandError::refused(format!(
            "`{}` is in account {}, `{}`, which only Esclusa's own roles may read: the plan of a release that waits there is in `esclusa audit --release ID`",
            environment.name, place.account, place.region
        )));
    }
    let key = command.image.as_deref();
    let tag = version.as_ref().map(ToString::to_string);
    let (image, digest) = match version {
        Some(version) => {
            let images = ImageReader::new(session.config());
            let chosen = version::choose(&images, &environment, key, &version, &home).await?;
            (chosen.key, chosen.digest)
        }
        None => {
            let (image, _) = environment.image(key).map_err(CommandError::refused)?;
            (image.clone(), in_force(session, command, image).await?)
        }
    };
    let identity = RequestIdentity {
        kind: RequestKind::Deploy,
        application: pipeline.application.clone(),
        environment: environment.name,
        request_id: REQUEST_ID.to_owned(),
    };
    let request = PlanRequest {
        application: command.application.clone(),
        environment: command.environment.clone(),
        pipeline_version: row.version,
        release_id: identity.release_id(),
        image,
        tag: tag.unwrap_or_else(|| digest.to_string()),
        digest,
        back_to: None,
        asks_again: false,
        hotfix: None,
    };
    let places = Places::new(
        session.config(),
        "cli",
        home.account.as_str(),
        home.region.as_str(),
        None,
    )?;
    let planner = Planner::new(session.config(), session.control().clone(), places);
    Ok(planner.plan(&request).await?)
}

/// What the environment runs.
async fn in_force(session: &Session, command: &Plan, image: &Name) -> Result<Digest, CommandError> {
    let Plan {
        application,
        environment,
        ..
    } = command;
    let row: Option<Stored<EnvironmentRow>> = session
        .control()
        .get(&Key::environment(application, environment))
        .await?;
    match row.as_ref().and_then(|stored| stored.row.digests.get(image.as_str())) {
        Some(digest) => parse(digest),
        None => Err(CommandError::refused(format!(
            "image `{image}` was never released into `{environment}`: name a version with `--version`"
        ))),
    }
}
