//! Canonical JSON and its SHA-256: the only way content becomes an identity, a plan hash or a link of the audit chain.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Writes `value` without insignificant whitespace and with the keys of every object in ascending order of their
/// Unicode code points.
///
/// Two values that are equal as JSON documents, whatever the order of their keys, give the same text. Numbers keep the
/// form they were read in.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

/// The SHA-256 of `bytes` as 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes.as_ref()))
}

/// The SHA-256 of the canonical JSON of `value` as 64 lower-case hexadecimal digits.
pub fn canonical_sha256(value: &Value) -> String {
    sha256_hex(canonical_json(value))
}

fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (position, (name, member)) in members.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_scalar(text, &Value::String(name.clone()));
                text.push(':');
                write_value(text, member);
            }
            text.push('}');
        }
        Value::Array(elements) => {
            text.push('[');
            for (position, element) in elements.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_value(text, element);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => write_scalar(text, value),
    }
}

fn write_scalar(text: &mut String, value: &Value) {
    // Writing to a `String` cannot fail, and `Value` has no form that cannot be written.
    let _ = write!(text, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_depth_and_arrays_keep_their_order() {
        let value = json!({"b": [{"z": 1, "a": null}, "x"], "a": {"é": true, "e": 1.5}, "A": "\u{1}\""});
        assert_eq!(
            canonical_json(&value),
            r#"{"A":"\u0001\"","a":{"e":1.5,"é":true},"b":[{"a":null,"z":1},"x"]}"#
        );
    }

    #[test]
    fn a_number_is_written_as_it_was_read_however_many_digits_it_has() {
        for text in ["4.932574106361442e+259", "-9920698463931044.0", "1746529354.325", "0.1"] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(canonical_json(&value), text);
        }
    }

    #[test]
    fn the_hash_is_the_published_sha256() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    proptest! {
        #[test]
        fn the_order_of_keys_does_not_matter(names in proptest::collection::btree_set("[a-zé\"]{1,4}", 0..8)) {
            let forward: Value = names.iter().map(|name| (name.clone(), json!(name.len()))).collect::<serde_json::Map<_, _>>().into();
            let backward: Value = names.iter().rev().map(|name| (name.clone(), json!(name.len()))).collect::<serde_json::Map<_, _>>().into();
            prop_assert_eq!(canonical_json(&forward), canonical_json(&backward));
            prop_assert_eq!(serde_json::from_str::<Value>(&canonical_json(&forward)).unwrap(), forward);
        }
    }
}
