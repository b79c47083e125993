//! Rules of the whole file: every name that is used exists, everything that is declared is used, every environment
//! resolves.

use indexmap::IndexMap;

use super::made::NAME;
use super::model::{Environment, Newest, Pipeline, TagPolicy, Trigger};
use super::names::{EnvironmentName, Name};
use super::parts::Phase;
use super::path::Path;
use super::problem::{PipelineError, suggestion};
use super::references::order;
use super::resolve::{ResolveProblem, ResolvedEnvironment, ResolvedService, resolve_environment};
use super::tree::{Node, exists, locate};
use crate::tags::TagRules;

/// How many environments may go together: the history of their execution is one.
const WAVE_MAX: usize = 10;

/// Names of two environments, to see what those made from a pattern share.
const SAMPLES: [&str; 2] = ["one", "another"];

/// Names that do not exist, names that nothing uses, cycles and bad patterns.
pub(super) fn references(pipeline: &Pipeline, root: &Node) -> Vec<PipelineError> {
    let mut check = Check {
        root,
        errors: Vec::new(),
    };
    check.images(pipeline);
    check.task_definitions(pipeline);
    check.tasks(pipeline);
    check.services(pipeline);
    check.people(pipeline);
    check.hotfix(pipeline);
    check.waves(pipeline);
    for (index, environment) in pipeline.environments.iter().enumerate() {
        check.environment(pipeline, index, environment);
    }
    check.errors
}

/// What is wrong in each environment once its overlays and placeholders are in place.
pub(super) fn environments(pipeline: &Pipeline, root: &Node) -> Vec<PipelineError> {
    let mut check = Check {
        root,
        errors: Vec::new(),
    };
    for (index, environment) in pipeline.environments.iter().enumerate() {
        let prefix = Path::default().key("environments").index(index);
        let resolved = if environment.is_pattern() {
            check.pattern(pipeline, environment, &prefix)
        } else {
            resolve_environment(pipeline, environment)
        };
        for problem in resolved.err().into_iter().flatten() {
            let own = problem.path.below(&prefix);
            // What the environment itself says is where its author looks; everything else comes from the part all
            // environments share.
            let path = if exists(root, &own) { own } else { problem.path };
            check.report(&path, problem.message, problem.hint);
        }
    }
    check.errors
}

struct Check<'a> {
    root: &'a Node,
    errors: Vec<PipelineError>,
}

