//! Amazon DynamoDB on a laptop.
//!
//! The engine is `dynoxide`, in memory. This crate is the seam around it: simulated time, permissions per item,
//! idempotency tokens whose window is simulated, reads that lag behind, and counters of what was read and written.
//! Streams are refused. Items whose time to live is over stay, as they may for days on AWS.

mod answers;
mod backups;
mod engine;
mod items;
mod keys;
mod permissions;
mod read_lag;
mod tokens;
mod usage;

use std::collections::BTreeMap;

use dynoxide::Database;
use dynoxide::storage_backend::ManualClock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, Service};

use answers::{Answers, Place};
use backups::{Backups, no_table};
pub use items::plain_item;
use keys::Schema;
use read_lag::ReadLag;
use tokens::Tokens;
pub use usage::Usage;

/// The operations that this service knows.
pub const OPERATIONS: [&str; 20] = [
    "CreateTable",
    "DeleteTable",
    "DescribeTable",
    "ListTables",
    "UpdateTable",
    "UpdateTimeToLive",
    "DescribeTimeToLive",
    "DescribeContinuousBackups",
    "UpdateContinuousBackups",
    "PutItem",
    "GetItem",
    "UpdateItem",
    "DeleteItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "TransactGetItems",
    "DescribeEndpoints",
];

/// The service `dynamodb`.
pub struct DynamoDb {
    database: Database,
    clock: ManualClock,
    tables: BTreeMap<String, Schema>,
    created: BTreeMap<String, Timestamp>,
    tokens: Tokens,
    lag: Option<ReadLag>,
    answers: Answers,
    usage: BTreeMap<String, Usage>,
    backups: Backups,
}

impl std::fmt::Debug for DynamoDb {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DynamoDb")
            .field("tables", &self.tables)
            .field("lag", &self.lag)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

impl DynamoDb {
    /// An account without tables, at `now`.
    ///
    /// # Errors
    ///
    /// When the in-memory database cannot be opened.
    pub fn new(now: Timestamp) -> Result<Self, ApiError> {
        let clock = ManualClock::new(unix_seconds(now));
        Ok(Self {
            database: engine::open(&clock)?,
            clock,
            tables: BTreeMap::new(),
            created: BTreeMap::new(),
            tokens: Tokens::default(),
            lag: None,
            answers: Answers::default(),
            usage: BTreeMap::new(),
            backups: Backups::default(),
        })
    }

    /// Lets global secondary indexes, and reads that do not ask for consistency, show what the tables held this long
    /// ago. Zero makes them current again.
    ///
    /// # Errors
    ///
    /// When the tables of this moment cannot be copied.
    pub fn set_read_lag(&mut self, lag: SignedDuration) -> Result<(), ApiError> {
        self.lag = if lag.is_zero() {
            None
        } else {
            Some(ReadLag::new(lag, &self.database, &self.clock, &self.tables)?)
        };
        Ok(())
    }

    /// What was read and written so far, by table.
    #[must_use]
    pub fn usage(&self) -> &BTreeMap<String, Usage> {
        &self.usage
    }

    /// Lets a table be restored to any moment from now on, as a template does.
    pub fn recover_from_now_on(&mut self, table: &str, now: Timestamp) {
        self.backups.set(table, true, now);
    }

    /// Every item of a table, in the order of its keys; for oracles, without permission, cost or time.
    ///
    /// # Errors
    ///
    /// When the table does not exist.
    pub fn items(&self, table: &str) -> Result<Vec<Value>, ApiError> {
        engine::all_items(&self.database, table)
    }

