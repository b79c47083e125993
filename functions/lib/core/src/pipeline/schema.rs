//! The JSON Schema of the pipeline file: one grammar for editors and for the parser.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::Value;

use super::model::Pipeline;

/// The JSON Schema (draft 2020-12) of the pipeline file.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Pipeline>();
    schema.insert("title".to_owned(), "Esclusa pipeline".into());
    RecursiveTransform(forbid_null_fields).transform(&mut schema);
    schema.to_value()
}

/// An optional field is left out, not set to null. Null has a meaning only as a value of `environment` and `secrets`,
/// which are no fields.
fn forbid_null_fields(schema: &mut schemars::Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|name| name != "null");
            if let [single] = types.as_slice() {
                let single = single.clone();
                property.insert("type".to_owned(), single);
            }
        }
        let is_null = |alternative: &Value| alternative.get("type").is_some_and(|name| name == "null");
        if let Some(Value::Array(alternatives)) = property.get_mut("anyOf") {
            alternatives.retain(|alternative| !is_null(alternative));
            if let [Value::Object(single)] = alternatives.as_slice() {
                let single = single.clone();
                property.remove("anyOf");
                property.extend(single);
            }
        }
        if property.get("default").is_some_and(Value::is_null) {
            property.remove("default");
        }
    }
}
