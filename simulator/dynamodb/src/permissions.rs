//! The permissions that a request needs, item by item: a batch or a transaction needs those of what it consists of.

use std::collections::BTreeMap;

use serde_json::Value;
use simulator_kernel::{Authorization, Kernel};

use crate::OPERATIONS;
use crate::keys::{Schema, key_text, queried_key};

const LEADING_KEYS: &str = "dynamodb:LeadingKeys";

/// See <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>.
pub(crate) fn of(
    operation: &str,
    input: &Value,
    tables: &BTreeMap<String, Schema>,
    kernel: &Kernel,
) -> Vec<Authorization> {
    let scope = Scope { tables, kernel };
    let table = text(input, "TableName");
    match operation {
        "PutItem" => vec![scope.item(operation, table, input.get("Item"))],
        "GetItem" | "UpdateItem" | "DeleteItem" => vec![scope.item(operation, table, input.get("Key"))],
        "Query" | "Scan" => vec![scope.read(operation, table, input)],
        "BatchGetItem" => requests(input)
            .map(|(table, keys)| {
                let items = keys.get("Keys").and_then(Value::as_array).into_iter().flatten();
                scope.items(operation, table, items)
            })
            .collect(),
        "BatchWriteItem" => requests(input)
            .map(|(table, writes)| {
                let items = writes.as_array().into_iter().flatten().filter_map(|write| {
                    write
                        .pointer("/PutRequest/Item")
                        .or_else(|| write.pointer("/DeleteRequest/Key"))
                });
                scope.items(operation, table, items)
            })
            .collect(),
        "TransactWriteItems" | "TransactGetItems" => transaction(input, &scope),
        "ListTables" | "DescribeEndpoints" => vec![Authorization::new(format!("dynamodb:{operation}"), "*")],
        _ if OPERATIONS.contains(&operation) => vec![Authorization::new(
            format!("dynamodb:{operation}"),
            scope.arn(table, None),
        )],
        _ => Vec::new(),
    }
}

struct Scope<'a> {
    tables: &'a BTreeMap<String, Schema>,
    kernel: &'a Kernel,
}

impl Scope<'_> {
    fn arn(&self, table: &str, index: Option<&str>) -> String {
        let table = self.kernel.arn("dynamodb", &format!("table/{table}"));
        index.map_or_else(|| table.clone(), |index| format!("{table}/index/{index}"))
    }

    fn item(&self, action: &str, table: &str, item: Option<&Value>) -> Authorization {
        self.items(action, table, item.into_iter())
    }

    fn items<'i>(&self, action: &str, table: &str, items: impl Iterator<Item = &'i Value>) -> Authorization {
        let authorization = Authorization::new(format!("dynamodb:{action}"), self.arn(table, None));
        let Some(key) = self.tables.get(table).and_then(|schema| schema.partition_key(None)) else {
            return authorization;
        };
        items
            .filter_map(|item| key_text(item.get(key)?))
            .fold(authorization, |authorization, key| {
                authorization.with(LEADING_KEYS, key)
            })
    }

    fn read(&self, action: &str, table: &str, input: &Value) -> Authorization {
        let index = input.get("IndexName").and_then(Value::as_str);
        let authorization = Authorization::new(format!("dynamodb:{action}"), self.arn(table, index));
        let key = self
            .tables
            .get(table)
            .and_then(|schema| schema.partition_key(index))
            .filter(|_| action == "Query")
            .and_then(|key| queried_key(input, key));
        match key {
            Some(key) => authorization.with(LEADING_KEYS, key),
            None => authorization,
        }
    }
}

fn transaction(input: &Value, scope: &Scope<'_>) -> Vec<Authorization> {
    const ACTIONS: [(&str, &str, &str); 5] = [
        ("Put", "PutItem", "Item"),
        ("Update", "UpdateItem", "Key"),
        ("Delete", "DeleteItem", "Key"),
        ("ConditionCheck", "ConditionCheckItem", "Key"),
        ("Get", "GetItem", "Key"),
    ];
    input
        .get("TransactItems")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .flat_map(|entry| {
            ACTIONS.iter().filter_map(move |(member, action, item)| {
                let body = entry.get(member)?;
                Some(scope.item(action, text(body, "TableName"), body.get(item)))
            })
        })
        .collect()
}

fn requests(input: &Value) -> impl Iterator<Item = (&str, &Value)> {
    input
        .get("RequestItems")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(table, value)| (table.as_str(), value))
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}
