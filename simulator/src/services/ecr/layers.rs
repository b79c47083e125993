//! Layers and configurations: the blobs that manifests refer to, uploaded part by part, and handed out from where they
//! are stored, which is no endpoint of ECR.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simulator_kernel::{ApiError, Kernel};

use super::super::{Input, invalid};
use super::images_of;

/// How long a part should be, in bytes: "10485760".
const PART_SIZE: usize = 10 << 20;

/// How many layers are asked about at once: "Array Members: Minimum number of 1 item. Maximum number of 100 items."
pub(crate) const DIGESTS_AT_ONCE: usize = 100;

/// What has arrived of an upload.
#[derive(Debug)]
struct Upload {
    repository: String,
    bytes: Vec<u8>,
}

/// What the host name of the bucket has in it in which the blobs of a Region are stored.
const BUCKET: &str = "-starport-layer-bucket.s3.";

/// How the paths begin at which the loopback endpoint of a served world has the blobs.
const BLOBS: &str = "/_blobs";

/// Whether blobs are stored at a host name.
pub(crate) fn is_bucket(host: &str) -> bool {
    host.contains(BUCKET)
}

/// Whether the loopback endpoint has a blob at a path.
pub(crate) fn is_blob(path: &str) -> bool {
    path.strip_prefix(BLOBS).is_some_and(|rest| rest.starts_with('/'))
}

/// Where a blob is stored. On AWS the address carries a signature by which anybody may read it for a while.
fn address(repository: &str, digest: &str, kernel: &Kernel) -> String {
    let (account, region) = (kernel.account(), kernel.region());
    let bucket = match &kernel.endpoint_url {
        Some(endpoint_url) => format!("{endpoint_url}{BLOBS}"),
        None => format!("https://prod-{region}{BUCKET}{region}.amazonaws.com"),
    };
    format!("{bucket}/{account}/{repository}/{digest}")
}

/// The blob that is stored at the path of an [`address`].
pub(crate) fn stored<'k>(path: &str, kernel: &'k Kernel) -> Option<&'k Bytes> {
    let path = path.strip_prefix(BLOBS).unwrap_or(path);
    let (account, rest) = path.strip_prefix('/')?.split_once('/')?;
    let (repository, digest) = rest.rsplit_once('/')?;
    let blob = kernel.images.blob(repository, digest);
    blob.filter(|_| account == kernel.account())
}

/// The uploads that have not ended.
#[derive(Debug, Default)]
pub(super) struct Uploads(BTreeMap<String, Upload>);

impl Uploads {
    pub(super) fn received(&self, repository: &str, upload: &str) -> Option<usize> {
        let upload = self.0.get(upload)?;
        (upload.repository == repository).then_some(upload.bytes.len())
    }

    /// Nothing is left of a repository that is deleted.
    pub(super) fn forget(&mut self, repository: &str) {
        self.0.retain(|_, upload| upload.repository != repository);
    }

    pub(super) fn initiate(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let repository = input.required("repositoryName")?;
        images_of(repository, kernel)?;
        let id = kernel.uuid();
        let upload = Upload {
            repository: repository.to_owned(),
            bytes: Vec::new(),
        };
        self.0.insert(id.clone(), upload);
        Ok(json!({"uploadId": id, "partSize": PART_SIZE}))
    }

    pub(super) fn upload_part(&mut self, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let repository = input.required("repositoryName")?;
        images_of(repository, kernel)?;
        let id = input.required("uploadId")?;
        let upload = self
            .0
            .get_mut(id)
            .filter(|upload| upload.repository == repository)
            .ok_or_else(|| no_upload(id, repository, kernel))?;
        let part = STANDARD
            .decode(input.required("layerPartBlob")?)
            .map_err(|error| invalid(format!("Invalid parameter at 'layerPartBlob': {error}")))?;
        let (first, last) = (input.count("partFirstByte"), input.count("partLastByte"));
        let received = upload.bytes.len();
        let end = received.saturating_add(part.len());
        if part.is_empty() || first != Some(received) || last.is_none_or(|last| last.saturating_add(1) != end) {
            let message = format!(
                "Invalid layer part for upload with ID '{id}' in the repository with name '{repository}': the next part begins at byte {received}"
            );
            let valid = i64::try_from(received).map_or(-1, |received| received - 1);
            return Err(ApiError::client("InvalidLayerPartException", message)
                .with("lastValidByteReceived", json!(valid))
                .with("uploadId", json!(id))
                .with("repositoryName", json!(repository))
                .with("registryId", json!(kernel.account())));
        }
        upload.bytes.extend(part);
        Ok(json!({
            "registryId": kernel.account(), "repositoryName": repository, "uploadId": id, "lastByteReceived": last,
        }))
    }

