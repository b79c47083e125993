//! The only writer of both tables: rows of the control table change together with the ledger records that witness the
//! change, in one transaction.
//!
//! Hence a handler that runs twice finds its own first run in the row, loses the compare-and-set and writes nothing
//! more; and what the ledger does not show has not happened.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem};
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::ledger::{self, Chain, Draft, Head, Record};
use esclusa_core::task_definition::Home;
use jiff::Timestamp;

use crate::client;
use crate::clock::Clock;
use crate::control::{Change, ControlTable, Expected, Key, Stored, Write};
use crate::ledger::LedgerTable;
use crate::sdk::{OnFirstUse, failure};

/// How often a commit is tried again when another writer of the same chain was faster, or when transactions collide.
const ATTEMPTS: usize = 12;

/// The most actions of one DynamoDB transaction.
const TRANSACTION_LIMIT: usize = 100;

/// A row that depends on the place its ledger record is given.
type LateChange<'a> = Box<dyn Fn(&[Record]) -> Result<Change, Failure> + Send + Sync + 'a>;

/// What shall be written at once.
#[derive(Default)]
pub struct Commit<'a> {
    changes: Vec<Change>,
    late_changes: Vec<LateChange<'a>>,
    fences: Vec<Fence>,
    drafts: Vec<(Chain, Draft)>,
}

/// A lock that must still be held for a commit to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The name of the lock.
    pub lock: String,
    /// The execution that holds it.
    pub owner: String,
    /// The fence number it was given.
    pub fence: u64,
}

