//! Reads the fields of one JSON object and insists that all of them are understood.

use serde_json::{Map, Value};

use super::{Assign, DefinitionError, Quantity};
use crate::expression::Expression;
use crate::template::{Template, expression_source};

/// The longest name of a variable, in characters.
const VARIABLE_NAME_LENGTH: usize = 80;

/// An object of a definition while its fields are being taken.
pub(super) struct Fields {
    location: String,
    members: Map<String, Value>,
}

impl Fields {
    pub(super) fn new(location: impl Into<String>, value: Value) -> Result<Self, DefinitionError> {
        let location = location.into();
        match value {
            Value::Object(members) => Ok(Self { location, members }),
            _ => Err(DefinitionError::invalid(location, "must be an object")),
        }
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    pub(super) fn invalid(&self, message: impl Into<String>) -> DefinitionError {
        DefinitionError::invalid(&self.location, message)
    }

    pub(super) fn unsupported(&self, message: impl Into<String>) -> DefinitionError {
        DefinitionError::unsupported(&self.location, message)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.shift_remove(name)
    }

    pub(super) fn required(&mut self, name: &str) -> Result<Value, DefinitionError> {
        self.take(name)
            .ok_or_else(|| self.invalid(format!("field `{name}` is missing")))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, DefinitionError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(format!("field `{name}` must be a string"))),
        }
    }

    pub(super) fn required_text(&mut self, name: &str) -> Result<String, DefinitionError> {
        self.text(name)?
            .ok_or_else(|| self.invalid(format!("field `{name}` is missing")))
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, DefinitionError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.invalid(format!("field `{name}` must be an array"))),
        }
    }

    pub(super) fn integer(&mut self, name: &str, least: u64) -> Result<Option<u64>, DefinitionError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|number| *number >= least) {
                Some(number) => Ok(Some(number)),
                None => Err(self.invalid(format!("field `{name}` must be a whole number of at least {least}"))),
            },
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, DefinitionError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.invalid(format!("field `{name}` must be a number"))),
            },
        }
    }

    pub(super) fn quantity(&mut self, name: &str, least: u64) -> Result<Option<Quantity>, DefinitionError> {
        let source = match self.members.get(name) {
            Some(Value::String(text)) => expression_source(text)
                .map_err(|reason| self.invalid(format!("field `{name}`: {reason}")))?
                .map(str::to_owned),
            _ => None,
        };
        match source {
            Some(source) => {
                self.take(name);
                self.expression(name, &source)
                    .map(|expression| Some(Quantity::Expression(expression)))
            }
            None => Ok(self.integer(name, least)?.map(Quantity::Literal)),
        }
    }

    pub(super) fn condition(&mut self, name: &str) -> Result<Expression, DefinitionError> {
        let text = self.required_text(name)?;
        match expression_source(&text) {
            Ok(Some(source)) => self.expression(name, source),
            Ok(None) => Err(self.invalid(format!("field `{name}` must be an expression: {{% … %}}"))),
            Err(reason) => Err(self.invalid(format!("field `{name}`: {reason}"))),
        }
    }

    fn expression(&self, name: &str, source: &str) -> Result<Expression, DefinitionError> {
        Expression::parse(source).map_err(|reason| self.invalid(format!("field `{name}`: {reason}")))
    }

    pub(super) fn template(&mut self, name: &str) -> Result<Option<Template>, DefinitionError> {
        self.take(name)
            .map(|value| Template::parse(&value).map_err(|reason| self.invalid(format!("field `{name}`: {reason}"))))
            .transpose()
    }

    pub(super) fn assign(&mut self) -> Result<Assign, DefinitionError> {
        let members = match self.take("Assign") {
            None => return Ok(Assign::new()),
            Some(Value::Object(members)) => members,
            Some(_) => return Err(self.invalid("field `Assign` must be an object")),
        };
        members
            .iter()
            .map(|(name, value)| {
                if !is_variable_name(name) {
                    return Err(self.invalid(format!("`{name}` cannot be the name of a variable")));
                }
                let template = Template::parse(value)
                    .map_err(|reason| self.invalid(format!("variable `{name}` of field `Assign`: {reason}")))?;
                Ok((name.clone(), template))
            })
            .collect()
    }

    /// Complains about what nobody took.
    pub(super) fn finish(self) -> Result<(), DefinitionError> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(name) => Err(DefinitionError::unsupported(
                self.location,
                format!("field `{name}` is not supported here"),
            )),
        }
    }
}

/// Letters, digits and `_`, not beginning with a digit. `states` is taken.
fn is_variable_name(name: &str) -> bool {
    name != "states"
        && name.chars().count() <= VARIABLE_NAME_LENGTH
        && name
            .chars()
            .all(|character| character.is_alphanumeric() || character == '_')
        && name.chars().next().is_some_and(|first| !first.is_numeric())
}
