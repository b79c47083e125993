//! Checks of the Step Functions definitions that no public tool makes: how they fail, which variables they read, what
//! they carry.
//!
//! The definitions are read as plain JSON, so that a check does not inherit a mistake of the interpreter that runs
//! them.

mod errors;
mod expressions;
mod graph;
mod tasks;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The `${…}` tokens are the keys of `DefinitionSubstitutions`, and the other way round.
    Substitutions,
    /// A variable has a value on every path to where it is read, and somebody reads it.
    Variables,
    /// `$states.result`, `$states.errorOutput` and the task token are read only where they exist; only functions that
    /// Step Functions has are called.
    Scope,
    /// Names in `Retry` and `Catch` are ours or documented, and each of our kinds is met with the reaction it needs.
    Errors,
    /// A Task has a time limit, retries what passes, and catches the rest.
    Resilience,
    /// A wait by token passes the token, where it waits and until when.
    Tokens,
    /// All paths reach a declared end, and every loop is bounded.
    Flow,
    /// The query language, comments and names are as in the rest of the project.
    Shape,
    /// States carry references, never whole results.
    Payload,
    /// The machine's role may invoke the functions that the machine names, and no other.
    Permissions,
}

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What it is about.
    pub check: Check,
    /// The state, or `the machine`.
    pub at: String,
    /// What is wrong, as a sentence.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: `{}`: {}", self.check, self.at, self.what)
    }
}

/// What the rest of the project says about a machine.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The keys of `DefinitionSubstitutions` in the template.
    pub substitutions: BTreeSet<String>,
    /// The substitutions whose functions the machine's role may invoke.
    pub invocable: BTreeSet<String>,
    /// The states in which an execution may end.
    pub ends: BTreeSet<String>,
}

/// What one Task state sends to which function, and what it reads from the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The state.
    pub state: String,
    /// The substitution that names the function, e.g. `RecordFunctionArn`.
    pub function: String,
    /// The value of `action`.
    pub action: String,
    /// The other fields of the payload.
    pub fields: BTreeSet<String>,
    /// The fields that are read from the answer.
    pub answer: BTreeSet<String>,
}

/// A definition with its states at hand, or the flow inside a Map state of one.
#[derive(Debug, Clone)]
pub struct Machine<'a> {
    definition: &'a Value,
    states: BTreeMap<&'a str, &'a Value>,
    /// The variables that have a value outside, where it is a flow inside.
    outside: Option<BTreeSet<&'a str>>,
}

impl<'a> Machine<'a> {
    /// Wraps a definition; whatever is missing in it becomes a finding, not an error.
    #[must_use]
    pub fn new(definition: &'a Value) -> Self {
        let states = definition.get("States").and_then(Value::as_object);
        let states = states
            .into_iter()
            .flatten()
            .map(|(name, state)| (name.as_str(), state))
            .collect();
        Self {
            definition,
            states,
            outside: None,
        }
    }

    /// The flows inside the Map states of this one.
    fn inside(&self) -> Vec<Self> {
        let known = self.assigned_on_entry();
        let processors = self.states.iter().filter_map(|(name, state)| {
            let processor = state.get("ItemProcessor")?;
            let outside = known.get(name).cloned().unwrap_or_default();
            Some(Self {
                outside: Some(outside),
                ..Self::new(processor)
            })
        });
        processors.collect()
    }

    /// This flow and all flows inside it.
    fn flows(&self) -> Vec<Self> {
        let inner = self.inside().into_iter().flat_map(|inner| inner.flows());
        std::iter::once(self.clone()).chain(inner).collect()
    }

    /// Everything that is wrong, ordered by check and state.
    #[must_use]
    pub fn findings(&self, surroundings: &Surroundings) -> Vec<Finding> {
        let mut findings = Findings::default();
        self.check_head(&mut findings);
        self.check_substitutions(surroundings, &mut findings);
        self.check_flow(&surroundings.ends, &mut findings);
        for inner in self.flows().iter().skip(1) {
            inner.check_flow(&inner.own_ends(), &mut findings);
        }
        for flow in self.flows() {
            flow.check_shape(&mut findings);
            flow.check_scopes(&mut findings);
            flow.check_payloads(&mut findings);
            flow.check_variables(&mut findings);
            flow.check_errors(&mut findings);
            flow.check_tasks(&mut findings);
        }
        findings.0.sort();
        findings.0
    }

