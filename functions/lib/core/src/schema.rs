//! The schema of a database, as far as releases moved it: which code may run on it, and how a migration is undone.
//!
//! An image says what version its code is and what its migrations ask of the code that runs beside them:
//! [`crate::image::said`]. What was run is remembered for each database, so that no plan and no way back brings code
//! onto a schema that it does not know.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identity::ReleaseId;
use crate::pipeline::{Digest, Name};
use crate::plan::{Plan, PlannedStep, PlannedTask};
use crate::task_definition::masked_label;
use crate::verdict::{Mode, StepOutcome, StepRecord};

/// The version of the code, as the [OCI image specification](https://github.com/opencontainers/image-spec/blob/main/annotations.md) names it.
pub const ANNOTATION_VERSION: &str = "org.opencontainers.image.version";

/// The commit that the image was built from, as the OCI image specification names it.
pub const ANNOTATION_REVISION: &str = "org.opencontainers.image.revision";

/// The oldest version of the code that works with the schema as the image's migrations leave it.
pub const ANNOTATION_COMPATIBLE_SINCE: &str = "esclusa.compatible-since";

/// The last migration in the image, by the name that its tool knows it by.
pub const ANNOTATION_MIGRATION: &str = "esclusa.migration";

/// What stands in a down command for the name of the migration to go back to.
pub const PREVIOUS_MIGRATION: &str = "${previous_migration}";

/// A semantic version of code, with or without a leading `v`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeVersion {
    text: String,
    version: semver::Version,
}

impl CodeVersion {
    /// Whether this code is older than `other`. Build metadata does not count.
    #[must_use]
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.version.cmp_precedence(&other.version) == Ordering::Less
    }
}

impl PartialEq for CodeVersion {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for CodeVersion {}

/// The text is no semantic version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a semantic version such as `v1.4.0`", .0.escape_debug())]
pub struct NotAVersion(pub String);

impl FromStr for CodeVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let version = semver::Version::parse(text.strip_prefix('v').unwrap_or(text));
        version.map_or_else(
            |_| Err(NotAVersion(text.to_owned())),
            |version| {
                Ok(Self {
                    text: text.to_owned(),
                    version,
                })
            },
        )
    }
}

