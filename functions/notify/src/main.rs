//! Wiring of the Lambda function `notify`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_notify::Notify>(&esclusa_runtime::Environment::of_process())
}
