//! Items as they are meant, for whoever looks at tables from outside.

use serde_json::Value;

/// The members of an item without the names of their types: of `{"at": {"N": "1"}}` it is `{"at": 1}`. Sets and bytes
/// stay as the API has them; what is no item has no members.
#[must_use]
pub fn plain_item(item: &Value) -> Value {
    let members = item.as_object().into_iter().flatten();
    Value::Object(members.map(|(name, value)| (name.clone(), attribute(value))).collect())
}

fn attribute(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|members| members.iter().next()) else {
        return Value::Null;
    };
    match (kind.as_str(), value) {
        ("N", Value::String(number)) => serde_json::from_str(number).unwrap_or_default(),
        ("M", value) => plain_item(value),
        ("L", Value::Array(list)) => list.iter().map(attribute).collect(),
        ("NULL", _) => Value::Null,
        (_, value) => value.clone(),
    }
}
