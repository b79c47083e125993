//! `esclusa pipelines validate`: everything that can be known without AWS.

use std::path::Path;

use serde_json::json;

use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines::{self, Problem, Source};
use crate::render::{excerpt, words};

pub(crate) fn execute(file: &Path, output: &mut Output) -> Result<Exit, CommandError> {
    let Some(source) = checked(file, output)? else {
        return Ok(Exit::InvalidInput);
    };
    let pipeline = &source.pipeline;
    if output.format() == Format::Json {
        output.document(&json!({
            "file": file.display().to_string(),
            "valid": true,
            "application": pipeline.application,
            "sha256": source.sha256(),
            "errors": [],
        }))?;
    } else {
        output.line(format_args!(
            "`{}` is valid: application `{}` with {} and {}, for {}",
            file.display(),
            pipeline.application,
            words::count(pipeline.tasks.len(), "task"),
            words::count(pipeline.services.len(), "service"),
            words::names(pipeline.environment_names()),
        ))?;
    }
    Ok(Exit::Success)
}

/// The file, or nothing after everything that is wrong was reported.
pub(super) fn checked(file: &Path, output: &mut Output) -> Result<Option<Source>, CommandError> {
    let text = pipelines::read(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    match pipelines::check(&text, folder) {
        Ok(source) => Ok(Some(source)),
        Err(problems) => report(file, &text, &problems, output).map(|()| None),
    }
}

fn report(file: &Path, text: &str, problems: &[Problem], output: &mut Output) -> Result<(), CommandError> {
    let file = file.display().to_string();
    if output.format() == Format::Json {
        return output.document(&json!({"file": file, "valid": false, "errors": problems}));
    }
    output.note(excerpt::problems(&file, text, problems).trim_end())?;
    output.note("")?;
    output.error(&format_args!(
        "{} in `{file}`; nothing was changed",
        words::count(problems.len(), "error")
    ))
}
