//! `docs/FAULTS.md` names every fault, and the tests that it names exist.

#![expect(clippy::unwrap_used, reason = "a test that cannot read what it checks has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The faults that wait for what is not built, by what they wait for.
const WAITS: [&str; 4] = [
    "waits for pause hooks",
    "waits for the blue/green family",
    "waits for the scan gate",
    "waits for the signature gate",
];

struct Fault {
    number: String,
    happens: String,
    tests: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn table() -> Vec<Fault> {
    let text = std::fs::read_to_string(root().join("docs/FAULTS.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| F"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let names = cells.get(3).copied().unwrap_or_default();
        Fault {
            number: cells.first().unwrap().to_string(),
            happens: cells.get(2).unwrap().to_string(),
            tests: names.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        }
    })
    .collect()
}

/// The names of all test functions of the workspace.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["cli", "functions", "lab", "simulator", "tests"]
        .map(|room| root().join(room))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                let names = text.split("fn ").skip(1);
                found.extend(names.filter_map(|rest| rest.split('(').next().map(str::to_owned)));
            }
        }
    }
    found
}

#[test]
fn every_fault_is_in_a_table_once() {
    let mut numbers: Vec<String> = table().into_iter().map(|fault| fault.number).collect();
    numbers.sort();
    let expected: Vec<String> = (1..=99).map(|number| format!("F{number:02}")).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn every_fault_has_a_test_that_exists_or_says_what_it_waits_for() {
    let functions = functions();
    assert!(functions.contains("every_fault_is_in_a_table_once"));
    for fault in table() {
        let waits = WAITS.iter().any(|wait| fault.happens.starts_with(wait)) || fault.happens.contains("not built");
        assert!(waits || !fault.tests.is_empty(), "{}: no test", fault.number);
        for test in &fault.tests {
            assert!(functions.contains(test), "{}: there is no test `{test}`", fault.number);
        }
    }
}
