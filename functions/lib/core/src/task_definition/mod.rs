//! Task definitions as the JSON of AWS, kept whole: what this code does not know survives.
//!
//! Field names and defaults follow the pages `RegisterTaskDefinition` and `ContainerDefinition` of the Amazon ECS API
//! reference.

mod diff;
mod mask;
mod normal;
mod patch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::diff::{Change, ChangeKind, diff};
pub(crate) use self::mask::masked_value;
pub use self::mask::{masked_arguments, masked_label, masked_text};
pub use self::normal::{content_sha256, same_definition};
pub use self::patch::{PatchError, patch};
use crate::identity::ReleaseId;
use crate::pipeline::{AccountId, ApplicationName, Digest, EnvironmentName, Image, Region};

/// What `DescribeTaskDefinition` answers beyond what `RegisterTaskDefinition` takes.
pub const DESCRIBE_ONLY_FIELDS: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// Tag of a registered revision: the release it was registered for.
pub const TAG_RELEASE: &str = "esclusa:release";
/// Tag of a registered revision: [`content_sha256`] of what was registered.
pub const TAG_CONTENT_SHA256: &str = "esclusa:content-sha256";
/// Tag of a registered revision: the application.
pub const TAG_APPLICATION: &str = "esclusa:application";
/// Tag of a registered revision: the environment.
pub const TAG_ENVIRONMENT: &str = "esclusa:environment";

/// An account and Region: where Esclusa runs, or where an environment is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Home {
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: Region,
}

/// `definition` without what cannot be registered.
pub fn strip(definition: &Value) -> Value {
    let mut definition = definition.clone();
    if let Some(members) = definition.as_object_mut() {
        members.retain(|name, _| !DESCRIBE_ONLY_FIELDS.contains(&name.as_str()));
    }
    definition
}

/// The address of an image pinned by its digest.
pub fn image_reference(image: &Image, home: &Home, digest: &Digest) -> String {
    let account = image.account.as_ref().unwrap_or(&home.account);
    let region = image.region.as_ref().unwrap_or(&home.region);
    let suffix = if region.as_str().starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("{account}.dkr.ecr.{region}.{suffix}/{}@{digest}", image.repository)
}

/// The tags of a revision: those of its base that can be set, and ours.
pub fn revision_tags(
    base: &BTreeMap<String, String>,
    release_id: &ReleaseId,
    application: &ApplicationName,
    environment: &EnvironmentName,
    content_sha256: &str,
) -> BTreeMap<String, String> {
    let kept = base
        .iter()
        .filter(|(name, _)| !name.starts_with("esclusa:") && !name.to_ascii_lowercase().starts_with("aws:"));
    let mut tags: BTreeMap<String, String> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let ours = [
        (TAG_RELEASE, release_id.as_str()),
        (TAG_CONTENT_SHA256, content_sha256),
        (TAG_APPLICATION, application.as_str()),
        (TAG_ENVIRONMENT, environment.as_str()),
    ];
    tags.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    tags
}

/// The containers of a definition, each with its name.
pub(crate) fn containers(definition: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let list = definition
        .get("containerDefinitions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    list.filter_map(|container| Some((container.get("name")?.as_str()?, container)))
}

#[cfg(test)]
mod tests;