    fn operate(&mut self, request: &Request, kernel: &Kernel) -> Result<Value, ApiError> {
        let operation = request.operation.as_str();
        self.clock.set(unix_seconds(kernel.now()));
        if !OPERATIONS.contains(&operation) {
            return Err(ApiError::unsupported(format_args!(
                "`{operation}` of `dynamodb`; there are `{}`",
                OPERATIONS.join("`, `")
            )));
        }
        if operation == "DescribeEndpoints" {
            let address = format!("dynamodb.{}.amazonaws.com", kernel.region());
            return Ok(json!({"Endpoints": [{"Address": address, "CachePeriodInMinutes": 1440}]}));
        }
        refuse_what_is_not_simulated(&request.input)?;
        if operation.ends_with("ContinuousBackups") {
            return self.continuous_backups(request, kernel.now());
        }
        if operation == "TransactWriteItems" {
            self.transact(request, kernel)
        } else {
            self.execute(operation, &request.input, kernel)
        }
    }

    fn continuous_backups(&mut self, request: &Request, now: Timestamp) -> Result<Value, ApiError> {
        let table = request
            .input
            .get("TableName")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !self.tables.contains_key(table) {
            return Err(no_table(table));
        }
        match request.operation.as_str() {
            "UpdateContinuousBackups" => self.backups.update(table, &request.input, now),
            _ => Ok(self.backups.describe(table, now)),
        }
    }

    /// A transaction whose token was used within the last ten minutes is not carried out again.
    fn transact(&mut self, request: &Request, kernel: &Kernel) -> Result<Value, ApiError> {
        keys::refuse_key_updates(&request.input, &self.tables)?;
        let mut input = request.input.clone();
        let token = input
            .as_object_mut()
            .and_then(|object| object.remove("ClientRequestToken"));
        let token = token.as_ref().and_then(Value::as_str);
        if let Some(output) = self.tokens.replay(token, &input, kernel.now())? {
            return Ok(output);
        }
        let output = self.execute("TransactWriteItems", &input, kernel)?;
        self.tokens.remember(token, &input, &output, kernel.now());
        Ok(output)
    }

    fn execute(&mut self, operation: &str, input: &Value, kernel: &Kernel) -> Result<Value, ApiError> {
        let metered = usage::is_metered(operation);
        let asked = input
            .get("ReturnConsumedCapacity")
            .and_then(Value::as_str)
            .is_some_and(|mode| mode != "NONE");
        let may_be_stale = is_read(operation) && !is_consistent(input) || self.reads_global_index(input);
        let place = Place::of(operation, input, &self.tables).filter(|_| self.lag.is_none() || !may_be_stale);
        let kept = place.as_ref().and_then(|place| self.answers.get(place)).cloned();
        let mut output = match kept {
            Some(output) => output,
            None => {
                let output = self.ask_engine(operation, input, metered && !asked, may_be_stale, kernel)?;
                if let Some(place) = place {
                    self.answers.keep(place, &output);
                }
                output
            }
        };
        if metered {
            usage::count(&mut self.usage, operation, input, &output);
            if !asked && let Some(object) = output.as_object_mut() {
                object.remove("ConsumedCapacity");
            }
        }
        self.note_tables(operation, &output, kernel);
        if let Some(lag) = &mut self.lag
            && changes_data(operation)
        {
            lag.write(kernel.now(), operation, input);
        }
        engine::localise(&mut output, kernel, &self.created);
        Ok(output)
    }

    /// Lets the engine carry out an operation, where `meters` so that it says what capacity that takes.
    fn ask_engine(
        &mut self,
        operation: &str,
        input: &Value,
        meters: bool,
        may_be_stale: bool,
        kernel: &Kernel,
    ) -> Result<Value, ApiError> {
        if changes_data(operation) {
            self.answers.forget(operation, input, &self.tables);
        }
        let mut input = input.clone();
        if meters && let Some(object) = input.as_object_mut() {
            object.insert("ReturnConsumedCapacity".to_owned(), json!("TOTAL"));
        }
        let database = match &mut self.lag {
            Some(lag) if may_be_stale => lag.database_at(kernel.now())?,
            _ => &self.database,
        };
        engine::dispatch(database, operation, input)
    }

