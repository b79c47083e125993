//! The version that a person names, and whether it may come into an environment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::pipeline::{Digest, InvalidName, ResolvedEnvironment, Tag};
use crate::tags::{TagPatternError, TagRules};

/// A version as people name it. As text, and in JSON, it is the tag or the digest: a tag has no colon, a digest always
/// has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Version {
    /// What the tag points to now.
    Tag(Tag),
    /// This very image.
    Digest(Digest),
}

impl Version {
    /// The tag, where it is named by one.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }
}

impl FromStr for Version {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.contains(':') {
            text.parse().map(Self::Digest)
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

impl TryFrom<String> for Version {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => formatter.write_str(tag.as_str()),
            Self::Digest(digest) => formatter.write_str(digest.as_str()),
        }
    }
}

/// Why the tag policy of an environment does not take an image; none when it does. `tags` are those that point to the
/// image now.
///
/// The tag by which it is named decides. What is named by its digest comes in by any of its tags, and without a tag
/// where every tag would be taken.
///
/// # Errors
/// When a pattern of the policy means nothing.
pub fn refusal(
    environment: &ResolvedEnvironment,
    version: &Version,
    tags: &[String],
) -> Result<Option<String>, TagPatternError> {
    let rules = TagRules::new(&environment.tags)?;
    let name = &environment.name;
    let digest = match version {
        Version::Tag(tag) => {
            let decision = rules.decide(tag);
            let refusal = format!("`{name}` does not accept tag `{tag}`: {decision}");
            return Ok((!decision.is_allowed()).then_some(refusal));
        }
        Version::Digest(digest) => digest,
    };
    let tags: Vec<Tag> = tags.iter().filter_map(|tag| tag.parse().ok()).collect();
    if tags.is_empty() {
        let refusal = format!("`{name}` accepts only some tags, and `{digest}` has none");
        return Ok((!environment.tags.takes_every_tag()).then_some(refusal));
    }
    let decided: Vec<_> = tags.iter().map(|tag| (tag, rules.decide(tag))).collect();
    if decided.iter().any(|(_, decision)| decision.is_allowed()) {
        return Ok(None);
    }
    let reasons: Vec<String> = decided
        .iter()
        .map(|(tag, decision)| format!("`{tag}`: {decision}"))
        .collect();
    Ok(Some(format!(
        "`{name}` accepts none of the tags of `{digest}`: {}",
        reasons.join("; ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{parse, resolve};

    fn environment(tags: &str) -> ResolvedEnvironment {
        let text = format!(
            "version: 1\napplication: shop\nimages: {{app: {{repository: shop}}}}\n\
             task_definitions: {{web: {{family: shop, containers: {{web: {{image: app}}}}}}}}\n\
             services: {{web: {{service: shop, task_definition: web}}}}\n\
             environments: [{{name: production, trigger: manual, cluster: c{tags}}}]\n"
        );
        resolve(&parse(&text).unwrap(), "production").unwrap()
    }

    fn digest() -> String {
        format!("sha256:{}", "0f".repeat(32))
    }

    fn refused(tags: &str, version: &str, of_the_image: &[&str]) -> Option<String> {
        let of_the_image: Vec<String> = of_the_image.iter().map(|tag| (*tag).to_owned()).collect();
        refusal(&environment(tags), &version.parse().unwrap(), &of_the_image).unwrap()
    }

    #[test]
    fn a_version_is_a_tag_or_a_digest_and_nothing_else() {
        assert!(matches!("v1.4.0".parse(), Ok(Version::Tag(_))));
        assert!(matches!(digest().parse(), Ok(Version::Digest(_))));
        for text in ["sha256:0f", "shop:v1.4.0", "", "-v1"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_tag_that_is_named_decides_whatever_other_tags_the_image_has() {
        let releases = ", tags: {allow: [\"semver:>=1.0.0\"]}";
        assert_eq!(refused(releases, "v1.4.0", &["main"]), None);
        assert_eq!(
            refused(releases, "main", &["main", "v1.4.0"]).unwrap(),
            "`production` does not accept tag `main`: no pattern of `tags.allow` matches"
        );
    }

    #[test]
    fn a_digest_comes_in_by_any_of_its_tags_and_without_one_only_where_all_are_taken() {
        let releases = ", tags: {allow: [\"v*\"], deny: [\"*-rc*\"]}";
        assert_eq!(refused(releases, &digest(), &["main", "v1.4.0"]), None);
        assert_eq!(
            refused(releases, &digest(), &["main", "v1-rc1"]).unwrap(),
            format!(
                "`production` accepts none of the tags of `{}`: `main`: no pattern of `tags.allow` matches; `v1-rc1`: denied by `*-rc*`",
                digest()
            )
        );
        assert_eq!(
            refused(releases, &digest(), &[]).unwrap(),
            format!("`production` accepts only some tags, and `{}` has none", digest())
        );
        assert_eq!(refused("", &digest(), &[]), None);
    }
}
