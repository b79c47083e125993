//! Registries: where an environment pulls its images from, and whether they are there.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::gate::Copy;
use esclusa_core::pipeline::{Digest, Image, Name, RepositoryName, ResolvedEnvironment, ResolvedStep};
use esclusa_core::plan::{EcrImage, FallbackImage, ObservedFallback, ObservedService, Powers, Sight, references};
use esclusa_core::service_deployment::{DeploymentCounts, RevisionFacts, ServiceFacts};
use esclusa_core::task_definition::Home;

use super::Planner;
use crate::ecr::{ImageReader, Lookup, Repository};

impl Planner {
    /// The images that are replicated to an environment, of those that a release brings, and whether they have arrived.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn copies(
        &self,
        environment: &ResolvedEnvironment,
        images: &BTreeMap<Name, Digest>,
    ) -> Result<Vec<Copy>, Failure> {
        let mut copies = Vec::new();
        for (key, replica) in &environment.replicas {
            let pulled = environment.pulled_from(key, self.home());
            let Some((digest, pulled)) = images.get(key).zip(pulled) else {
                continue;
            };
            let found = self.pulled(environment, key, digest).await?;
            let home = self.home();
            let place = (
                pulled.account.as_ref().unwrap_or(&home.account),
                pulled.region.as_ref().unwrap_or(&home.region),
            );
            copies.push(Copy {
                image: key.to_string(),
                repository: format!("{}/{}/{}", place.0, place.1, pulled.repository),
                is_there: found,
                seconds: replica.replication_seconds,
            });
        }
        Ok(copies)
    }

    /// The place of the registry of an image.
    pub(super) fn registry_of(&self, image: &Image) -> Home {
        let home = self.home();
        Home {
            account: image.account.clone().unwrap_or_else(|| home.account.clone()),
            region: image.region.clone().unwrap_or_else(|| home.region.clone()),
        }
    }

    /// Whether an environment can pull an image.
    async fn pulled(&self, environment: &ResolvedEnvironment, key: &Name, digest: &Digest) -> Result<bool, Failure> {
        let home = self.home();
        let Some(image) = environment.pulled_from(key, home) else {
            return Ok(false);
        };
        let place = match environment.replicas.get(key) {
            // An image of home is read at home, wherever it is pulled.
            None => home.clone(),
            Some(_) => self.registry_of(&image),
        };
        let repository = Repository::of(&image, home);
        let there = self.places.config(&place).await?;
        let there = there.as_ref().map(ImageReader::new);
        let images = there.as_ref().unwrap_or(&self.images);
        Ok(match images.by_digest(&repository, digest.as_str()).await? {
            Lookup::Found(image) => image.status.is_none_or(|status| status == "ACTIVE"),
            Lookup::ImageNotFound | Lookup::RepositoryNotFound => false,
        })
    }

    /// The verified digests that the services run now, or go back to, and that cannot be pulled any more.
    pub(super) async fn gone(
        &self,
        environment: &ResolvedEnvironment,
        services: &BTreeMap<String, ObservedService>,
    ) -> Result<BTreeSet<Digest>, Failure> {
        let mut running = BTreeSet::new();
        for step in &environment.steps {
            let ResolvedStep::Service(service) = step else { continue };
            let containers = environment.task_definitions.get(&service.task_definition);
            let Some((live, definition)) = services.get(&service.service).zip(containers) else {
                continue;
            };
            let revisions = live.in_force().into_iter().chain(live.instead());
            for (name, pinned) in revisions.flat_map(|revision| &revision.digests) {
                let image = definition
                    .containers
                    .get(name)
                    .and_then(|container| container.image.as_ref());
                if let Some(image) = image.filter(|key| environment.images.contains_key(*key)) {
                    running.insert((image.clone(), pinned.digest.clone()));
                }
            }
        }
        let mut gone = BTreeSet::new();
        for (key, digest) in running {
            if !self.pulled(environment, &key, &digest).await? {
                gone.insert(digest);
            }
        }
        Ok(gone)
    }

    /// Looks at the images of what the services run that is no revision of ours.
    pub(super) async fn fallbacks(
        &self,
        environment: &ResolvedEnvironment,
        services: &mut BTreeMap<String, ObservedService>,
    ) -> Result<(), Failure> {
        let pulled = environment
            .images
            .keys()
            .filter_map(|key| environment.pulled_from(key, self.home()));
        let own = environment.images.values().map(|image| image.repository.clone());
        let ours: BTreeSet<RepositoryName> = pulled.map(|image| image.repository).chain(own).collect();
        for live in services.values_mut() {
            let is_completed = |primary: &&DeploymentCounts| primary.rollout_state.as_deref() == Some("COMPLETED");
            // Where nothing runs nobody knows whether its image was ever there.
            let is_at_work = live.facts.desired > 0 || live.facts.running > 0;
            if is_at_work
                && live.in_force().is_none()
                && let Some(primary) = live.facts.primary().filter(is_completed)
            {
                live.fallback = self.fallback(&live.facts, &primary.task_definition_arn, &ours).await?;
            }
        }
        Ok(())
    }

    async fn fallback(
        &self,
        service: &ServiceFacts,
        task_definition_arn: &str,
        ours: &BTreeSet<RepositoryName>,
    ) -> Result<ObservedFallback, Failure> {
        let mut fallback = ObservedFallback::new();
        let Some(definition) = self.ecs.describe_task_definition(task_definition_arn).await? else {
            return Ok(fallback);
        };
        // A tag is resolved by the first task of a deployment, and may have moved since: the revision knows the digest
        // that ECS goes back to.
        let shown = self
            .ecs
            .describe_service_revisions(&service.current_service_revisions)
            .await;
        let shown = match shown {
            Ok(shown) => shown.found,
            Err(failure) if failure.kind == ErrorKind::AccessDenied => Vec::new(),
            Err(failure) => return Err(failure),
        };
        let revisions = shown.iter().map(RevisionFacts::from_json);
        let revisions = revisions.collect::<Result<Vec<_>, Failure>>()?;
        let in_force = revisions
            .iter()
            .find(|revision| revision.task_definition_arn == task_definition_arn);
        for (container, reference) in references(&definition.raw) {
            let digest = in_force.and_then(|revision| revision.digests.get(container));
            let sight = self.sight(reference, digest.map(String::as_str), ours).await?;
            let reference = reference.to_owned();
            fallback.insert(container.to_owned(), FallbackImage { reference, sight });
        }
        Ok(fallback)
    }

    /// Whether an image that somebody else chose can be pulled, where its registry is one that is read. What a
    /// repository does not have that is none of the pipeline's may come back by itself, as through a pull-through
    /// cache.
    async fn sight(
        &self,
        reference: &str,
        resolved: Option<&str>,
        ours: &BTreeSet<RepositoryName>,
    ) -> Result<Sight, Failure> {
        let Some(image) = EcrImage::parse(reference) else {
            return Ok(Sight::NotLookedAt);
        };
        let is_home = image.place == *self.home();
        let may_read = |powers: &Powers| !is_home || powers.reads_repository(&image.repository);
        if (!is_home && image.place != self.place) || !self.powers.as_ref().is_none_or(may_read) {
            return Ok(Sight::NotLookedAt);
        }
        let there = self.places.config(&image.place).await?;
        let there = there.as_ref().map(ImageReader::new);
        let images = there.as_ref().unwrap_or(&self.images);
        let is_ours = ours.iter().any(|ours| ours.as_str() == image.repository);
        let repository = Repository {
            account: image.place.account.to_string(),
            name: image.repository,
        };
        let looked = match (resolved.or(image.digest.as_deref()), image.tag) {
            (Some(digest), _) => images.by_digest(&repository, digest).await,
            (None, Some(tag)) => images.by_tag(&repository, &tag).await,
            (None, None) => return Ok(Sight::NotLookedAt),
        };
        Ok(match looked {
            Ok(Lookup::Found(image)) if image.status.as_deref().is_none_or(|status| status == "ACTIVE") => Sight::There,
            Ok(_) if is_ours => Sight::Gone,
            Ok(_) => Sight::NotLookedAt,
            Err(failure) if failure.kind == ErrorKind::AccessDenied => Sight::NotLookedAt,
            Err(failure) => return Err(failure),
        })
    }
}
