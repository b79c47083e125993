//! Reading what is written down about a release and its deployments.

use esclusa_core::error::Failure;
use esclusa_core::hotfix::Debt;
use esclusa_core::pipeline::{Name, ResolvedEnvironment};
use esclusa_core::place::check_here;
use esclusa_core::plan::{Plan, PlannedService, PlannedStep, Target};
use esclusa_core::protocol::rendezvous::InboxEvent;
use esclusa_core::task_definition::Home;
use esclusa_core::verdict::{Mode, StepReference};
use esclusa_core::wave::{ATTEMPTS_PER_ENVIRONMENT, Standing, WaveFailed, companions, first_failed};
use esclusa_core::way_back::WayBack;

use crate::acts::{IntentRow, Subject};
use crate::control::rows::{
    DeploymentRow, InboxRow, PlanRow, ReleasePointerRow, ReleaseRow, RevisionRow, StepRow, WayBackRow,
};
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

/// What was decided under the lock of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The plan is carried out.
    CarryOut(Box<Plan>),
    /// Nothing is done.
    GiveWay {
        /// The release that it gives way to.
        to: String,
    },
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

/// What a verification is called by whoever waits for a reason to look at it, and by the events of its alarms.
#[must_use]
pub fn look_resource(deployment_id: &str) -> String {
    format!("verification/{deployment_id}")
}

/// What the gates before a deployment are called by whoever waits for a reason to ask them again.
#[must_use]
pub fn gate_resource(deployment_id: &str) -> String {
    format!("gates/{deployment_id}")
}

/// The lock that a deployment holds which migrates a database: one for each application and environment, unless the
/// pipeline says under which name others share it.
#[must_use]
pub fn database_lock(home: &Home, environment: &ResolvedEnvironment, database: &Name) -> String {
    let Home { account, region } = home;
    let known = environment.databases.get(database);
    match known.and_then(|database| database.shared_as.as_ref()) {
        Some(shared_as) => format!("database/{account}/{region}/{shared_as}"),
        None => format!(
            "database/{account}/{region}/{}/{}/{database}",
            environment.application, environment.name
        ),
    }
}

