//! What expressions see, and what becomes of their values.

use serde_json::{Map, Value, json};

use super::Interpreter;
use crate::definition::{Assign, Quantity};
use crate::execution::BranchId;
use crate::expression::{Evaluation, Scope, Variables};
use crate::history::iso_time;
use crate::retry::{DATA_LIMIT_EXCEEDED, Failure};
use crate::template::{Template, Unevaluated};

/// The longest wait or time-out in seconds.
const MAX_SECONDS: u64 = 99_999_999;

/// What a state hands on when it is left.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) output: Value,
    pub(super) assigned: Variables,
}

/// The parts of `$states` that are there only in some fields.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen<'a> {
    pub(super) result: Option<&'a Value>,
    pub(super) error_output: Option<&'a Value>,
    pub(super) token: Option<&'a str>,
    pub(super) item: Option<(usize, &'a Value)>,
}

impl Interpreter<'_> {
    /// Evaluates `Assign` and `Output` of a way out of the current state: both see the variables as they were on entry.
    pub(super) fn exit(
        &mut self,
        id: BranchId,
        assign: &Assign,
        output: Option<&Template>,
        result: Option<&Value>,
        error_output: Option<&Value>,
    ) -> Result<Exit, Failure> {
        let mut fields: Vec<(String, &Template)> = assign
            .iter()
            .map(|(name, template)| (format!("Assign/{name}"), template))
            .collect();
        fields.extend(output.map(|template| ("Output".to_owned(), template)));
        let seen = Seen {
            result,
            error_output,
            ..Seen::default()
        };
        let mut values = self.templates(id, &fields, seen)?.into_iter();
        let assigned: Variables = assign.keys().cloned().zip(values.by_ref()).collect();
        if !assigned.is_empty() {
            self.check_size("the assigned variables", &json!(assigned))?;
        }
        let output = match (values.next(), result.or(error_output)) {
            (Some(output), _) => output,
            (None, Some(value)) => value.clone(),
            (None, None) => self.input(id),
        };
        self.check_size("the output of the state", &output)?;
        Ok(Exit { output, assigned })
    }

    /// The value of one field of the current state.
    pub(super) fn template(
        &mut self,
        id: BranchId,
        template: &Template,
        location: &str,
        seen: Seen<'_>,
    ) -> Result<Value, Failure> {
        let mut values = self.templates(id, &[(location.to_owned(), template)], seen)?;
        Ok(values.pop().unwrap_or_default())
    }

    /// The values of several fields, which all see the same.
    fn templates(
        &mut self,
        id: BranchId,
        fields: &[(String, &Template)],
        seen: Seen<'_>,
    ) -> Result<Vec<Value>, Failure> {
        if fields.iter().all(|(_, template)| template.expressions().is_empty()) {
            return Ok(fields.iter().map(|(_, template)| template.literal()).collect());
        }
        let first = fields.first().map(|(location, _)| location.clone()).unwrap_or_default();
        let evaluated = Evaluation::new(self.scope(id, seen))
            .map_err(|reason| Unevaluated {
                location: first,
                reason,
            })
            .and_then(|mut evaluation| {
                fields
                    .iter()
                    .map(|(location, template)| template.evaluate(&mut evaluation, location))
                    .collect()
            });
        evaluated.map_err(|error: Unevaluated| self.evaluation_failed(id, &error.location, &error.reason))
    }

    /// The value of a field that must be a whole number of at least `least`.
    pub(super) fn quantity(
        &mut self,
        id: BranchId,
        quantity: &Quantity,
        location: &str,
        least: u64,
    ) -> Result<u64, Failure> {
        let number = match quantity {
            Quantity::Literal(number) => Some(*number),
            Quantity::Expression(expression) => {
                let template = Template::Expression(expression.clone());
                self.template(id, &template, location, Seen::default())?.as_u64()
            }
        };
        match number.filter(|number| (least..=MAX_SECONDS).contains(number)) {
            Some(number) => Ok(number),
            None => {
                let reason = format!("must be a whole number between {least} and {MAX_SECONDS}");
                Err(self.evaluation_failed(id, location, &reason))
            }
        }
    }

    /// Refuses what is longer than Step Functions carries.
    pub(super) fn check_size(&self, what: &str, value: &Value) -> Result<(), Failure> {
        let limit = self.settings.payload_bytes;
        if value.to_string().len() <= limit {
            return Ok(());
        }
        Err(Failure::new(
            DATA_LIMIT_EXCEEDED,
            format!("{what} has more than the {limit} bytes that Step Functions carries"),
        ))
    }

    /// The input of the current state.
    pub(super) fn input(&self, id: BranchId) -> Value {
        self.visit(id).map(|visit| visit.input.clone()).unwrap_or_default()
    }

    fn scope(&mut self, id: BranchId, seen: Seen<'_>) -> Scope<'_> {
        let rng = self.kernel.rng().fork();
        let now = self.kernel.now();
        let states = self.states(id, seen);
        const NONE: &Variables = &Variables::new();
        let variables = self
            .execution
            .branches
            .get(&id)
            .map_or([NONE; 2], |branch| [&branch.outer, &branch.variables]);
        Scope {
            states,
            variables,
            now,
            rng,
        }
    }

    fn states(&self, id: BranchId, seen: Seen<'_>) -> Value {
        let mut states = Map::new();
        states.insert("input".to_owned(), self.input(id));
        if let Some(result) = seen.result {
            states.insert("result".to_owned(), result.clone());
        }
        if let Some(error_output) = seen.error_output {
            states.insert("errorOutput".to_owned(), error_output.clone());
        }
        states.insert("context".to_owned(), self.context(id, seen));
        Value::Object(states)
    }

    /// The context object.
    fn context(&self, id: BranchId, seen: Seen<'_>) -> Value {
        let execution = &self.execution;
        let mut context = Map::new();
        context.insert(
            "Execution".to_owned(),
            json!({
                "Id": execution.arn,
                "Input": execution.input.1,
                "Name": execution.name,
                "RoleArn": execution.machine.role_arn,
                "StartTime": iso_time(execution.started_at),
                "RedriveCount": 0,
            }),
        );
        context.insert(
            "StateMachine".to_owned(),
            json!({"Id": execution.machine.state_machine_arn, "Name": execution.machine.name}),
        );
        if let Some(visit) = self.visit(id) {
            context.insert(
                "State".to_owned(),
                json!({
                    "Name": visit.name,
                    "EnteredTime": iso_time(visit.entered_at),
                    "RetryCount": visit.retries.iter().sum::<u64>(),
                }),
            );
        }
        if let Some(token) = seen.token {
            context.insert("Task".to_owned(), json!({"Token": token}));
        }
        let outer_item = execution.branches.get(&id).and_then(|branch| branch.item.as_ref());
        if let Some((index, value)) = seen.item.or(outer_item.map(|(index, value)| (*index, value))) {
            context.insert("Map".to_owned(), json!({"Item": {"Index": index, "Value": value}}));
        }
        Value::Object(context)
    }
}
