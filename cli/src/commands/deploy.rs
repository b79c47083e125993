//! `esclusa deploy`.

use esclusa_core::version::Version;

use super::parse;
use super::request::{self, Wish};
use crate::arguments::Deploy;
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn execute(command: &Deploy, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let version = parse::<Version>(&command.version)?;
    let wish = Wish {
        kind: "deploy",
        application: &command.application,
        environment: &command.environment,
        image: command.image.as_deref(),
        version: Some(&version),
        target_release: None,
        undo_migrations: false,
        hotfix: command.hotfix,
        reason: command.reason.as_deref(),
    };
    request::execute(&wish, &command.request, session, output).await
}
