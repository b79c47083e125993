//! Who a release and a deployment are, and when a push is a new one.
//!
//! Ids are hashes of what makes the thing the same thing: whoever computes them again, after a crash or from a
//! duplicate event, gets the same id.

mod generation;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::generation::{
    FoundBy, LateReason, PushObservation, PushSeen, TagRow, is_overdue, observe_push, sought_since,
};
use crate::canonical::canonical_sha256;
use crate::pipeline::{AccountId, ApplicationName, EnvironmentName, Region, RepositoryName, Tag};

/// Hexadecimal digits of the identity's hash in a release id.
const HASH_DIGITS: usize = 20;

/// The largest number of attempts that fits into a deployment id.
const ATTEMPT_MAX: u8 = 99;

/// What makes a push the same push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushIdentity {
    /// The account of the repository.
    pub account: AccountId,
    /// The Region of the repository.
    pub region: Region,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// The generation of the tag, from 1.
    pub generation: u64,
    /// The application the repository belongs to.
    pub application: ApplicationName,
}

impl PushIdentity {
    /// The release of this push.
    pub fn release_id(&self) -> ReleaseId {
        let Self {
            account,
            region,
            repository,
            tag,
            generation,
            application,
        } = self;
        let identity = json!({
            "account": account, "region": region, "repository": repository, "tag": tag, "generation": generation, "application": application,
        });
        ReleaseId::of(application, &identity)
    }
}

/// What a person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A digest into one environment.
    Deploy,
    /// Back to an earlier verified release in one environment.
    Rollback,
}

/// What makes a request by hand the same request. What a tag points to, or where a rollback leads, is found once and is
/// no part of it: a repeat finds the release of the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestIdentity {
    /// What was asked for.
    pub kind: RequestKind,
    /// The application.
    pub application: ApplicationName,
    /// The environment.
    pub environment: EnvironmentName,
    /// Chosen once by the client; a repeat of the request carries the same.
    pub request_id: String,
}

impl RequestIdentity {
    /// The release of this request.
    pub fn release_id(&self) -> ReleaseId {
        let Self {
            kind,
            application,
            environment,
            request_id,
        } = self;
        let identity = json!({
            "kind": kind, "application": application, "environment": environment, "request_id": request_id,
        });
        ReleaseId::of(application, &identity)
    }
}

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a {kind} id", text.escape_debug())]
pub struct InvalidId {
    /// What the text was meant to identify.
    pub kind: &'static str,
    /// The text as it was given.
    pub text: String,
}

/// A release: one digest of one image of one application on its way. Also the name of its execution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(String);

impl ReleaseId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The application the release belongs to.
    pub fn application(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(application, _)| application)
    }

    fn of(application: &ApplicationName, identity: &Value) -> Self {
        let digits: String = canonical_sha256(identity).chars().take(HASH_DIGITS).collect();
        Self(format!("{application}-{digits}"))
    }
}

impl FromStr for ReleaseId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_hash = |digits: &str| {
            digits.len() == HASH_DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        match text.rsplit_once('-') {
            Some((application, digits)) if application.parse::<ApplicationName>().is_ok() && is_hash(digits) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidId {
                kind: "release",
                text: text.to_owned(),
            }),
        }
    }
}

/// One attempt to bring one release into one environment. Also the name of its execution: at most 80 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeploymentId {
    text: String,
    release_id: ReleaseId,
    environment: EnvironmentName,
    attempt: u8,
}

