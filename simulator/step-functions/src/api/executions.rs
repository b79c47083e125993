//! Executions and their histories.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use simulator_kernel::{ApiError, Kernel};

use super::input::{Input, validation};
use crate::StepFunctions;
use crate::execution::{Execution, Status};
use crate::history::{History, epoch_seconds};
use crate::names;
use crate::retry::Failure;

/// The longest name of an error and the longest cause, in characters.
const ERROR_LENGTH: (usize, usize) = (256, 32_768);

impl StepFunctions {
    pub(super) fn start_execution(&mut self, input: &Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        input.only(&["stateMachineArn", "name", "input"])?;
        let revision = Arc::clone(&self.machine(input)?.revision);
        let text = input.text("input")?.unwrap_or("{}");
        if text.len() > self.settings.payload_bytes {
            return Err(validation(format!(
                "`input` must have at most {} bytes",
                self.settings.payload_bytes
            )));
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ApiError::client("InvalidExecutionInput", format!("`input` is not JSON: {error}")))?;
        let name = match input.text("name")? {
            Some(name) => name.to_owned(),
            None => kernel.uuid(),
        };
        names::check_name(&name)?;
        let arn = names::execution_arn(kernel, &revision.name, &name);
        if let Some(existing) = self.executions.get(&arn) {
            return if existing.status == Status::Running && existing.input.0 == text {
                Ok(json!({"executionArn": arn, "startDate": epoch_seconds(existing.started_at)}))
            } else {
                Err(ApiError::client(
                    "ExecutionAlreadyExists",
                    format!("there is an execution `{arn}` already"),
                ))
            };
        }
        let execution = Execution {
            arn: arn.clone(),
            name,
            machine: revision,
            input: (text.to_owned(), value),
            status: Status::Running,
            started_at: kernel.now(),
            stopped_at: None,
            output: None,
            failure: None,
            branches: BTreeMap::new(),
            next_branch: 1,
            history: History::new(self.settings.history_events),
            path: Vec::new(),
            transitions: 0,
            timeout: None,
        };
        let answer = json!({"executionArn": arn, "startDate": epoch_seconds(execution.started_at)});
        self.executions.insert(arn.clone(), execution);
        self.started.push(arn.clone());
        if let Some(interpreter) = self.interpreter(&arn, kernel) {
            interpreter.start();
        }
        Ok(answer)
    }

    pub(super) fn describe_execution(&self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&["executionArn"])?;
        let execution = self.execution(input)?;
        let mut answer = summary(execution);
        answer.insert("input".to_owned(), execution.input.0.clone().into());
        answer.insert("inputDetails".to_owned(), json!({"included": true}));
        if let Some(output) = &execution.output {
            answer.insert("output".to_owned(), output.clone().into());
            answer.insert("outputDetails".to_owned(), json!({"included": true}));
        }
        if let Some(failure) = &execution.failure {
            answer.extend(crate::history::failure(failure));
        }
        answer.insert("redriveStatus".to_owned(), "NOT_REDRIVABLE".into());
        answer.insert(
            "redriveStatusReason".to_owned(),
            "the simulated AWS does not implement redrive".into(),
        );
        Ok(answer.into())
    }

    pub(super) fn list_executions(&self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&["stateMachineArn", "statusFilter", "maxResults", "nextToken"])?;
        let machine = &self.machine(input)?.revision.state_machine_arn;
        let filter = input.text("statusFilter")?;
        if let Some(name) = filter
            && ![
                "RUNNING",
                "SUCCEEDED",
                "FAILED",
                "TIMED_OUT",
                "ABORTED",
                "PENDING_REDRIVE",
            ]
            .contains(&name)
        {
            return Err(validation(format!("`{name}` is not the status of an execution")));
        }
        let items = self
            .started
            .iter()
            .rev()
            .filter_map(|arn| self.executions.get(arn))
            .filter(|execution| execution.machine.state_machine_arn == *machine)
            .filter(|execution| filter.is_none_or(|name| execution.status.name() == name))
            .map(|execution| Value::Object(summary(execution)));
        input.page("executions", items.collect())
    }

    pub(super) fn stop_execution(&mut self, input: &Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        input.only(&["executionArn", "error", "cause"])?;
        let failure = failure(input)?;
        let execution = self.execution(input)?;
        let (arn, running) = (execution.arn.clone(), execution.status == Status::Running);
        if running && let Some(interpreter) = self.interpreter(&arn, kernel) {
            interpreter.stop(failure);
        }
        let stopped_at = self.execution(input)?.stopped_at.unwrap_or(kernel.now());
        Ok(json!({"stopDate": epoch_seconds(stopped_at)}))
    }

    pub(super) fn execution_history(&self, input: &Input<'_>) -> Result<Value, ApiError> {
        input.only(&[
            "executionArn",
            "maxResults",
            "nextToken",
            "reverseOrder",
            "includeExecutionData",
        ])?;
        if input.flag("includeExecutionData")? == Some(false) {
            return Err(ApiError::unsupported("histories without execution data"));
        }
        let mut events = self.execution(input)?.history.events().to_vec();
        if input.flag("reverseOrder")?.unwrap_or(false) {
            events.reverse();
        }
        input.page("events", events)
    }

    /// The execution that the request names.
    pub(super) fn execution(&self, input: &Input<'_>) -> Result<&Execution, ApiError> {
        let arn = input.required("executionArn")?;
        names::check_arn(arn, "execution")?;
        self.executions
            .get(arn)
            .ok_or_else(|| ApiError::client("ExecutionDoesNotExist", format!("there is no execution `{arn}`")))
    }
}

/// `error` and `cause` of a request, if it has one of them.
pub(super) fn failure(input: &Input<'_>) -> Result<Option<Failure>, ApiError> {
    let (error_length, cause_length) = ERROR_LENGTH;
    let error = input.limited("error", error_length)?;
    let cause = input.limited("cause", cause_length)?;
    if error.is_none() && cause.is_none() {
        return Ok(None);
    }
    Ok(Some(Failure {
        error: error.unwrap_or_default().to_owned(),
        cause: cause.map(str::to_owned),
    }))
}

/// The members that descriptions and lists of executions share.
fn summary(execution: &Execution) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("executionArn".to_owned(), execution.arn.clone().into());
    members.insert(
        "stateMachineArn".to_owned(),
        execution.machine.state_machine_arn.clone().into(),
    );
    members.insert("name".to_owned(), execution.name.clone().into());
    members.insert("status".to_owned(), execution.status.name().into());
    members.insert("startDate".to_owned(), epoch_seconds(execution.started_at));
    if let Some(at) = execution.stopped_at {
        members.insert("stopDate".to_owned(), epoch_seconds(at));
    }
    members.insert("redriveCount".to_owned(), 0.into());
    members
}
