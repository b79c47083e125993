//! The bugs that `scripts/planted` plants: each says what it breaks, and still fits the code. Whether the explorer
//! finds them only the script tells.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use lab::repository;

/// The patches, by name.
fn patches() -> Vec<(String, String)> {
    let folder = repository().join("lab/planted");
    let mut patches: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    patches.sort();
    patches
}

#[test]
fn every_planted_bug_says_what_it_violates_and_how_soon() {
    let patches = patches();
    assert!(patches.len() >= 10, "only {} bugs are planted", patches.len());
    for (name, patch) in patches {
        let first = patch.lines().next().unwrap();
        let words: Vec<&str> = first.split_whitespace().rev().take(5).collect();
        let ["seeds.", seeds, "within", invariant, "Violates"] = words.as_slice() else {
            panic!("{name}: {first}")
        };
        assert!(first.starts_with("# "), "{name}: {first}");
        assert!(seeds.parse::<u32>().is_ok(), "{name}: {seeds}");
        assert!(invariant.starts_with('I'), "{name}: {invariant}");
    }
}

#[test]
fn every_planted_bug_fits_the_code() {
    for (name, patch) in patches() {
        let mut hunks = Vec::new();
        let mut file = String::new();
        for line in patch.lines() {
            if let Some(path) = line.strip_prefix("--- a/") {
                file = fs::read_to_string(repository().join(path)).unwrap();
            } else if line.starts_with("@@") {
                hunks.push((file.clone(), String::new()));
            } else if let Some((_, before)) = hunks.last_mut()
                && let Some(kept) = line.strip_prefix(['-', ' '])
            {
                before.push_str(kept);
                before.push('\n');
            }
        }
        assert!(!hunks.is_empty(), "{name} changes nothing");
        for (file, before) in hunks {
            assert!(file.contains(&before), "{name} looks for\n{before}");
        }
    }
}
