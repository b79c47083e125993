//! The `Condition` block of a statement.

use wildmatch::WildMatch;

use super::Conditions;
use crate::error::TemplateError;
use crate::fields::Item;

/// One operator on one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    quantifier: Quantifier,
    operator: Operator,
    /// Whether it also holds when the request does not have the key.
    if_exists: bool,
    /// In lower case: condition keys know no case.
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Quantifier {
    /// The key has one value.
    One,
    /// `ForAllValues:`, which also holds for no value at all.
    All,
    /// `ForAnyValue:`.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Null,
    Compare { comparison: Comparison, negated: bool },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equals,
    EqualsIgnoringCase,
    Like,
    Arn,
    Bool,
}

/// Reads a `Condition` block.
pub(super) fn read(block: &Item) -> Result<Vec<Condition>, TemplateError> {
    let mut conditions = Vec::new();
    for (name, keys) in block.members()? {
        let (quantifier, operator, if_exists) =
            operator(&name).ok_or_else(|| keys.error(format!("the condition operator `{name}` is not supported")))?;
        for (key, values) in keys.members()? {
            let values_read = values.texts()?;
            if operator == Operator::Null && !values_read.iter().all(|value| value == "true" || value == "false") {
                return Err(values.error("`Null` takes true or false"));
            }
            for value in &values_read {
                super::statement::refuse_variables(&values, value)?;
            }
            let key = key.to_ascii_lowercase();
            conditions.push(Condition {
                quantifier,
                operator,
                if_exists,
                key,
                values: values_read,
            });
        }
    }
    Ok(conditions)
}

fn operator(name: &str) -> Option<(Quantifier, Operator, bool)> {
    let (quantifier, name) = match name.split_once(':') {
        None => (Quantifier::One, name),
        Some(("ForAllValues", name)) => (Quantifier::All, name),
        Some(("ForAnyValue", name)) => (Quantifier::Any, name),
        Some(_) => return None,
    };
    if name == "Null" && quantifier == Quantifier::One {
        return Some((quantifier, Operator::Null, false));
    }
    let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
    let (comparison, negated) = match name {
        "StringEquals" => (Comparison::Equals, false),
        "StringNotEquals" => (Comparison::Equals, true),
        "StringEqualsIgnoreCase" => (Comparison::EqualsIgnoringCase, false),
        "StringNotEqualsIgnoreCase" => (Comparison::EqualsIgnoringCase, true),
        "StringLike" => (Comparison::Like, false),
        "StringNotLike" => (Comparison::Like, true),
        "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
        "Bool" => (Comparison::Bool, false),
        _ => return None,
    };
    Some((quantifier, Operator::Compare { comparison, negated }, if_exists))
}

impl Condition {
    /// A condition that the simulator itself sets, in place of one that was read.
    pub(super) fn string_equals(key: &str, value: String) -> Self {
        Self::of(Comparison::Equals, key, value)
    }

    /// See [`Condition::string_equals`].
    pub(super) fn arn_like(key: &str, value: String) -> Self {
        Self::of(Comparison::Arn, key, value)
    }

    /// See [`Condition::string_equals`].
    pub(super) fn bool(key: &str, value: bool) -> Self {
        Self::of(Comparison::Bool, key, value.to_string())
    }

    fn of(comparison: Comparison, key: &str, value: String) -> Self {
        Self {
            quantifier: Quantifier::One,
            operator: Operator::Compare {
                comparison,
                negated: false,
            },
            if_exists: false,
            key: key.to_ascii_lowercase(),
            values: vec![value],
        }
    }

    pub(super) fn holds(&self, request: &Conditions) -> bool {
        let given = request.get(&self.key).map(Vec::as_slice).unwrap_or_default();
        let Operator::Compare { comparison, negated } = self.operator else {
            return self.values.iter().any(|absent| (absent == "true") == given.is_empty());
        };
        if given.is_empty() {
            return match self.quantifier {
                Quantifier::One => negated || self.if_exists,
                Quantifier::All => true,
                Quantifier::Any => self.if_exists,
            };
        }
        let satisfied = |given: &String| self.values.iter().any(|wanted| comparison.matches(wanted, given)) != negated;
        match (self.quantifier, negated) {
            // A key with several values and no quantifier: any may match, but none may match what is excluded.
            (Quantifier::All, _) | (Quantifier::One, true) => given.iter().all(satisfied),
            (Quantifier::Any | Quantifier::One, _) => given.iter().any(satisfied),
        }
    }
}

impl Comparison {
    fn matches(self, wanted: &str, given: &str) -> bool {
        match self {
            Self::Equals => wanted == given,
            Self::EqualsIgnoringCase | Self::Bool => wanted.eq_ignore_ascii_case(given),
            Self::Like => WildMatch::new(wanted).matches(given),
            Self::Arn => arn_matches(wanted, given),
        }
    }
}

/// Each of the six parts of an ARN is matched for itself.
fn arn_matches(wanted: &str, given: &str) -> bool {
    let wanted: Vec<&str> = wanted.splitn(6, ':').collect();
    let given: Vec<&str> = given.splitn(6, ':').collect();
    wanted.len() == 6
        && given.len() == 6
        && wanted
            .iter()
            .zip(&given)
            .all(|(wanted, given)| WildMatch::new(wanted).matches(given))
}
