//! What a pipeline means in one environment: overlays laid over, placeholders filled in, steps in order.

mod overlay;
mod placeholder;
mod rules;

use std::fmt;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::overlay::lay_over;
use self::placeholder::Placeholders;
use super::gates::{Acknowledgement, Approval, Hotfix, People, Windows};
use super::model::{
    Environment, Hazard, LockPolicy, Newest, Notifications, OnFailure, Pipeline, SameAs, TagPolicy, Trigger,
};
use super::names::{AccountId, ApplicationName, EnvironmentName, Name, Region};
use super::overlays::{DatabaseOverlay, Replica};
use super::parts::{
    ContainerOverride, Database, Deployment, Down, Image, Network, Phase, Scaling, Service, Task, TaskDefinition,
};
use super::path::Path;
use super::problem::suggestion;
use super::pusher::Pusher;
use super::references::order;
use super::verification::Verification;
use crate::hotfix::Skipped;
use crate::schema::PREVIOUS_MIGRATION;
use crate::task_definition::Home;

/// A pipeline in one environment. Every later decision reads this and never the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedEnvironment {
    /// The application.
    pub application: ApplicationName,
    /// The environment.
    pub name: EnvironmentName,
    /// What brings a release here.
    pub trigger: Trigger,
    /// Which tags may come here.
    pub tags: TagPolicy,
    /// What makes one push newer than another.
    pub newest: Newest,
    /// How releases wait while another deployment is at work here.
    pub lock: LockPolicy,
    /// What becomes of the services that a deployment has moved when a later step of it fails.
    pub on_failure: OnFailure,
    /// What the plan would refuse as less safe than it looks, and is accepted here.
    pub accept: Vec<Hazard>,
    /// How it is verified that what was deployed works.
    pub verification: Option<Verification>,
    /// When releases may come.
    pub windows: Option<Windows>,
    /// Who must agree.
    pub approval: Option<Approval>,
    /// What must have been seen to.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub acknowledgements: IndexMap<Name, Acknowledgement>,
    /// Which images come together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<Name>,
    /// The people of the pipeline.
    pub people: People,
    /// How an image says who of them pushed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<Pusher>,
    /// What a hotfix does without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<Hotfix>,
    /// What was taken out because a hotfix does without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// Who is told what becomes of releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Notifications>,
    /// Like which environment it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<SameAs>,
    /// The account, where it is not the one Esclusa runs in.
    pub account: Option<AccountId>,
    /// The Region, where it is not the one Esclusa runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Where images lie that are replicated to the environment.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub replicas: IndexMap<Name, Replica>,
    /// The name of the ECS cluster.
    pub cluster: String,
    /// The images of the application.
    pub images: IndexMap<Name, Image>,
    /// The databases that tasks migrate.
    pub databases: IndexMap<Name, Database>,
    /// The task definitions that the steps use.
    pub task_definitions: IndexMap<Name, TaskDefinition>,
    /// What happens, in this order: tasks before services, services, tasks after services.
    pub steps: Vec<ResolvedStep>,
}

impl ResolvedEnvironment {
    /// The account and Region of the environment.
    #[must_use]
    pub fn place(&self, home: &Home) -> Home {
        Home {
            account: self.account.clone().unwrap_or_else(|| home.account.clone()),
            region: self.region.clone().unwrap_or_else(|| home.region.clone()),
        }
    }

    /// Its services, in the order of the steps.
    pub fn services(&self) -> impl Iterator<Item = &ResolvedService> {
        self.steps.iter().filter_map(|step| match step {
            ResolvedStep::Service(service) => Some(service),
            ResolvedStep::Task(_) => None,
        })
    }

    /// The names of its services in ECS, in the order of the steps.
    #[must_use]
    pub fn service_names(&self) -> Vec<String> {
        self.services().map(|service| service.service.clone()).collect()
    }

