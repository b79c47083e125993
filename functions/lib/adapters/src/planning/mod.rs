//! Everything that a plan is made from, read. The plan itself is made by the core.

mod environments;
mod observation;
mod pipelines;
mod registries;

use std::borrow::Cow;
use std::collections::BTreeMap;

use aws_config::SdkConfig;
use esclusa_core::error::Failure;
use esclusa_core::gate::MENDED_WITHIN;
use esclusa_core::hotfix::ease;
use esclusa_core::identity::ReleaseId;
use esclusa_core::pipeline::{Digest, Name, Pipeline, ResolvedEnvironment, resolve};
use esclusa_core::plan::{Plan, PlanInput, Powers, Refusals, RollbackInput, plan, rollback_plan, unreachable};
use esclusa_core::protocol::lock::LockStatus;
use esclusa_core::task_definition::Home;
use esclusa_core::wave::is_last;

pub use self::environments::{brought_by, digest_in_force, environment_names, environments_that_run, release_in_force};
pub use self::observation::{quarantines, schemas, service_name};
use self::pipelines::files;
pub use self::pipelines::{current_pipeline, pipeline_version, written};
use crate::alarms::AlarmReader;
use crate::clock::Clock;
use crate::control::rows::{DeploymentRow, PipelineVersionRow, ReleaseKind, ReleaseRow};
use crate::control::{ControlTable, Key, Stored};
use crate::databases::DatabaseReader;
use crate::ecr::{ConfigurationReader, ImageReader};
use crate::ecs::EcsReader;
use crate::locks::environment_lock_row;
use crate::metrics::MetricReader;
use crate::places::Places;
use crate::scaling::ScalingReader;

/// What is to be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRequest {
    /// The application.
    pub application: String,
    /// The environment.
    pub environment: String,
    /// The version of the pipeline file.
    pub pipeline_version: u32,
    /// The release.
    pub release_id: ReleaseId,
    /// The key of the released image.
    pub image: Name,
    /// Its digest.
    pub digest: Digest,
    /// The tag under which it was asked for, or its digest.
    pub tag: String,
    /// For a rollback, where it goes.
    pub back_to: Option<BackTo>,
    /// For a hotfix, what follows.
    pub hotfix: Option<Follows>,
    /// Whether it was planned before, so that the gates keep it while somebody may mend what was found since.
    pub asks_again: bool,
}

/// Whether another environment follows on the way of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Another one.
    Another,
    /// It is the last.
    Nothing,
}

/// Where a rollback goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackTo {
    /// The release to go back to.
    pub release_id: ReleaseId,
    /// Whether the migrations since then are taken back as well.
    pub undo_migrations: bool,
}

impl PlanRequest {
    /// What a release means for one of its environments.
    ///
    /// # Errors
    /// `Defect` for a row that no release of ours has.
    pub fn of(release: &ReleaseRow, environment: &str) -> Result<Self, Failure> {
        let back_to = match (release.kind, &release.target_release) {
            (ReleaseKind::Rollback, Some(target)) => Some(BackTo {
                release_id: read(target)?,
                undo_migrations: release.undo_migrations,
            }),
            (ReleaseKind::Rollback, None) => return Err(Failure::defect("a rollback names no release to go back to")),
            (ReleaseKind::Push | ReleaseKind::Deploy, _) => None,
        };
        Ok(Self {
            application: release.application.clone(),
            environment: environment.to_owned(),
            pipeline_version: release.pipeline_version,
            release_id: read(&release.release_id)?,
            image: read(&release.image)?,
            digest: read(&release.digest)?,
            tag: release.tag.clone(),
            back_to,
            hotfix: release.is_hotfix.then(|| {
                if is_last(&release.environments, &release.waves, environment) {
                    Follows::Nothing
                } else {
                    Follows::Another
                }
            }),
            asks_again: false,
        })
    }
}

