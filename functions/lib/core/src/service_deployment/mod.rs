//! Services: whether to call at all, and whether a rollout is over and proven. A stable service is no proof: it is as
//! stable after a rollback.

mod before;
mod facts;
mod judge;
mod ours;

pub use before::{Before, BeforeUpdate, Wanted, before_update};
pub use facts::{DeploymentCounts, RevisionFacts, ServiceDeploymentFacts, ServiceDeploymentStatus, ServiceFacts};
pub(crate) use judge::another_digest;
pub use judge::{Expected, Judgement, Observed, Proof, is_over, judge, still_in_force};
pub use ours::{Candidate, ours};

#[cfg(test)]
mod tests;