impl TryFrom<String> for CodeVersion {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

impl From<CodeVersion> for String {
    fn from(version: CodeVersion) -> Self {
        version.text
    }
}

impl fmt::Display for CodeVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Declared {
    /// The version of its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<CodeVersion>,
    /// The oldest version of the code that works with the schema as its migrations leave it; any, where it says
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatible_since: Option<CodeVersion>,
    /// The last migration in it, by the name that its tool knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
    /// The commit that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What else it says, by name, with what looks like a secret masked; the first of many, each no longer than people
    /// read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How much it says besides.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub labels_left_out: usize,
}

/// The most labels that are kept.
const LABELS_MAX: usize = 20;

/// The most characters that are kept of the name, and of the text, of a label.
const LABEL_CHARACTERS: usize = 200;

const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What an image says besides what has a meaning here, and how much of it is left out.
fn labels(said: &BTreeMap<String, String>) -> (BTreeMap<String, String>, usize) {
    let known = [
        ANNOTATION_VERSION,
        ANNOTATION_REVISION,
        ANNOTATION_COMPATIBLE_SINCE,
        ANNOTATION_MIGRATION,
    ];
    let is_other = |name: &&String| !known.contains(&name.as_str());
    let short = |text: &str| text.chars().take(LABEL_CHARACTERS).collect::<String>();
    let all = said.keys().filter(is_other).count();
    let shown = said.iter().filter(|(name, _)| is_other(name)).take(LABELS_MAX);
    let shown = shown.map(|(name, text)| (short(name), short(&masked_label(name, text))));
    (shown.collect(), all.saturating_sub(LABELS_MAX))
}

impl Declared {
    /// Reads what an image that was pushed under `tag` says of itself. Where it does not tell its version the tag does,
    /// if it is one.
    ///
    /// # Errors
    /// [`NotAVersion`] when what its migrations are compatible with is no version. The version of the code is a name
    /// that others write as well: what is none there says nothing.
    pub fn read(said: &BTreeMap<String, String>, tag: &str) -> Result<Self, NotAVersion> {
        let declared = said.get(ANNOTATION_VERSION).and_then(|version| version.parse().ok());
        let text = |name: &str| said.get(name).filter(|text| !text.is_empty()).cloned();
        let (labels, labels_left_out) = labels(said);
        Ok(Self {
            labels,
            labels_left_out,
            version: declared.or_else(|| tag.parse().ok()),
            compatible_since: said
                .get(ANNOTATION_COMPATIBLE_SINCE)
                .map(|since| since.parse())
                .transpose()?,
            migration: text(ANNOTATION_MIGRATION),
            commit: text(ANNOTATION_REVISION),
        })
    }
}

/// What is known about the schema of a database in an environment, since a migration of ours moved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaState {
    /// The image whose migrations move it.
    pub image: Name,
    /// The digest whose migrations were run last.
    pub digest: Digest,
    /// The release that ran them.
    pub release_id: ReleaseId,
    /// The deployment that ran them.
    pub deployment_id: String,
    /// The version of the code that they came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<CodeVersion>,
    /// The oldest version of the code that the schema takes, of all migrations that were run; any, where none says
    /// more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatible_since: Option<CodeVersion>,
    /// The last migration that is known to be complete, by the name that its tool knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
    /// Whether the last run was complete. Otherwise the schema may be anywhere between this state and the one before.
    pub complete: bool,
    /// The migrations of that release, in the order in which they ran.
    pub moved_by: Vec<Mover>,
    /// Since when.
    pub since: Timestamp,
}

/// A one-off command that moved a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mover {
    /// The key of the task in the pipeline file.
    pub task: Name,
    /// The revision that it ran.
    pub task_definition_arn: String,
}

/// How a step that takes a migration back is known, and what the schema is then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undoes {
    /// The state that it goes back to; none where nothing was known about the schema before.
    pub to: Option<Box<SchemaState>>,
}

/// Whether code may run on a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It may.
    Runs,
    /// The schema takes newer code only.
    TooOld,
    /// The schema takes newer code only, and nobody knows how old this is.
    Unknown,
}

/// Whether code of that version may run on a schema that takes code since `floor`.
#[must_use]
pub fn fit(version: Option<&CodeVersion>, floor: Option<&CodeVersion>) -> Fit {
    match (version, floor) {
        (_, None) => Fit::Runs,
        (None, Some(_)) => Fit::Unknown,
        (Some(version), Some(floor)) if version.is_older_than(floor) => Fit::TooOld,
        (Some(_), Some(_)) => Fit::Runs,
    }
}

/// The newer of two floors: what was dropped once stays dropped, whatever a later image says.
#[must_use]
pub fn higher(left: Option<CodeVersion>, right: Option<CodeVersion>) -> Option<CodeVersion> {
    match (left, right) {
        (Some(left), Some(right)) if left.is_older_than(&right) => Some(right),
        (Some(left), _) => Some(left),
        (None, right) => right,
    }
}

/// The oldest code that all these schemas take.
#[must_use]
pub fn floor<'a>(states: impl IntoIterator<Item = &'a SchemaState>) -> Option<CodeVersion> {
    let floors = states.into_iter().map(|state| state.compatible_since.clone());
    floors.fold(None, higher)
}

