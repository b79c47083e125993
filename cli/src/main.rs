//! The command `esclusa`.

use std::ffi::OsString;
use std::process::ExitCode;

use esclusa_cli::{Arguments, Output};

fn main() -> ExitCode {
    let mut output = Output::of_process();
    let words: Vec<OsString> = std::env::args_os().collect();
    let arguments = match Arguments::read(&words, &mut output) {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.give_up(&error).into(),
    };
    runtime
        .block_on(async {
            let config = arguments.load_config().await;
            esclusa_cli::execute(&arguments, &config, &mut output).await
        })
        .into()
}
