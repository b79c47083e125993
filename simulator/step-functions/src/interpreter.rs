//! Runs executions: takes each state to the point where it waits for something outside, and goes on when that comes.

mod children;
mod states;
mod tasks;
mod values;

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use simulator_kernel::{Kernel, TimerId};

use crate::Settings;
use crate::definition::{Kind, Transition};
use crate::execution::{Activity, Branch, BranchId, Execution, Holder, Outstanding, Status, Timer, Visit};
use crate::expression::Variables;
use crate::history::Details;
use crate::retry::{self, Failure, Handler, QUERY_EVALUATION_ERROR, RUNTIME};
use values::Exit;

/// The signing name under which timers are set and calls are made.
pub(crate) const SERVICE: &str = "states";

/// Input and output that together are longer than this are left out of status events, in bytes.
const EVENT_DATA_BYTES: usize = 248 * 1024;

/// One execution with everything around it, for as long as it can go on without waiting.
pub(crate) struct Interpreter<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) outstanding: &'a mut Outstanding,
    pub(crate) execution: &'a mut Execution,
    pub(crate) kernel: &'a mut Kernel,
    work: VecDeque<Work>,
}

/// The next thing to do for a branch.
#[derive(Debug)]
enum Work {
    /// Enter a state.
    Enter {
        branch: BranchId,
        state: String,
        input: Value,
    },
    /// Do what the current state does: for the first time, or again.
    Attempt(BranchId),
    /// The current state has failed.
    Failed { branch: BranchId, failure: Failure },
    /// The branch's flow has ended.
    Finished { branch: BranchId, output: Value },
}

/// How an execution ends.
#[derive(Debug)]
enum Ending {
    Succeeded(String),
    Failed(Failure),
    TimedOut,
    Aborted(Option<Failure>),
}

