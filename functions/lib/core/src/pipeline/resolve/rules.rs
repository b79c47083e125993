//! Rules that can only be checked once overlays and placeholders are in place.

use serde_json::json;

use super::{ResolveProblem, ResolvedEnvironment, ResolvedService, ResolvedStep, ResolvedTask};
use crate::pipeline::model::{Container, DefinitionSource, TaskDefinition};
use crate::pipeline::names::{Key, is_ecs_name};
use crate::pipeline::path::Path;
use crate::pipeline::rollout::Percentages;

/// The most characters of JSON that ECS takes as the overrides of one task.
const OVERRIDES_CHARACTERS_MAX: usize = 8_192;

/// Everything that is wrong in a resolved environment, besides what is `known` from filling it in.
pub(super) fn check(environment: &ResolvedEnvironment, known: &[ResolveProblem]) -> Vec<ResolveProblem> {
    let mut problems = Vec::new();
    let root = Path::default();
    if environment.steps.is_empty() {
        problems.push(problem(
            root.key("name"),
            "nothing happens in this environment: it has no task and no service",
            None,
        ));
    }
    check_ecs_name("cluster", &environment.cluster, root.key("cluster"), &mut problems);
    check_distinct(
        environment
            .task_definitions
            .iter()
            .map(|(name, definition)| (name, definition.family.as_str())),
        |name| root.key("task_definitions").key(name).key("family"),
        &mut problems,
    );
    let services = || {
        environment.steps.iter().filter_map(|step| {
            if let ResolvedStep::Service(service) = step {
                Some(service)
            } else {
                None
            }
        })
    };
    check_distinct(
        services().map(|service| (&service.name, service.service.as_str())),
        |name| root.key("services").key(name).key("service"),
        &mut problems,
    );
    for (name, database) in &environment.databases {
        if let Some(shared_as) = &database.shared_as {
            let path = root.key("databases").key(name).key("shared_as");
            check_ecs_name("database", shared_as, path, &mut problems);
        }
    }
    check_distinct(
        environment
            .databases
            .iter()
            .filter_map(|(name, database)| Some((name, database.shared_as.as_deref()?))),
        |name| root.key("databases").key(name).key("shared_as"),
        &mut problems,
    );
    for (name, definition) in &environment.task_definitions {
        check_task_definition(definition, &root.key("task_definitions").key(name), &mut problems);
    }
    for step in &environment.steps {
        match step {
            ResolvedStep::Task(task) => check_task(task, &root.key("tasks").key(&task.name), &mut problems),
            ResolvedStep::Service(service) => {
                check_service(service, &root.key("services").key(&service.name), &mut problems);
            }
        }
    }
    // Nothing can be said about a text whose placeholders could not be filled in.
    problems.retain(|problem| known.iter().all(|known| known.path != problem.path));
    problems
}

fn check_task_definition(definition: &TaskDefinition, path: &Path, problems: &mut Vec<ResolveProblem>) {
    check_ecs_name("family", &definition.family, path.key("family"), problems);
    if let DefinitionSource::File(file) = &definition.from {
        let is_inside = !file.starts_with('/')
            && !file.contains('\\')
            && file.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !is_inside || !file.ends_with(".json") {
            let hint = "a path such as `task-definitions/api.json`";
            problems.push(problem(
                path.key("from").key("file"),
                "must be a JSON file below the pipeline file",
                Some(hint),
            ));
        }
    }
    for (name, container) in &definition.containers {
        check_container(container, &path.key("containers").key(name), problems);
    }
}

fn check_container(container: &Container, path: &Path, problems: &mut Vec<ResolveProblem>) {
    let is_set = |name: &str| container.environment.get(name).is_some_and(Option::is_some);
    for (name, source) in &container.secrets {
        if source.is_some() && is_set(name) {
            let message = format!("`{name}` is both an environment variable and a secret");
            problems.push(problem(
                path.key("secrets").key(name),
                &message,
                Some("ECS takes only one of the two"),
            ));
        }
        if source.as_ref().is_some_and(|source| !source.starts_with("arn:")) {
            let hint = "the ARN of a secret in Secrets Manager or of a parameter in Parameter Store";
            problems.push(problem(
                path.key("secrets").key(name),
                "a secret must be named by its ARN",
                Some(hint),
            ));
        }
    }
}

fn check_task(task: &ResolvedTask, path: &Path, problems: &mut Vec<ResolveProblem>) {
    let down = task.down.as_ref().map(|down| (&down.containers, path.key("down")));
    for (containers, path) in [(&task.containers, path.clone())].into_iter().chain(down) {
        let characters = json!(containers).to_string().chars().count();
        if characters > OVERRIDES_CHARACTERS_MAX {
            let message = format!("the overrides have {characters} characters, ECS takes {OVERRIDES_CHARACTERS_MAX}");
            problems.push(problem(path.key("containers"), &message, None));
        }
    }
}

fn check_service(service: &ResolvedService, path: &Path, problems: &mut Vec<ResolveProblem>) {
    check_ecs_name("service", &service.service, path.key("service"), problems);
    let deployment = &service.deployment;
    let (Some(maximum), Some(minimum_healthy)) = (deployment.maximum_percent, deployment.minimum_healthy_percent)
    else {
        return;
    };
    let percentages = Percentages {
        minimum_healthy,
        maximum,
    };
    let hint = Some("raise `maximum_percent` above 100 or lower `minimum_healthy_percent`");
    let path = path.key("deployment");
    if maximum <= 100 && minimum_healthy >= 100 {
        problems.push(problem(
            path,
            "no rolling update can begin: no task may stop and none may start",
            hint,
        ));
    } else if let Some(Err(no_progress)) = service
        .start_count
        .map(|count| percentages.allow_progress(count.into()))
    {
        problems.push(problem(path, &no_progress.to_string(), hint));
    }
}

fn check_ecs_name(kind: &str, name: &str, path: Path, problems: &mut Vec<ResolveProblem>) {
    if !is_ecs_name(name) {
        let message = format!("{kind} name `{}` is not valid", name.escape_debug());
        problems.push(problem(
            path,
            &message,
            Some("letters, digits, `-` and `_`, from 1 to 255 characters"),
        ));
    }
}

fn check_distinct<'a>(
    names: impl Iterator<Item = (&'a Key, &'a str)>,
    path: impl Fn(&Key) -> Path,
    problems: &mut Vec<ResolveProblem>,
) {
    let mut seen: Vec<(&Key, &str)> = Vec::new();
    for (key, name) in names {
        match seen.iter().find(|(_, other)| *other == name) {
            Some((first, _)) => problems.push(problem(
                path(key),
                &format!("`{}` is already what `{first}` stands for", name.escape_debug()),
                None,
            )),
            None => seen.push((key, name)),
        }
    }
}

fn problem(path: Path, message: &str, hint: Option<&str>) -> ResolveProblem {
    ResolveProblem {
        path,
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
    }
}
