//! `esclusa acknowledge`: a person says that something was seen to, which a release waits for.

use esclusa_adapters::control::{Change, Expected, Key};
use esclusa_adapters::decisions::Waiting;
use esclusa_core::gate::{Acknowledged, may_acknowledge};
use esclusa_core::pipeline::Acknowledgement;
use serde_json::json;

use super::hold::decided;
use super::order::write;
use crate::arguments::Acknowledge;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::words;
use crate::session::Session;

pub(super) async fn execute(
    command: &Acknowledge,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let Acknowledge { release, name, note } = command;
    let Some(waits) = session.journal.waiting(release).await? else {
        return Err(CommandError::refused(format!(
            "release `{release}` waits at no gate: `esclusa approvals` lists those that do"
        )));
    };
    let Waiting {
        release: row,
        deployment,
        gates,
    } = &waits;
    let asked = gates.acknowledgements.iter().find(|(known, _)| known.as_str() == name);
    let Some((_, Acknowledgement::Person { that, by })) = asked else {
        let people = gates
            .acknowledgements
            .iter()
            .filter(|(_, asked)| matches!(asked, Acknowledgement::Person { .. }));
        return Err(CommandError::refused(format!(
            "nobody is asked for `{name}` in `{}`, but for {}",
            deployment.environment,
            words::names(people.map(|(name, _)| name.as_str()))
        )));
    };
    let principal = session.caller().await?.arn;
    let Some(person) = may_acknowledge(&gates.people, by, &principal) else {
        let who = if by.is_empty() {
            "the people of the pipeline".to_owned()
        } else {
            words::names(by)
        };
        return Err(CommandError::refused(format!(
            "`{principal}` is none of those who may say so: {who}"
        )));
    };
    let said = Acknowledged {
        principal: principal.clone(),
        note: note.clone(),
        at: session.now()?,
    };
    let body = json!({"decision": "acknowledge", "person": person, "name": name, "that": that, "tag": row.tag, "reason": note});
    let mut draft = decided(row, &principal, &body)?;
    draft.environment = Some(deployment.environment.clone());
    let key = Key::acknowledgement(release, &deployment.environment, name);
    let change = Change::put(key, &said, Expected::Absent)?;
    write(
        session,
        &row.application,
        change,
        draft,
        &format!("`{name}` was seen to already"),
    )
    .await?;
    if output.format() == Format::Json {
        output.document(&json!({"acknowledged": said, "name": name, "person": person}))?;
    } else {
        output.line(format_args!(
            "`{person}` has seen to `{name}` for `{}` in `{}`; the gate is asked again within two minutes",
            row.tag, deployment.environment
        ))?;
    }
    Ok(Exit::Success)
}
