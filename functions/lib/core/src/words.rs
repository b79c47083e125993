//! Numbers with their nouns, as people read them.

use std::fmt::Display;

/// A number with its noun in the right form, such as `1 task` or `2 tasks`.
#[must_use]
pub fn counted<Number: Display + PartialEq + From<u8> + Copy>(number: Number, noun: &str) -> String {
    if number == Number::from(1) {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counted(0_u64, "task"), "0 tasks");
        assert_eq!(counted(1_usize, "running task"), "1 running task");
        assert_eq!(counted(2_u32, "task"), "2 tasks");
    }
}
