//! Whoever changes the ledger behind the deployer's back is found out, and the record is named.

use jiff::SignedDuration;
use lab::Lab;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::DynamoDb;

use crate::flows;

const LEDGER: &str = "esclusa-ledger";
const CONTROL: &str = "esclusa-control";
const CATALOG: &str = "imagy-catalog";

/// An account in which one release has ended.
struct Account {
    lab: Lab,
    release: String,
    /// Every item of both tables as the deployer left it.
    whole: [Vec<Value>; 2],
}

impl Account {
    fn new() -> Self {
        let mut lab = Self::pushed();
        assert!(lab.settle());
        // The schedules have done their round.
        lab.simulation().run_for(SignedDuration::from_mins(6));
        Self::of(lab)
    }

    /// An account in which the release is on its way.
    fn on_its_way() -> Self {
        let mut lab = Self::pushed();
        lab.simulation().run_for(SignedDuration::from_secs(75));
        Self::of(lab)
    }

    fn pushed() -> Lab {
        let (mut lab, example) = flows::steady(CATALOG);
        lab.push_example(&example, "app", "4f2c1e9", Kind::Good).unwrap();
        lab
    }

    fn of(lab: Lab) -> Self {
        let release = lab.executions("release").pop().unwrap();
        let whole = [LEDGER, CONTROL].map(|table| items(&lab, table));
        Self { lab, release, whole }
    }

    fn chain(&self) -> String {
        format!("release/{}", self.release)
    }

    /// The records of the release's chain, in order.
    fn records(&self) -> Vec<Value> {
        self.records_of(&self.chain())
    }

    fn records_of(&self, chain: &str) -> Vec<Value> {
        let mut records: Vec<Value> = items(&self.lab, LEDGER)
            .into_iter()
            .filter(|item| item["chain"]["S"] == *chain)
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
    fn head(&self, chain: &str) -> Value {
        self.row(&format!("CHAIN#{chain}"), "HEAD")
    }

    fn row(&self, pk: &str, sk: &str) -> Value {
        let is_it = |item: &Value| item["pk"]["S"] == *pk && item["sk"]["S"] == *sk;
        items(&self.lab, CONTROL).into_iter().find(is_it).unwrap()
    }

    fn remove_row(&mut self, row: &Value) {
        let key = json!({"pk": row["pk"], "sk": row["sk"]});
        self.act("DeleteItem", json!({"TableName": CONTROL, "Key": key}));
    }

    /// Leaves a chain as if its last record had never been written, head and all.
    fn cut_off(&mut self, chain: &str) {
        let records = self.records_of(chain);
        let (before, last) = (&records[records.len() - 2], &records[records.len() - 1]);
        let mut head = self.head(chain);
        for field in ["sequence", "hash"] {
            assert_eq!(head[field], last[field]);
            head[field] = before[field].clone();
        }
        self.remove(last);
        self.put(CONTROL, &head);
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
        for selection in [&["--all"][..], &["--application", CATALOG], &["--release", &release]] {
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
        ("day", "2026-11-01"),
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

    account.cut_off(&chain);
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
    let head = account.head(&chain);
    account.remove_row(&head);
    account.assert_found(&format!("it has 0 records, but {} when it was anchored", records.len()));
    account.restore();
}

#[test]
fn a_release_on_its_way_whose_chain_is_gone_is_not_taken_for_one_without_records() {
    let mut account = Account::on_its_way();
    for record in account.records() {
        account.remove(&record);
    }
    let head = account.head(&account.chain());
    account.remove_row(&head);
    account.assert_found("it has no records and no head, though the control table knows the release");
    let (code, told) = account.verify(&["--release", "imagy-catalog-00000000000000000000"]);
    assert!(
        code == 1 && told.contains("there is no release `imagy-catalog-00000000000000000000`"),
        "{told}"
    );
}

#[test]
fn what_was_ordered_about_everything_is_checked_without_its_head_as_well() {
    let mut account = Account::new();
    assert!(!account.verify(&["--all"]).1.contains("application/*"));
    let frozen = account.lab.esclusa(&["freeze", "--reason", "the fair"]);
    assert_eq!(frozen.code, 0, "{}", frozen.err);
    assert!(account.verify(&["--all"]).1.contains("intact  application/*"));
    let head = account.head("application/*");
    account.remove_row(&head);
    let (code, told) = account.verify(&["--all"]);
    assert!(
        code == 1 && told.contains("record 1 of chain `application/*` lies beyond the anchored head"),
        "{told}"
    );
}

#[test]
fn an_end_that_is_anchored_nowhere_is_told_and_is_no_damage() {
    let mut account = Account::new();
    let chain = format!("application/{CATALOG}");
    let anchored = account.records_of(&chain).pop().unwrap();
    assert_eq!(anchored["kind"]["S"], "release_ended");
    account.cut_off(&chain);
    let anchor = account.row(&format!("RELEASE#{}", account.release), "ANCHOR");
    account.remove_row(&anchor);
    let missing = "its end is not anchored in the chain of its application";
    let (code, told) = account.verify(&["--all"]);
    assert!(code == 0 && !told.contains(missing), "it may still be written: {told}");
    account.lab.simulation().run_for(SignedDuration::from_hours(1));
    let release = account.release.clone();
    for selection in [&["--all"][..], &["--application", CATALOG], &["--release", &release]] {
        let (code, told) = account.verify(selection);
        assert!(code == 0 && told.contains(missing), "{told}");
    }
}
