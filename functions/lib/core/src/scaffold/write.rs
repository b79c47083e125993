//! The text of the file. Comments say what a person knows and this does not.

use std::fmt::Write as _;

use super::gather::{Environment, Network, Shape};
use super::{Observed, ObservedEnvironment, REFERENCE};

/// Where editors find the schema.
const SCHEMA: &str = "https://raw.githubusercontent.com/esclusa/esclusa/main/docs/pipeline.schema.json";

/// Writes the file.
pub(super) fn write(observed: &Observed, shape: &Shape) -> String {
    let mut text = Text::default();
    text.line(0, &format!("# yaml-language-server: $schema={SCHEMA}"));
    text.line(
        0,
        &format!(
            "# The pipeline of `{}`, written by `esclusa init` from the services that run. Unless a comment says otherwise, a release changes nothing but images.",
            observed.application
        ),
    );
    text.line(0, &format!("# Every field is explained in {REFERENCE}"));
    text.line(0, "version: 1");
    text.line(0, &format!("application: {}", observed.application));
    text.section("images:");
    for (repository, key) in &shape.images {
        text.line(1, &format!("{key}: {{repository: {}}}", scalar(repository)));
    }
    definitions(shape, &mut text);
    migration(shape, &mut text);
    services(shape, &mut text);
    text.section("environments:");
    let last = observed.environments.len().saturating_sub(1);
    for (index, (environment, said)) in observed.environments.iter().zip(&shape.environments).enumerate() {
        one(environment, said, index, last, &mut text);
    }
    text.0
}

fn definitions(shape: &Shape, text: &mut Text) {
    text.section("# Based on the newest revision of each family. What is set here is laid over it, everything else stays: #task-definitions");
    text.line(0, "task_definitions:");
    for definition in &shape.definitions {
        text.line(1, &format!("{}:", definition.key));
        text.line(2, &format!("family: {}", scalar(&definition.family)));
        text.line(2, "containers:");
        for (container, image) in &definition.containers.run {
            text.line(3, &format!("{}: {{image: {image}}}", scalar(container)));
        }
        for (container, image) in &definition.containers.kept {
            text.comment(3, &format!("{container} keeps its image, {image}"));
        }
    }
}

/// The migrations of the first task definition, to be taken out of their comments.
fn migration(shape: &Shape, text: &mut Text) {
    let Some(definition) = shape.definitions.first() else {
        return;
    };
    let container = definition.containers.run.first().map(|(name, _)| scalar(name));
    text.section("# Whether the images have migrations is not known. They run once, before the services, with the new image: #migrations");
    for line in [
        "databases:".to_owned(),
        "  main: {}".to_owned(),
        "tasks:".to_owned(),
        "  migrate:".to_owned(),
        "    run: before_services".to_owned(),
        format!("    task_definition: {}", definition.key),
        format!(
            "    containers: {{{}: {{command: [npm, run, migrate]}}}}",
            container.unwrap_or_default()
        ),
        "    database: main".to_owned(),
    ] {
        text.line(0, &format!("# {line}"));
    }
}

fn services(shape: &Shape, text: &mut Text) {
    text.section("services:");
    if shape.services.len() > 1 {
        text.comment(
            1,
            "They are updated in this order. Which must come first is not known: put them in order, or say it with `after`: #order",
        );
    }
    for service in &shape.services {
        for note in &service.notes {
            text.comment(1, &format!("Look at this: {note}."));
        }
        text.line(
            1,
            &format!(
                "{}: {{service: {}, task_definition: {}}}",
                service.key,
                scalar(&service.name),
                service.definition
            ),
        );
    }
    for (name, reason) in &shape.left_out {
        text.comment(1, &format!("`{name}` is left out: {reason}."));
    }
}

fn one(environment: &ObservedEnvironment, said: &Environment, index: usize, last: usize, text: &mut Text) {
    text.line(1, &format!("- name: {}", environment.name));
    if index == last {
        text.comment(
            2,
            "Only by `esclusa deploy`. With `push` a release reaches this environment by itself, after the ones before: #environments",
        );
        text.line(2, "trigger: manual");
        text.comment(
            2,
            "tags: {allow: [\"semver:>=1.0.0\"]}                 only released versions: #environments",
        );
        text.comment(2, "approval: {approvers: [ana]}                      somebody must agree: #environmentswindows-and-environmentsapproval");
    } else {
        text.line(2, "trigger: push");
    }
    text.line(2, &format!("cluster: {}", scalar(&environment.cluster)));
    if !said.variables.is_empty() {
        let variables = said.variables.iter();
        let variables: Vec<String> = variables
            .map(|(name, value)| format!("{name}: {}", scalar(value)))
            .collect();
        text.line(2, &format!("variables: {{{}}}", variables.join(", ")));
    }
    if let Some(network) = &said.network {
        text.comment(2, "That of the services, for tasks such as migrations.");
        text.line(2, &format!("network: {}", written(network)));
    }
    if !said.without_rollback.is_empty() {
        text.comment(2, "Their circuit breaker is on and does not roll back, as now.");
        text.line(2, "services:");
        for key in &said.without_rollback {
            text.line(
                3,
                &format!("{key}: {{deployment: {{circuit_breaker: {{rollback: false}}}}}}"),
            );
        }
    }
    if said.is_balanced {
        text.comment(2, "Five minutes in which the load balancer reaches every task. What else must be healthy is not known: #verification");
        text.line(2, "verification:");
        text.line(3, "soak_seconds: 300");
        text.line(3, "checks:");
        text.line(4, "targets:");
        text.line(5, "measure: {targets: all}");
        text.line(5, "pace: {interval_seconds: 15, failing_seconds: 60}");
    } else {
        text.comment(
            2,
            "No load balancer leads to the services: how it shows that a release works is not known: #verification",
        );
    }
}

fn written(network: &Network) -> String {
    let list = |items: &[String]| items.iter().map(|item| scalar(item)).collect::<Vec<_>>().join(", ");
    let public = if network.assign_public_ip {
        ", assign_public_ip: true"
    } else {
        ""
    };
    format!(
        "{{subnets: [{}], security_groups: [{}]{public}}}",
        list(&network.subnets),
        list(&network.security_groups)
    )
}

/// A text as a scalar of YAML that can stand anywhere and is read as a text.
fn scalar(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.chars().all(is_plain);
    let means_something_else = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if is_word && !means_something_else.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    // A string of JSON is one of YAML.
    serde_json::Value::from(text).to_string()
}

/// Lines with their indentation.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, depth: usize, line: &str) {
        // Writing into a text cannot fail.
        let _written = writeln!(self.0, "{:indent$}{line}", "", indent = depth * 2);
    }

    /// A comment, on one line whatever is in it.
    fn comment(&mut self, depth: usize, comment: &str) {
        self.line(depth, &format!("# {}", comment.replace(char::is_control, " ")));
    }

    fn section(&mut self, head: &str) {
        self.0.push('\n');
        self.line(0, head);
    }
}
