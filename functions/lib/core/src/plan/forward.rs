//! The plan of a release on its way into an environment.

mod services;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::drift::Twin;
use super::preflight::Findings;
use super::refusal::{Refusal, RefusalKind, Refusals};
use super::{
    Observed, Plan, PlanInput, PlannedDown, PlannedRevision, PlannedStep, PlannedTask, RevisionAction, capacity,
    compatibility, image, powers, preflight,
};
use crate::gate::unsaid;
use crate::hotfix;
use crate::pipeline::{
    ContainerOverride, DefinitionSource, Hazard, Measure, Name, Phase, Pushed, Reaction, ResolvedEnvironment,
    ResolvedStep, ResolvedTask, TaskDefinition, Verification,
};
use crate::schema::{ANNOTATION_COMPATIBLE_SINCE, ANNOTATION_MIGRATION, CodeVersion, Declared, SchemaState, higher};
use crate::task_definition::{
    Home, content_sha256, diff, image_reference, masked_text, patch, revision_tags, same_definition,
};

/// The most characters that are shown of the name of a stranger.
const CLAIM_CHARACTERS: usize = 100;

/// Plans a release into an environment, or says everything that is in the way.
///
/// The steps are those whose task definition runs the released image, and the one-off commands whose task definition
/// runs no image of the application at all. Another image in the same task definition is pinned to the digest in force;
/// where there is none it stays as it is in the base, which a note says.
pub fn plan(input: &PlanInput, observed: &Observed, now: Timestamp) -> Result<Plan, Refusals> {
    let nothing = BTreeMap::new();
    let said = observed.images.get(&input.image).map_or(&nothing, |image| &image.said);
    let declared = Declared::read(said, &input.tag);
    let mut planner = Planner {
        input,
        observed,
        declared: declared.clone().unwrap_or_default(),
        schemas: compatibility::schemas_of(observed, &input.image),
        refusals: Vec::new(),
        notes: Vec::new(),
    };
    planner.refusals.extend(declared.err().map(|error| {
        let message = format!(
            "`{ANNOTATION_COMPATIBLE_SINCE}` of the image `{}`: {error}",
            input.image
        );
        let help = "build the image with the oldest version of the code that works with its migrations";
        Refusal::new(RefusalKind::Declaration, message, help)
    }));
    let unsaid = unsaid(&input.environment.acknowledgements, said);
    planner.refusals.extend(unsaid.into_iter().map(|(_, message)| {
        let help = "have the job that builds the image say so by a label or an annotation, and push it again";
        Refusal::new(RefusalKind::Unsaid, message, help)
    }));
    let pushed_by = planner.pushed_by(said);
    planner.check_coming();
    planner.notes.extend(elsewhere(&input.environment, &input.home));
    planner.refusals.extend(check_place(&input.environment, observed));
    if let Some(powers) = &input.powers {
        planner.refusals.extend(powers::check_name(
            "cluster",
            &input.environment.cluster,
            &powers.clusters,
            "ClusterPattern",
        ));
        let image = input.environment.images.get(&input.image);
        planner.refusals.extend(image.and_then(|image| {
            let repository = image.repository.as_str();
            powers::check_name("repository", repository, &powers.repositories, "RepositoryPattern")
        }));
        planner.refusals.extend(powers.check_environment(&input.environment));
    }
    if let Some(digest) = input.digests.get(&input.image) {
        planner
            .refusals
            .extend(image::check_quarantine(&input.image, digest, observed));
    }
    let steps: Vec<&ResolvedStep> = input
        .environment
        .steps
        .iter()
        .filter(|step| planner.belongs(step))
        .collect();
    if !steps
        .iter()
        .any(|step| images_of(&input.environment, step.task_definition()).contains(&input.image))
    {
        let message = format!(
            "no step of `{}` runs the image `{}`",
            input.environment.name, input.image
        );
        let help = "name the image in a container of a task definition that a task or service of this environment runs";
        planner
            .refusals
            .push(Refusal::new(RefusalKind::NothingToDo, message, help));
    }
    let keys: BTreeSet<&Name> = steps.iter().map(|step| step.task_definition()).collect();
    let definitions = input
        .environment
        .task_definitions
        .iter()
        .filter(|(key, _)| keys.contains(key));
    let images: BTreeSet<&Name> = keys.iter().flat_map(|key| images_of(&input.environment, key)).collect();
    let references = planner.references(&images);
    let revisions: Vec<PlannedRevision> = definitions
        .filter_map(|(key, definition)| planner.revision(key, definition, &references))
        .collect();
    let mut steps: Vec<PlannedStep> = steps.iter().filter_map(|step| planner.step(step, &revisions)).collect();
    planner.compare(&revisions);
    planner.notes.extend(hotfix::notes(&input.environment.skipped));
    let unchanged = planner.is_unchanged(&steps, &revisions);
    if !unchanged {
        planner.check_verification();
        let tasks = steps.iter().filter_map(PlannedStep::task);
        let findings = preflight::check_restore_points(&input.environment, tasks.clone(), observed, now);
        planner.take(findings);
        for task in tasks {
            planner.check_room(task, &revisions);
        }
    }
    let under_way = observed.under_way.as_deref();
    preflight::postpone(&mut planner.refusals, &mut planner.notes, under_way);
    if !planner.refusals.is_empty() {
        planner.refusals.dedup();
        return Err(Refusals(planner.refusals));
    }
    // Where no service moves nothing was deployed that could be looked at.
    let moves_services = steps.iter().any(|step| matches!(step, PlannedStep::Service(_)));
    let verification = input.environment.verification.clone().filter(|_| moves_services);
    let verification = verification.map(|verification| judging(verification, &mut steps, &mut planner.notes));
    let plan = Plan {
        plan_hash: String::new(),
        application: input.environment.application.clone(),
        environment: input.environment.name.clone(),
        release_id: input.release_id.clone(),
        pipeline_version: input.pipeline_version,
        planned_at: now,
        cluster: input.environment.cluster.clone(),
        image: Some(input.image.clone()),
        declared: planner.declared,
        pushed_by,
        schemas: planner.schemas,
        images: images
            .into_iter()
            .filter_map(|key| Some((key.clone(), input.digests.get(key)?.clone())))
            .collect(),
        revisions,
        steps,
        verification,
        skipped: input.environment.skipped.clone(),
        unchanged,
        notes: planner.notes,
    };
    Ok(plan.sealed())
}

