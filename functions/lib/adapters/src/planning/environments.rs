//! The environments of a pipeline.

use esclusa_core::error::Failure;
use esclusa_core::pipeline::Pipeline;

use crate::control::rows::{EnvironmentRow, MadeEnvironmentRow};
use crate::control::{ControlTable, Key, Stored};

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
        let rows: Vec<(String, Stored<MadeEnvironmentRow>)> = control.list(&partition, "").await?;
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
    for name in environment_names(control, pipeline).await? {
        let key = Key::environment(pipeline.application.as_str(), &name);
        let in_force: Option<Stored<EnvironmentRow>> = control.get(&key).await?;
        let runs = in_force.and_then(|stored| stored.row.digests.get(image).cloned());
        if runs.as_deref() == Some(digest) {
            running.push(name);
        }
    }
    Ok(running)
}
