//! JSONata expressions as Step Functions evaluates them.
//!
//! Follows "Transforming data with JSONata in Step Functions": JSONata 2.0.6 without `$eval`, with `$partition`,
//! `$range`, `$hash`, `$random` with a seed, `$uuid` and `$parse`, and no value at the top level but `$states` and the
//! workflow's variables.

mod functions;
mod references;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jsonata_core::ast::AstNode;
use jsonata_core::evaluator::{Context, Evaluator};
use jsonata_core::parser;
use jsonata_core::value::JValue;
use serde_json::{Map, Number, Value};

pub use references::References;

/// The values of workflow variables, by name without `$`.
pub(crate) type Variables = BTreeMap<String, Value>;

/// One `{% … %}` expression: checked, ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    source: String,
    tree: AstNode,
    references: References,
}

impl Expression {
    /// Reads the text between `{%` and `%}`.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence: not JSONata, or JSONata that Step Functions does not have.
    pub fn parse(source: &str) -> Result<Self, String> {
        let source = source.trim();
        let tree = parser::parse(source).map_err(|error| format!("`{source}` is not JSONata: {error}"))?;
        let references = References::of(&tree).map_err(|reason| format!("`{source}`: {reason}"))?;
        Ok(Self {
            source: source.to_owned(),
            tree,
            references,
        })
    }

    /// The text between `{%` and `%}`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the expression reads from outside itself.
    #[must_use]
    pub fn references(&self) -> &References {
        &self.references
    }
}

/// Everything that the expressions of one field can see.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// The value of `$states`.
    pub(crate) states: Value,
    /// Variables of the enclosing scopes and of the own one, inner ones last.
    pub(crate) variables: [&'a Variables; 2],
    /// The value of `$now()`.
    pub(crate) now: Timestamp,
    /// Feeds `$random()`, `$shuffle()` and `$uuid()`.
    pub(crate) rng: fastrand::Rng,
}

/// Evaluates expressions within one scope. Its values are not `Send`, so it lives only as long as one step of the
/// interpreter.
pub(crate) struct Evaluation {
    evaluator: Evaluator,
}

impl Evaluation {
    /// Binds what the scope holds.
    pub(crate) fn new(scope: Scope<'_>) -> Result<Self, String> {
        let mut context = Context::new();
        for (name, value) in scope.variables.into_iter().flatten() {
            context.bind(name.clone(), JValue::from(value.clone()));
        }
        context.bind("states".to_owned(), JValue::from(scope.states));
        let mut evaluator = Evaluator::with_context(context);
        functions::register(&mut evaluator, scope.now, scope.rng).map_err(|error| error.to_string())?;
        Ok(Self { evaluator })
    }

    /// The value of an expression, or why there is none.
    pub(crate) fn evaluate(&mut self, expression: &Expression) -> Result<Value, String> {
        let value = self
            .evaluator
            .evaluate(&expression.tree, &JValue::Undefined)
            .map_err(|error| {
                format!(
                    "the JSONata expression `{}` failed: {}",
                    expression.source,
                    error.message()
                )
            })?;
        if value.is_undefined() {
            return Err(format!(
                "the JSONata expression `{}` returned nothing (undefined)",
                expression.source
            ));
        }
        to_json(&value).map_err(|reason| format!("the JSONata expression `{}` returned {reason}", expression.source))
    }
}

/// A JSONata value as JSON: whole numbers without a fraction, as Step Functions writes them.
fn to_json(value: &JValue) -> Result<Value, &'static str> {
    match value {
        JValue::Null => Ok(Value::Null),
        JValue::Bool(value) => Ok(Value::Bool(*value)),
        JValue::Number(number) => match value.as_i64() {
            Some(whole) => Ok(Value::Number(whole.into())),
            None => Number::from_f64(*number)
                .map(Value::Number)
                .ok_or("a number that JSON cannot hold"),
        },
        JValue::String(text) => Ok(Value::String(text.to_string())),
        JValue::Array(items) => items.iter().map(to_json).collect::<Result<_, _>>().map(Value::Array),
        JValue::Object(members) => members
            .iter()
            .filter(|(_, member)| !member.is_undefined())
            .map(|(name, member)| Ok((name.clone(), to_json(member)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
        JValue::Undefined => Err("an array with an undefined item"),
        JValue::Lambda(_) | JValue::Builtin { .. } => Err("a function"),
        JValue::Regex { .. } => Err("a regular expression"),
    }
}

#[cfg(test)]
mod tests;
