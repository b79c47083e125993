//! `docs/FAULTS.md` names every fault, and the tests that it names exist and run by default.

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

/// The names of the tests of the workspace that run by default.
fn tests() -> BTreeSet<String> {
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
                found.extend(tests_of(&std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// The functions of a file that are tests, also those of a `proptest!`, without those that are ignored.
fn tests_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // What was written since the last function began, or the last block of any kind.
    let mut attributes = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let words = line.trim_start_matches("pub ").trim_start_matches("async ");
        if let Some(function) = words.strip_prefix("fn ") {
            let is_test = attributes.contains("#[test]") || attributes.contains("#[tokio::test");
            if is_test && !attributes.contains("#[ignore") {
                let name = function.split(['(', '<']).next().unwrap();
                found.push(name.to_owned());
            }
        }
        if line.starts_with("#[") {
            attributes.push_str(line);
        } else if line.ends_with(['{', '}', ';']) {
            attributes.clear();
        }
    }
    found
}

#[test]
fn helpers_and_ignored_tests_are_no_tests_that_show_a_fault() {
    let text = "
        #[test]
        fn a_test() {
            helper();
        }

        fn helper() {}

        #[test]
        #[ignore = \"takes minutes\"]
        fn an_ignored_test() {}

        /// Said of it.
        #[tokio::test(start_paused = true)]
        async fn a_test_that_waits() {}

        proptest! {
            #[test]
            fn a_property(
                number in 0..9,
            ) {}
        }
    ";
    assert_eq!(tests_of(text), ["a_test", "a_test_that_waits", "a_property"]);
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
    let tests = tests();
    assert!(tests.contains("every_fault_is_in_a_table_once"));
    for fault in table() {
        let waits = WAITS.iter().any(|wait| fault.happens.starts_with(wait)) || fault.happens.contains("not built");
        assert!(waits || !fault.tests.is_empty(), "{}: no test", fault.number);
        for test in &fault.tests {
            assert!(
                tests.contains(test),
                "{}: there is no test `{test}` that runs by default",
                fault.number
            );
        }
    }
}
