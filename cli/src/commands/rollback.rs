//! `esclusa rollback`.

use esclusa_adapters::requests::ReleaseRequest;
use esclusa_core::identity::RequestKind;

use super::{parse_release, request};
use crate::arguments::Rollback;
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn execute(command: &Rollback, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    command.to.as_deref().map(parse_release).transpose()?;
    let request = ReleaseRequest {
        kind: RequestKind::Rollback,
        application: command.application.clone(),
        environment: command.environment.clone(),
        image: None,
        version: None,
        target_release: command.to.clone(),
        undo_migrations: command.undo_migrations,
        hotfix: false,
        reason: Some(command.reason.clone()),
    };
    request::execute(&request, &command.request, session, output).await
}
