//! The checker: reads nothing but the AWS APIs, the ledger and the heads of its chains, and shares no decision with
//! what it checks.
//!
//! It does not ask what the deployer believes. From ECS it wants to see the image run, from the ledger that what
//! happened is written down without a gap.

mod record;
mod running;

use std::fmt::Display;

use aws_config::SdkConfig;
use aws_sdk_ecs::error::DisplayErrorContext;

pub use record::record_is_whole;
pub use running::image_runs;

/// What shall run where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The environment, for the words of the answer.
    pub environment: String,
    /// The name of the ECS cluster.
    pub cluster: String,
    /// The repository: every service of the cluster that runs an image of it is looked at.
    pub repository: String,
    /// The digest that has to run, as `sha256:…`.
    pub digest: String,
    /// How it came there.
    pub arrival: Arrival,
}

/// How an image came to run where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrival {
    /// By the newest service deployment, which succeeded.
    #[default]
    Deployed,
    /// It ran before, and the newest service deployment either succeeded or was rolled back to it.
    Restored,
}

/// What was looked at, in readable lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opinion {
    /// What is proven.
    pub proven: Vec<String>,
    /// What is not as it should be. Empty when the checker agrees.
    pub findings: Vec<String>,
}

impl Opinion {
    /// Whether nothing is wrong and something was proven: a checker that saw nothing does not agree.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.findings.is_empty() && !self.proven.is_empty()
    }

    /// Both opinions in one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.proven.extend(other.proven);
        self.findings.extend(other.findings);
        self
    }

    fn require(&mut self, holds: bool, proven: impl Display, finding: impl Display) {
        if holds {
            self.proven.push(proven.to_string());
        } else {
            self.findings.push(finding.to_string());
        }
    }
}

/// Whether the image runs in every place that is asked about, and the record of the release is whole and says that it
/// succeeded.
pub async fn check(config: &SdkConfig, questions: &[Question], application: &str, release_id: &str) -> Opinion {
    let mut opinion = Opinion::default();
    for question in questions {
        opinion = opinion.and(image_runs(config, question).await);
    }
    opinion.and(record_is_whole(config, application, release_id).await)
}

/// The answer of an operation, or the finding that there is none.
fn asked<T, E: std::error::Error>(operation: &str, answer: Result<T, E>) -> Result<T, String> {
    answer.map_err(|error| format!("`{operation}` cannot be asked: {}", DisplayErrorContext(&error)))
}

/// A digest by as many digits as tell two apart by eye.
fn short(digest: &str) -> String {
    digest.chars().take(19).collect()
}

/// The last part of an ARN.
fn name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