/// The verification with the checks of those tasks that the plan runs; what their ends mean is then for the checks to
/// say.
fn judging(mut verification: Verification, steps: &mut [PlannedStep], notes: &mut Vec<String>) -> Verification {
    verification.checks.retain(|name, check| {
        let Measure::Task(judged) = &check.measure else {
            return true;
        };
        let mut tasks = steps.iter().filter_map(PlannedStep::task);
        let is_run = tasks.any(|task| task.name == *judged);
        if !is_run {
            notes.push(format!(
                "the check `{name}` shows nothing: the task `{judged}` is not run with this image"
            ));
        }
        is_run
    });
    for step in steps {
        if let PlannedStep::Task(task) = step {
            task.is_for_a_check = verification.judges_task(&task.name);
        }
    }
    verification
}

/// What is in the way of an environment in another account or Region, where the installation reaches no other.
#[must_use]
pub fn unreachable(environment: &ResolvedEnvironment, home: &Home) -> Option<Refusal> {
    let place = environment.place(home);
    (place != *home).then(|| {
        let message = format!(
            "`{}` is in account {}, `{}`, but Esclusa runs in {}, `{}`, and reaches no other account or Region",
            environment.name, place.account, place.region, home.account, home.region
        );
        let help = "deploy the stack with the parameters `TargetAccounts` and `TargetExternalId`, and `target-account.yaml` there";
        Refusal::new(RefusalKind::Elsewhere, message, help)
    })
}

