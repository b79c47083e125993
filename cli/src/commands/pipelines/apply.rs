//! `esclusa pipelines apply`: everything is stored, or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use esclusa_adapters::control::rows::{PipelineCurrentRow, PipelineVersionRow, RepositoryRow};
use esclusa_adapters::control::{Change, Expected, Key, Repository, Stored};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::error::Failure;
use esclusa_core::image;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::pipeline::{Image, Pipeline, parse};
use esclusa_core::task_definition::Home;
use serde_json::json;

use super::validate;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines::{self, Source};
use crate::render::{palette, words};
use crate::session::Session;

/// What fits into a row beside its other attributes: an item of DynamoDB has at most 400 KB.
const SIZE_MAX: usize = 380_000;

/// Where a repository lies: account, Region, name.
type Place = (String, String, String);

pub(crate) async fn execute(
    file: &Path,
    by: Option<&str>,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let Some(source) = validate::checked(file, output)? else {
        return Ok(Exit::InvalidInput);
    };
    let size = source.text.len() + source.files.values().map(String::len).sum::<usize>();
    if size > SIZE_MAX {
        let message = format!(
            "`{}` and its files have {size} bytes; at most {SIZE_MAX} can be stored",
            file.display()
        );
        return Err(CommandError::InvalidInput(message));
    }
    let application = source.pipeline.application.as_str();
    let control = session.control();
    let stored: Option<Stored<PipelineCurrentRow>> = control.get(&Key::pipeline_current(application)).await?;
    if let Some(current) = stored.as_ref().filter(|current| current.row.sha256 == source.sha256()) {
        answer(&current.row, true, output)?;
        return Ok(Exit::Success);
    }
    let previous = match &stored {
        Some(stored) => Some(pipelines::version(control, application, stored.row.version).await?),
        None => None,
    };
    let caller = session.caller().await?;
    let home = session.home().await?;
    let elsewhere = |(key, image)| image::elsewhere(key, image, &home);
    if let Some(elsewhere) = source.pipeline.images.iter().find_map(elsewhere) {
        return Err(CommandError::refused(format!("{elsewhere}: {}", image::REPLICATE)));
    }
    let now = session.now()?;
    let version = stored.as_ref().map_or(1, |stored| stored.row.version.saturating_add(1));
    let current = PipelineCurrentRow {
        application: application.to_owned(),
        version,
        sha256: source.sha256(),
        applied_at: now,
    };
    let before = previous
        .as_ref()
        .and_then(|row| parse(&row.text).ok())
        .map(|pipeline| repositories(&pipeline, &home));
    let before = before.unwrap_or_default();
    let after = repositories(&source.pipeline, &home);
    let row = PipelineVersionRow {
        application: application.to_owned(),
        version,
        text: source.text.clone(),
        files: source.files.clone(),
        sha256: current.sha256.clone(),
        applied_at: now,
        applied_by: by.unwrap_or(&caller.arn).to_owned(),
    };
    let listing = Key::application(application);
    let listed: Option<Stored<PipelineCurrentRow>> = control.get(&listing).await?;
    let commit = Commit::new()
        .change(Change::put(
            Key::pipeline_version(application, version),
            &row,
            Expected::Absent,
        )?)
        .change(Change::put(
            Key::pipeline_current(application),
            &current,
            Expected::unchanged(stored.as_ref()),
        )?)
        .change(Change::put(listing, &current, Expected::unchanged(listed.as_ref()))?)
        .changes(repository_changes(session, application, &before, &after).await?)
        .record(
            &Chain::application(application),
            draft(&source, &row, &caller.arn, &after)?,
        );
    if let Committed::Lost(key) = session.journal.commit(commit).await? {
        return Err(CommandError::refused(format!(
            "row `{}` was just changed by somebody else; nothing was done: check with `esclusa pipelines show {application}`, then apply again",
            key.pk
        )));
    }
    if let (Some(previous), Format::Text) = (&previous, output.format()) {
        output.text(difference(&previous.text, &source.text))?;
    }
    answer(&current, false, output)?;
    Ok(Exit::Success)
}

/// The repositories of a pipeline, each with the key of its image.
fn repositories(pipeline: &Pipeline, home: &Home) -> BTreeMap<Place, String> {
    let place = |image: &Image| {
        let account = image.account.as_ref().unwrap_or(&home.account);
        let region = image.region.as_ref().unwrap_or(&home.region);
        (account.to_string(), region.to_string(), image.repository.to_string())
    };
    pipeline
        .images
        .iter()
        .map(|(key, image)| (place(image), key.to_string()))
        .collect()
}

