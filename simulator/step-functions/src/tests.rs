mod api;
mod errors;
mod flow;
mod harness;
mod tokens;
