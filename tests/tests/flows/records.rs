//! What an earlier version wrote down: `fixtures/records` has a set for every version that was released, and the
//! functions of today go on over each.
//!
//! A set is written by [`write_the_records_of_this_version`], once, and never changed afterwards.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::DynamoDb;

use crate::guide;
use crate::mixed_versions::in_flight;
use crate::support::Account;

const CONTROL: &str = "esclusa-control";
const LEDGER: &str = "esclusa-ledger";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/records")
}

fn items(account: &Account, table: &str) -> Vec<Value> {
    account.lab.world().service::<DynamoDb>().unwrap().items(table).unwrap()
}

/// Releases with approvals, a hotfix with its debts, one that failed, and what people ordered: all of it over.
fn ended() -> Account {
    let mut account = guide::known();
    account.esclusa(&["pin", "imagy-catalog", "staging", "--reason", "the audit"]);
    account.esclusa(&["freeze", "imagy-catalog", "production", "--reason", "the sale"]);
    account.release("0ddba11", Kind::CrashLoop);
    account
}

/// Every item of a table, without what must not be kept.
fn kept(account: &Account, table: &str) -> Vec<Value> {
    let mut all = items(account, table);
    for item in &mut all {
        if let Some(token) = item.get_mut("token") {
            *token = json!({"S": "a task token, which is not kept here"});
        }
    }
    all
}

/// `cargo test --workspace --test flows -- --ignored write_the_records_of_this_version` writes the set of the version
/// of the workspace.
#[test]
#[ignore = "writes the set of a version that is about to be released"]
fn write_the_records_of_this_version() {
    let folder = folder().join(env!("CARGO_PKG_VERSION"));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, items: &[Value]| {
        let lines: Vec<String> = items.iter().map(Value::to_string).collect();
        std::fs::write(folder.join(name), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    };
    let account = ended();
    write("control.json", &kept(&account, CONTROL));
    write("ledger.json", &kept(&account, LEDGER));
    let account = in_flight(Kind::Good);
    write("control-in-flight.json", &kept(&account, CONTROL));
}

fn read(file: &Path) -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Puts the items of a set in place of those of the tables.
fn replace(account: &mut Account, set: &Path) {
    for (table, file, keys) in [
        (CONTROL, "control.json", ["pk", "sk"]),
        (LEDGER, "ledger.json", ["chain", "sequence"]),
    ] {
        for item in items(account, table) {
            let key: serde_json::Map<String, Value> = keys
                .iter()
                .map(|name| ((*name).to_owned(), item[*name].clone()))
                .collect();
            account.administer("dynamodb", "DeleteItem", json!({"TableName": table, "Key": key}));
        }
        for item in read(&set.join(file)) {
            account.administer("dynamodb", "PutItem", json!({"TableName": table, "Item": item}));
        }
    }
}

fn sets() -> Vec<PathBuf> {
    let sets = std::fs::read_dir(folder()).unwrap();
    sets.map(|set| set.unwrap().path()).collect()
}

#[test]
fn a_release_goes_on_over_what_every_earlier_version_wrote() {
    assert!(!sets().is_empty());
    for set in sets() {
        let mut account = guide::guide();
        // Nothing of the set is of the future.
        account.pass(SignedDuration::from_hours(2));
        replace(&mut account, &set);
        for words in [
            &["audit", "verify", "--all"][..],
            &["status"],
            &["locks"],
            &["debts"],
            &["quarantine"],
            &["pipelines", "show", "imagy-catalog"],
        ] {
            account.esclusa(words);
        }
        account.esclusa(&["unpin", "imagy-catalog", "staging", "--reason", "the audit is over"]);
        account.esclusa(&[
            "unfreeze",
            "imagy-catalog",
            "production",
            "--reason",
            "the sale is over",
        ]);
        let release = guide::pushed(&mut account, "hotfix-7e57ed0");
        guide::agree_at_once(&mut account, &release);
        account.settle();
        account.assert_release_ended(&release, "SUCCEEDED", "schema_moved", "proven");
        account.assert_left("FREE");
    }
}

/// No token and no secret has come into a set.
#[test]
fn no_set_keeps_what_opens_anything() {
    for set in sets() {
        for item in read(&set.join("control-in-flight.json")) {
            if let Some(token) = item.get("token") {
                assert_eq!(token, &json!({"S": "a task token, which is not kept here"}));
            }
        }
        for file in ["control.json", "control-in-flight.json", "ledger.json"] {
            let text = std::fs::read_to_string(set.join(file)).unwrap();
            assert!(!text.contains("xoxb-") && !text.contains("AQC"), "{file}");
        }
    }
}
