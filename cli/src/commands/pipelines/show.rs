//! `esclusa pipelines show`.

use crate::commands::parse;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::words;
use crate::session::Session;
use esclusa_core::pipeline::ApplicationName;

pub(crate) async fn execute(
    application: &str,
    version: Option<u32>,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    parse::<ApplicationName>(application)?;
    let row = match version {
        Some(version) => pipelines::version(session.control(), application, version).await?,
        None => pipelines::current(session.control(), application).await?,
    };
    if output.format() == Format::Json {
        output.document(&row)?;
        return Ok(Exit::Success);
    }
    output.note(format_args!(
        "version {} of `{application}`, applied {} by {}, sha256 {}",
        row.version,
        words::time(row.applied_at),
        row.applied_by,
        row.sha256,
    ))?;
    if !row.files.is_empty() {
        output.note(format_args!(
            "with the files {}: `--output json` shows them",
            words::names(row.files.keys())
        ))?;
    }
    output.text(&row.text)?;
    if !row.text.ends_with('\n') {
        output.line("")?;
    }
    Ok(Exit::Success)
}
