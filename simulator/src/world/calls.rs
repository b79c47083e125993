//! One call: fault, permission, service, answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::Value;
use simulator_kernel::{
    ApiError, Authorization, CallId, INTERNAL, Outgoing, Place, Principal, Reply, Request, RequestId,
};
use simulator_step_functions::{StepFunctions, TaskTry};
use tokio::sync::oneshot;

use super::{Alarm, World};
use crate::fault::{Called, FaultKind, FunctionFault, throttled};
use crate::lambda::{self, FunctionError, InvocationId, Lambda};
use crate::mailbox::{Answered, ClientCall};
use crate::record::{CallOutcome, CallRecord};
use crate::services::{iam, made};

/// Who waits for the answer of a call.
#[derive(Debug)]
pub(super) enum Waiting {
    /// An SDK client or a client of the loopback endpoint.
    Client(oneshot::Sender<Answered>),
    /// A service of a place.
    Service {
        place: Arc<Place>,
        name: String,
        call: CallId,
    },
    /// Nobody: the second of two deliveries.
    Nobody,
}

/// A call on its way to its service.
#[derive(Debug)]
pub(super) struct Undelivered {
    /// Where its service is.
    place: Arc<Place>,
    principal: Principal,
    access_key_id: Option<String>,
    service: String,
    operation: String,
    input: Value,
    source_arn: Option<String>,
    invocation: Option<InvocationId>,
    waiting: Waiting,
    /// The try of a Task state that it is made for.
    task: Option<TaskTry>,
    /// The fault that was chosen for it, to be written down.
    struck: Option<FaultKind>,
    /// The fault that is still to happen.
    fault: Option<FaultKind>,
    /// The fault of the function that it invokes.
    function_fault: Option<FunctionFault>,
}

/// A call that its service has and has not answered.
#[derive(Debug)]
pub(super) struct Open {
    waiting: Waiting,
    /// Which of the calls it is.
    pub(super) record: usize,
    invocation: Option<InvocationId>,
    fault: Option<FaultKind>,
    function_fault: Option<FunctionFault>,
}

impl World {
    pub(super) fn call_from_client(&mut self, call: ClientCall) {
        let ClientCall {
            principal,
            access_key_id,
            region,
            service,
            operation,
            input,
            invocation,
            answer,
        } = call;
        let waiting = Waiting::Client(answer);
        let account = self.kernel.account_of(&principal).to_owned();
        let home = || self.kernel.region().to_owned();
        // IAM is of no Region, and signed for one all the same.
        let region = region.filter(|_| service != iam::NAME).unwrap_or_else(home);
        self.admit(Undelivered {
            place: self.known_place(Place { account, region }),
            principal,
            access_key_id: Some(access_key_id),
            service,
            operation,
            input,
            source_arn: None,
            invocation,
            waiting,
            task: None,
            struck: None,
            fault: None,
            function_fault: None,
        });
    }

    pub(super) fn call_from_service(&mut self, outgoing: Outgoing) {
        let Outgoing {
            place,
            id,
            from,
            service,
            operation,
            input,
            principal,
            source_arn,
        } = outgoing;
        let here = Arc::clone(self.kernel.here());
        let place = place.map_or_else(|| Arc::clone(&here), Arc::new);
        let waiting = Waiting::Service {
            place: here,
            name: from,
            call: id,
        };
        self.admit(Undelivered {
            place,
            principal,
            access_key_id: None,
            service,
            operation,
            input,
            source_arn,
            invocation: None,
            waiting,
            task: None,
            struck: None,
            fault: None,
            function_fault: None,
        });
    }