    /// Ends an upload, whose bytes must be those of a digest that was given.
    pub(super) fn complete(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let repository = input.required("repositoryName")?;
        images_of(repository, kernel)?;
        let id = input.required("uploadId")?;
        let upload = self
            .0
            .get(id)
            .filter(|upload| upload.repository == repository)
            .ok_or_else(|| no_upload(id, repository, kernel))?;
        if upload.bytes.is_empty() {
            let message = format!("The upload with ID '{id}' contains no layer parts");
            return Err(ApiError::client("EmptyUploadException", message));
        }
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&upload.bytes)));
        let wanted: Vec<&str> = input.list("layerDigests").iter().filter_map(Value::as_str).collect();
        if !wanted.contains(&digest.as_str()) {
            let message = format!(
                "The layer digest `{}` does not match the digest that Amazon ECR calculated: {digest}",
                wanted.join("`, `")
            );
            return Err(ApiError::client("InvalidLayerException", message));
        }
        let upload = self.0.remove(id);
        let layers = kernel.images.blobs.entry(repository.to_owned()).or_default();
        if layers.contains_key(&digest) {
            let message =
                format!("Layer with digest '{digest}' already exists in the repository with name '{repository}'");
            return Err(ApiError::client("LayerAlreadyExistsException", message));
        }
        if let Some(upload) = upload {
            layers.insert(digest.clone(), upload.bytes.into());
        }
        Ok(json!({
            "registryId": kernel.account(), "repositoryName": repository, "uploadId": id, "layerDigest": digest,
        }))
    }
}

pub(super) fn check_availability(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let repository = input.required("repositoryName")?;
    images_of(repository, kernel)?;
    let digests = input.list("layerDigests");
    let refused = |constraint: &str| {
        invalid(format!(
            "Invalid parameter at 'layerDigests' failed to satisfy constraint: '{constraint}'"
        ))
    };
    if digests.is_empty() {
        return Err(refused("Member must have length greater than or equal to 1"));
    }
    if digests.len() > DIGESTS_AT_ONCE {
        return Err(refused(&format!(
            "Member must have length less than or equal to {DIGESTS_AT_ONCE}"
        )));
    }
    let layers = digests.iter().map(|digest| {
        let digest = digest.as_str().ok_or_else(|| refused("Member must be a string"))?;
        Ok::<Value, ApiError>(match kernel.images.blob(repository, digest) {
            Some(layer) => {
                json!({"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": layer.len()})
            }
            None => json!({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"}),
        })
    });
    Ok(json!({"layers": layers.collect::<Result<Vec<_>, _>>()?, "failures": []}))
}

pub(super) fn download_url(input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
    let (repository, digest) = (input.required("repositoryName")?, input.required("layerDigest")?);
    images_of(repository, kernel)?;
    if kernel.images.blob(repository, digest).is_none() {
        let message =
            format!("The layer with digest '{digest}' does not exist in the repository with name '{repository}'");
        return Err(ApiError::client("LayersNotFoundException", message));
    }
    Ok(json!({"layerDigest": digest, "downloadUrl": address(repository, digest, kernel)}))
}

/// The labels of an image: what the configuration says that its manifest names, or for an index the labels of the first
/// of its images that has some.
pub(super) fn labels(repository: &str, manifest: &str, kernel: &Kernel) -> BTreeMap<String, String> {
    let manifest: Value = serde_json::from_str(manifest).unwrap_or_default();
    let digest = manifest.pointer("/config/digest").and_then(Value::as_str);
    if let Some(configuration) = digest.and_then(|digest| kernel.images.blob(repository, digest)) {
        let configuration: Value = serde_json::from_slice(configuration).unwrap_or_default();
        let labels = configuration.pointer("/config/Labels").and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        return labels
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
    }
    let images = Input(&manifest).list("manifests").iter();
    let images = images.filter_map(|image| kernel.images.by_digest(repository, Input(image).text("digest")?));
    let labels = images.map(|image| &image.labels).find(|labels| !labels.is_empty());
    labels.cloned().unwrap_or_default()
}

fn no_upload(id: &str, repository: &str, kernel: &Kernel) -> ApiError {
    let message = format!(
        "An upload with ID '{id}' cannot be found in the repository with name '{repository}' in the registry with id '{}'",
        kernel.account()
    );
    ApiError::client("UploadNotFoundException", message)
}
