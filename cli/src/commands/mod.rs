//! One file for each verb.

mod acknowledge;
mod answer;
pub(crate) mod approvals;
mod audit;
mod debts;
mod deploy;
mod doctor;
mod freeze;
mod hold;
mod init;
mod locks;
mod order;
mod pin;
mod pipelines;
mod plan;
mod quarantine;
mod recheck;
mod request;
mod rollback;
mod status;
mod stop;
mod unlock;
mod vote;
mod when;
mod why;

use aws_config::SdkConfig;
use esclusa_core::decision::check_length;
use esclusa_core::identity::{InvalidId, ReleaseId};

use crate::arguments::{Arguments, Command, Pipelines};
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

pub(crate) async fn execute(
    arguments: &Arguments,
    config: &SdkConfig,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let is_listing = matches!(&arguments.command, Command::Audit(audit) if audit.verify.is_none());
    if output.format() == Format::Csv && !is_listing {
        return Err(CommandError::InvalidInput(
            "only `esclusa audit` answers with `--output csv`".to_owned(),
        ));
    }
    if let Command::Pipelines(Pipelines::Validate { file }) = &arguments.command {
        return pipelines::validate::execute(file, output);
    }
    let session = Session::new(config, &arguments.options);
    let exit = match &arguments.command {
        Command::Pipelines(command) => pipelines::execute(command, &session, output).await,
        Command::Init(command) => init::execute(command, &session, output).await,
        Command::Doctor(command) => doctor::execute(command, &session, output).await,
        Command::Plan(command) => plan::execute(command, &session, output).await,
        Command::Deploy(command) => deploy::execute(command, &session, output).await,
        Command::Rollback(command) => rollback::execute(command, &session, output).await,
        Command::Status(command) => status::execute(command, &session, output).await,
        Command::Audit(command) => audit::execute(command, &session, output).await,
        Command::Locks => locks::execute(&session, output).await,
        Command::Quarantine(command) => quarantine::execute(command, &session, output).await,
        Command::Approvals => approvals::execute(&session, output).await,
        Command::Approve(command) => vote::approve(command, &session, output).await,
        Command::Reject(command) => vote::reject(command, &session, output).await,
        Command::Acknowledge(command) => acknowledge::execute(command, &session, output).await,
        Command::Freeze(command) => freeze::freeze(command, &session, output).await,
        Command::Unfreeze(command) => freeze::unfreeze(command, &session, output).await,
        Command::Why(command) => why::execute(command, &session, output).await,
        Command::When(command) => when::execute(command, &session, output).await,
        Command::Hold(command) => hold::hold(command, &session, output).await,
        Command::ReleaseHold(command) => hold::release_hold(command, &session, output).await,
        Command::Pin(command) => pin::pin(command, &session, output).await,
        Command::Unpin(command) => pin::unpin(command, &session, output).await,
        Command::Stop(command) => stop::execute(command, &session, output).await,
        Command::Debts(command) => debts::execute(command, &session, output).await,
        Command::Answer(command) => answer::execute(command, &session, output).await,
        Command::Recheck(command) => recheck::execute(command, &session, output).await,
        Command::Unlock(command) => unlock::execute(command, &session, output).await,
    };
    exit.map_err(|error| session.explained(error))
}

/// What a reason is to say, unless it is about something that was found.
const WHY: &str = "`--reason WHY`";

/// Takes care that the reason of a person says something. `what` is to be said.
fn check_reason(reason: &str, what: &str) -> Result<(), CommandError> {
    if reason.trim().is_empty() {
        return Err(CommandError::InvalidInput(format!("a reason is required: {what}")));
    }
    check_length(reason).map_err(|refusal| CommandError::InvalidInput(refusal.to_string()))
}

/// Reads the id of a release from the command line.
pub(crate) fn parse_release(text: &str) -> Result<ReleaseId, CommandError> {
    text.parse().map_err(|error: InvalidId| {
        CommandError::InvalidInput(format!(
            "{error}, which is the application and twenty hexadecimal digits, such as `shop-0f3a9c1d2e4b5f6a7081`: `esclusa status` shows those on their way, \
             `esclusa audit --application APPLICATION` all"
        ))
    })
}

/// Reads a name or a digest from the command line.
pub(crate) fn parse<T>(text: &str) -> Result<T, CommandError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| CommandError::InvalidInput(error.to_string()))
}
