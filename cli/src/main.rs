//! The command line of Esclusa.
fn main() {}
