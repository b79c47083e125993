//! Everything that a plan is made from, read. The plan itself is made by the core.

mod environments;
mod registries;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use esclusa_core::error::Failure;
use esclusa_core::gate::MENDED_WITHIN;
use esclusa_core::hotfix::ease;
use esclusa_core::identity::ReleaseId;
use esclusa_core::image::{deployable, said};
use esclusa_core::pipeline::{
    ApplicationName, Digest, EnvironmentName, Image, Key as Name, Pipeline, ResolvedEnvironment, ResolvedStep,
    Verification, parse, resolve,
};
use esclusa_core::plan::{
    FargateUsage, Observed, ObservedDefinition, ObservedFallback, ObservedImage, ObservedService, ObservedTwin, Plan,
    PlanInput, Platform, Powers, Refusals, RollbackInput, RunsOn, VerifiedRevision, plan, rollback_plan, unreachable,
};
use esclusa_core::protocol::lock::{Lock, LockStatus};
use esclusa_core::quarantine::Quarantine;
use esclusa_core::restore_point::{DatabaseFacts, restored_databases};
use esclusa_core::scaling::ScalingFacts;
use esclusa_core::schema::SchemaState;
use esclusa_core::service_deployment::ServiceFacts;
use esclusa_core::task_definition::Home;
use esclusa_core::wave::is_last;
use serde_json::Value;

pub use self::environments::{digest_in_force, environment_names, environments_that_run};
use crate::alarms::AlarmReader;
use crate::clock::Clock;
use crate::control::rows::{
    DeploymentRow, PipelineCurrentRow, PipelineVersionRow, ReleaseKind, ReleaseRow, VerifiedRow,
};
use crate::control::{ControlTable, Key, Repository as RepositoryKey, Stored};
use crate::databases::DatabaseReader;
use crate::deployments::environment_lock;
use crate::ecr::{ConfigurationReader, ImageReader, Lookup, Manifest, Repository};
use crate::ecs::EcsReader;
use crate::metrics::MetricReader;
use crate::places::Places;
use crate::scaling::ScalingReader;

/// How many verified revisions of a service are looked back upon.
const VERIFIED: usize = 50;