    /// The repository that the environment pulls an image from: where it is replicated to, else its own.
    #[must_use]
    pub fn pulled_from(&self, key: &Name, home: &Home) -> Option<Image> {
        let own = self.images.get(key)?;
        let Some(replica) = self.replicas.get(key) else {
            return Some(Image {
                account: own.account.clone().or_else(|| Some(home.account.clone())),
                region: own.region.clone().or_else(|| Some(home.region.clone())),
                repository: own.repository.clone(),
            });
        };
        let place = self.place(home);
        Some(Image {
            account: replica.account.clone().or(Some(place.account)),
            region: replica.region.clone().or(Some(place.region)),
            repository: replica.repository.clone().unwrap_or_else(|| own.repository.clone()),
        })
    }

    /// The image of that key, or the only one where no key is given.
    ///
    /// # Errors
    /// Which keys there are, for people.
    pub fn image(&self, key: Option<&str>) -> Result<(&Name, &Image), String> {
        one_of(&self.application, &self.images, key)
    }
}

impl Pipeline {
    /// The image that somebody means: by its key, or the only one.
    ///
    /// # Errors
    /// That one must be named, for people.
    pub fn image(&self, key: Option<&str>) -> Result<(&Name, &Image), String> {
        one_of(&self.application, &self.images, key)
    }
}

fn one_of<'a>(
    application: &ApplicationName,
    images: &'a IndexMap<Name, Image>,
    key: Option<&str>,
) -> Result<(&'a Name, &'a Image), String> {
    let chosen = match key {
        Some(key) => images.iter().find(|(known, _)| known.as_str() == key),
        None if images.len() == 1 => images.first(),
        None => None,
    };
    chosen.ok_or_else(|| {
        let keys: Vec<String> = images.keys().map(|key| format!("`{key}`")).collect();
        format!(
            "name one of the images of `{application}` with `--image`: {}",
            keys.join(", ")
        )
    })
}

/// One step of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ResolvedStep {
    /// A one-off command.
    Task(ResolvedTask),
    /// An update of a service.
    Service(ResolvedService),
}

impl ResolvedStep {
    /// The key of the task or service in the pipeline file.
    pub fn name(&self) -> &Name {
        match self {
            Self::Task(task) => &task.name,
            Self::Service(service) => &service.name,
        }
    }

    /// The key of the task definition that the step runs.
    pub fn task_definition(&self) -> &Name {
        match self {
            Self::Task(task) => &task.task_definition,
            Self::Service(service) => &service.task_definition,
        }
    }
}

/// A one-off command in one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedTask {
    /// The key in the pipeline file.
    pub name: Name,
    /// When it runs.
    pub phase: Phase,
    /// The task definition it runs.
    pub task_definition: Name,
    /// The container whose exit code counts.
    pub container: String,
    /// Overrides by container.
    pub containers: IndexMap<String, ContainerOverride>,
    /// The database it migrates.
    pub database: Option<Name>,
    /// How that is taken back.
    pub down: Option<Down>,
    /// Whether it may run again after an unknown effect.
    pub idempotent: bool,
    /// Seconds until it is stopped.
    pub timeout_seconds: u32,
    /// Tries when it never started.
    pub start_attempts: u32,
    /// Its network.
    pub network: Network,
}

/// A service in one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedService {
    /// The key in the pipeline file.
    pub name: Name,
    /// The name in ECS.
    pub service: String,
    /// The task definition it runs.
    pub task_definition: Name,
    /// The count to start with where the live desired count is 0.
    pub start_count: Option<u32>,
    /// Whether the old task stops before the new one starts. The percentages in `deployment` already say so.
    pub never_two_at_once: bool,
    /// How ECS replaces the tasks.
    pub deployment: Deployment,
    /// How it scales by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Seconds until the rollout is stopped and rolled back.
    pub timeout_seconds: u32,
}

/// Why a pipeline has no meaning in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveError {
    /// The pipeline has no environment of that name.
    UnknownEnvironment {
        /// The name that was asked for.
        name: String,
        /// The nearest name, or all of them.
        hint: Option<String>,
    },
    /// What is wrong in that environment; never empty.
    Problems(Vec<ResolveProblem>),
}

