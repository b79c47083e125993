//! Whole flows, faults, models, state-machine and template checks, golden transcripts.