    fn reads_global_index(&self, input: &Value) -> bool {
        let text = |member: &str| input.get(member).and_then(Value::as_str).unwrap_or_default();
        self.tables
            .get(text("TableName"))
            .is_some_and(|schema| schema.is_global(text("IndexName")))
    }

    /// Keeps the key schemas of tables, which permissions and the seam's own checks need.
    fn note_tables(&mut self, operation: &str, output: &Value, kernel: &Kernel) {
        let description = output.get("TableDescription").or_else(|| output.get("Table"));
        let Some(name) = description
            .and_then(|table| table.get("TableName"))
            .and_then(Value::as_str)
        else {
            return;
        };
        match operation {
            "CreateTable" | "UpdateTable" => {
                self.tables
                    .insert(name.to_owned(), Schema::of(description.unwrap_or(&Value::Null)));
                self.created.entry(name.to_owned()).or_insert(kernel.now());
            }
            "DeleteTable" => {
                self.tables.remove(name);
                self.created.remove(name);
            }
            _ => {}
        }
    }
}

impl Service for DynamoDb {
    fn name(&self) -> &'static str {
        "dynamodb"
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        permissions::of(&request.operation, &request.input, &self.tables, kernel)
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(self.operate(request, kernel))
    }
}

fn unix_seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}

/// Whether an operation writes items.
#[must_use]
pub fn is_write(operation: &str) -> bool {
    matches!(
        operation,
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems"
    )
}

fn is_read(operation: &str) -> bool {
    matches!(operation, "GetItem" | "Query" | "Scan" | "BatchGetItem")
}

fn is_consistent(input: &Value) -> bool {
    let consistent = |input: &Value| input.get("ConsistentRead").and_then(Value::as_bool) == Some(true);
    let tables = input.get("RequestItems").and_then(Value::as_object);
    consistent(input) || tables.is_some_and(|tables| tables.values().all(consistent))
}

fn changes_data(operation: &str) -> bool {
    is_write(operation) || matches!(operation, "CreateTable" | "DeleteTable" | "UpdateTable")
}

fn refuse_what_is_not_simulated(input: &Value) -> Result<(), ApiError> {
    if input
        .pointer("/StreamSpecification/StreamEnabled")
        .and_then(Value::as_bool)
        == Some(true)
    {
        return Err(ApiError::unsupported("streams of `dynamodb`"));
    }
    if input
        .get("TableName")
        .and_then(Value::as_str)
        .is_some_and(|table| table.starts_with("arn:"))
    {
        return Err(ApiError::unsupported("a `TableName` of `dynamodb` that is an ARN"));
    }
    Ok(())
}

/// The refusal of a write while another transaction holds the item; of a transaction, a cancellation whose first reason
/// says so.
#[must_use]
pub fn conflicted(operation: &str, input: &Value) -> ApiError {
    let conflict = "Transaction is ongoing for the item";
    if operation != "TransactWriteItems" {
        return ApiError::client("TransactionConflictException", conflict);
    }
    let actions = input.get("TransactItems").and_then(Value::as_array).map_or(1, Vec::len);
    let reasons = (0..actions)
        .map(|action| match action {
            0 => json!({"Code": "TransactionConflict", "Message": conflict}),
            _ => json!({"Code": "None"}),
        })
        .collect();
    cancelled(reasons)
}

/// The refusal of a call that is more than the table takes.
#[must_use]
pub fn throttled() -> ApiError {
    ApiError::client(
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded. \
         Consider increasing your provisioning level with the UpdateTable API.",
    )
}

/// A cancelled transaction with one reason per action.
fn cancelled(reasons: Vec<Value>) -> ApiError {
    let codes: Vec<&str> = reasons
        .iter()
        .filter_map(|reason| reason.get("Code")?.as_str())
        .collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    ApiError::client("TransactionCanceledException", message).with("CancellationReasons", Value::Array(reasons))
}

#[cfg(test)]
mod tests;
