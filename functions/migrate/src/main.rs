//! Wiring of the Lambda function `migrate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_migrate::Migrate>(&esclusa_runtime::Environment::of_process())
}
