//! The Lambda function `update`.

use std::process::ExitCode;

use esclusa_runtime::{Environment, run};

fn main() -> ExitCode {
    run::<esclusa_update::Update>(&Environment::of_process())
}