/// How many earlier states of a schema are looked back upon.
const SCHEMAS: usize = 50;

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
        // Read first: one that ends while its services are looked at is the reason of what they show.
        let under_way = self.under_way(request).await?;
        let mut observed = self.observe(&environment, &digests, released).await?;
        observed.under_way = under_way;
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

    async fn observe(
        &self,
        environment: &ResolvedEnvironment,
        digests: &BTreeMap<Name, Digest>,
        released: Option<&Name>,
    ) -> Result<Observed, Failure> {
        let cluster = &environment.cluster;
        let clusters = self.ecs.describe_clusters(std::slice::from_ref(cluster)).await?;
        let cluster_status = clusters
            .found
            .first()
            .map(|cluster| text(cluster, "status").unwrap_or_default());
        let mut observed = Observed {
            cluster_status,
            ..Observed::default()
        };
        let families: BTreeSet<&String> = environment
            .task_definitions
            .values()
            .map(|definition| &definition.family)
            .collect();
        for family in families {
            if let Some(definition) = self.ecs.describe_task_definition(family).await? {
                let latest = ObservedDefinition {
                    arn: definition.arn,
                    definition: definition.raw,
                    tags: definition.tags,
                };
                observed.families.insert(family.clone(), latest);
            }
        }
        if observed.cluster_status.is_some() {
            observed.services = self.services(environment).await?;
        }
        // Who goes back asks neither what ECS would go back to nor for room.
        if released.is_some() {
            self.fallbacks(environment, &mut observed.services).await?;
            observed.fargate = self.fargate().await?;
        }
        let mut alarms: BTreeSet<String> = environment
            .verification
            .iter()
            .flat_map(Verification::alarms)
            .cloned()
            .collect();
        let watching = observed.services.values().flat_map(ObservedService::alarms);
        alarms.extend(watching.map(str::to_owned));
        observed.alarms = self.alarms.states(&alarms).await?;
        observed.scaling = self.scaling(environment).await?;
        observed.databases = self.databases(environment).await?;
        observed.gone = self.gone(environment, &observed.services).await?;
        observed.schemas = schemas(&self.control, &environment.application, &environment.name)
            .await?
            .into_iter()
            .map(|(database, stored)| (database, stored.row))
            .collect();
        for image in environment.images.values() {
            let quarantines = quarantines(&self.control, image, self.home()).await?;
            let in_force = quarantines.into_iter().map(|stored| stored.row);
            let in_force = in_force.filter(Quarantine::is_in_force);
            observed
                .quarantined
                .extend(in_force.map(|quarantine| (quarantine.digest.clone(), quarantine)));
        }
        for (name, digest) in digests {
            if let Some(image) = environment.images.get(name)
                && let Some(facts) = self.image(image, digest, released == Some(name)).await?
            {
                observed.images.insert(name.clone(), facts);
            }
        }
        Ok(observed)
    }

    /// What taking migrations back needs to know besides.
    async fn observe_migrations(
        &self,
        environment: &ResolvedEnvironment,
        observed: &mut Observed,
    ) -> Result<(), Failure> {
        let rows = Key::environment_rows(environment.application.as_str(), environment.name.as_str());
        for (database, state) in &observed.schemas {
            let prefix = Key::schema_moved_prefix(database.as_str());
            let history: Vec<(String, Stored<SchemaState>)> = self.control.latest(&rows, &prefix, SCHEMAS).await?;
            let history = history.into_iter().map(|(_, stored)| stored.row).collect();
            observed.schema_history.insert(database.clone(), history);
            for mover in &state.moved_by {
                let arn = &mover.task_definition_arn;
                if let Some(definition) = self.ecs.describe_task_definition(arn).await? {
                    let definition = ObservedDefinition {
                        arn: definition.arn,
                        definition: definition.raw,
                        tags: definition.tags,
                    };
                    observed.movers.insert(arn.clone(), definition);
                }
            }
        }
        Ok(())
    }

    async fn services(&self, environment: &ResolvedEnvironment) -> Result<BTreeMap<String, ObservedService>, Failure> {
        let names = environment.service_names();
        let mut services = BTreeMap::new();
        for service in self.ecs.describe_services(&environment.cluster, &names).await?.found {
            let name = text(&service, "serviceName").unwrap_or_default();
            let rows = self.service_rows(&environment.cluster, &name);
            let verified: Vec<(String, Stored<VerifiedRow>)> =
                self.control.latest(&rows, Key::VERIFIED_PREFIX, VERIFIED).await?;
            services.insert(
                name,
                ObservedService {
                    facts: ServiceFacts::from_json(&service)?,
                    deployment_configuration: service.get("deploymentConfiguration").cloned().unwrap_or_default(),
                    runs_on: RunsOn::of(&service),
                    fallback: ObservedFallback::new(),
                    verified: verified
                        .into_iter()
                        .map(|(_, stored)| stored.row.revision())
                        .collect::<Vec<VerifiedRevision>>(),
                },
            );
        }
        Ok(services)
    }

    /// What Fargate runs, where that can be seen: it is looked at and no more, so that what keeps it from being seen keeps no release.
    async fn fargate(&self) -> Result<Option<FargateUsage>, Failure> {
        let seen = self.metrics.fargate_usage(self.clock.now()?).await;
        Ok(seen.unwrap_or_else(|failure| {
            tracing::warn!(message = %failure.message, "what Fargate runs could not be seen, and is not looked at");
            None
        }))
    }

    /// How the services scale that the pipeline says something about.
    async fn scaling(&self, environment: &ResolvedEnvironment) -> Result<BTreeMap<String, ScalingFacts>, Failure> {
        let mut facts = BTreeMap::new();
        for step in &environment.steps {
            if let ResolvedStep::Service(service) = step
                && service.scaling.is_some()
            {
                let live = self.scaling.facts(&environment.cluster, &service.service).await?;
                facts.insert(service.service.clone(), live);
            }
        }
        Ok(facts)
    }

    /// The databases that tasks migrate and that must have a restore point. What the installation may not read is refused by its name.
    async fn databases(&self, environment: &ResolvedEnvironment) -> Result<BTreeMap<Name, DatabaseFacts>, Failure> {
        let powers = self.powers.as_ref();
        let mut facts = BTreeMap::new();
        for (name, database) in restored_databases(environment) {
            let may_read = powers.is_none_or(|powers| powers.reads_database(database.name()));
            if may_read && let Some(found) = self.databases.facts(&database).await? {
                facts.insert(name.clone(), found);
            }
        }
        Ok(facts)
    }

    /// The environment that this one is to be set like; none where none is declared, or it cannot be read: it is compared with and no more.
    async fn twin(
        &self,
        pipeline: &Pipeline,
        environment: &ResolvedEnvironment,
    ) -> Result<Option<ObservedTwin>, Failure> {
        let Some(same_as) = &environment.same_as else {
            return Ok(None);
        };
        let Ok(there) = resolve(pipeline, same_as.environment.as_str()) else {
            return Ok(None);
        };
        let live = match self.at(&there).await {
            Ok(place) => place.live(&there).await,
            Err(failure) => Err(failure),
        };
        match live {
            Ok(live) => Ok(Some(ObservedTwin {
                settings: there.task_definitions,
                live,
            })),
            Err(failure) if failure.kind.is_retryable() => Err(failure),
            Err(_) => Ok(None),
        }
    }

    /// The task definitions that run in an environment: those of its services, and the most recent ones of what only tasks run.
    async fn live(&self, environment: &ResolvedEnvironment) -> Result<BTreeMap<Name, Value>, Failure> {
        let mut running: BTreeMap<&Name, String> = environment
            .task_definitions
            .iter()
            .map(|(name, definition)| (name, definition.family.clone()))
            .collect();
        let services: BTreeMap<&str, &Name> = environment
            .services()
            .map(|service| (service.service.as_str(), &service.task_definition))
            .collect();
        let names: Vec<String> = services.keys().map(|name| (*name).to_owned()).collect();
        for service in self.ecs.describe_services(&environment.cluster, &names).await?.found {
            let name = text(&service, "serviceName").unwrap_or_default();
            let facts = ServiceFacts::from_json(&service)?;
            if let (Some(key), Some(primary)) = (services.get(name.as_str()), facts.primary()) {
                running.insert(key, primary.task_definition_arn.clone());
            }
        }
        let mut live = BTreeMap::new();
        for (name, definition) in running {
            if let Some(definition) = self.ecs.describe_task_definition(&definition).await? {
                live.insert(name.clone(), definition.raw);
            }
        }
        Ok(live)
    }

    fn service_rows(&self, cluster: &str, service: &str) -> String {
        Key::service_rows(&service_name(&self.place, cluster, service))
    }

    /// What an image says of itself. Builders annotate an index only when they are told to; its platforms then say the same, and the first one speaks.
    async fn said(&self, repository: &Repository, manifest: &Manifest) -> Result<BTreeMap<String, String>, Failure> {
        let mut configuration = manifest.configuration.clone();
        let mut annotations = BTreeMap::new();
        if let Some(platform) = manifest.platforms.first()
            && let Lookup::Found(first) = self.images.manifest(repository, &platform.digest).await?
        {
            annotations = first.annotations;
            configuration = first.configuration;
        }
        annotations.extend(manifest.annotations.clone());
        let labels = match configuration {
            Some(digest) => self.configurations.labels(repository, &digest).await?,
            None => BTreeMap::new(),
        };
        Ok(said(labels, annotations))
    }

    /// What is known about an image; what it says of itself where it is the one that is released.
    async fn image(&self, image: &Image, digest: &Digest, is_released: bool) -> Result<Option<ObservedImage>, Failure> {
        let repository = Repository::of(image, self.home());
        let Lookup::Found(facts) = self.images.by_digest(&repository, digest.as_str()).await? else {
            return Ok(None);
        };
        let mut observed = ObservedImage {
            status: facts.status.unwrap_or_else(|| "ACTIVE".to_owned()),
            manifest_media_type: facts.manifest_media_type,
            artifact_media_type: facts.artifact_media_type,
            platforms: Vec::new(),
            said: BTreeMap::new(),
        };
        if let Lookup::Found(manifest) = self.images.manifest(&repository, digest.as_str()).await? {
            let artifact = observed.artifact_media_type.as_deref();
            let is_image = deployable(
                observed.manifest_media_type.as_deref(),
                artifact,
                Some(&observed.status),
            )
            .is_ok();
            if is_released && is_image {
                observed.said = self.said(&repository, &manifest).await?;
            }
            for platform in manifest.platforms {
                let digest = Some(read::<Digest>(&platform.digest)?);
                observed.platforms.push(Platform {
                    os: platform.os,
                    architecture: platform.architecture,
                    digest,
                });
            }
        }
        Ok(Some(observed))
    }
}

