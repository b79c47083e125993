//! The corpus of the fuzz targets, held against the same properties.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use esclusa_tests::fuzzed::TARGETS;

/// How large the corpus may become: it is read by every run of the tests and kept in the history for ever.
const FILES_MAX: usize = 350;
const BYTES_MAX: usize = 1_000_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The names in a directory, in their order; none where there is no directory.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

#[test]
fn every_input_of_the_corpus_keeps_the_properties_of_its_target() {
    for target in TARGETS {
        let directory = corpus().join(target.name);
        let names = names(&directory);
        assert!(!names.is_empty(), "the corpus of `{}` is empty", target.name);
        for name in names {
            let input = std::fs::read(directory.join(&name)).unwrap();
            let outcome = std::panic::catch_unwind(|| (target.check)(&input));
            assert!(
                outcome.is_ok(),
                "`{}` does not hold for `{name}`: see above",
                target.name
            );
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&corpus()), targets);
    let fuzzed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/targets");
    let files: BTreeSet<String> = targets.iter().map(|target| format!("{target}.rs")).collect();
    assert_eq!(names(&fuzzed), files);
}

#[test]
fn the_corpus_stays_small() {
    let directories = names(&corpus()).into_iter().map(|name| corpus().join(name));
    let files: Vec<PathBuf> = directories
        .flat_map(|directory| names(&directory).into_iter().map(move |name| directory.join(name)))
        .collect();
    let bytes: usize = files.iter().map(|file| std::fs::read(file).unwrap().len()).sum();
    assert!(
        files.len() <= FILES_MAX && bytes <= BYTES_MAX,
        "{} files, {bytes} bytes",
        files.len()
    );
}
