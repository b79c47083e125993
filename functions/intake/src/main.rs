//! Wiring of the Lambda function `intake`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_intake::Intake>(&esclusa_runtime::Environment::of_process())
}
