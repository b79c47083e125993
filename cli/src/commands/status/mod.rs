//! `esclusa status`.

mod overview;
mod release;
mod services;

use std::time::Duration;

use super::request::{FAILURES, continues};
use crate::arguments::Status;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::{palette, words};
use crate::session::Session;

/// How often `--watch` looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Clears a terminal and goes to its beginning.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// What is shown, and whether there is more to come.
struct View {
    text: String,
    document: serde_json::Value,
    /// The exit, once nothing will change any more.
    end: Option<Exit>,
}

pub(super) async fn execute(command: &Status, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    if command.watch && output.format() == Format::Json {
        return Err(CommandError::InvalidInput(
            "`--watch` shows many states; `--output json` is one document".to_owned(),
        ));
    }
    if command.watch {
        return watch(command, session, output).await;
    }
    let view = view(command, session, output.width()).await?;
    match output.format() {
        Format::Json => output.document(&view.document)?,
        Format::Text | Format::Csv => output.text(&view.text)?,
    }
    Ok(Exit::Success)
}

async fn view(command: &Status, session: &Session, width: Option<u16>) -> Result<View, CommandError> {
    match &command.release {
        Some(release_id) => release::view(release_id, session, width).await,
        None => {
            overview::view(
                command.application.as_deref(),
                command.environment.as_deref(),
                session,
                width,
            )
            .await
        }
    }
}

async fn watch(command: &Status, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let mut shown = None;
    let mut failures = 0;
    loop {
        match view(command, session, output.width()).await {
            Ok(view) => {
                failures = 0;
                if shown.as_ref() != Some(&view.text) {
                    show(&view, session, output)?;
                    shown = Some(view.text);
                }
                if let Some(exit) = view.end {
                    return Ok(exit);
                }
            }
            Err(CommandError::Failed(failure)) if failure.kind.is_retryable() && failures < FAILURES => {
                failures += 1;
                output.moment(failure.message);
            }
            Err(CommandError::Failed(failure)) if shown.is_some() => {
                return Err(match &command.release {
                    Some(release_id) => failure.context(continues(release_id)),
                    None => failure,
                }
                .into());
            }
            Err(error) => return Err(error),
        }
        session.pause(INTERVAL).await?;
    }
}

fn show(view: &View, session: &Session, output: &mut Output) -> Result<(), CommandError> {
    let time = words::time(session.now()?);
    if output.is_animated() {
        output.text(CLEAR)?;
    }
    output.line(palette::faint(format_args!("as of {time}")))?;
    output.line(&view.text)
}