/// That an environment is not where Esclusa runs, for readers of its plan.
pub(super) fn elsewhere(environment: &ResolvedEnvironment, home: &Home) -> Option<String> {
    let place = environment.place(home);
    (place != *home).then(|| {
        format!(
            "`{}` is in account {}, `{}`",
            environment.name, place.account, place.region
        )
    })
}

/// What is in the way of doing anything in the environment.
pub(super) fn check_place(environment: &ResolvedEnvironment, observed: &Observed) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let cluster = &environment.cluster;
    match observed.cluster_status.as_deref() {
        Some("ACTIVE") => {}
        Some(status) => {
            let help = format!("`aws ecs describe-clusters --clusters {cluster}` says more");
            refusals.push(Refusal::new(
                RefusalKind::Cluster,
                format!("the cluster `{cluster}` is {status}"),
                help,
            ));
        }
        None => {
            let help = format!(
                "create it with your infrastructure code, or set `cluster` of the environment `{}`",
                environment.name
            );
            refusals.push(Refusal::new(
                RefusalKind::Cluster,
                format!("there is no cluster `{cluster}`"),
                help,
            ));
        }
    }
    refusals
}

/// The images of the application that a task definition runs.
pub(super) fn images_of<'a>(environment: &'a ResolvedEnvironment, definition: &Name) -> BTreeSet<&'a Name> {
    let definition = environment.task_definitions.get(definition).into_iter();
    definition
        .flat_map(|definition| definition.containers.values())
        .filter_map(|container| container.image.as_ref())
        .collect()
}

struct Planner<'a> {
    input: &'a PlanInput,
    observed: &'a Observed,
    /// What the released image says of itself.
    declared: Declared,
    /// The schemas that migrations of the released image moved.
    schemas: BTreeMap<Name, SchemaState>,
    refusals: Vec<Refusal>,
    notes: Vec<String>,
}

