//! Reading images of ECR.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::operation::batch_get_image::BatchGetImageError;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::operation::get_download_url_for_layer::GetDownloadUrlForLayerError;
use aws_sdk_ecr::types::{DescribeImagesFilter, ImageDetail, ImageFailureCode, ImageIdentifier, TagStatus};
use esclusa_core::error::Failure;
use esclusa_core::image::{Configuration, Manifest, labels};
use esclusa_core::pipeline::{self, Method};
use esclusa_core::task_definition::Home;
use esclusa_core::version::Version;
use jiff::Timestamp;

use crate::client;
use crate::http::{Call, Http, Reply};
use crate::sdk::{OnFirstUse, failure, timestamp};

/// Manifests that can be deployed: images and indexes, of both standards.
const ACCEPTED_MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// The most images that one page of a listing has.
const PAGE: i32 = 1_000;

/// How many bytes a configuration has at most: it is a few kilobytes, and what is larger is something else.
const CONFIGURATION_BYTES: u64 = 1 << 20;

/// How long its bytes may take.
const CONFIGURATION_SECONDS: u32 = 10;

/// A repository of one account, in the Region of the reader.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    /// The twelve digits of the account.
    pub account: String,
    /// The repository's name.
    pub name: String,
}

impl Repository {
    /// Where an image of a pipeline lies.
    #[must_use]
    pub fn of(image: &pipeline::Image, home: &Home) -> Self {
        Self {
            account: image.account.as_ref().unwrap_or(&home.account).to_string(),
            name: image.repository.to_string(),
        }
    }
}

/// What was asked for and either is there or is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It is there.
    Found(T),
    /// The repository has no such image.
    ImageNotFound,
    /// The account has no such repository.
    RepositoryNotFound,
}

/// One image as ECR describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its digest, `sha256:…`.
    pub digest: String,
    /// The tags that point to it now.
    pub tags: Vec<String>,
    /// When it was pushed.
    pub pushed_at: Option<Timestamp>,
    /// The media type of its manifest.
    pub manifest_media_type: Option<String>,
    /// The media type of the artifact, which tells images from signatures and the like.
    pub artifact_media_type: Option<String>,
    /// `ACTIVE`, `ARCHIVED` or `ACTIVATING`; absent means `ACTIVE`.
    pub status: Option<String>,
}

/// Reads images and manifests. Changes nothing.
#[derive(Debug, Clone)]
pub struct ImageReader {
    client: OnFirstUse<Client>,
}

