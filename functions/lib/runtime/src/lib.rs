//! Lambda wiring: configuration from the environment, logs, measures, and errors that Step Functions can branch on.
//!
//! A function implements [`Function`]; its `main` is one call of [`run`]. Nothing else of a function knows that Lambda
//! exists, so the simulator runs the same code.

mod environment;
mod function;
mod invoke;
mod log;
mod round;
mod run;
mod telemetry;

pub use environment::Environment;
pub use function::{Function, Invocation, parse_request};
pub use invoke::{diagnostic, invoke};
pub use lambda_runtime::Diagnostic;
pub use log::subscriber;
pub use round::Round;
pub use run::run;
pub use telemetry::{METRICS, Measure};