/// One thing that is wrong with a pipeline in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveProblem {
    /// Where, below the environment or else below the root of the file.
    pub(super) path: Path,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl fmt::Display for ResolveProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEnvironment { name, hint } => {
                write!(formatter, "the pipeline has no environment `{}`", name.escape_debug())?;
                hint.as_ref().map_or(Ok(()), |hint| write!(formatter, " ({hint})"))
            }
            Self::Problems(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                formatter.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for ResolveError {}

/// The meaning of `pipeline` in the environment `environment_name`.
pub fn resolve(pipeline: &Pipeline, environment_name: &str) -> Result<ResolvedEnvironment, ResolveError> {
    let environment = pipeline.environment(environment_name);
    let environment = environment.ok_or_else(|| ResolveError::UnknownEnvironment {
        name: environment_name.to_owned(),
        hint: suggestion(environment_name, pipeline.environment_names()),
    })?;
    resolve_environment(pipeline, &environment).map_err(ResolveError::Problems)
}

/// The meaning of `pipeline` in one of its environments, or everything that is wrong there.
pub(super) fn resolve_environment(
    pipeline: &Pipeline,
    environment: &Environment,
) -> Result<ResolvedEnvironment, Vec<ResolveProblem>> {
    let placeholders = Placeholders::new(pipeline, environment);
    let mut resolver = Resolver {
        environment: &environment.name,
        placeholders,
        problems: Vec::new(),
    };
    let root = Path::default();
    let cluster = resolver
        .filled(&environment.cluster, &root.key("cluster"))
        .unwrap_or_default();
    let network: Option<Network> = environment
        .network
        .as_ref()
        .and_then(|network| resolver.filled(network, &root.key("network")));
    let verification = environment
        .verification
        .as_ref()
        .and_then(|verification| resolver.filled(verification, &root.key("verification")));
    let definitions = resolver.overlaid(
        &pipeline.task_definitions,
        &environment.task_definitions,
        "task_definitions",
    );
    let services: IndexMap<Name, Service> = resolver.overlaid(&pipeline.services, &environment.services, "services");
    let (databases, changed) = restore_points(pipeline, environment);
    let databases = resolver.overlaid(&databases, &changed, "databases");
    let mut present = pipeline.tasks.clone();
    present.retain(|name, _| environment.tasks.get(name).is_none_or(|overlay| !overlay.skip));
    let mut overlays = environment.tasks.clone();
    let downs = present.values_mut().filter_map(|task| task.down.as_mut());
    let overlaid = overlays.values_mut().filter_map(|overlay| overlay.down.as_mut());
    for containers in downs
        .map(|down| &mut down.containers)
        .chain(overlaid.map(|down| &mut down.containers))
    {
        keep_for_the_plan(containers);
    }
    let tasks: IndexMap<Name, Task> = resolver.overlaid(&present, &overlays, "tasks");

    let mut steps = Vec::new();
    steps.extend(resolver.tasks(&tasks, Phase::BeforeServices, network.as_ref(), &definitions));
    steps.extend(resolver.services(&services));
    steps.extend(resolver.tasks(&tasks, Phase::AfterServices, network.as_ref(), &definitions));
    let used: Vec<&Name> = steps.iter().map(ResolvedStep::task_definition).collect();
    let task_definitions = definitions
        .into_iter()
        .filter(|(name, _)| used.contains(&name))
        .collect();
    let resolved = ResolvedEnvironment {
        application: pipeline.application.clone(),
        name: environment.name.clone(),
        trigger: environment.trigger,
        tags: environment.tags.clone(),
        newest: environment.newest,
        lock: environment.lock.clone(),
        on_failure: environment.on_failure,
        accept: environment.accept.clone(),
        verification,
        windows: environment.windows.clone(),
        approval: environment.approval.clone(),
        acknowledgements: environment.acknowledgements.clone(),
        together: environment.together.clone(),
        people: pipeline.people.clone(),
        pusher: pipeline.pusher.clone(),
        hotfix: pipeline.hotfix.clone(),
        skipped: Vec::new(),
        notifications: environment
            .notifications
            .clone()
            .or_else(|| pipeline.notifications.clone()),
        same_as: environment.same_as.clone(),
        account: environment.account.clone(),
        region: environment.region.clone(),
        replicas: environment.images.clone(),
        cluster,
        images: pipeline.images.clone(),
        databases,
        task_definitions,
        steps,
    };
    let found = rules::check(&resolved, &resolver.problems);
    resolver.problems.extend(found);
    if resolver.problems.is_empty() {
        Ok(resolved)
    } else {
        Err(resolver.problems)
    }
}

struct Resolver<'a> {
    environment: &'a EnvironmentName,
    placeholders: Placeholders<'a>,
    problems: Vec<ResolveProblem>,
}

