//! Amazon Elastic Container Registry: repositories, images by digest and tag, and the events of every push, delete and
//! archive.

mod events;
mod images;
mod layers;
mod replication;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, INTERNAL, Image, Kernel, Reply, Request, Service, TimerId};
use wildmatch::WildMatch;

use super::{Input, epoch_seconds, invalid, page};
pub(crate) use images::check_manifest;
use layers::Uploads;
pub(crate) use layers::{DIGESTS_AT_ONCE, is_blob, is_bucket, stored};
pub use replication::Replication;
use replication::{Copies, REPLICATE, allowed_accounts};
pub(crate) use token::Token;

const OPERATIONS: [&str; 19] = [
    "CreateRepository",
    "DeleteRepository",
    "DescribeRepositories",
    "PutImageTagMutability",
    "PutImage",
    "BatchGetImage",
    "DescribeImages",
    "ListImages",
    "BatchDeleteImage",
    "UpdateImageStorageClass",
    "BatchCheckLayerAvailability",
    "InitiateLayerUpload",
    "UploadLayerPart",
    "CompleteLayerUpload",
    "GetDownloadUrlForLayer",
    "GetAuthorizationToken",
    "SetRepositoryPolicy",
    "PutRegistryPolicy",
    "PutReplicationConfiguration",
];

/// What a repository is beside its images, which the kernel keeps.
#[derive(Debug, Clone)]
struct Repository {
    created_at: Timestamp,
    mutability: Mutability,
}

/// Whether a tag may move.
#[derive(Debug, Clone)]
struct Mutability {
    value: String,
    /// Tag patterns for which the opposite holds.
    exclusions: Vec<String>,
}

impl Mutability {
    fn parse(input: Input<'_>) -> Result<Self, ApiError> {
        let value = input.text("imageTagMutability").unwrap_or("MUTABLE").to_owned();
        let exclusions: Vec<String> = input
            .list("imageTagMutabilityExclusionFilters")
            .iter()
            .filter_map(|filter| Input(filter).text("filter").map(str::to_owned))
            .collect();
        let excludes = value.ends_with("_WITH_EXCLUSION");
        if ![
            "MUTABLE",
            "IMMUTABLE",
            "MUTABLE_WITH_EXCLUSION",
            "IMMUTABLE_WITH_EXCLUSION",
        ]
        .contains(&value.as_str())
        {
            return Err(invalid(format!(
                "Invalid parameter at 'imageTagMutability': unknown value `{value}`"
            )));
        }
        if excludes == exclusions.is_empty() {
            return Err(invalid(
                "`imageTagMutabilityExclusionFilters` belongs to the values `…_WITH_EXCLUSION`, and to them only",
            ));
        }
        Ok(Self { value, exclusions })
    }

    fn allows_moving(&self, tag: &str) -> bool {
        let excluded = self
            .exclusions
            .iter()
            .any(|pattern| WildMatch::new(pattern).matches(tag));
        self.value.starts_with("MUTABLE") != excluded
    }
}

/// The service `ecr`.
#[derive(Debug, Default)]
pub struct Ecr {
    repositories: BTreeMap<String, Repository>,
    /// The accounts whose images the policy of the registry takes in.
    sources: BTreeSet<String>,
    copies: Copies,
    uploads: Uploads,
    /// What becomes of the copies of images that are pushed from now on.
    pub replication: Replication,
}

impl Ecr {
    pub(crate) const NAME: &str = "ecr";

    /// Creates a repository whose tags may move, as the template and tests do.
    pub fn create(&mut self, name: &str, kernel: &mut Kernel) {
        let mutability = Mutability {
            value: "MUTABLE".to_owned(),
            exclusions: Vec::new(),
        };
        self.insert(name, mutability, kernel);
    }

    fn insert(&mut self, name: &str, mutability: Mutability, kernel: &mut Kernel) {
        self.repositories.insert(
            name.to_owned(),
            Repository {
                created_at: kernel.now(),
                mutability,
            },
        );
        kernel.images.repositories.entry(name.to_owned()).or_default();
    }

