//! Operations on the images of one repository.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simulator_kernel::{Activity, ApiError, Behaviour, Image, ImageStatus, Kernel};

use super::super::{Input, epoch_seconds, invalid, page};
use super::{Mutability, events, images_of, no_repository};

pub(super) fn put(
    input: Input<'_>,
    labels: BTreeMap<String, String>,
    mutability: &Mutability,
    kernel: &mut Kernel,
) -> Result<Value, ApiError> {
    let repository = input.required("repositoryName")?;
    let manifest = input.required("imageManifest")?;
    let tag = input.text("imageTag");
    let pushed = image(input, manifest, labels, kernel)?;
    if input.text("imageDigest").is_some_and(|digest| digest != pushed.digest) {
        let message = format!(
            "The specified image digest does not match the digest that Amazon ECR calculated: {}",
            pushed.digest
        );
        return Err(ApiError::client("ImageDigestDoesNotMatchException", message));
    }
    let digest = pushed.digest.clone();
    let holder = tag
        .and_then(|tag| kernel.images.by_tag(repository, tag))
        .map(|image| image.digest.clone());
    let exists = kernel.images.by_digest(repository, &digest).is_some();
    if exists && (tag.is_none() || holder.as_deref() == Some(digest.as_str())) {
        let tagged = tag.map(|tag| format!(" and tag '{tag}'")).unwrap_or_default();
        let message = format!(
            "Image with digest '{digest}'{tagged} already exists in the repository with name '{repository}' in registry with id '{}'",
            kernel.account()
        );
        return Err(ApiError::client("ImageAlreadyExistsException", message));
    }
    if let (Some(tag), Some(_)) = (tag, &holder)
        && !mutability.allows_moving(tag)
    {
        let message = format!(
            "The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten because the tag is immutable."
        );
        return Err(ApiError::client("ImageTagAlreadyExistsException", message));
    }
    let images = kernel.images.repositories.entry(repository.to_owned()).or_default();
    if let (Some(tag), Some(holder)) = (tag, holder)
        && let Some(image) = images.get_mut(&holder)
    {
        image.tags.remove(tag);
    }
    let image = images.entry(digest).or_insert(pushed);
    image.tags.extend(tag.map(str::to_owned));
    let image = image.clone();
    events::image_action(kernel, "PUSH", repository, &image, tag);
    Ok(json!({"image": summary(&image, repository, tag, kernel)}))
}

fn image(
    input: Input<'_>,
    manifest: &str,
    labels: BTreeMap<String, String>,
    kernel: &Kernel,
) -> Result<Image, ApiError> {
    let parsed: Value = serde_json::from_str(manifest).map_err(|error| {
        invalid(format!(
            "Invalid parameter at 'imageManifest' failed to satisfy constraint: {error}"
        ))
    })?;
    check_manifest(&parsed, input.text("imageManifestMediaType"))?;
    let media_type = input.text("imageManifestMediaType").or_else(|| Input(&parsed).text("mediaType")).ok_or_else(|| {
        invalid("Invalid parameter at 'imageManifestMediaType': the manifest names no `mediaType` and the request names none either")
    })?;
    let artifact = parsed
        .get("artifactType")
        .or_else(|| parsed.pointer("/config/mediaType"))
        .and_then(Value::as_str);
    let image = Image {
        digest: format!("sha256:{}", hex::encode(Sha256::digest(manifest.as_bytes()))),
        tags: BTreeSet::new(),
        manifest: manifest.to_owned(),
        manifest_media_type: media_type.to_owned(),
        artifact_media_type: artifact.map(str::to_owned),
        labels,
        pushed_at: kernel.now(),
        status: ImageStatus::Active,
    };
    check_script(&image)?;
    Ok(image)
}

