//! Items of DynamoDB as they are meant, without the names of their types.

use serde_json::{Map, Value};

/// The members of an item of the API, which says of each value what it is: `{"at": {"N": "1"}}` is `{"at": 1}`. Sets stay as they are.
///
/// # Panics
/// When it is no item.
#[must_use]
pub fn plain(item: &Value) -> Value {
    let members = item.as_object().unwrap().iter();
    let members = members.map(|(name, value)| (name.clone(), attribute(value)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn attribute(value: &Value) -> Value {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "N" => serde_json::from_str(value.as_str().unwrap()).unwrap(),
        "NULL" => Value::Null,
        "L" => value.as_array().unwrap().iter().map(attribute).collect(),
        "M" => plain(value),
        _ => value.clone(),
    }
}
