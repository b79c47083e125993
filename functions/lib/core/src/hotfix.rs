//! Hotfixes: releases that do without the soak of the environments on their way and without windows, as the pipeline
//! says, and owe them afterwards. What nobody does without: the approval, the lock, the audit, and that every check
//! passes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::gate::{Lifted, OpenTimes, Opening};
use crate::pipeline::{Pipeline, ResolvedEnvironment, Skip, Tag, Windows};
use crate::tags::TagRules;

/// What a hotfix does without in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// The soak, in seconds: one look at which everything passes is enough.
    Soak(u32),
    /// The windows.
    Windows(Windows),
}

/// Whether a pushed tag makes a hotfix.
///
/// # Errors
/// `Defect` for tags that were not checked when the pipeline was applied.
pub fn is_hotfix(pipeline: &Pipeline, tag: &Tag) -> Result<bool, Failure> {
    let Some(tags) = pipeline.hotfix.as_ref().and_then(|hotfix| hotfix.tags.as_ref()) else {
        return Ok(false);
    };
    let rules = TagRules::new(tags)
        .map_err(|error| Failure::defect(format!("the tags of hotfixes cannot be read: {error}")))?;
    Ok(rules.decide(tag).is_allowed())
}

/// Takes out of an environment what a hotfix does without there, and keeps what that is. The soak of the last
/// environment on its way stays: nothing comes after it.
pub fn ease(environment: &mut ResolvedEnvironment, is_last: bool) {
    let skips = environment.hotfix.as_ref().map_or(&[][..], |hotfix| &hotfix.skips);
    let mut skipped = Vec::new();
    if skips.contains(&Skip::Soak)
        && !is_last
        && let Some(verification) = environment
            .verification
            .as_mut()
            .filter(|policy| policy.soak_seconds > 0)
    {
        skipped.push(Skipped::Soak(verification.soak_seconds));
        verification.soak_seconds = 0;
    }
    if skips.contains(&Skip::Window)
        && let Some(windows) = environment.windows.take()
    {
        skipped.push(Skipped::Windows(windows));
    }
    environment.skipped = skipped;
}

/// What is skipped, for whoever reads the plan.
#[must_use]
pub fn notes(skipped: &[Skipped]) -> Vec<String> {
    let note = |skipped: &Skipped| match skipped {
        Skipped::Soak(seconds) => format!("a hotfix: the soak of {seconds} seconds is skipped"),
        Skipped::Windows(_) => "a hotfix: it may be deployed outside the windows".to_owned(),
    };
    skipped.iter().map(note).collect()
}

/// What a hotfix owes that began at a moment: windows only where they were closed then.
#[must_use]
pub fn owes(skipped: &[Skipped], began_at: Timestamp) -> Vec<String> {
    let owed = |skipped: &Skipped| match skipped {
        Skipped::Soak(seconds) => Some(format!("the soak of {seconds} seconds")),
        Skipped::Windows(windows) => {
            // Windows that are none were refused when the pipeline was applied.
            let opening = OpenTimes::new(windows).ok()?.at(began_at);
            matches!(opening, Opening::Closed { .. }).then(|| "a window: it began outside of them".to_owned())
        }
    };
    skipped.iter().filter_map(owed).collect()
}

/// What a hotfix owes in an environment, until a person settles it or a release in good order is verified there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// The release.
    pub release_id: String,
    /// Its tag.
    pub tag: String,
    /// Who asked for it.
    pub by: String,
    /// Why, where they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is in force.
    pub since: Timestamp,
    /// What was skipped.
    pub owes: Vec<String>,
    /// Who settled it, how, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Lifted>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{parse, resolve};

    const PIPELINE: &str = "version: 1\napplication: shop\nimages: {app: {repository: shop}}\n\
        task_definitions: {web: {family: shop, containers: {web: {image: app}}}}\n\
        services: {web: {service: shop, task_definition: web}}\nHOTFIX\nenvironments:\n\
        \x20 - name: develop\n    trigger: push\n    cluster: shop\n    verification: {soak_seconds: 300}\n\
        \x20   windows: {zone: America/Lima, allow: [{days: [mon], from: \"10:00\", to: \"16:00\"}]}\n";

    fn eased(hotfix: &str, is_last: bool) -> ResolvedEnvironment {
        let pipeline = parse(&PIPELINE.replace("HOTFIX", hotfix)).unwrap();
        let mut environment = resolve(&pipeline, "develop").unwrap();
        ease(&mut environment, is_last);
        environment
    }

    fn soak(environment: &ResolvedEnvironment) -> u32 {
        environment.verification.as_ref().unwrap().soak_seconds
    }

    #[test]
    fn a_hotfix_does_without_what_the_pipeline_says_and_the_last_environment_soaks() {
        for (hotfix, is_last, soaks, has_windows, skipped) in [
            ("hotfix: {}", false, 0, false, 2),
            ("hotfix: {}", true, 300, false, 1),
            ("hotfix: {skips: [soak]}", false, 0, true, 1),
            ("hotfix: {skips: [window]}", false, 300, false, 1),
            ("", false, 300, true, 0),
        ] {
            let environment = eased(hotfix, is_last);
            assert_eq!(soak(&environment), soaks, "{hotfix} {is_last}");
            assert_eq!(environment.windows.is_some(), has_windows, "{hotfix}");
            assert_eq!(environment.skipped.len(), skipped, "{hotfix}");
            assert_eq!(notes(&environment.skipped).len(), skipped, "{hotfix}");
        }
    }

    #[test]
    fn what_was_open_anyway_is_not_owed() {
        let skipped = eased("hotfix: {}", false).skipped;
        let owed = |at: &str| owes(&skipped, at.parse().unwrap());
        // Monday 2026-11-30, in Lima at eleven and at five.
        assert_eq!(owed("2026-11-30T16:00:00Z"), ["the soak of 300 seconds"]);
        assert_eq!(
            owed("2026-11-30T22:00:00Z"),
            ["the soak of 300 seconds", "a window: it began outside of them"]
        );
    }
}
