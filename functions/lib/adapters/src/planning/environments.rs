//! The environments of a pipeline.

use esclusa_core::error::Failure;
use esclusa_core::pipeline::Pipeline;
use futures_util::future::try_join_all;

use crate::control::rows::{DeploymentPointerRow, EnvironmentRow, MadeEnvironmentRow, ReleaseRow};
use crate::control::{ControlTable, Key, Stored};
use crate::gates::HISTORY;

/// How many environments are looked at at the same time: a pattern makes hundreds.
const AT_ONCE: usize = 25;

/// The names of the environments of a pipeline: those that the file names, and those that were made from its patterns.
///
/// # Errors
/// Those of [`ControlTable::list`].
pub async fn environment_names(control: &ControlTable, pipeline: &Pipeline) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = pipeline
        .named()
        .map(|environment| environment.name.to_string())
        .collect();
    if pipeline.patterns().next().is_some() {
        let partition = Key::made_environments_of(pipeline.application.as_str());
        let rows: Vec<(String, Stored<MadeEnvironmentRow>)> = control.all(&partition, "").await?;
        // A pattern that is gone from the file makes nothing any more.
        let made = rows.into_iter().map(|(name, _)| name);
        names.extend(made.filter(|name| pipeline.environment(name).is_some() && !pipeline.is_named(name)));
    }
    Ok(names)
}

/// The environments of a pipeline in which an image, by its key, is in force with this digest.
///
/// # Errors
/// Those of [`ControlTable::list`].
pub async fn environments_that_run(
    control: &ControlTable,
    pipeline: &Pipeline,
    image: &str,
    digest: &str,
) -> Result<Vec<String>, Failure> {
    let mut running = Vec::new();
    let application = pipeline.application.as_str();
    for names in environment_names(control, pipeline).await?.chunks(AT_ONCE) {
        let looks = names
            .iter()
            .map(|name| digest_in_force(control, application, name, image));
        let looks = try_join_all(looks).await?;
        let runs = names
            .iter()
            .zip(looks)
            .filter(|(_, runs)| runs.as_deref() == Some(digest));
        running.extend(runs.map(|(name, _)| name.clone()));
    }
    Ok(running)
}

/// The digest of an image, by its key, that is in force in an environment: also one that gave way while it soaked,
/// which nobody has verified. None where nothing of it was deployed.
///
/// # Errors
/// Those of [`ControlTable::get`].
pub async fn digest_in_force(
    control: &ControlTable,
    application: &str,
    environment: &str,
    image: &str,
) -> Result<Option<String>, Failure> {
    if let Some(release) = release_in_force(control, application, environment, image).await? {
        return Ok(Some(release.digest));
    }
    // It came with a release of another image, or so long ago that its release is not kept.
    let verified: Option<Stored<EnvironmentRow>> = control.get(&Key::environment(application, environment)).await?;
    Ok(verified.and_then(|stored| stored.row.digests.get(image).cloned()))
}

/// The release of an image, by its key, that is in force in an environment; none where the image came with a release of
/// another one, or so long ago that its release is not kept.
///
/// # Errors
/// Those of [`ControlTable::get`].
pub async fn release_in_force(
    control: &ControlTable,
    application: &str,
    environment: &str,
    image: &str,
) -> Result<Option<ReleaseRow>, Failure> {
    let key = Key::deployment_in_force(&Key::deployments_into(application, environment, image));
    let Some(last) = control.get::<DeploymentPointerRow>(&key).await? else {
        return Ok(None);
    };
    let release: Option<Stored<ReleaseRow>> = control.get(&Key::release(&last.row.release_id)).await?;
    Ok(release.map(|stored| stored.row))
}

/// The newest deployment that brought a digest of an image, by its key, into an environment, was verified there and
/// still holds, with its release; none where a release of another image did, or so long ago that nobody knows.
///
/// # Errors
/// Those of [`ControlTable::get`].
pub async fn brought_by(
    control: &ControlTable,
    application: &str,
    environment: &str,
    image: &str,
    digest: &str,
) -> Result<Option<(String, ReleaseRow)>, Failure> {
    let rows = Key::environment_rows(application, environment);
    let history: Vec<(String, Stored<EnvironmentRow>)> = control.latest(&rows, Key::VERIFIED_PREFIX, HISTORY).await?;
    for row in history.into_iter().map(|(_, stored)| stored.row) {
        if row.revoked.is_some() || row.digests.get(image).map(String::as_str) != Some(digest) {
            continue;
        }
        let release: Stored<ReleaseRow> = control.require(&Key::release(&row.release_id)).await?;
        if release.row.image == image {
            return Ok(Some((row.deployment_id, release.row)));
        }
    }
    Ok(None)
}
