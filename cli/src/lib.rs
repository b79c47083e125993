//! The command `esclusa`: applies pipeline files, shows plans, asks for releases and follows them, tells what happened.
//!
//! It decides nothing by itself. It reads the two tables and ECS, asks the `intake` function for releases, and writes
//! through the same journal as the functions do: a pipeline version, a lifted quarantine. Everything goes through the
//! [`SdkConfig`] it is given, the time included, so that it runs against a simulated AWS in the same process.

mod arguments;
mod aws;
mod commands;
mod error;
mod output;
mod pipelines;
mod render;
mod session;
mod situation;

use std::ffi::OsString;

use aws_config::SdkConfig;

pub use arguments::Arguments;
pub use error::{CommandError, Exit};
pub use output::{Captured, Format, Output};

/// Runs one command line, the name of the program first, as a process would, and answers its exit code.
///
/// `--profile` has no effect here: the credentials are those of `config`.
pub async fn run<Words>(words: Words, config: &SdkConfig, output: &mut Output) -> Exit
where
    Words: IntoIterator,
    Words::Item: Into<OsString>,
{
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    match Arguments::read(&words, output) {
        Ok(arguments) => execute(&arguments, config, output).await,
        Err(exit) => exit,
    }
}

/// Runs a command line that was parsed.
pub async fn execute(arguments: &Arguments, config: &SdkConfig, output: &mut Output) -> Exit {
    output.set_format(arguments.format());
    match commands::execute(arguments, config, output).await {
        Ok(exit) => exit,
        Err(error) if arguments.is_plan() => output.report(&error).of_plan(),
        Err(error) => output.report(&error),
    }
}

#[cfg(test)]
mod tests;
