//! AWS Step Functions on a laptop: standard workflows in JSONata, on the simulator's clock.
//!
//! [`Definition`] reads and checks state machines by itself; [`StepFunctions`] runs them as the service `states`.

mod api;
mod definition;
mod execution;
mod expression;
mod history;
mod integration;
mod interpreter;
mod names;
mod retry;
mod template;
mod tokens;

use std::collections::BTreeMap;

use serde_json::Value;
use simulator_kernel::{ApiError, Authorization, CallId, Kernel, Reply, Request, Service, TimerId};

pub use definition::{
    Action, Assign, Catcher, Choice, Definition, DefinitionError, Fail, Flow, Kind, Map, Parallel, Quantity, Recovery,
    Resource, Retrier, Rule, State, Task, Transition, Until,
};
pub use execution::Status;
use execution::{Execution, Outstanding, Timer};
pub use expression::{Expression, References};
use interpreter::Interpreter;
pub use template::Template;

/// What tests may set otherwise than AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The longest input, output or result, in bytes of UTF-8.
    pub payload_bytes: usize,
    /// The most history events of an execution; reaching it fails the execution.
    pub history_events: usize,
    /// The longest life of an execution, in seconds.
    pub duration_seconds: u64,
    /// How long closed executions can be described and their names stay taken, in days.
    pub retention_days: u32,
    /// The name of the error when a heartbeat stays away.
    pub heartbeat_error: HeartbeatError,
}

/// The two names that the developer guide gives to a missed heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatError {
    /// `States.HeartbeatTimeout`, of the page on errors.
    HeartbeatTimeout,
    /// `States.Timeout`, of the page on callbacks.
    Timeout,
}

impl HeartbeatError {
    fn name(self) -> &'static str {
        match self {
            Self::HeartbeatTimeout => retry::HEARTBEAT_TIMEOUT,
            Self::Timeout => retry::TIMEOUT,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            payload_bytes: 256 * 1024,
            history_events: 25_000,
            duration_seconds: 365 * 24 * 60 * 60,
            retention_days: 90,
            heartbeat_error: HeartbeatError::HeartbeatTimeout,
        }
    }
}

/// A task token that nobody has returned yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenToken {
    /// The token.
    pub token: String,
    /// The execution that waits.
    pub execution_arn: String,
    /// The name of the state that waits.
    pub state: String,
}

/// One try of a Task state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskTry {
    /// The name of the state machine.
    pub machine: String,
    /// The name of the state.
    pub state: String,
    /// How often the state was tried before, since it was entered.
    pub retry: u64,
}

/// The simulated service.
#[derive(Debug, Default)]
pub struct StepFunctions {
    settings: Settings,
    machines: BTreeMap<String, api::StateMachine>,
    /// By ARN.
    executions: BTreeMap<String, Execution>,
    /// The ARNs of executions in the order they were started.
    started: Vec<String>,
    outstanding: Outstanding,
}

impl StepFunctions {
    fn machine_of_token(&self, token: &str) -> Option<String> {
        let execution = self.executions.get(self.outstanding.tokens.execution(token)?)?;
        Some(execution.machine.state_machine_arn.clone())
    }

    /// The service without state machines.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// The names of the states that an execution has entered, in order, over all its branches. Empty for an unknown
    /// execution.
    #[must_use]
    pub fn path(&self, execution_arn: &str) -> Vec<String> {
        self.executions
            .get(execution_arn)
            .map(|execution| execution.path.clone())
            .unwrap_or_default()
    }

    /// How many state transitions an execution has made: states entered and retries. This is what AWS charges for.
    #[must_use]
    pub fn transitions(&self, execution_arn: &str) -> u64 {
        self.executions
            .get(execution_arn)
            .map_or(0, |execution| execution.transitions)
    }

    /// Where an execution stands.
    #[must_use]
    pub fn status(&self, execution_arn: &str) -> Option<Status> {
        self.executions.get(execution_arn).map(|execution| execution.status)
    }

    /// The ARNs of all executions that are not forgotten yet, in the order they were started.
    #[must_use]
    pub fn executions(&self) -> &[String] {
        &self.started
    }

    /// The task tokens that executions wait for.
    #[must_use]
    pub fn open_tokens(&self) -> Vec<OpenToken> {
        self.outstanding
            .tokens
            .open()
            .filter_map(|(token, holder)| {
                let branch = self.executions.get(&holder.execution)?.branches.get(&holder.branch)?;
                Some(OpenToken {
                    token: token.to_owned(),
                    execution_arn: holder.execution.clone(),
                    state: branch.visit.as_ref()?.name.clone(),
                })
            })
            .collect()
    }

    /// The try of a Task state that a call is made for, until it is answered.
    #[must_use]
    pub fn task_try(&self, call: CallId) -> Option<TaskTry> {
        let holder = self.outstanding.calls.get(&call)?;
        let execution = self.executions.get(&holder.execution)?;
        let visit = execution.branches.get(&holder.branch)?.visit.as_ref()?;
        Some(TaskTry {
            machine: execution.machine.name.clone(),
            state: visit.name.clone(),
            retry: visit.retries.iter().sum(),
        })
    }

    /// The definition that an execution runs.
    #[must_use]
    pub fn definition(&self, execution_arn: &str) -> Option<&Definition> {
        self.executions
            .get(execution_arn)
            .map(|execution| &execution.machine.definition)
    }

    fn interpreter<'a>(&'a mut self, execution: &str, kernel: &'a mut Kernel) -> Option<Interpreter<'a>> {
        let execution = self.executions.get_mut(execution)?;
        Some(Interpreter::new(
            &self.settings,
            &mut self.outstanding,
            execution,
            kernel,
        ))
    }
}

impl Service for StepFunctions {
    fn name(&self) -> &'static str {
        interpreter::SERVICE
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        api::authorizations(request, kernel, |token| self.machine_of_token(token))
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(self.answer(request, kernel))
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        let Some(timer) = self.outstanding.timers.remove(&timer) else {
            return;
        };
        let execution = match &timer {
            Timer::Execution(execution) => execution.clone(),
            Timer::Wait(holder) | Timer::Retry(holder) | Timer::TaskTimeout(holder) | Timer::Heartbeat(holder) => {
                holder.execution.clone()
            }
        };
        if let Some(interpreter) = self.interpreter(&execution, kernel) {
            interpreter.wake(timer);
        }
    }

    fn replied(&mut self, call: CallId, result: Result<Value, ApiError>, kernel: &mut Kernel) {
        let Some(holder) = self.outstanding.calls.remove(&call) else {
            return;
        };
        if let Some(interpreter) = self.interpreter(&holder.execution, kernel) {
            interpreter.replied(holder.branch, result);
        }
    }
}

#[cfg(test)]
mod tests;
