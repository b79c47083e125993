//! The states of the alarms of the simulated account.

use std::collections::BTreeMap;

/// What an alarm says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AlarmState {
    /// All is well.
    Ok,
    /// Something is wrong.
    Alarm,
    /// Nobody knows: the alarm is new, or its metric has no data.
    #[default]
    InsufficientData,
}

impl AlarmState {
    /// As CloudWatch spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// Reads the spelling of CloudWatch.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ok, Self::Alarm, Self::InsufficientData]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// The alarms that exist, with their states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alarms {
    /// States by the name of the alarm.
    pub states: BTreeMap<String, AlarmState>,
}

impl Alarms {
    /// Whether the alarm exists and says that something is wrong.
    #[must_use]
    pub fn is_firing(&self, name: &str) -> bool {
        self.states.get(name) == Some(&AlarmState::Alarm)
    }
}
