//! `esclusa stop`: nothing more of a release is begun, and what it has moved goes back.

use esclusa_adapters::decisions::Wish;

use super::{WHY, check_reason, order};
use crate::arguments::Stop;
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn execute(command: &Stop, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Stop { release, reason } = command;
    check_reason(reason, WHY)?;
    let wish = Wish::Stop {
        release: release.clone(),
        reason: reason.clone(),
    };
    order::give(&wish, session, output, |told| {
        format!(
            "`{}` stops: no further step begins, a running task runs to its end, and services that it has moved go back (`esclusa status --release {release} --watch`)",
            order::tag(told)
        )
    })
    .await
}
