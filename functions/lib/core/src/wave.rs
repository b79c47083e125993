//! Waves: environments of a release that go together. What a release does in one of them stops those that have not
//! begun.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pipeline::Pipeline;
use crate::verdict::{End, Reason, Verdict};

/// That an environment of a wave ended without the release in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveFailed {
    /// The environment.
    pub environment: String,
    /// How it ended there.
    pub verdict: Verdict,
}

/// The waves of those environments that go with another one, by the names of the environments.
#[must_use]
pub fn waves_of(pipeline: &Pipeline, environments: &[String]) -> BTreeMap<String, String> {
    let known = environments.iter().filter_map(|name| {
        let environment = pipeline.environments.iter().find(|known| known.name.as_str() == name)?;
        Some((name, environment.wave.as_ref()?))
    });
    let mut waves: BTreeMap<String, String> = known.map(|(name, wave)| (name.clone(), wave.to_string())).collect();
    let is_alone = |wave: &String| waves.values().filter(|other| *other == wave).count() < 2;
    let alone: Vec<String> = waves
        .iter()
        .filter(|(_, wave)| is_alone(wave))
        .map(|(name, _)| name.clone())
        .collect();
    waves.retain(|name, _| !alone.contains(name));
    waves
}

/// The environments of a release in the order in which it goes: one after another, and those of a wave at the same
/// time.
#[must_use]
pub fn in_waves(environments: &[String], waves: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let mut ordered: Vec<Vec<String>> = Vec::new();
    for name in environments {
        let goes_with = |before: &Vec<String>| {
            let last = before.last().and_then(|last| waves.get(last));
            last.is_some() && last == waves.get(name)
        };
        match ordered.last_mut().filter(|before| goes_with(before)) {
            Some(wave) => wave.push(name.clone()),
            None => ordered.push(vec![name.clone()]),
        }
    }
    ordered
}

/// The environments that go at the same time as one, without itself.
#[must_use]
pub fn companions<'a>(environments: &'a [String], waves: &BTreeMap<String, String>, environment: &str) -> Vec<&'a str> {
    let wave = waves.get(environment);
    let others = environments.iter().filter(|name| name.as_str() != environment);
    others
        .filter(|name| wave.is_some() && waves.get(name.as_str()) == wave)
        .map(String::as_str)
        .collect()
}

/// The environments that must be through before one is begun: those of the waves before its own.
#[must_use]
pub fn before<'a>(environments: &'a [String], waves: &BTreeMap<String, String>, environment: &str) -> Vec<&'a str> {
    let companions = companions(environments, waves, environment);
    let earlier = environments.iter().map(String::as_str);
    earlier
        .take_while(|name| *name != environment)
        .filter(|name| !companions.contains(name))
        .collect()
}

/// Whether a release goes no further than to an environment: nothing follows it on the way.
#[must_use]
pub fn is_last(environments: &[String], waves: &BTreeMap<String, String>, environment: &str) -> bool {
    let ordered = in_waves(environments, waves);
    ordered
        .last()
        .is_some_and(|wave| wave.iter().any(|name| name == environment))
}

/// How a release stands in an environment of a wave, by its last attempt there.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The environment.
    pub environment: &'a str,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How it ended, and when; none while it has not.
    pub end: Option<(&'a End, Timestamp)>,
}

/// How often a release may be planned for an environment, as its state machine has it.
pub const ATTEMPTS_PER_ENVIRONMENT: u32 = 5;

/// How soon a plan that changed on the way is made anew, unless AWS is away: after that nobody is waited for.
const MADE_ANEW: SignedDuration = SignedDuration::from_hours(1);

