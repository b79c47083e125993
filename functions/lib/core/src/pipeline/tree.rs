//! A YAML document with the position of every key and value.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::path::{Path, Segment};

/// A value and where it is written.
pub(super) type Node = Spanned<Content>;

/// A value of a YAML document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Null, a boolean, a number or a string; never an array or object.
    Scalar(Value),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the file.
    Mapping(Vec<(Spanned<String>, Node)>),
}

impl Content {
    /// The kind of value in the words of the schema and of an error message.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Scalar(Value::Null) => Kind::Null,
            Self::Scalar(Value::Bool(_)) => Kind::Boolean,
            Self::Scalar(Value::Number(number)) if number.is_f64() => Kind::Number,
            Self::Scalar(Value::Number(_)) => Kind::Integer,
            Self::Scalar(_) => Kind::String,
            Self::Sequence(_) => Kind::Sequence,
            Self::Mapping(_) => Kind::Mapping,
        }
    }
}

/// The kinds of YAML values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Sequence,
    Mapping,
}

impl Kind {
    /// The kind that a `type` of JSON Schema names.
    pub(super) fn from_schema(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::String,
            "array" => Self::Sequence,
            "object" => Self::Mapping,
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Null => "nothing",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::String => "a text",
            Self::Sequence => "a list",
            Self::Mapping => "a mapping",
        })
    }
}

/// Line and column of a location, both from 1.
pub(super) fn line_and_column(location: &Location) -> (u64, u64) {
    (location.line().max(1), location.column().max(1))
}

/// Where `path` is written; the nearest node above it that exists otherwise. With `at_key`, the position of the last
/// key instead of its value.
pub(super) fn locate(root: &Node, path: &Path, at_key: bool) -> (u64, u64) {
    let mut node = root;
    let mut location = &root.referenced;
    for segment in path.segments() {
        let found = match (&node.value, segment) {
            (Content::Mapping(members), Segment::Name(key)) => members
                .iter()
                .find(|(name, _)| name.value == *key)
                .map(|(name, member)| (&name.referenced, member)),
            (Content::Sequence(elements), Segment::Index(index)) => {
                elements.get(*index).map(|element| (&element.referenced, element))
            }
            _ => None,
        };
        let Some((key_location, member)) = found else {
            return line_and_column(location);
        };
        // A block mapping or sequence starts on the line after its key; the key is where a reader looks.
        let is_scalar = matches!(member.value, Content::Scalar(_));
        location = if at_key || !is_scalar {
            key_location
        } else {
            &member.referenced
        };
        node = member;
    }
    line_and_column(location)
}

/// Whether the document has something at `path`.
pub(super) fn exists(root: &Node, path: &Path) -> bool {
    let mut node = root;
    for segment in path.segments() {
        let found = match (&node.value, segment) {
            (Content::Mapping(members), Segment::Name(key)) => members
                .iter()
                .find(|(name, _)| name.value == *key)
                .map(|(_, member)| member),
            (Content::Sequence(elements), Segment::Index(index)) => elements.get(*index),
            _ => None,
        };
        let Some(member) = found else { return false };
        node = member;
    }
    true
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element::<Node>()? {
            elements.push(element);
        }
        Ok(Content::Sequence(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Content, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = mapping.next_entry::<Spanned<String>, Node>()? {
            members.push(member);
        }
        Ok(Content::Mapping(members))
    }
}
