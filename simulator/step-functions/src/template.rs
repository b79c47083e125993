//! Values of a definition in which `{% … %}` stands for what an expression gives.

use serde_json::{Map, Value};

use crate::expression::{Evaluation, Expression};

/// A JSON value of a definition. A string that is `{% … %}` from end to end is an expression, anywhere but in the keys
/// of objects.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// Stays as it is.
    Literal(Value),
    /// Is evaluated when the field is.
    Expression(Expression),
    /// Items in order.
    Array(Vec<Template>),
    /// Members in the order they are written.
    Object(Vec<(String, Template)>),
}

/// Why a template has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unevaluated {
    /// Where in the state, such as `Arguments/Payload`.
    pub(crate) location: String,
    /// What went wrong.
    pub(crate) reason: String,
}

/// The text between `{%` and `%}`, if `text` is an expression.
///
/// # Errors
/// When the delimiters do not stand at both ends.
pub(crate) fn expression_source(text: &str) -> Result<Option<&str>, String> {
    let trimmed = text.trim();
    if !trimmed.starts_with("{%") && !trimmed.ends_with("%}") {
        return Ok(None);
    }
    match text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}")) {
        Some(source) => Ok(Some(source)),
        None => Err(format!(
            "`{text}` must begin with `{{%` and end with `%}}`, with nothing before or after"
        )),
    }
}

impl Template {
    /// Reads a value of a definition.
    ///
    /// # Errors
    /// What is wrong with one of its expressions, as a sentence.
    pub fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => match expression_source(text)? {
                Some(source) => Expression::parse(source).map(Self::Expression),
                None => Ok(Self::Literal(value.clone())),
            },
            Value::Array(items) => items.iter().map(Self::parse).collect::<Result<_, _>>().map(Self::Array),
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| Ok((name.clone(), Self::parse(member)?)))
                .collect::<Result<_, _>>()
                .map(Self::Object),
            literal => Ok(Self::Literal(literal.clone())),
        }
    }

    /// All expressions in the template, in order.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Expression(expression) => vec![expression],
            Self::Array(items) => items.iter().flat_map(Self::expressions).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, member)| member.expressions()).collect(),
        }
    }

    /// The value of a template without expressions; expressions are `null`.
    pub(crate) fn literal(&self) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Expression(_) => Value::Null,
            Self::Array(items) => items.iter().map(Self::literal).collect(),
            Self::Object(members) => members
                .iter()
                .map(|(name, member)| (name.clone(), member.literal()))
                .collect(),
        }
    }

    /// The value, with every expression evaluated.
    pub(crate) fn evaluate(&self, evaluation: &mut Evaluation, location: &str) -> Result<Value, Unevaluated> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Expression(expression) => evaluation.evaluate(expression).map_err(|reason| Unevaluated {
                location: location.to_owned(),
                reason,
            }),
            Self::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| item.evaluate(evaluation, &format!("{location}[{index}]")))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Self::Object(members) => members
                .iter()
                .map(|(name, member)| {
                    Ok((
                        name.clone(),
                        member.evaluate(evaluation, &format!("{location}/{name}"))?,
                    ))
                })
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_whole_string_is_an_expression() {
        assert_eq!(expression_source("{% $x %}"), Ok(Some(" $x ")));
        assert_eq!(expression_source("$x"), Ok(None));
        assert_eq!(expression_source("use {% here"), Ok(None));
        for half in ["{% $x", "$x %}", " {% $x %}", "{% $x %}\n"] {
            assert!(expression_source(half).is_err(), "{half}");
        }
    }

    #[test]
    fn expressions_are_found_at_any_depth_but_not_in_keys() {
        let template = Template::parse(&json!({"a": [{"b": "{% $x %}"}], "{% $y %}": "{% $z %}", "c": 1})).unwrap();
        let sources: Vec<&str> = template.expressions().into_iter().map(Expression::source).collect();
        assert_eq!(sources, ["$x", "$z"]);
    }
}
