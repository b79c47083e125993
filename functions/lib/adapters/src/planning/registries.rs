//! Registries: where an environment pulls its images from, and whether they are there.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_core::error::Failure;
use esclusa_core::gate::Copy;
use esclusa_core::pipeline::{Digest, Image, Key as Name, ResolvedEnvironment, ResolvedStep};
use esclusa_core::plan::ObservedService;
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

    /// The verified digests that the services run now and that cannot be pulled any more.
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
            let primary = live.facts.primary().map(|primary| &primary.task_definition_arn);
            let in_force = live
                .verified
                .iter()
                .find(|revision| Some(&revision.task_definition_arn) == primary);
            for (name, pinned) in in_force.into_iter().flat_map(|revision| &revision.digests) {
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
}
