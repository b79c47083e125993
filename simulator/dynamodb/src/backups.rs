//! Point-in-time recovery: whether a table can be restored, and to which moments. Nothing is restored.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html>

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::ApiError;

/// How far the latest restorable moment is behind: "typically five minutes".
const BEHIND: SignedDuration = SignedDuration::from_mins(5);

/// Since when each table can be restored that can.
#[derive(Debug, Default)]
pub(crate) struct Backups(BTreeMap<String, Timestamp>);

impl Backups {
    /// Turns recovery on or off; on a table where it is on already nothing changes.
    pub(crate) fn set(&mut self, table: &str, enabled: bool, now: Timestamp) {
        if enabled {
            self.0.entry(table.to_owned()).or_insert(now);
        } else {
            self.0.remove(table);
        }
    }

    pub(crate) fn describe(&self, table: &str, now: Timestamp) -> Value {
        let recovery = match self.0.get(table) {
            None => json!({"PointInTimeRecoveryStatus": "DISABLED"}),
            Some(since) => json!({
                "PointInTimeRecoveryStatus": "ENABLED",
                "RecoveryPeriodInDays": 35,
                "EarliestRestorableDateTime": since.as_second(),
                "LatestRestorableDateTime": now.saturating_sub(BEHIND).map_or(*since, |latest| latest.max(*since)).as_second(),
            }),
        };
        json!({"ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": recovery,
        }})
    }

    /// `UpdateContinuousBackups`.
    pub(crate) fn update(&mut self, table: &str, input: &Value, now: Timestamp) -> Result<Value, ApiError> {
        let specification = input.get("PointInTimeRecoverySpecification");
        if specification.is_some_and(|specification| specification.get("RecoveryPeriodInDays").is_some()) {
            return Err(ApiError::unsupported(
                "`RecoveryPeriodInDays` in `UpdateContinuousBackups` of `dynamodb`",
            ));
        }
        let enabled =
            specification.and_then(|specification| specification.get("PointInTimeRecoveryEnabled")?.as_bool());
        let enabled = enabled.ok_or_else(|| {
            ApiError::client(
                "ValidationException",
                "Value null at 'pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled' failed to satisfy constraint: Member must not be null",
            )
        })?;
        self.set(table, enabled, now);
        Ok(self.describe(table, now))
    }
}

/// The refusal of a table that is not there.
pub(crate) fn no_table(table: &str) -> ApiError {
    ApiError::client("TableNotFoundException", format!("Table not found: {table}"))
}
