//! What an environment and its images are like when a release is planned for it.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_core::error::Failure;
use esclusa_core::image::{Manifest, deployable, said};
use esclusa_core::pipeline::{
    ApplicationName, Digest, EnvironmentName, Image, Name, Pipeline, ResolvedEnvironment, ResolvedStep, Verification,
    resolve,
};
use esclusa_core::plan::{
    FargateUsage, Observed, ObservedDefinition, ObservedFallback, ObservedImage, ObservedService, ObservedTwin,
    Platform, RunsOn, VerifiedRevision,
};
use esclusa_core::quarantine::Quarantine;
use esclusa_core::restore_point::{DatabaseFacts, restored_databases};
use esclusa_core::scaling::ScalingFacts;
use esclusa_core::schema::SchemaState;
use esclusa_core::service_deployment::ServiceFacts;
use esclusa_core::task_definition::Home;
use serde_json::Value;

use super::{Planner, read};
use crate::control::rows::VerifiedRow;
use crate::control::{ControlTable, Key, Repository as RepositoryKey, Stored};
use crate::ecr::{Lookup, Repository};

/// How many verified revisions of a service are looked back upon.
const VERIFIED: usize = 50;

/// How many earlier states of a schema are looked back upon.
const SCHEMAS: usize = 50;

impl Planner {
    /// What the environment and the images of these digests are like; of the `released` image also what it says of
    /// itself.
    pub(super) async fn observe(
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
    pub(super) async fn observe_migrations(
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

    /// What Fargate runs, where that can be seen: it is looked at and no more, so that what keeps it from being seen
    /// keeps no release.
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

    /// The databases that tasks migrate and that must have a restore point. What the installation may not read is
    /// refused by its name.
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

    /// The environment that this one is to be set like; none where none is declared, or it cannot be read: it is
    /// compared with and no more.
    pub(super) async fn twin(
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

    /// The task definitions that run in an environment: those of its services, and the most recent ones of what only
    /// tasks run.
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

    /// What an image says of itself. Builders annotate an index only when they are told to; its platforms then say the
    /// same, and the first one speaks.
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
    let rows: Vec<(String, Stored<Quarantine>)> = control.all(&partition, "").await?;
    Ok(rows.into_iter().map(|(_, stored)| stored).collect())
}

/// How the rows about a service name it.
#[must_use]
pub fn service_name(home: &Home, cluster: &str, service: &str) -> String {
    format!("{}/{}/{cluster}/{service}", home.account, home.region)
}

fn text(value: &Value, member: &str) -> Option<String> {
    value.get(member).and_then(Value::as_str).map(str::to_owned)
}