impl Planner<'_> {
    fn take(&mut self, findings: Findings) {
        self.refusals.extend(findings.refusals);
        self.notes.extend(findings.notes);
    }

    /// Tells what differs from the environment that this one is to be set like.
    fn compare(&mut self, revisions: &[PlannedRevision]) {
        let environment = &self.input.environment;
        let Some(declared) = &environment.same_as else {
            return;
        };
        let Some(observed) = &self.observed.twin else {
            let there = &declared.environment;
            self.notes.push(format!(
                "`{there}` could not be read, so this environment cannot be compared with it"
            ));
            return;
        };
        let twin = Twin { declared, observed };
        let of_key = |revision: &PlannedRevision| environment.task_definitions.get(&revision.key);
        let notes = revisions
            .iter()
            .filter_map(|revision| twin.note(revision, of_key(revision)?));
        self.notes.extend(notes);
    }

    /// What can be known beforehand about the alarms of the verification: one that fires already would take the release
    /// back.
    fn check_verification(&mut self) {
        let environment = &self.input.environment;
        let checks = environment
            .verification
            .iter()
            .flat_map(|verification| &verification.checks);
        let alarms = checks.filter_map(|(name, check)| match &check.measure {
            Measure::Alarms(alarms) if check.reaction != Reaction::Report => Some((name, alarms)),
            _ => None,
        });
        let mut findings = Findings::default();
        for (check, alarms) in alarms {
            for alarm in alarms {
                match self.observed.alarms.get(alarm).map(String::as_str) {
                    None => findings.refusals.push(Refusal::new(
                        RefusalKind::Verification,
                        format!("the check `{check}` of the verification names the alarm `{alarm}`, which does not exist"),
                        format!("create it, or correct `verification.checks.{check}` of the environment `{}`", environment.name),
                    )),
                    Some("ALARM") => findings.add(
                        environment,
                        Hazard::AlarmFiring,
                        format!("the alarm `{alarm}` is firing, and the check `{check}` of the verification would roll the release back because of it"),
                        format!("wait until it is `OK`: `aws cloudwatch describe-alarms --alarm-names {alarm}`"),
                    ),
                    Some(_) => {}
                }
            }
        }
        self.take(findings);
    }

    /// Whether a one-off task finds room, and whether what it writes can be read when it fails.
    fn check_room(&mut self, task: &PlannedTask, revisions: &[PlannedRevision]) {
        let Some(revision) = revisions.iter().find(|revision| revision.key == task.revision) else {
            return;
        };
        let (environment, definition) = (&self.input.environment, &revision.definition);
        self.take(capacity::check_task(
            environment,
            task,
            definition,
            self.observed.fargate,
        ));
        let powers = self.input.powers.as_ref();
        self.notes
            .extend(powers.and_then(|powers| powers.note_of_lines(task, revision)));
    }

    /// Who pushed the image, where it says so. What it says, or that it does not, is a note: the quorum of an approval
    /// depends on it.
    fn pushed_by(&mut self, said: &BTreeMap<String, String>) -> Option<Name> {
        let environment = &self.input.environment;
        let pusher = environment.pusher.as_ref()?;
        let annotation = &pusher.annotation;
        let (note, person) = match pusher.of(&environment.people, said) {
            Pushed::By(person) => {
                let note = format!("`{person}` pushed the image, as its `{annotation}` says, and may not approve it");
                (note, Some(person.clone()))
            }
            Pushed::ByStranger(claim) => {
                let claim: String = masked_text(claim).chars().take(CLAIM_CHARACTERS).collect();
                let note = format!(
                    "the image says in `{annotation}` that `{claim}` pushed it, who is not one of the `people`: who it was is unknown"
                );
                (note, None)
            }
            Pushed::Unsaid => (format!("the image does not say in `{annotation}` who pushed it"), None),
        };
        self.notes.push(note);
        person
    }

    fn check_coming(&mut self) {
        let what = format!("the image `{}`", self.input.image);
        let version = self.declared.version.as_ref();
        self.take(compatibility::check_coming(
            &self.input.environment,
            &what,
            version,
            &self.schemas,
        ));
    }

    /// The oldest code that the schemas take while the services are updated.
    fn floor(&self) -> Option<CodeVersion> {
        let as_it_is = compatibility::floor_of(&self.schemas);
        let migrates = |step: &ResolvedStep| matches!(step, ResolvedStep::Task(task) if task.database.is_some() && task.phase == Phase::BeforeServices);
        let mut steps = self.input.environment.steps.iter();
        if steps.any(|step| migrates(step) && self.belongs(step)) {
            higher(as_it_is, self.declared.compatible_since.clone())
        } else {
            as_it_is
        }
    }

    fn belongs(&self, step: &ResolvedStep) -> bool {
        let images = images_of(&self.input.environment, step.task_definition());
        images.contains(&self.input.image) || (images.is_empty() && matches!(step, ResolvedStep::Task(_)))
    }

    /// The addresses of the images that have a digest.
    fn references(&mut self, images: &BTreeSet<&Name>) -> BTreeMap<Name, String> {
        let mut references = BTreeMap::new();
        for (key, image) in self
            .input
            .environment
            .images
            .iter()
            .filter(|(key, _)| images.contains(key))
        {
            let Some(digest) = self.input.digests.get(key) else {
                self.notes.push(format!(
                    "the image `{key}` was never released into `{}`: it stays as it is in the base",
                    self.input.environment.name
                ));
                continue;
            };
            let home = &self.input.home;
            self.refusals
                .extend(image::check(key, image, home, digest, self.observed.images.get(key)));
            let pulled = self.input.environment.pulled_from(key, home);
            references.insert(
                key.clone(),
                image_reference(pulled.as_ref().unwrap_or(image), home, digest),
            );
        }
        references
    }

    fn revision(
        &mut self,
        key: &Name,
        settings: &TaskDefinition,
        references: &BTreeMap<Name, String>,
    ) -> Option<PlannedRevision> {
        let family = &settings.family;
        let latest = self.observed.families.get(family);
        let base = match &settings.from {
            DefinitionSource::Latest => latest.map(|latest| &latest.definition),
            DefinitionSource::File(file) => self.input.files.get(file),
        };
        let Some(base) = base else {
            self.refusals.push(no_definition(key, settings));
            return None;
        };
        let definition = match patch(base, settings, references) {
            Ok(definition) => definition,
            Err(errors) => {
                let help = format!("correct `task_definitions.{key}` in the pipeline file");
                self.refusals.extend(
                    errors
                        .iter()
                        .map(|error| Refusal::new(RefusalKind::Definition, error.to_string(), help.clone())),
                );
                return None;
            }
        };
        for image in settings
            .containers
            .values()
            .filter_map(|container| container.image.as_ref())
        {
            let observed = self
                .observed
                .images
                .get(image)
                .filter(|_| references.contains_key(image));
            self.refusals
                .extend(observed.and_then(|observed| image::check_platform(image, observed, family, &definition)));
        }
        if let Some(powers) = &self.input.powers {
            self.refusals.extend(powers::check_roles(family, &definition, powers));
            self.refusals
                .extend(powers::check_name("family", family, &powers.families, "FamilyPattern"));
        }
        let content_sha256 = content_sha256(&definition);
        let environment = &self.input.environment;
        let base_tags = latest.map(|latest| latest.tags.clone()).unwrap_or_default();
        let tags = revision_tags(
            &base_tags,
            &self.input.release_id,
            &environment.application,
            &environment.name,
            &content_sha256,
        );
        let action = match latest {
            Some(latest) if same_definition(&latest.definition, &definition) => RevisionAction::Reuse {
                arn: latest.arn.clone(),
            },
            _ => RevisionAction::Register,
        };
        Some(PlannedRevision {
            key: key.clone(),
            family: family.clone(),
            base_arn: latest.map(|latest| latest.arn.clone()),
            changes: diff(latest.map_or(&Value::Null, |latest| &latest.definition), &definition),
            definition,
            tags,
            content_sha256,
            action,
        })
    }

    fn step(&mut self, step: &ResolvedStep, revisions: &[PlannedRevision]) -> Option<PlannedStep> {
        // Without a revision there is a refusal already, but what is wrong with the service is worth saying as well.
        let revision = revisions
            .iter()
            .find(|revision| revision.key == *step.task_definition());
        match step {
            ResolvedStep::Task(task) => self.task(task, revision?).map(PlannedStep::Task),
            ResolvedStep::Service(service) => self.service(service, revision).map(PlannedStep::Service),
        }
    }

    fn task(&mut self, task: &ResolvedTask, revision: &PlannedRevision) -> Option<PlannedTask> {
        let named = task.containers.keys().chain([&task.container]);
        let missing: BTreeSet<&String> = named
            .filter(|name| !container_names(&revision.definition).contains(&name.as_str()))
            .collect();
        for name in &missing {
            let existing: Vec<String> = container_names(&revision.definition)
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            let message = format!(
                "the family `{}` has no container `{name}`; it has {}",
                revision.family,
                existing.join(", ")
            );
            let help = format!("correct `tasks.{}` in the pipeline file", task.name);
            self.refusals.push(Refusal::new(RefusalKind::Definition, message, help));
        }
        self.note_companions(task, revision);
        let down = self.down(task);
        missing.is_empty().then(|| PlannedTask {
            name: task.name.clone(),
            phase: task.phase,
            revision: revision.key.clone(),
            cluster: self.input.environment.cluster.clone(),
            launch_type: launch_type(&revision.definition).to_owned(),
            network: has_own_network(&revision.definition).then(|| task.network.clone()),
            container_overrides: container_overrides(&task.containers),
            group: task.database.as_ref().map(|_| "migration".to_owned()),
            container: task.container.clone(),
            database: task.database.clone(),
            restore_point: preflight::restore_point(&self.input.environment, task.database.as_ref()),
            down,
            undoes: None,
            idempotent: task.idempotent,
            timeout_seconds: task.timeout_seconds,
            start_attempts: task.start_attempts,
            is_for_a_check: false,
        })
    }

    /// That the end of a task may be somebody else's: ECS ends a task whose essential container exits, and the command
    /// that is judged is asked to stop half-way.
    fn note_companions(&mut self, task: &ResolvedTask, revision: &PlannedRevision) {
        let containers = revision
            .definition
            .get("containerDefinitions")
            .and_then(Value::as_array);
        let is_essential = |container: &&Value| container.get("essential") != Some(&Value::Bool(false));
        let essential = containers.into_iter().flatten().filter(is_essential);
        let names = essential.filter_map(|container| container.get("name").and_then(Value::as_str));
        let others: Vec<String> = names
            .filter(|name| *name != task.container)
            .map(|name| format!("`{name}`"))
            .collect();
        if task.database.is_some() && !others.is_empty() {
            self.notes.push(format!(
                "`{}` is judged by `{}`, and ECS stops it half-way when {} ends first: set `essential: false` there",
                task.name,
                task.container,
                others.join(", ")
            ));
        }
    }

    /// How the migration is taken back to what the schema is now.
    fn down(&mut self, task: &ResolvedTask) -> Option<PlannedDown> {
        let down = task.down.as_ref()?;
        let before = task.database.as_ref().and_then(|database| self.schemas.get(database));
        let previous = before.and_then(|state| state.migration.as_deref());
        let container_overrides = compatibility::filled(container_overrides(&down.containers), previous);
        if container_overrides.is_none() {
            self.notes.push(format!(
                "`{}` cannot be taken back: the name of the migration before it is unknown, which an image states in the label or annotation `{ANNOTATION_MIGRATION}`",
                task.name
            ));
        }
        Some(PlannedDown {
            container_overrides: container_overrides?,
            automatic: down.automatic,
        })
    }
}

