//! What a plan changes, in as few words as a decision needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, PlannedStep, PlannedTask};
use crate::schema::Declared;
use crate::task_definition::ChangeKind;

/// The most differences that are kept.
const CHANGES_MAX: usize = 60;

/// What a plan changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// What the released image says of itself.
    #[serde(default)]
    pub declared: Declared,
    /// What is different in the task definitions, by name: values are not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<PlannedChange>,
    /// How many differences there are besides.
    #[serde(default)]
    pub changes_left_out: usize,
    /// The migrations that run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<Migration>,
    /// The services that move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Moved>,
    /// The tag that is in force in the environment, which this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// What a reader of the plan should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What it is made from; none where an earlier version of this program made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Sources>,
}

/// What a plan is made from, as far as that can change while people decide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// The task definitions that settings are laid over, as family and revision, by family.
    pub bases: BTreeMap<String, String>,
    /// The digests of the images, by key.
    pub images: BTreeMap<String, String>,
}

impl Sources {
    fn of(plan: &Plan) -> Self {
        let bases = plan.revisions.iter().filter_map(|revision| {
            let base = revision.base_arn.as_deref()?;
            Some((revision.family.clone(), short(base)))
        });
        let images = plan.images.iter();
        Self {
            bases: bases.collect(),
            images: images
                .map(|(image, digest)| (image.to_string(), digest.to_string()))
                .collect(),
        }
    }
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// The family of the task definition.
    pub family: String,
    /// Where in it.
    pub path: String,
    /// What kind of difference.
    pub kind: ChangeKind,
}

impl PlannedChange {
    pub(super) const fn what(&self) -> &'static str {
        match self.kind {
            ChangeKind::Added => "adds",
            ChangeKind::Removed => "removes",
            ChangeKind::Changed => "changes",
        }
    }
}

/// A migration that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The key of the task.
    pub task: String,
    /// The database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Whether it can be undone.
    pub undo: Undo,
}

/// Whether a migration can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// It is undone where the deployment goes back.
    Automatic,
    /// It is undone when a person asks for it.
    OnDemand,
    /// It is not.
    Never,
    /// It takes one back itself.
    Undoes,
}

impl Undo {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Automatic => "undone if the deployment goes back",
            Self::OnDemand => "undone only on request",
            Self::Never => "cannot be undone",
            Self::Undoes => "takes a migration back",
        }
    }

    const fn of(task: &PlannedTask) -> Self {
        match (&task.undoes, &task.down) {
            (Some(_), _) => Self::Undoes,
            (None, Some(down)) if down.automatic => Self::Automatic,
            (None, Some(_)) => Self::OnDemand,
            (None, None) => Self::Never,
        }
    }
}

/// A service that moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The name in ECS.
    pub service: String,
    /// What it runs now, as family and revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Whether nobody goes back from it.
    #[serde(default)]
    pub stays: bool,
}

impl Summary {
    /// What `plan` changes in an environment where `replaces` is in force.
    #[must_use]
    pub fn of(plan: &Plan, replaces: Option<&str>) -> Self {
        let changes = plan.revisions.iter().flat_map(|revision| {
            revision.changes.iter().map(|change| PlannedChange {
                family: revision.family.clone(),
                path: change.path.clone(),
                kind: change.kind,
            })
        });
        let mut changes: Vec<PlannedChange> = changes.collect();
        let changes_left_out = changes.len().saturating_sub(CHANGES_MAX);
        changes.truncate(CHANGES_MAX);
        let tasks = plan.steps.iter().filter_map(PlannedStep::task);
        let migrations = tasks.filter(|task| task.database.is_some()).map(|task| Migration {
            task: task.name.to_string(),
            database: task.database.as_ref().map(ToString::to_string),
            undo: Undo::of(task),
        });
        let services = plan.steps.iter().filter_map(|step| match step {
            PlannedStep::Service(service) => Some(Moved {
                service: service.service.clone(),
                previous: service.previous_task_definition_arn.as_deref().map(short),
                stays: service.stays,
            }),
            PlannedStep::Task(_) => None,
        });
        Self {
            declared: plan.declared.clone(),
            changes,
            changes_left_out,
            migrations: migrations.collect(),
            services: services.collect(),
            replaces: replaces.map(str::to_owned),
            notes: plan.notes.clone(),
            sources: Some(Sources::of(plan)),
        }
    }
}

/// Family and revision of a task definition's ARN.
fn short(arn: &str) -> String {
    arn.rsplit_once('/').map_or(arn, |(_, short)| short).to_owned()
}
