//! `esclusa audit`.

mod list;
mod verify;

use crate::arguments::{Audit, AuditCommand};
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn execute(command: &Audit, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    match &command.verify {
        Some(AuditCommand::Verify(selection)) => verify::execute(selection, session, output).await,
        None => list::execute(&command.selection, session, output).await,
    }
}
