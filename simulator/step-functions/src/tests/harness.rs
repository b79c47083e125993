//! A world with one service: Lambdas answer from a script, timers fire in order.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{
    ApiError, CallId, Effect, Kernel, Outgoing, Principal, Reply, Request, RequestId, Service, TimerId,
};

use crate::{Settings, StepFunctions};

pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/release";
pub(super) const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:m";
pub(super) const INVOKE: &str = "arn:aws:states:::lambda:invoke";
pub(super) const CALLBACK: &str = "arn:aws:states:::lambda:invoke.waitForTaskToken";

/// What a Lambda does when it is invoked.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Returns what it was given.
    Echo,
    Returns(Value),
    Throws(&'static str),
    /// The Lambda service refuses.
    Refuses(&'static str),
    /// Returns `null` after so many seconds.
    After(i64),
    Never,
}

#[derive(Debug)]
pub(super) struct Harness {
    pub(super) kernel: Kernel,
    pub(super) states: StepFunctions,
    /// The answers of each function in order; the last one repeats.
    lambdas: BTreeMap<String, Vec<Answer>>,
    late: BTreeMap<TimerId, CallId>,
    pub(super) calls: Vec<Outgoing>,
    pub(super) events: Vec<Value>,
}

impl Harness {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self {
            kernel: Kernel::new("123456789012", "us-east-1", "2026-11-02T09:00:00Z".parse().unwrap(), 7),
            states: StepFunctions::new(settings),
            lambdas: BTreeMap::new(),
            late: BTreeMap::new(),
            calls: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn lambda(mut self, name: &str, answers: &[Answer]) -> Self {
        self.lambdas.insert(name.to_owned(), answers.to_vec());
        self
    }

    pub(super) fn call(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let request = Request {
            access_key_id: None,
            id: RequestId(1),
            operation: operation.to_owned(),
            input,
            principal: Principal::Administrator,
        };
        match self.states.call(&request, &mut self.kernel) {
            Reply::Now(result) => result,
            Reply::Later => panic!("states answers at once"),
        }
    }

    pub(super) fn create(&mut self, states: &Value) {
        let definition = json!({"QueryLanguage": "JSONata", "StartAt": "A", "States": states});
        self.create_definition(&definition);
    }

    pub(super) fn create_definition(&mut self, definition: &Value) {
        self.call(
            "CreateStateMachine",
            json!({"name": "m", "definition": definition.to_string(), "roleArn": ROLE}),
        )
        .unwrap();
    }

    /// Starts an execution named `x` and lets everything happen that can happen without time passing.
    pub(super) fn start(&mut self, input: &Value) -> String {
        let request = json!({"stateMachineArn": MACHINE, "name": "x", "input": input.to_string()});
        let answer = self.call("StartExecution", request).unwrap();
        self.settle();
        answer["executionArn"].as_str().unwrap().to_owned()
    }

    /// Creates, starts and runs to the end.
    pub(super) fn execute(&mut self, states: &Value, input: &Value) -> Ended {
        self.create(states);
        let arn = self.start(input);
        self.run();
        self.ended(&arn)
    }

    pub(super) fn ended(&mut self, arn: &str) -> Ended {
        let description = self.call("DescribeExecution", json!({"executionArn": arn})).unwrap();
        let text = |name: &str| {
            description
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Ended {
            status: text("status"),
            output: serde_json::from_str(&text("output")).unwrap_or_default(),
            error: text("error"),
            cause: text("cause"),
            path: self.states.path(arn),
        }
    }

    pub(super) fn history(&mut self, arn: &str) -> Vec<Value> {
        let answer = self
            .call("GetExecutionHistory", json!({"executionArn": arn, "maxResults": 1000}))
            .unwrap();
        answer["events"].as_array().unwrap().clone()
    }

    pub(super) fn types(&mut self, arn: &str) -> Vec<String> {
        self.history(arn)
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The only open token.
    pub(super) fn token(&self) -> String {
        let tokens = self.states.open_tokens();
        assert_eq!(tokens.len(), 1);
        tokens[0].token.clone()
    }

    pub(super) fn elapsed_seconds(&self) -> f64 {
        let start: Timestamp = "2026-11-02T09:00:00Z".parse().unwrap();
        self.kernel.now().duration_since(start).as_secs_f64()
    }

    /// Until every execution has ended.
    pub(super) fn run(&mut self) {
        self.settle();
        while self
            .states
            .executions()
            .iter()
            .any(|arn| self.states.status(arn) == Some(crate::Status::Running))
        {
            assert!(self.step(), "the execution waits for ever");
        }
    }

    pub(super) fn run_for(&mut self, seconds: i64) {
        let end = self.kernel.now() + SignedDuration::from_secs(seconds);
        self.settle();
        while self.kernel.next_due().is_some_and(|due| due <= end) {
            self.step();
        }
        self.kernel.move_clock(end);
    }

    fn step(&mut self) -> bool {
        let Some(due) = self.kernel.take_due() else {
            return false;
        };
        if let Some(call) = self.late.remove(&due.timer) {
            self.states
                .replied(call, Ok(json!({"StatusCode": 200, "Payload": null})), &mut self.kernel);
        } else {
            self.states.wake(due.timer, &mut self.kernel);
        }
        self.settle();
        true
    }

    pub(super) fn settle(&mut self) {
        while let Some(effect) = self.kernel.take_effect() {
            match effect {
                Effect::Event(event) => self.events.push(event),
                Effect::Call(call) => self.dispatch(call),
                Effect::Answer(..) | Effect::Session(_) => panic!("states answers at once and opens no session"),
            }
        }
    }

    fn dispatch(&mut self, call: Outgoing) {
        if call.service == "states" {
            let result = self.call(&call.operation, call.input.clone());
            self.states.replied(call.id, result, &mut self.kernel);
            self.calls.push(call);
            return;
        }
        assert_eq!((call.service.as_str(), call.operation.as_str()), ("lambda", "Invoke"));
        let function = call.input["FunctionName"].as_str().unwrap();
        let script = self
            .lambdas
            .get_mut(function)
            .unwrap_or_else(|| panic!("no script for `{function}`"));
        let answer = if script.len() > 1 {
            script.remove(0)
        } else {
            script[0].clone()
        };
        let returned = |payload: Value| Some(Ok(json!({"StatusCode": 200, "Payload": payload})));
        let result = match answer {
            Answer::Echo => returned(call.input["Payload"].clone()),
            Answer::Returns(payload) => returned(payload),
            Answer::Throws(error) => Some(Ok(json!({
                "StatusCode": 200,
                "FunctionError": "Unhandled",
                "Payload": {"errorType": error, "errorMessage": "no"},
            }))),
            Answer::Refuses(code) => Some(Err(ApiError::client(code, "no"))),
            Answer::After(seconds) => {
                let timer = self.kernel.wake_after(SignedDuration::from_secs(seconds), "lambda");
                self.late.insert(timer, call.id);
                None
            }
            Answer::Never => None,
        };
        if let Some(result) = result {
            self.states.replied(call.id, result, &mut self.kernel);
        }
        self.calls.push(call);
    }
}

/// How an execution ended.
#[derive(Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) status: String,
    pub(super) output: Value,
    pub(super) error: String,
    pub(super) cause: String,
    pub(super) path: Vec<String>,
}

/// A Task state that invokes `function` with the state's input, with `more` fields.
pub(super) fn task(function: &str, more: &Value) -> Value {
    with(
        json!({"Type": "Task", "Resource": INVOKE, "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"}}),
        more,
    )
}

/// A Task state that hands its token to `function`, with `more` fields.
pub(super) fn callback(function: &str, more: &Value) -> Value {
    let payload = json!({"token": "{% $states.context.Task.Token %}"});
    with(
        json!({"Type": "Task", "Resource": CALLBACK, "Arguments": {"FunctionName": function, "Payload": payload}}),
        more,
    )
}

pub(super) fn with(mut state: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        state[name] = value.clone();
    }
    state
}
