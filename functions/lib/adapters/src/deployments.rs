//! Reading what is written down about a release and its deployments.

use esclusa_core::error::Failure;
use esclusa_core::verdict::{Mode, StepReference};

use crate::acts::{IntentRow, Subject};
use crate::control::rows::{DeploymentRow, ReleaseRow, StepRow};
use crate::control::{Key, Stored};
use crate::journal::Journal;

/// A deployment with the release that it carries.
#[derive(Debug, Clone)]
pub struct Work {
    /// The release.
    pub release: Stored<ReleaseRow>,
    /// The deployment.
    pub deployment: Stored<DeploymentRow>,
    /// What records about it are about.
    pub subject: Subject,
}

/// The key of a step's row.
#[must_use]
pub fn step_key(deployment_id: &str, step: StepReference) -> Key {
    Key::step(deployment_id, step.mode.as_str(), step.index, step.attempt)
}

/// The lock that every deployment into an environment holds.
#[must_use]
pub fn environment_lock(application: &str, environment: &str) -> String {
    format!("environment/{application}/{environment}")
}

/// The lock that a deployment holds which migrates a database.
#[must_use]
pub fn database_lock(account: &str, region: &str, application: &str, environment: &str, database: &str) -> String {
    format!("database/{account}/{region}/{application}/{environment}/{database}")
}

impl Journal {
    /// A release.
    ///
    /// # Errors
    /// `InvalidInput` when there is none; otherwise those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn release(&self, release_id: &str) -> Result<Stored<ReleaseRow>, Failure> {
        self.control().require(&Key::release(release_id)).await
    }

    /// A deployment with its release.
    ///
    /// # Errors
    /// Those of [`Journal::release`].
    pub async fn work(&self, deployment_id: &str) -> Result<Work, Failure> {
        let deployment: Stored<DeploymentRow> = self.control().require(&Key::deployment(deployment_id)).await?;
        let release = self.release(&deployment.row.release_id).await?;
        let subject = Subject::deployment(&release.row, &deployment.row);
        Ok(Work {
            release,
            deployment,
            subject,
        })
    }

    /// The last attempt of a release at an environment, if there was one.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn last_deployment(
        &self,
        release_id: &str,
        environment: &str,
    ) -> Result<Option<Stored<DeploymentRow>>, Failure> {
        let mut last = None;
        for attempt in 1..=ATTEMPTS_PER_ENVIRONMENT {
            let key = Key::deployment(&format!("{release_id}-{environment}-{attempt}"));
            match self.control().get(&key).await? {
                Some(deployment) => last = Some(deployment),
                None => break,
            }
        }
        Ok(last)
    }

    /// What is known about every attempt at every step.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn steps(&self, deployment_id: &str) -> Result<Vec<Stored<StepRow>>, Failure> {
        let rows = self
            .control()
            .list(&Key::deployment_rows(deployment_id), Key::STEP_PREFIX)
            .await?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// What is known about one attempt at one step.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn step(&self, deployment_id: &str, step: StepReference) -> Result<Option<Stored<StepRow>>, Failure> {
        self.control().get(&step_key(deployment_id, step)).await
    }

    /// The announced acts of a deployment.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn intents(&self, deployment_id: &str) -> Result<Vec<IntentRow>, Failure> {
        let rows = self
            .control()
            .list(&Key::deployment_rows(deployment_id), Key::INTENT_PREFIX)
            .await?;
        Ok(rows
            .into_iter()
            .map(|(_, stored): (_, Stored<IntentRow>)| stored.row)
            .collect())
    }
}

/// How often the release machine plans one environment anew before it gives up.
pub const ATTEMPTS_PER_ENVIRONMENT: u32 = 5;

/// A step as the state machine names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRequest {
    /// Forward or way back.
    pub mode: Mode,
    /// From 0.
    pub index: usize,
    /// From 1.
    pub attempt: u32,
}

impl From<StepRequest> for StepReference {
    fn from(StepRequest { mode, index, attempt }: StepRequest) -> Self {
        Self { mode, index, attempt }
    }
}
