//! Whole flows, faults, models, state-machine and template checks, properties of parsers, golden transcripts.

pub mod fuzzed;
pub mod state_machines;
pub mod template;
