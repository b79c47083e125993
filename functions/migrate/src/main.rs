//! The Lambda function `migrate`.

use std::process::ExitCode;

use esclusa_runtime::{Environment, run};

fn main() -> ExitCode {
    run::<esclusa_migrate::Migrate>(&Environment::of_process())
}