    /// What every Task sends and reads.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        let flows = self.flows();
        let tasks = flows.iter().flat_map(Self::tasks);
        tasks.filter_map(|(name, state)| call(name, state)).collect()
    }

    /// The type of a state of any flow; empty when there is none.
    #[must_use]
    pub fn type_of(&self, name: &str) -> &'a str {
        let flows = self.flows();
        let state = flows.iter().find_map(|flow| flow.states.get(name).copied());
        state.map_or("", |state| text(state, "Type"))
    }

    /// The states that say that they end this flow.
    fn own_ends(&self) -> BTreeSet<String> {
        let ends = self.states.iter().filter(|(_, state)| state.get("End").is_some());
        ends.map(|(name, _)| (*name).to_owned()).collect()
    }

    /// The names and values of all Task states.
    fn tasks(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + '_ {
        self.states
            .iter()
            .map(|(name, state)| (*name, *state))
            .filter(|(_, state)| text(state, "Type") == "Task")
    }

    /// The name of the first state; empty when the definition has none.
    fn start(&self) -> &'a str {
        text(self.definition, "StartAt")
    }

    fn check_head(&self, findings: &mut Findings) {
        if text(self.definition, "QueryLanguage") != "JSONata" {
            findings.add(Check::Shape, MACHINE, "`QueryLanguage` is not `JSONata`");
        }
        if text(self.definition, "Comment").is_empty() {
            findings.add(Check::Shape, MACHINE, "has no `Comment`");
        }
        if self.definition.get("TimeoutSeconds").and_then(Value::as_u64).is_none() {
            findings.add(Check::Shape, MACHINE, "has no `TimeoutSeconds`");
        }
    }

    fn check_shape(&self, findings: &mut Findings) {
        for (name, state) in &self.states {
            if text(state, "Comment").is_empty() {
                findings.add(Check::Shape, name, "has no `Comment`");
            }
            if state.get("QueryLanguage").is_some() {
                findings.add(Check::Shape, name, "changes the query language");
            }
            let kind = text(state, "Type");
            if !["Task", "Choice", "Wait", "Pass", "Map", "Succeed", "Fail"].contains(&kind) {
                findings.add(
                    Check::Shape,
                    name,
                    format!("has the type `{kind}`, which these checks do not follow"),
                );
            }
            let (question, stem) = name.strip_suffix('?').map_or((false, *name), |stem| (true, stem));
            if question != (kind == "Choice") {
                findings.add(
                    Check::Shape,
                    name,
                    "a Choice is named as a question, and nothing else is",
                );
            }
            if !stem.starts_with(|c: char| c.is_ascii_uppercase()) || !stem.chars().all(|c| c.is_ascii_alphanumeric()) {
                findings.add(Check::Shape, name, "is not named in PascalCase");
            }
        }
    }

    fn check_substitutions(&self, surroundings: &Surroundings, findings: &mut Findings) {
        let flows = self.flows();
        let tasks = flows.iter().flat_map(Self::tasks);
        let used: BTreeSet<String> = tasks.filter_map(|(_, state)| function(state)).collect();
        let tokens = expressions::substitutions(self.definition);
        for token in tokens.symmetric_difference(&surroundings.substitutions) {
            let where_missing = if tokens.contains(token) {
                "`DefinitionSubstitutions`"
            } else {
                "the definition"
            };
            findings.add(
                Check::Substitutions,
                MACHINE,
                format!("`{token}` is missing in {where_missing}"),
            );
        }
        for function in used.symmetric_difference(&surroundings.invocable) {
            let what = if used.contains(function) {
                "is invoked but not allowed"
            } else {
                "is allowed but never invoked"
            };
            findings.add(Check::Permissions, MACHINE, format!("`{function}` {what}"));
        }
    }

    fn check_payloads(&self, findings: &mut Findings) {
        for (name, state) in &self.states {
            let hands_on = matches!(text(state, "Type"), "Task" | "Pass" | "Wait" | "Map");
            let catchers = list(state, "Catch").map(|catcher| ("a catcher", catcher));
            for (whose, holder) in hands_on.then_some(("the state", *state)).into_iter().chain(catchers) {
                if !holder.get("Output").is_some_and(Value::is_object) {
                    findings.add(
                        Check::Payload,
                        name,
                        format!("{whose} has no `Output` object, so all of its result is handed on"),
                    );
                }
            }
            for path in expressions::of_state(state)
                .iter()
                .flat_map(|placed| placed.references().states)
            {
                let steps: Vec<&str> = path.split('.').collect();
                let carried = match steps.as_slice() {
                    // What comes out of the flow inside is what its last states say.
                    ["result", ..] if text(state, "Type") == "Map" => false,
                    ["result", rest @ ..] => rest.first() != Some(&"Payload") || rest.len() < 2,
                    ["input", rest @ ..] => rest.is_empty() || *name != self.start(),
                    ["errorOutput", rest @ ..] => rest.is_empty(),
                    ["context", rest @ ..] => rest.len() < 2,
                    _ => true,
                };
                if carried {
                    findings.add(
                        Check::Payload,
                        name,
                        format!("reads `$states.{path}`: take single fields, and the input only in the first state"),
                    );
                }
            }
        }
    }
}

/// Where a finding that belongs to no state is.
const MACHINE: &str = "the machine";

/// Collects findings.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, check: Check, at: &str, what: impl Into<String>) {
        self.0.push(Finding {
            check,
            at: at.to_owned(),
            what: what.into(),
        });
    }
}

/// A text field; empty when it is missing or something else.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The members of a list field; none when it is missing.
fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// The texts of a list field.
fn texts<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    list(value, field).filter_map(Value::as_str)
}

/// The payload that a Task sends.
fn payload(state: &Value) -> Option<&Value> {
    state.get("Arguments")?.get("Payload")
}

/// The substitution that names the function of a Task.
fn function(state: &Value) -> Option<String> {
    let name = text(state.get("Arguments")?, "FunctionName");
    Some(name.strip_prefix("${")?.strip_suffix('}')?.to_owned())
}

fn call(name: &str, state: &Value) -> Option<Call> {
    let payload = payload(state)?;
    let paths = expressions::of_state(state)
        .into_iter()
        .flat_map(|placed| placed.references().states);
    Some(Call {
        state: name.to_owned(),
        function: function(state)?,
        action: text(payload, "action").to_owned(),
        fields: payload
            .as_object()?
            .keys()
            .filter(|field| *field != "action")
            .cloned()
            .collect(),
        answer: paths
            .filter_map(|path| path.strip_prefix("result.Payload.").map(str::to_owned))
            .collect(),
    })
}
