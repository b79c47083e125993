//! Calls of `dynoxide`: JSON in, JSON out, its errors as DynamoDB words them.

use std::collections::BTreeMap;

use dynoxide::storage_backend::ManualClock;
use dynoxide::{Database, DynoxideError};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Kernel};

pub(crate) fn open(clock: &ManualClock) -> Result<Database, ApiError> {
    Database::memory_with_clock(clock.arc()).map_err(|error| refusal(&error))
}

/// Carries out one operation. Its answer has every object in the order of its names: the engine's own is that of its
/// hash tables.
pub(crate) fn dispatch(database: &Database, operation: &str, input: Value) -> Result<Value, ApiError> {
    match operation {
        "CreateTable" => run(operation, input, |request| database.create_table(request)),
        "DeleteTable" => run(operation, input, |request| database.delete_table(request)),
        "DescribeTable" => run(operation, input, |request| database.describe_table(request)),
        "ListTables" => run(operation, input, |request| database.list_tables(request)),
        "UpdateTable" => run(operation, input, |request| database.update_table(request)),
        "UpdateTimeToLive" => run(operation, input, |request| database.update_time_to_live(request)),
        "DescribeTimeToLive" => run(operation, input, |request| database.describe_time_to_live(request)),
        "PutItem" => run(operation, input, |request| database.put_item(request)),
        "GetItem" => run(operation, input, |request| database.get_item(request)),
        "UpdateItem" => run(operation, input, |request| database.update_item(request)),
        "DeleteItem" => run(operation, input, |request| database.delete_item(request)),
        "Query" => run(operation, input, |request| database.query(request)),
        "Scan" => run(operation, input, |request| database.scan(request)),
        "BatchGetItem" => run(operation, input, |request| database.batch_get_item(request)),
        "BatchWriteItem" => run(operation, input, |request| database.batch_write_item(request)),
        "TransactWriteItems" => run(operation, input, |request| database.transact_write_items(request)),
        "TransactGetItems" => run(operation, input, |request| database.transact_get_items(request)),
        other => Err(ApiError::unsupported(format_args!("`{other}` of `dynamodb`"))),
    }
}

fn run<I: DeserializeOwned, O: Serialize>(
    operation: &str,
    input: Value,
    call: impl FnOnce(I) -> dynoxide::Result<O>,
) -> Result<Value, ApiError> {
    let request = serde_json::from_value(input).map_err(|error| unreadable(operation, &error.to_string()))?;
    let output = call(request).map_err(|error| match error {
        DynoxideError::EnvelopedValidation(message) => validation(operation, &message, true),
        error => refusal(&error),
    })?;
    let mut output =
        serde_json::to_value(output).map_err(|error| ApiError::server("InternalServerError", error.to_string()))?;
    output.sort_all_objects();
    Ok(output)
}

/// The error of a request that could not be read. The engine marks the kind of error at the beginning of the text; a
/// mark never reaches the caller.
fn unreadable(operation: &str, message: &str) -> ApiError {
    let marked = |mark: &str| message.strip_prefix(mark);
    let serialization = |message: &str| ApiError::client("SerializationException", message);
    if let Some(rest) = marked("SERIALIZATION_AS_READ:").or_else(|| marked("SERIALIZATION:")) {
        return serialization(rest);
    }
    if let Some(rest) = marked("VALIDATION_REQUEST:") {
        return validation(operation, rest, true);
    }
    if let Some(rest) = marked("VALIDATION_AS_READ:").or_else(|| marked("VALIDATION:")) {
        return validation(operation, rest, false);
    }
    let about_values = [
        "missing field",
        "unknown variant",
        "invalid type: null",
        "AttributeValue",
    ];
    if about_values.iter().any(|part| message.contains(part)) {
        return validation(operation, message, false);
    }
    serialization(message)
}

/// `PutItem` and `UpdateItem` wrap the errors of their request's validation.
fn validation(operation: &str, message: &str, of_request: bool) -> ApiError {
    if of_request && matches!(operation, "PutItem" | "UpdateItem") {
        return ApiError::client("ValidationException", format!("1 validation error detected: {message}"));
    }
    ApiError::client("ValidationException", message)
}

fn refusal(error: &DynoxideError) -> ApiError {
    let code = error
        .error_type()
        .rsplit_once('#')
        .map_or(error.error_type(), |(_, name)| name);
    let mut refusal = ApiError {
        status: error.status_code(),
        ..ApiError::client(code, error.to_string())
    };
    let body = serde_json::from_str::<Value>(&error.to_json()).unwrap_or_default();
    for member in ["Item", "CancellationReasons"] {
        if let Some(value) = body.get(member) {
            let mut value = value.clone();
            value.sort_all_objects();
            refusal = refusal.with(member, value);
        }
    }
    refusal
}

/// Every item of a table in the order of a scan, over all pages.
pub(crate) fn all_items(database: &Database, table: &str) -> Result<Vec<Value>, ApiError> {
    let mut items = Vec::new();
    let mut input = json!({"TableName": table, "ConsistentRead": true});
    loop {
        let mut page = dispatch(database, "Scan", input.clone())?;
        if let Some(found) = page.get_mut("Items").and_then(Value::as_array_mut) {
            items.append(found);
        }
        match page.get_mut("LastEvaluatedKey").map(Value::take) {
            Some(key) if !key.is_null() => {
                if let Some(object) = input.as_object_mut() {
                    object.insert("ExclusiveStartKey".to_owned(), key);
                }
            }
            _ => return Ok(items),
        }
    }
}

/// Puts the simulated account, Region and creation time in the place of the engine's own.
pub(crate) fn localise(output: &mut Value, kernel: &Kernel, created: &BTreeMap<String, Timestamp>) {
    for member in ["TableDescription", "Table"] {
        let Some(table) = output.get_mut(member) else { continue };
        let name = table.get("TableName").and_then(Value::as_str).unwrap_or_default();
        let created = created.get(name).copied().unwrap_or_else(|| kernel.now()).as_second();
        if let Some(object) = table.as_object_mut()
            && object.contains_key("CreationDateTime")
        {
            object.insert("CreationDateTime".to_owned(), json!(created));
        }
        localise_arns(table, kernel);
    }
}

fn localise_arns(value: &mut Value, kernel: &Kernel) {
    match value {
        Value::String(text) => {
            let parts: Vec<&str> = text.splitn(6, ':').collect();
            if let ["arn", "aws", "dynamodb", _, _, resource] = parts.as_slice() {
                *text = kernel.arn("dynamodb", resource);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| localise_arns(value, kernel)),
        Value::Object(members) => members.values_mut().for_each(|value| localise_arns(value, kernel)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