fn no_definition(key: &Name, settings: &TaskDefinition) -> Refusal {
    let family = &settings.family;
    match &settings.from {
        DefinitionSource::Latest => Refusal::new(
            RefusalKind::NoDefinition,
            format!("the family `{family}` has no ACTIVE revision"),
            format!(
                "register one with your infrastructure code, or set `from: {{file: …}}` of `task_definitions.{key}`"
            ),
        ),
        DefinitionSource::File(file) => Refusal::new(
            RefusalKind::NoDefinition,
            format!("the file `{file}` is not stored with the pipeline"),
            "apply the pipeline again from the folder that has the file: `esclusa pipelines apply pipeline.yaml`",
        ),
    }
}

fn container_names(definition: &Value) -> Vec<&str> {
    let containers = definition
        .get("containerDefinitions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    containers
        .filter_map(|container| container.get("name")?.as_str())
        .collect()
}

/// Whether tasks of a definition have a network of their own. `RunTask` takes one for those alone:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>.
pub(super) fn has_own_network(definition: &Value) -> bool {
    definition.get("networkMode").and_then(Value::as_str) == Some("awsvpc")
}

pub(super) fn launch_type(definition: &Value) -> &'static str {
    let required = definition.get("requiresCompatibilities").and_then(Value::as_array);
    if required.is_some_and(|required| required.iter().any(|compatibility| compatibility == "FARGATE")) {
        "FARGATE"
    } else {
        "EC2"
    }
}

/// `containerOverrides` of `RunTask`.
pub(super) fn container_overrides(containers: &IndexMap<String, ContainerOverride>) -> Value {
    let overrides = containers.iter().map(|(name, settings)| {
        let mut members = Map::new();
        members.insert("name".to_owned(), json!(name));
        if let Some(command) = &settings.command {
            members.insert("command".to_owned(), json!(command));
        }
        if !settings.environment.is_empty() {
            let variables = settings
                .environment
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}));
            members.insert("environment".to_owned(), variables.collect());
        }
        for (field, number) in [
            ("cpu", settings.cpu),
            ("memory", settings.memory),
            ("memoryReservation", settings.memory_reservation),
        ] {
            if let Some(number) = number {
                members.insert(field.to_owned(), number.into());
            }
        }
        Value::Object(members)
    });
    overrides.collect()
}
