//! Prints the JSON Schema of the pipeline file: `cargo run -q -p esclusa-core --example pipeline_schema >
//! docs/pipeline.schema.json`.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    writeln!(io::stdout(), "{:#}", esclusa_core::pipeline::schema())
}
