//! Event patterns: which events a rule wants.
//!
//! Follows the EventBridge user guide, "Comparison operators for use in event patterns". A pattern is compiled once
//! into alternatives, each a list of conditions on leaf fields that must all hold, so that a mistake is found when the
//! rule is put and not when an event comes.
//!
//! Where the guide is silent, the conservative reading holds:
//! * a field that is absent never satisfies `anything-but`: only `{"exists": false}` speaks of absent fields;
//! * an empty array or object in an event has no leaf and counts as absent;
//! * a number is compared as it is written, as far as JSON parsing keeps that: `300` and `300.0` differ, `300.0` and
//!   `3.0e2` do not;
//! * conditions on fields inside the elements of one array must hold for the same element.

mod operator;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use operator::Test;

/// As many combinations as the alternatives of all `$or` of one pattern may form.
const MAXIMUM_COMBINATIONS: usize = 1000;

/// Names that are operators, and so cannot be field names inside `$or`.
const RESERVED_INSIDE_OR: [&str; 9] = [
    "prefix",
    "suffix",
    "anything-but",
    "numeric",
    "cidr",
    "exists",
    "equals-ignore-case",
    "wildcard",
    "exactly",
];

/// A pattern that EventBridge would refuse when the rule is put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Event pattern is not valid. Reason: {reason}")]
pub struct PatternError {
    /// What is wrong and where.
    pub reason: String,
}

impl PatternError {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// A compiled event pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// The pattern matches when all conditions of one alternative hold.
    alternatives: Vec<Vec<Condition>>,
}

/// One leaf of the pattern: a field and the values it may have.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    path: Vec<String>,
    tests: Vec<Test>,
}

impl Condition {
    fn allows_absence(&self) -> bool {
        self.tests.contains(&Test::Absent)
    }
}

impl Pattern {
    /// Compiles a pattern from its JSON text.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, or [`Pattern::compile`] refuses it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = serde_json::from_str(text).map_err(|error| PatternError::new(format!("not JSON: {error}")))?;
        Self::compile(&pattern)
    }

    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// When the pattern has an unknown operator, an operand of the wrong form, or a leaf that is not a non-empty array.
    pub fn compile(pattern: &Value) -> Result<Self, PatternError> {
        let object = pattern
            .as_object()
            .ok_or_else(|| PatternError::new("Filter is not an object"))?;
        let mut alternatives = conjunctions(object, &[], false)?;
        for conditions in &mut alternatives {
            // Absence is judged last, when the array elements that the other conditions chose are known.
            conditions.sort_by_key(Condition::allows_absence);
        }
        Ok(Self { alternatives })
    }

    /// Whether the rule wants this event.
    #[must_use]
    pub fn matches(&self, event: &Value) -> bool {
        let fields = flatten(event, &self.alternatives);
        self.alternatives
            .iter()
            .any(|conditions| satisfied(conditions, &fields, &Elements::new()))
    }
}

/// The alternatives of one object of the pattern: the product of those of its members.
fn conjunctions(
    object: &Map<String, Value>,
    path: &[String],
    inside_or: bool,
) -> Result<Vec<Vec<Condition>>, PatternError> {
    if object.is_empty() {
        return Err(PatternError::new(format!("Empty objects are not allowed{}", at(path))));
    }
    let mut product: Vec<Vec<Condition>> = vec![Vec::new()];
    for (name, value) in object {
        let member = if name == "$or" {
            disjunction(value, path)?
        } else {
            if inside_or && RESERVED_INSIDE_OR.contains(&name.as_str()) {
                return Err(PatternError::new(format!(
                    "`{name}` is an operator and cannot be a field inside `$or`"
                )));
            }
            let mut path = path.to_vec();
            path.push(name.clone());
            field(path, value, inside_or)?
        };
        if product.len().saturating_mul(member.len()) > MAXIMUM_COMBINATIONS {
            return Err(PatternError::new(format!(
                "`$or` forms more than {MAXIMUM_COMBINATIONS} combinations"
            )));
        }
        product = product
            .iter()
            .flat_map(|left| {
                member
                    .iter()
                    .map(move |right| [left.as_slice(), right.as_slice()].concat())
            })
            .collect();
    }
    Ok(product)
}

