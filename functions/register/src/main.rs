//! The Lambda function `register`.

use std::process::ExitCode;

use esclusa_runtime::{Environment, run};

fn main() -> ExitCode {
    run::<esclusa_register::Register>(&Environment::of_process())
}
