//! The registry of ECR behind the loopback endpoint, as clients of containers speak to it:
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>. Every request becomes operations of `ecr` by whoever the authorization token was
//! given to, as in AWS, so that permissions, repositories and events are those of the API.

mod answers;
mod route;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::World;
use crate::mailbox::{Arrival, ClientCall, Mailbox};
use crate::protocol::HttpAnswer;
use crate::services::{Ecr, ecr};
use answers::{Refusal, answer, blob_path, upload_path};
use route::{Page, Reference, Route, Upload};

/// How long a part of an upload is at most, as `InitiateLayerUpload` asks for.
const PART_SIZE: usize = 10 << 20;

/// Whether a request is one to the registry: other services have paths that begin in the same way, and want signatures.
pub(crate) fn is_registry(path: &str, authorization: Option<&str>) -> bool {
    let is_signed = authorization.is_some_and(|authorization| authorization.starts_with("AWS4-"));
    !is_signed && (path == "/v2" || path.starts_with("/v2/"))
}

/// The answer to a request that is longer than `limit` bytes.
pub(crate) fn too_large(limit: usize) -> HttpAnswer {
    answers::refuse(&answers::too_large(limit))
}

/// Answers one request. `None` when the connection is reset.
pub(crate) async fn serve(
    mailbox: &Mailbox,
    method: &Method,
    uri: &http::Uri,
    headers: &http::HeaderMap,
    body: Bytes,
) -> Option<HttpAnswer> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let result = match Client::recognise(mailbox, header("authorization")) {
        Ok(client) => {
            let request = Request {
                media_type: header("content-type"),
                content_range: header("content-range"),
                body,
            };
            match route::parse(method, uri) {
                Ok(route) => client.carry_out(route, request).await,
                Err(refusal) => Err(refusal),
            }
        }
        Err(refusal) => Err(refusal),
    };
    let mut answer = match result {
        Err(Refusal::Reset) => return None,
        Err(Refusal::Error(error)) => answers::refuse(&error),
        Ok(answer) => answer,
    };
    if answer.status == 401 {
        answer
            .headers
            .push(answers::challenge(header("host").unwrap_or_default()));
    }
    if method == Method::HEAD {
        if !answer.headers.iter().any(|(name, _)| *name == "content-length") {
            answer.headers.push(("content-length", answer.body.len().to_string()));
        }
        answer.body.clear();
    }
    Some(answer)
}

/// What a request says beside its route.
struct Request<'r> {
    media_type: Option<&'r str>,
    content_range: Option<&'r str>,
    body: Bytes,
}

/// Whoever shows a token that is good.
struct Client<'m> {
    mailbox: &'m Mailbox,
    access_key_id: String,
}

impl<'m> Client<'m> {
    fn recognise(mailbox: &'m Mailbox, authorization: Option<&str>) -> Result<Self, Refusal> {
        let token = authorization
            .and_then(ecr::Token::from_header)
            .ok_or_else(answers::unauthorized)?;
        if mailbox.principal(&token.access_key_id).is_none() {
            return Err(answers::unauthorized());
        }
        if token.expires_at <= mailbox.now_of(&token.access_key_id) {
            return Err(answers::expired());
        }
        Ok(Self {
            mailbox,
            access_key_id: token.access_key_id,
        })
    }

    async fn carry_out(&self, route: Route, request: Request<'_>) -> Result<HttpAnswer, Refusal> {
        match route {
            Route::Version => Ok(answer(200, &[("content-type", "application/json")], b"{}")),
            Route::Tags { repository, page } => self.tags(&repository, &page).await,
            Route::HasBlob { repository, digest } => self.has_blob(&repository, &digest).await,
            Route::Blob { repository, digest } => self.blob(&repository, &digest).await,
            Route::Manifest { repository, reference } => self.manifest(&repository, &reference).await,
            Route::PutManifest { repository, reference } => self.put_manifest(&repository, &reference, &request).await,
            Route::Begin { repository, digest } => {
                let input = json!({"repositoryName": repository});
                let begun = self.call("InitiateLayerUpload", input).await?;
                let id = begun.get("uploadId").and_then(Value::as_str).unwrap_or_default();
                let upload = Upload {
                    repository,
                    id: id.to_owned(),
                };
                match digest {
                    Some(digest) => self.finish(&upload, &digest, &request).await,
                    None => Ok(under_way(202, &upload, 0)),
                }
            }
            Route::Status { upload } => Ok(under_way(204, &upload, self.received(&upload).await?)),
            Route::Append { upload } => {
                let received = self.append(&upload, &request).await?;
                Ok(under_way(202, &upload, received))
            }
            Route::Finish { upload, digest } => self.finish(&upload, &digest, &request).await,
        }
    }

