//! Wiring of the Lambda function `resume`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_resume::Resume>(&esclusa_runtime::Environment::of_process())
}
