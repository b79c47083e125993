//! The command `esclusa`.

use std::process::ExitCode;

use esclusa_cli::{Arguments, Output};

fn main() -> ExitCode {
    let arguments = Arguments::from_process();
    let mut output = Output::of_process();
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
