//! Whoever changes the ledger behind the deployer's back is found out, and the record is named.

use jiff::SignedDuration;
use lab::Lab;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::DynamoDb;

use crate::flows;

const LEDGER: &str = "esclusa-ledger";
const CONTROL: &str = "esclusa-control";

/// An account in which one release has ended.
struct Account {
    lab: Lab,
    release: String,
    /// Every item of both tables as the deployer left it.
    whole: [Vec<Value>; 2],
}

impl Account {
    fn new() -> Self {
        let (mut lab, example) = flows::steady("imagy-catalog");
        lab.push_example(&example, "app", "4f2c1e9", Kind::Good).unwrap();
        assert!(lab.settle());
        // The schedules have done their round.
        lab.simulation().run_for(SignedDuration::from_mins(6));
        let release = lab.executions("release").pop().unwrap();
        let whole = [LEDGER, CONTROL].map(|table| items(&lab, table));
        Self { lab, release, whole }
    }

    fn chain(&self) -> String {
        format!("release/{}", self.release)
    }

    /// The records of the release's chain, in order.
    fn records(&self) -> Vec<Value> {
        let mut records: Vec<Value> = items(&self.lab, LEDGER)
            .into_iter()
            .filter(|item| item["chain"]["S"] == self.chain())
            .collect();
        records.sort_by_key(sequence);
        records
    }

    fn put(&mut self, table: &str, item: &Value) {
        self.act("PutItem", json!({"TableName": table, "Item": item}));
    }

    fn remove(&mut self, record: &Value) {
        let key = json!({"chain": record["chain"], "sequence": record["sequence"]});
        self.act("DeleteItem", json!({"TableName": LEDGER, "Key": key}));
    }

    fn act(&mut self, operation: &str, input: Value) {
        self.lab.world_mut().administer("dynamodb", operation, input).unwrap();
    }

    /// The row that remembers how long a chain is.
    fn head(&self) -> Value {
        let pk = format!("CHAIN#{}", self.chain());
        items(&self.lab, CONTROL)
            .into_iter()
            .find(|item| item["pk"]["S"] == *pk)
            .unwrap()
    }

    /// Makes everything as the deployer left it.
    fn restore(&mut self) {
        for (table, items) in [LEDGER, CONTROL].into_iter().zip(self.whole.clone()) {
            for item in &items {
                self.put(table, item);
            }
        }
        assert_eq!(self.verify(&["--all"]).0, 0);
    }

    fn verify(&mut self, selection: &[&str]) -> (u8, String) {
        let words: Vec<&str> = ["audit", "verify"].iter().chain(selection).copied().collect();
        let answer = self.lab.esclusa(&words);
        (answer.code, format!("{}{}", answer.out, answer.err))
    }

    /// Asserts that every way of asking finds the damage and says this.
    #[track_caller]
    fn assert_found(&mut self, damage: &str) {
        let release = self.release.clone();
        for selection in [
            &["--all"][..],
            &["--application", "imagy-catalog"],
            &["--release", &release],
        ] {
            let (code, told) = self.verify(selection);
            assert_eq!(code, 1, "{told}");
            assert!(told.contains(damage), "`{damage}` is not in:\n{told}");
        }
    }
}

fn items(lab: &Lab, table: &str) -> Vec<Value> {
    lab.world().service::<DynamoDb>().unwrap().items(table).unwrap()
}

fn sequence(record: &Value) -> u64 {
    record["sequence"]["N"].as_str().unwrap().parse().unwrap()
}

/// A record with another value in one of its fields.
fn altered(record: &Value, field: &str, value: &str) -> Value {
    let mut altered = record.clone();
    altered[field] = json!({"S": value});
    altered
}

#[test]
fn a_record_that_is_changed_removed_or_swapped_is_named() {
    let mut account = Account::new();
    let chain = account.chain();
    let records = account.records();
    let (seventh, eighth) = (&records[6], &records[7]);

    for (field, value) in [
        ("body", "{}"),
        ("actor", "nobody"),
        ("at", "2026-11-02T09:00:00Z"),
        ("kind", "judged"),
    ] {
        account.put(LEDGER, &altered(seventh, field, value));
        account.assert_found(&format!("record 7 of chain `{chain}`"));
        account.restore();
    }

    account.remove(seventh);
    account.assert_found(&format!("record 7 of chain `{chain}`"));
    account.restore();

    let at = |record: &Value, other: &Value| {
        let mut moved = record.clone();
        moved["sequence"] = other["sequence"].clone();
        moved
    };
    account.put(LEDGER, &at(seventh, eighth));
    account.put(LEDGER, &at(eighth, seventh));
    account.assert_found(&format!("record 7 of chain `{chain}`"));
    account.restore();
}

#[test]
fn a_chain_that_is_cut_off_is_named_by_its_head_and_with_its_head_by_the_chain_of_the_application() {
    let mut account = Account::new();
    let chain = account.chain();
    let records = account.records();
    let last = records.last().unwrap();

    account.remove(last);
    account.assert_found(&format!("record {} of chain `{chain}`", sequence(last)));
    account.restore();

    // As if the last record had never been written, head and all.
    let before = &records[records.len() - 2];
    let mut head = account.head();
    let mut shorter = head.to_string();
    for field in ["sequence", "hash"] {
        let text = |record: &Value| {
            record[field]["N"]
                .as_str()
                .or(record[field]["S"].as_str())
                .unwrap()
                .to_owned()
        };
        shorter = shorter.replace(&text(last), &text(before));
    }
    head = serde_json::from_str(&shorter).unwrap();
    account.remove(last);
    account.put(CONTROL, &head);
    account.assert_found(&format!(
        "it has {} records, but {} when it was anchored",
        records.len() - 1,
        records.len()
    ));
    account.restore();

    // As if the release had never been.
    for record in &records {
        account.remove(record);
    }
    let key = json!({"pk": head["pk"], "sk": head["sk"]});
    account.act("DeleteItem", json!({"TableName": CONTROL, "Key": key}));
    account.assert_found(&format!("it has 0 records, but {} when it was anchored", records.len()));
    account.restore();
}