impl ImageReader {
    /// A reader in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_ecr, config),
        }
    }

    /// The image with that digest.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn by_digest(&self, repository: &Repository, digest: &str) -> Result<Lookup<Image>, Failure> {
        self.describe(repository, ImageIdentifier::builder().image_digest(digest).build())
            .await
    }

    /// The image that the tag points to now.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn by_tag(&self, repository: &Repository, tag: &str) -> Result<Lookup<Image>, Failure> {
        self.describe(repository, ImageIdentifier::builder().image_tag(tag).build())
            .await
    }

    /// The image of that version, however it is named.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn by_version(&self, repository: &Repository, version: &Version) -> Result<Lookup<Image>, Failure> {
        match version {
            Version::Tag(tag) => self.by_tag(repository, tag.as_str()).await,
            Version::Digest(digest) => self.by_digest(repository, digest.as_str()).await,
        }
    }

    /// The images of a repository that have a tag and were pushed since then. Nothing where there is no such
    /// repository.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn tagged_since(&self, repository: &Repository, since: Timestamp) -> Result<Vec<Image>, Failure> {
        const ACTION: &str = "ecr:DescribeImages";
        let tagged = DescribeImagesFilter::builder().tag_status(TagStatus::Tagged).build();
        let operation = self.client.describe_images().registry_id(&repository.account);
        let operation = operation.repository_name(&repository.name).filter(tagged);
        let mut pages = operation.max_results(PAGE).into_paginator().send();
        let mut images = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let absent = error
                        .as_service_error()
                        .is_some_and(DescribeImagesError::is_repository_not_found_exception);
                    return if absent {
                        Ok(Vec::new())
                    } else {
                        Err(failure(ACTION, &error))
                    };
                }
            };
            for detail in page.image_details.unwrap_or_default() {
                let image = facts(ACTION, detail)?;
                if image.pushed_at.is_some_and(|pushed_at| pushed_at >= since) {
                    images.push(image);
                }
            }
        }
        Ok(images)
    }

    async fn describe(&self, repository: &Repository, image: ImageIdentifier) -> Result<Lookup<Image>, Failure> {
        const ACTION: &str = "ecr:DescribeImages";
        let operation = self.client.describe_images().registry_id(&repository.account);
        match operation
            .repository_name(&repository.name)
            .image_ids(image)
            .send()
            .await
        {
            Ok(answer) => match answer.image_details.unwrap_or_default().into_iter().next() {
                Some(detail) => facts(ACTION, detail).map(Lookup::Found),
                None => Ok(Lookup::ImageNotFound),
            },
            Err(error) => match error.as_service_error() {
                Some(reason) if reason.is_image_not_found_exception() => Ok(Lookup::ImageNotFound),
                Some(reason) if reason.is_repository_not_found_exception() => Ok(Lookup::RepositoryNotFound),
                _ => Err(failure(ACTION, &error)),
            },
        }
    }

    /// The manifest with that digest: for an index, the platforms it has images for.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when ECR cannot hand the manifest out or it is none of an image.
    pub async fn manifest(&self, repository: &Repository, digest: &str) -> Result<Lookup<Manifest>, Failure> {
        const ACTION: &str = "ecr:BatchGetImage";
        let operation = self.client.batch_get_image().registry_id(&repository.account);
        let operation = operation.repository_name(&repository.name);
        let operation = operation.image_ids(ImageIdentifier::builder().image_digest(digest).build());
        let operation = operation.set_accepted_media_types(Some(ACCEPTED_MEDIA_TYPES.map(str::to_owned).to_vec()));
        let answer = match operation.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let absent = error
                    .as_service_error()
                    .is_some_and(BatchGetImageError::is_repository_not_found_exception);
                return if absent {
                    Ok(Lookup::RepositoryNotFound)
                } else {
                    Err(failure(ACTION, &error))
                };
            }
        };
        if let Some(image) = answer.images.unwrap_or_default().into_iter().next() {
            let text = image.image_manifest.unwrap_or_default();
            return Manifest::read(digest, &text, image.image_manifest_media_type).map(Lookup::Found);
        }
        match answer.failures.unwrap_or_default().into_iter().next() {
            None => Ok(Lookup::ImageNotFound),
            Some(reason) if reason.failure_code == Some(ImageFailureCode::ImageNotFound) => Ok(Lookup::ImageNotFound),
            Some(reason) => {
                let code = reason
                    .failure_code
                    .as_ref()
                    .map_or("no reason", ImageFailureCode::as_str);
                Err(Failure::refused(format!(
                    "ECR did not return the manifest of `{digest}`: `{code}`"
                )))
            }
        }
    }
}

/// Reads what the configuration of an image says, which lies with its layers. Changes nothing.
#[derive(Debug, Clone)]
pub struct ConfigurationReader {
    client: OnFirstUse<Client>,
    http: Http,
}

