//! What was read from and written to tables.

use std::collections::BTreeMap;

use serde_json::Value;

/// What one table has served.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Calls that read.
    pub reads: u64,
    /// Calls that wrote.
    pub writes: u64,
    /// Items that were read or looked at, those included that a filter dropped.
    pub items_read: u64,
    /// Read capacity units.
    pub read_units: f64,
    /// Write capacity units.
    pub write_units: f64,
}

pub(crate) fn is_metered(operation: &str) -> bool {
    reads(operation) || writes(operation)
}

fn reads(operation: &str) -> bool {
    matches!(
        operation,
        "GetItem" | "Query" | "Scan" | "BatchGetItem" | "TransactGetItems"
    )
}

fn writes(operation: &str) -> bool {
    matches!(
        operation,
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems"
    )
}

/// Adds the consumed capacity of an answer.
pub(crate) fn count(usage: &mut BTreeMap<String, Usage>, operation: &str, input: &Value, output: &Value) {
    let capacities = match output.get("ConsumedCapacity") {
        Some(Value::Array(capacities)) => capacities.iter().collect(),
        Some(capacity) => vec![capacity],
        None => Vec::new(),
    };
    for capacity in capacities {
        let table = capacity
            .get("TableName")
            .or_else(|| input.get("TableName"))
            .and_then(Value::as_str);
        let Some(table) = table else { continue };
        let units = capacity.get("CapacityUnits").and_then(Value::as_f64).unwrap_or(0.0);
        let entry = usage.entry(table.to_owned()).or_default();
        if reads(operation) {
            entry.reads += 1;
            entry.read_units += units;
            entry.items_read += items_read(operation, table, input, output);
        } else {
            entry.writes += 1;
            entry.write_units += units;
        }
    }
}

fn items_read(operation: &str, table: &str, input: &Value, output: &Value) -> u64 {
    let length = |value: Option<&Value>| {
        value
            .and_then(Value::as_array)
            .and_then(|values| u64::try_from(values.len()).ok())
            .unwrap_or(0)
    };
    match operation {
        "GetItem" => 1,
        "BatchGetItem" => length(
            input
                .get("RequestItems")
                .and_then(|tables| tables.get(table)?.get("Keys")),
        ),
        "TransactGetItems" => length(input.get("TransactItems")),
        _ => output.get("ScannedCount").and_then(Value::as_u64).unwrap_or(0),
    }
}
