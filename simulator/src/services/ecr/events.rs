//! The events of image actions, in the shape of <https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html>.

use serde_json::{Value, json};
use simulator_kernel::{Image, Kernel, Place};

/// A push or a deletion. Without a tag the event has no `image-tag`.
pub(super) fn image_action(kernel: &mut Kernel, action: &str, repository: &str, image: &Image, tag: Option<&str>) {
    let mut detail = base(action, repository, image);
    if let Some(tag) = tag {
        set(&mut detail, "image-tag", json!(tag));
    }
    kernel.emit("aws.ecr", "ECR Image Action", &[], detail);
}

/// An image moved between storage classes: the same `detail-type` as a push.
pub(super) fn storage_class(kernel: &mut Kernel, repository: &str, image: &Image, target: &str) {
    let mut detail = base("UPDATE_STORAGE_CLASS", repository, image);
    set(&mut detail, "target-storage-class", json!(target));
    if target == "STANDARD" {
        let now = kernel.now().to_string();
        set(&mut detail, "last-activated-at", json!(now));
    }
    kernel.emit("aws.ecr", "ECR Image Action", &[], detail);
}

/// A copy of an image of another registry has arrived, or has not.
pub(super) fn replication_action(
    kernel: &mut Kernel,
    repository: &str,
    digest: &str,
    tag: Option<&str>,
    source: &Place,
    result: &str,
) {
    let mut detail = json!({
        "result": result,
        "repository-name": repository,
        "image-digest": digest,
        "source-account": source.account,
        "action-type": "REPLICATE",
        "source-region": source.region,
    });
    if let Some(tag) = tag {
        set(&mut detail, "image-tag", json!(tag));
    }
    let arn = kernel.arn("ecr", &format!("repository/{repository}"));
    kernel.emit("aws.ecr", "ECR Replication Action", &[arn], detail);
}

fn base(action: &str, repository: &str, image: &Image) -> Value {
    let mut detail = json!({
        "result": "SUCCESS",
        "repository-name": repository,
        "image-digest": image.digest,
        "action-type": action,
        "manifest-media-type": image.manifest_media_type,
    });
    if let Some(media_type) = &image.artifact_media_type {
        set(&mut detail, "artifact-media-type", json!(media_type));
    }
    detail
}

fn set(detail: &mut Value, member: &str, value: Value) {
    if let Some(object) = detail.as_object_mut() {
        object.insert(member.to_owned(), value);
    }
}
