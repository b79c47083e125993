//! The examples: pipelines of real applications, and what their infrastructure code has created before Esclusa comes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use esclusa_core::pipeline::{Measure, Pipeline, parse, resolve};
use esclusa_core::tags::environments_for;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use simulator::World;
use simulator::kernel::Site;
use simulator::services::{ApplicationAutoScaling, Ecr};

use crate::deployer::{InstallError, repository};
use crate::images::Kind;
use crate::oracle::{Arrival, Question};

/// The names of the examples.
pub const NAMES: [&str; 6] = [
    "imagy-catalog",
    "imagy-orders",
    "superbowleto",
    "orbiquant",
    "nest-demo",
    "django-blog",
];

/// One application with its pipeline.
#[derive(Debug, Clone)]
pub struct Example {
    /// The application.
    pub name: String,
    /// The pipeline file.
    pub file: PathBuf,
    /// What it says.
    pub pipeline: Pipeline,
    base: Base,
}

/// What infrastructure code has created.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Base {
    clusters: Vec<String>,
    task_definitions: Vec<Value>,
    services: Vec<Value>,
    #[serde(default)]
    scalable_targets: Vec<ScalableTarget>,
    #[serde(default)]
    database_instances: Vec<Value>,
    /// The hosts at which services answer.
    #[serde(default)]
    sites: BTreeMap<String, At>,
    /// What the containers of images emit and answer, by the names of the images' kinds: those that are not good say
    /// what they do otherwise than a good one.
    #[serde(default)]
    activities: BTreeMap<String, Map<String, Value>>,
}

/// The container of a service that answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct At {
    cluster: String,
    service: String,
    container: String,
}

/// Between how many tasks a service scales.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScalableTarget {
    cluster: String,
    service: String,
    min_capacity: i64,
    max_capacity: i64,
}

impl Example {
    /// Reads an example of the repository.
    ///
    /// # Errors
    /// When a file is missing or wrong.
    pub fn load(name: &str) -> Result<Self, InstallError> {
        let folder = repository().join("lab/examples").join(name);
        let file = folder.join("pipeline.yaml");
        let pipeline = parse(&read(&file)?).map_err(|errors| InstallError::Content {
            path: file.clone(),
            reason: errors.to_string(),
        })?;
        let path = folder.join("base.json");
        let base = serde_json::from_str(&read(&path)?).map_err(|error| InstallError::Content {
            path,
            reason: error.to_string(),
        })?;
        Ok(Self {
            name: name.to_owned(),
            file,
            pipeline,
            base,
        })
    }

    /// Creates repositories, clusters, task definitions, services and databases in the simulated account, and registers
    /// how services scale.
    ///
    /// # Errors
    /// When a service refuses one of them.
    pub fn provide(&self, world: &mut World) -> Result<(), InstallError> {
        for image in self.pipeline.images.values() {
            if let Some((ecr, kernel)) = world.service_mut::<Ecr>() {
                ecr.create(image.repository.as_str(), kernel);
            }
        }
        for cluster in &self.base.clusters {
            ecs(world, "CreateCluster", json!({"clusterName": cluster}))?;
        }
        for definition in &self.base.task_definitions {
            ecs(world, "RegisterTaskDefinition", definition.clone())?;
        }
        for service in &self.base.services {
            ecs(world, "CreateService", service.clone())?;
        }
        for group in self.log_groups() {
            world.kernel_mut().logs.groups.entry(group).or_default();
        }
        for instance in &self.base.database_instances {
            ask(world, "rds", "CreateDBInstance", instance.clone())?;
        }
        for (
            host,
            At {
                cluster,
                service,
                container,
            },
        ) in self.base.sites.clone()
        {
            let site = Site {
                cluster,
                service,
                container,
            };
            world.kernel_mut().sites.hosts.insert(host, site);
        }
        if let Some((scaling, kernel)) = world.service_mut::<ApplicationAutoScaling>() {
            for target in &self.base.scalable_targets {
                let (cluster, service) = (&target.cluster, &target.service);
                scaling.provide(cluster, service, target.min_capacity, target.max_capacity, kernel);
            }
        }
        Ok(())
    }

