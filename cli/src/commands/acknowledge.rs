//! `esclusa acknowledge`: a person says that something was seen to, which a release waits for.

use esclusa_adapters::decisions::Wish;
use serde_json::Value;

use super::order;
use crate::arguments::Acknowledge;
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn execute(
    command: &Acknowledge,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let wish = Wish::Acknowledge {
        release: command.release.clone(),
        environment: command.environment.clone(),
        name: command.name.clone(),
        note: command.note.clone(),
    };
    order::give(&wish, session, output, |told| {
        let text = |member: &str| told.get(member).and_then(Value::as_str).unwrap_or_default();
        format!(
            "`{}` acknowledged `{}` for `{}` in `{}`; the gate is checked again within two minutes",
            text("person"),
            command.name,
            text("tag"),
            text("environment")
        )
    })
    .await
}