/// Refuses what is no manifest of an image or an index, or is not of the media type by which it was sent.
pub(crate) fn check_manifest(manifest: &Value, sent_as: Option<&str>) -> Result<(), ApiError> {
    let refused = |why: &str| {
        Err(invalid(format!(
            "Invalid parameter at 'imageManifest' failed to satisfy constraint: {why}"
        )))
    };
    let Some(members) = manifest.as_object() else {
        return refused("it is not an object");
    };
    match members.get("mediaType").map(Value::as_str) {
        Some(None) => return refused("`mediaType` is not a string"),
        Some(Some(own)) if sent_as.is_some_and(|sent_as| sent_as != own) => {
            return refused("`mediaType` is not the media type by which it was sent");
        }
        _ => {}
    }
    let mut descriptors: Vec<&Value> = members.get("config").into_iter().collect();
    for list in ["layers", "manifests"] {
        match members.get(list) {
            None => {}
            Some(Value::Array(list)) => descriptors.extend(list),
            Some(_) => return refused(&format!("`{list}` is not a list")),
        }
    }
    let has_digest = |descriptor: &&Value| Input(descriptor).text("digest").is_some_and(is_digest);
    match descriptors.into_iter().find(|descriptor| !has_digest(descriptor)) {
        None => Ok(()),
        Some(other) => refused(&format!(
            "`{other}` has no `digest` of the form `sha256:<64 hexadecimal digits>`"
        )),
    }
}

fn is_digest(text: &str) -> bool {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(is_digit))
}

/// A script that is not understood would be an image that does nothing of it.
fn check_script(image: &Image) -> Result<(), ApiError> {
    let Some(text) = image.annotation() else { return Ok(()) };
    let refused = |why: String| ApiError::unsupported(format_args!("this `{}`: {why}", Behaviour::ANNOTATION));
    Activity::parse(&text).map_err(|error| refused(error.to_string()))?;
    match Behaviour::parse(&text) {
        Some(_) => Ok(()),
        None => Err(refused("its `programs` are not of the known form".to_owned())),
    }
}

fn summary(image: &Image, repository: &str, tag: Option<&str>, kernel: &Kernel) -> Value {
    json!({
        "registryId": kernel.account(),
        "repositoryName": repository,
        "imageId": id(&image.digest, tag),
        "imageManifest": image.manifest,
        "imageManifestMediaType": image.manifest_media_type,
    })
}

fn id(digest: &str, tag: Option<&str>) -> Value {
    tag.map_or_else(
        || json!({"imageDigest": digest}),
        |tag| json!({"imageDigest": digest, "imageTag": tag}),
    )
}

/// The image that an image id names, by digest, by tag, or by both when they belong together.
fn find<'a>(repository: &str, id: &Value, kernel: &'a Kernel) -> Option<&'a Image> {
    match (Input(id).text("imageDigest"), Input(id).text("imageTag")) {
        (Some(digest), None) => kernel.images.by_digest(repository, digest),
        (Some(digest), Some(tag)) => kernel
            .images
            .by_digest(repository, digest)
            .filter(|image| image.tags.contains(tag)),
        (None, Some(tag)) => kernel.images.by_tag(repository, tag),
        (None, None) => None,
    }
}

fn not_found(repository: &str, id: &Value, kernel: &Kernel) -> ApiError {
    let part = |member: &str| {
        Input(id)
            .text(member)
            .map_or_else(|| "null".to_owned(), |text| format!("'{text}'"))
    };
    let message = format!(
        "The image with imageId {{imageDigest:{}, imageTag:{}}} does not exist within the repository with name '{repository}' \
         in the registry with id '{}'",
        part("imageDigest"),
        part("imageTag"),
        kernel.account()
    );
    ApiError::client("ImageNotFoundException", message)
}

fn failure(id: &Value) -> Value {
    json!({"imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"})
}

pub(super) fn batch_get(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let repository = input.required("repositoryName")?;
    images_of(repository, kernel)?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in input.list("imageIds") {
        match find(repository, id, kernel) {
            Some(image) => images.push(summary(image, repository, Input(id).text("imageTag"), kernel)),
            None => failures.push(failure(id)),
        }
    }
    Ok(json!({"images": images, "failures": failures}))
}

pub(super) fn describe(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let repository = input.required("repositoryName")?;
    let all = images_of(repository, kernel)?;
    let ids = input.list("imageIds");
    let images: Vec<&Image> = if ids.is_empty() {
        let tagged = input
            .object("filter")
            .and_then(|filter| filter.get("tagStatus"))
            .and_then(Value::as_str);
        let wanted = |image: &&Image| match tagged {
            Some("TAGGED") => !image.tags.is_empty(),
            Some("UNTAGGED") => image.tags.is_empty(),
            _ => true,
        };
        all.values().filter(wanted).collect()
    } else {
        ids.iter()
            .map(|id| find(repository, id, kernel).ok_or_else(|| not_found(repository, id, kernel)))
            .collect::<Result<_, _>>()?
    };
    let details = images
        .into_iter()
        .map(|image| detail(image, repository, kernel))
        .collect();
    let (details, next) = page::<Value>(
        details,
        input.text("nextToken"),
        input.count("maxResults").unwrap_or(100),
    )?;
    Ok(json!({"imageDetails": details, "nextToken": next}))
}

