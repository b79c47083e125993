//! Task states: calls, their answers, task tokens, time-outs and heartbeats.

use std::sync::Arc;

use serde_json::{Value, json};
use simulator_kernel::ApiError;

use super::values::Seen;
use super::{Interpreter, SERVICE};
use crate::definition::{Action, Kind, Resource, Task};
use crate::execution::{Activity, BranchId, Heartbeat, TaskRun, Timer};
use crate::history;
use crate::integration::{self, Call};
use crate::retry::Failure;

impl Interpreter<'_> {
    /// Starts one try of a task.
    pub(super) fn schedule(&mut self, id: BranchId, task: &Task) -> Result<(), Failure> {
        let holder = self.holder(id);
        let token = task
            .resource
            .wait_for_task_token
            .then(|| self.outstanding.tokens.issue(holder, self.kernel));
        let prepared = self.prepare(id, task, token.as_deref());
        let Prepared {
            call,
            parameters,
            timeout_seconds,
            heartbeat_seconds,
        } = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => {
                if let Some(token) = &token {
                    self.outstanding.tokens.close(token);
                }
                return Err(failure);
            }
        };
        self.record_scheduled(id, &task.resource, &parameters, timeout_seconds, heartbeat_seconds);
        let holder = self.holder(id);
        let principal = self.execution.machine.principal.clone();
        let call = self
            .kernel
            .call(SERVICE, call.service, call.operation, call.input, &principal);
        self.outstanding.calls.insert(call, holder.clone());
        let timeout = timeout_seconds.map(|seconds| self.wake_after(seconds, Timer::TaskTimeout(holder.clone())));
        let heartbeat = heartbeat_seconds.map(|seconds| Heartbeat {
            timer: self.wake_after(seconds, Timer::Heartbeat(holder.clone())),
            seconds,
        });
        if let Some(visit) = self
            .execution
            .branches
            .get_mut(&id)
            .and_then(|branch| branch.visit.as_mut())
        {
            visit.activity = Activity::Task(TaskRun {
                call: Some(call),
                token,
                timeout,
                heartbeat,
            });
        }
        Ok(())
    }

    fn prepare(&mut self, id: BranchId, task: &Task, token: Option<&str>) -> Result<Prepared, Failure> {
        let arguments = match &task.arguments {
            Some(template) => self.template(
                id,
                template,
                "Arguments",
                Seen {
                    token,
                    ..Seen::default()
                },
            )?,
            None => self.input(id),
        };
        self.check_size("the arguments of the task", &arguments)?;
        let mut seconds = |quantity: &Option<_>, location: &str| {
            quantity
                .as_ref()
                .map(|quantity| self.quantity(id, quantity, location, 1))
                .transpose()
        };
        Ok(Prepared {
            timeout_seconds: seconds(&task.timeout_seconds, "TimeoutSeconds")?,
            heartbeat_seconds: seconds(&task.heartbeat_seconds, "HeartbeatSeconds")?,
            parameters: arguments.to_string(),
            call: integration::call(&task.resource.action, arguments)?,
        })
    }

    /// The answer to the call of a task.
    pub(crate) fn replied(mut self, id: BranchId, reply: Result<Value, ApiError>) {
        let Some(resource) = self.answered(id) else { return };
        match integration::result(&resource.action, reply) {
            Err(failure) if resource.wait_for_task_token => {
                self.record_failure(
                    id,
                    &resource,
                    "TaskSubmitFailed",
                    "taskSubmitFailedEventDetails",
                    &failure,
                );
                self.fail(id, failure);
            }
            Err(failure) => self.task_failed(id, &resource, failure),
            Ok(result) if resource.wait_for_task_token => {
                let details = output_details(&resource, &result);
                self.record(id, "TaskSubmitted", Some(("taskSubmittedEventDetails", details)));
            }
            Ok(result) => self.task_succeeded(id, &resource, &result),
        }
        self.run();
    }

    /// `SendTaskSuccess` for the open token of a task.
    pub(crate) fn token_succeeded(mut self, id: BranchId, output: &Value) {
        if let Some(resource) = self.resource(id) {
            self.task_succeeded(id, &resource, output);
        }
        self.run();
    }

    /// `SendTaskFailure` for the open token of a task.
    pub(crate) fn token_failed(mut self, id: BranchId, failure: Failure) {
        if let Some(resource) = self.resource(id) {
            self.task_failed(id, &resource, failure);
        }
        self.run();
    }

    /// `SendTaskHeartbeat` for the open token of a task. It makes no history event.
    pub(crate) fn token_beats(&mut self, id: BranchId) {
        let Some(TaskRun {
            heartbeat: Some(heartbeat),
            ..
        }) = self.task_run(id)
        else {
            return;
        };
        let Heartbeat { timer, seconds } = *heartbeat;
        self.outstanding.timers.remove(&timer);
        let holder = self.holder(id);
        let timer = self.wake_after(seconds, Timer::Heartbeat(holder));
        if let Some(run) = self.task_run(id) {
            run.heartbeat = Some(Heartbeat { timer, seconds });
        }
    }

    pub(super) fn task_timed_out(&mut self, id: BranchId, error: &str) {
        let Some(resource) = self.resource(id) else { return };
        let failure = Failure {
            error: error.to_owned(),
            cause: None,
        };
        let (kind, member) = match resource.action {
            Action::LambdaFunction(_) => ("LambdaFunctionTimedOut", "lambdaFunctionTimedOutEventDetails"),
            _ => ("TaskTimedOut", "taskTimedOutEventDetails"),
        };
        self.record_failure(id, &resource, kind, member, &failure);
        self.fail(id, failure);
    }

    /// Forgets everything that one try of a task was waiting for.
    pub(super) fn settle_task(&mut self, run: TaskRun) {
        if let Some(call) = run.call {
            self.outstanding.calls.remove(&call);
        }
        if let Some(token) = run.token {
            self.outstanding.tokens.close(&token);
        }
        for timer in run
            .timeout
            .into_iter()
            .chain(run.heartbeat.map(|heartbeat| heartbeat.timer))
        {
            self.outstanding.timers.remove(&timer);
        }
    }

    fn task_succeeded(&mut self, id: BranchId, resource: &Resource, result: &Value) {
        if let Err(failure) = self.check_size("the result of the task", result) {
            return self.task_failed(id, resource, failure);
        }
        self.settle(id);
        let (kind, member, details) = match resource.action {
            Action::LambdaFunction(_) => {
                let details = json!({"output": result.to_string(), "outputDetails": {"truncated": false}});
                (
                    "LambdaFunctionSucceeded",
                    "lambdaFunctionSucceededEventDetails",
                    details,
                )
            }
            _ => (
                "TaskSucceeded",
                "taskSucceededEventDetails",
                output_details(resource, result),
            ),
        };
        self.record(id, kind, Some((member, details)));
        self.leave_or_fail(id, Some(result));
    }

    fn task_failed(&mut self, id: BranchId, resource: &Resource, failure: Failure) {
        let (kind, member) = match resource.action {
            Action::LambdaFunction(_) => ("LambdaFunctionFailed", "lambdaFunctionFailedEventDetails"),
            _ => ("TaskFailed", "taskFailedEventDetails"),
        };
        self.record_failure(id, resource, kind, member, &failure);
        self.fail(id, failure);
    }

    fn record_scheduled(
        &mut self,
        id: BranchId,
        resource: &Resource,
        parameters: &str,
        timeout_seconds: Option<u64>,
        heartbeat_seconds: Option<u64>,
    ) {
        let mut details = serde_json::Map::new();
        let (kind, member, started) = if let Action::LambdaFunction(function) = &resource.action {
            details.insert("resource".to_owned(), function.clone().into());
            details.insert("input".to_owned(), parameters.into());
            details.insert("inputDetails".to_owned(), json!({"truncated": false}));
            (
                "LambdaFunctionScheduled",
                "lambdaFunctionScheduledEventDetails",
                ("LambdaFunctionStarted", None),
            )
        } else {
            let (resource_type, name) = integration::resource_names(resource);
            details.insert("resourceType".to_owned(), resource_type.into());
            details.insert("resource".to_owned(), name.clone().into());
            details.insert("region".to_owned(), self.kernel.region().into());
            details.insert("parameters".to_owned(), parameters.into());
            if let Some(seconds) = heartbeat_seconds {
                details.insert("heartbeatInSeconds".to_owned(), seconds.into());
            }
            let started = (
                "taskStartedEventDetails",
                json!({"resourceType": resource_type, "resource": name}),
            );
            (
                "TaskScheduled",
                "taskScheduledEventDetails",
                ("TaskStarted", Some(started)),
            )
        };
        if let Some(seconds) = timeout_seconds {
            details.insert("timeoutInSeconds".to_owned(), seconds.into());
        }
        self.record(id, kind, Some((member, details.into())));
        self.record(id, started.0, started.1);
    }

    fn record_failure(
        &mut self,
        id: BranchId,
        resource: &Resource,
        kind: &str,
        member: &'static str,
        failure: &Failure,
    ) {
        let mut details = history::failure(failure);
        if !matches!(resource.action, Action::LambdaFunction(_)) {
            let (resource_type, name) = integration::resource_names(resource);
            details.insert("resourceType".to_owned(), resource_type.into());
            details.insert("resource".to_owned(), name.into());
        }
        self.record(id, kind, Some((member, details.into())));
    }

    /// Notes that the call of a task is over, and says what was called.
    fn answered(&mut self, id: BranchId) -> Option<Resource> {
        self.task_run(id)?.call = None;
        self.resource(id)
    }

    fn task_run(&mut self, id: BranchId) -> Option<&mut TaskRun> {
        match &mut self.execution.branches.get_mut(&id)?.visit.as_mut()?.activity {
            Activity::Task(run) => Some(run),
            _ => None,
        }
    }

    fn resource(&self, id: BranchId) -> Option<Resource> {
        let state = Arc::clone(&self.visit(id)?.state);
        match &state.kind {
            Kind::Task(task) => Some(task.resource.clone()),
            _ => None,
        }
    }
}

/// What one try of a task needs before it can be made.
struct Prepared {
    call: Call,
    parameters: String,
    timeout_seconds: Option<u64>,
    heartbeat_seconds: Option<u64>,
}

fn output_details(resource: &Resource, output: &Value) -> Value {
    let (resource_type, name) = integration::resource_names(resource);
    json!({
        "resourceType": resource_type,
        "resource": name,
        "output": output.to_string(),
        "outputDetails": {"truncated": false},
    })
}
