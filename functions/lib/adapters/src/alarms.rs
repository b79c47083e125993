//! Reading the alarms of CloudWatch.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::AlarmType;
use esclusa_core::error::Failure;

use crate::client;
use crate::sdk::{OnFirstUse, failure};

/// The most alarms that one call describes.
const ALARMS_PER_CALL: usize = 100;

/// All of them: where no type is named only metric alarms are described.
const TYPES: [AlarmType; 3] = [AlarmType::MetricAlarm, AlarmType::CompositeAlarm, AlarmType::LogAlarm];

/// Reads alarms. Changes nothing.
#[derive(Debug, Clone)]
pub struct AlarmReader {
    client: OnFirstUse<Client>,
}

impl AlarmReader {
    /// A reader of the alarms of this account and Region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_cloudwatch, config),
        }
    }

    /// The states of those alarms, such as `OK`; one that does not exist is not in the answer. Nothing is asked about
    /// none.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn states(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Failure> {
        let mut states = BTreeMap::new();
        let mut left = names.iter().cloned().peekable();
        while left.peek().is_some() {
            let names: Vec<String> = left.by_ref().take(ALARMS_PER_CALL).collect();
            let request = self.client.describe_alarms().set_alarm_names(Some(names));
            let request = request.set_alarm_types(Some(TYPES.to_vec())).max_records(100);
            let answer = request.send().await;
            let answer = answer.map_err(|error| failure("cloudwatch:DescribeAlarms", &error))?;
            let metric = answer.metric_alarms.unwrap_or_default().into_iter();
            let composite = answer.composite_alarms.unwrap_or_default().into_iter();
            let log = answer.log_alarms.unwrap_or_default().into_iter();
            let described = metric
                .map(|alarm| (alarm.alarm_name, alarm.state_value))
                .chain(composite.map(|alarm| (alarm.alarm_name, alarm.state_value)))
                .chain(log.map(|alarm| (alarm.alarm_name, alarm.state_value)));
            states.extend(described.filter_map(|(name, state)| Some((name?, state?.as_str().to_owned()))));
        }
        Ok(states)
    }
}
