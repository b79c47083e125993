//! Wiring of the Lambda function `update`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_update::Update>(&esclusa_runtime::Environment::of_process())
}
