//! The arithmetic of a rolling update: can ECS replace even one task with these percentages?

use std::fmt;

use serde::{Deserialize, Serialize};

/// The limits of a rolling update, in percent of the desired count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentages {
    /// Healthy tasks that must stay; the number of tasks is rounded up.
    pub minimum_healthy: u32,
    /// Tasks that may run; the number of tasks is rounded down.
    pub maximum: u32,
}

/// Percentages with which no task can be stopped and none started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoProgress {
    /// The limits.
    pub percentages: Percentages,
    /// The desired count they were applied to.
    pub desired: u64,
    /// Tasks that must stay healthy.
    pub must_stay: u64,
    /// Tasks that may run.
    pub may_run: u64,
}

impl Percentages {
    /// The defaults of ECS for a replica service.
    pub const DEFAULT: Self = Self {
        minimum_healthy: 100,
        maximum: 200,
    };

    /// How many of `desired` tasks must stay healthy.
    pub fn must_stay(self, desired: u64) -> u64 {
        tasks(of_desired(desired, self.minimum_healthy).div_ceil(100))
    }

    /// How many tasks may run where `desired` are wanted.
    pub fn may_run(self, desired: u64) -> u64 {
        tasks(of_desired(desired, self.maximum) / 100)
    }

    /// Whether a rolling update of `desired` tasks can begin: an old task may stop, or a new one may start.
    pub fn allow_progress(self, desired: u64) -> Result<(), NoProgress> {
        let one_may_start = of_desired(desired, self.maximum) / 100 > u128::from(desired);
        if self.must_stay(desired) < desired || one_may_start {
            return Ok(());
        }
        Err(NoProgress {
            percentages: self,
            desired,
            must_stay: self.must_stay(desired),
            may_run: self.may_run(desired),
        })
    }
}

/// Counts come from outside: the product of one with a percentage may be larger than the type of either.
fn of_desired(desired: u64, percent: u32) -> u128 {
    u128::from(desired) * u128::from(percent)
}

fn tasks(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl fmt::Display for NoProgress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            percentages: Percentages {
                minimum_healthy,
                maximum,
            },
            desired,
            must_stay,
            may_run,
        } = self;
        let tasks = if *desired == 1 { "task" } else { "tasks" };
        write!(
            formatter,
            "a rolling update of {desired} {tasks} cannot begin: {minimum_healthy} % of {desired}, rounded up, is {must_stay}, so none may \
             stop; {maximum} % of {desired}, rounded down, is {may_run}, so none may start"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_is_rounded_up_and_maximum_down() {
        let cases = [
            (100, 200, u64::MAX, true),
            (100, 100, u64::MAX, false),
            (75, 100, 2, false),
            (75, 100, 4, true),
            (100, 125, 3, false),
            (100, 125, 4, true),
            (100, 200, 1, true),
            (0, 100, 1, true),
            (100, 100, 1, false),
            (100, 100, 500, false),
            (50, 100, 1, false),
            (100, 200, 0, false),
        ];
        for (minimum_healthy, maximum, desired, expected) in cases {
            let allowed = Percentages {
                minimum_healthy,
                maximum,
            }
            .allow_progress(desired);
            assert_eq!(
                allowed.is_ok(),
                expected,
                "{minimum_healthy} % to {maximum} % of {desired}: {allowed:?}"
            );
        }
    }
}
