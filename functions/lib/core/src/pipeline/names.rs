//! Names, checked once at the border: a value of one of these types is valid everywhere. What does not fit is refused,
//! never sanitised.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A text that is not a valid name, with the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{}` is not valid: {rule}", text.escape_debug())]
pub struct InvalidName {
    /// What the text was meant to be, such as `tag`.
    pub kind: &'static str,
    /// The text as it was given.
    pub text: String,
    /// What a valid one looks like.
    pub rule: &'static str,
}

/// Declares a name: a checked string with its JSON Schema pattern.
macro_rules! name {
    ($(#[$documentation:meta])* $name:ident, $kind:literal, $pattern:literal, $rule:literal, $check:expr) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The regular expression of the JSON Schema that stands for this name.
            pub const PATTERN: &str = $pattern;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(InvalidName { kind: $kind, text, rule: $rule }) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

name!(
    /// The name of an application.
    ApplicationName, "application name", "^[a-z]([a-z0-9]|-[a-z0-9]){0,31}$",
    "lower-case letters, digits and single hyphens, from 1 to 32 characters, starting with a letter", |text| is_plain_name(text, 32)
);
name!(
    /// The name of an environment.
    EnvironmentName, "environment name", "^[a-z]([a-z0-9]|-[a-z0-9]){0,19}$",
    "lower-case letters, digits and single hyphens, from 1 to 20 characters, starting with a letter", |text| is_plain_name(text, 20)
);
name!(
    /// The key of an image, database, task definition, task or service in the pipeline file.
    Name, "name", "^[a-z]([a-z0-9]|-[a-z0-9]){0,39}$",
    "lower-case letters, digits and single hyphens, from 1 to 40 characters, starting with a letter", |text| is_plain_name(text, 40)
);
name!(
    /// The digest of an image: what is deployed, whatever tags point to.
    Digest, "digest", "^sha256:[a-f0-9]{64}$",
    "`sha256:` followed by 64 lower-case hexadecimal digits",
    |text| text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(is_lower_hexadecimal))
);
name!(
    /// A member of Slack: of any workspace, or of the one before the slash.
    MemberId, "Slack member id", "^([TE][A-Z0-9]{2,30}/)?[UW][A-Z0-9]{2,30}$",
    "`U` or `W` followed by capital letters and digits, as the profile of the member shows it, after the id of the workspace and `/` where it counts",
    is_member_id
);
name!(
    /// A channel of a Slack workspace.
    ChannelId, "Slack channel id", "^[CG][A-Z0-9]{2,30}$",
    "`C` or `G` followed by capital letters and digits, as the details of the channel show it", |text| is_slack_id(text, &["C", "G"])
);
name!(
    /// A tag of an image, by the grammar of the OCI distribution specification.
    Tag, "tag", "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$",
    "letters, digits, `_`, `.` and `-`, from 1 to 128 characters, not starting with `.` or `-`", is_tag
);
name!(
    /// The name of an ECR repository.
    RepositoryName, "repository name", "^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$",
    "lower-case letters and digits in parts joined by one of `.`, `_`, `-` or `/`, from 2 to 256 characters", is_repository_name
);
name!(
    /// An AWS account.
    AccountId, "account", "^[0-9]{12}$", "12 digits in quotes", |text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
);
name!(
    /// An AWS Region, such as `eu-central-1`.
    Region, "region", "^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$", "a Region code such as `us-east-1`", is_region
);

impl MemberId {
    /// The id of the member.
    #[must_use]
    pub fn user(&self) -> &str {
        self.0.split_once('/').map_or(self.as_str(), |(_, user)| user)
    }

    /// The id of the workspace, where it counts.
    #[must_use]
    pub fn workspace(&self) -> Option<&str> {
        self.0.split_once('/').map(|(workspace, _)| workspace)
    }
}

/// The names that appear in the JSON Schema by their pattern, with the check that decides.
pub(super) fn check_by_pattern(pattern: &str, text: &str) -> Option<Result<(), InvalidName>> {
    fn check<T: FromStr<Err = InvalidName>>(text: &str) -> Result<(), InvalidName> {
        text.parse::<T>().map(|_| ())
    }
    Some(match pattern {
        ApplicationName::PATTERN => check::<ApplicationName>(text),
        EnvironmentName::PATTERN => check::<EnvironmentName>(text),
        Name::PATTERN => check::<Name>(text),
        RepositoryName::PATTERN => check::<RepositoryName>(text),
        AccountId::PATTERN => check::<AccountId>(text),
        Region::PATTERN => check::<Region>(text),
        MemberId::PATTERN => check::<MemberId>(text),
        ChannelId::PATTERN => check::<ChannelId>(text),
        _ => return None,
    })
}

/// Whether `text` can name a cluster, a service or a task-definition family in ECS.
pub(super) fn is_ecs_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_plain_name(text: &str, length_max: usize) -> bool {
    text.len() <= length_max
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text.bytes().all(|byte| is_lower_alphanumeric(byte) || byte == b'-')
}

fn is_member_id(text: &str) -> bool {
    let (workspace, user) = text
        .split_once('/')
        .map_or((None, text), |(workspace, user)| (Some(workspace), user));
    workspace.is_none_or(|workspace| is_slack_id(workspace, &["T", "E"])) && is_slack_id(user, &["U", "W"])
}

fn is_slack_id(text: &str, kinds: &[&str]) -> bool {
    let rest = kinds.iter().find_map(|kind| text.strip_prefix(kind));
    rest.is_some_and(|rest| {
        (2..=30).contains(&rest.len())
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    })
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn is_repository_name(text: &str) -> bool {
    (2..=256).contains(&text.len())
        && text
            .split(['/', '.', '_', '-'])
            .all(|part| !part.is_empty() && part.bytes().all(is_lower_alphanumeric))
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else {
        return false;
    };
    words.len() >= 2
        && words.first().is_some_and(|partition| partition.len() >= 2)
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_lower_hexadecimal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid<T: FromStr<Err = InvalidName>>(text: &str) -> bool {
        text.parse::<T>().is_ok()
    }

    #[test]
    fn plain_names_have_no_upper_case_no_double_and_no_trailing_hyphen() {
        for text in ["a", "imagy-catalog", "v2", &"a".repeat(32)] {
            assert!(valid::<ApplicationName>(text), "{text}");
        }
        for text in ["", "-a", "a-", "a--b", "A", "1a", "a_b", "á", &"a".repeat(33)] {
            assert!(!valid::<ApplicationName>(text), "{text}");
        }
        assert!(valid::<EnvironmentName>(&"a".repeat(20)) && !valid::<EnvironmentName>(&"a".repeat(21)));
        assert!(valid::<Name>(&"a".repeat(40)) && !valid::<Name>(&"a".repeat(41)));
    }

    #[test]
    fn tags_with_quotes_or_control_characters_are_refused_and_shown_escaped() {
        for text in ["v1.2.3", "main-3f2a", "_x", "A.b-C"] {
            assert!(valid::<Tag>(text), "{text}");
        }
        for text in ["", ".x", "-x", "a\"b", "a\nb", "a b", "a/b", "é", &"a".repeat(129)] {
            assert!(!valid::<Tag>(text), "{text:?}");
        }
        let error = "a\n\"b".parse::<Tag>().unwrap_err().to_string();
        assert!(error.starts_with(r#"tag `a\n\"b` is not valid"#), "{error}");
    }

    #[test]
    fn the_other_names_follow_their_grammar() {
        assert!(valid::<Digest>(&format!("sha256:{}", "0f".repeat(32))));
        assert!(!valid::<Digest>(&format!("sha256:{}", "0F".repeat(32))) && !valid::<Digest>("sha256:00"));
        for text in ["imagy-catalog", "team/app.web", "ab"] {
            assert!(valid::<RepositoryName>(text), "{text}");
        }
        for text in ["a", "Team/app", "a//b", "/ab", "ab-", "a__b"] {
            assert!(!valid::<RepositoryName>(text), "{text}");
        }
        for text in ["us-east-1", "us-gov-west-1", "ap-southeast-12"] {
            assert!(valid::<Region>(text), "{text}");
        }
        for text in ["useast1", "us-1", "us-east-", "US-EAST-1", "us-east-1a"] {
            assert!(!valid::<Region>(text), "{text}");
        }
        assert!(valid::<AccountId>("012345678901") && !valid::<AccountId>("12345678901"));
    }
}
