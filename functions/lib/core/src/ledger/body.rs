//! The facts of a record.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::canonical_json;
use crate::error::Failure;

/// Names under which AWS and this program carry what must never be written down. Compared without case, hyphens and
/// underscores.
const FORBIDDEN_NAMES: [&str; 6] = ["token", "tasktoken", "secret", "password", "authorization", "signature"];

/// The facts of a record as canonical JSON text.
///
/// A [`Secret`](crate::secret::Secret) has no serialised form, so it cannot get here by its type; an object member
/// named like a task token is refused by its name. The `clientToken` of `RunTask` is no secret and may be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Body(String);

impl Body {
    /// Writes `facts` as canonical JSON.
    ///
    /// # Errors
    /// [`Defect`](crate::error::ErrorKind::Defect) when they cannot be JSON or carry a member with a forbidden name.
    pub fn new(facts: &impl Serialize) -> Result<Self, Failure> {
        let value = serde_json::to_value(facts)
            .map_err(|error| Failure::defect(format!("the facts of a ledger record are not JSON: {error}")))?;
        if let Some(name) = forbidden_name(&value) {
            return Err(Failure::defect(format!(
                "the facts of a ledger record carry `{name}`, which must not be written down"
            )));
        }
        Ok(Self(canonical_json(&value)))
    }

    /// The canonical JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The facts.
    ///
    /// # Errors
    /// [`Defect`](crate::error::ErrorKind::Defect) when the stored text is not JSON.
    pub fn value(&self) -> Result<Value, Failure> {
        serde_json::from_str(&self.0)
            .map_err(|error| Failure::defect(format!("the body of a ledger record is not JSON: {error}")))
    }
}

fn forbidden_name(value: &Value) -> Option<&str> {
    match value {
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let plain: String = name
                .chars()
                .filter(|character| !matches!(character, '-' | '_'))
                .collect();
            let forbidden = FORBIDDEN_NAMES
                .iter()
                .any(|forbidden| plain.eq_ignore_ascii_case(forbidden));
            if forbidden {
                Some(name.as_str())
            } else {
                forbidden_name(member)
            }
        }),
        Value::Array(elements) => elements.iter().find_map(forbidden_name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