fn detail(image: &Image, repository: &str, kernel: &Kernel) -> Value {
    let mut detail = json!({
        "registryId": kernel.account(),
        "repositoryName": repository,
        "imageDigest": image.digest,
        "imageSizeInBytes": image.manifest.len(),
        "imagePushedAt": epoch_seconds(image.pushed_at),
        "imageManifestMediaType": image.manifest_media_type,
        "imageStatus": match image.status { ImageStatus::Active => "ACTIVE", ImageStatus::Archived => "ARCHIVED" },
    });
    if let Some(object) = detail.as_object_mut() {
        if !image.tags.is_empty() {
            object.insert("imageTags".to_owned(), json!(image.tags));
        }
        if let Some(media_type) = &image.artifact_media_type {
            object.insert("artifactMediaType".to_owned(), json!(media_type));
        }
    }
    detail
}

pub(super) fn list(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let repository = input.required("repositoryName")?;
    let mut ids = Vec::new();
    for image in images_of(repository, kernel)?.values() {
        ids.extend(image.tags.iter().map(|tag| id(&image.digest, Some(tag))));
        if image.tags.is_empty() {
            ids.push(id(&image.digest, None));
        }
    }
    let (ids, next) = page(ids, input.text("nextToken"), input.count("maxResults").unwrap_or(100))?;
    Ok(json!({"imageIds": ids, "nextToken": next}))
}

/// By tag, the tag goes, and the image with its last tag; by digest, the image goes with all its tags.
pub(super) fn batch_delete(input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
    let repository = input.required("repositoryName")?;
    images_of(repository, kernel)?;
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for wanted in input.list("imageIds") {
        let Some(image) = find(repository, wanted, kernel).cloned() else {
            failures.push(failure(wanted));
            continue;
        };
        let tags: Vec<String> = match Input(wanted).text("imageTag") {
            Some(tag) => vec![tag.to_owned()],
            None => image.tags.iter().cloned().collect(),
        };
        let images = kernel.images.repositories.entry(repository.to_owned()).or_default();
        if let Some(image) = images.get_mut(&image.digest) {
            image.tags.retain(|tag| !tags.contains(tag));
            if image.tags.is_empty() {
                let digest = image.digest.clone();
                images.remove(&digest);
            }
        }
        if tags.is_empty() {
            events::image_action(kernel, "DELETE", repository, &image, None);
            deleted.push(id(&image.digest, None));
        }
        for tag in &tags {
            events::image_action(kernel, "DELETE", repository, &image, Some(tag));
            deleted.push(id(&image.digest, Some(tag)));
        }
    }
    Ok(json!({"imageIds": deleted, "failures": failures}))
}

pub(super) fn update_storage_class(input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
    let repository = input.required("repositoryName")?;
    let target = input.required("targetStorageClass")?;
    let status = match target {
        "STANDARD" => ImageStatus::Active,
        "ARCHIVE" => ImageStatus::Archived,
        other => {
            return Err(invalid(format!(
                "Invalid parameter at 'targetStorageClass': unknown value `{other}`"
            )));
        }
    };
    let wanted = input.0.get("imageId").cloned().unwrap_or_default();
    images_of(repository, kernel)?;
    let digest = find(repository, &wanted, kernel)
        .map(|image| image.digest.clone())
        .ok_or_else(|| not_found(repository, &wanted, kernel))?;
    let image = kernel
        .images
        .repositories
        .get_mut(repository)
        .and_then(|images| images.get_mut(&digest))
        .map(|image| {
            image.status = status;
            image.clone()
        })
        .ok_or_else(|| no_repository(repository, kernel))?;
    events::storage_class(kernel, repository, &image, target);
    Ok(json!({
        "registryId": kernel.account(),
        "repositoryName": repository,
        "imageId": {"imageDigest": image.digest},
        "imageStatus": if image.status == ImageStatus::Active { "ACTIVE" } else { "ARCHIVED" },
    }))
}