/// The states of the schemas after a deployment that moved them, by database; those that it did not move are not there.
/// `revisions` are the revisions that it ran, by their key in the plan.
///
/// A migration counts as soon as it was started: one that failed or was lost may have moved the schema. One whose down
/// command completed counts as never started.
#[must_use]
pub fn moved(
    plan: &Plan,
    records: &[StepRecord],
    way_back: &[PlannedStep],
    revisions: &BTreeMap<Name, String>,
    deployment_id: &str,
    now: Timestamp,
) -> BTreeMap<Name, Option<SchemaState>> {
    let last = |mode: Mode, index: usize| {
        let of_step = records
            .iter()
            .filter(|record| record.step.mode == mode && record.step.index == index);
        let started = of_step.filter(|record| record.outcome != StepOutcome::NeverStarted);
        started
            .max_by_key(|record| record.step.attempt)
            .map(|record| record.outcome)
    };
    let mut states = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let (Some(task), Some(outcome)) = (migration(step), last(Mode::Forward, index)) else {
            continue;
        };
        let Some(database) = &task.database else { continue };
        let taken_back = |task: &PlannedTask| {
            way_back.iter().enumerate().find_map(|(index, back)| {
                let is_its = migration(back).is_some_and(|back| back.name == task.name);
                is_its.then(|| last(Mode::WayBack, index)).flatten()
            })
        };
        if taken_back(task) == Some(StepOutcome::Done) {
            continue;
        }
        let before = plan.schemas.get(database);
        let steps = plan.steps.iter().enumerate();
        let mut of_database = steps.filter_map(|(index, step)| {
            let task = migration(step)?;
            (task.database.as_ref() == Some(database)).then_some((index, task))
        });
        if let Some(undoes) = &task.undoes {
            // It is where it was only when every one of them is taken back.
            let state = if of_database.all(|(index, _)| last(Mode::Forward, index) == Some(StepOutcome::Done)) {
                undoes.to.as_deref().cloned()
            } else {
                // What is taken back already is not taken back again.
                let is_back = |mover: &Mover| {
                    let mut steps = plan.steps.iter().enumerate();
                    steps.any(|(index, step)| {
                        migration(step).is_some_and(|task| task.name == mover.task)
                            && last(Mode::Forward, index) == Some(StepOutcome::Done)
                    })
                };
                before.cloned().map(|mut before| {
                    before.moved_by.retain(|mover| !is_back(mover));
                    SchemaState {
                        complete: false,
                        since: now,
                        ..before
                    }
                })
            };
            states.insert(database.clone(), state);
            continue;
        }
        // Where another one is taken back, nobody knows the name of what is left.
        let complete = outcome == StepOutcome::Done && of_database.all(|(_, task)| taken_back(task).is_none());
        let Some((image, digest)) = plan.released() else {
            continue;
        };
        let mover = revisions.get(&task.revision).map(|arn| Mover {
            task: task.name.clone(),
            task_definition_arn: arn.clone(),
        });
        // What the deployment's own earlier migrations of the same database left.
        let own: Option<SchemaState> = states.remove(database).flatten();
        let known_migration = own.as_ref().or(before).and_then(|state| state.migration.clone());
        let was_complete = own.as_ref().is_none_or(|state| state.complete);
        let complete = complete && was_complete;
        let mut moved_by = own.map(|state| state.moved_by).unwrap_or_default();
        moved_by.extend(mover);
        let state = SchemaState {
            image: image.clone(),
            digest: digest.clone(),
            release_id: plan.release_id.clone(),
            deployment_id: deployment_id.to_owned(),
            version: plan.declared.version.clone(),
            compatible_since: higher(
                before.and_then(|state| state.compatible_since.clone()),
                plan.declared.compatible_since.clone(),
            ),
            migration: if complete {
                plan.declared.migration.clone()
            } else {
                known_migration
            },
            complete,
            moved_by,
            since: now,
        };
        states.insert(database.clone(), Some(state));
    }
    states
}

/// The task of a step that moves a schema.
pub(crate) fn migration(step: &PlannedStep) -> Option<&PlannedTask> {
    match step {
        PlannedStep::Task(task) => task.database.is_some().then_some(task),
        PlannedStep::Service(_) => None,
    }
}

#[cfg(test)]
mod tests;
