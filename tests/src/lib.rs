//! Whole flows, faults, models, state-machine and template checks, golden transcripts.

pub mod state_machines;
pub mod template;