impl ConfigurationReader {
    /// A reader in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_ecr, config),
            http: Http::new(config),
        }
    }

    /// The labels of a configuration. None where the repository does not have it, which ECR lets no manifest name.
    ///
    /// # Errors
    /// As every call to AWS; `Transient` when its bytes do not come, or are others; `Refused` when they are no
    /// configuration of an image, or too many.
    pub async fn labels(
        &self,
        repository: &Repository,
        configuration: &Configuration,
    ) -> Result<BTreeMap<String, String>, Failure> {
        const ACTION: &str = "ecr:GetDownloadUrlForLayer";
        let Configuration { digest, size } = configuration;
        if *size > CONFIGURATION_BYTES {
            return Err(Failure::refused(format!(
                "`{digest}`, which the image names as its configuration, has {size} bytes, and a configuration has at most {CONFIGURATION_BYTES}"
            )));
        }
        let operation = self.client.get_download_url_for_layer();
        let operation = operation.registry_id(&repository.account);
        let operation = operation.repository_name(&repository.name).layer_digest(digest);
        let url = match operation.send().await {
            Ok(answer) => answer.download_url,
            Err(error) => {
                let is_absent = error
                    .as_service_error()
                    .is_some_and(GetDownloadUrlForLayerError::is_layers_not_found_exception);
                return if is_absent {
                    Ok(BTreeMap::new())
                } else {
                    Err(failure(ACTION, &error))
                };
            }
        };
        let url = url.ok_or_else(|| Failure::transient(format!("the answer to `{ACTION}` names no address")))?;
        labels(digest, &self.download(digest, &url).await?)
    }

    /// What lies at an address that ECR has signed, which is as good as a password for a while.
    async fn download(&self, digest: &str, url: &str) -> Result<Vec<u8>, Failure> {
        let call = Call {
            method: Method::Get,
            url,
            body: None,
            headers: Vec::new(),
            timeout_seconds: CONFIGURATION_SECONDS,
        };
        let failed = |why: String| {
            Failure::transient(format!(
                "the bucket of the registry did not return the configuration `{digest}` of the image: {why}"
            ))
        };
        match self.http.send(call).await? {
            Ok(Reply { status: 200, body, .. }) => Ok(body),
            Ok(Reply { status, .. }) => Err(failed(format!("it answers with status {status}"))),
            Err(unanswered) => Err(failed(unanswered.why)),
        }
    }
}

