//! Taking migrations back by hand: the down commands of the release that moved a schema last, with its own image.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::forward::{container_overrides, has_own_network, launch_type};
use super::refusal::{Refusal, RefusalKind};
use super::rollback::RollbackInput;
use super::{Observed, PlannedRevision, PlannedTask, RevisionAction, compatibility, preflight};
use crate::pipeline::{Digest, Name, ResolvedStep, ResolvedTask};
use crate::schema::{ANNOTATION_MIGRATION, SchemaState, Undoes};
use crate::task_definition::content_sha256;

/// What takes the migrations back.
#[derive(Debug, Default)]
pub(super) struct Undo {
    pub(super) revisions: Vec<PlannedRevision>,
    pub(super) steps: Vec<PlannedTask>,
    pub(super) notes: Vec<String>,
}

/// The steps that bring every schema back to what it was when the code that is gone back to was verified, the last
/// migration first; or what is in the way.
pub(super) fn steps(
    input: &RollbackInput,
    observed: &Observed,
    schemas: &BTreeMap<Name, SchemaState>,
    verified_at: Timestamp,
) -> Result<Undo, Vec<Refusal>> {
    let mut undo = Undo::default();
    let mut refusals = Vec::new();
    for (database, state) in schemas {
        let history = observed.schema_history.get(database).map_or(&[][..], Vec::as_slice);
        let since = history.iter().filter(|state| state.since > verified_at);
        let releases: BTreeSet<&Digest> = since.map(|state| &state.digest).collect();
        if state.since <= verified_at {
            undo.notes.push(format!(
                "the schema of `{database}` has not moved since then: there is nothing to take back"
            ));
            continue;
        }
        let target = history.iter().find(|state| state.since <= verified_at);
        match of_database(input, observed, database, state, target, releases.len()) {
            Ok((revisions, steps)) => {
                let is_new = |revision: &PlannedRevision, known: &[PlannedRevision]| {
                    known.iter().all(|known| known.key != revision.key)
                };
                for revision in revisions {
                    if is_new(&revision, &undo.revisions) {
                        undo.revisions.push(revision);
                    }
                }
                undo.steps.extend(steps);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() { Ok(undo) } else { Err(refusals) }
}

fn of_database(
    input: &RollbackInput,
    observed: &Observed,
    database: &Name,
    state: &SchemaState,
    target: Option<&SchemaState>,
    releases: usize,
) -> Result<(Vec<PlannedRevision>, Vec<PlannedTask>), Refusal> {
    let refuse = |message: String, help: String| Refusal::new(RefusalKind::NoWayDown, message, help);
    let mut revisions = Vec::new();
    let mut steps = Vec::new();
    for mover in state.moved_by.iter().rev() {
        // What came before it cannot be taken back from under it.
        let Some((task, down)) = declared(input, &mover.task) else {
            return Err(refuse(
                format!(
                    "the task `{}` migrated `{database}` in the release `{}` and declares no `down` command",
                    mover.task, state.release_id
                ),
                "declare `down` in the pipeline file, or go back without `--undo-migrations`".to_owned(),
            ));
        };
        let Some(definition) = observed.movers.get(&mover.task_definition_arn) else {
            return Err(refuse(
                format!(
                    "the revision `{}` that migrated `{database}` is gone",
                    mover.task_definition_arn
                ),
                "take the migration back with the tool it was made with".to_owned(),
            ));
        };
        let previous = target.and_then(|target| target.migration.as_deref());
        let written = container_overrides(&down.containers);
        if releases > 1 && !compatibility::needs_name(&written) {
            return Err(refuse(
                format!(
                    "{releases} releases have migrated `{database}` since then, but the down command of `{}` takes back only the last one",
                    mover.task
                ),
                "go back one release at a time, or use `${previous_migration}` in the command".to_owned(),
            ));
        }
        let Some(container_overrides) = compatibility::filled(written, previous) else {
            return Err(refuse(
                format!(
                    "nobody knows the name of the migration that `{database}` had then, and the down command of `{}` needs it",
                    mover.task
                ),
                format!("give images the label or annotation `{ANNOTATION_MIGRATION}`"),
            ));
        };
        revisions.push(PlannedRevision {
            key: task.task_definition.clone(),
            family: family(&mover.task_definition_arn).to_owned(),
            base_arn: Some(mover.task_definition_arn.clone()),
            definition: definition.definition.clone(),
            tags: definition.tags.clone(),
            content_sha256: content_sha256(&definition.definition),
            action: RevisionAction::Reuse {
                arn: mover.task_definition_arn.clone(),
            },
            changes: Vec::new(),
        });
        steps.push(PlannedTask {
            name: task.name.clone(),
            phase: task.phase,
            revision: task.task_definition.clone(),
            cluster: input.environment.cluster.clone(),
            launch_type: launch_type(&definition.definition).to_owned(),
            network: has_own_network(&definition.definition).then(|| task.network.clone()),
            container_overrides,
            group: Some("migration".to_owned()),
            container: task.container.clone(),
            database: Some(database.clone()),
            restore_point: preflight::restore_point(&input.environment, Some(database)),
            down: None,
            undoes: Some(Undoes {
                to: target.cloned().map(Box::new),
            }),
            idempotent: task.idempotent,
            timeout_seconds: task.timeout_seconds,
            start_attempts: task.start_attempts,
            is_for_a_check: false,
        });
    }
    if steps.is_empty() {
        return Err(refuse(
            format!(
                "nobody knows which task migrated `{database}` in the release `{}`",
                state.release_id
            ),
            "go back without `--undo-migrations`, and take the migration back with the tool it was made with"
                .to_owned(),
        ));
    }
    Ok((revisions, steps))
}

fn declared<'a>(input: &'a RollbackInput, name: &Name) -> Option<(&'a ResolvedTask, &'a crate::pipeline::Down)> {
    input.environment.steps.iter().find_map(|step| match step {
        ResolvedStep::Task(task) if task.name == *name => Some((task, task.down.as_ref()?)),
        ResolvedStep::Task(_) | ResolvedStep::Service(_) => None,
    })
}

/// The family of a revision.
fn family(arn: &str) -> &str {
    let name = arn.rsplit('/').next().unwrap_or(arn);
    name.split(':').next().unwrap_or(name)
}
