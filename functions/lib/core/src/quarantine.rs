//! The quarantine of a digest: what failed in one environment, and what a person knows to be bad, goes into none, until
//! a person says so by name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::evidence::Blame;
use crate::pipeline::{Digest, Name};
use crate::verdict::{End, Reason};

/// The row of a digest that is in quarantine, or was released from it not long ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The digest.
    pub digest: Digest,
    /// The application that it is an image of.
    pub application: String,
    /// The tag by which people know it: a label only.
    pub tag: String,
    /// What brought it here.
    #[serde(flatten)]
    pub cause: Cause,
    /// Why it failed, or why somebody put it here.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// Who let it out again; nobody while it is in quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Release>,
}

/// What brings a digest into quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cause {
    /// A deployment of it failed.
    Failed {
        /// The environment it failed in.
        environment: String,
        /// The release that brought it there.
        release_id: String,
        /// The deployment that failed.
        deployment_id: String,
    },
    /// A person ordered it.
    Ordered {
        /// Who.
        by: String,
    },
}

/// The word of a person that lets a digest out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

impl Quarantine {
    /// Whether the digest may go nowhere.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.released.is_none()
    }

    /// Says of the image what keeps it out.
    #[must_use]
    pub fn sentence(&self, image: &Name) -> String {
        let Self { digest, since, .. } = self;
        let how = match &self.cause {
            Cause::Failed { environment, .. } => format!("it failed in `{environment}` of `{}`", self.application),
            Cause::Ordered { by } => format!("`{by}` put it there"),
        };
        format!(
            "the image `{image}`, `{digest}`, has been in quarantine since {since}: {how}: {}",
            self.why
        )
    }

    /// Whether it was brought about by a deployment.
    #[must_use]
    pub fn is_of(&self, deployment: &str) -> bool {
        matches!(&self.cause, Cause::Failed { deployment_id, .. } if deployment_id == deployment)
    }

    /// Lets the digest out on the word of a person.
    ///
    /// # Errors
    /// `Refused` when it is out already, or no reason is given.
    pub fn release(&self, by: &str, why: &str, at: Timestamp) -> Result<Self, Failure> {
        if let Some(released) = &self.released {
            return Err(Failure::refused(format!(
                "`{}` is not in quarantine: {} released it at {}: {}",
                self.digest, released.by, released.at, released.why
            )));
        }
        if why.trim().is_empty() {
            return Err(Failure::refused("a person must give a reason"));
        }
        Ok(Self {
            released: Some(Release {
                by: by.to_owned(),
                why: why.to_owned(),
                at,
            }),
            ..self.clone()
        })
    }
}

/// Whether an end shows that the released image does not work: a one-off task of it failed by its own word, or a
/// rollout failed and nothing around the release is to blame. What was never tried, what somebody else moved and what
/// nobody knows says nothing about the image.
#[must_use]
pub fn is_shown_by(end: &End, blames: &[Blame]) -> bool {
    if end.verdict.is_in_force() {
        return false;
    }
    match end.reason {
        Reason::TaskFailed | Reason::VerificationFailed => true,
        Reason::RolloutFailed => !blames.contains(&Blame::Surroundings),
        Reason::Proven
        | Reason::NotVerified
        | Reason::NothingToDo
        | Reason::TaskNeverStarted
        | Reason::UnknownEffect
        | Reason::ForeignChange
        | Reason::PlanChanged
        | Reason::WaveFailed
        | Reason::LockHeld
        | Reason::FenceLost
        | Reason::Refused
        | Reason::AccessDenied
        | Reason::InvalidInput
        | Reason::AwsUnavailable
        | Reason::Defect
        | Reason::Interrupted
        | Reason::Superseded
        | Reason::GaveWay
        | Reason::Rejected
        | Reason::Expired
        | Reason::NotReplicated
        | Reason::Stopped => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Effect, Verdict};

    fn end(verdict: Verdict, reason: Reason) -> End {
        End {
            verdict,
            effect: Effect::None,
            reason,
            reasons: Vec::new(),
        }
    }

    #[test]
    fn only_what_shows_that_the_image_does_not_work_puts_it_into_quarantine() {
        use Blame::{Release, Surroundings, Unknown};
        let table: [(Verdict, Reason, &[Blame], bool); 8] = [
            (Verdict::Failed, Reason::TaskFailed, &[], true),
            (Verdict::RolledBack, Reason::RolloutFailed, &[Release], true),
            (Verdict::RolledBack, Reason::RolloutFailed, &[Unknown], true),
            (Verdict::Failed, Reason::RolloutFailed, &[], true),
            (Verdict::Failed, Reason::RolloutFailed, &[Surroundings], false),
            (Verdict::Failed, Reason::TaskNeverStarted, &[], false),
            (Verdict::RolledBack, Reason::ForeignChange, &[Release], false),
            (Verdict::Succeeded, Reason::Proven, &[], false),
        ];
        for (verdict, reason, blames, shown) in table {
            assert_eq!(
                is_shown_by(&end(verdict, reason), blames),
                shown,
                "{verdict} {reason} {blames:?}"
            );
        }
    }

    #[test]
    fn a_person_lets_it_out_once_and_with_a_reason() {
        let at = Timestamp::UNIX_EPOCH;
        let quarantine = Quarantine {
            digest: format!("sha256:{}", "0f".repeat(32)).parse().unwrap(),
            application: "shop".to_owned(),
            tag: "v1.4.0".to_owned(),
            cause: Cause::Failed {
                environment: "develop".to_owned(),
                release_id: "shop-0f".to_owned(),
                deployment_id: "shop-0f-develop-1".to_owned(),
            },
            why: "container `api` ends with exit code 1".to_owned(),
            since: at,
            released: None,
        };
        assert!(quarantine.release("ana", " ", at).is_err());
        let out = quarantine.release("ana", "the database was down", at).unwrap();
        assert!(quarantine.is_in_force() && !out.is_in_force());
        let again = out.release("ana", "again", at).unwrap_err();
        assert!(again.message.contains("the database was down"), "{again}");
    }

    #[test]
    fn a_row_says_what_brought_it_about_and_those_of_before_are_read() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let failed = serde_json::json!({
            "digest": digest, "application": "shop", "environment": "develop", "release_id": "shop-0f", "tag": "v1.4.0",
            "deployment_id": "shop-0f-develop-1", "why": "it crashes", "since": "1970-01-01T00:00:00Z",
        });
        let row: Quarantine = serde_json::from_value(failed.clone()).unwrap();
        assert!(row.is_of("shop-0f-develop-1") && !row.is_of("shop-0f-develop-2"));
        assert_eq!(serde_json::to_value(&row).unwrap(), failed);
        let image: Name = "app".parse().unwrap();
        let said = format!("the image `app`, `{digest}`, has been in quarantine since 1970-01-01T00:00:00Z: ");
        assert_eq!(
            row.sentence(&image),
            format!("{said}it failed in `develop` of `shop`: it crashes")
        );
        let ordered = Quarantine {
            cause: Cause::Ordered { by: "ana".to_owned() },
            ..row
        };
        assert_eq!(
            ordered.sentence(&image),
            format!("{said}`ana` put it there: it crashes")
        );
        let again: Quarantine = serde_json::from_value(serde_json::to_value(&ordered).unwrap()).unwrap();
        assert_eq!(again, ordered);
    }
}