impl DeploymentId {
    /// The id of an attempt, from 1 to 99.
    pub fn new(release_id: ReleaseId, environment: EnvironmentName, attempt: u8) -> Result<Self, InvalidId> {
        let text = format!("{release_id}-{environment}-{attempt}");
        if !(1..=ATTEMPT_MAX).contains(&attempt) {
            return Err(InvalidId {
                kind: "deployment",
                text,
            });
        }
        Ok(Self {
            text,
            release_id,
            environment,
            attempt,
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The release.
    pub fn release_id(&self) -> &ReleaseId {
        &self.release_id
    }

    /// The environment.
    pub fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    /// The attempt, from 1.
    pub fn attempt(&self) -> u8 {
        self.attempt
    }
}

impl FromStr for DeploymentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // `{application}-{hash}-{environment}-{attempt}`: names may contain hyphens, so the reading is the one that
        // writes the same text again.
        let read = || {
            let (rest, attempt) = text.rsplit_once('-')?;
            let attempt: u8 = attempt.parse().ok()?;
            let hyphens = rest.match_indices('-').map(|(position, _)| position);
            let mut ids = hyphens.filter_map(|position| {
                let (release_id, environment) = rest.split_at_checked(position)?;
                let release_id = release_id.parse().ok()?;
                let environment = environment.strip_prefix('-')?.parse().ok()?;
                Self::new(release_id, environment, attempt).ok()
            });
            ids.next().filter(|id| id.text == text)
        };
        read().ok_or_else(|| InvalidId {
            kind: "deployment",
            text: text.to_owned(),
        })
    }
}

macro_rules! id_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    )*};
}

id_text!(ReleaseId, DeploymentId);

#[cfg(test)]
mod tests {
    use super::*;

    fn push(generation: u64) -> PushIdentity {
        PushIdentity {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            repository: "imagy-catalog".parse().unwrap(),
            tag: "v1.2.3".parse().unwrap(),
            generation,
            application: "imagy-catalog".parse().unwrap(),
        }
    }

    #[test]
    fn a_push_has_one_id_and_another_generation_another() {
        assert_eq!(push(1).release_id(), push(1).release_id());
        assert_ne!(push(1).release_id(), push(2).release_id());
        assert_eq!(push(1).release_id().application(), "imagy-catalog");
    }

    #[test]
    fn a_request_is_told_apart_by_its_kind_and_its_request_id() {
        let request = |kind, request_id: &str| RequestIdentity {
            kind,
            application: "shop".parse().unwrap(),
            environment: "production".parse().unwrap(),
            request_id: request_id.to_owned(),
        };
        let id = |kind, request_id| request(kind, request_id).release_id();
        assert_eq!(id(RequestKind::Deploy, "1"), id(RequestKind::Deploy, "1"));
        assert_ne!(id(RequestKind::Deploy, "1"), id(RequestKind::Deploy, "2"));
        assert_ne!(id(RequestKind::Deploy, "1"), id(RequestKind::Rollback, "1"));
    }

    #[test]
    fn a_release_id_is_the_name_of_an_application_and_twenty_hexadecimal_digits() {
        let digits = "0f".repeat(10);
        assert_eq!(
            format!("shop-{digits}").parse::<ReleaseId>().unwrap().application(),
            "shop"
        );
        for text in [
            format!("shop-{}", "0f".repeat(9)),
            format!("shop-{}", "0F".repeat(10)),
            format!("Shop-{digits}"),
            format!("-{digits}"),
            digits,
        ] {
            assert!(text.parse::<ReleaseId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_deployment_id_is_read_back_and_fits_into_an_execution_name() {
        let release_id: ReleaseId = format!("{}-{}", "a".repeat(32), "0f".repeat(10)).parse().unwrap();
        let id = DeploymentId::new(release_id, "b".repeat(20).parse().unwrap(), 99).unwrap();
        assert!(id.as_str().len() <= 80);
        assert_eq!(id.as_str().parse::<DeploymentId>().unwrap(), id);
        let hyphens = DeploymentId::new(push(1).release_id(), "eu-west-2".parse().unwrap(), 3).unwrap();
        assert_eq!(hyphens.as_str().parse::<DeploymentId>().unwrap(), hyphens);
        for text in [
            "",
            "a-b-1",
            "imagy-catalog",
            &format!("{}-develop-0", push(1).release_id()),
            &format!("{}-develop-01", push(1).release_id()),
        ] {
            assert!(text.parse::<DeploymentId>().is_err(), "{text}");
        }
    }
}
