//! Wiring of the Lambda function `console`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_console::Console>(&esclusa_runtime::Environment::of_process())
}
