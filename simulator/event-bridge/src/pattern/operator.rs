//! What one value of an event is compared with.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::PatternError;

/// The largest magnitude that numeric matching supports.
const NUMERIC_LIMIT: f64 = 5.0e9;

/// One element of a leaf array of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// The same value. Numbers are compared as they are written: `300` is not `300.0`.
    Equal(Value),
    Text(TextTest),
    Numeric(Vec<(Comparison, f64)>),
    Cidr(Cidr),
    Present,
    Absent,
    /// Any value that is none of these.
    NoneOf(Vec<Value>),
    /// Any value that is not a text of one of these forms.
    NoText(Vec<TextTest>),
}

/// A test that only a string can pass.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TextTest {
    Prefix(String),
    PrefixIgnoringCase(String),
    Suffix(String),
    SuffixIgnoringCase(String),
    EqualIgnoringCase(String),
    /// Characters, with `None` for any run of characters.
    Wildcard(Vec<Option<char>>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cidr {
    network: IpAddr,
    bits: u32,
}

impl Test {
    pub(super) fn compile(value: &Value) -> Result<Self, PatternError> {
        match value {
            Value::Object(object) => operator(object),
            Value::Array(_) => Err(PatternError::new(
                "Match value must be String, number, true, false, or null",
            )),
            scalar => Ok(Self::Equal(scalar.clone())),
        }
    }

    pub(super) fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Equal(wanted) => wanted == value,
            Self::Text(test) => value.as_str().is_some_and(|text| test.matches(text)),
            Self::Numeric(comparisons) => value.as_f64().is_some_and(|number| {
                comparisons
                    .iter()
                    .all(|(comparison, bound)| comparison.holds(number, *bound))
            }),
            Self::Cidr(cidr) => value.as_str().is_some_and(|text| cidr.contains(text)),
            Self::Present => true,
            Self::Absent => false,
            Self::NoneOf(unwanted) => !unwanted.contains(value),
            Self::NoText(tests) => !value
                .as_str()
                .is_some_and(|text| tests.iter().any(|test| test.matches(text))),
        }
    }
}

fn operator(object: &Map<String, Value>) -> Result<Test, PatternError> {
    let mut members = object.iter();
    let (Some((name, operand)), None) = (members.next(), members.next()) else {
        return Err(PatternError::new("Only one key allowed in match expression"));
    };
    match name.as_str() {
        "prefix" | "suffix" | "equals-ignore-case" | "wildcard" => Ok(Test::Text(text_test(name, operand)?)),
        "anything-but" => anything_but(operand),
        "numeric" => numeric(operand),
        "cidr" => cidr(operand),
        "exists" => match operand {
            Value::Bool(true) => Ok(Test::Present),
            Value::Bool(false) => Ok(Test::Absent),
            _ => Err(PatternError::new("exists match pattern must be either true or false")),
        },
        _ => Err(PatternError::new(format!("Unrecognized match type {name}"))),
    }
}

fn text_test(name: &str, operand: &Value) -> Result<TextTest, PatternError> {
    let text = |operand: &Value| {
        operand
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| PatternError::new(format!("{name} match pattern must be a string")))
    };
    let folded = match operand {
        Value::Object(object) if matches!(name, "prefix" | "suffix") && object.len() == 1 => {
            object.get("equals-ignore-case")
        }
        _ => None,
    };
    match (name, folded) {
        ("prefix", Some(operand)) => Ok(TextTest::PrefixIgnoringCase(text(operand)?.to_lowercase())),
        ("suffix", Some(operand)) => Ok(TextTest::SuffixIgnoringCase(text(operand)?.to_lowercase())),
        ("prefix", None) => Ok(TextTest::Prefix(text(operand)?)),
        ("suffix", None) => Ok(TextTest::Suffix(text(operand)?)),
        ("equals-ignore-case", _) => Ok(TextTest::EqualIgnoringCase(text(operand)?.to_lowercase())),
        ("wildcard", _) => wildcard(&text(operand)?).map(TextTest::Wildcard),
        _ => Err(PatternError::new(format!("Unrecognized match type {name}"))),
    }
}

fn anything_but(operand: &Value) -> Result<Test, PatternError> {
    match operand {
        Value::String(_) | Value::Number(_) => Ok(Test::NoneOf(vec![operand.clone()])),
        Value::Array(values)
            if !values.is_empty() && (values.iter().all(Value::is_string) || values.iter().all(Value::is_number)) =>
        {
            Ok(Test::NoneOf(values.clone()))
        }
        Value::Array(_) => Err(PatternError::new(
            "Inside anything but list, either all values are number or string",
        )),
        Value::Object(object) => {
            let mut members = object.iter();
            let (Some((name, operand)), None) = (members.next(), members.next()) else {
                return Err(PatternError::new("Only one key allowed in match expression"));
            };
            if !matches!(name.as_str(), "prefix" | "suffix" | "equals-ignore-case" | "wildcard") {
                return Err(PatternError::new(format!("Unsupported anything-but pattern: {name}")));
            }
            let tests = match operand {
                Value::String(_) => vec![text_test(name, operand)?],
                Value::Array(values) if !values.is_empty() && values.iter().all(Value::is_string) => values
                    .iter()
                    .map(|value| text_test(name, value))
                    .collect::<Result<_, _>>()?,
                _ => {
                    return Err(PatternError::new(format!(
                        "anything-but {name} must be a string or a list of strings"
                    )));
                }
            };
            Ok(Test::NoText(tests))
        }
        _ => Err(PatternError::new(
            "Value of anything-but must be an array or single string/number value",
        )),
    }
}

