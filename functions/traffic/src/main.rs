//! Wiring of the Lambda function `traffic`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_traffic::Traffic>(&esclusa_runtime::Environment::of_process())
}
