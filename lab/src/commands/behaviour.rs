//! `lab behaviour`: what makes an image of one's own behave in the simulated AWS.

use std::process::ExitCode;

use clap::Args;
use lab::example::{Example, NAMES};
use lab::images::Kind;

use super::CommandError;
use super::page::Page;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Behaviour {
    /// Whose image it is
    #[arg(long, default_value = "imagy-catalog", value_parser = NAMES)]
    application: String,
    /// How the image behaves
    #[arg(long, value_enum, default_value_t)]
    image: Kind,
}

pub(crate) fn execute(behaviour: &Behaviour) -> Result<ExitCode, CommandError> {
    let example = Example::load(&behaviour.application)?;
    Page::of_process().text(example.behaviour(behaviour.image))?;
    Ok(ExitCode::SUCCESS)
}