/// The pipeline in force of an application, with its version.
///
/// # Errors
/// `Refused` when there is none; otherwise those of [`pipeline_version`].
pub async fn current_pipeline(control: &ControlTable, application: &str) -> Result<(u32, Pipeline), Failure> {
    let current: Option<Stored<PipelineCurrentRow>> = control.get(&Key::pipeline_current(application)).await?;
    let Some(current) = current else {
        return Err(Failure::refused(format!(
            "there is no pipeline for application `{application}`: run `esclusa pipelines apply FILE`"
        )));
    };
    let version = current.row.version;
    let (_, pipeline) = pipeline_version(control, application, version).await?;
    Ok((version, pipeline))
}

/// The deployment that holds an environment; none while nothing is under way there.
///
/// # Errors
/// Those of [`ControlTable::get`].
pub async fn holder(
    control: &ControlTable,
    application: &str,
    environment: &str,
) -> Result<Option<DeploymentRow>, Failure> {
    let lock = environment_lock(application, environment);
    let standing: Option<Stored<Lock>> = control.get(&Key::lock(&lock)).await?;
    let held = standing.filter(|lock| lock.row.status == LockStatus::Held);
    let Some(holder) = held.and_then(|lock| lock.row.deployment_id) else {
        return Ok(None);
    };
    let row: Option<Stored<DeploymentRow>> = control.get(&Key::deployment(&holder)).await?;
    Ok(row.map(|stored| stored.row))
}

