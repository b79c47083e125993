//! Is a digest an image that can run?

use serde_json::Value;

use super::refusal::{Refusal, RefusalKind};
use super::{Observed, ObservedImage, Platform};
use crate::image::{REPLICATE, deployable, elsewhere};
use crate::pipeline::{Digest, Image, Name};
use crate::task_definition::Home;

/// What is in the way of running the image at all.
pub(super) fn check(
    key: &Name,
    image: &Image,
    home: &Home,
    digest: &Digest,
    observed: Option<&ObservedImage>,
) -> Option<Refusal> {
    let repository = &image.repository;
    if let Some(message) = elsewhere(key, image, home) {
        return Some(Refusal::new(RefusalKind::Elsewhere, message, REPLICATE));
    }
    let Some(observed) = observed else {
        let message = format!("the image `{key}` is not in the repository `{repository}` under `{digest}`");
        let help =
            format!("push it again, or choose another: `aws ecr describe-images --repository-name {repository}`");
        return Some(Refusal::new(RefusalKind::ImageMissing, message, help));
    };
    let (manifest, artifact) = (
        observed.manifest_media_type.as_deref(),
        observed.artifact_media_type.as_deref(),
    );
    if let Err(reason) = deployable(manifest, artifact, None) {
        let message = format!("`{digest}` in `{repository}` cannot run: {reason}");
        return Some(Refusal::new(
            RefusalKind::NotAnImage,
            message,
            "push the image itself, or deny the tag with `tags.deny`",
        ));
    }
    let status = &observed.status;
    deployable(None, None, Some(status)).err().map(|_| {
        let message = format!("the image `{key}`, `{digest}`, is {status} and cannot be pulled");
        let help = format!(
            "restore it: `aws ecr update-image-storage-class --repository-name {repository} --image-id imageDigest={digest} \
             --target-storage-class STANDARD`"
        );
        Refusal::new(RefusalKind::ImageMissing, message, help)
    })
}

/// What keeps an image out that failed before.
pub(super) fn check_quarantine(key: &Name, digest: &Digest, observed: &Observed) -> Option<Refusal> {
    let quarantine = observed.quarantined.get(digest)?;
    let help = format!("push a version that works, or run `esclusa quarantine release {digest} --reason …`");
    Some(Refusal::new(RefusalKind::Quarantined, quarantine.sentence(key), help))
}

/// What is in the way of running the image with this definition. Nothing is said when the platforms are not known.
pub(super) fn check_platform(
    key: &Name,
    observed: &ObservedImage,
    family: &str,
    definition: &Value,
) -> Option<Refusal> {
    let runtime = |field: &str| {
        definition
            .pointer(&format!("/runtimePlatform/{field}"))
            .and_then(Value::as_str)
    };
    let architecture = match runtime("cpuArchitecture") {
        Some("ARM64") => "arm64",
        _ => "amd64",
    };
    let os = match runtime("operatingSystemFamily") {
        Some(family) if family.starts_with("WINDOWS") => "windows",
        _ => "linux",
    };
    let fits = |platform: &Platform| platform.architecture == architecture && platform.os == os;
    if observed.platforms.is_empty() || observed.platforms.iter().any(fits) {
        return None;
    }
    let existing: Vec<String> = observed
        .platforms
        .iter()
        .map(|platform| format!("`{}/{}`", platform.os, platform.architecture))
        .collect();
    let message = format!(
        "the image `{key}` is built for {}, but `{family}` runs on `{os}/{architecture}`",
        existing.join(", ")
    );
    let help = format!(
        "build it with `docker buildx build --platform {os}/{architecture}`, or change `runtimePlatform` of the family"
    );
    Some(Refusal::new(RefusalKind::Platform, message, help))
}
