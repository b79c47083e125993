//! `esclusa hold` and `esclusa release-hold`: a release comes no further for now.

use esclusa_adapters::decisions::Wish;

use super::order::{self, how_long, until};
use super::{WHY, check_reason};
use crate::arguments::{Hold, ReleaseHold};
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn hold(command: &Hold, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    check_reason(&command.reason, WHY)?;
    let release = &command.release;
    let wish = Wish::Hold {
        release: release.clone(),
        reason: command.reason.clone(),
        until: until(command.until.as_deref(), session)?,
    };
    order::give(&wish, session, output, |told| {
        format!(
            "`{}` is held {}: it enters no further environment; a deployment that has its locks continues (`esclusa stop {release}` stops it)",
            order::tag(told),
            how_long(told, "hold")
        )
    })
    .await
}

pub(super) async fn release_hold(
    command: &ReleaseHold,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    check_reason(&command.reason, WHY)?;
    let release = &command.release;
    let wish = Wish::ReleaseHold {
        release: release.clone(),
        reason: command.reason.clone(),
    };
    order::give(&wish, session, output, |told| {
        format!(
            "`{}` is no longer held; its gates are checked again within two minutes (`esclusa status --release {release} --watch`)",
            order::tag(told)
        )
    })
    .await
}
