//! Laying one set of settings over another.

use serde_json::Value;

/// Lays `overlay` over `base`: mappings merge by key, everything else replaces. A null is a value like any other.
pub(super) fn lay_over(base: &mut Value, overlay: Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => {
            for (name, value) in overlay {
                match base.get_mut(&name) {
                    Some(existing) => lay_over(existing, value),
                    None => {
                        base.insert(name, value);
                    }
                }
            }
        }
        (base, overlay) => *base = overlay,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Settings: a mapping at the root, as every overlay is.
    fn settings() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..5_u8).prop_map(Value::from)
        ];
        let value = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::btree_map("[a-c]", inner.clone(), 0..3).prop_map(|members| json!(members)),
                proptest::collection::vec(inner, 0..3).prop_map(Value::from),
            ]
        });
        proptest::collection::btree_map("[a-c]", value, 0..4).prop_map(|members| json!(members))
    }

    fn laid_over(mut base: Value, overlay: &Value) -> Value {
        lay_over(&mut base, overlay.clone());
        base
    }

    proptest! {
        #[test]
        fn an_empty_overlay_changes_nothing(base in settings()) {
            prop_assert_eq!(laid_over(base.clone(), &json!({})), base);
        }

        #[test]
        fn laying_over_twice_is_laying_over_once(base in settings(), overlay in settings()) {
            let once = laid_over(base, &overlay);
            prop_assert_eq!(laid_over(once.clone(), &overlay), once);
        }

        #[test]
        fn the_overlay_wins_and_the_rest_stays(base in settings(), overlay in settings()) {
            let result = laid_over(base.clone(), &overlay);
            for (name, value) in overlay.as_object().unwrap() {
                if !value.is_object() || !base[name].is_object() {
                    prop_assert_eq!(&result[name], value);
                }
            }
            for (name, value) in base.as_object().unwrap() {
                if overlay.get(name).is_none() {
                    prop_assert_eq!(&result[name], value);
                }
            }
        }
    }
}
