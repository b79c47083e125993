//! State machine definitions: the JSONata subset of the Amazon States Language, typed and closed.
//!
//! Whatever a definition says that is not represented here is an error, never ignored.

mod check;
mod fields;
mod parse;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::expression::Expression;
use crate::template::Template;

/// A state machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// What the machine is for.
    pub comment: Option<String>,
    /// Seconds after which an execution ends as `TIMED_OUT`.
    pub timeout_seconds: Option<u64>,
    /// The states.
    pub flow: Arc<Flow>,
}

/// States with a beginning: the top level of a machine, a branch of a Parallel state or the processor of a Map state.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The state that is entered first.
    pub start_at: String,
    /// All states, by name.
    pub states: BTreeMap<String, Arc<State>>,
}

/// One state.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// What the state is for.
    pub comment: Option<String>,
    /// Variables that the state sets when it ends well; of a Choice state, when no rule matches.
    pub assign: Assign,
    /// What the state hands on; of a Choice state, when no rule matches. Without it: the result, or the input where
    /// there is no result.
    pub output: Option<Template>,
    /// What follows; `None` for Choice, Succeed and Fail, which decide for themselves.
    pub transition: Option<Transition>,
    /// Of Task, Map and Parallel states.
    pub recovery: Recovery,
    /// What the state does.
    pub kind: Kind,
}

/// New values of variables, by name without `$`.
pub type Assign = BTreeMap<String, Template>;

/// What follows a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The state of this name in the same flow.
    Next(String),
    /// The flow ends.
    End,
}

/// What happens to errors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recovery {
    /// The first retrier that matches an error decides whether the state is tried again.
    pub retry: Vec<Retrier>,
    /// Then the first catcher that matches decides where to go.
    pub catch: Vec<Catcher>,
}

/// One entry of `Retry`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrier {
    /// The errors it matches.
    pub error_equals: Vec<String>,
    /// Seconds before the first retry.
    pub interval_seconds: u64,
    /// How many retries; 0 for never.
    pub max_attempts: u64,
    /// What each further wait is multiplied with.
    pub backoff_rate: f64,
    /// The longest wait in seconds.
    pub max_delay_seconds: Option<u64>,
    /// Whether the wait is drawn between zero and its full length.
    pub jitter: bool,
}

/// One entry of `Catch`.
#[derive(Debug, Clone, PartialEq)]
pub struct Catcher {
    /// The errors it matches.
    pub error_equals: Vec<String>,
    /// The state that goes on.
    pub next: String,
    /// Variables that it sets.
    pub assign: Assign,
    /// The input of `next`; the error output when absent.
    pub output: Option<Template>,
}

/// The types of states.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Calls a service.
    Task(Task),
    /// Takes the first way whose condition holds.
    Choice(Choice),
    /// Lets time pass.
    Wait(Until),
    /// Computes, no more.
    Pass,
    /// Ends the flow well.
    Succeed,
    /// Ends the execution badly.
    Fail(Fail),
    /// Runs one flow for every item.
    Map(Map),
    /// Runs several flows side by side.
    Parallel(Parallel),
}

/// A Task state.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What is called.
    pub resource: Resource,
    /// Its arguments; the input when absent.
    pub arguments: Option<Template>,
    /// Seconds after which the state fails with `States.Timeout`.
    pub timeout_seconds: Option<Quantity>,
    /// Seconds without a heartbeat after which the state fails.
    pub heartbeat_seconds: Option<Quantity>,
}

/// What a Task state calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The integrated action.
    pub action: Action,
    /// Whether the state ends when its task token is returned, rather than when the call is answered.
    pub wait_for_task_token: bool,
}

/// The actions that Task states can call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `arn:aws:states:::lambda:invoke`.
    LambdaInvoke,
    /// A Lambda function as the resource itself, by its ARN.
    LambdaFunction(String),
    /// `arn:aws:states:::states:startExecution`.
    StartExecution,
    /// `arn:aws:states:::events:putEvents`.
    PutEvents,
}

/// A Choice state.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// In order of preference.
    pub rules: Vec<Rule>,
    /// Where to go when no rule matches. Without it that is the error `States.NoChoiceMatched`.
    pub default: Option<String>,
}