impl Check<'_> {
    /// What environments made from a pattern share: everything but what their names make different. Two of them must
    /// not be the same services.
    fn pattern(
        &mut self,
        pipeline: &Pipeline,
        pattern: &Environment,
        path: &Path,
    ) -> Result<ResolvedEnvironment, Vec<ResolveProblem>> {
        let [one, other] = SAMPLES.map(|name| {
            let name: Option<EnvironmentName> = name.parse().ok();
            name.map_or_else(
                || resolve_environment(pipeline, pattern),
                |name| resolve_environment(pipeline, &pattern.made(name)),
            )
        });
        if let (Ok(one), Ok(other)) = (&one, &other)
            && one.cluster == other.cluster
        {
            let names = |service: &ResolvedService| (service.name.clone(), service.service.clone());
            let theirs: Vec<_> = other.services().map(names).collect();
            for shared in one.services().map(names).filter(|own| theirs.contains(own)) {
                let hint = Some(format!("write `{NAME}` in `cluster`, or in the name of the service"));
                let message = format!(
                    "`{}` would be the same service in every environment made from this",
                    shared.0
                );
                self.report(&path.key("cluster"), message, hint);
            }
        }
        one
    }

    /// Environments of a wave stand side by side, take pushes, and are not more than their release can follow at once.
    fn waves(&mut self, pipeline: &Pipeline) {
        let mut sizes: IndexMap<&Name, usize> = IndexMap::new();
        let mut before = None;
        for (index, environment) in pipeline.environments.iter().enumerate() {
            let wave = environment.wave.as_ref();
            let path = Path::default().key("environments").index(index).key("wave");
            if let Some(wave) = wave {
                if before != Some(wave) && sizes.contains_key(wave) {
                    let hint = Some(format!(
                        "move `{}` to the other environments of `{wave}`",
                        environment.name
                    ));
                    self.report(
                        &path,
                        format!("other environments stand between those of the wave `{wave}`"),
                        hint,
                    );
                }
                if environment.trigger == Trigger::Manual {
                    let hint = Some("leave `wave` out: a person deploys to one environment".to_owned());
                    self.report(&path, "only a push goes in waves".to_owned(), hint);
                }
                let size = sizes.entry(wave).or_default();
                *size = size.saturating_add(1);
                if *size > WAVE_MAX {
                    self.report(&path, format!("a wave has at most {WAVE_MAX} environments"), None);
                }
            }
            before = wave;
        }
    }

    fn images(&mut self, pipeline: &Pipeline) {
        let path = Path::default().key("images");
        let mut seen = IndexMap::new();
        for (name, image) in &pipeline.images {
            let place = (&image.account, &image.region, &image.repository);
            if let Some(first) = seen.insert(place, name) {
                self.report(
                    &path.key(name).key("repository"),
                    format!("`{}` is already the repository of `{first}`", image.repository),
                    None,
                );
            }
            let used = pipeline
                .task_definitions
                .values()
                .flat_map(|definition| definition.containers.values());
            let overlaid = pipeline
                .environments
                .iter()
                .flat_map(|environment| environment.task_definitions.values());
            let overlaid = overlaid.flat_map(|definition| definition.containers.values());
            if !used
                .chain(overlaid)
                .any(|container| container.image.as_ref() == Some(name))
            {
                self.report_key(&path.key(name), format!("no container runs the image `{name}`"), None);
            }
        }
    }

    fn task_definitions(&mut self, pipeline: &Pipeline) {
        let path = Path::default().key("task_definitions");
        for (name, definition) in &pipeline.task_definitions {
            for (container_name, container) in &definition.containers {
                let path = path.key(name).key("containers").key(container_name).key("image");
                self.known("image", container.image.as_ref(), &pipeline.images, &path);
            }
            let by_task = pipeline.tasks.values().any(|task| task.task_definition == *name);
            if !by_task
                && !pipeline
                    .services
                    .values()
                    .any(|service| service.task_definition == *name)
            {
                self.report_key(
                    &path.key(name),
                    format!("no task and no service runs the task definition `{name}`"),
                    None,
                );
            }
        }
    }

    fn tasks(&mut self, pipeline: &Pipeline) {
        let path = Path::default().key("tasks");
        for (name, task) in &pipeline.tasks {
            let path = path.key(name);
            self.known(
                "task definition",
                Some(&task.task_definition),
                &pipeline.task_definitions,
                &path.key("task_definition"),
            );
            self.known(
                "database",
                task.database.as_ref(),
                &pipeline.databases,
                &path.key("database"),
            );
            if task.down.is_some() && task.database.is_none() {
                let hint = Some("name the `database` that the task migrates, or leave `down` out".to_owned());
                self.report_key(&path.key("down"), "only a migration can be taken back".to_owned(), hint);
            }
            for (index, earlier) in task.after.iter().enumerate() {
                let path = path.key("after").index(index);
                self.known("task", Some(earlier), &pipeline.tasks, &path);
                if pipeline
                    .tasks
                    .get(earlier)
                    .is_some_and(|earlier| earlier.run != task.run)
                {
                    let hint =
                        Some("`after` orders tasks of one phase; the phases themselves are always in order".to_owned());
                    self.report(&path, format!("`{earlier}` runs in another phase"), hint);
                }
            }
        }
        for phase in [Phase::BeforeServices, Phase::AfterServices] {
            let of_phase = pipeline.tasks.iter().filter(|(_, task)| task.run == phase);
            self.acyclic(
                &of_phase.map(|(name, task)| (name, task.after.as_slice())).collect(),
                &path,
            );
        }
    }

    fn services(&mut self, pipeline: &Pipeline) {
        let path = Path::default().key("services");
        for (name, service) in &pipeline.services {
            let path = path.key(name);
            self.known(
                "task definition",
                Some(&service.task_definition),
                &pipeline.task_definitions,
                &path.key("task_definition"),
            );
            for (index, earlier) in service.after.iter().enumerate() {
                self.known(
                    "service",
                    Some(earlier),
                    &pipeline.services,
                    &path.key("after").index(index),
                );
            }
        }
        self.acyclic(
            &pipeline
                .services
                .iter()
                .map(|(name, service)| (name, service.after.as_slice()))
                .collect(),
            &path,
        );
    }

    /// A member of Slack is one person: whose vote would it be otherwise?
    fn people(&mut self, pipeline: &Pipeline) {
        let path = Path::default().key("people");
        let mut seen = IndexMap::new();
        for (name, person) in &pipeline.people {
            for (index, member) in person.slack.iter().enumerate() {
                if let Some(first) = seen.insert(member.user(), name) {
                    let whom = if first == name {
                        "is already listed here".to_owned()
                    } else {
                        format!("is already `{first}`")
                    };
                    let path = path.key(name).key("slack").index(index);
                    self.report(&path, format!("the Slack member `{member}` {whom}"), None);
                }
            }
        }
    }

    /// The tags of hotfixes are patterns, and no hotfix is older than what it is to mend.
    fn hotfix(&mut self, pipeline: &Pipeline) {
        let Some(tags) = pipeline.hotfix.as_ref().and_then(|hotfix| hotfix.tags.as_ref()) else {
            return;
        };
        let path = Path::default().key("hotfix").key("tags");
        self.tags(tags, &path);
        // Where only versions come, a tag that is none comes nowhere, hotfix or not.
        let is_version = |pattern: &String| pattern.starts_with("semver:");
        let takes_others = |environment: &&Environment| {
            environment.newest == Newest::Version && !environment.tags.allow.iter().all(is_version)
        };
        let Some(of_versions) = pipeline.environments.iter().find(takes_others) else {
            return;
        };
        let may_be_version = |pattern: &str| {
            pattern.starts_with(|first: char| first.is_ascii_digit() || ['v', '*', '?'].contains(&first))
        };
        for (index, pattern) in tags.allow.iter().enumerate() {
            if !is_version(pattern) && !may_be_version(pattern) {
                let message = format!(
                    "a tag that is no version is older than every version, and replaces none in `{}`, where `newest: version`",
                    of_versions.name
                );
                let hint = Some("name versions, such as `semver:>=1.0.0` or `v*-hotfix*`".to_owned());
                self.report(&path.key("allow").index(index), message, hint);
            }
        }
    }

    fn tags(&mut self, policy: &TagPolicy, path: &Path) {
        for (list, patterns) in [("allow", &policy.allow), ("deny", &policy.deny)] {
            for (index, pattern) in patterns.iter().enumerate() {
                if let Err(error) = TagRules::check_pattern(pattern) {
                    self.report(&path.key(list).index(index), error.to_string(), None);
                }
            }
        }
    }

    fn environment(&mut self, pipeline: &Pipeline, index: usize, environment: &Environment) {
        let path = Path::default().key("environments").index(index);
        if pipeline
            .environments
            .iter()
            .take(index)
            .any(|earlier| earlier.name == environment.name)
        {
            self.report(
                &path.key("name"),
                format!("`{}` is already the name of another environment", environment.name),
                None,
            );
        }
        for name in environment
            .variables
            .keys()
            .filter(|name| ["application", "environment"].contains(&name.as_str()))
        {
            self.report_key(
                &path.key("variables").key(name),
                format!("`${{{name}}}` is always known and cannot be set"),
                None,
            );
        }
        if let Some(same_as) = &environment.same_as {
            let path = path.key("same_as").key("environment");
            let name = same_as.environment.as_str();
            let others = pipeline.named().map(|other| other.name.as_str());
            let others: Vec<&str> = others.filter(|other| *other != environment.name.as_str()).collect();
            if !others.contains(&name) {
                let hint = suggestion(name, others);
                self.report(&path, format!("there is no other environment `{name}`"), hint);
            }
        }
        self.names(environment, &path);
        for (index, image) in environment.together.iter().enumerate() {
            let path = path.key("together").index(index);
            self.known("image", Some(image), &pipeline.images, &path);
            if environment.together.iter().take(index).any(|earlier| earlier == image) {
                self.report(&path, format!("`{image}` is already listed here"), None);
            }
        }
        if environment.trigger == Trigger::Manual && !environment.together.is_empty() {
            let hint = Some("leave `together` out: what a person deploys is deployed alone".to_owned());
            self.report(
                &path.key("together"),
                "only pushes are deployed together".to_owned(),
                hint,
            );
        }
        if let [alone] = environment.together.as_slice() {
            let hint = Some("name the others as well, or leave `together` out".to_owned());
            self.report(
                &path.key("together"),
                format!("`{alone}` would be deployed together with nothing"),
                hint,
            );
        }
        self.overlay_keys(
            "image",
            environment.images.keys(),
            &pipeline.images,
            &path.key("images"),
        );
        self.overlay_keys(
            "database",
            environment.databases.keys(),
            &pipeline.databases,
            &path.key("databases"),
        );
        self.overlay_keys(
            "task definition",
            environment.task_definitions.keys(),
            &pipeline.task_definitions,
            &path.key("task_definitions"),
        );
        self.overlay_keys(
            "service",
            environment.services.keys(),
            &pipeline.services,
            &path.key("services"),
        );
        self.overlay_keys("task", environment.tasks.keys(), &pipeline.tasks, &path.key("tasks"));
        for (name, definition) in &environment.task_definitions {
            for (container_name, container) in &definition.containers {
                let path = path
                    .key("task_definitions")
                    .key(name)
                    .key("containers")
                    .key(container_name);
                self.known("image", container.image.as_ref(), &pipeline.images, &path.key("image"));
                let base = pipeline.task_definitions.get(name);
                let is_known =
                    base.is_none_or(|base| base.containers.is_empty() || base.containers.contains_key(container_name));
                if let (false, Some(base)) = (is_known, base) {
                    let hint = suggestion(container_name, base.containers.keys().map(String::as_str));
                    self.report_key(
                        &path,
                        format!(
                            "`{name}` sets nothing in a container `{}`",
                            container_name.escape_debug()
                        ),
                        hint,
                    );
                }
            }
        }
    }

    /// The names of a pattern, and how its tags say which of them they mean.
    fn names(&mut self, environment: &Environment, path: &Path) {
        let tags = path.key("tags");
        for (index, glob) in environment.names.iter().enumerate() {
            let sample = glob.replace(['*', '?'], "a");
            if sample.parse::<EnvironmentName>().is_err() {
                let hint =
                    Some("lower-case letters, digits and single hyphens, with `*` and `?` for what differs".to_owned());
                let message = format!("`{}` is not the name of an environment", glob.escape_debug());
                self.report(&path.key("names").index(index), message, hint);
            }
        }
        let sample = |pattern: &String| pattern.replace(NAME, "a");
        self.tags(
            &TagPolicy {
                allow: environment.tags.allow.iter().map(sample).collect(),
                deny: environment.tags.deny.iter().map(sample).collect(),
            },
            &tags,
        );
        let patterns = environment.tags.allow.iter().chain(&environment.tags.deny);
        if !environment.is_pattern() {
            if patterns.clone().any(|pattern| pattern.contains(NAME)) {
                let message = format!("only a pattern, which has `names`, reads `{NAME}` in its tags");
                self.report(&tags, message, None);
            }
            return;
        }
        if environment.wave.is_some() {
            self.report(
                &path.key("wave"),
                "environments made from a pattern go alone".to_owned(),
                None,
            );
        }
        if environment.trigger == Trigger::Manual {
            return;
        }
        for (index, allowed) in environment.tags.allow.iter().enumerate() {
            let at = tags.key("allow").index(index);
            let hint = Some(format!("such as `{NAME}-*`"));
            let Some((before, after)) = allowed.split_once(NAME) else {
                self.report(
                    &at,
                    format!("`{allowed}` does not say which environment a tag means: write `{NAME}` in it"),
                    hint,
                );
                continue;
            };
            let is_open = |character: Option<char>| matches!(character, Some('*' | '?' | '$'));
            if is_open(before.chars().next_back()) || is_open(after.chars().next()) || after.contains(NAME) {
                let message = format!("`{NAME}` stands once in it, between its ends and a fixed character");
                self.report(&at, message, hint);
            }
        }
    }

    fn overlay_keys<'k, T>(
        &mut self,
        kind: &str,
        keys: impl Iterator<Item = &'k Name>,
        known: &IndexMap<Name, T>,
        path: &Path,
    ) {
        for key in keys.filter(|key| !known.contains_key(*key)) {
            let hint = suggestion(key.as_str(), known.keys().map(Name::as_str));
            self.report_key(&path.key(key), format!("unknown {kind} `{key}`"), hint);
        }
    }

    fn known<T>(&mut self, kind: &str, name: Option<&Name>, known: &IndexMap<Name, T>, path: &Path) {
        let Some(name) = name.filter(|name| !known.contains_key(*name)) else {
            return;
        };
        let hint = suggestion(name.as_str(), known.keys().map(Name::as_str));
        self.report(path, format!("unknown {kind} `{name}`"), hint);
    }

    fn acyclic(&mut self, after: &IndexMap<&Name, &[Name]>, path: &Path) {
        let Err(cycle) = order(after) else { return };
        let Some(first) = cycle.0.first() else { return };
        let circle: Vec<String> = cycle.0.iter().map(|key| format!("`{key}`")).collect();
        self.report(
            &path.key(first).key("after"),
            format!("a cycle: {}", circle.join(" after ")),
            None,
        );
    }

    fn report(&mut self, path: &Path, message: String, hint: Option<String>) {
        self.report_at(path, false, message, hint);
    }

    fn report_key(&mut self, path: &Path, message: String, hint: Option<String>) {
        self.report_at(path, true, message, hint);
    }

    fn report_at(&mut self, path: &Path, at_key: bool, message: String, hint: Option<String>) {
        let (line, column) = locate(self.root, path, at_key);
        self.errors.push(PipelineError {
            line,
            column,
            path: path.to_string(),
            message,
            hint,
        });
    }
}
