//! `deploymentConfiguration`: what it says about rolling updates.

use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use simulator_kernel::ApiError;

use crate::breaker::BreakerConfiguration;
use crate::input::{checked_number, flag, invalid_parameter, texts};

/// What ECS waits with alarms after the last old task is gone, where `bakeTimeInMinutes` does not say: "less than five
/// minutes".
const DEFAULT_BAKE_TIME: SignedDuration = SignedDuration::from_mins(4);

/// The rules that a rolling update follows.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    maximum_percent: u32,
    minimum_healthy_percent: u32,
    pub(crate) breaker: BreakerConfiguration,
    pub(crate) alarms: Option<AlarmRules>,
}

/// `alarms`, where they are enabled.
#[derive(Debug, Clone)]
pub(crate) struct AlarmRules {
    pub(crate) names: Vec<String>,
    pub(crate) rollback: bool,
    pub(crate) bake_time: SignedDuration,
}

impl Rules {
    /// Reads a merged `deploymentConfiguration`.
    pub(crate) fn read(configuration: &Value) -> Result<Self, ApiError> {
        let breaker = BreakerConfiguration::read(configuration)
            .ok_or_else(|| invalid_parameter("The thresholdConfiguration of deploymentCircuitBreaker is not valid."))?;
        let minutes = checked_number(configuration, "bakeTimeInMinutes")?;
        let alarms = configuration
            .get("alarms")
            .filter(|alarms| flag(alarms, "enable"))
            .map(|alarms| AlarmRules {
                names: texts(alarms, "alarmNames").into_iter().map(str::to_owned).collect(),
                rollback: flag(alarms, "rollback"),
                bake_time: minutes.map_or(DEFAULT_BAKE_TIME, |minutes| {
                    SignedDuration::from_mins(i64::from(minutes))
                }),
            });
        if alarms.is_none() && minutes.is_some_and(|minutes| minutes > 0) {
            return Err(ApiError::unsupported(
                "`bakeTimeInMinutes` of a rolling update without alarms",
            ));
        }
        Ok(Self {
            maximum_percent: checked_number(configuration, "maximumPercent")?.unwrap_or(200),
            minimum_healthy_percent: checked_number(configuration, "minimumHealthyPercent")?.unwrap_or(100),
            breaker,
            alarms,
        })
    }

    /// How many tasks may exist at once.
    pub(crate) fn maximum(&self, desired_count: u32) -> u32 {
        desired_count.saturating_mul(self.maximum_percent) / 100
    }

    /// How many healthy tasks must be left when one is stopped.
    pub(crate) fn minimum_healthy(&self, desired_count: u32) -> u32 {
        desired_count.saturating_mul(self.minimum_healthy_percent).div_ceil(100)
    }
}

/// The configuration with its defaults, and with the members of an update over it.
pub(crate) fn merge_deployment_configuration(current: &Value, update: Option<&Value>) -> Value {
    let mut merged: Map<String, Value> = match current.as_object() {
        Some(current) => current.clone(),
        None => [
            (
                "deploymentCircuitBreaker".to_owned(),
                json!({"enable": false, "rollback": false}),
            ),
            ("maximumPercent".to_owned(), json!(200)),
            ("minimumHealthyPercent".to_owned(), json!(100)),
            ("strategy".to_owned(), json!("ROLLING")),
        ]
        .into_iter()
        .collect(),
    };
    for (key, value) in update.and_then(Value::as_object).into_iter().flatten() {
        merged.insert(key.clone(), value.clone());
    }
    Value::Object(merged)
}