/// One entry of `Choices`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Must evaluate to a boolean.
    pub condition: Expression,
    /// The state that goes on.
    pub next: String,
    /// Variables that the rule sets.
    pub assign: Assign,
    /// The input of `next`; the state's input when absent.
    pub output: Option<Template>,
}

/// How long a Wait state lasts.
#[derive(Debug, Clone, PartialEq)]
pub enum Until {
    /// So many seconds.
    Seconds(Quantity),
    /// An RFC 3339 moment.
    Timestamp(Template),
}

/// A Fail state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fail {
    /// The error's name.
    pub error: Option<Template>,
    /// The text beside it.
    pub cause: Option<Template>,
}

/// An inline Map state.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Must evaluate to an array; the input when absent.
    pub items: Option<Template>,
    /// The input of each iteration; the item when absent.
    pub item_selector: Option<Template>,
    /// What runs for each item.
    pub processor: Arc<Flow>,
    /// How many iterations run at once; 0 for as many as Step Functions allows.
    pub max_concurrency: Option<Quantity>,
}

/// A Parallel state.
#[derive(Debug, Clone, PartialEq)]
pub struct Parallel {
    /// The input of every branch; the state's input when absent.
    pub arguments: Option<Template>,
    /// The branches in the order of their results.
    pub branches: Vec<Arc<Flow>>,
}

/// A whole number, zero or more, written out or computed.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantity {
    /// Written out.
    Literal(u64),
    /// Computed when the state begins.
    Expression(Expression),
}

/// Why a text is not a definition that the simulator can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {message}")]
pub struct DefinitionError {
    /// Where, such as ``state `WaitForTask` ``.
    pub location: String,
    /// What is wrong.
    pub message: String,
    /// Whether the definition may be valid on AWS but is beyond what the simulator implements.
    pub unsupported: bool,
}

impl DefinitionError {
    fn invalid(location: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            location: location.into(),
            message: message.into(),
            unsupported: false,
        }
    }

    fn unsupported(location: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            location: location.into(),
            message: message.into(),
            unsupported: true,
        }
    }
}

impl Definition {
    /// Reads and checks a definition.
    ///
    /// # Errors
    /// The first thing that is wrong or not supported, with the state it is in.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let definition = parse::definition(text)?;
        check::definition(&definition)?;
        Ok(definition)
    }
}

impl Flow {
    /// The flows inside this one, by the name of the Map or Parallel state that runs them, at one level.
    pub fn inner(&self) -> impl Iterator<Item = (&str, &Flow)> {
        self.states.iter().flat_map(|(name, state)| {
            let flows: &[Arc<Flow>] = match &state.kind {
                Kind::Map(map) => std::slice::from_ref(&map.processor),
                Kind::Parallel(parallel) => &parallel.branches,
                _ => &[],
            };
            flows.iter().map(move |flow| (name.as_str(), flow.as_ref()))
        })
    }
}

impl State {
    /// The type as definitions and history events write it, such as `Task`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Task(_) => "Task",
            Kind::Choice(_) => "Choice",
            Kind::Wait(_) => "Wait",
            Kind::Pass => "Pass",
            Kind::Succeed => "Succeed",
            Kind::Fail(_) => "Fail",
            Kind::Map(_) => "Map",
            Kind::Parallel(_) => "Parallel",
        }
    }

    /// The names of all states that can follow this one in its flow.
    #[must_use]
    pub fn successors(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .recovery
            .catch
            .iter()
            .map(|catcher| catcher.next.as_str())
            .collect();
        if let Some(Transition::Next(next)) = &self.transition {
            names.push(next);
        }
        if let Kind::Choice(choice) = &self.kind {
            names.extend(choice.rules.iter().map(|rule| rule.next.as_str()));
            names.extend(choice.default.as_deref());
        }
        names
    }

    /// The names of all variables that this state may assign, on whichever way it is left.
    pub fn assigned(&self) -> impl Iterator<Item = &str> {
        let rules: &[Rule] = if let Kind::Choice(choice) = &self.kind {
            &choice.rules
        } else {
            &[]
        };
        self.assign
            .keys()
            .chain(self.recovery.catch.iter().flat_map(|catcher| catcher.assign.keys()))
            .chain(rules.iter().flat_map(|rule| rule.assign.keys()))
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