/// Reads the world and plans. Changes nothing.
#[derive(Debug, Clone)]
pub struct Planner {
    control: ControlTable,
    ecs: EcsReader,
    images: ImageReader,
    configurations: ConfigurationReader,
    alarms: AlarmReader,
    metrics: MetricReader,
    scaling: ScalingReader,
    databases: DatabaseReader,
    clock: Clock,
    /// Where it plans for.
    place: Home,
    places: Places,
    powers: Option<Powers>,
}

impl Planner {
    /// A planner for these places.
    #[must_use]
    pub fn new(config: &SdkConfig, control: ControlTable, places: Places) -> Self {
        Self {
            control,
            ecs: EcsReader::new(config),
            images: ImageReader::new(config),
            configurations: ConfigurationReader::new(config),
            alarms: AlarmReader::new(config),
            metrics: MetricReader::new(config),
            scaling: ScalingReader::new(config),
            databases: DatabaseReader::new(config),
            clock: Clock::new(config),
            place: places.home().clone(),
            places,
            powers: None,
        }
    }

    /// The same planner in the place of an environment. Images and rows are read at home as before.
    async fn at(&self, environment: &ResolvedEnvironment) -> Result<Cow<'_, Self>, Failure> {
        let place = environment.place(self.home());
        if place == self.place {
            return Ok(Cow::Borrowed(self));
        }
        let there = self.places.config(&place).await?;
        let config = there.as_ref().unwrap_or_else(|| self.places.home_config());
        Ok(Cow::Owned(Self {
            ecs: EcsReader::new(config),
            alarms: AlarmReader::new(config),
            metrics: MetricReader::new(config),
            scaling: ScalingReader::new(config),
            databases: DatabaseReader::new(config),
            place,
            // What the roles of that place may do is written down there.
            powers: None,
            ..self.clone()
        }))
    }

    /// The same planner, which also refuses what the installation may not do.
    #[must_use]
    pub fn with_powers(self, powers: Powers) -> Self {
        Self {
            powers: Some(powers),
            ..self
        }
    }

    /// Where Esclusa runs.
    #[must_use]
    pub fn home(&self) -> &Home {
        self.places.home()
    }

    /// What the pipeline says of the environment.
    ///
    /// # Errors
    /// `Refused` when the pipeline has no meaning in the environment; otherwise those of [`ControlTable::get`].
    pub async fn environment(&self, request: &PlanRequest) -> Result<ResolvedEnvironment, Failure> {
        Ok(self.pipeline(request).await?.2)
    }

    async fn pipeline(
        &self,
        request: &PlanRequest,
    ) -> Result<(Stored<PipelineVersionRow>, Pipeline, ResolvedEnvironment), Failure> {
        let (version, pipeline) =
            pipeline_version(&self.control, &request.application, request.pipeline_version).await?;
        let mut environment =
            resolve(&pipeline, &request.environment).map_err(|error| Failure::refused(error.to_string()))?;
        if let Some(follows) = request.hotfix {
            ease(&mut environment, follows == Follows::Nothing);
        }
        Ok((version, pipeline, environment))
    }

    /// Plans, or says everything that is in the way.
    ///
    /// # Errors
    /// What AWS answered where it could not be read; `Refused` when the pipeline has no meaning in the environment.
    pub async fn plan(&self, request: &PlanRequest) -> Result<Result<Plan, Refusals>, Failure> {
        let (version, pipeline, environment) = self.pipeline(request).await?;
        if let Some(refusal) = unreachable(&environment, self.home()).filter(|_| !self.places.is_connected()) {
            return Ok(Err(Refusals(vec![refusal])));
        }
        for key in environment.replicas.keys() {
            let pulled = environment.pulled_from(key, self.home());
            let place = pulled.map(|image| self.registry_of(&image));
            // Where its registry cannot be asked, the gate would find out when everything else is done.
            if let Some(place) = place {
                self.places.config(&place).await?;
            }
        }
        let there = self.at(&environment).await?;
        there.plan_there(request, &version, &pipeline, environment).await
    }

    async fn plan_there(
        &self,
        request: &PlanRequest,
        version: &Stored<PipelineVersionRow>,
        pipeline: &Pipeline,
        environment: ResolvedEnvironment,
    ) -> Result<Result<Plan, Refusals>, Failure> {
        let digests = self.digests(request, &environment).await?;
        // Who goes back brings an image of which is known already what it asks.
        let released = request.back_to.is_none().then_some(&request.image);
        // Asked before and after: one that ends or begins while the services are looked at is the reason of what they
        // show.
        let before = self.under_way(request).await?;
        let mut observed = self.observe(&environment, &digests, released).await?;
        observed.under_way = match before {
            Some(other) => Some(other),
            None => self.under_way(request).await?,
        };
        let now = self.clock.now()?;
        if request.asks_again {
            observed
                .quarantined
                .retain(|_, quarantine| now.duration_since(quarantine.since) >= MENDED_WITHIN);
        }
        observed.twin = self.twin(pipeline, &environment).await?;
        if request.back_to.as_ref().is_some_and(|back_to| back_to.undo_migrations) {
            self.observe_migrations(&environment, &mut observed).await?;
        }
        Ok(match &request.back_to {
            Some(target) => {
                let input = RollbackInput {
                    environment,
                    image: request.image.clone(),
                    target: Some(target.release_id.clone()),
                    undo_migrations: target.undo_migrations,
                    pipeline_version: u64::from(request.pipeline_version),
                    release_id: request.release_id.clone(),
                    home: self.home().clone(),
                };
                rollback_plan(&input, &observed, now)
            }
            None => {
                let input = PlanInput {
                    environment,
                    image: request.image.clone(),
                    tag: request.tag.clone(),
                    digests,
                    files: files(&version.row)?,
                    pipeline_version: u64::from(request.pipeline_version),
                    release_id: request.release_id.clone(),
                    home: self.home().clone(),
                    powers: self.powers.clone(),
                };
                plan(&input, &observed, now)
            }
        })
    }

    /// The deployment of another release that holds the environment.
    async fn under_way(&self, request: &PlanRequest) -> Result<Option<String>, Failure> {
        let held_by = holder(&self.control, &request.application, &request.environment).await?;
        let other = held_by.filter(|holder| holder.release_id != request.release_id.as_str());
        Ok(other.map(|holder| holder.deployment_id))
    }

    /// The digest of the released image, and of every other image the one in force.
    async fn digests(
        &self,
        request: &PlanRequest,
        environment: &ResolvedEnvironment,
    ) -> Result<BTreeMap<Name, Digest>, Failure> {
        let PlanRequest {
            application,
            environment: name,
            ..
        } = request;
        let mut digests = BTreeMap::new();
        for image in environment.images.keys().filter(|image| **image != request.image) {
            let in_force = digest_in_force(&self.control, application, name, image.as_str()).await?;
            if let Some(digest) = in_force {
                digests.insert(image.clone(), read(&digest)?);
            }
        }
        digests.insert(request.image.clone(), request.digest.clone());
        Ok(digests)
    }
}

/// The deployment that holds an environment; none while nothing is under way there.
async fn holder(
    control: &ControlTable,
    application: &str,
    environment: &str,
) -> Result<Option<DeploymentRow>, Failure> {
    let standing = environment_lock_row(control, application, environment).await?;
    let held = standing.filter(|lock| lock.row.status == LockStatus::Held);
    let Some(holder) = held.and_then(|lock| lock.row.deployment_id) else {
        return Ok(None);
    };
    let row: Option<Stored<DeploymentRow>> = control.get(&Key::deployment(&holder)).await?;
    Ok(row.map(|stored| stored.row))
}

fn read<T>(text: &str) -> Result<T, Failure>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Failure::defect(format!("{error}")))
}