impl Resolver<'_> {
    /// `value` with its placeholders filled in; `None` where that is not possible, which is reported.
    fn filled<T: Serialize + DeserializeOwned>(&mut self, value: &T, path: &Path) -> Option<T> {
        self.filled_value(serde_json::to_value(value), path)
    }

    fn overlaid<T, O>(
        &mut self,
        bases: &IndexMap<Name, T>,
        overlays: &IndexMap<Name, O>,
        collection: &str,
    ) -> IndexMap<Name, T>
    where
        T: Serialize + DeserializeOwned,
        O: Serialize,
    {
        let mut resolved = IndexMap::new();
        for (name, base) in bases {
            let path = Path::default().key(collection).key(name);
            let value = serde_json::to_value(base).and_then(|mut value| {
                if let Some(overlay) = overlays.get(name) {
                    lay_over(&mut value, serde_json::to_value(overlay)?);
                }
                Ok(value)
            });
            if let Some(value) = self.filled_value(value, &path) {
                resolved.insert(name.clone(), value);
            }
        }
        resolved
    }

    fn filled_value<T: DeserializeOwned>(
        &mut self,
        value: serde_json::Result<serde_json::Value>,
        path: &Path,
    ) -> Option<T> {
        let filled = value.and_then(|mut value| {
            self.placeholders.fill(&mut value, path, &mut self.problems);
            serde_json::from_value(value)
        });
        match filled {
            Ok(filled) => Some(filled),
            Err(error) => {
                self.problems.push(ResolveProblem {
                    path: path.clone(),
                    message: error.to_string(),
                    hint: None,
                });
                None
            }
        }
    }

    fn tasks(
        &mut self,
        tasks: &IndexMap<Name, Task>,
        phase: Phase,
        network: Option<&Network>,
        definitions: &IndexMap<Name, TaskDefinition>,
    ) -> Vec<ResolvedStep> {
        let of_phase = tasks.iter().filter(|(_, task)| task.run == phase);
        let after = of_phase.map(|(name, task)| (name, task.after.as_slice())).collect();
        // A cycle is reported by the rules of the whole file; its members have no order to give here.
        let names = order(&after).unwrap_or_default();
        let mut steps = Vec::new();
        for (name, task) in names.iter().filter_map(|name| tasks.get_key_value(name)) {
            let path = Path::default().key("tasks").key(name);
            let network = task.network.as_ref().or(network).cloned();
            if network.is_none() {
                let message = format!("the task has no network in `{}`", self.environment);
                let hint =
                    Some("give the environment or the task a `network` with subnets and security groups".to_owned());
                self.problems.push(ResolveProblem {
                    path: path.clone(),
                    message,
                    hint,
                });
            }
            let container = judged_container(task, definitions.get(&task.task_definition));
            if container.is_none() {
                let message = "it is not clear which container's exit code counts".to_owned();
                let hint = Some("name it with `container:`".to_owned());
                self.problems.push(ResolveProblem { path, message, hint });
            }
            let (Some(network), Some(container)) = (network, container) else {
                continue;
            };
            steps.push(ResolvedStep::Task(ResolvedTask {
                name: name.clone(),
                phase,
                task_definition: task.task_definition.clone(),
                container,
                containers: task.containers.clone(),
                database: task.database.clone(),
                down: task.down.clone(),
                idempotent: task.idempotent,
                timeout_seconds: task.timeout_seconds,
                start_attempts: task.start_attempts,
                network,
            }));
        }
        steps
    }

    fn services(&mut self, services: &IndexMap<Name, Service>) -> Vec<ResolvedStep> {
        let after = services
            .iter()
            .map(|(name, service)| (name, service.after.as_slice()))
            .collect();
        let names = order(&after).unwrap_or_default();
        let mut steps = Vec::new();
        for (name, service) in names.iter().filter_map(|name| services.get_key_value(name)) {
            let mut deployment = service.deployment.clone();
            if service.never_two_at_once {
                let given = (deployment.maximum_percent, deployment.minimum_healthy_percent);
                if given.0.is_some_and(|maximum| maximum != 100) || given.1.is_some_and(|minimum| minimum != 0) {
                    self.problems.push(ResolveProblem {
                        path: Path::default().key("services").key(name).key("deployment"),
                        message: "`never_two_at_once` means maximum 100 % and minimum healthy 0 %".to_owned(),
                        hint: Some("leave the percentages out".to_owned()),
                    });
                }
                deployment.maximum_percent = Some(100);
                deployment.minimum_healthy_percent = Some(0);
            }
            steps.push(ResolvedStep::Service(ResolvedService {
                name: name.clone(),
                service: service.service.clone(),
                task_definition: service.task_definition.clone(),
                start_count: service.start_count,
                never_two_at_once: service.never_two_at_once,
                deployment,
                scaling: service.scaling.clone(),
                timeout_seconds: service.timeout_seconds,
            }));
        }
        steps
    }
}

