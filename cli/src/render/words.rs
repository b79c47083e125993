//! Times, digests and lists as people read them.

use esclusa_core::gate::GateReport;
use jiff::Timestamp;

/// A time to the second, in UTC.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A digest by its first twelve digits, which is enough to tell two apart by eye.
pub(crate) fn digest(digest: &str) -> String {
    let (algorithm, digits) = digest.split_once(':').unwrap_or(("", digest));
    let digits: String = digits.chars().take(12).collect();
    if algorithm.is_empty() {
        digits
    } else {
        format!("{algorithm}:{digits}")
    }
}

/// A hash by its first twelve digits.
pub(crate) fn hash(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// Names in backticks, with commas.
pub(crate) fn names<Name: AsRef<str>>(names: impl IntoIterator<Item = Name>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    if quoted.is_empty() {
        "none".to_owned()
    } else {
        quoted.join(", ")
    }
}

/// A number with its noun in the right form.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// The last part of an ARN, which is the name that people know it by.
pub(crate) fn resource(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// A name as one word of a shell: in quotes where it must be.
pub(crate) fn argument(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What a gate says, in words.
pub(crate) fn gate(report: &GateReport) -> String {
    let until = report.until.map(|until| format!(" (until {})", time(until)));
    let is_open = if report.is_open { "open, " } else { "" };
    format!(
        "{}: {is_open}{}{}",
        report.gate,
        report.sentence,
        until.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_survives_the_shell() {
        assert_eq!(argument("environment/shop/production"), "environment/shop/production");
        assert_eq!(argument("it's"), r"'it'\''s'");
        assert_eq!(argument(""), "''");
    }
}