impl<'a> Interpreter<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        outstanding: &'a mut Outstanding,
        execution: &'a mut Execution,
        kernel: &'a mut Kernel,
    ) -> Self {
        Self {
            settings,
            outstanding,
            execution,
            kernel,
            work: VecDeque::new(),
        }
    }

    /// Begins the execution.
    pub(crate) fn start(mut self) {
        let (text, input) = self.execution.input.clone();
        let machine = Arc::clone(&self.execution.machine);
        let details = json!({"input": text, "inputDetails": {"truncated": false}, "roleArn": machine.role_arn});
        self.execution.history.record(
            self.kernel.now(),
            0,
            "ExecutionStarted",
            Some(("executionStartedEventDetails", details)),
        );
        let seconds = machine
            .definition
            .timeout_seconds
            .unwrap_or(u64::MAX)
            .min(self.settings.duration_seconds);
        self.execution.timeout = Some(self.wake_after(seconds, Timer::Execution(self.execution.arn.clone())));
        let root = Branch {
            parent: None,
            flow: Arc::clone(&machine.definition.flow),
            outer: Variables::new(),
            variables: Variables::new(),
            item: None,
            visit: None,
            last_event: 0,
        };
        self.execution.branches.insert(BranchId::ROOT, root);
        self.emit_status();
        self.work.push_back(Work::Enter {
            branch: BranchId::ROOT,
            state: machine.definition.flow.start_at.clone(),
            input,
        });
        self.run();
    }

    /// A timer of this execution is due.
    pub(crate) fn wake(mut self, timer: Timer) {
        match timer {
            Timer::Execution(_) => {
                self.execution.timeout = None;
                self.close(Ending::TimedOut);
            }
            Timer::Wait(holder) => {
                self.pause_over(holder.branch);
                self.leave_or_fail(holder.branch, None);
            }
            Timer::Retry(holder) => {
                self.pause_over(holder.branch);
                self.work.push_back(Work::Attempt(holder.branch));
            }
            Timer::TaskTimeout(holder) => self.task_timed_out(holder.branch, retry::TIMEOUT),
            Timer::Heartbeat(holder) => {
                let error = self.settings.heartbeat_error.name();
                self.task_timed_out(holder.branch, error);
            }
        }
        self.run();
    }

    /// Ends the execution from outside.
    pub(crate) fn stop(mut self, failure: Option<Failure>) {
        self.close(Ending::Aborted(failure));
    }

    fn run(&mut self) {
        while self.execution.status == Status::Running {
            if self.execution.history.is_full() {
                let cause = "the execution reached the maximum number of history events";
                return self.close(Ending::Failed(Failure::new(RUNTIME, cause)));
            }
            match self.work.pop_front() {
                None => return,
                Some(Work::Enter { branch, state, input }) => self.enter(branch, state, input),
                Some(Work::Attempt(branch)) => self.attempt(branch),
                Some(Work::Failed { branch, failure }) => self.recover(branch, failure),
                Some(Work::Finished { branch, output }) => self.finished(branch, output),
            }
        }
    }

    fn enter(&mut self, id: BranchId, name: String, input: Value) {
        let Some(state) = self
            .execution
            .branches
            .get(&id)
            .and_then(|branch| branch.flow.states.get(&name))
            .cloned()
        else {
            return;
        };
        self.execution.path.push(name.clone());
        self.execution.transitions += 1;
        let kind = format!("{}StateEntered", state.type_name());
        let details = json!({"name": name, "input": input.to_string(), "inputDetails": {"truncated": false}});
        self.record(id, &kind, Some(("stateEnteredEventDetails", details)));
        let entered_at = self.kernel.now();
        if let Some(branch) = self.execution.branches.get_mut(&id) {
            branch.visit = Some(Visit {
                name,
                retries: vec![0; state.recovery.retry.len()],
                state,
                input,
                entered_at,
                entered_event: branch.last_event,
                activity: Activity::Idle,
            });
            self.work.push_back(Work::Attempt(id));
        }
    }

    /// Leaves the current state with its result, if it has one.
    fn leave(&mut self, id: BranchId, result: Option<&Value>) -> Result<(), Failure> {
        let Some(state) = self.visit(id).map(|visit| Arc::clone(&visit.state)) else {
            return Ok(());
        };
        let exit = self.exit(id, &state.assign, state.output.as_ref(), result, None)?;
        self.go(id, exit, state.transition.clone().unwrap_or(Transition::End));
        Ok(())
    }

    fn leave_or_fail(&mut self, id: BranchId, result: Option<&Value>) {
        if let Err(failure) = self.leave(id, result) {
            self.fail(id, failure);
        }
    }

    fn fail(&mut self, branch: BranchId, failure: Failure) {
        self.work.push_back(Work::Failed { branch, failure });
    }

    /// Takes the way out of the current state that has been decided on.
    fn go(&mut self, id: BranchId, exit: Exit, transition: Transition) {
        let Some(visit) = self
            .execution
            .branches
            .get_mut(&id)
            .and_then(|branch| branch.visit.take())
        else {
            return;
        };
        let kind = format!("{}StateExited", visit.state.type_name());
        let mut details = Map::new();
        details.insert("name".to_owned(), visit.name.into());
        details.insert("output".to_owned(), exit.output.to_string().into());
        details.insert("outputDetails".to_owned(), json!({"truncated": false}));
        if !exit.assigned.is_empty() {
            let assigned: Map<String, Value> = exit
                .assigned
                .iter()
                .map(|(name, value)| (name.clone(), value.to_string().into()))
                .collect();
            details.insert("assignedVariables".to_owned(), assigned.into());
            details.insert("assignedVariablesDetails".to_owned(), json!({"truncated": false}));
        }
        self.record(id, &kind, Some(("stateExitedEventDetails", details.into())));
        if let Some(branch) = self.execution.branches.get_mut(&id) {
            branch.variables.extend(exit.assigned);
        }
        self.work.push_back(match transition {
            Transition::Next(state) => Work::Enter {
                branch: id,
                state,
                input: exit.output,
            },
            Transition::End => Work::Finished {
                branch: id,
                output: exit.output,
            },
        });
    }

    /// Gives a failed state to its retriers and catchers.
    fn recover(&mut self, id: BranchId, failure: Failure) {
        self.settle(id);
        let Some(visit) = self.visit(id) else { return };
        let state = Arc::clone(&visit.state);
        match retry::handler(&state.recovery, &visit.retries, &failure.error) {
            Handler::Retry(index) => self.retry(id, index),
            Handler::Catch(index) => {
                if let Err(failure) = self.catch(id, index, &failure) {
                    self.fail_branch(id, failure);
                }
            }
            Handler::Nobody => self.fail_branch(id, failure),
        }
    }

    fn retry(&mut self, id: BranchId, index: usize) {
        let Some(visit) = self
            .execution
            .branches
            .get_mut(&id)
            .and_then(|branch| branch.visit.as_mut())
        else {
            return;
        };
        let (Some(retrier), Some(used)) = (visit.state.recovery.retry.get(index), visit.retries.get_mut(index)) else {
            return;
        };
        let delay = retry::delay(retrier, *used, || self.kernel.rng().f64());
        *used += 1;
        self.execution.transitions += 1;
        let timer = self.kernel.wake_after(delay, SERVICE);
        visit.activity = Activity::Pause(timer);
        let holder = self.holder(id);
        self.outstanding.timers.insert(timer, Timer::Retry(holder));
    }

    fn catch(&mut self, id: BranchId, index: usize, failure: &Failure) -> Result<(), Failure> {
        let Some(state) = self.visit(id).map(|visit| Arc::clone(&visit.state)) else {
            return Ok(());
        };
        let Some(catcher) = state.recovery.catch.get(index) else {
            return Ok(());
        };
        let error_output = json!({"Error": failure.error, "Cause": failure.cause.clone().unwrap_or_default()});
        let exit = self.exit(id, &catcher.assign, catcher.output.as_ref(), None, Some(&error_output))?;
        self.go(id, exit, Transition::Next(catcher.next.clone()));
        Ok(())
    }

    /// An error that nobody handled ends the branch, and fails the state or the execution around it.
    fn fail_branch(&mut self, id: BranchId, failure: Failure) {
        match self.execution.branches.get(&id).and_then(|branch| branch.parent) {
            None => self.close(Ending::Failed(failure)),
            Some(parent) => self.child_failed(id, parent, failure),
        }
    }

    fn finished(&mut self, id: BranchId, output: Value) {
        match self.execution.branches.get(&id).map(|branch| branch.parent) {
            None => {}
            Some(None) => self.close(Ending::Succeeded(output.to_string())),
            Some(Some(parent)) => self.child_finished(id, parent, output),
        }
    }

    /// Ends the execution. What its branches waited for is forgotten without further events.
    fn close(&mut self, ending: Ending) {
        let last_event = self
            .execution
            .branches
            .get(&BranchId::ROOT)
            .map_or(0, |root| root.last_event);
        for visit in std::mem::take(&mut self.execution.branches)
            .into_values()
            .filter_map(|branch| branch.visit)
        {
            match visit.activity {
                Activity::Task(run) => self.settle_task(run),
                Activity::Pause(timer) => {
                    self.outstanding.timers.remove(&timer);
                }
                Activity::Idle | Activity::Children(_) => {}
            }
        }
        if let Some(timer) = self.execution.timeout.take() {
            self.outstanding.timers.remove(&timer);
        }
        let (status, output, failure) = match ending {
            Ending::Succeeded(output) => (Status::Succeeded, Some(output), None),
            Ending::Failed(failure) => (Status::Failed, None, Some(failure)),
            Ending::TimedOut => (Status::TimedOut, None, None),
            Ending::Aborted(failure) => (Status::Aborted, None, failure),
        };
        let now = self.kernel.now();
        self.execution
            .history
            .close(now, last_event, status, output.as_deref(), failure.as_ref());
        self.execution.status = status;
        self.execution.stopped_at = Some(now);
        self.execution.output = output;
        self.execution.failure = failure;
        self.emit_status();
    }

    /// Gives up whatever the current state of a branch waits for.
    fn settle(&mut self, id: BranchId) {
        let Some(visit) = self
            .execution
            .branches
            .get_mut(&id)
            .and_then(|branch| branch.visit.as_mut())
        else {
            return;
        };
        match std::mem::replace(&mut visit.activity, Activity::Idle) {
            Activity::Idle => {}
            Activity::Pause(timer) => {
                self.outstanding.timers.remove(&timer);
            }
            Activity::Task(run) => self.settle_task(run),
            Activity::Children(children) => {
                for child in children.running {
                    self.abort(child);
                }
            }
        }
    }

    /// Ends a branch whose siblings failed, or whose surroundings end.
    fn abort(&mut self, id: BranchId) {
        self.settle(id);
        let Some(branch) = self.execution.branches.get(&id) else {
            return;
        };
        let iteration = branch.parent.filter(|parent| self.is_iteration(*parent));
        if let Some(visit) = &branch.visit
            && matches!(
                visit.state.kind,
                Kind::Task(_) | Kind::Wait(_) | Kind::Map(_) | Kind::Parallel(_)
            )
        {
            let kind = format!("{}StateAborted", visit.state.type_name());
            self.record(id, &kind, None);
        }
        if let Some(parent) = iteration {
            self.record_iteration(id, parent, "MapIterationAborted", "mapIterationAbortedEventDetails");
        }
        self.execution.branches.remove(&id);
    }

    fn pause_over(&mut self, id: BranchId) {
        if let Some(visit) = self
            .execution
            .branches
            .get_mut(&id)
            .and_then(|branch| branch.visit.as_mut())
        {
            visit.activity = Activity::Idle;
        }
    }

    fn visit(&self, id: BranchId) -> Option<&Visit> {
        self.execution.branches.get(&id)?.visit.as_ref()
    }

    fn holder(&self, branch: BranchId) -> Holder {
        Holder {
            execution: self.execution.arn.clone(),
            branch,
        }
    }

    fn wake_after(&mut self, seconds: u64, timer: Timer) -> TimerId {
        let delay = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        let id = self.kernel.wake_after(delay, SERVICE);
        self.outstanding.timers.insert(id, timer);
        id
    }

    /// Adds a history event after the last one of the branch.
    fn record(&mut self, id: BranchId, kind: &str, details: Details) {
        if let Some(branch) = self.execution.branches.get_mut(&id) {
            branch.last_event = self
                .execution
                .history
                .record(self.kernel.now(), branch.last_event, kind, details);
        }
    }

    /// The failure of an expression of the current state, noted in the history.
    fn evaluation_failed(&mut self, id: BranchId, location: &str, reason: &str) -> Failure {
        let (name, event) = self
            .visit(id)
            .map(|visit| (visit.name.clone(), visit.entered_event))
            .unwrap_or_default();
        let cause = format!("state `{name}` (entered at event {event}), field `{location}`: {reason}");
        let details = json!({
            "error": QUERY_EVALUATION_ERROR,
            "cause": cause,
            "location": location,
            "state": name,
        });
        self.record(id, "EvaluationFailed", Some(("evaluationFailedEventDetails", details)));
        Failure::new(QUERY_EVALUATION_ERROR, cause)
    }

    /// `Step Functions Execution Status Change`.
    fn emit_status(&mut self) {
        let execution = &self.execution;
        let input = &execution.input.0;
        let included = input.len() + execution.output.as_ref().map_or(0, String::len) <= EVENT_DATA_BYTES;
        let detail = json!({
            "executionArn": execution.arn,
            "stateMachineArn": execution.machine.state_machine_arn,
            "name": execution.name,
            "status": execution.status.name(),
            "startDate": execution.started_at.as_millisecond(),
            "stopDate": execution.stopped_at.map(Timestamp::as_millisecond),
            "input": included.then_some(input),
            "inputDetails": {"included": included},
            "output": execution.output.as_ref().filter(|_| included),
            "outputDetails": execution.output.as_ref().map(|_| json!({"included": included})),
            "error": execution.failure.as_ref().map(|failure| &failure.error),
            "cause": execution.failure.as_ref().and_then(|failure| failure.cause.as_ref()),
            "stateMachineVersionArn": null,
            "stateMachineAliasArn": null,
            "redriveCount": 0,
            "redriveDate": null,
        });
        let resources = [execution.arn.clone()];
        self.kernel.emit(
            "aws.states",
            "Step Functions Execution Status Change",
            &resources,
            detail,
        );
    }
}
