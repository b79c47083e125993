//! `esclusa deploy`.

use esclusa_adapters::requests::ReleaseRequest;
use esclusa_core::identity::RequestKind;
use esclusa_core::version::Version;

use super::{parse, request};
use crate::arguments::Deploy;
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn execute(command: &Deploy, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let version = parse::<Version>(&command.version)?;
    let request = ReleaseRequest {
        kind: RequestKind::Deploy,
        application: command.application.clone(),
        environment: command.environment.clone(),
        image: command.image.clone(),
        version: Some(version),
        target_release: None,
        undo_migrations: false,
        hotfix: command.hotfix,
        reason: command.reason.clone(),
    };
    request::execute(&request, &command.request, session, output).await
}
