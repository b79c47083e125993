//! One-off tasks: what a stopped task says about itself, and what may follow from it.

mod answer;
mod classify;
mod facts;
mod mark;
mod redact;

pub use answer::{RunTaskDecision, RunTaskError, decide_answer, decide_error, is_same_run};
pub use classify::{Next, Policy, Sidecar, TaskJudgement, TaskOutcome, classify, evidence_expired, next_after};
pub use facts::{ContainerFacts, StopCode, TaskFacts};
pub use mark::{intent_of, started_by};
pub use redact::redact;

#[cfg(test)]
mod tests;