/// The rows of repositories that come, go or change their image. One that belongs to another application is refused.
async fn repository_changes(
    session: &Session,
    application: &str,
    before: &BTreeMap<Place, String>,
    after: &BTreeMap<Place, String>,
) -> Result<Vec<Change>, CommandError> {
    let mut changes = Vec::new();
    let mut foreign = Vec::new();
    let places: BTreeSet<&Place> = before.keys().chain(after.keys()).collect();
    for place in places {
        let (account, region, name) = place;
        let repository = Repository { account, region, name };
        let key = Key::repository(repository);
        let stored: Option<Stored<RepositoryRow>> = session.control().get(&key).await?;
        let owner = stored.as_ref().map(|stored| stored.row.application.as_str());
        match (after.get(place), &stored) {
            (Some(_), _) if owner.is_some_and(|owner| owner != application) => {
                foreign.push(format!(
                    "repository `{repository}` belongs to application `{}`",
                    owner.unwrap_or_default()
                ));
            }
            (Some(image), _) if stored.as_ref().is_some_and(|stored| stored.row.image == *image) => {}
            (Some(image), _) => {
                let row = RepositoryRow {
                    application: application.to_owned(),
                    image: image.clone(),
                };
                changes.push(Change::put(key, &row, Expected::unchanged(stored.as_ref()))?);
            }
            (None, Some(stored)) if owner == Some(application) => changes.push(Change::delete(key, stored.revision)),
            (None, _) => {}
        }
    }
    if foreign.is_empty() {
        return Ok(changes);
    }
    Err(CommandError::refused(format!(
        "{}; a repository's pushes go to one application: remove the image from one of the two pipelines. Nothing was changed",
        foreign.join("; ")
    )))
}

fn draft(
    source: &Source,
    row: &PipelineVersionRow,
    caller: &str,
    repositories: &BTreeMap<Place, String>,
) -> Result<Draft, Failure> {
    let environments = source.pipeline.environment_names();
    let repositories: Vec<String> = repositories
        .keys()
        .map(|(account, region, name)| format!("{account}/{region}/{name}"))
        .collect();
    let body = Body::new(&json!({
        "version": row.version,
        "sha256": row.sha256,
        "appliedBy": row.applied_by,
        "environments": environments,
        "repositories": repositories,
        "files": row.files.keys().collect::<Vec<_>>(),
    }))?;
    Ok(Draft {
        application: Some(row.application.clone()),
        ..Draft::new(RecordKind::PipelineApplied, caller, body)
    })
}

fn answer(current: &PipelineCurrentRow, unchanged: bool, output: &mut Output) -> Result<(), CommandError> {
    let PipelineCurrentRow {
        application,
        version,
        sha256,
        applied_at,
    } = current;
    if output.format() == Format::Json {
        return output.document(&json!({
            "application": application, "version": version, "sha256": sha256, "applied_at": applied_at, "unchanged": unchanged,
        }));
    }
    if unchanged {
        return output.line(format_args!(
            "unchanged: version {version} of `{application}`, in force since {}, has this content",
            words::time(*applied_at)
        ));
    }
    output.line(format_args!(
        "version {version} of `{application}` is in force for new releases, sha256 {}",
        words::hash(sha256)
    ))
}

/// What changed from one text to the other, line by line.
fn difference(before: &str, after: &str) -> String {
    let difference = similar::TextDiff::from_lines(before, after);
    let unified = difference.unified_diff().context_radius(2).to_string();
    let line = |line: &str| match line.chars().next() {
        Some('-') => format!("{}\n", palette::error(line)),
        Some('+') => format!("{}\n", palette::good(line)),
        _ => format!("{line}\n"),
    };
    unified.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_of_two_versions_is_shown_line_by_line() {
        let difference = difference("a: 1\nb: 2\nc: 3\nd: 4\n", "a: 1\nb: 2\nc: 4\nd: 4\n");
        assert_eq!(
            anstream::adapter::strip_str(&difference).to_string(),
            "@@ -1,4 +1,4 @@\n a: 1\n b: 2\n-c: 3\n+c: 4\n d: 4\n"
        );
    }
}
