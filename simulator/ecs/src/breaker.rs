//! The arithmetic of the deployment circuit breaker, following "How the Amazon ECS deployment circuit breaker detects
//! failures".

use serde_json::Value;

use crate::input::{flag, number, text};

/// `deploymentCircuitBreaker` of a service, as far as it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerConfiguration {
    pub(crate) enabled: bool,
    pub(crate) rollback: bool,
    reset_on_healthy_task: bool,
    threshold: Threshold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threshold {
    BoundedPercent(u32),
    UnboundedPercent(u32),
    Count(u32),
}

impl BreakerConfiguration {
    /// Reads `deploymentConfiguration`. `None` for a threshold type that does not exist.
    pub(crate) fn read(deployment_configuration: &Value) -> Option<Self> {
        let breaker = deployment_configuration
            .get("deploymentCircuitBreaker")
            .unwrap_or(&Value::Null);
        let threshold = breaker.get("thresholdConfiguration").unwrap_or(&Value::Null);
        let value = number(threshold, "value");
        let threshold = match text(threshold, "type") {
            None | Some("BOUNDED_PERCENT") => Threshold::BoundedPercent(value.unwrap_or(50)),
            Some("UNBOUNDED_PERCENT") => Threshold::UnboundedPercent(value?),
            Some("COUNT") => Threshold::Count(value?),
            Some(_) => return None,
        };
        Some(Self {
            enabled: flag(breaker, "enable"),
            rollback: flag(breaker, "rollback"),
            reset_on_healthy_task: breaker
                .get("resetOnHealthyTask")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            threshold,
        })
    }

    /// How many failures end a deployment of a service with this desired count.
    pub(crate) fn threshold(&self, desired_count: u32) -> u32 {
        let percent_of_desired = |percent: u32| desired_count.saturating_mul(percent).div_ceil(100);
        match self.threshold {
            Threshold::BoundedPercent(percent) => percent_of_desired(percent).clamp(3, 200),
            Threshold::UnboundedPercent(percent) => percent_of_desired(percent).max(1),
            Threshold::Count(count) => count.max(1),
        }
    }
}

/// What the breaker learns about a task of the deployment it watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It ended without ever being `RUNNING`.
    FailedToStart,
    /// It was `RUNNING` and failed its health check, or died before it passed.
    FailedHealthCheck,
    /// It is `RUNNING` and, where there is a health check, passes it.
    Healthy,
}

/// The failures of one deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Breaker {
    failures: u32,
    last_failure: Option<Failure>,
}

/// What the breaker names as its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Start,
    HealthCheck,
}

impl Breaker {
    /// Takes one observation into account. `running` is how many tasks of the deployment are `RUNNING` now: as soon as
    /// there is one, failures to start are no longer counted, only failed health checks are.
    pub(crate) fn observe(&mut self, sign: Sign, running: usize, configuration: &BreakerConfiguration) {
        let failure = match sign {
            Sign::Healthy if configuration.reset_on_healthy_task => {
                self.failures = 0;
                return;
            }
            Sign::Healthy => return,
            Sign::FailedToStart if running > 0 => return,
            Sign::FailedToStart => Failure::Start,
            Sign::FailedHealthCheck => Failure::HealthCheck,
        };
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(failure);
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// The failure that reached the threshold, if it is reached with the desired count of now.
    pub(crate) fn tripped(&self, configuration: &BreakerConfiguration, desired_count: u32) -> Option<Failure> {
        let reached = configuration.enabled && self.failures >= configuration.threshold(desired_count);
        self.last_failure.filter(|_| reached)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configuration(breaker: &Value) -> BreakerConfiguration {
        BreakerConfiguration::read(&json!({"deploymentCircuitBreaker": breaker})).unwrap()
    }

    #[test]
    fn the_default_threshold_is_half_of_the_desired_count_between_three_and_two_hundred() {
        let breaker = configuration(&json!({"enable": true}));
        let thresholds = [1, 6, 7, 25, 400, 800].map(|desired| breaker.threshold(desired));
        assert_eq!(thresholds, [3, 3, 4, 13, 200, 200]);
    }

    #[test]
    fn unbounded_percentages_and_counts_know_no_bounds() {
        let unbounded = configuration(&json!({"thresholdConfiguration": {"type": "UNBOUNDED_PERCENT", "value": 10}}));
        assert_eq!([1, 15, 4000].map(|desired| unbounded.threshold(desired)), [1, 2, 400]);
        let count = configuration(&json!({"thresholdConfiguration": {"type": "COUNT", "value": 7}}));
        assert_eq!([1, 4000].map(|desired| count.threshold(desired)), [7, 7]);
    }

    #[test]
    fn a_threshold_type_that_does_not_exist_is_refused() {
        let read = BreakerConfiguration::read(
            &json!({"deploymentCircuitBreaker": {"thresholdConfiguration": {"type": "SOME", "value": 1}}}),
        );
        assert_eq!(read, None);
    }

    #[test]
    fn failures_to_start_stop_counting_once_a_task_runs() {
        let configuration = configuration(&json!({"enable": true}));
        let mut breaker = Breaker::default();
        for _ in 0..9 {
            breaker.observe(Sign::FailedToStart, 1, &configuration);
        }
        assert_eq!(breaker.failures(), 0);
        for _ in 0..3 {
            breaker.observe(Sign::FailedHealthCheck, 1, &configuration);
        }
        assert_eq!(breaker.tripped(&configuration, 1), Some(Failure::HealthCheck));
    }

    #[test]
    fn a_healthy_task_resets_the_count_unless_told_otherwise() {
        let resetting = configuration(&json!({"enable": true}));
        let keeping = configuration(&json!({"enable": true, "resetOnHealthyTask": false}));
        for (configuration, left) in [(resetting, 1), (keeping, 3)] {
            let mut breaker = Breaker::default();
            for sign in [
                Sign::FailedToStart,
                Sign::FailedToStart,
                Sign::Healthy,
                Sign::FailedToStart,
            ] {
                breaker.observe(sign, 0, &configuration);
            }
            assert_eq!(breaker.failures(), left);
        }
    }

    #[test]
    fn a_breaker_that_is_off_never_trips() {
        let configuration = configuration(&json!({"enable": false}));
        let mut breaker = Breaker::default();
        for _ in 0..500 {
            breaker.observe(Sign::FailedToStart, 0, &configuration);
        }
        assert_eq!(breaker.tripped(&configuration, 1), None);
    }
}
