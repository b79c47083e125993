//! What the simulator knows about one execution.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use simulator_kernel::{CallId, Principal, TimerId};

use crate::definition::{Definition, Flow, State};
use crate::expression::Variables;
use crate::history::History;
use crate::retry::Failure;
use crate::tokens::Tokens;

/// One revision of a state machine. Executions keep the one they were started with.
#[derive(Debug)]
pub(crate) struct Revision {
    pub(crate) state_machine_arn: String,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) definition: Definition,
    pub(crate) role_arn: String,
    pub(crate) principal: Principal,
    /// The first revision has none.
    pub(crate) revision_id: Option<String>,
    pub(crate) updated_at: Timestamp,
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not ended yet.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended by an error that nothing caught, or by a Fail state.
    Failed,
    /// Ended by its time-out.
    TimedOut,
    /// Ended by `StopExecution`.
    Aborted,
}

impl Status {
    /// As the API writes it, such as `TIMED_OUT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
        }
    }
}

/// One run of a state machine.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) machine: Arc<Revision>,
    /// The input as it was sent, which idempotency compares, and as a value.
    pub(crate) input: (String, Value),
    pub(crate) status: Status,
    pub(crate) started_at: Timestamp,
    pub(crate) stopped_at: Option<Timestamp>,
    pub(crate) output: Option<String>,
    pub(crate) failure: Option<Failure>,
    pub(crate) branches: BTreeMap<BranchId, Branch>,
    pub(crate) next_branch: u64,
    pub(crate) history: History,
    /// The names of the entered states, in order.
    pub(crate) path: Vec<String>,
    /// Entered states and retries.
    pub(crate) transitions: u64,
    pub(crate) timeout: Option<TimerId>,
}

/// Names one branch within an execution: the top level or one branch or iteration inside a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BranchId(pub(crate) u64);

impl BranchId {
    /// The top level.
    pub(crate) const ROOT: Self = Self(0);
}

/// A thread of control through one flow.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) parent: Option<Parent>,
    pub(crate) flow: Arc<Flow>,
    /// Variables of the enclosing scopes: readable, not assignable.
    pub(crate) outer: Variables,
    /// Variables of this scope.
    pub(crate) variables: Variables,
    /// Index and value of the innermost Map item around.
    pub(crate) item: Option<(usize, Value)>,
    /// The state that is running.
    pub(crate) visit: Option<Visit>,
    /// The event that the next one follows.
    pub(crate) last_event: u64,
}

/// The state that a branch runs inside of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parent {
    pub(crate) branch: BranchId,
    /// The place of the branch's output among the results.
    pub(crate) index: usize,
}

/// One stay in a state, over all its retries.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) name: String,
    pub(crate) state: Arc<State>,
    pub(crate) input: Value,
    pub(crate) entered_at: Timestamp,
    pub(crate) entered_event: u64,
    /// How often each retrier was used.
    pub(crate) retries: Vec<u64>,
    pub(crate) activity: Activity,
}

/// What a state waits for.
#[derive(Debug)]
pub(crate) enum Activity {
    /// Nothing.
    Idle,
    /// The answer to a call or the return of a token.
    Task(TaskRun),
    /// The end of a wait, or of the pause before a retry.
    Pause(TimerId),
    /// Branches or iterations.
    Children(Children),
}

/// One try of a Task state.
#[derive(Debug)]
pub(crate) struct TaskRun {
    pub(crate) call: Option<CallId>,
    pub(crate) token: Option<String>,
    pub(crate) timeout: Option<TimerId>,
    pub(crate) heartbeat: Option<Heartbeat>,
}

/// When the next heartbeat is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    pub(crate) timer: TimerId,
    pub(crate) seconds: u64,
}

/// The branches of a Parallel state or the iterations of a Map state.
#[derive(Debug)]
pub(crate) struct Children {
    /// What each is to run, with its input and its Map item.
    pub(crate) planned: Vec<Planned>,
    /// How many of the planned were started.
    pub(crate) started: usize,
    /// How many may run at once.
    pub(crate) concurrency: usize,
    /// The running ones.
    pub(crate) running: Vec<BranchId>,
    /// Outputs in the order of the planned.
    pub(crate) results: Vec<Option<Value>>,
}

/// A branch or iteration before it starts.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) flow: Arc<Flow>,
    pub(crate) input: Value,
    /// The item of a Map state; `None` in a Parallel state.
    pub(crate) item: Option<Value>,
}

/// A branch of an execution, as timers, calls and tokens refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) execution: String,
    pub(crate) branch: BranchId,
}

/// What a timer of this service is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The execution's `TimeoutSeconds`, or its longest life.
    Execution(String),
    /// A Wait state is over.
    Wait(Holder),
    /// A state is to be tried again.
    Retry(Holder),
    /// A Task state's `TimeoutSeconds`.
    TaskTimeout(Holder),
    /// A Task state's `HeartbeatSeconds`.
    Heartbeat(Holder),
}

/// Everything that is under way on behalf of executions. What is not in here any more is ignored when it comes back.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    pub(crate) timers: BTreeMap<TimerId, Timer>,
    pub(crate) calls: BTreeMap<CallId, Holder>,
    pub(crate) tokens: Tokens,
}
