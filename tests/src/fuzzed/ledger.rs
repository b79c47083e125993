//! Facts that become records of the ledger, and records as they are read back from the table.

use esclusa_core::canonical::{canonical_json, canonical_sha256};
use esclusa_core::ledger::{Body, Chain, Draft, Head, Record, RecordKind, append, verify};
use jiff::Timestamp;
use serde_json::Value;

use super::json::{read, reordered};

/// The document is the records of a chain, or a list of facts to be written down, or the facts themselves.
pub(super) fn check(input: &[u8]) {
    let Some(document) = read(input) else { return };
    canonical(&document);
    if let Ok(records) = serde_json::from_value::<Vec<Record>>(document.clone()) {
        stored(&records);
    }
    let facts = match &document {
        Value::Array(facts) => facts.as_slice(),
        facts => std::slice::from_ref(facts),
    };
    written(facts);
}

/// The canonical text is that of the document, whatever the order of members, and is its own canonical text.
fn canonical(document: &Value) {
    let text = canonical_json(document);
    let again: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text} is not JSON: {error}"));
    assert_eq!(&again, document, "the canonical text says something else");
    assert_eq!(canonical_json(&again), text);
    assert_eq!(canonical_json(&reordered(document)), text);
    assert_eq!(canonical_sha256(&reordered(document)), canonical_sha256(document));
}

/// Records of any content are verified or named as broken; a chain that is whole is so by its hashes.
fn stored(records: &[Record]) {
    let heads = records
        .iter()
        .map(Record::head)
        .chain([Head::genesis(Chain::release("shop"))]);
    for head in heads {
        if let Ok(verified) = verify(records, &head) {
            assert_eq!(verified.head, head);
            assert!(records.iter().all(|record| record.computed_hash() == record.hash));
        }
    }
}

/// What is appended is a whole chain, is read as it was written, and shows every damage.
fn written(facts: &[Value]) {
    let genesis = Head::genesis(Chain::release("shop"));
    let mut head = genesis.clone();
    let mut records = Vec::new();
    for (second, facts) in (1_793_620_800..).zip(facts.iter().take(8)) {
        let Ok(body) = Body::new(facts) else {
            assert!(names_a_secret(facts), "facts are refused: {facts}");
            continue;
        };
        assert!(!names_a_secret(facts), "a secret is written down: {facts}");
        assert_eq!(body.value().as_ref(), Ok(facts));
        let draft = Draft::new(RecordKind::TaskStopped, "resume", body);
        let at = Timestamp::from_second(second).unwrap_or_default();
        let (record, next) = append(&head, draft, at);
        records.push(record);
        head = next;
    }
    assert_eq!(verify(&records, &head).map(|verified| verified.head), Ok(head.clone()));
    let json = serde_json::to_string(&records).unwrap_or_else(|error| panic!("{error}"));
    let again: Vec<Record> = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again, records, "records are not read as they were written");
    for position in 0..records.len() {
        let mut shorter = records.clone();
        shorter.remove(position);
        assert!(verify(&shorter, &head).is_err(), "a record is gone and nobody sees it");
    }
    if let Some(first) = records.first_mut() {
        first.actor.push('x');
        assert!(
            verify(&records, &head).is_err(),
            "a record was changed and nobody sees it"
        );
        assert!(verify(&records, &genesis).is_err());
    }
}

/// Whether a member, at any depth, is named like what must not be written down.
fn names_a_secret(facts: &Value) -> bool {
    let is_secret = |name: &str| {
        let plain: String = name
            .to_ascii_lowercase()
            .chars()
            .filter(|each| !"-_".contains(*each))
            .collect();
        ["token", "tasktoken", "secret", "password", "authorization", "signature"].contains(&plain.as_str())
    };
    match facts {
        Value::Object(members) => members
            .iter()
            .any(|(name, member)| is_secret(name) || names_a_secret(member)),
        Value::Array(elements) => elements.iter().any(names_a_secret),
        _ => false,
    }
}
