//! `esclusa pipelines list`.

use esclusa_core::pipeline::ApplicationName;
use serde_json::json;

use crate::commands::parse;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::table::Columns;
use crate::render::words;
use crate::session::Session;

pub(crate) async fn applications(session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
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

pub(crate) async fn versions(application: &str, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    parse::<ApplicationName>(application)?;
    let in_force = pipelines::current(session.control(), application).await?.version;
    let versions = pipelines::versions(session.control(), application).await?;
    if output.format() == Format::Json {
        // The text of each is what `esclusa pipelines show` is for.
        let facts = versions.iter().map(|row| {
            json!({
                "version": row.version, "in_force": row.version == in_force, "applied_at": row.applied_at, "applied_by": row.applied_by,
                "sha256": row.sha256,
            })
        });
        output.document(&json!({"application": application, "versions": facts.collect::<Vec<_>>()}))?;
        return Ok(Exit::Success);
    }
    let mut table = Columns::new(&["version", "applied", "sha256", "by", ""], output.width());
    for row in versions {
        table.row([
            row.version.to_string(),
            words::time(row.applied_at),
            words::hash(&row.sha256),
            row.applied_by,
            if row.version == in_force { "in force" } else { "" }.to_owned(),
        ]);
    }
    output.text(table)?;
    Ok(Exit::Success)
}