    async fn tags(&self, repository: &str, page: &Page) -> Result<HttpAnswer, Refusal> {
        let (mut tags, mut token) = (BTreeSet::new(), Value::Null);
        loop {
            let input = json!({"repositoryName": repository, "nextToken": token});
            let listed = self.call("ListImages", input).await?;
            let ids = listed.get("imageIds").and_then(Value::as_array).into_iter().flatten();
            let names = ids.filter_map(|id| id.get("imageTag").and_then(Value::as_str));
            tags.extend(names.map(str::to_owned));
            token = listed.get("nextToken").cloned().unwrap_or_default();
            if token.is_null() {
                break;
            }
        }
        let mut rest = tags
            .into_iter()
            .filter(|tag| page.last.as_ref().is_none_or(|last| tag > last));
        let tags: Vec<String> = rest.by_ref().take(page.limit.unwrap_or(usize::MAX)).collect();
        let list = json!({"name": repository, "tags": tags}).to_string();
        let mut answer = answer(200, &[("content-type", "application/json")], list.as_bytes());
        // "When `n` is zero, this endpoint MUST return an empty list, and MUST NOT include a `Link` header."
        if let (Some(limit), Some(last), Some(_)) = (page.limit, tags.last(), rest.next()) {
            let next = format!("</v2/{repository}/tags/list?n={limit}&last={last}>; rel=\"next\"");
            answer.headers.push(("link", next));
        }
        Ok(answer)
    }

    /// Whether a blob is there, and how long it is: asked before a push, by whoever may push but not pull.
    async fn has_blob(&self, repository: &str, digest: &str) -> Result<HttpAnswer, Refusal> {
        let input = json!({"repositoryName": repository, "layerDigests": [digest]});
        let checked = self.call("BatchCheckLayerAvailability", input).await?;
        let length = checked.pointer("/layers/0/layerSize").and_then(Value::as_u64);
        let length = length
            .ok_or_else(|| answers::blob_unknown(repository, digest))?
            .to_string();
        let headers = [
            ("content-type", "application/octet-stream"),
            ("docker-content-digest", digest),
            ("content-length", &length),
        ];
        Ok(answer(200, &headers, b""))
    }

    /// AWS answers with a signed URL elsewhere; here the bytes are in the same place.
    async fn blob(&self, repository: &str, digest: &str) -> Result<HttpAnswer, Refusal> {
        let input = json!({"repositoryName": repository, "layerDigest": digest});
        self.call("GetDownloadUrlForLayer", input).await?;
        let (of, wanted) = (repository.to_owned(), digest.to_owned());
        let blob = self
            .look(move |world| world.kernel().images.blob(&of, &wanted).cloned())
            .await;
        let blob = blob.ok_or(Refusal::Reset)?;
        let headers = [
            ("content-type", "application/octet-stream"),
            ("docker-content-digest", digest),
        ];
        Ok(answer(200, &headers, &blob))
    }