fn facts(action: &str, detail: ImageDetail) -> Result<Image, Failure> {
    let digest = detail.image_digest;
    let digest = digest.ok_or_else(|| Failure::transient(format!("the answer to `{action}` names no digest")))?;
    Ok(Image {
        digest,
        tags: detail.image_tags.unwrap_or_default(),
        pushed_at: detail.image_pushed_at.as_ref().and_then(timestamp),
        manifest_media_type: detail.image_manifest_media_type,
        artifact_media_type: detail.artifact_media_type,
        status: detail.image_status.map(|status| status.as_str().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use esclusa_core::canonical::sha256_hex;
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Recorded};

    const DIGEST: &str = "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234";

    fn repository() -> Repository {
        Repository {
            account: "123456789012".to_owned(),
            name: "catalog".to_owned(),
        }
    }

    fn reader(recorded: &Recorded) -> ImageReader {
        ImageReader::new(&recorded.config())
    }

    #[tokio::test]
    async fn an_image_is_described_with_every_fact_that_a_release_rests_on() {
        let recorded = Recorded::new([Answer::json(
            200,
            &json!({"imageDetails": [{
                "registryId": "123456789012", "repositoryName": "catalog", "imageDigest": DIGEST,
                "imageTags": ["v1.2.3", "main-0a1b2c3"], "imagePushedAt": 1_793_620_800.5,
                "imageManifestMediaType": "application/vnd.oci.image.index.v1+json", "imageStatus": "ARCHIVED",
            }]}),
        )]);
        let Lookup::Found(image) = reader(&recorded).by_tag(&repository(), "v1.2.3").await.unwrap() else {
            panic!("the image is there")
        };
        assert_eq!(image.digest, DIGEST);
        assert_eq!(image.tags, ["v1.2.3", "main-0a1b2c3"]);
        assert_eq!(image.pushed_at.unwrap().to_string(), "2026-11-02T12:00:00.5Z");
        assert_eq!(image.status.as_deref(), Some("ARCHIVED"));
        let sent = &recorded.requests()[0].body;
        assert_eq!(sent["imageIds"], json!([{"imageTag": "v1.2.3"}]));
        assert_eq!(sent["registryId"], "123456789012");
    }

    #[tokio::test]
    async fn an_image_and_a_repository_that_do_not_exist_are_told_apart() {
        let recorded = Recorded::new([
            Answer::json(400, &json!({"__type": "ImageNotFoundException", "message": "no"})),
            Answer::json(400, &json!({"__type": "RepositoryNotFoundException", "message": "no"})),
        ]);
        let reader = reader(&recorded);
        assert_eq!(
            reader.by_digest(&repository(), DIGEST).await.unwrap(),
            Lookup::ImageNotFound
        );
        assert_eq!(
            reader.by_digest(&repository(), DIGEST).await.unwrap(),
            Lookup::RepositoryNotFound
        );
    }

    #[tokio::test]
    async fn labels_are_read_from_the_configuration_that_the_manifest_names_and_from_no_other() {
        let configuration = json!({"os": "linux", "config": {"Labels": {"com.example.tests": "passed"}}}).to_string();
        let named = Configuration {
            digest: format!("sha256:{}", sha256_hex(&configuration)),
            size: 90,
        };
        let address = || {
            Answer::json(
                200,
                &json!({"downloadUrl": "https://layers.example.com/a?X-Amz-Signature=s"}),
            )
        };
        let nowhere = |kind: &str| Answer::json(400, &json!({"__type": kind, "message": "no"}));
        let recorded = Recorded::new([
            address(),
            Answer::text(200, &configuration),
            nowhere("LayersNotFoundException"),
            nowhere("LayerInaccessibleException"),
            address(),
            Answer::text(200, "{}"),
            address(),
            Answer::text(403, "Request has expired"),
        ]);
        let reader = ConfigurationReader::new(&recorded.config());
        let repository = repository();
        let labels = reader.labels(&repository, &named).await.unwrap();
        assert_eq!(labels["com.example.tests"], "passed");
        assert!(reader.labels(&repository, &named).await.unwrap().is_empty());
        for (told, passes) in [
            ("`LayerInaccessibleException`", false),
            ("of the image is `sha256:", true),
            ("it answers with status 403", true),
        ] {
            let failure = reader.labels(&repository, &named).await.unwrap_err();
            assert_eq!(failure.kind.is_retryable(), passes, "{failure:?}");
            assert!(failure.message.contains(told), "{failure:?}");
            assert!(!failure.message.contains("Signature"), "{failure:?}");
        }
        let sent = recorded.requests();
        assert_eq!(sent[0].body["layerDigest"], named.digest.as_str());
        // What is as large as a layer is not asked for.
        let size = CONFIGURATION_BYTES + 1;
        let failure = reader.labels(&repository, &Configuration { size, ..named }).await;
        assert!(failure.unwrap_err().message.contains("bytes"));
        assert_eq!(recorded.requests().len(), sent.len());
    }

    #[tokio::test]
    async fn an_index_names_its_platforms_and_not_its_attestations() {
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {"digest": "sha256:aa", "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": "sha256:bb", "platform": {"os": "unknown", "architecture": "unknown"}},
        ]});
        let recorded = Recorded::new([
            Answer::json(
                200,
                &json!({"images": [{"imageManifest": index.to_string()}], "failures": []}),
            ),
            Answer::json(
                200,
                &json!({"images": [], "failures": [{"failureCode": "ImageNotFound"}]}),
            ),
            Answer::json(200, &json!({"images": [], "failures": [{"failureCode": "KmsError"}]})),
        ]);
        let reader = reader(&recorded);
        let Lookup::Found(manifest) = reader.manifest(&repository(), DIGEST).await.unwrap() else {
            panic!("the manifest is there")
        };
        assert_eq!(manifest.platforms.len(), 1);
        assert_eq!(manifest.platforms[0].architecture, "arm64");
        assert_eq!(
            reader.manifest(&repository(), DIGEST).await.unwrap(),
            Lookup::ImageNotFound
        );
        assert!(
            reader
                .manifest(&repository(), DIGEST)
                .await
                .unwrap_err()
                .message
                .contains("`KmsError`")
        );
    }
}