fn numeric(operand: &Value) -> Result<Test, PatternError> {
    let terms = operand
        .as_array()
        .ok_or_else(|| PatternError::new("Value of numeric must be an array"))?;
    let pairs = terms
        .chunks(2)
        .map(|pair| match pair {
            [Value::String(symbol), Value::Number(bound)] => {
                let comparison = Comparison::parse(symbol)?;
                let bound = bound.as_f64().filter(|bound| bound.abs() <= NUMERIC_LIMIT);
                Some((comparison, bound?))
            }
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            PatternError::new(format!(
                "numeric takes comparisons with numbers between -{NUMERIC_LIMIT:e} and {NUMERIC_LIMIT:e}"
            ))
        })?;
    match pairs.as_slice() {
        [_] => Ok(Test::Numeric(pairs)),
        [(bottom, least), (top, most)] if bottom.is_lower_bound() && top.is_upper_bound() && least < most => {
            Ok(Test::Numeric(pairs))
        }
        _ => Err(PatternError::new(
            "numeric takes one comparison, or a lower bound followed by a greater upper bound",
        )),
    }
}

fn cidr(operand: &Value) -> Result<Test, PatternError> {
    let parse = || {
        let (network, bits) = operand.as_str()?.split_once('/')?;
        let network: IpAddr = network.parse().ok()?;
        let bits: u32 = bits.parse().ok()?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        (bits <= width).then_some(Cidr { network, bits })
    };
    parse()
        .map(Test::Cidr)
        .ok_or_else(|| PatternError::new("Malformed CIDR"))
}

/// Reads a wildcard pattern: `*` is any run of characters, `\*` and `\\` stand for themselves.
fn wildcard(text: &str) -> Result<Vec<Option<char>>, PatternError> {
    let mut pieces = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' if pieces.last() == Some(&None) => {
                return Err(PatternError::new("Consecutive wildcard characters are not allowed"));
            }
            '*' => pieces.push(None),
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '\\')) => pieces.push(Some(escaped)),
                _ => return Err(PatternError::new("Invalid escape character in wildcard pattern")),
            },
            literal => pieces.push(Some(literal)),
        }
    }
    Ok(pieces)
}

impl TextTest {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::PrefixIgnoringCase(prefix) => text.to_lowercase().starts_with(prefix.as_str()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Self::SuffixIgnoringCase(suffix) => text.to_lowercase().ends_with(suffix.as_str()),
            Self::EqualIgnoringCase(wanted) => text.to_lowercase() == *wanted,
            Self::Wildcard(pieces) => wildcard_matches(pieces, text),
        }
    }
}

/// Keeps the set of positions in the pattern that the text read so far can have reached.
fn wildcard_matches(pieces: &[Option<char>], text: &str) -> bool {
    let mut reached = vec![false; pieces.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    skip_empty_runs(pieces, &mut reached);
    for character in text.chars() {
        let mut next = vec![false; pieces.len() + 1];
        for (position, piece) in pieces.iter().enumerate() {
            if reached.get(position) != Some(&true) {
                continue;
            }
            let target = match piece {
                None => position,
                Some(literal) if *literal == character => position + 1,
                Some(_) => continue,
            };
            if let Some(slot) = next.get_mut(target) {
                *slot = true;
            }
        }
        skip_empty_runs(pieces, &mut next);
        reached = next;
    }
    reached.last() == Some(&true)
}

fn skip_empty_runs(pieces: &[Option<char>], reached: &mut [bool]) {
    for (position, piece) in pieces.iter().enumerate() {
        if piece.is_none()
            && reached.get(position) == Some(&true)
            && let Some(slot) = reached.get_mut(position + 1)
        {
            *slot = true;
        }
    }
}

impl Comparison {
    fn parse(symbol: &str) -> Option<Self> {
        match symbol {
            "=" => Some(Self::Equal),
            "<" => Some(Self::Less),
            "<=" => Some(Self::LessOrEqual),
            ">" => Some(Self::Greater),
            ">=" => Some(Self::GreaterOrEqual),
            _ => None,
        }
    }

    fn is_lower_bound(self) -> bool {
        matches!(self, Self::Greater | Self::GreaterOrEqual)
    }

    fn is_upper_bound(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual)
    }

    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Equal => number == bound,
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
        }
    }
}

impl Cidr {
    fn contains(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else {
            return false;
        };
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32_u32.saturating_sub(self.bits);
                network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128_u32.saturating_sub(self.bits);
                network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}
