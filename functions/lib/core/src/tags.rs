//! Which tags may come into an environment, and which of two pushes is the newer.

use std::cmp::Ordering;
use std::fmt;

use jiff::Timestamp;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use crate::error::Failure;
use crate::pipeline::{Newest, Pipeline, Tag, TagPolicy, Trigger};

/// How a pattern says that it is a version requirement.
const VERSION_PREFIX: &str = "semver:";

/// Tags of this form name signatures and attestations of another image, never a release.
const ATTESTATION_GLOB: &str = "sha256-*";

/// The tag policy of one environment, ready to decide.
#[derive(Debug, Clone)]
pub struct TagRules {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

/// A pattern of a tag policy that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagPatternError {
    /// An empty pattern.
    #[error("an empty pattern matches no tag")]
    Empty,
    /// The text after `semver:` is no requirement.
    #[error("`{pattern}` is not a version requirement: {reason}")]
    Requirement {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A character that no tag can have.
    #[error("`{}` can match no tag: a tag has letters, digits, `_`, `.` and `-`", pattern.escape_debug())]
    Character {
        /// The pattern.
        pattern: String,
    },
}

/// Whether a tag may come into an environment, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum TagDecision {
    /// It may.
    Allowed {
        /// The pattern that allows it.
        pattern: String,
    },
    /// It may not: a pattern denies it.
    Denied {
        /// The pattern that denies it.
        pattern: String,
    },
    /// It may not: no pattern allows it.
    NotAllowed,
}

impl TagDecision {
    /// Whether the tag may come into the environment.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

impl fmt::Display for TagDecision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { pattern } => write!(formatter, "allowed by `{pattern}`"),
            Self::Denied { pattern } if pattern == ATTESTATION_GLOB => {
                write!(
                    formatter,
                    "denied: `{pattern}` names a signature or attestation, not a release"
                )
            }
            Self::Denied { pattern } => write!(formatter, "denied by `{pattern}`"),
            Self::NotAllowed => formatter.write_str("no pattern of `tags.allow` matches"),
        }
    }
}

impl TagRules {
    /// Reads the patterns of a policy.
    pub fn new(policy: &TagPolicy) -> Result<Self, TagPatternError> {
        let read = |patterns: &[String]| {
            patterns
                .iter()
                .map(|text| Pattern::new(text))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            allow: read(&policy.allow)?,
            deny: read(&policy.deny)?,
        })
    }

    /// Whether `pattern` means something.
    pub fn check_pattern(pattern: &str) -> Result<(), TagPatternError> {
        Pattern::new(pattern).map(|_| ())
    }

    /// Whether `tag` may come into the environment. What is denied stays denied, whatever allows it.
    pub fn decide(&self, tag: &Tag) -> TagDecision {
        if WildMatch::new(ATTESTATION_GLOB).matches(tag.as_str()) {
            return TagDecision::Denied {
                pattern: ATTESTATION_GLOB.to_owned(),
            };
        }
        let matching = |patterns: &[Pattern]| {
            patterns
                .iter()
                .find(|pattern| pattern.matches(tag))
                .map(|pattern| pattern.text.clone())
        };
        if let Some(pattern) = matching(&self.deny) {
            return TagDecision::Denied { pattern };
        }
        matching(&self.allow).map_or(TagDecision::NotAllowed, |pattern| TagDecision::Allowed { pattern })
    }
}

/// The environments that a pushed tag goes to, in order; or why there is none.
///
/// # Errors
/// `Defect` for a tag policy that was not checked when the pipeline was applied.
pub fn environments_for(pipeline: &Pipeline, tag: &Tag) -> Result<Result<Vec<String>, String>, Failure> {
    let (mut environments, mut refused) = (Vec::new(), Vec::new());
    let meant = pipeline.environments_of(tag);
    for environment in meant.filter(|environment| environment.trigger == Trigger::Push) {
        let rules = TagRules::new(&environment.tags).map_err(|error| {
            Failure::defect(format!(
                "the tag policy of `{}` cannot be read: {error}",
                environment.name
            ))
        })?;
        let decision = rules.decide(tag);
        if decision.is_allowed() {
            environments.push(environment.name.to_string());
        } else {
            refused.push(format!("`{}`: {decision}", environment.name));
        }
    }
    if !environments.is_empty() {
        return Ok(Ok(environments));
    }
    Ok(Err(if refused.is_empty() {
        "no environment of the pipeline accepts pushes".to_owned()
    } else {
        format!("no environment accepts tag `{tag}`: {}", refused.join("; "))
    }))
}

#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    Glob(WildMatch),
    Requirement(VersionReq),
}

impl Pattern {
    fn new(text: &str) -> Result<Self, TagPatternError> {
        let matcher = match text.strip_prefix(VERSION_PREFIX) {
            Some(requirement) => Matcher::Requirement(requirement.trim().parse().map_err(|error: semver::Error| {
                TagPatternError::Requirement {
                    pattern: text.escape_debug().to_string(),
                    reason: error.to_string(),
                }
            })?),
            None if text.is_empty() => return Err(TagPatternError::Empty),
            None if !text
                .chars()
                .all(|each| each.is_ascii_alphanumeric() || "_.-*?".contains(each)) =>
            {
                return Err(TagPatternError::Character {
                    pattern: text.to_owned(),
                });
            }
            None => Matcher::Glob(WildMatch::new(text)),
        };
        Ok(Self {
            text: text.to_owned(),
            matcher,
        })
    }

    fn matches(&self, tag: &Tag) -> bool {
        match &self.matcher {
            Matcher::Glob(glob) => glob.matches(tag.as_str()),
            Matcher::Requirement(requirement) => version_of(tag).is_some_and(|version| requirement.matches(&version)),
        }
    }
}