    /// The place by the name that the world has for it, so that a call costs no more than a count.
    fn known_place(&self, place: Place) -> Arc<Place> {
        match self.services.get_key_value(&place) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(place),
        }
    }

    fn task_try(&self, waiting: &Waiting) -> Option<TaskTry> {
        let Waiting::Service { call, .. } = waiting else {
            return None;
        };
        self.service::<StepFunctions>()?.task_try(*call)
    }

    /// Chooses the fault of a call and sends it on its way.
    fn admit(&mut self, mut call: Undelivered) {
        let function = call.invocation.and_then(|invocation| self.function_of(invocation));
        let task = self.task_try(&call.waiting);
        let called = Called {
            service: &call.service,
            operation: &call.operation,
            principal: &call.principal,
            function: function.as_deref(),
            task: task.as_ref(),
            waits: call
                .input
                .get("InvocationType")
                .is_none_or(|kind| kind == "RequestResponse"),
            payload: call
                .invocation
                .and_then(|invocation| self.invocations.get(&invocation))
                .map(|invoked| &invoked.payload)
                .or_else(|| call.input.get("Payload")),
            at: self.kernel.now(),
        };
        let struck = self.faults.strike(&called).filter(|kind| kind.concerns(&called));
        let function_fault = self.function_faults.strike(&called);
        call.function_fault = function_fault.filter(|_| FunctionFault::concerns(&called));
        call.task = task;
        call.struck.clone_from(&struck);
        match struck {
            Some(FaultKind::Delay(delay)) => self.set_alarm(delay, Alarm::Deliver(Box::new(call))),
            Some(FaultKind::DieBefore) => {
                self.record(&mut call, Vec::new(), CallOutcome::NeverSent);
                if let Some(invocation) = call.invocation {
                    self.kill(invocation);
                }
            }
            fault => {
                call.fault = fault;
                self.deliver(call);
            }
        }
    }

    /// Hands a call to its service, when the caller may make it.
    pub(super) fn deliver(&mut self, mut call: Undelivered) {
        if call.fault == Some(FaultKind::Repeat) {
            let Undelivered {
                place,
                principal,
                access_key_id,
                service,
                operation,
                input,
                source_arn,
                invocation,
                task,
                ..
            } = &call;
            let again = Undelivered {
                place: Arc::clone(place),
                principal: principal.clone(),
                access_key_id: access_key_id.clone(),
                service: service.clone(),
                operation: operation.clone(),
                input: input.clone(),
                source_arn: source_arn.clone(),
                invocation: *invocation,
                waiting: Waiting::Nobody,
                task: task.clone(),
                struck: None,
                fault: None,
                function_fault: None,
            };
            let delay = self.latency();
            self.set_alarm(delay, Alarm::Deliver(Box::new(again)));
            call.fault = None;
        }
        let id = RequestId(self.kernel.next_id());
        let refusal = match &call.fault {
            Some(FaultKind::ErrorBefore(error)) => Some(error.clone()),
            Some(FaultKind::Throttle) => Some(throttled(&call.service)),
            Some(FaultKind::Conflict) => Some(simulator_dynamodb::conflicted(&call.operation, &call.input)),
            _ => None,
        };
        let request = Request {
            id,
            operation: call.operation.clone(),
            input: call.input.clone(),
            principal: call.principal.clone(),
            access_key_id: call.access_key_id.clone(),
        };
        if call.access_key_id.is_some() && call.operation.starts_with(INTERNAL) {
            let error = ApiError::unsupported(format_args!("`{}` of `{}`", call.operation, call.service));
            return self.refuse(call, Vec::new(), error);
        }
        self.kernel.enter(&call.place);
        let Some(services) = self.services.get_mut(&call.place) else {
            let known: Vec<String> = self.services.keys().map(|place| format!("`{place}`")).collect();
            let error = ApiError::unsupported(format_args!("`{}`; there are {}", call.place, known.join(", ")));
            return self.refuse(call, Vec::new(), error);
        };
        let Some(service) = services.get_mut(call.service.as_str()) else {
            let known = services.keys().copied().collect::<Vec<_>>().join("`, `");
            let error = ApiError::unsupported(format_args!("the service `{}`; there are `{known}`", call.service));
            return self.refuse(call, Vec::new(), error);
        };
        let mut authorizations = service.authorizations(&request, &self.kernel);
        if let Some(source) = &call.source_arn {
            for authorization in &mut authorizations {
                authorization
                    .conditions
                    .insert("aws:SourceArn".to_owned(), vec![source.clone()]);
            }
        }
        if let Some(error) = refusal {
            return self.refuse(call, authorizations, error);
        }
        if let Err((action, error)) = self.access.check(&call.principal, &authorizations, &self.kernel) {
            let record = self.record(&mut call, authorizations, CallOutcome::Denied { action });
            let open = Open {
                waiting: call.waiting,
                record,
                invocation: call.invocation,
                fault: None,
                function_fault: None,
            };
            return self.send_answer(open, id, Err(error));
        }
        if let Some(fault) = call.function_fault.clone().filter(FunctionFault::is_before) {
            let (error, rest) = self.function_error(fault, &call.input, id, SignedDuration::ZERO);
            let outcome = CallOutcome::Error {
                code: error.error_type.clone(),
                effect: false,
            };
            let record = self.record(&mut call, authorizations, outcome);
            let open = Open {
                waiting: call.waiting,
                record,
                invocation: call.invocation,
                fault: None,
                function_fault: None,
            };
            return self.send_answer_after(rest, open, id, Ok(lambda::answer(Err(error))));
        }
        let reply = service.call(&request, &mut self.kernel);
        let name = service.name();
        if let Some(made) = made::of(service.as_ref()) {
            self.access.set_made(&call.place, name, made);
        }
        let record = self.record(&mut call, authorizations, CallOutcome::Open);
        self.open.insert(
            id,
            Open {
                waiting: call.waiting,
                record,
                invocation: call.invocation,
                fault: call.fault,
                function_fault: call.function_fault,
            },
        );
        match reply {
            Reply::Now(result) => self.answered(id, result),
            Reply::Later => {}
        }
    }

    fn refuse(&mut self, mut call: Undelivered, authorizations: Vec<Authorization>, error: ApiError) {
        let id = RequestId(self.kernel.next_id());
        let outcome = CallOutcome::Error {
            code: error.code.clone(),
            effect: false,
        };
        let record = self.record(&mut call, authorizations, outcome);
        self.send_answer(
            Open {
                waiting: call.waiting,
                record,
                invocation: call.invocation,
                fault: None,
                function_fault: None,
            },
            id,
            Err(error),
        );
    }

    /// Writes a call down that has reached its service, with everything of it that is not needed any more. Where it
    /// stands.
    fn record(&mut self, call: &mut Undelivered, authorizations: Vec<Authorization>, outcome: CallOutcome) -> usize {
        self.calls.push(CallRecord {
            at: self.kernel.now(),
            place: Arc::clone(&call.place),
            principal: call.principal.clone(),
            function: call.invocation.and_then(|invocation| self.function_of(invocation)),
            invocation: call.invocation,
            task: call.task.take(),
            fault: call.struck.take(),
            function_fault: call.function_fault.clone(),
            service: std::mem::take(&mut call.service),
            operation: std::mem::take(&mut call.operation),
            input: worth_keeping(call.input.take()),
            authorizations,
            outcome,
        });
        self.calls.len() - 1
    }

    /// The service has answered: the fault that belongs after the effect happens now.
    pub(super) fn answered(&mut self, request: RequestId, result: Result<Value, ApiError>) {
        let Some(mut open) = self.open.remove(&request) else {
            return;
        };
        let outcome = match &result {
            Ok(_) => CallOutcome::Success,
            Err(error) => CallOutcome::Error {
                code: error.code.clone(),
                effect: false,
            },
        };
        if let Some(fault) = open.function_fault.take() {
            return self.fail_function(fault, open, request, &result);
        }
        let lost = if result.is_ok() {
            CallOutcome::Lost
        } else {
            outcome.clone()
        };
        match open.fault.take() {
            Some(FaultKind::ErrorAfter(error)) => {
                let effect = result.is_ok();
                self.close(
                    open.record,
                    CallOutcome::Error {
                        code: error.code.clone(),
                        effect,
                    },
                );
                self.send_answer(open, request, Err(error));
            }
            Some(FaultKind::AnswerLost) => {
                self.close(open.record, lost);
                let error = ApiError::server("ConnectionReset", "the connection was reset by the peer");
                match open.waiting {
                    // A dropped sender is a connection that closes without an answer.
                    Waiting::Client(_) | Waiting::Nobody => {}
                    Waiting::Service { .. } => self.send_answer(open, request, Err(error)),
                }
            }
            Some(FaultKind::DieAfter) => {
                self.close(open.record, lost);
                if let Some(invocation) = open.invocation {
                    self.kill(invocation);
                }
            }
            _ => {
                self.close(open.record, outcome);
                self.send_answer(open, request, result);
            }
        }
    }

    /// The function has done everything: it fails now, or when its time is up.
    fn fail_function(
        &mut self,
        fault: FunctionFault,
        open: Open,
        request: RequestId,
        result: &Result<Value, ApiError>,
    ) {
        let Some(record) = self.calls.get(open.record) else {
            return;
        };
        let (input, ran) = (record.input.clone(), self.kernel.now().duration_since(record.at));
        let (error, rest) = self.function_error(fault, &input, request, ran);
        let outcome = CallOutcome::Error {
            code: error.error_type.clone(),
            effect: result.is_ok(),
        };
        self.close(open.record, outcome);
        self.send_answer_after(rest, open, request, Ok(lambda::answer(Err(error))));
    }

    /// How a function that has `ran` for so long fails, and how much later.
    fn function_error(
        &self,
        fault: FunctionFault,
        input: &Value,
        request: RequestId,
        ran: SignedDuration,
    ) -> (FunctionError, SignedDuration) {
        match fault {
            FunctionFault::FailsBefore(error) | FunctionFault::FailsAfter(error) => (error, SignedDuration::ZERO),
            FunctionFault::TimesOutBefore | FunctionFault::TimesOutAfter => {
                let function = input.get("FunctionName").and_then(Value::as_str).unwrap_or_default();
                let seconds = self
                    .service::<Lambda>()
                    .map_or(0, |lambda| lambda.timeout_seconds(function));
                let timeout = SignedDuration::from_secs(seconds.into());
                let error = lambda::timed_out(&format!("{:032x}", request.0), seconds);
                (error, timeout.saturating_sub(ran).max(SignedDuration::ZERO))
            }
        }
    }

    /// The invocations that wait for the answer of a call.
    pub(super) fn waiting_invocations(&self) -> BTreeSet<InvocationId> {
        let under_way = self.alarms.values().filter_map(|alarm| match alarm {
            Alarm::Answer { invocation, .. } => *invocation,
            Alarm::Deliver(call) => call.invocation,
            Alarm::Sleep(_) | Alarm::Deadline(_) => None,
        });
        self.open
            .values()
            .filter_map(|open| open.invocation)
            .chain(under_way)
            .collect()
    }

    fn close(&mut self, record: usize, outcome: CallOutcome) {
        if let Some(record) = self.calls.get_mut(record) {
            record.outcome = outcome;
        }
    }

    fn send_answer(&mut self, open: Open, request: RequestId, result: Result<Value, ApiError>) {
        self.send_answer_after(SignedDuration::ZERO, open, request, result);
    }

    /// Sends an answer that is held back for so long.
    fn send_answer_after(
        &mut self,
        held_back: SignedDuration,
        open: Open,
        request: RequestId,
        result: Result<Value, ApiError>,
    ) {
        let latency = self.latency().saturating_add(held_back);
        let Open {
            waiting: to,
            invocation,
            ..
        } = open;
        self.set_alarm(
            latency,
            Alarm::Answer {
                to,
                request,
                result,
                invocation,
            },
        );
    }

    /// The answer has arrived where it is waited for.
    pub(super) fn hand_over(&mut self, to: Waiting, request: RequestId, result: Result<Value, ApiError>) {
        match to {
            Waiting::Client(sender) => {
                // The caller may have given up or died.
                let _gone = sender.send((format!("{:032x}", request.0), result));
            }
            Waiting::Service { place, name, call } => {
                self.kernel.enter(&place);
                let services = self.services.get_mut(&place);
                if let Some(service) = services.and_then(|services| services.get_mut(name.as_str())) {
                    service.replied(call, result, &mut self.kernel);
                }
            }
            Waiting::Nobody => {}
        }
    }

    /// One way over the network: 1 to 20 ms.
    fn latency(&mut self) -> SignedDuration {
        SignedDuration::from_millis(self.kernel.rng().i64(1..=20))
    }
}

/// An input without the bytes of layers: they are in the registry, and nobody looks for them here.
fn worth_keeping(mut input: Value) -> Value {
    if let Some(members) = input.as_object_mut() {
        members.remove("layerPartBlob");
    }
    input
}
