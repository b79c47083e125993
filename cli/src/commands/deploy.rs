//! `esclusa deploy`.

use esclusa_core::pipeline::{Digest, Tag};

use super::parse;
use super::request::{self, Wish};
use crate::arguments::Deploy;
use crate::error::{CommandError, Exit};
use crate::output::Output;
use crate::session::Session;

pub(super) async fn execute(command: &Deploy, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let version = Version::parse(&command.version)?;
    let wish = Wish {
        kind: "deploy",
        application: &command.application,
        environment: &command.environment,
        image: command.image.as_deref(),
        tag: version.tag().map(Tag::as_str),
        digest: version.digest().map(Digest::as_str),
        target_release: None,
        reason: command.reason.as_deref(),
    };
    request::execute(&wish, &command.request, session, output).await
}

/// A version as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    /// What a tag points to now.
    Tag(Tag),
    /// This very image.
    Digest(Digest),
}

impl Version {
    /// A tag has no colon, a digest always has.
    pub(super) fn parse(text: &str) -> Result<Self, CommandError> {
        if text.contains(':') {
            parse(text).map(Self::Digest)
        } else {
            parse(text).map(Self::Tag)
        }
    }

    pub(super) fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }

    pub(super) fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::Tag(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_tag_or_a_digest_and_nothing_else() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        assert!(matches!(Version::parse("v1.4.0"), Ok(Version::Tag(_))));
        assert!(matches!(Version::parse(&digest), Ok(Version::Digest(_))));
        for text in ["sha256:0f", "shop:v1.4.0", "", "-v1"] {
            assert_eq!(Version::parse(text).unwrap_err().exit(), Exit::InvalidInput, "{text}");
        }
    }
}
