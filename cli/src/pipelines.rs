//! Pipeline files: read and checked from a disk, or found in the control table.

use std::collections::BTreeMap;
use std::path::Path;

use esclusa_adapters::control::rows::{PipelineCurrentRow, PipelineVersionRow};
use esclusa_adapters::control::{ControlTable, Key, Stored};
use esclusa_adapters::planning::environment_names;
use esclusa_core::canonical::canonical_sha256;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::{DefinitionSource, Pipeline, PipelineError, parse};
use esclusa_core::task_definition::patch;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::CommandError;
use crate::render::words;

/// One thing that is wrong with a pipeline file or a file that it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// From 1.
    pub(crate) line: u64,
    /// From 1.
    pub(crate) column: u64,
    /// The keys that lead there.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What would be right.
    pub(crate) hint: Option<String>,
}

impl From<&PipelineError> for Problem {
    fn from(error: &PipelineError) -> Self {
        let PipelineError {
            line,
            column,
            path,
            message,
            hint,
        } = error.clone();
        Self {
            line,
            column,
            path,
            message,
            hint,
        }
    }
}

/// A pipeline file that is valid, with the files it refers to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// The file as it is written.
    pub(crate) text: String,
    /// The task definitions, by their path as it is written, as JSON text.
    pub(crate) files: BTreeMap<String, String>,
    /// What it means.
    pub(crate) pipeline: Pipeline,
}

impl Source {
    /// What tells two contents apart.
    pub(crate) fn sha256(&self) -> String {
        canonical_sha256(&json!({"text": self.text, "files": self.files}))
    }
}

/// Reads the text of a pipeline file.
pub(crate) fn read(file: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(file).map_err(|reason| CommandError::File {
        path: file.display().to_string(),
        reason,
    })
}

/// Checks the text of a pipeline file and the files it refers to, which lie relative to `folder`.
pub(crate) fn check(text: &str, folder: &Path) -> Result<Source, Vec<Problem>> {
    let pipeline = parse(text).map_err(|errors| errors.iter().map(Problem::from).collect::<Vec<_>>())?;
    let mut files = BTreeMap::new();
    let mut problems = Vec::new();
    for (key, definition) in &pipeline.task_definitions {
        let DefinitionSource::File(path) = &definition.from else {
            continue;
        };
        let read =
            std::fs::read_to_string(folder.join(path)).map_err(|reason| format!("cannot read `{path}`: {reason}"));
        let base = read.and_then(|json| {
            let base: Value =
                serde_json::from_str(&json).map_err(|reason| format!("`{path}` is not JSON: {reason}"))?;
            files.insert(path.clone(), json);
            Ok(base)
        });
        let wrong: Vec<String> = match base {
            Err(message) => vec![message],
            Ok(base) => patch(&base, definition, &BTreeMap::new())
                .err()
                .into_iter()
                .flatten()
                .map(|error| format!("`{path}`: {error}"))
                .collect(),
        };
        let (line, column) = place(text, path);
        problems.extend(wrong.into_iter().map(|message| Problem {
            line,
            column,
            path: format!("task_definitions.{key}.from.file"),
            message,
            hint: None,
        }));
    }
    for (index, environment) in pipeline.environments.iter().enumerate() {
        let Some(path) = environment
            .windows
            .as_ref()
            .and_then(|windows| windows.holidays_file.as_ref())
        else {
            continue;
        };
        let read = std::fs::read_to_string(folder.join(path));
        match read {
            Ok(text) => {
                files.insert(path.clone(), text);
            }
            Err(reason) => {
                let (line, column) = place(text, path);
                problems.push(Problem {
                    line,
                    column,
                    path: format!("environments[{index}].windows.holidays_file"),
                    message: format!("cannot read `{path}`: {reason}"),
                    hint: None,
                });
            }
        }
    }
    if problems.is_empty()
        && let Err(message) = pipeline.clone().with_files(&files)
    {
        problems.push(Problem {
            line: 1,
            column: 1,
            path: "windows.holidays_file".to_owned(),
            message,
            hint: None,
        });
    }
    if problems.is_empty() {
        Ok(Source {
            text: text.to_owned(),
            files,
            pipeline,
        })
    } else {
        Err(problems)
    }
}

/// Where a file is first named, from 1.
fn place(text: &str, path: &str) -> (u64, u64) {
    let found = text.lines().zip(1_u64..).find_map(|(line, number)| {
        let (before, _) = line.split_once(path)?;
        Some((
            number,
            u64::try_from(before.chars().count()).unwrap_or(0).saturating_add(1),
        ))
    });
    found.unwrap_or((1, 1))
}

/// The version of an application's pipeline file that is in force.
pub(crate) async fn current(control: &ControlTable, application: &str) -> Result<PipelineVersionRow, CommandError> {
    let current: Option<Stored<PipelineCurrentRow>> = control.get(&Key::pipeline_current(application)).await?;
    match current {
        Some(current) => version(control, application, current.row.version).await,
        None => Err(unknown_application(control, application).await?),
    }
}

/// A version of an application's pipeline file.
pub(crate) async fn version(
    control: &ControlTable,
    application: &str,
    version: u32,
) -> Result<PipelineVersionRow, CommandError> {
    let stored: Option<Stored<PipelineVersionRow>> = control.get(&Key::pipeline_version(application, version)).await?;
    stored.map(|stored| stored.row).ok_or_else(|| {
        CommandError::refused(format!(
            "there is no version {version} of the pipeline of `{application}`: `esclusa pipelines list {application}` shows those that there are"
        ))
    })
}

/// How many versions of a pipeline file are listed.
const VERSIONS: usize = 100;

/// The newest versions of an application's pipeline file, the newest first.
pub(crate) async fn versions(control: &ControlTable, application: &str) -> Result<Vec<PipelineVersionRow>, Failure> {
    let partition = Key::pipeline_current(application).pk;
    let rows: Vec<(String, Stored<PipelineVersionRow>)> = control.latest(&partition, "VERSION#", VERSIONS).await?;
    Ok(rows.into_iter().map(|(_, stored)| stored.row).collect())
}

/// The environments of a pipeline, or the one that is asked for: those that the file names, and those that were made
/// from its patterns.
pub(crate) async fn environments(
    control: &ControlTable,
    pipeline: &Pipeline,
    asked: Option<&str>,
) -> Result<Vec<String>, Failure> {
    if let Some(name) = asked {
        let known = pipeline.environment(name);
        return Ok(known
            .map(|environment| environment.name.to_string())
            .into_iter()
            .collect());
    }
    environment_names(control, pipeline).await
}

/// The applications, each with the version of its pipeline file in force.
pub(crate) async fn applications(control: &ControlTable) -> Result<Vec<PipelineCurrentRow>, Failure> {
    let rows: Vec<(String, Stored<PipelineCurrentRow>)> = control.all(Key::APPLICATIONS, "").await?;
    Ok(rows.into_iter().map(|(_, stored)| stored.row).collect())
}

async fn unknown_application(control: &ControlTable, application: &str) -> Result<CommandError, Failure> {
    let known = applications(control).await?;
    Ok(CommandError::refused(if known.is_empty() {
        format!("there is no application `{application}` yet: run `esclusa pipelines apply FILE`")
    } else {
        let names = words::names(known.iter().map(|row| &row.application));
        format!("there is no application `{application}`: there are {names}")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_pointed_at_where_the_pipeline_names_it() {
        let text = "task_definitions:\n  api:\n    from: {file: definitions/api.json}\n";
        assert_eq!(place(text, "definitions/api.json"), (3, 18));
        assert_eq!(place(text, "other.json"), (1, 1));
    }
}
