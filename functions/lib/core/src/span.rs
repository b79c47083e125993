//! Spans of time as people read them.

use jiff::SignedDuration;

/// A span in its two largest units, such as `3 d 4 h`. One that is negative is none.
#[must_use]
pub fn span(duration: SignedDuration) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut left = duration.max(SignedDuration::ZERO).as_secs();
    let mut parts = Vec::new();
    for (size, name) in units {
        let count = left / size;
        left %= size;
        if count > 0 || !parts.is_empty() {
            parts.push((count, name));
        }
    }
    let largest = parts.iter().take(2).filter(|(count, _)| *count > 0);
    let words: Vec<String> = largest.map(|(count, name)| format!("{count} {name}")).collect();
    if words.is_empty() {
        "0 s".to_owned()
    } else {
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (130, "2 min 10 s"),
            (3_600, "1 h"),
            (3_605, "1 h"),
            (90_000, "1 d 1 h"),
            (-5, "0 s"),
        ];
        for (seconds, words) in table {
            assert_eq!(span(SignedDuration::from_secs(seconds)), words);
        }
    }
}