impl std::fmt::Debug for Commit<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&Key> = self.changes.iter().map(Change::key).collect();
        formatter
            .debug_struct("Commit")
            .field("rows", &keys)
            .field("records", &self.drafts.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Commit<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    #[must_use]
    pub fn change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Adds rows.
    #[must_use]
    pub fn changes(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.changes.extend(changes);
        self
    }

    /// Adds a row that remembers the place of the records, which are given in the order they were drafted.
    #[must_use]
    pub fn change_with(mut self, change: impl Fn(&[Record]) -> Result<Change, Failure> + Send + Sync + 'a) -> Self {
        self.late_changes.push(Box::new(change));
        self
    }

    /// Adds a ledger record at the end of `chain`.
    #[must_use]
    pub fn record(mut self, chain: &Chain, draft: Draft) -> Self {
        self.drafts.push((chain.clone(), draft));
        self
    }

    /// Requires these locks to be held.
    #[must_use]
    pub fn fenced(mut self, fences: impl IntoIterator<Item = Fence>) -> Self {
        self.fences.extend(fences);
        self
    }
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a commit that was not written changed nothing"]
pub enum Committed {
    /// Everything was written; the records in the order they were drafted.
    Written(Vec<Record>),
    /// A row was not as expected. Nothing was written.
    Lost(Key),
    /// A lock is no longer held. Nothing was written.
    FencedOut(String),
}

impl Committed {
    /// The records, or the failure that a handler returns when it has no better answer to having lost.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where a row was not as expected, [`ErrorKind::FenceLost`] where a lock is gone.
    pub fn or_failure(self) -> Result<Vec<Record>, Failure> {
        match self {
            Self::Written(records) => Ok(records),
            Self::Lost(key) => Err(Failure::new(
                ErrorKind::Conflict,
                format!("row `{}` / `{}` changed while it was being worked on", key.pk, key.sk),
            )),
            Self::FencedOut(lock) => Err(Failure::new(
                ErrorKind::FenceLost,
                format!("the lock `{lock}` is no longer held by this deployment"),
            )),
        }
    }
}

/// Writes both tables.
#[derive(Debug, Clone)]
pub struct Journal {
    client: OnFirstUse<Client>,
    control: ControlTable,
    ledger: LedgerTable,
    clock: Clock,
    /// Where whoever writes in it acts; none at home.
    place: Option<Home>,
}

/// What one action of a transaction stands for, to read the cancellation reasons by.
#[derive(Debug, Clone)]
enum Action {
    Row(Key),
    Fence(String),
    Chain,
}

/// How one try ended.
enum Try {
    Done(Committed),
    Again(Failure),
}

impl Journal {
    /// A journal over the two tables.
    #[must_use]
    pub fn new(config: &SdkConfig, control: &str, ledger: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, config),
            control: ControlTable::new(config, control),
            ledger: LedgerTable::new(config, ledger),
            clock: Clock::new(config),
            place: None,
        }
    }

    /// The same journal, for whoever acts in another place.
    #[must_use]
    pub fn of_place(&self, place: &Home) -> Self {
        Self {
            place: Some(place.clone()),
            ..self.clone()
        }
    }

    /// Where whoever writes in it acts; none at home.
    #[must_use]
    pub fn place(&self) -> Option<&Home> {
        self.place.as_ref()
    }

    /// To read the control table.
    #[must_use]
    pub fn control(&self) -> &ControlTable {
        &self.control
    }

    /// To read the ledger.
    #[must_use]
    pub fn ledger(&self) -> &LedgerTable {
        &self.ledger
    }

    /// The clock that stamps records.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The head of a chain, which is where the next record goes.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`].
    pub async fn head(&self, chain: &Chain) -> Result<Head, Failure> {
        Ok(self
            .stored_head(chain)
            .await?
            .map_or_else(|| Head::genesis(chain.clone()), |stored| stored.row))
    }

    async fn stored_head(&self, chain: &Chain) -> Result<Option<Stored<Head>>, Failure> {
        self.control.get(&Key::head(chain.as_str())).await
    }

    /// Writes `commit`, or nothing of it.
    ///
    /// # Errors
    /// `Transient` when the chain is too busy or DynamoDB does not answer: repeating is safe, because the rows say
    /// whether it was written. `AccessDenied`; `Defect` for a commit that DynamoDB cannot take.
    pub async fn commit(&self, commit: Commit<'_>) -> Result<Committed, Failure> {
        let mut last = Failure::transient("the ledger is busy");
        for _ in 0..ATTEMPTS {
            match self.attempt(&commit).await? {
                Try::Done(committed) => return Ok(committed),
                Try::Again(failure) => last = failure,
            }
        }
        Err(last)
    }

    async fn attempt(&self, commit: &Commit<'_>) -> Result<Try, Failure> {
        let mut actions = Vec::new();
        let mut items = Vec::new();
        for fence in &commit.fences {
            actions.push(Action::Fence(fence.lock.clone()));
            items.push(
                TransactWriteItem::builder()
                    .condition_check(self.fence_check(fence)?)
                    .build(),
            );
        }
        let now = self.clock.now()?;
        let records = self.records(&commit.drafts, now, &mut actions, &mut items).await?;
        let late = commit
            .late_changes
            .iter()
            .map(|change| change(&records))
            .collect::<Result<Vec<_>, _>>()?;
        for change in commit.changes.iter().chain(&late) {
            actions.push(Action::Row(change.key.clone()));
            items.push(self.row(change, now)?);
        }
        if items.len() > TRANSACTION_LIMIT {
            return Err(Failure::defect(format!(
                "a commit of {} actions is more than DynamoDB takes at once",
                items.len()
            )));
        }
        let Err(error) = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .send()
            .await
        else {
            return Ok(Try::Done(Committed::Written(records)));
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() {
            return canceled_because(&actions, canceled.cancellation_reasons());
        }
        Err(failure("dynamodb:TransactWriteItems", &error))
    }

    /// Appends the drafts to their chains, in order, and the heads that go with them.
    async fn records(
        &self,
        drafts: &[(Chain, Draft)],
        at: Timestamp,
        actions: &mut Vec<Action>,
        items: &mut Vec<TransactWriteItem>,
    ) -> Result<Vec<Record>, Failure> {
        let mut heads: Vec<(Head, Expected)> = Vec::new();
        let mut records = Vec::new();
        for (chain, draft) in drafts {
            let position = match heads.iter().position(|(head, _)| head.chain == *chain) {
                Some(position) => position,
                None => {
                    let stored = self.stored_head(chain).await?;
                    let expected = Expected::unchanged(stored.as_ref());
                    heads.push((
                        stored.map_or_else(|| Head::genesis(chain.clone()), |stored| stored.row),
                        expected,
                    ));
                    heads.len() - 1
                }
            };
            let Some((head, _)) = heads.get_mut(position) else {
                continue;
            };
            let (record, next) = ledger::append(head, draft.clone(), at);
            *head = next;
            let put = Put::builder()
                .table_name(self.ledger.name())
                .set_item(Some(crate::ledger::item(&record)?))
                .condition_expression("attribute_not_exists(#chain)")
                .expression_attribute_names("#chain", "chain");
            actions.push(Action::Chain);
            items.push(TransactWriteItem::builder().put(built(put.build())?).build());
            records.push(record);
        }
        for (head, expected) in heads {
            let change = Change::put(Key::head(head.chain.as_str()), &head, expected)?;
            actions.push(Action::Chain);
            items.push(self.row(&change, at)?);
        }
        Ok(records)
    }

    fn row(&self, change: &Change, now: Timestamp) -> Result<TransactWriteItem, Failure> {
        let mut change = change.clone();
        if change.key.is_spent() {
            change = change.spent_since(now);
        }
        let (condition, read) = match change.expected {
            Expected::Absent => ("attribute_not_exists(pk)", None),
            Expected::Revision(read) => {
                let read = AttributeValue::N(read.to_string());
                ("revision = :read", Some(HashMap::from([(":read".to_owned(), read)])))
            }
        };
        let (table, item) = (self.control.name(), TransactWriteItem::builder());
        let key = || {
            let Key { pk, sk } = change.key.clone();
            HashMap::from([
                ("pk".to_owned(), AttributeValue::S(pk)),
                ("sk".to_owned(), AttributeValue::S(sk)),
            ])
        };
        Ok(match change.write {
            Write::Put(row) => {
                let put = Put::builder().table_name(table).set_item(Some(row));
                let put = put
                    .condition_expression(condition)
                    .set_expression_attribute_values(read);
                item.put(built(put.build())?).build()
            }
            Write::Delete => {
                let delete = Delete::builder().table_name(table).set_key(Some(key()));
                let delete = delete
                    .condition_expression(condition)
                    .set_expression_attribute_values(read);
                item.delete(built(delete.build())?).build()
            }
            Write::Check => {
                let check = ConditionCheck::builder().table_name(table).set_key(Some(key()));
                let check = check
                    .condition_expression(condition)
                    .set_expression_attribute_values(read);
                item.condition_check(built(check.build())?).build()
            }
        })
    }

    fn fence_check(&self, fence: &Fence) -> Result<ConditionCheck, Failure> {
        let key = Key::lock(&fence.lock);
        let check = ConditionCheck::builder()
            .table_name(self.control.name())
            .key("pk", AttributeValue::S(key.pk))
            .key("sk", AttributeValue::S(key.sk))
            .condition_expression("#status = :held AND #owner = :owner AND fence = :fence")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":held", AttributeValue::S("HELD".to_owned()))
            .expression_attribute_values(":owner", AttributeValue::S(fence.owner.clone()))
            .expression_attribute_values(":fence", AttributeValue::N(fence.fence.to_string()));
        built(check.build())
    }
}