/// A version of the pipeline of an application.
///
/// # Errors
/// `Refused` when this program does not take it any more; otherwise those of [`ControlTable::require`].
pub async fn pipeline_version(
    control: &ControlTable,
    application: &str,
    version: u32,
) -> Result<(Stored<PipelineVersionRow>, Pipeline), Failure> {
    let key = Key::pipeline_version(application, version);
    let stored: Stored<PipelineVersionRow> = control.require(&key).await?;
    let pipeline = written(&stored.row)?;
    Ok((stored, pipeline))
}

/// What a version of a pipeline says, with its files.
///
/// # Errors
/// `Refused` where it is not valid for this version of esclusa.
pub fn written(row: &PipelineVersionRow) -> Result<Pipeline, Failure> {
    let PipelineVersionRow {
        application, version, ..
    } = row;
    let pipeline = parse(&row.text).map_err(|errors| errors.to_string());
    pipeline.and_then(|pipeline| pipeline.with_files(&row.files)).map_err(|reason| {
        Failure::refused(format!(
            "version {version} of the pipeline of `{application}` is not valid for this version of esclusa; correct it and apply it again with `esclusa pipelines apply FILE`: {reason}"
        ))
    })
}

/// What is known about the schemas that migrations of an application moved in an environment, by database.
///
/// # Errors
/// Those of [`ControlTable::get`].
pub async fn schemas(
    control: &ControlTable,
    application: &ApplicationName,
    environment: &EnvironmentName,
) -> Result<BTreeMap<Name, Stored<SchemaState>>, Failure> {
    let partition = Key::environment_rows(application.as_str(), environment.as_str());
    let rows: Vec<(String, Stored<SchemaState>)> = control.list(&partition, Key::SCHEMA_PREFIX).await?;
    let mut schemas = BTreeMap::new();
    for (key, stored) in rows {
        let database = key.strip_prefix(Key::SCHEMA_PREFIX).unwrap_or(&key);
        schemas.insert(read(database)?, stored);
    }
    Ok(schemas)
}

/// The digests of an image's repository that are in quarantine, and those that were released from it not long ago.
///
/// # Errors
/// Those of [`ControlTable::get`].
pub async fn quarantines(
    control: &ControlTable,
    image: &Image,
    home: &Home,
) -> Result<Vec<Stored<Quarantine>>, Failure> {
    let partition = Key::quarantines_of(RepositoryKey::of(image, home));
    let rows: Vec<(String, Stored<Quarantine>)> = control.all(&partition).await?;
    Ok(rows.into_iter().map(|(_, stored)| stored).collect())
}

/// How the rows about a service name it.
#[must_use]
pub fn service_name(home: &Home, cluster: &str, service: &str) -> String {
    format!("{}/{}/{cluster}/{service}", home.account, home.region)
}

fn files(version: &PipelineVersionRow) -> Result<BTreeMap<String, Value>, Failure> {
    let read = |(path, text): (&String, &String)| match serde_json::from_str(text) {
        Ok(definition) => Ok((path.clone(), definition)),
        Err(error) => Err(Failure::refused(format!(
            "file `{path}` of the pipeline is not JSON: {error}"
        ))),
    };
    version.files.iter().map(read).collect()
}

fn text(value: &Value, member: &str) -> Option<String> {
    value.get(member).and_then(Value::as_str).map(str::to_owned)
}

fn read<T>(text: &str) -> Result<T, Failure>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Failure::defect(format!("{error}")))
}
