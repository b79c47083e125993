//! Deserializers for what AWS writes in more than one way.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};

/// Reads `null` as the default, for lists and maps that AWS may send as `null`.
pub(crate) fn default_for_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A container's exit code; events can carry the text `"null"` where a number is unknown.
pub(crate) fn exit_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(i64),
        Text(String),
    }
    match Option::<Written>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Number(code)) => Ok(Some(code)),
        Some(Written::Text(text)) if text == "null" => Ok(None),
        Some(Written::Text(_)) => Err(D::Error::custom("an exit code is a number")),
    }
}

/// Times as RFC 3339 text (events; any number of fraction digits) or as seconds since the epoch (API answers).
pub(crate) mod timestamp {
    use esclusa_core::timestamp::{from_seconds, from_text};
    use serde::Serializer;

    use super::{Deserialize, Deserializer, Error, Timestamp};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Seconds(f64),
    }

    /// A time that AWS may omit or send as null.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        match Option::<Written>::deserialize(deserializer)? {
            None => Ok(None),
            Some(Written::Text(text)) => from_text(&text).map(Some).map_err(D::Error::custom),
            Some(Written::Seconds(seconds)) => from_seconds(seconds).map(Some).map_err(D::Error::custom),
        }
    }

    /// Writes RFC 3339 or null.
    pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Timed {
        #[serde(default, with = "timestamp")]
        at: Option<Timestamp>,
    }

    fn read(at: &Value) -> Option<String> {
        serde_json::from_value::<Timed>(json!({"at": at}))
            .unwrap()
            .at
            .map(|at| at.to_string())
    }

    #[test]
    fn a_time_is_read_in_every_way_that_aws_writes_it() {
        let table = [
            (json!("2026-03-05T15:54:41Z"), "2026-03-05T15:54:41Z"),
            (json!("2026-03-05T15:54:41.19Z"), "2026-03-05T15:54:41.19Z"),
            (
                json!("2026-03-05T15:54:41.618059641Z"),
                "2026-03-05T15:54:41.618059641Z",
            ),
            (
                json!("2026-03-05T15:54:41.618059641987654Z"),
                "2026-03-05T15:54:41.618059641Z",
            ),
            (json!("2026-03-05T16:54:41.5+01:00"), "2026-03-05T15:54:41.5Z"),
            (json!(1_746_529_354), "2025-05-06T11:02:34Z"),
            (json!(1_746_529_354.325), "2025-05-06T11:02:34.325Z"),
            (json!(1.746_529_354_325E9), "2025-05-06T11:02:34.325Z"),
        ];
        for (written, expected) in table {
            assert_eq!(read(&written).as_deref(), Some(expected), "{written}");
        }
        assert_eq!(read(&Value::Null), None);
        assert!(serde_json::from_value::<Timed>(json!({"at": "yesterday"})).is_err());
    }
}
