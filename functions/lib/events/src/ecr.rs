//! Events of the container registry.

use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;

open_enum! {
    /// What was done to an image.
    EcrAction {
        /// An image or a tag was pushed.
        Push = "PUSH",
        /// An image or a tag was deleted.
        Delete = "DELETE",
        /// An image was archived or restored.
        UpdateStorageClass = "UPDATE_STORAGE_CLASS",
    }
}

open_enum! {
    /// Whether the action was carried out.
    EcrResult {
        /// It was.
        Success = "SUCCESS",
        /// It was not.
        Failed = "FAILED",
    }
}

/// The detail of `ECR Image Action`: a push, a deletion or a change of storage class.
///
/// Follows "Sample events from Amazon ECR" of the ECR User Guide. Delivery is best effort: a push may have no event at
/// all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EcrImageAction {
    /// What was done.
    pub action_type: EcrAction,
    /// Whether it was done.
    pub result: EcrResult,
    /// The repository's name, without registry.
    pub repository_name: String,
    /// The digest of the manifest, such as `sha256:…`.
    #[serde(default)]
    pub image_digest: Option<String>,
    /// The tag. Manifests of the platforms of an index are pushed without one.
    #[serde(default)]
    pub image_tag: Option<String>,
    /// The media type of the manifest, where the event has it.
    #[serde(default)]
    pub manifest_media_type: Option<String>,
    /// The media type of the artifact, which tells images from signatures and the like.
    #[serde(default)]
    pub artifact_media_type: Option<String>,
}
