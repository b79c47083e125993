//! A world of one service: answers its calls as a test says.

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Effect, Kernel, Outgoing, Principal, Reply, Request, RequestId, Service};

pub(crate) const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:intake";
pub(crate) const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:release";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/start-release";
pub(crate) const QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:letters";

pub(crate) struct World<S> {
    pub(crate) kernel: Kernel,
    pub(crate) service: S,
    /// Every call the service made, with the second it was made at.
    pub(crate) calls: Vec<(i64, Outgoing)>,
}

impl<S: Service> World<S> {
    pub(crate) fn new(service: S) -> Self {
        let kernel = Kernel::new("123456789012", "us-east-1", "2026-11-02T09:00:00Z".parse().unwrap(), 7);
        Self {
            kernel,
            service,
            calls: Vec::new(),
        }
    }

    pub(crate) fn call(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let principal = Principal::Administrator;
        let request = Request {
            access_key_id: None,
            id: RequestId(1),
            operation: operation.to_owned(),
            input,
            principal,
        };
        match self.service.call(&request, &mut self.kernel) {
            Reply::Now(result) => result,
            Reply::Later => panic!("{operation} answers later"),
        }
    }

    pub(crate) fn event(&mut self, event: &Value) {
        self.service.event(event, &mut self.kernel);
    }

    /// Carries out calls and timers for so many seconds; `answer` speaks for the called services.
    pub(crate) fn run(&mut self, seconds: i64, mut answer: impl FnMut(&Outgoing) -> Result<Value, ApiError>) {
        let end = self.kernel.now() + jiff::SignedDuration::from_secs(seconds);
        loop {
            if let Some(effect) = self.kernel.take_effect() {
                let Effect::Call(call) = effect else {
                    panic!("unexpected {effect:?}")
                };
                let result = answer(&call);
                self.calls.push((self.kernel.now().as_second(), call.clone()));
                self.service.replied(call.id, result, &mut self.kernel);
            } else if self.kernel.next_due().is_some_and(|due| due <= end) {
                let due = self.kernel.take_due().unwrap();
                self.service.wake(due.timer, &mut self.kernel);
            } else {
                self.kernel.move_clock(end);
                return;
            }
        }
    }

    pub(crate) fn run_well(&mut self, seconds: i64) {
        self.run(seconds, |_| Ok(json!({})));
    }

    pub(crate) fn operations(&self) -> Vec<&str> {
        self.calls.iter().map(|(_, call)| call.operation.as_str()).collect()
    }
}
