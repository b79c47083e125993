//! The time, from where the SDK takes it: one clock per process, simulated or real.

use aws_config::SdkConfig;
use aws_smithy_async::time::SharedTimeSource;
use esclusa_core::error::Failure;
use jiff::Timestamp;

/// Tells the time of the configuration's time source.
#[derive(Debug, Clone)]
pub struct Clock(SharedTimeSource);

impl Clock {
    /// The clock of `config`; the system's where it has none.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self(config.time_source().unwrap_or_default())
    }

    /// The time now.
    ///
    /// # Errors
    /// `Defect`: the clock shows a year that cannot be written.
    pub fn now(&self) -> Result<Timestamp, Failure> {
        Timestamp::try_from(self.0.now()).map_err(|error| Failure::defect(format!("the clock is wrong: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_smithy_async::time::StaticTimeSource;

    use super::*;

    #[test]
    fn the_clock_shows_the_time_of_the_configuration() {
        let noon = StaticTimeSource::new(UNIX_EPOCH + Duration::from_secs(1_793_620_800));
        let config = SdkConfig::builder().time_source(noon).build();
        assert_eq!(Clock::new(&config).now().unwrap().to_string(), "2026-11-02T12:00:00Z");
    }
}
