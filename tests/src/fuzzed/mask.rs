//! Command lines of containers, which are shown and recorded with their secrets masked.

use esclusa_core::migration::redact;
use esclusa_core::task_definition::{masked_arguments, masked_text};
use serde_json::json;

use super::json::contains;

/// What is planted: no heuristic takes it for a secret by its own form.
const SECRET: &str = "hunter\u{2020}2";

/// Every line of the input is an argument. Wherever a secret is said to be one, before, between and after them, it is
/// not shown.
pub(super) fn check(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    if input.contains('\u{2020}') {
        return;
    }
    let arguments: Vec<&str> = input.split('\n').collect();
    assert_eq!(
        masked_arguments(arguments.iter().copied()).len(),
        arguments.len(),
        "an argument is lost"
    );
    assert_eq!(masked_text(input), masked_arguments([input]).concat());
    // One place and one way to write a line for each input: another input has the others.
    let place = input.len() % (arguments.len() + 1);
    let separator = [" ", "\t", "\n", " \\\n  "]
        .get(input.len() % 4)
        .copied()
        .unwrap_or_default();
    let (before, after) = arguments.split_at(place);
    for planted in planted(before.last().copied().unwrap_or_default()) {
        let words = planted.iter().map(String::as_str);
        let line: Vec<&str> = before
            .iter()
            .copied()
            .chain(words)
            .chain(after.iter().copied())
            .collect();
        hidden(&line);
        // The same as one line for a shell.
        if planted.iter().all(|argument| !argument.contains(char::is_whitespace)) {
            hidden(&[line.join(separator).as_str()]);
        }
    }
    let task = json!({"overrides": {"containerOverrides": [{"name": "migrations", "command": ["--password", SECRET, input]}]}});
    assert!(!contains(&redact(&task), SECRET), "a password is recorded");
}

fn hidden(line: &[&str]) {
    let shown = masked_arguments(line.iter().copied());
    assert!(!shown.concat().contains(SECRET), "{line:?} is shown as {shown:?}");
}

/// The ways to say that something is a secret; `other` is a text of the input that may be part of it.
fn planted(other: &str) -> Vec<Vec<String>> {
    let word: String = other.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let one = |argument: String| vec![argument];
    vec![
        vec!["--password".to_owned(), SECRET.to_owned()],
        vec![format!("--{word}-token"), SECRET.to_owned()],
        vec!["--db-password".to_owned(), format!("{word} {SECRET} {word}")],
        one(format!("--api-key={SECRET}")),
        one(format!("--api-key={word} {SECRET}")),
        one(format!("{word}_SECRET={SECRET}")),
        one(format!("export{word}=1\nDB_PASSWORD={SECRET}")),
        one(format!("postgresql://{word}:{SECRET}@host/{word}")),
        one(format!("DATABASE_URL=mysql://{word}:{SECRET}@{word}/{word}")),
        one(format!("redis://{word}:{word}@host/0,redis://{word}:{SECRET}@host/0")),
        one(format!("ghp_{SECRET}")),
        one(format!("run --password \"{word} {SECRET}\" {word}")),
        one(format!("Authorization: {word} {SECRET}")),
        one(format!("curl -H 'Authorization: {word} {SECRET}' {word}")),
        one(format!("{{\"{word}\":1,\"password\":\"{SECRET}\"}}")),
    ]
}