impl Journal {
    /// A release.
    ///
    /// # Errors
    /// `InvalidInput` when there is none; otherwise those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn release(&self, release_id: &str) -> Result<Stored<ReleaseRow>, Failure> {
        self.control().require(&Key::release(release_id)).await
    }

    /// The releases that have not ended, of all applications.
    ///
    /// # Errors
    /// Those of [`ControlTable::all`](crate::control::ControlTable::all).
    pub async fn open_releases(&self) -> Result<Vec<ReleaseRow>, Failure> {
        let open: Vec<(String, Stored<ReleasePointerRow>)> = self.control().all(Key::OPEN_RELEASES, "").await?;
        let mut releases = Vec::new();
        for (_, pointer) in open {
            let row: Option<Stored<ReleaseRow>> = self.control().get(&Key::release(&pointer.row.release_id)).await?;
            // One may have ended since the listing, or is not closed yet.
            releases.extend(row.map(|stored| stored.row).filter(|row| row.end.is_none()));
        }
        Ok(releases)
    }

    /// What hotfixes of an application still owe, in one environment or in all of them.
    ///
    /// # Errors
    /// Those of [`ControlTable::all`](crate::control::ControlTable::all).
    pub async fn debts(
        &self,
        application: &str,
        environment: Option<&str>,
    ) -> Result<Vec<(String, Stored<Debt>)>, Failure> {
        let prefix = environment
            .map(|environment| format!("{environment}#"))
            .unwrap_or_default();
        let rows: Vec<(String, Stored<Debt>)> = self.control().all(&Key::debts_of(application), &prefix).await?;
        Ok(rows
            .into_iter()
            .filter(|(_, stored)| stored.row.settled.is_none())
            .collect())
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

    /// A deployment with its release, for whoever reads and acts in its place.
    ///
    /// # Errors
    /// `Refused` when it is in another place than this journal's; otherwise those of [`Journal::work`].
    pub async fn work_here(&self, deployment_id: &str) -> Result<Work, Failure> {
        let work = self.work(deployment_id).await?;
        check_here(deployment_id, work.deployment.row.place.as_ref(), self.place())?;
        Ok(work)
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
            let key = Key::attempt(release_id, environment, attempt);
            match self.control().get(&key).await? {
                Some(deployment) => last = Some(deployment),
                None => break,
            }
        }
        Ok(last)
    }

    /// The environment that stops the others of the wave in which a release goes into `environment`, if there is one.
    ///
    /// # Errors
    /// Those of [`Journal::last_deployment`], and of the clock.
    pub async fn wave_failed(&self, release: &ReleaseRow, environment: &str) -> Result<Option<WaveFailed>, Failure> {
        let mut rows = Vec::new();
        for name in companions(&release.environments, &release.waves, environment) {
            let last = self.last_deployment(&release.release_id, name).await?;
            rows.extend(last.map(|stored| stored.row));
        }
        let standings = rows.iter().map(|row| Standing {
            environment: &row.environment,
            attempt: row.attempt,
            end: row.end.as_ref().zip(row.ended_at),
        });
        Ok(first_failed(standings, self.clock().now()?))
    }

    /// What was decided under the lock; nothing before.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`](crate::control::ControlTable::get); `Defect` for a plan that cannot be read.
    pub async fn decision(&self, deployment_id: &str) -> Result<Option<Decision>, Failure> {
        let row: Option<Stored<PlanRow>> = self.control().get(&Key::plan(deployment_id)).await?;
        Ok(match row.map(|stored| stored.row) {
            None => None,
            Some(PlanRow::GiveWay { to }) => Some(Decision::GiveWay { to }),
            Some(PlanRow::CarryOut { plan, .. }) => Some(Decision::CarryOut(
                serde_json::from_str(&plan).map(Box::new).map_err(|error| {
                    Failure::defect(format!(
                        "the plan of deployment `{deployment_id}` cannot be read: {error}"
                    ))
                })?,
            )),
        })
    }

    /// The plan that a deployment carries out.
    ///
    /// # Errors
    /// `InvalidInput` when it was not planned under its lock, or gave way; otherwise those of [`Journal::decision`].
    pub async fn plan(&self, deployment_id: &str) -> Result<Plan, Failure> {
        match self.decision(deployment_id).await? {
            Some(Decision::CarryOut(plan)) => Ok(*plan),
            Some(Decision::GiveWay { .. }) | None => Err(Failure::invalid_input(format!(
                "deployment `{deployment_id}` carries out no plan"
            ))),
        }
    }

    /// The way back of a deployment; none where it was not planned.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn way_back(&self, deployment_id: &str) -> Result<Option<WayBack>, Failure> {
        let row: Option<Stored<WayBackRow>> = self.control().get(&Key::way_back(deployment_id)).await?;
        let Some(WayBackRow { steps, left }) = row.map(|stored| stored.row) else {
            return Ok(None);
        };
        let steps = serde_json::from_str(&steps).map_err(|error| {
            Failure::defect(format!(
                "the way back of deployment `{deployment_id}` cannot be read: {error}"
            ))
        })?;
        Ok(Some(WayBack { steps, left }))
    }

    /// One step of a deployment, as it was planned.
    ///
    /// # Errors
    /// `InvalidInput` when there is no such step.
    pub async fn planned_step(&self, deployment_id: &str, step: StepReference) -> Result<PlannedStep, Failure> {
        let steps = match step.mode {
            Mode::Forward => self.plan(deployment_id).await?.steps,
            Mode::WayBack => self.way_back(deployment_id).await?.unwrap_or_default().steps,
        };
        steps.into_iter().nth(step.index).ok_or_else(|| {
            Failure::invalid_input(format!(
                "deployment `{deployment_id}` has no step {} in mode `{}`",
                step.index,
                step.mode.as_str()
            ))
        })
    }

    /// The task definition that stands for a revision of the plan.
    ///
    /// # Errors
    /// `InvalidInput` when it was not registered yet.
    pub async fn revision(&self, deployment_id: &str, key: &str) -> Result<String, Failure> {
        let row: Stored<RevisionRow> = self.control().require(&Key::revision(deployment_id, key)).await?;
        Ok(row.row.task_definition_arn)
    }

    /// The task definition that a step brings a service to.
    ///
    /// # Errors
    /// Those of [`Journal::revision`].
    pub async fn target(&self, deployment_id: &str, service: &PlannedService) -> Result<String, Failure> {
        match &service.target {
            Target::Arn { arn } => Ok(arn.clone()),
            Target::Revision { key } => self.revision(deployment_id, key.as_str()).await,
        }
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

    /// What events, and descriptions that were kept like events, told about a resource, in no order that means
    /// anything.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn inbox(&self, resource: &str) -> Result<Vec<InboxEvent>, Failure> {
        let rows: Vec<(String, Stored<InboxRow>)> = self
            .control()
            .list(&Key::resource_rows(resource), Key::EVENT_PREFIX)
            .await?;
        Ok(rows.into_iter().map(|(_, stored)| stored.row.event).collect())
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
