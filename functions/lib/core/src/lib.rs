//! The decisions of Esclusa, pure: pipeline, plan, protocols, verdicts, audit chain.

pub mod canonical;
