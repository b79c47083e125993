//! Pipeline files.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use esclusa_core::pipeline::{
    Environment, Phase, Pipeline, PipelineErrors, ResolvedEnvironment, ResolvedStep, parse, resolve,
};
use esclusa_core::tags::TagRules;
use serde_json::{Value, json};

use super::assert_one_line;

/// A pipeline that is accepted resolves in every environment and is read again as it was written; one that is refused
/// says why and where.
pub(super) fn check(input: &[u8]) {
    let Ok(yaml) = std::str::from_utf8(input) else { return };
    match parse(yaml) {
        Ok(pipeline) => accepted(&pipeline),
        Err(errors) => refused(yaml, &errors),
    }
}

fn accepted(pipeline: &Pipeline) {
    if has_short_names(&json!(pipeline)) {
        assert_eq!(parse(&written(pipeline)).as_ref(), Ok(pipeline));
    }
    assert!(!pipeline.environments.is_empty());
    for environment in &pipeline.environments {
        let resolved = resolve(pipeline, environment.name.as_str())
            .unwrap_or_else(|error| panic!("`{}` does not resolve: {error}", environment.name));
        in_environment(pipeline, environment, &resolved);
    }
    let Err(error) = resolve(pipeline, "no environment\nhas this name") else {
        panic!("an environment that is not there resolves")
    };
    assert_one_line(&error.to_string());
}

fn in_environment(pipeline: &Pipeline, environment: &Environment, resolved: &ResolvedEnvironment) {
    let stored = serde_json::to_string(resolved).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        serde_json::from_str::<ResolvedEnvironment>(&stored).ok().as_ref(),
        Some(resolved)
    );
    assert!(TagRules::new(&resolved.tags).is_ok(), "a tag pattern means nothing");
    is_ecs_name(&resolved.cluster);
    let mut families = BTreeSet::new();
    for definition in resolved.task_definitions.values() {
        is_ecs_name(&definition.family);
        assert!(families.insert(&definition.family), "two families of one name");
    }
    let is_present = |name| environment.tasks.get(name).is_none_or(|overlay| !overlay.skip);
    let tasks = pipeline.tasks.keys().filter(|name| is_present(*name)).count();
    assert_eq!(resolved.steps.len(), tasks + pipeline.services.len());
    assert!(!resolved.steps.is_empty(), "nothing happens");
    let mut services = BTreeSet::new();
    let mut done = BTreeSet::new();
    let mut phase = 0_u8;
    for step in &resolved.steps {
        assert!(resolved.task_definitions.contains_key(step.task_definition()));
        let (of_step, after) = match step {
            ResolvedStep::Task(task) => {
                assert!((10..=43_200).contains(&task.timeout_seconds) && (1..=10).contains(&task.start_attempts));
                assert!(!task.network.subnets.is_empty() && !task.network.security_groups.is_empty());
                let declared = pipeline.tasks.get(&task.name).map(|task| &task.after);
                (if task.phase == Phase::BeforeServices { 0 } else { 2 }, declared)
            }
            ResolvedStep::Service(service) => {
                is_ecs_name(&service.service);
                assert!(services.insert(&service.service), "one service twice");
                assert!((60..=43_200).contains(&service.timeout_seconds));
                (1, pipeline.services.get(&service.name).map(|service| &service.after))
            }
        };
        assert!(of_step >= phase, "a phase comes too early");
        phase = of_step;
        for earlier in after.into_iter().flatten() {
            let is_skipped = of_step != 1 && !is_present(earlier);
            assert!(
                is_skipped || done.contains(&(of_step, earlier)),
                "`{}` comes before `{earlier}`",
                step.name()
            );
        }
        assert!(done.insert((of_step, step.name())), "a step twice");
    }
}

fn is_ecs_name(name: &str) {
    let is_valid = (1..=255).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    assert!(is_valid, "ECS takes no name {name:?}");
}

/// Whether every name fits on a line of YAML with all its characters escaped: a key in braces has at most 1,024
/// characters.
fn has_short_names(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .all(|(name, member)| name.chars().count() <= 100 && has_short_names(member)),
        Value::Array(elements) => elements.iter().all(has_short_names),
        _ => true,
    }
}

/// The pipeline as JSON, which is YAML, with an escape for every character that YAML could take for something else.
fn written(pipeline: &Pipeline) -> String {
    let json = serde_json::to_string(pipeline).unwrap_or_else(|error| panic!("{error}"));
    json.chars().fold(String::new(), |mut text, each| {
        let code = u32::from(each);
        let _ = match code {
            0x20..=0x7e => write!(text, "{each}"),
            0..=0xffff => write!(text, "\\u{code:04x}"),
            _ => write!(text, "\\U{code:08x}"),
        };
        text
    })
}

fn refused(yaml: &str, errors: &PipelineErrors) {
    let lines: Vec<&str> = yaml.split('\n').collect();
    let mut before = (0, 0);
    assert!(errors.iter().next().is_some(), "refused without a reason");
    for error in errors.iter() {
        assert_one_line(&error.to_string());
        assert!(error.line >= 1 && error.column >= 1);
        assert!((error.line, error.column) >= before, "not in the order of the file");
        before = (error.line, error.column);
        // A bare carriage return ends a line of YAML as well.
        if !yaml.contains('\r') {
            let line = usize::try_from(error.line).ok().and_then(|line| line.checked_sub(1));
            let line = line.and_then(|line| lines.get(line));
            let characters = line.map(|line| line.chars().count());
            let is_there = characters.is_some_and(|characters| error.column <= characters as u64 + 1);
            assert!(is_there, "there is no place {}:{}: {error}", error.line, error.column);
        }
    }
}