    /// The log groups of its containers and of the checks of its pipeline.
    fn log_groups(&self) -> BTreeSet<String> {
        let mut groups = BTreeSet::new();
        let written = self.base.task_definitions.iter().flat_map(|definition| {
            let containers = definition.get("containerDefinitions").and_then(Value::as_array);
            containers.into_iter().flatten()
        });
        groups.extend(written.filter_map(|container| {
            let group = container.pointer("/logConfiguration/options/awslogs-group")?;
            group.as_str().map(str::to_owned)
        }));
        for environment in self.environments() {
            let Ok(environment) = resolve(&self.pipeline, environment) else {
                continue;
            };
            let definitions = environment.task_definitions.values();
            let containers = definitions.flat_map(|definition| definition.containers.values());
            let logs = containers.filter_map(|container| container.log.as_ref());
            groups.extend(logs.filter_map(|log| log.options.get("awslogs-group").cloned()));
            let checks = environment.verification.iter().flat_map(|one| one.checks.values());
            groups.extend(checks.filter_map(|check| match &check.measure {
                Measure::Log(log) => Some(log.group.clone()),
                _ => None,
            }));
        }
        groups
    }

    /// The same example in another place, where its infrastructure code says other names. Its images stay in their
    /// repositories.
    #[must_use]
    pub(crate) fn moved(&self, named: &dyn Fn(&str) -> String) -> Self {
        let mut moved = self.clone();
        moved.pipeline.images.clear();
        let Base {
            task_definitions,
            services,
            database_instances,
            ..
        } = &mut moved.base;
        for value in task_definitions.iter_mut().chain(services).chain(database_instances) {
            rename(value, named);
        }
        moved
    }

    /// The same example with so many environments in place of its own, which are all like one of them: `stage-1` and so
    /// on, each after the one before.
    ///
    /// # Errors
    /// When there is no such environment, or its pipeline file cannot be written below `target`.
    pub fn repeated(&self, environment: &str, count: u32) -> Result<Self, InstallError> {
        let wrong = |reason: String| InstallError::Content {
            path: self.file.clone(),
            reason,
        };
        let text = read(&self.file)?;
        let (head, environments) = text
            .split_once("\nenvironments:\n")
            .ok_or_else(|| wrong("there are no environments".to_owned()))?;
        let start = format!("  - name: {environment}\n");
        let block = environments
            .split_inclusive('\n')
            .skip_while(|line| **line != start)
            .enumerate()
            .take_while(|(index, line)| *index == 0 || !line.starts_with("  - "));
        let block: String = block.map(|(_, line)| line).collect();
        if block.is_empty() {
            return Err(wrong(format!("there is no environment `{environment}`")));
        }
        let names: Vec<String> = (1..=count).map(|number| format!("stage-{number}")).collect();
        let blocks: String = names
            .iter()
            .map(|name| block.replace(&start, &format!("  - name: {name}\n")))
            .collect();
        let text = format!("{head}\nenvironments:\n{blocks}");
        let pipeline = parse(&text).map_err(|errors| wrong(errors.to_string()))?;
        let folder = repository().join("target/lab").join(format!("{}-{count}", self.name));
        let file = self.written(&folder, &text)?;
        Ok(Self {
            name: self.name.clone(),
            file,
            pipeline,
            base: self.base.repeated(environment, &names),
        })
    }