/// The semantic version that a tag such as `v1.2.3` or `1.2.3` names.
pub fn version_of(tag: &Tag) -> Option<Version> {
    let text = tag.as_str();
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// A push, as far as it takes part in the question which is the newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The tag.
    pub tag: &'a Tag,
    /// The generation of the tag, from 1.
    pub generation: u64,
    /// When the tag was pushed. Of two generations of one tag the later is never earlier.
    pub pushed_at: Timestamp,
}

/// Which of two pushes is the newer: `Greater` when `left` is.
///
/// By push, the later one; of two generations of one tag in the same second, the higher. By version, the higher
/// semantic version; a tag that names no version is older than any that does; equal versions are compared by push.
pub fn compare_age(newest: Newest, left: &Candidate<'_>, right: &Candidate<'_>) -> Ordering {
    let by_generation = if left.tag == right.tag {
        left.generation.cmp(&right.generation)
    } else {
        Ordering::Equal
    };
    let by_push = left.pushed_at.cmp(&right.pushed_at).then(by_generation);
    match newest {
        Newest::Push => by_push,
        Newest::Version => match (version_of(left.tag), version_of(right.tag)) {
            (Some(left), Some(right)) => left.cmp_precedence(&right).then(by_push),
            (left, right) => left.is_some().cmp(&right.is_some()).then(by_push),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    fn rules(allow: &[&str], deny: &[&str]) -> TagRules {
        let list = |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect();
        TagRules::new(&TagPolicy {
            allow: list(allow),
            deny: list(deny),
        })
        .unwrap()
    }

    #[test]
    fn deny_wins_over_allow_and_the_reason_names_the_pattern() {
        let rules = rules(&["main-*", "semver:>=1.0.0, <3"], &["*-rc*"]);
        let decide = |text: &str| rules.decide(&tag(text)).to_string();
        assert_eq!(decide("main-3f2a"), "allowed by `main-*`");
        assert_eq!(decide("v1.2.3"), "allowed by `semver:>=1.0.0, <3`");
        assert_eq!(decide("2.0.0"), "allowed by `semver:>=1.0.0, <3`");
        assert_eq!(decide("main-rc1"), "denied by `*-rc*`");
        for text in ["v3.0.0", "v0.9.0", "v1.2.3-beta.1", "v1.2", "develop"] {
            assert_eq!(decide(text), "no pattern of `tags.allow` matches", "{text}");
        }
    }

    #[test]
    fn signatures_are_denied_even_where_everything_is_allowed() {
        let signature = tag(&format!("sha256-{}.sig", "0f".repeat(32)));
        assert!(!rules(&["*"], &[]).decide(&signature).is_allowed());
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        assert_eq!(TagRules::check_pattern(""), Err(TagPatternError::Empty));
        for pattern in ["semver:", "semver:one", "a b", "refs/tags/v*", "\u{1}"] {
            assert!(TagRules::check_pattern(pattern).is_err(), "{pattern:?}");
        }
    }

    #[test]
    fn newer_is_the_later_push_or_the_higher_version() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (v9, v10, main) = (tag("v1.9.0"), tag("v1.10.0"), tag("main"));
        let candidate = |tag, generation, second| Candidate {
            tag,
            generation,
            pushed_at: at(second),
        };
        let older_version = candidate(&v9, 1, 20);
        let newer_version = candidate(&v10, 1, 10);
        let no_version = candidate(&main, 1, 30);
        assert_eq!(
            compare_age(Newest::Push, &older_version, &newer_version),
            Ordering::Greater
        );
        assert_eq!(
            compare_age(Newest::Version, &older_version, &newer_version),
            Ordering::Less
        );
        assert_eq!(
            compare_age(Newest::Version, &older_version, &no_version),
            Ordering::Greater
        );
        assert_eq!(
            compare_age(Newest::Push, &candidate(&main, 2, 9), &candidate(&main, 1, 9)),
            Ordering::Greater
        );
    }

    fn going_to(environments: &str, tag: &str) -> Result<Vec<String>, String> {
        let text = format!(
            "version: 1\napplication: shop\nimages: {{app: {{repository: shop}}}}\n\
             task_definitions: {{web: {{family: shop, containers: {{web: {{image: app}}}}}}}}\n\
             services: {{web: {{service: shop, task_definition: web}}}}\nenvironments:\n{environments}"
        );
        environments_for(&crate::pipeline::parse(&text).unwrap(), &tag.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_push_goes_to_the_environments_that_take_pushes_and_its_tag_in_their_order() {
        let environments = "  - {name: develop, trigger: push, cluster: a}\n  - {name: staging, trigger: push, cluster: b, tags: {allow: [\"v*\"]}}\n  \
                            - {name: production, trigger: manual, cluster: c}\n";
        assert_eq!(going_to(environments, "v1").unwrap(), ["develop", "staging"]);
        assert_eq!(going_to(environments, "main-3f2a").unwrap(), ["develop"]);
    }

    #[test]
    fn a_push_that_goes_nowhere_is_told_why_for_every_environment() {
        let environments =
            "  - {name: staging, trigger: push, cluster: b, tags: {allow: [\"v*\"], deny: [\"*-rc\"]}}\n";
        assert_eq!(
            going_to(environments, "v1-rc").unwrap_err(),
            "no environment accepts tag `v1-rc`: `staging`: denied by `*-rc`"
        );
        assert_eq!(
            going_to("  - {name: production, trigger: manual, cluster: c}\n", "v1").unwrap_err(),
            "no environment of the pipeline accepts pushes"
        );
    }
}
