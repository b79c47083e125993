//! Values that must not be shown.

use std::fmt;

/// A value that is used but never shown or stored by accident: a task token, a signing secret.
///
/// It has no serialised form, so it cannot become part of a ledger record, a log line with fields or a payload:
///
/// ```compile_fail
/// let token = esclusa_core::secret::Secret::new("AQB8AAAA".to_owned());
/// serde_json::to_value(&token).unwrap();
/// ```
///
/// and its debug form hides it:
///
/// ```
/// let token = esclusa_core::secret::Secret::new("AQB8AAAA".to_owned());
/// assert_eq!(format!("{token:?}"), "Secret(…)");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one call that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}
