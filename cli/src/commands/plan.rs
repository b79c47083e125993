//! `esclusa plan`: the same reading and planning as the `observe` function does, and nothing after it.

use esclusa_adapters::control::rows::EnvironmentRow;
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::ecr::{ImageReader, Lookup, Repository};
use esclusa_adapters::planning::{PlanRequest, Planner};
use esclusa_core::identity::{RequestIdentity, RequestKind};
use esclusa_core::pipeline::{ApplicationName, Digest, EnvironmentName, Image, Key as Name, Pipeline};
use esclusa_core::plan;
use esclusa_core::task_definition::Home;
use serde_json::json;

use super::deploy::Version;
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
    let pipeline = pipelines::parsed(&row)?;
    let home = session.home().await?;
    let (name, image) = chosen_image(&pipeline, command.image.as_deref())?;
    let digest = match command.version.as_deref().map(Version::parse).transpose()? {
        Some(Version::Digest(digest)) => digest,
        Some(Version::Tag(tag)) => tagged(session, &home, image, tag.as_str()).await?,
        None => in_force(session, command, name).await?,
    };
    let identity = RequestIdentity {
        kind: RequestKind::Deploy,
        application: pipeline.application.clone(),
        environment: parse(&command.environment)?,
        request_id: REQUEST_ID.to_owned(),
    };
    let request = PlanRequest {
        application: command.application.clone(),
        environment: command.environment.clone(),
        pipeline_version: row.version,
        release_id: identity.release_id(),
        image: name.clone(),
        digest,
        back_to: None,
    };
    let (account, region) = (home.account.as_str(), home.region.as_str());
    let planner = Planner::new(session.config(), session.control().clone(), account, region)?;
    Ok(planner.plan(&request).await?)
}

/// The image that is named, or the only one.
fn chosen_image<'a>(pipeline: &'a Pipeline, name: Option<&str>) -> Result<(&'a Name, &'a Image), CommandError> {
    let chosen = match name {
        Some(name) => pipeline.images.iter().find(|(key, _)| key.as_str() == name),
        None if pipeline.images.len() == 1 => pipeline.images.first(),
        None => None,
    };
    chosen.ok_or_else(|| {
        let names = render::words::names(pipeline.images.keys());
        CommandError::InvalidInput(format!(
            "name one of the images of `{}` with `--image`: {names}",
            pipeline.application
        ))
    })
}

/// What a tag points to now.
async fn tagged(session: &Session, home: &Home, image: &Image, tag: &str) -> Result<Digest, CommandError> {
    let account = image.account.as_ref().unwrap_or(&home.account);
    let repository = Repository {
        account: account.to_string(),
        name: image.repository.to_string(),
    };
    match ImageReader::new(session.config()).by_tag(&repository, tag).await? {
        Lookup::Found(image) => parse(&image.digest),
        Lookup::ImageNotFound | Lookup::RepositoryNotFound => Err(CommandError::refused(format!(
            "there is no image `{tag}` in repository `{}`: push it first, or look with `aws ecr list-images --repository-name {}`",
            image.repository, image.repository
        ))),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_must_be_named_only_where_there_are_several() {
        let pipeline = |images: &str, containers: &str| {
            let text = format!(
                "version: 1\napplication: shop\nimages: {{{images}}}\ntask_definitions:\n  web: {{family: shop, containers: {{{containers}}}}}\n\
                 services: {{web: {{service: shop, task_definition: web}}}}\nenvironments: [{{name: develop, trigger: push, cluster: shop}}]\n"
            );
            esclusa_core::pipeline::parse(&text).unwrap()
        };
        let one = pipeline("app: {repository: shop}", "app: {image: app}");
        assert_eq!(chosen_image(&one, None).unwrap().0.as_str(), "app");
        let two = pipeline(
            "app: {repository: shop}, web: {repository: shop-web}",
            "app: {image: app}, web: {image: web}",
        );
        assert_eq!(chosen_image(&two, Some("web")).unwrap().0.as_str(), "web");
        let error = chosen_image(&two, None).unwrap_err();
        assert_eq!(error.exit(), Exit::InvalidInput);
        assert_eq!(
            error.to_string(),
            "name one of the images of `shop` with `--image`: `app`, `web`"
        );
    }
}
