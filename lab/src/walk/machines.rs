//! The states of the two state machines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use simulator::World;
use simulator_step_functions::{Status, StepFunctions};

use super::{Line, Tone};

/// How far every execution has been told.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    states: BTreeMap<String, usize>,
    over: BTreeSet<String>,
    environment: Option<String>,
}

impl Told {
    /// The environment of the deployment that runs.
    pub(super) fn environment(&self) -> Option<String> {
        self.environment.clone()
    }

    pub(super) fn look(&mut self, world: &mut World, lines: &mut Vec<Line>) {
        let Some(machines) = world.service::<StepFunctions>() else {
            return;
        };
        let mut ended = Vec::new();
        for arn in machines.executions().iter().filter(|arn| !self.over.contains(*arn)) {
            let (machine, place) = who(arn);
            if place.is_some() {
                self.environment.clone_from(&place);
            }
            let told = self.states.entry(arn.clone()).or_default();
            let path = machines.path(arn);
            let states = path.iter().skip(*told).filter(|state| !state.ends_with('?'));
            lines.extend(states.map(|state| Line {
                at: world.now(),
                place: place.clone().unwrap_or_default(),
                who: machine.to_owned(),
                text: words(state),
                tone: Tone::Plain,
                state: true,
            }));
            *told = path.len();
            if machines.status(arn) != Some(Status::Running) {
                ended.push(arn.clone());
            }
        }
        for arn in ended {
            lines.push(end(&arn, world));
            if who(&arn).1 == self.environment {
                self.environment = None;
            }
            self.over.insert(arn);
        }
    }
}

/// How an execution ended: by its output, which carries the verdict.
fn end(arn: &str, world: &mut World) -> Line {
    let described = world
        .administer("states", "DescribeExecution", json!({"executionArn": arn}))
        .unwrap_or_default();
    let text = |value: &Value, member: &str| value.get(member).and_then(Value::as_str).unwrap_or("?").to_owned();
    let output: Value = serde_json::from_str(&text(&described, "output")).unwrap_or_default();
    let (verdict, effect) = (text(&output, "verdict"), text(&output, "effect"));
    let good = matches!(verdict.as_str(), "SUCCEEDED" | "UNCHANGED");
    let reason = output
        .get("reason")
        .and_then(Value::as_str)
        .filter(|_| !good)
        .map(|reason| format!(" ({reason})"));
    let (machine, place) = who(arn);
    let said = if text(&described, "status") == "SUCCEEDED" {
        format!("{verdict}, effect {effect}{}", reason.unwrap_or_default())
    } else {
        format!("the execution ended {}", text(&described, "status"))
    };
    Line {
        at: world.now(),
        place: place.unwrap_or_default(),
        who: machine.to_owned(),
        text: said,
        tone: if good { Tone::Good } else { Tone::Bad },
        state: false,
    }
}

/// The machine of an execution, and for a deployment the environment: its name ends with it and the attempt.
fn who(arn: &str) -> (&'static str, Option<String>) {
    let mut parts = arn.rsplit(':');
    let (execution, machine) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if !machine.ends_with("-deployment") {
        return ("release", None);
    }
    // {application}-{20 hexadecimal digits}-{environment}-{attempt}
    let mut words: Vec<&str> = execution.split('-').collect();
    words.pop();
    let hash = words
        .iter()
        .position(|word| word.len() == 20 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let environment = hash.map(|hash| words.split_off(hash + 1).join("-"));
    ("deployment", environment)
}

/// The name of a state in words: `AwaitTask` is `await task`.
fn words(state: &str) -> String {
    let mut words = String::new();
    for character in state.chars() {
        if character.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(character.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_says_which_environment_it_works_in() {
        let prefix = "arn:aws:states:us-east-1:123456789012:execution";
        let deployment = format!("{prefix}:esclusa-deployment:imagy-catalog-0f0f0f0f0f0f0f0f0f0f-pre-production-2");
        assert_eq!(who(&deployment), ("deployment", Some("pre-production".to_owned())));
        let release = format!("{prefix}:esclusa-release:imagy-catalog-0f0f0f0f0f0f0f0f0f0f");
        assert_eq!(who(&release), ("release", None));
    }

    #[test]
    fn a_state_is_told_in_words() {
        assert_eq!(words("AwaitStoppedTask"), "await stopped task");
    }
}