    /// How many bytes of an upload have come that has begun and not ended.
    pub(crate) fn received(&self, repository: &str, upload: &str) -> Option<usize> {
        self.uploads.received(repository, upload)
    }

    fn create_repository(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let name = input.required("repositoryName")?;
        if self.repositories.contains_key(name) {
            let message = format!(
                "The repository with name '{name}' already exists in the registry with id '{}'",
                kernel.account()
            );
            return Err(ApiError::client("RepositoryAlreadyExistsException", message));
        }
        self.insert(name, Mutability::parse(input)?, kernel);
        Ok(json!({"repository": self.describe(name, kernel)?}))
    }

    fn delete_repository(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let name = input.required("repositoryName")?;
        let repository = self.describe(name, kernel)?;
        if !images_of(name, kernel)?.is_empty() && !input.flag("force") {
            let message = format!(
                "The repository with name '{name}' in registry with id '{}' cannot be deleted because it still contains images",
                kernel.account()
            );
            return Err(ApiError::client("RepositoryNotEmptyException", message));
        }
        self.repositories.remove(name);
        self.uploads.forget(name);
        kernel.images.blobs.remove(name);
        kernel.images.repositories.remove(name);
        kernel.images.readers.remove(name);
        Ok(json!({"repository": repository}))
    }

    fn describe(&self, name: &str, kernel: &Kernel) -> Result<Value, ApiError> {
        let repository = self.repositories.get(name).ok_or_else(|| no_repository(name, kernel))?;
        let mut description = json!({
            "repositoryArn": kernel.arn("ecr", &format!("repository/{name}")),
            "registryId": kernel.account(),
            "repositoryName": name,
            "repositoryUri": format!("{}.dkr.ecr.{}.amazonaws.com/{name}", kernel.account(), kernel.region()),
            "createdAt": epoch_seconds(repository.created_at),
            "imageTagMutability": repository.mutability.value,
            "imageScanningConfiguration": {"scanOnPush": false},
        });
        if let Some(object) = description.as_object_mut()
            && !repository.mutability.exclusions.is_empty()
        {
            let filters = repository
                .mutability
                .exclusions
                .iter()
                .map(|filter| json!({"filterType": "WILDCARD", "filter": filter}));
            object.insert("imageTagMutabilityExclusionFilters".to_owned(), filters.collect());
        }
        Ok(description)
    }

    fn describe_repositories(&self, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let named: Vec<&str> = input.list("repositoryNames").iter().filter_map(Value::as_str).collect();
        let names = if named.is_empty() {
            self.repositories.keys().map(String::as_str).collect()
        } else {
            named
        };
        let repositories = names
            .into_iter()
            .map(|name| self.describe(name, kernel))
            .collect::<Result<Vec<_>, _>>()?;
        let (repositories, next) = page(
            repositories,
            input.text("nextToken"),
            input.count("maxResults").unwrap_or(100),
        )?;
        Ok(json!({"repositories": repositories, "nextToken": next}))
    }

    fn put_image_tag_mutability(&mut self, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let name = input.required("repositoryName")?;
        let mutability = Mutability::parse(input)?;
        let repository = self
            .repositories
            .get_mut(name)
            .ok_or_else(|| no_repository(name, kernel))?;
        let value = mutability.value.clone();
        repository.mutability = mutability;
        Ok(json!({"registryId": kernel.account(), "repositoryName": name, "imageTagMutability": value}))
    }

