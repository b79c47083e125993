//! What an image says of itself, whether an object of a registry is one that can be deployed, and whether its
//! repository is where Esclusa reads.

mod manifest;

use std::collections::BTreeMap;

pub use self::manifest::{Configuration, Manifest, PlatformImage, labels};
use crate::pipeline::{Image, Name};
use crate::task_definition::Home;

/// What helps with an image of elsewhere.
pub const REPLICATE: &str =
    "replicate the repository there with `aws ecr put-replication-configuration`, and leave `account` and `region` out";

/// Manifests of images and of indexes over several platforms.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// The configurations that make a manifest an image. A signature or an attestation has another.
const CONFIGURATIONS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// The labels that many a base image sets for itself, and that every image inherits which is built on it.
const OF_BASE_IMAGES: &str = "org.opencontainers.image.";

/// What an image says of itself: the [labels](https://github.com/opencontainers/image-spec/blob/main/config.md#properties) of its configuration, and the
/// annotations of its manifest, which count where both say something. What a label says of the version of an image may
/// be that of its base image: such labels say nothing.
#[must_use]
pub fn said(labels: BTreeMap<String, String>, annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut said = labels;
    said.retain(|name, _| !name.starts_with(OF_BASE_IMAGES));
    said.extend(annotations);
    said
}

/// Whether an object with these media types and status is an image that can be pulled; absent values are those of older
/// registries and of indexes.
///
/// # Errors
/// Why not, for people.
pub fn deployable(manifest: Option<&str>, artifact: Option<&str>, status: Option<&str>) -> Result<(), String> {
    if let Some(manifest) = manifest.filter(|manifest| !MANIFESTS.contains(manifest)) {
        return Err(format!("a manifest of type `{manifest}` is not an image"));
    }
    if let Some(artifact) = artifact.filter(|artifact| !CONFIGURATIONS.contains(artifact)) {
        return Err(format!("an artifact of type `{artifact}` is not an image"));
    }
    match status {
        None | Some("ACTIVE") => Ok(()),
        Some(status) => Err(format!(
            "the image is `{status}`: restore it with `aws ecr update-image-storage-class`"
        )),
    }
}

/// Why an image cannot be read: its repository is in another account or Region. None where it can.
#[must_use]
pub fn elsewhere(key: &Name, image: &Image, home: &Home) -> Option<String> {
    let account = image.account.as_ref().unwrap_or(&home.account);
    let region = image.region.as_ref().unwrap_or(&home.region);
    let is_elsewhere = (account, region) != (&home.account, &home.region);
    is_elsewhere.then(|| {
        format!(
            "the image `{key}` is in account {account}, `{region}`, but Esclusa runs in {}, `{}`",
            home.account, home.region
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_count_before_labels_and_what_a_base_image_says_of_itself_is_not_said() {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            pairs.collect()
        };
        let version = "org.opencontainers.image.version";
        let labels = of(&[
            (version, "24.04"),
            ("esclusa.migration", "of a label"),
            ("com.example.tests", "passed"),
        ]);
        assert_eq!(
            said(labels.clone(), of(&[("esclusa.migration", "of an annotation")])),
            of(&[
                ("esclusa.migration", "of an annotation"),
                ("com.example.tests", "passed")
            ])
        );
        assert_eq!(said(labels, of(&[(version, "1.6.0")]))[version], "1.6.0");
    }

    #[test]
    fn signatures_attestations_and_archived_images_are_not_deployable() {
        let image = Some("application/vnd.oci.image.manifest.v1+json");
        let configuration = Some("application/vnd.oci.image.config.v1+json");
        assert_eq!(deployable(image, configuration, Some("ACTIVE")), Ok(()));
        assert_eq!(deployable(None, None, None), Ok(()));
        for (manifest, artifact, status) in [
            (Some("application/vnd.in-toto+json"), None, None),
            (image, Some("application/vnd.dev.cosign.artifact.sig.v1+json"), None),
            (image, configuration, Some("ARCHIVED")),
        ] {
            assert!(
                deployable(manifest, artifact, status).is_err(),
                "{manifest:?} {artifact:?} {status:?}"
            );
        }
    }
}