fn disjunction(value: &Value, path: &[String]) -> Result<Vec<Vec<Condition>>, PatternError> {
    let refused = || PatternError::new(format!("`$or` must be an array of at least two objects{}", at(path)));
    let objects = value
        .as_array()
        .filter(|objects| objects.len() >= 2)
        .ok_or_else(refused)?;
    let mut alternatives = Vec::new();
    for object in objects {
        alternatives.extend(conjunctions(object.as_object().ok_or_else(refused)?, path, true)?);
    }
    Ok(alternatives)
}

fn field(path: Vec<String>, value: &Value, inside_or: bool) -> Result<Vec<Vec<Condition>>, PatternError> {
    match value {
        Value::Object(object) => conjunctions(object, &path, inside_or),
        Value::Array(values) if values.is_empty() => {
            Err(PatternError::new(format!("Empty arrays are not allowed{}", at(&path))))
        }
        Value::Array(values) => {
            let tests = values
                .iter()
                .map(Test::compile)
                .collect::<Result<_, _>>()
                .map_err(|error| PatternError::new(format!("{}{}", error.reason, at(&path))))?;
            Ok(vec![vec![Condition { path, tests }]])
        }
        _ => Err(PatternError::new(format!(
            "\"{}\" must be an object or an array",
            path.join(".")
        ))),
    }
}

fn at(path: &[String]) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" at `{}`", path.join("."))
    }
}

/// Which element of which array of the event a field lies in, by the array's number in the walk.
type Elements = BTreeMap<usize, usize>;

/// One leaf of the event. A leaf inside an array stands beside its siblings under the same path.
struct Field<'a> {
    path: Vec<&'a str>,
    value: &'a Value,
    elements: Elements,
}

/// The leaves of the event of which the pattern may speak. Events are large, and most of what is in them no rule asks
/// for.
fn flatten<'a>(event: &'a Value, alternatives: &[Vec<Condition>]) -> Vec<Field<'a>> {
    let mut walk = Walk {
        alternatives,
        fields: Vec::new(),
        arrays: 0,
    };
    walk.visit(event, &[], &Elements::new());
    walk.fields
}

struct Walk<'a, 'p> {
    alternatives: &'p [Vec<Condition>],
    fields: Vec<Field<'a>>,
    arrays: usize,
}

impl<'a> Walk<'a, '_> {
    /// Whether a condition speaks of this member of what is under the path, or of something in it.
    fn is_asked_for(&self, path: &[&str], name: &str) -> bool {
        let mut conditions = self.alternatives.iter().flatten();
        conditions.any(|condition| {
            let asked = condition.path.split_at_checked(path.len());
            asked.is_some_and(|(above, below)| below.first().is_some_and(|asked| asked == name) && above == path)
        })
    }

    fn visit(&mut self, value: &'a Value, path: &[&'a str], elements: &Elements) {
        match value {
            Value::Object(object) => {
                for (name, member) in object {
                    if self.is_asked_for(path, name) {
                        self.visit(member, &[path, &[name.as_str()]].concat(), elements);
                    }
                }
            }
            Value::Array(values) => {
                let array = self.arrays;
                self.arrays += 1;
                for (index, element) in values.iter().enumerate() {
                    let mut elements = elements.clone();
                    elements.insert(array, index);
                    self.visit(element, path, &elements);
                }
            }
            _ => self.fields.push(Field {
                path: path.to_vec(),
                value,
                elements: elements.clone(),
            }),
        }
    }
}

/// Whether all conditions hold for fields that never lie in two different elements of one array.
fn satisfied(conditions: &[Condition], fields: &[Field<'_>], chosen: &Elements) -> bool {
    let Some((condition, rest)) = conditions.split_first() else {
        return true;
    };
    let mut candidates = fields
        .iter()
        .filter(|field| field.path == condition.path)
        .filter_map(|field| Some((field, merged(chosen, &field.elements)?)))
        .peekable();
    if candidates.peek().is_none() {
        return condition.allows_absence() && satisfied(rest, fields, chosen);
    }
    candidates.any(|(field, chosen)| {
        condition.tests.iter().any(|test| test.matches(field.value)) && satisfied(rest, fields, &chosen)
    })
}

/// Both choices together, or nothing when they name different elements of one array.
fn merged(chosen: &Elements, other: &Elements) -> Option<Elements> {
    let mut merged = chosen.clone();
    for (array, index) in other {
        if *merged.entry(*array).or_insert(*index) != *index {
            return None;
        }
    }
    Some(merged)
}
