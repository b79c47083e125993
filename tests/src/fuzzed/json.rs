//! Other ways to write the same JSON, and ways to mark what is in it.

use serde_json::{Map, Value};

/// A text that no input contains by chance.
pub(super) const MARKER: &str = "\u{2020}marked\u{2020}";

/// The document that the bytes are, if they are one without the marker.
pub(super) fn read(input: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(input).ok()?;
    let document: Value = serde_json::from_str(text).ok()?;
    (!contains(&document, MARKER)).then_some(document)
}

/// The same document with the members of every object in the opposite order.
pub(super) fn reordered(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().rev();
            members
                .map(|(name, member)| (name.clone(), reordered(member)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(elements) => elements.iter().map(reordered).collect(),
        scalar => scalar.clone(),
    }
}

/// The same document with a member more in every object, which no version of an answer or an event has.
pub(super) fn extended(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let added = (
                "addedByAwsTomorrow".to_owned(),
                serde_json::json!({"deeply": ["nested", null, 1.5]}),
            );
            let members = members.iter().map(|(name, member)| (name.clone(), extended(member)));
            members.chain([added]).collect::<Map<_, _>>().into()
        }
        Value::Array(elements) => elements.iter().map(extended).collect(),
        scalar => scalar.clone(),
    }
}

/// Puts the marker in the place of every text, number and boolean.
pub(super) fn mark(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(mark),
        Value::Array(elements) => elements.iter_mut().for_each(mark),
        Value::Null => {}
        scalar => *scalar = MARKER.into(),
    }
}

/// Whether a text or the name of a member contains `text`.
pub(super) fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, member)| name.contains(text) || contains(member, text)),
        Value::Array(elements) => elements.iter().any(|element| contains(element, text)),
        Value::String(found) => found.contains(text),
        _ => false,
    }
}

/// The text of a member, where it is one and is not empty.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member)?.as_str().filter(|text| !text.is_empty())
}

/// The elements of a list; none where it is no list.
pub(super) fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value
        .get(member)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}
