//! The key schemas of tables, and what requests say about keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use simulator_kernel::ApiError;

use crate::cancelled;

/// The keys of one table and its indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// The description that the table can be created from again.
    pub(crate) description: Value,
    /// The attributes of the primary key, the partition key first.
    pub(crate) keys: Vec<String>,
    partition_key_by_index: BTreeMap<String, String>,
    global_indexes: BTreeSet<String>,
}

impl Schema {
    /// The schema in a table description.
    pub(crate) fn of(description: &Value) -> Self {
        let mut schema = Self {
            description: description.clone(),
            keys: key_names(description),
            ..Self::default()
        };
        for (member, global) in [("GlobalSecondaryIndexes", true), ("LocalSecondaryIndexes", false)] {
            for index in description.get(member).and_then(Value::as_array).into_iter().flatten() {
                let Some(name) = index.get("IndexName").and_then(Value::as_str) else {
                    continue;
                };
                if let Some(key) = key_names(index).into_iter().next() {
                    schema.partition_key_by_index.insert(name.to_owned(), key);
                }
                if global {
                    schema.global_indexes.insert(name.to_owned());
                }
            }
        }
        schema
    }

    pub(crate) fn is_global(&self, index: &str) -> bool {
        self.global_indexes.contains(index)
    }

    /// The partition key of the table, or of one of its indexes.
    pub(crate) fn partition_key(&self, index: Option<&str>) -> Option<&str> {
        match index {
            None => self.keys.first().map(String::as_str),
            Some(index) => self.partition_key_by_index.get(index).map(String::as_str),
        }
    }
}

fn key_names(holder: &Value) -> Vec<String> {
    let of_type = |wanted: &str| {
        holder
            .get("KeySchema")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|key| key.get("KeyType").and_then(Value::as_str) == Some(wanted))
            .filter_map(|key| key.get("AttributeName")?.as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    [of_type("HASH"), of_type("RANGE")].concat()
}

/// A key value as the condition key `dynamodb:LeadingKeys` shows it.
pub(crate) fn key_text(value: &Value) -> Option<String> {
    ["S", "N", "B"]
        .iter()
        .find_map(|kind| value.get(kind)?.as_str().map(str::to_owned))
}

/// The value that a query fixes its partition key to.
pub(crate) fn queried_key(input: &Value, partition_key: &str) -> Option<String> {
    if let Some(condition) = input.pointer(&format!("/KeyConditions/{partition_key}/AttributeValueList/0")) {
        return key_text(condition);
    }
    let expression = input.get("KeyConditionExpression")?.as_str()?;
    let spaced = expression.replace(['(', ')'], " ").replace('=', " = ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.windows(3).find_map(|window| match window {
        [name, "=", value] if attribute_name(input, name) == partition_key => {
            key_text(input.get("ExpressionAttributeValues")?.get(*value)?)
        }
        _ => None,
    })
}

/// The attribute behind a name of an expression, which may be a placeholder.
fn attribute_name<'a>(input: &'a Value, name: &'a str) -> &'a str {
    input
        .get("ExpressionAttributeNames")
        .and_then(|names| names.get(name))
        .and_then(Value::as_str)
        .unwrap_or(name)
}

/// The engine lets the updates of a transaction change key attributes; DynamoDB cancels such a transaction.
pub(crate) fn refuse_key_updates(input: &Value, tables: &BTreeMap<String, Schema>) -> Result<(), ApiError> {
    let actions = input
        .get("TransactItems")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let changed: Vec<Option<&str>> = actions
        .iter()
        .map(|action| changed_key(action.get("Update")?, tables))
        .collect();
    if changed.iter().all(Option::is_none) {
        return Ok(());
    }
    let reason = |key: &Option<&str>| match key {
        Some(key) => json!({
            "Code": "ValidationError",
            "Message": format!("One or more parameter values were invalid: Cannot update attribute {key}. This attribute is part of the key"),
        }),
        None => json!({"Code": "None"}),
    };
    Err(cancelled(changed.iter().map(reason).collect()))
}

fn changed_key<'a>(update: &Value, tables: &'a BTreeMap<String, Schema>) -> Option<&'a str> {
    let schema = tables.get(update.get("TableName")?.as_str()?)?;
    let targets = update_targets(update.get("UpdateExpression")?.as_str()?);
    let names: Vec<&str> = targets.iter().map(|target| attribute_name(update, target)).collect();
    schema.keys.iter().map(String::as_str).find(|key| names.contains(key))
}

/// The top-level names that an update expression assigns, removes, adds to or deletes from.
fn update_targets(expression: &str) -> Vec<String> {
    let spaced = expression
        .replace(',', " , ")
        .replace('=', " = ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut targets = Vec::new();
    let (mut depth, mut expects_target) = (0_i32, false);
    for word in spaced.split_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "," if depth == 0 => expects_target = true,
            _ if ["SET", "REMOVE", "ADD", "DELETE"]
                .iter()
                .any(|clause| word.eq_ignore_ascii_case(clause)) =>
            {
                expects_target = true;
            }
            _ if expects_target => {
                targets.push(word.split(['.', '[']).next().unwrap_or(word).to_owned());
                expects_target = false;
            }
            _ => {}
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_of_an_update_are_found_in_every_clause() {
        let targets =
            update_targets("SET #a=if_not_exists(pk, :one), b.c = :two REMOVE d[0], e ADD f :three delete g :four");
        assert_eq!(targets, ["#a", "b", "d", "e", "f", "g"]);
    }

    #[test]
    fn the_partition_key_of_a_query_is_found_in_any_order() {
        let input = json!({
            "KeyConditionExpression": "begins_with(sk, :s) AND #p=:p",
            "ExpressionAttributeNames": {"#p": "pk"},
            "ExpressionAttributeValues": {":p": {"S": "REL#1"}, ":s": {"S": "STEP#"}},
        });
        assert_eq!(queried_key(&input, "pk").as_deref(), Some("REL#1"));
        assert_eq!(queried_key(&input, "sk"), None);
    }
}