fn built<T>(result: Result<T, aws_sdk_dynamodb::error::BuildError>) -> Result<T, Failure> {
    result.map_err(|error| Failure::defect(format!("a transaction cannot be built: {error}")))
}

/// A lost fence outranks a lost row, a lost row outranks a lost race for the head of a chain: only the last is worth
/// another try.
fn canceled_because(actions: &[Action], reasons: &[CancellationReason]) -> Result<Try, Failure> {
    let failed = |code: &'static str| {
        actions
            .iter()
            .zip(reasons)
            .filter(move |(_, reason)| reason.code() == Some(code))
            .map(|(action, _)| action)
    };
    let mut lost_row = None;
    let mut lost_head = false;
    for action in failed("ConditionalCheckFailed") {
        match action {
            Action::Fence(lock) => return Ok(Try::Done(Committed::FencedOut(lock.clone()))),
            Action::Row(key) => lost_row = lost_row.or(Some(key)),
            Action::Chain => lost_head = true,
        }
    }
    if let Some(key) = lost_row {
        return Ok(Try::Done(Committed::Lost(key.clone())));
    }
    if lost_head {
        return Ok(Try::Again(Failure::transient(
            "other writers of the ledger were faster",
        )));
    }
    for code in [
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    ] {
        if failed(code).next().is_some() {
            return Ok(Try::Again(Failure::transient(format!("DynamoDB answered `{code}`"))));
        }
    }
    let said: Vec<&str> = reasons.iter().filter_map(CancellationReason::message).collect();
    Err(Failure::defect(format!(
        "DynamoDB refused a transaction: {}",
        said.join("; ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: &str) -> CancellationReason {
        CancellationReason::builder().code(code).build()
    }

    fn outcome(actions: &[Action], codes: &[&str]) -> Result<Option<Committed>, ErrorKind> {
        let reasons: Vec<_> = codes.iter().map(|code| reason(code)).collect();
        match canceled_because(actions, &reasons) {
            Ok(Try::Done(committed)) => Ok(Some(committed)),
            Ok(Try::Again(_)) => Ok(None),
            Err(failure) => Err(failure.kind),
        }
    }

    #[test]
    fn why_a_transaction_was_canceled_decides_what_follows() {
        let row = Key::release("imagy-catalog-1");
        let actions = [
            Action::Fence("environment/a/b".to_owned()),
            Action::Row(row.clone()),
            Action::Chain,
        ];
        let failed = "ConditionalCheckFailed";
        assert_eq!(
            outcome(&actions, &[failed, failed, failed]),
            Ok(Some(Committed::FencedOut("environment/a/b".to_owned())))
        );
        assert_eq!(
            outcome(&actions, &["None", failed, failed]),
            Ok(Some(Committed::Lost(row)))
        );
        assert_eq!(outcome(&actions, &["None", "None", failed]), Ok(None));
        assert_eq!(outcome(&actions, &["TransactionConflict", "None", "None"]), Ok(None));
        assert_eq!(
            outcome(&actions, &["None", "None", "ValidationError"]),
            Err(ErrorKind::Defect)
        );
    }
}