    async fn manifest(&self, repository: &str, reference: &Reference) -> Result<HttpAnswer, Refusal> {
        let id = match reference {
            Reference::Tag(tag) => json!({"imageTag": tag}),
            Reference::Digest(digest) => json!({"imageDigest": digest}),
        };
        let input = json!({"repositoryName": repository, "imageIds": [id]});
        let found = self.call("BatchGetImage", input).await?;
        let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str);
        let manifest = text("/images/0/imageManifest").ok_or_else(answers::manifest_unknown)?;
        let headers = [
            (
                "content-type",
                text("/images/0/imageManifestMediaType").unwrap_or_default(),
            ),
            (
                "docker-content-digest",
                text("/images/0/imageId/imageDigest").unwrap_or_default(),
            ),
        ];
        Ok(answer(200, &headers, manifest.as_bytes()))
    }

    async fn put_manifest(
        &self,
        repository: &str,
        reference: &Reference,
        request: &Request<'_>,
    ) -> Result<HttpAnswer, Refusal> {
        let text = std::str::from_utf8(&request.body).map_err(answers::manifest_invalid)?;
        let manifest: Value = serde_json::from_str(text).map_err(answers::manifest_invalid)?;
        // Before anything is asked about what it refers to: what is not a digest would be a blob that is missing.
        let sent_as = request
            .media_type
            .map(|media_type| media_type.split(';').next().unwrap_or(media_type).trim());
        ecr::check_manifest(&manifest, sent_as)?;
        self.check_references(repository, &manifest).await?;
        let mut input = json!({"repositoryName": repository, "imageManifest": text});
        if let Some(members) = input.as_object_mut() {
            match reference {
                Reference::Tag(tag) => members.insert("imageTag".to_owned(), json!(tag)),
                Reference::Digest(digest) => members.insert("imageDigest".to_owned(), json!(digest)),
            };
            if let Some(media_type) = sent_as {
                members.insert("imageManifestMediaType".to_owned(), json!(media_type));
            }
        }
        let digest = match self.call("PutImage", input).await {
            Ok(put) => {
                let digest = put.pointer("/image/imageId/imageDigest").and_then(Value::as_str);
                digest.unwrap_or_default().to_owned()
            }
            // A second push of the same image is no mistake.
            Err(Refusal::Error(error)) if error.code == "ImageAlreadyExistsException" => answers::digest(&request.body),
            Err(refusal) => return Err(refusal),
        };
        let location = format!("/v2/{repository}/manifests/{digest}");
        let headers = [("location", location.as_str()), ("docker-content-digest", &digest)];
        Ok(answer(201, &headers, b""))
    }

    /// Everything that a manifest refers to must be there before it: blobs, and of an index the images.
    async fn check_references(&self, repository: &str, manifest: &Value) -> Result<(), Refusal> {
        let list = |member: &str| manifest.get(member).and_then(Value::as_array).into_iter().flatten();
        let blobs = manifest.get("config").into_iter().chain(list("layers"));
        // A layer with URLs of its own stays where it is.
        let blobs = blobs.filter(|blob| blob.get("urls").is_none());
        let digests: Vec<&Value> = blobs.filter_map(|blob| blob.get("digest")).collect();
        for digests in digests.chunks(ecr::DIGESTS_AT_ONCE) {
            let input = json!({"repositoryName": repository, "layerDigests": digests});
            let checked = self.call("BatchCheckLayerAvailability", input).await?;
            let layers = checked.get("layers").and_then(Value::as_array).into_iter().flatten();
            let missing: Vec<&str> = layers
                .filter(|layer| layer.get("layerAvailability").and_then(Value::as_str) != Some("AVAILABLE"))
                .filter_map(|layer| layer.get("layerDigest").and_then(Value::as_str))
                .collect();
            if !missing.is_empty() {
                return Err(answers::blobs_unknown(repository, "Layers", &missing));
            }
        }
        let images: Vec<Value> = list("manifests")
            .filter_map(|image| Some(json!({"imageDigest": image.get("digest")?})))
            .collect();
        if images.is_empty() {
            return Ok(());
        }
        let input = json!({"repositoryName": repository, "imageIds": images});
        let found = self.call("BatchGetImage", input).await?;
        let failures = found.get("failures").and_then(Value::as_array).into_iter().flatten();
        let missing: Vec<&str> = failures
            .filter_map(|failure| failure.pointer("/imageId/imageDigest").and_then(Value::as_str))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(answers::blobs_unknown(repository, "Images", &missing))
        }
    }

    /// How many bytes of an upload have come.
    async fn received(&self, upload: &Upload) -> Result<usize, Refusal> {
        let wanted = upload.clone();
        let received = self.look(move |world| world.service::<Ecr>()?.received(&wanted.repository, &wanted.id));
        received.await.ok_or_else(|| answers::upload_unknown(upload))
    }

    /// Adds what came to an upload; how many bytes it has now.
    async fn append(&self, upload: &Upload, request: &Request<'_>) -> Result<usize, Refusal> {
        let mut received = self.received(upload).await?;
        let length = request.body.len();
        if let Some(range) = request.content_range {
            let (first, last) = bounds(range).ok_or_else(|| answers::wrong_range(range, length))?;
            if first != received {
                return Err(answers::out_of_order(received));
            }
            if last.checked_sub(first).and_then(|more| more.checked_add(1)) != Some(length) {
                return Err(answers::wrong_range(range, length));
            }
        }
        for part in request.body.chunks(PART_SIZE) {
            let end = received.saturating_add(part.len());
            let input = json!({
                "repositoryName": upload.repository, "uploadId": upload.id, "partFirstByte": received,
                "partLastByte": end.saturating_sub(1), "layerPartBlob": STANDARD.encode(part),
            });
            self.call("UploadLayerPart", input).await?;
            received = end;
        }
        Ok(received)
    }

    async fn finish(&self, upload: &Upload, digest: &str, request: &Request<'_>) -> Result<HttpAnswer, Refusal> {
        self.append(upload, request).await?;
        let repository = &upload.repository;
        let input = json!({"repositoryName": repository, "uploadId": upload.id, "layerDigests": [digest]});
        match self.call("CompleteLayerUpload", input).await {
            Ok(_) => {}
            // A second upload of the same blob is no mistake.
            Err(Refusal::Error(error)) if error.code == "LayerAlreadyExistsException" => {}
            Err(refusal) => return Err(refusal),
        }
        let location = blob_path(repository, digest);
        let headers = [("location", location.as_str()), ("docker-content-digest", digest)];
        Ok(answer(201, &headers, b""))
    }

    /// What `ecr` has that no operation of it tells.
    async fn look<T: Send + 'static>(&self, look: impl FnOnce(&World) -> Option<T> + Send + 'static) -> Option<T> {
        let (found, wanted) = oneshot::channel();
        self.mailbox.put(Arrival::Errand(Box::new(move |world| {
            // Whoever asked may have gone.
            let _gone = found.send(look(world));
        })));
        wanted.await.ok().flatten()
    }

    /// One operation of `ecr`, as a client that signs would call it.
    async fn call(&self, operation: &str, input: Value) -> Result<Value, Refusal> {
        let (principal, owner) = self
            .mailbox
            .principal(&self.access_key_id)
            .ok_or_else(answers::unauthorized)?;
        let (answer, answered) = oneshot::channel();
        self.mailbox.put(Arrival::Call(ClientCall {
            principal,
            access_key_id: self.access_key_id.clone(),
            region: None,
            service: Ecr::NAME.to_owned(),
            operation: operation.to_owned(),
            input,
            invocation: owner,
            answer,
        }));
        let (_, result) = answered.await.map_err(|_| Refusal::Reset)?;
        result.map_err(Refusal::Error)
    }
}

/// An upload that waits for more.
fn under_way(status: u16, upload: &Upload, received: usize) -> HttpAnswer {
    let range = format!("0-{}", received.saturating_sub(1));
    let location = upload_path(upload);
    let headers = [
        ("location", location.as_str()),
        ("range", &range),
        ("docker-upload-uuid", &upload.id),
    ];
    answer(status, &headers, b"")
}

/// The first and the last byte of a range such as `0-41`, as the specification writes it, or `bytes 0-41/*`, as HTTP
/// does.
fn bounds(range: &str) -> Option<(usize, usize)> {
    let range = range.strip_prefix("bytes ").unwrap_or(range);
    let range = range.split('/').next().unwrap_or(range);
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}
