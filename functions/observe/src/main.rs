//! Wiring of the Lambda function `observe`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_observe::Observe>(&esclusa_runtime::Environment::of_process())
}
