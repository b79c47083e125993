//! What comes from Slack: whether a request is Slack's own, who somebody is there, and what they want. Whether they may
//! is asked elsewhere.

mod interaction;
mod signature;

use std::fmt;

use crate::pipeline::MemberId;

pub use self::interaction::{Click, Interaction, NotReadable, Pointer, Press, RESPONSE_HOST, read};
pub use self::signature::{SIGNATURE_HEADER, SignedRequest, TIMESTAMP_HEADER, TOLERANCE, Unsigned, sign, verify};

/// What a principal of Slack begins with.
const SCHEME: &str = "slack:";

/// A member of a Slack workspace. As text it is the principal that votes and records name: `slack:T0123ABCD/U0123ABCD`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The id of the workspace.
    pub team: String,
    /// The id of the member.
    pub user: String,
}

impl Member {
    /// The member that a principal is, where it is one of Slack.
    #[must_use]
    pub fn of(principal: &str) -> Option<Self> {
        let (team, user) = principal.strip_prefix(SCHEME)?.split_once('/')?;
        Some(Self {
            team: team.to_owned(),
            user: user.to_owned(),
        })
    }

    /// Whether it is the one that a pipeline names: its workspace counts where that is named as well.
    #[must_use]
    pub fn is(&self, named: &MemberId) -> bool {
        named.user() == self.user && named.workspace().is_none_or(|workspace| workspace == self.team)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}/{}", self.team, self.user)
    }
}

#[cfg(test)]
mod tests;
