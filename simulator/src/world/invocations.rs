//! The bodies of Lambda invocations: futures of this world, or processes beside it.

use std::sync::Arc;

use serde_json::Value;
use simulator_kernel::Place;

use super::{Alarm, Invoked, World};
use crate::executor::{JoinHandle, TaskId};
use crate::lambda::{FunctionError, Invocation, InvocationId, Lambda, Start};
use crate::stdout::{self, Stdout};

/// Runs functions that are programs of their own.
pub(crate) trait ProcessHost: std::fmt::Debug {
    /// Begins an invocation; its end comes as [`crate::mailbox::Arrival::Ended`].
    fn start(&mut self, start: &Start);

    /// Ends an invocation's process.
    fn kill(&mut self, invocation: InvocationId);
}

/// One invocation under way.
pub(super) struct Running {
    /// Where the function is.
    place: Arc<Place>,
    function: String,
    body: Body,
    /// Of an in-process function whose output is kept.
    stdout: Option<Stdout>,
}

enum Body {
    Future(JoinHandle<Result<Value, FunctionError>>),
    Process,
}

impl World {
    pub(super) fn function_of(&self, invocation: InvocationId) -> Option<String> {
        self.running.get(&invocation).map(|running| running.function.clone())
    }

    /// Whether a process works: time must not run away from it. A process that waits for the answer of a call does not
    /// work.
    pub(crate) fn holds_the_clock(&self) -> bool {
        let waiting = self.waiting_invocations();
        self.running
            .iter()
            .any(|(id, running)| matches!(running.body, Body::Process) && !waiting.contains(id))
    }

    /// Begins what Lambda has decided to begin, in every place.
    pub(super) fn start_invocations(&mut self) {
        self.start_invocations_here();
        if self.services.len() > 1 {
            let places: Vec<Arc<Place>> = self.services.keys().cloned().collect();
            for place in places {
                self.kernel.enter(&place);
                self.start_invocations_here();
            }
            self.kernel.go_home();
        }
    }

    fn start_invocations_here(&mut self) {
        let place = Arc::clone(self.kernel.here());
        while let Some(start) = self.service_mut::<Lambda>().and_then(|(lambda, _)| lambda.take_start()) {
            self.set_alarm(start.timeout, Alarm::Deadline(start.id));
            let function = start.function.clone();
            let stdout = self.keeps_function_logs.then(Stdout::default);
            let call = start.caller.and_then(|caller| self.open.get(&caller));
            let record = call.and_then(|open| self.calls.get(open.record));
            let invoked = Invoked {
                payload: start.payload.clone(),
                task: record.and_then(|record| record.task.clone()),
            };
            self.invocations.insert(start.id, invoked);
            let body = match &start.handler {
                Some(handler) => {
                    let principal = match &start.role {
                        Some(role) => self.kernel.role(&place.account, role),
                        None => self.kernel.administrator(),
                    };
                    let deadline = self.now().saturating_add(start.timeout).unwrap_or(jiff::Timestamp::MAX);
                    let invocation = Invocation {
                        request_id: start.request_id.clone(),
                        function_name: start.function.clone(),
                        function_arn: start.arn.clone(),
                        deadline,
                        environment: start.environment.clone(),
                        sdk_config: self.sdk_config(&principal),
                        stdout: stdout.clone(),
                    };
                    let handle = self.executor.spawn(handler(start.payload.clone(), invocation));
                    self.tasks.insert(handle.id(), start.id);
                    Body::Future(handle)
                }
                None => match self.processes.as_mut() {
                    Some(host) => {
                        host.start(&start);
                        Body::Process
                    }
                    None => {
                        self.running.insert(
                            start.id,
                            Running {
                                place: Arc::clone(&place),
                                function,
                                body: Body::Process,
                                stdout,
                            },
                        );
                        let message = format!("no code is registered for the function `{}`", start.function);
                        self.invocation_ended(start.id, Err(FunctionError::new("Runtime.InvalidEntrypoint", message)));
                        continue;
                    }
                },
            };
            let place = Arc::clone(&place);
            let running = Running {
                place,
                function,
                body,
                stdout,
            };
            self.running.insert(start.id, running);
        }
    }

    /// Takes the output of a polled task that is over and was an invocation.
    pub(super) fn collect(&mut self, task: TaskId) {
        let Some(invocation) = self.tasks.get(&task).copied() else {
            return;
        };
        let Some(Running {
            body: Body::Future(handle),
            ..
        }) = self.running.get(&invocation)
        else {
            return;
        };
        if let Some(Ok(result)) = handle.try_take() {
            self.tasks.remove(&task);
            self.invocation_ended(invocation, result);
        }
    }

    pub(super) fn invocation_ended(&mut self, invocation: InvocationId, result: Result<Value, FunctionError>) {
        if let Some(running) = self.running.remove(&invocation) {
            self.kernel.enter(&running.place);
            let written = running.stdout.as_ref().map(Stdout::take).unwrap_or_default();
            for line in written.lines() {
                self.log_line(&running.function, line);
            }
            if let Some((lambda, kernel)) = self.service_mut::<Lambda>() {
                lambda.ended(invocation, result, kernel);
            }
        }
    }

    /// The invocation's process dies where it stands.
    pub(super) fn kill(&mut self, invocation: InvocationId) {
        self.end_body(invocation);
        self.enter_place_of(invocation);
        let request = self
            .service::<Lambda>()
            .and_then(|lambda| lambda.request_id(invocation))
            .unwrap_or_default();
        let message = format!("RequestId: {request} Error: Runtime exited with error: signal: killed");
        self.invocation_ended(invocation, Err(FunctionError::new("Runtime.ExitError", message)));
    }

    pub(super) fn time_out(&mut self, invocation: InvocationId) {
        self.end_body(invocation);
        self.enter_place_of(invocation);
        let error = self.service::<Lambda>().map(|lambda| lambda.timed_out(invocation));
        if let Some(error) = error {
            self.invocation_ended(invocation, Err(error));
        }
    }

    fn enter_place_of(&mut self, invocation: InvocationId) {
        if let Some(running) = self.running.get(&invocation) {
            self.kernel.enter(&running.place);
        }
    }

    fn end_body(&mut self, invocation: InvocationId) {
        match self.running.get(&invocation).map(|running| &running.body) {
            Some(Body::Future(handle)) => {
                let task = handle.id();
                self.tasks.remove(&task);
                self.executor.cancel(task);
            }
            Some(Body::Process) => {
                if let Some(host) = self.processes.as_mut() {
                    host.kill(invocation);
                }
            }
            None => {}
        }
    }

    /// A line that a function wrote goes where Lambda puts it.
    pub(super) fn log_line(&mut self, function: &str, line: &str) {
        if let Some((lambda, kernel)) = self.service_mut::<Lambda>() {
            stdout::write(&lambda.log_group(function), line, kernel);
        }
    }
}