    /// Writes another pipeline file for this application into a folder, with the files that it may name beside it.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn written(&self, folder: &Path, text: &str) -> Result<PathBuf, InstallError> {
        let file = folder.join("pipeline.yaml");
        let write = || {
            let (from, to) = (
                self.file.with_file_name("task-definitions"),
                folder.join("task-definitions"),
            );
            std::fs::create_dir_all(&to)?;
            if from.is_dir() {
                for definition in std::fs::read_dir(&from)? {
                    let definition = definition?;
                    std::fs::copy(definition.path(), to.join(definition.file_name()))?;
                }
            }
            std::fs::write(&file, text)
        };
        write().map_err(|source| InstallError::File {
            path: file.clone(),
            source,
        })?;
        Ok(file)
    }

    /// The manifest of an image of this application. `version` makes it another image.
    #[must_use]
    pub fn manifest(&self, kind: Kind, version: &str) -> String {
        kind.manifest_of(version, &self.commands(), self.activity(kind))
    }

    /// How an image of this application behaves, for its label or annotation
    /// [`Behaviour::ANNOTATION`](simulator::kernel::Behaviour::ANNOTATION).
    #[must_use]
    pub fn behaviour(&self, kind: Kind) -> String {
        kind.behaviour(&self.commands(), self.activity(kind))
    }

    /// What the containers of an image of a kind emit and answer: what those of a good one do, but for what is said of
    /// the kind.
    fn activity(&self, kind: Kind) -> Value {
        let of = |kind: Kind| self.base.activities.get(&kind.name()).cloned().unwrap_or_default();
        let mut activity = of(Kind::Good);
        for (member, value) in of(kind) {
            match (activity.get_mut(&member), value) {
                (Some(Value::Array(metrics)), Value::Array(others)) if member == "metrics" => {
                    let name = |metric: &Value| ["namespace", "name"].map(|member| metric.get(member).cloned());
                    metrics.retain(|metric| !others.iter().any(|other| name(other) == name(metric)));
                    metrics.extend(others);
                }
                (_, value) => {
                    activity.insert(member, value);
                }
            }
        }
        activity.into()
    }

    /// The environments that the file names, and of its patterns those whose names are written out.
    #[must_use]
    pub fn environments(&self) -> Vec<&str> {
        let names = self.pipeline.environment_names().into_iter();
        names.filter(|name| !name.contains(['*', '?'])).collect()
    }

    /// The environments that a push of this tag goes through, in order.
    #[must_use]
    pub fn pushed_through(&self, tag: &str) -> Vec<String> {
        let tag = tag.parse().ok();
        let environments = tag.and_then(|tag| environments_for(&self.pipeline, &tag).ok());
        environments.and_then(Result::ok).unwrap_or_default()
    }

    /// What the checker is asked when an image of this pipeline shall run in an environment.
    ///
    /// # Errors
    /// When the pipeline has no such environment or image.
    pub fn question(
        &self,
        environment: &str,
        image: &str,
        digest: &str,
        arrival: Arrival,
    ) -> Result<Question, InstallError> {
        let wrong = |reason: String| InstallError::Content {
            path: self.file.clone(),
            reason,
        };
        let resolved = resolve(&self.pipeline, environment).map_err(|error| wrong(error.to_string()))?;
        let found = resolved.images.iter().find(|(key, _)| key.as_str() == image);
        let (_, image) = found.ok_or_else(|| wrong(format!("there is no image `{image}`")))?;
        Ok(Question {
            environment: environment.to_owned(),
            cluster: resolved.cluster,
            repository: image.repository.to_string(),
            digest: digest.to_owned(),
            arrival,
        })
    }

    /// The name of the environment that a cluster belongs to.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let names = self.environments().into_iter();
        let resolved = names.filter_map(|name| resolve(&self.pipeline, name).ok());
        resolved.map(|environment| (environment.cluster, environment.name.to_string()))
    }

    /// Words by which the one-off commands of the pipeline are known: the last word of each that is no option's value.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let tasks = self.pipeline.tasks.values();
        let overrides = tasks
            .flat_map(|task| task.containers.values())
            .filter_map(|container| container.command.as_ref());
        let mut words: Vec<String> = overrides
            .filter_map(|command| command.get(command.len().min(3).saturating_sub(1)))
            .cloned()
            .collect();
        words.sort();
        words.dedup();
        words
    }
}

impl Base {
    /// What is there for one environment, for each of these; what is there for none of them once.
    fn repeated(&self, environment: &str, names: &[String]) -> Self {
        let is_of_it = |value: &Value| value.to_string().contains(environment);
        let for_each = |values: &[Value]| -> Vec<Value> {
            let own = values.iter().filter(|value| is_of_it(value));
            let repeated = names.iter().flat_map(|name| {
                own.clone().map(|value| {
                    let mut value = value.clone();
                    rename(&mut value, &|text| text.replace(environment, name));
                    value
                })
            });
            repeated.collect()
        };
        let shared = self.task_definitions.iter().filter(|definition| {
            let family = definition.get("family").and_then(Value::as_str).unwrap_or_default();
            !self.clusters.iter().any(|cluster| {
                let environment = cluster.rsplit('-').next().unwrap_or_default();
                family.contains(environment)
            })
        });
        let clusters = self.clusters.iter().filter(|cluster| cluster.contains(environment));
        let clusters = names
            .iter()
            .flat_map(|name| clusters.clone().map(|cluster| cluster.replace(environment, name)));
        Self {
            clusters: clusters.collect(),
            task_definitions: shared.cloned().chain(for_each(&self.task_definitions)).collect(),
            services: for_each(&self.services),
            scalable_targets: Vec::new(),
            database_instances: Vec::new(),
            sites: BTreeMap::new(),
            activities: self.activities.clone(),
        }
    }
}

/// Replaces every text of a value.
fn rename(value: &mut Value, named: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = named(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, named)),
        Value::Object(members) => members.values_mut().for_each(|member| rename(member, named)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn ecs(world: &mut World, operation: &str, input: Value) -> Result<(), InstallError> {
    ask(world, "ecs", operation, input)
}

fn ask(world: &mut World, service: &str, operation: &str, input: Value) -> Result<(), InstallError> {
    let refused = |error: simulator::ApiError| InstallError::Account(format!("`{operation}`: {error}"));
    world.administer(service, operation, input).map(|_| ()).map_err(refused)
}

fn read(path: &Path) -> Result<String, InstallError> {
    std::fs::read_to_string(path).map_err(|source| InstallError::File {
        path: path.to_owned(),
        source,
    })
}
