//! Wiring of the Lambda function `register`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_register::Register>(&esclusa_runtime::Environment::of_process())
}
