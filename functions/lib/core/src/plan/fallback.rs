//! What ECS goes back to when the next deployment of a service fails, where that is no revision of ours: a deployment
//! that somebody made before Esclusa came, or beside it. Of ours the digests are known; of this one only what its task
//! definition and its service revision say.

use std::collections::BTreeMap;

use serde_json::Value;

use super::preflight::Findings;
use crate::pipeline::{AccountId, Hazard, Region, ResolvedEnvironment};
use crate::task_definition::{Home, containers};

/// The images of a deployment in force that we did not verify, by the containers that run them.
pub type ObservedFallback = BTreeMap<String, FallbackImage>;

/// An image that a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackImage {
    /// How the task definition names it.
    pub reference: String,
    /// What was seen of it.
    pub sight: Sight,
}

/// Whether an image can be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is in its repository.
    There,
    /// It is there no longer, or archived.
    Gone,
    /// It is in a registry or a repository that the installation may not read.
    NotLookedAt,
}

/// An image in a private registry of Amazon ECR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrImage {
    /// Where the registry is.
    pub place: Home,
    /// The repository.
    pub repository: String,
    /// The digest, where the reference names one.
    pub digest: Option<String>,
    /// The tag; `latest` where the reference names neither.
    pub tag: Option<String>,
}

impl EcrImage {
    /// Reads a reference such as `123456789012.dkr.ecr.us-east-1.amazonaws.com/shop:v1`; none for one of another
    /// registry.
    #[must_use]
    pub fn parse(reference: &str) -> Option<Self> {
        let (host, path) = reference.split_once('/')?;
        let (account, rest) = host.split_once(".dkr.ecr.")?;
        let region = rest
            .strip_suffix(".amazonaws.com")
            .or_else(|| rest.strip_suffix(".amazonaws.com.cn"))?;
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => (path, Some(digest.to_owned())),
            None => (path, None),
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Some(Self {
            place: Home {
                account: account.parse::<AccountId>().ok()?,
                region: region.parse::<Region>().ok()?,
            },
            repository: repository.to_owned(),
            digest,
            tag,
        })
    }
}

/// The references of the images of a task definition, by container.
pub fn references(definition: &Value) -> impl Iterator<Item = (&str, &str)> {
    containers(definition).filter_map(|(name, container)| Some((name, container.get("image")?.as_str()?)))
}

/// Whether what a service runs, none of it ours, can be pulled again.
pub(super) fn check(environment: &ResolvedEnvironment, service: &str, fallback: &ObservedFallback) -> Findings {
    let mut findings = Findings::default();
    for (container, FallbackImage { reference, sight }) in fallback {
        match sight {
            Sight::There => {}
            Sight::Gone => findings.add(
                environment,
                Hazard::FallbackGone,
                format!(
                    "the image that `{container}` of `{service}` runs now, `{reference}`, of a deployment that was not ours, can no longer be pulled: if this \
                     deployment fails ECS cannot go back to it"
                ),
                "push it again, and keep what runs out of the repository's lifecycle policy",
            ),
            Sight::NotLookedAt => findings.notes.push(format!(
                "whether the image that `{container}` of `{service}` runs now, `{reference}`, can still be pulled is not checked: it is in no repository that \
                 this installation may read"
            )),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_ecr_are_told_from_others() {
        let of = |digest: Option<&str>, tag: Option<&str>| {
            Some(EcrImage {
                place: Home {
                    account: "123456789012".parse().unwrap(),
                    region: "us-east-1".parse().unwrap(),
                },
                repository: "shop/web".to_owned(),
                digest: digest.map(str::to_owned),
                tag: tag.map(str::to_owned),
            })
        };
        let host = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
        for (reference, expected) in [
            (format!("{host}/shop/web"), of(None, Some("latest"))),
            (format!("{host}/shop/web:v1"), of(None, Some("v1"))),
            (format!("{host}/shop/web@sha256:ab"), of(Some("sha256:ab"), None)),
            (
                format!("{host}/shop/web:v1@sha256:ab"),
                of(Some("sha256:ab"), Some("v1")),
            ),
            (format!("{host}.cn/shop/web:v1"), of(None, Some("v1"))),
            (format!("{host}.example.com/shop/web:v1"), None),
            ("public.ecr.aws/nginx/nginx:1.29".to_owned(), None),
            ("nginx".to_owned(), None),
            ("12.dkr.ecr.us-east-1.amazonaws.com/shop:v1".to_owned(), None),
        ] {
            assert_eq!(EcrImage::parse(&reference), expected, "{reference}");
        }
    }
}
