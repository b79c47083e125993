//! What `lab local --once` tells and how it exits.

use std::io;
use std::process::{Command, Output};

fn local(words: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["local", "--once"])
        .args(words)
        .output()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_good_image_is_shown_on_its_way_and_the_checker_agrees() {
    let output = local(&[]).unwrap();
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    let story = [
        "push           imagy-catalog:v1.5.0 is sha256:",
        "develop     call           RunTask",
        "develop     deployment     SUCCEEDED",
        "staging     call           UpdateService",
        "staging     deployment     SUCCEEDED",
        "$ esclusa audit --release",
        "release ended",
        "It runs.",
    ];
    let mut rest = told.as_str();
    for line in story {
        let (_, after) = rest
            .split_once(line)
            .unwrap_or_else(|| panic!("`{line}` is not told, or not in its place:\n{told}"));
        rest = after;
    }
    assert!(!told.contains("wrong "), "{told}");
    assert!(!told.contains('\u{1b}'), "there are colours where nobody sees them");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let tell = || text(&local(&["--seed", "7"]).unwrap());
    assert_eq!(tell(), tell());
}

#[test]
fn an_image_that_crashes_is_an_exit_code_and_a_proven_way_back() {
    let output = local(&["--image", "crash-loop"]).unwrap();
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("develop     deployment     ROLLED_BACK"), "{told}");
    assert!(!told.contains("staging     call"), "{told}");
    let (_, back) = told.split_once("And does v1.4.0 run, as it did before?").unwrap();
    assert!(back.contains("proven  staging") && !back.contains("wrong "), "{back}");
}

#[test]
fn a_migration_that_fails_moves_no_service() {
    let output = local(&["--image", "bad-migration"]).unwrap();
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("exit code 1: Essential container in task exited; last words: error: relation"),
        "{told}"
    );
    assert!(!told.contains("UpdateService"), "{told}");
}

#[test]
fn what_people_are_told_in_slack_is_shown() {
    let output = local(&["--slack"]).unwrap();
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    let (_, channel) = told.split_once("in the channel of the simulated Slack").unwrap();
    for line in [
        "imagy-catalog v1.5.0 → develop",
        "imagy-catalog v1.5.0 → staging",
        ":white_check_mark: Succeeded",
    ] {
        assert!(channel.contains(line), "`{line}`: {channel}");
    }
}