/// The environment that stops the others of its wave: the first in which the release is not in force. Where its plan
/// changed on the way it is asked for again, as often as that is done and where that comes about, and stops nobody.
#[must_use]
pub fn first_failed<'a>(standings: impl IntoIterator<Item = Standing<'a>>, now: Timestamp) -> Option<WaveFailed> {
    standings.into_iter().find_map(|standing| {
        let (end, at) = standing.end?;
        let is_asked_again = end.reason == Reason::PlanChanged
            && standing.attempt < ATTEMPTS_PER_ENVIRONMENT
            && now.duration_since(at) < MADE_ANEW;
        (!end.verdict.is_in_force() && !is_asked_again).then(|| WaveFailed {
            environment: standing.environment.to_owned(),
            verdict: end.verdict,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::parse;
    use crate::verdict::Effect;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn pipeline(environments: &str) -> Pipeline {
        let text = format!(
            "version: 1\napplication: shop\nimages: {{app: {{repository: shop}}}}\n\
             task_definitions: {{web: {{family: f, containers: {{web: {{image: app}}}}}}}}\n\
             services: {{web: {{service: shop, task_definition: web}}}}\nenvironments:\n{environments}"
        );
        parse(&text).unwrap()
    }

    const ENVIRONMENTS: &str = "  - {name: staging, trigger: push, cluster: a}\n  - {name: eu, trigger: push, cluster: b, wave: all}\n  \
                                - {name: us, trigger: push, cluster: c, wave: all}\n  - {name: asia, trigger: push, cluster: d, wave: rest}\n";

    #[test]
    fn environments_of_a_wave_go_together_and_all_others_one_after_another() {
        let all = names(&["staging", "eu", "us", "asia"]);
        let waves = waves_of(&pipeline(ENVIRONMENTS), &all);
        assert_eq!(
            in_waves(&all, &waves),
            [names(&["staging"]), names(&["eu", "us"]), names(&["asia"])]
        );
        assert_eq!(companions(&all, &waves, "us"), ["eu"]);
        assert_eq!(before(&all, &waves, "us"), ["staging"]);
        assert_eq!(before(&all, &waves, "asia"), ["staging", "eu", "us"]);
        assert!(is_last(&all, &waves, "asia") && !is_last(&all, &waves, "us"));
    }

    #[test]
    fn who_is_left_alone_by_the_tag_goes_alone() {
        let some = names(&["staging", "us"]);
        let waves = waves_of(&pipeline(ENVIRONMENTS), &some);
        assert!(waves.is_empty());
        assert_eq!(in_waves(&some, &waves), [names(&["staging"]), names(&["us"])]);
        assert!(companions(&some, &waves, "us").is_empty());
    }

    #[test]
    fn the_last_wave_is_last_with_each_of_its_environments() {
        let all = names(&["staging", "eu", "us"]);
        let waves = waves_of(&pipeline(ENVIRONMENTS), &all);
        assert!(is_last(&all, &waves, "eu") && is_last(&all, &waves, "us"));
        assert!(!is_last(&all, &waves, "staging"));
    }

    #[test]
    fn what_is_in_force_or_still_at_work_stops_nobody() {
        let end = |verdict, reason| End {
            verdict,
            effect: Effect::None,
            reason,
            reasons: Vec::new(),
        };
        let good = end(Verdict::Succeeded, Reason::Proven);
        let again = end(Verdict::Failed, Reason::PlanChanged);
        let bad = end(Verdict::RolledBack, Reason::RolloutFailed);
        let at: Timestamp = "2026-11-02T09:00:00Z".parse().unwrap();
        let standing = |environment, attempt, end| Standing {
            environment,
            attempt,
            end,
        };
        let failed = |standings: &[Standing<'_>], minutes: i64| {
            first_failed(standings.iter().copied(), at + SignedDuration::from_mins(minutes))
        };
        let through = standing("eu", 1, Some((&good, at)));
        assert_eq!(failed(&[through, standing("us", 1, None)], 600), None);
        let bad = failed(&[through, standing("us", 1, Some((&bad, at)))], 1).unwrap();
        assert_eq!((bad.environment.as_str(), bad.verdict), ("us", Verdict::RolledBack));
        // A plan that changed is made anew, but neither for ever nor once more than the last time.
        assert_eq!(failed(&[standing("eu", 1, Some((&again, at)))], 59), None);
        assert!(failed(&[standing("eu", 1, Some((&again, at)))], 61).is_some());
        assert!(failed(&[standing("eu", ATTEMPTS_PER_ENVIRONMENT, Some((&again, at)))], 1).is_some());
    }
}
