//! The Lambda function `traffic`.

use std::process::ExitCode;

use esclusa_runtime::{Environment, run};

fn main() -> ExitCode {
    run::<esclusa_traffic::Traffic>(&Environment::of_process())
}
