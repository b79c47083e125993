//! Answers of the registry, and the errors of `ecr` in its words.

use http::Method;
use serde_json::json;
use sha2::{Digest, Sha256};
use simulator_kernel::ApiError;

use super::route::Upload;
use crate::protocol::HttpAnswer;

/// Why there is no answer of the kind that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// The connection is reset.
    Reset,
    /// Something is wrong.
    Error(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

pub(super) fn answer(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> HttpAnswer {
    let version = ("docker-distribution-api-version", "registry/2.0");
    let headers = headers.iter().chain([&version]);
    HttpAnswer {
        status,
        headers: headers.map(|(name, value)| (*name, (*value).to_owned())).collect(),
        body: body.to_vec(),
    }
}

/// An error as the specification wants it: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>.
pub(super) fn refuse(error: &ApiError) -> HttpAnswer {
    let (status, code) = match error.code.as_str() {
        "RepositoryNotFoundException" => (404, "NAME_UNKNOWN"),
        "AccessDeniedException" => (403, "DENIED"),
        "ImageTagAlreadyExistsException" => (400, "TAG_INVALID"),
        "ImageDigestDoesNotMatchException" | "InvalidLayerException" => (400, "DIGEST_INVALID"),
        "InvalidLayerPartException" => (416, "BLOB_UPLOAD_INVALID"),
        "EmptyUploadException" => (400, "BLOB_UPLOAD_INVALID"),
        "UploadNotFoundException" => (404, "BLOB_UPLOAD_UNKNOWN"),
        "LayersNotFoundException" => (404, "BLOB_UNKNOWN"),
        "ThrottlingException" => (429, "TOOMANYREQUESTS"),
        "InvalidParameterException" => (400, "MANIFEST_INVALID"),
        "UnsupportedBySimulatorException" => (error.status, "UNSUPPORTED"),
        own => (error.status, own),
    };
    let body = json!({"errors": [{"code": code, "message": error.message}]}).to_string();
    answer(status, &[("content-type", "application/json")], body.as_bytes())
}

/// What a client is asked for by the registry that it called `host`.
pub(super) fn challenge(host: &str) -> (&'static str, String) {
    let challenge = format!("Basic realm=\"http://{host}/\",service=\"ecr.amazonaws.com\"");
    ("www-authenticate", challenge)
}

fn error(code: &str, message: impl Into<String>, status: u16) -> ApiError {
    ApiError {
        status,
        ..ApiError::client(code, message)
    }
}

pub(super) fn upload_path(upload: &Upload) -> String {
    let Upload { repository, id } = upload;
    format!("/v2/{repository}/blobs/uploads/{id}")
}

pub(super) fn blob_path(repository: &str, digest: &str) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(super) fn unauthorized() -> Refusal {
    let message = "the registry wants `Authorization: Basic` with the user `AWS` and the password that `aws ecr get-login-password` prints";
    Refusal::Error(error("UNAUTHORIZED", message, 401))
}

pub(super) fn expired() -> Refusal {
    let message = "Your authorization token has expired. Reauthenticate and try again.";
    Refusal::Error(error("DENIED", message, 403))
}

pub(super) fn manifest_unknown() -> Refusal {
    Refusal::Error(error("MANIFEST_UNKNOWN", "Requested image not found", 404))
}

pub(super) fn manifest_invalid(why: impl std::fmt::Display) -> Refusal {
    Refusal::Error(error(
        "MANIFEST_INVALID",
        format!("the manifest is not JSON: {why}"),
        400,
    ))
}

pub(super) fn blob_unknown(repository: &str, digest: &str) -> Refusal {
    let message = format!("the blob `{digest}` is not in the repository `{repository}`");
    Refusal::Error(error("BLOB_UNKNOWN", message, 404))
}

pub(super) fn upload_unknown(upload: &Upload) -> Refusal {
    let Upload { repository, id } = upload;
    let message = format!("the repository `{repository}` has no upload `{id}` that has begun and not ended");
    Refusal::Error(error("BLOB_UPLOAD_UNKNOWN", message, 404))
}

pub(super) fn no_referrers() -> Refusal {
    let message = "the registry does not say what refers to a manifest: clients look for a tag instead";
    Refusal::Error(error("UNSUPPORTED", message, 404))
}

pub(super) fn wrong_range(range: &str, length: usize) -> Refusal {
    let message = format!("`content-range: {range}` is not that of the {length} bytes that came: give `FIRST-LAST`");
    Refusal::Error(error("SIZE_INVALID", message, 400))
}

pub(super) fn wrong_page(limit: &str) -> Refusal {
    let message = format!("`n` is a number of tags, not `{limit}`");
    Refusal::Error(error("PAGINATION_NUMBER_INVALID", message, 400))
}

pub(super) fn too_large(limit: usize) -> ApiError {
    let message = format!("the registry takes at most {limit} bytes in one request");
    error("SIZE_INVALID", message, 413)
}

pub(super) fn blobs_unknown(repository: &str, what: &str, missing: &[&str]) -> Refusal {
    let message = format!(
        "{what} with digests '[{}]' required for pushing image into repository with name '{repository}' do not exist",
        missing.join(", ")
    );
    Refusal::Error(error("MANIFEST_BLOB_UNKNOWN", message, 400))
}

pub(super) fn no_digest() -> Refusal {
    let message = "the end of an upload names the digest: `PUT …?digest=sha256:…`";
    Refusal::Error(error("DIGEST_INVALID", message, 400))
}

pub(super) fn out_of_order(received: usize) -> Refusal {
    let message = format!("the next part of this upload begins at byte {received}");
    Refusal::Error(error("BLOB_UPLOAD_INVALID", message, 416))
}

pub(super) fn unsupported(method: &Method, path: &str) -> Refusal {
    Refusal::Error(ApiError::unsupported(format_args!(
        "`{method} {path}` of the registry; there are `/v2/`, and of a repository `blobs/uploads/`, `blobs/`, `manifests/` and `tags/list`"
    )))
}
