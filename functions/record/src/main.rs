//! Wiring of the Lambda function `record`.

use std::process::ExitCode;

fn main() -> ExitCode {
    esclusa_runtime::run::<esclusa_record::Record>(&esclusa_runtime::Environment::of_process())
}
