//! Which part of a name is the environment, and which are keys of a file.

use std::collections::BTreeSet;

use crate::pipeline::{ApplicationName, EnvironmentName};

/// What separates the parts of a name.
const SEPARATORS: [char; 2] = ['-', '_'];

/// The placeholder of the name of an environment.
const ENVIRONMENT: &str = "${environment}";

/// The placeholder of how names of resources call an environment.
const SUFFIX: &str = "${suffix}";

/// The most characters of a key.
const KEY_MAX: usize = 40;

/// A cluster that is to be an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of the cluster.
    pub cluster: String,
    /// The name of the environment, where a person gave it.
    pub environment: Option<EnvironmentName>,
}

/// The environments of clusters: their names, and how the names of resources call them where that is something else.
/// The name is what tells a cluster from the others, `staging` of `shop-staging` beside `shop-production`; of a cluster
/// alone what the application is not.
///
/// # Errors
/// The name of the cluster that says no environment.
pub fn environments(
    application: &ApplicationName,
    places: &[Place],
) -> Result<Vec<(EnvironmentName, Option<String>)>, String> {
    let clusters: Vec<Vec<&str>> = places.iter().map(|place| parts(&place.cluster)).collect();
    let (front, back) = match clusters.as_slice() {
        [alone] => {
            let own = parts(application.as_str());
            (if alone.starts_with(&own) { own.len() } else { 0 }, 0)
        }
        clusters => common(clusters),
    };
    let mut names = Vec::new();
    for (place, cluster) in places.iter().zip(&clusters) {
        let end = cluster.len().saturating_sub(back);
        let rest = cluster.get(front..end).unwrap_or_default().join("-");
        let derived = Some(rest).filter(|rest| !rest.is_empty());
        let name = match &place.environment {
            Some(name) => name.clone(),
            None => {
                let name = derived.as_deref().unwrap_or_default().to_ascii_lowercase().parse();
                name.map_err(|_| place.cluster.clone())?
            }
        };
        let suffix = derived.filter(|derived| derived != name.as_str());
        names.push((name, suffix));
    }
    Ok(names)
}

/// How many parts all of them begin with, and how many they end with.
fn common(names: &[Vec<&str>]) -> (usize, usize) {
    let shortest = names.iter().map(Vec::len).min().unwrap_or(0);
    let alike = |at: &dyn Fn(&Vec<&str>) -> Option<String>| {
        let parts: BTreeSet<Option<String>> = names.iter().map(at).collect();
        parts.len() == 1
    };
    let part = |name: &Vec<&str>, index: usize| name.get(index).map(|part| (*part).to_owned());
    let front = (0..shortest)
        .take_while(|&index| alike(&|name| part(name, index)))
        .count();
    let back = (1..=shortest.saturating_sub(front))
        .take_while(|&index| alike(&|name| part(name, name.len().checked_sub(index)?)))
        .count();
    (front, back)
}

fn parts(name: &str) -> Vec<&str> {
    name.split(SEPARATORS).collect()
}

/// How the names of resources call an environment, and the placeholder for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) placeholder: &'static str,
}

impl<'a> Token<'a> {
    /// `by_suffix`: the names of resources of some environment call it otherwise than its name.
    pub(super) fn new(name: &'a EnvironmentName, suffix: Option<&'a str>, by_suffix: bool) -> Self {
        if by_suffix {
            Self {
                text: suffix.unwrap_or(name.as_str()),
                placeholder: SUFFIX,
            }
        } else {
            Self {
                text: name.as_str(),
                placeholder: ENVIRONMENT,
            }
        }
    }

    /// A name with the placeholder where the environment stands in it as a part of its own.
    pub(super) fn general(&self, name: &str) -> String {
        let mut general = String::new();
        let mut rest = name;
        while let Some((before, after)) = rest.split_once(self.text).filter(|_| !self.text.is_empty()) {
            let begins = before.is_empty() && general.is_empty() || before.ends_with(SEPARATORS);
            let ends = after.is_empty() || after.starts_with(SEPARATORS);
            general.push_str(before);
            general.push_str(if begins && ends { self.placeholder } else { self.text });
            rest = after;
        }
        general.push_str(rest);
        general
    }
}

/// A key for what has that name: without the application and the environment, which say nothing in a file of one
/// application.
pub(super) fn key(name: &str, application: &ApplicationName, fallback: &str, taken: &BTreeSet<String>) -> String {
    let plain = name.replace(ENVIRONMENT, "").replace(SUFFIX, "").to_ascii_lowercase();
    let all: Vec<&str> = plain
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect();
    let own = parts(application.as_str());
    let rest = all.strip_prefix(own.as_slice()).unwrap_or(&all);
    let mut key = rest.join("-");
    if !key.starts_with(|first: char| first.is_ascii_lowercase()) {
        key = if key.is_empty() {
            fallback.to_owned()
        } else {
            format!("{fallback}-{key}")
        };
    }
    let short = |key: &str, room: usize| {
        let cut: String = key.chars().take(KEY_MAX.saturating_sub(room)).collect();
        cut.trim_end_matches('-').to_owned()
    };
    let first = short(&key, 0);
    if !taken.contains(&first) {
        return first;
    }
    let numbered = (2_u32..).map(|number| format!("{}-{number}", short(&key, 6)));
    numbered.into_iter().find(|key| !taken.contains(key)).unwrap_or(first)
}
