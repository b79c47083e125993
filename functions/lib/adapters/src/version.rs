//! The image that a person means by a version.

use esclusa_core::error::Failure;
use esclusa_core::image::{REPLICATE, elsewhere};
use esclusa_core::pipeline::{Digest, Image, Name, ResolvedEnvironment};
use esclusa_core::task_definition::Home;
use esclusa_core::version::{Version, refusal};

use crate::ecr::{ImageReader, Lookup, Repository};

/// An image that may come into an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The key of the image.
    pub key: Name,
    /// The image as the pipeline has it.
    pub image: Image,
    /// What the version stands for now; from here on only the digest counts.
    pub digest: Digest,
}

/// Finds the image of a version, and holds it against the tags that the environment takes.
///
/// # Errors
/// `Refused` when the image is not named where there are several, is elsewhere, is not there or is not taken by the
/// environment; otherwise those of [`ImageReader::by_version`].
pub async fn choose(
    images: &ImageReader,
    environment: &ResolvedEnvironment,
    key: Option<&str>,
    version: &Version,
    home: &Home,
) -> Result<Chosen, Failure> {
    let (key, image) = environment.image(key).map_err(Failure::refused)?;
    if let Some(elsewhere) = elsewhere(key, image, home) {
        return Err(Failure::refused(format!("{elsewhere}: {REPLICATE}")));
    }
    let Lookup::Found(found) = images.by_version(&Repository::of(image, home), version).await? else {
        return Err(Failure::refused(format!(
            "there is no image `{version}` in repository `{0}`: push it first, or check with `aws ecr list-images --repository-name {0}`",
            image.repository
        )));
    };
    if let Some(refusal) =
        refusal(environment, version, &found.tags).map_err(|error| Failure::defect(error.to_string()))?
    {
        return Err(Failure::refused(format!(
            "{refusal}; choose another version, or change `tags` of `{}` in the pipeline file",
            environment.name
        )));
    }
    let digest = found
        .digest
        .parse::<Digest>()
        .map_err(|error| Failure::defect(error.to_string()))?;
    Ok(Chosen {
        key: key.clone(),
        image: image.clone(),
        digest,
    })
}