/// The databases and their overlays, without the restore points that an environment asks none for, and without what it
/// names another database in place of.
fn restore_points(
    pipeline: &Pipeline,
    environment: &Environment,
) -> (IndexMap<Name, Database>, IndexMap<Name, DatabaseOverlay>) {
    let (mut databases, mut overlays) = (pipeline.databases.clone(), environment.databases.clone());
    for (name, overlay) in &mut overlays {
        let base = databases.get_mut(name).map(|database| &mut database.restore_point);
        let (Some(base), Some(point)) = (base, &overlay.restore_point) else {
            continue;
        };
        if point.skip {
            *base = None;
            overlay.restore_point = None;
        } else if let Some(base) = base
            .as_mut()
            .filter(|_| point.instance.is_some() || point.cluster.is_some())
        {
            (base.instance, base.cluster) = (None, None);
        }
    }
    (databases, overlays)
}

/// Which migration is gone back to is known when that is planned: until then its placeholder stays as it is written.
fn keep_for_the_plan(containers: &mut IndexMap<String, ContainerOverride>) {
    for settings in containers.values_mut() {
        let command = settings.command.iter_mut().flatten();
        for text in command.chain(settings.environment.values_mut()) {
            *text = text.replace(PREVIOUS_MIGRATION, &format!("${PREVIOUS_MIGRATION}"));
        }
    }
}

/// The container whose exit code counts: the one that is named, else the only one overridden, else the only one the
/// task definition sets.
fn judged_container(task: &Task, definition: Option<&TaskDefinition>) -> Option<String> {
    if let Some(container) = &task.container {
        return Some(container.clone());
    }
    let names: Vec<&String> = match task.containers.len() {
        0 => definition
            .into_iter()
            .flat_map(|definition| definition.containers.keys())
            .collect(),
        _ => task.containers.keys().collect(),
    };
    match names.as_slice() {
        [single] => Some((*single).clone()),
        _ => None,
    }
}
