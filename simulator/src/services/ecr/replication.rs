//! Replication to other registries: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/replication.html>. What is pushed after it was configured is
//! copied, one hop far; deletions and settings are not.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator_kernel::{ApiError, INTERNAL, Image, Kernel, Place, Principal, TimerId};

use super::super::{Input, invalid};
use super::{Ecr, events};

/// The operation by which a registry hands an image to another one.
pub(super) const REPLICATE: &str = "ReplicateImage";

/// What becomes of the copies of images that are pushed from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replication {
    /// How long a copy takes: "the majority of images replicate in less than 30 minutes, but in rare cases … longer".
    pub takes: SignedDuration,
    /// Whether it fails.
    pub fails: bool,
}

impl Default for Replication {
    /// Every copy arrives a minute later.
    fn default() -> Self {
        Self {
            takes: SignedDuration::from_mins(1),
            fails: false,
        }
    }
}

/// Where images of which repositories are copied to.
#[derive(Debug)]
struct Rule {
    destinations: Vec<Place>,
    /// Beginnings of repository names; all when there are none.
    prefixes: Vec<String>,
}

/// A copy under way.
#[derive(Debug)]
struct Copy {
    to: Place,
    repository: String,
    digest: String,
    tag: Option<String>,
    fails: bool,
}

/// What a registry copies elsewhere.
#[derive(Debug, Default)]
pub(super) struct Copies {
    rules: Vec<Rule>,
    under_way: BTreeMap<TimerId, Copy>,
}

impl Copies {
    pub(super) fn configure(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let configuration = input.0.get("replicationConfiguration").unwrap_or(&Value::Null);
        let rules = Input(configuration).list("rules");
        self.rules = rules
            .iter()
            .map(|rule| {
                let destinations = Input(rule).list("destinations").iter().map(|destination| {
                    let destination = Input(destination);
                    let (account, region) = (destination.required("registryId")?, destination.required("region")?);
                    Ok(Place::new(account, region))
                });
                let prefixes = Input(rule).list("repositoryFilters").iter().map(|filter| {
                    if Input(filter).text("filterType") != Some("PREFIX_MATCH") {
                        return Err(invalid("Invalid parameter at 'filterType': there is `PREFIX_MATCH`"));
                    }
                    Input(filter).required("filter").map(str::to_owned)
                });
                Ok(Rule {
                    destinations: destinations.collect::<Result<_, ApiError>>()?,
                    prefixes: prefixes.collect::<Result<_, ApiError>>()?,
                })
            })
            .collect::<Result<_, ApiError>>()?;
        Ok(json!({"replicationConfiguration": configuration}))
    }

    /// Begins the copies of an image that was pushed.
    pub(super) fn begin(
        &mut self,
        repository: &str,
        digest: &str,
        tag: Option<&str>,
        replication: Replication,
        kernel: &mut Kernel,
    ) {
        for rule in &self.rules {
            let is_meant =
                rule.prefixes.is_empty() || rule.prefixes.iter().any(|prefix| repository.starts_with(prefix));
            for to in rule.destinations.iter().filter(|_| is_meant) {
                let copy = Copy {
                    to: to.clone(),
                    repository: repository.to_owned(),
                    digest: digest.to_owned(),
                    tag: tag.map(str::to_owned),
                    fails: replication.fails,
                };
                self.under_way
                    .insert(kernel.wake_after(replication.takes, Ecr::NAME), copy);
            }
        }
    }

    /// Hands the copy over whose time has come.
    pub(super) fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        let Some(copy) = self.under_way.remove(&timer) else {
            return;
        };
        let image = kernel.images.by_digest(&copy.repository, &copy.digest);
        let manifest = image.map(|image| {
            (
                image.manifest.clone(),
                image.manifest_media_type.clone(),
                image.artifact_media_type.clone(),
                image.labels.clone(),
            )
        });
        let (manifest, media_type, artifact, labels) = manifest.unwrap_or_default();
        let input = json!({
            "sourceAccount": kernel.account(), "sourceRegion": kernel.region(), "repositoryName": copy.repository, "imageDigest": copy.digest,
            "imageTag": copy.tag, "imageManifest": manifest, "imageManifestMediaType": media_type, "artifactMediaType": artifact, "labels": labels,
            "fails": copy.fails,
        });
        let service = Principal::Service("replication.ecr.amazonaws.com".to_owned());
        let operation = format!("{INTERNAL}{REPLICATE}");
        kernel.call_at(Some(&copy.to), None, Ecr::NAME, Ecr::NAME, &operation, input, &service);
    }
}

impl Ecr {
    /// Takes a copy in, where the policy of the registry lets its account. The event is of the destination.
    pub(super) fn replicate(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let source = Place::new(input.required("sourceAccount")?, input.required("sourceRegion")?);
        let (repository, digest) = (input.required("repositoryName")?, input.required("imageDigest")?);
        let may = source.account == kernel.account() || self.sources.contains(&source.account);
        let manifest = input.text("imageManifest").unwrap_or_default();
        if !may || input.flag("fails") || manifest.is_empty() {
            events::replication_action(kernel, repository, digest, input.text("imageTag"), &source, "FAILED");
            return Ok(json!({}));
        }
        if !self.repositories.contains_key(repository) {
            self.create(repository, kernel);
        }
        let now = kernel.now();
        let images = kernel.images.repositories.entry(repository.to_owned()).or_default();
        if let Some(tag) = input.text("imageTag") {
            for image in images.values_mut() {
                image.tags.remove(tag);
            }
        }
        let image = images.entry(digest.to_owned()).or_insert_with(|| Image {
            digest: digest.to_owned(),
            tags: std::collections::BTreeSet::new(),
            manifest: manifest.to_owned(),
            manifest_media_type: input.text("imageManifestMediaType").unwrap_or_default().to_owned(),
            artifact_media_type: input.text("artifactMediaType").map(str::to_owned),
            labels: input
                .object("labels")
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            pushed_at: now,
            status: simulator_kernel::ImageStatus::Active,
        });
        image.tags.extend(input.text("imageTag").map(str::to_owned));
        events::replication_action(kernel, repository, digest, input.text("imageTag"), &source, "SUCCESS");
        Ok(json!({}))
    }
}

/// The other accounts that a policy of a registry or repository lets do all of `actions`.
pub(super) fn allowed_accounts(policy: &str, actions: &[&str]) -> Result<std::collections::BTreeSet<String>, ApiError> {
    let policy: Value = serde_json::from_str(policy)
        .map_err(|error| invalid(format!("Invalid repository policy provided: {error}")))?;
    let texts = |value: Option<&Value>| -> Vec<String> {
        match value {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    let mut accounts = std::collections::BTreeSet::new();
    for statement in Input(&policy).list("Statement") {
        let known = ["Sid", "Effect", "Principal", "Action", "Resource"];
        let members = statement.as_object().into_iter().flatten();
        if let Some((other, _)) = members.into_iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(ApiError::unsupported(format_args!("`{other}` in a policy of `ecr`")));
        }
        if Input(statement).text("Effect") != Some("Allow") {
            return Err(ApiError::unsupported("a policy of `ecr` that denies"));
        }
        let granted = texts(statement.get("Action"));
        if actions
            .iter()
            .all(|action| granted.iter().any(|granted| granted == action || granted == "ecr:*"))
        {
            let named = texts(statement.pointer("/Principal/AWS")).into_iter();
            accounts.extend(named.map(|name| name.split(':').nth(4).unwrap_or(&name).to_owned()));
        }
    }
    Ok(accounts)
}
