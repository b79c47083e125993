//! The versions of the pipeline of an application.

use std::collections::BTreeMap;

use esclusa_core::error::Failure;
use esclusa_core::pipeline::{Pipeline, parse};
use serde_json::Value;

use crate::control::rows::{PipelineCurrentRow, PipelineVersionRow};
use crate::control::{ControlTable, Key, Stored};

/// The pipeline in force of an application, with its version.
///
/// # Errors
/// `Refused` when there is none; otherwise those of [`pipeline_version`].
pub async fn current_pipeline(control: &ControlTable, application: &str) -> Result<(u32, Pipeline), Failure> {
    let current: Option<Stored<PipelineCurrentRow>> = control.get(&Key::pipeline_current(application)).await?;
    let Some(current) = current else {
        return Err(Failure::refused(format!(
            "there is no pipeline for application `{application}`: run `esclusa pipelines apply FILE`"
        )));
    };
    let version = current.row.version;
    let (_, pipeline) = pipeline_version(control, application, version).await?;
    Ok((version, pipeline))
}

/// A version of the pipeline of an application.
///
/// # Errors
/// `Refused` when this program does not take it any more; otherwise those of [`ControlTable::require`].
pub async fn pipeline_version(
    control: &ControlTable,
    application: &str,
    version: u32,
) -> Result<(Stored<PipelineVersionRow>, Pipeline), Failure> {
    let key = Key::pipeline_version(application, version);
    let stored: Stored<PipelineVersionRow> = control.require(&key).await?;
    let pipeline = written(&stored.row)?;
    Ok((stored, pipeline))
}

/// What a version of a pipeline says, with its files.
///
/// # Errors
/// `Refused` where it is not valid for this version of esclusa.
pub fn written(row: &PipelineVersionRow) -> Result<Pipeline, Failure> {
    let PipelineVersionRow {
        application, version, ..
    } = row;
    let pipeline = parse(&row.text).map_err(|errors| errors.to_string());
    pipeline.and_then(|pipeline| pipeline.with_files(&row.files)).map_err(|reason| {
        Failure::refused(format!(
            "version {version} of the pipeline of `{application}` is not valid for this version of esclusa; correct it and apply it again with `esclusa pipelines apply FILE`: {reason}"
        ))
    })
}

/// The files that a version came with, read.
pub(super) fn files(version: &PipelineVersionRow) -> Result<BTreeMap<String, Value>, Failure> {
    let read = |(path, text): (&String, &String)| match serde_json::from_str(text) {
        Ok(definition) => Ok((path.clone(), definition)),
        Err(error) => Err(Failure::refused(format!(
            "file `{path}` of the pipeline is not JSON: {error}"
        ))),
    };
    version.files.iter().map(read).collect()
}
