//! `esclusa rollback`.

use super::parse_release;
use super::request::{self, Wish};
use crate::arguments::Rollback;
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn execute(command: &Rollback, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    command.to.as_deref().map(parse_release).transpose()?;
    let wish = Wish {
        kind: "rollback",
        application: &command.application,
        environment: &command.environment,
        image: None,
        version: None,
        target_release: command.to.as_deref(),
        undo_migrations: command.undo_migrations,
        hotfix: false,
        reason: Some(&command.reason),
    };
    request::execute(&wish, &command.request, session, output).await
}
