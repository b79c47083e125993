//! The end of a release from the ends of its environments.

use serde::{Deserialize, Serialize};

use super::{Effect, End, Reason, Verdict};
use crate::error::Failure;

/// One environment of a release, in the order of promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentEnd {
    /// The name of the environment.
    pub environment: String,
    /// Whether a deployment into it was started.
    pub started: bool,
    /// The end of its last deployment.
    pub end: Option<End>,
}

/// Concludes how a release ended.
///
/// A release ends where it stopped: its verdict and effect are those of the environment in which it is not in force,
/// and of the one that left the most behind where a wave stopped in several; what it did in other environments stands
/// there, in their own ends. `cause` is what broke the release machine itself, if anything did.
pub fn release_end(environments: &[EnvironmentEnd], cause: Option<&Failure>) -> End {
    if let Some(running) = environments
        .iter()
        .find(|environment| environment.started && environment.end.is_none())
    {
        let why = format!(
            "the deployment into `{}` was started and its end is not recorded",
            running.environment
        );
        return broken(Effect::Unknown, Reason::UnknownEffect, cause, why);
    }
    let stopped = environments.iter().filter_map(|environment| match &environment.end {
        Some(end) if !end.verdict.is_in_force() => Some((environment, end)),
        Some(_) | None => None,
    });
    // Of several that left as much, the first.
    let stopped_at = stopped
        .rev()
        .max_by_key(|(_, end)| (end.effect, end.reason != Reason::WaveFailed));
    if let Some((environment, end)) = stopped_at {
        let mut reasons = vec![format!("it ended in `{}`: {}", environment.environment, end.verdict)];
        reasons.extend(end.reasons.iter().cloned());
        return End { reasons, ..end.clone() };
    }
    if environments.is_empty() && cause.is_none() {
        let reasons = vec!["no environment of the pipeline accepts this release".to_owned()];
        return End {
            verdict: Verdict::Rejected,
            effect: Effect::None,
            reason: Reason::Rejected,
            reasons,
        };
    }
    let missing = environments.iter().find(|environment| environment.end.is_none());
    if missing.is_none() && !environments.is_empty() {
        // What broke the release machine after its last deployment had ended takes nothing back.
        return in_force(environments);
    }
    let reason = cause.map_or(Reason::Interrupted, |failure| Reason::from(failure.kind));
    let why = match missing {
        Some(missing) if cause.is_none() => format!("`{}` was never reached", missing.environment),
        Some(_) | None => "the release ended by a failure of its own".to_owned(),
    };
    broken(Effect::None, reason, cause, why)
}

fn broken(effect: Effect, reason: Reason, cause: Option<&Failure>, why: String) -> End {
    let mut reasons = vec![why];
    reasons.extend(cause.map(|failure| failure.message.clone()));
    End {
        verdict: Verdict::Failed,
        effect,
        reason,
        reasons,
    }
}

fn in_force(environments: &[EnvironmentEnd]) -> End {
    let ends = || environments.iter().filter_map(|environment| environment.end.as_ref());
    if ends().all(|end| end.verdict == Verdict::Unchanged) {
        return End {
            verdict: Verdict::Unchanged,
            effect: Effect::None,
            reason: Reason::NothingToDo,
            reasons: vec!["the release is already in force in every environment".to_owned()],
        };
    }
    End {
        verdict: Verdict::Succeeded,
        effect: if ends().any(|end| end.effect == Effect::SchemaMoved) {
            Effect::SchemaMoved
        } else {
            Effect::None
        },
        reason: Reason::Proven,
        reasons: vec![format!("the release is in force in {}", names(environments))],
    }
}

fn names(environments: &[EnvironmentEnd]) -> String {
    let quoted: Vec<String> = environments
        .iter()
        .map(|environment| format!("`{}`", environment.environment))
        .collect();
    quoted.join(", ")
}
