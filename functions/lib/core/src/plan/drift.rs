//! What differs between two environments that are to be set alike, beyond what the pipeline file declares for each of
//! them. It is told and refuses nothing, and no value is shown: names only.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wildmatch::WildMatch;

use super::{ObservedTwin, PlannedRevision};
use crate::pipeline::{Name, SameAs, TaskDefinition};
use crate::task_definition::{diff, patch};

/// How many differences of one task definition are named.
const NAMED: usize = 20;

/// The environment that another one is set like, as far as it can be compared.
pub(super) struct Twin<'a> {
    pub(super) declared: &'a SameAs,
    pub(super) observed: &'a ObservedTwin,
}

impl Twin<'_> {
    /// What a revision that comes here has otherwise than what runs there, as a note; nothing where it is alike.
    pub(super) fn note(&self, revision: &PlannedRevision, settings: &TaskDefinition) -> Option<String> {
        let (key, there) = (&revision.key, &self.declared.environment);
        let theirs = self.observed.settings.get(key)?;
        let Some(live) = self.observed.live.get(key) else {
            return Some(format!(
                "nothing runs `{key}` in `{there}` yet, so this environment cannot be compared with it"
            ));
        };
        let mut drift = paths(live, &revision.definition);
        for declared in declared(live, settings, theirs) {
            drift.remove(&declared);
        }
        let images = pinned(settings).chain(pinned(theirs));
        let images: BTreeSet<String> = images.map(|name| format!("containers.{name}.image")).collect();
        drift.retain(|path| path != "family" && !images.contains(path) && !self.is_excepted(key, path));
        if drift.is_empty() {
            return None;
        }
        let named: Vec<String> = drift.iter().take(NAMED).map(|path| format!("`{path}`")).collect();
        let more = match drift.len().saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "drift: `{key}` differs from what runs in `{there}` in {}{more}; declare it for each environment, or list it in `same_as.except`",
            named.join(", ")
        ))
    }

    fn is_excepted(&self, key: &Name, path: &str) -> bool {
        let covers = |pattern: &str, path: &str| {
            let pattern = WildMatch::new(pattern);
            let mut ends = path.match_indices('.').map(|(end, _)| end);
            pattern.matches(path) || ends.any(|end| path.get(..end).is_some_and(|above| pattern.matches(above)))
        };
        let of_definition = format!("{key}.{path}");
        let mut excepted = self.declared.except.iter();
        excepted.any(|pattern| covers(pattern, path) || covers(pattern, &of_definition))
    }
}

fn paths(left: &Value, right: &Value) -> BTreeSet<String> {
    diff(left, right).into_iter().map(|change| change.path).collect()
}

/// Where the settings of two environments make something else of the same definition. What does not fit into it is no
/// declared difference.
fn declared(definition: &Value, ours: &TaskDefinition, theirs: &TaskDefinition) -> BTreeSet<String> {
    let no_images = BTreeMap::new();
    match (
        patch(definition, ours, &no_images),
        patch(definition, theirs, &no_images),
    ) {
        (Ok(ours), Ok(theirs)) => paths(&theirs, &ours),
        (Err(_), _) | (_, Err(_)) => BTreeSet::new(),
    }
}

/// The containers that run images of the application, whose versions differ until they are promoted.
fn pinned(settings: &TaskDefinition) -> impl Iterator<Item = &String> {
    let containers = settings.containers.iter();
    containers
        .filter(|(_, container)| container.image.is_some())
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use serde_json::json;

    use super::*;
    use crate::plan::RevisionAction;

    fn settings(value: Value) -> TaskDefinition {
        serde_json::from_value(value).unwrap()
    }

    fn definition(log_level: &str, cpu: &str, more: &Value) -> Value {
        let mut environment = vec![json!({"name": "LOG_LEVEL", "value": log_level})];
        environment.extend(more.as_array().unwrap().clone());
        json!({
            "family": format!("shop-{cpu}"),
            "cpu": cpu,
            "containerDefinitions": [
                {"name": "web", "image": format!("shop@sha256:{cpu}"), "environment": environment},
                {"name": "agent", "image": "agent:7"},
            ],
        })
    }

    /// What is told where `here` comes and `there` runs.
    fn note(here: &Value, there: &Value, except: &[&str]) -> Option<String> {
        let of = |cpu: u32, log_level: &str| {
            settings(json!({
                "family": "shop", "cpu": cpu,
                "containers": {"web": {"image": "app", "environment": {"LOG_LEVEL": log_level}}},
            }))
        };
        let key: Name = "web".parse().unwrap();
        let observed = ObservedTwin {
            settings: IndexMap::from([(key.clone(), of(512, "warning"))]),
            live: BTreeMap::from([(key.clone(), there.clone())]),
        };
        let declared = SameAs {
            environment: "production".parse().unwrap(),
            except: except.iter().map(|path| (*path).to_owned()).collect(),
        };
        let revision = PlannedRevision {
            key,
            family: "shop".to_owned(),
            base_arn: None,
            definition: here.clone(),
            tags: BTreeMap::new(),
            content_sha256: String::new(),
            action: RevisionAction::Register,
            changes: Vec::new(),
        };
        let twin = Twin {
            declared: &declared,
            observed: &observed,
        };
        twin.note(&revision, &of(256, "debug"))
    }

    #[test]
    fn what_the_file_declares_differently_is_no_drift_and_neither_are_versions_and_families() {
        let none = json!([]);
        let (here, there) = (definition("debug", "256", &none), definition("warning", "512", &none));
        assert_eq!(note(&here, &there, &[]), None);
    }

    #[test]
    fn everything_else_is_named_without_its_value_unless_it_is_excepted() {
        let extra = json!([{"name": "FEATURE_X", "value": "hunter2"}]);
        let mut there = definition("warning", "512", &extra);
        there["containerDefinitions"][1]["image"] = json!("agent:6");
        there["memory"] = json!("2048");
        let here = definition("debug", "256", &json!([]));
        let told = note(&here, &there, &[]).unwrap();
        for path in [
            "`containers.agent.image`",
            "`containers.web.environment.FEATURE_X`",
            "`memory`",
        ] {
            assert!(told.contains(path), "{told}");
        }
        assert!(!told.contains("hunter2") && !told.contains("LOG_LEVEL"), "{told}");
        for (except, left) in [
            (
                &["memory", "containers.*.environment"][..],
                "differs from what runs in `production` in `containers.agent.image`;",
            ),
            (
                &["web.containers.agent", "web.memory"],
                "in `containers.web.environment.FEATURE_X`;",
            ),
            (&["other.memory", "containers"], "in `memory`;"),
        ] {
            let told = note(&here, &there, except).unwrap();
            assert!(told.contains(left), "{except:?}: {told}");
        }
        assert_eq!(note(&here, &there, &["*"]), None);
    }

    #[test]
    fn what_runs_with_other_settings_than_the_file_has_now_is_drift() {
        // The file says the same for both, and an older version of it runs.
        let none = json!([]);
        let (here, mut there) = (definition("debug", "256", &none), definition("warning", "1024", &none));
        there["containerDefinitions"][0]["command"] = json!(["serve"]);
        let told = note(&here, &there, &[]).unwrap();
        assert!(told.contains("in `containers.web.command`;"), "{told}");
    }
}