    fn operate(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let input = Input(&request.input);
        if let Some(registry) = input
            .text("registryId")
            .filter(|registry| *registry != kernel.account())
        {
            return Err(ApiError::unsupported(format_args!(
                "`{}` of the registry {registry} by a caller of {}",
                request.operation,
                kernel.account()
            )));
        }
        match request.operation.as_str() {
            "CreateRepository" => self.create_repository(input, kernel),
            "DeleteRepository" => self.delete_repository(input, kernel),
            "DescribeRepositories" => self.describe_repositories(input, kernel),
            "PutImageTagMutability" => self.put_image_tag_mutability(input, kernel),
            "PutImage" => {
                let name = input.required("repositoryName")?;
                let repository = self.repositories.get(name).ok_or_else(|| no_repository(name, kernel))?;
                let labels = layers::labels(name, input.required("imageManifest")?, kernel);
                let put = images::put(input, labels, &repository.mutability, kernel)?;
                let digest = put.pointer("/image/imageId/imageDigest").and_then(Value::as_str);
                if let Some(digest) = digest {
                    let tag = input.text("imageTag");
                    self.copies.begin(name, digest, tag, self.replication, kernel);
                }
                Ok(put)
            }
            "SetRepositoryPolicy" => {
                let name = input.required("repositoryName")?;
                images_of(name, kernel)?;
                let policy = input.required("policyText")?;
                let readers = allowed_accounts(policy, &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"])?;
                kernel.images.readers.insert(name.to_owned(), readers);
                Ok(json!({"registryId": kernel.account(), "repositoryName": name, "policyText": policy}))
            }
            "PutRegistryPolicy" => {
                let policy = input.required("policyText")?;
                self.sources = allowed_accounts(policy, &["ecr:CreateRepository", "ecr:ReplicateImage"])?;
                Ok(json!({"registryId": kernel.account(), "policyText": policy}))
            }
            "PutReplicationConfiguration" => self.copies.configure(input),
            internal if internal.strip_prefix(INTERNAL) == Some(REPLICATE) => self.replicate(input, kernel),
            "BatchGetImage" => images::batch_get(input, kernel),
            "DescribeImages" => images::describe(input, kernel),
            "ListImages" => images::list(input, kernel),
            "BatchDeleteImage" => images::batch_delete(input, kernel),
            "UpdateImageStorageClass" => images::update_storage_class(input, kernel),
            "BatchCheckLayerAvailability" => layers::check_availability(input, kernel),
            "InitiateLayerUpload" => self.uploads.initiate(input, kernel),
            "UploadLayerPart" => self.uploads.upload_part(input, kernel),
            "CompleteLayerUpload" => self.uploads.complete(input, kernel),
            "GetDownloadUrlForLayer" => layers::download_url(input, kernel),
            "GetAuthorizationToken" => Ok(token::authorize(request, kernel)),
            other => Err(ApiError::unknown_operation("ecr", other, &OPERATIONS)),
        }
    }
}

impl Service for Ecr {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let operation = request.operation.as_str();
        if !OPERATIONS.contains(&operation) {
            return Vec::new();
        }
        let input = Input(&request.input);
        let named = input
            .list("repositoryNames")
            .iter()
            .filter_map(Value::as_str)
            .chain(input.text("repositoryName"));
        let mut resources: Vec<String> = named
            .map(|name| kernel.arn("ecr", &format!("repository/{name}")))
            .collect();
        if resources.is_empty() {
            resources.push(if operation == "GetAuthorizationToken" {
                "*".to_owned()
            } else {
                kernel.arn("ecr", "repository/*")
            });
        }
        resources
            .into_iter()
            .map(|resource| Authorization::new(format!("ecr:{operation}"), resource))
            .collect()
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(self.operate(request, kernel))
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        self.copies.wake(timer, kernel);
    }
}

fn no_repository(name: &str, kernel: &Kernel) -> ApiError {
    ApiError::client(
        "RepositoryNotFoundException",
        format!(
            "The repository with name '{name}' does not exist in the registry with id '{}'",
            kernel.account()
        ),
    )
}

/// The images of a repository that exists.
fn images_of<'a>(name: &str, kernel: &'a Kernel) -> Result<&'a BTreeMap<String, Image>, ApiError> {
    kernel
        .images
        .repositories
        .get(name)
        .ok_or_else(|| no_repository(name, kernel))
}
