//! `esclusa pipelines`.

mod apply;
mod list;
mod show;
pub(super) mod validate;

use crate::arguments::Pipelines;
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn execute(command: &Pipelines, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    match command {
        Pipelines::Validate { file } => validate::execute(file, output),
        Pipelines::Apply { file, by } => apply::execute(file, by.as_deref(), session, output).await,
        Pipelines::Show { application, version } => show::execute(application, *version, session, output).await,
        Pipelines::List { application: None } => list::applications(session, output).await,
        Pipelines::List {
            application: Some(application),
        } => list::versions(application, session, output).await,
    }
}
