//! Does the schema take the code? What a plan would bring onto a schema that does not know it is refused before
//! anything moves.

use std::collections::BTreeMap;

use serde_json::Value;

use super::preflight::Findings;
use super::{Observed, ObservedService, VerifiedRevision};
use crate::pipeline::{Hazard, Name, ResolvedEnvironment};
use crate::schema::{CodeVersion, Fit, PREVIOUS_MIGRATION, SchemaState, fit, floor};

/// The schemas that the image's migrations moved, by database.
pub(super) fn schemas_of(observed: &Observed, image: &Name) -> BTreeMap<Name, SchemaState> {
    let of_image = observed.schemas.iter().filter(|(_, state)| state.image == *image);
    of_image
        .map(|(database, state)| (database.clone(), state.clone()))
        .collect()
}

/// Whether the code that is to come may run on the schemas as they are. `what` names it.
pub(super) fn check_coming(
    environment: &ResolvedEnvironment,
    what: &str,
    version: Option<&CodeVersion>,
    schemas: &BTreeMap<Name, SchemaState>,
) -> Findings {
    let mut findings = Findings::default();
    let demanding = schemas.iter().find(|(_, state)| {
        let since = state.compatible_since.as_ref();
        fit(version, since) != Fit::Runs
    });
    let Some((database, state)) = demanding else {
        return findings;
    };
    let since = state.compatible_since.as_ref();
    findings.add(
        environment,
        Hazard::IncompatibleSchema,
        format!(
            "the schema of `{database}` has required the code of {} or later since the release `{}`, and {what} is {}",
            named(since),
            state.release_id,
            age(version)
        ),
        match version {
            Some(_) => format!("choose {} or later", named(since)),
            None => SAY_VERSION.to_owned(),
        },
    );
    findings
}

/// Whether the code that a service runs now may run on, as long as the migrations run and when it is gone back to.
pub(super) fn check_running(
    environment: &ResolvedEnvironment,
    service: &str,
    live: &ObservedService,
    since: Option<&CodeVersion>,
) -> Findings {
    let mut findings = Findings::default();
    if is_kept(live, since) {
        return findings;
    }
    let version = running(live).and_then(|revision| revision.version.as_ref());
    findings.add(
        environment,
        Hazard::IncompatibleSchema,
        format!(
            "`{service}` runs code that is {}, but the schema that this release needs requires {} or later: it would break during the migrations, and ECS \
             could not go back to it",
            age(version),
            named(since)
        ),
        match version {
            Some(_) => format!("release {} or later first", named(since)),
            None => SAY_VERSION.to_owned(),
        },
    );
    findings
}

/// Whether what a service runs now may be gone back to once the schema takes code since `since` only. What runs nothing
/// has nothing to go back to.
pub(super) fn is_kept(live: &ObservedService, since: Option<&CodeVersion>) -> bool {
    let version = running(live).and_then(|revision| revision.version.as_ref());
    live.facts.running == 0 || fit(version, since) == Fit::Runs
}

/// The oldest code that these schemas take.
pub(super) fn floor_of(schemas: &BTreeMap<Name, SchemaState>) -> Option<CodeVersion> {
    floor(schemas.values())
}

/// The same configuration with the way back of ECS off: it would lead to code that the schema does not take.
pub(super) fn without_rollback(mut configuration: Value) -> Value {
    for mechanism in ["deploymentCircuitBreaker", "alarms"] {
        if let Some(settings) = configuration.get_mut(mechanism).and_then(Value::as_object_mut) {
            settings.insert("rollback".to_owned(), false.into());
        }
    }
    configuration
}

/// The overrides of a down command with the name of the migration to go back to; none where the command needs the name
/// and nobody knows it.
pub(super) fn filled(mut overrides: Value, previous: Option<&str>) -> Option<Value> {
    if !needs_name(&overrides) {
        return Some(overrides);
    }
    fill(&mut overrides, previous?);
    Some(overrides)
}

/// Whether a down command names the migration to go back to. One that does not takes back the last release only.
pub(super) fn needs_name(overrides: &Value) -> bool {
    match overrides {
        Value::String(text) => text.contains(PREVIOUS_MIGRATION),
        Value::Array(elements) => elements.iter().any(needs_name),
        Value::Object(members) => members.values().any(needs_name),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn fill(value: &mut Value, previous: &str) {
    match value {
        Value::String(text) => *text = text.replace(PREVIOUS_MIGRATION, previous),
        Value::Array(elements) => elements.iter_mut().for_each(|element| fill(element, previous)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, previous)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The verified revision that a service runs now.
fn running(live: &ObservedService) -> Option<&VerifiedRevision> {
    let primary = live.facts.primary()?;
    let mut verified = live.verified.iter();
    verified.find(|revision| revision.task_definition_arn == primary.task_definition_arn)
}

const SAY_VERSION: &str =
    "give the image the annotation `org.opencontainers.image.version`, or a tag that is a version";

fn named(version: Option<&CodeVersion>) -> String {
    version.map_or_else(|| "any version".to_owned(), |version| format!("`{version}`"))
}

fn age(version: Option<&CodeVersion>) -> String {
    version.map_or_else(|| "of an unknown version".to_owned(), |version| format!("`{version}`"))
}
