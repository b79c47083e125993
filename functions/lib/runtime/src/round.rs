//! One round of a sweep: over everything that is open, beginning elsewhere each time, and over in time.

use esclusa_core::error::{ErrorKind, Failure};
use jiff::{SignedDuration, Timestamp};

use crate::{Invocation, Measure};

/// What a round has at least, on a clock by which Lambda would leave it nothing.
const LEAST: SignedDuration = SignedDuration::from_secs(10);

/// A round of the sweep of a function, which its end measures. One thing that cannot be looked at keeps no other from
/// its look, and fails no invocation: the next round looks again, and a repeated invocation would look at everything
/// once more. It is logged, counted, and told by an alarm when it goes on.
#[derive(Debug)]
#[must_use = "the end of a round is what is measured"]
pub struct Round {
    sweeper: &'static str,
    began: Timestamp,
    ends: Timestamp,
    failures: u32,
    /// Whether its time was up before everything was looked at.
    is_cut_short: bool,
}

impl Round {
    /// Begins a round `now`, in which nothing more is begun when only `reserve` is left of the time of the invocation.
    pub fn begin(sweeper: &'static str, invocation: &Invocation, now: Timestamp, reserve: SignedDuration) -> Self {
        let time = invocation.deadline.duration_since(now).saturating_sub(reserve);
        Self {
            sweeper,
            began: now,
            ends: now.saturating_add(time.max(LEAST)).unwrap_or(Timestamp::MAX),
            failures: 0,
            is_cut_short: false,
        }
    }

    /// Everything there is to look at, in the order of this round: where there is not enough time for all, each round
    /// begins elsewhere.
    #[must_use]
    pub fn in_turn<T>(&self, mut all: Vec<T>) -> Vec<T> {
        // Rounds come every other minute or less often: their number alone would leave some places out for ever.
        let minute = u64::try_from(self.began.as_second().div_euclid(60)).unwrap_or(0);
        let scattered = minute.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let first = usize::try_from(scattered).unwrap_or(0).checked_rem(all.len());
        all.rotate_left(first.unwrap_or(0));
        all
    }

    /// Whether there is time to look at one thing more.
    #[must_use]
    pub fn has_time(&mut self, now: Timestamp) -> bool {
        let has_time = now < self.ends;
        self.is_cut_short |= !has_time;
        has_time
    }

    /// Notes that something, `what`, could not be looked at or put right. Where somebody else was faster there is
    /// nothing to note.
    pub fn failed(&mut self, what: &str, failure: &Failure) {
        if failure.kind == ErrorKind::Conflict {
            tracing::info!(what, message = %failure.message, "a sweep met others at the same thing");
            return;
        }
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(what, kind = %failure.kind, message = %failure.message, "a sweep could not look at something, and looks again in its next round");
    }

    /// Ends a round of the schedule; how many things could not be looked at.
    pub fn end(self) -> u32 {
        Measure::Swept { sweeper: self.sweeper }.emit();
        self.end_of_event()
    }

    /// Ends a round that something else began, which says nothing of the schedule.
    pub fn end_of_event(self) -> u32 {
        if self.failures > 0 || self.is_cut_short {
            Measure::SweepFailed.emit();
        }
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const RESERVE: SignedDuration = SignedDuration::from_secs(5);

    fn noon() -> Timestamp {
        "2026-11-02T12:00:00Z".parse().unwrap()
    }

    fn round(now: Timestamp, deadline: Timestamp) -> Round {
        let invocation = Invocation {
            request_id: "r-1".to_owned(),
            function_arn: "arn".to_owned(),
            deadline,
            trace_id: None,
        };
        Round::begin("resume", &invocation, now, RESERVE)
    }

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_round_begins_nothing_when_only_the_reserve_is_left() {
        let mut round = round(noon(), noon() + seconds(30));
        assert!(round.has_time(noon() + seconds(24)));
        assert!(!round.has_time(noon() + seconds(25)));
    }

    #[test]
    fn a_clock_that_is_ahead_of_that_of_lambda_leaves_some_time() {
        let mut round = round(noon() + seconds(120), noon() + seconds(30));
        assert!(round.has_time(noon() + seconds(129)));
        assert!(!round.has_time(noon() + seconds(130)));
    }

    #[test]
    fn every_place_is_the_first_of_some_round_whatever_the_schedule() {
        for (count, every) in [(2, 2), (8, 2), (10, 5), (64, 2), (60, 5)] {
            let firsts: BTreeSet<usize> = (0..count * 40)
                .map(|number| {
                    let now = noon() + SignedDuration::from_mins(i64::try_from(number * every).unwrap());
                    round(now, now + seconds(30)).in_turn((0..count).collect())[0]
                })
                .collect();
            assert_eq!(firsts.len(), count, "{count} every {every} minutes");
        }
        assert!(round(noon(), noon()).in_turn(Vec::<u8>::new()).is_empty());
    }
}
