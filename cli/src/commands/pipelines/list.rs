//! `esclusa pipelines list`.

use serde_json::json;

use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::table::Columns;
use crate::render::words;
use crate::session::Session;

pub(crate) async fn execute(session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let applications = pipelines::applications(session.control()).await?;
    if output.format() == Format::Json {
        output.document(&json!({"applications": applications}))?;
        return Ok(Exit::Success);
    }
    if applications.is_empty() {
        output.note("there is no application yet: run `esclusa pipelines apply FILE`")?;
        return Ok(Exit::Success);
    }
    let mut table = Columns::new(&["application", "version", "applied", "sha256"], output.width());
    for row in applications {
        table.row([
            row.application,
            row.version.to_string(),
            words::time(row.applied_at),
            words::hash(&row.sha256),
        ]);
    }
    output.text(table)?;
    Ok(Exit::Success)
}
