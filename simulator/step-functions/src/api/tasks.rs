//! The return of task tokens.

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Kernel};

use super::executions::failure;
use super::input::{Input, validation};
use crate::StepFunctions;
use crate::execution::Holder;
use crate::retry::{Failure, TASK_FAILED};

/// The longest token, in characters.
const TOKEN_LENGTH: usize = 2048;

impl StepFunctions {
    pub(super) fn send_task_success(&mut self, input: &Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        input.only(&["taskToken", "output"])?;
        let text = input.required("output")?;
        if text.len() > self.settings.payload_bytes {
            let message = format!("`output` must have at most {} bytes", self.settings.payload_bytes);
            return Err(ApiError::client("InvalidOutput", message));
        }
        let output: Value = serde_json::from_str(text)
            .map_err(|error| ApiError::client("InvalidOutput", format!("`output` is not JSON: {error}")))?;
        let holder = self.holder(input)?;
        if let Some(interpreter) = self.interpreter(&holder.execution, kernel) {
            interpreter.token_succeeded(holder.branch, &output);
        }
        Ok(json!({}))
    }

    pub(super) fn send_task_failure(&mut self, input: &Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        input.only(&["taskToken", "error", "cause"])?;
        let mut failure = failure(input)?.unwrap_or(Failure {
            error: String::new(),
            cause: None,
        });
        if failure.error.is_empty() {
            failure.error = TASK_FAILED.to_owned();
        }
        let holder = self.holder(input)?;
        if let Some(interpreter) = self.interpreter(&holder.execution, kernel) {
            interpreter.token_failed(holder.branch, failure);
        }
        Ok(json!({}))
    }

    pub(super) fn send_task_heartbeat(&mut self, input: &Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        input.only(&["taskToken"])?;
        let holder = self.holder(input)?;
        if let Some(mut interpreter) = self.interpreter(&holder.execution, kernel) {
            interpreter.token_beats(holder.branch);
        }
        Ok(json!({}))
    }

    fn holder(&self, input: &Input<'_>) -> Result<Holder, ApiError> {
        let token = input.required("taskToken")?;
        if !(1..=TOKEN_LENGTH).contains(&token.chars().count()) {
            return Err(validation(format!(
                "`taskToken` must have 1 to {TOKEN_LENGTH} characters"
            )));
        }
        self.outstanding.tokens.holder(token)
    }
}
