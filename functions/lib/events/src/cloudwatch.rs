//! Events of CloudWatch.

use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;

open_enum! {
    /// The state of an alarm.
    AlarmState {
        /// All is well.
        Ok = "OK",
        /// It fires.
        Alarm = "ALARM",
        /// There is not enough data to tell.
        InsufficientData = "INSUFFICIENT_DATA",
    }
}

/// The detail of `CloudWatch Alarm State Change`: which alarm, and its new state. The alarm itself is read from the
/// API.
///
/// Follows "Alarm events and EventBridge" of the CloudWatch User Guide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudWatchAlarmStateChange {
    /// Its name.
    pub alarm_name: String,
    /// Its new state.
    pub state: AlarmStateFacts,
}

/// The state of an alarm in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmStateFacts {
    /// The state.
    pub value: AlarmState,
}
